//! Lines over time as SVG. The coordinates are whole numbers, each step relative to the one before it: five hundred
//! servers have two thousand such lines.

use std::fmt::Write as _;

use jiff::SignedDuration;
use maud::{Markup, PreEscaped, html};

use crate::model::past::series::{Series, Unit};
use crate::model::text::units::human_watts;
use crate::render::chart::ValueAxis;
use crate::render::value::{human_bytes, human_rate};

/// Where the lines of a chart are: left, top, width and height of 320 by 110.
const AREA: (f64, f64, f64, f64) = (36.0, 6.0, 280.0, 88.0);

/// The whole of a sparkline.
const SPARK: (f64, f64, f64, f64) = (1.0, 1.0, 94.0, 14.0);

/// The most lines across a chart.
const MOST_LINES: usize = 6;

/// What all charts share: the times below, and lines across, for as many numbers as stand on the left.
pub(super) fn axes() -> Markup {
    let (left, top, width, height) = AREA;
    let below = top + height + 12.0;
    let times: String = [
        ("", 0.0, "24 h ago"),
        (" mid", 0.25, "18 h"),
        (" mid", 0.5, "12 h"),
        (" mid", 0.75, "6 h"),
        (" end", 1.0, "now"),
    ]
    .into_iter()
    .fold(String::new(), |mut text, (class, part, label)| {
        let _ = write!(text, r#"<text class="t{class}" x="{}" y="{below}">{label}</text>"#, left + width * part);
        text
    });
    html! {
        @for lines in 2..=MOST_LINES {
            symbol id={ "i-g" (lines) } viewBox="0 0 320 110" {
                path.g d=(across(lines)) {}
                (PreEscaped(&times))
            }
        }
    }
}

/// So many lines from left to right.
fn across(lines: usize) -> String {
    let (left, _, width, _) = AREA;
    (0..lines).fold(String::new(), |mut text, i| {
        // Writing into a String cannot fail.
        let _ = write!(text, "M{left} {}h{width}", level(i, lines));
        text
    })
}

/// How high the line `i` of so many is, the lowest first.
fn level(i: usize, lines: usize) -> f64 {
    let (_, top, _, height) = AREA;
    #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
    let part = i as f64 / lines.saturating_sub(1).max(1) as f64;
    (top + height * (1.0 - part)).round()
}

/// A server's line in its row: percent, so that rows can be compared.
pub(super) fn sparkline(series: &Series) -> Markup {
    let summary = series.summary();
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| written(number, Unit::Percent));
    html! {
        svg.k role="img" viewBox="0 0 96 16" {
            title { "avg " (number(summary.avg)) ", max " (number(summary.max)) (known(series)) }
            (PreEscaped(format!("<path d=\"{}\"/>", path(series, 100.0, SPARK, 2))))
        }
    }
}

/// A chart of one line, from zero up to `top` or to what it needs.
pub(super) fn figure(name: &str, series: &Series, top: Option<f64>) -> Markup {
    let largest = largest(&[series]);
    let axis = ValueAxis::new(Some(top.unwrap_or(largest).max(largest)), series.metric.unit(), 4);
    html! {
        figure {
            figcaption { b { (name) } " " (summary(series)) }
            (drawn(&axis, &[("", series)]))
        }
    }
}

/// What came in and what went out, in one chart.
pub(super) fn network(receive: Option<&Series>, transmit: Option<&Series>) -> Markup {
    let both: Vec<(&str, &str, &Series)> = [("in", "", receive), ("out", "second", transmit)]
        .into_iter()
        .filter_map(|(name, class, series)| Some((name, class, series?)))
        .collect();
    let axis =
        ValueAxis::new(Some(largest(&both.iter().map(|one| one.2).collect::<Vec<_>>())), Unit::BytesPerSecond, 4);
    html! {
        figure {
            figcaption {
                b { "Network" }
                @for (name, _, series) in &both {
                    " " span.(name) { (name) ": " (summary(series)) }
                }
            }
            (drawn(&axis, &both.iter().map(|(_, class, series)| (*class, *series)).collect::<Vec<_>>()))
        }
    }
}

fn largest(series: &[&Series]) -> f64 {
    series.iter().flat_map(|series| &series.points).filter_map(|point| point.avg).fold(0.0, f64::max)
}

