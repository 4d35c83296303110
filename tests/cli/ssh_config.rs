//! `ssh_config` as ssh reads it: answers of `ssh -G` that do not last, paths with blanks, names that are no servers, and
//! what is not supported.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use ecobox_sim::host::Host;

use super::world::{Served, World};

/// Makes `ssh_config` the one that is asked, and names servers in the configuration; `None` where there is no ssh.
fn configure(world: &World, ssh_config: &str, servers: &[&str]) -> Option<PathBuf> {
    if std::process::Command::new("ssh").arg("-V").output().is_err() {
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: this test asks ssh, which is not installed\n");
        return None;
    }
    let file = world.env.home().join("ssh_config");
    fs::write(&file, ssh_config).unwrap();
    let mut entries = String::new();
    for id in servers {
        writeln!(entries, "[[servers]]\nid = \"{id}\"\nhostname = \"{id}\"").unwrap();
    }
    world.env.config(&format!("[ssh]\nconfig = \"{}\"\n\n{entries}", file.display()));
    Some(file)
}

/// What all hosts need: the key, and the way to a served one.
fn all_hosts(world: &World) -> String {
    let (known, key) = (world.known_hosts(), world.key.path.display());
    format!(
        "Host *\n  HostName 127.0.0.1\n  User admin\n  UserKnownHostsFile {}\n  IdentityFile {key}\n  IdentitiesOnly yes\n",
        known.display()
    )
}

fn served(world: &World) -> Served {
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    nas
}

/// Puts an `ssh` before the real one that notes what it is asked; gives the file.
fn listen_to_ssh(world: &mut World) -> PathBuf {
    let (bin, log) = (world.env.home().join("bin"), world.env.home().join("asked"));
    fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\necho \"$@\" >>{}\nPATH={path} exec ssh \"$@\"\n", log.display());
    fs::write(bin.join("ssh"), script).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    world.env.set("PATH", format!("{}:{path}", bin.display()));
    log
}

