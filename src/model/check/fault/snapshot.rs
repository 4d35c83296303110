//! The faults of snapshots, and of what is left where one was broken off.

use std::fmt;

use super::{Fault, list};
use crate::model::check::CheckId;
use crate::model::id::{GuestKind, ServerId, VmId};

/// How a snapshot is repaired that is neither there nor gone. No call of the API removes a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repair {
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    pub(crate) name: String,
    /// Proxmox VE's word for it: `prepare`, `delete`.
    pub(crate) state: String,
    /// Whether the guest is still locked.
    pub(crate) locked: bool,
}

impl Repair {
    fn tool(&self) -> &'static str {
        if self.kind == GuestKind::Qemu { "qm" } else { "pct" }
    }

    /// The command that ends it whatever is left of it.
    pub(crate) fn force(&self) -> String {
        format!("{} delsnapshot {} {} --force", self.tool(), self.vmid, self.name)
    }

    /// The commands, one after the other.
    pub(crate) fn commands(&self) -> String {
        let unlock = self.locked.then(|| format!("`{} unlock {}`, then ", self.tool(), self.vmid));
        format!("{}`{}`", unlock.unwrap_or_default(), self.force())
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} on its node", self.commands())
    }
}

impl Fault {
    pub(crate) fn snapshot_of_template() -> Fault {
        Fault::new(CheckId::Template, "it is a template, of which no snapshot is taken")
            .say("take one of a clone of it")
    }

    pub(crate) fn rollback_of_template() -> Fault {
        Fault::new(CheckId::Template, "it is a template, which is not rolled back").say("leave it out")
    }

    pub(crate) fn backup_works() -> Fault {
        Fault::new(CheckId::BackupRunning, "a backup of it runs")
            .say("add `--wait-for-lock 10m`, or wait until it has ended")
    }

    pub(crate) fn snapshot_name_taken(name: &str) -> Fault {
        Fault::new(CheckId::SnapshotName, format!("it has a snapshot {name} already"))
            .say("give another name by `--name`")
    }

    pub(crate) fn no_such_snapshot(name: &str, known: &[String]) -> Fault {
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", list(known)) };
        Fault::new(CheckId::SnapshotName, format!("it has no snapshot {name}: {has}"))
            .say("run `ecobox snapshot list` to see the names")
    }

    /// `because`: which disk, and why.
    pub(crate) fn snapshot_unsupported(because: &str) -> Fault {
        Fault::new(CheckId::SnapshotUnsupported, format!("no snapshot can be taken of it: {because}"))
    }

    pub(crate) fn no_memory(why: &str) -> Fault {
        Fault::new(CheckId::SnapshotMemory, why).say("leave `--vmstate` out")
    }

    pub(crate) fn no_room_for_memory(storage: &str, free: &str, needed: &str) -> Fault {
        let finding = format!("its memory takes up to {needed}, and its storage {storage} has {free} left");
        Fault::new(CheckId::StorageFull, finding).say("make room there, or leave `--vmstate` out")
    }

    pub(crate) fn storage_too_full(storage: &str, what: &str, percent: f64, most: f64) -> Fault {
        let finding =
            format!("its storage {storage}{what} is {percent:.0} % full, more than the {most:.0} % of `--max-storage`");
        Fault::new(CheckId::StorageFull, finding).say("make room there: a full pool stops all guests that are on it")
    }

    /// `newer`: the newest first.
    pub(crate) fn not_newest_snapshot(server: &ServerId, storage: &str, newer: &[&str]) -> Fault {
        let counted =
            if newer.len() == 1 { "1 newer snapshot".to_owned() } else { format!("{} newer snapshots", newer.len()) };
        let finding =
            format!("{counted} must go first, as its storage {storage} rolls back to the newest only: {}", list(newer));
        let commands = newer.iter().map(|name| format!("`ecobox snapshot delete {name} {server}`"));
        Fault::new(CheckId::SnapshotNewer, finding)
            .say(format!("if nothing of them is needed, run {}", commands.collect::<Vec<_>>().join(", then ")))
    }

    pub(crate) fn snapshot_incomplete(repair: &Repair) -> Fault {
        let finding =
            format!("its snapshot {} is in the state `{}`, and cannot be rolled back to", repair.name, repair.state);
        Fault::new(CheckId::SnapshotBroken, finding)
            .say(format!("wait until nothing works on it any more; else {repair}"))
    }

    /// The lock of a task on its snapshots that is not there any more. `place`: where the commands are run.
    pub(crate) fn snapshot_broken_off(lock: &str, repair: &Repair, place: &str) -> Fault {
        let finding = format!(
            "its configuration is locked ({lock}), no task works on it, and its snapshot {} is in the state `{}`",
            repair.name, repair.state
        );
        Fault::new(CheckId::SnapshotBroken, finding).say(format!("run {} on {place}", repair.commands())).lasting()
    }
}