/// The lines with their axes. Only numbers and our own words are in it: it is written as it is, and short.
fn drawn(axis: &ValueAxis, lines: &[(&str, &Series)]) -> PreEscaped<String> {
    let labels = axis.ticks.len().clamp(2, MOST_LINES);
    // Writing into a String cannot fail.
    let mut svg = format!(r##"<svg class="c" viewBox="0 0 320 110"><use href="#i-g{labels}"/>"##);
    for (i, (_, label)) in axis.ticks.iter().enumerate() {
        let _ = write!(svg, r#"<text y="{}">{label}</text>"#, level(i, labels) + 3.0);
    }
    for (class, series) in lines {
        let class = if class.is_empty() { String::new() } else { format!(r#"class="{class}" "#) };
        let _ = write!(svg, r#"<path {class}d="{}"/>"#, path(series, axis.top, AREA, 1));
    }
    PreEscaped(svg + "</svg>")
}

/// `last 23%, avg 20%, max 30%`
fn summary(series: &Series) -> String {
    let summary = series.summary();
    let mut text = String::new();
    for (name, number) in [("last", summary.last), ("avg", summary.avg), ("max", summary.max)] {
        if let Some(number) = number {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing into a String cannot fail.
            let _ = write!(text, "{comma}{name} {}", written(number, series.metric.unit()));
        }
    }
    text + &known(series)
}

/// An average is one of the time that has numbers: how much that is, where it is not nearly all.
fn known(series: &Series) -> String {
    let known = series.points.iter().filter(|point| point.avg.is_some()).count();
    if known * 10 >= series.points.len() * 9 {
        return String::new();
    }
    let hours = |span: SignedDuration| match span.as_secs() {
        seconds if seconds < 7200 => format!("{} min", (seconds / 60).max(1)),
        seconds => format!("{} h", (seconds + 1800) / 3600),
    };
    let span = series.window.step.saturating_mul(i32::try_from(known).unwrap_or(i32::MAX));
    format!(", of the {} that are known", hours(span))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes are shown with three places")]
fn written(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent if number > 0.0 && number < 9.95 => format!("{number:.1}%"),
        Unit::Percent => format!("{number:.0}%"),
        Unit::Bytes => human_bytes(number.max(0.0) as u64),
        Unit::BytesPerSecond => human_rate(number),
        Unit::Watts => human_watts(number),
        Unit::Plain => format!("{number:.2}"),
    }
}

/// The line itself: neighbours are joined, where nothing was measured there is a gap, and a single point is a dot. Of so
/// many points that share one, the largest is seen, so that peaks stay.
#[expect(clippy::cast_possible_truncation, reason = "coordinates of a few hundred")]
fn path(series: &Series, top: f64, area: (f64, f64, f64, f64), shared: usize) -> String {
    let (left, upper, width, height) = area;
    let since = series.window.since;
    let seconds = |span: SignedDuration| span.as_secs_f64();
    let span = seconds(series.window.until.duration_since(since)).max(1.0);
    let mut line = Line::default();
    for points in series.points.chunks(shared) {
        let known = points.iter().filter_map(|point| point.avg).filter(|value| value.is_finite());
        let (Some(value), [first, ..]) = (known.reduce(f64::max), points) else {
            line.lift();
            continue;
        };
        // The middle of the steps, the first and the last of which reach over the window.
        let half = seconds(series.window.step) * f64::from(u32::try_from(points.len()).unwrap_or(1)) / 2.0;
        let part = ((seconds(first.at.duration_since(since)) + half) / span).clamp(0.0, 1.0);
        let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        line.to((left + width * part).round() as i32, (upper + height - height * share).round() as i32);
    }
    line.lift();
    line.text
}

/// A line being written.
#[derive(Default)]
struct Line {
    text: String,
    /// Where the pen is; `None`: lifted.
    pen: Option<(i32, i32)>,
    /// How far it went to the right since the last that was written: what is level needs no points.
    level: i32,
    /// Whether something was written since it was put down.
    drawn: bool,
}

impl Line {
    fn to(&mut self, x: i32, y: i32) {
        // Writing into a String cannot fail.
        match self.pen {
            None => {
                let _ = write!(self.text, "M{x} {y}");
            }
            Some((before, height)) if height == y => self.level += x - before,
            Some((before, height)) => {
                self.flush();
                self.step(x - before, y - height);
            }
        }
        self.pen = Some((x, y));
    }

    fn step(&mut self, x: i32, y: i32) {
        // After an `l` all numbers are steps, and a minus parts them as well as a blank.
        let letter = if self.drawn { " " } else { "l" };
        let blank = if y < 0 { "" } else { " " };
        let _ = write!(self.text, "{letter}{x}{blank}{y}");
        self.drawn = true;
    }

    fn flush(&mut self) {
        let level = std::mem::take(&mut self.level);
        if level > 0 {
            self.step(level, 0);
        }
    }

    fn lift(&mut self) {
        self.flush();
        if self.pen.take().is_some() && !self.drawn {
            self.text.push_str("h0");
        }
        self.drawn = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_gaps_and_dots_and_no_needless_points() {
        type Points = &'static [Option<(i32, i32)>];
        let cases: [(Points, &str); 6] = [
            (&[], ""),
            (&[Some((1, 2))], "M1 2h0"),
            (&[Some((0, 9)), Some((6, 4)), Some((12, 9))], "M0 9l6-5 6 5"),
            (&[Some((0, 9)), Some((6, 9)), Some((12, 9)), Some((18, 8))], "M0 9l12 0 6-1"),
            (&[Some((0, 9)), None, None, Some((6, 9)), Some((9, 9))], "M0 9h0M6 9l3 0"),
            (&[None, Some((0, 1)), Some((6, 2)), None], "M0 1l6 1"),
        ];
        for (points, want) in cases {
            let mut line = Line::default();
            for point in points {
                match point {
                    Some((x, y)) => line.to(*x, *y),
                    None => line.lift(),
                }
            }
            line.lift();
            assert_eq!(line.text, want, "{points:?}");
        }
    }
}
