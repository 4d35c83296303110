//! Snapshots as Proxmox VE has them: what a task does with them step by step, what it leaves where it is killed, and which
//! disks have any. The order of the checks is that of pve-guest-common's `AbstractConfig.pm`.

mod describe;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::guest::{Guest, Kind, Power};
use crate::power::{Plan, Work};
use crate::tasks::Effect;

/// A snapshot of a guest.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) taken_at: u64,
    pub(crate) memory: bool,
    pub(crate) parent: Option<String>,
    /// `prepare`, `delete`; `None`: it is whole.
    pub(crate) state: Option<&'static str>,
    pub(crate) saved: Saved,
}

/// What a rollback puts back.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    name: Option<String>,
    tags: Option<String>,
    cores: u32,
    memory: u64,
    pub(crate) config: BTreeMap<String, Value>,
}

impl Saved {
    fn of(guest: &Guest) -> Saved {
        let Guest { name, tags, cores, memory, config, .. } = guest.clone();
        Saved { name, tags, cores, memory, config }
    }

    /// The guest with what was saved.
    pub(crate) fn put_back(&self, guest: &mut Guest) {
        let Saved { name, tags, cores, memory, config } = self.clone();
        (guest.name, guest.tags, guest.cores, guest.memory, guest.config) = (name, tags, cores, memory, config);
    }
}

/// The snapshots of a guest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots {
    pub(crate) list: Vec<Snapshot>,
    /// What the present state came from.
    pub(crate) current: Option<String>,
    /// How often it was rolled back: each time gives a virtual machine a new generation id.
    pub(crate) rollbacks: u32,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Verb {
    Create { description: String, memory: bool },
    Delete { force: bool },
    Rollback { start: bool },
}

/// A task on a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotWork {
    pub(crate) vmid: u32,
    pub(crate) name: String,
    pub(crate) verb: Verb,
    /// How it ends, where that is meant to go wrong.
    fails: Option<SnapshotFault>,
}

/// How a task on a snapshot ends that is meant to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotFault {
    /// With these words; what it did is taken back, and nothing stays locked.
    Cleaned(String),
    /// With these words; the lock and the state of the snapshot stay.
    HalfDone(String),
}

/// What there is to snapshots besides the guests.
#[derive(Debug, Default)]
pub(crate) struct SnapshotWorld {
    works: Vec<SnapshotWork>,
    /// By guest and verb (`create`, `delete`, `rollback`): how the next ones end.
    faults: BTreeMap<(u32, &'static str), SnapshotFault>,
    /// Of storages that are thin pools: how much of the metadata is used, and how much there is.
    pub(crate) metadata: BTreeMap<String, (u64, u64)>,
    /// Storages whose snapshots are layers.
    pub(crate) chains: BTreeSet<String>,
    /// Guests that are replicated, and where to.
    pub(crate) replicated: Vec<(u32, String)>,
}

impl Cluster {
    /// A thin pool of each node's own, sized in bytes, and how much of the room for its metadata is used.
    #[must_use]
    pub fn thin_pool(mut self, name: &str, size: u64, used: u64, metadata_percent: u64) -> Cluster {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for node in nodes {
            self.storages.push(crate::node::Storage {
                name: name.to_owned(),
                node: Some(node),
                plugin: "lvmthin".to_owned(),
                content: "images,rootdir".to_owned(),
                size,
                used,
                active: true,
            });
        }
        self.snapshots.metadata.insert(name.to_owned(), (metadata_percent << 20, 100 << 20));
        self
    }

    /// Snapshots on a storage are layers on top of each other.
    #[must_use]
    pub fn volume_chains(mut self, storage: &str) -> Cluster {
        self.snapshots.chains.insert(storage.to_owned());
        self
    }

    /// How tasks of this verb (`create`, `delete`, `rollback`) on a guest end from now on; `None`: well again.
    pub fn fail_snapshots(&mut self, vmid: u32, verb: &'static str, fault: Option<SnapshotFault>) {
        match fault {
            Some(fault) => self.snapshots.faults.insert((vmid, verb), fault),
            None => self.snapshots.faults.remove(&(vmid, verb)),
        };
    }

