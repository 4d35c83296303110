//! Hosts that say they belong to a cluster and do not: none of them ever sees a token that is not its own, none of them
//! changes what is kept of the cluster, and what they list is nobody's but theirs.

use ecobox_sim::{Cluster, Guest, Identity, Sim};

use super::env::{CANARY, Env, Run};
use super::fleets::{OPERATOR, TOKEN, api, full_token, three_nodes, variable};
use super::world::{Pve, World, entry};

/// A cluster that is set up, and a host that may be logged in to and tells of that cluster's CA as of its own.
fn with_evil(world: &World) -> (Pve, Pve) {
    let pve = world.three_nodes();
    let evil = world.cluster(Cluster::new("evil").node("pve1").vm(101, "trap", Guest::stopped));
    evil.nodes[0].host.set_certificates(&pve.sim.ca_pem(), &evil.sim.node("pve1").certificate_pem());
    world.know_all(&evil.nodes);
    (pve, evil)
}

fn evil_entry(evil: &Pve, api_port: Option<u16>) -> String {
    entry("evil", "root", evil.nodes[0].ssh.port(), api_port)
}

/// None of these secrets was ever shown to this cluster.
#[track_caller]
fn assert_unseen(sim: &Sim, secrets: &[String], what: &str) {
    for request in sim.requests() {
        let shown = request.authorization.unwrap_or_default();
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{what}: {} {shown}", request.path);
    }
}

/// The stored token of the cluster is still the one that works there.
#[track_caller]
fn assert_kept(world: &World, pve: &Pve, secrets: &[String], run: &Run) {
    let stored = world.column("tokens", "secret");
    assert!(stored.iter().any(|secret| secrets.contains(secret)), "{run}\n{}", world.state_dump());
    assert_eq!(pve.secrets(), secrets, "{run}");
}

#[test]
fn a_host_that_names_another_clusters_ca_gets_a_token_of_its_own() {
    for (leaf, first) in [("own", false), ("self-signed", false), ("own", true)] {
        let world = World::new();
        let (pve, evil) = with_evil(&world);
        if leaf == "self-signed" {
            evil.sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve1", "localhost"]));
        }
        let (good, bad) = (pve.entries(), evil_entry(&evil, evil.nodes[0].api_port));
        if first {
            world.configure(&bad);
            world.run(&["setup-token"]).exits(0);
        } else {
            world.configure(&good);
            world.run(&["setup-token"]).exits(0);
        }
        world.configure(&(if first { bad + &good } else { good + &bad }));
        let run = world.run(&["setup-token", "-o", "json"]).exits(0);
        let rows = run.json()["servers"].as_array().unwrap().clone();
        let of_evil = rows.iter().find(|row| row["id"] == "evil").unwrap();
        assert_eq!(of_evil["result"], if first { "kept" } else { "created" }, "{run}");
        if !first {
            assert!(run.stderr.contains("evil: it names the CA of another cluster"), "{run}");
        }
        let secrets = pve.secrets();
        assert_eq!((secrets.len(), evil.secrets().len()), (1, 1), "{run}");
        for args in [
            &["status"][..],
            &["discover"],
            &["setup-token", "--check"],
            &["setup-token"],
            &["stats"],
            &["setup-token", "--rotate", "evil"],
            &["status"],
            &["power", "start", "evil/101", "--yes"],
        ] {
            let run = world.run(args);
            assert_eq!(run.code, 0, "{args:?}\n{run}");
            assert_unseen(&evil.sim, &secrets, &format!("{leaf} {first} {args:?}"));
            assert_kept(&world, &pve, &secrets, &run);
        }
        // What each lists is its own.
        let run = world.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(
            (&run.server("pve1-vm-101")["name"], &run.server("evil-vm-101")["name"]),
            (&"web-01".into(), &"trap".into())
        );
        assert_eq!(run.json()["servers"].as_array().unwrap().len(), 9, "{run}");
        assert_unseen(&pve.sim, &evil.secrets(), "the other way round");
        let run = world.run(&["setup-token", "--revoke", "evil"]).exits(0);
        assert_kept(&world, &pve, &secrets, &run);
        assert_eq!(evil.tokens(), Vec::<String>::new(), "{run}");
        world.run(&["setup-token", "--check", "pve1", "pve2", "pve3"]).exits(0);
        assert_unseen(&evil.sim, &secrets, "at all");
    }
}

