//! Combinations of kind, state, lock, disks, HA and target, held against what Proxmox VE does with the call; and single rows
//! for what people meet.

mod rows;
mod words;

use std::collections::BTreeSet;

use super::*;
use crate::model::check::CheckId;
use crate::model::id::GuestKind;
use crate::model::power::PowerState;

const GIB: u64 = 1 << 30;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn target(name: &str, free: u64) -> TargetNode {
    TargetNode {
        name: node(name),
        host: Some(name.parse().unwrap()),
        online: true,
        is_woken_first: false,
        leaves: false,
        in_maintenance: false,
        free: Some(free * GIB),
        storages: Some(BTreeSet::from(["local".to_owned(), "ceph".to_owned()])),
        cpu: Some(NodeCpu { model: "EPYC".to_owned(), flags: BTreeSet::new() }),
    }
}

fn nodes() -> Vec<TargetNode> {
    vec![target("pve1", 10), target("pve2", 20), target("pve3", 30)]
}

fn guest() -> MovingGuest {
    MovingGuest {
        kind: GuestKind::Qemu,
        vmid: 101.try_into().unwrap(),
        node: node("pve1"),
        state: PowerState::Running,
        lock: None,
        ha: None,
        memory: Some(4 * GIB),
        cpu: None,
        volumes: Vec::new(),
        precondition: Some(Precondition::default()),
        replicated_to: Vec::new(),
        ha_nodes: None,
    }
}

fn disk() -> LocalDisk {
    let volid = "local:101/vm-101-disk-0.qcow2".to_owned();
    LocalDisk { volid, drive: Some("scsi0".to_owned()), size: Some(32 * GIB), ..LocalDisk::default() }
}

fn to(name: &str) -> Destination {
    Destination::parse(name).unwrap()
}

fn judge(guest: &MovingGuest, to: &Destination, nodes: &[TargetNode]) -> MoveVerdict {
    judge_move(guest, to, nodes, &mut Claims::default(), &MigrateOptions::default())
}

/// The ids of what stands against it; with `!` behind those that cannot be overridden.
fn against(verdict: &MoveVerdict) -> Vec<String> {
    let (MoveVerdict::Move(_, against) | MoveVerdict::Nowhere(against)) = verdict else { return Vec::new() };
    let sign = |overridable: bool| if overridable { "" } else { "!" };
    against.iter().map(|one| format!("{}{}", one.fault.id, sign(one.overridable))).collect()
}

/// One combination, as Proxmox VE sees it.
#[derive(Debug, Clone, Copy)]
struct Combination {
    kind: GuestKind,
    state: PowerState,
    lock: Option<&'static str>,
    /// Nothing, a local disk, one in a snapshot, a local image in a drive, a device, a storage that the target lacks.
    holds: Holds,
    ha: Option<&'static str>,
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    Disk,
    DiskInSnapshot,
    Medium,
    Device,
    Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Online,
    Offline,
    Maintenance,
    Unknown,
    Forbidden,
}

/// What comes of the call with all the parameters that an override adds.
fn proxmox_does_it(case: &Combination) -> bool {
    let runs = matches!(case.state, PowerState::Running | PowerState::Paused);
    let vm = case.kind == GuestKind::Qemu;
    let managed = case.ha.is_some_and(|state| state != "ignored");
    if case.lock.is_some() || case.ha == Some("error") {
        return false;
    }
    let reached = match case.target {
        Target::Online => true,
        // The task fails; HA drops it.
        Target::Offline | Target::Unknown => false,
        // Only HA minds.
        Target::Maintenance | Target::Forbidden => !managed,
    };
    let holds = match case.holds {
        Holds::Nothing | Holds::Disk => true,
        Holds::DiskInSnapshot => !(runs && vm),
        Holds::Medium | Holds::Device => !vm,
        Holds::Storage => false,
    };
    reached && holds
}

/// Whether it succeeds without a word more than the target.
fn proxmox_does_it_plainly(case: &Combination) -> bool {
    let runs = matches!(case.state, PowerState::Running | PowerState::Paused);
    let vm = case.kind == GuestKind::Qemu;
    let copies = runs && vm && case.holds == Holds::Disk;
    let restarts = runs && !vm;
    // Proxmox VE moves guests onto a node that is to be emptied, which nobody wants.
    proxmox_does_it(case) && !copies && !restarts && case.target != Target::Maintenance
}

