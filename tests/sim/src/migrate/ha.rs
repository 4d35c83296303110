//! HA's part: it takes what it is asked for in its next round, or drops it and says so only in its journal.

use std::time::Instant;

use serde_json::{Value, json};

use super::Migration;
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::power::{Action, Work};

impl Cluster {
    /// HA's round in which it looks at a request.
    pub(crate) fn take_ha_move(&mut self, vmid: u32, to: usize, _: Instant) {
        let Some(target) = self.nodes.get(to).map(|node| node.name.clone()) else { return };
        let Some(guest) = self.find(vmid).cloned() else { return };
        let strict = strict_nodes(self, &guest);
        let allowed = strict.as_ref().is_none_or(|nodes| nodes.contains(&target));
        let online = self.is_online(&target) && !self.moves.maintenance.contains(&target);
        if self.moves.drops || !allowed || !online || !guest.is_ha_managed() || guest.ha.as_deref() == Some("error") {
            return;
        }
        let along: Vec<u32> = dependent(self, &guest).into_iter().map(|(vmid, _)| vmid).collect();
        for vmid in std::iter::once(vmid).chain(along) {
            let Some(guest) = self.find(vmid).cloned() else { continue };
            let before = guest.ha.clone();
            self.guest_mut(vmid).ha = Some("migrate".to_owned());
            self.moving.insert(vmid, before.unwrap_or_else(|| "started".to_owned()));
            let migration = Migration {
                target: target.clone(),
                restart: true,
                with_local_disks: true,
                mapped: false,
                forced: true,
            };
            let work = Work::migration(&guest, &guest.node, false, migration);
            self.spawn(&guest.node, work.task_kind(), &vmid.to_string(), "root@pam", work);
        }
    }

    /// The task that HA started has ended: what HA says of the guest is as before.
    pub(crate) fn end_ha_move(&mut self, vmid: u32) {
        if let Some(before) = self.moving.remove(&vmid) {
            self.guest_mut(vmid).ha = Some(before);
        }
    }
}

impl Work {
    /// What a migration is started with.
    pub(crate) fn migration(guest: &Guest, node: &str, through_ha: bool, migration: Migration) -> Work {
        Work { through_ha, migration: Some(migration), ..Work::on_guest(node, guest.kind, guest.vmid, Action::Reset) }
    }
}

fn sid(guest: &Guest) -> String {
    format!("{}:{}", guest.kind.ha_word(), guest.vmid)
}

/// The nodes that a strict rule allows a guest.
fn strict_nodes(cluster: &Cluster, guest: &Guest) -> Option<Vec<String>> {
    let of_it = |rule: &&Value| {
        rule["type"] == "node-affinity"
            && rule["strict"] == 1
            && rule["resources"].as_str().unwrap_or_default().split(',').any(|one| one == sid(guest))
    };
    let rule = cluster.moves.rules.iter().find(of_it)?;
    // `pve1:2` is a node with its priority.
    let nodes = rule["nodes"].as_str().unwrap_or_default().split(',').filter_map(|node| node.split(':').next());
    Some(nodes.map(str::to_owned).collect())
}

/// The guests that HA moves along.
pub(crate) fn dependent(cluster: &Cluster, guest: &Guest) -> Vec<(u32, String)> {
    let own = sid(guest);
    let rules = cluster.moves.rules.iter().filter(|rule| {
        rule["type"] == "resource-affinity"
            && rule["affinity"] == "positive"
            && rule["resources"].as_str().unwrap_or_default().split(',').any(|one| one == own)
    });
    let others = rules.flat_map(|rule| rule["resources"].as_str().unwrap_or_default().split(','));
    let others = others.filter(|one| *one != own);
    others.filter_map(|one| Some((one.split_once(':')?.1.parse().ok()?, one.to_owned()))).collect()
}

/// The rows of HA's status beside quorum and services.
pub(crate) fn node_rows(cluster: &Cluster) -> Vec<Value> {
    let Some(master) = cluster.nodes.first() else { return Vec::new() };
    let managed = cluster.guests.iter().any(|guest| guest.ha.is_some());
    if !managed && cluster.moves.maintenance.is_empty() {
        return Vec::new();
    }
    let at = 1_795_967_030_u64;
    let mut rows = vec![json!({
        "id": "master", "type": "master", "node": master.name, "timestamp": at,
        "status": format!("{} (active, Sun Nov 29 15:43:50 2026)", master.name),
    })];
    rows.push(json!({
        "id": "fencing", "type": "fencing", "node": master.name, "status": "armed (CRM watchdog active)",
        "armed-state": "armed",
    }));
    rows.extend(cluster.nodes.iter().filter(|node| node.online).map(|node| {
        let mode = if cluster.moves.maintenance.contains(&node.name) { "maintenance mode" } else { "active" };
        let status = format!("{} ({mode}, watchdog active, Sun Nov 29 15:43:51 2026)", node.name);
        json!({ "id": format!("lrm:{}", node.name), "type": "lrm", "node": node.name, "timestamp": at, "status": status })
    }));
    rows
}

/// What HA says of a guest: its state, and what it was asked for.
pub(crate) fn service_states<'g>(cluster: &'g Cluster, guest: &'g Guest) -> Option<(&'g str, &'g str)> {
    let state = guest.ha.as_deref()?;
    Some((state, cluster.moving.get(&guest.vmid).map_or(state, String::as_str)))
}
