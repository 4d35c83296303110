//! The lines below a chart: which letter is whose, and the least, mean and largest of its numbers.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::{ChartOptions, Line, Row, axis, fitted, is_shown, letter, padded, style};

/// The fewest columns that a label gets beside its numbers.
const LEAST_LABEL: usize = 6;

/// The names of the numbers of a line.
const NUMBERS: [&str; 3] = ["min", "avg", "max"];

/// A row for each of the first `named` lines. If lines are left over, one more row says how many.
pub(super) fn rows(lines: &[Line<'_>], named: usize, options: &ChartOptions<'_>) -> Vec<Row> {
    let Some(room) = options.width.checked_sub(2) else { return Vec::new() };
    let shown = &lines[..named];
    let numbers: Vec<[String; 3]> = shown.iter().map(|line| numbers(line, options)).collect();
    let widths: [usize; 3] = [0, 1, 2].map(|i| numbers.iter().map(|texts| texts[i].len()).max().unwrap_or(0));
    // Only the largest, or none, where all three would leave nothing of the label.
    let beside = |first: usize| (first..3).map(|i| 2 + NUMBERS[i].len() + 1 + widths[i]).sum::<usize>();
    let first = [0, 2].into_iter().find(|first| beside(*first) + LEAST_LABEL <= room).unwrap_or(3);
    let label = |line: &Line<'_>| fitted(line.label, room - beside(first), options.utf8);
    let labels: Vec<String> = shown.iter().map(label).collect();
    let label_width = labels.iter().map(|label| label.width()).max().unwrap_or(0);
    let mut rows: Vec<Row> = Vec::new();
    for (i, (label, numbers)) in labels.iter().zip(numbers).enumerate() {
        let mark = match (lines.len() > 1, options.utf8) {
            (true, _) => letter(i),
            (false, true) => '⣀',
            (false, false) => '*',
        };
        let mut text = format!(" {}", padded(label, label_width));
        for k in first..3 {
            let _ = write!(text, "  {} {:>2$}", NUMBERS[k], numbers[k], widths[k]);
        }
        rows.push(vec![(style(i), mark.to_string()), (None, text)]);
    }
    if named < lines.len() {
        let more = format!("  and {} more", lines.len() - named);
        rows.push(vec![(Some(Style::new().dimmed()), fitted(&more, options.width, options.utf8))]);
    }
    rows
}

/// The least, mean and largest of what is shown of a line.
#[expect(clippy::cast_precision_loss, reason = "how many points a line has")]
fn numbers(line: &Line<'_>, options: &ChartOptions<'_>) -> [String; 3] {
    let shown = || line.points.iter().filter_map(|(x, y)| y.filter(|y| is_shown(*x, *y, options)));
    let count = shown().count();
    // Divided first: the sum of large numbers is none.
    let mean = (count > 0).then(|| shown().map(|y| y / count as f64).sum());
    let all = [shown().reduce(f64::min), mean, shown().reduce(f64::max)];
    all.map(|number| number.map_or_else(|| "-".to_owned(), |y| axis::exact(y, options.unit)))
}
