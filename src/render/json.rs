//! JSON: the contract with scripts. `schema` comes first.

mod writer;

use std::io::{self, Write};

use serde::Serialize;

use self::writer::Writer;
use crate::render::Report;

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    rest: &'a T,
}

/// One document.
pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Writer::new(out);
    out.line(&WithSchema { schema: R::SCHEMA, rest: report })?;
    out.finish()
}

/// One line of its own.
pub(super) fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut out = Writer::new(&mut line);
    out.line(value)?;
    out.finish()?;
    Ok(line)
}

/// One object a line, each with the schema's name.
pub(super) fn write_lines<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    let mut out = Writer::new(out);
    for item in report.items() {
        out.line(&WithSchema { schema: R::SCHEMA, rest: item })?;
    }
    out.finish()
}
