//! `/cluster/resources`: one answer with all guests and nodes of a cluster, read in one pass into the model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::id::{GuestKind, VmId};
use crate::model::power::PowerState;
use crate::model::server::{Guest, Listing, Node};
use crate::model::usage::Usage;

use super::lenient::{Entry, MAX_ENTRIES, Record, Value, skip, too_many};
use super::repair;

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
            "name" => self.name = map.next_value::<Value<'_>>()?.text(),
            "status" => self.status = map.next_value::<Value<'_>>()?.text(),
            "lock" => self.lock = map.next_value::<Value<'_>>()?.text(),
            "tags" => self.tags = map.next_value::<Value<'_>>()?.text(),
            "pool" => self.pool = map.next_value::<Value<'_>>()?.text(),
            "hastate" => self.ha_state = map.next_value::<Value<'_>>()?.text(),
            "template" => self.template = map.next_value::<Value<'_>>()?.flag() == Some(true),
            // A fraction of the server's CPUs; a little above 1 happens, a hundred times as much does not.
            "cpu" => self.usage.cpu_percent = map.next_value::<Value<'_>>()?.number(100.0).map(|cpu| cpu * 100.0),
            "maxcpu" => self.usage.cpus = map.next_value::<Value<'_>>()?.number(1e6).filter(|cpus| *cpus > 0.0),
            "mem" => self.usage.memory_bytes = map.next_value::<Value<'_>>()?.bytes(),
            "maxmem" => self.usage.memory_max_bytes = map.next_value::<Value<'_>>()?.bytes().filter(|max| *max > 0),
            "uptime" => self.usage.uptime_seconds = map.next_value::<Value<'_>>()?.seconds(),
            _ => skip(map)?,
        }
        Ok(())
    }
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

impl Row<'_> {
    fn resource(self) -> Resource {
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some("node") => return self.node(),
            Some(_) => return Resource::Other,
            None => return Resource::Unusable,
        };
        let vmid = self.vmid.and_then(|number| VmId::try_from(number).ok());
        let node = self.node.as_deref().and_then(|name| name.parse().ok());
        let (Some(vmid), Some(node)) = (vmid, node) else { return Resource::Unusable };
        Resource::Guest(Guest {
            kind,
            vmid,
            node,
            name: self.name.map(Cow::into_owned),
            state: PowerState::Unknown,
            raw_status: self.status.map(Cow::into_owned).unwrap_or_default(),
            template: self.template,
            lock: self.lock.map(Cow::into_owned),
            tags: self.tags.as_deref().map(tags).unwrap_or_default(),
            pool: self.pool.map(Cow::into_owned),
            ha_state: self.ha_state.map(Cow::into_owned),
            usage: self.usage,
        })
    }

    fn node(self) -> Resource {
        let Some(name) = self.node.as_deref().and_then(|name| name.parse().ok()) else { return Resource::Unusable };
        let online = online(self.status.as_deref());
        let usage = if online == Some(false) { Usage::default() } else { self.usage };
        Resource::Node(Node { name, online, usage })
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

/// PVE writes `a;b`, and takes commas and spaces for the same (pve-common, JSONSchema `pve-tag-list`).
fn tags(text: &str) -> Vec<String> {
    let words = text.split(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The listing, and how many rows could not be used.
#[derive(Default)]
struct Resources {
    listing: Listing,
    by_vmid: HashMap<VmId, usize>,
    unusable: usize,
}

impl Resources {
    fn add(&mut self, resource: Resource) {
        match resource {
            Resource::Guest(guest) => {
                let guests = &mut self.listing.guests;
                let at = *self.by_vmid.entry(guest.vmid).or_insert(guests.len());
                if let Some(earlier) = guests.get_mut(at) {
                    tracing::warn!(vm_id = guest.vmid.get(), "the listing names this guest twice: the last one counts");
                    *earlier = guest;
                } else {
                    guests.push(guest);
                }
            }
            Resource::Node(node) => self.listing.nodes.push(node),
            Resource::Other => {}
            Resource::Unusable => self.unusable += 1,
        }
    }

    /// The guests' states follow from their nodes', which may come after them.
    ///
    /// A node without a row is no member of the cluster (any more): every token sees the rows of all nodes,
    /// only their numbers need a privilege. An answer without any node (`type=vm`) says nothing about them;
    /// then a guest's own status is believed.
    fn finish(mut self) -> Listing {
        let Listing { nodes, guests } = &mut self.listing;
        // A handful of nodes: looking through them beats a map.
        let online = |guest: &Guest| {
            nodes.is_empty() || nodes.iter().any(|node| node.name == guest.node && node.online == Some(true))
        };
        for guest in guests {
            guest.state = PowerState::of_guest(&guest.raw_status, None, guest.lock.as_deref(), online(guest));
            let usage = &mut guest.usage;
            if guest.state != PowerState::Running {
                (usage.cpu_percent, usage.memory_bytes) = (None, None);
            }
            if !matches!(guest.state, PowerState::Running | PowerState::Paused) {
                usage.uptime_seconds = None;
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
                let mut count = 0;
                while let Some(Entry(row)) = seq.next_element::<Entry<Row<'_>>>()? {
                    count += 1;
                    if count > MAX_ENTRIES {
                        return Err(too_many());
                    }
                    resources.add(row.map_or(Resource::Unusable, Row::resource));
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
    let resources: Resources = repair::parse(body)?;
    if resources.unusable > 0 {
        tracing::warn!(server, count = resources.unusable, "entries of the listing could not be read and are missing");
    }
    Ok(resources.finish())
}
