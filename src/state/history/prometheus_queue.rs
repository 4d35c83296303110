//! What is still to be sent to Prometheus, in order, and who sends: one process at a time.

use std::fs::{File, TryLockError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::{Mode, OFlags};

use crate::state::file::access::{SENDING, beside, failed};
use crate::state::{Result, State, counted, time};

/// The right to send to Prometheus, which takes the numbers of a series only in their order: one process has it at a
/// time. It is a lock of the system's, so that it ends with its process, however that ends.
#[derive(Debug)]
pub(crate) struct Sending {
    _lock: Option<File>,
}

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

    /// The right to send; `None` while another process has it.
    ///
    /// # Errors
    /// The file that is locked for it cannot be made or opened.
    pub(crate) fn sending(&self) -> Result<Option<Sending>> {
        // Of its own: SQLite's locks on its files are lost when any of them is closed.
        let path = beside(&self.path, SENDING);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(opened.map_err(|error| failed("open", &path)(error.into()))?);
        match file.try_lock() {
            Ok(()) => Ok(Some(Sending { _lock: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system that knows no such locks: two at once may have numbers refused, but who never sends has all.
            Err(TryLockError::Error(_)) => Ok(Some(Sending { _lock: None })),
        }
    }
}

/// Puts a body at the end.
pub(in crate::state) fn add(conn: &Connection, body: &[u8], at: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO outbox (at, body) VALUES (?1, ?2)")?.execute(params![at, body]).map(drop)
}
