//! `ecobox snapshot` where answers are lost, tasks are killed, and the cluster changes between the plan and the call. However
//! that goes, nothing is sent twice.

use std::process::Stdio;
use std::time::Duration;

use ecobox_sim::{Cluster, Fault, Guest, Kind, Moment};
use rustix::process::{Pid, Signal, kill_process};

use super::pace::deadline;
use super::power::Lab;
use super::snapshot::{guests, lab, lab_of, rows};
use super::world::until;

type Deed = fn(&mut Cluster);

/// A lab in which the guest has a snapshot, from a minute ago, and one of before.
fn with_snapshot() -> Lab {
    let mut cluster = guests();
    let has = |guest: Guest| guest.snapshot("s0", 120, "").snapshot("s1", 60, "");
    for vmid in [101, 201] {
        cluster.change_guest(vmid, has);
    }
    lab_of(cluster)
}

/// The words of a verb on the first guest.
fn words(verb: &str) -> String {
    match verb {
        "create" => "create vm-101 --name new".to_owned(),
        "delete" => "delete s1 vm-101 --yes".to_owned(),
        _ => "rollback s1 vm-101 --yes".to_owned(),
    }
}

/// Whether it was really done.
fn is_done(lab: &Lab, verb: &str) -> bool {
    let names = lab.names(101);
    match verb {
        "create" => names.contains(&"new".to_owned()),
        "delete" => !names.contains(&"s1".to_owned()),
        _ => lab.sim.cluster().guest(101).unwrap().3 == "stopped",
    }
}

#[test]
fn an_answer_that_is_lost_about_a_new_one() {
    lost_answers("create", true);
}

#[test]
fn an_answer_that_is_lost_about_a_deletion() {
    lost_answers("delete", false);
}

#[test]
fn an_answer_that_is_lost_about_a_rollback() {
    lost_answers("rollback", false);
}

fn lost_answers(verb: &'static str, in_full: bool) {
    let status = |status, reason: &str| Fault::Status(status, reason.to_owned());
    let lost = "its answer was lost";
    let few = [
        (Fault::DropBeforeAnswer, 10, lost, false),
        (Fault::DropAfterAction, 0, "", true),
        (Fault::DropInBody, 0, "", true),
        (status(596, "Connection timed out"), 10, lost, false),
        (status(595, "No route to host"), 5, "nothing was done", false),
        (status(403, "Permission check failed (/vms/101, VM.Snapshot)"), 4, "(/vms/101, VM.Snapshot)", false),
    ];
    let more = [
        (Fault::HangAtRequest, 10, lost, false),
        (Fault::Garbage, 10, lost, false),
        (Fault::Html, 10, lost, false),
        (status(597, "Broken pipe"), 10, lost, false),
        (status(599, "Too many redirections"), 10, lost, false),
        (status(500, "boom"), 10, lost, false),
        (status(500, "VM is locked (backup)"), 1, "Proxmox VE refused: VM is locked (backup)", false),
        (status(401, "Authentication failed!"), 4, "Authentication failed!", false),
    ];
    let method = if verb == "delete" { "DELETE" } else { "POST" };
    for (fault, exit, says, done) in few.into_iter().chain(more.into_iter().filter(|_| in_full)) {
        let lab = with_snapshot();
        lab.sim.node("pve1").fail_on(Some(method), None, None, fault.clone());
        let run = lab.snapshot(&format!("{} --timeout {}", words(verb), deadline(2))).exits(exit).says(says);
        assert_eq!(lab.sim.changes().len(), 1, "{verb} {fault:?}\n{run}");
        assert_eq!(is_done(&lab, verb), done, "{verb} {fault:?}\n{run}");
    }
}

/// The task is not to be found, or has no end: what is there decides.
#[test]
fn where_the_task_says_nothing_the_list_does() {
    let gone: Deed = |c| c.lose_task_logs(101);
    let unlisted: Deed = |c| c.list_no_tasks(true);
    for verb in ["create", "delete", "rollback"] {
        let method = if verb == "delete" { "DELETE" } else { "POST" };
        for (deed, fault) in [(gone, None), (unlisted, Some(Fault::DropAfterAction))] {
            let lab = with_snapshot();
            lab.sim.cluster().after(method, "/snapshot", deed);
            if let Some(fault) = fault {
                lab.sim.node("pve1").fail_on(Some(method), None, None, fault);
            }
            let run = lab.snapshot(&format!("{} --timeout {} -o json", words(verb), deadline(8))).exits(0);
            assert!(rows(&run)[0].ends_with(" done"), "{run}");
            assert_eq!(lab.sim.changes().len(), 1, "{verb}\n{run}");
        }
    }
    // A container that is rolled back to what it came from, and did not run, shows nothing of it.
    let lab = with_snapshot();
    lab.sim.cluster().change_guest(201, Guest::stopped);
    lab.sim.cluster().list_no_tasks(true);
    lab.sim.node("pve1").fail_on(Some("POST"), None, None, Fault::DropAfterAction);
    let _ = lab
        .snapshot(&format!("rollback s1 ct-201 --yes --timeout {}", deadline(3)))
        .exits(10)
        .says("it is not seen to be back at s1");
    assert_eq!(lab.sim.changes().len(), 1);
}

