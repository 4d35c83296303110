//! The selection grammar as it is typed into a filter, on the screen and on the page (`render/html/page.js` follows
//! this file):
//! unfinished words are not errors, a plain word is any part of a server's names, and an empty result is fine.

use super::names::{fits_pattern, is_called, is_guest_on};
use super::terms::{Term, kinds_of, states_of};
use super::{Candidate, all};
use crate::model::id::NodeName;
use crate::model::select::glob::is_pattern;

/// What makes a word more than a plain one, unless it is a name.
const SPECIAL: [char; 6] = ['=', ',', '/', '*', '?', '['];

/// The servers that the text lets through, as indices in the order of `candidates`. An empty text: all.
///
/// # Errors
/// Why it is not of the grammar.
pub(crate) fn filter(text: &str, candidates: &[Candidate<'_>]) -> Result<Vec<usize>, String> {
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "!").collect();
    let (mut wanted, mut excluded) = (Vec::new(), Vec::new());
    for word in words {
        match word.strip_prefix('!') {
            Some(rest) => excluded.push(Word::parse(rest, candidates)?),
            None => wanted.push(Word::parse(word, candidates)?),
        }
    }
    let lets_through = |candidate: &Candidate<'_>| {
        let is_meant = |word: &Word<'_>| word.means(candidate, candidates);
        (wanted.is_empty() || wanted.iter().any(is_meant)) && !excluded.iter().any(is_meant)
    };
    Ok(all(candidates, lets_through))
}

/// What one word means.
enum Word<'w> {
    /// A name in full, that would mean something else if it were none.
    Name(&'w str),
    Terms(Vec<Term<'w>>),
}

impl<'w> Word<'w> {
    fn parse(text: &'w str, candidates: &[Candidate<'_>]) -> Result<Word<'w>, String> {
        if text.contains(SPECIAL) && candidates.iter().any(|candidate| is_called(candidate, text)) {
            return Ok(Word::Name(text));
        }
        // Commas with nothing between them are not finished.
        let terms = text.split(',').filter(|term| !matches!(*term, "" | "!"));
        Ok(Word::Terms(terms.map(Term::parse).collect::<Result<_, _>>()?))
    }

    fn means(&self, candidate: &Candidate<'_>, candidates: &[Candidate<'_>]) -> bool {
        match self {
            Word::Name(name) => is_called(candidate, name),
            Word::Terms(terms) => terms.iter().all(|Term { wanted, key, value }| {
                let has = key.map_or_else(|| is_found(candidate, value, candidates), |key| key.holds(candidate, value));
                has == *wanted
            }),
        }
    }
}

/// Whether a term that is no selector finds the candidate.
fn is_found(candidate: &Candidate<'_>, text: &str, candidates: &[Candidate<'_>]) -> bool {
    let is_part = |words: &[String], text: &str| words.iter().any(|word| word.contains(&text.to_lowercase()));
    if let Some((host, guest)) = text.split_once('/') {
        let called =
            || if is_pattern(guest) { fits_pattern(candidate, guest) } else { is_part(&calls(candidate), guest) };
        return is_guest_on(candidate, host, candidates) && called();
    }
    if is_pattern(text) {
        return fits_pattern(candidate, text);
    }
    is_part(&calls(candidate), text) || is_part(&has(candidate), text)
}

/// What it is called by.
fn calls(candidate: &Candidate<'_>) -> Vec<String> {
    let mut words = vec![candidate.id.to_string(), candidate.name.to_owned(), candidate.hostname.to_owned()];
    if let (Some(kind), Some(vmid)) = (candidate.kind.guest(), candidate.vmid) {
        words.push(format!("{}-{vmid}", kind.short()));
    }
    words.extend(candidate.addresses.iter().map(|address| address.ip.to_string()));
    words.iter().map(|word| word.to_lowercase()).collect()
}

/// What else can be found of it: what the selectors ask about.
fn has(candidate: &Candidate<'_>) -> Vec<String> {
    let node = candidate.node.filter(|_| candidate.vmid.is_some()).map(NodeName::as_str);
    let foreign = candidate.tags.iter().map(String::as_str).chain(candidate.pool).chain(node);
    let own = kinds_of(candidate).into_iter().chain(states_of(candidate));
    foreign.chain(own).map(str::to_lowercase).collect()
}
