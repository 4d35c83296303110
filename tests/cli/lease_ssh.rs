//! `ecobox ssh`: how the user's own ssh is called, and against a real sshd.

use std::os::unix::fs::PermissionsExt as _;

use ecobox_sim::host::Host;

use super::lease::{events, sleeping};
use super::world::{FAST, World, entry};

/// An ssh that only tells how it was called.
fn telling_ssh(world: &mut World) {
    let folder = world.env.home().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("ssh");
    std::fs::write(&path, "#!/bin/sh\nprintf '<%s>' \"$@\"; echo; exit 6\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.env.set("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
}

#[test]
fn ssh_is_called_as_ecobox_itself_connects() {
    let mut world = World::new();
    let nas = sleeping(&world);
    telling_ssh(&mut world);
    let port = nas.ssh.port();
    let run = world.run(&["ssh", "nas"]).exits(6);
    assert_eq!(run.stdout, format!("<-F><none><-p><{port}><-l><root><127.0.0.1>\n"), "{run}");
    // What stands behind `--` is ssh's, word for word.
    let run = world.run(&["ssh", "nas", "--", "-L", "1:b:2", "ls", "a b", "$HOME"]).exits(6);
    assert!(run.stdout.ends_with("<127.0.0.1><-L><1:b:2><ls><a b><$HOME>\n"), "{run}");
    assert_eq!(events(&nas), ["wake", "suspend", "wake", "suspend"]);
    let more = "proxy_jump = \"anna@127.0.0.9:22\"\nssh_key_path = \"~/.ssh/id_ed25519\"\n";
    let (start, wol) = nas.wakeable().split_once("\n[servers.wol]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let file = world.env.home().join("ssh_config");
    std::fs::write(&file, "").unwrap();
    let way = format!("{FAST}[ssh]\nconfig = \"{}\"\n\n{start}\n{more}\n[servers.wol]{wol}", file.display());
    world.configure(&way);
    nas.host.wake();
    // The jump host is not there: nothing is known of nas but its route.
    let run = world.run(&["ssh", "nas", "--timeout", "2", "--then", "leave"]);
    assert!(run.code == 125 && run.stderr.contains("the command was not run"), "{run}");
    // A server that is this machine has nothing to log in to.
    world.configure("[[servers]]\nid = \"here\"\nlocal = true\n");
    let _ = world.run(&["ssh", "here"]).exits(125).says("is this machine itself");
}

#[test]
fn the_real_ssh_logs_in_to_a_real_sshd() {
    let world = World::new();
    let nas = Host::debian("nas").build();
    let Some(sshd) = world.serve_really(&nas, "root") else { return };
    world.know_line(&sshd.known_hosts_line());
    // OpenSSH looks for the user's own files by the user's entry in /etc/passwd.
    let home = world.env.home().display();
    let file = world.env.home().join("ssh_config");
    let text = format!("IdentityFile {home}/.ssh/id_ed25519\nUserKnownHostsFile {home}/.ssh/known_hosts\n");
    std::fs::write(&file, text).unwrap();
    world.configure(&format!(
        "[ssh]\nconfig = \"{}\"\n\n{}",
        file.display(),
        entry("nas", &sshd.user(), sshd.port(), None)
    ));
    let run = world.run(&["ssh", "nas", "--", "hostname; echo 'a  b'; exit 9"]).exits(9);
    assert_eq!(run.stdout, "nas\na  b\n", "{run}");
    // The same while a lock is held over ecobox's own connection to it.
    let listed = "busctl --system call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ListInhibitors";
    let run = world.run(&["ssh", "nas", "--reason", "looking round", "--", listed]).exits(0);
    assert!(run.stdout.contains(r#""ecobox" "looking round ("#), "{run}");
    let after = String::from_utf8(sshd.run(listed).stdout).unwrap();
    assert!(after.starts_with("a(ssssuu) 0"), "{after}");
}
