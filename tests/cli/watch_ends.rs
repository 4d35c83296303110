//! How `ecobox watch` ends: by what it waits for, by a count, by a deadline, by who reads it, by a signal.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use ecobox_sim::{Fault, Sim};
use rustix::process::{Pid, Signal, kill_process};

use super::env::Env;
use super::fleets::{CLOSED, Open, env_for, plain, three};
use super::pace::deadline;
use super::watching::{FAST, fast, watch};
use super::world::until;

#[test]
fn it_ends_when_what_it_waits_for_is_so() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    // At once, with a stream and without.
    let run = env.run(&["watch", "--until", "vm-101=running", "--until", "tag=web,node=pve2=running"]).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let mut watching = watch(&env, &["--until", "vm-101=running"]);
    let _ = watching.snapshot();
    assert_eq!(watching.finish().exits(0).stdout, "");
    // Later.
    let mut watching = watch(&env, &["--until", "vm-101=running", "--until", "vm-103=running", "--timeout", "60s"]);
    let _ = watching.snapshot();
    sim.cluster().change_guest(103, ecobox_sim::Guest::running);
    assert_eq!(watching.short(), "state pve1-vm-103 stopped running");
    assert_eq!(watching.finish().exits(0).stdout, "");
    // Never.
    let run = env.run(&["watch", "--until", "kind=guest=stopped", "--timeout", "1500ms"]).exits(10);
    assert_eq!(run.stderr, "warning: kind=guest=stopped does not hold\n");
    let run = env.run(&["watch", "--until", "vm-101=stopped", "--count", "2"]).exits(10);
    assert_eq!(run.stderr, "warning: vm-101=stopped does not hold\n");
    // What is remembered proves nothing.
    sim.node("pve1").fail(Fault::HangAtRequest);
    let _ = env.run(&["watch", "--until", "vm-101=running", "--timeout", "1500ms"]).exits(10);
}

#[test]
fn services_can_be_waited_for() {
    let open = Open::new();
    let env = Env::new();
    let service = |port| format!("[[servers.services]]\nname = \"http\"\nport = {port}\ntype = \"http\"\n");
    env.config(&format!("{FAST}{}{}", plain("nas", open.port()), service(CLOSED)));
    let _ = env.run(&["watch", "--until", "nas.ssh=open", "--until", "nas.http=closed"]).exits(0);
    let _ = env.run(&["watch", "--until", "nas.smtp=open"]).exits(7).says("nas has no service `smtp`");
}

#[test]
fn who_does_not_exist_is_not_waited_for() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    for args in [&["watch", "--until", "vm-999=running"][..], &["watch", "-o", "jsonl", "vm-999"]] {
        let run = env.run(args).exits(7).says("no server matches `vm-999`");
        assert_eq!(run.stdout.lines().count(), usize::from(args.contains(&"--until") && args.contains(&"jsonl")));
    }
    for (condition, says) in [("vm-101", "a condition like"), ("vm-101=runing", "did you mean `running`?")] {
        let _ = env.run(&["watch", "--until", condition]).exits(2).says(says);
    }
}

#[test]
fn it_ends_after_so_many_looks() {
    let sim = three();
    // Nobody but the looks asks: a discovery has a connection of its own.
    let env = env_for(&sim, &["pve1"]);
    env.add_config("[dashboard]\nupdate_interval = \"100ms\"\nvm_discovery_interval = \"1h\"\n\n");
    let run = env.run(&["watch", "-o", "jsonl", "--count", "3"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
    let listed = sim.node("pve1").count("/cluster/resources");
    assert!((3..=5).contains(&listed), "{listed}");
    let run = env.run(&["watch", "-o", "jsonl", "--timeout", &deadline(1), "--interval", "1h"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
}

/// A connection that is idle for three seconds is not used again: on a busy machine some looks are that far apart, and only
/// what is never so at all is an error.
#[test]
fn a_look_finds_the_connection_of_the_one_before() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    env.add_config("[dashboard]\nupdate_interval = \"100ms\"\nvm_discovery_interval = \"1h\"\n\n");
    let mut watching = watch(&env, &[]);
    let _ = watching.snapshot();
    sim.clear_requests();
    until(|| {
        let requests = sim.requests();
        let looks: Vec<_> = requests.iter().filter(|request| request.path.ends_with("/cluster/resources")).collect();
        looks.windows(2).filter(|pair| pair[0].connection == pair[1].connection).count() >= 3
    });
    watching.silent_until(Signal::TERM, 143);
}

#[test]
fn other_forms_are_refused_with_the_one_to_use() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    for args in [
        &["watch"][..],
        &["watch", "-o", "json"],
        &["watch", "--count", "1"],
        &["watch", "-o", "csv", "--until", "vm-101=running"],
    ] {
        let _ = env.run(args).exits(2).says("hint: run `ecobox watch -o jsonl`");
    }
    let _ = env.run(&["watch", "-o", "jsonl", "--out", "x"]).exits(2).says("redirect stdout");
    assert_eq!(sim.requests().len(), 0);
    let empty = Env::new();
    empty.config("");
    let _ = empty.run(&["watch", "-o", "jsonl"]).exits(7).says("run `ecobox init --host user@host`");
}

#[test]
fn nobody_reads_any_more() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut child =
        env.command(&["watch", "-o", "jsonl"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("snapshot"), "{line}");
    // Nothing changes, and nothing is written: it learns of it all the same.
    drop(stdout);
    let run = env.finish(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_reader_that_is_slow_keeps_no_signal_back() {
    let sim = Sim::start((0..400).fold(super::fleets::cluster("lab").node("pve1"), |cluster, i| {
        cluster.vm(101 + i, "guest", ecobox_sim::Guest::running)
    }));
    let env = fast(&sim, &["pve1"]);
    let child = env.command(&["watch", "-o", "jsonl"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The snapshot is longer than a pipe holds, and nobody takes it: looks go on.
    until(|| sim.node("pve1").count("/cluster/resources") >= 4);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let child = std::cell::RefCell::new(child);
    until(|| child.borrow_mut().try_wait().unwrap().is_some());
    let run = env.finish(child.into_inner().wait_with_output().unwrap()).exits(143);
    assert!(!run.stdout.is_empty() && !run.stdout.contains('\n'), "{} bytes", run.stdout.len());
}
