//! A chart for people: lines over time, drawn with braille dots, or with letters where the locale has no such characters.

mod axis;
mod canvas;
mod legend;
#[cfg(test)]
mod tests;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use self::axis::TimeTick;
pub(super) use self::axis::ValueAxis;
use self::canvas::Canvas;
use crate::model::past::series::Unit;
use crate::model::text::clean;
use crate::render::table::cut;

/// The most lines that are drawn: each has a letter, a colour and a place in the legend.
const NAMED: usize = 6;

/// The fewest columns in which dots still say something.
const LEAST_COLUMNS: usize = 8;

/// One line of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Whose numbers they are; may be foreign text.
    pub(crate) label: &'a str,
    /// Seconds since 1970 and what was measured then, the oldest first. Between two neighbours a line is drawn; `None`
    /// and what is no number, or less than zero, is a gap.
    pub(crate) points: &'a [(f64, Option<f64>)],
}

/// How a chart is drawn.
#[derive(Debug, Clone)]
pub(crate) struct ChartOptions<'a> {
    /// Columns of all of it; it is never wider.
    pub(crate) width: usize,
    /// Rows of all of it with title, axes and legend; at least eight are used.
    pub(crate) height: usize,
    /// Above the chart; none where it is empty.
    pub(crate) title: &'a str,
    pub(crate) unit: Unit,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// The zone of the times below the chart.
    pub(crate) zone: TimeZone,
    pub(crate) color: bool,
    /// Whether braille dots may be used.
    pub(crate) utf8: bool,
}

/// The pieces of one row with their styles.
type Row = Vec<(Option<Style>, String)>;

