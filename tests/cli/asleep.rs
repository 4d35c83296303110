//! Hosts that sleep or are off: nobody waits for them, and asleep on purpose is no failure.

use std::net::TcpListener;

use ecobox_sim::Sim;

use super::env::{Env, Run};
use super::fleets::{CLOSED, Open, Silent, api, env_for, full_token, plain, three, untrusted, variable};
use super::pace::deadline;

/// A port that notes whether anybody came.
struct Watched(TcpListener);

impl Watched {
    fn new() -> Watched {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Watched(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Whether anybody has come since this was asked last.
    fn was_met(&self) -> bool {
        std::iter::from_fn(|| self.0.accept().ok()).count() > 0
    }
}

/// Three nodes that were seen awake, the third of which is off for its cluster. Whoever knocks at it all the same is noted.
fn third_is_off() -> (Sim, Env, Watched) {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().suspend_node("pve3");
    let door = Watched::new();
    env.set(&variable("pve3"), full_token());
    env.config(&(api("pve1", &sim, "pve1") + &api("pve2", &sim, "pve2") + &untrusted("pve3", door.port())));
    (sim, env, door)
}

fn put_to_sleep(env: &Env, server: &str) {
    env.execute(&format!("INSERT OR REPLACE INTO wishes VALUES ('{server}', 1, 0)"));
    was_off(env, server, "asleep");
}

/// What the last look saw.
fn was_off(env: &Env, server: &str, state: &str) {
    env.execute(&format!("INSERT OR REPLACE INTO states VALUES ('{server}', '{state}', 'tcp', 0, 0, NULL)"));
}

fn reason(run: &Run, server: &str) -> String {
    run.server(server)["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn who_is_not_meant_is_not_asked() {
    let (_sim, env, door) = third_is_off();
    for args in [
        &["status", "web-01"][..],
        &["status", "vm-101", "pve1"],
        &["status", "tag=web", "!web-03"],
        &["status", "*", "!pve3", "!node=pve3"],
        &["stats", "web-01", "dns"],
        &["power", "shutdown", "web-01", "--dry-run"],
        &["power", "start", "web-01", "--dry-run"],
        &["stats", "--since", "2h", "web-01"],
    ] {
        let run = env.run(args).exits(0);
        assert!(!door.was_met(), "{args:?}\n{run}");
        assert!(!run.stderr.contains("pve3"), "{run}");
    }
    // The one that gave the last listing is asked first, unless it was off.
    env.execute("UPDATE clusters SET listed_via = 'pve3'");
    was_off(&env, "pve3", "offline");
    let run = env.run(&["status", "web-01"]).exits(0);
    assert!(!door.was_met(), "{run}");
    // Whoever is on it hangs on it.
    let run = env.run(&["status", "web-03"]);
    assert!(door.was_met(), "{run}");
}

#[test]
fn a_cluster_that_sees_no_node_is_believed_of_one_that_was_put_to_sleep() {
    let (_sim, env, door) = third_is_off();
    put_to_sleep(&env, "pve3");
    for args in [&["status", "-o", "json"][..], &["stats", "-o", "json"], &["status", "pve3", "web-03", "-o", "json"]] {
        let run = env.run(args).exits(0);
        assert!(!door.was_met(), "{args:?}");
        assert_eq!(run.server("pve3")["state"], "asleep", "{run}");
        assert_eq!(run.failures(), [""; 0]);
    }
    // Who asks for patience gets it.
    let run = env.run(&["status", "-o", "json", "--timeout", "30s"]);
    assert!(door.was_met(), "{run}");
    assert_eq!(run.server("pve3")["state"], "online");
    // That was seen, and counts.
    assert_eq!(env.rows("SELECT count(*) FROM wishes"), ["0"]);
}

#[test]
fn a_host_that_its_cluster_alone_calls_off_is_no_outage() {
    let (_sim, env, door) = third_is_off();
    // Its guest moved there since, as far as anybody remembers it is elsewhere.
    env.execute("UPDATE guests SET node = 'pve1' WHERE vmid = 103");
    let run = env.run(&["status", "web-03", "-o", "json"]).exits(5);
    assert!(!door.was_met(), "{run}");
    assert_eq!(run.failures(), ["pve3 unreachable"]);
    let _ = run.says("pve3 is unknown: its cluster says that it is offline");
    assert_eq!(env.rows("SELECT state FROM states WHERE server = 'pve3'"), ["online"]);
    assert_eq!(env.rows("SELECT count(*) FROM events WHERE server = 'pve3'"), ["0"]);
}

#[test]
fn who_was_off_is_knocked_at() {
    let silent = Silent::new();
    let env = Env::new();
    env.config(&plain("nas", silent.port()));
    // Whoever is new, or was on, is waited for.
    let run = env.run(&["status", "-o", "json", "--timeout", "1s"]).exits(5);
    assert_eq!(reason(&run, "nas"), "no answer");
    for _ in 0..2 {
        let run = env.run(&["status", "-o", "json"]).exits(5).says("nas is offline: no answer in 0.4 s");
        assert_eq!(reason(&run, "nas"), "no answer in 0.4 s");
        let ssh = run.server("nas")["services"][0].clone();
        assert_eq!((&ssh["open"], &ssh["error"]), (&false.into(), &"no answer in 0.4 s".into()));
    }
    let run = env.run(&["stats", "-o", "json"]).exits(5);
    assert!(run.stdout.contains("no answer in 0.4 s"), "{run}");
    let run = env.run(&["status", "-o", "json", "--timeout", "1s"]).exits(5);
    assert_eq!(reason(&run, "nas"), "no answer");
    // Nothing new is told of it.
    assert_eq!(env.rows("SELECT count(*) FROM events"), ["0"]);
    let _ = env.run(&["status", "--since", "1h"]).exits(0);
}

#[test]
fn who_is_awake_again_is_seen() {
    let (ssh, web) = (Open::new(), Open::new());
    let env = Env::new();
    let service = format!("[[servers.services]]\nname = \"web\"\nport = {}\n", web.port());
    env.config(&(plain("nas", ssh.port()) + &plain("nuc", CLOSED) + &service + &plain("old", CLOSED)));
    for id in ["nas", "nuc", "old"] {
        was_off(env_with_state(&env), id, "offline");
    }
    let run = env.run(&["status", "-o", "json"]).exits(8);
    // Any of its ports will do.
    assert_eq!(run.states(), ["nas online", "nuc online", "old offline"]);
    assert_eq!(
        (&run.server("nas")["services"][0]["open"], reason(&run, "old").as_str()),
        (&true.into(), "connection refused")
    );
    assert_eq!(env.rows("SELECT server, after FROM events ORDER BY server"), ["nas|online", "nuc|online"]);
}

/// The same, with a state file.
fn env_with_state(env: &Env) -> &Env {
    if !env.state_path().exists() {
        let _ = env.run(&["status", "--cached"]);
    }
    env
}

#[test]
fn a_cluster_that_sleeps_as_a_whole_is_told_from_memory() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["status"]).exits(0);
    for node in ["pve1", "pve2", "pve3"] {
        sim.cluster().suspend_node(node);
        put_to_sleep(&env, node);
    }
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.states()[0], "pve1 asleep");
    assert_eq!(run.server("pve2-vm-102")["name"], "web-02");
    assert_eq!((run.failures(), reason(&run, "pve1").as_str()), (vec![], "no answer in 0.4 s"));
    let run = env.run(&["discover"]).exits(0);
    assert!(
        run.stdout.contains("pve1 is asleep, pve2 is asleep, pve3 is asleep: their guests are as they were"),
        "{run}"
    );
    assert_eq!((env.run(&["discover", "--if-stale"]).exits(0).to_string(), run.stderr), (String::new(), String::new()));
    // One of them is awake.
    sim.cluster().resume_node("pve2");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve2-vm-102")["state"], "running", "{run}");
}