fn seen(case: &Combination) -> (MovingGuest, Vec<TargetNode>) {
    let mut guest = guest();
    let vm = case.kind == GuestKind::Qemu;
    (guest.kind, guest.state) = (case.kind, case.state);
    (guest.lock, guest.ha) = (case.lock.map(str::to_owned), case.ha.map(str::to_owned));
    let mut told = Precondition::default();
    match case.holds {
        Holds::Nothing => {}
        Holds::Disk => told.local_disks.push(disk()),
        Holds::DiskInSnapshot => {
            told.local_disks.push(LocalDisk { snapshots: vec!["before".to_owned()], ..disk() });
        }
        Holds::Medium => told.local_disks.push(LocalDisk { is_cdrom: true, ..disk() }),
        Holds::Device => told.local_resources.push("hostpci0".to_owned()),
        Holds::Storage => {
            let lacks = NotAllowed { storages: vec!["tank".to_owned()], ..NotAllowed::default() };
            told.not_allowed.insert(node("pve2"), lacks);
        }
    }
    if vm {
        guest.precondition = Some(told);
    } else {
        // Of containers Proxmox VE says only which nodes there are.
        guest.precondition = Some(Precondition::default());
        let storage = if case.holds == Holds::Storage { "tank" } else { "local" };
        let (key, storage) = ("rootfs".to_owned(), Some(storage.to_owned()));
        guest.volumes = vec![Volume { key, storage, shared: false, size: Some(8 * GIB) }];
    }
    let mut nodes = nodes();
    match case.target {
        Target::Online => {}
        Target::Offline => nodes[1].online = false,
        Target::Maintenance => nodes[1].in_maintenance = true,
        Target::Unknown => {
            nodes.remove(1);
        }
        Target::Forbidden => guest.ha_nodes = guest.is_managed().then(|| vec![node("pve1"), node("pve3")]),
    }
    (guest, nodes)
}

fn combinations() -> Vec<Combination> {
    use PowerState::{Paused, Running, Stopped};
    let mut all = Vec::new();
    for kind in [GuestKind::Qemu, GuestKind::Lxc] {
        for state in [Running, Paused, Stopped] {
            for lock in [None, Some("backup"), Some("migrate"), Some("snapshot-delete"), Some("suspended")] {
                for holds in
                    [Holds::Nothing, Holds::Disk, Holds::DiskInSnapshot, Holds::Medium, Holds::Device, Holds::Storage]
                {
                    for ha in [None, Some("ignored"), Some("started"), Some("error")] {
                        for target in
                            [Target::Online, Target::Offline, Target::Maintenance, Target::Unknown, Target::Forbidden]
                        {
                            all.push(Combination { kind, state, lock, holds, ha, target });
                        }
                    }
                }
            }
        }
    }
    all.retain(|case| case.kind == GuestKind::Qemu || case.state != Paused);
    all
}

#[test]
fn what_would_fail_is_not_sent_and_what_works_is_not_refused() {
    let all = combinations();
    assert!(all.len() > 2000, "{}", all.len());
    for case in &all {
        let (guest, nodes) = seen(case);
        let verdict = judge(&guest, &to("pve2"), &nodes);
        let found = against(&verdict);
        assert_eq!(found.is_empty(), proxmox_does_it_plainly(case), "{case:?}: {found:?}");
        // What only needs to be agreed to works then.
        let agreed = found.iter().all(|id| !id.ends_with('!'));
        assert_eq!(agreed, proxmox_does_it(case), "{case:?}: {found:?}");
        let MoveVerdict::Move(way, _) = verdict else {
            assert_eq!(case.target, Target::Unknown, "{case:?}");
            continue;
        };
        let parameters = way.call.parameters(case.kind);
        let sends = |name: &str| parameters.contains(&(name, "1".to_owned()));
        let runs = guest.runs();
        assert_eq!(sends("online"), runs && case.kind == GuestKind::Qemu, "{case:?}");
        assert_eq!(sends("restart"), runs && case.kind == GuestKind::Lxc, "{case:?}");
        let copies = matches!(case.holds, Holds::Disk | Holds::DiskInSnapshot);
        assert_eq!(sends("with-local-disks"), runs && copies && case.kind == GuestKind::Qemu, "{case:?}");
        assert_eq!(way.call.through_ha, case.ha.is_some_and(|ha| ha != "ignored"), "{case:?}");
    }
}

