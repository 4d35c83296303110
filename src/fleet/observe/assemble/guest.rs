//! A guest as a server of the inventory: as it is listed, or as it is remembered.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::fleet::reach::api::Group;
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::server::{Address, Expected, Guest, LISTING_LAG};
use crate::model::inventory::{Observation, Server};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::{KnownGuest, RememberedGuest};

/// Where a guest belongs: the configured server of its node, and its cluster.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) parent: &'a ServerId,
    pub(super) cluster: &'a ClusterId,
}

/// A guest as a server of the inventory, whatever the source.
fn server_of(guest: RememberedGuest, home: Home<'_>, seen: Observation) -> Server {
    let RememberedGuest { kind, vmid, node, name, addresses, tags, pool, lock, ha_state, template, .. } = guest;
    Server {
        id: ServerId::of_guest(home.parent, kind, vmid),
        name: name.unwrap_or_else(|| format!("{}-{vmid}", kind.short())),
        kind: kind.into(),
        parent: Some(home.parent.clone()),
        cluster: Some(home.cluster.clone()),
        node: Some(node),
        vmid: Some(vmid),
        hostname: addresses.first().map(|address| address.ip.to_string()),
        addresses,
        services: Vec::new(),
        tags,
        pool,
        lock,
        ha_state,
        template,
        expected: Expected::Any,
        origin: Source::Api,
        depth: 0,
        seen,
    }
}

/// A guest from memory, its state unknown.
pub(super) fn known_guest(group: &Group<'_>, parents: &HashMap<NodeName, ServerId>, guest: RememberedGuest) -> Server {
    let parent = parents.get(&guest.node).unwrap_or(&group.members[0].id);
    let seen = Observation { last_seen: Some(guest.last_seen), ..Observation::unknown(Source::Cache) };
    server_of(guest, Home { parent, cluster: &group.cluster }, seen)
}

/// What a cluster's listing says of one of its nodes.
#[derive(Clone, Copy)]
pub(super) enum NodeWord {
    Online,
    Offline,
    /// It is there, and its pvestatd tells nothing of it and its guests.
    Silent,
}

/// A guest as its cluster lists it. What the listing leaves out of a guest whose node is silent is taken from memory.
pub(super) fn listed(
    guest: Guest,
    home: Home<'_>,
    addresses: Vec<Address>,
    memory: Option<&KnownGuest>,
    node_says: NodeWord,
    at: Timestamp,
) -> Server {
    let reason = reason(&guest, node_says);
    let Guest { kind, vmid, node, name, state, raw_status, lock, tags, pool, ha_state, template, usage, seen_at } =
        guest;
    let unknown = state == PowerState::Unknown;
    let seen = seen_at.unwrap_or(at);
    let observation = Observation {
        state,
        raw_status: Some(raw_status).filter(|raw| raw != state.as_str()),
        source: Source::Api,
        at: Some(seen),
        age_seconds: at.duration_since(seen).as_secs().try_into().ok(),
        lag: (seen_at.is_none() && !unknown).then_some(LISTING_LAG),
        last_seen: if unknown { memory.map(|memory| memory.last_seen) } else { Some(at) },
        usage,
        usage_source: Source::Api,
        usage_at: None,
        checks_at: None,
        checks: Vec::new(),
        reason,
        until: None,
        action: None,
        idle: None,
    };
    let record = RememberedGuest {
        vmid,
        kind,
        name: name.or_else(|| memory?.name.clone()),
        node,
        state,
        template,
        lock,
        tags: if unknown { memory.map(|memory| memory.tags.as_slice().into()).unwrap_or_default() } else { tags },
        pool: pool.or_else(|| memory.filter(|_| unknown)?.pool.clone()),
        ha_state,
        last_seen: at,
        addresses,
    };
    server_of(record, home, observation)
}

/// Why a guest's state is not known, or is known of its node alone.
fn reason(guest: &Guest, node_says: NodeWord) -> Option<String> {
    let Guest { node, raw_status, .. } = guest;
    match (guest.state == PowerState::Unknown, node_says) {
        (true, NodeWord::Offline) => Some(format!("its node {node} is not online")),
        (true, NodeWord::Online) => Some(format!("its node says `{raw_status}`")),
        (true, NodeWord::Silent) => Some(format!(
            "nothing is heard of it: pvestatd on {node} is silent (see `systemctl status pvestatd` there)"
        )),
        (false, NodeWord::Silent) => {
            Some(format!("pvestatd on {node} is silent: asked of the node itself, without numbers"))
        }
        (false, _) => None,
    }
}
