//! `ecobox init`: the configuration it makes and extends, the host keys it accepts, and hosts that fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ecobox_sim::host::Host;
use ecobox_sim::keys::KeyType;
use ecobox_sim::ssh::SshFault;

use super::pace::deadline;
use super::world::{Served, World, assert_transcript};

/// A configuration that is there but for its servers: whoever runs the tests may have an `ssh_config` of their own.
const EMPTY: &str = "# mine\n[ssh]\nconfig = false # no ssh_config in tests\n";

fn config(world: &World) -> String {
    fs::read_to_string(world.env.config_path()).unwrap()
}

/// `user@host:port` of a served host.
fn target(user: &str, served: &Served) -> String {
    format!("{user}@127.0.0.1:{}", served.ssh.port())
}

#[test]
fn without_a_configuration_one_is_made_from_what_is_named() {
    let world = World::new();
    // Nobody is there; what counts is the file.
    let run = world.run(&["init", "--host", "root@127.0.0.1:1", "--host", "[::1]:2", "--host", "admin@127.0.0.1:3"]);
    assert_eq!(run.code, 5, "{run}");
    assert_transcript!("init_made", run);
    let text = config(&world);
    let servers: Vec<&str> = text.split("[[servers]]").skip(1).map(str::trim).collect();
    assert_eq!(
        servers,
        [
            "id = \"host-127.0.0.1\"\nhostname = \"127.0.0.1\"\nssh_user = \"root\"\nssh_port = 1",
            "id = \"host-1\"\nhostname = \"::1\"\nssh_port = 2",
            "id = \"host-127.0.0.1-2\"\nhostname = \"127.0.0.1\"\nssh_user = \"admin\"\nssh_port = 3",
        ]
    );
    assert!(text.starts_with('#'), "it is commented:\n{text}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.env.config_path()), 0o644);
    assert_eq!((mode(&world.env.state_path()), mode(world.env.state_path().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn an_existing_configuration_is_extended_and_its_comments_stay() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    let text = format!("{EMPTY}\n{}# the last word\n", one.entry());
    world.env.config(&text);
    world.know(&one);
    let run = world.run(&["init", "--host", "root@127.0.0.1:9"]);
    assert_eq!(run.code, 8, "{run}");
    let extended = config(&world);
    assert!(extended.starts_with(&text), "{extended}");
    assert!(
        extended.ends_with("id = \"host-127.0.0.1\"\nhostname = \"127.0.0.1\"\nssh_user = \"root\"\nssh_port = 9\n")
    );
}

#[test]
fn a_host_is_added_once() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    world.know(&one);
    world.env.config(EMPTY);
    let target = target("root", &one);
    let run = world.run(&["init", "--host", &target, "--host", &target]).exits(0);
    assert!(run.stderr.contains("added one to"), "{run}");
    let text = config(&world);
    assert_eq!(text.matches("[[servers]]").count(), 1, "{text}");
    let run = world.run(&["init", "--host", &target]).exits(0);
    assert!(run.stderr.contains("127.0.0.1 is configured already, as one"), "{run}");
    assert_eq!(config(&world), text);
    // The port that is meant where none is said.
    world.env.config(&format!("{EMPTY}[[servers]]\nid = \"x\"\nhostname = \"127.0.0.1\"\n"));
    let text = config(&world);
    drop(world.run(&["init", "--host", "127.0.0.1:22", "--host", "127.0.0.1"]));
    assert_eq!(config(&world), text);
}

#[test]
fn a_host_that_cannot_be_one_is_refused_before_anything_is_written() {
    let world = World::new();
    for bad in ["", "root@", "pve1:0", "pve1:x", "[::1"] {
        let run = world.run(&["init", "--host", bad]).exits(2);
        assert!(run.stderr.contains("--host"), "{run}");
    }
    for bad in ["-oProxyCommand=touch", "pve1;reboot", "a b", "ro ot@pve1"] {
        let run = world.run(&["init", &format!("--host={bad}")]);
        assert!([2, 3].contains(&run.code), "{run}");
    }
    assert!(!world.env.config_path().exists());
    let run = world.run(&["init"]).exits(2);
    assert_transcript!("init_nothing_named", run);
    assert_nothing_left(&world);
}

/// Neither a file nor a folder.
fn assert_nothing_left(world: &World) {
    let folders = [world.env.config_path(), world.env.state_path()].map(|path| path.parent().unwrap().to_owned());
    let left: Vec<_> = folders.iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What cannot be done whatever is known is refused before anything is made.
#[test]
fn who_fails_before_anything_is_known_leaves_nothing_behind() {
    let world = World::new();
    for args in [
        &["status"][..],
        &["watch", "-o", "jsonl"],
        &["power", "start", "web"],
        &["setup-token"],
        &["discover"],
        &["stats"],
        &["init", "--host", "-x"],
        &["status", "-o", "openmetrics"],
    ] {
        let run = world.run(args);
        assert_ne!(run.code, 0, "{run}");
        assert_nothing_left(&world);
    }
    world.configure("");
    for args in
        [&["watch", "-o", "json"][..], &["watch", "-o", "jsonl"], &["watch", "--out", "x", "-o", "jsonl"], &["init"]]
    {
        let run = world.run(args);
        assert_ne!(run.code, 0, "{run}");
        let folder = world.env.state_path().parent().unwrap().to_owned();
        assert!(!folder.exists(), "{args:?}: {}", folder.display());
    }
}

#[test]
fn an_unknown_key_is_accepted_only_when_that_is_said() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    world.configure(&one.entry());
    let run = world.run(&["init"]).exits(6);
    assert_transcript!("init_unknown_key", run);
    assert!(!world.known_hosts().exists());
    assert_eq!((one.ssh.logins(), one.ssh.execs()), (0, 0));

    world.run(&["init", "--accept-new"]).exits(0);
    assert_eq!(fs::read_to_string(world.known_hosts()).unwrap(), one.ssh.known_hosts_line());
    assert_eq!(fs::metadata(world.known_hosts()).unwrap().permissions().mode() & 0o777, 0o600);
    world.run(&["init"]).exits(0);
    world.run(&["init", "--accept-new"]).exits(0);
    assert_eq!(fs::read_to_string(world.known_hosts()).unwrap(), one.ssh.known_hosts_line());

    one.ssh.change_host_key();
    let execs = one.ssh.execs();
    let run = world.run(&["init", "--accept-new"]).exits(6);
    assert_transcript!("init_changed_key", run);
    assert_eq!(one.ssh.execs(), execs);
}

#[test]
fn another_type_of_key_for_a_known_host_is_not_new() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    world.configure(&one.entry());
    world.know(&one);
    one.ssh.set_host_keys(vec![KeyType::Ecdsa.generate()]);
    let before = fs::read_to_string(world.known_hosts()).unwrap();
    let run = world.run(&["init", "--accept-new"]).exits(6);
    assert!(run.stderr.contains("a key of another type is"), "{run}");
    assert_eq!(fs::read_to_string(world.known_hosts()).unwrap(), before);
}

#[test]
fn hosts_that_fail_do_not_keep_the_others_from_being_seen() {
    let world = World::new();
    let served = ["good", "refused", "hung", "nosuchuser", "stranger", "late"]
        .map(|name| world.serve(Host::debian(name).build()));
    let [good, refused, hung, nosuchuser, stranger, late] = &served;
    for known in [good, refused, hung, nosuchuser, late] {
        world.know(known);
    }
    refused.ssh.deauthorize_all();
    hung.ssh.set_fault(Some(SshFault::HangInKex));
    late.host.set_hanging(true);
    let mut entries: String = [good, refused, hung, stranger, late].map(Served::entry).concat();
    entries += &nosuchuser.entry_as("nobody");
    entries += "[[servers]]\nid = \"dead\"\nhostname = \"127.0.0.1\"\nssh_port = 1\n\n";
    entries += "[[servers]]\nid = \"nowhere\"\nhostname = \"nowhere.invalid\"\n\n";
    entries += "[[servers]]\nid = \"api\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\n";
    world.configure(&entries);
    let run = world.run(&["init", "--timeout", &deadline(8), "-o", "wide"]).exits(8);
    // Those that hang are waited for side by side: the one that comes later was logged in to, too.
    assert_eq!(late.ssh.logins(), 1);
    assert_transcript!("init_failures", run);
    assert_eq!(world.column("facts", "server"), ["good"]);
}

#[test]
fn run_again_it_refreshes() {
    let world = World::new();
    let one = world.serve(Host::debian("one").sleep_states("freeze").build());
    world.know(&one);
    world.configure(&one.entry());
    let sleep = |run: super::env::Run| run.json()["servers"][0]["facts"]["sleep"]["suspend"].clone();
    assert_eq!(sleep(world.run(&["init", "-o", "json"]).exits(0)), false);
    one.host.write_file("/sys/power/state", "freeze mem disk\n");
    assert_eq!(sleep(world.run(&["init", "-o", "json"]).exits(0)), true);
    assert_eq!(world.count("facts"), 1);
    // A host that is gone keeps what is known of it.
    one.ssh.set_fault(Some(SshFault::CloseAtOnce));
    let run = world.run(&["init"]).exits(5);
    assert_transcript!("init_closed", run);
    assert_eq!(world.count("facts"), 1);
}

#[test]
fn each_host_is_connected_to_once() {
    let world = World::new();
    let served: Vec<Served> =
        (0..5).map(|number| world.serve(Host::debian(&format!("host{number}")).build())).collect();
    world.know_all(&served);
    world.configure(&served.iter().map(Served::entry).collect::<String>());
    world.run(&["init"]).exits(0);
    for one in &served {
        assert_eq!((one.ssh.connections(), one.ssh.channels(), one.ssh.execs()), (1, 1, 1), "{}", one.name);
        assert_eq!(one.ssh.commands(), ["sh -s"]);
    }
}

#[test]
fn the_names_of_ssh_config_are_shown_and_added_when_that_is_agreed_to() {
    let world = World::new();
    let (one, two) = (world.serve(Host::debian("one").build()), world.serve(Host::alpine("two").build()));
    let file = world.env.home().join("ssh_config");
    let host = |name: &str, served: &Served| {
        format!("Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User root\n\n", served.ssh.port())
    };
    let known = world.known_hosts();
    let key = world.key.path.display();
    let text = host("one", &one)
        + &host("two", &two)
        + &format!("Host *\n  UserKnownHostsFile {}\n  IdentityFile {key}\n  IdentitiesOnly yes\n", known.display());
    fs::write(&file, text).unwrap();
    let settings = format!("[ssh]\nconfig = \"{}\"\n", file.display());
    world.env.config(&settings);
    world.know(&one);
    world.know(&two);

    let run = world.run(&["init", "--from-ssh-config"]).exits(11);
    assert_transcript!("init_preview", run);
    assert_eq!(config(&world), settings);

    let run = world.run(&["init", "--from-ssh-config", "--yes"]).exits(0);
    assert_transcript!("init_from_ssh_config", run);
    let text = config(&world);
    assert!(
        text.ends_with(
            "[[servers]]\nid = \"one\"\nhostname = \"one\"\n\n[[servers]]\nid = \"two\"\nhostname = \"two\"\n"
        )
    );
    let run = world.run(&["init", "--from-ssh-config"]).exits(0);
    assert!(run.stderr.contains("no host that is not configured already"), "{run}");
    assert_eq!(config(&world), text);
}

#[test]
fn this_machine_is_visited_without_ssh() {
    let world = World::new();
    world.env.config(EMPTY);
    let run = world.run(&["init", "--local", "-o", "json"]).exits(0);
    let report = run.json();
    let row = &report["servers"][0];
    assert_eq!(row["host_key"], serde_json::Value::Null);
    assert!(row["facts"]["kernel"].is_string(), "{row:#}");
    assert!(config(&world).contains("local = true"));
    let run = world.run(&["init", "--local"]).exits(0);
    assert_eq!(config(&world).matches("[[servers]]").count(), 1, "{run}");
}

#[test]
fn a_server_without_ssh_is_no_failure() {
    let world = World::new();
    world.configure("[[servers]]\nid = \"api\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\n");
    let run = world.run(&["init"]).exits(0);
    assert_transcript!("init_api_only", run);
}
