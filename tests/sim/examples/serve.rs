//! A simulated cluster of any size, for the benchmark (`tests/bench/run.py`) and to try things on by hand.
//!
//! Prints one line of JSON with what a client needs, then obeys lines on stdin: `stats` prints one line of JSON about the
//! requests since the last `reset`, `hang NODE` makes a node accept connections and say nothing, `flip VMID` starts a guest
//! that is off and stops one that runs (seen only with `--live`). At the end of stdin it stops.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool: it prints and may give up"
)]

use std::io::BufRead as _;
use std::time::Duration;

use ecobox_sim::{Agent, Cluster, Fault, Guest, Sim};
use serde_json::json;

/// What stands in every test's token.
const TOKEN: &str = "ecobox@pve!bench";
const SECRET: &str = "00000000-0000-4000-8000-000000000000";
const PRIVILEGES: &[&str] = &["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit", "VM.PowerMgmt"];

/// Four in five guests are VMs, the others containers; every `off`th is off (0: none). With `dead` every 20th VM has an agent that
/// does not answer. What they move grows with their number; it is seen to grow only with `live`.
fn cluster(nodes: u32, guests: u32, off: u32, dead: bool) -> Cluster {
    let mut cluster = (1..=nodes).fold(Cluster::new("bench"), |cluster, n| cluster.node(&format!("pve{n}")));
    for i in 0..guests {
        let (vmid, node) = (100 + i, format!("pve{}", i % nodes + 1));
        let (name, ip) = (format!("guest-{vmid}"), format!("10.{}.{}.{}", 1 + i / 62_500, i / 250 % 250, i % 250 + 1));
        let off = off > 0 && i % off == off - 1;
        if i % 5 == 4 {
            cluster = cluster.ct(vmid, &name, |ct| {
                let ct = ct.on(&node).agent_ip(&ip).tags("bench");
                if off { ct } else { moving(ct.running(), i) }
            });
        } else {
            cluster = cluster.vm(vmid, &name, |vm| {
                let vm = vm.on(&node).agent_ip(&ip).tags("bench;vm");
                let vm = if dead && i % 20 == 0 { vm.agent(Agent::Dead) } else { vm };
                if off { vm } else { moving(vm.running(), i) }
            });
        }
    }
    cluster.token(TOKEN, SECRET, "/", PRIVILEGES)
}

fn moving(guest: Guest, i: u32) -> Guest {
    let i = u64::from(i);
    guest.traffic(i << 20, i << 18).disk_io(i << 24, i << 22).rates(i * 100, i * 50, i * 10, i * 20)
}

fn flip(sim: &Sim, vmid: u32) {
    let mut cluster = sim.cluster();
    if cluster.guest(vmid).is_some_and(|(_, _, _, state)| state == "running") {
        cluster.crash_guest(vmid);
    } else {
        cluster.change_guest(vmid, Guest::running);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, otherwise: u32| value(name).map_or(otherwise, |text| text.parse().unwrap());
    if args.iter().any(|arg| arg == "--help") {
        eprintln!("serve [--nodes N] [--guests N] [--latency-ms N] [--off N] [--dead-agents 1] [--live 1]");
        return;
    }
    let (nodes, guests) = (number("--nodes", 3), number("--guests", 300));
    let cluster = cluster(nodes, guests, number("--off", 8), number("--dead-agents", 0) > 0).real_time();
    // Answers that are made once cost a client's measurement nothing, and their counters stand still.
    let sim = Sim::start(if number("--live", 0) > 0 { cluster } else { cluster.ready_made() });
    let names: Vec<String> = (1..=nodes).map(|n| format!("pve{n}")).collect();
    let latency = Duration::from_millis(number("--latency-ms", 0).into());
    for name in &names {
        if !latency.is_zero() {
            sim.node(name).fail(Fault::Delay(latency));
        }
    }
    let described = names.iter().map(|name| {
        let node = sim.node(name);
        json!({ "name": name, "port": node.port(), "fingerprint": node.fingerprint() })
    });
    let nodes: Vec<_> = described.collect();
    println!("{}", json!({ "nodes": nodes, "token": format!("{TOKEN}={SECRET}"), "ca": sim.ca_pem() }));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.trim() {
            "reset" => sim.clear_requests(),
            "stats" => {
                let connections: usize = names.iter().map(|name| sim.node(name).connections()).sum();
                let at_once = names.iter().map(|name| sim.node(name).most_in_flight()).max();
                let calls = sim.requests().len();
                println!("{}", json!({ "calls": calls, "connections": connections, "at_once": at_once }));
            }
            order if order.starts_with("flip ") => flip(&sim, order[5..].trim().parse().unwrap()),
            order if order.starts_with("hang ") => sim.node(&order[5..]).fail(Fault::HangAtTls),
            other => eprintln!("serve: unknown order {other:?}"),
        }
    }
}
