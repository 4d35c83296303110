//! `ecobox power` on guests, with bad luck: whatever happens, a call is sent once at most, and what is known is said.

use std::process::{Child, Stdio};

use ecobox_sim::{Cluster, Fault};
use rustix::process::{Pid, Signal, kill_process};

use super::env::Run;
use super::pace::deadline;
use super::power::{Lab, call, guests, lab, lab_of};
use super::world::{assert_transcript, until};

/// What happens to the cluster right before a call is carried out.
type Deed = fn(&mut Cluster);

#[test]
fn tasks_that_fail_say_so_in_their_own_words() {
    let nothing: Deed = |_| {};
    let cases: [(&str, Deed, &str, &str); 10] = [
        (
            "start vm-102",
            |c| c.remove_guest(102),
            "start",
            "Configuration file 'nodes/pve1/qemu-server/102.conf' does not exist",
        ),
        (
            "shutdown vm-101",
            |c| c.migrate_guest(101, "pve2"),
            "shutdown",
            "unable to find configuration file for VM 101 on node 'pve1'",
        ),
        ("start vm-102", |c| c.change_guest(102, ecobox_sim::Guest::paused), "start", "VM 102 already running"),
        ("start vm-108 --allow template", nothing, "start", "you can't start a vm if it's a template"),
        ("start vm-105 --allow guest-locked", nothing, "start", "VM is locked (backup)"),
        ("start vm-107", nothing, "start", "volume 'local:107/vm-107-disk-0.raw' does not exist"),
        ("shutdown vm-106", nothing, "shutdown", "VM quit/powerdown failed - got timeout"),
        (
            "start vm-102",
            |c| c.hold_lock(102, true),
            "start",
            "can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout",
        ),
        (
            "start vm-102",
            |c| c.after("GET", "/tasks/", |c| c.end_tasks(102, "received interrupt")),
            "start",
            "received interrupt",
        ),
        ("stop vm-101", |c| c.change_guest(101, |vm| vm.locked("snapshot")), "stop", "VM is locked (snapshot)"),
    ];
    for (words, deed, sent, text) in cases {
        let mut cluster = guests();
        if text == "received interrupt" {
            cluster.timing.task = 1e4;
        }
        cluster.before("POST", "/status/", deed);
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{words} --yes")).exits(9).says(&format!("task failed: {text}"));
        let target = words.split("vm-").nth(1).unwrap()[..3].parse().unwrap();
        assert_eq!(lab.sim.posts(), [call(target, sent)], "{words}\n{run}");
        assert_eq!(lab.env.rows("SELECT outcome, detail FROM actions"), [format!("failed|{text}")]);
    }
}

#[test]
fn the_last_lines_of_a_failed_task_are_shown() {
    let mut cluster = guests();
    cluster.change_guest(110, ecobox_sim::Guest::ignores_shutdown);
    let lab = lab_of(cluster);
    let run = lab.power("shutdown vm-110 --yes --allow no-agent").exits(9);
    assert_transcript!("power_task_failed", run);
}

#[test]
fn somebody_else_was_faster() {
    let mut cluster = guests();
    cluster.before("POST", "/start", |c| c.change_guest(102, ecobox_sim::Guest::running));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102 -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["already running".to_owned()], vec![call(102, "start")]));
}

#[test]
fn nobody_is_meant() {
    let mut cluster = guests();
    cluster.rename_guest(101, "twin");
    cluster.rename_guest(102, "twin");
    let lab = lab_of(cluster);
    for (target, words) in [
        ("nobody", "nobody"),
        ("vm-999", "vm-999"),
        ("tag=nosuch", "tag=nosuch"),
        ("twin", "pve1-vm-101"),
        ("no*", "no*"),
    ] {
        let _ = lab.power(&format!("stop {target} --yes")).exits(7).says(words);
    }
    assert_eq!(lab.sim.posts(), [""; 0]);
}

#[test]
fn an_answer_that_is_lost() {
    let status = |status, reason: &str| Fault::Status(status, reason.to_owned());
    let lost = "its answer was lost";
    for (fault, exit, words, runs) in [
        (Fault::DropBeforeAnswer, 10, lost, false),
        (Fault::HangAtRequest, 10, lost, false),
        (Fault::DropAfterAction, 0, "", true),
        (Fault::DropInBody, 0, "", true),
        (Fault::Garbage, 10, lost, false),
        (Fault::Html, 10, lost, false),
        (status(595, "No route to host"), 5, "its node cannot be reached: No route to host; nothing was done", false),
        (status(596, "Connection timed out"), 10, lost, false),
        (status(597, "Broken pipe"), 10, lost, false),
        (status(598, "aborted"), 10, lost, false),
        (status(599, "Too many redirections"), 10, lost, false),
        (status(500, "boom"), 10, lost, false),
        (status(500, "VM is locked (backup)"), 1, "Proxmox VE refused: VM is locked (backup)", false),
        (status(401, "Authentication failed!"), 4, "Authentication failed!", false),
        (status(403, "Permission check failed (/vms/102, VM.PowerMgmt)"), 4, "(/vms/102, VM.PowerMgmt)", false),
    ] {
        let lab = lab();
        lab.sim.node("pve1").fail_on(Some("POST"), None, None, fault.clone());
        let run = lab.power(&format!("start vm-102 --timeout {}", deadline(2))).exits(exit).says(words);
        assert_eq!(lab.sim.posts(), [call(102, "start")], "{fault:?}\n{run}");
        let state = lab.sim.cluster().guest(102).unwrap().3;
        assert_eq!(state == "running", runs, "{fault:?}\n{run}");
    }
}

