//! `ecobox status` on one host and on a cluster: who is shown, under whom, by how many requests.

use ecobox_sim::Fault;

use super::env::Env;
use super::fleets::{CLOSED, env_for, full_token, homelab, three, untrusted};
use super::pace::deadline;

#[test]
fn one_request_shows_a_whole_host() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME       STATE       KIND  NODE  ADDRESS    CPU  MEMORY     UPTIME  SERVICES  SEEN                  BY
    pve1       online      pve   pve1  127.0.0.1   8%   8.0G/32G  11d13h  -         2026-01-02T03:04:05Z  api
      web-01   running     qemu  pve1  -          25%  1.0G/4.0G   3d04h  -         2026-01-02T03:04:05Z  api
      db       running     qemu  pve1  -           0%  4.0G/8.0G   1h00m  -         2026-01-02T03:04:05Z  api
      VM 103   stopped     qemu  pve1  -          -    -          -       -         2026-01-02T03:04:05Z  api
      desktop  paused      qemu  pve1  -          -    -           1h00m  -         2026-01-02T03:04:05Z  api
      laptop   hibernated  qemu  pve1  -          -    -          -       -         2026-01-02T03:04:05Z  api
      broken   paused      qemu  pve1  -          -    -           1h00m  -         2026-01-02T03:04:05Z  api
      ct-web   running     lxc   pve1  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
      ct-old   stopped     lxc   pve1  -          -    -          -       -         2026-01-02T03:04:05Z  api
    ! broken was halted by QEMU: io-error
    ");
    assert_eq!(sim.requests().len(), 1, "{:?}", sim.requests());
    assert_eq!(sim.node("pve1").connections(), 1);
}

