//! Guests, tasks, nodes and privileges change as they do in a cluster.

use std::time::Duration;

use ecobox_sim::{Cluster, Sim};

use crate::common::ask;
use crate::{data, get, lab, names, post, request};

const ALL: [&str; 5] = ["web-01", "db-01", "deaf", "clustered", "ct-web"];

/// Starts the lab with a clock that only moves when told to, in PVE's own seconds.
pub(crate) fn stopped_clock() -> Sim {
    let mut cluster = lab().real_time();
    cluster.clock.freeze();
    cluster.timing.no_route = 0.0;
    // These tests look at what is true now, not at what the last broadcast said.
    cluster.timing.broadcast = Duration::ZERO;
    Sim::start(cluster)
}

pub(crate) fn pass(sim: &Sim, seconds: u64) {
    sim.cluster().clock.advance(Duration::from_secs(seconds));
}

/// Posts an action to a guest of `pve1` and gives the path of its task.
pub(crate) fn act(sim: &Sim, guest: &str, action: &str, body: &str) -> String {
    let reply = post(sim, "pve1", &format!("/nodes/pve1/{guest}/status/{action}"), body).json();
    format!("/nodes/pve1/tasks/{}", reply["data"].as_str().expect("a UPID"))
}

fn exit_status(sim: &Sim, task: &str) -> Option<String> {
    data(sim, "pve1", &format!("{task}/status"))["exitstatus"].as_str().map(str::to_owned)
}

#[test]
fn lists_everything_at_every_node() {
    let sim = Sim::start(lab());
    for node in ["pve1", "pve2"] {
        assert_eq!(names(&data(&sim, node, "/cluster/resources?type=vm")), ALL);
    }
    assert_eq!(data(&sim, "pve1", "/version")["version"], "9.2.11");
    let status = data(&sim, "pve2", "/cluster/status");
    assert_eq!((&status[0]["name"], &status[0]["quorate"]), (&"homelab".into(), &1.into()));
    assert_eq!((&status[1]["local"], &status[2]["local"]), (&0.into(), &1.into()));
    assert_eq!(sim.node("pve2").calls()["GET /cluster/resources"], 1);
    assert_eq!((sim.node("pve1").connections(), sim.node("pve1").most_in_flight()), (2, 1));
}

#[test]
fn a_node_that_is_gone_is_noticed_bit_by_bit() {
    let sim = stopped_clock();
    let path = "/nodes/pve2/lxc/201/interfaces";
    assert_eq!(data(&sim, "pve1", path)[1]["inet"], "10.99.0.201/24");
    sim.node("pve2").stop();
    let gone = get(&sim, "pve1", path);
    assert_eq!((gone.status, gone.reason.as_str(), gone.body.as_str()), (595, "No route to host", ""));
    assert!(std::net::TcpStream::connect(sim.node("pve2").address()).is_err(), "nothing listens");
    assert_eq!(names(&data(&sim, "pve1", "/cluster/resources?type=vm")), ALL, "its last numbers stay");
    sim.cluster().expire_stats("pve2");
    let rows = data(&sim, "pve1", "/cluster/resources?type=vm");
    assert_eq!(names(&rows), ["web-01", "deaf", "clustered"]);
    assert_eq!(
        rows[1],
        serde_json::json!({
            "id": "qemu/102", "vmid": 102, "type": "qemu", "node": "pve2", "status": "unknown"
        })
    );
    sim.node("pve2").start();
    assert_eq!(data(&sim, "pve2", "/nodes")[1]["status"], "online");
}

#[test]
fn guests_move_vanish_and_appear() {
    let sim = Sim::start(lab());
    {
        let mut cluster = sim.cluster();
        cluster.migrate_guest(101, "pve2");
        cluster.rename_guest(102, "db-02");
        cluster.remove_guest(103);
        cluster.add_guest(ecobox_sim::Kind::Qemu, 105, "", ecobox_sim::Guest::paused);
    }
    let rows = data(&sim, "pve1", "/cluster/resources?type=vm");
    assert_eq!(names(&rows), ["web-01", "db-02", "clustered", "VM 105", "ct-web"]);
    assert_eq!((&rows[0]["node"], &rows[3]["status"]), (&"pve2".into(), &"paused".into()));
    let moved = get(&sim, "pve1", "/nodes/pve1/qemu/101/status/current");
    assert_eq!(moved.reason, "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist");
    assert_eq!(data(&sim, "pve1", "/nodes/pve1/qemu/105/status/current")["status"], "running");
}

