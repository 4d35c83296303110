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
mod tests;
