//! `ecobox init` with a person at a terminal: hosts are asked for, and keys are shown.

use std::time::Duration;

use ecobox_sim::host::Host;
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};

use super::world::{World, until};

/// ecobox on a terminal of its own.
fn terminal(world: &World, args: &[&str]) -> OsSession {
    let mut session = Session::spawn(world.env.command_of_terminal(args, "dumb")).unwrap();
    // As on a real terminal; expectrl turns it off.
    session.get_process_mut().set_echo(true, None).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    session
}

/// What comes until the end, and the exit status.
fn end(mut session: OsSession) -> (String, i32) {
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (text, code),
        other => panic!("{other:?}\n{text}"),
    }
}

fn known_hosts(world: &World) -> String {
    std::fs::read_to_string(world.known_hosts()).unwrap_or_default()
}

#[test]
fn a_key_is_shown_and_asked_about() {
    let world = World::new();
    let (one, two) = (world.serve(Host::debian("one").build()), world.serve(Host::debian("two").build()));
    world.configure(&(one.entry() + &two.entry()));
    let mut session = terminal(&world, &["init"]);
    let fingerprint = |served: &super::world::Served| {
        served.ssh.host_key().fingerprint(ecobox_sim::keys::HashAlg::Sha256).to_string()
    };
    session.expect(format!("the host key of one (127.0.0.1:{}) is not known yet", one.ssh.port())).unwrap();
    session.expect(fingerprint(&one)).unwrap();
    session.expect("trust it from now on? [y/N]").unwrap();
    session.send_line("y").unwrap();
    session.expect(fingerprint(&two)).unwrap();
    session.expect("[y/N]").unwrap();
    session.send_line("").unwrap();
    let (text, code) = end(session);
    assert_eq!(code, 8, "{text}");
    assert!(text.contains("Debian 13") && text.contains("host key not") && !text.contains("hint:"), "{text}");
    assert_eq!(known_hosts(&world), one.ssh.known_hosts_line());
    assert_eq!(two.ssh.execs(), 0);
    // The accepted one is not asked about again; a changed one never is.
    one.ssh.change_host_key();
    world.configure(&one.entry());
    let (text, code) = end(terminal(&world, &["init"]));
    assert_eq!(code, 6, "{text}");
    assert!(!text.contains("[y/N]"), "{text}");
}

#[test]
fn without_a_configuration_hosts_are_asked_for() {
    let world = World::new();
    let mut session = terminal(&world, &["init"]);
    session.expect("config.toml will be made; hosts as user@host or user@host:port").unwrap();
    session.expect("host:").unwrap();
    session.send_line("root@127.0.0.1:1").unwrap();
    session.expect("host:").unwrap();
    session.send_line("root@:bad").unwrap();
    session.expect("warning:").unwrap();
    session.expect("host:").unwrap();
    session.send_line("127.0.0.1:2").unwrap();
    session.expect("host:").unwrap();
    session.send_line("").unwrap();
    let (text, code) = end(session);
    assert_eq!(code, 5, "{text}");
    let config = std::fs::read_to_string(world.env.config_path()).unwrap();
    let hosts: Vec<&str> = config.lines().filter(|line| line.starts_with("ssh_")).collect();
    assert_eq!(hosts, ["ssh_user = \"root\"", "ssh_port = 1", "ssh_port = 2"], "{config}");
}

#[test]
fn who_names_no_host_gets_no_configuration() {
    let world = World::new();
    let mut session = terminal(&world, &["init"]);
    session.expect("host:").unwrap();
    session.send_line("").unwrap();
    let (text, code) = end(session);
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("no host was named") && !world.env.config_path().exists(), "{text}");
    assert!(!world.env.state_path().parent().unwrap().exists(), "{text}");
}

#[test]
fn the_preview_of_ssh_config_is_agreed_to_or_not() {
    let world = World::new();
    let file = world.env.home().join("ssh_config");
    std::fs::write(&file, "Host one\n  HostName 127.0.0.1\n  Port 1\n").unwrap();
    let settings = format!("[ssh]\nconfig = \"{}\"\n", file.display());
    for (answer, code, added) in [("n", 11, false), ("y", 5, true)] {
        world.env.config(&settings);
        let mut session = terminal(&world, &["init", "--from-ssh-config"]);
        session.expect("127.0.0.1:1").unwrap();
        session.expect("add this host? [y/N]").unwrap();
        session.send_line(answer).unwrap();
        let (text, status) = end(session);
        assert_eq!(status, code, "{text}");
        assert_eq!(std::fs::read_to_string(world.env.config_path()).unwrap().contains("[[servers]]"), added);
    }
}

#[test]
fn a_key_that_is_encrypted_is_asked_for() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    world.know(&one);
    let path = world.env.home().join(".ssh/id_ed25519");
    let key = ecobox_sim::keys::ClientKey::create(&path, Some("correct horse"));
    one.ssh.deauthorize_all();
    one.ssh.authorize(&key.public);
    world.configure(&one.entry());
    let mut session = terminal(&world, &["init"]);
    session.expect("passphrase of").unwrap();
    // What is typed before the echo is off is thrown away.
    until(|| !session.get_process().get_echo().unwrap());
    session.send_line("correct horse").unwrap();
    let (text, code) = end(session);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("correct horse"), "{text}");
    // From cron nobody is asked.
    let run = world.run(&["init"]).exits(4);
    assert!(run.stderr.contains("id_ed25519"), "{run}");
}
