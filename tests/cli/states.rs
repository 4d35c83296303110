//! The states that `status` tells apart, and what it knows of guests whose node is gone.

use ecobox_sim::{Guest, Service, Sim, Stats};

use super::fleets::{cluster, env_for, homelab, three};

#[test]
fn each_state_of_a_guest_has_its_word() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(
        run.states(),
        [
            "pve1 online",
            "pve1-vm-101 running",
            "pve1-vm-102 running",
            "pve1-vm-103 stopped",
            "pve1-vm-105 paused",
            "pve1-vm-106 hibernated",
            "pve1-vm-107 paused",
            "pve1-ct-201 running",
            "pve1-ct-202 stopped",
        ]
    );
    let field = |id: &str, name: &str| run.server(id)[name].clone();
    assert_eq!(field("pve1-vm-107", "raw_status"), "io-error");
    assert_eq!(field("pve1-vm-102", "lock"), "backup");
    assert_eq!(field("pve1-vm-106", "lock"), "suspended");
    assert_eq!(field("pve1-vm-101", "tags"), serde_json::json!(["prod", "web"]));
    assert_eq!(field("pve1-vm-101", "pool"), "live");
    assert_eq!(field("pve1-vm-101", "ha_state"), "started");
    assert_eq!(field("pve1-vm-103", "uptime_seconds"), serde_json::Value::Null);
}

#[test]
fn templates_are_never_shown() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    for args in [["status", "-o", "json"], ["discover", "-o", "json"], ["status", "--cached", "-o"]] {
        let args: Vec<&str> = args.into_iter().chain(args.ends_with(&["-o"]).then_some("json")).collect();
        let run = env.run(&args).exits(0);
        assert!(!run.stdout.contains("9000") && !run.stdout.contains("template"), "{run}");
    }
}

/// Of a node without numbers nothing says which of its guests are templates; it was known before.
#[test]
fn a_template_whose_node_is_gone_is_no_guest() {
    let golden = |vm: Guest| vm.on("pve2").template();
    let cluster = cluster("lab").node("pve1").node("pve2").vm(101, "web", Guest::running);
    let sim = Sim::start(cluster.vm(900, "golden", golden));
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().stop_node("pve2");
    sim.cluster().expire_stats("pve2");
    for args in [&["status", "-o", "json"][..], &["discover", "-o", "json"], &["status", "--cached", "-o", "json"]] {
        let run = env.run(args);
        assert!(run.stdout.contains("pve1-vm-101") && !run.stdout.contains("900"), "{run}");
    }
}

/// For five minutes PVE goes on saying `running` of guests whose node is dead.
#[test]
fn a_dead_nodes_guests_are_unknown_at_once() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve2").stop();
    let run = env.run(&["status"]).exits(8);
    insta::assert_snapshot!(run, @"
    NAME      STATE    KIND  NODE  ADDRESS    CPU  MEMORY     UPTIME  SERVICES  SEEN                  BY
    pve1      online   pve   pve1  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-01  running  qemu  pve1  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
    pve2      offline  pve   pve2  127.0.0.1  -    -          -       -         2026-01-02T03:04:05Z  tcp
      web-02  unknown  qemu  pve2  -          -    -          -       -         2026-01-02T03:04:05Z  api
      dns     unknown  lxc   pve2  -          -    -          -       -         2026-01-02T03:04:05Z  api
    pve3      online   pve   pve3  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-03  stopped  qemu  pve3  -          -    -          -       -         2026-01-02T03:04:05Z  api
    ------- stderr -------
    warning: pve2 is offline: its cluster says that it is offline
    hint: run `ecobox doctor pve2`
    [exit status: 8]
    ");
    let json = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(json.failures(), ["pve2 unreachable"]);
    let web = json.server("pve2-vm-102");
    assert_eq!(
        (&web["name"], &web["state"], &web["raw_status"]),
        (&"web-02".into(), &"unknown".into(), &"running".into())
    );
    assert!(web["last_seen"].is_string() && web["cpu_percent"].is_null() && web["uptime_seconds"].is_null(), "{web}");
}

