//! What happened: power changes, service checks, and whether each server could be looked at.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::id::NodeName;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::history::check_hours;
use crate::state::history::pending_hours;
use crate::state::{Result, State, time};

/// One check of a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    pub(crate) server: ServerKey,
    /// The service's name in the configuration, not empty.
    pub(crate) service: String,
    pub(crate) ok: bool,
    /// Until the connection stood.
    pub(crate) millis: Option<f64>,
    /// Why it failed.
    pub(crate) detail: Option<String>,
}

/// One look at a server as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostCheck {
    pub(crate) server: ServerKey,
    pub(crate) ok: bool,
    pub(crate) millis: Option<f64>,
    /// Why it failed.
    pub(crate) detail: Option<String>,
}

/// A stored check, or a stored run: then `service` is empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckRecord {
    pub(crate) at: Timestamp,
    pub(crate) server: ServerKey,
    pub(crate) service: String,
    pub(crate) ok: bool,
    pub(crate) millis: Option<f64>,
    pub(crate) detail: Option<String>,
}

impl CheckRecord {
    /// Of a row with `at, server, service, ok, millis, detail`.
    pub(in crate::state) fn read(row: &Row<'_>) -> rusqlite::Result<CheckRecord> {
        Ok(CheckRecord {
            at: time(row.get(0)?),
            server: ServerKey(row.get(1)?),
            service: row.get(2)?,
            ok: row.get(3)?,
            millis: row.get(4)?,
            detail: row.get(5)?,
        })
    }
}

/// A change of power that was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// When it was seen; it happened somewhere between the look before and this one.
    pub(crate) at: Timestamp,
    pub(crate) server: ServerKey,
    pub(crate) from: PowerState,
    pub(crate) to: PowerState,
    pub(crate) source: Source,
    /// By how much it may have happened before even the look before: zero where a guest's own node said it.
    pub(crate) lag: SignedDuration,
}

/// Where guests were: until when on which node, the oldest first.
pub(crate) type Moves = HashMap<ServerKey, Vec<(Timestamp, NodeName)>>;

impl State {
    /// Keeps checks of services.
    pub(crate) fn record_checks(&self, checks: &[Check], at: Timestamp) -> Result<()> {
        self.write(|conn| {
            if !checks.is_empty() {
                pending_hours::mark_hour_dirty(conn, pending_hours::CHECKS, at.as_millisecond(), checks.len())?;
            }
            for check in checks {
                let series = series(conn, &check.server, &check.service)?;
                add_check(conn, series, at, check.ok, check.millis, check.detail.as_deref())?;
            }
            Ok(())
        })
    }

    /// Keeps looks at whole servers.
    pub(crate) fn record_host_checks(&self, runs: &[HostCheck], at: Timestamp) -> Result<()> {
        self.write(|conn| {
            if !runs.is_empty() {
                pending_hours::mark_hour_dirty(conn, pending_hours::CHECKS, at.as_millisecond(), runs.len())?;
            }
            for run in runs {
                let series = series(conn, &run.server, "")?;
                add_check(conn, series, at, run.ok, run.millis, run.detail.as_deref())?;
            }
            Ok(())
        })
    }

    /// The checks of services from `since` on, oldest first.
    pub(crate) fn checks(&self, since: Timestamp) -> Result<Vec<CheckRecord>> {
        self.records("service <> '' AND checks.at >= ?1 ORDER BY checks.at, server, service", since)
    }

    /// The looks at servers from `since` on, oldest first.
    pub(crate) fn host_checks(&self, since: Timestamp) -> Result<Vec<CheckRecord>> {
        self.records("service = '' AND checks.at >= ?1 ORDER BY checks.at, server", since)
    }

