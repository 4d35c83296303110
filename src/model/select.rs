//! The selection grammar: which servers the words of a command line mean, and what is typed into a filter ([`filter`]).
//!
//! | word | means |
//! |---|---|
//! | `pve1-vm-101` | the server with this id |
//! | `vm-101`, `ct-201`, `101` | the guest with this number |
//! | `web`, `web.lan` | the server with this name or host name |
//! | `pve1/101`, `pve1/web` | that guest of this host: its id, name or node |
//! | `web*`, `pve?`, `db[1-3]` | servers whose id or name matches |
//! | `tag=web`, `node=pve2`, `kind=lxc`, `pool=prod`, `state=stopped` | servers that have this; the value may be a pattern |
//! | `tag=web,node=pve1` | servers that have all of these |
//! | `!web` | not these |
//!
//! Several words mean whatever any of them means, without what is excluded. Letter case does not count,
//! except that an id written exactly comes first. `node=pve2` means the guests on that node and not the host
//! itself, so that a host is not switched off in place of its guests.
//!
//! In a filter all of this means the same, but for a plain word: on the command line it is a whole name, so that
//! a command for `web` never shuts down `web-02`. In a filter it is any part of a server's names.

mod filter;
pub(crate) mod glob;
mod key;
mod names;
#[cfg(test)]
pub(crate) mod table;
mod terms;
#[cfg(test)]
mod tests;
pub(crate) mod until;

use std::collections::BTreeSet;

use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::inventory::server::{Address, ServerKind};
use crate::model::power::PowerState;
use crate::model::select::glob::is_pattern;
use crate::model::text::quoted;

pub(crate) use self::filter::filter;
use self::names::{by_word, is_called, neighbours};
pub(crate) use self::terms::{KINDS, states};
use self::terms::{Term, has_all};

/// What the grammar asks of a server.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a ServerId,
    pub(crate) kind: ServerKind,
    pub(crate) name: &'a str,
    /// Of a guest.
    pub(crate) vmid: Option<VmId>,
    /// The configured server of the node that a guest runs on.
    pub(crate) parent: Option<&'a ServerId>,
    /// The node that a guest runs on, or that a host is.
    pub(crate) node: Option<&'a NodeName>,
    pub(crate) pool: Option<&'a str>,
    pub(crate) tags: &'a [String],
    /// Empty where there is none.
    pub(crate) hostname: &'a str,
    pub(crate) addresses: &'a [Address],
    /// Of a template, which cannot run: none.
    pub(crate) state: Option<PowerState>,
    /// What it is doing, e.g. `waking`.
    pub(crate) doing: Option<&'static str>,
    /// Whether something is wrong with it: `state=wrong`.
    pub(crate) wrong: bool,
}

/// Why words select nothing, or something that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// The word is an exact one and several servers have it.
    #[error("{} is ambiguous: {}", quoted(word), list(candidates))]
    Ambiguous { word: String, candidates: Vec<ServerId> },
    #[error("no server matches {}{}", quoted(word), question(near))]
    NotFound { word: String, near: Vec<String> },
    /// Like `NotFound`, if the listing is incomplete.
    #[error(
        "no server matches {}, and the listing of {} is incomplete: entries of it cannot be read",
        quoted(word),
        list(by)
    )]
    Unlisted { word: String, by: Vec<ServerId> },
    /// The exclusions took away all that the other words selected.
    #[error("no server is left after the exclusions")]
    NothingLeft,
    /// The word is not of the grammar.
    #[error("target {}: {why}", quoted(word))]
    Malformed { word: String, why: String },
}

fn list(ids: &[ServerId]) -> String {
    ids.iter().map(ServerId::as_str).collect::<Vec<_>>().join(", ")
}

fn question(near: &[String]) -> String {
    let words: Vec<String> = near.iter().map(|word| quoted(word)).collect();
    if words.is_empty() { String::new() } else { format!("; did you mean {}?", words.join(" or ")) }
}

