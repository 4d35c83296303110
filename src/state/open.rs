//! Opening the state file: it is made complete or not at all, checked for who can read it, and a damaged one is set
//! aside, never deleted.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, APPLICATION_ID};
use super::{Notice, Result, State, StateError, error, salvage};

/// What SQLite keeps beside the file.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The file whose presence says that a query met damage: the next opening looks at every page.
const SUSPECT: &str = ".suspect";

/// How long to wait for others to let go of a damaged file, and how often to look.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(5) };
const POLL: Duration = Duration::from_millis(10);

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
    /// Nothing is made anew because of an error: a file that cannot be read, must not be read by this user, or was
    /// made by a newer ecobox stays as it is.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<State> {
        let path = &resolve(path)?;
        let folder = folder_of(path);
        make_folder(folder)?;
        let start = Instant::now();
        loop {
            let lock = lock_folder(path, folder)?;
            let damage = match look(path)? {
                Found::Ready(conn) => return Ok(State::of(conn, path.clone(), None, lock)),
                Found::Missing => {
                    make_fresh(path, folder)?;
                    continue;
                }
                Found::Damaged(detail) => detail,
            };
            drop(lock);
            if let Some(lock) = lock_folder_alone(folder)? {
                // Another process may have set it aside while this one waited for the lock.
                let Found::Damaged(_) = look(path)? else { continue };
                let (mut notice, aside) = set_aside(path, &damage, now)?;
                make_fresh(path, folder)?;
                let Found::Ready(conn) = look(path)? else { continue };
                notice.text = format!("{}; {}", notice.text, salvage::copy(&aside, &conn));
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

    /// Opens the file to read only, for what must work without the right to write: completion, `--cached`. Neither
    /// makes nor changes anything; `None` if there is no file.
    pub(crate) fn open_read_only(path: &Path) -> Result<Option<State>> {
        let path = resolve(path)?;
        if check(&path)?.is_none() {
            return Ok(None);
        }
        let damaged = |detail| StateError::Damaged { path: path.clone(), detail };
        let (conn, (id, version)) = connect_read_only(&path).map_err(|source| StateError::of(&path, source))?;
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

    /// A state that ends with the process, for tests.
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

    fn of(conn: Connection, path: PathBuf, notice: Option<Notice>, folder: Option<File>) -> State {
        State { conn: Mutex::new(conn), path, notice, _folder: folder }
    }
}

/// Remembers that a query met damage. Failing is no loss: the query after the next opening meets it again.
pub(super) fn suspect(path: &Path) {
    if path.is_absolute() {
        let _ = File::create_new(beside(path, SUSPECT));
    }
}

fn refused(path: &Path, reason: String) -> StateError {
    StateError::Refused { path: path.to_owned(), reason }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { doing, path, source }
}

/// The absolute path, symbolic links resolved: SQLite puts its journal beside the real file.
fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(source) if source.kind() == ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
                let reason = "is a symbolic link to nothing: remove it, or name another file by `--state`";
                return Err(refused(path, reason.to_owned()));
            }
            std::path::absolute(path).map_err(failed("find", path))
        }
        Err(source) => Err(failed("read", path)(source)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes what is missing of the folder, each part 0700 whatever the umask is.
fn make_folder(folder: &Path) -> Result<()> {
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(refused(folder, "cannot be made there: its folder is no folder".to_owned())),
        Err(source) if source.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(failed("read the folder", folder)(source)),
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
    }
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    match made.and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700))) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => Err(failed("make the folder", folder)(source)),
        _ => Ok(()),
    }
}