#[test]
fn after_five_minutes_a_dead_nodes_guests_keep_their_names() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.node("pve2").stop();
    sim.cluster().expire_stats("pve2");
    for _ in 0..2 {
        let run = env.run(&["status", "-o", "json"]).exits(8);
        let (web, dns) = (run.server("pve2-vm-102"), run.server("pve2-ct-201"));
        assert_eq!((&web["name"], &web["state"], &web["pool"]), (&"web-02".into(), &"unknown".into(), &"live".into()));
        assert_eq!((&dns["name"], &dns["address"]), (&"dns".into(), &"10.99.0.53".into()));
        assert_eq!(web["tags"], serde_json::json!(["web", "prod"]));
        assert!(web["last_seen"].is_string(), "{web}");
        // Selection by the remembered name and tag works too.
        let _ = env.run(&["status", "web-02", "tag=prod"]).exits(5);
    }
}

/// pvestatd hangs on dead storage: the node is online and says itself what its guests do; there are no numbers.
#[test]
fn a_node_without_numbers_is_not_dead() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().set_stats("pve1", Stats::None);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1")["state"], "online");
    let web = run.server("pve1-vm-101");
    assert_eq!((&web["name"], &web["state"]), (&"web-01".into(), &"running".into()));
    assert!(web["last_seen"].is_string() && web["cpu_percent"].is_null(), "{web}");
    assert_eq!(
        (&run.server("pve1-vm-105")["state"], &web["lag_seconds"]),
        (&"paused".into(), &serde_json::Value::Null)
    );
    // Where the node does not say it either, it is said whose fault that is.
    sim.cluster().set_service("pve1", Service::PvedaemonDown);
    let run = env.run(&["status", "-o", "json"]).exits(5).says("pvedaemon on pve1 is down");
    let web = run.server("pve1-vm-101");
    assert_eq!(web["state"], "unknown");
    assert!(web["reason"].as_str().unwrap().contains("pvestatd on pve1 is silent"), "{web}");
}

#[test]
fn without_quorum_everything_is_shown() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().set_quorate(false);
    // As long as all nodes are there, there is one: nobody asks.
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
    sim.node("pve3").stop();
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
    assert_eq!(run.failures(), ["pve1 no-quorum", "pve1 node-offline"]);
}

#[test]
fn a_broken_pmxcfs_is_said_in_its_own_words() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().set_service("pve1", Service::PmxcfsDown);
    let run = env
        .run(&["status", "-o", "json"])
        .exits(5)
        .says("pve-cluster is down")
        .says("Unable to load access control list");
    assert_eq!(run.server("pve1")["state"], "online");
    assert_eq!(run.server("pve1-vm-101")["state"], "unknown");
}

#[test]
fn a_node_that_comes_back_is_as_it_was() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let before = env.run(&["status", "-o", "json"]).exits(0).states();
    sim.node("pve2").stop();
    let _ = env.run(&["status"]).exits(8);
    sim.cluster().resume_node("pve2");
    assert_eq!(env.run(&["status", "-o", "json"]).exits(0).states(), before);
}

#[test]
fn a_host_that_was_put_to_sleep_is_asleep_and_no_alarm() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve1").stop();
    env.execute("INSERT INTO wishes VALUES ('pve1', 1, 0)");
    let run = env.run(&["status", "-o", "json"]);
    assert_eq!(run.server("pve1")["state"], "asleep", "{run}");
    assert_eq!(run.failures(), [] as [&str; 0]);
    assert_eq!(run.code, 0);
}

#[test]
fn what_is_expected_to_sleep_is_no_alarm() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    env.add_config("[[servers]]\nid = \"nas\"\nhostname = \"127.0.0.1\"\nssh_port = 1\nexpected = \"asleep\"\n");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("nas")["state"], "offline");
}
