//! `ecobox power … --if-idle`: a host sleeps only when nothing needed it for the whole window.

use ecobox_sim::host::{Builder, Host, Pace};

use super::power_hosts::history;
use super::world::{FAST, Served, World};

const SLEEP: [&str; 5] = ["power", "suspend", "nas", "--if-idle", "30m"];

/// A plain server that is awake, and was looked at once.
fn nas(world: &World, describe: impl Fn(Builder) -> Builder) -> Served {
    nas_with(world, describe, "")
}

/// The same with more in its configuration.
fn nas_with(world: &World, describe: impl Fn(Builder) -> Builder, more: &str) -> Served {
    let nas = quiet(world.serve(describe(Host::debian("nas")).build()));
    world.know(&nas);
    world.configure(&format!("{FAST}{}{more}", nas.wakeable()));
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: ");
    nas
}

/// A host that hardly does anything.
pub(crate) fn quiet(served: Served) -> Served {
    served.host.set_pace(&Pace { cpu: [1.0, 1.0, 198.0, 0.0], ports: Vec::new(), disks: Vec::new() });
    served
}

/// As if it had been idle for so many minutes, and looked at every five.
pub(crate) fn idle_for(world: &World, minutes: u32) {
    world.env.execute(&format!(
        "UPDATE states SET since = since - 36000000;
         UPDATE idle SET since = (unixepoch() - {minutes} * 60) * 1000, looked_at = (unixepoch() - 300) * 1000,
             paced_at = (unixepoch() - 300) * 1000, gaps = '[300000]', needs = '[]';"
    ));
}

#[test]
fn a_host_sleeps_when_nothing_needed_it_for_the_whole_window() {
    let world = World::new();
    let nas = nas(&world, |host| host);
    let run = world.run(&SLEEP).exits(0).says("nas stays awake: idle for ").says(" of 30 min, as far as was seen");
    assert_eq!((nas.host.events().len(), history(&world).len()), (0, 0), "{run}");
    assert!(run.stdout.contains("needed"), "{run}");
    idle_for(&world, 20);
    let _ = world.run(&SLEEP).exits(0).says("idle for 20 min");
    idle_for(&world, 40);
    let run = world.run(&[&SLEEP[..], &["--dry-run"]].concat()).exits(0).says("nas is idle since 20");
    assert_eq!((nas.host.events().len(), run.stdout.contains("planned")), (0, true), "{run}");
    idle_for(&world, 40);
    // Nobody is asked: the condition is the agreement.
    let run = world.run(&SLEEP).exits(0);
    assert_eq!((run.stderr.as_str(), nas.host.events()), ("", vec!["suspend".to_owned()]), "{run}");
    // It sleeps already; then it is awake, and was so for a moment only.
    let _ = world.run(&SLEEP).exits(0).says("nas is asleep already");
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: idle for ");
    assert_eq!(nas.host.events(), ["suspend", "wake"]);
    // What the looks measured is kept as of any other look.
    assert!(world.count("samples") > 0);
}

/// One connection of a client to a port of the host, by its kernel.
fn connected(host: &Host, port: &str) {
    let line = |local: &str, remote: &str, state: &str| {
        format!("   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 0 0 1 1 0 20 4 24 10 -1\n")
    };
    let listening = line(&format!("00000000:{port}"), "00000000:0000", "0A");
    let open = line(&format!("0A01A8C0:{port}"), "0500000A:C001", "01");
    host.write_file("proc/net/tcp", &format!("  sl  local_address rem_address   st\n{listening}{open}"));
}

#[test]
fn each_need_keeps_it_awake() {
    type Need = fn(&Host);
    let needs: [(&str, Need); 7] = [
        ("logged in: anna on pts/0", |host| host.log_in("anna", "pts/0", "10.0.0.5")),
        ("SMB from 10.0.0.5", |host| connected(host, "01BD")),
        ("port 9000 from 10.0.0.5", |host| connected(host, "2328")),
        ("md0 (resync) at work", |host| host.write_file("sys/block/md0/md/sync_action", "resync\n")),
        ("btrfs (balance) at work", |host| {
            host.write_file("sys/fs/btrfs/0a1b/exclusive_operation", "balance\n");
        }),
        ("load 40.0 on", |host| host.set_load([40.0, 20.0, 10.0])),
        ("a film is being converted", |host| host.write_file("srv/busy", "a film is being converted\nmore\n")),
    ];
    let more = "[servers.idle]\nports = [9000]\ncommand = ['cat', '/srv/busy']\n";
    for (words, need) in needs {
        let world = World::new();
        let nas = nas_with(&world, |host| host, more);
        idle_for(&world, 600);
        need(&nas.host);
        let run = world.run(&SLEEP).exits(0).says(&format!("nas stays awake: {words}"));
        assert_eq!(nas.host.events().len(), 0, "{run}");
        // And the window begins again.
        assert_eq!(world.env.rows("SELECT since FROM idle"), ["-"], "{words}");
        assert_eq!(world.run(&[&["-q"], &SLEEP[..]].concat()).exits(0).stderr, "", "cron has nothing to mail");
    }
}

#[test]
fn locks_and_leases_keep_it_awake() {
    let world = World::new();
    let nas = nas(&world, |host| host.inhibitor("tape", "sleep", "a backup", "block"));
    idle_for(&world, 600);
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: tape asks not to suspend (a backup)");
    let _ = world.run(&["hold", "nas"]).exits(0);
    idle_for(&world, 600);
    let _ = world.run(&[&SLEEP[..], &["--allow", "sleep-inhibited"]].concat()).exits(0).says("it is held: hold by");
    assert_eq!(nas.host.events().len(), 0);
}

#[test]
fn what_is_wrong_is_still_refused() {
    let world = World::new();
    let nas = quiet(world.serve(Host::debian("nas").sleep_masked().build()));
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    // While it is in use nothing is wrong.
    let _ = world.run(&SLEEP).exits(0);
    idle_for(&world, 600);
    let _ = world.run(&SLEEP).exits(11).says("sleep.target is masked");
    let _ = world.run(&["power", "wake", "nas", "--if-idle", "30m"]).exits(2).says("goes with `suspend`");
    let _ = world.run(&["power", "suspend", "nas", "--if-idle", "soon"]).exits(2);
    // Nobody answers: that is no proof of anything.
    drop(nas);
    idle_for(&world, 600);
    let _ = world.run(&SLEEP).exits(5);
}
