//! `/cluster/resources`: one answer with all guests and nodes of a cluster, read in one pass into the model.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::inventory::server::{Guest, Listing, Node, Tags};
use crate::model::load::usage::{Count, Usage};
use crate::model::power::PowerState;
use crate::model::text::cut;

use super::lenient::{Entry, MAX_ENTRIES, Record, Value, skip, too_many};
use super::repair_json;

/// What one row says. A field is `None` where it is missing or makes no sense.
#[derive(Default)]
struct Row<'a> {
    kind: Option<Cow<'a, str>>,
    vmid: Option<u32>,
    node: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    lock: Option<Cow<'a, str>>,
    tags: Option<Cow<'a, str>>,
    pool: Option<Cow<'a, str>>,
    ha_state: Option<Cow<'a, str>>,
    template: bool,
    usage: Usage,
}

impl<'de> Record<'de> for Row<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value::<Value<'_>>()?.text(),
            "vmid" => self.vmid = map.next_value::<Value<'_>>()?.exact(),
            "node" => self.node = map.next_value::<Value<'_>>()?.text(),
            "name" => self.name = map.next_value::<Value<'_>>()?.name(),
            "status" => self.status = map.next_value::<Value<'_>>()?.name(),
            "lock" => self.lock = map.next_value::<Value<'_>>()?.name(),
            "tags" => self.tags = map.next_value::<Value<'_>>()?.text_up_to(usize::MAX),
            "pool" => self.pool = map.next_value::<Value<'_>>()?.name(),
            "hastate" => self.ha_state = map.next_value::<Value<'_>>()?.name(),
            "template" => self.template = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "cpu" => self.usage.cpu_percent = map.next_value::<Value<'_>>()?.number(MOST_CPU).map(cpu_percent),
            "maxcpu" => self.usage.cpus = map.next_value::<Value<'_>>()?.number(1e6).and_then(cpus),
            "mem" => self.usage.memory_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "maxmem" => self.usage.memory_max_bytes = map.next_value::<Value<'_>>()?.bytes().and_then(size),
            "disk" => self.usage.disk_bytes = map.next_value::<Value<'_>>()?.bytes().and_then(size),
            "maxdisk" => self.usage.disk_max_bytes = map.next_value::<Value<'_>>()?.bytes().and_then(size),
            "netin" => self.usage.receive_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "netout" => self.usage.transmit_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "diskread" => self.usage.read_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "diskwrite" => self.usage.write_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "uptime" => self.usage.uptime_seconds = map.next_value::<Value<'_>>()?.seconds().map(Count::new),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// PVE's `cpu` is a fraction of the server's CPUs. Threads of QEMU's own take it above 1 now and then; what is far
/// above is no measurement.
pub(super) const MOST_CPU: f64 = 10.0;

/// Percent of the server's CPUs, at most all of them.
#[expect(clippy::cast_possible_truncation, reason = "seven places of a measurement are enough")]
pub(super) fn cpu_percent(fraction: f64) -> f32 {
    (fraction * 100.0).min(100.0) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "a small number")]
pub(super) fn cpus(number: f64) -> Option<f32> {
    (number > 0.0).then_some(number as f32)
}

/// A size of nothing is one that is not known, and so is the use of a root file system, which is never empty.
pub(super) fn size(bytes: u64) -> Option<Count> {
    (bytes > 0).then(|| Count::new(bytes))
}

/// What became of a row.
enum Resource {
    Guest(Guest),
    Node(Node),
    /// A storage, a pool, a network.
    Other,
    /// Its type, number or node is missing or invalid.
    Unusable,
}

impl<'a> Row<'a> {
    fn resource(self, shared: &mut Shared<'a>) -> Resource {
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some("node") => return self.node(),
            Some(_) => return Resource::Other,
            None => return Resource::Unusable,
        };
        let vmid = self.vmid.and_then(|number| VmId::try_from(number).ok());
        let node = self.node.as_deref().and_then(|name| shared.node(name));
        let (Some(vmid), Some(node)) = (vmid, node) else { return Resource::Unusable };
        Resource::Guest(Guest {
            kind,
            vmid,
            node,
            name: self.name.map(Cow::into_owned),
            state: PowerState::Unknown,
            raw_status: self.status.map(raw_status).unwrap_or_default(),
            template: self.template,
            lock: self.lock.map(Cow::into_owned),
            tags: self.tags.map(|text| shared.tags(text)).unwrap_or_default(),
            pool: self.pool.map(Cow::into_owned),
            ha_state: self.ha_state.map(Cow::into_owned),
            usage: self.usage,
            seen_at: None,
        })
    }

    fn node(self) -> Resource {
        let Some(name) = self.node.as_deref().and_then(|name| name.parse().ok()) else { return Resource::Unusable };
        let online = online(self.status.as_deref());
        // The listing has no counters of nodes: what stood there would be something else.
        let unmeasured =
            Usage { receive_bytes: None, transmit_bytes: None, read_bytes: None, write_bytes: None, ..self.usage };
        let usage = if online == Some(false) { Usage::default() } else { unmeasured };
        Resource::Node(Node { name, online, usage })
    }
}

