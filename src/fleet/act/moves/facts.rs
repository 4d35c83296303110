//! What is asked before a migration: the cluster once, and each guest's own node about the guest.

use std::collections::{BTreeSet, HashMap};

use futures::future::{join, join_all};

use super::Around;
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::model::guest::{GuestConfig, GuestStatus};
use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId, VmId};
use crate::model::inventory::Server;
use crate::model::migrate::ha::{HaStatus, StrictNodes};
use crate::model::migrate::{MovingGuest, TargetNode, Volume};
use crate::model::power::PowerState;
use crate::model::upkeep::Storage;
use crate::transport::Error;
use crate::transport::pve::Client;

/// What is known of a cluster.
#[derive(Debug)]
pub(in crate::fleet::act) struct ClusterFacts {
    pub(in crate::fleet::act) nodes: Vec<TargetNode>,
    pub(in crate::fleet::act) ha: HaStatus,
    strict: Vec<StrictNodes>,
    replication: Vec<(VmId, NodeName)>,
    /// What is allocated to guests.
    memory: HashMap<VmId, u64>,
    /// Storages that all nodes share.
    shared: BTreeSet<String>,
    /// Storages that are LVM thin pools.
    thin_pools: BTreeSet<String>,
}

impl ClusterFacts {
    /// What a container has; on a storage that all nodes share nothing has to be copied.
    fn volumes_of(&self, config: Option<&GuestConfig>) -> Vec<Volume> {
        let mut volumes = config.map(|config| config.volumes.clone()).unwrap_or_default();
        for volume in &mut volumes {
            volume.shared |= volume.storage.as_ref().is_some_and(|storage| self.shared.contains(storage));
        }
        volumes
    }
}

/// What was seen of a guest a moment ago.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    state: PowerState,
    lock: Option<String>,
    ha: Option<String>,
}

impl Seen {
    pub(super) fn of(server: &Server) -> Seen {
        Seen { state: server.seen.state, lock: server.lock.clone(), ha: server.ha_state.clone() }
    }

    pub(super) fn now(status: &GuestStatus) -> Seen {
        let ha = status.ha_managed.then(|| status.ha_state.clone().unwrap_or_else(|| "started".to_owned()));
        Seen { state: status.state, lock: status.lock.clone(), ha }
    }
}

/// Whether a guest's CPU type asks for a look at the processors.
pub(super) fn is_of_a_cpu(config: &GuestConfig) -> bool {
    config.cpu.as_deref().is_some_and(|kind| kind == "host" || kind == "max" || kind.starts_with("x86-64-v"))
}

