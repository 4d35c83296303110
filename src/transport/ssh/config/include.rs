//! The files of an Include pattern, as glob(7) finds them.

use std::fs;
use std::path::{Path, PathBuf};

/// The files that a pattern stands for, sorted. Folders that were searched for them come into `searched`: a file that is
/// new there may belong to the pattern.
pub(super) fn expand(pattern: &Path, searched: &mut Vec<PathBuf>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let Some(name) = part.to_str().filter(|name| name.contains(['*', '?', '[', '\\'])) else {
            for path in &mut found {
                path.push(part);
            }
            continue;
        };
        let mut next = Vec::new();
        for folder in found {
            let entries = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder });
            for entry in entries.into_iter().flatten().flatten() {
                if matches(name, &entry.file_name().to_string_lossy()) {
                    next.push(folder.join(entry.file_name()));
                }
            }
            searched.push(folder);
        }
        next.sort();
        found = next;
    }
    found
}

/// Whether a file's whole name matches a pattern. A dot at its start has to be written.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let hidden = name.first() == Some(&'.') && pattern.first() != Some(&'.') && !pattern.starts_with(&['\\', '.']);
    !hidden && rest_matches(&pattern, &name)
}

fn rest_matches(mut pattern: &[char], mut name: &[char]) -> bool {
    // Where the last star stood, and how far the name was then.
    let mut star: Option<(&[char], &[char])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some(('*', rest)), _) => {
                star = Some((rest, name));
                pattern = rest;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some((c, after))) => {
                if let Some(rest) = one(pattern, *c) {
                    (pattern, name) = (rest, after);
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((rest, [_, left @ ..])) => {
                star = Some((rest, left));
                (pattern, name) = (rest, left);
            }
            _ => return false,
        }
    }
}

/// What is left of a pattern whose first element, which is no star, matches `c`.
fn one(pattern: &[char], c: char) -> Option<&[char]> {
    match pattern {
        ['?', rest @ ..] => Some(rest),
        ['[', inside @ ..] => match bracket(inside, c) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            // It is not closed: it stands for itself.
            None => (c == '[').then_some(inside),
        },
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == c).then_some(rest),
        [] => None,
    }
}

/// Whether a bracket expression has `c`, and what follows it. None: it is not closed.
fn bracket(inside: &[char], c: char) -> Option<(bool, &[char])> {
    let (negated, inside) = match inside {
        ['!' | '^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    // A bracket at the start is one of its characters.
    let end = 1 + inside.get(1..)?.iter().position(|c| *c == ']')?;
    let (mut set, rest) = (inside.get(..end)?, inside.get(end + 1..)?);
    let mut has = false;
    while let [first, left @ ..] = set {
        set = left;
        match left {
            ['-', last, left @ ..] => {
                has |= (*first..=*last).contains(&c);
                set = left;
            }
            _ => has |= *first == c,
        }
    }
    Some((has != negated, rest))
}

#[cfg(test)]
mod tests;
