//! `ecobox status` against simulated clusters.

use ecobox_sim::{Cluster, Sim};

use super::env::{CANARY, Env};

const AUDIT: &[&str] = &["VM.Audit", "Sys.Audit", "Datastore.Audit", "VM.GuestAgent.Audit", "VM.PowerMgmt"];

/// One node with a few guests, and a world whose configuration reaches it by the API alone.
fn homelab() -> (Sim, Env) {
    let cluster = Cluster::new("homelab")
        .node("pve1")
        .vm(101, "web-01", |vm| vm.on("pve1").running().tags("prod;web").agent_ip("10.99.0.101"))
        .vm(105, "desktop", |vm| vm.on("pve1").paused())
        .vm(106, "asleep", |vm| vm.on("pve1").hibernated())
        .vm(9000, "template", |vm| vm.on("pve1").template())
        .ct(201, "ct-web", |ct| ct.on("pve1"))
        .token("ecobox@pve!test", CANARY, "/", AUDIT);
    let sim = Sim::start(cluster);
    let mut env = Env::new();
    let (port, fingerprint) = (sim.node("pve1").port(), sim.node("pve1").fingerprint());
    env.config(&format!(
        "[[servers]]\nid = \"pve1\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\napi_port = {port}\nfingerprint = \"{fingerprint}\"\n"
    ));
    env.replace(port, "PORT");
    (sim, env)
}

fn token() -> [(&'static str, String); 1] {
    [("ECOBOX_TOKEN_PVE1", format!("ecobox@pve!test={CANARY}"))]
}

#[test]
fn one_request_shows_a_whole_cluster() {
    let (sim, env) = homelab();
    let [(name, value)] = token();
    let run = env.run_with(&["status", "-o", "json"], &[(name, &value)]).exits(0);
    let report = run.json();
    assert_eq!(report["schema"], "ecobox.status/1");
    let states: Vec<_> = report["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["id"].as_str().unwrap(), s["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("pve1", "online"),
            ("pve1-vm-101", "running"),
            ("pve1-vm-105", "paused"),
            ("pve1-vm-106", "hibernated"),
            ("pve1-ct-201", "stopped"),
        ]
    );
    assert_eq!(sim.requests().len(), 1, "{:?}", sim.requests());
    assert_eq!(sim.node("pve1").connections(), 1);
}
