//! An `ecobox watch` that runs, and the lines that it writes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ecobox_sim::Sim;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::env::{Env, Run};
use super::fleets::env_for;

/// More than anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Ten looks a second.
pub(crate) const FAST: &str = "[dashboard]\nupdate_interval = \"100ms\"\nsystem_check_interval = \"200ms\"\n\
                    vm_discovery_interval = \"300ms\"\n\n";

/// An `ecobox watch` that runs, and the lines that it writes.
pub(crate) struct Watching<'e> {
    env: &'e Env,
    child: Option<Child>,
    lines: Receiver<String>,
}

pub(crate) fn watch<'e>(env: &'e Env, args: &[&str]) -> Watching<'e> {
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
    pub(crate) fn line(&mut self) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let line = serde_json::from_str(&line).unwrap();
                super::schemas::fits_stream(&line);
                line
            }
            Err(RecvTimeoutError::Timeout) => panic!("no line comes"),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}", self.finish()),
        }
    }

    /// The next line in short, without the time and the server.
    #[track_caller]
    pub(crate) fn short(&mut self) -> String {
        let line = self.line();
        assert!(line["at"].is_string(), "{line}");
        let Value::Object(fields) = line else { panic!("no object: {line}") };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let order = ["event", "id", "service", "kind", "from", "to"];
        order.iter().filter_map(|name| fields.get(*name)).map(text).collect::<Vec<_>>().join(" ")
    }

    /// The snapshot, which is the first line.
    #[track_caller]
    pub(crate) fn snapshot(&mut self) -> Value {
        let line = self.line();
        assert_eq!((&line["schema"], &line["event"]), (&json!("ecobox.watch/1"), &json!("snapshot")), "{line}");
        line
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.as_ref().unwrap().id())).unwrap().count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for the end, and gives what is left.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> Run {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let mut run = self.env.finish(output);
        run.stdout = self.lines.iter().collect::<Vec<_>>().join("\n");
        run
    }

    /// Ends it, and fails the test if there was anything to say that was not looked at.
    #[track_caller]
    pub(crate) fn silent_until(&mut self, signal: Signal, code: i32) {
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

pub(crate) fn states(snapshot: &Value) -> Vec<String> {
    let servers = snapshot["servers"].as_array().unwrap();
    servers.iter().map(|s| format!("{} {}", s["id"].as_str().unwrap(), s["state"].as_str().unwrap())).collect()
}

/// A fast world of three nodes.
pub(crate) fn fast(sim: &Sim, nodes: &[&str]) -> Env {
    let env = env_for(sim, nodes);
    env.add_config(FAST);
    env
}
