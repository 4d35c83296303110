//! A guest: what its configuration says and what it is doing.

mod balloon;
mod describe;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::counters::Counters;
use crate::history::History;
use crate::snapshot::Snapshots;

/// VM or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl Kind {
    /// As it stands in URLs and in `type`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Qemu => "qemu",
            Kind::Lxc => "lxc",
        }
    }

    /// The folder of the configuration file under `/etc/pve/nodes/{node}`.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Kind::Qemu => "qemu-server",
            Kind::Lxc => "lxc",
        }
    }

    /// How the HA manager's ids call it.
    pub(crate) fn ha_word(self) -> &'static str {
        match self {
            Kind::Qemu => "vm",
            Kind::Lxc => "ct",
        }
    }

    /// How PVE's messages call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Qemu => "VM",
            Kind::Lxc => "CT",
        }
    }
}

/// What the guest's process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// No process.
    Stopped,
    /// Runs.
    Running,
    /// vCPUs stopped, memory kept (QEMU).
    Paused,
    /// Has a process in another state of QEMU's, such as `io-error` or `prelaunch`.
    Other(String),
}

/// The QEMU guest agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Not in the configuration.
    None,
    /// Configured and answering while the guest runs.
    Answers,
    /// Configured, but nothing answers.
    Dead,
}

/// A network interface as the guest (agent or container) sees it.
#[derive(Debug, Clone)]
pub struct Interface {
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) addresses: Vec<(IpAddr, u8)>,
}

/// One guest. Built by the methods of `describe`, which take `self`; everything is visible to the package only.
#[derive(Debug, Clone)]
pub struct Guest {
    pub(crate) kind: Kind,
    pub(crate) vmid: u32,
    pub(crate) node: String,
    pub(crate) name: Option<String>,
    pub(crate) power: Power,
    pub(crate) uptime: Duration,
    pub(crate) since: Option<Instant>,
    pub(crate) lock: Option<String>,
    pub(crate) tags: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) ha: Option<String>,
    pub(crate) template: bool,
    pub(crate) agent: Agent,
    pub(crate) agent_delay: Duration,
    pub(crate) agent_data: BTreeMap<String, Value>,
    pub(crate) balloon: Option<u64>,
    pub(crate) cores: u32,
    pub(crate) memory: u64,
    pub(crate) memory_used: u64,
    pub(crate) cpu: f64,
    pub(crate) disk: u64,
    pub(crate) disk_used: u64,
    pub(crate) counters: Counters,
    pub(crate) history: History,
    pub(crate) mac: Option<String>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) uuid: String,
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) pending: BTreeMap<String, Value>,
    pub(crate) missing_disk: bool,
    pub(crate) warnings: u32,
    pub(crate) deaf: bool,
    pub(crate) shutdown_limit: Option<u32>,
    pub(crate) pid: u32,
    pub(crate) snapshots: Snapshots,
}

impl Guest {
    pub(crate) fn new(kind: Kind, vmid: u32, name: &str, node: &str) -> Guest {
        Guest {
            kind,
            vmid,
            node: node.to_owned(),
            name: (!name.is_empty()).then(|| name.to_owned()),
            power: Power::Stopped,
            uptime: Duration::ZERO,
            since: None,
            lock: None,
            tags: None,
            pool: None,
            ha: None,
            template: false,
            agent: Agent::None,
            agent_delay: Duration::ZERO,
            agent_data: BTreeMap::new(),
            balloon: None,
            cores: 1,
            memory: 512 << 20,
            memory_used: 0,
            cpu: 0.0,
            disk: 8 << 30,
            disk_used: 0,
            counters: Counters::default(),
            history: History::default(),
            mac: None,
            interfaces: Vec::new(),
            uuid: format!("00000000-0000-4000-8000-{vmid:012}"),
            config: BTreeMap::new(),
            pending: BTreeMap::new(),
            missing_disk: false,
            warnings: 0,
            deaf: false,
            shutdown_limit: None,
            pid: 4000 + vmid,
            snapshots: Snapshots::default(),
        }
    }

    pub(crate) fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} {}", self.kind.title(), self.vmid))
    }

    /// Whether the HA manager acts for it: one that it ignores it leaves alone.
    pub(crate) fn is_ha_managed(&self) -> bool {
        self.ha.as_deref().is_some_and(|state| state != "ignored")
    }

    pub(crate) fn is_active(&self) -> bool {
        self.power != Power::Stopped
    }

    /// Seconds since it started, 0 when stopped.
    pub(crate) fn uptime_at(&self, now: Instant) -> u64 {
        let since = self.since.filter(|_| self.is_active());
        since.map_or(0, |since| (self.uptime + now.saturating_duration_since(since)).as_secs())
    }

    /// Bytes received, sent, read and written since it started, 0 when stopped.
    pub(crate) fn counters_at(&self, now: Instant) -> [u64; 4] {
        if self.is_active() { self.counters.at(now, self.power == Power::Running) } else { [0; 4] }
    }

    /// Settles what was counted until now, before something changes.
    pub(crate) fn count(&mut self, now: Instant) {
        self.counters.go_on(self.counters_at(now), now);
    }

    pub(crate) fn qmpstatus(&self) -> &str {
        match &self.power {
            Power::Stopped => "stopped",
            Power::Running => "running",
            Power::Paused => "paused",
            Power::Other(state) => state,
        }
    }

    pub(crate) fn mac_or_default(&self) -> String {
        let id = self.vmid;
        self.mac
            .clone()
            .unwrap_or_else(|| format!("BC:24:11:{:02X}:{:02X}:{:02X}", id >> 16 & 255, id >> 8 & 255, id & 255))
    }

    pub(crate) fn begin(&mut self, at: Instant) {
        self.power = Power::Running;
        self.uptime = Duration::ZERO;
        self.since = Some(at);
        self.counters.go_on([0; 4], at);
        self.lock = None;
        self.memory_used = if self.memory_used == 0 { self.memory / 2 } else { self.memory_used };
        for key in ["vmstate", "runningcpu", "runningmachine"] {
            self.config.remove(key);
        }
    }

    pub(crate) fn end(&mut self) {
        self.power = Power::Stopped;
        self.since = None;
    }
}
