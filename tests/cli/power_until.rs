//! `ecobox power … --until`: the host's own clock wakes it.

use std::time::Duration;

use ecobox_sim::host::{Builder, Host, Nic, Rights};
use ecobox_sim::{Cluster, Fault};
use serde_json::json;

use super::world::{FAST, Served, World};

const HOUR: Duration = Duration::from_secs(3600);

/// A plain server with its card, logged in to as this user.
fn nas_of(world: &World, host: Builder, login: &str) -> Served {
    let served = world.serve(host.build());
    world.know(&served);
    world.configure(&format!("{FAST}{}{}", served.entry_as(login).trim_end(), served.wol("")));
    served
}

fn nas(world: &World) -> Served {
    nas_of(world, Host::debian("nas"), "root")
}

/// The alarm is so far ahead, give or take what a run needs.
fn is_about(alarm: Option<Duration>, want: Duration) -> bool {
    alarm.is_some_and(|alarm| alarm <= want && alarm + Duration::from_secs(300) > want)
}

/// Time passes for ecobox, which has no other clock than the machine's: what it remembers is so much older.
fn age(world: &World, span: Duration) {
    let millis = span.as_millis();
    world
        .env
        .execute(&format!("UPDATE alarms SET at = at - {millis}, late = late - {millis}, set_at = set_at - {millis}"));
    world.env.execute(&format!("UPDATE wishes SET at = at - {millis}"));
    world.env.execute(&format!("UPDATE states SET at = at - {millis}, since = since - {millis}"));
}

fn alarms(world: &World) -> Vec<String> {
    world.env.rows("SELECT server, sleeps FROM alarms")
}

#[test]
fn a_host_sleeps_until_its_clock_wakes_it() {
    for login in ["root", "admin"] {
        for (action, state) in [("suspend", "asleep"), ("hibernate", "asleep"), ("shutdown", "offline")] {
            let world = World::new();
            let nas = nas_of(&world, Host::debian("nas"), login);
            let run = world.run(&["power", action, "nas", "--until", "8h", "--yes", "-o", "json"]).exits(0);
            let step = run.json()["steps"][0].clone();
            assert_eq!((&step["result"], &step["state"]), (&"done".into(), &state.into()), "{run}");
            let words = step["detail"].as_str().unwrap().strip_prefix("its clock wakes it at ").unwrap();
            assert!(is_about(nas.host.alarm(), 8 * HOUR), "{:?}", nas.host.alarm());
            // One that is set refuses another: it goes first.
            assert_eq!((nas.host.alarm_writes().len(), nas.host.alarm_writes()[0].as_str()), (2, "0"));
            let run = world.run(&["status", "-o", "json"]).exits(0);
            assert_eq!(run.states(), [format!("nas {state}")], "{run}");
            assert_eq!(run.server("nas")["until"], step["wakes_at"]);
            let _ = world.run(&["status"]).exits(0).prints(&format!("{state} until {words}"));
            let _ = world.run(&["status", "--cached"]).exits(0).prints(&format!("{state} until {words}"));
            let _ = world.run(&["status", "-o", "html"]).exits(0).prints(&format!(" until {words}"));
            let _ = world.run(&["check"]).exits(0);
            // It wakes by itself.
            age(&world, 8 * HOUR);
            assert!(nas.host.pass(8 * HOUR));
            assert_eq!(nas.host.events().last().map(String::as_str), Some("wake"));
            let run = world.run(&["status", "-o", "json"]).exits(0);
            assert_eq!(
                (run.states(), &run.server("nas")["until"]),
                (vec!["nas online".to_owned()], &serde_json::Value::Null)
            );
            assert_eq!(alarms(&world), [] as [&str; 0]);
        }
    }
}

