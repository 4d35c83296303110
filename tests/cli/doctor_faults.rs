//! Faults made real, one after the other: `doctor` finds each, and nothing else; once it is put right, it finds nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ecobox_sim::Cluster;
use ecobox_sim::host::{Host, Rights};
use ecobox_sim::keys::ClientKey;
use ecobox_sim::ssh::SshFault;
use serde_json::json;

use super::doctor::{Hosts, check, finds, follow, found_and_fixed, healthy};
use super::fleets::Silent;
use super::world::{Pve, Served, World};

mod api;
mod front;
mod here;
mod way;

/// Something that is done to a world.
type Deed<T> = Box<dyn Fn(&World, &T)>;

/// What puts a fault right.
enum Heal<T> {
    /// The command that doctor prints, run as it is printed; then what the simulated fleet makes of it.
    Printed(Deed<T>),
    /// What only a person can do, or what the words say to edit.
    By(Deed<T>),
}

/// A fault, how it is made and put right, and what is to be found.
struct Case<T> {
    what: &'static str,
    make: Deed<T>,
    want: &'static str,
    heal: Heal<T>,
}

/// Makes each fault, and puts it right.
#[track_caller]
#[expect(clippy::print_stderr, reason = "says which of many cases a failure is about")]
fn each<T: Hosts>(world: &World, subject: &T, cases: Vec<Case<T>>) {
    for Case { what, make, want, heal } in cases {
        make(world, subject);
        eprintln!("fault: {what}");
        let run = finds(world, &[want]);
        match heal {
            Heal::By(heal) => heal(world, subject),
            Heal::Printed(then) => {
                let (id, rest) = want.split_once(' ').unwrap();
                let server = Some(rest.split(' ').next().unwrap()).filter(|server| *server != "-");
                follow(&world.env, subject, &check(&run, id, server));
                then(world, subject);
            }
        }
        eprintln!("healed: {what}");
        drop(finds(world, &[]));
    }
}

fn case<T>(
    what: &'static str,
    make: impl Fn(&World, &T) + 'static,
    want: &'static str,
    heal: impl Fn(&World, &T) + 'static,
) -> Case<T> {
    Case { what, make: Box::new(make), want, heal: Heal::By(Box::new(heal)) }
}

/// A fault that what is printed puts right.
fn printed<T>(what: &'static str, make: impl Fn(&World, &T) + 'static, want: &'static str) -> Case<T> {
    printed_then(what, make, want, |_, _| ())
}

/// The same, where the simulated fleet has to be told what the command did.
fn printed_then<T>(
    what: &'static str,
    make: impl Fn(&World, &T) + 'static,
    want: &'static str,
    then: impl Fn(&World, &T) + 'static,
) -> Case<T> {
    Case { what, make: Box::new(make), want, heal: Heal::Printed(Box::new(then)) }
}

/// Takes every unknown key, as the hint says; there is no terminal to ask on.
fn accept_new<T>(world: &World, _: &T) {
    drop(world.run(&["init", "--accept-new"]).exits(0));
}

fn nas() -> (World, Served) {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&nas.entry());
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    drop(finds(&world, &[]));
    (world, nas)
}

