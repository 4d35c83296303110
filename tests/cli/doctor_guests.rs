//! `ecobox doctor`: what is wrong with guests, and services that never answered.

use std::net::TcpListener;

use ecobox_sim::{Agent, Cluster, Guest, Kind, Stats};

use super::doctor::{check, finds, follow};
use super::world::{Pve, World};

/// A node with guests that have run for a day, all of them well.
fn house() -> (World, Pve) {
    let world = World::new();
    let old = |guest: Guest| guest.on("pve1").running().uptime(86_400);
    let cluster = Cluster::new("homelab")
        .node("pve1")
        .vm(101, "web-01", |vm| old(vm).agent_ip("10.99.0.101"))
        .vm(102, "db-01", |vm| old(vm).agent_ip("10.99.0.102"))
        .vm(103, "spare", |vm| vm.on("pve1"))
        .vm(104, "desktop", |vm| vm.on("pve1").hibernated())
        .ct(201, "dns", |ct| old(ct).agent_ip("10.99.0.53"));
    let pve = world.cluster(cluster);
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    for command in ["init", "setup-token", "discover"] {
        drop(world.run(&[command]).exits(0));
    }
    (world, pve)
}

fn change(pve: &Pve, vmid: u32, change: impl FnOnce(Guest) -> Guest) {
    pve.sim.cluster().change_guest(vmid, change);
}

#[test]
fn agents_that_are_silent_or_off() {
    let (world, pve) = house();
    drop(finds(&world, &[]));
    change(&pve, 101, |vm| vm.agent(Agent::Dead));
    let run = finds(&world, &["no-agent pve1-vm-101 warning"]);
    assert_eq!(check(&run, "no-address", Some("pve1-vm-101"))["because"], "no-agent");
    // Only whom the words mean, and the guests of a host with it.
    drop(world.run(&["doctor", "vm-102"]).exits(0));
    for word in ["vm-101", "pve1"] {
        let run = world.run(&["doctor", word]).exits(1);
        assert!(run.stdout.contains("no-agent"), "{run}");
    }
    change(&pve, 101, |vm| vm.agent(Agent::None));
    let run = finds(&world, &["agent-off pve1-vm-101 warning"]);
    let fix = check(&run, "agent-off", Some("pve1-vm-101"))["fix"]["text"].as_str().unwrap().to_owned();
    assert!(fix.contains("`qm set 101 --agent 1`"), "{fix}");
    change(&pve, 101, |vm| vm.agent_ip("10.99.0.101"));
    drop(finds(&world, &[]));
    // Many need none: one that never had any is no finding.
    pve.sim.cluster().add_guest(Kind::Qemu, 105, "appliance", |vm| vm.on("pve1").running().uptime(86_400));
    let run = finds(&world, &[]);
    let found = check(&run, "agent-off", Some("pve1-vm-105"));
    assert_eq!(found["result"], "ok");
    // Its services would be looked for at an address that only an agent tells.
    let web = "[[servers.services]]\nname = \"web\"\nport = 80\ntype = \"http\"\n";
    let entry = "[[servers]]\nid = \"pve1-vm-105\"\nparent_server_id = \"pve1\"\n";
    world.configure(&format!("{}{entry}{web}", pve.entries()));
    drop(world.run(&["discover"]).exits(0));
    let run = finds(&world, &["agent-off pve1-vm-105 warning"]);
    let finding = check(&run, "agent-off", Some("pve1-vm-105"))["finding"].clone();
    let want = "its guest agent is not enabled: nobody knows the address at which its services could be looked for";
    assert_eq!(finding, want);
    world.configure(&format!("{}{entry}hostname = \"127.0.0.1\"\n{web}", pve.entries()));
    drop(finds(&world, &[]));
}

#[test]
fn a_guest_without_an_address() {
    let (world, pve) = house();
    change(&pve, 101, ecobox_sim::Guest::without_addresses);
    change(&pve, 201, ecobox_sim::Guest::without_addresses);
    let run = finds(&world, &["no-address pve1-vm-101 warning", "no-address pve1-ct-201 warning"]);
    let finding = check(&run, "no-address", Some("pve1-ct-201"))["finding"].as_str().unwrap().to_owned();
    assert!(finding.starts_with("its node names no address"), "{finding}");
    change(&pve, 101, |vm| vm.agent_ip("10.99.0.101"));
    change(&pve, 201, |ct| ct.agent_ip("10.99.0.53"));
    drop(finds(&world, &[]));
}

