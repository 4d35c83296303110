//! The lines of an `ssh_config` file, split into words as OpenSSH splits them (`strdelim` and `argv_split` in its
//! misc.c).
//!
//! What the words mean for a host is `ssh -G`'s business alone. They are read for what it does not say: which files
//! there are, what its answers depend on, which hosts have a name, and where a blank belongs to a path.

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// The keyword of a line in lower case, and its arguments. None: there is none, or ssh refuses the line.
pub(super) fn directive(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']).trim_start_matches(BLANK);
    let (keyword, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => line.split_at(line.find(|c| BLANK.contains(&c) || c == '"' || c == '=').unwrap_or(line.len())),
    };
    if keyword.is_empty() || keyword.starts_with('#') {
        return None;
    }
    // One `=` may stand between the two.
    let rest = rest.trim_start_matches(BLANK);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANK);
    Some((keyword.to_ascii_lowercase(), words(rest)?))
}

/// The words of a text, without their quotes; a `#` at the start of a word begins a comment. None: a quote is open.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return Some(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = |c: &char| matches!(c, '\'' | '"' | '\\') || quote.is_none() && *c == ' ';
                    word.push(chars.next_if(escaped).unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_openssh_splits_them() {
        type Split = Option<(&'static str, &'static [&'static str])>;
        let cases: &[(&str, Split)] = &[
            ("", None),
            ("  # Host x", None),
            ("Host a b\tc", Some(("host", &["a", "b", "c"]))),
            ("  HOST=a b", Some(("host", &["a", "b"]))),
            ("host = a # the old one", Some(("host", &["a"]))),
            ("host==a", Some(("host", &["=a"]))),
            ("Host \"nas2\" 'my nas' x\"y z\"", Some(("host", &["nas2", "my nas", "xy z"]))),
            ("Host\"a b\"", Some(("host", &["a b"]))),
            ("\"Host\" a", Some(("host", &["a"]))),
            ("Host a\\ b c\\\"d \"e\\ f\" g\\h", Some(("host", &["a b", "c\"d", "e\\ f", "g\\h"]))),
            ("Host a#b #c", Some(("host", &["a#b"]))),
            ("Host \"#a\" b", Some(("host", &["#a", "b"]))),
            ("Host 'a", None),
            ("Compression", Some(("compression", &[]))),
            ("Host a \u{c}\r\n", Some(("host", &["a"]))),
            ("Match exec \"test -e ~/x\" host a", Some(("match", &["exec", "test -e ~/x", "host", "a"]))),
        ];
        for (line, want) in cases {
            let want = want.map(|(keyword, words)| {
                (keyword.to_owned(), words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
            });
            assert_eq!(directive(line), want, "{line:?}");
        }
    }
}
