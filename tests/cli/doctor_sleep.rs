//! `ecobox doctor`: whether hosts could sleep and be woken.

use ecobox_sim::host::{Host, Rights};

use super::doctor::{check, finds, healthy};
use super::world::{FAST, Pve, Served, World};

/// A plain server that can be woken, visited before.
fn nas(world: &World, more: &str) -> Served {
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&format!("{FAST}{}{}", nas.entry().trim_end(), nas.wol(more)));
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    nas
}

/// A fault at a host of a healthy cluster is found, and its fix makes it go away.
#[track_caller]
fn found_and_fixed(world: &World, pve: &Pve, id: &str) {
    super::doctor::found_and_fixed(world, pve, &format!("{id} pve2 warning"));
}

#[test]
fn what_keeps_a_host_from_sleeping_and_waking() {
    let (world, pve) = healthy();
    let host = pve.node("pve2").host.clone();
    host.set_wol("enp3s0", "d");
    found_and_fixed(&world, &pve, "wol-not-armed");
    assert_eq!(host.wol_armed("enp3s0").as_deref(), Some("g"));

    host.remove_file("/etc/systemd/network/50-enp3s0.link");
    found_and_fixed(&world, &pve, "wol-not-persistent");
    // What is off now and stays off is one finding, and one fix.
    host.remove_file("/etc/systemd/network/50-ecobox-enp3s0.link");
    host.set_wol("enp3s0", "d");
    found_and_fixed(&world, &pve, "wol-not-armed");

    for unit in ["sleep.target", "suspend.target"] {
        host.mask(unit);
        found_and_fixed(&world, &pve, "sleep-masked");
    }
    host.write_file("/sys/devices/pnp0/00:01/power/wakeup", "disabled\n");
    found_and_fixed(&world, &pve, "no-rtc");
}

#[test]
fn a_virtual_machine_is_woken_by_its_host() {
    let (world, pve) = healthy();
    let host = &pve.node("pve2").host;
    host.set_wol("enp3s0", "d");
    host.set_virtual("kvm");
    let run = finds(&world, &[]);
    let finding = check(&run, "sleep-unsupported", Some("pve2"))["finding"].clone();
    assert_eq!(finding, "it is virtual (kvm): its host wakes it");
}

#[test]
fn what_only_root_is_told_is_unknown() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").without_login("admin").login("anna", Rights::NoSudo).build());
    world.configure(&nas.entry_as("anna"));
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    nas.host.set_wol("enp3s0", "d");
    let run = finds(&world, &["no-root nas warning"]);
    let found = check(&run, "wol-not-armed", Some("nas"));
    assert_eq!(found["result"], "unknown");
    assert!(found["finding"].as_str().unwrap().contains("to root only"), "{found}");
}

#[test]
fn an_address_of_no_card_and_one_that_is_not_known() {
    let world = World::new();
    let nas = nas(&world, "");
    drop(finds(&world, &[]));
    let right = nas.host.wol_mac();
    let text = std::fs::read_to_string(world.env.config_path()).unwrap();
    world.env.config(&text.replace(&right, "bc:24:11:99:99:99"));
    let run = finds(&world, &["mac-wrong nas warning"]);
    let fix = check(&run, "mac-wrong", Some("nas"))["fix"]["text"].as_str().unwrap().to_owned();
    let line = fix.split('`').nth(1).unwrap();
    assert_eq!(line, format!("mac = \"{right}\""), "{fix}");
    world.env.config(&text.replace(&format!("mac = \"{right}\""), line));
    drop(finds(&world, &[]));

    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&nas.entry());
    world.know(&nas);
    let run = finds(&world, &[]);
    assert_eq!(check(&run, "no-wake-path", Some("nas"))["result"], "unknown");
    // It matters where the server is to sleep.
    world.configure(&format!("{}\nexpected = \"asleep\"\n", nas.entry().trim_end()));
    let run = finds(&world, &["no-wake-path nas warning"]);
    super::doctor::follow(&world.env, &nas, &check(&run, "no-wake-path", Some("nas")));
    drop(finds(&world, &[]));
}

