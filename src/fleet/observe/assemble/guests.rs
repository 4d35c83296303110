//! The guests of a cluster: as listed, completed from memory, or as remembered where no member could list them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::age;
use super::guest::{Home, NodeWord, known_guest, listed};
use crate::fleet::Fleet;
use crate::fleet::reach::api::{ClusterAnswer, Group, Listed};
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::inventory::server::{Guest, Listing};
use crate::model::inventory::{Inventory, Server};
use crate::model::power::PowerState;
use crate::model::text::draining::in_pieces;
use crate::state::{KnownGuest, StateError};
use crate::transport::pve::Client;

impl Fleet<'_> {
    /// The guests of a cluster: as listed, or as remembered if no member listed them. What was listed is kept. Gives
    /// the connection to who listed them.
    pub(super) fn add_guests(
        &self,
        group: &Group<'_>,
        answer: ClusterAnswer,
        at: Timestamp,
        templates: bool,
        inventory: &mut Inventory,
    ) -> Result<Option<Client>, StateError> {
        let parents = self.parents(group);
        let Some(Listed { via, mut listing, client, .. }) = answer.listed else {
            let why = "its cluster did not answer";
            let known = self.state.guests(&group.cluster)?;
            let there = known.iter().filter(|guest| (templates || !guest.template) && guest.gone_at.is_none());
            inventory.servers.extend(there.map(|guest| unseen(group, &parents, guest.clone(), why, at)));
            return Ok(None);
        };
        self.correct(&group.cluster, &mut listing, at)?;
        let complete = match self.state.record_listing(&group.cluster, &listing, &via, at) {
            Ok(recorded) => recorded.complete,
            // Keeping the look meets the same error, and reports it. Until then the listing itself can be shown.
            Err(error) if error.is_of_writing() => true,
            Err(error) => return Err(error),
        };
        // Memory is asked for whole only where the listing itself does not say everything.
        let blank = |guest: &Guest| guest.name.is_none() || guest.state == PowerState::Unknown;
        let known = if complete && !listing.guests.iter().any(blank) {
            Vec::new()
        } else {
            self.state.guests(&group.cluster)?
        };
        let remembered: HashMap<VmId, &KnownGuest> = known.iter().map(|guest| (guest.vmid, guest)).collect();
        let mut addresses = self.state.addresses(&group.cluster)?;
        inventory.servers.reserve_exact(listing.guests.len());
        if !complete {
            let missing = missing(&known, &listing, templates);
            inventory.servers.extend(missing.map(|(guest, why)| unseen(group, &parents, guest.clone(), why, at)));
        }
        let words: HashMap<&NodeName, Option<bool>> =
            listing.nodes.iter().map(|node| (&node.name, node.online)).collect();
        for mut guest in in_pieces(listing.guests) {
            let memory = remembered.get(&guest.vmid).filter(|memory| memory.kind == guest.kind).copied();
            // An entry without a name has no settings either.
            guest.template |= guest.name.is_none() && memory.is_some_and(|memory| memory.template);
            if guest.template && !templates {
                continue;
            }
            let parent = parents.get(&guest.node).unwrap_or(&group.members[0].id);
            let addresses = addresses.remove(&guest.vmid).unwrap_or_default();
            let online = match words.get(&guest.node) {
                Some(None) => NodeWord::Silent,
                Some(Some(true)) => NodeWord::Online,
                Some(Some(false)) | None => NodeWord::Offline,
            };
            let home = Home { parent, cluster: &group.cluster };
            inventory.servers.push(listed(guest, home, addresses, memory, online, at));
        }
        Ok(Some(client))
    }

    /// Which configured server each node is.
    pub(in crate::fleet) fn parents(&self, group: &Group<'_>) -> HashMap<NodeName, ServerId> {
        let members = group.members.iter();
        members.filter_map(|server| Some((self.node_of(&server.id)?, server.id.clone()))).collect()
    }
}

/// Guests that are remembered and that an incomplete listing does not have, each with the reason.
fn missing<'k>(
    known: &'k [KnownGuest],
    listing: &Listing,
    templates: bool,
) -> impl Iterator<Item = (&'k KnownGuest, &'static str)> {
    let listed: HashSet<VmId> = listing.guests.iter().map(|guest| guest.vmid).collect();
    let there = known.iter().filter(move |guest| (templates || !guest.template) && guest.gone_at.is_none());
    there.filter(move |guest| !listed.contains(&guest.vmid)).map(|guest| {
        let up = listing.nodes.iter().any(|node| node.name == guest.node && node.online == Some(true));
        let why = match listing.unreadable {
            0 => "its node is not online",
            _ if !up => "its node is not online, or not to be read in the listing",
            _ => "an entry of the listing could not be read, which may be its own",
        };
        (guest, why)
    })
}

/// A guest that no member reported in this run: what is shown is as old as its last listing.
fn unseen(
    group: &Group<'_>,
    parents: &HashMap<NodeName, ServerId>,
    guest: KnownGuest,
    why: &str,
    now: Timestamp,
) -> Server {
    let last_seen = guest.last_seen;
    let mut server = known_guest(group, parents, guest.into());
    server.seen.at = Some(last_seen);
    server.seen.age_seconds = age(last_seen, now);
    server.seen.reason = Some(why.to_owned());
    server
}