/// Draws the busiest lines over each other, the busiest on top; the legend names each of them, and counts those that are
/// left out. A line without numbers is left out too, unless there is no other. Each line of the text ends in a newline and none is wider than
/// `width`; there is no colour without `color`.
pub(crate) fn chart(lines: &[Line<'_>], options: &ChartOptions<'_>) -> String {
    let title = (!options.title.is_empty()).then(|| fitted(options.title, options.width, options.utf8));
    let rest = options.height.max(8) - usize::from(title.is_some()) - 2;
    let mut drawn = busiest(lines, options);
    let empty = lines.len() - drawn.len();
    // The legend gets a third; if not all lines have a place in it, its last row says so.
    let places = (rest / 3).max(2);
    let named = if empty == 0 && drawn.len() <= NAMED.min(places) { drawn.len() } else { NAMED.min(places - 1) };
    let more = drawn.len().saturating_sub(named);
    drawn.truncate(named);
    let mut legend = legend::rows(&drawn, options);
    legend.extend(legend::left_out(more, empty, options));
    let rows = rest - legend.len();
    let mut all: Vec<Row> = title.map(|title| vec![(Some(Style::new().bold()), title)]).into_iter().collect();
    all.extend(plot(&drawn, rows, options));
    all.extend(legend);
    let mut out = String::new();
    for row in all {
        out.push_str(&finish(row, options.color));
        out.push('\n');
    }
    out
}

/// The lines that have numbers in the window, the one with the largest mean first; all of them if none has any.
fn busiest<'l>(lines: &[Line<'l>], options: &ChartOptions<'_>) -> Vec<Line<'l>> {
    let means = lines.iter().filter_map(|line| Some((mean(line, options)?, *line)));
    let mut ranked: Vec<(f64, Line<'l>)> = means.collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    if ranked.is_empty() { lines.to_vec() } else { ranked.into_iter().map(|(_, line)| line).collect() }
}

/// The mean of what is shown of a line.
#[expect(clippy::cast_precision_loss, reason = "how many points a line has")]
fn mean(line: &Line<'_>, options: &ChartOptions<'_>) -> Option<f64> {
    let shown = || line.points.iter().filter_map(|(x, y)| y.filter(|y| is_shown(*x, *y, options)));
    let count = shown().count();
    // Divided first: the sum of large numbers is none.
    (count > 0).then(|| shown().map(|y| y / count as f64).sum())
}

/// The dots with both axes. Nothing where the chart is too narrow for any.
fn plot(lines: &[Line<'_>], rows: usize, options: &ChartOptions<'_>) -> Vec<Row> {
    let known = lines.iter().flat_map(|line| line.points).filter_map(|(x, y)| y.filter(|y| is_shown(*x, *y, options)));
    let axis =
        ValueAxis::new(known.fold(None, |top, y| Some(top.map_or(y, |top: f64| top.max(y)))), options.unit, rows);
    let gutter = axis.ticks.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
    let columns = options.width.saturating_sub(gutter + 1);
    if columns < LEAST_COLUMNS {
        return Vec::new();
    }
    let mut canvas = Canvas::new(columns, rows, options.utf8, lines.len());
    // What is drawn last is on top.
    for (i, line) in lines.iter().enumerate().rev() {
        let points = line.points.iter().map(|(x, y)| {
            let y = y.filter(|y| is_shown(*x, *y, options))?;
            Some((share_of_time(*x, options), y / axis.top))
        });
        canvas.draw(i, points);
    }
    canvas.mark();
    let labels = axis.ticks.iter().map(|(value, label)| (canvas.row_of(value / axis.top), label.as_str()));
    let labels: Vec<(usize, &str)> = labels.collect();
    let mut all = Vec::new();
    for row in 0..rows {
        let label = labels.iter().find(|(at, _)| *at == row).map(|(_, label)| *label);
        let edge = match (label, options.utf8) {
            (Some(_), true) => '┤',
            (None, true) => '│',
            (Some(_), false) => '+',
            (None, false) => '|',
        };
        let mut pieces: Row = vec![(None, format!("{:>gutter$}{edge}", label.unwrap_or_default()))];
        if canvas.is_empty() && row == rows / 2 {
            pieces.push((None, cut(" nothing was measured", columns).replace('…', "")));
        } else {
            pieces.extend(canvas.row(row).map(|(owner, text)| (owner.and_then(style), text)));
        }
        all.push(pieces);
    }
    let ticks = axis::time_ticks(options, columns);
    all.extend(time_axis(&ticks, gutter, columns, options).map(|text| vec![(None, text)]));
    all
}

/// The line below the dots, and the times below it.
fn time_axis(ticks: &[TimeTick], gutter: usize, columns: usize, options: &ChartOptions<'_>) -> [String; 2] {
    let (corner, dash, tick_mark) = if options.utf8 { ('└', '─', '┴') } else { ('+', '-', '+') };
    let mut rule: Vec<char> = vec![dash; columns];
    for tick in ticks {
        if let Some(cell) = rule.get_mut(tick.column) {
            *cell = tick_mark;
        }
    }
    let rule = format!("{:gutter$}{corner}{}", "", rule.into_iter().collect::<String>());
    // Whose clock it is, if there is room left of the first time.
    let zone = axis::zone_name(options).filter(|name| name.len() <= gutter).unwrap_or_default();
    let mut labels = format!("{zone:>gutter$} ");
    for tick in ticks {
        let begin = (gutter + 1 + tick.column).saturating_sub(tick.label.len() / 2);
        let begin = begin.min((gutter + 1 + columns).saturating_sub(tick.label.len())).max(gutter + 1);
        // The first begins where it likes, each other one two columns behind its neighbour.
        if begin >= labels.len() + 2 || labels.len() == gutter + 1 {
            labels = format!("{labels:begin$}{}", tick.label);
        }
    }
    [rule, labels]
}

/// Whether a point is a number in the window. Nothing that is charted can be less than zero.
fn is_shown(x: f64, y: f64, options: &ChartOptions<'_>) -> bool {
    (0.0..=1.0).contains(&share_of_time(x, options)) && y.is_finite() && y >= 0.0
}

/// Where in the window the time is: 0 at its begin, 1 at its end.
fn share_of_time(x: f64, options: &ChartOptions<'_>) -> f64 {
    let span = options.until.duration_since(options.since).as_secs_f64();
    (x - options.since.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()) / span.max(1.0)
}

/// The letter that marks a line in the chart and in the legend.
fn letter(i: usize) -> char {
    char::from(b"ABCDEF"[i % NAMED])
}

/// The colour of a line: none that means good or bad, as long as there are others.
fn style(i: usize) -> Option<Style> {
    use AnsiColor::{Blue, BrightBlue, BrightMagenta, Cyan, Magenta, Yellow};
    let color = [Cyan, Yellow, Magenta, Blue, BrightMagenta, BrightBlue].get(i)?;
    Some(Style::new().fg_color(Some((*color).into())))
}

/// Foreign text made safe, and at most `width` wide; without UTF-8 only ASCII is left.
fn fitted(text: &str, width: usize, utf8: bool) -> String {
    let text = if width > 0 { cut(&clean(text), width) } else { String::new() };
    if utf8 {
        return text;
    }
    let ascii = |c: char| match c {
        '…' => '~',
        c if c.is_ascii() => c,
        _ => '?',
    };
    // A letter that joined the one before it would need a column of its own now.
    text.chars().map(ascii).take(width).collect()
}

/// The row as text, without blanks at its end.
fn finish(mut row: Row, color: bool) -> String {
    while let Some((_, text)) = row.last_mut() {
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            break;
        }
        row.pop();
    }
    let mut out = String::new();
    for (style, text) in row {
        match style.filter(|_| color && !text.trim().is_empty()) {
            Some(style) => out.extend([style.render().to_string(), text, style.render_reset().to_string()]),
            None => out.push_str(&text),
        }
    }
    out
}

/// The text filled up with blanks.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(text.width()))
}
