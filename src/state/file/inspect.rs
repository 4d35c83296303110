//! A look at the state file that changes nothing: its size, its disk, what SQLite says of it, and what stands beside it.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::state::file::access::{SIDECARS, beside, folder_of};
use crate::state::file::error;
use crate::state::file::open::FRESH;
use crate::state::file::schema;
use crate::state::{Result, State, StateError};

/// What was found of the file.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    pub(crate) path: PathBuf,
    /// With its journal.
    pub(crate) bytes: u64,
    /// Free for this user on its disk; `None`: the system does not say.
    pub(crate) free: Option<u64>,
    /// What SQLite's `quick_check` says, where that is not `ok`; `Err`: it could not look.
    pub(crate) damage: Option<std::result::Result<String, String>>,
    /// What killed runs left, and what was set aside.
    pub(crate) leftovers: Vec<PathBuf>,
}

impl State {
    /// What the file is like. It is opened once more, to read only.
    pub(crate) fn inspection(&self) -> impl FnOnce() -> Inspection + Send + 'static {
        let path = self.path.clone();
        move || inspect(&path)
    }
}

/// Looks at a file, whether it is one of ecobox or not.
pub(crate) fn inspect(path: &Path) -> Inspection {
    let size = |suffix: &str| fs::metadata(beside(path, suffix)).map_or(0, |meta| meta.len());
    let folder = folder_of(path);
    let free = rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Inspection {
        path: path.to_owned(),
        bytes: SIDECARS.iter().chain(&[""]).map(|suffix| size(suffix)).sum(),
        free,
        damage: quick_check(path),
        leftovers: leftovers(path, folder),
    }
}

/// Whether the file can be used as it is, if there is one; it is neither made nor changed.
///
/// # Errors
/// What opening it would complain of, or that it is damaged.
pub(crate) fn look(path: &Path) -> Result<()> {
    match State::open_read_only(path) {
        // An older one is brought up to date when it is opened.
        Ok(_) => Ok(()),
        Err(StateError::Refused { reason, .. }) if reason.starts_with("was made by an older ecobox") => Ok(()),
        Err(error) => Err(error),
    }
}

fn quick_check(path: &Path) -> Option<std::result::Result<String, String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let verdict = Connection::open_with_flags(path, flags).and_then(|conn| {
        schema::prepare(&conn)?;
        conn.busy_timeout(schema::BUSY_TIMEOUT)?;
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    });
    match verdict {
        Ok(verdict) if verdict == "ok" => None,
        Ok(verdict) => Some(Ok(verdict)),
        Err(source) if error::is_damage(&source) => Some(Ok(error::detail(&source))),
        Err(source) => Some(Err(source.to_string())),
    }
}

/// Files that begin as a fresh one does and whose process is gone, and files that were set aside.
fn leftovers(path: &Path, folder: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let aside = format!("{name}.damaged-");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let file = entry.file_name();
            let Some(file) = file.to_str() else { return false };
            file.starts_with(&aside) || file.strip_prefix(FRESH).is_some_and(|rest| !super::open::is_alive(rest))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
