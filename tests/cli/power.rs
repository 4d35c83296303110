//! `ecobox power` on guests, the common ways: one call, followed until what was wanted is seen.

use ecobox_sim::{Agent, Cluster, Guest, Sim};
use serde_json::json;

use super::env::{CANARY, Env, Run};
use super::fleets::{OPERATOR, TOKEN, env_for};
use super::pace::deadline;
use super::world::assert_transcript;

/// A cluster of two nodes with guests in all states, and ecobox that reaches it.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) env: Env,
}

/// The guests of the lab; those with odd numbers of hundreds are containers.
pub(crate) fn guests() -> Cluster {
    let privileges = [OPERATOR, &["VM.Config.Disk", "Datastore.AllocateSpace"]].concat();
    Cluster::new("lab")
        .token(TOKEN, CANARY, "/", &privileges)
        .node("pve1")
        .node("pve2")
        .vm(101, "web", Guest::running)
        .vm(102, "off", Guest::stopped)
        .vm(103, "paused", Guest::paused)
        .vm(104, "saved", Guest::hibernated)
        .vm(105, "locked", |vm| vm.locked("backup"))
        .vm(106, "deaf", |vm| vm.running().ignores_shutdown())
        .vm(107, "broken", Guest::missing_disk)
        .vm(108, "golden", Guest::template)
        .vm(109, "managed", |vm| vm.running().ha("started"))
        .vm(110, "silent", |vm| vm.running().agent(Agent::Dead))
        .vm(111, "away", |vm| vm.on("pve2"))
        .ct(201, "dns", Guest::running)
        .ct(202, "spare", Guest::stopped)
}

pub(crate) fn lab() -> Lab {
    lab_of(guests())
}

pub(crate) fn lab_of(cluster: Cluster) -> Lab {
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1", "pve2"]);
    Lab { sim, env }
}

impl Lab {
    /// `ecobox power`, with these words.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn power(&self, words: &str) -> Run {
        let args: Vec<&str> = ["power"].into_iter().chain(words.split(' ')).collect();
        self.env.run(&args)
    }

    /// `result state` of each step.
    pub(crate) fn results(run: &Run) -> Vec<String> {
        let report = run.json();
        assert_eq!(report["schema"], "ecobox.power/1");
        let steps = report["steps"].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        steps.iter().map(|step| format!("{} {}", text(&step["result"]), text(&step["state"]))).collect()
    }

    /// What the state file keeps of actions: who, what, how it ended.
    pub(crate) fn history(&self) -> Vec<String> {
        self.env.rows(
            "SELECT action, outcome, asked_by LIKE '%uid %' OR asked_by != '', seconds >= 0 FROM actions ORDER BY id",
        )
    }
}

/// Where a call to a guest goes on the first node.
pub(crate) fn call(vmid: u32, word: &str) -> String {
    format!("/nodes/pve1/{}/{vmid}/status/{word}", if vmid < 200 { "qemu" } else { "lxc" })
}

#[test]
fn each_verb_in_the_state_that_it_is_for() {
    for (words, vmid, sent, result) in [
        ("start vm-102", 102, "start", "done running"),
        ("start vm-103", 103, "resume", "done running"),
        ("start vm-104", 104, "start", "done running"),
        ("resume vm-103", 103, "resume", "done running"),
        ("resume vm-104", 104, "start", "done running"),
        ("shutdown vm-101", 101, "shutdown", "done stopped"),
        ("shutdown vm-106 --then-stop", 106, "shutdown forceStop=1", "done stopped"),
        ("shutdown vm-103 --then-stop", 103, "shutdown forceStop=1", "done stopped"),
        ("stop vm-101", 101, "stop", "done stopped"),
        ("stop vm-103", 103, "stop", "done stopped"),
        ("reboot vm-101", 101, "reboot", "done running"),
        ("reset vm-101", 101, "reset", "done running"),
        ("suspend vm-101", 101, "suspend", "done paused"),
        ("hibernate vm-101", 101, "suspend todisk=1", "done hibernated"),
        ("start ct-202", 202, "start", "done running"),
        ("shutdown ct-201", 201, "shutdown", "done stopped"),
        ("stop ct-201", 201, "stop", "done stopped"),
        ("reboot ct-201", 201, "reboot", "done running"),
    ] {
        let lab = lab();
        let run = lab.power(&format!("{words} --yes -o json")).exits(0);
        assert_eq!(lab.sim.posts(), [call(vmid, sent)], "{words}\n{run}");
        assert_eq!(Lab::results(&run), [result], "{words}\n{run}");
        let verb = words.split(' ').next().unwrap();
        assert_eq!(lab.history(), [format!("{verb}|done|1|1")], "{words}");
    }
}