/// The servers that `words` mean, as indices in the order of `candidates`, each once. No words: all.
///
/// Words that ask for a state which no server is in at the moment select nothing, which is not an error.
pub(crate) fn select(words: &[String], candidates: &[Candidate<'_>]) -> Result<Vec<usize>, SelectError> {
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    let mut excluded: BTreeSet<usize> = BTreeSet::new();
    for word in words {
        match word.strip_prefix('!') {
            Some(rest) => excluded.extend(meant(word, rest, candidates)?),
            None => wanted.extend(meant(word, word, candidates)?),
        }
    }
    if words.iter().all(|word| word.starts_with('!')) {
        wanted.extend(0..candidates.len());
    }
    let chosen: Vec<usize> = wanted.difference(&excluded).copied().collect();
    let depends = words.iter().any(|word| asks_for_state(word));
    if chosen.is_empty() && !words.is_empty() && !depends { Err(SelectError::NothingLeft) } else { Ok(chosen) }
}

/// Whether what the word means depends on what servers do at the moment.
pub(crate) fn asks_for_state(word: &str) -> bool {
    word.split(',').any(is_of_state)
}

fn is_of_state(term: &str) -> bool {
    let term = term.trim_start_matches('!');
    term.split_once('=').is_some_and(|(key, _)| key.eq_ignore_ascii_case("state"))
}

/// Words that mean everybody whom `words` could mean if servers were in other states. None: everybody.
pub(crate) fn whatever_state(words: &[String]) -> Vec<String> {
    // Who is excluded for the state that it is in may be in another one.
    let kept = words.iter().filter(|word| !(word.starts_with('!') && asks_for_state(word)));
    let anybody = |term| if is_of_state(term) { "kind=*" } else { term };
    kept.map(|word| word.split(',').map(anybody).collect::<Vec<_>>().join(",")).collect()
}

/// What one word means, at least one server unless it asks for a state; `text` is `word` without its `!`.
fn meant(word: &str, text: &str, candidates: &[Candidate<'_>]) -> Result<Vec<usize>, SelectError> {
    let malformed = |why: String| SelectError::Malformed { word: word.to_owned(), why };
    if text.is_empty() {
        return Err(malformed("the target is empty".to_owned()));
    }
    // A name may look like anything; written in full it is that name.
    let mut found = all(candidates, |candidate| candidate.id.as_str() == text);
    if found.is_empty() {
        found = all(candidates, |candidate| is_called(candidate, text));
    }
    let mut one_expected = true;
    let mut may_be_none = false;
    if found.is_empty() {
        if text.contains('=') {
            one_expected = false;
            let terms = Term::parse_all(text).map_err(malformed)?;
            found = all(candidates, |candidate| has_all(candidate, &terms, candidates));
            if found.is_empty() && asks_for_state(text) {
                let others: Vec<Term<'_>> = terms.into_iter().filter(|term| !term.is_of_state()).collect();
                may_be_none = candidates.iter().any(|candidate| has_all(candidate, &others, candidates));
            }
        } else if text.contains(',') {
            return Err(malformed("targets are separated by blanks".to_owned()));
        } else {
            one_expected = !is_pattern(text);
            found = all(candidates, |candidate| by_word(candidate, text, candidates));
        }
    }
    match found.len() {
        0 if may_be_none => Ok(found),
        0 => Err(SelectError::NotFound { word: text.to_owned(), near: neighbours(text, candidates) }),
        2.. if one_expected => {
            let candidates = found.into_iter().map(|index| candidates[index].id.clone()).collect();
            Err(SelectError::Ambiguous { word: text.to_owned(), candidates })
        }
        _ => Ok(found),
    }
}

fn all(candidates: &[Candidate<'_>], test: impl Fn(&Candidate<'_>) -> bool) -> Vec<usize> {
    candidates.iter().enumerate().filter(|(_, candidate)| test(candidate)).map(|(index, _)| index).collect()
}