#[test]
fn what_is_asked_for_stands_against_nothing() {
    let mut container = guest();
    container.kind = GuestKind::Lxc;
    let mut copied = guest();
    copied.precondition.as_mut().unwrap().local_disks.push(disk());
    let mut mapped = guest();
    let lacks = NotAllowed { storages: vec!["tank".to_owned()], ..NotAllowed::default() };
    mapped.precondition.as_mut().unwrap().not_allowed.insert(node("pve2"), lacks);
    let how = MigrateOptions {
        restart: true,
        with_local_disks: true,
        target_storage: Some("fast".to_owned()),
        within_power: false,
    };
    for (guest, sends) in [
        (container, "target=pve2 restart=1 target-storage=fast"),
        (copied, "target=pve2 online=1 with-local-disks=1 targetstorage=fast"),
        (mapped, "target=pve2 online=1 targetstorage=fast"),
    ] {
        let plain = judge(&guest, &to("pve2"), &nodes());
        assert_eq!(against(&plain).len(), 1, "{plain:?}");
        let verdict = judge_move(&guest, &to("pve2"), &nodes(), &mut Claims::default(), &how);
        assert_eq!(against(&verdict), [""; 0]);
        let MoveVerdict::Move(way, _) = verdict else { panic!("{verdict:?}") };
        let parameters = way.call.parameters(guest.kind);
        let parameters: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(parameters.join(" "), sends);
        assert!(way.call.maps_storages());
        assert_eq!(way.call.storages(), ["fast"]);
    }
}

#[test]
fn who_is_there_or_unknown_is_not_moved() {
    let mut guest = guest();
    assert_eq!(judge(&guest, &to("pve1"), &nodes()), MoveVerdict::Already);
    assert_eq!(against(&judge(&guest, &to("pve9"), &nodes())), ["target-away!"]);
    guest.state = PowerState::Unknown;
    assert!(matches!(judge(&guest, &to("pve2"), &nodes()), MoveVerdict::Cannot { .. }));
}

#[test]
fn any_is_the_node_with_the_most_free_memory_that_can_take_it() {
    let chosen = |verdict: &MoveVerdict| match verdict {
        MoveVerdict::Move(way, _) => format!("{}: {}", way.call.target, way.why.clone().unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    let verdict = judge(&guest(), &to("any"), &nodes());
    assert_eq!(chosen(&verdict), "pve3: most free memory: 30G; pve2 has 20G");
    let mut nodes = nodes();
    nodes[2].online = false;
    assert_eq!(chosen(&judge(&guest(), &to("any"), &nodes)), "pve2: the only one that can take it, 20G free");
    nodes[1].in_maintenance = true;
    let verdict = judge(&guest(), &to("any"), &nodes);
    let MoveVerdict::Nowhere(found) = verdict else { panic!("{verdict:?}") };
    let fault = &found[0].fault;
    assert_eq!(
        (fault.id, fault.finding.as_str()),
        (CheckId::NoTarget, "no other node can take it: pve2 is in HA's maintenance mode; pve3 is offline")
    );
    let alone = vec![target("pve1", 10)];
    let MoveVerdict::Nowhere(found) = judge(&guest(), &to("any"), &alone) else { panic!() };
    assert_eq!(found[0].fault.finding, "its cluster has no other node than pve1");
    // Of equals the first by name, and who says nothing of its memory comes last.
    let equals = vec![target("pve1", 10), target("pve4", 20), target("pve3", 20), {
        TargetNode { free: None, ..target("pve2", 0) }
    }];
    assert!(chosen(&judge(&guest(), &to("any"), &equals)).starts_with("pve3: "));
}

#[test]
fn what_one_was_promised_another_does_not_get() {
    let mut claims = Claims::default();
    let mut big = guest();
    big.memory = Some(16 * GIB);
    let how = MigrateOptions::default();
    let targets: Vec<String> = (0..4)
        .map(|_| match judge_move(&big, &to("any"), &nodes(), &mut claims, &how) {
            MoveVerdict::Move(way, _) => way.call.target.to_string(),
            MoveVerdict::Nowhere(found) => found[0].fault.id.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    // 30 and 20 free: the second finds 14 and 20, the third 14 and 4.
    assert_eq!(targets, ["pve3", "pve2", "no-target", "no-target"]);
    // A node that is named is filled as well.
    let mut claims = Claims::default();
    let first = judge_move(&big, &to("pve2"), &nodes(), &mut claims, &how);
    assert_eq!(against(&first), [""; 0]);
    let second = judge_move(&big, &to("pve2"), &nodes(), &mut claims, &how);
    assert_eq!(against(&second), ["target-full"]);
    let MoveVerdict::Move(_, found) = second else { panic!() };
    assert_eq!(
        found[0].fault.finding,
        "pve2 has 4.0G of memory free after the others of this plan, and 16G are allocated to it"
    );
}
