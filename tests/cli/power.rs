//! `ecobox power` on guests: one call, followed to its end, and what is said of it.

use super::fleets::{env_for, homelab};

#[test]
fn a_guest_is_started_and_seen_to_run() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    sim.clear_requests();
    let run = env.run(&["power", "start", "vm-103"]).exits(0);
    println!("{run}");
    for request in sim.requests() {
        println!("{} {}", request.method, request.path);
    }
    let run = env.run(&["power", "start", "vm-103", "-o", "json"]).exits(0);
    println!("{run}");
    let run = env.run(&["power", "start", "9000"]).exits(11);
    println!("{run}");
    let run = env.run(&["power", "start", "9000", "--allow", "template"]).exits(9);
    println!("{run}");
    let run = env.run(&["power", "stop", "vm-103"]).exits(11);
    println!("{run}");
    let run = env.run(&["power", "stop", "vm-103", "--yes"]).exits(0);
    println!("{run}");
    let run = env.run(&["power", "suspend", "ct-201", "--yes"]).exits(11);
    println!("{run}");
    let run = env.run(&["power", "shutdown", "kind=qemu", "--yes", "--dry-run"]);
    println!("{run}");
    let run = env.run(&["power", "reboot", "vm-101", "--yes"]);
    println!("{run}");
    let run = env.run(&["status", "--since", "1h"]);
    println!("{run}");
}
