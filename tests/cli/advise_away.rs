//! `advise` where nodes do not answer, and where nobody is asked: the state file has what is known.

use ecobox_sim::{Cluster, Fault, Sim};

use super::advise::{DAY, advise, because, lab, line, says, vm};
use super::advise_history::{GIB, MONTH, on, set_past};
use super::env::Env;
use super::fleets::env_for;
use super::pace::deadline;
use super::past::{HOUR, this_hour};

/// Two nodes with a machine each.
fn two() -> Cluster {
    let mut lab = lab("9.2.11")
        .node_with("pve1", |node| node.size(16, 64 << 30).uptime(400 * DAY))
        .node_with("pve2", |node| node.size(16, 64 << 30).uptime(400 * DAY))
        .node_with("pve3", |node| node.size(16, 64 << 30).uptime(400 * DAY))
        .vm(101, "web", |guest| vm(guest, 8, 16).on("pve1"))
        .vm(102, "db", |guest| vm(guest, 8, 16).on("pve2"))
        .vm(103, "mail", |guest| vm(guest, 8, 16).on("pve2"));
    for number in [101, 102, 103] {
        set_past(&mut lab, number, MONTH, (8.0, 16.0), None, |_| on(1.5, 3.0));
    }
    lab
}

/// Puts hours of so many days into the state file: percent of its CPUs and GiB, on average and at most.
fn add_hours(env: &Env, vmid: u32, days: i64, (cpu, cpu_max): (i64, i64), (gib, gib_max): (f64, f64)) {
    let now = this_hour();
    env.execute(&format!("INSERT OR REPLACE INTO samples_gone (id, before) VALUES (1, {})", now - HOUR));
    let [gib, gib_max] = [gib, gib_max].map(|gib| gib * GIB);
    env.execute(&format!(
        "INSERT INTO sample_hours (hour, subject, n, cpu_n, cpu_min, cpu_avg, cpu_max, memory_n, memory_min, memory_avg, memory_max)
         WITH RECURSIVE hours (back) AS (SELECT 2 UNION ALL SELECT back + 1 FROM hours WHERE back < {days} * 24)
         SELECT {now} - back * {HOUR}, (clusters.id << 32) | {vmid}, 12, 12, {cpu}0000, {cpu}0000,
             CASE back WHEN 100 THEN {cpu_max} ELSE {cpu} END * 10000, 12, {gib:.0}, {gib:.0},
             CASE back WHEN 100 THEN {gib_max:.0} ELSE {gib:.0} END
         FROM hours, clusters WHERE clusters.id IN (SELECT cluster FROM guests)"
    ));
}

#[test]
fn a_node_that_is_down_costs_nobody_else_anything() {
    let sim = Sim::start(two());
    let env = env_for(&sim, &["pve1", "pve2"]);
    // While it is there, the sizes of its guests are learned.
    says(&advise(&env, &[], 0), "pve2-vm-102", "cores", "less", Some(2.0));
    add_hours(&env, 102, 30, (10, 30), (2.0, 5.0));
    sim.cluster().stop_node("pve2");
    let report = advise(&env, &["web", "db", "mail"], 8);
    says(&report, "pve1-vm-101", "cores", "less", Some(2.0));
    // What Proxmox VE kept of it is out of reach: 30 % of 8 cores, in one hour of thirty days.
    says(&report, "pve2-vm-102", "cores", "less", Some(3.0));
    says(&report, "pve2-vm-102", "memory", "less", Some(5.75 * GIB));
    assert_eq!(line(&report, "pve2-vm-102", "cores")["confidence"], "medium");
    // Of this one nothing was kept.
    says(&report, "pve2-vm-103", "cores", "cannot-tell", None);
    assert!(report["failures"].to_string().contains("pve2"), "{report:#}");
}

