//! JSON: the contract with scripts. `schema` comes first. It is also read on terminals: besides what JSON wants escaped,
//! what a terminal could act on is.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::model::text::is_unsafe;
use crate::render::Report;

/// How much is gathered before it is passed on, in bytes.
const GATHERED: usize = 64 * 1024;

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    rest: &'a T,
}

/// Everything on one line, and nothing in it that a terminal acts on: DEL, C1 controls, and characters that turn the
/// direction of text. `serde_json` escapes the C0 controls itself.
struct OneSafeLine;

impl Formatter for OneSafeLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        // Nearly all text is plain: its greatest byte says so, which a processor finds many bytes at a time.
        while rest.bytes().fold(0, u8::max) > b'~'
            && let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c))
        {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

fn write_line<T: Serialize, W: Write>(out: &mut W, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, OneSafeLine))?;
    out.write_all(b"\n")
}

/// One document.
pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(GATHERED, out);
    write_line(&mut out, &WithSchema { schema: R::SCHEMA, rest: report })?;
    out.flush()
}

/// One line of its own.
pub(super) fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    write_line(&mut line, value)?;
    Ok(line)
}

/// One object a line, each with the schema's name.
pub(super) fn write_lines<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(GATHERED, out);
    for item in report.items() {
        write_line(&mut out, &WithSchema { schema: R::SCHEMA, rest: item })?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<T: Serialize>(value: &T) -> String {
        String::from_utf8(line(value).unwrap()).unwrap()
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let text = "\"\\\u{8}\u{c}\n\r\t\0\u{1f}/ grün \u{202e}x \u{9b}2J \u{7f}\u{e0001}";
        let want = r#""\"\\\b\f\n\r\t\u0000\u001f/ grün \u202ex \u009b2J \u007f\udb40\udc01""#;
        assert_eq!(written(&text), want.to_owned() + "\n");
        assert_eq!(serde_json::from_str::<String>(want).unwrap(), text);
        // In a key, too.
        assert_eq!(written(&std::collections::BTreeMap::from([("\u{7f}", 1)])), "{\"\\u007f\":1}\n");
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was_and_has_nothing_unsafe(text: String) {
            let written = written(&text);
            prop_assert!(!written.trim_end_matches('\n').contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
