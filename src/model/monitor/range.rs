//! Ranges in the notation of the Monitoring Plugins: `10`, `10:`, `~:10`, `10:20`, `@10:20`.

use std::fmt;

/// Which values raise an alert. Both ends belong to the range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    start: f64,
    end: f64,
    /// An alert is raised inside of the range, and not outside.
    inside: bool,
}

impl Range {
    /// An alert above this value. `10` in the notation where no value is below 0, else `~:10`.
    pub(crate) fn above(value: f64, least: f64) -> Range {
        Range { start: least, end: value, inside: false }
    }

    /// An alert below this value: `10:`
    pub(crate) fn below(value: f64) -> Range {
        Range { start: value, end: f64::INFINITY, inside: false }
    }

    /// An alert at this value and above: `@10:`
    pub(crate) fn from(value: f64) -> Range {
        Range { start: value, end: f64::INFINITY, inside: true }
    }

    /// An alert at this value and below: `@~:10`
    pub(crate) fn up_to(value: f64) -> Range {
        Range { start: f64::NEG_INFINITY, end: value, inside: true }
    }

    /// Reads the notation; `number` reads each end.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str, number: impl Fn(&str) -> Result<f64, String>) -> Result<Range, String> {
        let (inside, rest) = text.strip_prefix('@').map_or((false, text), |rest| (true, rest));
        if rest.is_empty() {
            return Err("a range is missing, as `80`, `10:`, `~:10`, `10:20` or `@10:20`".to_owned());
        }
        let (start, end) = rest.split_once(':').unwrap_or(("", rest));
        let start = match start {
            "" => 0.0,
            "~" => f64::NEG_INFINITY,
            start => number(start)?,
        };
        let end = if end.is_empty() { f64::INFINITY } else { number(end)? };
        if start > end {
            return Err(format!("the range `{text}` ends before it begins"));
        }
        Ok(Range { start, end, inside })
    }

    pub(crate) fn alerts(self, value: f64) -> bool {
        let within = (self.start..=self.end).contains(&value);
        within == self.inside
    }

    /// The greatest value that raises none, where greater ones do.
    pub(crate) fn limit(self) -> Option<f64> {
        let from = if self.inside { self.start } else { self.end };
        from.is_finite().then_some(from)
    }

    /// When it raises an alert, in words; `show` writes a value.
    pub(crate) fn words(self, least: f64, show: impl Fn(f64) -> String) -> String {
        let Range { start, end, inside } = self;
        let has_start = start.is_finite() && (start > least || start < 0.0);
        let has_end = end.is_finite();
        match (inside, has_start, has_end) {
            (false, false, true) => format!("above {}", show(end)),
            (false, true, false) => format!("below {}", show(start)),
            (false, true, true) => format!("outside {} to {}", show(start), show(end)),
            (false, false, false) => "never".to_owned(),
            (true, true, false) => format!("{} or more", show(start)),
            (true, false, true) => format!("{} or less", show(end)),
            (true, true, true) => format!("{} to {}", show(start), show(end)),
            (true, false, false) => "always".to_owned(),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end, inside } = *self;
        if inside {
            f.write_str("@")?;
        }
        if start.is_infinite() {
            f.write_str("~:")?;
        } else if start != 0.0 || end.is_infinite() {
            write!(f, "{start}:")?;
        }
        if end.is_finite() { write!(f, "{end}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Range, String> {
        Range::parse(text, |number| number.parse().map_err(|_| format!("`{number}` is not a number")))
    }

    #[test]
    fn the_notation_of_the_plugins() {
        // The table of the guidelines, then what it leaves to the words.
        for (text, alerts, silent, words) in [
            ("10", &[-1.0, 10.1][..], &[0.0, 10.0][..], "above 10"),
            ("10:", &[9.9, -5.0], &[10.0, 1e9], "below 10"),
            ("~:10", &[10.1], &[10.0, -1e9], "above 10"),
            ("10:20", &[9.9, 20.1], &[10.0, 20.0], "outside 10 to 20"),
            ("@10:20", &[10.0, 15.0, 20.0], &[9.9, 20.1], "10 to 20"),
            ("@10", &[0.0, 10.0], &[-0.1, 10.1], "10 or less"),
            ("@~:10", &[-1e9, 10.0], &[10.1], "10 or less"),
            ("@10:", &[10.0, 1e9], &[9.9], "10 or more"),
            ("-5:-1", &[-5.1, 0.0], &[-5.0, -1.0], "outside -5 to -1"),
            ("99.5:", &[99.49], &[99.5, 100.0], "below 99.5"),
            ("0:", &[-0.1], &[0.0, 5.0], "never"),
            ("~:", &[], &[-1e9, 0.0, 1e9], "never"),
            ("@~:", &[-1e9, 0.0], &[], "always"),
        ] {
            let range = parse(text).unwrap();
            for value in alerts {
                assert!(range.alerts(*value), "{text} at {value}");
            }
            for value in silent {
                assert!(!range.alerts(*value), "{text} at {value}");
            }
            assert_eq!(range.words(0.0, |value| value.to_string()), words, "{text}");
            assert_eq!(parse(&range.to_string()), Ok(range), "{text} is written {range}");
        }
        for bad in ["", "@", "20:10", "x", "10:x", "~", "10::20", "-10"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators_are_written_in_the_notation() {
        for (range, want, at, alerts) in [
            (Range::above(80.0, 0.0), "80", 80.0, false),
            (Range::above(80.0, f64::NEG_INFINITY), "~:80", 80.1, true),
            (Range::below(99.5), "99.5:", 99.5, false),
            (Range::from(80.0), "@80:", 80.0, true),
            (Range::up_to(5.0), "@~:5", 5.0, true),
        ] {
            assert_eq!((range.to_string().as_str(), range.alerts(at)), (want, alerts), "{range}");
        }
    }
}
