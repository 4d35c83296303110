//! `ecobox watch` as a stream: a snapshot, then what changes; and how it ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ecobox_sim::host::Host;
use ecobox_sim::ssh::SshFault;
use ecobox_sim::{Fault, Sim};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::env::{Env, Run};
use super::fleets::{CLOSED, Open, api, env_for, full_token, homelab, plain, three, variable};
use super::pace::deadline;
use super::world::{World, until};

/// More than anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Ten looks a second.
const FAST: &str = "[dashboard]\nupdate_interval = \"100ms\"\nsystem_check_interval = \"200ms\"\n\
                    vm_discovery_interval = \"300ms\"\n\n";

/// An `ecobox watch` that runs, and the lines that it writes.
struct Watching<'e> {
    env: &'e Env,
    child: Option<Child>,
    lines: Receiver<String>,
}

fn watch<'e>(env: &'e Env, args: &[&str]) -> Watching<'e> {
    let mut child = env
        .command(&[&["watch", "-o", "jsonl"], args].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines(child.stdout.take().unwrap());
    Watching { env, child: Some(child), lines }
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Watching<'_> {
    /// The next line.
    #[track_caller]
    fn line(&mut self) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).unwrap(),
            Err(RecvTimeoutError::Timeout) => panic!("no line comes"),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}", self.finish()),
        }
    }

    /// The next line in short, without the time and the server.
    #[track_caller]
    fn short(&mut self) -> String {
        let line = self.line();
        assert!(line["at"].is_string(), "{line}");
        let Value::Object(fields) = line else { panic!("no object: {line}") };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let order = ["event", "id", "service", "kind", "from", "to"];
        order.iter().filter_map(|name| fields.get(*name)).map(text).collect::<Vec<_>>().join(" ")
    }

    /// The snapshot, which is the first line.
    #[track_caller]
    fn snapshot(&mut self) -> Value {
        let line = self.line();
        assert_eq!((&line["schema"], &line["event"]), (&json!("ecobox.watch/1"), &json!("snapshot")), "{line}");
        line
    }

    /// How many files and sockets it has open.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.as_ref().unwrap().id())).unwrap().count()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for the end, and gives what is left.
    #[track_caller]
    fn finish(&mut self) -> Run {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let mut run = self.env.finish(output);
        run.stdout = self.lines.iter().collect::<Vec<_>>().join("\n");
        run
    }

    /// Ends it, and fails the test if there was anything to say that was not looked at.
    #[track_caller]
    fn silent_until(&mut self, signal: Signal, code: i32) {
        self.signal(signal);
        let run = self.finish().exits(code);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn states(snapshot: &Value) -> Vec<String> {
    let servers = snapshot["servers"].as_array().unwrap();
    servers.iter().map(|s| format!("{} {}", s["id"].as_str().unwrap(), s["state"].as_str().unwrap())).collect()
}

/// A fast world of three nodes.
pub(crate) fn fast(sim: &Sim, nodes: &[&str]) -> Env {
    let env = env_for(sim, nodes);
    env.add_config(FAST);
    env
}

#[test]
fn a_cluster_that_is_not_whole_is_told_as_it_happens() {
    let sim = three();
    let env = fast(&sim, &["pve1", "pve2"]);
    let mut watching = watch(&env, &[]);
    assert_eq!(watching.snapshot()["failures"], json!([]));
    let mut guest = watch(&env, &["vm-101"]);
    assert_eq!(guest.snapshot()["failures"], json!([]));
    sim.cluster().set_quorate(false);
    sim.node("pve3").stop();
    // Which comes first depends on when it was looked.
    let mut told: Vec<String> = (0..3).map(|_| watching.short()).collect();
    told.sort_unstable();
    let want = ["failure pve1 no-quorum", "failure pve1 node-offline", "state pve1-vm-103 stopped unknown"];
    assert_eq!(told, want);
    // Quorum concerns who is elsewhere, too.
    assert_eq!(guest.short(), "failure pve1 no-quorum");
    sim.node("pve3").start();
    sim.cluster().set_quorate(true);
    let mut told: Vec<String> = (0..2).map(|_| watching.short()).collect();
    told.sort_unstable();
    assert_eq!(told, ["recovered pve1", "state pve1-vm-103 unknown stopped"]);
}

#[test]
fn a_snapshot_and_then_what_changes() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut watching = watch(&env, &[]);
    let snapshot = watching.snapshot();
    let running =
        ["pve1 online", "pve1-vm-101 running", "pve1-vm-102 running", "pve1-vm-103 stopped", "pve1-ct-201 running"];
    assert_eq!(states(&snapshot), running);
    assert_eq!(snapshot["failures"], json!([]));
    // The fields are those of `status`.
    let status = env.run(&["status", "-o", "json"]).exits(0);
    let fields = |server: &Value| server.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&snapshot["servers"][1]), fields(&status.server("pve1-vm-101")));

    sim.cluster().change_guest(103, ecobox_sim::Guest::running);
    let line = watching.line();
    assert_eq!(line["server"]["state"], "running");
    assert_eq!(line["server"]["name"], "web-03");
    let fields: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["at", "event", "from", "id", "server", "to"]);
    sim.cluster().crash_guest(101);
    assert_eq!(watching.short(), "state pve1-vm-101 running stopped");
    sim.cluster().remove_guest(102);
    assert_eq!(watching.short(), "gone pve1-vm-102");
    sim.cluster().add_guest(ecobox_sim::Kind::Lxc, 210, "new", |ct| ct.on("pve2").running());
    assert_eq!(watching.short(), "added pve1-ct-210");
    watching.silent_until(Signal::TERM, 143);
}

