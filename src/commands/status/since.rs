//! How much of the time everything was there.

#[cfg(test)]
mod schema;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::StatusArgs;
use crate::commands::{Context, Outcome, stamp};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::past::availability::Record;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::{ServerKey, ServerKind};
use crate::model::past::availability::Availability;
use crate::model::power::PowerState;
use crate::render::value::{Value, rfc3339};
use crate::render::{Column, Report};
use crate::state::Action;

/// How many actions are told below the table.
const TOLD: usize = 5;

/// Availability of the servers that were asked for, and of their services.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct AvailabilityReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    #[serde(serialize_with = "stamp")]
    until: Timestamp,
    servers: Vec<Row>,
    /// What was done to servers in this time, the oldest first.
    actions: Vec<Done>,
}

/// One server, or one of its services.
#[derive(Debug)]
pub(crate) struct Row {
    id: ServerId,
    name: String,
    kind: ServerKind,
    depth: usize,
    /// The last state that was seen.
    state: PowerState,
    record: Record,
}

/// One action.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    at: String,
    server: Option<String>,
    action: String,
    by: String,
    outcome: String,
    seconds: Option<f64>,
    detail: Option<String>,
}

/// Reads what earlier runs saw, without asking any server.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &StatusArgs) -> anyhow::Result<Outcome<AvailabilityReport>> {
    let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
    let now = fleet.now();
    let since = args.since.map_or(now, |since| since.before(now));
    let servers = fleet.remembered()?.selected(&args.targets)?.servers;
    let records = fleet.records(&servers, since, now)?;
    let mut rows = Vec::new();
    for (server, records) in servers.iter().zip(records) {
        rows.extend(records.into_iter().map(|record| Row::new(server, record)));
    }
    let ids: HashMap<ServerKey, &ServerId> = servers.iter().map(|server| (server.key(), &server.id)).collect();
    let concerns = |action: &Action| action.server.as_ref().is_none_or(|server| ids.contains_key(server));
    let actions = ctx.state.actions(since, now)?.into_iter().filter(concerns);
    let actions = actions.map(|action| Done::new(action, &ids)).collect();
    let report = AvailabilityReport { generated_at: now, since, until: now, servers: rows, actions };
    Ok(Outcome::new(report, Exit::Done))
}

impl Row {
    fn new(server: &Server, record: Record) -> Row {
        Row {
            id: server.id.clone(),
            name: record.service.clone().unwrap_or_else(|| server.name.clone()),
            kind: server.kind,
            depth: server.depth + usize::from(record.service.is_some()),
            state: server.seen.state,
            record,
        }
    }

    fn seen(&self) -> &Availability {
        &self.record.availability
    }

    /// So many seconds, where anything was seen.
    fn seconds(&self, seconds: u64) -> Value<'_> {
        Value::of(self.seen().seen(seconds), Value::Seconds)
    }

    fn now(&self) -> Value<'_> {
        match self.record.service {
            None => Value::State(self.state),
            Some(_) => Value::of(self.record.answers, |open| Value::text(if open { "open" } else { "closed" })),
        }
    }

    fn outages(&self) -> Value<'_> {
        Value::of(self.seen().percent(), |_| Value::text(self.seen().outages.len().to_string()))
    }

    fn last_outage(&self) -> Value<'_> {
        Value::of(self.seen().outages.last(), |outage| match outage.begin_lag_seconds {
            Some(lag) => Value::TimeUpTo(outage.begin, SignedDuration::from_secs(lag.cast_signed())),
            None => Value::Time(outage.begin),
        })
    }

    fn checks_ok_percent(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "numbers of checks")]
        (self.record.checks > 0).then(|| self.record.checks_ok as f64 * 100.0 / self.record.checks as f64)
    }
}

impl Done {
    /// A guest's actions are kept under its cluster and number; it is shown by the id that it has now.
    fn new(action: Action, ids: &HashMap<ServerKey, &ServerId>) -> Done {
        let Action { at, server, action, by, outcome, seconds, detail } = action;
        let server = server.map(|key| ids.get(&key).map_or(key.0, ToString::to_string));
        Done { at: rfc3339(at), server, action, by, outcome, seconds, detail }
    }
}

