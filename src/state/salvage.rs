//! What can be read of a damaged file is copied into the fresh one: tokens, intents and trust cost a person work, and a
//! lost intent is a token left behind on a server. Guests and history come back by themselves.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::schema;

/// The tables worth it, each with the number of its columns.
const TABLES: [(&str, &str); 6] = [
    ("machine", "id, suffix"),
    ("tokens", "cluster, token_id, secret, scope, pve_major, via, at"),
    ("intents", "server, token_id, cluster, at"),
    ("trust", "server, trust, via, at"),
    ("members", "server, cluster, node, at"),
    ("wishes", "server, asleep, at"),
];

/// Copies row by row until the damage, and says what came over.
pub(super) fn copy(aside: &Path, fresh: &Connection) -> String {
    let mut tokens = 0;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if let Ok(old) = Connection::open_with_flags(aside, flags)
        && schema::prepare(&old).is_ok()
        // Reads a file that was cut, too.
        && old.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true).is_ok()
        && schema::durable(fresh, true).is_ok()
    {
        for (table, columns) in TABLES {
            // An error is where the readable part ends; each row that was copied before stays.
            let mut copied = 0;
            let _ = copy_table(&old, fresh, table, columns, &mut copied);
            if table == schema::SECRET_TABLE {
                tokens = copied;
            }
        }
    }
    let _ = schema::durable(fresh, false);
    match tokens {
        0 => "no token could be read from it".to_owned(),
        1 => "1 token could be read from it".to_owned(),
        n => format!("{n} tokens could be read from it"),
    }
}

fn copy_table(
    old: &Connection,
    fresh: &Connection,
    table: &str,
    columns: &str,
    copied: &mut usize,
) -> rusqlite::Result<()> {
    let count = columns.split(',').count();
    let marks = vec!["?"; count].join(", ");
    let mut read = old.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut write = fresh.prepare(&format!("INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"))?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        // A row that is no text, or that the STRICT table does not take, is damage too; the next may be whole.
        let values = (0..count).map(|i| row.get::<_, Value>(i)).collect::<rusqlite::Result<Vec<_>>>();
        *copied += values.and_then(|values| write.execute(params_from_iter(values))).unwrap_or(0);
    }
    Ok(())
}
