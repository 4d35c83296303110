//! Hints of SSH: who the host is, who we are, and how it is reached.

use std::process::{Child, Command, Stdio};

use ecobox_sim::host::Host;
use ecobox_sim::keys::ClientKey;
use ecobox_sim::ssh::SshFault;

use super::super::fleets::{CLOSED, Silent};
use super::super::pace::deadline;
use super::super::sshds::{Certified, SlowLogin, real};
use super::super::world::{Served, World, entry};
use super::{Followed, Row};

/// A plain server, configured; its host key is known if it is to be.
fn nas(known: bool) -> (World, Served) {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&nas.entry());
    if known {
        world.know(&nas);
    }
    (world, nas)
}

pub(super) fn host_key_unknown(row: &Row) -> Option<Followed> {
    let (world, _nas) = nas(false);
    let _ = row.seen(&world.run(&["init"]).exits(6));
    let run = world.run(&["stats"]).exits(6);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox init --accept-new").exits(0);
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn host_key_changed(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    nas.ssh.change_host_key();
    let _ = row.seen(&world.run(&["init"]).exits(6));
    let run = world.run(&["stats"]).exits(6);
    let seen = row.seen(&run);
    Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).status().ok()?;
    let remove = format!("ssh-keygen -f {} -R {}", seen.value("file"), seen.value("name"));
    let _ = seen.follow(&world.env, &remove).exits(0);
    // Nobody is there to say yes to `ecobox init`.
    let _ = world.run(&["init", "--accept-new"]).exits(0);
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn host_key_revoked(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(false);
    let line = nas.ssh.known_hosts_line();
    world.know_line(&format!("@revoked * {}", line.split_once(' ').unwrap().1));
    let run = world.run(&["stats"]).exits(6);
    let seen = row.seen(&run);
    nas.ssh.change_host_key();
    let _ = world.run(&["init", "--accept-new"]).exits(0);
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

/// A host whose certificate has expired.
pub(super) fn host_key_unproven(row: &Row) -> Option<Followed> {
    let world = World::new();
    let mut nas = Certified::expired(&world)?;
    let run = world.run(&["stats"]).exits(6).says("it has expired");
    let seen = row.seen(&run);
    nas.renew();
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn key_refused(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    nas.ssh.deauthorize_all();
    for command in [&["init"][..], &["setup-token", "nas"]] {
        let _ = row.seen(&world.run(command).exits(4));
    }
    let run = world.run(&["stats"]).exits(4);
    let seen = row.seen(&run);
    // It says nothing of tokens: it is no Proxmox VE host.
    assert!(!run.stderr.contains("setup-token"), "{run}");
    assert_eq!(seen.value("target"), format!("-p {} root@127.0.0.1", nas.ssh.port()));
    // What `ssh-copy-id` does.
    nas.ssh.authorize(&world.key.public);
    let _ = world.run(&["stats"]).exits(0);
    // The other way out: another key.
    nas.ssh.deauthorize_all();
    let other = ClientKey::create(&world.env.home().join("other"), None);
    nas.ssh.authorize(&other.public);
    world.configure(&format!("{}\nssh_key_path = \"{}\"\n", nas.entry().trim_end(), other.path.display()));
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn no_key(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    for file in ["id_ed25519", "id_ed25519.pub"] {
        std::fs::remove_file(world.env.home().join(".ssh").join(file)).unwrap();
    }
    let run = world.run(&["stats"]).exits(4);
    let seen = row.seen(&run);
    // What `ssh-keygen` and `ssh-copy-id` do.
    nas.ssh.authorize(&ClientKey::create(&world.env.home().join(".ssh/id_ed25519"), None).public);
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn key_locked(row: &Row) -> Option<Followed> {
    let (mut world, nas) = nas(true);
    let key = ClientKey::create(&world.env.home().join(".ssh/id_ed25519"), Some("open sesame"));
    nas.ssh.authorize(&key.public);
    let run = world.run(&["stats"]).exits(4);
    let seen = row.seen(&run);
    let (home, socket) = (world.env.home().to_owned(), world.env.home().join("agent"));
    let agent = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().ok()?;
    let _agent = Agent(agent);
    super::super::world::until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let ask = home.join("ask");
    std::fs::write(&ask, "#!/bin/sh\necho open sesame\n").unwrap();
    std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.env.set("SSH_AUTH_SOCK", socket.display().to_string());
    world.env.set("SSH_ASKPASS", ask.display().to_string());
    world.env.set("SSH_ASKPASS_REQUIRE", "force");
    let _ = seen.follow(&world.env, &format!("ssh-add {}", seen.value("file"))).exits(0);
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn key_not_enough(row: &Row) -> Option<Followed> {
    let world = World::new();
    let sshd = real(&world, "PasswordAuthentication yes\nAuthenticationMethods publickey,password")?;
    let run = world.run(&["stats"]).exits(4);
    let seen = row.seen(&run);
    drop(sshd);
    let _sshd = real(&world, "AuthenticationMethods publickey")?;
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

pub(super) fn keys_not_taken(row: &Row) -> Option<Followed> {
    let world = World::new();
    let sshd = real(&world, "PasswordAuthentication yes\nPubkeyAuthentication no")?;
    let run = world.run(&["stats"]).exits(4);
    let seen = row.seen(&run);
    drop(sshd);
    let _sshd = real(&world, "PubkeyAuthentication yes")?;
    Some(seen.gone(&world.run(&["stats"]).exits(0)))
}

/// The login takes longer than whoever has little time waits, and is waited for by who has more.
pub(super) fn login_slow(row: &Row) -> Option<Followed> {
    let world = World::new();
    let nas = SlowLogin::start(&world)?;
    let patient =
        world.env.command(&["stats", "--timeout", "300s"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let patient = patient.unwrap();
    // As far as that it has to come first.
    let mut runs = ["1s", "5s", "25s"].iter().map(|deadline| world.run(&["stats", "--timeout", deadline]).exits(5));
    let run = runs.find(|run| run.stderr.contains("(logging in)")).expect("a login that takes too long");
    let seen = row.seen(&run);
    nas.go_on();
    Some(seen.gone(&world.env.finish(patient.wait_with_output().unwrap()).exits(0)))
}

pub(super) fn name_unknown(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    world.configure(&nas.entry().replace("127.0.0.1", "nas.invalid"));
    let run = world.run(&["init", "--timeout", "5s"]).exits(5);
    let seen = row.seen(&run);
    assert_eq!((seen.value("server"), seen.value("config")), ("nas", "~/.config/ecobox/config.toml"));
    world.configure(&nas.entry());
    Some(seen.gone(&world.run(&["init"]).exits(0)))
}

pub(super) fn ssh_port_closed(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    world.configure(&entry("nas", "root", CLOSED, None));
    let _ = row.seen(&world.run(&["setup-token"]).exits(5));
    let run = world.run(&["init"]).exits(5);
    let seen = row.seen(&run);
    world.configure(&nas.entry());
    Some(seen.gone(&world.run(&["init"]).exits(0)))
}

pub(super) fn ssh_closes(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    nas.ssh.set_fault(Some(SshFault::CloseAtOnce));
    let run = world.run(&["init"]).exits(5);
    let seen = row.seen(&run);
    assert!(!run.stderr.contains("pveproxy"), "{run}");
    nas.ssh.set_fault(None);
    Some(seen.gone(&world.run(&["init"]).exits(0)))
}

pub(super) fn jump_host(row: &Row) -> Option<Followed> {
    let (world, nas) = nas(true);
    let through = |port: u16| {
        let way = format!("proxy_jump = \"admin@127.0.0.1:{port}\"\n");
        world.configure(&(nas.entry().trim_end().to_owned() + "\n" + &way));
    };
    through(CLOSED);
    let run = world.run(&["init"]).exits(5);
    let seen = row.seen(&run);
    let jump = world.serve(Host::debian("jump").build());
    world.know(&jump);
    through(jump.ssh.port());
    Some(seen.gone(&world.run(&["init"]).exits(0)))
}

pub(super) fn look_again(row: &Row) -> Option<Followed> {
    let silent = Silent::new();
    let (world, nas) = nas(true);
    world.configure(&(nas.entry() + &entry("off", "root", silent.port(), None)));
    let run = world.run(&["init", "--timeout", &deadline(2)]).exits(8);
    let seen = row.seen(&run);
    assert_eq!(seen.value("command"), "init");
    // It is on now.
    world.configure(&nas.entry());
    let run = seen.follow(&world.env, "ecobox init").exits(0);
    Some(seen.gone(&run))
}

/// An account that is no `root` is named as it is.
#[test]
fn the_account_is_named_that_refused() {
    let (world, nas) = nas(true);
    nas.ssh.deauthorize_all();
    world.configure(&nas.entry_as("admin"));
    let text = format!("hint: run `ssh-copy-id -p {} admin@127.0.0.1`", nas.ssh.port());
    let _ = world.run(&["stats"]).exits(4).says(&text);
}
