//! `status --since` of guests: on which hosts they were, and how sure the times of what happened to them are.

use ecobox_sim::{Guest, Sim};
use serde_json::json;

use super::env::Env;
use super::fleets::{api, cluster, full_token, variable};
use super::past::{HOUR, MINUTE, now};
use super::past_status::{events, looks, record};
use super::power::{Lab, lab};
use super::stats::fields;

/// Its former host slept twice: once with it, once after it had left.
#[test]
fn a_guest_slept_with_the_host_that_it_was_on() {
    let sim = Sim::start(cluster("homelab").node("pve1").node("pve2").vm(101, "web", Guest::running));
    let mut env = Env::new();
    env.set(&variable("pve1"), full_token());
    env.set(&variable("pve2"), full_token());
    env.config(&(api("pve1", &sim, "pve1") + &api("pve2", &sim, "pve2")));
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().migrate_guest(101, "pve2");
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["status"]).exits(0);
    let base = now() / HOUR * HOUR;
    env.execute(&format!("UPDATE moves SET at = {}", base - 2 * HOUR));
    env.execute(&format!("UPDATE guests SET changed_at = {}", base - 48 * HOUR));
    env.execute(&format!("UPDATE states SET since = {}", base - 48 * HOUR));
    looks(&env, base, "pve1", "", &[]);
    looks(&env, base, "pve2", "", &[]);
    let slept = [(3 * HOUR, 3 * HOUR - 30 * MINUTE), (90 * MINUTE, HOUR)];
    events(&env, base, "'pve1'", ["online", "asleep"], &slept);
    let run = env.run(&["status", "--since", "5h", "-o", "json"]).exits(0);
    let asleep = |id: &str| record(&run, id, None)["asleep_seconds"].clone();
    assert_eq!((asleep("pve1"), asleep("pve2")), (json!(3600), json!(0)), "{run}");
    assert_eq!(asleep("pve2-vm-101"), json!(1800), "{run}");
}

/// What only a listing says may be ten seconds older; what an action has seen is not.
#[test]
fn how_sure_the_time_of_an_outage_is() {
    let lab = lab();
    lab.env.add_config("[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n");
    let status = || drop(lab.env.run(&["status"]));
    let earlier = |seconds: u32| {
        lab.env.execute(&format!("UPDATE events SET at = at - {seconds}000"));
        lab.env.execute(&format!("UPDATE guests SET changed_at = changed_at - {seconds}000"));
    };
    status();
    lab.sim.cluster().crash_guest(101);
    status();
    earlier(600);
    lab.sim.cluster().change_guest(101, Guest::running);
    status();
    earlier(600);
    let _ = lab.power("stop vm-101 --yes").exits(0);
    status();
    earlier(600);
    lab.env.execute("UPDATE actions SET at = at - 600000");
    let _ = lab.power("start vm-101").exits(0);
    let run = lab.env.run(&["status", "--since", "1h", "-o", "json"]).exits(0);
    let record = record(&run, "pve1-vm-101", None);
    let told: Vec<_> = record["outages"].as_array().unwrap().iter().collect();
    let [listed, done] = told[..] else { panic!("{record:#}") };
    assert_eq!(fields(listed, ["begin_lag_seconds", "end_lag_seconds"]), [json!(10), json!(10)], "{record:#}");
    assert_eq!(fields(done, ["begin_lag_seconds", "end_lag_seconds"]), [json!(null), json!(null)], "{record:#}");
}

/// Off and on again within one listing: the one that says what is may be from before.
#[test]
fn a_listing_that_agrees_by_chance_has_heard_of_nothing() {
    for (words, seen) in [
        (&["stop vm-101 --yes", "start vm-101"][..], &["running|stopped|0", "stopped|running|0"][..]),
        (&["reboot vm-101 --yes"], &[]),
    ] {
        let lab = lab();
        let state = |lab: &Lab| {
            let run = lab.env.run(&["status", "-o", "json"]).exits(0);
            run.server("pve1-vm-101")["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state(&lab), "running");
        for words in words {
            let _ = lab.power(words).exits(0);
        }
        // Still from before.
        assert_eq!(state(&lab), "running");
        // From in between.
        lab.sim.cluster().crash_guest(101);
        lab.sim.cluster().unheard(|c| c.change_guest(101, Guest::running));
        assert_eq!(state(&lab), "running", "{words:?}");
        lab.sim.cluster().broadcast();
        assert_eq!(state(&lab), "running", "{words:?}");
        assert_eq!(lab.env.rows("SELECT before, after, lag FROM events WHERE server LIKE '%/101'"), seen);
    }
}
