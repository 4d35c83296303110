//! What stands against taking, deleting and rolling back, by what was seen of a guest: nothing is asked here, and nothing
//! sent. What Proxmox VE would refuse, or have fail, is refused before; what it lets pass and is worse is refused as well.

use jiff::Timestamp;

use crate::model::check::fault::{Fault, Repair, list};
use crate::model::id::{GuestKind, ServerId, VmId};
use crate::model::power::Finding;
use crate::model::snapshot::disk::obstacle;
use crate::model::snapshot::{Disk, Snapshot, Snapshots, StorageUse};
use crate::model::text::units::human_bytes;

/// What is known of a guest.
#[derive(Debug, Clone)]
pub(crate) struct GuestFacts<'a> {
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    /// Whether it has a process, halted or not.
    pub(crate) running: bool,
    pub(crate) template: bool,
    pub(crate) lock: Option<&'a str>,
    /// The HA manager's state, where it manages the guest.
    pub(crate) ha: Option<&'a str>,
    /// The types of the tasks that work on it, consoles aside.
    pub(crate) tasks: &'a [String],
    pub(crate) disks: &'a [Disk],
    /// The storages of its node.
    pub(crate) storages: &'a [StorageUse],
    /// What Proxmox VE says of its disks; `None`: it was not asked, or did not say.
    pub(crate) supported: Option<bool>,
    pub(crate) memory_bytes: Option<u64>,
    /// Where its configuration puts its memory (`vmstatestorage`).
    pub(crate) state_storage: Option<&'a str>,
    pub(crate) freeze: Freeze,
    pub(crate) snapshots: &'a Snapshots,
    /// The targets of its replication.
    pub(crate) replicated_to: &'a [String],
}

/// What becomes of the file systems of a guest while a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// They are at rest: it does not run, is a container, or its memory is saved as well.
    AtRest,
    /// Its agent freezes them.
    ByAgent,
    /// Nobody freezes them.
    NoAgent,
    /// Its agent does not answer.
    SilentAgent,
    /// Its configuration has the agent leave them alone (`freeze-fs=0`).
    SwitchedOff,
}

impl Freeze {
    /// What is said of a snapshot that shows the disks as after a power failure; `None`: it does not.
    fn note(self) -> Option<&'static str> {
        let why = match self {
            Freeze::AtRest | Freeze::ByAgent => return None,
            Freeze::NoAgent => {
                "crash-consistent: its guest agent is not enabled, so that its file systems are not frozen"
            }
            Freeze::SilentAgent => {
                "crash-consistent: its guest agent does not answer, so that its file systems are not frozen"
            }
            Freeze::SwitchedOff => "crash-consistent: its configuration has the agent not freeze its file systems",
        };
        Some(why)
    }
}

/// What is wanted of a guest.
#[derive(Debug, Clone)]
pub(crate) enum Wanted<'a> {
    Create {
        name: &'a str,
        memory: bool,
        /// How full a storage may be.
        max_storage: f64,
    },
    Delete {
        name: &'a str,
    },
    Rollback {
        name: &'a str,
        starts: bool,
    },
}

/// What came of looking at a guest for what is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) findings: Vec<Finding>,
    /// What is said of it beforehand.
    pub(crate) notes: Vec<String>,
    /// Since when everything is lost.
    pub(crate) loses_since: Option<Timestamp>,
}

/// Judges what is wanted of a guest.
pub(crate) fn judge(server: &ServerId, guest: &GuestFacts<'_>, wanted: &Wanted<'_>) -> Judgement {
    let mut judge = Judge { server, guest, judgement: Judgement::default() };
    match wanted {
        Wanted::Create { name, memory, max_storage } => judge.create(name, *memory, *max_storage),
        Wanted::Delete { name } => judge.delete(name),
        Wanted::Rollback { name, starts } => judge.rollback(name, *starts),
    }
    judge.judgement
}

struct Judge<'a> {
    server: &'a ServerId,
    guest: &'a GuestFacts<'a>,
    judgement: Judgement,
}

