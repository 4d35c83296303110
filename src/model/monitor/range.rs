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
mod tests;