impl Fleet<'_> {
    /// Asks a cluster. What a token may not read is left open: Proxmox VE has the last word.
    pub(super) async fn cluster_facts(
        &self,
        clients: &ApiClients,
        cluster: &ClusterId,
        servers: &[Server],
        around: &Around,
    ) -> Result<ClusterFacts, Error> {
        let client = self.client_of(clients, cluster).await?;
        let (listing, (ha, (strict, (replication, storages)))) = join(
            client.listing(),
            join(client.ha_status(), join(client.ha_strict_nodes(), join(client.replication(), client.storages()))),
        )
        .await;
        let listing = listing?;
        let ha = ha.unwrap_or_default();
        let storages = storages.unwrap_or_default();
        let is = |list: &[(ClusterId, NodeName)], node: &NodeName| list.iter().any(|(c, n)| c == cluster && n == node);
        let nodes = listing.nodes.iter().map(|node| {
            let host = self.host_of_node(cluster, &node.name, servers);
            let there: BTreeSet<String> = storages
                .iter()
                .filter(|storage| storage.node == node.name)
                .map(|storage| storage.name.clone())
                .collect();
            let woken = is(&around.woken, &node.name) && node.online != Some(true);
            let free = node.usage.memory_max_bytes.zip(node.usage.memory_bytes);
            TargetNode {
                name: node.name.clone(),
                host,
                online: node.online == Some(true),
                is_woken_first: woken,
                leaves: is(&around.leaving, &node.name),
                in_maintenance: ha.maintenance.contains(&node.name),
                free: free.filter(|_| !woken).map(|(all, used)| all.get().saturating_sub(used.get())),
                storages: (!there.is_empty() && !woken).then_some(there),
                cpu: None,
            }
        });
        let memory = listing.guests.iter().filter_map(|guest| Some((guest.vmid, guest.usage.memory_max_bytes?.get())));
        let names = |which: fn(&Storage) -> bool| -> BTreeSet<String> {
            storages.iter().filter(|storage| which(storage)).map(|storage| storage.name.clone()).collect()
        };
        Ok(ClusterFacts {
            nodes: nodes.collect(),
            ha,
            strict: strict.unwrap_or_default(),
            replication: replication.unwrap_or_default(),
            memory: memory.collect(),
            shared: names(|storage| storage.shared),
            thin_pools: names(|storage| storage.plugin.as_deref() == Some("lvmthin")),
        })
    }

    /// The configured host that a node is. One that was not asked is known by its name.
    fn host_of_node(&self, cluster: &ClusterId, node: &NodeName, servers: &[Server]) -> Option<ServerId> {
        let is_it = |server: &&Server| {
            server.vmid.is_none() && server.cluster.as_ref() == Some(cluster) && server.node.as_ref() == Some(node)
        };
        let seen = servers.iter().find(is_it).map(|server| server.id.clone());
        let named = || self.config.servers.iter().find(|server| server.id.as_str() == node.as_str());
        seen.or_else(|| named().map(|server| server.id.clone()))
    }

    /// Asks the nodes that are online for their processors.
    pub(super) async fn add_cpus(&self, clients: &ApiClients, cluster: &ClusterId, facts: &mut ClusterFacts) {
        let Ok(client) = self.client_of(clients, cluster).await else { return };
        let asked = facts.nodes.iter_mut().filter(|node| node.online).map(|node| {
            let client = client.clone();
            async move { node.cpu = client.node_cpu(&node.name).await.ok().flatten() }
        });
        join_all(asked).await;
    }

    /// What decides about moving a guest. `config`: what its configuration says, where it was read already.
    #[expect(clippy::too_many_arguments, reason = "who it is, where it is, and what is known of it")]
    pub(super) async fn moving_guest(
        &self,
        clients: &ApiClients,
        facts: &ClusterFacts,
        cluster: &ClusterId,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
        seen: &Seen,
        config: Option<&GuestConfig>,
    ) -> Result<MovingGuest, Error> {
        let client = self.client_of(clients, cluster).await?;
        let mut precondition = precondition(&client, node, kind, vmid).await?;
        for disk in precondition.iter_mut().flat_map(|told| &mut told.local_disks) {
            disk.on_thin_pool =
                disk.volid.split_once(':').is_some_and(|(storage, _)| facts.thin_pools.contains(storage));
        }
        let sid = format!("{}:{vmid}", if kind == GuestKind::Qemu { "vm" } else { "ct" });
        let strict = facts.strict.iter().find(|rule| rule.guests.contains(&sid));
        let replicated = facts.replication.iter().filter(|(guest, _)| *guest == vmid);
        let managed = seen.ha.as_deref().is_some_and(|state| state != "ignored");
        Ok(MovingGuest {
            kind,
            vmid,
            node: node.clone(),
            state: seen.state,
            lock: config.and_then(|config| config.lock.clone()).or_else(|| seen.lock.clone()),
            ha: seen.ha.clone(),
            memory: facts.memory.get(&vmid).copied(),
            cpu: config.and_then(|config| config.cpu.clone()),
            volumes: facts.volumes_of(config),
            precondition,
            replicated_to: replicated.map(|(_, target)| target.clone()).collect(),
            ha_nodes: strict.filter(|_| managed).map(|rule| rule.nodes.clone()),
        })
    }
}

/// What Proxmox VE says beforehand. Of a guest that is locked it says nothing, nor to a token without the privilege: both
/// are found by themselves.
async fn precondition(
    client: &Client,
    node: &NodeName,
    kind: GuestKind,
    vmid: VmId,
) -> Result<Option<crate::model::migrate::Precondition>, Error> {
    match client.migrate_precondition(node, kind, vmid).await {
        Err(Error::Denied { .. }) => Ok(None),
        Err(Error::Api { reason, .. }) if reason.contains("is locked (") || reason.contains("no quorum") => Ok(None),
        told => told,
    }
}
