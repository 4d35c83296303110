//! What has to be looked after in a cluster, asked of the first of its hosts that answers: the token's end, storages, backups.

use std::collections::HashMap;

use jiff::SignedDuration;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::model::check::host::{HostSeen, UpkeepSeen};
use crate::model::id::{ClusterId, NodeName};
use crate::model::inventory::{Inventory, Server};
use crate::model::upkeep::Storage;
use crate::transport::Error;
use crate::transport::pve::Client;

/// A backup that failed this long ago, and was not tried since, is nobody's business any more.
const OLD: SignedDuration = SignedDuration::from_hours(8 * 24);

impl Fleet<'_> {
    /// What is to be looked after in each cluster, beside the place of the host that is asked.
    pub(super) async fn upkeep_seen(
        &self,
        hosts: &[&ServerConfig],
        seen: &[HostSeen],
        clients: &[Option<Client>],
        known: &Inventory,
    ) -> Vec<(usize, UpkeepSeen)> {
        let mut first: HashMap<ClusterId, usize> = HashMap::new();
        // A node that its cluster has lost sees none of the others.
        let mut places: Vec<(bool, usize)> = Vec::new();
        for (place, seen) in seen.iter().enumerate() {
            if let (Some(_), Some(Ok(api))) = (&clients[place], &seen.api) {
                places.push((api.quorate == Some(false), place));
            }
        }
        places.sort_unstable();
        for (_, place) in places {
            first.entry(self.cluster_of(&hosts[place].id)).or_insert(place);
        }
        let mut looks: Vec<(ClusterId, usize)> = first.into_iter().collect();
        looks.sort_by_key(|(_, place)| *place);
        let after = self.limits.left(self.limits.host);
        let asked = looks.into_iter().filter_map(|(cluster, place)| Some((cluster, place, clients[place].as_ref()?)));
        let asked = asked.map(|(cluster, place, client)| async move {
            let server = hosts[place];
            let look = self.upkeep_of(server, &cluster, client, known);
            let late = || UpkeepSeen { storages: Some(Err("no answer in time".to_owned())), ..UpkeepSeen::default() };
            (place, tokio::time::timeout(after, look).await.unwrap_or_else(|_| late()))
        });
        futures::future::join_all(asked).await
    }

    async fn upkeep_of(
        &self,
        server: &ServerConfig,
        cluster: &ClusterId,
        client: &Client,
        known: &Inventory,
    ) -> UpkeepSeen {
        let now = self.now();
        let term = client.token_term().await;
        let left = |ends: jiff::Timestamp| ends.as_second() - now.as_second();
        let nodes = client.nodes().await.unwrap_or_default();
        let offline = nodes.iter().filter(|node| node.online == Some(false)).map(|node| node.name.clone()).collect();
        let online: Vec<NodeName> =
            nodes.into_iter().filter(|node| node.online == Some(true)).map(|node| node.name).collect();
        UpkeepSeen {
            offline,
            token: Some(client.token_id().clone()),
            token_left: Some(term.map(|term| term.ends.map(left)).map_err(|error| error.to_string())),
            storages: Some(storages(client, &online).await.map_err(|error| error.to_string())),
            failed_backups: Some(self.failed_backups(cluster, client, &online, known).await),
            token_is_given: self.has_given_token(server),
        }
    }

    /// The guests whose last backup failed, and that exist.
    async fn failed_backups(
        &self,
        cluster: &ClusterId,
        client: &Client,
        nodes: &[NodeName],
        known: &Inventory,
    ) -> Result<Vec<(String, i64, String)>, String> {
        self.ask_backups(cluster, client, nodes).await.map_err(|error| error.to_string())?;
        let kept = self.kept_backups(cluster).map_err(|error| error.to_string())?;
        let now = self.now();
        let guests = known.servers.iter().filter(|server| server.cluster.as_ref() == Some(cluster));
        let failed = guests.filter_map(|guest: &Server| {
            let last = kept.last.get(&guest.vmid?)?;
            let (at, why) = last.failure()?;
            let ago = now.duration_since(at);
            (ago < OLD).then(|| (guest.called(), ago.as_secs().max(0), why.to_owned()))
        });
        Ok(failed.collect())
    }
}

/// The storages of nodes that are online. One that its node could not use lately is asked about once more: it may be
/// switched off, which is no trouble.
async fn storages(client: &Client, online: &[NodeName]) -> Result<Vec<Storage>, Error> {
    let mut all = client.storages().await?;
    all.retain(|storage| online.contains(&storage.node));
    let mut doubtful: Vec<NodeName> =
        all.iter().filter(|storage| !storage.available).map(|storage| storage.node.clone()).collect();
    doubtful.sort();
    doubtful.dedup();
    for node in doubtful {
        match client.node_storages(&node).await {
            Ok(now) => all.retain_mut(|storage| {
                if storage.node != node || storage.available {
                    return true;
                }
                let Some(told) = now.iter().find(|told| told.name == storage.name) else { return false };
                storage.available = told.active;
                told.enabled
            }),
            // Nobody says: neither that it works nor that it does not.
            Err(_) => all.retain(|storage| storage.node != node || storage.available),
        }
    }
    Ok(all)
}
