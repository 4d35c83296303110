//! `ecobox discover`: what is new, changed, moved or gone, and what is kept.

use ecobox_sim::{Cluster, Guest, Kind, Sim};

use super::env::{CANARY, Env, Run};
use super::fleets::{OPERATOR, TOKEN, env_for, full_token, homelab, three, untrusted};
use super::pace::deadline;

/// What the run says of one guest.
fn change(run: &Run, id: &str) -> serde_json::Value {
    run.server(id)["changes"].clone()
}

#[test]
fn the_first_time_everything_is_new() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    insta::assert_snapshot!(env.run(&["discover"]).exits(0), @"
    NAME    CHANGE  STATE    KIND  NODE  ADDRESS     AS OF  ID           TAGS
    web-01  new     running  qemu  pve1  -           -      pve1-vm-101  web
    web-02  new     running  qemu  pve2  -           -      pve2-vm-102  web, prod
    web-03  new     stopped  qemu  pve3  -           -      pve3-vm-103  -
    dns     new     running  lxc   pve2  10.99.0.53  -      pve2-ct-201  -
    4 guests, 4 new
    ");
    // The second time nothing is.
    insta::assert_snapshot!(env.run(&["discover"]).exits(0), @"4 guests");
    insta::assert_snapshot!(env.run(&["discover", "--all"]).exits(0), @"
    NAME    CHANGE  STATE    KIND  NODE  ADDRESS     AS OF  ID           TAGS
    web-01  -       running  qemu  pve1  -           -      pve1-vm-101  web
    web-02  -       running  qemu  pve2  -           -      pve2-vm-102  web, prod
    web-03  -       stopped  qemu  pve3  -           -      pve3-vm-103  -
    dns     -       running  lxc   pve2  10.99.0.53  -      pve2-ct-201  -
    4 guests
    ");
}

#[test]
fn each_change_is_told_once() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    {
        let mut cluster = sim.cluster();
        cluster.migrate_guest(101, "pve3");
        cluster.rename_guest(102, "shop");
        cluster.change_guest(103, |vm| vm.running().tags("new").pool("lab"));
        cluster.remove_guest(201);
        cluster.add_guest(Kind::Lxc, 202, "mail", |ct| ct.on("pve1").running());
    }
    let run = env.run(&["discover"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME    CHANGE                                            STATE    KIND  NODE  ADDRESS     AS OF  ID           TAGS
    web-01  moved pve1 -> pve3                                running  qemu  pve3  -           -      pve3-vm-101  web
    shop    renamed web-02 -> shop                            running  qemu  pve2  -           -      pve2-vm-102  web, prod
    web-03  stopped -> running, tags - -> new, pool - -> lab  running  qemu  pve3  -           -      pve3-vm-103  new
    dns     gone                                              unknown  lxc   pve2  10.99.0.53  -      pve2-ct-201  -
    mail    new                                               running  lxc   pve1  -           -      pve1-ct-202  -
    4 guests, 1 new, 1 moved, 1 gone, 2 changed otherwise
    ");
    insta::assert_snapshot!(env.run(&["discover"]).exits(0), @"4 guests");
    // The guest kept its identity and has the name of its new host.
    let report = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(report.server("pve3-vm-101")["name"], "web-01");
    assert!(!report.stdout.contains("pve1-vm-101"), "{report}");
    sim.cluster().add_guest(Kind::Lxc, 201, "dns", |ct| ct.on("pve2").running());
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(change(&run, "pve2-ct-201"), serde_json::json!([{"change": "returned"}]), "{run}");
}

/// A person looks before cron does: cron still tells.
#[test]
fn what_status_saw_first_is_told_by_the_next_discover() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().rename_guest(102, "shop");
    sim.cluster().remove_guest(201);
    let _ = env.run(&["status"]).exits(0);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(change(&run, "pve1-vm-102")[0]["change"], "renamed", "{run}");
    assert_eq!(change(&run, "pve1-ct-201")[0]["change"], "gone", "{run}");
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(change(&run, "pve1-vm-102"), serde_json::json!([]), "{run}");
}

#[test]
fn another_kind_of_guest_under_the_number_is_another_guest() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().remove_guest(101);
    sim.cluster().add_guest(Kind::Lxc, 101, "other", |ct| ct.on("pve1"));
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(change(&run, "pve1-ct-101")[0]["change"], "replaced", "{run}");
}

#[test]
fn a_node_that_is_off_keeps_its_guests() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.node("pve2").stop();
    sim.cluster().expire_stats("pve2");
    for _ in 0..2 {
        let run = env.run(&["discover", "--all", "-o", "json"]).exits(0);
        let (web, dns) = (run.server("pve2-vm-102"), run.server("pve2-ct-201"));
        assert_eq!((&web["name"], &dns["name"]), (&"web-02".into(), &"dns".into()), "{run}");
        assert_eq!(dns["hostname"], "10.99.0.53");
        assert_eq!(web["state"], "unknown");
        assert!(!run.stdout.contains("gone"), "{run}");
    }
    sim.cluster().start_node("pve2");
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert!(!run.stdout.contains("\"new\"") && !run.stdout.contains("renamed"), "{run}");
    assert_eq!(run.server("pve2-vm-102")["state"], "stopped");
}

