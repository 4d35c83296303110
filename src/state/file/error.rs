//! Why the state file cannot be used, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What is wrong with the state file. None of these means "there is no state": nothing may be recreated because of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The file or its folder cannot be read or written: no right, an I/O error.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
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
    /// Another process held the lock for all of [`crate::state::file::schema::BUSY_TIMEOUT`].
    #[error("the state file {} is locked by another ecobox (`fuser {}` names it)", path.display(), path.display())]
    Busy { path: PathBuf },
    #[error("no space is left for the state file {}: free some and run the command again", path.display())]
    Full { path: PathBuf },
    #[error("cannot use the state file {}: {}", path.display(), detail(cause))]
    Sqlite { path: PathBuf, cause: rusqlite::Error },
}

impl StateError {
    /// Whether what is in the file is as good as before, and only nothing can be added: a full disk, a broken one.
    pub(crate) fn is_of_writing(&self) -> bool {
        match self {
            StateError::Full { .. } => true,
            StateError::Sqlite { cause, .. } => cause.sqlite_error_code() == Some(ErrorCode::SystemIoFailure),
            _ => false,
        }
    }

    /// The error that `source` stands for while `path` was read or written.
    pub(in crate::state) fn of(path: &Path, source: rusqlite::Error) -> StateError {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path },
            Some(ErrorCode::DiskFull) => StateError::Full { path },
            // SQLite does not say why.
            Some(ErrorCode::CannotOpen) => match why_not(&path) {
                Some(cause) => StateError::Io { doing: "open", path, cause },
                None => StateError::Sqlite { path, cause: source },
            },
            _ if is_damage(&source) => StateError::Damaged { path, detail: detail(&source) },
            _ => StateError::Sqlite { path, cause: source },
        }
    }
}

/// What keeps this process from opening files, or a file in this folder. The file itself is left alone: to close it again
/// would drop SQLite's locks on it.
fn why_not(path: &Path) -> Option<io::Error> {
    std::fs::File::open(path.parent()?).err()
}

/// Whether the error says that the bytes of the file are wrong. The statements here are fixed, so that an error in
/// one (`Unknown`: no such table, malformed schema, unsupported format; a violated constraint) speaks of the file too,
/// as does a value of another type than the table's, or a row that is missing. Before a file is set aside all of it is
/// checked.
pub(in crate::state) fn is_damage(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TooBig, TypeMismatch, Unknown};
    let codes = [ConstraintViolation, DatabaseCorrupt, NotADatabase, TooBig, TypeMismatch, Unknown];
    error.sqlite_error_code().is_none_or(|code| codes.contains(&code))
}

/// Whether `PRAGMA integrity_check` says that it could not read: `unable to get the page. error code=266`. The low byte
/// is the class of the error.
pub(in crate::state) fn is_of_the_disk(verdict: &str) -> bool {
    let code = verdict.rsplit_once("error code=").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
    let code = code.and_then(|mut numbers| numbers.next()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_IOERR)
}

/// SQLite's words without rusqlite's repetition of them.
pub(in crate::state) fn detail(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(error, None) => rusqlite::ffi::code_to_str(error.extended_code).to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_said_once_and_by_its_name() {
        let failure = |code, text: Option<&str>| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), text.map(str::to_owned));
            StateError::of(Path::new("/"), error)
        };
        for (code, text, want) in [
            (4874, Some("disk I/O error"), "cannot use the state file /: disk I/O error"),
            (4874, None, "cannot use the state file /: "),
            // A read error.
            (266, Some("disk I/O error"), "cannot use the state file /: disk I/O error"),
            (14, Some("unable to open database file"), "cannot use the state file /: unable to open database file"),
            (11, Some("malformed"), "the state file / is damaged (malformed)"),
        ] {
            let error = anyhow::Error::from(failure(code, text));
            let full = format!("{error:#}");
            assert!(full.starts_with(want), "{full}");
            assert_eq!(full.matches("I/O error").count(), usize::from(code != 14 && code != 11), "{full}");
        }
        let io = StateError::Io { doing: "read", path: "/x".into(), cause: io::ErrorKind::PermissionDenied.into() };
        assert_eq!(format!("{:#}", anyhow::Error::from(io)), "cannot read /x: permission denied");
        for (verdict, want) in [
            ("Tree 5 page 5: unable to get the page. error code=266", true),
            ("*** in database main ***\nTree 2 page 2: btreeInitPage() returns error code 11", false),
            ("unable to get the page. error code=11", false),
            ("ok", false),
        ] {
            assert_eq!(is_of_the_disk(verdict), want, "{verdict}");
        }
    }
}
