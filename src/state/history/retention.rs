//! What is summed up and deleted in each run: as much as a run adds and a little more, so that the file keeps its size
//! and no run pays for many. What was not summed up is never deleted. A clock that is wrong deletes nothing until it has
//! been so for a while, and a stamp from the future only waits for its time.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::state::history::energy::OLD_ENERGY_HOURS;
use crate::state::history::pending_hours::{CHECKS, LOOK_BACK_MILLIS, SAMPLES};
use crate::state::history::{check_hours, rollup};
use crate::state::{Result, State};

/// How long things are kept at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Each sample, check and look.
    pub(crate) raw: SignedDuration,
    /// What is left of each hour of them, and the changes of outcomes and of power.
    pub(crate) hourly: SignedDuration,
}

/// As the configuration has it where it says nothing.
#[cfg(test)]
impl Default for Retention {
    fn default() -> Retention {
        Retention { raw: SignedDuration::from_hours(7 * 24), hourly: SignedDuration::from_hours(400 * 24) }
    }
}

/// What one run did, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tidied {
    /// Hours of servers and services that were summed up.
    pub(crate) rolled: usize,
    pub(crate) deleted: usize,
}

/// How far checks may grow beyond their time: those of one series go many at a time, from few pages, and most runs
/// delete none.
const SLACK_MILLIS: i64 = 6 * 3_600_000;

/// The least that a run deletes of a table where more is due.
const BITE: usize = 500;

/// So many runs must agree on how late it is before anything is deleted, where earlier ones said otherwise; each this
/// much apart from the one before.
const CLOCKS: i64 = 6;
const APART_MILLIS: i64 = 600_000;

impl State {
    /// Sums up and deletes some of what is due at `now`. To be called once in each run that records something. A clock
    /// that has jumped ahead deletes nothing in its first hour.
    pub(crate) fn tidy(&self, now: Timestamp, retention: &Retention) -> Result<Tidied> {
        let now = now.as_millisecond();
        self.write(|conn| {
            let (samples, checks) = (rollup::roll_up(conn, now)?, check_hours::roll_up(conn, now)?);
            let clock = clock(conn, now)?;
            let before = |kept: SignedDuration| {
                let kept = i64::try_from(kept.max(SignedDuration::ZERO).as_millis()).unwrap_or(i64::MAX);
                clock.earliest.saturating_sub(kept)
            };
            let (raw, hourly) = (before(retention.raw), before(retention.hourly));
            let mut deleted = delete_samples(conn, raw, clock)? + delete_checks(conn, raw, clock)?;
            // As many as there are new ones, at least: there are never more than in the time that they are kept.
            for (sql, new) in [(OLD_SAMPLE_HOURS, samples), (OLD_CHECK_HOURS, checks), (OLD_ENERGY_HOURS, 0)] {
                let most = i64::try_from((new * 2).max(BITE)).unwrap_or(i64::MAX);
                deleted += conn.prepare_cached(sql)?.execute([hourly, most])?;
            }
            // To find them costs more than to delete them: once in an hour, or in some runs of it.
            if checks > 0 {
                deleted +=
                    delete_switches(conn, hourly)? + conn.prepare_cached(OLD_EVENTS)?.execute([hourly, EVENTS])?;
                deleted += conn.prepare_cached("DELETE FROM moves WHERE at < ?1")?.execute([hourly])?;
            }
            Ok(Tidied { rolled: samples + checks, deleted })
        })
    }
}

const OLD_SAMPLE_HOURS: &str = "DELETE FROM sample_hours WHERE (hour, subject) IN
    (SELECT hour, subject FROM sample_hours WHERE hour < ?1 ORDER BY hour, subject LIMIT ?2)";

const OLD_CHECK_HOURS: &str = "DELETE FROM check_hours WHERE (hour, series) IN
    (SELECT hour, series FROM check_hours WHERE hour < ?1 ORDER BY hour, series LIMIT ?2)";

/// So many changes of power go in one bite: more than a fleet has in an hour.
const EVENTS: i64 = 2000;

/// Of each server the last one stays: it says how things were after it.
const OLD_EVENTS: &str = "WITH last AS (SELECT server, max(at) AS at FROM events WHERE at < ?1 GROUP BY server)
    DELETE FROM events WHERE id IN
        (SELECT events.id FROM events JOIN last ON last.server = events.server
         WHERE events.at < ?1 AND events.at < last.at ORDER BY events.at LIMIT ?2)";

/// Between what times it is now, as far as several runs agree on it.
#[derive(Debug, Clone, Copy)]
struct Clock {
    earliest: i64,
    latest: i64,
}

