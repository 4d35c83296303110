//! The second try at an answer that is almost JSON.
//!
//! Perl's encoder writes `nan` and `inf` for such numbers, and a number like 1e999 is beyond what a parser
//! takes; texts that guests chose may be no UTF-8. One of these must not hide all other guests.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::Envelope;

/// Reads the `data` of an answer.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, serde_json::Error> {
    // Checked once as a whole, which is quicker than string by string.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    let error = match serde_json::from_str(&text) {
        Ok(Envelope(data)) => return Ok(data),
        Err(error) => error,
    };
    if !error.is_syntax() {
        return Err(error);
    }
    let Ok(Envelope(data)) = serde_json::from_str(&repaired(&text)) else { return Err(error) };
    tracing::warn!(%error, "an answer was no valid JSON and was read as far as possible");
    Ok(data)
}

/// The text with `null` for each word outside of strings that JSON does not know, and U+FFFD for each half of a
/// surrogate pair.
fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first == '"' {
            string_end(rest)
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            rest.find(|c| c == '"' || is_word(c)).unwrap_or(rest.len())
        };
        let Some((token, after)) = rest.split_at_checked(end) else { break };
        rest = after;
        if first == '"' {
            push_string(&mut out, token);
        } else if is_word(first) && !matches!(token, "true" | "false" | "null") && !is_number(token) {
            out.push_str("null");
        } else {
            out.push_str(token);
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')
}

/// Whether the token is a JSON number within the range of f64.
fn is_number(token: &str) -> bool {
    serde_json::from_str::<f64>(token).is_ok()
}

/// Where the string that `text` begins with ends, its quote included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Copies a string with its quotes; the half of a surrogate pair becomes U+FFFD.
fn push_string(out: &mut String, token: &str) {
    let mut rest = token;
    while let Some((plain, after)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(plain);
        let length = match (unit(after), after.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.push('\u{FFFD}');
                rest = after.get(6..).unwrap_or_default();
                continue;
            }
            // Any other escape: its backslash and the character behind it.
            _ => after.chars().take(2).map(char::len_utf8).sum(),
        };
        let (escape, behind) = after.split_at_checked(length).unwrap_or((after, ""));
        out.push_str(escape);
        rest = behind;
    }
    out.push_str(rest);
}

/// The number of a `\uXXXX` that `text` begins with.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}
