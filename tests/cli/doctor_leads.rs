//! Errors lead to `ecobox doctor`: the last hint names the call that finds the cause, and it works where it is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::doctor::{check, findings, follow, healthy};
use super::env::Run;
use super::world::World;

#[test]
fn errors_lead_to_the_doctor() {
    let (world, pve) = healthy();
    pve.node("pve1").ssh.change_host_key();
    for command in ["init", "stats"] {
        let run = world.run(&[command]);
        assert_eq!(run.stderr.lines().last(), Some("hint: run `ecobox doctor pve1`"), "{run}");
    }
    for node in &pve.nodes {
        node.ssh.change_host_key();
    }
    let run = world.run(&["init"]);
    assert_eq!(run.stderr.lines().last(), Some("hint: run `ecobox doctor pve1 pve2 pve3`"), "{run}");
    // It is what it says: the cause, and its fix.
    let run = world.env.paste("ecobox doctor pve1 pve2 pve3 -o json").exits(12);
    assert_eq!(findings(&run), ["pve1", "pve2", "pve3"].map(|id| format!("host-key-changed {id} problem")));
}

/// The last line of stderr, which no other line repeats.
#[track_caller]
fn leads_to(run: &Run, hint: &str) {
    assert_eq!(run.stderr.lines().last(), Some(hint), "{run}");
    let hints: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert_eq!(hints.iter().filter(|line| line.contains("ecobox doctor") || **line == hint).count(), 1, "{run}");
}

/// What cannot be read or used on this machine: the hint works where it is printed, with the same files.
#[test]
fn errors_of_files_lead_to_the_doctor() {
    let (world, pve) = healthy();
    let good = fs::read_to_string(world.env.config_path()).unwrap();
    world.env.config(&format!("{good}\n[dashbord]\n"));
    for command in [&["status"][..], &["discover"], &["power", "stop", "vm-101", "--yes"], &["watch"]] {
        leads_to(&world.run(command).exits(3), "hint: run `ecobox doctor`");
    }
    // A monitor gets it where it looks.
    let run = world.run(&["check"]).exits(3);
    assert!(run.stdout.contains("ecobox doctor"), "{run}");
    // In a mail of cron's the cause is enough.
    assert!(!world.run(&["-q", "discover"]).exits(3).stderr.contains("doctor"));
    let run = world.env.paste("ecobox doctor -o json").exits(12);
    assert_eq!(findings(&run), ["config-invalid - problem"]);
    world.env.config(&good);
    let other = world.env.home().join("my files");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(world.env.state_path(), other.join("s.db")).unwrap();
    fs::set_permissions(other.join("s.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let run = world.env.paste("ecobox --state 'my files/s.db' status").exits(3);
    leads_to(&run, "hint: run `ecobox --state 'my files/s.db' doctor`");
    let run = world.env.paste("ecobox --state 'my files/s.db' doctor -o json").exits(12);
    assert_eq!(findings(&run), ["state-unusable - problem"]);
    follow(&world.env, &pve, &check(&run, "state-unusable", None));
    drop(world.env.paste("ecobox --state 'my files/s.db' status").exits(0));
    // Where nothing is set up, what to do is said once.
    let run = World::new().run(&["status", "--cached"]).exits(3);
    leads_to(&run, "hint: run `ecobox init` to make one");
}

/// What stands against an action is found by `doctor`, if it lasts; else it is explained.
#[test]
fn refusals_lead_to_the_doctor() {
    let (world, pve) = healthy();
    let host = &pve.node("pve3").host;
    host.set_wol("enp3s0", "d");
    let run = world.run(&["power", "suspend", "pve3", "--yes", "--allow", "quorum-lost"]).exits(11);
    leads_to(&run, "hint: run `ecobox doctor pve3`");
    let message = run.stderr.lines().next().unwrap().strip_prefix("error: suspend pve3: ").unwrap().to_owned();
    let run = world.env.paste("ecobox doctor pve3 -o json").exits(1);
    assert_eq!(findings(&run), ["wol-not-armed pve3 warning"]);
    assert_eq!(check(&run, "wol-not-armed", Some("pve3"))["finding"], message, "the same words");
    host.set_wol("enp3s0", "g");
    host.log_in("anna", "pts/0", "10.0.0.5");
    let run = world.run(&["power", "suspend", "pve3", "--yes", "--allow", "quorum-lost"]).exits(11);
    leads_to(&run, "hint: run `ecobox doctor --explain logged-in-users`");
    drop(world.env.paste("ecobox doctor --explain logged-in-users").exits(0));
    let run = world.run(&["-q", "power", "suspend", "pve3", "--yes", "--allow", "quorum-lost"]).exits(11);
    assert!(!run.stderr.contains("doctor"), "{run}");
    pve.sim.cluster().change_guest(103, |guest| guest.locked("backup"));
    let run = world.run(&["power", "start", "vm-103"]).exits(11);
    leads_to(&run, "hint: run `ecobox doctor pve3-vm-103`");
    let message = run.stderr.lines().next().unwrap().strip_prefix("error: start pve3-vm-103: ").unwrap().to_owned();
    let run = world.env.paste("ecobox doctor pve3-vm-103 -o json").exits(12);
    assert_eq!(check(&run, "guest-locked", Some("pve3-vm-103"))["finding"], message, "the same words");
    // What is needed for a command is refused the same way.
    let run = world.run(&["run", "vm-103", "--", "true"]).exits(125);
    leads_to(&run, "hint: run `ecobox doctor pve3-vm-103`");
}
