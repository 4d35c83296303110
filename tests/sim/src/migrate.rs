//! Migration as Proxmox VE does it: what its precondition call tells, what a POST refuses, and what becomes of the task. The
//! guest really changes its node, at the end of the task, or HA moves it some seconds after it was asked to.

mod course;
mod disks;
mod ha;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Cluster;
use crate::guest::{Guest, Kind};

pub(crate) use self::course::{begin, plan};
pub(crate) use self::disks::{Disk, disks, snapshot_of, unavailable};
pub(crate) use self::ha::{dependent, node_rows, service_states};

/// What a task of a migration was started for.
#[derive(Debug, Clone)]
pub(crate) struct Migration {
    pub(crate) target: String,
    pub(crate) restart: bool,
    pub(crate) with_local_disks: bool,
    /// Storages are mapped to others.
    pub(crate) mapped: bool,
    /// HA's own: nothing local keeps it back.
    pub(crate) forced: bool,
}

/// How a migration ends that is meant to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveFault {
    /// It is given up before anything has moved, for this reason.
    Aborted(String),
    /// It has moved, and something went wrong afterwards.
    Problems {
        /// Its processors stand still on the target.
        paused: bool,
        /// The lock `migrate` is left in its configuration.
        locked: bool,
    },
    /// As `Problems`, before its configuration was moved.
    ProblemsAtHome,
    /// It is given up for this reason after most of its time.
    Slow(String),
}

/// What there is to migrations besides the guests themselves.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    pub(crate) faults: BTreeMap<u32, MoveFault>,
    /// Guests of which disks are part of this snapshot.
    pub(crate) snapshots: BTreeMap<u32, String>,
    /// Jobs of replication: guest and target.
    pub(crate) replication: Vec<(u32, String)>,
    /// HA's rules, as `/cluster/ha/rules` writes them.
    pub(crate) rules: Vec<serde_json::Value>,
    /// Nodes in maintenance mode.
    pub(crate) maintenance: BTreeSet<String>,
    /// HA takes no request, and says so only in its journal.
    pub(crate) drops: bool,
    /// Models of the processors, and what they can do.
    pub(crate) cpus: BTreeMap<String, (String, String)>,
}

impl Cluster {
    /// How the migrations of a guest end from now on.
    pub fn fail_migrations(&mut self, vmid: u32, fault: MoveFault) {
        self.moves.faults.insert(vmid, fault);
    }

    /// The disks of a guest are part of a snapshot.
    pub fn snapshot_disks(&mut self, vmid: u32, snapshot: &str) {
        self.moves.snapshots.insert(vmid, snapshot.to_owned());
    }

    /// A guest is replicated to a node.
    pub fn replicate(&mut self, vmid: u32, target: &str) {
        self.moves.replication.push((vmid, target.to_owned()));
    }

    /// One more rule of HA, as `/cluster/ha/rules` writes it.
    pub fn add_ha_rule(&mut self, rule: serde_json::Value) {
        self.moves.rules.push(rule);
    }

    /// Puts a node into HA's maintenance mode, or takes it out.
    pub fn set_maintenance(&mut self, node: &str, on: bool) {
        if on {
            self.moves.maintenance.insert(node.to_owned());
        } else {
            self.moves.maintenance.remove(node);
        }
    }

    /// Whether HA drops what it is asked for.
    pub fn drop_ha_requests(&mut self, drops: bool) {
        self.moves.drops = drops;
    }

    /// The model of a node's processors, and their flags.
    pub fn set_cpu(&mut self, node: &str, model: &str, flags: &str) {
        self.moves.cpus.insert(node.to_owned(), (model.to_owned(), flags.to_owned()));
    }

    /// The node that a guest is on.
    pub fn node_of(&mut self, vmid: u32) -> Option<String> {
        self.settle();
        self.find(vmid).map(|guest| guest.node.clone())
    }

    pub(crate) fn place_of(&self, node: &str) -> Option<usize> {
        self.nodes.iter().position(|candidate| candidate.name == node)
    }
}

impl Guest {
    /// Its disk is on this storage.
    #[must_use]
    pub fn stored_on(self, storage: &str) -> Guest {
        let vmid = self.vmid;
        match self.kind {
            Kind::Qemu => self.config("scsi0", format!("{storage}:vm-{vmid}-disk-0,size=8G")),
            Kind::Lxc => self.config("rootfs", format!("{storage}:subvol-{vmid}-disk-0,size=8G")),
        }
    }
}

/// What PVE refuses at once, in the order of `migrate_vm` in API2/Qemu.pm and API2/LXC.pm; before that stand a parameter that
/// names this node, quorum, and a node that does not exist.
pub(crate) fn refusal(cluster: &Cluster, guest: &Guest, migration: &Migration, online: bool) -> Option<String> {
    let target = &migration.target;
    match guest.kind {
        Kind::Qemu => {
            if let Some(lock) = &guest.lock {
                return Some(format!("VM is locked ({lock})"));
            }
            if guest.is_active() && !online {
                return Some("can't migrate running VM without --online".to_owned());
            }
            let replicated: Vec<&String> = replicated_to(cluster, guest.vmid);
            if guest.is_active() && !replicated.is_empty() && !replicated.contains(&target) {
                let what = format!("Cannot live-migrate replicated VM to node '{target}' - not a replication target.");
                return Some(format!("{what} Use 'force' to override."));
            }
            if migration.mapped {
                return None;
            }
            let missing = unavailable(cluster, guest, target);
            missing.first().map(|storage| format!("storage '{storage}' is not available on node '{target}'"))
        }
        Kind::Lxc => (guest.is_active() && !migration.restart && !online)
            .then(|| "can't migrate running container without --online or --restart".to_owned()),
    }
}

/// The nodes that a guest is replicated to.
pub(crate) fn replicated_to(cluster: &Cluster, vmid: u32) -> Vec<&String> {
    cluster.moves.replication.iter().filter(|(of, _)| *of == vmid).map(|(_, target)| target).collect()
}
