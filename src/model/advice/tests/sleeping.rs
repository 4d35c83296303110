//! Which host could sleep, and what keeps it awake.

use std::collections::BTreeSet;

use super::GIB;
use crate::model::advice::consolidate::{Movable, Node, consolidate};
use crate::model::advice::{Confidence, Verdict};
use crate::model::id::ServerId;

fn ids() -> Vec<ServerId> {
    ["pve1", "pve2", "pve3", "pve3-vm-101", "pve3-ct-201"].map(|id| id.parse().unwrap()).into()
}

fn guest(id: &ServerId, cores: f64, gib: f64) -> Movable<'_> {
    Movable {
        id,
        cores,
        memory: gib * GIB,
        known: true,
        container: false,
        storages: Some(vec![("nfs".to_owned(), true)]),
        bound: Vec::new(),
        host_cpu: false,
    }
}

/// Three nodes of 8 cores and 32 GiB, of which 2 and 12 are in use; two guests are on the last.
fn nodes(ids: &[ServerId]) -> Vec<Node<'_>> {
    let node = |id| Node {
        id,
        name: id.as_str(),
        called: id.as_str().parse().unwrap(),
        online: true,
        cpus: 8.0,
        memory: 32.0 * GIB,
        used: (2.0, 12.0 * GIB),
        cpu_model: Some("EPYC".to_owned()),
        storages: BTreeSet::from(["nfs".to_owned()]),
        movable: Vec::new(),
        cannot_sleep: None,
        unknown_sleep: None,
    };
    let mut nodes: Vec<Node<'_>> = ids[..3].iter().map(node).collect();
    nodes[2].movable = vec![guest(&ids[3], 2.0, 8.0), guest(&ids[4], 1.0, 4.0)];
    nodes
}

/// What is different in a case.
type Change = fn(&mut Vec<Node<'_>>);

#[test]
fn who_could_sleep() {
    let ids = ids();
    let usual = consolidate(&nodes(&ids), 2).unwrap();
    assert_eq!((usual.verdict, usual.confidence), (Verdict::CanSleep, Some(Confidence::High)), "{usual:#?}");
    assert_eq!(usual.command.as_deref(), Some("ecobox power suspend pve3 --guests migrate"));
    let empty = consolidate(&nodes(&ids), 0).unwrap();
    assert_eq!(empty.command.as_deref(), Some("ecobox power suspend pve1"), "{empty:#?}");
    let cases: [(&str, Change, Verdict, &str); 13] = [
        ("quorum", |nodes| nodes[0].online = false, Verdict::CannotSleep, "lose quorum with 1 of 3 nodes"),
        ("it cannot", |nodes| nodes[2].cannot_sleep = Some("masked".to_owned()), Verdict::CannotSleep, "masked"),
        (
            "nobody knows whether it can",
            |nodes| nodes[2].unknown_sleep = Some("not known".to_owned()),
            Verdict::CanSleep,
            "not known",
        ),
        (
            "a device of it",
            |nodes| nodes[2].movable[0].bound = vec!["hostpci0".to_owned()],
            Verdict::CannotSleep,
            "pve3-vm-101 uses hostpci0 of it",
        ),
        (
            "a local disk",
            |nodes| nodes[2].movable[0].storages = Some(vec![("local-lvm".to_owned(), false)]),
            Verdict::CannotSleep,
            "on its local storage local-lvm",
        ),
        (
            "its disks are not known",
            |nodes| nodes[2].movable[1].storages = None,
            Verdict::CannotSleep,
            "where the disks of pve3-ct-201 are is not known",
        ),
        (
            "a storage that only one other has",
            |nodes| nodes[0].storages.clear(),
            Verdict::CanSleep,
            "pve3-vm-101 to pve2, pve3-ct-201 to pve2",
        ),
        (
            "too short a time",
            |nodes| nodes[2].movable[0].known = false,
            Verdict::CannotTell,
            "what pve3-vm-101 need is not known for long enough",
        ),
        ("no memory", |nodes| nodes[2].movable[0].memory = 20.0 * GIB, Verdict::CannotSleep, "fits on no other node"),
        ("no cores", |nodes| nodes[2].movable[0].cores = 6.0, Verdict::CannotSleep, "fits on no other node"),
        (
            "both fit, but not on one: each gets its own",
            |nodes| {
                nodes[2].movable[0].memory = 14.0 * GIB;
                nodes[2].movable[1].memory = 14.0 * GIB;
            },
            Verdict::CanSleep,
            "to pve1",
        ),
        (
            "another CPU",
            |nodes| {
                nodes[2].cpu_model = Some("Xeon".to_owned());
                nodes[2].movable[0].host_cpu = true;
            },
            Verdict::CanSleep,
            "pve3-vm-101 see the CPU of their node",
        ),
        ("a container", |nodes| nodes[2].movable[1].container = true, Verdict::CanSleep, "which a move restarts"),
    ];
    for (name, change, verdict, why) in cases {
        let mut nodes = nodes(&ids);
        change(&mut nodes);
        let line = consolidate(&nodes, 2).unwrap();
        assert!(line.verdict == verdict && line.evidence.contains(why), "{name}: {why}: {line:#?}");
        assert_eq!(line.command.is_some(), verdict == Verdict::CanSleep, "{name}");
    }
    // Alone, or off: there is nothing to say.
    let all = nodes(&ids);
    assert_eq!(consolidate(&all[2..], 0), None);
    let mut off = nodes(&ids);
    off[2].online = false;
    assert_eq!(consolidate(&off, 2), None);
}
