//! Patterns as a shell has them: `*`, `?`, `[a-z]`, `[!a]`. Letter case does not count.

/// Whether the text has a character that makes it a pattern.
pub(in crate::model) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` matches the whole of `text`. Without special characters: whether they are the same.
pub(in crate::model) fn matches(pattern: &str, text: &str) -> bool {
    matches_exactly(&pattern.to_lowercase(), &text.to_lowercase())
}

/// Like `matches`, for names in which letter case counts.
pub(in crate::model) fn matches_exactly(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how much of the text it took: only the last one ever has to take more,
    // which keeps the time at pattern times text.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some(width) = one(&pattern[p..], text[t]) {
                    p += width;
                    t += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((at, taken)) = star else { return false };
        star = Some((at, taken + 1));
        p = at + 1;
        t = taken + 1;
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How many characters of the pattern stand for `c`, if its beginning does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => match set(pattern) {
            Some((width, negated, members)) => (contains(members, c) != negated).then_some(width),
            // An open bracket that is never closed is itself.
            None => (c == '[').then_some(1),
        },
        same => (same == c).then_some(1),
    }
}

/// The set at the beginning of the pattern: its width, whether it is negated, and its members. A `]` that comes
/// first is a member.
fn set(pattern: &[char]) -> Option<(usize, bool, &[char])> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    let end = (start + 1..pattern.len()).find(|at| pattern[*at] == ']')?;
    Some((end + 1, negated, &pattern[start..end]))
}

fn contains(members: &[char], c: char) -> bool {
    let mut rest = members;
    while let Some((first, tail)) = rest.split_first() {
        if let ['-', last, after @ ..] = tail {
            if (*first..=*last).contains(&c) {
                return true;
            }
            rest = after;
        } else {
            if *first == c {
                return true;
            }
            rest = tail;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, want) in [
            ("web", "web", true),
            ("web", "WEB", true),
            ("web", "web1", false),
            ("", "", true),
            ("*", "", true),
            ("**", "abc", true),
            ("web*", "web-01", true),
            ("*web", "my-web", true),
            ("*-vm-*", "pve1-vm-101", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("w?b", "wëb", true),
            ("w?b", "wb", false),
            ("db[1-3]", "db2", true),
            ("db[1-3]", "db4", false),
            ("db[!1-3]", "db4", true),
            ("db[^1-3]", "db2", false),
            ("db[abx-z]", "dbY", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[z-a]", "m", false),
            ("a[", "a[", true),
            ("a[b", "ab", false),
            ("[!]", "[!]", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    proptest::proptest! {
        #[test]
        fn a_literal_matches_itself_and_a_star_everything(text in "[a-z0-9.-]{0,24}", other in "[a-z0-9.-]{0,24}") {
            proptest::prop_assert!(matches(&text, &text));
            proptest::prop_assert!(matches("*", &text));
            proptest::prop_assert_eq!(matches(&text, &other), text == other);
            let around = format!("{other}{text}{other}");
            let pattern = format!("*{text}*");
            proptest::prop_assert!(matches(&pattern, &around));
        }
    }
}
