//! The temporary folder that plays a host's root.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Real programs that a script finds under the host's `/usr/bin`.
const TOOLS: &str = "[ awk base64 basename cat chmod cp cut date dd dirname du env expr false find grep head kill ln ls md5sum \
    mkdir mkfifo mktemp mv nohup od paste printenv printf pwd readlink realpath rm rmdir sed seq setsid sha256sum sleep sort \
    stat tail tee test timeout touch tr true uniq wc which xargs";

/// The folder of `/etc/pve` that a plain user sees and cannot enter.
pub(super) const SHUT_FOLDER: &str = ".sim/plain/etc/pve/priv";

/// A host's files. Paths are relative to the root.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Removes the folder at the end.
    _folder: tempfile::TempDir,
}

impl Tree {
    /// An empty root with the folders of every Unix and the tools that scripts call.
    pub(super) fn new() -> Tree {
        let folder = tempfile::Builder::new().prefix("ecobox-sim-").tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("the temporary folder exists");
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        let text = root.to_str().expect("a temporary folder with an ASCII name");
        assert!(text.chars().all(plain), "{text}: the temporary folder's name must need no quoting in sh");
        let tree = Tree { root, _folder: folder };
        for folder in ["etc", "tmp", "var/lib", "run", "usr/sbin", "usr/bin", "proc", ".sim/logins", ".sim/self"] {
            tree.folder(folder);
        }
        tree.link("sbin", "usr/sbin");
        tree.link("bin", "usr/bin");
        for tool in TOOLS.split_whitespace() {
            if let Some(real) = find_program(tool) {
                tree.link(&format!("usr/bin/{tool}"), &real.to_string_lossy());
            }
        }
        tree
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).expect("a folder in the temporary folder");
    }

    /// Writes a file, with the folders above it.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Writes a program.
    pub(super) fn program(&self, path: &str, text: &str) {
        self.write(path, text);
        self.mode(path, 0o755);
    }

    pub(super) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).expect("a file of ours");
    }

    /// Makes a symbolic link, replacing what was there.
    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a link lies in a folder")).expect("a folder");
        let _ = fs::remove_file(&path);
        symlink(target, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub(super) fn remove(&self, path: &str) {
        let path = self.path(path);
        let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A folder that cannot be read cannot be emptied either.
        let _ = fs::set_permissions(self.path(SHUT_FOLDER), fs::Permissions::from_mode(0o700));
    }
}

/// Where a program of this machine is.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let usual = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|path| path.is_file())
}