#[test]
fn what_is_there_already_needs_nothing() {
    let lab = lab();
    for (words, state) in [
        ("start vm-101", "running"),
        ("resume vm-101", "running"),
        ("shutdown vm-102", "stopped"),
        ("stop vm-104", "hibernated"),
        ("suspend vm-103", "paused"),
        ("hibernate vm-104", "hibernated"),
        ("start ct-201", "running"),
        ("stop ct-202", "stopped"),
    ] {
        // Nothing is to be confirmed either.
        let run = lab.power(&format!("{words} -o json")).exits(0);
        assert_eq!(Lab::results(&run), [format!("already {state}")], "{words}");
    }
    assert_eq!(lab.sim.posts(), [""; 0]);
}

#[test]
fn what_a_kind_or_state_does_not_have_is_said() {
    let lab = lab();
    for (words, why) in [
        ("reset ct-201", "a container has no reset"),
        ("suspend ct-201", "a container cannot be suspended"),
        ("hibernate ct-201", "a container cannot be suspended"),
        ("resume ct-202", "a container cannot be suspended, so not resumed"),
        ("wake vm-102", "a guest has no network card to wake it by"),
        ("reset vm-102", "it is stopped"),
        ("reboot vm-102", "it is stopped"),
        ("suspend vm-102", "it is stopped"),
        ("hibernate vm-102", "it is stopped"),
        ("resume vm-102", "it is stopped"),
        ("reboot vm-103", "it is paused and cannot reboot cleanly"),
        ("shutdown vm-103", "it is paused and cannot shut down cleanly"),
    ] {
        let run = lab.power(&format!("{words} --yes")).exits(11).says(why).says("hint: ");
        assert_eq!(lab.sim.posts(), [""; 0], "{words}\n{run}");
        let _ = lab.power(&format!("{words} --dry-run")).exits(11);
    }
}

#[test]
fn what_goes_down_is_confirmed_first() {
    let lab = lab();
    for words in ["shutdown vm-101", "stop vm-101", "reboot vm-101", "reset vm-101", "suspend vm-101", "stop ct-201"] {
        let run = lab.power(words).exits(11).says("not confirmed").says("--yes");
        assert_eq!((run.stdout.as_str(), lab.sim.posts()), ("", vec![]), "{words}");
    }
}

#[test]
fn a_dry_run_does_nothing() {
    let lab = lab();
    let run = lab.power("shutdown vm-101 ct-201 vm-102 --dry-run -o json").exits(0);
    assert_eq!(Lab::results(&run), ["planned -", "already stopped", "planned -"]);
    let report = run.json();
    assert_eq!(report["dry_run"], json!(true));
    let calls: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step["call"].clone()).collect();
    let planned: Vec<String> = calls.iter().filter_map(|call| call.as_str()).map(|c| c.replace("POST ", "")).collect();
    let run = lab.power("shutdown vm-105 vm-110 --dry-run").exits(11).says("--allow no-agent");
    assert_transcript!("power_dry_run_with_findings", run);
    // What it says fixes it.
    let run = lab.power("shutdown vm-110 --then-stop --dry-run").exits(0);
    assert!(run.stderr.is_empty() && run.stdout.contains("stopped at once after 1 min"), "{run}");
    assert_eq!((lab.sim.posts(), lab.history()), (vec![], vec![]));
    // What was planned is what is sent.
    let _ = lab.power("shutdown vm-101 ct-201 vm-102 --yes").exits(0);
    let mut sent = lab.sim.posts();
    sent.sort_by_key(|post| planned.iter().position(|plan| plan == post));
    assert_eq!(sent, planned);
}

