//! A node of the cluster: its numbers, its certificate, its services and what is wrong with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::fault::Rule;
use crate::history::History;
use crate::tls::Identity;

/// Where pvestatd's numbers of a node stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stats {
    /// Sent every ten seconds.
    Fresh,
    /// The node is gone, its last numbers are still shown (for up to five minutes).
    Stale,
    /// None: just started, or gone for longer.
    None,
}

/// Which of a node's services are down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// All of them run.
    Up,
    /// pvedaemon is down: protected calls answer 595.
    PvedaemonDown,
    /// pmxcfs is down: everything answers 500.
    PmxcfsDown,
}

/// One node. Built by the methods that take `self`.
#[derive(Debug)]
pub struct Node {
    pub(crate) name: String,
    /// The name it began with.
    pub(crate) first_name: String,
    pub(crate) ip: IpAddr,
    pub(crate) online: bool,
    pub(crate) listening: bool,
    /// While it does not listen nothing refuses a connection either.
    pub(crate) silent: bool,
    pub(crate) stats: Stats,
    pub(crate) service: Service,
    pub(crate) cpus: u32,
    pub(crate) cpu: f64,
    pub(crate) loadavg: [f64; 3],
    pub(crate) memory: u64,
    pub(crate) memory_used: u64,
    pub(crate) disk: u64,
    pub(crate) disk_used: u64,
    /// Bytes received and sent a second; only the history has them.
    pub(crate) rates: (u64, u64),
    pub(crate) history: History,
    pub(crate) uptime: Duration,
    pub(crate) since: Instant,
    pub(crate) wakeonlan: Option<String>,
    pub(crate) identity: Identity,
    /// What `/nodes` names as its fingerprint, where that is not the certificate that it serves.
    pub(crate) listed: Option<String>,
    pub(crate) rules: Vec<Rule>,
    /// The most tasks that ran at one time.
    pub(crate) most_tasks: usize,
    pub(crate) address: SocketAddr,
}

impl Node {
    pub(crate) fn new(name: &str, ip: IpAddr, identity: Identity, now: Instant) -> Node {
        Node {
            name: name.to_owned(),
            first_name: name.to_owned(),
            ip,
            online: true,
            listening: true,
            silent: false,
            stats: Stats::Fresh,
            service: Service::Up,
            cpus: 8,
            cpu: 0.08,
            loadavg: [0.42, 0.37, 0.31],
            memory: 32 << 30,
            memory_used: 8 << 30,
            disk: 100 << 30,
            disk_used: 20 << 30,
            rates: (0, 0),
            history: History::default(),
            uptime: Duration::from_secs(86_400),
            since: now,
            wakeonlan: None,
            identity,
            listed: None,
            rules: Vec::new(),
            most_tasks: 0,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// Whether it is called so, or was.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name || self.first_name == name
    }

    /// CPUs and memory in bytes.
    #[must_use]
    pub fn size(mut self, cpus: u32, memory: u64) -> Node {
        self.cpus = cpus;
        self.memory = memory;
        self
    }

    /// CPU use as a fraction, and memory in use in bytes.
    #[must_use]
    pub fn load(mut self, cpu: f64, memory_used: u64) -> Node {
        self.cpu = cpu;
        self.memory_used = memory_used;
        self
    }

    /// Load averages over one, five and fifteen minutes.
    #[must_use]
    pub fn loadavg(mut self, loadavg: [f64; 3]) -> Node {
        self.loadavg = loadavg;
        self
    }

    /// Bytes received and sent a second, as its history shows them.
    #[must_use]
    pub fn rates(mut self, received: u64, sent: u64) -> Node {
        self.rates = (received, sent);
        self
    }

    /// Size of the root file system and what is used of it, in bytes.
    #[must_use]
    pub fn disk(mut self, size: u64, used: u64) -> Node {
        self.disk = size;
        self.disk_used = used;
        self
    }

    /// The address that the cluster knows it by (its API listens on loopback).
    #[must_use]
    pub fn ip(mut self, ip: &str) -> Node {
        self.ip = ip.parse().expect("an IP address");
        self
    }

    /// Where its API listens, a free port of 127.0.0.1 unless told otherwise.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Node {
        self.address = address;
        self
    }

    /// Seconds since it booted.
    #[must_use]
    pub fn uptime(mut self, seconds: u64) -> Node {
        self.uptime = Duration::from_secs(seconds);
        self
    }

    /// The hardware address in its `wakeonlan` setting.
    #[must_use]
    pub fn wakeonlan(mut self, mac: &str) -> Node {
        self.wakeonlan = Some(mac.to_owned());
        self
    }

    /// Has been off for long: nothing listens, no numbers.
    #[must_use]
    pub fn offline(mut self) -> Node {
        self.online = false;
        self.listening = false;
        self.stats = Stats::None;
        self
    }

    /// Seconds since it booted.
    pub(crate) fn uptime_at(&self, now: Instant) -> u64 {
        (self.uptime + now.saturating_duration_since(self.since)).as_secs()
    }
}

/// A storage, on all nodes (shared) or one.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) name: String,
    pub(crate) node: Option<String>,
    pub(crate) plugin: String,
    pub(crate) content: String,
    pub(crate) size: u64,
    pub(crate) used: u64,
    pub(crate) active: bool,
}