#[test]
fn only_the_end_of_a_task_tells_what_became_of_it() {
    let sim = stopped_clock();
    let stop = act(&sim, "qemu/101", "stop", "");
    assert_eq!(exit_status(&sim, &stop), None);
    pass(&sim, 1);
    assert_eq!(exit_status(&sim, &stop).as_deref(), Some("OK"));
    let shutdown = act(&sim, "qemu/103", "shutdown", "timeout=30");
    let impatient = act(&sim, "qemu/103", "stop", "");
    pass(&sim, 11);
    let lock = "can't lock file '/var/lock/qemu-server/lock-103.conf' - got timeout";
    assert_eq!(exit_status(&sim, &impatient).as_deref(), Some(lock));
    pass(&sim, 30);
    assert_eq!(exit_status(&sim, &shutdown).as_deref(), Some("VM quit/powerdown failed - got timeout"));
    assert_eq!(sim.cluster().guest(103).unwrap().3, "running");
}

#[test]
fn the_ha_manager_acts_after_its_task_has_ended() {
    let sim = stopped_clock();
    let task = act(&sim, "qemu/104", "start", "");
    assert!(task.contains(":hastart:104:"));
    pass(&sim, 1);
    assert_eq!(exit_status(&sim, &task).as_deref(), Some("OK"));
    assert_eq!(sim.cluster().guest(104).unwrap().3, "stopped");
    pass(&sim, 10);
    assert_eq!(sim.cluster().guest(104).unwrap().3, "running");
}

#[test]
fn without_quorum_nothing_starts() {
    let sim = Sim::start(lab());
    sim.cluster().set_quorate(false);
    let refused = post(&sim, "pve1", "/nodes/pve2/qemu/102/status/start", "");
    assert_eq!((refused.status, refused.reason.as_str()), (500, "cluster not ready - no quorum?"));
}

#[test]
fn a_token_sees_what_it_may() {
    let cluster = lab().token("a@pve!nothing", "1", "/", &[]).token("b@pve!one", "2", "/vms/101", &["VM.Audit"]).token(
        "c@pve!pool",
        "3",
        "/pool/important",
        &["VM.Audit"],
    );
    let sim = Sim::start(cluster);
    let seen = |token: &str| {
        let rows = ask(&sim, "pve1", &request("GET", "/cluster/resources?type=vm", token, "")).json();
        names(&rows["data"]).join(" ")
    };
    assert_eq!(seen("a@pve!nothing=1"), "");
    assert_eq!(seen("b@pve!one=2"), "web-01");
    assert_eq!(seen("c@pve!pool=3"), "clustered");
    let start = request("POST", "/nodes/pve1/qemu/101/status/start", "b@pve!one=2", "");
    assert_eq!(ask(&sim, "pve1", &start).reason, "Permission check failed (/vms/101, VM.PowerMgmt)");
}

