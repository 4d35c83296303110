//! Bytes, rates and durations as people read them.

use std::time::Duration;

use jiff::SignedDuration;

/// Three significant places at most, binary units as PVE's own interface: `512M`, `3.9G`.
#[expect(clippy::cast_precision_loss, reason = "three places are shown")]
pub(crate) fn human_bytes(bytes: u64) -> String {
    human_scaled(bytes as f64)
}

/// The same of bytes a second: `1.2M/s`.
pub(crate) fn human_rate(bytes_per_second: f64) -> String {
    human_scaled(bytes_per_second) + "/s"
}

/// Bytes as `human_bytes` writes them, of a number that need not be whole.
pub(crate) fn human_scaled(bytes: f64) -> String {
    const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];
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

/// The two largest units: `3d4h`, `2h10m`, `59s`.
pub(crate) fn human_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => format!("{m}m{:02}s", seconds % 60),
        (0, h, m) => format!("{h}h{m:02}m"),
        (d, h, _) if d < 100 => format!("{d}d{h:02}h"),
        (d, ..) => format!("{d}d"),
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
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, want) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (105, "1 min 45 s"), (7200, "2 h"), (7810, "2 h 10 min")]
        {
            assert_eq!(human_span(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn units() {
        for (bytes, want) in [
            (0, "0B"),
            (999, "999B"),
            (1024, "1.0K"),
            (228_298_752, "218M"),
            (25_276_502_016, "24G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human_bytes(bytes), want);
        }
        for (seconds, want) in
            [(0, "0s"), (59, "59s"), (61, "1m01s"), (7800, "2h10m"), (273_600, "3d04h"), (10_000_000, "115d")]
        {
            assert_eq!(human_seconds(seconds), want);
        }
    }
}
