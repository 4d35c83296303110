//! The table for people: aligned; on a terminal cut to its width, in a pipe whole.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::text::is_plain;
use crate::render::value::{Tone, Value};
use crate::render::{Column, Output, Report};

const GAP: usize = 2;

/// So many rows are measured and written as they were made once.
const KEPT: usize = 5000;

/// What is kept of each of thousands of cells.
struct Cell {
    /// How many bytes of the rows' text are its own.
    length: u32,
    width: u32,
    right: bool,
    tone: Tone,
    unknown: bool,
}

/// Cells row by row. Their text is one: to make and give back one for each of thousands of cells would take longer than
/// to fill it.
#[derive(Default)]
struct Rows {
    text: String,
    cells: Vec<Cell>,
}

impl Rows {
    fn add(&mut self, value: &Value<'_>, output: &Output) -> &Cell {
        let start = self.text.len();
        value.write_human(&mut self.text, output);
        let text = &self.text[start..];
        let (length, width) = (small(text.len()), small(width_of(text)));
        let (right, tone, unknown) = (value.right_aligned(), value.tone(), value.is_unknown());
        self.cells.push(Cell { length, width, right, tone, unknown });
        &self.cells[self.cells.len() - 1]
    }

    fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// Writes all rows; each has a cell for each of `widths`.
    fn write<W: Write>(&self, out: &mut W, widths: &[usize], color: bool) -> io::Result<()> {
        let mut rest = self.text.as_str();
        let mut line = String::with_capacity(widths.iter().map(|width| width + GAP).sum());
        for row in self.cells.chunks(widths.len().max(1)) {
            write_row(&mut line, row, &mut rest, widths, color);
            out.write_all(line.as_bytes())?;
            line.clear();
        }
        Ok(())
    }
}

/// No text has four billions of bytes.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What the cells of a column have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    width: usize,
    /// Somebody knows something.
    known: bool,
}

impl Measured {
    fn take(&mut self, cell: &Cell) {
        self.width = self.width.max(cell.width as usize);
        self.known |= !cell.unknown;
    }
}

pub(super) fn write<R: Report, W: Write>(out: &mut W, report: &R, output: &Output, wide: bool) -> io::Result<()> {
    if let Some(picture) = report.picture(output) {
        return out.write_all(picture.as_bytes());
    }
    let columns = shown(report, wide);
    let mut measured = vec![Measured::default(); columns.len()];
    // The cells of many rows take more room than all that they were made of: those of the rest are made again.
    let (mut kept, mut passing) = (Rows::default(), Rows::default());
    let mut count = 0;
    for item in report.items() {
        passing.clear();
        let rows = if count < KEPT { &mut kept } else { &mut passing };
        for (column, measured) in columns.iter().zip(&mut measured) {
            measured.take(rows.add(&(column.value)(item), output));
        }
        count += 1;
    }
    if count > 0 {
        let widths = fit(&columns, &measured, output.width);
        header_row(&columns).write(out, &widths, output.color)?;
        kept.write(out, &widths, output.color)?;
        for item in report.items().skip(KEPT) {
            passing.clear();
            for column in &columns {
                passing.add(&(column.value)(item), output);
            }
            passing.write(out, &widths, output.color)?;
        }
    }
    for note in report.notes() {
        writeln!(out, "{}", crate::model::text::clean(&output.carried.to_paste(&note)))?;
    }
    Ok(())
}

/// The columns that the table has.
fn shown<R: Report>(report: &R, wide: bool) -> Vec<Column<'_, R::Item<'_>>> {
    let mut columns = report.columns();
    columns.retain(|column| wide || !column.wide);
    columns
}

/// How many columns of the terminal a text takes.
fn width_of(text: &str) -> usize {
    // Most are plain: each character takes one.
    if text.bytes().all(is_plain) { text.len() } else { text.width() }
}