#[test]
fn six_requests_and_the_polling() {
    for (words, word) in [
        ("start vm-102", "start"),
        ("start ct-202", "start"),
        ("start vm-103", "resume"),
        ("start vm-111", "start"),
        ("start vm-112", "start"),
        ("shutdown vm-101", "shutdown"),
        ("shutdown vm-109", "shutdown"),
        ("shutdown ct-201", "shutdown"),
        ("stop vm-101", "stop"),
        ("stop vm-109", "stop"),
        ("reboot vm-101", "reboot"),
        ("reboot ct-201", "reboot"),
        ("reset vm-101", "reset"),
        ("suspend vm-101", "suspend"),
        ("resume vm-103", "resume"),
        ("hibernate vm-101", "suspend"),
        ("resume vm-104", "start"),
    ] {
        let lab = lab_of(guests().vm(112, "idle", |vm| vm.stopped().ha("stopped")));
        lab.sim.cluster().change_guest(101, |vm| vm.agent_ip("10.0.0.5"));
        lab.sim.cluster().change_guest(109, |vm| vm.agent_ip("10.0.0.9"));
        // The nodes are known to be of one cluster from the first run on.
        let _ = lab.env.run(&["status"]).exits(0);
        lab.sim.clear_requests();
        let _ = lab.power(&format!("{words} --yes")).exits(0);
        let calls: Vec<String> =
            lab.sim.requests().iter().map(|r| format!("{} {}", r.method, r.path.replace("/api2/json", ""))).collect();
        let posted = calls.iter().position(|call| call.starts_with("POST")).unwrap();
        assert!(posted < 6 && calls[posted].contains(&format!("status/{word}")), "{words}: {calls:#?}");
        let polls = |call: &String| call.contains("/tasks/UPID") || call.ends_with("/status/current");
        assert!(calls[posted + 1..].iter().all(polls), "{words}: {calls:#?}");
    }
}

#[test]
fn sent_and_not_waited_for() {
    let lab = lab();
    let run = lab.power("shutdown vm-106 --yes --no-wait -o json").exits(0);
    assert_eq!(Lab::results(&run), ["sent -"]);
    assert!(run.json()["steps"][0]["upid"].as_str().unwrap().contains(":qmshutdown:106:"), "{run}");
    assert_eq!(lab.sim.posts(), [call(106, "shutdown")]);
    assert!(lab.sim.requests().last().unwrap().method == "POST");
}

#[test]
fn a_deadline_of_ones_own() {
    let mut cluster = guests();
    cluster.change_guest(106, |vm| vm.shutdown_limit(60_000));
    let lab = lab_of(cluster);
    let run = lab.power(&format!("shutdown vm-106 --yes --timeout {}", deadline(2))).exits(10);
    let run = run.says("unconfirmed: its task still runs: UPID:pve1:").says("look with `ecobox status pve1-vm-106`");
    assert_eq!(lab.sim.posts(), [call(106, "shutdown")], "{run}");
    assert_eq!(lab.history(), ["shutdown|unconfirmed|1|1"]);
}

#[test]
fn ha_acts_later_and_the_state_tells() {
    for (words, word, result) in
        [("shutdown vm-109", "shutdown", "done stopped"), ("stop vm-109", "stop", "done stopped")]
    {
        let lab = lab();
        let run = lab.power(&format!("{words} --yes -o json")).exits(0);
        assert_eq!((lab.sim.posts(), Lab::results(&run)), (vec![call(109, word)], vec![result.to_owned()]), "{run}");
        assert!(run.json()["steps"][0]["upid"].as_str().unwrap().contains(":hastop:"), "{run}");
        let run = lab.power("start vm-109 -o json").exits(0);
        assert_eq!(Lab::results(&run), ["done running"]);
        assert!(run.json()["steps"][0]["upid"].as_str().unwrap().contains(":hastart:"), "{run}");
    }
    // HA is slow: its task ended well long ago.
    let mut cluster = guests();
    cluster.timing.ha = 1e6;
    let lab = lab_of(cluster);
    let _ = lab
        .power(&format!("stop vm-109 --yes --timeout {}", deadline(2)))
        .exits(10)
        .says("accepted, but it is running at the deadline");
    assert_eq!(lab.sim.posts(), [call(109, "stop")]);
    // HA could not be asked.
    let mut cluster = guests();
    cluster.timing.task = 1e4;
    cluster.after("POST", "/status/", |c| c.end_tasks(109, "command 'ha-manager set vm:109' failed: exit code 255"));
    let lab = lab_of(cluster);
    let run = lab.power("stop vm-109 --yes").exits(9).says("ha-manager set vm:109' failed: exit code 255");
    assert_eq!(lab.sim.posts(), [call(109, "stop")], "{run}");
    // HA gave up.
    let lab = lab_of(guests());
    lab.sim.cluster().change_guest(109, |vm| vm.ha("error"));
    let _ = lab.power("stop vm-109 --yes").exits(11).says("its HA state is error").says("(ha-managed)");
    assert_eq!(lab.sim.posts(), [""; 0]);
    let _ = lab.power(&format!("stop vm-109 --yes --allow ha-managed --timeout {}", deadline(2))).exits(10);
    assert_eq!(lab.sim.posts(), [call(109, "stop")]);
    let _ = lab.power("hibernate vm-109 --yes").exits(11).says("HA manages it");
}

