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

/// What a run that was interrupted on one server left is not gone because another one says so.
#[test]
fn what_is_left_on_a_cluster_is_not_gone_by_the_word_of_a_relaying_host() {
    for rotates in [false, true] {
        let world = World::new();
        let (pve, evil) = with_evil(&world);
        world.configure(&pve.entries());
        world.run(&["setup-token"]).exits(0);
        let cluster = world.column("tokens", "cluster").remove(0);
        let left = "ecobox@pve!left-0a1b2c";
        pve.sim.cluster().access().add_token(left, "5ec7e7", true);
        let intent = format!("INSERT INTO intents VALUES ('pve1', '{left}', '{cluster}', 1)");
        world.state().execute(&intent, []).unwrap();
        let real = pve.node("pve1").api_port;
        evil.nodes[0].host.map_port(8006, real.unwrap());
        evil.nodes[0].host.map_port(real.unwrap(), real.unwrap());
        world.configure(&(pve.entries() + &evil_entry(&evil, real)));
        let args: &[&str] = if rotates { &["setup-token", "--rotate", "evil"] } else { &["setup-token", "evil"] };
        let run = world.run(args);
        assert_eq!(world.column("intents", "token_id"), [left], "{run}");
        // An honest member may act for another one.
        world.configure(&pve.entries());
        let run = world.run(&["setup-token", "pve2"]).exits(0);
        assert_eq!((world.count("intents"), pve.tokens().len()), (0, 1), "{run}");
    }
}

/// The state of a version that took a server's word for where it belongs.
fn poison(world: &World, evil: &str) {
    let cluster = world.column("tokens", "cluster").into_iter().find(|cluster| cluster.starts_with("ca:")).unwrap();
    let state = world.state();
    state.execute("UPDATE members SET checked = 0", []).unwrap();
    state.execute("UPDATE members SET cluster = ?1, node = 'pve1' WHERE server = ?2", [&cluster, evil]).unwrap();
    state.execute("DELETE FROM tokens WHERE cluster != ?1", [&cluster]).unwrap();
    state.execute("UPDATE clusters SET listed_via = ?2 WHERE name = ?1", [&cluster, evil]).unwrap();
}

#[test]
fn a_host_that_was_once_taken_for_a_member_gets_no_token_by_that() {
    for args in [&["status"][..], &["discover"], &["setup-token", "--check", "evil"], &["power", "start", "vm-103"]] {
        let world = World::new();
        let (pve, evil) = with_evil(&world);
        // Its certificate is none of the cluster's.
        evil.sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve1", "localhost"]));
        world.configure(&pve.entries());
        world.run(&["setup-token"]).exits(0);
        let secrets = pve.secrets();
        world.configure(&(pve.entries() + &evil_entry(&evil, evil.nodes[0].api_port)));
        world.run(&["setup-token"]).exits(0);
        let good = world.column("tokens", "secret").into_iter().filter(|secret| secrets.contains(secret)).count();
        assert_eq!(good, 1);
        let evils = evil.secrets();
        world.run(&["discover"]).exits(0);
        poison(&world, "evil");
        evil.sim.clear_requests();
        let run = world.run(args);
        assert_unseen(&evil.sim, &secrets, &format!("{args:?}\n{run}"));
        let run = world.run(&["status", "-o", "json"]);
        assert_unseen(&evil.sim, &secrets, &format!("{args:?}\n{run}"));
        assert_eq!(run.server("pve1-vm-101")["name"], "web-01", "{run}");
        let members = world.env.rows("SELECT server, checked FROM members WHERE cluster LIKE 'ca:%' ORDER BY 1");
        assert!(members.iter().all(|row| !row.starts_with("evil")), "{members:?}\n{run}");
        assert_unseen(&pve.sim, &evils, "the other way round");
        // And as before for those who are of it.
        let run = world.run(&["setup-token"]).exits(0);
        assert_kept(&world, &pve, &secrets, &run);
        assert_unseen(&evil.sim, &secrets, "at all");
    }
}

#[test]
fn a_member_with_a_certificate_of_its_own_is_one_after_an_update_too() {
    let world = World::new();
    let pve = world.three_nodes();
    pve.sim.cluster().serve_certificate("pve2", Identity::self_signed(&["pve2", "localhost"]));
    pve.publish_certificates();
    world.run(&["setup-token"]).exits(0);
    world.run(&["discover"]).exits(0);
    world.state().execute("UPDATE members SET checked = 0", []).unwrap();
    world.state().execute("UPDATE clusters SET listed_via = 'pve2'", []).unwrap();
    world.run(&["status"]).exits(0);
    assert_eq!(world.column("clusters", "listed_via"), ["pve2"]);
    assert_eq!(world.env.rows("SELECT checked FROM members WHERE server = 'pve2'"), ["1"]);
}

#[test]
fn an_api_that_was_once_merged_with_another_one_is_told_apart() {
    let good = Sim::start(three_nodes());
    let evil = Sim::start(
        Cluster::new("evil")
            .node("pve1")
            .token("ecobox@pve!evil", "00000000-0000-4000-8000-0000000000ee", "/", OPERATOR)
            .vm(103, "web-03", Guest::stopped),
    );
    claims(&evil, &good);
    for evil_first in [false, true] {
        let mut env = Env::new();
        let entries = ["pve1", "pve2"].map(|node| api(node, &good, node)).concat();
        let bad = api("evil", &evil, "pve1");
        for node in ["pve1", "pve2"] {
            env.set(&variable(node), full_token());
        }
        env.set(&variable("evil"), "ecobox@pve!evil=00000000-0000-4000-8000-0000000000ee");
        env.config(&(if evil_first { bad + &entries } else { entries + &bad }));
        let _ = env.run(&["status"]).exits(0);
        // As a version before would have it: all are one.
        let first = if evil_first { "host:evil" } else { "host:pve1" };
        env.execute(&format!("UPDATE members SET cluster = '{first}', checked = 0"));
        let run = env.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(run.json()["servers"].as_array().unwrap().len(), 3 + 4 + 1, "{run}");
        let clusters = env.rows("SELECT server, cluster FROM members ORDER BY 1");
        assert_eq!(clusters, ["evil|host:evil", "pve1|host:pve1", "pve2|host:pve1"], "{run}");
        let names = ["evil-vm-103", "pve1-vm-103", "pve2-vm-102"].map(|id| run.server(id)["name"].clone());
        assert_eq!(names, ["web-03", "web-03", "web-02"]);
    }
}
