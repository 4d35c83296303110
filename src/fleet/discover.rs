//! Guests of each host or cluster: what is new, changed, moved, gone; and their addresses.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::api::{Group, Listed};
use crate::fleet::assemble::failures;
use crate::fleet::per_node::per_node;
use crate::model::address::{Network, ranked};
use crate::model::id::{ClusterId, GuestKind, ServerId, VmId};
use crate::model::inventory::Failed;
use crate::model::power::PowerState;
use crate::model::server::{Address, Guest, Listing};
use crate::state::{Change, KnownGuest, StateError, What, is_fresh};
use crate::transport::Error;
use crate::transport::pve::{AgentAnswer, Client};

/// What came of asking one guest for its addresses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    /// It does not run.
    Skipped,
    Found(Vec<Address>),
    /// Why there are none: what was known before stays.
    Silent(String),
}

/// One guest of a discovery.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: ServerId,
    pub(crate) parent: ServerId,
    pub(crate) guest: KnownGuest,
    pub(crate) asked: Asked,
    pub(crate) changes: Vec<Change>,
}

/// What one discovery found.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    /// All guests, by host and number; those that went away in this run too.
    pub(crate) guests: Vec<Found>,
    pub(crate) failures: Vec<Failed>,
    /// Clusters that were asked and answered.
    pub(crate) answered: usize,
    /// Clusters that were fresh enough not to be asked.
    pub(crate) fresh: usize,
}

impl<'a> Fleet<'a> {
    /// Reads the guests of the clusters that `wanted` hosts belong to (all, if it is empty) and keeps them.
    ///
    /// # Errors
    /// Only the state file's; hosts that fail are in the answer.
    pub(crate) async fn discover(&self, wanted: &[ServerId], if_stale: bool) -> Result<Discovery, StateError> {
        self.tell_clusters_apart().await?;
        let mut groups = self.groups();
        groups.retain(|group| wanted.is_empty() || wanted.iter().any(|server| group.has(server)));
        let asked = groups.len();
        if if_stale {
            let age = SignedDuration::try_from(self.config.settings.vm_discovery_interval).unwrap_or_default();
            let mut stale = Vec::new();
            for group in groups {
                let at = self.state.discovered_at(&group.cluster)?;
                if !at.is_some_and(|at| is_fresh(at, self.now(), age)) {
                    stale.push(group);
                }
            }
            groups = stale;
        }
        let mut discovery = Discovery { fresh: asked - groups.len(), ..Discovery::default() };
        for part in join_all(groups.iter().map(|group| self.discover_cluster(group))).await {
            let part = part?;
            discovery.guests.extend(part.guests);
            discovery.failures.extend(part.failures);
            discovery.answered += part.answered;
        }
        self.tidy(self.now())?;
        Ok(discovery)
    }

    async fn discover_cluster(&self, group: &Group<'a>) -> Result<Discovery, StateError> {
        let answer = self.listing(group).await;
        let at = self.now();
        self.state.record_runs(&answer.runs().collect::<Vec<_>>(), at)?;
        let failures = failures(&answer);
        let Some(listed) = answer.listed else {
            return Ok(Discovery { failures, ..Discovery::default() });
        };
        let (asked, now) = self.ask_guests(group, &listed, at).await?;
        // What `status` saw since the last discovery was not told yet; power changes are told when they are seen.
        let mut changes = self.state.take_changes(&group.cluster)?;
        changes.extend(now.into_iter().filter(|change| matches!(change.what, What::Power { .. })));
        tracing::info!(
            proxmox_host = listed.via.as_str(),
            vm_count = listed.listing.guests.iter().filter(|guest| !guest.template).count(),
            changes = changes.len(),
            "discovered"
        );
        Ok(Discovery { guests: self.found(group, asked, changes)?, failures, answered: 1, fresh: 0 })
    }

    /// Looks at one cluster as `discover` does, and leaves what changed to be told by it. Says whether anybody answered.
    pub(super) async fn rediscover(&self, cluster: &ClusterId) -> Result<bool, StateError> {
        let groups = self.groups();
        let Some(group) = groups.iter().find(|group| group.cluster == *cluster) else { return Ok(false) };
        let Some(listed) = self.listing(group).await.listed else { return Ok(false) };
        self.ask_guests(group, &listed, self.now()).await?;
        self.keep_client(listed.client);
        Ok(true)
    }

    /// Keeps a listing, and asks its guests for their addresses. Gives what they said, and what the listing changed.
    async fn ask_guests(
        &self,
        group: &Group<'a>,
        listed: &Listed,
        at: Timestamp,
    ) -> Result<(HashMap<VmId, Asked>, Vec<Change>), StateError> {
        let Listed { via, listing, client, .. } = listed;
        if let Some(server) = group.members.iter().find(|member| member.id == *via) {
            self.learn_own_node(group, server, listing).await?;
        }
        let silent = self.silent_agents(group)?;
        let changes = self.state.record_listing(&group.cluster, listing, via, at)?.changes;
        self.record_listed(group, listing, at)?;
        let asked = self.addresses(group, client, listing, &silent).await;
        let found: Vec<_> = asked
            .iter()
            .filter_map(|(vmid, asked)| match asked {
                Asked::Found(addresses) => Some((*vmid, addresses.clone())),
                _ => None,
            })
            .collect();
        self.state.put_discovered(&group.cluster, at)?;
        self.state.record_addresses(&group.cluster, &found, at)?;
        Ok((asked, changes))
    }

