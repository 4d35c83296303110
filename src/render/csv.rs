//! CSV (RFC 4180): all columns, plain values, unknown is empty.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::render::value::Value;
use crate::render::{Records, Report};

pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R) -> io::Result<()> {
    if let Some(Records { header, rows }) = report.records() {
        writeln!(out, "{}\r", header.join(","))?;
        return rows.into_iter().try_for_each(|cells| write_line(out, cells));
    }
    let columns = report.columns();
    let header: Vec<String> = columns.iter().map(|c| c.name.to_lowercase().replace(' ', "_")).collect();
    writeln!(out, "{}\r", header.join(","))?;
    report.items().try_for_each(|item| write_line(out, columns.iter().map(|column| (column.value)(item))))
}

fn write_line<'r, W: Write>(out: &mut W, cells: impl IntoIterator<Item = Value<'r>>) -> io::Result<()> {
    for (i, cell) in cells.into_iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        write!(out, "{separator}{}", quote(&cell.plain()))?;
    }
    out.write_all(b"\r\n")
}

/// Quotes where the text needs it. A text that a spreadsheet would take for a formula gets an apostrophe in front.
fn quote(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err();
    let text: Cow<'_, str> = if formula { format!("'{text}").into() } else { text.into() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")).into() } else { text }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (text, want) in [
            ("web", "web"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x,y", "\"'@x,y\""),
            ("-5", "-5"),
            ("-rf", "'-rf"),
        ] {
            assert_eq!(super::quote(text), want);
        }
    }
}
