//! Who else may write: files and folders that somebody else could put in the place of ours.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The user who runs this.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether somebody besides this user and root may write it.
pub(crate) fn others_may_write(meta: &Metadata) -> bool {
    exposed(meta.uid(), meta.gid(), meta.mode(), own_uid())
}

/// Whether it belongs to this user or to root.
pub(crate) fn is_own(meta: &Metadata) -> bool {
    [0, own_uid()].contains(&meta.uid())
}

fn exposed(owner: u32, group: u32, mode: u32, me: u32) -> bool {
    // Debian and its kin give each user a group of the same number, and a umask that lets this group write.
    let private_group = me != 0 && group == me;
    ![0, me].contains(&owner) || mode & 0o002 != 0 || (mode & 0o020 != 0 && !private_group)
}

/// A symbolic link that somebody else may have made or may change.
#[derive(Debug, thiserror::Error)]
#[error("{} is a symbolic link in a folder that others may write", link.display())]
pub(crate) struct ForeignLink {
    link: PathBuf,
}

impl From<ForeignLink> for io::Error {
    fn from(link: ForeignLink) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, link)
    }
}

/// Refuses a path that leads over a symbolic link in a folder that others may write. What does not exist yet is fine,
/// and so is what cannot be looked at: opening it gives the reason.
pub(crate) fn refuse_foreign_links(path: &Path) -> Result<(), ForeignLink> {
    let Ok(path) = std::path::absolute(path) else { return Ok(()) };
    let mut left: Vec<PathBuf> = path.components().rev().map(|part| part.as_os_str().into()).collect();
    let (mut done, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = left.pop() {
        match part.components().next() {
            Some(Component::RootDir) => done = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(done.pop()),
            Some(Component::Normal(name)) => {
                let next = done.join(name);
                let Ok(meta) = fs::symlink_metadata(&next) else { return Ok(()) };
                if !meta.is_symlink() {
                    done = next;
                    continue;
                }
                if fs::metadata(&done).is_ok_and(|folder| others_may_write(&folder)) {
                    return Err(ForeignLink { link: next });
                }
                links += 1;
                let Ok(target) = fs::read_link(&next) else { return Ok(()) };
                if links > MOST_LINKS {
                    return Ok(());
                }
                left.extend(target.components().rev().map(|part| part.as_os_str().into()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes what is missing of a folder, each part 0700 whatever the umask is. Nothing is made in a folder of somebody
/// else: under `sudo -E` the home is another user's, who could not enter what root makes there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
        refuse_new_in(parent)?;
    }
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    match made.and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700))) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Refuses to make something new in another user's folder.
pub(crate) fn refuse_new_in(folder: &Path) -> io::Result<()> {
    let meta = fs::metadata(folder)?;
    if is_own(&meta) {
        return Ok(());
    }
    let (owner, me) = (meta.uid(), own_uid());
    let text = format!("{} belongs to user {owner}, not to {me} who runs this: run it as that user", folder.display());
    let sudo = if me == 0 { ", or with `sudo -H`" } else { "" };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{text}{sudo}")))
}

/// The path as one word of a shell.
pub(crate) fn shell_word(path: &Path) -> impl fmt::Display {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(byte);
    let text = path.display().to_string();
    if path.as_os_str().as_bytes().iter().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests;
