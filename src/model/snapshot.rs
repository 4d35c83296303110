//! Snapshots of guests: what a list of them says, whose they are, and what stands against taking, deleting and rolling back.

mod call;
pub(crate) mod differences;
mod disk;
pub(crate) mod judge;
pub(crate) mod keep;
mod mark;
mod name;
pub(crate) mod tree;

use jiff::Timestamp;

use crate::model::select::glob::matches_exactly;

pub(crate) use self::call::SnapshotCall;
pub(crate) use self::disk::{Disk, StorageUse, disks};
pub(crate) use self::mark::{Rotation, description, of_ecobox, text_of};
pub(crate) use self::name::{Label, SnapshotName};

/// A snapshot of a guest, as its node lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) description: String,
    /// By the node's clock.
    pub(crate) taken_at: Option<Timestamp>,
    /// Whether it has the memory of a running guest.
    pub(crate) with_memory: bool,
    pub(crate) parent: Option<String>,
    pub(crate) state: SnapshotState,
}

/// Whether a snapshot can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SnapshotState {
    Whole,
    /// It is being taken; or that was broken off, if nothing works on the guest any more.
    Prepare,
    /// It is being deleted; or that was broken off.
    Delete,
    /// A word that ecobox does not know.
    Other(String),
}

impl SnapshotState {
    /// Proxmox VE's word (`snapstate`).
    pub(crate) fn as_str(&self) -> &str {
        match self {
            SnapshotState::Whole => "ok",
            SnapshotState::Prepare => "prepare",
            SnapshotState::Delete => "delete",
            SnapshotState::Other(word) => word,
        }
    }
}

impl Snapshot {
    pub(crate) fn is_whole(&self) -> bool {
        self.state == SnapshotState::Whole
    }
}

/// The snapshots of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshots {
    /// In no order.
    pub(crate) list: Vec<Snapshot>,
    /// What the guest's present state came from: the one that was last taken or rolled back to.
    pub(crate) current: Option<String>,
}

impl Snapshots {
    pub(crate) fn get(&self, name: &str) -> Option<&Snapshot> {
        self.list.iter().find(|snapshot| snapshot.name == name)
    }

    /// Those of this name, or of names that fit a pattern, the oldest first. Letter case counts, as in Proxmox VE.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<&Snapshot> {
        let mut list: Vec<&Snapshot> =
            self.list.iter().filter(|snapshot| matches_exactly(pattern, &snapshot.name)).collect();
        list.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
        list
    }

    /// Whether it is there, and whole.
    pub(crate) fn has_whole(&self, name: &str) -> bool {
        self.get(name).is_some_and(Snapshot::is_whole)
    }

    /// Those that were taken after this one, the newest first.
    pub(crate) fn newer_than(&self, snapshot: &Snapshot) -> Vec<&Snapshot> {
        let mut newer: Vec<&Snapshot> = self
            .list
            .iter()
            .filter(|other| other.name != snapshot.name && age_key(other) > age_key(snapshot))
            .collect();
        newer.sort_by(|one, other| age_key(other).cmp(&age_key(one)));
        newer
    }

    /// Those that came directly from this one.
    pub(crate) fn children(&self, name: &str) -> Vec<&Snapshot> {
        let mut list: Vec<&Snapshot> =
            self.list.iter().filter(|snapshot| snapshot.parent.as_deref() == Some(name)).collect();
        list.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
        list
    }
}

/// The order of age: by time, and by name within a second.
pub(crate) fn age_key(snapshot: &Snapshot) -> (Option<Timestamp>, &str) {
    (snapshot.taken_at, &snapshot.name)
}
