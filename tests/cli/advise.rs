//! `advise`: what the past of guests and hosts suggests, from what Proxmox VE kept and from the state file.

use ecobox_sim::{Cluster, Guest, Sim};
use serde_json::Value;

use super::advise_history::{GIB, MONTH, Minute, on, set_past};
use super::env::{CANARY, Env};
use super::fleets::{OPERATOR, TOKEN, env_for};
use super::past::on_terminal;

pub(crate) const DAY: u64 = 86_400;

/// The only line about a guest's `cores`, `memory`, ..
pub(crate) fn line<'r>(report: &'r Value, id: &str, rule: &str) -> &'r Value {
    let lines = report["advice"].as_array().unwrap();
    let mut found = lines.iter().filter(|line| line["id"] == id && line["rule"] == rule);
    let line = found.next().unwrap_or_else(|| panic!("nothing on {rule} of {id}: {report:#}"));
    assert!(found.next().is_none(), "twice: {report:#}");
    line
}

pub(crate) fn advise(env: &Env, args: &[&str], exit: i32) -> Value {
    let args: Vec<&str> = ["advise"].iter().chain(args).copied().chain(["-o", "json"]).collect();
    serde_json::from_str(&env.run(&args).exits(exit).stdout).unwrap()
}

/// What a line says: verdict, from, to.
#[track_caller]
pub(crate) fn says(report: &Value, id: &str, rule: &str, verdict: &str, to: Option<f64>) {
    let line = line(report, id, rule);
    assert_eq!((&line["verdict"], line["to"].as_f64()), (&verdict.into(), to), "{line:#}");
}

#[track_caller]
pub(crate) fn because(report: &Value, id: &str, rule: &str, why: &str) {
    let line = line(report, id, rule);
    assert!(line["evidence"].as_str().unwrap().contains(why), "{why}: {line:#}");
}

/// A cluster of one version.
pub(crate) fn lab(version: &str) -> Cluster {
    Cluster::new("lab").pve(version).token(TOKEN, CANARY, "/", OPERATOR)
}

/// It was made long before all that is told of it.
pub(crate) fn old(vm: Guest) -> Guest {
    vm.config("meta", "creation-qemu=8.0.2,ctime=1700000000")
}

/// A machine that runs, with a balloon that reports.
pub(crate) fn vm(guest: Guest, cores: u32, gib: u64) -> Guest {
    old(guest).running().uptime(40 * DAY).size(cores, gib * 1024).load(0.1, 1 << 30).balloon().config("cores", cores)
}

/// One that is far too large, one of whose memory nothing is known, one that works at night, and a container that
/// waits for memory.
fn four(version: &str) -> Cluster {
    let mut lab = lab(version)
        .node_with("pve1", |node| node.size(16, 64 << 30).uptime(400 * DAY))
        .vm(101, "web", |guest| vm(guest, 8, 16))
        .vm(102, "db", |vm| old(vm).running().uptime(40 * DAY).size(4, 8192).load(0.1, 4 << 30).config("cores", 4))
        .vm(103, "transcode", |guest| vm(guest, 8, 8))
        .ct(201, "mail", |ct| ct.running().uptime(40 * DAY).size(2, 2048).load(0.1, 1 << 30));
    set_past(&mut lab, 101, MONTH, (8.0, 16.0), None, |ago| on(if ago % DAY < 600 { 1.8 } else { 0.7 }, 3.1));
    set_past(&mut lab, 102, MONTH, (4.0, 8.0), None, |_| on(0.4, 7.9));
    set_past(
        &mut lab,
        103,
        MONTH,
        (8.0, 8.0),
        None,
        |ago| if ago % DAY < 2 * 3600 { on(8.0, 6.9) } else { on(0.1, 2.0) },
    );
    set_past(&mut lab, 201, MONTH, (2.0, 2.0), None, |_| Minute::On {
        cores: 1.0,
        memory: 1.9 * GIB,
        waits: (0.0, 9.0),
    });
    lab
}

#[test]
fn what_is_too_large_gets_less_and_what_works_at_night_is_left_alone() {
    let sim = Sim::start(four("9.2.11"));
    let env = env_for(&sim, &["pve1"]);
    let report = advise(&env, &[], 0);
    assert_eq!(report["schema"], "ecobox.advise/1");
    says(&report, "pve1-vm-101", "cores", "less", Some(2.0));
    let cores = line(&report, "pve1-vm-101", "cores");
    let command = cores["command"].as_str().unwrap();
    assert!(command.starts_with("ssh ") && command.ends_with(" qm set 101 --cores 2"), "{command}");
    assert_eq!((&cores["from"], &cores["effect"]), (&8.0.into(), &"next-start".into()));
    // 3.1 GiB and 15 % more, in steps of 256 MiB.
    says(&report, "pve1-vm-101", "memory", "less", Some(3.75 * GIB));
    assert_eq!(line(&report, "pve1-vm-101", "memory")["confidence"], "high");
    says(&report, "pve1-vm-102", "memory", "cannot-tell", None);
    because(&report, "pve1-vm-102", "memory", "no balloon statistics");
    for rule in ["cores", "memory"] {
        says(&report, "pve1-vm-103", rule, "keep", None);
    }
    says(&report, "pve1-ct-201", "memory", "more", Some(2.5 * GIB));
    assert_eq!(line(&report, "pve1-ct-201", "memory")["effect"], "at-once");
    // What matters first.
    assert_eq!(report["advice"][0]["id"], "pve1-ct-201");
    // Nothing was changed, and three questions at most stood before the node at any time.
    assert!(sim.requests().iter().all(|request| request.method == "GET"));
    assert!(sim.node("pve1").most_in_flight() <= 3);
}