#[test]
fn on_the_way_to_a_plain_server() {
    let (world, nas) = nas();
    let fault = |fault: SshFault| move |_: &World, nas: &Served| nas.ssh.set_fault(Some(fault));
    let heal = |_: &World, nas: &Served| nas.ssh.set_fault(None);
    let key = |world: &World| world.env.home().join(".ssh/id_ed25519");
    let away = |world: &World| world.env.home().join("away");
    let configure = |change: &'static str, to: &'static str| {
        move |world: &World, nas: &Served| world.configure(&nas.entry().replace(change, to))
    };
    let usual = |world: &World, nas: &Served| world.configure(&nas.entry());
    let cases = vec![
        case("closes", fault(SshFault::CloseAtOnce), "ssh-closes nas problem", heal),
        case("another protocol", fault(SshFault::GarbageBanner), "ssh-foreign nas problem", heal),
        case("ends after its banner", fault(SshFault::CloseAfterBanner), "ssh-foreign nas problem", heal),
        case("no shell", fault(SshFault::CloseInExec), "shell-unusable nas problem", heal),
        case("prints without end", fault(SshFault::EndlessOutput), "shell-unusable nas problem", heal),
        case("no such name", configure("127.0.0.1", "no-such-name.invalid"), "name-unknown nas problem", usual),
        case(
            "no key",
            move |world, _| {
                fs::rename(key(world), away(world)).unwrap();
                fs::rename(key(world).with_extension("pub"), away(world).with_extension("pub")).unwrap();
            },
            "no-key nas problem",
            move |world, _| {
                fs::rename(away(world), key(world)).unwrap();
                fs::rename(away(world).with_extension("pub"), key(world).with_extension("pub")).unwrap();
            },
        ),
        case(
            "a key that is not accepted",
            |_, nas: &Served| nas.ssh.deauthorize_all(),
            "key-refused nas problem",
            |world, nas| nas.ssh.authorize(&world.key.public),
        ),
        printed(
            "a key that others may read",
            move |world, _| fs::set_permissions(key(world), fs::Permissions::from_mode(0o644)).unwrap(),
            "key-exposed - problem",
        ),
        case(
            "another host key",
            |_, nas: &Served| nas.ssh.change_host_key(),
            "host-key-changed nas problem",
            |world, nas| fs::write(world.known_hosts(), nas.ssh.known_hosts_line()).unwrap(),
        ),
        case(
            "an unknown host key",
            |world, _| fs::write(world.known_hosts(), "").unwrap(),
            "host-key-unknown nas problem",
            |world, _| drop(world.run(&["init", "--accept-new"]).exits(0)),
        ),
        case(
            "a revoked host key",
            |world, nas: &Served| {
                let line = nas.ssh.known_hosts_line();
                world.know_line(&format!("@revoked * {}\n", line.split_once(' ').unwrap().1));
            },
            "host-key-revoked nas problem",
            |world, nas| fs::write(world.known_hosts(), nas.ssh.known_hosts_line()).unwrap(),
        ),
        printed_then(
            "a line that is cut off",
            |world, nas: &Served| {
                let line = nas.ssh.known_hosts_line();
                fs::write(world.known_hosts(), &line[..line.len() - 20]).unwrap();
            },
            "known-hosts-line - warning",
            accept_new,
        ),
        printed("a clock that is behind", |_, nas: &Served| nas.host.set_clock_off(-3600), "clock-off nas problem"),
        printed_then(
            "a noisy shell is no fault, but an unreadable known_hosts is",
            |world, nas: &Served| {
                nas.host.set_noise("Welcome!\nos\tNoise\n", "bye\n");
                fs::remove_file(world.known_hosts()).unwrap();
                fs::create_dir(world.known_hosts()).unwrap();
            },
            "known-hosts-unreadable - problem",
            accept_new,
        ),
    ];
    each(&world, &nas, cases);
}

#[test]
fn rights_that_a_login_lacks() {
    let world = World::new();
    for (rights, part) in [(Rights::SudoPassword, "sudo wants a password"), (Rights::NoSudo, "there is no sudo")] {
        let host = Host::debian("nas").without_login("admin").login("anna", rights).build();
        let nas = world.serve(host);
        world.configure(&nas.entry_as("anna"));
        world.know(&nas);
        let run = finds(&world, &["no-root nas warning"]);
        let found = check(&run, "no-root", Some("nas"));
        assert!(found["finding"].as_str().unwrap().contains(part), "{found}");
        if rights == Rights::SudoPassword {
            assert!(found["fix"]["content"].as_str().unwrap().starts_with("anna ALL=(root) NOPASSWD: "), "{found}");
        }
    }
}

