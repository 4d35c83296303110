//! Whom the API's TLS is trusted by: learned over SSH, kept, learned again when it changes, and refused when SSH says
//! otherwise.

use ecobox_sim::{Cluster, Identity, Sim};

use super::env::Run;
use super::world::{Pve, World, assert_transcript};

/// One node with a token, whose trust was learned long ago.
fn set_up(world: &World) -> Pve {
    let pve = world.cluster(Cluster::new("single").node("pve1").vm(101, "web-01", ecobox_sim::Guest::running));
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    world.run(&["setup-token"]).exits(0);
    long_ago(world);
    pve.sim.clear_requests();
    pve
}

/// What was learned is older than the minute in which it is not learned again.
fn long_ago(world: &World) {
    assert!(world.state().execute("UPDATE trust SET at = at - 3600000", []).unwrap() > 0);
}

fn mode(world: &World) -> String {
    world.column("trust", "json_extract(trust, '$.mode')").join(" ")
}

fn states(run: &Run) -> Vec<String> {
    let report = run.json();
    let servers = report["servers"].as_array().unwrap().iter();
    servers.map(|server| server["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_renewed_certificate_of_the_same_ca_is_no_event() {
    for keep_key in [true, false] {
        let world = World::new();
        let pve = set_up(&world);
        let before = pve.nodes[0].ssh.connections();
        pve.sim.cluster().renew_certificate("pve1", keep_key);
        let run = world.run(&["status", "-o", "json"]).exits(0);
        assert_eq!((states(&run), run.stderr.as_str()), (vec!["online".to_owned(), "running".to_owned()], ""));
        assert_eq!(pve.nodes[0].ssh.connections(), before);
    }
}

/// Whatever comes of the command after the look: what the look learned is said.
#[test]
fn a_new_ca_is_said_although_the_command_ends_early() {
    let world = World::new();
    let pve = set_up(&world);
    for (args, exit, why) in [
        (&["status", "nobody"][..], 7, "no server"),
        (&["stats", "nobody"], 7, "no server"),
        (&["power", "start", "nobody"], 7, "no server"),
        (&["power", "shutdown", "vm-101"], 11, "not confirmed"),
    ] {
        pve.sim.cluster().replace_ca();
        pve.publish_certificates();
        let run = world.run(args).exits(exit).says(why);
        assert!(run.stderr.contains("pve1: the API has a new certificate; seen over SSH"), "{args:?}: {run}");
        long_ago(&world);
    }
}

#[test]
fn a_new_ca_is_learned_once_and_said() {
    let world = World::new();
    let pve = set_up(&world);
    pve.sim.cluster().replace_ca();
    pve.publish_certificates();
    let before = pve.nodes[0].ssh.connections();
    let run = world.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(states(&run), ["online", "running"]);
    assert!(run.stderr.contains("pve1: the API has a new certificate; seen over SSH"), "{run}");
    assert_eq!(pve.nodes[0].ssh.connections(), before + 1);
    let run = world.run(&["status", "-o", "json"]).exits(0);
    assert_eq!((run.stderr.as_str(), pve.nodes[0].ssh.connections()), ("", before + 1));
    assert_eq!(mode(&world), "cluster-ca");
    // It is the same cluster still: its token is kept.
    let secrets = pve.secrets();
    world.run(&["setup-token"]).exits(0);
    assert_eq!(pve.secrets(), secrets);
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_new_ca_that_setup_token_sees_first_is_of_the_same_cluster() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    world.run(&["discover"]).exits(0);
    pve.sim.cluster().replace_ca();
    pve.publish_certificates();
    let secrets = pve.secrets();
    world.run(&["setup-token"]).exits(0);
    assert_eq!(pve.secrets(), secrets);
    pve.assert_one_usable_token(&world);
    let clusters = world.column("members", "DISTINCT cluster");
    assert_eq!((clusters.len(), world.column("tokens", "cluster")), (1, clusters.clone()));
    let run = world.run(&["discover"]).exits(0);
    assert!(run.stdout.contains("nothing") || !run.stdout.contains("new"), "{run}");
}

#[test]
fn a_host_that_joined_another_cluster_gets_a_token_there() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let old = pve.tokens();
    // pve3 was taken out and put into another cluster.
    let other = world.cluster(Cluster::new("other").node("pve3"));
    let mut entries: String = ["pve1", "pve2"].map(|name| pve.node(name).entry()).concat();
    entries.push_str(&other.nodes[0].entry());
    world.configure(&entries);
    world.know_all(&other.nodes);
    world.run(&["setup-token"]).exits(0);
    assert_eq!((pve.tokens(), other.tokens().len()), (old, 1));
    assert_eq!((world.count("tokens"), world.count("intents")), (2, 0));
    world.run(&["setup-token", "--check"]).exits(0);
}

/// The configured port leads to somebody in the middle; on the host itself, and so over SSH, it is the host's own.
fn with_somebody_in_the_middle(world: &World, pve: &Pve, middle: &Sim) {
    let port = middle.node("pve1").port();
    pve.nodes[0].host.map_port(port, pve.nodes[0].api_port.unwrap());
    let ssh = pve.nodes[0].ssh.port();
    world.configure(&super::world::entry("pve1", "root", ssh, Some(port)));
}

#[test]
fn somebody_in_the_middle_gets_not_a_byte_of_the_token() {
    let world = World::new();
    let pve = set_up(&world);
    let middle = Sim::start(Cluster::new("middle").node("pve1"));
    with_somebody_in_the_middle(&world, &pve, &middle);
    for args in [&["status"][..], &["discover"], &["setup-token", "--check"], &["setup-token"]] {
        let run = world.run(args);
        assert_eq!(run.code, 6, "{run}");
        assert!(run.stderr.contains("was not issued by the cluster's CA"), "{run}");
        long_ago(&world);
    }
    assert_eq!(middle.requests(), [], "nothing was sent to it");
    assert!(middle.node("pve1").connections() > 0);
    assert_eq!(mode(&world), "cluster-ca");
    let run = world.run(&["discover"]).exits(6);
    assert_transcript!("trust_middle", run);
}

#[test]
fn somebody_in_the_middle_of_the_first_run_is_found_out() {
    let world = World::new();
    let pve = world.one_node();
    let middle = Sim::start(Cluster::new("middle").node("pve1"));
    with_somebody_in_the_middle(&world, &pve, &middle);
    world.run(&["setup-token"]).exits(6);
    assert_eq!(middle.requests(), []);
    assert!(pve.tokens().len() <= 1);
    world.configure(&pve.entries());
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_change_is_looked_up_once_a_minute_at_most() {
    let world = World::new();
    let pve = set_up(&world);
    world.state().execute("UPDATE trust SET at = at + 3600000", []).unwrap();
    let before = pve.nodes[0].ssh.connections();
    pve.sim.cluster().replace_ca();
    world.run(&["discover"]).exits(6);
    assert_eq!(pve.nodes[0].ssh.connections(), before);
    // A stamp from the future is none.
    world.state().execute("UPDATE trust SET at = at + 3600000", []).unwrap();
    world.run(&["status"]).exits(0);
}

#[test]
fn without_ssh_a_change_is_refused() {
    let world = World::new();
    let pve = set_up(&world);
    pve.sim.cluster().replace_ca();
    pve.nodes[0].ssh.change_host_key();
    let run = world.run(&["discover"]).exits(6);
    assert!(run.stderr.contains("was not issued by the cluster's CA"), "{run}");
    assert_eq!(pve.sim.requests(), []);
}

#[test]
fn another_nodes_certificate_is_refused() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let port = pve.node("pve2").api_port;
    let moved = super::world::entry("pve1", "root", pve.node("pve1").ssh.port(), port);
    // On pve1 itself its own API is behind that port.
    pve.node("pve1").host.map_port(port.unwrap(), pve.node("pve1").api_port.unwrap());
    world.configure(&moved);
    let run = world.run(&["setup-token", "--check"]).exits(6);
    assert!(run.stderr.contains("its certificate is for") && run.stderr.contains("not for pve1"), "{run}");
}

#[test]
fn a_certificate_of_ones_own_is_trusted_by_its_key() {
    let world = World::new();
    let pve = world.one_node();
    pve.sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve.example.org"]));
    let run = world.run(&["setup-token"]).exits(0);
    assert!(run.stdout.contains("public-key"), "{run}");
    assert_eq!(mode(&world), "public-key");
    pve.assert_one_usable_token(&world);
    // Another one is looked up.
    long_ago(&world);
    pve.sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve.example.org"]));
    world.run(&["status"]).exits(0);
    // Back to the cluster's own.
    long_ago(&world);
    pve.sim.cluster().renew_certificate("pve1", false);
    world.run(&["status"]).exits(0);
    assert_eq!(mode(&world), "cluster-ca");
}

#[test]
fn a_server_that_does_not_forward_is_trusted_by_the_file_of_its_ca() {
    let world = World::new();
    let pve = world.one_node();
    pve.nodes[0].ssh.refuse_forwarding(true);
    world.run(&["setup-token"]).exits(0);
    assert_eq!(mode(&world), "cluster-ca");
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_certificate_of_ones_own_is_read_from_its_file_where_nothing_is_forwarded() {
    let world = World::new();
    let pve = world.one_node();
    let own = Identity::self_signed(&["pve.example.org"]);
    let host = &pve.nodes[0].host;
    host.write_file("/etc/pve/nodes/pve1/pveproxy-ssl.pem", &own.pem());
    host.write_file("/etc/pve/nodes/pve1/pveproxy-ssl.key", "secret");
    pve.sim.cluster().serve_certificate("pve1", own);
    pve.nodes[0].ssh.refuse_forwarding(true);
    for _ in ["made", "kept"] {
        world.run(&["setup-token"]).exits(0);
        assert_eq!(mode(&world), "public-key");
    }
    pve.assert_one_usable_token(&world);
    world.run(&["status"]).exits(0);
}

#[test]
fn what_cannot_be_learned_is_said_and_learned_by_the_next_run() {
    let world = World::new();
    let pve = world.one_node();
    let host = &pve.nodes[0].host;
    host.set_certificates("", "");
    pve.nodes[0].ssh.refuse_forwarding(true);
    let run = world.run(&["setup-token"]).exits(4);
    assert!(run.stderr.contains("AllowTcpForwarding"), "{run}");
    pve.publish_certificates();
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn the_name_in_the_certificate_is_the_nodes_not_the_one_that_is_dialled() {
    let world = World::new();
    let pve = world.one_node();
    let served = &pve.nodes[0];
    world.configure(&super::world::entry("box", "root", served.ssh.port(), served.api_port));
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["node"], "pve1");
    assert_eq!(world.column("trust", "json_extract(trust, '$.node')"), ["pve1"]);
    assert_eq!(world.column("members", "node"), ["pve1"]);
    world.run(&["setup-token", "--check", "box"]).exits(0);
}

#[test]
fn the_configurations_word_comes_before_what_is_learned() {
    let world = World::new();
    let pve = world.one_node();
    let entry = pve.nodes[0].entry().trim_end().to_owned();
    let fingerprint = pve.sim.node("pve1").fingerprint();
    std::fs::write(world.env.home().join("ca.pem"), pve.sim.ca_pem()).unwrap();
    let ca_file = world.env.home().join("ca.pem").display().to_string();
    for (line, trust) in [
        (format!("fingerprint = \"{fingerprint}\""), "fingerprint"),
        (format!("ca_file = \"{ca_file}\""), "ca-file"),
        ("verify_tls = false".to_owned(), "insecure"),
    ] {
        world.configure(&format!("{entry}\n{line}\n"));
        let run = world.run(&["setup-token", "-o", "json"]).exits(0);
        assert_eq!(run.json()["servers"][0]["trust"], trust, "{run}");
        assert_eq!(world.count("trust"), 0);
        assert_eq!(run.stderr.contains("certificate is not verified"), trust == "insecure", "{run}");
    }
    world.configure(&format!("{entry}\nfingerprint = \"{}\"\n", "00".repeat(32)));
    let run = world.run(&["setup-token", "--check"]).exits(6);
    assert!(run.stderr.contains("expected is 00:00"), "{run}");
}

#[test]
fn whoever_asks_by_name_has_it_looked_up_at_once() {
    let world = World::new();
    let pve = set_up(&world);
    world.state().execute("UPDATE trust SET at = at + 3600000", []).unwrap();
    pve.sim.cluster().replace_ca();
    pve.publish_certificates();
    let run = world.run(&["discover"]).exits(6);
    assert!(run.stderr.contains("setup-token --check"), "{run}");
    let said = "pve1: the API has a new certificate; seen over SSH, and trusted from now on";
    let run = world.run(&["setup-token", "--check"]).exits(0);
    assert_eq!(run.stderr.matches(said).count(), 1, "{run}");
    pve.sim.cluster().replace_ca();
    pve.publish_certificates();
    let run = world.run(&["setup-token"]).exits(0);
    assert_eq!(run.stderr.matches(said).count(), 1, "{run}");
    for args in [&["discover"][..], &["setup-token", "--check"], &["setup-token"], &["status"]] {
        let run = world.run(args).exits(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
    pve.assert_one_usable_token(&world);
}

/// Two nodes with certificates of an administrator's, which no CA of the cluster proves anything of.
#[test]
fn nodes_with_custom_certificates_vouch_for_each_other() {
    let world = World::new();
    let pve = world.three_nodes();
    for node in &pve.nodes {
        pve.sim
            .cluster()
            .serve_certificate(&node.name, Identity::self_signed(&[&format!("{}.example.org", node.name)]));
    }
    pve.publish_certificates();
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    assert_eq!(run.stderr, "", "{run}");
    pve.assert_one_usable_token(&world);
    assert_eq!(world.column("members", "DISTINCT cluster").len(), 1, "{run}");
    world.run(&["setup-token", "--check"]).exits(0);
    // One that none of them lists is none of them.
    pve.sim.cluster().serve_through_proxy("pve3", Identity::self_signed(&["pve3.example.org"]));
    long_ago(&world);
    let secrets = pve.secrets();
    let run = world.run(&["status", "-o", "json"]);
    assert_eq!((run.code, pve.secrets()), (0, secrets), "{run}");
    world.run(&["setup-token", "--check", "pve3"]).exits(6);
}

/// A key that somebody declared stolen is never to be forgotten by the command that a hint names.
#[test]
fn a_revoked_host_key_is_named_with_its_line() {
    let world = World::new();
    let pve = world.cluster(Cluster::new("single").node("pve1"));
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    let line = pve.nodes[0].ssh.known_hosts_line();
    let (_, key) = line.split_once(' ').unwrap();
    world.know_line(&format!("# stolen\n@revoked * {key}"));
    for command in [&["setup-token"][..], &["init"]] {
        let run = world.run(command).says("is revoked in ~/.ssh/known_hosts:3").says("needs a new host key");
        assert_eq!(run.code, 6, "{run}");
        assert!(!run.stderr.contains("ssh-keygen -R"), "{run}");
    }
}
