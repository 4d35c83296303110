//! The file and its folder as the system sees them: where they are, who owns them, who else may read them.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::file;
use crate::state::file::schema;
use crate::state::{Result, StateError};

/// What SQLite keeps beside the file.
pub(in crate::state) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The empty file that is locked by who sends to Prometheus.
pub(in crate::state) const SENDING: &str = "-sending";

/// How often to look at a lock that another process holds.
pub(in crate::state) const POLL: Duration = Duration::from_millis(10);

pub(in crate::state) fn refused(path: &Path, reason: String) -> StateError {
    StateError::Refused { path: path.to_owned(), reason }
}

pub(in crate::state) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |cause| StateError::Io { doing, path, cause }
}

/// The absolute path, symbolic links resolved: SQLite puts its journal beside the real file.
/// Links that others could change are refused.
pub(in crate::state) fn resolve(path: &Path) -> Result<PathBuf> {
    if let Err(link) = file::refuse_foreign_links(path) {
        return Err(refused(path, format!("is not used: {link}; name the file itself by `--state`")));
    }
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

pub(in crate::state) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

pub(in crate::state) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Bytes of a state file's journal.
pub(in crate::state) fn journal_len(path: &Path) -> u64 {
    fs::metadata(beside(path, "-wal")).map_or(0, |meta| meta.len())
}

/// Makes what is missing of the folder, and refuses one that somebody else could put files into.
pub(in crate::state) fn make_folder(folder: &Path) -> Result<()> {
    match file::make_folder(folder) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == ErrorKind::NotADirectory => {
            Err(refused(folder, "cannot be made there: its folder is not a folder".to_owned()))
        }
        Err(source) => Err(failed("make the folder", folder)(source)),
    }
}

/// Refuses a folder in which others could replace the file, or put a journal beside it.
pub(in crate::state) fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let meta = match fs::metadata(folder) {
        Ok(meta) => meta,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("read the folder", folder)(source)),
    };
    if !file::others_may_write(&meta) {
        return Ok(());
    }
    let me = file::own_uid();
    let (shown, mode) = (folder.display(), meta.mode() & 0o7777);
    let reason = if meta.uid() == me {
        let word = file::shell_word(folder);
        format!("lies in a folder that others may write (mode {mode:04o}): run `chmod go-w {word}`")
    } else if file::is_own(&meta) {
        format!("lies in {shown}, which others may write (mode {mode:04o}): make a folder of your own for it")
    } else {
        format!("lies in {shown}, which belongs to user {}, not to {me} who runs this: run as that user", meta.uid())
    };
    Err(refused(path, format!("{reason}, or name another file by `--state`")))
}

/// A process that has the file open holds its folder's lock shared, one that sets it aside holds it alone. A folder, not a
/// file of its own: nothing is left behind. `None` on file systems that know no such lock.
pub(in crate::state) fn lock_folder(path: &Path, folder: &Path) -> Result<Option<File>> {
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
pub(in crate::state) fn lock_folder_alone(folder: &Path) -> Result<Option<File>> {
    let file = File::open(folder).map_err(failed("read the folder", folder))?;
    Ok(match file.try_lock() {
        // Without such locks two processes could set aside at once, but not delete.
        Ok(()) | Err(TryLockError::Error(_)) => Some(file),
        Err(TryLockError::WouldBlock) => None,
    })
}

/// Refuses what is no file of this user alone, before SQLite opens it: a FIFO would never answer. The file itself is
/// not opened here: closing it again would drop the locks that other connections of this process hold on it.
pub(in crate::state) fn check(path: &Path) -> Result<Option<Metadata>> {
    let Some(meta) = check_one(path)? else { return Ok(None) };
    for suffix in SIDECARS {
        check_one(&beside(path, suffix))?;
    }
    Ok(Some(meta))
}

pub(in crate::state) fn check_one(path: &Path) -> Result<Option<Metadata>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path)(source)),
    };
    if !meta.is_file() {
        let reason = "is not a file: move it away, or name another file by `--state`";
        return Err(refused(path, reason.to_owned()));
    }
    let me = file::own_uid();
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
            file::shell_word(path)
        );
        return Err(refused(path, reason));
    }
    Ok(Some(meta))
}

/// Whether the system would let this user write: the owner's bit, on a file system that can be written.
pub(in crate::state) fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Makes a rename last through a power cut.
pub(in crate::state) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write the folder", folder))
}

/// Refuses what no damage can explain: a file that never was a state file, whose owner needs it where it is. SQLite's
/// first bytes and ecobox's number make one, and so does a write-ahead log beside a file that lost its beginning.
pub(in crate::state) fn demand_ours(path: &Path) -> Result<()> {
    let not_ours = |what: &str| {
        Err(refused(path, format!("is {what}, and stays as it is: name another file by `--state`, or move it away")))
    };
    let found = head(path)?;
    if found.starts_with(schema::MAGIC) {
        return match found.get(schema::APPLICATION_ID_AT..schema::APPLICATION_ID_AT + 4) {
            Some(id) if id != schema::APPLICATION_ID.to_be_bytes() => not_ours("a database of another program"),
            _ => Ok(()),
        };
    }
    let journal = head(&beside(path, "-wal"))?;
    if schema::WAL_MAGIC.iter().any(|magic| journal.starts_with(&magic.to_be_bytes())) {
        return Ok(());
    }
    not_ours("no database")
}

/// The first bytes of a file; none of one that is missing. Only a file that is damaged is read so: to close it again drops
/// the locks that other connections of this process have on it.
fn head(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(100).read_to_end(&mut bytes)) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(failed("read", path)(source)),
        _ => Ok(bytes),
    }
}
