//! The lines of a `known_hosts` file: which of them can be understood, and which speak of a host.

use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::HostPatterns;

use super::{Entry, Marker, Place};

/// The usable lines of one file that speak of a name.
pub(in crate::transport::ssh) fn matching(text: &[u8], file: &Arc<Path>, name: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            // A comment may be in any encoding; the rest is ASCII, and what is not stays unreadable.
            let line = String::from_utf8_lossy(line);
            entries.extend(entry(&line, file, number + 1, name));
            continue;
        };
        entries.extend(entry(line, file, number + 1, name));
    }
    entries
}

fn entry(line: &str, file: &Arc<Path>, number: usize, name: &str) -> Option<Entry> {
    let blank = [' ', '\t'];
    let line = line.trim_start_matches(blank);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (marker, line) = marker(line)?;
    let (hosts, rest) = line.split_once(blank)?;
    if !matches_host(hosts, name)? {
        return None;
    }
    // A line may be matched thousands of times before a key is parsed: this is the expensive part.
    let mut fields = rest.split(blank).filter(|field| !field.is_empty());
    let (kind, blob) = (fields.next()?, fields.next()?);
    let kind = if kind.starts_with("rsa-sha2-") { "ssh-rsa" } else { kind };
    let key = PublicKey::from_openssh(&format!("{kind} {blob}")).ok()?;
    let place = Place { file: Arc::clone(file), line: number };
    Some(Entry { place, marker, key: key.key_data().clone() })
}

/// Key types that are parsed here.
const USUAL: [&str; 5] =
    ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/// Whether a line is one that can be understood: empty, a comment, or hosts with a key. A key of a type that is not known
/// here is one.
pub(in crate::transport::ssh) fn is_readable(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let blank = [' ', '\t'];
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    let Some((hosts, rest)) = marker(line).and_then(|(_, line)| line.split_once(blank)) else { return false };
    let mut fields = rest.split(blank).filter(|field| !field.is_empty());
    let (Some(kind), Some(blob)) = (fields.next(), fields.next()) else { return false };
    let kind = if kind.starts_with("rsa-sha2-") { "ssh-rsa" } else { kind };
    let is_key = PublicKey::from_openssh(&format!("{kind} {blob}")).is_ok();
    // Types that are not used any more, or not yet, are taken as they are.
    let is_other = !USUAL.contains(&kind)
        && blob.len() > 40
        && blob.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c));
    matches_host(hosts, "").is_some() && (is_key || is_other)
}

/// Whether the hosts of a line have this name, whatever else stands there.
pub(in crate::transport::ssh) fn is_about(line: &[u8], name: &str) -> bool {
    let line = String::from_utf8_lossy(line);
    let hosts = marker(line.trim()).map(|(_, line)| line.split([' ', '\t']).next().unwrap_or_default());
    hosts.is_some_and(|hosts| matches_host(hosts, name) == Some(true))
}

/// The marker of a line and what follows it; None for a line whose marker is no good.
fn marker(line: &str) -> Option<(Marker, &str)> {
    if !line.starts_with('@') {
        return Some((Marker::None, line));
    }
    // OpenSSH takes the tab for the end only if no blank follows anywhere.
    let (word, rest) = line.split_once(' ').or_else(|| line.split_once('\t'))?;
    let (marker, rest) = match (word, line.split_once(['\t', ' '])) {
        ("@cert-authority", _) => (Marker::Authority, rest),
        (_, Some(("@revoked", rest))) => (Marker::Revoked, rest),
        _ => return None,
    };
    // A second marker is no host's name.
    Some((marker, rest.trim_start_matches([' ', '\t'])))
}

/// Whether a hosts field speaks of a name; None if it is broken.
fn matches_host(hosts: &str, name: &str) -> Option<bool> {
    if hosts.starts_with('|') {
        let Ok(HostPatterns::HashedName { salt, hash }) = hosts.parse() else { return None };
        // OpenSSH's salt is as long as the hash.
        return (salt.len() == hash.len()).then(|| hashed(&salt, name) == Some(hash));
    }
    let (hosts, name) = (hosts.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut found = false;
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern, &name) => return Some(false),
            Some(_) => {}
            None => found = found || glob(pattern, &name),
        }
    }
    Some(found)
}

/// HMAC-SHA1 of a name, as `HashKnownHosts` writes it.
pub(in crate::transport::ssh) fn hashed(salt: &[u8], name: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

/// Whether a whole text matches a pattern of `*` (any characters) and `?` (one character).
pub(in crate::transport::ssh) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and how far the text was then.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}
