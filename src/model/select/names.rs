//! What servers are called by: ids, names, numbers, patterns over them, and `host/guest`.

use std::collections::BTreeSet;

use super::Candidate;
use super::key::Key;
use crate::model::id::GuestKind;
use crate::model::select::glob::{is_pattern, matches as glob_matches};
use crate::model::text::near;

/// Whether `text` is a name, host name, number or id of the candidate, in whatever letter case.
pub(super) fn is_called(candidate: &Candidate<'_>, text: &str) -> bool {
    let same = |name: &str| !name.is_empty() && name.to_lowercase() == text.to_lowercase();
    same(candidate.id.as_str()) || same(candidate.name) || same(candidate.hostname) || has_number(candidate, text)
}

/// Whether `text` is `101`, `vm-101` or `ct-201` and the candidate that guest.
fn has_number(candidate: &Candidate<'_>, text: &str) -> bool {
    let Some(vmid) = candidate.vmid else { return false };
    let lower = text.to_ascii_lowercase();
    let number = match candidate.kind.guest() {
        Some(GuestKind::Qemu) => lower.strip_prefix("vm-"),
        Some(GuestKind::Lxc) => lower.strip_prefix("ct-"),
        None => None,
    };
    number.unwrap_or(&lower) == vmid.to_string()
}

/// Whether a word that is no selector means the candidate: a name, a pattern, or `host/guest`.
pub(super) fn by_word(candidate: &Candidate<'_>, text: &str, candidates: &[Candidate<'_>]) -> bool {
    match text.split_once('/') {
        Some((host, guest)) => is_guest_on(candidate, host, candidates) && fits(candidate, guest),
        None => fits(candidate, text),
    }
}

/// Whether the candidate has this name, or id or name match this pattern.
fn fits(candidate: &Candidate<'_>, text: &str) -> bool {
    is_called(candidate, text) || is_pattern(text) && fits_pattern(candidate, text)
}

/// Whether id or name match.
pub(super) fn fits_pattern(candidate: &Candidate<'_>, pattern: &str) -> bool {
    glob_matches(pattern, candidate.id.as_str()) || glob_matches(pattern, candidate.name)
}

/// Whether it is a guest of the host that `host` means: by its node, or by the server it stands under.
pub(super) fn is_guest_on(guest: &Candidate<'_>, host: &str, candidates: &[Candidate<'_>]) -> bool {
    if guest.kind.guest().is_none() {
        return false;
    }
    if guest.node.is_some_and(|node| glob_matches(host, node.as_str())) {
        return true;
    }
    let Some(parent) = guest.parent else { return false };
    let known = candidates.iter().find(|candidate| candidate.id == parent);
    glob_matches(host, parent.as_str()) || known.is_some_and(|parent| fits(parent, host))
}

/// Names and ids that were perhaps meant.
pub(super) fn neighbours(text: &str, candidates: &[Candidate<'_>]) -> Vec<String> {
    if is_pattern(text) || text.contains(',') {
        return Vec::new();
    }
    if let Some((key, value)) = text.split_once('=') {
        let known = |candidate: &Candidate<'_>| match Key::parse(key) {
            Ok(Key::Tag) => candidate.tags.to_vec(),
            Ok(Key::Node) => candidate.node.iter().map(ToString::to_string).collect(),
            Ok(Key::Pool) => candidate.pool.iter().map(|pool| (*pool).to_owned()).collect(),
            Ok(Key::Kind | Key::State) | Err(_) => Vec::new(),
        };
        let values: BTreeSet<String> = candidates.iter().flat_map(known).collect();
        return near(value, values.iter().map(String::as_str))
            .into_iter()
            .map(|near| format!("{key}={near}"))
            .collect();
    }
    let guest = text.rsplit('/').next().unwrap_or(text);
    let mut words: BTreeSet<&str> = BTreeSet::new();
    for candidate in candidates {
        words.extend([candidate.id.as_str(), candidate.name, candidate.hostname].into_iter().filter(|w| !w.is_empty()));
    }
    near(guest, words).into_iter().map(str::to_owned).collect()
}
