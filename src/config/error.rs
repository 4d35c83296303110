//! What can be wrong with a configuration file, and the look of the message: path, line, column, the line
//! itself and a caret.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::model::text::clean;

/// Why a configuration cannot be used.
///
/// The text of `Invalid` has several lines and is already safe for a terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// There is no such file.
    #[error("no configuration file at {}", shown(path))]
    NotFound { path: PathBuf },
    #[error("cannot read {}", shown(path))]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {}", shown(path))]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Somebody else could have written which commands it names; `reason` says what to run.
    #[error("{} {reason}", shown(path))]
    Exposed { path: PathBuf, reason: String },
    /// A key or a value at this place is wrong. `line` and `column` count from 1, columns in characters.
    #[error("{}:{line}:{column}: {message}{excerpt}", shown(path))]
    Invalid { path: PathBuf, line: usize, column: usize, message: String, excerpt: String },
}

impl ConfigError {
    /// This error with another file name: for texts that were checked before they had a file.
    #[must_use]
    pub(crate) fn in_file(mut self, file: &Path) -> ConfigError {
        match &mut self {
            ConfigError::NotFound { path }
            | ConfigError::Read { path, .. }
            | ConfigError::Write { path, .. }
            | ConfigError::Exposed { path, .. }
            | ConfigError::Invalid { path, .. } => file.clone_into(path),
        }
        self
    }
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}

/// Something wrong at a place of the text; it becomes a [`ConfigError`] where the text is at hand.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

pub(super) type Checked<T> = Result<T, Problem>;

impl Problem {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem { span, message: message.into() }
    }

    /// The error with line, column and excerpt. A span outside the text is taken as its end.
    pub(super) fn locate(self, text: &str, path: &Path) -> ConfigError {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let source = text[line_start..line_end].trim_end_matches('\r');
        let marked = start - line_start..end.min(line_end) - line_start;
        let excerpt = match secret(source) {
            Some(at) => {
                let marked = marked.start.min(at)..marked.end.min(at + 1);
                excerpt(&format!("{}***", &source[..at]), &marked, line)
            }
            None => excerpt(source, &marked, line),
        };
        let message = clean(&self.message).into_owned();
        ConfigError::Invalid { path: path.to_owned(), line, column, message, excerpt }
    }
}

/// The nearest character boundary at or before `at`, inside the text.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where the value of a key begins that is named like a secret, or what stands before the `@` of a URL. But for
/// `secure_on` there is no such key, but who writes one must not find its value in a log or in cron's mail.
fn secret(source: &str) -> Option<usize> {
    let lower = source.to_ascii_lowercase();
    // In `username`, for some write `user:password` there.
    let words = ["token", "secret", "passw", "passphrase", "credential", "username", "secure"];
    let word = words.into_iter().filter_map(|word| lower.find(word));
    let named = word.min().and_then(|word| {
        let equals = word + source[word..].find(['=', ':'])? + 1;
        Some(equals + source[equals..].len() - source[equals..].trim_start().len())
    });
    let in_url = source.find("://").map(|at| at + 3).filter(|at| source[*at..].contains('@'));
    named.into_iter().chain(in_url).min()
}

/// The source line under its number, and a caret under what is `marked` (bytes of the line). Of a long line
/// only what is near the caret is shown.
fn excerpt(source: &str, marked: &Range<usize>, line: usize) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 110;
    let mut text = String::new();
    let mut indent = 0;
    let mut carets = 0;
    let first_marked = source[..marked.start.min(source.len())].chars().count();
    let skip = if source.chars().count() > SHOWN { first_marked.saturating_sub(BEFORE) } else { 0 };
    if skip > 0 {
        text.push('…');
        indent = 1;
    }
    for (index, (at, c)) in source.char_indices().enumerate().skip(skip) {
        if index >= skip + SHOWN {
            text.push('…');
            break;
        }
        let piece = if c == '\t' { "    ".into() } else { clean(&source[at..at + c.len_utf8()]) };
        let width = piece.chars().count();
        if at < marked.start {
            indent += width;
        } else if at < marked.end {
            carets += width;
        }
        text.push_str(&piece);
    }
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "\n{gutter} |\n{number} | {}\n{gutter} | {}{}",
        text.trim_end(),
        " ".repeat(indent),
        "^".repeat(carets.max(1))
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(text: &str, span: Range<usize>) -> (usize, usize, String) {
        match Problem::new(span, "wrong").locate(text, Path::new("c.toml")) {
            ConfigError::Invalid { line, column, excerpt, .. } => (line, column, excerpt),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        let cases = [
            ("ab = 1\ncd = 2\n", 7..9, (2, 1, "\n  |\n2 | cd = 2\n  | ^^")),
            ("a = \"é\" x\r\nb", 9..10, (1, 9, "\n  |\n1 | a = \"é\" x\n  |         ^")),
            ("\tx = 1", 1..2, (1, 2, "\n  |\n1 |     x = 1\n  |     ^")),
            ("a = \"\u{1b}[2J\" b", 11..12, (1, 12, "\n  |\n1 | a = \"\\u{1b}[2J\" b\n  |                 ^")),
            ("token = \"c0ffee\" # x", 0..5, (1, 1, "\n  |\n1 | token = ***\n  | ^^^^^")),
            ("u = \"http://me:c0ffee@h/\"", 4..24, (1, 5, "\n  |\n1 | u = \"http://***\n  |     ^^^^^^^^^")),
            ("Secret=\"c0ffee\"", 10..12, (1, 11, "\n  |\n1 | Secret=***\n  |        ^")),
            ("{ id = 1, password: c0ffee }", 2..4, (1, 3, "\n  |\n1 | { id = 1, password: ***\n  |   ^^")),
            ("", 0..0, (1, 1, "\n  |\n1 | \n  | ^")),
            ("a = ", 4..99, (1, 5, "\n  |\n1 | a =\n  |     ^")),
            ("a\n", 2..2, (2, 1, "\n  |\n2 | \n  | ^")),
            ("a = '''x\ny'''", 4..13, (1, 5, "\n  |\n1 | a = '''x\n  |     ^^^^")),
        ];
        for (text, span, (line, column, excerpt)) in cases {
            assert_eq!(located(text, span), (line, column, excerpt.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let (_, column, excerpt) = located(&text, 500..501);
        assert_eq!(column, 501);
        let lines: Vec<&str> = excerpt.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 130), "{excerpt}");
        assert_eq!(lines[2].chars().position(|c| c == 'X'), lines[3].chars().position(|c| c == '^'), "{excerpt}");
    }

    #[test]
    fn a_path_is_shown_safely() {
        let error = ConfigError::NotFound { path: PathBuf::from("/tmp/\x1b[2J") };
        assert_eq!(error.to_string(), "no configuration file at /tmp/\\u{1b}[2J");
        assert_eq!(error.in_file(Path::new("/x")).to_string(), "no configuration file at /x");
    }
}
