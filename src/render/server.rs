//! One server as JSON: the same fields in every command.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::action::InFlight;
use crate::model::inventory::Server;
use crate::render::value::Stamp;

/// A server, and what was seen of it.
#[derive(Debug)]
pub(crate) struct ServerJson<'a>(pub(crate) &'a Server);

/// What ecobox is doing to a server at this moment.
#[derive(Serialize)]
struct Doing<'a> {
    action: &'a str,
    since: Stamp,
    by: &'a str,
}

impl<'a> From<&'a InFlight> for Doing<'a> {
    fn from(in_flight: &'a InFlight) -> Doing<'a> {
        Doing { action: &in_flight.action, since: Stamp(in_flight.since), by: &in_flight.by }
    }
}

impl Serialize for ServerJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let server = self.0;
        let seen = &server.seen;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &server.id)?;
        map.serialize_entry("name", &server.name)?;
        map.serialize_entry("kind", server.kind.as_str())?;
        map.serialize_entry("state", seen.state.as_str())?;
        map.serialize_entry("raw_status", &seen.raw_status)?;
        map.serialize_entry("parent", &server.parent)?;
        map.serialize_entry("node", &server.node)?;
        map.serialize_entry("vmid", &server.vmid)?;
        map.serialize_entry("address", &server.hostname)?;
        map.serialize_entry("addresses", &server.addresses)?;
        map.serialize_entry("cpu_percent", &seen.usage.cpu_percent)?;
        map.serialize_entry("cpus", &seen.usage.cpus)?;
        map.serialize_entry("memory_bytes", &seen.usage.memory_bytes)?;
        map.serialize_entry("memory_max_bytes", &seen.usage.memory_max_bytes)?;
        map.serialize_entry("uptime_seconds", &seen.usage.uptime_seconds)?;
        map.serialize_entry("services", &seen.checks)?;
        map.serialize_entry("tags", &server.tags)?;
        map.serialize_entry("pool", &server.pool)?;
        map.serialize_entry("lock", &server.lock)?;
        map.serialize_entry("ha_state", &server.ha_state)?;
        map.serialize_entry("expected", &server.expected)?;
        map.serialize_entry("origin", server.origin.as_str())?;
        map.serialize_entry("source", seen.source.as_str())?;
        map.serialize_entry("observed_at", &seen.at.map(Stamp))?;
        map.serialize_entry("age_seconds", &seen.age_seconds)?;
        map.serialize_entry("last_seen", &seen.last_seen.map(Stamp))?;
        map.serialize_entry("reason", &seen.reason)?;
        map.serialize_entry("action", &seen.action.as_ref().map(Doing::from))?;
        map.end()
    }
}
