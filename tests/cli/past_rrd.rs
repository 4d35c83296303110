//! `stats --since` from Proxmox VE's own history: asked where the state file does not reach back, and only there.

use std::time::Duration;

use ecobox_sim::{Cluster, Fault, Sim};
use serde_json::{Value, json};

use super::env::CANARY;
use super::fleets::{OPERATOR, TOKEN, env_for};
use super::pace::deadline;
use super::packed;
use super::past::{HOUR, document, known, on_terminal, rfc3339, series, this_hour};

/// One node with two machines and a container.
fn lab() -> Cluster {
    lab_of("9.2.11")
}

/// The same of another version.
fn lab_of(version: &str) -> Cluster {
    Cluster::new("lab")
        .pve(version)
        .token(TOKEN, CANARY, "/", OPERATOR)
        .node("pve1")
        .vm(101, "web", |vm| vm.running().uptime(40 * 86_400))
        .vm(102, "db", |vm| vm.running().uptime(40 * 86_400))
        .ct(201, "dns", |ct| ct.running().uptime(40 * 86_400))
}

/// Rows of a day: one percent of a CPU more each hour; none from the tenth to the fourteenth of those hours.
fn set_day(cluster: &mut Cluster, vmid: u32) {
    let times = cluster.history_times("day");
    for (cf, factor) in [("AVERAGE", 1.0), ("MAX", 2.0)] {
        let row = |(i, time): (usize, &u64)| {
            let hour = i * times.len() / times.len() / (times.len() / 24);
            if (10..14).contains(&hour) {
                json!({ "time": time })
            } else {
                json!({ "time": time, "cpu": 0.05 * factor })
            }
        };
        let rows: Vec<Value> = times.iter().enumerate().map(row).collect();
        cluster.set_guest_history(vmid, "day", cf, rows);
    }
}

fn rrd_calls(sim: &Sim) -> Vec<String> {
    let requests = sim.requests().into_iter().map(|request| request.path);
    requests.filter(|path| path.contains("/rrddata")).collect()
}

#[test]
fn averages_and_maxima_with_their_gaps() {
    let mut lab = lab();
    set_day(&mut lab, 101);
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.clear_requests();
    let report = document(&env, &["stats", "--since", "23h", "--metric", "cpu", "-o", "json"], 0);
    let cpu = series(&report, "pve1-vm-101", "cpu");
    assert_eq!((&cpu["source"], &cpu["step_seconds"]), (&"rrd".into(), &1800.into()));
    let points = cpu["points"].as_array().unwrap();
    let gap = points.iter().filter(|point| point["avg"].is_null()).count();
    assert!((7..=9).contains(&gap), "four hours, and the step that has just begun: {gap}\n{cpu:#}");
    let rows = known(cpu);
    for (i, [_, avg, min, max]) in rows.iter().enumerate() {
        assert_eq!((*avg, *max), (&5.0.into(), &10.0.into()));
        // Proxmox VE keeps no minimum; in the last step there was a look, which saw one.
        assert!(min.is_null() || i + 1 == rows.len() && **min == 0.0, "{cpu:#}");
    }
    let summary = &cpu["summary"];
    assert_eq!(summary, &json!({ "min": 0.0, "avg": 5.0, "max": 10.0, "p95": 5.0, "last": 5.0 }));
    // Two questions for each of four servers, three at once, after one listing.
    let calls = rrd_calls(&sim);
    assert_eq!(calls.len(), 8, "{calls:?}");
    assert!(calls.iter().all(|call| call.contains("timeframe=day")), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| call.contains("cf=MAX")).count(), 4);
    assert_eq!(sim.requests().len(), 9, "{:?}", sim.requests());
    assert!(sim.node("pve1").most_in_flight() <= 3);
    assert_eq!(series(&report, "pve1", "cpu")["source"], "rrd");
}

#[test]
fn nobody_is_asked_where_the_state_file_reaches_back() {
    let sim = Sim::start(lab());
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    let _ = env.run(&["status"]).exits(0);
    env.execute(&format!("UPDATE samples SET at = at - {} WHERE at = (SELECT min(at) FROM samples)", 25 * HOUR));
    sim.clear_requests();
    let report = document(&env, &["stats", "--since", "24h", "-o", "json"], 0);
    assert_eq!(series(&report, "pve1-ct-201", "memory")["source"], "cache");
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
    // One that is new has only Proxmox VE's: the others are not asked for again.
    packed::forget(&env, 102);
    let report = document(&env, &["stats", "--since", "24h", "-o", "json"], 0);
    assert_eq!(series(&report, "pve1-vm-102", "memory")["source"], "rrd");
    assert_eq!(series(&report, "pve1-vm-101", "memory")["source"], "cache");
    let calls = rrd_calls(&sim);
    assert!(calls.len() == 2 && calls.iter().all(|call| call.contains("/qemu/102/")), "{calls:?}");
}