/// A worker that is killed leaves the lock, and the snapshot half done: it is named with the commands that repair it.
#[test]
fn a_task_that_is_killed() {
    for (verb, kind, guest, left, says) in [
        ("create", 101, "vm-101", "new prepare", "run `qm unlock 101`, then `qm delsnapshot 101 new --force` on pve1"),
        ("delete", 101, "vm-101", "s1 delete", "run `qm unlock 101`, then `qm delsnapshot 101 s1 --force` on pve1"),
        ("rollback", 101, "vm-101", "s1", "run `qm unlock 101` on pve1, then roll back to s1 again"),
        ("delete", 201, "ct-201", "s1 delete", "run `pct unlock 201`, then `pct delsnapshot 201 s1 --force` on pve1"),
    ] {
        let lab = with_snapshot();
        lab.sim.cluster().timing.task = 1e4;
        let method = if verb == "delete" { "DELETE" } else { "POST" };
        lab.sim.cluster().after(method, "/snapshot", move |c| c.end_tasks(kind, "unexpected status"));
        let words = words(verb).replace("vm-101", guest);
        let run = lab.snapshot(&words).exits(9).says("its task was broken off").says(says);
        assert!(lab.names(kind).contains(&left.to_owned()), "{:?}\n{run}", lab.names(kind));
        // The next run is refused at once, and says the same.
        let next = lab.snapshot(&format!("create {guest} --name next --wait-for-lock 1m")).exits(11);
        let next = next.says("no task works on it").says(&format!("unlock {kind}`"));
        assert_eq!(lab.sim.changes().len(), 1, "{next}");
    }
    // Words of a storage, after which nothing is left.
    let lab = with_snapshot();
    lab.sim.cluster().fail_snapshots(
        101,
        "create",
        Some(ecobox_sim::SnapshotFault::Cleaned("no space left".to_owned())),
    );
    let _ =
        lab.snapshot("create vm-101 --name new").exits(9).says("task failed: no space left").says("starting cleanup");
    assert_eq!(lab.names(101), ["s0", "s1"]);
}

#[test]
fn what_works_on_a_guest_is_waited_for() {
    // A backup that ends while it is waited for.
    let busy = || {
        let mut cluster = guests();
        cluster.change_guest(101, |vm| vm.locked("backup"));
        cluster.run_task("vzdump", 101, "root@pam", 1e6);
        cluster
    };
    let lab = lab_of(busy());
    let run = lab
        .snapshot("create vm-101 --name s1")
        .exits(11)
        .says("its configuration is locked (backup): vzdump works on it");
    assert_eq!(lab.sim.changes(), [""; 0], "{run}");
    let mut cluster = busy();
    let mut looks = 0;
    cluster.on_request(Moment::Before, "GET", "/101/config", 9, move |c| {
        looks += 1;
        if looks == 4 {
            c.end_tasks(101, "OK");
            c.change_guest(101, Guest::unlocked);
        }
    });
    let lab = lab_of(cluster);
    let run = lab.snapshot("create vm-101 --name s1 --wait-for-lock 5m -o json").exits(0);
    assert_eq!((rows(&run), lab.sim.changes().len()), (vec!["create s1 done".to_owned()], 1), "{run}");
    let _ = run.says("waits at most 5 min until that has ended");
    // One that does not end in time, and one that works without a lock.
    let lab = lab_of(busy());
    let _ = lab
        .snapshot(&format!("create vm-101 --name s1 --wait-for-lock {}", deadline(1)))
        .exits(11)
        .says("is locked (backup)");
    let mut cluster = guests();
    cluster.run_task("qmmove", 101, "root@pam", 1e6);
    let lab = lab_of(cluster);
    let _ = lab.snapshot("create vm-101 --name s1").exits(11).says("qmmove of it runs");
    let _ = lab.snapshot("create vm-101 --name s1 --allow tasks-running").exits(0);
}

