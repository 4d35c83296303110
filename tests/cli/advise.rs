//! `advise`: what the past of guests and hosts suggests, from what Proxmox VE kept and from the state file.

use ecobox_sim::{Cluster, Guest, Sim};
use serde_json::Value;

use super::advise_history::{GIB, on, set_past};
use super::env::{CANARY, Env};
use super::fleets::{OPERATOR, TOKEN, env_for};

const DAY: u64 = 86_400;

/// The only line about a guest's `cores`, `memory`, ..
fn line<'r>(report: &'r Value, id: &str, rule: &str) -> &'r Value {
    let lines = report["advice"].as_array().unwrap();
    let mut found = lines.iter().filter(|line| line["id"] == id && line["rule"] == rule);
    let line = found.next().unwrap_or_else(|| panic!("nothing on {rule} of {id}: {report:#}"));
    assert!(found.next().is_none(), "twice: {report:#}");
    line
}

fn advise(env: &Env, args: &[&str], exit: i32) -> Value {
    let args: Vec<&str> = ["advise"].iter().chain(args).copied().chain(["-o", "json"]).collect();
    let run = env.run(&args).exits(exit);
    serde_json::from_str(&run.stdout).unwrap()
}

/// It was made long before all that is told of it.
fn old(vm: Guest) -> Guest {
    vm.config("meta", "creation-qemu=8.0.2,ctime=1700000000")
}

/// Two virtual machines that are far too large, and one that works at night.
fn lab(version: &str) -> Cluster {
    let mut lab = Cluster::new("lab")
        .pve(version)
        .token(TOKEN, CANARY, "/", OPERATOR)
        .node_with("pve1", |node| node.size(16, 64 << 30).uptime(400 * DAY))
        .vm(101, "web", |vm| {
            old(vm).running().uptime(40 * DAY).size(8, 16_384).balloon().load(0.1, 4 << 30).config("cores", 8)
        })
        .vm(102, "db", |vm| old(vm).running().uptime(40 * DAY).size(4, 8192).load(0.1, 4 << 30).config("cores", 4))
        .vm(103, "transcode", |vm| {
            old(vm).running().uptime(40 * DAY).size(8, 8192).balloon().load(0.1, 4 << 30).config("cores", 8)
        });
    set_past(&mut lab, 101, (8.0, 16.0), None, |ago| on(if ago % DAY < 600 { 1.8 } else { 0.7 }, 3.1));
    set_past(&mut lab, 102, (4.0, 8.0), None, |_| on(0.4, 7.9));
    set_past(&mut lab, 103, (8.0, 8.0), None, |ago| if ago % DAY < 2 * 3600 { on(8.0, 6.9) } else { on(0.1, 2.0) });
    lab
}

#[test]
fn what_is_too_large_gets_less_and_what_works_at_night_is_left_alone() {
    let sim = Sim::start(lab("9.2.11"));
    let env = env_for(&sim, &["pve1"]);
    let report = advise(&env, &[], 0);
    assert_eq!(report["schema"], "ecobox.advise/1");
    let cores = line(&report, "pve1-vm-101", "cores");
    assert_eq!(
        (&cores["verdict"], &cores["from"], &cores["to"]),
        (&"less".into(), &8.0.into(), &2.0.into()),
        "{cores:#}"
    );
    let command = cores["command"].as_str().unwrap();
    assert!(command.starts_with("ssh ") && command.ends_with(" qm set 101 --cores 2"), "{command}");
    assert_eq!(cores["effect"], "next-start");
    let memory = line(&report, "pve1-vm-101", "memory");
    // 3.1 GiB and 15 % more, in steps of 256 MiB.
    assert_eq!((&memory["verdict"], &memory["to"]), (&"less".into(), &(3.75 * GIB).into()), "{memory:#}");
    assert_eq!(memory["confidence"], "high");
    let memory = line(&report, "pve1-vm-102", "memory");
    assert_eq!(memory["verdict"], "cannot-tell", "{memory:#}");
    assert!(memory["evidence"].as_str().unwrap().starts_with("no balloon statistics"), "{memory:#}");
    for rule in ["cores", "memory"] {
        assert_eq!(line(&report, "pve1-vm-103", rule)["verdict"], "keep", "{report:#}");
    }
    // Nothing was changed, and three questions at most stood before the node at any time.
    assert!(sim.requests().iter().all(|request| request.method == "GET"));
    assert!(sim.node("pve1").most_in_flight() <= 3);
}