#[test]
fn a_connection_that_is_not_made_sends_nothing() {
    let mut cluster = guests();
    // The node goes away between the last question and the call, which has a connection of its own.
    cluster.on_request(ecobox_sim::Moment::After, "GET", "/qemu/102/config", 2, |c| {
        if c.vmids().len() == 13 {
            c.remove_guest(111);
        } else {
            c.set_listening("pve1", false);
        }
    });
    let lab = lab_of(cluster);
    let _ = lab.power(&format!("start vm-102 --timeout {}", deadline(3))).exits(5);
    assert_eq!(lab.sim.posts(), [""; 0]);
}

#[test]
fn a_lost_task_is_looked_for_by_the_clock_of_its_node() {
    for wrong in [-3600, 3600, 0] {
        // It ran, and failed: only its task can tell.
        let lab = lab();
        lab.sim.cluster().clock.set_wrong(wrong);
        lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::DropAfterAction);
        let run = lab.power("start vm-107 --timeout 60s").exits(9).says("volume 'local:107/vm-107-disk-0.raw'");
        assert_eq!(lab.sim.posts(), [call(107, "start")], "{wrong}\n{run}");
    }
    // It did not run; an older one of the same kind, which failed, stands in the list.
    let lab = lab();
    let _ = lab.power("start vm-107").exits(9);
    lab.sim.cluster().clock.set_wrong(3600);
    lab.sim.clear_requests();
    lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::DropBeforeAnswer);
    let run = lab
        .power(&format!("start vm-107 --timeout {}", deadline(2)))
        .exits(10)
        .says("no task was found, and it is stopped");
    assert_eq!(lab.sim.posts(), [call(107, "start")], "{run}");
}

#[test]
fn where_the_task_says_nothing_the_state_does() {
    let gone: Deed = |c| c.lose_task_logs(102);
    let unlisted: Deed = |c| c.list_no_tasks(true);
    let killed: Deed = |c| c.end_tasks(102, "unexpected status");
    for (deed, slow, fault, exit, words) in [
        (gone, false, None, 0, ""),
        (unlisted, false, Some(Fault::DropAfterAction), 0, ""),
        (killed, true, None, 10, "accepted, but it is stopped at the deadline"),
    ] {
        let mut cluster = guests();
        if slow {
            cluster.timing.task = 1e4;
        }
        cluster.after("POST", "/status/", deed);
        let lab = lab_of(cluster);
        if let Some(fault) = fault {
            lab.sim.node("pve1").fail_on(Some("POST"), None, None, fault);
        }
        let run = lab.power(&format!("start vm-102 --timeout {}", deadline(3))).exits(exit).says(words);
        assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
    }
}

#[test]
fn polling_outlives_the_node_that_was_asked() {
    let mut cluster = guests();
    cluster.timing.task = 50.0;
    cluster.after("POST", "/nodes/pve2/", |c| {
        c.set_listening("pve1", false);
        c.fail("pve1", Fault::DropBeforeAnswer);
    });
    let lab = lab_of(cluster);
    let run = lab.power("start vm-111 -o json").exits(0);
    assert_eq!(Lab::results(&run), ["done running"]);
    assert_eq!(lab.sim.posts(), ["/nodes/pve2/qemu/111/status/start"]);
    assert!(lab.sim.node("pve2").count("/tasks/") > 0);
}

#[test]
fn a_token_that_is_taken_away_while_polling() {
    let mut cluster = guests();
    cluster.timing.task = 50.0;
    cluster.timing.auth_delay = 0.0;
    cluster.after("POST", "/status/", |c| {
        c.access().remove_token(super::fleets::TOKEN);
    });
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102").exits(10).says("it was sent, and then: ").says("it may still come");
    assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
}

/// A run that goes on until a request of this kind has come.
fn waiting(lab: &Lab, words: &str, request: &str) -> Child {
    let args: Vec<&str> = ["power"].into_iter().chain(words.split(' ')).collect();
    let child = lab.env.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| lab.sim.requests().iter().any(|r| format!("{} {}", r.method, r.path).contains(request)));
    child
}

