//! What is still to be sent to Prometheus, in order, and who sends: one process at a time.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{OUT_OF_ORDER_MILLIS, Result, State, counted, time};

impl State {
    /// The oldest body after the one with the id `after` (0: of all): its id, when it was put there, and the bytes.
    pub(crate) fn outbox_next(&self, after: i64) -> Result<Option<(i64, Timestamp, Vec<u8>)>> {
        self.read(|conn| {
            let sql = "SELECT id, at, body FROM outbox WHERE id > ?1 ORDER BY id LIMIT 1";
            let mut statement = conn.prepare_cached(sql)?;
            statement.query_row([after], |row| Ok((row.get(0)?, time(row.get(1)?), row.get(2)?))).optional()
        })
    }

    /// The body was sent, or never will be.
    pub(crate) fn outbox_done(&self, id: i64) -> Result<()> {
        self.write(|conn| conn.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id]).map(drop))
    }

    /// How many bodies wait, and how many bytes they have together.
    pub(crate) fn outbox_len(&self) -> Result<(usize, usize)> {
        self.read(|conn| {
            let sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM outbox";
            conn.prepare_cached(sql)?.query_row([], |row| Ok((counted(row, 0)?, counted(row, 1)?)))
        })
    }

    /// Drops the oldest bodies until the rest has no more than so many bytes; gives how many.
    pub(crate) fn outbox_trim(&self, max_bytes: usize) -> Result<usize> {
        self.write(|conn| {
            let mut statement = conn.prepare_cached("SELECT id, length(body) FROM outbox ORDER BY id DESC")?;
            let mut rows = statement.query([])?;
            let mut bytes: usize = 0;
            while let Some(row) = rows.next()? {
                bytes = bytes.saturating_add(counted(row, 1)?);
                if bytes > max_bytes {
                    let id: i64 = row.get(0)?;
                    return conn.prepare_cached("DELETE FROM outbox WHERE id <= ?1")?.execute([id]);
                }
            }
            Ok(0)
        })
    }

    /// Takes the lease of this name for `length`, or takes it again; `false` while another owner has it. One that has
    /// ended is free, as is one that was taken in the future: a clock was wrong.
    pub(crate) fn try_lease(&self, name: &str, owner: &str, now: Timestamp, length: SignedDuration) -> Result<bool> {
        let now = now.as_millisecond();
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        self.write(|conn| {
            // Another process may have looked at the clock a moment later, and been faster here.
            let sql = "INSERT INTO leases (name, owner, taken_at, ends_at) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (name) DO UPDATE
                    SET owner = excluded.owner, taken_at = excluded.taken_at, ends_at = excluded.ends_at
                    WHERE owner = excluded.owner OR ends_at <= ?3 OR taken_at > ?5";
            let values = params![name, owner, now, now.saturating_add(millis), now.saturating_add(OUT_OF_ORDER_MILLIS)];
            Ok(conn.prepare_cached(sql)?.execute(values)? > 0)
        })
    }

    /// Gives the lease back, if it is this owner's still.
    pub(crate) fn release(&self, name: &str, owner: &str) -> Result<()> {
        self.write(|conn| {
            let sql = "DELETE FROM leases WHERE name = ?1 AND owner = ?2";
            conn.prepare_cached(sql)?.execute([name, owner]).map(drop)
        })
    }
}

/// Puts a body at the end.
pub(super) fn add(conn: &Connection, body: &[u8], at: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO outbox (at, body) VALUES (?1, ?2)")?.execute(params![at, body]).map(drop)
}
