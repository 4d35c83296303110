//! Adding a host key to `known_hosts`.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::HostPatterns;

use crate::file;
use crate::transport::script::random_hex;
use crate::transport::ssh::known_hosts::{Marker, Names, hashed, matching};

/// Appends a key for a host, under a lock, durably, and once: a key that another run added meanwhile stays alone.
/// The name is written hashed if `hash` says so. A missing folder is made with mode 0700, a missing file with 0600.
pub(crate) fn remember(path: &Path, names: &Names, key: &PublicKey, hash: bool) -> io::Result<()> {
    let name = &names.recorded;
    // Whatever else known_hosts would read from the name: another field, a pattern, a marker, another line.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:-[]%".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the host's name cannot be written to known_hosts"));
    }
    let bare = PublicKey::new(key.key_data().clone(), "");
    let text = bare.to_openssh().map_err(io::Error::other)?;
    let field = if hash { hashed_field(name)? } else { name.clone() };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        file::make_folder(folder)?;
        if !path.exists() {
            file::refuse_new_in(folder)?;
        }
    }
    let mut open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    open.lock()?;
    let mut known = Vec::new();
    open.read_to_end(&mut known)?;
    let same = |key: &russh::keys::ssh_key::public::KeyData| key == bare.key_data();
    if matching(&known, &path.into(), name).iter().any(|entry| entry.marker == Marker::None && same(&entry.key)) {
        return Ok(());
    }
    let newline = if known.last().is_none_or(|byte| *byte == b'\n') { "" } else { "\n" };
    // One write: a reader without the lock, as ssh is, sees the whole line or nothing.
    open.write_all(format!("{newline}{field} {}\n", text.trim_end()).as_bytes())?;
    open.sync_all()
}

fn hashed_field(name: &str) -> io::Result<String> {
    // The salt is as long as the hash, and public.
    let salt = (random_hex() + &random_hex()).into_bytes().into_iter().take(20).collect::<Vec<u8>>();
    let hash = hashed(&salt, name).ok_or_else(|| io::Error::other("the host's name cannot be hashed"))?;
    Ok(HostPatterns::HashedName { salt, hash }.to_string())
}