#[test]
fn json_says_who_saw_what_and_when() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let report = run.json();
    assert_eq!(report["schema"], "ecobox.status/1");
    assert!(run.stdout.starts_with(r#"{"schema":"ecobox.status/1","generated_at":"#), "{}", run.stdout);
    assert_eq!(report["failures"], serde_json::json!([]));
    insta::assert_snapshot!(serde_json::to_string_pretty(&run.server("pve1-vm-101")).unwrap(), @r#"
    {
      "action": null,
      "address": null,
      "addresses": [],
      "age_seconds": 0,
      "cpu_percent": 25.0,
      "cpus": 2.0,
      "expected": "any",
      "ha_state": "started",
      "id": "pve1-vm-101",
      "kind": "qemu",
      "lag_seconds": 10,
      "last_seen": "2026-01-02T03:04:05Z",
      "lock": null,
      "memory_bytes": 1073741824,
      "memory_max_bytes": 4294967296,
      "name": "web-01",
      "node": "pve1",
      "observed_at": "2026-01-02T03:04:05Z",
      "origin": "api",
      "parent": "pve1",
      "pool": "live",
      "raw_status": null,
      "reason": null,
      "services": [],
      "source": "api",
      "state": "running",
      "tags": [
        "prod",
        "web"
      ],
      "uptime_seconds": 273600,
      "vmid": 101
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&run.server("pve1")).unwrap(), @r#"
    {
      "action": null,
      "address": "127.0.0.1",
      "addresses": [],
      "age_seconds": 0,
      "cpu_percent": 8.0,
      "cpus": 8.0,
      "expected": "on",
      "ha_state": null,
      "id": "pve1",
      "kind": "pve",
      "lag_seconds": null,
      "last_seen": "2026-01-02T03:04:05Z",
      "lock": null,
      "memory_bytes": 8589934592,
      "memory_max_bytes": 34359738368,
      "name": "pve1",
      "node": "pve1",
      "observed_at": "2026-01-02T03:04:05Z",
      "origin": "config",
      "parent": null,
      "pool": null,
      "raw_status": null,
      "reason": null,
      "services": [],
      "source": "api",
      "state": "online",
      "tags": [],
      "uptime_seconds": 1000000,
      "vmid": null
    }
    "#);
}

#[test]
fn a_cluster_is_shown_once_through_one_host() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME      STATE    KIND  NODE  ADDRESS    CPU  MEMORY     UPTIME  SERVICES  SEEN                  BY
    pve1      online   pve   pve1  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-01  running  qemu  pve1  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
      web-02  running  qemu  pve2  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
      web-03  stopped  qemu  pve3  -          -    -          -       -         2026-01-02T03:04:05Z  api
      dns     running  lxc   pve2  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
    ");
    // The listing, and once which node it is that gave it.
    let asked = || sim.requests().into_iter().map(|request| request.path).collect::<Vec<_>>();
    assert_eq!(asked(), ["/api2/json/cluster/resources", "/api2/json/nodes"]);
    sim.clear_requests();
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(asked(), ["/api2/json/cluster/resources"]);
}

#[test]
fn a_cluster_is_shown_once_through_three_hosts() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    // Three entries of which nothing is known: each says once who it is.
    let run = env.run(&["status"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME      STATE    KIND  NODE  ADDRESS    CPU  MEMORY     UPTIME  SERVICES  SEEN                  BY
    pve1      online   pve   pve1  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-01  running  qemu  pve1  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
    pve2      online   pve   pve2  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-02  running  qemu  pve2  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
      dns     running  lxc   pve2  -           0%  256M/512M   1h00m  -         2026-01-02T03:04:05Z  api
    pve3      online   pve   pve3  127.0.0.1   8%   8.0G/32G   1d00h  -         2026-01-02T03:04:05Z  api
      web-03  stopped  qemu  pve3  -          -    -          -       -         2026-01-02T03:04:05Z  api
    ");
    sim.clear_requests();
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(
        run.states(),
        [
            "pve1 online",
            "pve1-vm-101 running",
            "pve2 online",
            "pve2-vm-102 running",
            "pve2-ct-201 running",
            "pve3 online",
            "pve3-vm-103 stopped",
        ]
    );
    assert_eq!(sim.requests().len(), 1, "{:?}", sim.requests());
}

#[test]
fn two_clusters_stay_two() {
    let (lab, home) = (three(), homelab());
    let mut env = env_for(&lab, &["pve1", "pve2"]);
    env.add_config(&super::fleets::api("home", &home, "pve1"));
    env.set("ECOBOX_TOKEN_HOME", full_token());
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let states = run.states();
    assert!(states.contains(&"pve1-vm-101 running".to_owned()), "{states:?}");
    assert!(states.contains(&"home-vm-101 running".to_owned()), "{states:?}");
    assert_eq!(states.iter().filter(|line| line.starts_with("pve2-ct-201")).count(), 1, "{states:?}");
}

/// What the first member does wrong, and whether anything has to be said of it.
#[test]
fn the_next_member_answers_when_the_first_does_not() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["status"]).exits(0);
    let calm = env.run(&["status", "-o", "json"]).exits(0).states();
    let faults = [
        Fault::DropAtConnect,
        Fault::HangAtConnect,
        Fault::HangAtTls,
        Fault::HangAtRequest,
        Fault::HangInBody,
        Fault::DropBeforeAnswer,
        Fault::DropInBody,
        Fault::Garbage,
        Fault::Status(500, "internal error".to_owned()),
        Fault::Status(595, "No route to host".to_owned()),
    ];
    for fault in faults {
        sim.node("pve1").fail(fault.clone());
        let run = env.run(&["status", "-o", "json", "--timeout", &deadline(10)]).exits(0);
        assert_eq!(run.states(), calm, "{fault:?}");
        sim.node("pve1").heal();
    }
}

#[test]
fn a_refused_connection_fails_over_and_the_host_is_still_online() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    // pveproxy is down, the node is not.
    sim.cluster().set_listening("pve1", false);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1")["state"], "online");
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
}

#[test]
fn a_rejected_token_at_one_member_is_said_and_the_others_answer() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    env.set("ECOBOX_TOKEN_PVE1", "ecobox@pve!test=wrong");
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.failures(), ["pve1 denied"]);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
}

#[test]
fn the_names_of_guests_do_not_depend_on_who_answered() {
    let sim = three();
    let env = env_for(&sim, &["pve2", "pve1"]);
    let calm = env.run(&["status", "-o", "json"]).exits(0).states();
    // pve3 is not configured: its guest stands under the cluster's first host.
    assert!(calm.contains(&"pve2-vm-103 stopped".to_owned()), "{calm:?}");
    sim.cluster().set_listening("pve2", false);
    assert_eq!(env.run(&["status", "-o", "json"]).exits(0).states(), calm);
    assert_eq!(env.run(&["status", "--cached", "-o", "json"]).exits(0).states(), calm);
}

