//! JSON: the contract with scripts. `schema` comes first. It is also read on terminals: besides what JSON wants escaped,
//! what a terminal could act on is.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::model::past::series::without_noise;
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

/// Escapes what a terminal could act on: DEL, C1 controls, and characters that turn the direction of text. `serde_json`
/// has escaped the C0 controls, and outside of strings JSON has none of these.
///
/// It is given many texts at once, and looks at single characters only where there is more than plain ASCII.
struct Guard<W: Write> {
    out: W,
}

impl<W: Write> Guard<W> {
    /// The buffer before it takes and passes on whole texts only, never a part of a character.
    fn new(out: W) -> BufWriter<Guard<W>> {
        BufWriter::with_capacity(GATHERED, Guard { out })
    }

    fn write_safe(&mut self, text: &str) -> io::Result<()> {
        let mut safe = Vec::with_capacity(text.len());
        for c in text.chars() {
            if is_unsafe(c) && c != '\n' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(safe, "\\u{unit:04x}")?;
                }
            } else {
                safe.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        self.out.write_all(&safe)
    }
}

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, texts: &[u8]) -> io::Result<usize> {
        if texts.is_ascii() && !texts.contains(&b'\x7f') {
            self.out.write_all(texts)?;
        } else {
            self.write_safe(&String::from_utf8_lossy(texts))?;
        }
        Ok(texts.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Compact, and numbers without the noise of binary fractions: 16.9, not 16.900000000000002.
struct Plain;

impl Formatter for Plain {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        CompactFormatter.write_f64(out, without_noise(value))
    }
}

fn write_line<T: Serialize, W: Write>(out: &mut BufWriter<Guard<W>>, value: &T) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Plain))?;
    out.write_all(b"\n")
}

/// One document.
pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Guard::new(out);
    write_line(&mut out, &WithSchema { schema: R::SCHEMA, rest: report })?;
    out.flush()
}

/// One line of its own.
pub(super) fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut out = Guard::new(&mut line);
    write_line(&mut out, value)?;
    out.flush()?;
    drop(out);
    Ok(line)
}

/// One object a line, each with the schema's name.
pub(super) fn write_lines<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Guard::new(out);
    for item in report.items() {
        write_line(&mut out, &WithSchema { schema: R::SCHEMA, rest: &item })?;
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

    #[test]
    fn numbers_have_no_noise() {
        for (number, want) in [
            (16.900_000_000_000_002, "16.9"),
            (0.1 + 0.2, "0.3"),
            (100.0 / 3.0, "33.333333"),
            (4.35 * 100.0, "435.0"),
            (0.000_4, "0.0004"),
            (1_258_291.2, "1258291.2"),
            (-0.000_000_1, "0.0"),
            (1e300, "1e+300"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(written(&number), want.to_owned() + "\n");
        }
        assert_eq!(written(&12.3_f32), "12.3\n");
    }

    #[test]
    fn more_than_is_gathered_comes_whole() {
        let many: Vec<String> = (0..3000).map(|n| format!("\u{9b}{}\u{1f5a5}", "ü".repeat(n % 90))).collect();
        let json = written(&many);
        assert!(json.len() > 3 * GATHERED);
        assert!(!json.trim_end_matches('\n').contains(is_unsafe));
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), many);
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
