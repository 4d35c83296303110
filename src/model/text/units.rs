//! Bytes, rates and durations as people read them.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::SignedDuration;

const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];

/// Three significant places at most, binary units as PVE's own interface: `512M`, `3.9G`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    let mut text = String::new();
    write_bytes(&mut text, bytes);
    text
}

/// Like `human_bytes`, at the end of `out`. Thousands of cells are bytes: whole numbers do it without the machinery of
/// fractions.
pub(crate) fn write_bytes(out: &mut String, bytes: u64) {
    let mut unit = 0;
    // While it is 999.5 or more in this unit.
    while unit + 1 < UNITS.len() && if unit == 0 { bytes >= 1000 } else { bytes >> (10 * unit - 1) >= 1999 } {
        unit += 1;
    }
    let shift = 10 * unit;
    let bytes = u128::from(bytes);
    if unit == 0 || bytes * 100 >= 995 << shift {
        write_number(out, rounded(bytes, shift));
    } else {
        let tenths = rounded(bytes * 10, shift);
        write_number(out, tenths / 10);
        out.push('.');
        write_number(out, tenths % 10);
    }
    out.push_str(UNITS[unit]);
}

/// The number divided by a power of two, to the nearest, and to the even one of two: as fractions are written.
fn rounded(number: u128, shift: usize) -> u64 {
    let (whole, rest, half) = (number >> shift, number & ((1 << shift) - 1), (1 << shift) >> 1);
    let up = shift > 0 && (rest > half || (rest == half && whole & 1 == 1));
    u64::try_from(whole + u128::from(up)).unwrap_or(u64::MAX)
}

/// Adds a whole number.
pub(crate) fn write_number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Adds a number without its fraction, as `{:.0}` writes it.
pub(crate) fn write_whole(out: &mut String, number: f64) {
    let whole = number.round_ties_even();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at before")]
    if whole.is_sign_positive() && whole < 1e15 {
        write_number(out, whole as u64);
    } else {
        let _ = write!(out, "{number:.0}"); // a `String` takes all
    }
}

/// Like `human_bytes`, for bytes a second: `1.2M/s`.
pub(crate) fn human_rate(bytes_per_second: f64) -> String {
    human_scaled(bytes_per_second) + "/s"
}

/// Bytes as `human_bytes` writes them, of a number that need not be whole.
pub(crate) fn human_scaled(bytes: f64) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.abs() >= 1e6 {
        format!("{value:.0e}{}", UNITS[unit])
    } else if unit == 0 || value.abs() >= 9.95 {
        format!("{value:.0}{}", UNITS[unit])
    } else {
        format!("{value:.1}{}", UNITS[unit])
    }
}

/// Watts: `85W`, `4.3W`.
pub(crate) fn human_watts(watts: f64) -> String {
    if watts.abs() < 9.95 { format!("{watts:.1}W") } else { format!("{watts:.0}W") }
}

/// The two largest units: `3d4h`, `2h10m`, `59s`.
pub(crate) fn human_seconds(seconds: u64) -> String {
    let mut text = String::new();
    write_seconds(&mut text, seconds);
    text
}

/// Like `human_seconds`, at the end of `out`.
pub(crate) fn write_seconds(out: &mut String, seconds: u64) {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let ((first, unit), second) = match (days, hours, minutes) {
        (0, 0, 0) => ((seconds, 's'), None),
        (0, 0, m) => ((m, 'm'), Some((seconds % 60, 's'))),
        (0, h, m) => ((h, 'h'), Some((m, 'm'))),
        (d, h, _) if d < 100 => ((d, 'd'), Some((h, 'h'))),
        (d, ..) => ((d, 'd'), None),
    };
    write_number(out, first);
    out.push(unit);
    if let Some((second, unit)) = second {
        if second < 10 {
            out.push('0');
        }
        write_number(out, second);
        out.push(unit);
    }
}

/// A length of time in words: `12 s`, `5 min`, `1 min 45 s`, `2 h 10 min`.
pub(crate) fn human_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// An age that may be more by `lag`: `<12s`. `None` from a minute on: of an age in minutes the seconds say nothing.
pub(crate) fn human_age_up_to(age: SignedDuration, lag: SignedDuration) -> Option<String> {
    let is_young = age >= SignedDuration::ZERO && age < SignedDuration::from_mins(1);
    is_young.then(|| format!("<{}", human_seconds((age + lag).as_secs().unsigned_abs())))
}

#[cfg(test)]
mod tests;
