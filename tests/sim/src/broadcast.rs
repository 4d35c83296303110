//! What `/cluster/resources` knows of guests' and nodes' states and numbers: what each node's pvestatd said last. Where a guest
//! is, its lock, tags, pool and HA state come from the configuration, per request: one row mixes old and new.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

use crate::api::view;
use crate::cluster::Cluster;
use crate::node::Stats;

/// What was said last.
#[derive(Debug)]
pub(crate) struct Broadcast {
    /// When all nodes spoke last.
    at: Instant,
    /// State, name and numbers of each guest, as a row of the listing has them.
    guests: BTreeMap<u32, Map<String, Value>>,
    /// When each node spoke last.
    nodes: BTreeMap<String, Instant>,
    /// What tests change is not told.
    muted: bool,
}

impl Broadcast {
    pub(crate) fn new(at: Instant) -> Broadcast {
        Broadcast { at, guests: BTreeMap::new(), nodes: BTreeMap::new(), muted: false }
    }

    /// What is known of a guest; `None`: nobody has spoken of it yet.
    pub(crate) fn of_guest(&self, vmid: u32) -> Option<&Map<String, Value>> {
        self.guests.get(&vmid)
    }

    /// When a node spoke last.
    pub(crate) fn of_node(&self, name: &str) -> Option<Instant> {
        self.nodes.get(name).copied()
    }
}

impl Cluster {
    /// All nodes say now how they and their guests are, as they do by themselves every [`crate::Timing::broadcast`].
    pub fn broadcast(&mut self) {
        self.settle();
        self.broadcast_now();
    }

    /// What a test changes is in the listing at once, as if it had happened a while ago. What it changes here is not: the
    /// listing learns of it from the next broadcast, as of what tasks do.
    pub fn unheard<R>(&mut self, change: impl FnOnce(&mut Cluster) -> R) -> R {
        self.settle();
        let muted = std::mem::replace(&mut self.broadcast.muted, true);
        let result = change(self);
        self.broadcast.muted = muted;
        result
    }

    /// The same by themselves, where it is time.
    pub(crate) fn broadcast_when_due(&mut self) {
        if self.clock.now().saturating_duration_since(self.broadcast.at) >= self.timing.broadcast {
            self.broadcast_now();
        }
    }

    pub(crate) fn broadcast_now(&mut self) {
        let now = self.clock.now();
        self.broadcast.at = now;
        let silent = |name: &str| self.nodes.iter().any(|node| node.name == name && node.stats != Stats::Fresh);
        let speaking: Vec<u32> =
            self.guests.iter().filter(|guest| !silent(&guest.node)).map(|guest| guest.vmid).collect();
        let nodes = self.nodes.iter().filter(|node| node.stats == Stats::Fresh).map(|node| (node.name.clone(), now));
        self.broadcast.nodes.extend(nodes.collect::<Vec<_>>());
        for vmid in speaking {
            self.hear(vmid, now);
        }
        let there: std::collections::BTreeSet<u32> = self.guests.iter().map(|guest| guest.vmid).collect();
        self.broadcast.guests.retain(|vmid, _| there.contains(vmid));
    }

    /// A test has changed this guest.
    pub(crate) fn told(&mut self, vmid: u32) {
        if !self.broadcast.muted {
            self.hear(vmid, self.clock.now());
        }
    }

    /// A test has changed this node and its guests.
    pub(crate) fn told_of_node(&mut self, name: &str) {
        if self.broadcast.muted {
            return;
        }
        let now = self.clock.now();
        self.broadcast.nodes.insert(name.to_owned(), now);
        let here: Vec<u32> = self.guests.iter().filter(|guest| guest.node == name).map(|guest| guest.vmid).collect();
        here.into_iter().for_each(|vmid| self.hear(vmid, now));
    }

    fn hear(&mut self, vmid: u32, now: Instant) {
        let row = self.find(vmid).map(|guest| view::broadcast(guest, &self.version, now));
        if let Some(row) = row {
            self.broadcast.guests.insert(vmid, row);
        }
    }
}
