//! `ecobox power … --if-idle`: a host sleeps only when nothing needed it for the whole window.

use std::time::Duration;

use ecobox_sim::host::{Builder, Host, Pace};
use ecobox_sim::{Cluster, Guest};
use serde_json::json;

use super::power_hosts::history;
use super::world::{FAST, Pve, Served, World};

const SLEEP: [&str; 5] = ["power", "suspend", "nas", "--if-idle", "30m"];

type OnHost = fn(&Host);
type OnGuest = fn(Guest) -> Guest;

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

#[test]
fn what_sleeps_is_woken_by_its_clock_and_what_is_needed_gets_no_alarm() {
    let world = World::new();
    let served = ["nas", "archive", "press"].map(|name| quiet(world.serve(Host::debian(name).build())));
    world.know_all(&served);
    let [nas, archive, press] = &served;
    // Nothing but its clock could wake nas.
    world.configure(&format!("{FAST}{}{}{}", nas.entry(), archive.wakeable(), press.wakeable()));
    let sleep = ["power", "suspend", "nas", "archive", "press", "--if-idle", "30m", "--until", "8h"];
    let _ =
        world.run(&sleep).exits(0).says("nas stays awake: ").says("archive stays awake: ").says("press stays awake: ");
    idle_for(&world, 40);
    press.host.log_in("anna", "pts/0", "10.0.0.5");
    let run = world.run(&[&sleep[..], &["-o", "json"]].concat()).exits(0).says("press stays awake: logged in: anna");
    let results: Vec<_> = run.json()["steps"].as_array().unwrap().iter().map(|step| step["result"].clone()).collect();
    assert_eq!(results, ["done", "done", "needed"], "{run}");
    for (host, events, has_alarm) in [(nas, 1, true), (archive, 1, true), (press, 0, false)] {
        assert_eq!((host.host.events().len(), host.host.alarm().is_some()), (events, has_alarm), "{run}");
    }
    let _ = world.run(&["status"]).exits(0).prints("asleep until ");
    // The next run of cron meets them asleep, and their alarms stay.
    let _ = world.run(&sleep).exits(0).says("nas is asleep already").says("archive is asleep already");
    assert!(nas.host.alarm().is_some() && archive.host.alarm().is_some());
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
    let needs: [(&str, OnHost); 7] = [
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

/// Seconds since 1970, so many from now.
fn from_now(seconds: i64) -> i64 {
    jiff::Timestamp::now().as_second() + seconds
}

#[test]
fn what_only_forbids_sleep_now_does_not_begin_the_window_again() {
    let world = World::new();
    let nas = nas(&world, |host| host);
    let timers = |minutes: i64| {
        let next = from_now(minutes * 60) * 1_000_000;
        let timer = format!(
            "{{\"next\":{next},\"left\":1,\"last\":null,\"passed\":null,\"unit\":\"backup.timer\",\"activates\":\"x\"}}"
        );
        let housekeeping = timer.replace("backup", "logrotate");
        nas.host.write_file(".sim/list-timers.json", &format!("[{timer},{housekeeping}]\n"));
    };
    idle_for(&world, 40);
    timers(10);
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: backup.timer is due in ");
    assert_ne!(world.env.rows("SELECT since FROM idle"), ["-"]);
    timers(40);
    let _ = world.run(&SLEEP).exits(0);
    assert_eq!(nas.host.events(), ["suspend"]);
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    world.configure(&format!("{FAST}{}[servers.idle]\nnot_between = ['00:00-24:00']\n", nas.wakeable()));
    let _ = world.run(&SLEEP).exits(0);
    idle_for(&world, 40);
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: not between 00:00-24:00");
    assert_eq!(nas.host.events(), ["suspend", "wake"]);
}

#[test]
fn exceptions_do_not_keep_it_awake() {
    let world = World::new();
    let more = "[servers.idle]\nignore_users = ['monitor']\nignore_ports = [445]\n";
    let nas = nas_with(&world, |host| host, more);
    nas.host.log_in("monitor", "pts/0", "10.0.0.5");
    connected(&nas.host, "01BD");
    idle_for(&world, 40);
    let _ = world.run(&SLEEP).exits(0);
    assert_eq!(nas.host.events(), ["suspend"]);
}

#[test]
fn a_host_that_slept_by_itself_meanwhile_has_the_whole_window() {
    let world = World::new();
    let nas = nas(&world, |host| host);
    nas.host.write_file("sys/power/suspend_stats/success", "4\n");
    let _ = world.run(&SLEEP).exits(0);
    idle_for(&world, 40);
    nas.host.write_file("sys/power/suspend_stats/success", "5\n");
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: idle for 0 s of 30 min");
    idle_for(&world, 40);
    let _ = world.run(&SLEEP).exits(0);
    assert_eq!(nas.host.events(), ["suspend"]);
}

/// Right before the call the host is looked at once more. Its own command finds somebody then.
#[test]
fn somebody_comes_between_the_plan_and_the_call() {
    let world = World::new();
    let nas = quiet(world.serve(Host::debian("nas").build()));
    world.know(&nas);
    let looks = nas.host.root().join("looks");
    let looks = looks.display();
    let third = format!("echo x >> {looks}; test $(wc -l < {looks}) -ge 3 && echo anna came");
    world.configure(&format!("{FAST}{}[servers.idle]\ncommand = ['sh', '-c', '{third}']\n", nas.wakeable()));
    let _ = world.run(&SLEEP).exits(0).says("nas stays awake: idle for ");
    idle_for(&world, 40);
    let run = world.run(&[&SLEEP[..], &["-o", "json"]].concat()).exits(0);
    assert_eq!(nas.host.read_file("looks").as_deref(), Some("x\nx\nx\n"), "{run}");
    let step = &run.json()["steps"][0];
    assert_eq!((step["result"].as_str(), nas.host.events().len()), (Some("needed"), 0), "{run}");
    assert!(run.stdout.contains("anna came"), "{run}");
    let asked = ["power", "suspend", "nas", "--yes"];
    let _ = world.run(&asked).exits(0);
    assert_eq!(nas.host.events(), ["suspend"]);
}

#[test]
fn what_kept_it_awake_is_explained_and_shown() {
    let world = World::new();
    let nas = nas(&world, |host| host);
    connected(&nas.host, "01BD");
    idle_for(&world, 40);
    let explain = ["power", "suspend", "nas", "--if-idle", "30m", "--explain"];
    let run = world.run(&explain).exits(0);
    assert!(run.stdout.contains("SMB from 10.0.0.5"), "{run}");
    assert!(run.stdout.contains("would have slept "), "{run}");
    // Some hours of the week, as runs of cron would have seen them.
    world.env.execute(
        "DELETE FROM idle_stretches;
         INSERT INTO idle_stretches VALUES
             ('nas', 'connection', 'SMB from 10.0.0.5', (unixepoch() - 400000) * 1000, (unixepoch() - 292000) * 1000, 'x'),
             ('nas', 'connection', 'SMB from 10.0.0.5', (unixepoch() - 90000) * 1000, (unixepoch() - 50400) * 1000, 'x'),
             ('nas', 'idle', '', (unixepoch() - 292000) * 1000, (unixepoch() - 148000) * 1000, ''),
             ('nas', 'guest', 'guest plex: CPU', (unixepoch() - 400000) * 1000, (unixepoch() - 389200) * 1000, 'x');",
    );
    let run = world.run(&[&explain[..], &["-o", "json"]].concat()).exits(0);
    let report = run.json();
    assert_eq!((&report["schema"], &report["window_seconds"]), (&"ecobox.idle/1".into(), &1800.into()), "{run}");
    let kept: Vec<_> =
        report["needs"].as_array().unwrap().iter().map(|row| (row["what"].clone(), row["times"].clone())).collect();
    assert_eq!(kept, [("SMB from 10.0.0.5".into(), 3.into()), ("guest plex: CPU".into(), 1.into())], "{run}");
    let host = &report["hosts"][0];
    // 40 hours idle without the first half hour.
    assert_eq!((&host["would_sleep_seconds"], &host["idle_seconds"]), (&142_200.into(), &144_000.into()), "{run}");
    assert_eq!(host["stays_awake"], "SMB from 10.0.0.5");
    let run = world.run(&explain).exits(0);
    assert!(run.stdout.contains("would have slept 40 h of 168 h"), "{run}");
    assert_eq!(nas.host.events().len(), 0);
    // What was seen is shown where people look.
    let run = world.run(&["status", "-o", "json"]).exits(0);
    let idle = run.json()["servers"][0]["idle"].clone();
    assert_eq!(
        (&idle["since"], &idle["needs"][0]["text"]),
        (&serde_json::Value::Null, &"SMB from 10.0.0.5".into()),
        "{run}"
    );
    let run = world.run(&["status", "--cached", "-o", "wide"]).exits(0);
    assert!(run.stdout.contains("NEEDED BY") && run.stdout.contains("SMB from 10.0.0.5"), "{run}");
    let _ = world.run(&["power", "suspend", "nas", "--explain"]).exits(2);
}

/// A node with one guest, and a token.
fn node(world: &World, describe: impl Fn(Guest) -> Guest) -> Pve {
    let cluster = Cluster::new("homelab").node("pve1").vm(101, "web-01", |vm| describe(vm.on("pve1").running()));
    let pve = world.cluster(cluster);
    world.configure(&format!("{FAST}{}", pve.node("pve1").wakeable()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    pve.nodes[0].host.set_pace(&Pace { cpu: [1.0, 1.0, 198.0, 0.0], ports: Vec::new(), disks: Vec::new() });
    pve
}

/// What runs kept becomes older, and the guests' counters go on.
fn a_minute_passes(world: &World, pve: &Pve) {
    pve.sim.cluster().clock.advance(Duration::from_secs(60));
    world.env.execute("UPDATE samples SET at = at - 60000");
}

#[test]
fn a_guest_keeps_its_host_awake_unless_it_is_said_what_becomes_of_it_and_it_is_idle() {
    let pve1 = ["power", "suspend", "pve1", "--if-idle", "30m"];
    let with_guests = [&pve1[..], &["--guests", "shutdown"]].concat();
    let idle = |vm: Guest| vm.load(0.02, 1 << 29).rates(100, 100, 100, 100);
    let world = World::new();
    let pve = node(&world, idle);
    let _ = world.run(&pve1).exits(0);
    idle_for(&world, 40);
    let _ = world.run(&pve1).exits(0).says("pve1 stays awake: guest vm-101 (web-01) runs");
    a_minute_passes(&world, &pve);
    idle_for(&world, 40);
    let run = world.run(&with_guests).exits(0);
    assert_eq!((pve.node("pve1").host.events(), run.stderr.as_str()), (vec!["suspend".to_owned()], ""), "{run}");
    assert!(pve.sim.posts().iter().any(|post| post.contains("qemu/101/status/shutdown")), "{run}");

    let busy: [(&str, OnGuest); 2] = [
        ("guest vm-101 (web-01): CPU at 40 %", |vm| vm.load(0.4, 1 << 29).rates(100, 100, 100, 100)),
        ("guest vm-101 (web-01): disks at ", |vm| vm.load(0.02, 1 << 29).rates(100, 100, 8_000_000, 100)),
    ];
    for (words, busy) in busy {
        let world = World::new();
        let pve = node(&world, busy);
        // One look says nothing of rates.
        let _ = world.run(&with_guests).exits(0).says("guest vm-101 (web-01) was measured only once");
        a_minute_passes(&world, &pve);
        idle_for(&world, 40);
        let run = world.run(&with_guests).exits(0).says(&format!("pve1 stays awake: {words}"));
        assert_eq!((pve.sim.posts().len(), pve.node("pve1").host.events().len()), (0, 0), "{run}");
        let json = world.run(&[&with_guests[..], &["-o", "json"]].concat()).exits(0).json();
        let results: Vec<_> = json["steps"].as_array().unwrap().iter().map(|step| step["result"].clone()).collect();
        assert_eq!(results, ["needed", "needed"], "{json:#}");
    }
}

#[test]
fn a_backup_job_that_is_due_keeps_its_node_awake() {
    let world = World::new();
    let pve = node(&world, Guest::stopped);
    let pve1 = ["power", "suspend", "pve1", "--if-idle", "30m"];
    let _ = world.run(&pve1).exits(0);
    let job = |seconds: i64| {
        let mut cluster = pve.sim.cluster();
        cluster.remove_backup_jobs();
        cluster.add_backup_job("others", json!({"vmid": "900", "next-run": from_now(60)}));
        cluster.add_backup_job("nightly", json!({"all": 1, "next-run": from_now(seconds)}));
    };
    job(600);
    idle_for(&world, 40);
    let _ = world.run(&pve1).exits(0).says("pve1 stays awake: backup job nightly is due in ");
    job(3600);
    let _ = world.run(&pve1).exits(0);
    assert_eq!(pve.node("pve1").host.events(), ["suspend"]);
}

#[test]
fn a_cluster_keeps_its_quorum() {
    let world = World::new();
    let pve = world.cluster(Cluster::new("homelab").node("pve1").node("pve2").node("pve3"));
    let entries: String = pve.nodes.iter().map(Served::wakeable).collect();
    world.configure(&format!("{FAST}{entries}"));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    for node in &pve.nodes {
        node.host.set_pace(&Pace { cpu: [1.0, 1.0, 198.0, 0.0], ports: Vec::new(), disks: Vec::new() });
    }
    let all = ["power", "suspend", "pve1", "pve2", "pve3", "--if-idle", "30m"];
    let _ = world.run(&all).exits(0);
    idle_for(&world, 40);
    let run = world.run(&all).exits(0).says("its cluster would lose quorum: 1 of 3 nodes would be left");
    let asleep = |pve: &Pve| pve.nodes.iter().filter(|node| node.host.events() == ["suspend"]).count();
    assert_eq!(asleep(&pve), 1, "{run}");
    idle_for(&world, 40);
    let run = world.run(&all).exits(0).says("its cluster would lose quorum");
    assert_eq!(asleep(&pve), 1, "{run}");
}