/// A lab where something happens between the plan and the call: the configuration is read for both.
fn lab_where(vmid: u32, deed: impl FnMut(&mut Cluster) + Send + Clone + 'static) -> Lab {
    let mut cluster = guests();
    let path = format!("/{vmid}/config");
    cluster.before("GET", &path.clone(), move |cluster| cluster.before("GET", &path, deed.clone()));
    lab_of(cluster)
}

#[test]
fn the_guest_changes_between_plan_and_call() {
    let lab = lab_where(101, |c| c.migrate_guest(101, "pve2"));
    let run = lab.snapshot("create vm-101 --name s1 -o json").exits(0);
    assert_eq!(rows(&run), ["create s1 done"]);
    assert!(lab.sim.changes()[0].starts_with("POST /nodes/pve2/qemu/101/snapshot "), "{run}");
    let other = "99999999-0000-4000-8000-000000000102";
    for (kind, exit) in [(Kind::Qemu, 6), (Kind::Lxc, 6)] {
        let lab = lab_where(101, move |c| c.replace_guest(101, kind, "other", |guest| guest.uuid(other)));
        let run = lab.snapshot("create vm-101 --name s1").exits(exit).says("another guest has its number now");
        assert_eq!(lab.sim.changes(), [""; 0], "{run}");
    }
    let lab = lab_where(101, |c| c.remove_guest(101));
    let _ = lab.snapshot("create vm-101 --name s1").exits(1).says("is gone");
    assert_eq!(lab.sim.changes(), [""; 0]);
    let lab = lab_where(101, |c| c.change_guest(101, |vm| vm.locked("migrate")));
    let _ = lab.snapshot("create vm-101 --name s1").exits(11).says("its configuration is locked (migrate)");
    assert_eq!(lab.sim.changes(), [""; 0]);
}

#[test]
fn interrupted_it_says_what_was_sent_and_cancels_nothing() {
    let lab = lab();
    lab.sim.cluster().timing.task = 1e5;
    let args = ["snapshot", "create", "vm-101", "--name", "s1"];
    let child = lab.env.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| lab.sim.requests().iter().any(|request| request.path.contains("/tasks/UPID")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = lab.env.finish(child.wait_with_output().unwrap()).exits(130);
    let _ = run.says("snapshot create s1 of pve1-vm-101 goes on there as UPID:pve1:").says("nothing was cancelled");
    assert_eq!(lab.env.rows("SELECT action, outcome FROM actions"), ["snapshot create s1|interrupted"]);
    assert_eq!(lab.sim.changes().len(), 1);
}

#[test]
fn so_many_at_a_time_and_deletions_one_by_one() {
    let mut cluster = guests();
    for vmid in 121..129 {
        cluster.add_guest(Kind::Qemu, vmid, &format!("many-{vmid}"), |vm| {
            vm.volume(&format!("local-lvm:vm-{vmid}-disk-0")).snapshot("old", 60, "")
        });
    }
    cluster.timing.task = 300.0;
    let lab = lab_of(cluster);
    let _ = lab.snapshot("create many-* --name new --parallel 3").exits(0);
    let most = lab.sim.cluster().most_tasks("pve1");
    assert!((2..=3).contains(&most), "{most}");
    let lab_of_deletions = |parallel: u32| {
        let mut cluster = guests();
        for vmid in 121..126 {
            cluster.add_guest(Kind::Qemu, vmid, &format!("many-{vmid}"), |vm| {
                vm.volume(&format!("local-lvm:vm-{vmid}-disk-0")).snapshot("old", 60, "")
            });
        }
        cluster.timing.task = 100.0;
        let lab = lab_of(cluster);
        let _ = lab.snapshot(&format!("delete old many-* --yes --parallel {parallel}")).exits(0);
        lab
    };
    assert_eq!(lab_of_deletions(4).sim.cluster().most_tasks("pve1"), 1, "one at a time on a storage");
}

/// Nodes that do not answer keep nothing from the others, and nothing is waited for that long.
#[test]
fn a_node_that_hangs() {
    let lab = lab();
    lab.sim.node("pve2").fail(Fault::HangAtRequest);
    lab.sim.node("pve1").fail_on(Some("GET"), Some("/nodes/pve2/"), None, Fault::Delay(Duration::from_secs(120)));
    let run = lab.snapshot(&format!("list vm-101 vm-111 -o json --timeout {}", deadline(3))).exits(8);
    assert_eq!(run.json()["snapshots"].as_array().unwrap().len(), 1, "{run}");
}
