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

/// A guest from memory, its state unknown.
pub(super) fn known_guest(group: &Group<'_>, parents: &HashMap<NodeName, ServerId>, guest: RememberedGuest) -> Server {
    let parent = parents.get(&guest.node).unwrap_or(&group.members[0].id);
    let RememberedGuest { kind, vmid, node, name, addresses, tags, pool, lock, ha_state, template, last_seen, .. } =
        guest;
    Server {
        id: ServerId::of_guest(parent, kind, vmid),
        name: name.unwrap_or_else(|| format!("{}-{vmid}", kind.short())),
        kind: kind.into(),
        parent: Some(parent.clone()),
        cluster: Some(group.cluster.clone()),
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
        seen: Observation { last_seen: Some(last_seen), ..Observation::unknown(Source::Cache) },
    }
}

/// What a cluster's listing says of one of its nodes.
#[derive(Clone, Copy)]
pub(super) enum NodeWord {
    Online,
    Offline,
    /// It is there, and its pvestatd tells nothing of it and its guests.
    Silent,
}

pub(super) fn listed(
    guest: Guest,
    parent: &ServerId,
    cluster: &ClusterId,
    addresses: Vec<Address>,
    memory: Option<&KnownGuest>,
    node_says: NodeWord,
    at: Timestamp,
) -> Server {
    let Guest { kind, vmid, node, name, state, raw_status, lock, tags, pool, ha_state, template, usage, seen_at } =
        guest;
    let unknown = state == PowerState::Unknown;
    let name = name.or_else(|| memory?.name.clone());
    let reason = match (unknown, node_says) {
        (true, NodeWord::Offline) => Some(format!("its node {node} is not online")),
        (true, NodeWord::Online) => Some(format!("its node says `{raw_status}`")),
        (true, NodeWord::Silent) => Some(format!(
            "nothing is heard of it: pvestatd on {node} is silent (see `systemctl status pvestatd` there)"
        )),
        (false, NodeWord::Silent) => {
            Some(format!("pvestatd on {node} is silent: asked of the node itself, without numbers"))
        }
        (false, _) => None,
    };
    let seen = seen_at.unwrap_or(at);
    Server {
        id: ServerId::of_guest(parent, kind, vmid),
        name: name.unwrap_or_else(|| format!("{}-{vmid}", kind.short())),
        kind: kind.into(),
        parent: Some(parent.clone()),
        cluster: Some(cluster.clone()),
        node: Some(node),
        vmid: Some(vmid),
        hostname: addresses.first().map(|address| address.ip.to_string()),
        addresses,
        services: Vec::new(),
        tags: if unknown { memory.map(|memory| memory.tags.as_slice().into()).unwrap_or_default() } else { tags },
        pool: pool.or_else(|| memory.filter(|_| unknown)?.pool.clone()),
        lock,
        ha_state,
        template,
        expected: Expected::Any,
        origin: Source::Api,
        depth: 0,
        seen: Observation {
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
        },
    }
}