#[test]
fn the_past_of_what_sleeps_is_no_failure() {
    let (_sim, env, door) = third_is_off();
    put_to_sleep(&env, "pve3");
    for target in ["web-03", "pve3", "*"] {
        let run = env.run(&["stats", "--since", "24h", target]).exits(0);
        let _ = run.says("pve3 is asleep; from the state file");
        assert!(!door.was_met());
    }
    let run = env.run(&["-q", "stats", "--since", "24h", "web-03"]).exits(0);
    assert_eq!(run.stderr, "");
    // Who may be off is no failure either; who may not is one.
    env.execute("DELETE FROM wishes");
    was_off(&env, "pve3", "offline");
    let run = env.run(&["stats", "--since", "24h", "web-03", "web-01"]).exits(8);
    let _ = run.says("warning: pve3 is offline: its cluster says so; the state file is used instead");
    let old = std::fs::read_to_string(env.config_path()).unwrap();
    env.config(&format!("{}\nexpected = \"any\"\n", old.trim_end()));
    let run = env.run(&["stats", "--since", "24h", "web-03", "web-01"]).exits(0);
    let _ = run.says("pve3 is off; from the state file");
}

#[test]
fn a_lone_host_that_sleeps_is_no_failure_in_the_past() {
    let sim = super::fleets::homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().suspend_node("pve1");
    let _ = env
        .run(&["stats", "--since", "24h", "--timeout", &deadline(2)])
        .exits(8)
        .says("the state file is used instead");
    put_to_sleep(&env, "pve1");
    let _ = env.run(&["stats", "--since", "24h"]).exits(0).says("pve1 is asleep; from the state file");
    let _ = env.run(&["stats", "--since", "24h", "web-01"]).exits(0).says("pve1 is asleep; from the state file");
}

#[test]
fn what_runs_on_a_host_that_was_put_to_sleep_is_no_alarm() {
    let (_sim, env, _door) = third_is_off();
    env.add_config("\n[[servers]]\nid = \"pve3-vm-103\"\nparent_server_id = \"pve3\"\nexpected = \"on\"\n");
    put_to_sleep(&env, "pve3");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!((run.failures(), &run.server("pve3-vm-103")["state"]), (vec![], &"unknown".into()));
    assert_eq!(reason(&run, "pve3-vm-103"), "its host pve3 is asleep");
    env.execute("DELETE FROM wishes");
    let run = env.run(&["status", "-o", "json"]);
    assert!(run.failures().contains(&"pve3-vm-103 unreachable".to_owned()), "{run}");
}
