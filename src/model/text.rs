//! Text that came from elsewhere: made safe to show, and compared with the words that are known.

pub(crate) mod draining;
pub(crate) mod moment;
pub(crate) mod span;
pub(crate) mod units;
pub(crate) mod words;

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

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

/// Whether this byte is a character that can be seen, or a blank, and takes one column.
pub(crate) fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// The text with every unsafe character written as `\u{..}`, on one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    // Most of it is plain.
    if text.bytes().all(is_plain) || !text.contains(is_unsafe) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out.into()
}

/// The longest foreign text that is shown, in characters.
pub(crate) const LONGEST: usize = 500;
/// The longest name of something: a guest, a pool, a lock.
pub(crate) const LONGEST_NAME: usize = 128;

/// What can be shown of text from elsewhere: one line without unsafe characters; where there are more than 500, `…` stands
/// for the rest.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    // What is cut off is not even looked at: each character stays, or becomes several.
    let begin = match text.char_indices().nth(LONGEST + 2).and_then(|(end, _)| text.get(..end)) {
        Some(begin) => begin,
        None => text,
    };
    match clean(begin) {
        Cow::Borrowed(begin) => cut(begin, LONGEST + 1),
        Cow::Owned(begin) => cut(&begin, LONGEST + 1).into_owned().into(),
    }
}

/// The text where it has at most so many characters; else its begin, with `…` as the last of them.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // No text has more characters than bytes.
    if text.len() <= most || text.char_indices().nth(most).is_none() {
        return text.into();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    (kept + "…").into()
}

/// The text in lines of at most so many columns, cut between words where that is possible.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && line.width() + word.trim_end().width() > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        for c in word.chars() {
            if !line.is_empty() && c != ' ' && line.width() + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The text between backquotes for a message: cleaned, and cut after 64 characters.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(64).and_then(|(end, _)| text.get(..end)) {
        Some(begin) => format!("`{}…`", clean(begin)),
        None => format!("`{}`", clean(text)),
    }
}

/// The text without ids of tokens (`user@realm!name`): an ellipsis stands for each. For what others may read than
/// the person who runs ecobox.
pub(crate) fn without_token_ids(text: &str) -> Cow<'_, str> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut out = String::new();
    let mut rest = text;
    while let Some((user, realm)) = rest.split_once('@') {
        let after_realm = realm.trim_start_matches(is_id);
        let after_name = after_realm.strip_prefix('!').map(|name| (name, name.trim_start_matches(is_id)));
        let Some((_, after)) = after_name.filter(|(name, after)| name != after && after_realm != realm) else {
            out.push_str(user);
            out.push('@');
            rest = realm;
            continue;
        };
        out.push_str(user.trim_end_matches(|c: char| !(c.is_whitespace() || "`'\"(,;=:/".contains(c))));
        out.push('…');
        rest = after;
    }
    if out.is_empty() {
        return text.into();
    }
    out.push_str(rest);
    out.into()
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

/// The known words that `word` was most likely meant to be: those with the fewest differing letters, at most a
/// third of its own; else those that it is a part of, or that are a part of it (`mac` for `mac_address`). None
/// where there are more than three. Letter case does not count.
pub(crate) fn near<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    // A name is never longer; what is longer is no slip of the finger.
    if word.is_empty() || word.len() > 128 {
        return Vec::new();
    }
    let lower = word.to_lowercase();
    let mut least = (lower.chars().count() / 3).max(1);
    let mut spelled: Vec<&'k str> = Vec::new();
    let mut parts: Vec<&'k str> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for candidate in known {
        let other = candidate.to_lowercase();
        // An id and a name that differ in letter case only are one word to a reader.
        if seen.contains(&other) {
            continue;
        }
        let edits = distance(&lower, &other);
        // `a` is near to any one-letter word: at least half must stay.
        if edits <= least && edits * 2 <= other.chars().count() {
            if edits < least {
                spelled.clear();
            }
            least = edits;
            spelled.push(candidate);
        } else if is_part(&lower, &other) || is_part(&other, &lower) {
            parts.push(candidate);
        } else {
            continue;
        }
        seen.push(other);
    }
    let found = if spelled.is_empty() { parts } else { spelled };
    if found.len() > 3 { Vec::new() } else { found }
}

/// Whether `part` begins or ends `whole`, or is one of its words. Two letters are part of too much.
fn is_part(part: &str, whole: &str) -> bool {
    part.len() >= 3
        && (whole.starts_with(part)
            || whole.ends_with(part)
            || whole.split(['_', '-', '.', ' ']).any(|word| word == part))
}

/// The question at the end of a message, if there is a word near: ``; did you mean `a` or `b`?``
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let near: Vec<String> = near(word, known).into_iter().map(quoted).collect();
    (!near.is_empty()).then(|| format!("; did you mean {}?", near.join(" or ")))
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
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("数据 库", 3), ["数", "据", "库"]);
    }

    #[test]
    fn what_is_shown_is_one_line_and_not_endless() {
        let long = "\u{e4}".repeat(60 << 10);
        for (text, want) in [
            ("a\nhint: b\n", "a\\u{a}hint: b".to_owned()),
            ("  two blanks", "  two blanks".to_owned()),
            (&long[..1000], "\u{e4}".repeat(500)),
            (&long, "\u{e4}".repeat(500) + "\u{2026}"),
            (&"\u{1b}".repeat(600), "\\u{1b}".repeat(83) + "\\u\u{2026}"),
        ] {
            assert_eq!(shown(text), want);
        }
        assert_eq!((cut("abcd", 3), cut("abc", 3)), ("ab\u{2026}".into(), "abc".into()));
    }

    #[test]
    fn ids_of_tokens_are_left_out() {
        for (text, want) in [
            (
                "pve1 refused: token ecobox@pve!test: Authentication failed!",
                "pve1 refused: token …: Authentication failed!",
            ),
            ("`root@pam!a-b.c`, x@y!z", "`…`, …"),
            ("user=ü@pam!n", "user=…"),
            ("a@b", "a@b"),
            ("a@b! c", "a@b! c"),
            ("@!x a@@b!c", "@!x a@…"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_token_ids(text), want, "{text}");
        }
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
        let keys = ["id", "name", "hostname", "mac_address", "ssh_user", "ssh_port", "api_port", "tags"];
        let cases: [(&str, &[&str]); 15] = [
            ("hostnme", &["hostname"]),
            ("HostName", &["hostname"]),
            ("sshport", &["ssh_port"]),
            ("ssh_prot", &["ssh_port"]),
            ("host", &["hostname"]),
            ("mac", &["mac_address"]),
            ("user", &["ssh_user"]),
            ("tag", &["tags"]),
            ("nametag", &["name"]),
            ("port", &["ssh_port", "api_port"]),
            ("ssh", &["ssh_user", "ssh_port"]),
            ("colour", &[]),
            ("x", &[]),
            ("ip", &["id"]),
            ("", &[]),
        ];
        for (word, want) in cases {
            assert_eq!(near(word, keys), want, "{word}");
        }
        assert_eq!(did_you_mean("port", keys).as_deref(), Some("; did you mean `ssh_port` or `api_port`?"));
        assert_eq!(did_you_mean("colour", keys), None);
        assert!(near("abc", ["abd", "abe", "abf", "abg"]).is_empty());
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
            proptest::prop_assert!(near(&word, [other.as_str(), word.as_str()]).contains(&word.as_str()));
        }
    }
}