#[test]
fn a_relay_that_fails_is_the_cause() {
    let world = World::new();
    let (nas, relay) = (world.serve(Host::debian("nas").build()), world.serve(Host::debian("router").build()));
    let entries = format!("{}{}{}", nas.entry().trim_end(), nas.wol("relay = \"router\""), relay.entry());
    world.configure(&entries);
    world.know(&nas);
    world.know(&relay);
    drop(world.run(&["init"]).exits(0));
    drop(finds(&world, &[]));
    for program in ["perl", "python3"] {
        relay.host.remove_file(&format!("/usr/bin/{program}"));
    }
    let run = finds(&world, &["no-wake-path nas warning"]);
    assert_eq!(check(&run, "no-wake-path", Some("nas"))["fix"]["on"], "router");
    relay.ssh.deauthorize_all();
    let run = finds(&world, &["key-refused router problem"]);
    assert_eq!(check(&run, "no-wake-path", Some("nas"))["because"], "key-refused");
}

#[test]
fn a_lock_that_never_ends() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").inhibitor("Backup", "sleep", "runs for ever", "block").build());
    world.configure(&nas.entry());
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    // One that is held for some minutes is what locks are for.
    let run = finds(&world, &[]);
    let finding = check(&run, "sleep-inhibited", Some("nas"))["finding"].clone();
    assert_eq!(finding, "now asks not to suspend: Backup (runs for ever)");
    nas.host.set_uptime(400_000.0);
    let run = finds(&world, &["sleep-inhibited nas warning"]);
    let finding = check(&run, "sleep-inhibited", Some("nas"))["finding"].as_str().unwrap().to_owned();
    assert!(finding.ends_with("Backup (runs for ever), for 3d13h"), "{finding}");
}

#[test]
fn a_host_that_did_not_wake() {
    let world = World::new();
    let nas = nas(&world, "");
    drop(world.run(&["power", "suspend", "nas", "--yes"]).exits(0));
    nas.host.wake_after(1_000);
    drop(world.run(&["power", "wake", "nas", "--timeout", "1s"]).exits(10));
    // As long as it sleeps that is no finding.
    let run = world.run(&["doctor", "-o", "json"]);
    assert_eq!(check(&run, "wake-failed", Some("nas"))["result"], "warning", "{run}");
    nas.host.wake();
    let run = finds(&world, &["wake-failed nas warning"]);
    let found = check(&run, "wake-failed", Some("nas"));
    assert_eq!(found["finding"], "it did not wake when it was last woken (woke 0 of 1 time)");
    nas.host.wake_after(1);
    // It asks on a terminal.
    assert_eq!(found["fix"]["run"], serde_json::json!(["ecobox", "doctor", "--wake", "nas"]));
    drop(world.run(&["doctor", "--wake", "nas", "--yes"]).exits(0));
    let run = finds(&world, &[]);
    let finding = check(&run, "wake-failed", Some("nas"))["finding"].as_str().unwrap().to_owned();
    assert!(finding.starts_with("woke 1 of 2 times, "), "{finding}");
}

#[test]
fn a_real_try_is_measured_and_remembered() {
    let world = World::new();
    let nas = nas(&world, "");
    // Nobody was asked, and a check failed: nothing happens.
    drop(world.run(&["doctor", "--wake", "nas"]).exits(11).says("not confirmed"));
    nas.host.log_in("anna", "pts/0", "10.0.0.5");
    drop(world.run(&["doctor", "--wake", "nas", "--yes"]).exits(11).says("logged in: anna"));
    assert!(nas.host.events().is_empty(), "{:?}", nas.host.events());
    nas.host.remove_file(".sim/sessions");
    nas.host.write_file(".sim/sessions", "");
    let run = world.run(&["doctor", "--wake", "nas", "--yes", "-o", "json"]).exits(0);
    let finding = check(&run, "wake-failed", Some("nas"))["finding"].as_str().unwrap().to_owned();
    assert!(finding.starts_with("asleep after ") && finding.contains("; woke 1 of 1 time, "), "{finding}");
    assert!(run.stderr.contains("nas was asleep after "), "{run}");
    assert_eq!(nas.host.events()[0], "suspend");
    let run = finds(&world, &[]);
    let finding = check(&run, "wake-failed", Some("nas"))["finding"].as_str().unwrap().to_owned();
    assert!(finding.starts_with("woke 1 of 1 time, "), "{finding}");
    // One that stays asleep is said, and remembered.
    nas.host.wake_after(usize::MAX);
    let run = world.run(&["doctor", "--wake", "nas", "--yes", "--timeout", "2s", "-o", "json"]).exits(12);
    let found = check(&run, "wake-failed", Some("nas"));
    assert!(found["finding"].as_str().unwrap().starts_with("it fell asleep, and did not wake: "), "{found}");
    drop(world.run(&["doctor", "--wake", "nas", "--yes"]).exits(5).says("it has to be online"));
}
