//! Checks and looks over a long time: each one while it is kept, then what is left of each hour, and every change of an
//! outcome, so that outages can be listed exactly long after the checks are gone.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::inventory::server::ServerKey;
use crate::model::past::availability::CheckedHour;
use crate::model::past::percentile::Histogram;
use crate::state::history::pending_hours::{
    CHECKS, HOUR_MILLIS, LEAST_WORK, PendingHour, advance, hour_of, next_pending_hour, whole_from,
};
use crate::state::{Result, State, counted, time};

/// What is left of one hour of checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckHour {
    pub(crate) counts: CheckedHour,
    /// How long the answers took.
    pub(crate) millis: Histogram,
}

/// What is known of the checks of one service, or of the looks at one server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckHistory {
    pub(crate) server: ServerKey,
    /// The service's name in the configuration; empty: the looks at the server as a whole.
    pub(crate) service: String,
    /// When it was looked at, and whether it answered, the oldest first.
    pub(crate) looks: Vec<(Timestamp, bool)>,
    /// How long those looks took that have a time, in milliseconds.
    pub(crate) millis: Vec<(Timestamp, f64)>,
    /// What is left of the time before that, the oldest first: no time is in both.
    pub(crate) hours: Vec<CheckHour>,
    /// The changes of the outcome, each with the new one, the oldest first. The first is the last before the window,
    /// where one is known: it says how the window begins. The very first outcome counts as a change.
    pub(crate) switches: Vec<(Timestamp, bool)>,
}

impl State {
    /// What is known between these two times of everything that was checked or looked at then, by server and service.
    /// The hour in which `since` lies counts whole.
    pub(crate) fn check_history(&self, since: Timestamp, until: Timestamp) -> Result<Vec<CheckHistory>> {
        let (since, until) = (since.as_millisecond(), until.as_millisecond());
        self.read(|conn| {
            let mut hours = hours(conn, since, until)?;
            let mut statement =
                conn.prepare_cached("SELECT id, server, service, gone_before FROM series ORDER BY server, service")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, border): (i64, i64) = (row.get(0)?, whole_from(row.get(3)?));
                let (looks, millis) = looks(conn, id, since.max(border), until)?;
                let mut hours = hours.remove(&id).unwrap_or_default();
                hours.retain(|hour| hour.counts.begin < time(border));
                if looks.is_empty() && hours.is_empty() {
                    continue;
                }
                let (server, service) = (ServerKey(row.get(1)?), row.get(2)?);
                let switches = switches(conn, id, since, until)?;
                found.push(CheckHistory { server, service, looks, millis, hours, switches });
            }
            Ok(found)
        })
    }
}

/// When something was looked at, and whether it answered; how long it took.
type Looks = (Vec<(Timestamp, bool)>, Vec<(Timestamp, f64)>);

fn looks(conn: &Connection, series: i64, since: i64, until: i64) -> rusqlite::Result<Looks> {
    let sql = "SELECT at, ok, millis FROM checks WHERE series = ?1 AND at >= ?2 AND at <= ?3 ORDER BY at";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([series, since, until])?;
    let (mut looks, mut millis) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let at = time(row.get(0)?);
        looks.push((at, row.get(1)?));
        millis.extend(row.get::<_, Option<f64>>(2)?.filter(|took| took.is_finite()).map(|took| (at, took)));
    }
    Ok((looks, millis))
}

fn switches(conn: &Connection, series: i64, since: i64, until: i64) -> rusqlite::Result<Vec<(Timestamp, bool)>> {
    let sql = "SELECT at, ok FROM switches WHERE series = ?1 AND at <= ?3
            AND at >= coalesce((SELECT max(at) FROM switches WHERE series = ?1 AND at < ?2), ?2)
        ORDER BY at";
    let mut statement = conn.prepare_cached(sql)?;
    statement.query_map([series, since, until], |row| Ok((time(row.get(0)?), row.get(1)?)))?.collect()
}

fn hours(conn: &Connection, since: i64, until: i64) -> rusqlite::Result<HashMap<i64, Vec<CheckHour>>> {
    let sql = "SELECT hour, series, n, ok, millis FROM check_hours WHERE hour >= ?1 AND hour <= ?2 ORDER BY hour";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([hour_of(since), until])?;
    let mut found: HashMap<i64, Vec<CheckHour>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (n, ok): (i64, i64) = (row.get(2)?, row.get(3)?);
        // Counts that make no sense say nothing.
        let (Ok(ok), Ok(failed)) = (u32::try_from(ok), u32::try_from(n.saturating_sub(ok))) else { continue };
        let counts = CheckedHour { begin: time(row.get(0)?), ok, failed };
        let millis = Histogram::parse(row.get_ref(4)?.as_str()?);
        found.entry(row.get(1)?).or_default().push(CheckHour { counts, millis });
    }
    Ok(found)
}

