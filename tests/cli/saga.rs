//! A token that is made, and what goes wrong meanwhile: after the next run exactly one usable token is on the host.

use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use ecobox_sim::Cluster;
use ecobox_sim::host::PveumFn;

use super::world::{Pve, World};

/// The pveum calls of the first run: role, user, ACL, token, ACL.
const CALLS: u64 = 5;

/// What the run before may leave, and the next one mends.
#[track_caller]
fn assert_mended(world: &World, pve: &Pve, what: &str) {
    let run = world.run(&["setup-token"]);
    assert_eq!(run.code, 0, "{what}\n{run}");
    let tokens = pve.tokens();
    assert_eq!(tokens.len(), 1, "{what}: {tokens:?}\n{run}\n{:#?}", pve.writes());
    pve.assert_one_usable_token(world);
    let acl = pve.sim.cluster().access().acl_lines();
    assert_eq!(acl.len(), 2, "{what}: {acl:?}");
}

#[test]
fn the_connection_breaks_after_each_call() {
    for n in 1..=CALLS {
        let world = World::new();
        let pve = world.one_node();
        pve.nodes[0].host.drop_after_pveum(n);
        let run = world.run(&["setup-token"]);
        assert_ne!(run.code, 0, "{n}\n{run}");
        pve.assert_secret(&world, &[&run]);
        assert_mended(&world, &pve, &format!("connection broken after call {n}"));
    }
}

#[test]
fn the_script_dies_after_each_call() {
    for n in 1..=CALLS {
        let world = World::new();
        let pve = world.one_node();
        pve.nodes[0].host.kill_after_pveum(n);
        let run = world.run(&["setup-token"]);
        assert_ne!(run.code, 0, "{n}\n{run}");
        assert_mended(&world, &pve, &format!("host died after call {n}"));
    }
}

#[test]
fn each_call_fails() {
    for n in 1..=CALLS {
        let world = World::new();
        let pve = world.one_node();
        pve.nodes[0].host.fail_pveum(n, "unable to open file '/etc/pve/user.cfg.tmp.1' - Input/output error\n", 5);
        let run = world.run(&["setup-token"]).exits(1);
        assert!(run.stderr.contains("Input/output error"), "{n}\n{run}");
        assert_eq!((pve.tokens().len(), world.count("intents")), (0, 0), "{n}\n{run}");
        assert_mended(&world, &pve, &format!("call {n} failed"));
    }
}

#[test]
fn a_lock_that_others_hold_is_waited_for() {
    let world = World::new();
    let pve = world.one_node();
    for n in [1, 4] {
        pve.nodes[0].host.fail_pveum(n, "cfs-lock 'file-user_cfg' error: got lock request timeout\n", 255);
    }
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

/// A pveum that says the number of each call and waits until the test has done what it wants.
fn gated(cluster: &Cluster) -> (PveumFn, Receiver<u64>, Arc<Mutex<u64>>) {
    let access = cluster.shared_access();
    let (say, said) = channel();
    let kill_at = Arc::new(Mutex::new(0));
    let calls = Mutex::new(0);
    let pveum: PveumFn = Arc::new(move |args: &[String], utf8| {
        let outcome = access.lock().unwrap().pveum_in(args, utf8);
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let _ = say.send(*calls);
        outcome
    });
    (pveum, said, kill_at)
}

#[test]
fn ecobox_is_killed_at_each_call() {
    for n in 1..=CALLS {
        let world = World::new();
        let cluster = Cluster::new("single").node("pve1");
        let (pveum, said, _) = gated(&cluster);
        let pve = world.cluster_with(cluster, |builder| builder.pveum_by(pveum.clone()));
        world.know_all(&pve.nodes);
        world.configure(&pve.entries());
        let mut child = start(&world);
        // As the host says that it has done the n-th call, ecobox is gone.
        for call in &said {
            if call == n {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The script on the host ends as its session does.
        while pve.nodes[0].ssh.connections() == 0 {}
        assert_mended(&world, &pve, &format!("ecobox killed at call {n}"));
    }
}

fn start(world: &World) -> Child {
    world.env.command(&["setup-token"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