    /// All snapshots of a guest are in this state from now on: `prepare`, `delete`.
    pub fn break_snapshots(&mut self, vmid: u32, state: &'static str) {
        self.settle();
        self.guest_mut(vmid).snapshots.list.iter_mut().for_each(|snapshot| snapshot.state = Some(state));
    }

    /// A guest is replicated to a node.
    pub fn replicate_to(&mut self, vmid: u32, node: &str) {
        self.snapshots.replicated.push((vmid, node.to_owned()));
    }

    /// Names of a guest's snapshots, the oldest first; those that are not whole with their states behind.
    pub fn snapshot_names(&mut self, vmid: u32) -> Vec<String> {
        self.settle();
        let mut list = self.guest_mut(vmid).snapshots.list.clone();
        list.sort_by(|one, other| (one.taken_at, &one.name).cmp(&(other.taken_at, &other.name)));
        let state = |snapshot: &Snapshot| snapshot.state.map(|state| format!(" {state}")).unwrap_or_default();
        list.iter().map(|snapshot| format!("{}{}", snapshot.name, state(snapshot))).collect()
    }

    /// What the present state of a guest came from.
    pub fn snapshot_parent(&mut self, vmid: u32) -> Option<String> {
        self.settle();
        self.guest_mut(vmid).snapshots.current.clone()
    }

    /// What a snapshot's description says.
    pub fn snapshot_description(&mut self, vmid: u32, name: &str) -> Option<String> {
        self.settle();
        let snapshots = &self.guest_mut(vmid).snapshots;
        snapshots.list.iter().find(|snapshot| snapshot.name == name).map(|snapshot| snapshot.description.clone())
    }

    /// Notes a task that is about to begin; gives its number.
    pub(crate) fn note_snapshot_work(&mut self, vmid: u32, name: &str, verb: Verb) -> usize {
        let word = match verb {
            Verb::Create { .. } => "create",
            Verb::Delete { .. } => "delete",
            Verb::Rollback { .. } => "rollback",
        };
        let fails = self.snapshots.faults.get(&(vmid, word)).cloned();
        self.snapshots.works.push(SnapshotWork { vmid, name: name.to_owned(), verb, fails });
        self.snapshots.works.len() - 1
    }
}

/// The volumes of a guest: what a snapshot is taken of.
pub(crate) fn volumes(guest: &Guest) -> Vec<(String, String)> {
    let config = crate::api::view::config(guest);
    let is_disk = |key: &str| {
        let stem = key.trim_end_matches(char::is_numeric);
        let buses: &[&str] = match guest.kind {
            Kind::Qemu => &["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"],
            Kind::Lxc => &["mp"],
        };
        key == "rootfs" || (stem != key && buses.contains(&stem))
    };
    let of = |(key, value): (&String, &Value)| {
        let text = value.as_str()?.to_owned();
        let volume = text.split(',').next()?.to_owned();
        (!text.contains("media=cdrom") && volume != "none").then(|| (key.clone(), volume))
    };
    config.iter().filter(|(key, _)| is_disk(key)).filter_map(of).collect()
}

/// The type of the storage that a volume is on; one that nobody described is a directory.
fn plugin<'a>(cluster: &'a Cluster, volume: &str) -> Option<(&'a str, String)> {
    let (storage, _) = volume.split_once(':').filter(|_| !volume.starts_with('/'))?;
    let found = cluster.storages.iter().find(|known| known.name == storage);
    Some((found.map_or("dir", |known| known.plugin.as_str()), storage.to_owned()))
}

