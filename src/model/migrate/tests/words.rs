//! What HA and the log of a task say.

use super::node;
use crate::model::migrate::ha::{HaProgress, HaService, progress as ha_progress};
use crate::model::migrate::progress;

#[test]
fn what_ha_shows() {
    use HaProgress::{GaveUp, There, Waits, Works};
    let (from, there) = (node("pve1"), node("pve2"));
    for (state, at, took, want) in [
        ("started", "pve1", false, Waits),
        ("queued", "pve1", false, Waits),
        ("migrate", "pve1", false, Works),
        ("relocate", "pve1", true, Works),
        ("migrate", "pve2", true, Works),
        ("started", "pve2", true, There),
        ("stopped", "pve2", false, There),
        ("started", "pve1", true, GaveUp),
        ("error", "pve1", true, GaveUp),
        ("started", "pve3", true, Waits),
    ] {
        let service = HaService { sid: "vm:101".to_owned(), node: Some(node(at)), state: state.to_owned() };
        assert_eq!(ha_progress(Some(&service), &from, &there, took), want, "{state} {at} {took}");
    }
    assert_eq!(ha_progress(None, &from, &there, true), Waits);
}

#[test]
fn what_the_log_says() {
    let at = "2026-11-29 15:11:53 ";
    for (line, want) in [
        ("migration active, transferred 1.2 GiB of 4.0 GiB VM-state, 110.0 MiB/s", Some("memory 30 %, 110.0 MiB/s")),
        (
            "migration active, transferred 512.0 MiB of 4.0 GiB VM-state, 1.1 GiB/s, VM dirties lots of memory: 1.0 GiB/s",
            Some("memory 12 %, 1.1 GiB/s"),
        ),
        ("migration active, transferred 9.0 GiB of 4.0 GiB VM-state, 110.0 MiB/s", Some("memory 100 %, 110.0 MiB/s")),
        ("drive-scsi0: transferred 5.0 GiB of 32.0 GiB (15.63%) in 1m 2s", Some("scsi0 16 %")),
        ("mirror-scsi0: transferred 32.0 GiB of 32.0 GiB (100.00%) in 5m, ready", Some("scsi0 100 %")),
        ("starting migration of VM 101 to node 'pve2' (192.0.2.3)", None),
        ("migration active, transferred much of 0 B VM-state", None),
        ("", None),
    ] {
        assert_eq!(progress::progress(&[format!("{at}{line}")]).as_deref(), want, "{line}");
        assert_eq!(progress::progress(&[line]).as_deref(), want, "{line}");
    }
    let log = [
        format!("{at}starting migration of VM 101 to node 'pve2' (192.0.2.3)"),
        format!("{at}average migration speed: 113.0 MiB/s - downtime 57 ms"),
        format!("{at}migration finished successfully (duration 00:00:42)"),
    ];
    assert_eq!(progress::summary(&log).as_deref(), Some("downtime 57 ms, 113.0 MiB/s"));
    assert_eq!(progress::problem(&log), None);
    // two-nodes/qemu-101-migrate-offline-node-task-log
    let reason = "Can't connect to destination address using public key";
    let failed = [
        format!("{at}ssh: connect to host 10.99.0.11 port 22: No route to host"),
        format!("{at}ERROR: migration aborted (duration 00:00:03): {reason}"),
        "TASK ERROR: migration aborted".to_owned(),
    ];
    assert_eq!(progress::problem(&failed).as_deref(), Some(reason));
    let problems = [
        format!("{at}ERROR: unable to resume VM"),
        format!("{at}ERROR: migration finished with problems (duration 00:00:42)"),
    ];
    assert_eq!(progress::problem(&problems).as_deref(), Some("unable to resume VM"));
}
