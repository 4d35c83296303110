//! The tables, how a connection is set up, and how older files become today's.

mod steps;

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(in crate::state) use self::steps::STEPS;

/// `ecob`, in the header of every state file: tells one from another program's database.
pub(in crate::state) const APPLICATION_ID: i32 = 0x6563_6f62;

/// The begin of every database of SQLite, and where its application id stands (<https://www.sqlite.org/fileformat2.html>).
pub(in crate::state) const MAGIC: &[u8] = b"SQLite format 3\0";
pub(in crate::state) const APPLICATION_ID_AT: usize = 68;

/// The begin of every write-ahead log, for either order of bytes in its checksums.
pub(in crate::state) const WAL_MAGIC: [u32; 2] = [0x377f_0682, 0x377f_0683];

/// How long to wait for other processes' transactions.
pub(in crate::state) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a page: SQLite's default, which no state file ever changes.
pub(in crate::state) const PAGE: u64 = 4096;

/// The only table that holds secrets.
pub(in crate::state) const SECRET_TABLE: &str = "tokens";

/// The schema number of the newest file that this program can use.
pub(in crate::state) fn newest() -> i32 {
    number_of(STEPS)
}

fn number_of(steps: &[&str]) -> i32 {
    i32::try_from(steps.len()).unwrap_or(i32::MAX)
}

/// The header's `application_id` and `user_version`.
pub(in crate::state) fn header(conn: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// What does not need the file: nothing is read here yet.
pub(in crate::state) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // The last connection of a short run would otherwise copy the journal into the file and sync twice each time.
    // `empty_long_journal` does that instead, once in many runs.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // A plan that depends on the values would be made again for each of them: most of the time of a short query.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Journals ahead instead of behind: readers and the one writer do not wait for each other, and commits need not wait
/// for the disk. Stays with the file. Where it fails (a file system that cannot map memory, another process that does
/// the same at this moment) the file works too, only slower.
pub(in crate::state) fn write_ahead(conn: &Connection) {
    let is_ahead = conn.pragma_query_value(None, "journal_mode", |row| Ok(row.get_ref(0)?.as_str()? == "wal"));
    if is_ahead != Ok(true) {
        let _ = conn.pragma_update(None, "journal_mode", "WAL");
    }
}

/// How long the journal may be where a run ends, in bytes: twice what the run added, within these bounds. Opening reads all
/// of it, about five microseconds a page, which is much of what a run takes that only reads; to copy it into the file waits for
/// the disk several times, milliseconds each, which must not happen in each run.
const LONG_JOURNAL: (u64, u64) = (1 << 17, 1 << 20);

/// Copies a long journal into the file, if no other process uses it, and empties it. It has `len` bytes, and had
/// `before` when
/// the file was opened.
pub(in crate::state) fn empty_long_journal(conn: &Connection, len: u64, before: u64) {
    let (least, most) = LONG_JOURNAL;
    if len > len.saturating_sub(before).saturating_mul(2).clamp(least, most) {
        // Another run does it when it ends.
        let _ = conn.busy_timeout(Duration::ZERO);
        let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

pub(in crate::state) fn configure(conn: &Connection) -> rusqlite::Result<()> {
    write_ahead(conn);
    conn.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 4194304;",
    )
}

/// From now on commits wait for the disk, and overwrite what they delete: secrets. Not inside a transaction.
pub(in crate::state) fn make_durable(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
}

/// From now on they do not, as usual.
pub(in crate::state) fn make_quick(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF;")
}

/// Makes an empty or older file today's, in one transaction. A process that comes second finds it done.
pub(in crate::state) fn migrate(conn: &Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let (_, found) = header(&tx)?;
    for step in steps.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    if found < number_of(steps) {
        tx.pragma_update(None, "user_version", number_of(steps))?;
    }
    tx.commit()
}

/// Every stored definition, in a fixed order.
pub(in crate::state) fn definitions(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Reads every value of every table.
pub(in crate::state) fn read_values(conn: &Connection) -> rusqlite::Result<()> {
    let mut tables = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            (0..columns).try_for_each(|i| row.get::<_, Value>(i).map(drop))?;
        }
    }
    Ok(())
}
