//! Guests of each host or cluster: what is new, changed, moved, gone; and their addresses.

mod ask;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

pub(crate) use self::ask::Asked;
use crate::fleet::Fleet;
use crate::fleet::reach::api::{Group, Listed};
use crate::model::guest::GuestIdentity;
use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::model::inventory::Failed;
use crate::model::text::draining::in_pieces;
use crate::state::{GuestChange, GuestChangeKind, KnownGuest, StateError, is_fresh, net};
use crate::transport::Error;

/// How guests are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discovering {
    /// Only of clusters that were not read lately.
    pub(crate) if_stale: bool,
    /// Agents, too, that did not answer lately.
    pub(crate) all_agents: bool,
}

/// One guest of a discovery.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: ServerId,
    pub(crate) parent: ServerId,
    pub(crate) guest: KnownGuest,
    pub(crate) asked: Asked,
    pub(crate) changes: Vec<GuestChange>,
}

/// What one discovery found.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    /// All guests, by host and number; those that went away in this run too.
    pub(crate) guests: Vec<Found>,
    pub(crate) failures: Vec<Failed>,
    /// Hosts that could not be asked, as they may: `pve3 is asleep`.
    pub(crate) resting: Vec<String>,
    /// The hosts of those clusters that were to be asked.
    pub(crate) asked: Vec<ServerId>,
    /// Clusters that were asked and answered.
    pub(crate) answered: usize,
    /// Nodes that told all that was asked of them.
    pub(crate) told: usize,
    /// Clusters that were fresh enough not to be asked.
    pub(crate) fresh: usize,
}

/// What came of asking the guests of a listing.
struct AskedGuests {
    asked: HashMap<VmId, Asked>,
    /// What the listing changed.
    now: Vec<GuestChange>,
    /// Numbers that another guest has than before.
    replaced: BTreeSet<VmId>,
    /// Nodes that do not answer.
    lost: BTreeMap<NodeName, Arc<Error>>,
    /// Those that did.
    told: usize,
}