#[test]
fn what_ecobox_does_is_told_while_it_lasts() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut watching = watch(&env, &["vm-103"]);
    assert_eq!(states(&watching.snapshot()), ["pve1-vm-103 stopped"]);
    let _ = env.run(&["power", "start", "vm-103", "--yes"]).exits(0);
    let mut seen = vec![watching.short()];
    while seen.last().is_none_or(|last| !last.starts_with("state ")) {
        seen.push(watching.short());
    }
    // A look may miss how short it was.
    if seen.len() > 1 {
        assert_eq!(seen[0], "action pve1-vm-103 null start");
    }
    assert_eq!(seen.last().unwrap(), "state pve1-vm-103 stopped running");
}

#[test]
fn a_service_that_closes_is_one_line() {
    let open = Open::new();
    let mut env = Env::new();
    env.config(&format!("{FAST}{}", plain("nas", open.port())));
    env.replace(open.port(), "PORT");
    let mut watching = watch(&env, &[]);
    assert_eq!(watching.snapshot()["servers"][0]["services"][0]["open"], true);
    drop(open);
    let mut lines = [watching.short(), watching.short(), watching.short()];
    lines.sort();
    assert_eq!(lines, ["failure nas unreachable", "service nas ssh open closed", "state nas online offline"]);
}

#[test]
fn a_node_that_stops_and_returns() {
    let sim = homelab();
    let mut env = fast(&sim, &["pve1"]);
    env.add_config(&plain("nas", CLOSED));
    env.replace(CLOSED, "PORT");
    let mut watching = watch(&env, &["pve1"]);
    assert_eq!(states(&watching.snapshot()), ["pve1 online"]);
    sim.node("pve1").stop();
    assert_eq!(watching.short(), "state pve1 online offline");
    let failure = watching.line();
    assert_eq!(
        (&failure["event"], &failure["id"], &failure["kind"]),
        (&json!("failure"), &json!("pve1"), &json!("unreachable"))
    );
    assert!(failure["message"].as_str().unwrap().contains("pve1"), "{failure}");
    sim.node("pve1").start();
    assert_eq!(watching.short(), "state pve1 offline online");
    assert_eq!(watching.short(), "recovered pve1");
    watching.silent_until(Signal::INT, 130);
}

