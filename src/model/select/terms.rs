//! Selectors: `tag=web,node=pve1,!state=stopped`.

use super::Candidate;
use super::key::Key;
use super::names::by_word;
use crate::model::id::GuestKind;
use crate::model::power::PowerState;
use crate::model::power::outcome::DOING;
use crate::model::select::glob::matches as glob_matches;
use crate::model::text::{did_you_mean, quoted};

/// The words of `kind=`: those of [`crate::model::inventory::server::ServerKind`], how ids call guests, and the two halves of the
/// inventory.
pub(crate) const KINDS: [&str; 8] = ["pve", "linux", "qemu", "lxc", "vm", "ct", "guest", "host"];

/// The word of `state=` for servers that something is wrong with.
pub(super) const WRONG: &str = "wrong";

/// The words of `state=`.
pub(crate) fn states() -> Vec<&'static str> {
    PowerState::ALL.map(PowerState::as_str).into_iter().chain(DOING).chain([WRONG]).collect()
}

/// One of the terms that commas join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term<'w> {
    /// Whether it is to hold, and not `!`.
    pub(super) wanted: bool,
    /// `None`: a name, a pattern or `host/guest`.
    pub(super) key: Option<Key>,
    pub(super) value: &'w str,
}

impl<'w> Term<'w> {
    /// All terms of a word.
    ///
    /// # Errors
    /// Why it is not of the grammar.
    pub(super) fn parse_all(text: &'w str) -> Result<Vec<Term<'w>>, String> {
        text.split(',').map(Term::parse).collect()
    }

    pub(super) fn parse(text: &'w str) -> Result<Term<'w>, String> {
        let (wanted, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (Some(Key::parse(key)?), value),
            None => (None, text),
        };
        if value.is_empty() {
            return Err(format!("{} is empty", key.map_or("a target", Key::as_str)));
        }
        let known = match key {
            Some(Key::Kind) => KINDS.to_vec(),
            Some(Key::State) => states(),
            _ => Vec::new(),
        };
        if let (Some(key), false) = (key, known.is_empty() || known.iter().any(|word| glob_matches(value, word))) {
            let hint = did_you_mean(value, known.iter().copied());
            let hint = hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
            return Err(format!("{} is not a {}{hint}", quoted(value), key.as_str()));
        }
        Ok(Term { wanted, key, value })
    }

    pub(super) fn is_of_state(&self) -> bool {
        self.key == Some(Key::State)
    }
}

/// Whether the candidate satisfies every term.
pub(super) fn has_all(candidate: &Candidate<'_>, terms: &[Term<'_>], candidates: &[Candidate<'_>]) -> bool {
    terms.iter().all(|Term { wanted, key, value }| {
        let has = key.map_or_else(|| by_word(candidate, value, candidates), |key| key.holds(candidate, value));
        has == *wanted
    })
}

impl Key {
    /// Whether a candidate has a value of this key that the pattern matches.
    pub(super) fn holds(self, candidate: &Candidate<'_>, pattern: &str) -> bool {
        let any = |words: &[&str]| words.iter().any(|word| glob_matches(pattern, word));
        let is_guest = candidate.kind.guest().is_some();
        match self {
            Key::Tag => candidate.tags.iter().any(|tag| glob_matches(pattern, tag)),
            Key::Node => is_guest && candidate.node.is_some_and(|node| glob_matches(pattern, node.as_str())),
            Key::Pool => candidate.pool.is_some_and(|pool| glob_matches(pattern, pool)),
            Key::Kind => any(&kinds_of(candidate)),
            Key::State => any(&states_of(candidate)),
        }
    }
}

/// Its words of `kind=`.
pub(super) fn kinds_of(candidate: &Candidate<'_>) -> Vec<&'static str> {
    let guest = candidate.kind.guest();
    let half = if guest.is_some() { "guest" } else { "host" };
    [Some(candidate.kind.as_str()), guest.map(GuestKind::short), Some(half)].into_iter().flatten().collect()
}

/// Its words of `state=`: who is waking is offline still.
pub(super) fn states_of(candidate: &Candidate<'_>) -> Vec<&'static str> {
    let wrong = candidate.wrong.then_some(WRONG);
    [candidate.doing, candidate.state.map(PowerState::as_str), wrong].into_iter().flatten().collect()
}