#[test]
fn nobody_answers_nothing_is_lost() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    for node in ["pve1", "pve2", "pve3"] {
        sim.cluster().set_listening(node, false);
    }
    let run = env.run(&["discover", "-o", "json"]).exits(5);
    assert_eq!(run.failures(), ["pve1 unreachable", "pve2 unreachable", "pve3 unreachable"]);
    assert_eq!(env.rows("SELECT count(*) FROM guests WHERE gone_at IS NULL"), ["5"]);
}

#[test]
fn if_stale_does_nothing_within_the_interval() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    sim.clear_requests();
    // Cron mails whatever is said.
    insta::assert_snapshot!(env.run(&["discover", "--if-stale"]).exits(0), @"");
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
    env.execute("UPDATE clusters SET discovered_at = discovered_at - 200000");
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    assert_eq!(sim.requests().len(), 0);
    env.execute("UPDATE clusters SET discovered_at = discovered_at - 101000");
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    assert!(!sim.requests().is_empty());
    // What a failed run could not read stays stale; a clock that was wrong is no reason to wait.
    env.execute("UPDATE clusters SET discovered_at = discovered_at + 86400000");
    sim.clear_requests();
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    assert!(!sim.requests().is_empty());
}

#[test]
fn if_stale_after_a_failure_tries_again() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().set_listening("pve1", false);
    let _ = env.run(&["discover", "--if-stale"]).exits(5);
    sim.cluster().set_listening("pve1", true);
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    assert_eq!(env.rows("SELECT count(*) FROM guests"), ["5"]);
}

#[test]
fn only_the_named_hosts_clusters_are_asked() {
    let (lab, home) = (three(), homelab());
    let mut env = env_for(&lab, &["pve1"]);
    env.add_config(&super::fleets::api("home", &home, "pve1"));
    env.set("ECOBOX_TOKEN_HOME", full_token());
    let _ = env.run(&["discover"]).exits(0);
    lab.clear_requests();
    home.clear_requests();
    let run = env.run(&["discover", "home", "--all", "-o", "json"]).exits(0);
    assert!(lab.requests().is_empty() && !home.requests().is_empty());
    assert!(!run.stdout.contains("pve1-vm-101"), "{run}");
}

#[test]
fn without_any_proxmox_host_it_says_what_to_do() {
    let env = Env::new();
    env.config(&super::fleets::plain("nas", 1));
    insta::assert_snapshot!(env.run(&["discover"]).exits(7), @"
    ------- stderr -------
    error: no configured server is known to be a Proxmox VE host
    hint: run `ecobox init` to look at them, then `ecobox setup-token`
    [exit status: 7]
    ");
}

/// Two entries reach one cluster by the API alone: their certificates say so.
#[test]
fn api_only_hosts_of_one_cluster_are_told_apart_by_certificates() {
    let (lab, other) = (three(), three());
    let mut env = env_for(&lab, &["pve1", "pve2"]);
    env.add_config(&super::fleets::api("other", &other, "pve1"));
    env.set("ECOBOX_TOKEN_OTHER", full_token());
    let _ = env.run(&["discover"]).exits(0);
    assert_eq!(env.rows("SELECT count(DISTINCT cluster), count(*) FROM members"), ["2|3"]);
    assert_eq!(env.rows("SELECT server, node FROM members"), ["other|pve1", "pve1|pve1", "pve2|pve2"]);
    assert_eq!(env.rows("SELECT count(*) FROM guests"), ["10"]);
    // An entry that comes later joins the cluster that is known.
    env.add_config(&super::fleets::api("pve3", &lab, "pve3"));
    env.set("ECOBOX_TOKEN_PVE3", full_token());
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(env.rows("SELECT count(DISTINCT cluster), count(*) FROM members"), ["2|4"]);
    assert!(!run.stdout.contains("\"new\""), "{run}");
    assert_eq!(run.server("pve3-vm-103")["parent"], "pve3");
}

/// A first host that hangs is told apart later, and never gets a cluster of its own for good.
#[test]
fn a_host_that_hung_the_first_time_joins_its_cluster_later() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    sim.node("pve2").fail(ecobox_sim::Fault::HangAtRequest);
    let _ = env.run(&["discover", "--timeout", &deadline(10)]).exits(8);
    sim.node("pve2").heal();
    let _ = env.run(&["discover"]).exits(0);
    assert_eq!(env.rows("SELECT server, cluster, node FROM members"), ["pve1|host:pve1|pve1", "pve2|host:pve1|pve2"]);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.states().iter().filter(|line| line.contains("-101 ")).count(), 1, "{run}");
}