#[test]
fn each_reason_against_it_has_its_override() {
    type Prepare = fn(&mut Cluster);
    // Whether the override is offered: where Proxmox VE refuses the call itself nothing is gained by it.
    let cases: [(&str, &str, Prepare, &str, bool, i32); 11] = [
        ("start vm-105", "guest-locked", |_| {}, "its configuration is locked (backup)", false, 9),
        ("start vm-108", "template", |_| {}, "it is a template, which cannot start", false, 9),
        ("shutdown vm-110", "no-agent", |_| {}, "its guest agent is enabled and does not answer", true, 0),
        ("start vm-102", "quorum-lost", |c| c.set_quorate(false), "no quorum (2 of 2 nodes online)", false, 11),
        ("start ct-202", "quorum-lost", |c| c.set_quorate(false), "no quorum (2 of 2 nodes online)", false, 11),
        ("hibernate vm-101", "quorum-lost", |c| c.set_quorate(false), "no quorum (2 of 2 nodes online)", false, 9),
        ("stop vm-109", "quorum-lost", |c| c.set_quorate(false), "no quorum (2 of 2 nodes online)", false, 9),
        (
            "stop vm-109",
            "ha-managed",
            |c| c.change_guest(109, |vm| vm.ha("freeze")),
            "HA is busy with it (freeze)",
            true,
            0,
        ),
        ("start ct-202", "guest-locked", |c| c.change_guest(202, |ct| ct.locked("snapshot")), "(snapshot)", false, 9),
        ("stop vm-101", "guest-locked", |c| c.change_guest(101, |vm| vm.locked("migrate")), "(migrate)", false, 9),
        ("hibernate vm-101", "guest-locked", |c| c.change_guest(101, |vm| vm.locked("backup")), "(backup)", false, 9),
    ];
    for (words, id, prepare, why, offered, exit) in cases {
        let mut cluster = guests();
        prepare(&mut cluster);
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{words} --yes")).exits(11).says(why).says(id);
        assert_eq!(run.stderr.contains(&format!("add `--allow {id}`")), offered, "{words}\n{run}");
        assert_eq!(lab.sim.posts(), [""; 0], "{words}\n{run}");
        let json = lab.power(&format!("{words} --dry-run -o json")).exits(11).json();
        assert_eq!(json["checks"][0]["overridable"], offered, "{json:#}");
        let verb = words.split(' ').next().unwrap();
        assert_eq!(lab.env.rows("SELECT action, outcome, detail FROM actions"), [format!("{verb}|refused|{id}")]);
        // Another one's override is none.
        let other = if id == "self" { "template" } else { "self" };
        let _ = lab.power(&format!("{words} --yes --allow {other}")).exits(11);
        assert_eq!(lab.sim.posts(), [""; 0], "{words}");
        let run = lab.power(&format!("{words} --yes --allow {id}")).exits(exit).says(&format!("(allowed: {id})"));
        assert!(!run.stderr.contains(&format!("add `--allow {id}`")), "{words}\n{run}");
        assert_eq!(lab.sim.posts().len(), 1, "{words}\n{run}");
    }
}

#[test]
fn a_shutdown_under_way_is_overruled_by_a_stop() {
    let mut cluster = guests();
    cluster.change_guest(106, |vm| vm.shutdown_limit(60_000));
    let lab = lab_of(cluster);
    let _ = lab.power("shutdown vm-106 --yes --no-wait").exits(0);
    lab.sim.clear_requests();
    let _ = lab.power("stop vm-106 --yes").exits(11).says("qmshutdown of it runs").says("--allow tasks-running");
    assert_eq!(lab.sim.posts(), [""; 0]);
    let _ = lab.power("stop vm-106 --yes --allow tasks-running").exits(0);
    assert_eq!(lab.sim.posts(), [call(106, "stop overrule-shutdown=1")]);
}

#[test]
fn what_others_do_with_it_is_waited_for() {
    for (task, id, words) in [
        ("vzdump", "backup-running", "a backup of it runs since "),
        ("qmsnapshot", "tasks-running", "qmsnapshot of it runs"),
    ] {
        let mut cluster = guests();
        cluster.run_task(task, 101, "root@pam", 1e6);
        let lab = lab_of(cluster);
        let run = lab.power("stop vm-101 --yes").exits(11).says(words).says(&format!("--allow {id}"));
        assert_eq!(lab.sim.posts(), [""; 0], "{run}");
        let _ = lab.power(&format!("stop vm-101 --yes --allow {id}")).exits(0).says(words);
        assert_eq!(lab.sim.posts().len(), 1);
    }
    // Somebody's open console is no work.
    let mut cluster = guests();
    cluster.run_task("vncproxy", 202, "root@pam", 1e6);
    let lab = lab_of(cluster);
    let _ = lab.power("start ct-202 --dry-run").exits(0);
}
