//! Files of this machine: who may write them, and how they are replaced as a whole. A reader, or a crash at any moment,
//! finds the old file or the new one.

mod access;
mod read;

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub(crate) use self::access::{
    is_own, make_folder, others_may_write, own_uid, refuse_foreign_links, refuse_new_in, shell_word,
};

pub(crate) use self::read::{Contents, PATIENCE, in_time, read_blocking, read_text};

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileRole {
    /// A person's own, such as the configuration. A symbolic link stays one: the file it points to is replaced. The mode
    /// (and, for root, the owner) stay; a new file gets 0644, a folder that is missing is made with 0700.
    Edited,
    /// One that ecobox makes for others to read: its mode is 0644 whatever the umask. A symbolic link is refused,
    /// because another user may have made it; the folder must exist.
    Published,
}

/// Puts what `write` writes in the place of the file at `path`.
///
/// # Errors
/// The system's, or `write`'s: the old file is as it was then, and nothing of the new one is left.
pub(crate) fn replace(
    path: &Path,
    role: FileRole,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    refuse_foreign_links(path)?;
    let target = match role {
        FileRole::Edited => follow(path)?,
        FileRole::Published => path.to_owned(),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let old = existing(&target)?;
    match (role, &old) {
        (FileRole::Edited, None) => {
            make_folder(folder)?;
            refuse_new_in(folder)?;
        }
        // Root may replace what is not its own: a secret would be gone, and what comes in its place is for everybody.
        (FileRole::Published, Some(old)) if !is_own(old) && old.mode() & 0o004 == 0 => {
            let mode = old.mode() & 0o7777;
            let text = format!("it belongs to user {} and is not for everybody (mode {mode:04o})", old.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        _ => {}
    }
    // Hidden, and without the ending that it gets: node_exporter reads every `*.prom` of its folder.
    let file = tempfile::Builder::new().prefix(".ecobox-").suffix(".tmp").tempfile_in(folder);
    let mut file = file.map_err(|error| {
        // Its own text names a temporary file, which means nothing to the user.
        let why = io::Error::from(error.kind());
        io::Error::new(error.kind(), format!("no file can be made in {}: {why}", folder.display()))
    })?;
    let mut out = BufWriter::with_capacity(64 * 1024, &mut file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    let mut mode = 0o644;
    if let Some(old) = old.filter(|_| role == FileRole::Edited) {
        // Only root may give a file away; for everybody else the owner is right already.
        let _ = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        mode = old.mode() & 0o7777;
    }
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The regular file that is there already.
fn existing(target: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(metadata) if metadata.is_symlink() => Err(io::Error::other("it is a symbolic link: name the file itself")),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file that `path` stands for, also where a link points to nothing yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many links as Linux follows (path_resolution(7)).
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(test)]
mod tests;
