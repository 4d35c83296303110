//! What happened: power changes, service checks, and whether each server could be looked at.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, State, time};
use crate::model::power::PowerState;
use crate::model::server::ServerKey;
use crate::model::usage::Source;

/// How long each check and run is kept at least: a week.
const RAW_KEPT_MILLIS: i64 = 7 * 24 * 3_600_000;

/// How far a series may grow beyond that: its rows go many at a time, from few pages, and most runs delete nothing.
const PRUNE_SLACK_MILLIS: i64 = 6 * 3_600_000;

/// The most rows that one run deletes.
const PRUNE_BITE: usize = 500;

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
pub(crate) struct Run {
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

/// A change of power that was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// When it was seen; it happened somewhere between the look before and this one.
    pub(crate) at: Timestamp,
    pub(crate) server: ServerKey,
    pub(crate) from: PowerState,
    pub(crate) to: PowerState,
    pub(crate) source: Source,
}

impl State {
    /// Keeps checks of services.
    pub(crate) fn record_checks(&self, checks: &[Check], at: Timestamp) -> Result<()> {
        self.write(|conn| {
            for check in checks {
                let series = series(conn, &check.server, &check.service)?;
                add_check(conn, series, at, check.ok, check.millis, check.detail.as_deref())?;
            }
            Ok(())
        })
    }

    /// Keeps looks at whole servers.
    pub(crate) fn record_runs(&self, runs: &[Run], at: Timestamp) -> Result<()> {
        self.write(|conn| {
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
    pub(crate) fn runs(&self, since: Timestamp) -> Result<Vec<CheckRecord>> {
        self.records("service = '' AND checks.at >= ?1 ORDER BY checks.at, server", since)
    }

    fn records(&self, condition: &str, since: Timestamp) -> Result<Vec<CheckRecord>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT checks.at, server, service, ok, millis, detail
                 FROM series CROSS JOIN checks ON checks.series = series.id WHERE {condition}"
            ))?;
            let rows = statement.query_map([since.as_millisecond()], |row| {
                Ok(CheckRecord {
                    at: time(row.get(0)?),
                    server: ServerKey(row.get(1)?),
                    service: row.get(2)?,
                    ok: row.get(3)?,
                    millis: row.get(4)?,
                    detail: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The changes of power from `since` on, oldest first.
    pub(crate) fn events(&self, since: Timestamp) -> Result<Vec<Event>> {
        self.read(|conn| {
            let sql = "SELECT at, server, before, after, source FROM events WHERE at >= ?1 ORDER BY at, id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([since.as_millisecond()], |row| {
                Ok(Event {
                    at: time(row.get(0)?),
                    server: ServerKey(row.get(1)?),
                    from: PowerState::parse(row.get_ref(2)?.as_str()?),
                    to: PowerState::parse(row.get_ref(3)?.as_str()?),
                    source: source(row.get_ref(4)?.as_str()?),
                })
            })?;
            rows.collect()
        })
    }

    /// Deletes some of the checks and runs that are too old at `now`, so that no run pays for all of a week; gives how
    /// many. Events stay.
    pub(crate) fn prune(&self, now: Timestamp) -> Result<usize> {
        let before = now.as_millisecond() - RAW_KEPT_MILLIS;
        let overdue = self.read(|conn| {
            let sql = "SELECT id FROM series WHERE EXISTS (SELECT 1 FROM checks WHERE series = series.id AND at < ?1)";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([before - PRUNE_SLACK_MILLIS], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        })?;
        if overdue.is_empty() {
            return Ok(0);
        }
        self.write(|conn| {
            let mut statement = conn.prepare_cached(
                "DELETE FROM checks WHERE series = ?1 AND at IN
                    (SELECT at FROM checks WHERE series = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
            )?;
            let mut left = PRUNE_BITE;
            for series in overdue {
                left -= statement.execute(params![series, before, i64::try_from(left).unwrap_or(i64::MAX)])?;
                if left == 0 {
                    break;
                }
            }
            Ok(PRUNE_BITE - left)
        })
    }
}

pub(super) fn add_event(
    conn: &Connection,
    at: i64,
    server: &ServerKey,
    from: PowerState,
    to: PowerState,
    source: Source,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (at, server, before, after, source) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![at, server.0, from.as_str(), to.as_str(), source.as_str()];
    conn.prepare_cached(sql)?.execute(values).map(drop)
}

/// The stored name of a source; one that is not known reads as the state file itself.
pub(super) fn source(text: &str) -> Source {
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

/// Two checks of one service in one millisecond: the later stored one stays.
fn add_check(
    conn: &Connection,
    series: i64,
    at: Timestamp,
    ok: bool,
    millis: Option<f64>,
    detail: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO checks (series, at, ok, millis, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.prepare_cached(sql)?.execute(params![series, at.as_millisecond(), ok, millis, detail]).map(drop)
}