/// At home and at the port that is dialled the real node answers, through the impostor.
#[test]
fn a_host_that_passes_everything_on_to_the_real_node_gains_nothing_by_it() {
    let world = World::new();
    let (pve, evil) = with_evil(&world);
    world.configure(&pve.entries());
    world.run(&["setup-token"]).exits(0);
    let secrets = pve.secrets();
    let real = pve.node("pve1").api_port;
    evil.nodes[0].host.map_port(8006, real.unwrap());
    evil.nodes[0].host.map_port(real.unwrap(), real.unwrap());
    let relayed = pve.entries() + &evil_entry(&evil, real);
    world.configure(&relayed);
    for args in [
        &["setup-token"][..],
        &["setup-token", "--rotate", "evil"],
        &["setup-token", "--scope", "monitor", "evil"],
        &["setup-token", "--revoke", "evil"],
        &["setup-token", "evil"],
    ] {
        let run = world.run(args);
        assert_kept(&world, &pve, &secrets, &run);
        assert_unseen(&evil.sim, &secrets, &format!("{args:?}"));
    }
    // From now on it answers itself.
    let port = evil.nodes[0].api_port.unwrap();
    evil.nodes[0].host.map_port(8006, port);
    evil.nodes[0].host.map_port(port, port);
    evil.nodes[0].host.set_certificates(&evil.sim.ca_pem(), &evil.sim.node("pve1").certificate_pem());
    world.configure(&(pve.entries() + &evil_entry(&evil, Some(port))));
    for args in [&["status"][..], &["status"], &["setup-token", "--check"], &["setup-token", "evil"], &["status"]] {
        // Were it looked up again: at once.
        world.state().execute("UPDATE trust SET at = at - 3600000", []).unwrap();
        let run = world.run(args);
        assert_kept(&world, &pve, &secrets, &run);
        assert_unseen(&evil.sim, &secrets, &format!("{args:?}"));
    }
    world.run(&["setup-token", "--check", "pve1", "pve2", "pve3"]).exits(0);
}

/// A cluster that is configured by the API alone, and another server that repeats what the cluster says of itself.
fn claims(evil: &Sim, good: &Sim) {
    let nodes = ["pve1", "pve2", "pve3"].map(|name| (name.to_owned(), good.node(name).fingerprint()));
    evil.cluster().claim_nodes(&nodes);
}

#[test]
fn a_server_that_repeats_a_clusters_fingerprints_is_none_of_its_members() {
    // Whichever comes first in the configuration, and whether the cluster was known before.
    for (evil_first, known_before) in [(false, false), (true, false), (false, true), (true, true)] {
        let good = Sim::start(three_nodes());
        let evil = Sim::start(
            Cluster::new("evil")
                .node("pve1")
                .token("ecobox@pve!evil", "00000000-0000-4000-8000-0000000000ee", "/", OPERATOR)
                .vm(103, "web-03", Guest::stopped),
        );
        claims(&evil, &good);
        let mut env = Env::new();
        let entries = ["pve1", "pve2"].map(|node| api(node, &good, node)).concat();
        let bad = api("evil", &evil, "pve1");
        for node in ["pve1", "pve2"] {
            env.set(&variable(node), full_token());
        }
        env.set(&variable("evil"), "ecobox@pve!evil=00000000-0000-4000-8000-0000000000ee");
        if known_before {
            env.config(&entries);
            let _ = env.run(&["status"]).exits(0);
        }
        env.config(&(if evil_first { bad + &entries } else { entries + &bad }));
        let run = env.run(&["status", "-o", "json"]).exits(0);
        // The two honest ones are one cluster, and the guest of both numbers is there twice.
        assert_eq!(run.json()["servers"].as_array().unwrap().len(), 3 + 4 + 1, "{run}");
        let names = ["evil-vm-103", "pve1-vm-103", "pve2-vm-102"].map(|id| run.server(id)["name"].clone());
        assert_eq!(names, ["web-03", "web-03", "web-02"]);
        let run = env.run(&["power", "start", "pve1/103", "--yes"]);
        assert_eq!(evil.posts(), Vec::<String>::new(), "{run}");
        assert!(
            evil.requests().iter().all(|request| !request.authorization.clone().unwrap_or_default().contains(CANARY))
        );
        assert!(
            good.requests().iter().all(|request| request.authorization.clone().unwrap_or_default().contains(TOKEN))
        );
    }
}