/// PVE 8 asks for VM.Monitor before an agent may be asked; ecobox does without.
#[test]
fn pve_8_without_vm_monitor_keeps_going() {
    let privileges: Vec<&str> = OPERATOR.iter().copied().filter(|name| *name != "VM.GuestAgent.Audit").collect();
    let cluster = Cluster::new("old").pve("8.4.1").node("pve1").token(TOKEN, CANARY, "/", &privileges);
    let sim = Sim::start(
        cluster
            .vm(101, "web", |vm| vm.running().agent_ip("10.99.0.1"))
            .ct(201, "dns", |ct| ct.running().agent_ip("10.99.0.53")),
    );
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-ct-201")["hostname"], "10.99.0.53");
    let web = run.server("pve1-vm-101");
    assert!(web["addresses_unknown"].as_str().unwrap().contains("VM.Monitor"), "{web}");
}

#[test]
fn pve_7_works_too() {
    let cluster = Cluster::new("older").pve("7.4-3").node("pve1");
    let sim =
        Sim::start(cluster.token(TOKEN, CANARY, "/", &["VM.Audit", "Sys.Audit"]).vm(101, "web", Guest::running).ct(
            201,
            "dns",
            Guest::running,
        ));
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-ct-201")["state"], "running");
}

#[test]
fn a_host_given_by_hand_needs_no_ssh() {
    let sim = three();
    let mut env = Env::new();
    env.config(&format!("{}verify_tls = false\n", untrusted("lab", sim.node("pve2").port())));
    env.set("ECOBOX_TOKEN_LAB", full_token());
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.server("lab-vm-101")["node"], "pve1");
    // Which node it is was learned from its certificate.
    assert_eq!(env.rows("SELECT server, node FROM members"), ["lab|pve2"]);
}

/// Who is missing may stand in an entry that could not be read.
#[test]
fn nobody_is_gone_because_of_an_entry_that_cannot_be_read() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    let listing = |web: &str| {
        let node = r#"{"type":"node","node":"pve1","status":"online","maxcpu":8,"id":"node/pve1"}"#;
        let db = r#"{"type":"qemu","vmid":102,"node":"pve1","name":"db","status":"running","id":"qemu/102"}"#;
        format!(r#"{{"data":[{node},{db},{web}]}}"#)
    };
    for web in [
        r#"{"type":"qemu","vmid":"no number","node":"pve1","name":"web-01","status":"running"}"#,
        r#"{"type":"qemu","vmid":101,"node":{"a":1},"name":"web-01","status":"running"}"#,
        r#"{"vmid":101,"node":"pve1"}"#,
        "null",
        r#"[{"type":"qemu","vmid":101,"node":"pve1"}]"#,
    ] {
        let fault = ecobox_sim::Fault::Json(listing(web));
        sim.node("pve1").fail_on(Some("GET"), Some("/cluster/resources"), None, fault);
        let run = env.run(&["status", "-o", "json"]).exits(0);
        let seen = run.server("pve1-vm-101");
        assert_eq!((&seen["name"], &seen["state"]), (&"web-01".into(), &"unknown".into()), "{web}");
        let reason = seen["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("could not be read"), "{web}: {reason}");
        let run = env.run(&["discover", "--all", "-o", "json"]).exits(0);
        assert!(!run.stdout.contains("gone"), "{web}: {run}");
        assert_eq!(run.server("pve1-vm-101")["name"], "web-01", "{web}");
        sim.node("pve1").heal();
    }
    // Where all of it could be read, it is.
    sim.cluster().remove_guest(101);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(change(&run, "pve1-vm-101"), serde_json::json!([{ "change": "gone" }]));
}

/// What `status` saw in between is told as one: from what it was to what it is.
#[test]
fn the_net_change_is_told_once_with_its_values() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    let step = |change: fn(&mut Cluster)| {
        change(&mut sim.cluster());
        let _ = env.run(&["status"]).exits(0);
    };
    step(|cluster| {
        cluster.rename_guest(102, "shop");
        cluster.migrate_guest(101, "pve3");
        cluster.change_guest(103, |vm| vm.ha("stopped").tags("old"));
        cluster.add_guest(Kind::Lxc, 202, "brief", |ct| ct.on("pve1").running());
    });
    step(|cluster| {
        cluster.rename_guest(102, "web-02");
        cluster.migrate_guest(101, "pve2");
        cluster.change_guest(103, |vm| vm.ha("error").tags("new"));
        cluster.remove_guest(202);
    });
    let run = env.run(&["discover"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME    CHANGE                              STATE    KIND  NODE  ADDRESS  AS OF  ID           TAGS
    web-01  moved pve1 -> pve2                  running  qemu  pve2  -        -      pve2-vm-101  web
    web-03  tags - -> new, ha_state - -> error  stopped  qemu  pve3  -        -      pve3-vm-103  new
    4 guests, 1 moved, 1 changed otherwise
    ");
}