#[test]
fn a_node_that_hangs_delays_no_other() {
    let (one, two) = (three(), homelab());
    let mut env = Env::new();
    env.config(&format!("{FAST}{}{}", api("pve1", &one, "pve1"), api("zbox", &two, "pve1")));
    for id in ["pve1", "zbox"] {
        env.set(&variable(id), full_token());
    }
    let _ = env.run(&["status"]).exits(0);
    two.node("pve1").fail(Fault::HangAtRequest);
    let mut watching = watch(&env, &[]);
    let snapshot = watching.snapshot();
    // It did not answer, and nobody says more than that.
    let zbox = snapshot["servers"].as_array().unwrap().iter().find(|server| server["id"] == "zbox").unwrap();
    assert_eq!(zbox["source"], "cache", "{zbox}");
    let begun = std::time::Instant::now();
    let mut of_one = || {
        loop {
            let line = watching.short();
            if !line.contains(" zbox") {
                return line;
            }
        }
    };
    for _ in 0..3 {
        one.cluster().change_guest(103, ecobox_sim::Guest::running);
        assert_eq!(of_one(), "state pve1-vm-103 stopped running");
        one.cluster().crash_guest(103);
        assert_eq!(of_one(), "state pve1-vm-103 running stopped");
    }
    // Each of the six would have had to wait for it: for the 20 s that a host has.
    assert!(begun.elapsed() < Duration::from_secs(6 * 20), "{:?}", begun.elapsed());
}

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

#[test]
fn a_token_that_is_replaced_is_taken_without_a_word() {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    world.env.add_config(FAST);
    let mut watching = watch(&world.env, &[]);
    assert_eq!(watching.snapshot()["failures"], json!([]));
    let _ = world.run(&["setup-token", "--rotate"]).exits(0);
    pve.sim.clear_requests();
    until(|| pve.nodes.iter().map(|node| pve.sim.node(&node.name).count("/cluster/resources")).sum::<usize>() >= 4);
    watching.silent_until(Signal::TERM, 143);
}

#[test]
fn a_script_that_hangs_delays_nobody_on_its_host() {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    world.env.add_config(FAST);
    pve.node("pve1").ssh.set_fault(Some(SshFault::HangInExec));
    let begun = std::time::Instant::now();
    let mut watching = watch(&world.env, &[]);
    let _ = watching.snapshot();
    for _ in 0..3 {
        pve.sim.cluster().crash_guest(101);
        assert_eq!(watching.short(), "state pve1-vm-101 running stopped");
        pve.sim.cluster().change_guest(101, ecobox_sim::Guest::running);
        assert_eq!(watching.short(), "state pve1-vm-101 stopped running");
    }
    // Its script has 20 s, and each of the six would have had to wait for one.
    assert!(begun.elapsed() < Duration::from_secs(6 * 20), "{:?}", begun.elapsed());
}

#[test]
fn one_session_for_each_host_and_a_new_one_when_it_breaks() {
    let world = World::new();
    let (one, two) = (world.serve(Host::debian("one").build()), world.serve(Host::debian("two").build()));
    world.configure(&format!("{FAST}{}{}", one.entry(), two.entry()));
    world.know(&one);
    world.know(&two);
    let mut watching = watch(&world.env, &[]);
    let _ = watching.snapshot();
    until(|| one.ssh.execs() >= 4 && two.ssh.execs() >= 4);
    assert_eq!((one.ssh.logins(), two.ssh.logins()), (1, 1));
    let descriptors = watching.descriptors();
    // The connection breaks in the middle of a script: the failure is said, and the next session works.
    for _ in 0..3 {
        one.ssh.set_fault(Some(SshFault::CloseInExec));
        assert_eq!(watching.short(), "failure one failed");
        one.ssh.set_fault(None);
        assert_eq!(watching.short(), "recovered one");
    }
    let logins = one.ssh.logins();
    let execs = one.ssh.execs();
    until(|| one.ssh.execs() >= execs + 3);
    assert_eq!((one.ssh.logins(), two.ssh.logins()), (logins, 1));
    // Nothing is left of the sessions that broke; a look may have a port open.
    until(|| watching.descriptors() <= descriptors);
    // The numbers are there.
    let rows = world.env.rows("SELECT count(*) > 3 FROM samples");
    assert_eq!(rows, ["1"]);
    watching.silent_until(Signal::TERM, 143);
}
