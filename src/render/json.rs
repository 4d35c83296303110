//! JSON: the contract with scripts. `schema` comes first.

use std::io::{self, Write};

use serde::Serialize;

use crate::render::Report;

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    rest: &'a T,
}

/// Escapes what a terminal could act on: DEL, C1 controls, and characters that turn the direction of text.
/// serde has escaped the C0 controls already; outside strings JSON has none of these.
struct Guard<'a, W: Write>(&'a mut W);

impl<W: Write> Write for Guard<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whole strings reach a serde_json writer at once, so that a character is never cut in two.
        if bytes.iter().all(|byte| byte.is_ascii() && *byte != 0x7f) {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let text = String::from_utf8_lossy(bytes);
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            if crate::model::text::is_unsafe(c) {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    clean.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                clean.push(c);
            }
        }
        self.0.write_all(clean.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One document.
pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    serde_json::to_writer(Guard(out), &WithSchema { schema: R::SCHEMA, rest: report })?;
    out.write_all(b"\n")
}

/// One object a line, each with the schema's name.
pub(super) fn write_lines<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    for item in report.items() {
        serde_json::to_writer(Guard(out), &WithSchema { schema: R::SCHEMA, rest: item })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