#[test]
fn older_versions_have_longer_steps() {
    for (version, since, asked, step) in [
        ("9.2.11", "12h", "5m", 300),
        ("8.4.1", "12h", "5m", 1800),
        ("8.4.1", "6d", "1h", 10_800),
        ("8.4.1", "1h", "1m", 60),
    ] {
        let sim = Sim::start(lab_of(version));
        let env = env_for(&sim, &["pve1"]);
        let _ = env.run(&["status"]).exits(0);
        let report = document(&env, &["stats", "101", "--since", since, "--step", asked, "-o", "json"], 0);
        let memory = series(&report, "pve1-vm-101", "memory");
        assert_eq!((&memory["source"], &memory["step_seconds"]), (&"rrd".into(), &step.into()), "{version} {since}");
        let gaps = memory["points"].as_array().unwrap().iter().filter(|point| point["avg"].is_null()).count();
        assert!(gaps <= 2, "{version} {since}: {gaps}\n{memory:#}");
    }
}

#[test]
fn a_guest_that_was_never_recorded_is_no_failure() {
    let sim = Sim::start(lab());
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().forget_guest_history(102);
    let report = document(&env, &["stats", "--since", "23h", "-o", "json"], 0);
    assert_eq!(series(&report, "pve1-vm-102", "memory")["source"], "cache");
    assert_eq!(series(&report, "pve1-vm-101", "memory")["source"], "rrd");
}

/// Whoever fails is said once with its own name, the state file is used instead, and the others' numbers are there.
#[test]
fn failures_leave_the_rest_standing() {
    let sim = Sim::start(lab());
    let env = env_for(&sim, &["pve1"]);
    let since = rfc3339(this_hour() - 20 * HOUR);
    let _ = env.run(&["status"]).exits(0);
    let args = ["stats", "--since", since.as_str(), "--metric", "memory", "-o", "json"];
    let node = sim.node("pve1");
    node.fail_on(None, Some("/nodes/pve1/rrddata"), None, Fault::Status(403, "Permission check failed".to_owned()));
    let run = env.run(&args).exits(8).says("Permission check failed; the state file is used instead");
    assert_eq!(run.failures(), ["pve1 denied"]);
    let report = run.json();
    assert_eq!(series(&report, "pve1", "memory")["source"], "cache");
    assert_eq!(known(series(&report, "pve1", "memory")).len(), 1);
    assert_eq!(series(&report, "pve1-vm-101", "memory")["source"], "rrd");
    node.heal();
    // One hangs: the deadline ends it, and only it.
    node.fail_on(None, Some("/qemu/102/rrddata"), None, Fault::HangAtRequest);
    let run = env.run(&[&["--timeout", &deadline(10)], &args[..]].concat()).exits(8).says("pve1-vm-102");
    assert_eq!(run.failures(), ["pve1 unreachable"]);
    let report = run.json();
    assert_eq!(series(&report, "pve1-vm-102", "memory")["source"], "cache");
    assert_eq!(series(&report, "pve1-vm-101", "memory")["source"], "rrd");
    assert_eq!(series(&report, "pve1-ct-201", "memory")["source"], "rrd");
    node.heal();
    // Nobody is there.
    node.stop();
    let run = env.run(&args).exits(8).says("the state file is used instead");
    assert_eq!(run.failures(), ["pve1 unreachable"]);
    assert!(run.json()["series"].as_array().unwrap().iter().all(|series| series["source"] == "cache"), "{run}");
}

#[test]
fn what_takes_long_is_shown_on_a_terminal_only() {
    let sim = Sim::start(lab());
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve1").fail_on(None, Some("/rrddata"), None, Fault::Delay(Duration::from_millis(150)));
    let args = ["stats", "--since", "20h", "--metric", "cpu"];
    assert_eq!(env.run(&args).exits(0).stderr, "");
    let text = on_terminal(&env, &args, 80, "C.UTF-8", "/dev/tty");
    assert!(text.contains("reading what Proxmox VE kept: 1 of 4"), "{text}");
}