fn signalled(lab: &Lab, child: Child, signal: Signal) -> Run {
    kill_process(Pid::from_child(&child), signal).unwrap();
    lab.env.finish(child.wait_with_output().unwrap())
}

#[test]
fn interrupted_it_says_what_was_sent_and_cancels_nothing() {
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        // Before anything was sent.
        let lab = lab();
        lab.sim.node("pve1").fail_on(Some("GET"), Some("/status/current"), None, Fault::HangAtRequest);
        let run = signalled(&lab, waiting(&lab, "stop vm-101 --yes", "/status/current"), signal).exits(exit);
        let words = format!("{}, nothing was sent\n", if exit == 130 { "interrupted" } else { "terminated" });
        assert_eq!((run.stdout.as_str(), run.stderr, lab.sim.posts()), ("", words, vec![]));
        assert_eq!(lab.history(), [""; 0]);

        // Sent, and not answered.
        lab.sim.node("pve1").heal();
        lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::HangAtRequest);
        let run = signalled(&lab, waiting(&lab, "stop vm-101 --yes", "POST "), signal).exits(exit);
        let run = run.says("stop of pve1-vm-101 was sent, the answer is not there yet; nothing was cancelled");
        assert_eq!(lab.history(), ["stop|interrupted|1|1"], "{run}");

        // While it is waited for.
        let mut cluster = guests();
        cluster.change_guest(106, |vm| vm.shutdown_limit(60_000));
        let lab = lab_of(cluster);
        let child = waiting(&lab, "shutdown vm-106 --yes", "GET /api2/json/nodes/pve1/tasks/");
        let status = lab.env.run(&["status"]).exits(0);
        let row = status.stdout.lines().find(|row| row.contains("deaf")).unwrap();
        assert!(row.contains("stopping"), "{status}");
        let run = signalled(&lab, child, signal).exits(exit);
        let run = run.says("shutdown of pve1-vm-106 goes on there as UPID:pve1:").says("nothing was cancelled");
        assert_eq!(lab.sim.posts(), [call(106, "shutdown")], "{run}");
        assert!(lab.sim.requests().iter().all(|request| request.method != "DELETE"));
        assert_eq!(lab.history(), ["shutdown|interrupted|1|1"]);
        assert_eq!(lab.sim.cluster().task_history().last().unwrap().2, None, "it goes on");
    }
}

#[test]
fn nobody_reads_what_it_prints() {
    let lab = lab();
    let mut child =
        lab.env.command(&["power", "start", "vm-102"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = lab.env.finish(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(lab.sim.posts(), [call(102, "start")]);
    assert_eq!(lab.history(), ["start|done|1|1"]);
}

#[test]
fn a_guest_that_has_just_begun_is_no_proof_of_a_reboot() {
    let lab = lab();
    let _ = lab.power("start vm-102").exits(0);
    lab.sim.clear_requests();
    lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::DropBeforeAnswer);
    let run = lab
        .power(&format!("reboot vm-102 --yes --timeout {}", deadline(3)))
        .exits(10)
        .says("no task was found, and it is running");
    assert_eq!(lab.sim.posts(), [call(102, "reboot")], "{run}");
}

#[test]
fn it_came_about_before_the_call_arrived() {
    for (verb, vmid, deed) in [
        ("shutdown", 201, (|c| c.crash_guest(201)) as Deed),
        ("stop", 101, |c| c.crash_guest(101)),
        ("start", 202, |c| c.change_guest(202, ecobox_sim::Guest::running)),
    ] {
        let mut cluster = guests();
        cluster.before("POST", "/status/", deed);
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{verb} {vmid} --yes -o json")).exits(0);
        assert!(Lab::results(&run)[0].starts_with("already ") || verb == "stop", "{run}");
        assert_eq!(lab.sim.posts(), [call(vmid, verb)], "{run}");
    }
}

#[test]
fn what_was_sent_is_said_when_the_state_file_fails() {
    let lab = lab();
    let path = lab.env.state_path();
    lab.sim.cluster().after("POST", "/status/", move |_| {
        rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE in_flight").unwrap();
    });
    let run = lab.power("start vm-102").exits(3).says("start of pve1-vm-102 was sent: done; nothing was cancelled");
    assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
}

#[test]
fn it_runs_again_although_nobody_said_so() {
    // The uptime tells of a reboot; a reset leaves no trace.
    for (verb, exit, words) in [("reboot", 0, ""), ("reset", 10, "no task was found, and it is running")] {
        let mut cluster = guests();
        cluster.list_no_tasks(true);
        let lab = lab_of(cluster);
        lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::DropAfterAction);
        let run = lab.power(&format!("{verb} vm-101 --yes --timeout {}", deadline(3))).exits(exit).says(words);
        assert_eq!(lab.sim.posts(), [call(101, verb)], "{run}");
    }
}