#[test]
fn older_versions_answer_in_their_own_way() {
    let old = |version: &str| {
        let cluster = Cluster::new("old").pve(version).node("pve1").root_token("t", "0000");
        Sim::start(cluster.vm(101, "a", ecobox_sim::Guest::running).ct(201, "b", ecobox_sim::Guest::running))
    };
    let reason = |sim: &Sim, token: &str| ask(sim, "pve1", &request("GET", "/version", token, "")).reason;
    let (seven, eight) = (old("7.4-3"), old("8.4.1"));
    assert_eq!(data(&seven, "pve1", "/version")["version"], "7.4-3");
    assert_eq!(get(&seven, "pve1", "/nope").body, r#"{"data":null}"#);
    assert_eq!(get(&eight, "pve1", "/nope").json()["message"], "Method 'GET /nope' not implemented");
    assert_eq!(reason(&eight, "root@pam!t=x"), "invalid token value!");
    assert_eq!(reason(&eight, "root@pam!u=x"), "no such token 'u' for user 'root@pam'");
    assert_eq!(reason(&eight, "x@pam!u=x"), "no such user ('x@pam')");
    assert_eq!(get(&seven, "pve1", "/nodes/pve1/lxc/201/interfaces").status, 501);
    let row = data(&eight, "pve1", "/cluster/resources?type=vm")[0].clone();
    assert!(row.get("memhost").is_none(), "{row}");
}

#[test]
fn the_demo_starts() {
    let sim = Sim::start(Cluster::demo().root_token("t", "0000"));
    let rows = data(&sim, "pve1", "/cluster/resources?type=vm");
    assert_eq!((rows.as_array().unwrap().len(), names(&rows).len()), (11, 10), "one guest is on the node that is off");
}

#[test]
fn a_node_goes_down_and_wakes_by_the_api() {
    let mut cluster = lab().node_with("pve3", |node| node.wakeonlan("BC:24:11:00:00:03").offline());
    cluster.timing.node_boot = 1.0;
    let sim = Sim::start(cluster);
    assert_eq!(post(&sim, "pve1", "/nodes/pve3/wakeonlan", "").json()["data"], "BC:24:11:00:00:03");
    let online = || sim.cluster().is_online("pve3");
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while !online() && std::time::Instant::now() < patience {
        std::thread::yield_now();
    }
    assert!(online());
}

#[test]
fn things_happen_between_two_requests() {
    let sim = stopped_clock();
    sim.cluster().before("POST", "/status/start", |cluster| cluster.migrate_guest(102, "pve1"));
    sim.cluster().after("GET", "/qemu/101/config", |cluster| {
        cluster.replace_guest(101, ecobox_sim::Kind::Qemu, "another", |vm| {
            vm.uuid("11111111-0000-4000-8000-000000000000")
        });
    });
    let task = act(&sim, "qemu/102", "start", "");
    pass(&sim, 1);
    assert!(exit_status(&sim, &task).is_some());
    assert_eq!(sim.cluster().guest(102).unwrap().2, "pve1");
    assert_eq!(data(&sim, "pve1", "/nodes/pve1/qemu/101/config")["name"], "web-01");
    assert_eq!(data(&sim, "pve1", "/nodes/pve1/qemu/101/config")["name"], "another");
    assert_eq!(sim.posts().len(), 1, "{:?}", sim.posts());
}

#[test]
fn tasks_end_in_every_way() {
    let sim = stopped_clock();
    sim.cluster().change_guest(102, |vm| vm.warns(2).on("pve1"));
    let warned = act(&sim, "qemu/102", "start", "");
    let ended = act(&sim, "qemu/103", "shutdown", "timeout=30&forceStop=0");
    sim.cluster().end_tasks(103, "unexpected status");
    pass(&sim, 1);
    assert_eq!(exit_status(&sim, &warned).as_deref(), Some("WARNINGS: 2"));
    assert_eq!(exit_status(&sim, &ended).as_deref(), Some("unexpected status"));
    sim.cluster().keep_ended_tasks_active(true);
    assert_eq!(data(&sim, "pve1", "/nodes/pve1/tasks?source=active").as_array().unwrap().len(), 2);
    sim.cluster().keep_ended_tasks_active(false);
    sim.cluster().lose_task_logs(103);
    let gone = get(&sim, "pve1", &format!("{ended}/status")).json();
    assert_eq!(gone["errors"]["upid"], "no such task");
    sim.cluster().hold_lock(101, true);
    let waits = act(&sim, "qemu/101", "stop", "");
    pass(&sim, 11);
    let lock = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    assert_eq!(exit_status(&sim, &waits).as_deref(), Some(lock));
    assert_eq!(sim.posts()[1], "/nodes/pve1/qemu/103/status/shutdown timeout=30&forceStop=0");
}

#[test]
fn ha_ignores_errs_and_does_not_hibernate() {
    let sim = stopped_clock();
    sim.cluster().change_guest(104, |vm| vm.running());
    let refused = post(&sim, "pve1", "/nodes/pve1/qemu/104/status/suspend", "todisk=1");
    assert_eq!((refused.status, refused.reason.as_str()), (500, "Cannot suspend HA managed VM to disk"));
    sim.cluster().change_guest(104, |vm| vm.stopped().ha("error"));
    act(&sim, "qemu/104", "start", "");
    pass(&sim, 30);
    assert_eq!(sim.cluster().guest(104).unwrap().3, "stopped");
    sim.cluster().change_guest(104, |vm| vm.ha("ignored"));
    assert!(act(&sim, "qemu/104", "start", "").contains(":qmstart:104:"));
    sim.cluster().change_guest(101, |vm| vm.config("hostpci0", "0000:01:00.0"));
    let refused = post(&sim, "pve1", "/nodes/pve1/qemu/101/status/suspend", "todisk=1");
    assert!(refused.reason.starts_with("cannot suspend VM to disk due to passed-through PCI device"), "{refused:?}");
}