#[test]
fn an_answer_that_a_command_has_a_say_in_is_asked_for_again() {
    let mut world = World::new();
    let nas = served(&world);
    let home = world.env.home().join("at-home");
    let text = format!(
        "Match originalhost nas exec \"test -e {}\"\n  Port {}\nHost nas\n  Port 1\nHost other\n  Port {}\n{}",
        home.display(),
        nas.ssh.port(),
        nas.ssh.port(),
        all_hosts(&world)
    );
    if configure(&world, &text, &["nas", "other"]).is_none() {
        return;
    }
    let log = listen_to_ssh(&mut world);
    let state = |code| {
        let report = world.run(&["status", "-o", "json"]).exits(code).json();
        report["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(state(8), ["offline", "online"]);
    fs::write(&home, "").unwrap();
    assert_eq!(state(0), ["online", "online"]);
    fs::remove_file(&home).unwrap();
    assert_eq!(state(8), ["offline", "online"]);
    // What no command has a say in was asked for once, and the other once in each run.
    let asked = fs::read_to_string(log).unwrap();
    let count = |name: &str| asked.lines().filter(|line| line.ends_with(&format!("-- {name}"))).count();
    assert_eq!((count("nas"), count("other")), (3, 1), "{asked}");
}

#[test]
fn an_answer_that_a_variable_has_a_say_in_is_asked_for_again() {
    let world = World::new();
    let nas = served(&world);
    let known = world.env.home().join("elsewhere");
    fs::create_dir(&known).unwrap();
    fs::rename(world.known_hosts(), known.join("known")).unwrap();
    let hosts = all_hosts(&world).replace(&world.known_hosts().display().to_string(), "${ECOBOX_TEST_KNOWN}/known");
    let Some(_) = configure(&world, &format!("Host nas\n  Port {}\n{hosts}", nas.ssh.port()), &["nas"]) else { return };
    let folder = |path: PathBuf| path.display().to_string();
    for (place, code) in [(folder(known.clone()), 0), (folder(world.env.home().to_owned()), 6), (folder(known), 0)] {
        world.env.run_with(&["init"], &[("ECOBOX_TEST_KNOWN", &place)]).exits(code);
    }
}

#[test]
fn a_changed_key_is_refused_where_the_path_of_known_hosts_has_blanks() {
    let world = World::new();
    let nas = served(&world);
    let folder = world.env.home().join("my keys");
    fs::create_dir(&folder).unwrap();
    let known = folder.join("known hosts");
    fs::rename(world.known_hosts(), &known).unwrap();
    let quoted = format!("\"{}\"", known.display());
    let hosts = all_hosts(&world).replace(&world.known_hosts().display().to_string(), &quoted);
    let Some(file) = configure(&world, &format!("Host nas\n  Port {}\n{hosts}", nas.ssh.port()), &["nas"]) else {
        return;
    };
    world.run(&["init"]).exits(0);
    let before = fs::read_to_string(&known).unwrap();
    nas.ssh.change_host_key();
    let run = world.run(&["init", "--accept-new"]).exits(6);
    assert!(run.stderr.contains("is not the one recorded in"), "{run}");
    assert_eq!(fs::read_to_string(&known).unwrap(), before);
    assert!(!world.env.home().join("my").exists() && !world.known_hosts().exists(), "nothing is written elsewhere");
    // Two lines that ssh prints alike: which one holds, it does not say.
    let mut text = fs::read_to_string(&file).unwrap();
    writeln!(text, "Host else\n  UserKnownHostsFile {}", known.display()).unwrap();
    fs::write(&file, text).unwrap();
    let run = world.run(&["init", "--accept-new"]);
    assert!(run.stderr.contains("can be read in more than one way") && run.code != 0, "{run}");
    assert_eq!(fs::read_to_string(&known).unwrap(), before);
}

#[test]
fn names_that_cannot_be_servers_do_not_keep_the_others_out() {
    let world = World::new();
    let nas = served(&world);
    let text = format!(
        "Host .host machine/.host\n  ProxyCommand /usr/lib/systemd/systemd-ssh-proxy unix/run/socket %p\n  ProxyUseFdpass yes\n\
         Host git@git.example.com\n  User git\nHost büro nas+backup \"nas2\" 'first last' web,db\n  Port {}\n{}",
        nas.ssh.port(),
        all_hosts(&world)
    );
    if configure(&world, &text, &[]).is_none() {
        return;
    }
    let run = world.run(&["init", "--from-ssh-config", "--yes"]).exits(0);
    for left_out in [".host: ProxyUseFdpass", "machine/.host: ", "`git@git.example.com`", "`first last`", "`web,db`"] {
        assert!(run.stderr.contains(&format!("left out of what ssh_config names: {left_out}")), "{left_out}\n{run}");
    }
    let config = fs::read_to_string(world.env.config_path()).unwrap();
    let hosts: Vec<&str> = config.lines().filter_map(|line| line.strip_prefix("hostname = ")).collect();
    assert_eq!(hosts, ["\"büro\"", "\"nas+backup\"", "\"nas2\""]);
    let report = world.run(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(report["servers"].as_array().unwrap().len(), 3, "{report:#}");
}

#[test]
fn what_is_not_supported_says_what_to_write_instead() {
    let world = World::new();
    let nas = served(&world);
    let cases = [
        ("KnownHostsCommand /bin/cat %H", "by GlobalKnownHostsFile, with `KnownHostsCommand none`"),
        ("ProxyCommand nc -F %h %p\n  ProxyUseFdpass yes", "with `ProxyUseFdpass no`"),
    ];
    for (option, want) in cases {
        let text = format!("Host nas\n  Port {}\n  {option}\n{}", nas.ssh.port(), all_hosts(&world));
        if configure(&world, &text, &["nas"]).is_none() {
            return;
        }
        fs::remove_file(world.known_hosts()).ok();
        let run = world.run(&["init", "--accept-new"]);
        assert!(run.code != 0 && run.stderr.contains(want), "{run}");
        assert!(!world.known_hosts().exists(), "a key that the command may know otherwise is not taken for new");
    }
}