/// `volume_has_feature(.., 'snapshot')` of all volumes.
pub(crate) fn has_feature(cluster: &Cluster, guest: &Guest) -> bool {
    volumes(guest).iter().all(|(_, volume)| match plugin(cluster, volume) {
        None => false,
        Some(("dir" | "nfs" | "cifs" | "glusterfs", _)) => volume.ends_with(".qcow2"),
        Some(("lvm", storage)) => cluster.snapshots.chains.contains(&storage) && volume.ends_with(".qcow2"),
        Some(("lvmthin" | "zfspool" | "zfs" | "rbd" | "btrfs", _)) => true,
        Some(_) => false,
    })
}

/// Why a snapshot cannot be rolled back to, on storages that roll back to the newest only.
fn not_newest(cluster: &Cluster, guest: &Guest, snapshot: &Snapshot) -> Option<String> {
    let newer = guest.snapshots.list.iter().any(|other| {
        other.name != snapshot.name && (other.taken_at, &other.name) > (snapshot.taken_at, &snapshot.name)
    });
    let strict = volumes(guest).into_iter().find(|(_, volume)| {
        plugin(cluster, volume)
            .is_some_and(|(plugin, name)| plugin.starts_with("zfs") || cluster.snapshots.chains.contains(&name))
    });
    let (_, volume) = strict.filter(|_| newer)?;
    Some(format!("can't rollback, '{}' is not most recent snapshot on '{volume}'", snapshot.name))
}

