//! `status` while an action on a server's power is in flight, begun by another process.

use serde_json::{Value, json};

use super::env::Env;
use super::fleets::{CLOSED, Open, env_for, homelab, plain};

/// Begins an action some seconds from now, as another process would; it has so many seconds from now.
fn begin(env: &Env, server: &str, action: &str, from: i64, until: i64) {
    env.execute(&format!(
        "INSERT INTO actions (at, server, action, asked_by, outcome)
             VALUES ((unixepoch() + {from}) * 1000, '{server}', '{action}', 'root (cron)', '');
         INSERT INTO in_flight (action, until) VALUES (last_insert_rowid(), (unixepoch() + {until}) * 1000);"
    ));
}

/// Ends all of them.
fn end(env: &Env, outcome: &str) {
    env.execute(&format!("UPDATE actions SET outcome = '{outcome}' WHERE outcome = ''; DELETE FROM in_flight"));
}

/// The state column of one server, without colour and pipes.
fn state_column(env: &Env, args: &[&str], name: &str) -> String {
    let run = env.run(args);
    let row = run.stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{run}"));
    row.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_host_that_wakes_is_no_alarm() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve1").stop();
    let _ = env.run(&["status"]).exits(5);
    begin(&env, "pve1", "wake", -20, 280);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let pve1 = run.server("pve1");
    assert_eq!((&pve1["state"], &pve1["action"]["action"]), (&json!("offline"), &json!("wake")), "{run}");
    assert_eq!(pve1["action"]["by"], "root (cron)");
    assert_eq!(pve1["action"].as_object().unwrap().keys().collect::<Vec<_>>(), ["action", "by", "since"]);
    assert_eq!(run.failures(), [] as [&str; 0]);
    // Its guests are not on their way.
    let guest = run.server("pve1-vm-101");
    assert_eq!((&guest["state"], &guest["action"]), (&json!("unknown"), &Value::Null));
    assert_eq!(guest["reason"], "its cluster did not answer");
    for format in [&["status"][..], &["status", "-o", "wide"], &["status", "--cached"]] {
        assert_eq!(state_column(&env, format, "pve1"), "waking", "{format:?}");
    }
    let cached = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    assert_eq!(cached.server("pve1")["action"]["action"], "wake");

    // It is there: nothing more is said, although the other process has not seen it yet.
    sim.node("pve1").start();
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(
        (&run.server("pve1")["state"], &run.server("pve1")["action"]["action"]),
        (&json!("online"), &json!("wake"))
    );
    assert_eq!(state_column(&env, &["status"], "pve1"), "online");
    end(&env, "done");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1")["action"], Value::Null);
}

#[test]
fn what_nobody_ended_in_time_is_an_alarm_again() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    // Its process was killed; and one that a wrong clock began.
    begin(&env, "nas", "wake", -400, -100);
    begin(&env, "nas", "wake", 4000, 4300);
    let run = env.run(&["status", "-o", "json"]).exits(5);
    assert_eq!((&run.server("nas")["state"], &run.server("nas")["action"]), (&json!("offline"), &Value::Null));
    let past = env.run(&["status", "--since", "1h"]).exits(0);
    assert!(past.stdout.contains("nas: wake unknown outcome by root (cron)"), "{past}");
    begin(&env, "nas", "start", -1, 100);
    let past = env.run(&["status", "--since", "1h"]).exits(0);
    assert!(past.stdout.contains("nas: start in flight by root (cron)"), "{past}");
    let actions = env.run(&["status", "--since", "1h", "-o", "json"]).exits(0).json()["actions"].clone();
    let outcomes: Vec<_> = actions.as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["unknown outcome", "in flight", "unknown outcome"]);
}

#[test]
fn each_action_has_its_word() {
    let (sim, nas) = (homelab(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("nas", nas.port()));
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let name = run.server("pve1-vm-101")["name"].as_str().unwrap().to_owned();
    for (action, host, guest) in [
        ("suspend", "suspending", "suspending"),
        ("hibernate", "hibernating", "hibernating"),
        ("shutdown", "stopping", "stopping"),
        ("reboot", "rebooting", "rebooting"),
        ("start", "online", "running"),
    ] {
        begin(&env, "nas", action, 0, 100);
        let key = "host:pve1/101";
        begin(&env, key, action, 0, 100);
        assert_eq!(state_column(&env, &["status"], "nas"), host, "{action}");
        assert_eq!(state_column(&env, &["status"], &name), guest, "{action}");
        end(&env, "done");
    }
    // A guest that is off and starts.
    sim.cluster().crash_guest(101);
    begin(&env, "host:pve1/101", "start", 0, 100);
    assert_eq!(state_column(&env, &["status"], &name), "starting");
    let csv = env.run(&["status", "-o", "csv"]).exits(0);
    assert!(csv.stdout.contains(&format!("{name},starting,")), "{csv}");
}

#[test]
fn who_is_on_its_way_down_has_no_outage() {
    let nas = Open::new();
    let env = Env::new();
    env.config(&plain("nas", nas.port()));
    let _ = env.run(&["status"]).exits(0);
    begin(&env, "nas", "suspend", -5, 100);
    drop(nas);
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("nas")["state"], "offline");
    assert_eq!(state_column(&env, &["status"], "nas"), "suspending");
    // The other process saw that it is gone.
    env.execute("INSERT INTO wishes VALUES ('nas', 1, unixepoch() * 1000)");
    end(&env, "done");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!((&run.server("nas")["state"], &run.server("nas")["expected"]), (&json!("asleep"), &json!("any")));
    assert_eq!(env.rows("SELECT before, after FROM events"), ["online|asleep"]);
}

#[test]
fn a_host_that_woke_by_itself_and_fails_is_an_alarm() {
    let nas = Open::new();
    let env = Env::new();
    env.config(&plain("nas", nas.port()));
    let _ = env.run(&["status"]).exits(0);
    // Put to sleep ten minutes ago, and awake by somebody's hand.
    env.execute("INSERT INTO wishes VALUES ('nas', 1, (unixepoch() - 600) * 1000)");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("nas")["state"], "online");
    drop(nas);
    let run = env.run(&["status", "-o", "json"]).exits(5);
    assert_eq!((&run.server("nas")["state"], &run.server("nas")["expected"]), (&json!("offline"), &json!("on")));
}

#[test]
fn a_host_that_was_shut_down_is_offline_and_expected_to_be_on() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    begin(&env, "nas", "shutdown", -60, 100);
    assert_eq!(state_column(&env, &["status"], "nas"), "offline");
    let _ = env.run(&["status"]).exits(0);
    end(&env, "done");
    let _ = env.run(&["status"]).exits(5);
}
