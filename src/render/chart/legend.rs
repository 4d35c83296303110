//! The lines below a chart: which letter is whose, and the least, mean and largest of its numbers.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::{ChartOptions, Line, Row, axis, fitted, is_shown, letter, mean, padded, style};

/// The fewest columns that a label gets beside its numbers.
const LEAST_LABEL: usize = 6;

/// The names of the numbers of a line.
const NUMBERS: [&str; 3] = ["min", "avg", "max"];

/// A row for each line.
pub(super) fn rows(lines: &[Line<'_>], options: &ChartOptions<'_>) -> Vec<Row> {
    let Some(room) = options.width.checked_sub(2) else { return Vec::new() };
    let numbers: Vec<[String; 3]> = lines.iter().map(|line| numbers(line, options)).collect();
    let widths: [usize; 3] = [0, 1, 2].map(|i| numbers.iter().map(|texts| texts[i].len()).max().unwrap_or(0));
    // Only the largest, or none, where all three would leave nothing of the label.
    let beside = |first: usize| (first..3).map(|i| 2 + NUMBERS[i].len() + 1 + widths[i]).sum::<usize>();
    let first = [0, 2].into_iter().find(|first| beside(*first) + LEAST_LABEL <= room).unwrap_or(3);
    let label = |line: &Line<'_>| fitted(line.label, room - beside(first), options.utf8);
    let labels: Vec<String> = lines.iter().map(label).collect();
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
    rows
}

/// The row that says how many lines are not drawn: less busy ones, and those without numbers.
pub(super) fn left_out(more: usize, empty: usize, options: &ChartOptions<'_>) -> Option<Row> {
    let text = match (more, empty) {
        (0, 0) => return None,
        (more, 0) => format!("  and {more} less busy"),
        (0, empty) => format!("  and {empty} without numbers"),
        (more, empty) => format!("  and {more} less busy, {empty} without numbers"),
    };
    (options.width >= 2).then(|| vec![(Some(Style::new().dimmed()), fitted(&text, options.width, options.utf8))])
}

/// The least, mean and largest of what is shown of a line.
fn numbers(line: &Line<'_>, options: &ChartOptions<'_>) -> [String; 3] {
    let shown = || line.points.iter().filter_map(|(x, y)| y.filter(|y| is_shown(*x, *y, options)));
    let all = [shown().reduce(f64::min), mean(line, options), shown().reduce(f64::max)];
    all.map(|number| number.map_or_else(|| "-".to_owned(), |y| axis::exact(y, options.unit)))
}
