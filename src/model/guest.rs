//! A guest as one asks about it before and after a power action: calls, tasks, status, configuration, members.

pub(crate) mod address;
mod call;
mod config;
mod identity;
pub(crate) mod size;
mod task;

use std::net::IpAddr;

pub(crate) use self::call::GuestCall;
pub(crate) use self::config::{GuestConfig, Startup};
pub(crate) use self::identity::GuestIdentity;
pub(crate) use self::task::{ActiveTask, TaskEnd, TaskState};
use crate::model::id::NodeName;
use crate::model::power::PowerState;

/// What a guest does right now, asked of its own node and not of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestStatus {
    pub(crate) state: PowerState,
    /// Proxmox VE's own word behind `state`: QEMU's `qmpstatus`, else `status`.
    pub(crate) raw: String,
    pub(crate) lock: Option<String>,
    pub(crate) ha_managed: bool,
    /// The HA manager's state, e.g. `started`, `error`.
    pub(crate) ha_state: Option<String>,
    /// Whether the guest agent is configured; containers have none.
    pub(crate) agent: bool,
    pub(crate) template: bool,
    pub(crate) name: Option<String>,
    /// 0 while it does not run.
    pub(crate) uptime_seconds: Option<u64>,
}

/// The members of a cluster, as one of them sees them. What the same answer says of quorum may be minutes old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterStatus {
    pub(crate) nodes: Vec<MemberNode>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberNode {
    pub(crate) name: NodeName,
    /// By corosync's membership.
    pub(crate) online: bool,
    /// It is the one that answered.
    pub(crate) local: bool,
    /// Of the cluster's network.
    pub(crate) ip: Option<IpAddr>,
}
