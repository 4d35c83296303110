//! Text that came from elsewhere: made safe to show, and compared with the words that are known.

use std::borrow::Cow;

/// Whether a terminal or a reader could be misled by this character: controls, characters that turn the
/// direction of text, invisible ones, private ones and tags.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{f0000}'..='\u{10ffff}')
}

/// The text with every unsafe character written as `\u{..}`, on one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out.into()
}

/// The text between backquotes for a message: cleaned, and cut after 64 characters.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("`{}…`", clean(&text[..end])),
        None => format!("`{}`", clean(text)),
    }
}

/// How many single-character edits lead from `a` to `b`: insert, delete, replace, or swap of two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The known word that `word` was most likely meant to be: at most a third of its letters differ, or it is a
/// part of exactly one known word (`mac` for `mac_address`). Letter case does not count.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    near(word, known).into_iter().next()
}

/// All known words that are as near to `word` as [`nearest`] asks, the nearest first, at most three.
pub(crate) fn near<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    // A name is never longer; what is longer is no slip of the finger.
    if word.is_empty() || word.len() > 128 {
        return Vec::new();
    }
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    let mut spelled: Vec<(usize, &'k str)> = Vec::new();
    let mut parts: Vec<&'k str> = Vec::new();
    for candidate in known {
        let candidate_lower = candidate.to_lowercase();
        let edits = distance(&lower, &candidate_lower);
        // `a` is near to any one-letter word: at least half must stay.
        if edits <= allowed && edits * 2 <= candidate_lower.chars().count() {
            spelled.push((edits, candidate));
        } else if lower.len() >= 3 && is_part(&lower, &candidate_lower) {
            parts.push(candidate);
        }
    }
    spelled.sort_by_key(|(edits, _)| *edits);
    if spelled.is_empty() && parts.len() == 1 {
        return parts;
    }
    spelled.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}

/// Whether `part` begins or ends `whole`, or is one of its words.
fn is_part(part: &str, whole: &str) -> bool {
    whole.starts_with(part) || whole.ends_with(part) || whole.split(['_', '-', '.', ' ']).any(|word| word == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_terminal_gets_through() {
        for (text, want) in [
            ("web-01", "web-01"),
            ("grün ☺", "grün ☺"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ] {
            assert_eq!(clean(text), want, "{text:?}");
        }
        assert_eq!(quoted("a\nb"), "`a\\u{a}b`");
        assert_eq!(quoted(&"ü".repeat(65)), format!("`{}…`", "ü".repeat(64)));
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, want) in [
            ("", "", 0),
            ("a", "", 1),
            ("hostname", "hostname", 0),
            ("hostnme", "hostname", 1),
            ("hsotname", "hostname", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_word_is_the_likely_one() {
        let keys = ["id", "name", "hostname", "mac_address", "ssh_user", "ssh_port", "ssh_key_path", "tags"];
        for (word, want) in [
            ("hostnme", Some("hostname")),
            ("HostName", Some("hostname")),
            ("sshport", Some("ssh_port")),
            ("ssh_prot", Some("ssh_port")),
            ("host", Some("hostname")),
            ("mac", Some("mac_address")),
            ("user", Some("ssh_user")),
            ("tag", Some("tags")),
            ("ssh", None),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), want, "{word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cleaned_text_is_safe_and_stays_so(text in ".{0,64}") {
            let once = clean(&text).into_owned();
            proptest::prop_assert!(!once.contains(is_unsafe));
            proptest::prop_assert_eq!(clean(&once), once.clone());
        }

        #[test]
        fn a_known_word_is_its_own_nearest(word in "[a-z_]{2,12}", other in "[a-z]{2,12}") {
            proptest::prop_assert_eq!(nearest(&word, [other.as_str(), word.as_str()]), Some(word.as_str()));
        }
    }
}
