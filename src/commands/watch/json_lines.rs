//! What the stream's lines are in JSON: a contract with scripts, as reports are.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Server};
use crate::model::power::outcome::InFlight;
use crate::model::watch::Change;
use crate::render::server::ServerJson;
use crate::render::value::Stamp;

/// What one word of a service's check is in a line.
fn word(open: bool) -> &'static str {
    if open { "open" } else { "closed" }
}

/// The first line.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    schema: &'static str,
    event: &'static str,
    at: Stamp,
    servers: Vec<ServerJson<'a>>,
    failures: Vec<&'a Failed>,
}

impl<'a> Snapshot<'a> {
    /// These servers, and the servers that could not be asked.
    pub(super) fn of(
        servers: impl Iterator<Item = &'a Server>,
        failures: impl Iterator<Item = &'a Failed>,
        at: Timestamp,
    ) -> Snapshot<'a> {
        let (servers, failures) = (servers.map(ServerJson).collect(), failures.collect());
        Snapshot { schema: "ecobox.watch/1", event: "snapshot", at: Stamp(at), servers, failures }
    }
}

/// Each further line.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    #[serde(flatten)]
    event: Event<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerJson<'a>>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Added {
        at: Stamp,
        id: &'a ServerId,
    },
    Gone {
        at: Stamp,
        id: &'a ServerId,
    },
    Moved {
        at: Stamp,
        id: &'a ServerId,
        from: &'a ServerId,
    },
    State {
        at: Stamp,
        id: &'a ServerId,
        from: &'static str,
        to: &'static str,
    },
    Service {
        at: Stamp,
        id: &'a ServerId,
        service: &'a str,
        from: Option<&'static str>,
        to: &'static str,
    },
    Action {
        at: Stamp,
        id: &'a ServerId,
        from: Option<&'a str>,
        to: Option<&'a str>,
    },
    Failure {
        at: Stamp,
        id: &'a ServerId,
        #[serde(flatten)]
        why: Why<'a>,
    },
    Recovered {
        at: Stamp,
        id: &'a ServerId,
    },
}

/// Servers that could not be asked, and why.
struct Why<'a>(&'a Failed);

impl Serialize for Why<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("kind", &self.0.kind)?;
        map.serialize_entry("message", &self.0.message)?;
        map.end()
    }
}

impl<'a> Line<'a> {
    /// The line of a change; `servers` as they are now.
    pub(super) fn of(change: &'a Change, at: Timestamp, servers: &'a [Server]) -> Line<'a> {
        let at = Stamp(at);
        let server = |id: &ServerId| servers.iter().find(|server| server.id == *id).map(ServerJson);
        let (event, server) = match change {
            Change::Added { id } => (Event::Added { at, id }, server(id)),
            Change::Gone { server } => (Event::Gone { at, id: &server.id }, Some(ServerJson(server))),
            Change::Moved { id, from } => (Event::Moved { at, id, from }, server(id)),
            Change::State { id, from, to } => {
                (Event::State { at, id, from: from.as_str(), to: to.as_str() }, server(id))
            }
            Change::Service { id, service, from, to } => {
                (Event::Service { at, id, service, from: from.map(word), to: word(*to) }, server(id))
            }
            Change::Action { id, from, to } => {
                let word = |action: &'a Option<_>| action.as_ref().map(action_of);
                (Event::Action { at, id, from: word(from), to: word(to) }, server(id))
            }
            Change::Failure(failed) => (Event::Failure { at, id: &failed.server, why: Why(failed) }, None),
            Change::Recovered { id } => (Event::Recovered { at, id }, None),
        };
        Line { event, server }
    }
}

fn action_of(in_flight: &InFlight) -> &str {
    &in_flight.action
}

/// What it writes, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct Reason {
    kind: crate::model::inventory::FailureKind,
    message: String,
}

#[cfg(test)]
crate::model::schema::described_as!(Why<'_>, Reason);
