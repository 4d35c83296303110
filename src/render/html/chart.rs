//! Lines over time as SVG. The coordinates are whole numbers, each step relative to the one before it: five hundred
//! servers have two thousand such lines.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::model::series::{Series, Unit};
use crate::render::chart::ValueAxis;
use crate::render::value::{human_bytes, human_rate};

/// Where the lines of a chart are: left, top, width and height of 320 by 110.
const AREA: (f64, f64, f64, f64) = (36.0, 6.0, 280.0, 88.0);

/// The whole of a sparkline.
const SPARK: (f64, f64, f64, f64) = (1.0, 1.0, 94.0, 16.0);

/// What all charts share: the times below.
pub(super) fn time_axis() -> Markup {
    let (left, top, width, height) = AREA;
    html! {
        g #i-day {
            @for (i, label) in ["24 h ago", "18 h", "12 h", "6 h", "now"].into_iter().enumerate() {
                @let anchor = match i { 0 => "start", 4 => "end", _ => "middle" };
                @let x = left + width * f64::from(u8::try_from(i).unwrap_or(0)) / 4.0;
                text x=(x) y=(top + height + 12.0) text-anchor=(anchor) { (label) }
            }
        }
    }
}

/// A server's line in its row: percent, so that rows can be compared.
pub(super) fn sparkline(series: &Series) -> Markup {
    let summary = series.summary();
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| written(number, Unit::Percent));
    html! {
        svg.k role="img" viewBox="0 0 96 18" {
            title { "average " (number(summary.avg)) ", highest " (number(summary.max)) }
            path d=(path(series, 100.0, SPARK)) {}
        }
    }
}

/// A chart of one line, from zero up to `top` or to what it needs.
pub(super) fn figure(name: &str, series: &Series, top: Option<f64>) -> Markup {
    let largest = series.points.iter().filter_map(|point| point.avg).fold(0.0, f64::max);
    let axis = ValueAxis::new(Some(top.unwrap_or(largest).max(largest)), series.metric.unit(), 4);
    html! {
        figure {
            figcaption { b { (name) } " " (summary(series)) }
            svg.c viewBox="0 0 320 110" aria-hidden="true" {
                (grid(&axis))
                path d=(path(series, axis.top, AREA)) {}
            }
        }
    }
}

/// What came in and what went out, in one chart.
pub(super) fn network(receive: Option<&Series>, transmit: Option<&Series>) -> Markup {
    let points = [receive, transmit].into_iter().flatten().flat_map(|series| &series.points);
    let largest = points.filter_map(|point| point.avg).fold(0.0, f64::max);
    let axis = ValueAxis::new(Some(largest), Unit::BytesPerSecond, 4);
    html! {
        figure {
            figcaption {
                b { "Network" } " "
                @if let Some(series) = receive { (key("")) " in: " (summary(series)) }
                @if receive.is_some() && transmit.is_some() { "; " }
                @if let Some(series) = transmit { (key("second")) " out: " (summary(series)) }
            }
            svg.c viewBox="0 0 320 110" aria-hidden="true" {
                (grid(&axis))
                @if let Some(series) = receive { path d=(path(series, axis.top, AREA)) {} }
                @if let Some(series) = transmit { path.second d=(path(series, axis.top, AREA)) {} }
            }
        }
    }
}

/// How a line looks.
fn key(class: &str) -> Markup {
    html! { svg.key aria-hidden="true" viewBox="0 0 22 8" { path class=[(!class.is_empty()).then_some(class)] d="M1 4h20" {} } }
}

/// `now 23%, average 20%, highest 30%`
fn summary(series: &Series) -> String {
    let summary = series.summary();
    let mut text = String::new();
    for (name, number) in [("last", summary.last), ("average", summary.avg), ("highest", summary.max)] {
        if let Some(number) = number {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing into a String cannot fail.
            let _ = write!(text, "{comma}{name} {}", written(number, series.metric.unit()));
        }
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes are shown with three places")]
fn written(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent if number > 0.0 && number < 9.95 => format!("{number:.1}%"),
        Unit::Percent => format!("{number:.0}%"),
        Unit::Bytes => human_bytes(number.max(0.0) as u64),
        Unit::BytesPerSecond => human_rate(number),
        Unit::Plain => format!("{number:.2}"),
    }
}

/// The numbers on the left with their lines, and the times below.
fn grid(axis: &ValueAxis) -> Markup {
    let (left, top, width, height) = AREA;
    let y = |value: f64| (top + height - height * value / axis.top).round();
    let mut lines = String::new();
    for (value, _) in &axis.ticks {
        let _ = write!(lines, "M{left} {}h{width}", y(*value));
    }
    html! {
        path.g d=(lines) {}
        @for (value, label) in &axis.ticks {
            text x="33" y=(y(*value) + 3.0) text-anchor="end" { (label) }
        }
        use href="#i-day" {}
    }
}

/// The line itself: neighbours are joined, where nobody measured there is a gap, and a single point is a dot.
#[expect(clippy::cast_possible_truncation, reason = "coordinates of a few hundred")]
fn path(series: &Series, top: f64, area: (f64, f64, f64, f64)) -> String {
    let (left, upper, width, height) = area;
    let since = series.window.since;
    let span = series.window.until.duration_since(since).as_secs_f64().max(1.0);
    let half = series.window.step.as_secs_f64() / 2.0;
    let mut text = String::new();
    // Where the pen is; `None`: lifted.
    let mut pen: Option<(i32, i32)> = None;
    let mut is_dot = false;
    for point in &series.points {
        let value = point.avg.filter(|value| value.is_finite());
        let Some(value) = value else {
            text.push_str(if is_dot { "h0" } else { "" });
            (pen, is_dot) = (None, false);
            continue;
        };
        // The middle of the step, the first and the last of which reach over the window.
        let part = ((point.at.duration_since(since).as_secs_f64() + half) / span).clamp(0.0, 1.0);
        let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        let at = ((left + width * part).round() as i32, (upper + height - height * share).round() as i32);
        match pen {
            // Writing into a String cannot fail.
            None => {
                let _ = write!(text, "M{} {}l", at.0, at.1);
                is_dot = true;
            }
            Some(before) => {
                let (x, y) = (at.0 - before.0, at.1 - before.1);
                let blank = if text.ends_with('l') { "" } else { " " };
                let comma = if y < 0 { "" } else { " " };
                let _ = write!(text, "{blank}{x}{comma}{y}");
                is_dot = false;
            }
        }
        pen = Some(at);
    }
    text.push_str(if is_dot { "h0" } else { "" });
    // An `l` that nothing follows is an error in SVG: of dots only the move and the dot remain.
    text.replace("lh0", "h0")
}
