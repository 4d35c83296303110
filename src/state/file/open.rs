//! Opening the state file: it is made complete or not at all, checked for who can read it, and a damaged one is set
//! aside, never deleted.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::state::file::access::{
    POLL, beside, check, check_folder, check_one, demand_ours, failed, folder_of, is_writable, journal_len,
    lock_folder, lock_folder_alone, make_folder, refused, resolve, sync_folder,
};
use crate::state::file::damage::{self, SUSPECT};
use crate::state::file::error;
use crate::state::file::schema::{self, APPLICATION_ID};
use crate::state::{Notice, Result, State, StateError};

/// How long to wait for others to let go of a damaged file.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(5) };

/// What the names of files begin with that are not complete; then comes the process that makes them.
pub(in crate::state) const FRESH: &str = ".state-new-";

/// What stands at the path.
enum Found {
    /// Usable, and of today's schema.
    Ready(Connection),
    Missing,
    Damaged(String),
}

/// Where the state file is: `--state`, else `ECOBOX_STATE`, else `$XDG_STATE_HOME/ecobox/state.db`. `var` reads the
/// environment.
pub(crate) fn find(flag: Option<&Path>, var: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = flag.map(Path::to_owned).or_else(|| set("ECOBOX_STATE")) {
        return path;
    }
    // The XDG base directory specification: a relative path there is to be ignored.
    let folder = set("XDG_STATE_HOME").filter(|folder| folder.is_absolute()).unwrap_or_else(|| {
        let home = set("HOME").or_else(std::env::home_dir).unwrap_or_else(|| PathBuf::from("/"));
        home.join(".local/state")
    });
    folder.join("ecobox").join("state.db")
}

impl State {
    /// Opens the state file; makes it, and its folder, where there is none. `now` names what is set aside.
    ///
    /// # Errors
    /// Nothing is recreated because of an error: a file that cannot be read, must not be read by this user, or was
    /// made by a newer ecobox stays as it is.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<State> {
        let path = &resolve(path)?;
        let folder = folder_of(path);
        make_folder(folder)?;
        check_folder(path)?;
        let start = Instant::now();
        loop {
            let lock = lock_folder(path, folder)?;
            let damage = match look(path)? {
                Found::Ready(conn) => return Ok(State::of(conn, path.clone(), None, lock)),
                Found::Missing if start.elapsed() < schema::BUSY_TIMEOUT => {
                    make_fresh(path, folder)?;
                    continue;
                }
                Found::Missing => return Err(refused(path, "vanishes whenever it is made".to_owned())),
                Found::Damaged(detail) => detail,
            };
            demand_ours(path)?;
            drop(lock);
            if let Some(lock) = lock_folder_alone(folder)? {
                // Another process may have set it aside while this one waited for the lock.
                let Found::Damaged(_) = look(path)? else { continue };
                let (mut notice, aside) = damage::set_aside(path, &damage, now)?;
                make_fresh(path, folder)?;
                let Found::Ready(conn) = look(path)? else { continue };
                notice.text = format!("{}; {}", notice.text, damage::copy(&aside, &conn));
                // From here on others may open it too.
                let lock = lock.lock_shared().map(|()| lock).ok();
                return Ok(State::of(conn, path.clone(), Some(notice), lock));
            }
            if start.elapsed() > PATIENCE {
                return Err(StateError::InUse { path: path.clone() });
            }
            std::thread::sleep(POLL);
        }
    }

    /// A state that ends with the process, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Result<State> {
        let path = PathBuf::from(":memory:");
        let made = Connection::open_in_memory().and_then(|conn| {
            schema::prepare(&conn)?;
            schema::migrate(&conn, schema::STEPS)?;
            Ok(conn)
        });
        let conn = made.map_err(|source| StateError::of(&path, source))?;
        Ok(State::of(conn, path, None, None))
    }

    pub(in crate::state) fn of(conn: Connection, path: PathBuf, notice: Option<Notice>, folder: Option<File>) -> State {
        let journal_before = journal_len(&path);
        State { conn: Mutex::new(conn), path, notice, journal_before, _folder: folder }
    }
}

fn look(path: &Path) -> Result<Found> {
    let journal = beside(path, "-wal");
    let has_journal = || Ok(check_one(&journal)?.is_some_and(|meta| meta.len() > 0));
    let Some(meta) = check(path)? else {
        // SQLite would apply a lost file's journal to a new one.
        return Ok(if has_journal()? { Found::Damaged("only its journal is left".to_owned()) } else { Found::Missing });
    };
    match meta.len() {
        // SQLite would delete the journal.
        0 if has_journal()? => return Ok(Found::Damaged("the file is empty, its journal is not".to_owned())),
        // SQLite takes one byte for none, and reads what is missing of the first page as zeros.
        1..schema::PAGE => return Ok(Found::Damaged("file is not a database".to_owned())),
        _ => {}
    }
    match connect(path) {
        // SQLite writes whole pages: this one was cut, or a full disk stopped one.
        Ok(conn) if meta.len() % schema::PAGE != 0 || beside(path, SUSPECT).exists() => look_closer(path, conn),
        Ok(conn) => Ok(Found::Ready(conn)),
        Err(StateError::Damaged { detail, .. }) => Ok(Found::Damaged(detail)),
        Err(error) => Err(error),
    }
}