/// A node with two storages, a guest and a job that backs it up; all is well.
fn one_node() -> (World, Pve) {
    let world = World::new();
    let cluster = Cluster::new("single")
        .node("pve1")
        .vm(101, "web-01", |vm| vm.on("pve1").running().agent_ip("10.99.0.101"))
        .local_storage("local", 100 << 30, 10 << 30)
        .shared_storage("tank", "nfs", 100 << 30, 10 << 30);
    let pve = world.cluster(cluster);
    pve.sim.cluster().add_backup_job("nightly", json!({ "all": 1 }));
    pve.sim.cluster().backed_up("pve1", Duration::from_secs(8 * 3600), Duration::from_secs(60), &[(101, Ok(()))]);
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    for command in ["init", "setup-token", "discover"] {
        drop(world.run(&[command]).exits(0));
    }
    drop(finds(&world, &[]));
    (world, pve)
}

#[test]
fn of_this_machine() {
    let (mut world, nas) = nas();
    // Two entries for one host.
    world.configure(&format!("{}{}", nas.entry(), nas.entry().replace("\"nas\"", "\"nas2\"")));
    drop(finds(&world, &["server-twice - warning"]));
    world.configure(&nas.entry());
    // A run that was killed, and a file that was set aside.
    let folder = world.env.state_path().parent().unwrap().to_owned();
    fs::write(folder.join("state.db.damaged-20260101T000000Z"), "x").unwrap();
    found_and_fixed(&world, &nas, "state-leftovers - warning");
    // An agent that is gone.
    world.env.set("SSH_AUTH_SOCK", world.env.home().join("no-agent").display().to_string());
    drop(finds(&world, &["agent-unreachable - warning"]));
    world.env.unset("SSH_AUTH_SOCK");
    drop(finds(&world, &[]));
    // Its key is only in that agent.
    let locked = ClientKey::create(&world.env.home().join(".ssh/id_ed25519"), Some("open sesame"));
    nas.ssh.authorize(&locked.public);
    drop(finds(&world, &["key-locked nas problem"]));
    world.env.set("SSH_AUTH_SOCK", world.env.home().join("no-agent").display().to_string());
    let run = finds(&world, &["agent-unreachable - warning"]);
    assert_eq!(check(&run, "key-locked", Some("nas"))["because"], "agent-unreachable");
    world.env.unset("SSH_AUTH_SOCK");
    let plain = ClientKey::create(&world.env.home().join(".ssh/id_ed25519"), None);
    nas.ssh.authorize(&plain.public);
    drop(finds(&world, &[]));
    // Completions look into the usual file.
    let elsewhere = world.env.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    let other = elsewhere.join("state.db").display().to_string();
    let run = super::doctor::finds_with(&world.env, &["--state", &other], &["completions-elsewhere - warning"]);
    let fix = check(&run, "completions-elsewhere", None)["fix"]["text"].as_str().unwrap().to_owned();
    let export = fix.split('`').nth(1).unwrap().to_owned();
    let run = world.env.paste(&format!("{export}; ecobox doctor -o json")).exits(0);
    assert_eq!(super::doctor::findings(&run), [""; 0]);
    // Prometheus is not there, and its queue is not said again.
    world.env.add_config("[history]\nremote_write = \"http://127.0.0.1:1/w\"\n");
    drop(finds(&world, &["prometheus-away - problem"]));
    world.configure(&nas.entry());
}

#[test]
fn an_entry_for_a_guest_that_is_not_there() {
    let (world, pve) = healthy();
    world.env.add_config("[[servers]]\nid = \"pve1-vm-999\"\nparent_server_id = \"pve1\"\n");
    let run = finds(&world, &["guest-entry-unused - warning"]);
    assert!(check(&run, "guest-entry-unused", None)["finding"].as_str().unwrap().contains("pve1-vm-999"), "{run}");
    // It says to remove the entry.
    world.configure(&pve.entries());
    drop(finds(&world, &[]));
}

