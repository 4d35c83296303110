//! JSON: the contract with scripts. `schema` comes first.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::model::text::is_unsafe;
use crate::render::Report;

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    rest: &'a T,
}

/// Escapes what a terminal could act on: DEL, C1 controls, and characters that turn the direction of text.
/// serde has escaped the C0 controls already; outside strings JSON has none of these.
struct Guard<W: Write> {
    out: W,
    /// The first bytes of a character whose rest was not written yet.
    cut: Vec<u8>,
}

impl<W: Write> Guard<W> {
    fn new(out: W) -> BufWriter<Guard<W>> {
        BufWriter::with_capacity(64 * 1024, Guard { out, cut: Vec::new() })
    }

    fn write_text(&mut self, text: &str) -> io::Result<()> {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            if is_unsafe(c) && c != '\n' {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(clean, "\\u{unit:04x}");
                }
            } else {
                clean.push(c);
            }
        }
        self.out.write_all(clean.as_bytes())
    }
}

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The greatest byte of all: a loop that the processor goes through many bytes at a time.
        if self.cut.is_empty() && bytes.iter().fold(0, |most, byte| most.max(*byte)) < 0x7f {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(bytes);
        // serde writes UTF-8; a buffer may end in the middle of a character.
        let valid = std::str::from_utf8(&all).map_or_else(|error| error.valid_up_to(), str::len);
        self.cut = all.split_off(valid);
        self.write_text(&String::from_utf8_lossy(&all))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One document.
pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Guard::new(out);
    serde_json::to_writer(&mut out, &WithSchema { schema: R::SCHEMA, rest: report })?;
    out.write_all(b"\n")?;
    out.flush()
}

/// One line of its own.
pub(super) fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut out = Guard::new(&mut line);
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()?;
    drop(out);
    Ok(line)
}

/// One object a line, each with the schema's name.
pub(super) fn write_lines<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Guard::new(out);
    for item in report.items() {
        serde_json::to_writer(&mut out, &WithSchema { schema: R::SCHEMA, rest: item })?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped_wherever_the_buffer_ends() {
        let text = "{\"a\":\"grün \u{202e}x \u{9b}2J \u{7f}\"}\n";
        for size in 1..8 {
            let mut written = Vec::new();
            let mut guard = Guard { out: &mut written, cut: Vec::new() };
            for chunk in text.as_bytes().chunks(size) {
                guard.write_all(chunk).unwrap();
            }
            let want = "{\"a\":\"grün \\u202ex \\u009b2J \\u007f\"}\n";
            assert_eq!(String::from_utf8(written).unwrap(), want, "{size}");
        }
    }
}