/// Opens a file that exists, and brings an older one up to date.
fn connect(path: &Path) -> Result<Connection> {
    let known = schema::newest();
    let not_ours = || {
        let reason = "is a database of another program: move it away, or name another file by `--state`";
        refused(path, reason.to_owned())
    };
    let damaged = |detail: &str| StateError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
    let sqlite = |source| StateError::of(path, source);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(sqlite)?;
    schema::prepare(&conn).map_err(sqlite)?;
    let header = schema::header(&conn).map_err(sqlite)?;
    match header {
        (APPLICATION_ID, version) if version == known => {}
        (APPLICATION_ID, found) if found > known => {
            return Err(StateError::Newer { path: path.to_owned(), found, known });
        }
        (APPLICATION_ID, ..1) => return Err(damaged("it has no schema number")),
        (APPLICATION_ID, _) => upgrade(&conn).map_err(sqlite)?,
        (0, 0) if schema::definitions(&conn).map_err(sqlite)?.is_empty() => upgrade(&conn).map_err(sqlite)?,
        _ => return Err(not_ours()),
    }
    if conn.is_readonly("main").map_err(sqlite)? && is_writable(path) {
        return Err(damaged("its header forbids to write"));
    }
    schema::configure(&conn).map_err(sqlite)?;
    Ok(conn)
}

fn upgrade(conn: &Connection) -> rusqlite::Result<()> {
    schema::make_durable(conn)?;
    schema::migrate(conn, schema::STEPS)
}

/// A file that a query met damage in, or that has an odd size: all of it is read once.
fn look_closer(path: &Path, conn: Connection) -> Result<Found> {
    let verdict = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)).and_then(|verdict| {
        let wanted = Connection::open_in_memory()?;
        schema::migrate(&wanted, schema::STEPS)?;
        let same = schema::definitions(&wanted)? == schema::definitions(&conn)?;
        Ok(if verdict == "ok" && !same { "its tables are not ecobox's".to_owned() } else { verdict })
    });
    match verdict {
        Ok(verdict) if verdict == "ok" => {}
        // The disk does not give what may be whole.
        Ok(verdict) if error::is_of_the_disk(&verdict) => {
            let cause = std::io::Error::other(verdict);
            return Err(StateError::Io { doing: "read", path: path.to_owned(), cause });
        }
        Ok(verdict) => return Ok(Found::Damaged(verdict)),
        Err(source) if error::is_damage(&source) => return Ok(Found::Damaged(error::detail(&source))),
        Err(source) => return Err(StateError::of(path, source)),
    }
    // The pages are whole; their content may still be nonsense.
    let state = State::of(conn, path.to_owned(), None, None);
    match state.read_everything() {
        Ok(()) => {
            let _ = fs::remove_file(beside(path, SUSPECT));
            Ok(Found::Ready(state.conn.into_inner().unwrap_or_else(PoisonError::into_inner)))
        }
        Err(StateError::Damaged { detail, .. }) => Ok(Found::Damaged(detail)),
        Err(error) => Err(error),
    }
}

/// Makes the file under another name, complete and synced, and then renames it, so that no process ever sees half of
/// it.
fn make_fresh(path: &Path, folder: &Path) -> Result<()> {
    remove_left(folder);
    let made = tempfile::Builder::new().prefix(&format!("{FRESH}{}-", std::process::id())).tempfile_in(folder);
    // Without the name that it would have had for a moment.
    let fresh = made.map_err(|error| failed("make a file in", folder)(without_its_name(&error)))?;
    fresh.as_file().set_permissions(Permissions::from_mode(0o600)).map_err(failed("make", path))?;
    // The descriptor is closed before SQLite's locks are on the file.
    let fresh = fresh.into_temp_path();
    let built = Connection::open(&fresh).and_then(|conn| {
        conn.busy_timeout(schema::BUSY_TIMEOUT)?;
        // A half-made file need not be recovered. The WAL mode comes last: the file is never without its journal.
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = MEMORY;")?;
        schema::migrate(&conn, schema::STEPS)?;
        schema::write_ahead(&conn);
        conn.close().map_err(|(_, source)| source)
    });
    built.map_err(|source| StateError::of(path, source))?;
    match fresh.persist_noclobber(path) {
        Err(failure) if failure.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // Somebody to whom this process does not exist, as in a container, took it for one that was left: once more.
        Err(failure) if failure.error.kind() == ErrorKind::NotFound => Ok(()),
        Err(failure) => Err(failed("make", path)(failure.error)),
        Ok(()) => sync_folder(folder),
    }
}

/// The system's error, without the name of a temporary file that says nothing to anybody.
fn without_its_name(error: &std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        // Of some errors, as of too many open files, the kind has no word.
        Some((text, _)) if error.kind().to_string() == "uncategorized error" => std::io::Error::other(text.to_owned()),
        _ => error.kind().into(),
    }
}

/// Removes half-made files of runs that were killed. Failing does no harm: they are not in the way.
fn remove_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(FRESH)) else { continue };
        if !is_alive(rest) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether the process that makes a fresh file is there; `rest` is the file's name behind its beginning.
pub(in crate::state) fn is_alive(rest: &str) -> bool {
    let maker = rest.split('-').next().and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?));
    let lives = |pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
    maker.is_some_and(lives)
}
