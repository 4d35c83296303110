//! One server as JSON: the same fields in every command.

#[cfg(test)]
mod schema;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::model::host::idle::{IdleRecord, Need};
use crate::model::inventory::Server;
use crate::model::power::outcome::InFlight;
use crate::render::value::Stamp;

/// Whether somebody needs a host.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Idle<'a> {
    /// Since when nothing has used it, as far as was seen.
    since: Option<Stamp>,
    /// What needed it at the last look.
    needs: &'a [Need],
    looked_at: Stamp,
}

impl<'a> From<&'a IdleRecord> for Idle<'a> {
    fn from(record: &'a IdleRecord) -> Idle<'a> {
        let IdleRecord { since, looked_at, needs, .. } = record;
        Idle { since: since.map(Stamp), needs, looked_at: Stamp(*looked_at) }
    }
}

/// A server, and what was seen of it.
#[derive(Debug)]
pub(crate) struct ServerJson<'a>(pub(crate) &'a Server);

/// What ecobox is doing to a server at this moment.
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        let mut object = serializer.serialize_struct("Server", 32)?;
        object.serialize_field("id", &server.id)?;
        object.serialize_field("name", &server.name)?;
        object.serialize_field("kind", server.kind.as_str())?;
        object.serialize_field("state", seen.state.as_str())?;
        object.serialize_field("raw_status", &seen.raw_status)?;
        object.serialize_field("parent", &server.parent)?;
        object.serialize_field("node", &server.node)?;
        object.serialize_field("vmid", &server.vmid)?;
        object.serialize_field("address", &server.hostname)?;
        object.serialize_field("addresses", &server.addresses)?;
        object.serialize_field("cpu_percent", &seen.usage.cpu_percent)?;
        object.serialize_field("cpus", &seen.usage.cpus)?;
        object.serialize_field("memory_bytes", &seen.usage.memory_bytes)?;
        object.serialize_field("memory_max_bytes", &seen.usage.memory_max_bytes)?;
        object.serialize_field("uptime_seconds", &seen.usage.uptime_seconds)?;
        object.serialize_field("services", &seen.checks)?;
        object.serialize_field("tags", &*server.tags)?;
        object.serialize_field("pool", &server.pool)?;
        object.serialize_field("lock", &server.lock)?;
        object.serialize_field("ha_state", &server.ha_state)?;
        object.serialize_field("expected", &server.expected)?;
        object.serialize_field("origin", server.origin.as_str())?;
        object.serialize_field("source", seen.source.as_str())?;
        object.serialize_field("observed_at", &seen.at.map(Stamp))?;
        object.serialize_field("age_seconds", &seen.age_seconds)?;
        object.serialize_field("lag_seconds", &seen.lag.map(|lag| lag.as_secs()))?;
        if let Some(at) = seen.usage_at {
            object.serialize_field("measured_at", &Stamp(at))?;
        } else {
            object.skip_field("measured_at")?;
        }
        if let Some(at) = seen.checks_at {
            object.serialize_field("checked_at", &Stamp(at))?;
        } else {
            object.skip_field("checked_at")?;
        }
        object.serialize_field("last_seen", &seen.last_seen.map(Stamp))?;
        object.serialize_field("reason", &seen.reason)?;
        if let Some(until) = &seen.until {
            object.serialize_field("until", &Stamp(until.at))?;
        } else {
            object.skip_field("until")?;
        }
        object.serialize_field("action", &seen.action.as_deref().map(Doing::from))?;
        if let Some(idle) = &seen.idle {
            object.serialize_field("idle", &Idle::from(&**idle))?;
        } else {
            object.skip_field("idle")?;
        }
        object.end()
    }
}
