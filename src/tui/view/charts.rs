//! What was measured of the chosen server over the last time, as curves.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget as _};

use crate::model::text::units::{human_rate, human_seconds};
use crate::tui::samples::{KEPT, Point, Ring};
use crate::tui::theme::{Theme, put};

/// The least lines that a chart needs with its title.
const LEAST: u16 = 6;

/// One number over time.
struct Curve {
    name: &'static str,
    /// Two curves in one chart differ in their ink.
    marker: Marker,
    style: Style,
    of: fn(&Point) -> Option<f32>,
}

/// Whether there is room for a chart.
pub(super) fn fit(area: Rect) -> bool {
    area.height >= LEAST && area.width >= 24
}

/// As many charts below each other as there is room for.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, ring: &Ring, theme: Theme) {
    let points: Vec<Point> = ring.last(KEPT).copied().collect();
    if !fit(area) || points.len() < 2 {
        return;
    }
    let curve = |name, marker, style, of| Curve { name, marker, style, of };
    let cpu = || curve("CPU", Marker::Braille, theme.accent(), |point| point.cpu_percent);
    let memory = |marker| curve("memory", marker, theme.warn(), |point| point.memory_percent);
    let network = vec![
        curve("received", Marker::Braille, theme.good(), |point| point.receive),
        curve("sent", Marker::Dot, theme.accent(), |point| point.transmit),
    ];
    let percent = Some(100.0);
    let charts = match area.height / LEAST {
        3.. => vec![(vec![cpu()], percent), (vec![memory(Marker::Braille)], percent), (network, None)],
        2 => vec![(vec![cpu(), memory(Marker::Dot)], percent), (network, None)],
        _ => vec![(vec![cpu(), memory(Marker::Dot)], percent)],
    };
    let height = area.height / u16::try_from(charts.len()).unwrap_or(1);
    for (i, (curves, top)) in (0..).zip(charts) {
        chart(buffer, Rect { y: area.y + i * height, height, ..area }, &points, &curves, top, theme);
    }
}

fn chart(buffer: &mut Buffer, area: Rect, points: &[Point], curves: &[Curve], top: Option<f64>, theme: Theme) {
    let said = |number: f64| if top.is_some() { format!("{number:.0}%") } else { human_rate(number) };
    let last = |curve: &Curve| points.last().and_then(|point| number(curve, point)).map_or("-".to_owned(), said);
    let ink = |curve: &Curve| match (curves.len(), curve.marker) {
        (1, _) => "",
        (_, Marker::Dot) => "• ",
        _ => "─ ",
    };
    let titles: Vec<String> =
        curves.iter().map(|curve| format!("{}{} {}", ink(curve), curve.name, last(curve))).collect();
    put(buffer, Rect { height: 1, ..area }, &titles.join("   "), theme.head());
    let known = curves.iter().flat_map(|curve| points.iter().filter_map(|point| number(curve, point)));
    let top = top.unwrap_or_else(|| known.fold(1.0, f64::max));
    let seconds = |point: &Point| point.at.as_duration().as_secs_f64();
    let (Some(begin), Some(end)) = (points.first().map(seconds), points.last().map(seconds)) else { return };
    let span = end - begin;
    // Time without measurements is a gap: each curve is as many lines as it has pieces.
    let pieces: Vec<(&Curve, Vec<(f64, f64)>)> = curves
        .iter()
        .flat_map(|curve| {
            let pieces = points.split(|point| number(curve, point).is_none());
            pieces.filter(|piece| !piece.is_empty()).map(move |piece| {
                let at = |point: &Point| Some((seconds(point) - begin, number(curve, point)?));
                (curve, piece.iter().filter_map(at).collect())
            })
        })
        .collect();
    let sets = pieces.iter().map(|(curve, data)| {
        Dataset::default().marker(curve.marker).graph_type(GraphType::Line).style(curve.style).data(data)
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds that a screen shows")]
    let ago = format!("{} ago", human_seconds(span.max(0.0) as u64));
    let x = Axis::default().bounds([0.0, span.max(1.0)]).labels([ago, "last".to_owned()]).style(theme.quiet());
    let y = Axis::default().bounds([0.0, top]).labels(["0".to_owned(), said(top)]).style(theme.quiet());
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    Chart::new(sets.collect()).x_axis(x).y_axis(y).render(below.intersection(buffer.area), buffer);
}

fn number(curve: &Curve, point: &Point) -> Option<f64> {
    (curve.of)(point).map(f64::from).filter(|number| number.is_finite())
}
