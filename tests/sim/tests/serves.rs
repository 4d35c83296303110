//! The simulator by itself: what the tests of ecobox rely on.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;
#[path = "serves/fails.rs"]
mod fails;
#[path = "serves/measures.rs"]
mod measures;
#[path = "serves/state.rs"]
mod state;
#[path = "serves/upkeep.rs"]
mod upkeep;
#[path = "serves/wire.rs"]
mod wire;

use common::{Reply, ask};
use ecobox_sim::{Agent, Cluster, Sim};
use serde_json::Value;

const TOKEN: &str = "root@pam!t=0000";

/// Two nodes with guests of several kinds.
fn lab() -> Cluster {
    Cluster::new("homelab")
        .node("pve1")
        .node("pve2")
        .local_storage("local", 100 << 30, 20 << 30)
        .vm(101, "web-01", |vm| vm.on("pve1").running().tags("prod;web").agent_ip("10.99.0.101"))
        .vm(102, "db-01", |vm| vm.on("pve2"))
        .vm(103, "deaf", |vm| vm.on("pve1").running().agent(Agent::Dead).ignores_shutdown())
        .vm(104, "clustered", |vm| vm.on("pve1").ha("stopped").pool("important"))
        .ct(201, "ct-web", |ct| ct.on("pve2").running().agent_ip("10.99.0.201"))
        .root_token("t", "0000")
}

fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    let line = |name: &str, value: &str| if value.is_empty() { String::new() } else { format!("{name}{value}\r\n") };
    let auth = line("Authorization: PVEAPIToken=", token);
    let kind = if body.is_empty() { "" } else { "Content-Type: application/x-www-form-urlencoded\r\n" };
    let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    format!("{method} /api2/json{path} HTTP/1.1\r\nHost: pve1:8006\r\n{auth}{kind}{length}")
}

fn get(sim: &Sim, node: &str, path: &str) -> Reply {
    ask(sim, node, &request("GET", path, TOKEN, ""))
}

fn data(sim: &Sim, node: &str, path: &str) -> Value {
    let reply = get(sim, node, path);
    assert_eq!((reply.status, reply.reason.as_str()), (200, "OK"), "{path}");
    reply.json()["data"].clone()
}

fn post(sim: &Sim, node: &str, path: &str, body: &str) -> Reply {
    ask(sim, node, &request("POST", path, TOKEN, body))
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().expect("a list").iter().filter_map(|row| row["name"].as_str()).collect()
}
