//! Reading without the right to write.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::state::file::access::{check, check_folder, demand_ours, refused, resolve};
use crate::state::file::error;
use crate::state::file::schema::{self, APPLICATION_ID};
use crate::state::{Result, State, StateError};

/// How long to wait for locks of others: completion must be quick.
const PATIENCE: Duration = Duration::from_millis(200);

impl State {
    /// Opens the file to read only, for what must work without the right to write: completion, `--cached`. Neither
    /// makes nor changes anything; `None` if there is no file.
    pub(crate) fn open_read_only(path: &Path) -> Result<Option<State>> {
        let path = resolve(path)?;
        check_folder(&path)?;
        if check(&path)?.is_none() {
            return Ok(None);
        }
        let damaged = |detail| StateError::Damaged { path: path.clone(), detail };
        let (conn, (id, version)) = match connect_read_only(&path) {
            Ok(opened) => opened,
            Err(source) => {
                if error::is_damage(&source) {
                    demand_ours(&path)?;
                }
                return Err(StateError::of(&path, source));
            }
        };
        match version - schema::newest() {
            _ if id != APPLICATION_ID => Err(damaged("it is not of ecobox".to_owned())),
            0 => Ok(Some(State::of(conn, path, None, None))),
            1.. => Err(StateError::Newer { path, found: version, known: schema::newest() }),
            _ => Err(refused(
                &path,
                "was made by an older ecobox: run `ecobox status` once to bring it up to date".into(),
            )),
        }
    }
}

/// SQLite cannot open a file with a journal read-only unless it may make the journal's index. Where the folder is
/// not writable, the index is kept in memory, without locks: a file that changes at this moment reads as damaged.
fn connect_read_only(path: &Path) -> rusqlite::Result<(Connection, (i32, i32))> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ready = |conn: Connection| {
        schema::prepare(&conn)?;
        conn.busy_timeout(PATIENCE)?;
        let header = schema::header(&conn)?;
        conn.execute_batch("PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;")?;
        Ok((conn, header))
    };
    let usual = Connection::open_with_flags(path, flags).and_then(ready);
    let Err(error) = usual else { return usual };
    if error::is_damage(&error) {
        return Err(error);
    }
    let alone = Connection::open_with_flags_and_vfs(path, flags, c"unix-none").and_then(|conn| {
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        ready(conn)
    });
    if alone.is_ok() {
        return alone;
    }
    // No journal at all, and none can be made.
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            // Writing to a string does not fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(ready).map_err(|_| error)
}
