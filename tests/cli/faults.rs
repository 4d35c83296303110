//! APIs that do wrong: the right exit status, no panic, no more requests than allowed, and nobody else has to wait.

use std::time::Duration;

use ecobox_sim::{Fault, Guest, Sim};

use super::env::Env;
use super::fleets::{api, cluster, env_for, full_token, three};
use super::pace::deadline;

#[test]
fn each_fault_has_its_exit_status() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    let status = |code: u16, reason: &str| Fault::Status(code, reason.to_owned());
    // The exit status, and how many requests at most.
    for (fault, code, most) in [
        (Fault::Garbage, 1, 1),
        (Fault::Html, 1, 1),
        (Fault::WrongContentType, 1, 1),
        (Fault::HugeBody(40 << 20), 1, 1),
        (Fault::Redirect("https://127.0.0.1:1/".to_owned()), 1, 1),
        (status(400, "Parameter verification failed."), 1, 1),
        (status(401, "No ticket"), 4, 1),
        (status(403, "Permission check failed (/, Sys.Audit)"), 4, 1),
        (status(500, "boom"), 1, 1),
        (status(501, "Method 'GET /cluster/resources' not implemented"), 1, 1),
        (status(503, "Service Unavailable"), 1, 1),
        (status(595, "No route to host"), 5, 3),
        (status(596, "Connection timed out"), 5, 3),
        (status(599, "Too many redirections"), 5, 3),
        (Fault::DropBeforeAnswer, 1, 3),
        (Fault::DropInBody, 1, 3),
        (Fault::DropAfterAction, 1, 3),
    ] {
        sim.clear_requests();
        sim.node("pve1").fail(fault.clone());
        let run = env.run(&["discover"]);
        let asked = sim.node("pve1").count("/cluster/resources");
        sim.node("pve1").heal();
        assert_eq!(run.code, code, "{fault:?}\n{run}");
        assert!((1..=most).contains(&asked), "{fault:?}: {asked} requests\n{run}");
        assert!(run.stderr.contains("pve1"), "{fault:?} names no server\n{run}");
        // Nothing that was known is lost.
        assert_eq!(env.rows("SELECT count(*) FROM guests WHERE gone_at IS NULL"), ["5"], "{fault:?}");
    }
    let _ = env.run(&["discover"]).exits(0);
}

#[test]
fn what_passes_is_tried_again() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    for fault in [Fault::Status(595, "No route to host".to_owned()), Fault::DropBeforeAnswer] {
        sim.node("pve1").fail_on(None, None, Some(1), fault.clone());
        let run = env.run(&["discover"]);
        sim.node("pve1").heal();
        assert_eq!(run.code, 0, "{fault:?}\n{run}");
    }
}

#[test]
fn exit_5_a_host_that_hangs() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    for fault in [Fault::HangAtConnect, Fault::HangAtTls, Fault::HangAtRequest, Fault::HangInBody] {
        sim.node("pve1").fail(fault.clone());
        let run = env.run(&["discover", "--timeout", "1s"]);
        sim.node("pve1").heal();
        assert_eq!(run.code, 5, "{fault:?}\n{run}");
        assert!(
            run.stderr.contains("pve1 did not answer within") || run.stderr.contains("no answer"),
            "{fault:?}\n{run}"
        );
    }
}

#[test]
fn a_redirect_takes_no_token_elsewhere() {
    let (sim, other) = (three(), three());
    let env = env_for(&sim, &["pve1"]);
    let elsewhere = format!("https://127.0.0.1:{}/api2/json/cluster/resources", other.node("pve1").port());
    sim.node("pve1").fail(Fault::Redirect(elsewhere));
    let _ = env.run(&["discover"]).exits(1);
    assert_eq!(other.node("pve1").connections(), 0);
}

#[test]
fn a_firewall_that_closes_has_a_hint() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(Fault::DropAtConnect);
    let _ = env.run(&["discover"]).exits(5).says("hint: the connection is closed before anything is sent");
}

#[test]
fn a_name_that_has_no_address_has_a_hint() {
    let mut env = Env::new();
    env.config("[[servers]]\nid = \"pve1\"\ntype = \"proxmox\"\nhostname = \"pve.invalid\"\n");
    env.set("ECOBOX_TOKEN_PVE1", full_token());
    let _ = env.run(&["discover", "--timeout", "5s"]).exits(5).says("hint: check `hostname` of `");
}

/// Twenty hosts, each a cluster of its own.
struct Twenty {
    sims: Vec<Sim>,
    env: Env,
}

impl Twenty {
    fn new() -> Twenty {
        let one = |number: u32| Sim::start(cluster("one").node("pve").vm(100 + number, "guest", Guest::running));
        let sims: Vec<Sim> = (0..20).map(one).collect();
        let mut env = Env::new();
        env.config(&(0..).zip(&sims).map(|(i, sim)| api(&format!("h{i:02}"), sim, "pve")).collect::<String>());
        for i in 0..20 {
            env.set(&format!("ECOBOX_TOKEN_H{i:02}"), full_token());
        }
        Twenty { sims, env }
    }
}

#[test]
fn one_of_twenty_that_hangs_hides_nobody() {
    let Twenty { sims, env } = Twenty::new();
    for fault in [Fault::HangAtConnect, Fault::HangAtTls, Fault::HangAtRequest, Fault::HangInBody] {
        sims[7].node("pve").fail(fault.clone());
        let run = env.run(&["status", "-o", "json", "--timeout", &deadline(6)]).exits(8);
        sims[7].node("pve").heal();
        assert_eq!(run.failures(), ["h07 unreachable"], "{fault:?}");
        let running = run.states().iter().filter(|line| line.ends_with(" running")).count();
        assert_eq!(running, 19, "{fault:?}\n{run}");
    }
    // All of them have been told apart, but for the one that never said who it is.
    for sim in &sims {
        sim.clear_requests();
    }
    let _ = env.run(&["status"]).exits(0);
    let _ = env.run(&["status"]).exits(0);
    let asked: Vec<usize> = sims.iter().map(|sim| sim.requests().len()).collect();
    assert!(asked.iter().enumerate().all(|(i, n)| *n == 2 || i == 7 || *n == 3), "{asked:?}");
}

#[test]
fn a_deadline_is_kept_although_everybody_hangs() {
    let Twenty { sims, env } = Twenty::new();
    for sim in &sims {
        sim.node("pve").fail(Fault::HangAtRequest);
    }
    let begun = std::time::Instant::now();
    let run = env.run(&["discover", "-o", "json", "--timeout", "2s"]).exits(5);
    // Without one, a host has 20 s.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(run.failures().len(), 20);
}