#[test]
fn who_should_have_woken_and_is_silent_has_failed() {
    let world = World::new();
    let served = [world.serve(Host::debian("nas").build()), world.serve(Host::debian("other").build())];
    world.know_all(&served);
    let [nas, other] = &served;
    world.configure(&format!("{FAST}{}{}{}", nas.entry().trim_end(), nas.wol(""), other.entry()));
    let _ = world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(0);
    // At its time, and for as long as it usually takes, it may still be on its way.
    age(&world, 8 * HOUR);
    let _ = world.run(&["status"]).exits(0).prints("asleep until ");
    let _ = world.run(&["check"]).exits(0);
    age(&world, HOUR);
    let run = world.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.states(), ["nas offline", "other online"], "{run}");
    assert!(run.json()["failures"][0]["message"].as_str().unwrap().contains("it should have woken at "), "{run}");
    let _ = world.run(&["status"]).exits(8).says("it should have woken at ");
    let _ = world.run(&["status", "--cached"]).prints("it should have woken at ");
    let _ = world.run(&["check"]).exits(2).prints("it should have woken at ");
    let _ = world.run(&["doctor"]).exits(12).prints("it should have woken at ");
    // Whoever is seen awake is forgiven.
    nas.host.wake();
    assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas online", "other online"]);
    assert_eq!(alarms(&world), [] as [&str; 0]);
}

#[test]
fn a_wake_before_its_time_takes_the_alarm_away() {
    let world = World::new();
    let nas = nas(&world);
    let sleep = || drop(world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(0));
    sleep();
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    assert_eq!((nas.host.alarm(), alarms(&world)), (None, vec![]));
    // By its button: a look sees it, and what is left in its clock goes with the next action.
    for action in ["wake", "suspend"] {
        sleep();
        nas.host.wake();
        age(&world, HOUR);
        let run = world.run(&["status", "-o", "json"]).exits(0);
        assert_eq!((run.states(), alarms(&world)), (vec!["nas online".to_owned()], vec!["nas|0".to_owned()]));
        assert!(nas.host.alarm().is_some());
        let _ = world.run(&["power", action, "nas", "--yes"]).exits(0);
        assert_eq!((nas.host.alarm(), alarms(&world)), (None, vec![]), "{action}");
        assert!(!world.run(&["status"]).exits(0).stdout.contains("until"));
        nas.host.wake();
    }
    // Another program's alarm is left alone.
    let _ = world.run(&["status"]).exits(0);
    sleep();
    nas.host.pass(HOUR);
    nas.host.set_alarm(2 * HOUR);
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    assert_eq!((nas.host.alarm(), alarms(&world)), (Some(2 * HOUR), vec![]));
}

#[test]
fn a_clock_in_local_time_or_with_an_alarm_is_set_all_the_same() {
    for ahead in [3600, -5 * 3600, 86_400 * 400] {
        let world = World::new();
        let nas = nas(&world);
        nas.host.set_rtc_local(ahead);
        nas.host.set_alarm(HOUR);
        let _ = world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(0);
        assert!(is_about(nas.host.alarm(), 8 * HOUR), "{ahead}: {:?}", nas.host.alarm());
    }
}

/// Without systemd, as on Alpine.
#[test]
fn a_host_of_another_kind_sleeps_until_a_time_as_well() {
    let world = World::new();
    let alpine = world.serve(Host::alpine("alpine").build());
    world.know(&alpine);
    world.configure(&format!("{FAST}{}", alpine.wakeable()));
    let _ = world.run(&["power", "suspend", "alpine", "--until", "8h", "--yes"]).exits(0);
    assert!(is_about(alpine.host.alarm(), 8 * HOUR));
    let _ = world.run(&["status"]).exits(0).prints("asleep until ");
    let _ = world.run(&["power", "suspend", "alpine", "--until", "next-job", "--yes"]).exits(0).prints("already");
    age(&world, 9 * HOUR);
    let _ = world.run(&["status"]).exits(5).says("alpine is offline: it should have woken at ");
}

#[test]
fn a_clock_that_does_not_take_it_lets_nobody_sleep() {
    let refused = |change: &dyn Fn(&Host), args: &[&str], says: &str| {
        let world = World::new();
        let nas = nas(&world);
        change(&nas.host);
        let args: Vec<&str> = ["power", "suspend", "nas", "--yes"].iter().chain(args).copied().collect();
        let run = world.run(&args).exits(11).says(says);
        assert_eq!((nas.host.events().len(), nas.host.timers().len(), alarms(&world).len()), (0, 0, 0), "{run}");
        assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas online"]);
        // And without a clock it may.
        let args: Vec<&str> = args.iter().copied().chain(["--allow", "no-rtc"]).collect();
        let run = world.run(&args).exits(0);
        assert_eq!((nas.host.events(), alarms(&world).len()), (vec!["suspend".to_owned()], 0), "{run}");
    };
    let until = &["--until", "8h"];
    refused(&|host| host.remove_rtc(), until, "its clock could not wake it at ");
    refused(&|host| host.disable_rtc(), until, "rtc0 may not wake it");
    refused(&Host::make_rtc_deaf, until, "it did not take the alarm");
    refused(&|host| host.limit_rtc(HOUR), until, "Invalid argument");
    refused(&|host| host.write_file("/proc/driver/rtc", "HPET_emulated\t: yes\n"), &["--until", "48h"], "HPET");
}