    /// Which node a server is that no visit told: once, from its certificate.
    async fn learn_own_node(
        &self,
        group: &Group<'a>,
        server: &ServerConfig,
        listing: &Listing,
    ) -> Result<(), StateError> {
        if self.known.borrow().members.contains_key(&server.id) {
            return Ok(());
        }
        // With others about that it may belong to, `tell_clusters_apart` decides.
        if self.hosts().filter(|server| self.is_pve(server)).count() > 1 {
            return Ok(());
        }
        let node = match listing.nodes.as_slice() {
            [only] => Some(only.name.clone()),
            _ => match self.node_of(&server.id) {
                Some(node) => Some(node),
                None => self.certified_nodes(server).await.ok().and_then(|nodes| nodes.own),
            },
        };
        self.learn_member(&server.id, &group.cluster, node.as_ref())
    }

    fn found(
        &self,
        group: &Group<'a>,
        mut asked: HashMap<VmId, Asked>,
        changes: Vec<Change>,
    ) -> Result<Vec<Found>, StateError> {
        let parents = self.parents(group);
        let mut by_guest: HashMap<VmId, Vec<Change>> = HashMap::new();
        for change in changes {
            by_guest.entry(change.vmid).or_default().push(change);
        }
        let mut guests = self.state.guests(&group.cluster)?;
        guests.retain(|guest| !guest.template && (guest.gone_at.is_none() || by_guest.contains_key(&guest.vmid)));
        let found = guests.into_iter().map(|guest| {
            // A node that is not configured: always under the same host, whichever answered.
            let parent = parents.get(&guest.node).unwrap_or(&group.members[0].id).clone();
            Found {
                id: ServerId::of_guest(&parent, guest.kind, guest.vmid),
                parent,
                asked: asked.remove(&guest.vmid).unwrap_or(Asked::Skipped),
                changes: by_guest.remove(&guest.vmid).unwrap_or_default(),
                guest,
            }
        });
        Ok(found.collect())
    }

    /// The guests that gave no addresses when they were asked last.
    fn silent_agents(&self, group: &Group<'a>) -> Result<HashSet<VmId>, StateError> {
        let Some(asked_at) = self.state.discovered_at(&group.cluster)? else { return Ok(HashSet::new()) };
        let guests = self.state.guests(&group.cluster)?.into_iter();
        Ok(guests.filter(|guest| guest.addresses_at.is_none_or(|at| at < asked_at)).map(|guest| guest.vmid).collect())
    }

    /// Asks each running guest for its addresses, node by node. Those that were silent the last time come last, so
    /// that they hold no place that another could use.
    async fn addresses(
        &self,
        group: &Group<'a>,
        client: &Client,
        listing: &Listing,
        silent: &HashSet<VmId>,
    ) -> HashMap<VmId, Asked> {
        let running = listing.guests.iter().filter(|guest| !guest.template && guest.state == PowerState::Running);
        let mut running: Vec<&Guest> = running.collect();
        running.sort_by_key(|guest| (silent.contains(&guest.vmid), guest.vmid));
        let networks = self.networks(group);
        let ask = |guest| self.addresses_of(client, guest, &networks);
        let answers = per_node(running.into_iter().map(|guest| (guest.node.clone(), guest)), ask).await;
        answers.into_iter().collect()
    }

    async fn addresses_of(&self, client: &Client, guest: &Guest, networks: &[Network]) -> (VmId, Asked) {
        let asked = async {
            match guest.kind {
                GuestKind::Lxc => client.container_addresses(&guest.node, guest.vmid).await.map(AgentAnswer::Addresses),
                GuestKind::Qemu => client.agent_addresses(&guest.node, guest.vmid).await,
            }
        };
        let patience = self.limits.left(self.limits.agent);
        if patience.is_zero() {
            return (guest.vmid, Asked::Silent("no time was left to ask".to_owned()));
        }
        let answer = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(AgentAnswer::Addresses(addresses))) => Asked::Found(ranked(addresses, networks)),
            Ok(Ok(AgentAnswer::NotConfigured)) => Asked::Silent("no guest agent is configured".to_owned()),
            Ok(Ok(AgentAnswer::NotRunning)) => Asked::Silent("its guest agent does not answer".to_owned()),
            // PVE 7 and 8 ask for VM.Monitor here, which is more than ecobox wants to hold.
            Ok(Err(Error::Denied { detail, .. })) => Asked::Silent(detail),
            Ok(Err(error)) => Asked::Silent(error.to_string()),
            Err(_) => Asked::Silent(format!("no answer within {:.1} s", patience.as_secs_f32())),
        };
        (guest.vmid, answer)
    }

    /// The networks that the cluster's hosts themselves are in.
    fn networks(&self, group: &Group<'a>) -> Vec<Network> {
        let known = self.known.borrow();
        let facts = group.members.iter().filter_map(|server| known.facts.get(&server.id));
        facts.flat_map(|facts| &facts.addresses).map(|a| Network { ip: a.ip, prefix: a.prefix }).collect()
    }
}
