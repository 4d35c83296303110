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
/// and so is what cannot be looked at: whoever opens it says why.
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
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn who_may_write() {
        // owner, group, mode, who runs it
        for (case, want) in [
            ((0, 0, 0o644, 0), false),
            ((0, 0, 0o755, 1000), false),
            ((1000, 1000, 0o700, 1000), false),
            ((1000, 1000, 0o775, 1000), false),
            ((1000, 100, 0o775, 1000), true),
            ((1000, 1000, 0o777, 1000), true),
            ((1000, 1000, 0o702, 1000), true),
            ((1000, 1000, 0o644, 0), true),
            ((1000, 1000, 0o644, 1001), true),
            ((0, 0, 0o664, 0), true),
            ((0, 0, 0o1777, 0), true),
        ] {
            let (owner, group, mode, me) = case;
            assert_eq!(exposed(owner, group, mode, me), want, "{case:?}");
        }
    }

    #[test]
    fn links_of_others_are_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for name in ["shared", "own", "own/deep"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("own/file"), "").unwrap();
        symlink("../own/file", at("shared/link")).unwrap();
        symlink("../own", at("shared/folder")).unwrap();
        symlink("nothing", at("shared/dangling")).unwrap();
        symlink(at("shared/link"), at("own/indirect")).unwrap();
        symlink("file", at("own/link")).unwrap();
        symlink("circle", at("own/circle")).unwrap();
        fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
        for name in ["shared/link", "shared/folder/file", "shared/folder/new", "shared/dangling", "own/indirect"] {
            let error = refuse_foreign_links(&at(name)).unwrap_err().to_string();
            assert!(error.contains("/shared/") && error.contains("is a symbolic link in a folder"), "{name}: {error}");
        }
        for name in ["own/link", "own/circle", "own/none/x", "own/deep/../link", "shared/new", "own/file/x"] {
            refuse_foreign_links(&at(name)).unwrap();
        }
        refuse_foreign_links(Path::new("/proc/self/exe")).unwrap();
    }

    #[test]
    fn nothing_is_made_in_the_home_of_somebody_else() {
        let home = tempfile::tempdir().unwrap();
        let new = home.path().join(".local/state/ecobox");
        make_folder(&new).unwrap();
        assert_eq!(fs::metadata(home.path().join(".local")).unwrap().mode() & 0o7777, 0o700);
        if chown(home.path(), Some(54321), None).is_err() {
            eprintln!("SKIPPED: the home of somebody else: only root can make one");
            return;
        }
        let error = make_folder(&home.path().join(".config/ecobox")).unwrap_err().to_string();
        let want = format!("{} belongs to user 54321, not to 0 who runs this: run it as", home.path().display());
        assert!(error.starts_with(&want) && error.ends_with("`sudo -H`"), "{error}");
        assert!(!home.path().join(".config").exists());
    }
}