#[test]
fn a_host_that_does_not_sleep_has_no_alarm_left() {
    let world = World::new();
    let nas = nas(&world);
    nas.host.refuse_timers(true);
    let run = world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(1);
    assert_eq!((nas.host.alarm(), alarms(&world)), (None, vec![]), "{run}");
    assert_eq!(nas.host.alarm_writes().len(), 3);
    // It fails after it was armed: a lock that was taken meanwhile.
    let world = World::new();
    let nas = nas_of(&world, Host::pve("nas").version("9.2.11"), "root");
    nas.host.write_file("/.sim/locks", "sleep\n");
    let run = world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(1).says("it failed there");
    assert_eq!((nas.host.alarm(), alarms(&world)), (None, vec![]), "{run}");
    assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas online"]);
}

#[test]
fn whom_nothing_else_can_wake_its_clock_can() {
    let off = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d");
    let known = "\n[servers.wol]\nmac = \"bc:24:11:00:00:01\"\n";
    for (host, wol, check) in
        [(Host::debian("nas"), "", "no-wake-path"), (Host::debian("nas").nics(vec![off]), known, "wol-not-armed")]
    {
        let world = World::new();
        let nas = world.serve(host.build());
        world.know(&nas);
        world.configure(&format!("{FAST}{}{wol}", nas.entry().trim_end()));
        let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(11).says(&format!("`--allow {check}`"));
        let _ = world.run(&["power", "suspend", "nas", "--yes", "--until", "8h"]).exits(0);
        assert!(is_about(nas.host.alarm(), 8 * HOUR));
    }
    // Unless that is no clock that could.
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.entry()));
    nas.host.remove_rtc();
    let run = world.run(&["power", "suspend", "nas", "--yes", "--until", "8h"]).exits(11).says("no-wake-path");
    let _ = run.says("`--allow no-rtc`");
}

#[test]
fn who_may_not_set_the_clock_is_told_which_line_would_do() {
    let world = World::new();
    let nas = nas_of(&world, Host::debian("nas").login("bob", Rights::SudoListed), "bob");
    let run = world.run(&["power", "suspend", "nas", "--yes", "--until", "8h", "--allow", "wol-not-armed"]).exits(4);
    assert_eq!((nas.host.alarm(), nas.host.events().len()), (None, 0), "{run}");
}

#[test]
fn the_plan_shows_when_a_host_wakes() {
    let world = World::new();
    let nas = nas(&world);
    let run = world.run(&["power", "suspend", "nas", "--until", "8h", "--dry-run"]).exits(0);
    let _ = run.prints("its clock is set to wake it at ");
    assert_eq!(nas.host.alarm_writes(), [] as [&str; 0]);
    for (args, says) in [
        (&["power", "wake", "nas", "--until", "8h"][..], "`--until` goes with suspend, hibernate and shutdown"),
        (&["power", "reboot", "nas", "--until", "8h"], "`--until` goes with suspend, hibernate and shutdown"),
        (&["power", "suspend", "nas", "--until", "2m"], "it is nearer than 5 min"),
        (&["power", "suspend", "nas", "--until", "400d"], "it is farther than the year"),
        (&["power", "suspend", "nas", "--until", "soon"], "a time like `23:00`"),
    ] {
        let _ = world.run(args).exits(2).says(says);
    }
}

/// How far ahead the alarm is that a job makes which is due so far ahead: nothing is known of how long the host takes.
fn before(job: Duration) -> Duration {
    job.saturating_sub(Duration::from_secs(300))
}

