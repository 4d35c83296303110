//! One test for each exit status that can be reached so far. 9, 10 and 11 belong to commands that change power, but
//! for 11 where `init` finds nobody to ask.

use std::process::{Child, Stdio};

use ecobox_sim::{Fault, Sim};
use rustix::process::{Pid, Signal, kill_process};

use super::env::Env;
use super::fleets::{CLOSED, env_for, full_token, plain, three, untrusted};

#[test]
fn exit_0_done_and_nothing_to_do() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    let _ = env.run(&["discover", "--if-stale"]).exits(0);
    for args in [&["--help"][..], &["--version"], &["status", "--help"]] {
        assert!(!env.run(args).exits(0).stdout.is_empty());
    }
}

#[test]
fn exit_1_a_reason_not_listed() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(Fault::Status(500, "boom".to_owned()));
    let _ = env.run(&["discover"]).exits(1).says("pve1 answered 500 to GET /cluster/resources: boom");
}

#[test]
fn exit_2_wrong_usage() {
    let env = Env::new();
    for args in [
        &["frobnicate"][..],
        &["start", "vm-101"],
        &["status", "--json"],
        &["status", "--no-such-flag"],
        &["status", "-o", "yaml"],
        &["status", "--timeout", "soon"],
        &["status", "--timeout", "0"],
        &["status", "-q", "-v"],
        &["discover", "--color", "sometimes"],
    ] {
        let run = env.run(args).exits(2);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{args:?}\n{run}");
    }
}

/// `ecobox` alone is for whoever sits at a terminal: what there is, or how to begin.
#[test]
fn without_a_command_it_is_status_or_the_first_steps() {
    let env = Env::new();
    let run = env.run(&[]).exits(3).says("not set up yet").says("ecobox init --host");
    assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 5), "{run}");
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let (bare, status) = (env.run(&[]), env.run(&["status"]));
    assert_eq!(bare.code, status.code, "{bare}");
    assert!(bare.stdout.contains("pve1"), "{bare}");
    assert!(!env.run(&["-o", "json"]).json()["servers"].as_array().unwrap().is_empty());
}

#[test]
fn exit_2_metrics_of_a_command_that_has_none() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    for args in [&["status"][..], &["discover"], &["init"], &["setup-token"]] {
        let run = env.run(&[args, &["-o", "openmetrics"]].concat()).exits(2);
        let run = run.says("this command has no metrics").says("run `ecobox stats -o openmetrics`");
        assert!(run.stdout.is_empty(), "{run}");
    }
    // It is refused before anything is done.
    assert!(sim.node("pve1").requests().is_empty());
}

#[test]
fn exit_3_configuration_unusable() {
    let env = Env::new();
    env.config("nonsense");
    let _ = env.run(&["status"]).exits(3);
}

#[test]
fn exit_4_credentials_rejected() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    env.set("ECOBOX_TOKEN_PVE1", "ecobox@pve!other=00000000-0000-4000-8000-000000000000");
    let _ =
        env.run(&["discover"]).exits(4).says("hint: the token comes from the environment variable ECOBOX_TOKEN_PVE1");
}

#[test]
fn exit_5_unreachable() {
    let mut env = Env::new();
    env.config(&untrusted("pve1", CLOSED));
    env.set("ECOBOX_TOKEN_PVE1", full_token());
    let _ = env.run(&["discover"]).exits(5).says("connection refused");
}

/// Whatever else is wrong with those that nobody can reach: there is no token, or no state is an alarm.
#[test]
fn exit_5_nobody_was_reached() {
    let env = Env::new();
    let unknown = "[[servers]]\nid = \"any\"\nhostname = \"any.invalid\"\nexpected = \"any\"\n\n";
    env.config(&(untrusted("pve1", CLOSED) + "\n" + &plain("nas", CLOSED) + unknown));
    for command in ["status", "stats"] {
        let run = env.run(&[command, "-o", "json"]).exits(5);
        assert_eq!(run.failures(), ["pve1 unreachable", "nas unreachable"], "{run}");
    }
}

#[test]
fn exit_6_identity_mismatch() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().replace_ca();
    let _ = env.run(&["discover"]).exits(6).says("pve1 is not who it should be");
}

#[test]
fn exit_7_no_such_target() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status", "nobody"]).exits(7).says("hint: run `ecobox status --cached` to see the names");
}

#[test]
fn exit_8_partial() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("nas", CLOSED));
    let run = env.run(&["status"]).exits(8);
    assert!(run.stdout.contains("web-01") && run.stdout.contains("nas"), "{run}");
}

/// Failures of several kinds are partial even where nobody answered: no single number says it all.
#[test]
fn exit_8_failures_of_several_kinds() {
    let sim = three();
    let mut env = Env::new();
    env.config(&(untrusted("a", sim.node("pve1").port()) + &untrusted("b", CLOSED)));
    env.set("ECOBOX_TOKEN_A", full_token());
    env.set("ECOBOX_TOKEN_B", full_token());
    let _ = env.run(&["discover"]).exits(8);
}

/// A run that waits for a request that never ends.
fn waiting(sim: &Sim, env: &Env, args: &[&str]) -> Child {
    sim.node("pve1").fail(Fault::HangAtRequest);
    let child = env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while sim.requests().is_empty() {
        std::thread::yield_now();
    }
    child
}

fn signalled(signal: Signal, code: i32) {
    for args in [&["status"][..], &["discover"]] {
        let sim = three();
        let env = env_for(&sim, &["pve1"]);
        let child = waiting(&sim, &env, args);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = env.finish(child.wait_with_output().unwrap()).exits(code);
        assert_eq!(run.stdout, "", "{args:?}");
        sim.node("pve1").heal();
        let _ = env.run(&["status"]).exits(0);
    }
}

#[test]
fn exit_130_interrupted() {
    signalled(Signal::INT, 130);
}

#[test]
fn exit_143_terminated() {
    signalled(Signal::TERM, 143);
}