#[test]
fn the_table_fits_a_terminal_and_folds_what_stays() {
    let sim = Sim::start(four("9.2.11"));
    let env = env_for(&sim, &["pve1"]);
    let table = on_terminal(&env, &["advise"], 80, "C.UTF-8", "/dev/null");
    let rows: Vec<&str> = table.lines().filter(|line| !line.contains("ssh ")).collect();
    assert!(rows.iter().filter(|row| !row.contains("sizes")).all(|row| row.chars().count() <= 80), "{table}");
    insta::assert_snapshot!(without_times(&table));
    let plain = on_terminal(&env, &["advise"], 80, "C", "/dev/null");
    assert!(plain.contains("##......") && !plain.contains('░'), "{plain}");
    // In a pipe nothing is cut; a target shows what stays, too.
    let run = env.run(&["advise", "transcode"]).exits(0);
    insta::assert_snapshot!(without_times(&run.stdout));
    let all = env.run(&["advise", "--all"]).exits(0).stdout;
    assert!(all.contains("transcode") && all.contains("no balloon statistics") && !all.contains("--all"), "{all}");
}

/// Without what is another one in each run.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.replace("root@127.0.0.1", "HOST");
        let mut kept = String::new();
        let mut rest = line.as_str();
        while let Some(place) = rest.find("(20") {
            kept.push_str(&rest[..place]);
            kept.push_str("(WHEN");
            let end = rest[place..].find(['Z', '\u{2026}']).map_or(rest.len(), |end| place + end);
            rest = rest[end..].trim_start_matches('Z');
        }
        words.push(kept + rest);
    }
    words.join("\n")
}

#[test]
fn a_page_and_csv_have_all_of_it() {
    let sim = Sim::start(four("9.2.11"));
    let env = env_for(&sim, &["pve1"]);
    let page = env.run(&["advise", "-o", "html"]).exits(0).stdout;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("qm set 101 --cores 2"), "{page}");
    // 1.8 of 8 cores, as a picture and as a number.
    assert!(
        page.contains(r#"<rect width="22%"/></svg>22%"#) || page.contains(r#"<rect width="23%"/></svg>23%"#),
        "{page}"
    );
    assert!(!page.contains("<script") && page.contains("transcode"), "{page}");
    let csv = env.run(&["advise", "-o", "csv"]).exits(0).stdout;
    assert!(csv.starts_with("name,rule,advice,from,to,used,sure,why,command,effect,area,id\r\n"), "{csv}");
    assert!(csv.contains("web,cores,less,8,2,22.5,high,"), "{csv}");
    let lines = env.run(&["advise", "-o", "jsonl"]).exits(0).stdout;
    assert_eq!(lines.lines().count(), csv.lines().count() - 1);
}

#[test]
fn what_was_changed_already_is_not_said_again() {
    let mut lab =
        lab("9.2.11")
            .node_with("pve1", |node| node.size(16, 64 << 30).uptime(400 * DAY))
            .vm(101, "web", |guest| vm(guest, 8, 16).pending("cores", 2).pending("memory", "8192"));
    set_past(&mut lab, 101, MONTH, (8.0, 16.0), None, |_| on(1.5, 3.1));
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1"]);
    let report = advise(&env, &["vm-101"], 0);
    says(&report, "pve1-vm-101", "cores", "keep", None);
    because(&report, "pve1-vm-101", "cores", "a change to 2 cores waits until it is stopped and started");
    says(&report, "pve1-vm-101", "memory", "less", Some(3.75 * GIB));
    because(&report, "pve1-vm-101", "memory", "a change to 8.0G waits");
}

#[test]
fn a_short_time_tells_nothing() {
    let sim = Sim::start(four("9.2.11"));
    let env = env_for(&sim, &["pve1"]);
    let report = advise(&env, &["vm-101", "--since", "3h"], 0);
    says(&report, "pve1-vm-101", "cores", "cannot-tell", None);
    because(&report, "pve1-vm-101", "cores", "h of history; a week is the least");
    let run = env.run(&["advise", "nobody"]).exits(7);
    assert!(run.stderr.contains("nobody"), "{}", run.stderr);
}
