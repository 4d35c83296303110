//! Names of servers, and the values of selectors, while one types: from the state file, without asking anyone, and nothing
//! where there is no state.

pub(crate) mod shells;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;

use crate::model::monitor::condition::Key;
use crate::model::past::series::Metric;
use crate::model::power::PowerState;
use crate::model::select::{KINDS, states};
use crate::model::text::clean;
use crate::state::{self, State, StateError, Target};

/// What the state file knows, or nothing.
fn known<T: Default>(read: impl FnOnce(&State) -> Result<T, StateError>) -> T {
    let path = state::find(None, |name| std::env::var_os(name));
    let Ok(Some(state)) = State::open_read_only(&path) else { return T::default() };
    read(&state).unwrap_or_default()
}

/// A guest chooses its name, and others its tags: one that holds what a shell would act on is not offered.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The targets that begin with what was typed: names, and ids where a name means several servers, or where only an id begins
/// so; behind `tag=` and the like its values.
pub(crate) fn target(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let (not, word) = typed.strip_prefix('!').map_or(("", typed), |word| ("!", word));
    // The last of `tag=web,node=pve1`.
    let at = word.rfind(',').map_or(0, |comma| comma + 1);
    let (before, last) = word.split_at(at);
    let values = match last.split_once('=') {
        Some((key, value)) => selector(key, value),
        None => targets(last).into_iter().chain(selectors(last)).collect(),
    };
    values.into_iter().map(|value| value.add_prefix(format!("{not}{before}"))).collect()
}

fn targets(typed: &str) -> Vec<CompletionCandidate> {
    let all = known(State::names);
    let mut called: BTreeMap<&str, Vec<&Target>> = BTreeMap::new();
    for name in all.iter().filter(|name| is_plain(&name.name)) {
        called.entry(&name.name).or_default().push(name);
    }
    let candidate =
        |word: &str, help: String| CompletionCandidate::new(word).help(Some(clean(&help).into_owned().into()));
    let named = called.iter().filter(|(name, _)| name.starts_with(typed));
    let named = named.filter_map(|(name, servers)| match servers.as_slice() {
        [only] => Some(candidate(name, format!("{} ({})", only.id, only.what))),
        // It means several, whose ids are offered instead, unless they begin otherwise.
        several if several.iter().any(|server| server.id.starts_with(typed)) => None,
        several => Some(candidate(name, format!("{} servers", several.len()))),
    });
    let mut candidates: Vec<CompletionCandidate> = named.collect();
    let is_id_alone = candidates.is_empty();
    let is_told_apart = |name: &Target| called.get(name.name.as_str()).is_some_and(|servers| servers.len() == 1);
    let others = all.iter().filter(|name| name.id.starts_with(typed) && (is_id_alone || !is_told_apart(name)));
    let ids = others.map(|name| candidate(&name.id, format!("{} ({})", name.name, name.what)));
    candidates.extend(ids);
    candidates
}

/// The beginnings of selectors, once somebody has begun to type one.
fn selectors(typed: &str) -> Vec<CompletionCandidate> {
    let all = ["kind=", "node=", "pool=", "state=", "tag="];
    let begun = all.into_iter().filter(|key| !typed.is_empty() && key.starts_with(typed));
    begun.map(CompletionCandidate::new).collect()
}

fn selector(key: &str, typed: &str) -> Vec<CompletionCandidate> {
    let known_values = || known(State::selector_values).remove(key).unwrap_or_default();
    let values: BTreeSet<String> = match key {
        "kind" => KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
        "state" => states().into_iter().map(str::to_owned).collect(),
        "tag" | "node" | "pool" => known_values(),
        _ => BTreeSet::new(),
    };
    let begun = values.into_iter().filter(|value| value.starts_with(typed) && is_plain(value));
    begun.map(|value| CompletionCandidate::new(format!("{key}={value}"))).collect()
}

/// The series that `stats --metric` and `--chart` take.
pub(crate) fn metric() -> Vec<CompletionCandidate> {
    Metric::ALL.iter().map(|metric| CompletionCandidate::new(metric.as_str())).collect()
}

/// The keys of conditions of `check`, with the sign that no shell acts on.
pub(crate) fn threshold(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let begun = Key::ALL.iter().filter(|key| key.as_str().starts_with(typed));
    begun.map(|key| CompletionCandidate::new(format!("{}=", key.as_str())).help(Some(key.about().into()))).collect()
}

/// The beginnings of a condition of `watch --until`: a target, then its state.
pub(crate) fn condition(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = typed.to_str() else { return Vec::new() };
    match text.rsplit_once('=') {
        // `tag=` may be the target's own.
        Some((target, state)) if !["kind", "node", "pool", "tag"].contains(&target) => {
            let words = PowerState::ALL.iter().map(|state| state.as_str()).chain(["open", "closed"]);
            let begun = words.filter(|word| word.starts_with(state));
            begun.map(|word| CompletionCandidate::new(format!("{target}={word}"))).collect()
        }
        Some(_) => target(typed),
        None => target(typed).into_iter().map(begun).collect(),
    }
}

/// A target, and the sign that its state follows.
fn begun(target: CompletionCandidate) -> CompletionCandidate {
    let value = target.get_value().to_string_lossy().into_owned();
    if value.ends_with('=') {
        target
    } else {
        CompletionCandidate::new(format!("{value}=")).help(target.get_help().cloned())
    }
}