#[test]
fn behind_a_jump_host_its_trouble_is_said_once() {
    let world = World::new();
    let jump = world.serve(Host::debian("jump").build());
    let nas = world.serve(Host::debian("nas").build());
    jump.host.map_port(2, nas.ssh.port());
    world.know(&jump);
    let line = nas.ssh.known_hosts_line();
    world.know_line(&line.replace(&format!(":{} ", nas.ssh.port()), ":2 "));
    let behind = super::world::entry("nas", "root", 2, None);
    let way = format!("proxy_jump = \"admin@127.0.0.1:{}\"\n", jump.ssh.port());
    world.configure(&format!("{}{}\n{way}", jump.entry(), behind.trim_end()));
    drop(world.run(&["init"]).exits(0));
    drop(finds(&world, &[]));
    jump.ssh.set_fault(Some(SshFault::CloseAtOnce));
    let run = finds(&world, &["ssh-closes jump problem"]);
    assert_eq!(check(&run, "jump-host", Some("nas"))["because"], "ssh-closes");
    jump.ssh.set_fault(None);
    drop(finds(&world, &[]));
}

#[test]
fn three_dead_hosts_of_twenty() {
    let world = World::new();
    let live: Vec<Served> = (1..=17).map(|n| world.serve(Host::alpine(&format!("live{n}")).build())).collect();
    world.know_all(&live);
    let dead = [Silent::new(), Silent::new(), Silent::new()];
    let of_dead = |n: usize| super::world::entry(&format!("dead{n}"), "root", dead[n].port(), None);
    let entries: String = live.iter().map(Served::entry).collect();
    world.configure(&format!("{}{entries}{}{}", of_dead(0), of_dead(1), of_dead(2)));
    let want = ["host-away dead0 problem", "host-away dead1 problem", "host-away dead2 problem"];
    let run = finds(&world, &want);
    // All others were looked at. Alpine has no ethtool, which would say whether they could be woken.
    for one in &live {
        assert_eq!(check(&run, "clock-off", Some(&one.name))["result"], "ok", "{run}");
    }
    // Who may be off is no trouble.
    let may = |n: usize| format!("{}expected = \"any\"\n\n", of_dead(n).trim_end().to_owned() + "\n");
    world.configure(&format!("{}{entries}{}{}", may(0), may(1), may(2)));
    let run = finds(&world, &[]);
    assert_eq!(check(&run, "ssh-port-closed", Some("dead1"))["because"], "host-away");
}

/// What only the real sshd does; where it is not installed, the test says so.
#[test]
fn behind_a_real_sshd() {
    let world = World::new();
    let host = Host::debian("nas").build();
    for (lines, want) in [
        ("LogLevel ERROR", &[][..]),
        ("PasswordAuthentication yes\nPubkeyAuthentication no", &["keys-not-taken nas problem"]),
        ("PasswordAuthentication yes\nAuthenticationMethods publickey,password", &["key-not-enough nas problem"]),
        ("AuthorizedKeysFile none", &["key-refused nas problem"]),
        ("ForceCommand echo only backups are made here", &["shell-unusable nas problem"]),
        ("MaxSessions 0", &["shell-unusable nas problem"]),
        ("HostKeyAlgorithms ssh-rsa\nKexAlgorithms diffie-hellman-group14-sha1", &["ssh-foreign nas problem"]),
    ] {
        let Some(sshd) = world.serve_configured(&host, lines) else {
            return super::env::skipped("sshd is not installed");
        };
        fs::write(world.known_hosts(), sshd.known_hosts_line()).unwrap();
        world.configure(&super::world::entry("nas", &sshd.user(), sshd.port(), None));
        eprintln!("{lines}");
        drop(finds(&world, want));
    }
}
