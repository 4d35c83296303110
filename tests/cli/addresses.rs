//! Addresses of guests: whom discover asks, how often, and which address comes first.

use std::time::Duration;

use ecobox_sim::{Agent, Guest, Sim};

use super::fleets::{cluster, env_for, homelab};
use super::pace::deadline;

#[test]
fn one_request_more_for_each_running_guest() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    // Who the guests are is asked the first time only.
    let _ = env.run(&["discover"]).exits(0);
    sim.clear_requests();
    let _ = env.run(&["discover"]).exits(0);
    let calls = sim.node("pve1").calls();
    let want = [
        ("GET /cluster/resources", 1),
        ("GET /nodes/{node}/lxc/{vmid}/interfaces", 1),
        // The other virtual machine's agent did not answer the first time.
        ("GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", 1),
    ];
    let calls: Vec<(&str, usize)> = calls.iter().map(|(call, times)| (call.as_str(), *times)).collect();
    assert_eq!(calls, want);
}

#[test]
fn at_most_three_requests_at_once_for_each_node() {
    let mut fleet = cluster("big").node("pve1").node("pve2");
    for vmid in 100..140 {
        let node = if vmid % 2 == 0 { "pve1" } else { "pve2" };
        fleet = fleet.vm(vmid, &format!("vm{vmid}"), |vm| {
            vm.on(node).running().agent_ip("10.99.0.7").agent_takes(Duration::from_millis(20))
        });
    }
    let sim = Sim::start(fleet);
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.json()["guests"].as_array().unwrap().iter().filter(|g| g["hostname"] == "10.99.0.7").count(), 40);
    // All are asked through pve1, three for each of the two nodes.
    let most = sim.node("pve1").most_in_flight();
    assert!((4..=6).contains(&most), "{most}");
    assert_eq!(sim.node("pve2").requests().len(), 0);
}

#[test]
fn what_cannot_be_dialled_is_left_out_and_the_rest_ranked() {
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web", |vm| {
        vm.running()
            .agent(Agent::Answers)
            .interface("lo", "00:00:00:00:00:00", &["127.0.0.1/8", "::1/128"])
            .interface("docker0", "02:42:00:00:00:01", &["172.17.0.1/16"])
            .interface("br-0a1b2c3d4e5f", "02:42:00:00:00:02", &["172.18.0.1/16"])
            .interface(
                "eth0",
                "BC:24:11:00:00:01",
                &["fe80::1/64", "169.254.7.7/16", "2001:db8::7/64", "203.0.113.9/24"],
            )
            .interface("eth1", "BC:24:11:00:00:02", &["10.8.0.2/24"])
    }));
    let env = env_for(&sim, &["pve1"]);
    let web = env.run(&["discover", "-o", "json"]).exits(0).server("pve1-vm-101");
    let ips: Vec<_> = web["addresses"].as_array().unwrap().iter().map(|a| a["ip"].as_str().unwrap()).collect();
    assert_eq!(ips, ["10.8.0.2", "203.0.113.9", "2001:db8::7"]);
    assert_eq!((&web["hostname"], &web["addresses"][0]["interface"]), (&"10.8.0.2".into(), &"eth1".into()));
    assert_eq!(web["addresses"][0]["mac"], "bc:24:11:00:00:02");
    // status shows what discover found.
    let seen = env.run(&["status", "-o", "json"]).exits(0).server("pve1-vm-101");
    assert_eq!((&seen["address"], seen["addresses"].as_array().unwrap().len()), (&"10.8.0.2".into(), 3));
}

#[test]
fn agents_that_are_missing_dead_or_slow_are_told_apart() {
    let sim = Sim::start(
        cluster("lab")
            .node("pve1")
            .vm(101, "none", Guest::running)
            .vm(102, "dead", |vm| vm.running().agent(Agent::Dead))
            .vm(103, "slow", |vm| vm.running().agent_ip("10.99.0.3").agent_takes(Duration::from_secs(3600)))
            .vm(104, "well", |vm| vm.running().agent_ip("10.99.0.4"))
            .vm(105, "off", |vm| vm.stopped().agent(Agent::Answers))
            .vm(106, "halted", |vm| vm.paused().agent_ip("10.99.0.6")),
    );
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json", "--timeout", &deadline(8)]).exits(0);
    let why = |id: &str| run.server(id)["addresses_unknown"].as_str().unwrap_or("-").to_owned();
    assert_eq!(why("pve1-vm-101"), "no guest agent is configured");
    assert_eq!(why("pve1-vm-102"), "its guest agent does not answer");
    // The agent's own limit, or what is left of the deadline.
    assert!(why("pve1-vm-103").contains(" answer within "), "{run}");
    assert_eq!((why("pve1-vm-104").as_str(), &run.server("pve1-vm-104")["hostname"]), ("-", &"10.99.0.4".into()));
    assert_eq!((why("pve1-vm-105"), why("pve1-vm-106")), ("-".to_owned(), "-".to_owned()));
    assert_eq!(sim.node("pve1").count("/105/agent") + sim.node("pve1").count("/106/agent"), 0);
}