/// Keeps a change of the outcome where the check of this series at `at` is one, and sees to it that the check after it
/// counts as one only if it still is: checks may come late.
pub(in crate::state) fn mark(conn: &Connection, series: i64, at: i64, ok: bool) -> rusqlite::Result<()> {
    // Where the checks are gone the last change says what was.
    let mut before = conn.prepare_cached(
        "SELECT coalesce((SELECT ok FROM checks WHERE series = ?1 AND at < ?2 ORDER BY at DESC LIMIT 1),
            (SELECT ok FROM switches WHERE series = ?1 AND at < ?2 ORDER BY at DESC LIMIT 1))",
    )?;
    let before: Option<bool> = before.query_row([series, at], |row| row.get(0))?;
    put_switch(conn, series, at, ok, before != Some(ok))?;
    let mut after =
        conn.prepare_cached("SELECT at, ok FROM checks WHERE series = ?1 AND at > ?2 ORDER BY at LIMIT 1")?;
    let after: Option<(i64, bool)> = after.query_row([series, at], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match after {
        Some((later, outcome)) => put_switch(conn, series, later, outcome, outcome != ok),
        None => Ok(()),
    }
}

fn put_switch(conn: &Connection, series: i64, at: i64, ok: bool, is_one: bool) -> rusqlite::Result<()> {
    if is_one {
        let sql = "INSERT OR REPLACE INTO switches (series, at, ok) VALUES (?1, ?2, ?3)";
        return conn.prepare_cached(sql)?.execute(params![series, at, ok]).map(drop);
    }
    conn.prepare_cached("DELETE FROM switches WHERE series = ?1 AND at = ?2")?.execute([series, at]).map(drop)
}

/// Sums up what this run has to of the checks of hours that are over, and gives how many rows it made. It reads half
/// as much again as a run adds.
pub(in crate::state) fn roll_up(conn: &Connection, now: i64) -> rusqlite::Result<usize> {
    let (mut read, mut written) = (0, 0);
    let mut work = LEAST_WORK;
    while read < work {
        let Some(PendingHour { hour, next, .. }) = next_pending_hour(conn, CHECKS, now)? else { break };
        let series = conn.prepare_cached("SELECT count(*) FROM series")?.query_row([], |row| counted(row, 0))?;
        work = work.max(series * 3 / 2);
        let mut statement = conn.prepare_cached(
            "SELECT series.id, ok, millis FROM series CROSS JOIN checks ON checks.series = series.id
             WHERE series.id > ?1 AND checks.at >= ?2 AND checks.at < ?3 ORDER BY series.id, checks.at",
        )?;
        let mut rows = statement.query([next, hour, hour.saturating_add(HOUR_MILLIS)])?;
        let mut sum: Option<(i64, u32, u32, Histogram)> = None;
        let mut stopped = None;
        while let Some(row) = rows.next()? {
            let (id, ok): (i64, bool) = (row.get(0)?, row.get(1)?);
            if let Some(done) = sum.take_if(|sum| sum.0 != id) {
                written += store(conn, hour, &done)?;
                if read >= work {
                    stopped = Some(done.0);
                    break;
                }
            }
            let (_, n, oks, millis) = sum.get_or_insert_with(|| (id, 0, 0, Histogram::default()));
            *n += 1;
            *oks += u32::from(ok);
            if let Some(took) = row.get::<_, Option<f64>>(2)? {
                millis.add(took);
            }
            read += 1;
        }
        if let Some(done) = sum {
            written += store(conn, hour, &done)?;
        }
        read += 20;
        advance(conn, CHECKS, hour, stopped)?;
    }
    Ok(written)
}

fn store(
    conn: &Connection,
    hour: i64,
    (series, n, ok, millis): &(i64, u32, u32, Histogram),
) -> rusqlite::Result<usize> {
    // An hour that lost checks meanwhile must not take the place of the whole one.
    let sql = "INSERT INTO check_hours (hour, series, n, ok, millis) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (hour, series) DO UPDATE SET n = excluded.n, ok = excluded.ok, millis = excluded.millis
        WHERE excluded.n >= n";
    conn.prepare_cached(sql)?.execute(params![hour, series, n, ok, millis.to_string()])
}
