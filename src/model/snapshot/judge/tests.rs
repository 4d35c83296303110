//! Each case with what Proxmox VE makes of it: the words are those of its sources, in their order (`AbstractConfig.pm`,
//! `QemuConfig.pm`, `LXC/Config.pm`, `Storage/*Plugin.pm`), and of the recordings.

use super::*;
use crate::model::check::CheckId;
use crate::model::snapshot::SnapshotState;

const KINDS: [GuestKind; 2] = [GuestKind::Qemu, GuestKind::Lxc];

fn server() -> ServerId {
    "pve1-vm-101".parse().unwrap()
}

/// A storage with a volume of a guest on it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum On {
    Qcow2,
    Raw,
    Thin,
    Zfs,
    Chain,
    Lvm,
}

const PLACES: [On; 6] = [On::Qcow2, On::Raw, On::Thin, On::Zfs, On::Chain, On::Lvm];

impl On {
    fn storage(self) -> StorageUse {
        let (plugin, chains) = match self {
            On::Qcow2 | On::Raw => ("dir", false),
            On::Thin => ("lvmthin", false),
            On::Zfs => ("zfspool", false),
            On::Chain => ("dir", true),
            On::Lvm => ("lvm", false),
        };
        let name = "s".to_owned();
        StorageUse { name, plugin: plugin.to_owned(), chains, used_percent: Some(10.0), ..StorageUse::default() }
    }

    fn disk(self, kind: GuestKind) -> Disk {
        let volume = match self {
            On::Qcow2 | On::Chain => "s:101/vm-101-disk-0.qcow2",
            On::Raw => "s:101/vm-101-disk-0.raw",
            On::Thin | On::Zfs | On::Lvm => "s:vm-101-disk-0",
        };
        let key = if kind == GuestKind::Qemu { "scsi0" } else { "rootfs" };
        Disk { key: key.to_owned(), volume: volume.to_owned(), storage: Some("s".to_owned()) }
    }

    /// `volume_has_feature`
    fn has_snapshots(self) -> bool {
        !matches!(self, On::Raw | On::Lvm)
    }
}

/// What the tree of snapshots is like, with what is rolled back to or deleted (`s1`).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tree {
    Empty,
    Newest,
    Older,
    Broken,
}

const TREES: [Tree; 4] = [Tree::Empty, Tree::Newest, Tree::Older, Tree::Broken];

fn snapshots(tree: Tree) -> Snapshots {
    let one = |name: &str, at, parent: Option<&str>, state| Snapshot {
        name: name.to_owned(),
        description: String::new(),
        taken_at: Timestamp::from_second(at).ok(),
        with_memory: false,
        parent: parent.map(str::to_owned),
        state,
    };
    let whole = SnapshotState::Whole;
    let list = match tree {
        Tree::Empty => vec![],
        Tree::Newest => vec![one("s1", 10, None, whole)],
        Tree::Older => vec![one("s2", 20, Some("s1"), whole.clone()), one("s1", 10, None, whole)],
        Tree::Broken => vec![one("s1", 10, None, SnapshotState::Delete)],
    };
    Snapshots { current: list.first().map(|snapshot| snapshot.name.clone()), list }
}

/// A case: kind × running × lock × storage × tree × HA × template.
#[derive(Debug, Clone, Copy)]
struct Case {
    kind: GuestKind,
    running: bool,
    lock: Option<&'static str>,
    on: On,
    tree: Tree,
    ha: bool,
    template: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        for (running, ha, template) in
            [(true, false, false), (true, true, false), (false, false, false), (false, false, true)]
        {
            for lock in [None, Some("backup"), Some("snapshot-delete"), Some("migrate")] {
                for on in PLACES {
                    for tree in TREES {
                        cases.push(Case { kind, running, lock, on, tree, ha, template });
                    }
                }
            }
        }
    }
    cases
}

