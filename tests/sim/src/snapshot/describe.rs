//! How the snapshots and the disk of a guest are described.

use super::{Saved, Snapshot};
use crate::guest::{Guest, Kind};

impl Guest {
    /// Has a snapshot already, taken so many seconds ago. It comes from the one that was given before it.
    #[must_use]
    pub fn snapshot(self, name: &str, seconds_ago: u64, description: &str) -> Guest {
        let parent = self.snapshots.current.clone();
        self.snapshot_from(name, seconds_ago, description, parent.as_deref())
    }

    /// The same, which comes from that one.
    #[must_use]
    pub fn snapshot_from(mut self, name: &str, seconds_ago: u64, description: &str, parent: Option<&str>) -> Guest {
        let saved = Saved::of(&self);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.snapshots.list.push(Snapshot {
            name: name.to_owned(),
            description: description.to_owned(),
            taken_at: now.saturating_sub(seconds_ago),
            memory: false,
            parent: parent.map(str::to_owned),
            state: None,
            saved,
        });
        self.snapshots.current = Some(name.to_owned());
        self
    }

    /// Its newest snapshot has its memory.
    #[must_use]
    pub fn with_memory(mut self) -> Guest {
        self.snapshots.list.iter_mut().last().expect("a snapshot").memory = true;
        self
    }

    /// Its newest snapshot is in this state, as where a task was killed: `prepare`, `delete`.
    #[must_use]
    pub fn half_done(mut self, state: &'static str) -> Guest {
        self.snapshots.list.iter_mut().last().expect("a snapshot").state = Some(state);
        self
    }

    /// Its disk is this volume: `local-lvm:vm-101-disk-0`.
    #[must_use]
    pub fn volume(self, volume: &str) -> Guest {
        let key = if self.kind == Kind::Qemu { "scsi0" } else { "rootfs" };
        self.config(key, format!("{volume},size=8G"))
    }

    /// Its disk is a qcow2 image in a directory, which has snapshots.
    #[must_use]
    pub fn qcow2(self) -> Guest {
        let volume = format!("local:{0}/vm-{0}-disk-0.qcow2", self.vmid);
        self.volume(&volume)
    }
}
