//! What may happen to nodes while the cluster runs: their power, their services, quorum.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::node::{Service, Stats};

impl Cluster {
    /// Takes a node away at once: nothing listens, the others know it is offline, its guests' last numbers stay.
    pub fn stop_node(&mut self, name: &str) {
        let node = self.node_mut(name);
        (node.online, node.listening, node.silent, node.stats) = (false, false, false, Stats::Stale);
    }

    /// Five minutes after [`Cluster::stop_node`]: its guests become `unknown`, without names and numbers.
    pub fn expire_stats(&mut self, name: &str) {
        self.node_mut(name).stats = Stats::None;
        for guest in self.guests.iter_mut().filter(|guest| guest.node == name) {
            guest.end();
        }
    }

    /// Boots a node: its numbers are there, guests with `onboot` run, the others are stopped.
    pub fn start_node(&mut self, name: &str) {
        let now = self.clock.now();
        for guest in self.guests.iter_mut().filter(|guest| guest.node == name) {
            guest.end();
            if guest.config.get("onboot").is_some_and(|value| *value == 1) && guest.lock.is_none() {
                guest.begin(now);
            }
        }
        let node = self.node_mut(name);
        (node.online, node.listening, node.stats) = (true, true, Stats::Fresh);
        (node.uptime, node.since) = (Duration::ZERO, now);
        self.told_of_node(name);
    }

    /// Suspends a node: as [`Cluster::stop_node`], but nothing answers at its port, not even to refuse, and its guests go
    /// on when it wakes.
    pub fn suspend_node(&mut self, name: &str) {
        self.stop_node(name);
        self.node_mut(name).silent = true;
    }

    /// Wakes a suspended node.
    pub fn resume_node(&mut self, name: &str) {
        let node = self.node_mut(name);
        (node.online, node.listening, node.stats) = (true, true, Stats::Fresh);
        self.told_of_node(name);
    }

    /// Closes or opens the API's port of a node that stays online.
    pub fn set_listening(&mut self, name: &str, listening: bool) {
        self.node_mut(name).listening = listening;
    }

    /// Takes services of a node down, or up again.
    pub fn set_service(&mut self, name: &str, service: Service) {
        self.node_mut(name).service = service;
    }

    /// Sets whether pvestatd has sent a node's numbers.
    pub fn set_stats(&mut self, name: &str, stats: Stats) {
        self.node_mut(name).stats = stats;
        if stats == Stats::Fresh {
            self.told_of_node(name);
        }
    }

    /// Sets whether the cluster has a quorum.
    pub fn set_quorate(&mut self, quorate: bool) {
        self.quorate = quorate;
        self.access().set_quorate(quorate);
    }

    /// What `/cluster/status` says of quorum: the first answer since the membership changed.
    pub(crate) fn known_quorate(&mut self) -> bool {
        let members: Vec<bool> = self.nodes.iter().map(|node| node.online).collect();
        match &self.known_quorate {
            Some((known, quorate)) if *known == members => *quorate,
            _ => {
                self.known_quorate = Some((members, self.quorate));
                self.quorate
            }
        }
    }

    /// Whether an image of a virtual machine's memory was left behind.
    pub fn has_left_image(&mut self, vmid: u32) -> bool {
        self.settle();
        self.left_images.contains(&vmid)
    }

    /// Gives a node another name, and a certificate for that; its guests go with it. Tests go on calling it by its first.
    pub fn rename_node(&mut self, name: &str, new: &str) {
        let old = self.node_mut(name).name.clone();
        for guest in self.guests.iter_mut().filter(|guest| guest.node == old) {
            new.clone_into(&mut guest.node);
        }
        let ip = self.node_mut(name).ip;
        let identity = self.ca.issue_node(new, ip, None);
        let node = self.node_mut(name);
        new.clone_into(&mut node.name);
        node.identity = identity;
    }
}
