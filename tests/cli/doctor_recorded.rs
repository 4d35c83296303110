//! `ecobox doctor` on the answers of a real Proxmox VE 9.2: what is well there is no finding.

use std::path::Path;

use ecobox_sim::{Fault, Guest, Sim};
use serde_json::Value;

use super::doctor::{check, finds_with};
use super::fleets::{cluster, env_for};

/// The requests that have to be answered as recorded.
const ASKED: [&str; 6] = [
    "/version",
    "/access/permissions",
    "/nodes",
    "/cluster/resources",
    "/nodes/pve1/qemu/101/status/current",
    "/nodes/pve1/qemu/101/agent/network-get-interfaces",
];

/// What was read on the recorded host, by what was asked for.
fn recorded() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pve-9.2/read.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let good = lines.filter(|one| one["method"] == "GET" && one["status"] == 200);
    good.filter_map(|one| {
        let path = one["url"].as_str()?.strip_prefix("/api2/json")?.to_owned();
        Some((path, one["reply"].to_string()))
    })
    .collect()
}

#[test]
fn a_real_host_has_no_wrong_finding() {
    let sim = Sim::start(
        cluster("recorded")
            .node("pve1")
            .vm(101, "web-01", |vm| vm.running().agent_ip("192.0.2.101").uptime(2000))
            .vm(104, "locked-backup", |vm| vm.stopped().locked("backup"))
            .vm(106, "hibernated", Guest::hibernated),
    );
    let recorded = recorded();
    for path in ASKED {
        assert!(recorded.iter().any(|(known, _)| known == path), "{path} is not recorded");
    }
    for (path, reply) in &recorded {
        sim.node("pve1").fail_on(Some("GET"), Some(&format!("{path}$")), None, Fault::Json(reply.clone()));
    }
    let env = env_for(&sim, &["pve1"]);
    drop(env.run(&["discover"]).exits(0));
    sim.clear_requests();
    // Its lock was left there for the recording: no task works on it.
    let run = finds_with(&env, &[], &["guest-locked pve1-vm-104 problem"]);
    let asked = sim.requests();
    for path in ASKED {
        assert!(asked.iter().any(|one| one.path.ends_with(path)), "{path} was not asked for");
    }
    for id in ["privilege-missing", "storage-unavailable", "storage-full", "token-expiring", "quorum-lost", "node-lost"]
    {
        assert_eq!(check(&run, id, Some("pve1"))["result"], "ok", "{run}");
    }
    for (id, guest) in [("no-agent", "pve1-vm-101"), ("no-address", "pve1-vm-101"), ("guest-locked", "pve1-vm-106")] {
        assert_eq!(check(&run, id, Some(guest))["result"], "ok", "{run}");
    }
}