#[test]
fn a_host_that_is_off_leaves_its_guests_unknown() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.node("pve1").stop();
    let run = env.run(&["status"]).exits(5);
    insta::assert_snapshot!(run, @"
    NAME       STATE    KIND  NODE  ADDRESS      CPU  MEMORY  UPTIME  SERVICES  SEEN                  BY
    pve1       offline  pve   pve1  127.0.0.1    -    -       -       -         2026-01-02T03:04:05Z  tcp
      web-01   unknown  qemu  pve1  10.99.0.101  -    -       -       -         2026-01-02T03:04:05Z  cache
      db       unknown  qemu  pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
      VM 103   unknown  qemu  pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
      desktop  unknown  qemu  pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
      laptop   unknown  qemu  pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
      broken   unknown  qemu  pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
      ct-web   unknown  lxc   pve1  10.99.0.201  -    -       -       -         2026-01-02T03:04:05Z  cache
      ct-old   unknown  lxc   pve1  -            -    -       -       -         2026-01-02T03:04:05Z  cache
    ------- stderr -------
    warning: cannot reach pve1 (127.0.0.1:PORT-pve1): connection refused
    hint: start pveproxy there (`systemctl start pveproxy`), or check `api_port` of `pve1` in ~/.config/ecobox/config.toml
    hint: run `ecobox doctor pve1`
    [exit status: 5]
    ");
    let json = env.run(&["status", "-o", "json"]).exits(5);
    assert_eq!(json.failures(), ["pve1 unreachable"]);
    let web = json.server("pve1-vm-101");
    assert_eq!((&web["state"], &web["name"], &web["source"]), (&"unknown".into(), &"web-01".into(), &"cache".into()));
    assert!(web["last_seen"].is_string(), "{web}");
}

#[test]
fn one_host_off_is_partial_when_others_answer() {
    let (lab, home) = (three(), homelab());
    let mut env = env_for(&lab, &["pve1"]);
    env.add_config(&super::fleets::api("home", &home, "pve1"));
    env.set("ECOBOX_TOKEN_HOME", full_token());
    let _ = env.run(&["status"]).exits(0);
    home.node("pve1").stop();
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.failures(), ["home unreachable"]);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
    assert_eq!(run.server("home-vm-101")["state"], "unknown");
    assert_eq!(run.server("home")["state"], "offline");
}

#[test]
fn nothing_configured_says_how_to_begin() {
    let env = Env::new();
    env.config("");
    insta::assert_snapshot!(env.run(&["status"]), @"no servers are configured; run `ecobox init --host user@host`");
}

#[test]
fn a_host_nobody_ever_reached_is_offline_and_the_report_is_there() {
    let mut env = Env::new();
    env.config(&untrusted("pve1", CLOSED));
    env.set("ECOBOX_TOKEN_PVE1", full_token());
    insta::assert_snapshot!(env.run(&["status"]).exits(5), @"
    NAME  STATE    KIND  NODE  ADDRESS    CPU  MEMORY  UPTIME  SERVICES  SEEN                  BY
    pve1  offline  pve   -     127.0.0.1  -    -       -       -         2026-01-02T03:04:05Z  tcp
    ------- stderr -------
    warning: cannot reach pve1 (127.0.0.1:1): connection refused
    hint: start pveproxy there (`systemctl start pveproxy`), or check `api_port` of `pve1` in ~/.config/ecobox/config.toml
    hint: run `ecobox doctor pve1`
    [exit status: 5]
    ");
}

#[test]
fn what_was_seen_is_shown_although_it_cannot_be_kept() {
    for command in ["status", "stats"] {
        let sim = homelab();
        let env = env_for(&sim, &["pve1"]);
        env.run(&[command]).exits(0);
        let path = env.state_path();
        sim.cluster().after("GET", "/cluster/resources", move |_| {
            rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE unrolled").unwrap();
        });
        let run = env.run(&[command]).exits(3).says("no such table: unrolled");
        assert!(run.stdout.contains("web-01"), "{run}");
    }
}

#[test]
fn what_was_seen_is_shown_on_a_full_disk() {
    for command in ["status", "stats"] {
        let sim = homelab();
        let env = env_for(&sim, &["pve1"]);
        env.run(&[command]).exits(0);
        let reader = env.lengthen_log();
        for pages in [0, 3] {
            let run = env.run_on_full_disk(pages, &[command]).exits(3).says("cannot use the state file");
            assert!(run.stdout.contains("web-01"), "{run}");
        }
        drop(reader);
        env.run(&[command]).exits(0);
    }
}

#[test]
fn what_was_seen_is_kept_although_nothing_of_it_is_asked_for() {
    for command in ["status", "stats"] {
        let sim = homelab();
        let env = env_for(&sim, &["pve1"]);
        env.run(&[command, "no-such-*"]).exits(7);
        let run = env.run(&["status", "--cached", "pve1"]).exits(0);
        assert!(run.stdout.contains("online"), "{run}");
    }
}
