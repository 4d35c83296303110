//! Which node a server is that is reached by the API alone.

use ecobox_sim::{Identity, Sim};

use super::env::{Env, Run};
use super::fleets::{api, env_for, full_token, three, three_nodes, untrusted};

/// Of each server which node it is, and whether there are numbers of it.
#[track_caller]
fn nodes(run: &Run, ids: &[&str]) -> Vec<String> {
    let node = |id: &&str| {
        let server = run.server(id);
        assert!(server["cpu_percent"].is_number(), "{id} has no numbers: {run}");
        server["node"].as_str().unwrap_or("-").to_owned()
    };
    ids.iter().map(node).collect()
}

#[test]
fn a_certificate_that_all_nodes_have_tells_none_of_them() {
    for _ in 0..3 {
        let sim = three();
        let wildcard = Identity::self_signed(&["*.example.org"]);
        for node in ["pve1", "pve2", "pve3"] {
            sim.cluster().serve_certificate(node, wildcard.clone());
        }
        let env = env_for(&sim, &["pve3", "pve1", "pve2"]);
        for args in [&["status", "-o", "json"][..], &["discover", "-o", "json"], &["status", "-o", "json"]] {
            let run = env.run(args).exits(0);
            if args[0] == "status" {
                assert_eq!(nodes(&run, &["pve1", "pve2", "pve3"]), ["pve1", "pve2", "pve3"]);
                assert_eq!(run.json()["servers"].as_array().unwrap().len(), 3 + 4, "one cluster: {run}");
            }
        }
    }
}

#[test]
fn behind_a_proxy_a_node_is_who_it_says_it_is() {
    let sim = three();
    sim.cluster().serve_through_proxy("pve2", Identity::self_signed(&["pve.example.org"]));
    let env = env_for(&sim, &["pve2"]);
    for _ in 0..3 {
        let run = env.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(nodes(&run, &["pve2"]), ["pve2"]);
    }
    // It is asked once.
    sim.clear_requests();
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(sim.node("pve2").calls().into_keys().collect::<Vec<_>>(), ["GET /cluster/resources"]);
}

#[test]
fn a_node_that_was_renamed_is_known_by_its_new_name() {
    for servers in [&["pve1"][..], &["pve1", "pve2"]] {
        let sim = Sim::start(three_nodes());
        let mut env = Env::new();
        let entry = |node: &str| format!("{}verify_tls = false\n\n", untrusted(node, sim.node(node).port()));
        env.config(&servers.iter().map(|node| entry(node)).collect::<String>());
        for node in servers {
            env.set(&super::fleets::variable(node), full_token());
        }
        let run = env.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(nodes(&run, servers), servers.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>());
        for (old, new) in [("pve1", "alpha"), ("pve2", "beta")] {
            sim.cluster().rename_node(old, new);
        }
        for _ in 0..2 {
            let run = env.run(&["status", "-o", "json"]).exits(0);
            let want = ["alpha", "beta"].map(str::to_owned);
            assert_eq!(nodes(&run, servers), want[..servers.len()], "{run}");
            assert_eq!(run.server("pve1-vm-101")["node"], "alpha");
        }
        let _ = env.run(&["discover"]).exits(0);
        sim.clear_requests();
        let _ = env.run(&["status"]).exits(0);
        assert_eq!(sim.requests().len(), 1, "it is not asked again");
    }
}

/// A single node, which is asked nothing else.
#[test]
fn the_only_node_is_the_one_that_answers() {
    let sim = Sim::start(super::fleets::cluster("lab").node("pve1"));
    let mut env = Env::new();
    env.config(&api("box", &sim, "pve1"));
    env.set("ECOBOX_TOKEN_BOX", full_token());
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!((nodes(&run, &["box"]), sim.requests().len()), (vec!["pve1".to_owned()], 2));
}