/// Whoever has the file open holds its folder's lock shared, whoever sets it aside holds it alone. A folder, not a
/// file of its own: nothing is left behind. `None` on file systems that know no such lock.
fn lock_folder(path: &Path, folder: &Path) -> Result<Option<File>> {
    let file = File::open(folder).map_err(failed("read the folder", folder))?;
    let start = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if start.elapsed() > schema::BUSY_TIMEOUT => {
                return Err(StateError::Busy { path: path.to_owned() });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

/// `None` while anybody else has it.
fn lock_folder_alone(folder: &Path) -> Result<Option<File>> {
    let file = File::open(folder).map_err(failed("read the folder", folder))?;
    Ok(match file.try_lock() {
        // Without such locks two processes could set aside at once, but not delete.
        Ok(()) | Err(TryLockError::Error(_)) => Some(file),
        Err(TryLockError::WouldBlock) => None,
    })
}

/// Refuses what is no file of this user alone, before SQLite opens it: a FIFO would never answer. The file itself is
/// not opened here: closing it again would drop the locks that other connections of this process hold on it.
fn check(path: &Path) -> Result<Option<Metadata>> {
    let Some(meta) = check_one(path)? else { return Ok(None) };
    for suffix in SIDECARS {
        check_one(&beside(path, suffix))?;
    }
    Ok(Some(meta))
}

fn check_one(path: &Path) -> Result<Option<Metadata>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path)(source)),
    };
    if !meta.is_file() {
        let reason = "is no file: move it away, or name another file by `--state`";
        return Err(refused(path, reason.to_owned()));
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        let reason = format!(
            "belongs to user {}, not to {me} who runs this: run as that user, or name another file by `--state`",
            meta.uid()
        );
        return Err(refused(path, reason));
    }
    if meta.mode() & 0o077 != 0 {
        let reason = format!(
            "holds tokens and is open to others (mode {:04o}): run `chmod 600 {}`",
            meta.mode() & 0o7777,
            shell_word(path)
        );
        return Err(refused(path, reason));
    }
    Ok(Some(meta))
}

/// The path as one word of a shell.
fn shell_word(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(byte);
    let text = path.display().to_string();
    if path.as_os_str().as_bytes().iter().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
    schema::configure(&conn).map_err(sqlite)?;
    Ok(conn)
}

fn upgrade(conn: &Connection) -> rusqlite::Result<()> {
    // Fails where another process does the same at this moment; without it the file works too, only slower.
    let _ = conn.pragma_update(None, "journal_mode", "WAL");
    schema::durable(conn, true)?;
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
        Ok(verdict) => return Ok(Found::Damaged(verdict)),
        Err(source) if error::is_damage(&source) => return Ok(Found::Damaged(error::detail(&source))),
        Err(source) => return Err(StateError::of(path, source)),
    }
    // The pages are whole; what stands in them may still be nonsense.
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

/// Makes the file under another name, complete and synced, and then gives it its own: nobody ever sees half of it.
fn make_fresh(path: &Path, folder: &Path) -> Result<()> {
    let made = tempfile::Builder::new().prefix(".state-new-").tempfile_in(folder);
    let fresh = made.map_err(failed("make a file in", folder))?;
    fresh.as_file().set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed("make", path))?;
    // The descriptor is closed before SQLite's locks are on the file.
    let fresh = fresh.into_temp_path();
    let built = Connection::open(&fresh).and_then(|conn| {
        conn.busy_timeout(schema::BUSY_TIMEOUT)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        schema::migrate(&conn, schema::STEPS)?;
        conn.close().map_err(|(_, source)| source)
    });
    built.map_err(|source| StateError::of(path, source))?;
    match fresh.persist_noclobber(path) {
        Err(failure) if failure.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(failure) => Err(failed("make", path)(failure.error)),
        Ok(()) => sync_folder(folder),
    }
}

/// Makes a rename last through a power cut.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write the folder", folder))
}

/// Renames the damaged file and its journal to `<name>.damaged-<time>`, so that `sqlite3 <that> .recover` finds both.
/// The journal goes first: left behind, it would be applied to the new file.
fn set_aside(path: &Path, detail: &str, now: Timestamp) -> Result<(Notice, PathBuf)> {
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
    Ok((Notice { text, rerun: &["ecobox setup-token", "ecobox discover"] }, aside))
}

/// SQLite cannot open a file with a journal read-only unless it may make the journal's index. Where the folder is
/// not writable, the index is kept in memory, without locks: a file that changes at this moment reads as damaged.
fn connect_read_only(path: &Path) -> rusqlite::Result<(Connection, (i32, i32))> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ready = |conn: Connection| {
        schema::prepare(&conn)?;
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
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(ready).map_err(|_| error)
}