impl<'a> Fleet<'a> {
    /// Reads the guests of the clusters that `wanted` hosts belong to (all, if it is empty) and keeps them.
    ///
    /// # Errors
    /// Only the state file's; hosts that fail are in the answer.
    pub(crate) async fn discover(&self, wanted: &[ServerId], how: Discovering) -> Result<Discovery, StateError> {
        self.detect_cluster_members().await?;
        let mut groups = self.groups();
        groups.retain(|group| wanted.is_empty() || wanted.iter().any(|server| group.has(server)));
        let asked = groups.len();
        if how.if_stale {
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
        let members = groups.iter().flat_map(|group| &group.members).map(|server| server.id.clone());
        let mut discovery = Discovery { fresh: asked - groups.len(), asked: members.collect(), ..Discovery::default() };
        for part in join_all(groups.iter().map(|group| self.discover_cluster(group, how.all_agents))).await {
            let part = part?;
            if discovery.guests.is_empty() {
                discovery.guests = part.guests;
            } else {
                discovery.guests.extend(part.guests);
            }
            discovery.failures.extend(part.failures);
            discovery.resting.extend(part.resting);
            discovery.answered += part.answered;
            discovery.told += part.told;
        }
        self.tidy(self.now())?;
        Ok(discovery)
    }

    async fn discover_cluster(&self, group: &Group<'a>, all_agents: bool) -> Result<Discovery, StateError> {
        let answer = self.listing(group).await;
        let at = self.now();
        self.state.record_host_checks(&answer.host_checks().collect::<Vec<_>>(), at)?;
        let (mut failures, resting) = self.told_apart_from_rest(self.failures(&answer)).await;
        let Some(mut listed) = answer.listed else {
            let resting = resting.into_iter().map(|(_, word)| word).collect();
            return Ok(Discovery { failures, resting, ..Discovery::default() });
        };
        let AskedGuests { asked, now, replaced, lost, told } =
            self.ask_guests(group, &mut listed, at, Some(all_agents)).await?;
        let Listed { via, listing, .. } = listed;
        failures.extend(lost.iter().map(|(node, error)| self.failed_on_node(group, &via, node, error)));
        let vm_count = listing.guests.iter().filter(|guest| !guest.template).count();
        drop(listing);
        // What `status` saw since the last discovery was not told yet; power changes are told when they are seen.
        let mut changes = self.state.take_changes(&group.cluster)?;
        changes.extend(now);
        tell_replaced(&mut changes, &replaced);
        let changes = net(changes);
        tracing::info!(proxmox_host = via.as_str(), vm_count, changes = changes.len(), "discovered");
        let guests = self.found(group, asked, changes)?;
        Ok(Discovery { guests, failures, answered: 1, told, ..Discovery::default() })
    }

    /// Looks at one cluster as `discover` does, and leaves what changed to be told by it. Says whether anybody answered.
    pub(super) async fn rediscover(&self, cluster: &ClusterId) -> Result<bool, StateError> {
        let groups = self.groups();
        let Some(group) = groups.iter().find(|group| group.cluster == *cluster) else { return Ok(false) };
        let Some(mut listed) = self.listing(group).await.listed else { return Ok(false) };
        // That another guest has a number is news that `discover` has to tell.
        self.ask_guests(group, &mut listed, self.now(), None).await?;
        self.keep_client(listed.client);
        Ok(true)
    }

    /// Keeps a listing, and asks its guests for their addresses; a discovery (`all_agents` or not) also who those are that
    /// nobody knows yet.
    async fn ask_guests(
        &self,
        group: &Group<'a>,
        listed: &mut Listed,
        at: Timestamp,
        discovery: Option<bool>,
    ) -> Result<AskedGuests, StateError> {
        self.correct(&group.cluster, &mut listed.listing, at)?;
        self.learn_nodes(group, listed).await?;
        let Listed { via, listing, client, .. } = &*listed;
        let silent = self.silent_agents(&group.cluster, discovery == Some(true))?;
        let now = self.state.record_listing(&group.cluster, listing, via, at)?.power;
        self.record_listed(group, listing, at)?;
        let strangers = if discovery.is_some() { self.strangers(group)? } else { BTreeSet::new() };
        let (asked, identities) = self.ask(group, client, listing, &silent, &strangers).await;
        let replaced = self.learn_identities(group, identities)?;
        let found: Vec<_> = asked
            .iter()
            .filter_map(|(vmid, asked)| match asked {
                Asked::Found(addresses) => Some((*vmid, addresses.clone())),
                _ => None,
            })
            .collect();
        self.state.put_discovered(&group.cluster, at)?;
        self.state.record_addresses(&group.cluster, &found, at)?;
        let dead = asked
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Dead(_)))
            .map(|(vmid, _)| *vmid)
            .collect::<Vec<_>>();
        let answered: Vec<VmId> = found.iter().map(|(vmid, _)| *vmid).filter(|vmid| silent.has(*vmid)).collect();
        if !dead.is_empty() || !answered.is_empty() {
            self.state.put_agents(&group.cluster, &dead, &answered, at)?;
        }
        let nodes: HashMap<VmId, &NodeName> = listing.guests.iter().map(|guest| (guest.vmid, &guest.node)).collect();
        let (mut lost, mut told) = (BTreeMap::new(), BTreeSet::new());
        for (vmid, asked) in &asked {
            let Some(node) = nodes.get(vmid) else { continue };
            match asked {
                Asked::Lost(error) => drop(lost.insert((*node).clone(), error.clone())),
                Asked::Found(_) | Asked::Silent(_) | Asked::Dead(_) | Asked::Skipped => drop(told.insert(*node)),
            }
        }
        told.retain(|node| !lost.contains_key(*node));
        // If no guest runs, nothing had to be asked.
        let told = if lost.is_empty() { told.len().max(1) } else { told.len() };
        Ok(AskedGuests { asked, now, replaced, lost, told })
    }

    fn found(
        &self,
        group: &Group<'a>,
        mut asked: HashMap<VmId, Asked>,
        changes: Vec<GuestChange>,
    ) -> Result<Vec<Found>, StateError> {
        let parents = self.parents(group);
        // Both by number: each guest's changes come when it does.
        let mut changes = in_pieces(changes).peekable();
        let guests = self.state.guests(&group.cluster)?;
        let mut found = Vec::with_capacity(guests.len());
        for guest in in_pieces(guests) {
            while changes.next_if(|change| change.vmid < guest.vmid).is_some() {}
            let own = std::iter::from_fn(|| changes.next_if(|change| change.vmid == guest.vmid));
            let mut own: Vec<GuestChange> = own.collect();
            own.shrink_to_fit();
            if guest.template || (guest.gone_at.is_some() && own.is_empty()) {
                continue;
            }
            // A node that is not configured: always under the same host, whichever answered.
            let parent = parents.get(&guest.node).unwrap_or(&group.members[0].id).clone();
            found.push(Found {
                id: ServerId::of_guest(&parent, guest.kind, guest.vmid),
                parent,
                asked: asked.remove(&guest.vmid).unwrap_or(Asked::Skipped),
                changes: own,
                guest,
            });
        }
        Ok(found)
    }

    /// The guests whose identity is to be read: of those that it is not known of, and of those that another name stands
    /// under now, since they may be other guests. All others are asked nothing.
    fn strangers(&self, group: &Group<'a>) -> Result<BTreeSet<VmId>, StateError> {
        let mut strangers = self.state.guests_without_identity(&group.cluster)?;
        let is_renamed = |change: &GuestChange| matches!(change.what, GuestChangeKind::Renamed { .. });
        let told = self.state.untold_changes(&group.cluster, is_renamed)?;
        strangers.extend(told.iter().map(|change| change.vmid));
        Ok(strangers)
    }

    /// Keeps who the guests are. Gives those that are others than before: whoever looks is told, and from then on they
    /// are known.
    fn learn_identities(
        &self,
        group: &Group<'a>,
        read: Vec<(VmId, GuestIdentity)>,
    ) -> Result<BTreeSet<VmId>, StateError> {
        let mut replaced = BTreeSet::new();
        let mut news = Vec::new();
        for (vmid, identity) in read {
            let known = self.state.identity(&group.cluster, vmid)?;
            if known.as_ref().is_some_and(|(known, _)| !identity.is_same(&GuestIdentity::new(known))) {
                replaced.insert(vmid);
            }
            if known.is_none_or(|(known, _)| known != identity.as_str()) {
                news.push((vmid, identity.as_str().to_owned()));
            }
        }
        self.state.put_identities(&group.cluster, &news, &replaced, self.now())?;
        Ok(replaced)
    }
}

/// A guest whose name differs because it is another one was not renamed, nor were its settings changed.
fn tell_replaced(changes: &mut Vec<GuestChange>, replaced: &BTreeSet<VmId>) {
    let mut told = BTreeSet::new();
    changes.retain_mut(|change| {
        if !replaced.contains(&change.vmid) {
            return true;
        }
        match &change.what {
            GuestChangeKind::Renamed { from, .. } => {
                change.what = GuestChangeKind::Replaced { from: change.kind, name: Some(from.clone()) };
                told.insert(change.vmid)
            }
            GuestChangeKind::Edited { .. } => false,
            _ => true,
        }
    });
}
