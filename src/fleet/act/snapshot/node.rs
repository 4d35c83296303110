//! What is asked of nodes: the tasks that run there, how full their storages are, and whom they replicate.

use std::collections::HashMap;

use futures::future::{join, join_all, join4};

use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::act::preflight::is_console;
use crate::model::guest::ActiveTask;
use crate::model::id::{ClusterId, NodeName, VmId};
use crate::model::snapshot::StorageUse;
use crate::transport::pve::{NodeStorage, StorageSetup, ThinPool};

/// What is known of a node.
#[derive(Debug, Default)]
pub(super) struct NodeLook {
    tasks: Vec<ActiveTask>,
    pub(super) storages: Vec<StorageUse>,
    replications: Vec<(VmId, String)>,
}

impl NodeLook {
    /// The types of the tasks that work on a guest.
    pub(super) fn tasks_of(&self, vmid: VmId) -> Vec<String> {
        tasks_of(&self.tasks, vmid)
    }

    /// Where a guest is replicated to.
    pub(super) fn replicated_to(&self, vmid: VmId) -> Vec<String> {
        let own = self.replications.iter().filter(|(guest, _)| *guest == vmid);
        own.map(|(_, target)| target.clone()).collect()
    }
}

/// The types of the tasks that work on a guest, consoles aside.
pub(super) fn tasks_of(tasks: &[ActiveTask], vmid: VmId) -> Vec<String> {
    let id = vmid.to_string();
    let own = tasks.iter().filter(|task| task.id == id && !is_console(task));
    own.map(|task| task.kind.clone()).collect()
}

/// Nodes with the clusters that they belong to.
pub(super) type Nodes = HashMap<(ClusterId, NodeName), NodeLook>;

impl Fleet<'_> {
    /// Looks at the nodes of these guests, beside each other. What a node does not say is not known.
    pub(super) async fn look_at_nodes(&self, guests: &[(NodeName, Named<'_>)], clients: &ApiClients) -> Nodes {
        let mut places: Vec<(ClusterId, NodeName)> = Vec::new();
        for (node, named) in guests {
            let place = (named.cluster.clone(), node.clone());
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let mut clusters: Vec<&ClusterId> = places.iter().map(|(cluster, _)| cluster).collect();
        clusters.dedup();
        let setups = clusters.into_iter().map(|cluster| async move {
            let client = self.client_of(clients, cluster).await.ok();
            let setups = match client {
                Some(client) => client.storage_setups().await.unwrap_or_default(),
                None => Vec::new(),
            };
            (cluster.clone(), setups)
        });
        let setups: HashMap<ClusterId, Vec<StorageSetup>> = join_all(setups).await.into_iter().collect();
        let looks = places.into_iter().map(|(cluster, node)| {
            let setups = setups.get(&cluster).cloned().unwrap_or_default();
            async move {
                let look = self.look_at_node(&cluster, &node, &setups, clients).await.unwrap_or_default();
                ((cluster, node), look)
            }
        });
        join_all(looks).await.into_iter().collect()
    }

    async fn look_at_node(
        &self,
        cluster: &ClusterId,
        node: &NodeName,
        setups: &[StorageSetup],
        clients: &ApiClients,
    ) -> Option<NodeLook> {
        let client = self.client_of(clients, cluster).await.ok()?;
        let patience = self.limits.left(self.limits.host);
        let has_pools = setups.iter().any(|setup| setup.plugin == "lvmthin");
        let pools = async { if has_pools { client.thin_pools(node).await.unwrap_or_default() } else { Vec::new() } };
        let storages = tokio::time::timeout(patience, client.node_storages(node));
        let (tasks, storages, pools, replications) =
            join4(client.active_tasks(node), storages, pools, client.replications(node)).await;
        let storages = storages.ok().and_then(Result::ok).unwrap_or_default();
        Some(NodeLook {
            tasks: tasks.unwrap_or_default(),
            storages: storages.into_iter().map(|storage| usage(storage, setups, &pools)).collect(),
            replications: replications.unwrap_or_default(),
        })
    }

    /// The types of the tasks that work on a guest at this moment.
    pub(super) async fn tasks_now(&self, named: Named<'_>, node: &NodeName, clients: &ApiClients) -> Vec<String> {
        let Ok(client) = self.client_of(clients, named.cluster).await else { return Vec::new() };
        client.active_tasks(node).await.map(|tasks| tasks_of(&tasks, named.vmid)).unwrap_or_default()
    }

    /// The clusters of these guests that have no quorum, and how many of their nodes are online, in words.
    pub(super) async fn clusters_without_quorum(
        &self,
        guests: &[(NodeName, Named<'_>)],
        clients: &ApiClients,
    ) -> HashMap<ClusterId, String> {
        let mut lost = HashMap::new();
        let mut asked: Vec<&ClusterId> = Vec::new();
        for (_, named) in guests {
            if asked.contains(&named.cluster) {
                continue;
            }
            asked.push(named.cluster);
            if let Some(words) = self.lost_quorum(clients, named.cluster).await {
                lost.insert(named.cluster.clone(), words);
            }
        }
        lost
    }

    /// What was looked at of the nodes, and which clusters have no quorum.
    pub(super) async fn look_around(
        &self,
        guests: &[(NodeName, Named<'_>)],
        clients: &ApiClients,
    ) -> (Nodes, HashMap<ClusterId, String>) {
        join(self.look_at_nodes(guests, clients), self.clusters_without_quorum(guests, clients)).await
    }
}

/// How full a storage is, by all that is said of it.
fn usage(storage: NodeStorage, setups: &[StorageSetup], pools: &[ThinPool]) -> StorageUse {
    let setup = setups.iter().find(|setup| setup.name == storage.name);
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let percent = |used: u64, size: u64| (size > 0).then(|| used as f64 * 100.0 / size as f64);
    let pool = setup.and_then(|setup| {
        let name = setup.thin_pool.as_deref()?;
        let is_it = |pool: &&ThinPool| {
            pool.name == name && (pool.volume_group.is_none() || pool.volume_group == setup.volume_group)
        };
        pools.iter().find(is_it)
    });
    let metadata = pool.and_then(|pool| percent(pool.metadata_used?, pool.metadata_size?));
    StorageUse {
        plugin: storage.plugin,
        chains: setup.is_some_and(|setup| setup.chains),
        used_percent: storage.used_bytes.zip(storage.size_bytes).and_then(|(used, size)| percent(used, size)),
        free_bytes: storage.free_bytes,
        metadata_percent: metadata,
        name: storage.name,
    }
}
