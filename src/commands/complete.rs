//! Names of servers while one types, from the state file: no network, and nothing where there is no state.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;

use crate::model::text::clean;
use crate::state::{self, State};

/// The ids and names that begin with what was typed.
pub(crate) fn target(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let path = state::find(None, |name| std::env::var_os(name));
    let Ok(Some(state)) = State::open_read_only(&path) else { return Vec::new() };
    let names = state.names().unwrap_or_default().into_iter();
    // A guest chooses its name: one that holds what a shell would act on is not offered.
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    names
        .filter(|(name, _)| name.starts_with(typed) && plain(name))
        .map(|(name, help)| CompletionCandidate::new(name).help(Some(clean(&help).into_owned().into())))
        .collect()
}
