//! Numbers that are known within bounds, and how people read them: with no more places than the bounds allow.

/// The number is at least `least` and at most `most`. `None`: how large it is at most is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Span {
    pub(crate) least: f64,
    pub(crate) most: Option<f64>,
}

impl Span {
    /// A number that was measured.
    pub(crate) fn exact(number: f64) -> Span {
        Span { least: number, most: Some(number) }
    }

    /// The middle of its bounds; the lower one where there is no upper one.
    pub(crate) fn middle(self) -> f64 {
        self.most.map_or(self.least, |most| f64::midpoint(self.least, most))
    }

    /// Both together.
    pub(crate) fn plus(self, other: Span) -> Span {
        Span { least: self.least + other.least, most: self.most.zip(other.most).map(|(a, b)| a + b) }
    }

    /// The so many'th part of it.
    pub(crate) fn by(self, divisor: f64) -> Span {
        Span { least: self.least / divisor, most: self.most.map(|most| most / divisor) }
    }

    /// So many times it.
    pub(crate) fn times(self, factor: f64) -> Span {
        Span { least: self.least * factor, most: self.most.map(|most| most * factor) }
    }

    /// Whether its bounds are one number.
    pub(crate) fn is_exact(self) -> bool {
        self.most.is_some_and(|most| (most - self.least).abs() <= self.least.abs() * 1e-6)
    }

    /// `85W`, `≥23W`, `40–55W`.
    pub(crate) fn text(self, unit: &str, utf8: bool) -> String {
        let sign = if utf8 { "≥" } else { ">=" };
        match self.most {
            Some(most) if self.is_exact() => format!("{}{unit}", with_places(most, places(most))),
            // Rounded down, so that it stays a lower bound.
            None => {
                let places = places(self.least);
                format!("{sign}{}{unit}", with_places(down(self.least, step_of(places)), places))
            }
            Some(most) => {
                let (least, most, places) = rounded(self.least, most);
                let dash = if utf8 { "–" } else { "-" };
                format!("{}{dash}{}{unit}", with_places(least, places), with_places(most, places))
            }
        }
    }

    /// `85 kWh`, `at least 23 kWh`, `40–55 kWh`: in a sentence.
    pub(crate) fn words(self, unit: &str, utf8: bool) -> String {
        let text = self.text("", utf8);
        match (self.most, text.strip_prefix(if utf8 { "≥" } else { ">=" })) {
            (None, Some(number)) => format!("at least {number} {unit}"),
            _ => format!("{text} {unit}"),
        }
    }
}

impl Span {
    /// `4.10 EUR`, `3.30–4.20 EUR`, `at least 3.30 EUR`: with hundredths, unless they would say too much.
    pub(crate) fn money(self, currency: &str, utf8: bool) -> String {
        let hundredths = |number: f64, places: usize| with_places(number, if places == 0 { 0 } else { places.max(2) });
        let text = match self.most {
            Some(most) if self.is_exact() => with_places(most, if most.abs() < 1000.0 { 2 } else { 0 }),
            None => {
                let (least, _, places) = rounded(self.least, self.least);
                format!("at least {}", hundredths(least, places))
            }
            Some(most) => {
                let (least, most, places) = rounded(self.least, most);
                let dash = if utf8 { "–" } else { "-" };
                format!("{}{dash}{}", hundredths(least, places), hundredths(most, places))
            }
        };
        format!("{text} {currency}").trim_end().to_owned()
    }
}

/// Both bounds with two significant places of the upper one, rounded away from each other.
fn rounded(least: f64, most: f64) -> (f64, f64, usize) {
    let power = most.abs().max(1e-9).log10().floor() - 1.0;
    let step = 10_f64.powf(power);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10")]
    let places = (-power).clamp(0.0, 10.0) as usize;
    (down(least, step), -down(-most, step), places)
}

/// The next lower multiple; what binary fractions add is no reason for another one.
fn down(number: f64, step: f64) -> f64 {
    (number / step + 1e-6).floor() * step
}

/// Places behind the point of a number that was measured: three significant ones at most.
fn places(number: f64) -> usize {
    match number.abs() {
        0.0 => 0,
        small if small < 0.0995 => 3,
        small if small < 0.995 => 2,
        small if small < 9.95 => 1,
        _ => 0,
    }
}

fn step_of(places: usize) -> f64 {
    10_f64.powi(-i32::try_from(places).unwrap_or(0))
}

fn with_places(number: f64, places: usize) -> String {
    // Not `-0`.
    format!("{:.places$}", number + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_say_how_many_places_there_are() {
        let span = |least, most| Span { least, most };
        for (span, text, ascii, words) in [
            (Span::exact(85.37), "85W", "85W", "85 W"),
            (Span::exact(137.2), "137W", "137W", "137 W"),
            (Span::exact(4.26), "4.3W", "4.3W", "4.3 W"),
            (Span::exact(0.0), "0W", "0W", "0 W"),
            (Span::exact(0.123), "0.12W", "0.12W", "0.12 W"),
            (span(23.97, None), "≥23W", ">=23W", "at least 23 W"),
            (span(9.99, None), "≥9W", ">=9W", "at least 9 W"),
            (span(6.38, None), "≥6.3W", ">=6.3W", "at least 6.3 W"),
            (span(41.2, Some(54.3)), "41–55W", "41-55W", "41–55 W"),
            (span(123.0, Some(154.0)), "120–160W", "120-160W", "120–160 W"),
            (span(0.0, Some(154.0)), "0–160W", "0-160W", "0–160 W"),
            (span(3.31, Some(4.17)), "3.3–4.2W", "3.3-4.2W", "3.3–4.2 W"),
            (span(99.0, Some(100.0)), "90–100W", "90-100W", "90–100 W"),
            (span(0.031, Some(0.044)), "0.031–0.044W", "0.031-0.044W", "0.031–0.044 W"),
        ] {
            assert_eq!((span.text("W", true), span.text("W", false)), (text.to_owned(), ascii.to_owned()));
            assert_eq!(span.words("W", true), words);
        }
    }

    #[test]
    fn money_has_hundredths_where_they_say_something() {
        let span = |least, most| Span { least, most };
        for (span, want) in [
            (Span::exact(12.346), "12.35 EUR"),
            (Span::exact(0.0), "0.00 EUR"),
            (span(3.31, Some(4.17)), "3.30–4.20 EUR"),
            (span(0.031, Some(0.044)), "0.031–0.044 EUR"),
            (span(31.0, Some(44.2)), "31–45 EUR"),
            (span(1234.0, Some(1581.0)), "1200–1600 EUR"),
            (span(3.37, None), "at least 3.30 EUR"),
            (span(123.0, None), "at least 120 EUR"),
        ] {
            assert_eq!(span.money("EUR", true), want);
        }
        assert_eq!(Span::exact(1.5).money("", true), "1.50");
    }

    #[test]
    fn a_sum_with_an_open_end_has_one() {
        let open = Span { least: 2.0, most: None };
        assert_eq!(Span::exact(1.0).plus(open), Span { least: 3.0, most: None });
        assert_eq!(Span::exact(1.0).plus(Span { least: 1.0, most: Some(4.0) }), Span { least: 2.0, most: Some(5.0) });
        assert_eq!(open.times(0.5), Span { least: 1.0, most: None });
        assert!(Span::exact(0.0).is_exact() && !open.is_exact());
    }
}
