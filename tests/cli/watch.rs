//! `ecobox watch` as a stream: a snapshot, then what changes; and how it ends.

use std::time::Duration;

use ecobox_sim::Fault;
use ecobox_sim::host::Host;
use ecobox_sim::ssh::SshFault;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::env::Env;
use super::fleets::{CLOSED, Open, api, full_token, homelab, plain, three, variable};
use super::watching::{FAST, fast, states, watch};
use super::world::{World, until};

#[test]
fn a_cluster_that_is_not_whole_is_told_as_it_happens() {
    let sim = three();
    let env = fast(&sim, &["pve1", "pve2"]);
    let mut watching = watch(&env, &[]);
    assert_eq!(watching.snapshot()["failures"], json!([]));
    let mut guest = watch(&env, &["vm-101"]);
    assert_eq!(guest.snapshot()["failures"], json!([]));
    sim.cluster().set_quorate(false);
    sim.node("pve3").stop();
    // Which comes first depends on when it was looked.
    let mut told: Vec<String> = (0..3).map(|_| watching.short()).collect();
    told.sort_unstable();
    let want = ["failure pve1 no-quorum", "failure pve1 node-offline", "state pve1-vm-103 stopped unknown"];
    assert_eq!(told, want);
    // Quorum concerns who is elsewhere, too.
    assert_eq!(guest.short(), "failure pve1 no-quorum");
    sim.node("pve3").start();
    sim.cluster().set_quorate(true);
    let mut told: Vec<String> = (0..2).map(|_| watching.short()).collect();
    told.sort_unstable();
    assert_eq!(told, ["recovered pve1", "state pve1-vm-103 unknown stopped"]);
}

#[test]
fn a_snapshot_and_then_what_changes() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut watching = watch(&env, &[]);
    let snapshot = watching.snapshot();
    let running =
        ["pve1 online", "pve1-vm-101 running", "pve1-vm-102 running", "pve1-vm-103 stopped", "pve1-ct-201 running"];
    assert_eq!(states(&snapshot), running);
    assert_eq!(snapshot["failures"], json!([]));
    // The fields are those of `status`.
    let status = env.run(&["status", "-o", "json"]).exits(0);
    let fields = |server: &Value| server.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&snapshot["servers"][1]), fields(&status.server("pve1-vm-101")));

    sim.cluster().change_guest(103, ecobox_sim::Guest::running);
    let line = watching.line();
    assert_eq!(line["server"]["state"], "running");
    assert_eq!(line["server"]["name"], "web-03");
    let fields: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["at", "event", "from", "id", "server", "to"]);
    sim.cluster().crash_guest(101);
    assert_eq!(watching.short(), "state pve1-vm-101 running stopped");
    sim.cluster().remove_guest(102);
    assert_eq!(watching.short(), "gone pve1-vm-102");
    sim.cluster().add_guest(ecobox_sim::Kind::Lxc, 210, "new", |ct| ct.on("pve2").running());
    assert_eq!(watching.short(), "added pve1-ct-210");
    watching.silent_until(Signal::TERM, 143);
}

#[test]
fn what_ecobox_does_is_told_while_it_lasts() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut watching = watch(&env, &["vm-103"]);
    assert_eq!(states(&watching.snapshot()), ["pve1-vm-103 stopped"]);
    let _ = env.run(&["power", "start", "vm-103", "--yes"]).exits(0);
    let mut seen = vec![watching.short()];
    while seen.last().is_none_or(|last| !last.starts_with("state ")) {
        seen.push(watching.short());
    }
    // A look may miss how short it was.
    if seen.len() > 1 {
        assert_eq!(seen[0], "action pve1-vm-103 null start");
    }
    assert_eq!(seen.last().unwrap(), "state pve1-vm-103 stopped running");
}

#[test]
fn a_service_that_closes_is_one_line() {
    let open = Open::new();
    let mut env = Env::new();
    env.config(&format!("{FAST}{}", plain("nas", open.port())));
    env.replace(open.port(), "PORT");
    let mut watching = watch(&env, &[]);
    assert_eq!(watching.snapshot()["servers"][0]["services"][0]["open"], true);
    drop(open);
    let mut lines = [watching.short(), watching.short(), watching.short()];
    lines.sort();
    assert_eq!(lines, ["failure nas unreachable", "service nas ssh open closed", "state nas online offline"]);
}

#[test]
fn a_node_that_stops_and_returns() {
    let sim = homelab();
    let mut env = fast(&sim, &["pve1"]);
    env.add_config(&plain("nas", CLOSED));
    env.replace(CLOSED, "PORT");
    let mut watching = watch(&env, &["pve1"]);
    assert_eq!(states(&watching.snapshot()), ["pve1 online"]);
    sim.node("pve1").stop();
    assert_eq!(watching.short(), "state pve1 online offline");
    let failure = watching.line();
    assert_eq!(
        (&failure["event"], &failure["id"], &failure["kind"]),
        (&json!("failure"), &json!("pve1"), &json!("unreachable"))
    );
    assert!(failure["message"].as_str().unwrap().contains("pve1"), "{failure}");
    sim.node("pve1").start();
    assert_eq!(watching.short(), "state pve1 offline online");
    assert_eq!(watching.short(), "recovered pve1");
    watching.silent_until(Signal::INT, 130);
}