/// What Proxmox VE says to a call, in the order in which it looks; `None`: it does it.
fn by_proxmox(case: Case, wanted: &Wanted<'_>) -> Option<String> {
    let title = if case.kind == GuestKind::Qemu { "VM" } else { "CT" };
    let locked = case.lock.map(|lock| format!("{title} is locked ({lock})"));
    let list = snapshots(case.tree);
    match wanted {
        Wanted::Create { name, .. } => {
            if case.template {
                return Some("you can't take a snapshot if it's a template".to_owned());
            }
            let used = list.get(name).map(|_| format!("snapshot name '{name}' already used"));
            locked.or(used).or((!case.on.has_snapshots()).then(|| "snapshot feature is not available".to_owned()))
        }
        Wanted::Delete { name } => {
            let missing = list.get(name).is_none().then(|| format!("snapshot '{name}' does not exist"));
            missing.or(locked)
        }
        Wanted::Rollback { name, .. } => {
            if case.template {
                return Some("you can't rollback if it's a template".to_owned());
            }
            let Some(snapshot) = list.get(name) else { return Some(format!("snapshot '{name}' does not exist")) };
            if matches!(case.on, On::Zfs | On::Chain) && case.tree == Tree::Older {
                return Some(format!("can't rollback, '{name}' is not most recent snapshot on 's:...'"));
            }
            let state = (!snapshot.is_whole()).then(|| {
                format!("unable to rollback to incomplete snapshot (snapstate = {})", snapshot.state.as_str())
            });
            state.or(locked)
        }
    }
}

/// The check that stands for what Proxmox VE says.
fn check_of(words: &str) -> CheckId {
    let table = [
        ("template", CheckId::Template),
        ("is locked", CheckId::GuestLocked),
        ("already used", CheckId::SnapshotName),
        ("feature is not available", CheckId::SnapshotUnsupported),
        ("does not exist", CheckId::SnapshotName),
        ("not most recent", CheckId::SnapshotNewer),
        ("incomplete snapshot", CheckId::SnapshotBroken),
    ];
    table.iter().find(|(part, _)| words.contains(part)).unwrap_or_else(|| panic!("{words}")).1
}

fn judged(case: Case, wanted: &Wanted<'_>) -> Judgement {
    let (disks, storages) = ([case.on.disk(case.kind)], [case.on.storage()]);
    let snapshots = snapshots(case.tree);
    let facts = GuestFacts {
        kind: case.kind,
        vmid: "101".parse().unwrap(),
        running: case.running,
        template: case.template,
        lock: case.lock,
        ha: case.ha.then_some("started"),
        tasks: &[],
        disks: &disks,
        storages: &storages,
        supported: Some(case.on.has_snapshots()),
        memory_bytes: Some(1 << 30),
        state_storage: None,
        freeze: Freeze::AtRest,
        snapshots: &snapshots,
        replicated_to: &[],
    };
    judge(&server(), &facts, wanted)
}

#[test]
fn what_proxmox_refuses_is_refused_and_nothing_else() {
    let wishes = [
        Wanted::Create { name: "new", memory: false, max_storage: 90.0 },
        Wanted::Create { name: "s1", memory: false, max_storage: 90.0 },
        Wanted::Delete { name: "s1" },
        Wanted::Rollback { name: "s1", starts: false },
        Wanted::Rollback { name: "s1", starts: true },
    ];
    let (mut refused, mut done) = (0, 0);
    for case in cases() {
        for wanted in &wishes {
            // A template has no snapshots: it could not have been made of a guest that has some.
            if case.template && case.tree != Tree::Empty {
                continue;
            }
            let judgement = judged(case, wanted);
            let found: Vec<CheckId> = judgement.findings.iter().map(|finding| finding.id).collect();
            if let Some(words) = by_proxmox(case, wanted) {
                assert!(found.contains(&check_of(&words)), "{case:?} {wanted:?}: {words}, {found:?}");
                assert!(judgement.findings.iter().all(|finding| !finding.overridable), "{case:?} {wanted:?}");
                refused += 1;
            } else {
                assert_eq!(found, [], "{case:?} {wanted:?}");
                done += 1;
            }
        }
    }
    assert!(refused > 1000 && done > 200, "{refused} refused, {done} done");
}

