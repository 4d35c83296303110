//! As many guests as a listing may name, and as many servers as there are: they fit into what ecobox may take.

use std::fmt::Write;

use ecobox_sim::{Fault, Sim};

use super::env::Env;
use super::fleets::{Open, cluster, env_for, plain};

/// As many entries as a listing may have.
const ENTRIES: usize = 100_000;

/// What a program of this size, built without optimization, may ask the system for, in KiB: about 105,000 are needed, and
/// 140,000 were where cells or guests stood in memory twice.
const DATA: u32 = 125_000;

fn listing() -> String {
    let mut text = r#"{"data":[{"type":"node","node":"pve1","id":"node/pve1","status":"online"}"#.to_owned();
    for number in 1..ENTRIES {
        let vmid = 99 + number;
        let status = if number % 2 == 0 { "running" } else { "stopped" };
        write!(
            text,
            r#",{{"type":"qemu","vmid":{vmid},"id":"qemu/{vmid}","node":"pve1","name":"guest-{number}","status":"{status}","maxmem":2147483648,"mem":{number},"maxcpu":2,"cpu":0.01,"uptime":{number},"netin":1,"netout":1}}"#
        )
        .unwrap();
    }
    text + "]}"
}

#[test]
fn a_hundred_thousand_guests_fit() {
    let sim = Sim::start(cluster("huge").node("pve1"));
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail_on(Some("GET"), Some("/cluster/resources"), None, Fault::Json(listing()));
    // The first one keeps them all, the second finds nothing new.
    for args in [&["status"][..], &["stats", "-o", "csv"], &["status", "--cached"]] {
        let run = env.limited(&format!("ulimit -d {DATA}"), args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}: {:.2000}", run.stderr);
        let names = run.stdout.matches("guest-").count();
        assert_eq!(names, ENTRIES - 1, "{args:?}");
    }
}

/// Whoever could not be asked is not off because of that.
#[test]
fn where_no_more_files_can_be_opened_nobody_is_offline() {
    let (mut env, open) = (Env::new(), Open::new());
    env.set("USER", "admin");
    env.config(&(0..60).map(|number| plain(&format!("box{number}"), open.port())).collect::<String>());
    let run = env.limited("ulimit -n 32", &["status", "-o", "json"]);
    let states = run.states();
    assert_eq!(states.len(), 60, "{run}");
    let is = |word: &str| states.iter().filter(|state| state.ends_with(word)).count();
    assert!(is(" online") > 0 && is(" unknown") > 0 && is(" online") + is(" unknown") == 60, "{states:?}\n{run}");
    let report = run.json();
    let servers = report["servers"].as_array().unwrap().iter();
    let reasons: Vec<_> =
        servers.filter(|server| server["state"] == "unknown").map(|server| &server["reason"]).collect();
    assert!(reasons.iter().all(|reason| **reason == "too many open files here (`ulimit -n`)"), "{reasons:?}");
    // With as many as there have to be, all are asked.
    assert_eq!(env.limited("ulimit -n 256", &["status", "-o", "json"]).exits(0).states().len(), 60);
}

#[test]
fn which_file_could_not_be_opened_is_said() {
    let (env, open) = (Env::new(), Open::new());
    env.config(&plain("box", open.port()));
    let run = env.limited("ulimit -n 10", &["status"]).exits(3);
    assert!(run.stderr.contains("~/.local/state/ecobox: Too many open files"), "{run}");
}