#[test]
fn a_host_is_woken_for_its_next_job() {
    let world = World::new();
    let nas = nas(&world);
    let until_job = ["power", "suspend", "nas", "--until", "next-job", "--yes", "-o", "json"];
    let run = world.run(&until_job).exits(11).prints("no timer and no backup job is due").says("`--until 07:00`");
    assert_eq!((nas.host.events().len(), nas.host.alarm()), (0, None), "{run}");
    // What only looks after the system waits, and what comes all the time wakes nobody.
    nas.host.set_systemd_timers(&[
        ("logrotate.timer", 3600, Some(-80_000)),
        ("poll.timer", 600, Some(-1200)),
        ("restic.timer", 6 * 3600, Some(-18 * 3600)),
        ("later.timer", 20 * 3600, None),
    ]);
    let run = world.run(&until_job).exits(0);
    assert!(is_about(nas.host.alarm(), before(6 * HOUR)), "{:?}", nas.host.alarm());
    let step = run.json()["steps"][0].clone();
    assert_eq!(step["wakes_for"], "restic.timer", "{run}");
    assert!(step["detail"].as_str().unwrap().contains(" for restic.timer at "), "{run}");
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    // Its clock, by which the timer fires, is an hour ahead: here that is an hour earlier.
    nas.host.set_clock_off(3600);
    let _ = world.run(&until_job).exits(0);
    // Since it was woken once it is known that it takes no more than a minute.
    assert!(is_about(nas.host.alarm(), Duration::from_secs(5 * 3600 - 60)), "{:?}", nas.host.alarm());
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    // One that is as good as due leaves no time to sleep.
    nas.host.set_clock_off(0);
    nas.host.set_systemd_timers(&[("restic.timer", 100, None)]);
    let _ = world.run(&until_job).exits(11).says("the time is nearer than a minute");
    nas.host.write_file("/.sim/list-timers.json", "NEXT LEFT LAST\n");
    let _ = world.run(&until_job).exits(11).prints("its timers could not be read");
}

#[test]
fn a_host_is_woken_for_the_next_backup_of_its_guests() {
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut cluster =
        Cluster::new("homelab")
            .node("pve1")
            .node("pve2")
            .vm(101, "web", |vm| vm.on("pve1"))
            .vm(102, "db", |vm| vm.on("pve2"));
    let at = |hours: i64| now + hours * 3600;
    cluster.add_backup_job("elsewhere", json!({"vmid": "102", "next-run": at(1)}));
    cluster.add_backup_job("other-node", json!({"all": 1, "node": "pve2", "next-run": at(2)}));
    cluster.add_backup_job("off", json!({"all": 1, "enabled": 0}));
    cluster.add_backup_job("nightly", json!({"all": 1, "next-run": at(5)}));
    let world = World::new();
    let pve = world.cluster(cluster);
    world.configure(&format!("{FAST}{}", pve.node("pve1").wakeable()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    let host = &pve.node("pve1").host;
    let asks = ["power", "suspend", "pve1", "--until", "next-job", "--allow", "quorum-lost", "-o", "json"];
    let suspend = [&asks[..], &["--dry-run"]].concat();
    let run = world.run(&suspend);
    assert_eq!(run.json()["steps"][0]["wakes_for"], "backup job nightly", "{run}");
    assert_eq!(host.alarm(), None);
    // A timer of the host that comes first is the next job.
    host.set_systemd_timers(&[("restic.timer", 3 * 3600, None)]);
    assert_eq!(world.run(&suspend).json()["steps"][0]["wakes_for"], "restic.timer");
    // Nobody knows what is next where only half is known.
    pve.sim.node("pve1").fail_on(None, Some("/cluster/backup"), None, Fault::Status(500, "no".to_owned()));
    let _ = world.run(&suspend).prints("the backup jobs of its cluster could not be read");
    pve.sim.node("pve1").heal();
    host.set_systemd_timers(&[]);
    let _ = world.run(&[&asks[..], &["--yes"]].concat()).exits(0);
    assert!(is_about(host.alarm(), before(5 * HOUR)), "{:?}", host.alarm());
    host.wake();
    // A guest has no clock.
    let _ =
        world.run(&["power", "shutdown", "vm-101", "--until", "8h", "--yes"]).exits(11).says("a guest has no clock");
}

#[test]
fn a_lease_wakes_a_host_for_a_while_and_its_alarm_stays() {
    let world = World::new();
    let nas = nas(&world);
    let _ = world.run(&["power", "suspend", "nas", "--until", "8h", "--yes"]).exits(0);
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(nas.host.events(), ["suspend", "wake", "suspend"]);
    assert!(is_about(nas.host.alarm(), 8 * HOUR));
    assert_eq!(alarms(&world), ["nas|1"]);
    let _ = world.run(&["status"]).exits(0).prints("asleep until ");
}
