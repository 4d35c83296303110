//! Why the state file cannot be used, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What is wrong with the state file. None of these means "there is no state": nothing may be made anew because of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The file or its folder cannot be read or written: no right, an I/O error.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// What is there must not be used; `reason` says what to run.
    #[error("the state file {} {reason}", path.display())]
    Refused { path: PathBuf, reason: String },
    #[error(
        "the state file {} was made by a newer ecobox (schema {found}, this one knows {known}): update ecobox, or name \
         another file by `--state`",
        path.display()
    )]
    Newer { path: PathBuf, found: i32, known: i32 },
    /// Found while reading or writing. The next `State::open` looks closer and sets the file aside.
    #[error("the state file {} is damaged ({detail}): run the command again to set it aside", path.display())]
    Damaged { path: PathBuf, detail: String },
    /// Damaged, and not set aside because another process has it open.
    #[error(
        "the state file {} is damaged and another ecobox has it open: end that one (`fuser {}` names it) and run the \
         command again",
        path.display(), path.display()
    )]
    InUse { path: PathBuf },
    /// Another process held the lock for all of [`super::schema::BUSY_TIMEOUT`].
    #[error("the state file {} is locked by another ecobox (`fuser {}` names it)", path.display(), path.display())]
    Busy { path: PathBuf },
    #[error("no space is left for the state file {}: free some and run the command again", path.display())]
    Full { path: PathBuf },
    #[error("cannot use the state file {}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

impl StateError {
    /// Whether what is in the file is as good as before, and only nothing can be added: a full disk, a broken one.
    pub(crate) fn is_of_writing(&self) -> bool {
        match self {
            StateError::Full { .. } => true,
            StateError::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure),
            _ => false,
        }
    }

    /// The error that `source` stands for while `path` was read or written.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> StateError {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path },
            Some(ErrorCode::DiskFull) => StateError::Full { path },
            _ if is_damage(&source) => StateError::Damaged { path, detail: detail(&source) },
            _ => StateError::Sqlite { path, source },
        }
    }
}

/// Whether the error says that the bytes of the file are wrong. The statements here are fixed, so that an error in
/// one (`Unknown`: no such table, malformed schema, unsupported format; a violated constraint) speaks of the file too,
/// as does a value of another type than the table's, or a row that is missing. Before a file is set aside all of it is
/// checked.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TooBig, TypeMismatch, Unknown};
    let codes = [ConstraintViolation, DatabaseCorrupt, NotADatabase, TooBig, TypeMismatch, Unknown];
    error.sqlite_error_code().is_none_or(|code| codes.contains(&code))
}

/// SQLite's words without rusqlite's repetition of them.
pub(super) fn detail(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