#[test]
fn a_node_that_swallows_questions_is_asked_no_more() {
    let sim = Sim::start(two());
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    for node in ["pve1", "pve2", "pve3"] {
        sim.node(node).fail_on(None, Some("/nodes/pve2/"), None, Fault::HangAtRequest);
    }
    sim.clear_requests();
    let run = env.run(&["advise", "web", "db", "mail", "--timeout", &deadline(6), "-o", "json"]).exits(8);
    let run = run.says("the guests of pve2 are judged by the state file");
    let report = run.json();
    says(&report, "pve1-vm-101", "cores", "less", Some(2.0));
    says(&report, "pve2-vm-102", "cores", "cannot-tell", None);
    // Two that stood beside each other, one for each guest.
    let asked = sim.requests().iter().filter(|request| request.path.contains("/nodes/pve2/")).count();
    assert!(asked <= 3, "{asked}");
    assert_eq!(run.failures(), ["pve2 unreachable"]);
}

#[test]
fn what_is_refused_is_said_once() {
    let sim = Sim::start(two());
    let env = env_for(&sim, &["pve1", "pve2"]);
    let refused = Fault::Status(403, "Permission check failed (/vms/102, VM.Audit)".to_owned());
    sim.node("pve1").fail_on(None, Some("/qemu/102/config"), None, refused.clone());
    sim.node("pve1").fail_on(None, Some("/qemu/103/config"), None, refused);
    let run = env.run(&["advise", "web", "db", "mail", "-o", "json"]).exits(8);
    assert_eq!(run.failures().len(), 1, "{run}");
    // What Proxmox VE kept of it is told all the same; what its balloon reports is not known.
    says(&run.json(), "pve2-vm-102", "cores", "less", Some(2.0));
    says(&run.json(), "pve2-vm-102", "memory", "cannot-tell", None);
}

#[test]
fn nobody_is_asked_for_what_earlier_runs_saw() {
    let sim = Sim::start(two());
    let env = env_for(&sim, &["pve1"]);
    let _ = advise(&env, &[], 0);
    add_hours(&env, 101, 30, (10, 30), (2.0, 5.0));
    sim.clear_requests();
    let report = advise(&env, &["--cached"], 0);
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
    says(&report, "pve1-vm-101", "cores", "less", Some(3.0));
    says(&report, "pve1-vm-101", "memory", "less", Some(5.75 * GIB));
    because(&report, "pve1-vm-102", "cores", "of history; a week is the least");
    // Whether a host could sleep is not said by what is remembered.
    assert!(!report["advice"].to_string().contains("sleep"), "{report:#}");
}

#[test]
fn a_guest_that_is_off_for_long_is_named_with_its_disks() {
    let lab = lab("9.2.11")
        .node("pve1")
        .vm(104, "old", |vm| vm.stopped().disk(96 << 30, 0).config("scsi0", "local:104/vm-104-disk-0.raw,size=96G"))
        .vm(105, "new", ecobox_sim::Guest::stopped);
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    // First seen, and off, 120 days ago; then nobody looked.
    let long_ago = this_hour() - 120 * 24 * HOUR;
    env.execute(&format!("UPDATE guests SET changed_at = {long_ago}, first_seen = {long_ago} WHERE vmid = 104"));
    let report = advise(&env, &[], 0);
    assert!(!report["advice"].to_string().contains("\"off\""), "{report:#}");
    // Somebody looked at the cluster in each hour of a hundred days.
    env.execute(&format!("UPDATE series SET gone_before = {}", this_hour()));
    env.execute(&format!(
        "INSERT INTO check_hours (hour, series, n, ok, millis)
         WITH RECURSIVE hours (back) AS (SELECT 2 UNION ALL SELECT back + 1 FROM hours WHERE back < 2400)
         SELECT {} - back * {HOUR}, series.id, 1, 1, '57:1' FROM hours, series",
        this_hour()
    ));
    let report = advise(&env, &[], 0);
    says(&report, "pve1-vm-104", "off", "review", None);
    because(&report, "pve1-vm-104", "off", " days, and its disks take up to 96G");
    assert!(!report["advice"].to_string().contains("pve1-vm-105\",\"name\":\"new\",\"rule\":\"off"), "{report:#}");
}