impl Judge<'_> {
    /// Proxmox VE refuses it, whatever the user says.
    fn refuse(&mut self, fault: Fault) {
        self.judgement.findings.push(Finding::of(fault, self.server).final_word());
    }

    /// It could succeed.
    fn object(&mut self, fault: Fault) {
        self.judgement.findings.push(Finding::of(fault, self.server));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.judgement.notes.push(note.into());
    }

    fn create(&mut self, name: &str, memory: bool, max_storage: f64) {
        let guest = self.guest;
        if guest.template {
            self.refuse(Fault::snapshot_of_template());
        }
        self.busy();
        if guest.snapshots.get(name).is_some() {
            self.refuse(Fault::snapshot_name_taken(name));
        }
        self.unsupported();
        if memory {
            self.memory();
        }
        self.space(max_storage);
        self.note_broken();
        let freeze = if memory { None } else { guest.freeze.note() };
        self.judgement.notes.extend(freeze.map(str::to_owned));
    }

    fn delete(&mut self, name: &str) {
        self.busy();
        let guest = self.guest;
        let Some(snapshot) = guest.snapshots.get(name) else {
            return self.refuse(Fault::no_such_snapshot(name, &names(guest.snapshots)));
        };
        if !snapshot.is_whole() {
            self.note(format!(
                "{name} is in the state `{}`: if the rest of it is not there any more, `{}` on its node ends it",
                snapshot.state.as_str(),
                self.repair(snapshot).force()
            ));
        }
        let children = guest.snapshots.children(name);
        if !children.is_empty() {
            let names = list(children.iter().map(|child| &child.name));
            self.note(format!("what came from it stays: {names}"));
        }
        if !guest.replicated_to.is_empty() {
            let targets = list(guest.replicated_to);
            self.note(format!("it is replicated to {targets}: a snapshot that a job still needs is not deleted"));
        }
    }

    fn rollback(&mut self, name: &str, starts: bool) {
        let guest = self.guest;
        if guest.template {
            self.refuse(Fault::rollback_of_template());
        }
        let Some(snapshot) = guest.snapshots.get(name) else {
            self.busy();
            return self.refuse(Fault::no_such_snapshot(name, &names(guest.snapshots)));
        };
        if !snapshot.is_whole() {
            self.refuse(Fault::snapshot_incomplete(&self.repair(snapshot)));
        }
        self.busy();
        let newer = guest.snapshots.newer_than(snapshot);
        let strict = |disk: &&Disk| self.storage_of(disk).is_some_and(StorageUse::newest_only);
        if let (Some(disk), false) = (guest.disks.iter().find(strict), newer.is_empty()) {
            let newer: Vec<&str> = newer.iter().map(|snapshot| snapshot.name.as_str()).collect();
            let storage = disk.storage.as_deref().unwrap_or_default();
            self.refuse(Fault::not_newest_snapshot(self.server, storage, &newer));
        } else if !newer.is_empty() {
            let newer = list(newer.iter().map(|snapshot| &snapshot.name));
            self.note(format!("newer snapshots stay: {newer}"));
        }
        self.judgement.loses_since = snapshot.taken_at;
        self.note_power(snapshot, starts);
        if !guest.replicated_to.is_empty() {
            let targets = list(guest.replicated_to);
            self.note(format!("it is replicated to {targets}: the next replication sends all of it again"));
        }
    }

    /// What becomes of a guest that runs.
    fn note_power(&mut self, snapshot: &Snapshot, starts: bool) {
        let guest = self.guest;
        match (guest.running, snapshot.with_memory, starts) {
            (true, true, _) => self.note("it runs: it is killed, and goes on from the memory in the snapshot"),
            (false, true, _) => self.note("it is started: the snapshot has its memory"),
            (true, false, true) => self.note("it runs: it is killed, and started again"),
            (true, false, false) => self.note("it runs: it is killed, and stays off (`--start` starts it again)"),
            (false, false, true) => self.note("it is started afterwards"),
            (false, false, false) => {}
        }
        if let (Some(state), true, false) = (guest.ha, guest.running, starts) {
            self.note(format!("HA manages it ({state}), and may start it again by itself"));
        }
    }

    /// Something else works on it, or has left a lock.
    fn busy(&mut self) {
        let GuestFacts { lock, kind, tasks, .. } = *self.guest;
        if let Some(lock) = lock {
            return self.refuse(Fault::locked(lock, kind));
        }
        if tasks.iter().any(|task| task == "vzdump") {
            self.object(Fault::backup_works());
        }
        let others: Vec<&str> = tasks.iter().map(String::as_str).filter(|task| *task != "vzdump").collect();
        if !others.is_empty() {
            self.object(Fault::tasks_of_it(others));
        }
    }

    fn unsupported(&mut self) {
        let guest = self.guest;
        let because: Vec<String> =
            guest.disks.iter().filter_map(|disk| obstacle(disk, self.storage_of(disk))).collect();
        match guest.supported {
            Some(true) => {}
            None if because.is_empty() => {}
            _ if !because.is_empty() => self.refuse(Fault::snapshot_unsupported(&because.join("; "))),
            _ => {
                let disks = guest.disks.iter().map(|disk| match &disk.storage {
                    Some(storage) => format!("{} on {storage}", disk.key),
                    None => disk.key.clone(),
                });
                self.refuse(Fault::snapshot_unsupported(&format!("Proxmox VE says so of its disks ({})", list(disks))));
            }
        }
    }

    fn memory(&mut self) {
        let guest = self.guest;
        if guest.kind == GuestKind::Lxc {
            return self.refuse(Fault::no_memory("a container's memory is never saved"));
        }
        if !guest.running {
            return self.refuse(Fault::no_memory("it does not run, and has no memory to save"));
        }
        let Some(memory) = guest.memory_bytes else { return };
        // What Proxmox VE allocates (QemuConfig.pm, `__snapshot_save_vmstate`).
        let needed = memory.saturating_mul(2).saturating_add(500 << 20);
        let named = guest.state_storage.map(|name| guest.storages.iter().find(|storage| storage.name == name));
        let own = || guest.disks.iter().filter_map(|disk| self.storage_of(disk)).collect::<Vec<_>>();
        let candidates = named.map_or_else(own, |named| named.into_iter().collect());
        let most = candidates.into_iter().filter_map(|storage| Some((storage.free_bytes?, &storage.name))).max();
        if let Some((free, name)) = most.filter(|(free, _)| *free < needed) {
            self.object(Fault::no_room_for_memory(name, &human_bytes(free), &human_bytes(needed)));
        }
    }

    fn space(&mut self, max_storage: f64) {
        let mut names: Vec<&str> = self.guest.disks.iter().filter_map(|disk| disk.storage.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let Some(storage) = self.guest.storages.iter().find(|storage| storage.name == name) else { continue };
            let fuller = |percent: &f64| *percent > max_storage;
            if let Some(percent) = storage.used_percent.filter(fuller) {
                self.object(Fault::storage_too_full(name, "", percent, max_storage));
            } else if let Some(percent) = storage.metadata_percent.filter(fuller) {
                self.object(Fault::storage_too_full(name, " (the metadata of its thin pool)", percent, max_storage));
            }
        }
    }

    /// What others have left: it stands in nobody's way here.
    fn note_broken(&mut self) {
        let broken = self.guest.snapshots.list.iter().filter(|snapshot| !snapshot.is_whole());
        let notes: Vec<String> = broken
            .map(|snapshot| {
                let (name, state) = (&snapshot.name, snapshot.state.as_str());
                format!("its snapshot {name} is in the state `{state}`: {}", self.repair(snapshot))
            })
            .collect();
        if self.guest.lock.is_none() {
            self.judgement.notes.extend(notes);
        }
    }

    fn repair(&self, snapshot: &Snapshot) -> Repair {
        let GuestFacts { kind, vmid, lock, .. } = *self.guest;
        Repair {
            kind,
            vmid,
            name: snapshot.name.clone(),
            state: snapshot.state.as_str().to_owned(),
            locked: lock.is_some(),
        }
    }

    fn storage_of(&self, disk: &Disk) -> Option<&StorageUse> {
        let name = disk.storage.as_ref()?;
        self.guest.storages.iter().find(|storage| storage.name == *name)
    }
}

fn names(snapshots: &Snapshots) -> Vec<String> {
    let mut names: Vec<String> = snapshots.list.iter().map(|snapshot| snapshot.name.clone()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
