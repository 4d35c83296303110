//! Faults of names, addresses and networks, and of logins that only a real SSH server has.

use std::fs;
use std::process::Command;

use super::super::doctor::{check, findings, finds, finds_with};
use super::super::env::{Run, skipped};
use super::super::sshds::{Certified, SlowLogin};
use super::super::world::World;
use super::nas;

/// Whether this user may make namespaces of its own.
fn may_unshare(options: &str) -> bool {
    let tried = Command::new("unshare").args([options, "true"]).output();
    tried.is_ok_and(|done| done.status.success())
}

/// `doctor` where names are as a file like /etc/hosts says.
fn with_names(world: &World, names: &str) -> Run {
    fs::write(world.env.home().join("hosts"), names).unwrap();
    world.env.paste("exec unshare -rm sh -c 'mount --bind hosts /etc/hosts && exec ecobox doctor -o json'")
}

#[test]
fn no_way_to_the_network() {
    if !may_unshare("-rn") {
        return skipped("no network namespaces for this user here (unshare -rn)");
    }
    let (world, _nas) = nas();
    // A network of its own in which nothing is up, not even the loopback.
    let run = world.env.paste("exec unshare -rn ecobox doctor -o json").exits(12);
    assert_eq!(findings(&run), ["no-network - problem"], "{run}");
    assert_eq!(check(&run, "host-key-unknown", Some("nas"))["because"], "no-network");
    // It is connected again.
    drop(finds(&world, &[]));
}

#[test]
fn one_of_two_addresses_is_dead() {
    if !may_unshare("-rm") {
        return skipped("no mount namespaces for this user here (unshare -rm)");
    }
    let (world, nas) = nas();
    let entry = nas.entry().replace("127.0.0.1", "nas.test");
    world.configure(&entry);
    world.know_line(&nas.ssh.known_hosts_line().replace("127.0.0.1", "nas.test"));
    // Its server listens at one of them only.
    let run = with_names(&world, "127.0.0.1 localhost nas.test\n127.0.0.2 nas.test\n").exits(1);
    assert_eq!(findings(&run), ["address-dead nas warning"], "{run}");
    let found = check(&run, "address-dead", Some("nas"));
    assert_eq!(found["finding"], "127.0.0.2 does not answer (connection refused), 127.0.0.1 does");
    let fix = found["fix"]["text"].as_str().unwrap();
    assert_eq!(fix, "remove 127.0.0.2 from DNS or /etc/hosts, or set `hostname` of `nas` to 127.0.0.1");
    // Both ways of it.
    let run = with_names(&world, "127.0.0.1 localhost nas.test\n").exits(0);
    assert_eq!(findings(&run), [""; 0], "{run}");
    world.configure(&entry.replace("nas.test", "127.0.0.1"));
    drop(finds(&world, &[]));
}

#[test]
fn a_login_that_takes_too_long() {
    let world = World::new();
    let Some(nas) = SlowLogin::start(&world) else { return skipped("sshd or flock is not installed") };
    // As far as to the login it has to come first.
    let run = ["5s", "15s", "40s"].iter().map(|time| world.run(&["doctor", "-o", "json", "--timeout", time]).exits(12));
    let run =
        run.into_iter().find(|run| findings(run) == ["login-slow nas problem"]).expect("a login that is too slow");
    let found = check(&run, "login-slow", Some("nas"));
    assert!(found["fix"]["text"].as_str().unwrap().contains("`--timeout`"), "{found}");
    nas.go_on();
    drop(finds_with(&world.env, &["--timeout", "60s"], &[]));
}

#[test]
fn a_host_certificate_that_has_expired() {
    let world = World::new();
    let Some(mut nas) = Certified::expired(&world) else { return skipped("sshd or ssh-keygen is not installed") };
    let run = finds(&world, &["host-key-unproven nas problem"]);
    let found = check(&run, "host-key-unproven", Some("nas"));
    assert!(found["finding"].as_str().unwrap().contains("it has expired"), "{found}");
    assert!(found["fix"]["text"].as_str().unwrap().contains("HostCertificate"), "{found}");
    nas.renew();
    drop(finds(&world, &[]));
}

#[test]
fn a_version_that_is_not_supported() {
    let world = World::new();
    let pve = world.node_of("6.4-15", |builder| builder);
    drop(world.run(&["init"]).exits(0));
    let run = world.run(&["doctor", "-o", "json"]);
    let found = check(&run, "pve-old", Some("pve1"));
    assert_eq!((&found["result"], &found["finding"]), (&"warning".into(), &"Proxmox VE 6.4-15 is older than 7".into()));
    // Upgraded.
    let world = World::new();
    let newer = world.node_of("7.4-3", |builder| builder);
    drop(world.run(&["init"]).exits(0));
    let run = world.run(&["doctor", "-o", "json"]);
    assert_eq!(check(&run, "pve-old", Some("pve1"))["result"], "ok");
    drop((pve, newer));
}