fn facts<'a>(snapshots: &'a Snapshots, disks: &'a [Disk], storages: &'a [StorageUse]) -> GuestFacts<'a> {
    GuestFacts {
        kind: GuestKind::Qemu,
        vmid: "101".parse().unwrap(),
        running: true,
        template: false,
        lock: None,
        ha: None,
        tasks: &[],
        disks,
        storages,
        supported: Some(true),
        memory_bytes: Some(1 << 30),
        state_storage: None,
        freeze: Freeze::ByAgent,
        snapshots,
        replicated_to: &[],
    }
}

fn said(judgement: &Judgement) -> Vec<String> {
    judgement.findings.iter().map(|finding| format!("{}: {}", finding.id, finding.message)).collect()
}

#[test]
fn room_for_the_snapshot_and_for_the_memory() {
    let none = Snapshots::default();
    let disks = [On::Thin.disk(GuestKind::Qemu)];
    let storage = |used, free, metadata| StorageUse {
        used_percent: used,
        free_bytes: free,
        metadata_percent: metadata,
        ..On::Thin.storage()
    };
    let create = |memory| Wanted::Create { name: "new", memory, max_storage: 90.0 };
    for (storage, memory, want) in [
        (storage(Some(89.9), None, Some(89.9)), false, &[][..]),
        (storage(None, None, None), true, &[]),
        (
            storage(Some(90.1), None, Some(99.0)),
            false,
            &["storage-full: its storage s is 90 % full, more than the 90 % of `--max-storage`"],
        ),
        (
            storage(Some(10.0), None, Some(95.0)),
            false,
            &[
                "storage-full: its storage s (the metadata of its thin pool) is 95 % full, more than the 90 % of `--max-storage`",
            ],
        ),
        (storage(Some(10.0), Some(3 << 30), None), true, &[]),
        (
            storage(Some(10.0), Some(2 << 30), None),
            true,
            &["storage-full: its memory takes up to 2.5G, and its storage s has 2.0G left"],
        ),
    ] {
        let storages = [storage];
        let judgement = judge(&server(), &facts(&none, &disks, &storages), &create(memory));
        assert_eq!(said(&judgement), want);
        assert!(judgement.findings.iter().all(|finding| finding.overridable));
    }
}

#[test]
fn memory_is_that_of_a_virtual_machine_that_runs() {
    let none = Snapshots::default();
    let create = Wanted::Create { name: "new", memory: true, max_storage: 90.0 };
    for (kind, running, want) in [
        (GuestKind::Qemu, true, &[][..]),
        (GuestKind::Qemu, false, &["snapshot-memory: it does not run, and has no memory to save"]),
        (GuestKind::Lxc, true, &["snapshot-memory: a container's memory is never saved"]),
    ] {
        let guest = GuestFacts { kind, running, ..facts(&none, &[], &[]) };
        assert_eq!(said(&judge(&server(), &guest, &create)), want);
    }
}