/// PVE's word for a state; the usual ones take no memory of their own.
fn raw_status(text: Cow<'_, str>) -> Cow<'static, str> {
    match text.as_ref() {
        "running" => "running".into(),
        "stopped" => "stopped".into(),
        "unknown" => "unknown".into(),
        _ => text.into_owned().into(),
    }
}

/// What thousands of guests share, as far as it was seen.
#[derive(Default)]
struct Shared<'a> {
    nodes: HashSet<NodeName>,
    tags: HashMap<Cow<'a, str>, Tags>,
}

impl<'a> Shared<'a> {
    /// `None`: no node can have this name.
    fn node(&mut self, name: &str) -> Option<NodeName> {
        if let Some(known) = self.nodes.get(name) {
            return Some(known.clone());
        }
        let new: NodeName = name.parse().ok()?;
        self.nodes.insert(new.clone());
        Some(new)
    }

    fn tags(&mut self, text: Cow<'a, str>) -> Tags {
        if let Some(known) = self.tags.get(&text) {
            return known.clone();
        }
        let new = tags(&text);
        self.tags.insert(text, new.clone());
        new
    }
}

/// Corosync's membership, from the status of a node's row.
pub(super) fn online(status: Option<&str>) -> Option<bool> {
    match status {
        Some("online") => Some(true),
        Some("offline") => Some(false),
        _ => None,
    }
}

/// More tags than these, and longer ones, are cut: they are unreadable.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 64;

/// PVE writes `a;b`, and takes commas and spaces for the same (pve-common, `JSONSchema.pm` `pve-tag-list`).
fn tags(text: &str) -> Tags {
    let words = text.split(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    words.filter(|word| !word.is_empty()).take(MOST_TAGS).map(|word| cut(word, LONGEST_TAG).into_owned()).collect()
}

/// The listing, and how many rows could not be used.
#[derive(Default)]
struct Resources {
    listing: Listing,
    unusable: usize,
}

impl Resources {
    fn add(&mut self, resource: Resource) {
        match resource {
            Resource::Guest(guest) => self.listing.guests.push(guest),
            Resource::Node(node) => self.listing.nodes.push(node),
            Resource::Other => {}
            Resource::Unusable => self.unusable += 1,
        }
    }

    /// Of rows that name a guest again the last one counts, in the place of the first. Gives how many are left out.
    fn leave_out_repeated(&mut self) -> usize {
        let guests = &mut self.listing.guests;
        let mut places: Vec<(VmId, usize)> = guests.iter().enumerate().map(|(i, guest)| (guest.vmid, i)).collect();
        places.sort_unstable();
        let mut left_out = Vec::new();
        for same in places.chunk_by(|(a, _), (b, _)| a == b) {
            let [(_, first), again @ .., (_, last)] = same else { continue };
            guests.swap(*first, *last);
            left_out.extend(again.iter().map(|(_, place)| *place).chain([*last]));
        }
        if !left_out.is_empty() {
            left_out.sort_unstable();
            let mut places = 0..;
            guests.retain(|_| places.next().is_none_or(|place| left_out.binary_search(&place).is_err()));
        }
        left_out.len()
    }

    /// The guests' states follow from their nodes', which may come after them.
    ///
    /// A node without a row is no member of the cluster (any more): every token sees the rows of all nodes,
    /// only their numbers need a privilege. An answer without any node (`type=vm`) says nothing about them;
    /// then a guest's own status is believed.
    fn finish(mut self) -> Listing {
        let Listing { nodes, guests, unreadable } = &mut self.listing;
        *unreadable = self.unusable;
        let up: HashSet<&NodeName> =
            nodes.iter().filter(|node| node.online == Some(true)).map(|node| &node.name).collect();
        let online = |guest: &Guest| nodes.is_empty() || up.contains(&guest.node);
        for guest in guests {
            guest.state = PowerState::of_guest(&guest.raw_status, None, guest.lock.as_deref(), online(guest));
            guest.usage = guest.usage.of_guest(guest.state);
            // The hypervisor sees a virtual machine's disk from outside, and not how full it is.
            if guest.kind == GuestKind::Qemu {
                guest.usage.disk_bytes = None;
            }
        }
        self.listing
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Resources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of resources")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Resources, A::Error> {
                let mut resources = Resources::default();
                let (mut count, mut shared) = (0, Shared::default());
                while let Some(Entry(row)) = seq.next_element::<Entry<Row<'_>>>()? {
                    count += 1;
                    if count > MAX_ENTRIES {
                        return Err(too_many());
                    }
                    resources.add(row.map_or(Resource::Unusable, |row| row.resource(&mut shared)));
                }
                Ok(resources)
            }
        }
        // Nothing but a list will do: an inventory must not look empty because the answer was strange.
        deserializer.deserialize_seq(Rows)
    }
}

/// Reads the whole body of an answer to `/cluster/resources`. `server` is for the log.
pub(super) fn listing(body: &[u8], server: &str) -> Result<Listing, serde_json::Error> {
    let mut resources: Resources = repair_json::parse(body)?;
    let (unusable, repeated) = (resources.unusable, resources.leave_out_repeated());
    if unusable + repeated > 0 {
        tracing::warn!(server, unusable, repeated, "entries of the listing are left out");
    }
    Ok(resources.finish())
}

#[cfg(test)]
mod tests;
