//! What decides about a migration: of the guest, by Proxmox VE's own precondition call and its configuration, and of each
//! node that could take it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::{GuestKind, NodeName, ServerId, VmId};
use crate::model::migrate::NodeCpu;
use crate::model::power::PowerState;

/// What `GET .../migrate` says of a guest.
///
/// An empty entry in `not_allowed` is no refusal, and a node that is offline is allowed; what counts is what stands in an
/// entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Precondition {
    pub(crate) not_allowed: BTreeMap<NodeName, NotAllowed>,
    pub(crate) local_disks: Vec<LocalDisk>,
    /// Devices of its node: `hostpci0`, `usb1`.
    pub(crate) local_resources: Vec<String>,
    /// Guests that HA moves along, as HA calls them: `vm:102`.
    pub(crate) dependent: Vec<String>,
}

/// What a node lacks for a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NotAllowed {
    pub(crate) storages: Vec<String>,
    pub(crate) resources: Vec<String>,
    /// Guests that HA keeps apart from it, each with the rule's words.
    pub(crate) ha: Vec<(String, String)>,
}

/// A disk that only the guest's own node has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalDisk {
    /// `local:101/vm-101-disk-0.qcow2`
    pub(crate) volid: String,
    /// `scsi0`
    pub(crate) drive: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) is_cdrom: bool,
    pub(crate) is_cloudinit: bool,
    /// Names of snapshots that it is part of.
    pub(crate) snapshots: Vec<String>,
    /// Its storage is an LVM thin pool, which cannot send snapshots along.
    pub(crate) on_thin_pool: bool,
}

/// A volume or mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// `rootfs`, `mp0`
    pub(crate) key: String,
    /// `None`: a folder or device of its node.
    pub(crate) storage: Option<String>,
    /// Declared to be the same on all nodes.
    pub(crate) shared: bool,
    pub(crate) size: Option<u64>,
}

/// What decides about moving a guest.
#[derive(Debug, Clone)]
pub(crate) struct MovingGuest {
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    /// The node that it is on.
    pub(crate) node: NodeName,
    pub(crate) state: PowerState,
    pub(crate) lock: Option<String>,
    /// The HA manager's state; `None`: not managed.
    pub(crate) ha: Option<String>,
    /// What is allocated to it.
    pub(crate) memory: Option<u64>,
    /// `cpu` of its configuration: `host`, `x86-64-v3`.
    pub(crate) cpu: Option<String>,
    /// What a container has, by its configuration.
    pub(crate) volumes: Vec<Volume>,
    /// `None`: Proxmox VE says nothing of it, as before version 9 of containers.
    pub(crate) precondition: Option<Precondition>,
    /// The nodes that it is replicated to.
    pub(crate) replicated_to: Vec<NodeName>,
    /// The nodes that a strict rule of HA leaves it; `None`: all.
    pub(crate) ha_nodes: Option<Vec<NodeName>>,
}

impl MovingGuest {
    /// Whether it has a process that moves, or is shut down for it.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.state, PowerState::Running | PowerState::Paused)
    }

    pub(crate) fn is_managed(&self) -> bool {
        self.ha.as_deref().is_some_and(|state| state != "ignored")
    }
}

/// A node of the cluster.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct TargetNode {
    pub(crate) name: NodeName,
    /// The configured host that it is.
    pub(crate) host: Option<ServerId>,
    pub(crate) online: bool,
    /// It is woken before anything moves there: what is known of it now does not count.
    pub(crate) is_woken_first: bool,
    /// It goes down in the same plan.
    pub(crate) leaves: bool,
    /// HA's maintenance mode.
    pub(crate) in_maintenance: bool,
    /// Free memory in bytes.
    pub(crate) free: Option<u64>,
    /// The storages that it has; `None`: not known.
    pub(crate) storages: Option<BTreeSet<String>>,
    pub(crate) cpu: Option<NodeCpu>,
}
