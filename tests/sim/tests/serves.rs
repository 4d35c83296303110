//! The simulator by itself: what tests of ecobox rely on.

mod common;

use common::{Reply, get, post};
use ecobox_sim::{Cluster, Sim};

const TOKEN: &str = "root@pam!t=0000";

fn lab() -> Cluster {
    Cluster::new("homelab")
        .node("pve1")
        .node("pve2")
        .local_storage("local", 100 << 30, 20 << 30)
        .vm(101, "web-01", |vm| vm.on("pve1").running().tags("prod;web").agent_ip("10.99.0.101"))
        .vm(102, "db-01", |vm| vm.on("pve2"))
        .ct(201, "ct-web", |ct| ct.on("pve2").running().agent_ip("10.99.0.201"))
        .root_token("t", "0000")
}

fn names(reply: &Reply) -> Vec<String> {
    let data = reply.data();
    let rows = data.as_array().expect("a list").iter();
    rows.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn answers_over_verified_tls() {
    let sim = Sim::start(lab());
    let version = get(&sim, "pve1", TOKEN, "/version");
    assert_eq!((version.status, version.reason.as_str()), (200, "OK"));
    assert_eq!(version.data()["version"], "9.2.11");
    assert_eq!(names(&get(&sim, "pve2", TOKEN, "/cluster/resources?type=vm")), ["web-01", "db-01", "ct-web"]);
    assert_eq!(sim.node("pve2").count("resources"), 1);
}

#[test]
fn proxies_to_other_nodes_until_they_are_gone() {
    let sim = Sim::start(lab());
    let path = "/nodes/pve2/lxc/201/interfaces";
    assert_eq!(get(&sim, "pve1", TOKEN, path).data()[1]["inet"], "10.99.0.201/24");
    sim.node("pve2").stop();
    let gone = get(&sim, "pve1", TOKEN, path);
    assert_eq!((gone.status, gone.reason.as_str(), gone.body.as_str()), (595, "No route to host", ""));
    assert!(common::connect(&sim, "pve2").is_err(), "nothing listens");
    let rows = get(&sim, "pve1", TOKEN, "/cluster/resources?type=vm");
    assert_eq!(names(&rows).len(), 3, "its last numbers stay for a while");
    sim.cluster().expire_stats("pve2");
    let rows = get(&sim, "pve1", TOKEN, "/cluster/resources?type=vm");
    assert_eq!(names(&rows), ["web-01"]);
    assert_eq!(rows.data()[2]["status"], "unknown");
    sim.node("pve2").start();
    assert_eq!(get(&sim, "pve2", TOKEN, "/version").status, 200);
}

#[test]
fn a_task_tells_its_end() {
    let mut cluster = lab();
    cluster.clock.freeze();
    let sim = Sim::start(cluster);
    let started = post(&sim, "pve1", TOKEN, "/nodes/pve2/qemu/102/status/start", "");
    let upid = started.data().as_str().expect("a UPID").to_owned();
    let path = format!("/nodes/pve2/tasks/{upid}/status");
    assert_eq!(get(&sim, "pve1", TOKEN, &path).data()["status"], "running");
    sim.cluster().clock.advance(std::time::Duration::from_secs(1));
    let ended = get(&sim, "pve1", TOKEN, &path).data();
    assert_eq!((&ended["status"], &ended["exitstatus"]), (&"stopped".into(), &"OK".into()));
    let again = post(&sim, "pve2", TOKEN, "/nodes/pve2/qemu/102/status/start", "");
    let path = format!("/nodes/pve2/tasks/{}/status", again.data().as_str().expect("a UPID"));
    assert_eq!(get(&sim, "pve1", TOKEN, &path).data()["exitstatus"], "VM 102 already running");
}

#[test]
fn refuses_wrong_tokens() {
    let sim = Sim::start(lab());
    for (token, reason) in [("", "No ticket"), ("root@pam!t=wrong", "Authentication failed!")] {
        let reply = get(&sim, "pve1", token, "/version");
        assert_eq!((reply.status, reply.reason.as_str(), reply.body.as_str()), (401, reason, ""));
    }
}