#[test]
fn what_is_said_beforehand() {
    let create = Wanted::Create { name: "new", memory: false, max_storage: 90.0 };
    let rollback = |starts| Wanted::Rollback { name: "s1", starts };
    let older = snapshots(Tree::Older);
    let mut memory = snapshots(Tree::Newest);
    memory.list[0].with_memory = true;
    let none = Snapshots::default();
    let storages = [On::Thin.storage()];
    let disks = [On::Thin.disk(GuestKind::Qemu)];
    let guest = facts(&none, &disks, &storages);
    let notes = |guest: &GuestFacts<'_>, wanted: &Wanted<'_>| judge(&server(), guest, wanted).notes.join(" | ");
    assert_eq!(notes(&guest, &create), "");
    for (freeze, says) in [
        (Freeze::NoAgent, "crash-consistent: its guest agent is not enabled"),
        (Freeze::SilentAgent, "crash-consistent: its guest agent does not answer"),
        (Freeze::SwitchedOff, "crash-consistent: its configuration has the agent not freeze"),
        (Freeze::AtRest, ""),
    ] {
        let said = notes(&GuestFacts { freeze, ..guest.clone() }, &create);
        assert!(said.starts_with(says) && said.is_empty() == says.is_empty(), "{said}");
    }
    let back = |snapshots: &Snapshots, running, starts| {
        let guest = GuestFacts { running, snapshots, ..guest.clone() };
        notes(&guest, &rollback(starts))
    };
    assert_eq!(
        back(&older, true, false),
        "newer snapshots stay: s2 | it runs: it is killed, and stays off (`--start` starts it again)"
    );
    assert_eq!(back(&older, true, true), "newer snapshots stay: s2 | it runs: it is killed, and started again");
    assert_eq!(back(&memory, true, false), "it runs: it is killed, and goes on from the memory in the snapshot");
    assert_eq!(back(&memory, false, false), "it is started: the snapshot has its memory");
    assert_eq!(back(&snapshots(Tree::Newest), false, false), "");
    let managed = GuestFacts { ha: Some("started"), snapshots: &older, ..guest.clone() };
    assert!(notes(&managed, &rollback(false)).contains("HA manages it (started)"));
    let to = ["pve2".to_owned()];
    let replicated = GuestFacts { replicated_to: &to, snapshots: &older, ..guest.clone() };
    assert!(notes(&replicated, &rollback(false)).contains("replicated to pve2"));
    assert!(
        notes(&replicated, &Wanted::Delete { name: "s1" })
            .contains("what came from it stays: s2 | it is replicated to pve2")
    );
    let judgement = judge(&server(), &GuestFacts { snapshots: &older, ..guest }, &rollback(false));
    assert_eq!(judgement.loses_since, Timestamp::from_second(10).ok());
}

#[test]
fn newer_ones_and_broken_ones_are_named_with_what_helps() {
    let older = snapshots(Tree::Older);
    let (disks, storages) = ([On::Zfs.disk(GuestKind::Qemu)], [On::Zfs.storage()]);
    let judgement =
        judge(&server(), &facts(&older, &disks, &storages), &Wanted::Rollback { name: "s1", starts: false });
    assert_eq!(
        said(&judgement),
        ["snapshot-newer: 1 newer snapshot must go first, as its storage s rolls back to the newest only: s2"]
    );
    let fix = judgement.findings[0].fix.as_deref().unwrap();
    assert!(fix.contains("`ecobox snapshot delete s2 pve1-vm-101`"), "{fix}");
    let broken = snapshots(Tree::Broken);
    let judgement =
        judge(&server(), &facts(&broken, &disks, &storages), &Wanted::Rollback { name: "s1", starts: false });
    let fix = judgement.findings[0].fix.as_deref().unwrap();
    assert!(fix.contains("`qm delsnapshot 101 s1 --force`"), "{fix}");
    // It keeps nobody from a new one.
    let judgement = judge(
        &server(),
        &facts(&broken, &disks, &storages),
        &Wanted::Create { name: "new", memory: false, max_storage: 90.0 },
    );
    assert_eq!(said(&judgement), [""; 0]);
    assert!(
        judgement.notes[0].contains("is in the state `delete`: run `qm delsnapshot 101 s1 --force`"),
        "{:?}",
        judgement.notes
    );
    let tasks = ["vzdump".to_owned(), "qmigrate".to_owned()];
    let busy = GuestFacts { tasks: &tasks, ..facts(&older, &disks, &storages) };
    let create = Wanted::Create { name: "new", memory: false, max_storage: 90.0 };
    assert_eq!(
        said(&judge(&server(), &busy, &create)),
        ["backup-running: a backup of it runs", "tasks-running: qmigrate of it runs"]
    );
}