/// How wide the table is where nothing is cut.
pub(crate) fn natural_width<R: Report>(report: &R, output: &Output) -> usize {
    let columns = shown(report, false);
    let mut measured = vec![Measured::default(); columns.len()];
    let mut passing = Rows::default();
    for item in report.items() {
        passing.clear();
        for (column, measured) in columns.iter().zip(&mut measured) {
            measured.take(passing.add(&(column.value)(item), output));
        }
    }
    // A column without any known value gives way without a loss.
    let stays = columns.iter().zip(&measured).filter(|(column, cells)| column.yields == 0 || cells.known);
    let widths: Vec<usize> = stays.map(|(column, cells)| cells.width.max(column.name.width())).collect();
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

fn header_row<T>(columns: &[Column<'_, T>]) -> Rows {
    let cell = |column: &Column<'_, T>| {
        let (length, width) = (small(column.name.len()), small(column.name.width()));
        Cell { length, width, right: false, tone: Tone::Plain, unknown: false }
    };
    Rows { text: columns.iter().map(|column| column.name).collect(), cells: columns.iter().map(cell).collect() }
}

/// The width of each column, 0 for one that is left out. Where not all fit, columns without any known value go
/// first, then those that yield most readily, until the others fit in their narrowest form; what is left of the width
/// goes to the columns that were cut, the one that yields least first.
fn fit<T>(columns: &[Column<'_, T>], measured: &[Measured], limit: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> =
        columns.iter().zip(measured).map(|(column, cells)| cells.width.max(column.name.width())).collect();
    let Some(limit) = limit else { return widths };
    let total = |widths: &[usize]| {
        let shown = widths.iter().filter(|w| **w > 0).count();
        widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
    };
    let mut order: Vec<usize> = (0..columns.len()).filter(|i| columns[*i].yields > 0).collect();
    order.sort_by_key(|i| std::cmp::Reverse(columns[*i].yields));
    for &i in order.iter().filter(|i| !measured[**i].known) {
        if total(&widths) > limit {
            widths[i] = 0;
        }
    }
    if total(&widths) <= limit {
        return widths;
    }
    let natural = widths.clone();
    for (column, width) in columns.iter().zip(&mut widths) {
        let narrowest = column.narrowest.map_or(*width, |narrowest| narrowest.max(column.name.width()));
        *width = narrowest.min(*width);
    }
    for i in order {
        if total(&widths) > limit {
            widths[i] = 0;
        }
    }
    let mut order: Vec<usize> = (0..columns.len()).filter(|i| widths[*i] > 0).collect();
    order.sort_by_key(|i| columns[*i].yields);
    for i in order {
        let spare = limit.saturating_sub(total(&widths));
        widths[i] += spare.min(natural[i] - widths[i]);
    }
    widths
}

/// Adds one row to `line`; its text is the begin of `rest`, and taken from it.
fn write_row(line: &mut String, row: &[Cell], rest: &mut &str, widths: &[usize], color: bool) {
    let mut pending = 0;
    for (cell, width) in row.iter().zip(widths) {
        let (text, after) = rest.split_at_checked(cell.length as usize).unwrap_or((rest, ""));
        *rest = after;
        if *width == 0 {
            continue;
        }
        let (text, taken) = if cell.width as usize <= *width {
            (Cow::Borrowed(text), cell.width as usize)
        } else {
            let text = cut(text, *width);
            let taken = text.width();
            (text.into(), taken)
        };
        let fill = width.saturating_sub(taken);
        let (before, after) = if cell.right { (fill, 0) } else { (0, fill) };
        pad(line, pending + before);
        match style(cell.tone).filter(|_| color) {
            Some(style) => {
                // Writing to a string does not fail.
                let _ = write!(line, "{}{text}{}", style.render(), style.render_reset());
            }
            None => line.push_str(&text),
        }
        // Nothing is padded behind the last one.
        pending = after + GAP;
    }
    line.push('\n');
}

fn pad(line: &mut String, mut columns: usize) {
    const BLANK: &str = "                                ";
    while columns > 0 {
        let some = columns.min(BLANK.len());
        line.push_str(&BLANK[..some]);
        columns -= some;
    }
}

fn style(tone: Tone) -> Option<anstyle::Style> {
    let color = |c: anstyle::AnsiColor| anstyle::Style::new().fg_color(Some(c.into()));
    match tone {
        Tone::Plain => None,
        Tone::Good => Some(color(anstyle::AnsiColor::Green)),
        Tone::Bad => Some(color(anstyle::AnsiColor::Red)),
        Tone::Quiet => Some(anstyle::Style::new().dimmed()),
    }
}

/// The text in at most `width` columns; what was cut ends in `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_its_columns() {
        for (text, width, want) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…"), ("abcd", 1, "…")]
        {
            assert_eq!(cut(text, width), want);
        }
    }

    #[derive(serde::Serialize)]
    struct Numbers(usize);

    impl Report for Numbers {
        const SCHEMA: &'static str = "ecobox.numbers/1";
        type Item<'r> = usize;

        fn columns(&self) -> Vec<Column<'_, usize>> {
            const fn half(item: usize) -> Option<u64> {
                if item.is_multiple_of(2) { Some(item as u64 / 2) } else { None }
            }
            vec![
                Column::new("NUMBER", 0, |item: usize| Value::text(item.to_string())),
                Column::new("HALF", 0, |item| Value::of(half(item), Value::Seconds)),
                Column::wide("WIDE", |_| Value::text("é")),
            ]
        }

        fn items(&self) -> impl Iterator<Item = usize> {
            0..self.0
        }
    }

    #[test]
    fn rows_that_are_made_twice_are_as_those_that_are_kept() {
        let carried = crate::model::hint::Carried::default();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let output =
            Output { format: crate::render::Format::Table, color: false, width: None, utf8: true, carried, now };
        let written = |count: usize, wide| {
            let mut out = Vec::new();
            write(&mut out, &Numbers(count), &output, wide).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(0, false), "");
        assert_eq!(written(3, false), "NUMBER  HALF\n0         0s\n1       -\n2         1s\n");
        assert_eq!(written(1, true), "NUMBER  HALF  WIDE\n0         0s  é\n");
        let all = written(KEPT + 3, true);
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 1 + KEPT + 3);
        assert_eq!(lines[1], "0           0s  é");
        assert_eq!(lines[KEPT..], ["4999    -       é", "5000    41m40s  é", "5001    -       é", "5002    41m41s  é"]);
    }

    #[test]
    fn columns_give_way_in_their_order() {
        const NOTHING: fn(()) -> Value<'static> = |()| Value::Unknown;
        let columns = [
            Column::new("NAME", 0, NOTHING).cut_to(8),
            Column::new("STATE", 0, NOTHING),
            Column::new("NODE", 2, NOTHING),
            Column::new("SERVICES", 1, NOTHING).cut_to(10),
            Column::new("LOCK", 1, NOTHING),
        ];
        let cells = |text: &str| Measured { width: text.len(), known: text != "-" };
        let row = ["a-rather-long-name", "running", "pve1", "https 3ms, ssh 1ms, smb 2ms", "-"].map(cells);
        for (limit, want) in [
            (None, [18, 7, 4, 27, 4]),
            (Some(80), [18, 7, 4, 27, 4]),
            (Some(62), [18, 7, 4, 27, 0]), // nobody knows a lock
            (Some(56), [18, 7, 4, 21, 0]),
            (Some(40), [13, 7, 4, 10, 0]),
            (Some(32), [11, 7, 0, 10, 0]),
            (Some(20), [11, 7, 0, 0, 0]),
            (Some(10), [8, 7, 0, 0, 0]),
        ] {
            assert_eq!(fit(&columns, &row, limit), want, "{limit:?}");
        }
    }
}