fn clock(conn: &Connection, now: i64) -> rusqlite::Result<Clock> {
    let mut last = conn.prepare_cached("SELECT at FROM clock ORDER BY id DESC LIMIT 1")?;
    let last: Option<i64> = last.query_row([], |row| row.get(0)).optional()?;
    if last.is_none_or(|last| last.abs_diff(now) >= APART_MILLIS.unsigned_abs()) {
        conn.prepare_cached("INSERT INTO clock (at) VALUES (?1)")?.execute([now])?;
        conn.prepare_cached("DELETE FROM clock WHERE id <= (SELECT max(id) FROM clock) - ?1")?.execute([CLOCKS])?;
    }
    let mut known = conn.prepare_cached("SELECT min(at), max(at) FROM clock")?;
    known.query_row([], |row| Ok(Clock { earliest: now.min(row.get(0)?), latest: now.max(row.get(1)?) }))
}

/// The first hour of this kind that is not summed up: what is younger stays.
fn first_unrolled(conn: &Connection, kind: &str) -> rusqlite::Result<i64> {
    let mut statement = conn.prepare_cached("SELECT min(hour) FROM unrolled WHERE kind = ?1")?;
    Ok(statement.query_row([kind], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(i64::MAX))
}

/// Deletes the samples of the oldest looks: of two at least, as each run adds one.
fn delete_samples(conn: &Connection, before: i64, clock: Clock) -> rusqlite::Result<usize> {
    // The first rate of an hour begins before it.
    let before = before.min(first_unrolled(conn, SAMPLES)?.saturating_sub(LOOK_BACK_MILLIS));
    let mut oldest = conn.prepare_cached("SELECT min(at) FROM samples")?;
    let mut oldest = || oldest.query_row([], |row| row.get::<_, Option<i64>>(0));
    let mut delete = conn.prepare_cached("DELETE FROM samples WHERE at = ?1")?;
    let (mut looks, mut deleted, mut gone) = (0, 0, None);
    while looks < 2 || deleted < BITE {
        let Some(at) = oldest()?.filter(|at| *at < before) else { break };
        deleted += delete.execute([at])?;
        looks += 1;
        gone = Some(at.saturating_add(1));
    }
    let known: Option<i64> =
        conn.prepare_cached("SELECT before FROM samples_gone")?.query_row([], |row| row.get(0)).optional()?;
    let wanted = match gone.max(known) {
        // Of a clock that was wrong. What there is now came later.
        Some(future) if future > clock.latest => Some(oldest()?.map_or(clock.latest, |at| at.min(clock.latest))),
        wanted => wanted,
    };
    if wanted != known {
        let sql = "INSERT OR REPLACE INTO samples_gone (id, before) VALUES (1, ?1)";
        conn.prepare_cached(sql)?.execute([wanted])?;
    }
    Ok(deleted)
}

/// Deletes the oldest checks of those series that have overdue ones.
fn delete_checks(conn: &Connection, before: i64, clock: Clock) -> rusqlite::Result<usize> {
    let before = before.min(first_unrolled(conn, CHECKS)?);
    let sql = "UPDATE series SET gone_before = min(?1, coalesce((SELECT min(at) FROM checks WHERE series = id), ?1))
        WHERE gone_before > ?1";
    conn.prepare_cached(sql)?.execute([clock.latest])?;
    let sql = "SELECT id FROM series WHERE EXISTS (SELECT 1 FROM checks WHERE series = series.id AND at < ?1)
        ORDER BY id";
    let overdue = conn
        .prepare_cached(sql)?
        .query_map([before.saturating_sub(SLACK_MILLIS)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    // A run may add one to each series.
    let bite = BITE.max(overdue.len() * 2);
    let mut last = conn.prepare_cached(
        "SELECT max(at) FROM (SELECT at FROM checks WHERE series = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
    )?;
    let mut delete = conn.prepare_cached("DELETE FROM checks WHERE series = ?1 AND at <= ?2")?;
    let mut note = conn.prepare_cached("UPDATE series SET gone_before = max(gone_before, ?2 + 1) WHERE id = ?1")?;
    let mut deleted = 0;
    for series in overdue {
        let left = i64::try_from(bite - deleted).unwrap_or(i64::MAX);
        let last: Option<i64> = last.query_row(params![series, before, left], |row| row.get(0))?;
        let Some(last) = last else { continue };
        deleted += delete.execute([series, last])?;
        note.execute([series, last])?;
        if deleted >= bite {
            break;
        }
    }
    Ok(deleted)
}

/// Deletes old changes of outcomes, but of each series the last one: it says how things were after it.
fn delete_switches(conn: &Connection, before: i64) -> rusqlite::Result<usize> {
    let sql = "SELECT id, (SELECT max(at) FROM switches WHERE series = id AND at <= ?1) AS last FROM series
        WHERE (SELECT min(at) FROM switches WHERE series = id) < last";
    let overdue = conn
        .prepare_cached(sql)?
        .query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
    let mut delete = conn.prepare_cached("DELETE FROM switches WHERE series = ?1 AND at < ?2")?;
    let mut deleted = 0;
    for (series, last) in overdue {
        deleted += delete.execute([series, last])?;
        if deleted >= BITE {
            break;
        }
    }
    Ok(deleted)
}