impl Report for AvailabilityReport {
    const SCHEMA: &'static str = "ecobox.availability/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("NAME", 0, |row| Value::Name { depth: row.depth, text: &row.name }).cut_to(16),
            column("NOW", 4, Row::now),
            column("AVAILABLE", 0, |row| Value::of(row.seen().percent(), Value::Availability)),
            column("OUTAGES", 1, Row::outages),
            column("LONGEST", 3, |row| Value::of(row.seen().longest_outage_seconds(), Value::Seconds)),
            column("ON", 5, |row| row.seconds(row.seen().on_seconds)),
            column("ASLEEP", 7, |row| row.seconds(row.seen().asleep_seconds)),
            column("OFF", 6, |row| row.seconds(row.seen().off_seconds)),
            column("PAUSED", 8, |row| row.seconds(row.seen().paused_seconds)),
            column("UNKNOWN", 2, |row| Value::Seconds(row.seen().unknown_seconds)),
            column("CHECKS", 8, |row| Value::of(row.checks_ok_percent(), Value::Availability)),
            column("P50", 9, |row| Value::of(row.record.response_p50_millis, Value::Milliseconds)),
            column("P95", 10, |row| Value::of(row.record.response_p95_millis, Value::Milliseconds)),
            wide("ID", |row| Value::text(row.id.as_str())),
            wide("KIND", |row| Value::text(row.kind.as_str())),
            wide("DOWN", |row| row.seconds(row.seen().outage_seconds())),
            wide("ASKED", |row| Value::text(row.record.checks.to_string())),
            wide("LAST OUTAGE", Row::last_outage),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.servers.iter()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let unseen = |row: &Row| row.record.availability.seen(0).is_none() && row.record.checks == 0;
        if self.servers.iter().all(unseen) {
            notes.push(
                "nothing was recorded in that time; each run of `ecobox status` or `ecobox stats` records the states"
                    .to_owned(),
            );
        }
        let more = self.actions.len().saturating_sub(TOLD);
        notes.extend(self.actions.iter().skip(more).map(|done| {
            let server = done.server.as_deref().unwrap_or("-");
            format!("{} {}: {} {} by {}", done.at, server, done.action, done.outcome, done.by)
        }));
        if more > 0 {
            notes.push(format!("and {more} earlier actions; `-o json` has them all"));
        }
        notes
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = &self.record;
        let seen = &record.availability;
        let seconds = |millis: Option<f64>| millis.map(|millis| millis / 1000.0);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("kind", self.kind.as_str())?;
        map.serialize_entry("service", &record.service)?;
        map.serialize_entry("state", &record.service.is_none().then_some(self.state.as_str()))?;
        map.serialize_entry("open", &record.answers)?;
        map.serialize_entry("available_percent", &seen.percent())?;
        map.serialize_entry("on_seconds", &seen.seen(seen.on_seconds))?;
        map.serialize_entry("asleep_seconds", &seen.seen(seen.asleep_seconds))?;
        map.serialize_entry("off_seconds", &seen.seen(seen.off_seconds))?;
        map.serialize_entry("paused_seconds", &seen.seen(seen.paused_seconds))?;
        map.serialize_entry("unknown_seconds", &seen.unknown_seconds)?;
        map.serialize_entry("outage_seconds", &seen.seen(seen.outage_seconds()))?;
        map.serialize_entry("longest_outage_seconds", &seen.longest_outage_seconds())?;
        map.serialize_entry("outages", &seen.outages)?;
        map.serialize_entry("checks", &record.checks)?;
        map.serialize_entry("checks_ok", &record.checks_ok)?;
        map.serialize_entry("checks_ok_percent", &self.checks_ok_percent())?;
        map.serialize_entry("response_p50_seconds", &seconds(record.response_p50_millis))?;
        map.serialize_entry("response_p95_seconds", &seconds(record.response_p95_millis))?;
        map.end()
    }
}
