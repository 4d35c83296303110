//! The recorded requests about snapshots: what is in the lists, and how each task ended.

use std::collections::BTreeMap;
use std::path::Path;

use ecobox_sim::{Agent, Cluster, ClusterGuard, Guest, Sim, SnapshotFault};
use serde_json::{Map, Value};

use super::host::SECRET;
use super::{Recording, common, request};

fn host() -> Sim {
    let cluster = Cluster::new("pve1").node("pve1").local_storage("local", 252 << 30, 19 << 30);
    let mut cluster = cluster
        .vm(101, "web-01", |vm| vm.qcow2().running().agent_ip("10.99.0.101"))
        .vm(102, "agentless", |vm| vm.qcow2().running().agent(Agent::Dead))
        .vm(103, "template", |vm| vm.qcow2().template())
        .vm(104, "locked", |vm| vm.qcow2().locked("backup"))
        .vm(109, "diskless", |vm| vm.disk(0, 0))
        .vm(110, "raw", |vm| vm)
        .vm(120, "facts", Guest::qcow2)
        .ct(201, "ct-web", Guest::stopped);
    cluster.access().add_token("root@pam!ecobox", SECRET, false);
    cluster.timing.task = 1.0;
    cluster.clock.set_pace(std::time::Duration::from_secs(1));
    cluster.clock.freeze();
    Sim::start(cluster)
}

/// What was done by hand on the recorded host before this request.
fn by_hand(cluster: &mut ClusterGuard<'_>, name: &str) {
    let half = |vm: Guest| vm.locked("snapshot-delete");
    match name {
        "qemu-101-create-vmstate" => {
            let words = "VM 101 qmp command 'blockdev-snapshot-internal-sync' failed - Block format 'throttle' used by device \
                         'drive-scsi0' does not support internal snapshots ";
            cluster.fail_snapshots(101, "create", Some(SnapshotFault::Cleaned(words.to_owned())));
        }
        "qemu-101-list" => cluster.fail_snapshots(101, "create", None),
        "qemu-102-killed-create-task-status" => cluster.end_tasks(102, "unexpected status"),
        "qemu-102-killed-delete-unlocked" => cluster.change_guest(102, Guest::unlocked),
        "qemu-120-list-half-deleted" => {
            cluster.change_guest(120, half);
            cluster.break_snapshots(120, "delete");
        }
        "qemu-120-rollback-incomplete" => cluster.change_guest(120, Guest::unlocked),
        "qemu-120-delete-half-deleted" => {
            let words = "command '/usr/bin/qemu-img snapshot -d s2 /var/lib/vz/images/120/vm-120-disk-0.qcow2' failed: exit code 1";
            cluster.fail_snapshots(120, "delete", Some(SnapshotFault::HalfDone(words.to_owned())));
        }
        "qemu-120-delete-half-deleted-force" => cluster.change_guest(120, Guest::unlocked),
        "qemu-120-delete-s1" => cluster.fail_snapshots(120, "delete", None),
        _ => {}
    }
}

/// The rows of a list by their names, without what is another one each time.
fn rows(reply: &Value) -> BTreeMap<String, Map<String, Value>> {
    let rows = reply["data"].as_array().cloned().unwrap_or_default().into_iter();
    rows.map(|row| {
        let mut row = row.as_object().cloned().unwrap();
        row.retain(|key, _| key != "snaptime" && key != "digest");
        (row["name"].as_str().unwrap().to_owned(), row)
    })
    .collect()
}

fn last_line(reply: &Value) -> Option<&str> {
    reply["data"].as_array()?.last()?["t"].as_str()
}

#[test]
fn snapshots_answer_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/pve-9.2/snapshot.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let sim = host();
    let mut upids = BTreeMap::new();
    let mut count = 0;
    for recording in text.lines().map(|line| serde_json::from_str::<Recording>(line).unwrap()) {
        let name = recording.name.strip_prefix("snapshot/").unwrap();
        by_hand(&mut sim.cluster(), name);
        let reply = common::ask(&sim, "pve1", &request(&recording, &upids));
        let place = format!("{name}: {} {}", recording.method, recording.url);
        assert_eq!((reply.status, &reply.reason), (recording.status, &recording.reason), "{place}");
        let (ours, theirs) = (reply.json(), &recording.reply);
        assert_eq!((&ours["message"], &ours["errors"]), (&theirs["message"], &theirs["errors"]), "{place}");
        if let (Some(theirs), Some(ours)) = (theirs["data"].as_str(), ours["data"].as_str()) {
            let of = |upid: &str| upid.split(':').skip(5).take(2).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(of(ours), of(theirs), "{place}");
            upids.insert(theirs.to_owned(), ours.to_owned());
            // All but the one that is killed has ended by the next request.
            if name != "qemu-102-killed-create" {
                sim.cluster().clock.advance(std::time::Duration::from_secs(5));
            }
        } else if recording.url.ends_with("/snapshot") {
            assert_eq!(rows(&ours), rows(theirs), "{place}");
        } else if recording.url.ends_with("/log") {
            assert_eq!(last_line(&ours), last_line(theirs), "{place}");
        } else {
            for key in ["exitstatus", "status", "qmpstatus", "lock", "hasFeature", "nodes", "description"] {
                let (ours, theirs) = (&ours["data"][key], &theirs["data"][key]);
                assert_eq!(ours, theirs, "{place}: {key}");
            }
        }
        count += 1;
    }
    assert!(count > 90, "{count} requests");
}
