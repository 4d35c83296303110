//! Hours that are still to be summed up, and where what was summed up begins.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::state::counted;

pub(in crate::state) const HOUR_MILLIS: i64 = 3_600_000;

/// What is summed up, as the file names it.
pub(in crate::state) const SAMPLES: &str = "samples";

pub(in crate::state) const CHECKS: &str = "checks";

/// How long after a look its totals still say something about the next one: as in `model::series`.
pub(in crate::state) const LOOK_BACK_MILLIS: i64 = 2 * HOUR_MILLIS;

/// The least that a run reads to sum it up, in rows: a small file is always up to date.
pub(in crate::state) const LEAST_WORK: usize = 2000;

/// When the first hour begins that has all of its samples still. A border in the future is of a clock that was wrong,
/// and `tidy` puts it right.
pub(in crate::state) fn first_whole_hour(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT before FROM samples_gone";
    let gone = conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(gone.map_or(i64::MIN + HOUR_MILLIS, whole_from))
}

/// When the first hour begins that has nothing before this time.
pub(in crate::state) fn whole_from(at: i64) -> i64 {
    hour_of(at.saturating_add(HOUR_MILLIS - 1))
}

/// A run kept `rows` of this time: its hour is to be summed up, again if it was already.
pub(in crate::state) fn mark_hour_dirty(conn: &Connection, kind: &str, at: i64, rows: usize) -> rusqlite::Result<()> {
    let sql = "INSERT INTO unrolled (kind, hour, most) VALUES (?1, ?2, ?3)
        ON CONFLICT (kind, hour) DO UPDATE SET next = 0, most = max(most, excluded.most)
        WHERE next <> 0 OR most < excluded.most";
    conn.prepare_cached(sql)?.execute(params![kind, hour_of(at), i64::try_from(rows).unwrap_or(i64::MAX)]).map(drop)
}

/// An hour that is to be summed up.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct PendingHour {
    pub(in crate::state) hour: i64,
    /// Up to this subject it is.
    pub(in crate::state) next: i64,
    /// The most rows that one run added to it.
    pub(in crate::state) most: usize,
    /// How many such hours there are.
    pub(in crate::state) behind: usize,
}

/// The oldest hour that is over and not summed up.
pub(in crate::state) fn next_pending_hour(
    conn: &Connection,
    kind: &str,
    now: i64,
) -> rusqlite::Result<Option<PendingHour>> {
    let sql = "SELECT hour, next, most, (SELECT count(*) FROM unrolled WHERE kind = ?1 AND hour <= ?2)
        FROM unrolled WHERE kind = ?1 AND hour <= ?2 ORDER BY hour LIMIT 1";
    let read = |row: &Row<'_>| {
        Ok(PendingHour { hour: row.get(0)?, next: row.get(1)?, most: counted(row, 2)?, behind: counted(row, 3)? })
    };
    conn.prepare_cached(sql)?.query_row(params![kind, now.saturating_sub(HOUR_MILLIS)], read).optional()
}

/// Remembers up to which subject the hour is summed up; `None`: it is done.
pub(in crate::state) fn advance(conn: &Connection, kind: &str, hour: i64, next: Option<i64>) -> rusqlite::Result<()> {
    match next {
        Some(next) => conn
            .prepare_cached("UPDATE unrolled SET next = ?3 WHERE kind = ?1 AND hour = ?2")?
            .execute(params![kind, hour, next]),
        None => conn.prepare_cached("DELETE FROM unrolled WHERE kind = ?1 AND hour = ?2")?.execute(params![kind, hour]),
    }
    .map(drop)
}

/// When the hour begins that a time lies in.
pub(in crate::state) fn hour_of(at: i64) -> i64 {
    at.div_euclid(HOUR_MILLIS) * HOUR_MILLIS
}
