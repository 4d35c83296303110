//! The first run against Debian's own sshd, where it is installed; elsewhere the tests say loudly that they did not run.

use ecobox_sim::Cluster;
use ecobox_sim::host::Host;
use ecobox_sim::sshd::RealSshd;

use super::world::{Pve, World, entry};

/// One node of a cluster with guests, behind the real sshd, seen by the host as this login.
fn behind_sshd(world: &World, login: &str) -> Option<(Pve, RealSshd)> {
    let pve = world.cluster(Cluster::new("single").node("pve1").vm(101, "web-01", ecobox_sim::Guest::running));
    let sshd = world.serve_really(&pve.nodes[0].host, login)?;
    world.know_line(&sshd.known_hosts_line());
    world.configure(&entry("pve1", &sshd.user(), sshd.port(), pve.nodes[0].api_port));
    Some((pve, sshd))
}

#[test]
fn the_four_commands_work_with_openssh() {
    for login in ["root", "admin"] {
        let world = World::new();
        let Some((pve, _sshd)) = behind_sshd(&world, login) else { return };
        let run = world.run(&["init", "-o", "json"]).exits(0);
        let facts = &run.json()["servers"][0]["facts"];
        assert_eq!(facts["product"]["node"], "pve1", "{facts:#}");
        let run = world.run(&["setup-token"]).exits(0);
        assert!(run.stdout.contains("cluster-ca"), "{run}");
        world.run(&["discover"]).exits(0);
        let run = world.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(run.json()["servers"][1]["state"], "running", "{run}");
        pve.assert_one_usable_token(&world);
    }
}

#[test]
fn openssh_logs_a_guest_in_who_may_do_nothing() {
    let world = World::new();
    let pve = world.cluster_with(Cluster::new("single").node("pve1"), |builder| {
        builder.login("guest", ecobox_sim::host::Rights::NoSudo)
    });
    let Some(sshd) = world.serve_really(&pve.nodes[0].host, "guest") else { return };
    world.know_line(&sshd.known_hosts_line());
    world.configure(&entry("pve1", &sshd.user(), sshd.port(), pve.nodes[0].api_port));
    let run = world.run(&["setup-token"]).exits(4);
    assert!(run.stderr.contains("may not run pveum"), "{run}");
    assert_eq!((pve.tokens().len(), world.count("intents")), (0, 0));
}

#[test]
fn openssh_connections_break_and_the_next_run_mends_it() {
    for n in [1, 4, 5] {
        let world = World::new();
        let Some((pve, _sshd)) = behind_sshd(&world, "root") else { return };
        pve.nodes[0].host.drop_after_pveum(n);
        let run = world.run(&["setup-token"]);
        assert_ne!(run.code, 0, "{run}");
        let run = world.run(&["setup-token"]).exits(0);
        assert_eq!(pve.tokens().len(), 1, "{run}\n{:#?}", pve.writes());
        pve.assert_one_usable_token(&world);
    }
}

#[test]
fn openssh_is_a_jump_host() {
    let world = World::new();
    let jump = Host::debian("jump").build();
    let pve = world.cluster(Cluster::new("single").node("pve1"));
    let Some(sshd) = world.serve_really(&jump, "admin") else { return };
    world.know_line(&sshd.known_hosts_line());
    world.know_all(&pve.nodes);
    let way = format!("proxy_jump = \"{}@127.0.0.1:{}\"\n", sshd.user(), sshd.port());
    world.configure(&(pve.nodes[0].entry().trim_end().to_owned() + "\n" + &way));
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn openssh_presents_a_key_that_was_not_known_or_is_not_the_known_one() {
    let world = World::new();
    let host = Host::debian("nas").build();
    let Some(sshd) = world.serve_really(&host, "admin") else { return };
    world.configure(&entry("nas", &sshd.user(), sshd.port(), None));
    world.run(&["init"]).exits(6);
    world.run(&["init", "--accept-new"]).exits(0);
    let known = std::fs::read_to_string(world.known_hosts()).unwrap();
    assert_eq!(known, sshd.known_hosts_line());
    let Some(other) = world.serve_really(&host, "admin") else { return };
    let line = sshd.known_hosts_line().replace(&sshd.port().to_string(), &other.port().to_string());
    std::fs::write(world.known_hosts(), line).unwrap();
    world.configure(&entry("nas", &other.user(), other.port(), None));
    world.run(&["init", "--accept-new"]).exits(6);
}