#[test]
fn a_lock_that_was_left_behind() {
    let (world, pve) = house();
    for (vmid, id, command) in [(103, "pve1-vm-103", "qm unlock 103"), (201, "pve1-ct-201", "pct unlock 201")] {
        change(&pve, vmid, |guest| guest.locked("backup"));
        let run = finds(&world, &[&format!("guest-locked {id} problem")]);
        follow(&world.env, &pve, &check(&run, "guest-locked", Some(id)));
        assert_eq!(pve.node("pve1").host.administered(), [command]);
        change(&pve, vmid, ecobox_sim::Guest::unlocked);
        drop(finds(&world, &[]));
    }
    // Who may not see the tasks of others cannot tell.
    change(&pve, 103, |guest| guest.locked("backup"));
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        pve.sim.cluster().access().grant("/nodes/pve1", who, &["VM.Audit"], true);
    }
    let run = world.run(&["doctor", "-o", "json"]);
    assert_eq!(check(&run, "guest-locked", Some("pve1-vm-103"))["result"], "unknown", "{run}");
}

#[test]
fn names_and_numbers_that_are_used_twice() {
    let (world, pve) = house();
    pve.sim.cluster().rename_guest(103, "web-01");
    drop(finds(&world, &["name-twice pve1-vm-103 warning"]));
    pve.sim.cluster().rename_guest(103, "spare");
    drop(finds(&world, &[]));
    let other = world.cluster(Cluster::new("lab").node("lab1").vm(101, "test", |vm| vm.on("lab1")));
    world.configure(&format!("{}{}", pve.entries(), other.entries()));
    world.know_all(&other.nodes);
    for command in ["init", "setup-token", "discover"] {
        drop(world.run(&[command]).exits(0));
    }
    drop(finds(&world, &["number-twice lab1-vm-101 warning"]));
}

#[test]
fn a_port_that_was_mistyped() {
    let world = World::new();
    let nas = world.serve(ecobox_sim::host::Host::debian("nas").build());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let right = listener.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let service = |port: u16| {
        let entry = nas.entry();
        let entry = entry.trim_end();
        format!("{entry}\n[[servers.services]]\nname = \"web\"\nport = {port}\ntype = \"http\"\n")
    };
    world.configure(&service(closed));
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    // Nobody has looked for it yet.
    let run = finds(&world, &[]);
    assert_eq!(check(&run, "service-never-answered", Some("nas"))["result"], "unknown");
    drop(world.run(&["status"]));
    let run = finds(&world, &["service-never-answered nas warning"]);
    let found = check(&run, "service-never-answered", Some("nas"));
    let finding = found["finding"].as_str().unwrap();
    assert!(finding.starts_with(&format!("web at port {closed} has not answered once since 20")), "{finding}");
    world.configure(&service(right));
    drop(finds(&world, &[]));
    // One that answered once is no typing error.
    drop(world.run(&["status"]).exits(0));
    drop(listener);
    drop(finds(&world, &[]));
}

#[test]
fn a_node_that_tells_nothing() {
    let (world, pve) = house();
    pve.sim.cluster().set_stats("pve1", Stats::None);
    let run = finds(&world, &["guest-stale pve1-vm-101 warning"]);
    assert_eq!(check(&run, "guest-stale", Some("pve1-ct-201"))["because"], "guest-stale");
    // Where the reason was found it is the only finding.
    pve.node("pve1").host.set_service("pvestatd", "failed");
    let run = finds(&world, &["pvestatd-down pve1 problem"]);
    assert_eq!(check(&run, "guest-stale", Some("pve1-vm-101"))["because"], "pvestatd-down");
    follow(&world.env, &pve, &check(&run, "pvestatd-down", Some("pve1")));
    pve.sim.cluster().set_stats("pve1", Stats::Fresh);
    drop(finds(&world, &[]));
}
