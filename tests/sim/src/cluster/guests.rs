//! What may happen to guests while the cluster runs.

use crate::cluster::Cluster;
use crate::guest::{Guest, Kind};

impl Cluster {
    /// Adds a guest.
    pub fn add_guest(&mut self, kind: Kind, vmid: u32, name: &str, describe: impl FnOnce(Guest) -> Guest) {
        assert!(self.find(vmid).is_none(), "guest {vmid} exists already");
        let node = self.nodes.first().map(|node| node.name.clone()).unwrap_or_default();
        let mut guest = describe(Guest::new(kind, vmid, name, &node));
        let now = self.clock.now();
        guest.since = Some(now);
        guest.counters.go_on(guest.counters.bytes, now);
        assert!(self.nodes.iter().any(|node| node.name == guest.node), "no node {}", guest.node);
        let pooled = guest.pool.is_some();
        self.guests.push(guest);
        self.told(vmid);
        if pooled {
            self.sync_pools();
        }
    }

    /// Changes a guest in place.
    pub fn change_guest(&mut self, vmid: u32, change: impl FnOnce(Guest) -> Guest) {
        self.settle();
        let now = self.clock.now();
        let guest = self.guest_mut(vmid);
        guest.count(now);
        let was_active = guest.is_active();
        *guest = change(guest.clone());
        if guest.is_active() && !was_active {
            guest.since = Some(now);
        }
        self.told(vmid);
        self.sync_pools();
    }

    /// Stops a guest from inside, or by a crash.
    pub fn crash_guest(&mut self, vmid: u32) {
        self.settle();
        self.guest_mut(vmid).end();
        self.told(vmid);
    }

    /// Gives a guest another name.
    pub fn rename_guest(&mut self, vmid: u32, name: &str) {
        self.guest_mut(vmid).name = (!name.is_empty()).then(|| name.to_owned());
        self.told(vmid);
    }

    /// Moves a guest to another node, running or not.
    pub fn migrate_guest(&mut self, vmid: u32, node: &str) {
        self.settle();
        node.clone_into(&mut self.guest_mut(vmid).node);
    }

    /// Destroys a guest.
    pub fn remove_guest(&mut self, vmid: u32) {
        self.settle();
        self.guests.retain(|guest| guest.vmid != vmid);
        self.sync_pools();
    }

    /// Destroys a guest, and gives its number to another one on the same node.
    pub fn replace_guest(&mut self, vmid: u32, kind: Kind, name: &str, describe: impl FnOnce(Guest) -> Guest) {
        let node = self.guest_mut(vmid).node.clone();
        self.remove_guest(vmid);
        self.add_guest(kind, vmid, name, |guest| describe(guest.on(&node)));
    }
}
