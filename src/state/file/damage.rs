//! A damaged file is set aside, never deleted. What can be read of it is copied into the fresh one: tokens, intents and
//! trust cost a person work, and a lost intent is a token left behind on a server; who did what to a server is told
//! nowhere else; and by who a guest was, an action is kept from another one that has its number now. Guests come back by
//! themselves, and history grows again.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::model::hint::HintId;

use crate::state::file::access::{SIDECARS, beside, demand_ours, failed, folder_of, refused, sync_folder};
use crate::state::file::schema;
use crate::state::{Notice, Result};

/// The file whose presence says that a query met damage: the next opening looks at every page.
pub(in crate::state) const SUSPECT: &str = ".suspect";

/// The tables worth it, each with the number of its columns.
const TABLES: [(&str, &str); 10] = [
    ("machine", "id, suffix"),
    ("tokens", "cluster, token_id, secret, scope, pve_major, via, at"),
    ("intents", "server, token_id, cluster, at"),
    ("trust", "server, trust, via, at"),
    ("members", "server, cluster, node, at"),
    ("wishes", "server, asleep, at"),
    ("alarms", "server, at, late, set_at, shown, sleeps"),
    ("actions", "id, at, server, action, asked_by, outcome, seconds, detail"),
    // Without what the last listing said: the next one is new.
    ("clusters", "id, name"),
    ("identities", "cluster, vmid, identity, at"),
];

/// Remembers that a query met damage. Failing is no loss: the query after the next opening meets it again.
pub(in crate::state) fn suspect(path: &Path) {
    if path.is_absolute() {
        let _ = File::create_new(beside(path, SUSPECT));
    }
}

/// Renames the damaged file and its journal to `<name>.damaged-<time>`, so that `sqlite3 <that> .recover` finds both.
/// The journal goes first: left behind, it would be applied to the new file.
pub(in crate::state) fn set_aside(path: &Path, detail: &str, now: Timestamp) -> Result<(Notice, PathBuf)> {
    demand_ours(path)?;
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let names = (1..1000).map(|n| {
        let count = if n == 1 { String::new() } else { format!("-{n}") };
        beside(path, &format!(".damaged-{stamp}{count}"))
    });
    let free = |name: &PathBuf| ["", "-wal"].iter().all(|suffix| fs::symlink_metadata(beside(name, suffix)).is_err());
    let aside = names.into_iter().find(free).ok_or_else(|| {
        refused(path, format!("is damaged ({detail}), and was too often this second: move the set-aside files away"))
    })?;
    for suffix in SIDECARS.iter().chain(&[""]) {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed("set aside", path)(source)),
            _ => {}
        }
    }
    let _ = fs::remove_file(beside(path, SUSPECT));
    sync_folder(folder_of(path))?;
    let text = format!(
        "the state file {} was damaged ({detail}): it is kept as {}, and a fresh one was made",
        path.display(),
        aside.display()
    );
    Ok((Notice { text, hint: HintId::StateDamaged }, aside))
}

/// Copies row by row until the damage, and says what came over.
pub(in crate::state) fn copy(aside: &Path, fresh: &Connection) -> String {
    let mut tokens = 0;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if let Ok(old) = Connection::open_with_flags(aside, flags)
        && schema::prepare(&old).is_ok()
        // Reads a file that was cut, too.
        && old.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true).is_ok()
        && schema::make_durable(fresh).is_ok()
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
    let _ = schema::make_quick(fresh);
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
