//! `advise` on hosts: what their guests used together, and whether one could sleep.

use ecobox_sim::{Cluster, Guest, Sim};

use super::advise::{DAY, advise, because, lab, line, says, vm};
use super::advise_history::{MONTH, on, set_past};
use super::fleets::env_for;

/// Three nodes; the guests of pve3 are on a storage that all share.
fn cluster(nodes: &[&str], change: impl Fn(Guest) -> Guest) -> Cluster {
    let mut lab = lab("9.2.11");
    for node in nodes {
        lab = lab.node_with(node, |node| node.size(8, 32 << 30).load(0.2, 6 << 30).uptime(400 * DAY));
    }
    let last = nodes[nodes.len() - 1];
    let disk = |vm: Guest, number: u32| {
        vm.disk(0, 0).config("scsi0", format!("nfs:{number}/vm-{number}-disk-0.qcow2,size=32G"))
    };
    let mut lab = lab
        .vm(101, "web", |guest| disk(vm(guest, 4, 8), 101).on("pve1"))
        .vm(103, "build", |guest| change(disk(vm(guest, 4, 8), 103).on(last)));
    lab.storage_of_all("nfs", "nfs", 1 << 40, 1 << 38);
    set_past(&mut lab, 101, MONTH, (4.0, 8.0), None, |ago| on(if ago % DAY < 3600 { 3.0 } else { 1.0 }, 6.0));
    set_past(&mut lab, 103, MONTH, (4.0, 8.0), None, |_| on(1.5, 5.0));
    lab
}

#[test]
fn a_host_whose_guests_fit_elsewhere_could_sleep() {
    let nodes = ["pve1", "pve2", "pve3"];
    let sim = Sim::start(cluster(&nodes, |vm| vm));
    let env = env_for(&sim, &nodes);
    let report = advise(&env, &["pve3"], 0);
    says(&report, "pve3", "sleep", "can-sleep", None);
    because(&report, "pve3", "sleep", "pve3-vm-103 to pve");
    // It was never visited.
    because(&report, "pve3", "sleep", "whether it can sleep and be woken is not known");
    assert_eq!(line(&report, "pve3", "sleep")["command"], "ecobox power suspend pve3 --guests migrate");
    // Only what was asked for is said.
    assert!(report["advice"].as_array().unwrap().iter().all(|line| line["id"] == "pve3"), "{report:#}");
}

#[test]
fn what_keeps_a_host_awake_is_said() {
    let nodes = ["pve1", "pve2", "pve3"];
    let says_of = |nodes: &[&str], change: fn(Guest) -> Guest| {
        let sim = Sim::start(cluster(nodes, change));
        let env = env_for(&sim, nodes);
        let last = nodes[nodes.len() - 1];
        let report = advise(&env, &[last], 0);
        let found = line(&report, last, "sleep");
        (found["verdict"].as_str().unwrap().to_owned(), found["evidence"].as_str().unwrap().to_owned())
    };
    for (nodes, change, why) in [
        (&nodes[..2], (|vm| vm) as fn(Guest) -> Guest, "its cluster would lose quorum with 1 of 2 nodes online"),
        (&nodes, |vm| vm.config("hostpci0", "0000:01:00.0"), "pve3-vm-103 uses hostpci0 of it"),
        (
            &nodes,
            |vm| vm.config("scsi0", "local:103/vm-103-disk-0.raw,size=32G"),
            "disks of pve3-vm-103 are on its local storage local",
        ),
        (&nodes, |vm| vm.size(4, 64 * 1024).config("balloon", 0), "pve3-vm-103 fits on no other node"),
    ] {
        let (verdict, evidence) = says_of(nodes, change);
        assert!(verdict == "cannot-sleep" && evidence.contains(why), "{why}: {verdict} {evidence}");
    }
    // A guest that nobody knows for a week may need anything.
    let made = |vm: Guest| vm.config("meta", "creation-qemu=10.0.2,ctime=1999999999");
    assert_eq!(says_of(&nodes, made).0, "cannot-tell");
    // A host that is alone has nowhere to send its guests.
    let sim = Sim::start(cluster(&nodes[..1], |vm| vm));
    let env = env_for(&sim, &nodes[..1]);
    assert!(!advise(&env, &[], 0)["advice"].to_string().contains("\"sleep\""));
}

#[test]
fn hosts_are_judged_by_what_their_guests_used_together() {
    let mut lab = lab("9.2.11")
        .node_with("pve1", |node| node.size(32, 128 << 30).uptime(400 * DAY))
        .node_with("pve2", |node| node.size(16, 16 << 30).uptime(400 * DAY))
        .vm(101, "web", |guest| vm(guest, 4, 8).on("pve1"))
        .vm(102, "day", |guest| vm(guest, 4, 16).on("pve2"))
        .vm(103, "night", |guest| vm(guest, 4, 16).on("pve2"));
    let work = |begin: u64| move |ago: u64| if (ago + begin) % DAY < DAY / 4 { on(3.0, 12.0) } else { on(0.5, 2.0) };
    set_past(&mut lab, 101, MONTH, (4.0, 8.0), None, |_| on(1.0, 6.0));
    set_past(&mut lab, 102, MONTH, (4.0, 16.0), None, work(0));
    set_past(&mut lab, 103, MONTH, (4.0, 16.0), None, work(DAY / 2));
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1", "pve2"]);
    let report = advise(&env, &[], 0);
    says(&report, "pve1", "oversized", "review", None);
    because(&report, "pve1", "oversized", "at most 1.0 of 32 CPUs and 6.0G of 128G together");
    // One works by day, the other one at night: together they never used what both use at most.
    says(&report, "pve2", "overcommit", "review", None);
    because(&report, "pve2", "overcommit", "used 24G when each used most, of 16G that it has; together 14G so far");
    assert_eq!(line(&report, "pve2", "overcommit")["confidence"], "low");
}