    /// Since when a service is looked for, and whether it ever answered; `None`: it never was looked for.
    pub(crate) fn first_check(&self, server: &ServerKey, service: &str) -> Result<Option<(Timestamp, bool)>> {
        self.read(|conn| {
            // Of each change of the outcome one row lasts, the very first outcome among them.
            let sql = "SELECT min(at), max(ok) FROM switches JOIN series ON series.id = switches.series
                WHERE server = ?1 AND service = ?2";
            let found = conn.prepare_cached(sql)?.query_row([&server.0, service], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.map(|at| (time(at), row.get::<_, Option<bool>>(1).ok().flatten())))
            })?;
            Ok(found.map(|(at, ever)| (at, ever == Some(true))))
        })
    }

    fn records(&self, condition: &str, since: Timestamp) -> Result<Vec<CheckRecord>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT checks.at, server, service, ok, millis, detail
                 FROM series CROSS JOIN checks ON checks.series = series.id WHERE {condition}"
            ))?;
            statement.query_map([since.as_millisecond()], CheckRecord::read)?.collect()
        })
    }

    /// The changes of power from `since` on, oldest first.
    pub(crate) fn events(&self, since: Timestamp) -> Result<Vec<Event>> {
        self.read(|conn| {
            let sql = "SELECT at, server, before, after, source, lag FROM events WHERE at >= ?1 ORDER BY at, id";
            let mut statement = conn.prepare_cached(sql)?;
            statement.query_map([since.as_millisecond()], read_event)?.collect()
        })
    }

    /// The last changes of power of one server since then, the newest first.
    pub(crate) fn last_events_of(&self, server: &ServerKey, since: Timestamp, number: u32) -> Result<Vec<Event>> {
        self.read(|conn| {
            let sql = "SELECT at, server, before, after, source, lag FROM events WHERE at >= ?1 AND server = ?2
                ORDER BY at DESC, id DESC LIMIT ?3";
            let mut statement = conn.prepare_cached(sql)?;
            statement.query_map(params![since.as_millisecond(), server.0, number], read_event)?.collect()
        })
    }

    /// The last change of power of each server before `since`: it says how a window begins.
    pub(crate) fn last_events_before(&self, since: Timestamp) -> Result<BTreeMap<ServerKey, Event>> {
        self.read(|conn| {
            // With max() the other columns are those of its row; of two in one millisecond the later stored one counts.
            let sql = "SELECT at, server, before, after, source, lag, max((at << 20) + (id & 1048575)) FROM events
                WHERE at < ?1 GROUP BY server";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([since.as_millisecond()], read_event)?;
            rows.map(|row| row.map(|event| (event.server.clone(), event))).collect()
        })
    }
}

impl State {
    /// Where guests were that have moved since then.
    pub(crate) fn moves(&self, since: Timestamp) -> Result<Moves> {
        self.read(|conn| {
            let sql = "SELECT server, at, before FROM moves WHERE at >= ?1 ORDER BY server, at";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([since.as_millisecond()])?;
            let mut moves = Moves::new();
            while let Some(row) = rows.next()? {
                if let Ok(node) = row.get_ref(2)?.as_str()?.parse() {
                    moves.entry(ServerKey(row.get(0)?)).or_default().push((time(row.get(1)?), node));
                }
            }
            Ok(moves)
        })
    }
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        at: time(row.get(0)?),
        server: ServerKey(row.get(1)?),
        from: PowerState::parse(row.get_ref(2)?.as_str()?),
        to: PowerState::parse(row.get_ref(3)?.as_str()?),
        source: source(row.get_ref(4)?.as_str()?),
        lag: SignedDuration::from_millis(row.get(5)?),
    })
}

/// `lag`: by how much it may have happened before even that.
pub(in crate::state) fn add_event(
    conn: &Connection,
    at: i64,
    server: &ServerKey,
    from: PowerState,
    to: PowerState,
    source: Source,
    lag: SignedDuration,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (at, server, before, after, source, lag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let lag = i64::try_from(lag.as_millis()).unwrap_or_default();
    let values = params![at, server.0, from.as_str(), to.as_str(), source.as_str(), lag];
    conn.prepare_cached(sql)?.execute(values).map(drop)
}

/// Of two moves in one millisecond the first stays: it says where the guest was.
pub(in crate::state) fn add_move(
    conn: &Connection,
    at: i64,
    server: &ServerKey,
    before: &NodeName,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO moves (server, at, before) VALUES (?1, ?2, ?3)";
    conn.prepare_cached(sql)?.execute(params![server.0, at, before.as_str()]).map(drop)
}

/// The stored name of a source; one that is not known reads as the state file itself.
pub(in crate::state) fn source(text: &str) -> Source {
    Source::ALL.into_iter().find(|source| source.as_str() == text).unwrap_or(Source::Cache)
}

fn series(conn: &Connection, server: &ServerKey, service: &str) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM series WHERE server = ?1 AND service = ?2")?;
    if let Some(id) = select.query_row([&server.0, service], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.execute("INSERT INTO series (server, service) VALUES (?1, ?2)", [&server.0, service])?;
    Ok(conn.last_insert_rowid())
}

/// Of two checks of one service in one millisecond the later stored one is of the next.
fn add_check(
    conn: &Connection,
    series: i64,
    at: Timestamp,
    ok: bool,
    millis: Option<f64>,
    detail: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO checks (series, at, ok, millis, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut at = at.as_millisecond();
    while conn.prepare_cached(sql)?.execute(params![series, at, ok, millis, detail])? == 0 {
        at += 1;
    }
    check_hours::mark(conn, series, at, ok)
}