/// What the task will do, decided when it has the guest's lock file.
pub(crate) fn plan(cluster: &Cluster, work: &Work, number: usize) -> Plan {
    let wanted = &cluster.snapshots.works[number];
    let there = cluster.find(work.vmid).filter(|guest| guest.kind == work.guest && guest.node == work.node);
    let Some(guest) = there else {
        let (node, folder, vmid) = (&work.node, work.guest.folder(), work.vmid);
        return Plan::fails(format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist"));
    };
    if let Some(problem) = problem(cluster, guest, wanted) {
        return Plan::fails(problem);
    }
    if !cluster.quorate {
        let file = format!("/etc/pve/nodes/{}/{}/{}.conf.tmp.4711", work.node, work.guest.folder(), work.vmid);
        return Plan::fails(format!("unable to open file '{file}' - Permission denied"));
    }
    let takes = cluster.clock.seconds(cluster.timing.task);
    let mut log = Vec::new();
    if let (Verb::Create { memory, .. }, Kind::Qemu) = (&wanted.verb, work.guest) {
        if *memory && guest.is_active() {
            log.push("saving VM state and RAM using storage 'local'".to_owned());
            log.push("completed saving the VM state in 0s, saved 83.69 MiB".to_owned());
        }
        log.extend(volumes(guest).iter().map(|(key, volume)| format!("snapshotting 'drive-{key}' ({volume})")));
    }
    let mut plan = Plan::does(Effect::Snapshot(number), takes);
    match &wanted.fails {
        None => {}
        Some(SnapshotFault::Cleaned(words)) => {
            log.push("snapshot create failed: starting cleanup".to_owned());
            plan.exit.clone_from(words);
        }
        // What the storage says is only a line then.
        Some(SnapshotFault::HalfDone(words)) if matches!(wanted.verb, Verb::Delete { force: true }) => {
            log.push(words.clone());
        }
        Some(SnapshotFault::HalfDone(words)) => plan.exit.clone_from(words),
    }
    plan.log = log;
    plan
}

/// Why the task fails before it has changed anything.
fn problem(cluster: &Cluster, guest: &Guest, wanted: &SnapshotWork) -> Option<String> {
    let name = &wanted.name;
    let locked = guest.lock.as_ref().map(|lock| format!("{} is locked ({lock})", guest.kind.title()));
    let there = guest.snapshots.list.iter().find(|snapshot| snapshot.name == *name);
    let missing = || format!("snapshot '{name}' does not exist");
    match &wanted.verb {
        Verb::Create { .. } => {
            if guest.template {
                return Some("you can't take a snapshot if it's a template".to_owned());
            }
            let used = there.map(|_| format!("snapshot name '{name}' already used"));
            let none = (!has_feature(cluster, guest)).then(|| "snapshot feature is not available".to_owned());
            locked.or(used).or(none)
        }
        Verb::Delete { .. } => {
            if there.is_none() {
                return Some(missing());
            }
            locked
        }
        Verb::Rollback { .. } => {
            if guest.template {
                return Some("you can't rollback if it's a template".to_owned());
            }
            let Some(snapshot) = there else { return Some(missing()) };
            if let Some(problem) = not_newest(cluster, guest, snapshot) {
                return Some(problem);
            }
            if let Some(state) = snapshot.state {
                return Some(format!("unable to rollback to incomplete snapshot (snapstate = {state})"));
            }
            locked
        }
    }
}

/// What the task does first: what is left where it is killed after that.
pub(crate) fn begin(cluster: &mut Cluster, number: usize, at: Instant) {
    let epoch = cluster.clock.epoch(at);
    let SnapshotWork { vmid, name, verb, .. } = cluster.snapshots.works[number].clone();
    let Some(guest) = cluster.guests.iter_mut().find(|guest| guest.vmid == vmid) else { return };
    match verb {
        Verb::Create { description, memory } => {
            guest.lock = Some("snapshot".to_owned());
            let saved = Saved::of(guest);
            let parent = guest.snapshots.current.clone();
            let memory = memory && guest.is_active() && guest.kind == Kind::Qemu;
            let state = Some("prepare");
            guest.snapshots.list.push(Snapshot { name, description, taken_at: epoch, memory, parent, state, saved });
        }
        Verb::Delete { .. } => {
            guest.lock = Some("snapshot-delete".to_owned());
            let deleted = guest.snapshots.list.iter_mut().filter(|snapshot| snapshot.name == name);
            deleted.for_each(|snapshot| snapshot.state = Some("delete"));
        }
        Verb::Rollback { .. } => {
            guest.end();
            guest.lock = Some("rollback".to_owned());
        }
    }
}

/// The end of the task. Gives whether the guest is to be started.
pub(crate) fn finish(cluster: &mut Cluster, number: usize) -> bool {
    let SnapshotWork { vmid, name, verb, fails } = cluster.snapshots.works[number].clone();
    let Some(guest) = cluster.guests.iter_mut().find(|guest| guest.vmid == vmid) else { return false };
    let forced = matches!(verb, Verb::Delete { force: true });
    if matches!(fails, Some(SnapshotFault::HalfDone(_))) && !forced {
        return false;
    }
    let is_cleaned = matches!(fails, Some(SnapshotFault::Cleaned(_)));
    guest.lock = None;
    match verb {
        Verb::Create { .. } if is_cleaned => guest.snapshots.list.retain(|snapshot| snapshot.name != name),
        Verb::Create { .. } => {
            guest.snapshots.list.iter_mut().filter(|one| one.name == name).for_each(|one| one.state = None);
            guest.snapshots.current = Some(name);
        }
        Verb::Delete { .. } if is_cleaned => {
            guest.snapshots.list.iter_mut().filter(|one| one.name == name).for_each(|one| one.state = None);
        }
        Verb::Delete { .. } => {
            let gone = guest.snapshots.list.iter().find(|one| one.name == name).and_then(|one| one.parent.clone());
            guest.snapshots.list.retain(|snapshot| snapshot.name != name);
            // What came from it comes from its parent now.
            for child in guest.snapshots.list.iter_mut().filter(|one| one.parent.as_ref() == Some(&name)) {
                child.parent.clone_from(&gone);
            }
            if guest.snapshots.current.as_ref() == Some(&name) {
                guest.snapshots.current = gone;
            }
        }
        Verb::Rollback { .. } if is_cleaned => {}
        Verb::Rollback { start } => {
            let back = guest.snapshots.list.iter().find(|one| one.name == name).cloned();
            let Some(back) = back else { return false };
            back.saved.put_back(guest);
            guest.snapshots.current = Some(name);
            guest.snapshots.rollbacks += 1;
            guest.power = Power::Stopped;
            return start || back.memory;
        }
    }
    false
}