#[test]
fn a_node_that_hangs_delays_no_other() {
    let (one, two) = (three(), homelab());
    let mut env = Env::new();
    env.config(&format!("{FAST}{}{}", api("pve1", &one, "pve1"), api("zbox", &two, "pve1")));
    for id in ["pve1", "zbox"] {
        env.set(&variable(id), full_token());
    }
    let _ = env.run(&["status"]).exits(0);
    two.node("pve1").fail(Fault::HangAtRequest);
    let mut watching = watch(&env, &[]);
    let snapshot = watching.snapshot();
    // It did not answer, and nobody says more than that.
    let zbox = snapshot["servers"].as_array().unwrap().iter().find(|server| server["id"] == "zbox").unwrap();
    assert_eq!(zbox["source"], "cache", "{zbox}");
    let begun = std::time::Instant::now();
    let mut of_one = || {
        loop {
            let line = watching.short();
            if !line.contains(" zbox") {
                return line;
            }
        }
    };
    for _ in 0..3 {
        one.cluster().change_guest(103, ecobox_sim::Guest::running);
        assert_eq!(of_one(), "state pve1-vm-103 stopped running");
        one.cluster().crash_guest(103);
        assert_eq!(of_one(), "state pve1-vm-103 running stopped");
    }
    // Each of the six would have had to wait for it: for the 20 s that a host has.
    assert!(begun.elapsed() < Duration::from_secs(6 * 20), "{:?}", begun.elapsed());
}

#[test]
fn a_token_that_is_replaced_is_taken_without_a_word() {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    world.env.add_config(FAST);
    let mut watching = watch(&world.env, &[]);
    assert_eq!(watching.snapshot()["failures"], json!([]));
    let _ = world.run(&["setup-token", "--rotate"]).exits(0);
    pve.sim.clear_requests();
    until(|| pve.nodes.iter().map(|node| pve.sim.node(&node.name).count("/cluster/resources")).sum::<usize>() >= 4);
    watching.silent_until(Signal::TERM, 143);
}

#[test]
fn a_script_that_hangs_delays_nobody_on_its_host() {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    world.env.add_config(FAST);
    pve.node("pve1").ssh.set_fault(Some(SshFault::HangInExec));
    let begun = std::time::Instant::now();
    let mut watching = watch(&world.env, &[]);
    let _ = watching.snapshot();
    for _ in 0..3 {
        pve.sim.cluster().crash_guest(101);
        assert_eq!(watching.short(), "state pve1-vm-101 running stopped");
        pve.sim.cluster().change_guest(101, ecobox_sim::Guest::running);
        assert_eq!(watching.short(), "state pve1-vm-101 stopped running");
    }
    // Its script has 20 s, and each of the six would have had to wait for one.
    assert!(begun.elapsed() < Duration::from_secs(6 * 20), "{:?}", begun.elapsed());
}

#[test]
fn one_session_for_each_host_and_a_new_one_when_it_breaks() {
    let world = World::new();
    let (one, two) = (world.serve(Host::debian("one").build()), world.serve(Host::debian("two").build()));
    world.configure(&format!("{FAST}{}{}", one.entry(), two.entry()));
    world.know(&one);
    world.know(&two);
    let mut watching = watch(&world.env, &[]);
    let _ = watching.snapshot();
    until(|| one.ssh.execs() >= 4 && two.ssh.execs() >= 4);
    assert_eq!((one.ssh.logins(), two.ssh.logins()), (1, 1));
    let descriptors = watching.descriptors();
    // The connection breaks in the middle of a script: the failure is said, and the next session works.
    for _ in 0..3 {
        one.ssh.set_fault(Some(SshFault::CloseInExec));
        assert_eq!(watching.short(), "failure one failed");
        one.ssh.set_fault(None);
        assert_eq!(watching.short(), "recovered one");
    }
    let logins = one.ssh.logins();
    let execs = one.ssh.execs();
    until(|| one.ssh.execs() >= execs + 3);
    assert_eq!((one.ssh.logins(), two.ssh.logins()), (logins, 1));
    // Nothing is left of the sessions that broke; a look may have a port open.
    until(|| watching.descriptors() <= descriptors);
    // The numbers are there.
    let rows = world.env.rows("SELECT count(*) > 3 FROM samples");
    assert_eq!(rows, ["1"]);
    watching.silent_until(Signal::TERM, 143);
}