#[test]
fn an_address_that_was_known_outlives_an_agent_that_is_silent() {
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web", |vm| vm.running().agent_ip("10.99.0.1")));
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().change_guest(101, |vm| vm.agent(Agent::Dead));
    let run = env.run(&["discover", "--all", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-vm-101")["hostname"], "10.99.0.1");
    // Its address is as old as it is.
    let run = env.run(&["discover", "--all", "-o", "csv"]).exits(0);
    assert!(run.stdout.contains(",as_of,") && run.stdout.contains(",10.99.0.1,2026-01-02T03:04:05Z,"), "{run}");
    sim.cluster().change_guest(101, Guest::stopped);
    let run = env.run(&["discover", "--all", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-vm-101")["hostname"], "10.99.0.1");
}

/// Those that hang hold no place that another could use: they come last the next time, and rarely.
#[test]
fn silent_agents_are_asked_last_and_once_an_hour() {
    let mut fleet = cluster("lab").node("pve1");
    for vmid in 101..=106 {
        fleet = fleet.vm(vmid, &format!("vm{vmid}"), |vm| {
            if vmid <= 103 { vm.running().agent(Agent::Dead) } else { vm.running().agent_ip("10.99.0.1") }
        });
    }
    let sim = Sim::start(fleet);
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    let asked_by = |args: &[&str]| -> Vec<String> {
        sim.clear_requests();
        let _ = env.run(args).exits(0);
        sim.node("pve1").requests().into_iter().filter(|r| r.path.contains("/agent/")).map(|r| r.path).collect()
    };
    assert_eq!(asked_by(&["discover"]).len(), 3);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    let why = run.server("pve1-vm-101")["addresses_unknown"].as_str().unwrap().to_owned();
    assert!(why.starts_with("its guest agent did not answer ") && why.contains("`--all-agents` asks it now"), "{why}");
    // The same agents are asked for file systems.
    assert_eq!(asked_by(&["stats", "--agent"]).len(), 3);
    assert_eq!(asked_by(&["stats", "--agent", "--all-agents"]).len(), 6);
    let asked = asked_by(&["discover", "--all-agents"]);
    assert_eq!(asked.len(), 6);
    // Three are on their way at once, so that only the ends are certain.
    let answers = |path: &str| ["/104/", "/105/", "/106/"].iter().any(|id| path.contains(id));
    assert!(answers(&asked[0]) && !answers(&asked[5]), "{asked:?}");
    // A guest that was started since may have another agent.
    sim.cluster().crash_guest(102);
    sim.cluster().change_guest(102, |vm| vm.running().agent_ip("10.99.0.2").uptime(1));
    let asked = asked_by(&["discover"]);
    assert!(asked.len() == 4 && asked.iter().any(|path| path.contains("/102/")), "{asked:?}");
    // An hour later; one that answered is asked like any other.
    env.execute("UPDATE silent_agents SET at = at - 3600000");
    assert_eq!(env.rows("SELECT vmid FROM silent_agents"), ["101", "103"]);
    assert_eq!(asked_by(&["discover"]).len(), 6);
}

#[test]
fn containers_say_their_own_addresses() {
    let sim = Sim::start(
        cluster("lab")
            .node("pve1")
            .ct(201, "dns", |ct| ct.running().agent_ip("10.99.0.53"))
            .ct(202, "bare", Guest::running)
            .ct(203, "off", |ct| ct.stopped().agent_ip("10.99.0.54")),
    );
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-ct-201")["hostname"], "10.99.0.53");
    assert_eq!(run.server("pve1-ct-202")["addresses"], serde_json::json!([]));
    assert_eq!(run.server("pve1-ct-203")["hostname"], serde_json::Value::Null);
}

/// The card's address stands in the guest's configuration; what is inside of it has others.
#[test]
fn a_card_of_the_guest_comes_before_what_is_inside_of_it() {
    let (own, second) = ("BC:24:11:00:00:64", "BC:24:11:00:00:65");
    let sim = Sim::start(
        cluster("lab")
            .node("pve1")
            .vm(100, "windows", |vm| {
                vm.running()
                    .mac(own)
                    .agent(Agent::Answers)
                    .interface("vEthernet (Default Switch)", "00:15:5d:9a:01:02", &["172.29.208.1/20"])
                    .interface("Ethernet", "bc:24:11:00:00:64", &["192.168.7.50/24"])
            })
            .vm(101, "public", |vm| {
                vm.running()
                    .mac(own)
                    .agent(Agent::Answers)
                    .interface("wg0", "00:00:00:00:00:00", &["10.66.0.1/24"])
                    .interface("mybridge", "02:42:ac:00:00:01", &["192.168.99.1/24"])
                    .interface("ens18", own, &["203.0.113.9/24"])
            })
            .vm(102, "router", |vm| {
                vm.running()
                    .mac(own)
                    .config("net1", format!("e1000={second},bridge=vmbr1"))
                    .agent(Agent::Answers)
                    .interface("docker0", "02:42:00:00:00:01", &["172.17.0.1/16"])
                    .interface("wan", second, &["198.51.100.7/24"])
                    .interface("br-lan", own, &["192.168.1.1/24"])
            })
            .ct(201, "tunnel", |ct| {
                ct.running().mac(own).interface("tun0", "00:00:00:00:00:00", &["10.8.0.2/24"]).interface(
                    "eth0",
                    own,
                    &["203.0.113.10/24"],
                )
            }),
    );
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    for (id, want) in [
        ("pve1-vm-100", &["192.168.7.50", "172.29.208.1"][..]),
        ("pve1-vm-101", &["203.0.113.9", "192.168.99.1", "10.66.0.1"]),
        ("pve1-vm-102", &["192.168.1.1", "198.51.100.7"]),
        ("pve1-ct-201", &["203.0.113.10", "10.8.0.2"]),
    ] {
        let guest = run.server(id);
        let ips: Vec<_> = guest["addresses"].as_array().unwrap().iter().map(|a| a["ip"].as_str().unwrap()).collect();
        assert_eq!(ips, want, "{id}");
        assert_eq!(guest["hostname"], want[0], "{id}");
    }
}

/// An error where a list should stand is no empty list.
#[test]
fn an_answer_that_is_no_list_erases_no_address() {
    use serde_json::json;
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web", |vm| vm.running().agent_ip("10.99.0.1")).ct(
        201,
        "dns",
        |ct| ct.running().agent_ip("10.99.0.53"),
    ));
    let env = env_for(&sim, &["pve1"]);
    let first = env.run(&["discover", "-o", "json"]).exits(0);
    let since = first.server("pve1-vm-101")["addresses_at"].clone();
    assert!(since.is_string(), "{first}");
    let answers = [
        (
            json!({ "error": { "class": "GenericError", "desc": "Permission denied" } }),
            "its guest agent says: Permission denied",
        ),
        (json!({ "error": { "class": "CommandNotFound" } }), "its guest agent says: CommandNotFound"),
        (json!(null), "its guest agent answers with no list of interfaces"),
        (json!("later"), "its guest agent answers with no list of interfaces"),
        (json!({}), "its guest agent answers with no list of interfaces"),
        (json!([7, null]), "its guest agent answers with no list of interfaces"),
    ];
    for (answer, why) in answers {
        sim.cluster().change_guest(101, |vm| vm.agent_says("network-get-interfaces", answer.clone()));
        let run = env.run(&["discover", "--all", "-o", "json"]).exits(0);
        let web = run.server("pve1-vm-101");
        assert_eq!((&web["hostname"], &web["addresses_unknown"]), (&json!("10.99.0.1"), &json!(why)), "{answer}");
        assert_eq!(web["addresses_at"], since, "{answer}");
    }
    for body in [r#"{"data":null}"#, r#"{"data":{"error":"x"}}"#, r#"{"data":"not now"}"#] {
        let fault = ecobox_sim::Fault::Json(body.to_owned());
        sim.node("pve1").fail_on(Some("GET"), Some("/lxc/201/interfaces"), Some(1), fault);
        let dns = env.run(&["discover", "--all", "-o", "json"]).exits(0).server("pve1-ct-201");
        assert_eq!(dns["hostname"], "10.99.0.53", "{body}");
        assert_eq!(dns["addresses_unknown"], "its node answers with no list of interfaces", "{body}");
    }
    let not_running = ecobox_sim::Fault::Status(500, "CT 201 not running".to_owned());
    sim.node("pve1").fail_on(Some("GET"), Some("/lxc/201/interfaces"), Some(1), not_running);
    let dns = env.run(&["discover", "--all", "-o", "json"]).exits(0).server("pve1-ct-201");
    assert_eq!((&dns["hostname"], &dns["addresses_unknown"]), (&json!("10.99.0.53"), &json!("it does not run")));
    // A list says so, even an empty one.
    sim.cluster().change_guest(101, |vm| vm.agent_says("network-get-interfaces", json!([])));
    let web = env.run(&["discover", "--all", "-o", "json"]).exits(0).server("pve1-vm-101");
    assert_eq!((&web["hostname"], &web["addresses_unknown"]), (&json!(null), &json!(null)));
}
