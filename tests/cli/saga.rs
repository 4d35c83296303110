//! A token that is made, and what goes wrong meanwhile: after the next run exactly one usable token is on the host.

use std::collections::HashSet;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use ecobox_sim::host::PveumFn;
use ecobox_sim::{Cluster, Fault};

use super::world::{Pve, World, until};

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

/// A pveum that tells the test of each call when it is done.
fn telling(cluster: &Cluster) -> (PveumFn, Receiver<()>) {
    let access = cluster.shared_access();
    let (say, said) = channel();
    let pveum: PveumFn = Arc::new(move |args: &[String], utf8| {
        let outcome = access.lock().unwrap().pveum_in(args, utf8);
        let _ = say.send(());
        outcome
    });
    (pveum, said)
}

fn start(world: &World, args: &[&str]) -> Child {
    world.env.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn ecobox_is_killed_at_each_call() {
    for n in 1..=CALLS {
        let world = World::new();
        let cluster = Cluster::new("single").node("pve1");
        let (pveum, done) = telling(&cluster);
        let pve = world.cluster_with(cluster, |builder| builder.pveum_by(pveum.clone()));
        world.know_all(&pve.nodes);
        world.configure(&pve.entries());
        let child = start(&world, &["setup-token"]);
        for _ in 0..n {
            done.recv().unwrap();
        }
        kill(child);
        assert_mended(&world, &pve, &format!("ecobox killed at call {n}"));
    }
}

#[test]
fn ecobox_is_killed_at_each_call_of_a_rotation() {
    let world = World::new();
    let cluster = Cluster::new("single").node("pve1");
    let (pveum, done) = telling(&cluster);
    let pve = world.cluster_with(cluster, |builder| builder.pveum_by(pveum.clone()));
    world.know_all(&pve.nodes);
    world.configure(&pve.entries());
    world.run(&["setup-token"]).exits(0);
    let first = pve.tokens();
    let all = done.try_iter().count();
    world.run(&["setup-token", "--rotate"]).exits(0);
    let rotation = done.try_iter().count();
    assert!(rotation > all, "it removes the old one, too");
    assert_ne!(pve.tokens(), first);
    for n in 1..=rotation {
        let child = start(&world, &["setup-token", "--rotate"]);
        for _ in 0..n {
            done.recv().unwrap();
        }
        kill(child);
        assert_mended(&world, &pve, &format!("ecobox killed at call {n} of a rotation"));
        done.try_iter().for_each(drop);
    }
}

#[test]
fn ecobox_is_killed_between_the_token_and_its_proof() {
    let world = World::new();
    let pve = world.one_node();
    pve.sim.node("pve1").fail_on(Some("GET"), Some("/access/permissions"), None, Fault::HangAtRequest);
    let child = start(&world, &["setup-token"]);
    until(|| pve.sim.node("pve1").count("/access/permissions") > 0);
    kill(child);
    pve.sim.node("pve1").heal();
    pve.assert_one_usable_token(&world);
    assert_mended(&world, &pve, "killed before the proof");
}

#[test]
fn an_api_that_is_down_keeps_the_token_for_later() {
    let world = World::new();
    let pve = world.one_node();
    pve.sim.node("pve1").fail(Fault::DropAtConnect);
    let run = world.run(&["setup-token"]);
    assert_ne!(run.code, 0, "{run}");
    pve.sim.node("pve1").heal();
    assert_mended(&world, &pve, "the API was down");
}

#[test]
fn the_disk_is_full() {
    let world = World::new();
    let pve = world.one_node();
    // The schema is there, as after `init`.
    world.run(&["setup-token", "--print"]).exits(0);
    let _reader = world.env.lengthen_log();
    let mut undone = 0;
    for pages in 0..50 {
        let run = world.env.run_on_full_disk(pages, &["setup-token"]);
        pve.assert_secret(&world, &[&run]);
        let (tokens, mut known) = (pve.tokens(), world.column("intents", "token_id"));
        known.extend(world.column("tokens", "token_id"));
        let removals = pve.writes().iter().filter(|line| line.contains("token remove")).count();
        if run.code == 0 {
            break;
        }
        assert_eq!(run.code, 3, "{pages}\n{run}");
        assert!(tokens.iter().all(|token| known.contains(token)), "{pages}: {tokens:?} {known:?}\n{run}");
        undone = removals;
    }
    assert!(undone > 0, "none was made that could not be stored: {:#?}", pve.writes());
    pve.assert_one_usable_token(&world);
}

#[test]
fn the_secret_is_in_no_process_list() {
    let world = World::new();
    let pve = world.one_node();
    pve.nodes[0].host.slow_pveum(20);
    let mut child = start(&world, &["setup-token", "-vvv"]);
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    while child.try_wait().unwrap().is_none() {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                seen.extend(std::fs::read(process.path().join(file)));
            }
        }
    }
    let secret = pve.secrets().remove(0);
    let has = |text: &[u8]| text.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(seen.len() > 10 && !seen.iter().any(|text| has(text)));
    let cluster = pve.sim.cluster();
    assert!(cluster.access().audit().iter().all(|line| !line.contains(&secret)));
}

#[test]
fn the_secret_is_in_no_log() {
    let world = World::new();
    let pve = world.one_node();
    for args in [
        &["setup-token", "-vvv"][..],
        &["setup-token", "-vvv", "--log-format", "json", "--rotate", "-o", "json"],
        &["setup-token", "--check", "-vvv"],
        &["discover", "-vvv"],
        &["status", "-vvv", "-o", "json"],
        &["setup-token", "--print", "-vvv"],
    ] {
        let run = world.run(args).exits(0);
        assert!(run.stderr.len() > 100 || args.contains(&"--print"), "it logs\n{run}");
        pve.assert_secret(&world, &[&run]);
    }
}
