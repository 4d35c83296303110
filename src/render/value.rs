//! The values of cells, and how people and programs read them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::model::past::series::without_noise;
use crate::model::past::spark::{Scale, sparkline};
use crate::model::power::PowerState;
use crate::model::text;
use crate::model::text::span::Span;
use crate::model::text::units::{human_age_up_to, write_bytes, write_seconds, write_whole};
pub(crate) use crate::model::text::units::{human_bytes, human_rate, human_seconds};
use crate::render::Output;

/// The most columns of a sparkline in a table.
const SPARK_WIDTH: usize = 24;

/// The columns of a bar.
const BAR_WIDTH: usize = 8;

/// One cell. Its text is that of what it was made of, where there is no need to make one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'r> {
    /// Unknown: `-` for people, empty in CSV.
    Unknown,
    Text(Cow<'r, str>),
    /// A text that says that something is wrong.
    Alarm(Cow<'r, str>),
    /// A name with the depth it is indented by.
    Name {
        depth: usize,
        text: &'r str,
    },
    State(PowerState),
    /// A state that lasts until a time, as people say it.
    StateUntil(PowerState, &'r str),
    /// Which part of what there is was used, 0 to 1: a bar for people, percent for programs.
    Bar(f64),
    /// Bytes used and bytes there are.
    Share {
        used: u64,
        of: u64,
    },
    Percent(f64),
    /// Percent to the hundredth, rounded down: what is not 100 does not look like it.
    Availability(f64),
    Milliseconds(f64),
    Bytes(u64),
    BytesPerSecond(f64),
    /// A number without a unit, to the hundredth: a load.
    Number(f64),
    /// A number as it was measured, for programs.
    Exact(f64),
    Seconds(u64),
    /// A number that is known within bounds, and its unit; for programs the number itself.
    Within {
        span: Span,
        unit: &'static str,
        value: f64,
    },
    /// An amount of money within bounds; for programs the middle of it.
    Money {
        span: Span,
        currency: &'r str,
    },
    /// Numbers over time, the oldest first; `None` where nothing was measured.
    Spark {
        points: Vec<Option<f64>>,
        scale: Scale,
    },
    /// An instant: an age on a terminal, RFC 3339 elsewhere.
    Time(Timestamp),
    /// Such an age of something that may have been seen this much earlier.
    TimeUpTo(Timestamp, SignedDuration),
}

/// What a cell's text says beyond its letters; never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
}

impl<'r> Value<'r> {
    /// A text, even an empty one.
    pub(crate) fn text(text: impl Into<Cow<'r, str>>) -> Value<'r> {
        Value::Text(text.into())
    }

    /// `Unknown` for `None`.
    pub(crate) fn of<T>(value: Option<T>, make: impl FnOnce(T) -> Value<'r>) -> Value<'r> {
        value.map_or(Value::Unknown, make)
    }

    /// A text, or unknown where there is none or it is empty.
    pub(crate) fn maybe(text: Option<impl Into<Cow<'r, str>>>) -> Value<'r> {
        text.map(Into::into).filter(|text| !text.is_empty()).map_or(Value::Unknown, Value::Text)
    }

    /// A cell with a text that was just made.
    pub(crate) fn made(text: String) -> Value<'r> {
        Value::maybe(Some(text))
    }

    /// Whether it is a quantity, whose digits stand below each other.
    pub(crate) fn right_aligned(&self) -> bool {
        matches!(
            self,
            Value::Share { .. }
                | Value::Percent(_)
                | Value::Availability(_)
                | Value::Milliseconds(_)
                | Value::Bytes(_)
                | Value::BytesPerSecond(_)
                | Value::Number(_)
                | Value::Exact(_)
                | Value::Seconds(_)
                | Value::Within { .. }
                | Value::Money { .. }
        )
    }

    /// Whether it says nothing: it is unknown, or not a number.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Value::Unknown => true,
            Value::Bar(number)
            | Value::Percent(number)
            | Value::BytesPerSecond(number)
            | Value::Number(number)
            | Value::Exact(number)
            | Value::Within { value: number, .. } => !number.is_finite(),
            Value::Spark { points, .. } => !points.iter().flatten().any(|number| number.is_finite()),
            _ => false,
        }
    }

    /// How it is to be coloured.
    pub(crate) fn tone(&self) -> Tone {
        match self {
            Value::State(PowerState::Running | PowerState::Online) => Tone::Good,
            Value::State(PowerState::Offline | PowerState::Unknown) | Value::Alarm(_) => Tone::Bad,
            Value::StateUntil(state, _) => Value::State(*state).tone(),
            Value::State(_) => Tone::Quiet,
            unknown if unknown.is_unknown() => Tone::Quiet,
            _ => Tone::Plain,
        }
    }

    /// As people read it.
    #[cfg(test)]
    pub(crate) fn human(&self, output: &Output) -> String {
        let mut text = String::new();
        self.write_human(&mut text, output);
        text
    }

    /// As people read it, at the end of `out`: units; ages on a terminal, RFC 3339 in a pipe.
    pub(crate) fn write_human(&self, out: &mut String, output: &Output) {
        // Writing to a string does not fail.
        let _ = self.try_write_human(out, output);
    }

    fn try_write_human(&self, out: &mut String, output: &Output) -> fmt::Result {
        match self {
            Value::Unknown => out.push('-'),
            _ if self.is_unknown() => return Value::Unknown.try_write_human(out, output),
            Value::Text(text) | Value::Alarm(text) => out.push_str(&text::clean(text)),
            Value::Name { depth, text } => {
                (0..*depth).for_each(|_| out.push_str("  "));
                out.push_str(&text::clean(text));
            }
            Value::State(state) => out.push_str(state.as_str()),
            Value::Bar(share) => {
                let (full, empty) = if output.utf8 { ('▇', '░') } else { ('#', '.') };
                let filled = bar_cells(*share);
                out.extend((0..BAR_WIDTH).map(|cell| if cell < filled { full } else { empty }));
            }
            Value::StateUntil(state, until) => write!(out, "{state} until {until}")?,
            Value::Share { used, of } => {
                write_bytes(out, *used);
                out.push('/');
                write_bytes(out, *of);
            }
            Value::Percent(percent) => {
                write_whole(out, *percent);
                out.push('%');
            }
            Value::Availability(percent) if *percent >= 100.0 => out.push_str("100%"),
            Value::Availability(percent) => write!(out, "{:.2}%", (percent * 100.0).floor() / 100.0)?,
            Value::Milliseconds(millis) if *millis < 1.0 => out.push_str("<1ms"),
            Value::Milliseconds(millis) if *millis < 10_000.0 => write!(out, "{millis:.0}ms")?,
            // The fraction of so long a time says nothing.
            Value::Milliseconds(millis) => {
                write_seconds(out, Duration::from_secs_f64((millis / 1000.0).min(1e9)).as_secs());
            }
            Value::Bytes(bytes) => write_bytes(out, *bytes),
            Value::BytesPerSecond(rate) => out.push_str(&human_rate(*rate)),
            Value::Number(number) if number.abs() >= 1e9 => write!(out, "{number:.0e}")?,
            Value::Number(number) => write!(out, "{number:.2}")?,
            Value::Exact(number) => write!(out, "{}", without_noise(*number))?,
            Value::Seconds(seconds) => write_seconds(out, *seconds),
            Value::Money { span, currency } => out.push_str(&span.money(currency, output.utf8)),
            Value::Within { span, unit, .. } => out.push_str(&span.text(unit, output.utf8)),
            Value::Spark { points, scale } => out.push_str(&sparkline(points, SPARK_WIDTH, *scale, output.utf8)),
            Value::Time(at) if output.width.is_some() => out.push_str(&human_age(output.now.duration_since(*at))),
            Value::TimeUpTo(at, lag) if output.width.is_some() => {
                let age = output.now.duration_since(*at);
                out.push_str(&human_age_up_to(age, *lag).unwrap_or_else(|| human_age(age)));
            }
            Value::Time(at) | Value::TimeUpTo(at, _) => with_rfc3339(*at, |text| out.push_str(text)),
        }
        Ok(())
    }

    /// For programs: no units, bytes and seconds as integers, RFC 3339, unknown empty; points separated by semicolons.
    pub(crate) fn plain(&self) -> String {
        match self {
            Value::Unknown => String::new(),
            _ if self.is_unknown() => Value::Unknown.plain(),
            Value::Text(text) | Value::Alarm(text) => text::clean(text).into_owned(),
            Value::Name { text, .. } => text::clean(text).into_owned(),
            Value::State(state) | Value::StateUntil(state, _) => state.as_str().to_owned(),
            Value::Seconds(seconds) => seconds.to_string(),
            Value::Share { used, of } => format!("{used}/{of}"),
            Value::Bar(share) => format!("{:.1}", share * 100.0),
            Value::Percent(number) | Value::BytesPerSecond(number) => format!("{number:.1}"),
            Value::Availability(number) | Value::Milliseconds(number) => format!("{number:.3}"),
            Value::Bytes(bytes) => bytes.to_string(),
            Value::Number(number) => format!("{number:.2}"),
            Value::Within { value, .. } => format!("{value:.1}"),
            Value::Money { span, .. } => format!("{:.2}", span.middle()),
            Value::Exact(number) => without_noise(*number).to_string(),
            Value::Spark { points, .. } => {
                let plain = |point: &Option<f64>| point.map_or(Value::Unknown, Value::Number).plain();
                points.iter().map(plain).collect::<Vec<_>>().join(";")
            }
            Value::Time(at) | Value::TimeUpTo(at, _) => rfc3339(*at),
        }
    }
}

/// How many cells of a bar are full: what is used at all is seen, and what is not all does not look like it.
fn bar_cells(share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
    let cells = |width: f64| (share.clamp(0.0, 1.0) * width).round() as usize;
    let cells = cells(8.0);
    if share <= 0.0 || share >= 1.0 { cells } else { cells.clamp(1, BAR_WIDTH - 1) }
}

/// UTC, whole seconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    with_rfc3339(at, str::to_owned)
}

/// Lends the text instead of copying it. Nearly all rows of a report have one time, so its text is made once
/// (`tests/bench/run.py status`).
fn with_rfc3339<T>(at: Timestamp, look: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static LAST: RefCell<Option<(Timestamp, String)>> = const { RefCell::new(None) };
    }
    // Whole seconds: the fraction would be noise. A stamp that was read is always in range.
    let text = || Timestamp::from_second(at.as_second()).unwrap_or(at).to_string();
    LAST.with_borrow_mut(|last| match last {
        Some((known, text)) if *known == at => look(text),
        _ => look(&last.insert((at, text())).1),
    })
}

/// A time in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(crate) Timestamp);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_rfc3339(self.0, |text| serializer.serialize_str(text))
    }
}

fn human_age(age: SignedDuration) -> String {
    match u64::try_from(age.as_secs()) {
        Ok(0) => "now".to_owned(),
        Ok(seconds) => human_seconds(seconds),
        Err(_) => "in the future".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    #[test]
    fn milliseconds() {
        for (millis, want) in [(0.4, "<1ms"), (9_999.0, "9999ms"), (11_782.0, "11s"), (125_000.0, "2m05s")] {
            assert_eq!(Value::Milliseconds(millis).human(&output(false, true)), want);
        }
    }

    fn output(terminal: bool, utf8: bool) -> Output {
        let now = Timestamp::UNIX_EPOCH;
        let carried = crate::model::hint::Carried::default();
        Output { format: Format::Table, color: false, width: terminal.then_some(80), utf8, carried, now }
    }

    #[test]
    fn unknown_is_never_a_number() {
        let now = Timestamp::UNIX_EPOCH;
        for unknown in [
            Value::of(None::<u64>, Value::Seconds),
            Value::Number(f64::NAN),
            Value::BytesPerSecond(f64::INFINITY),
            Value::Percent(f64::NAN),
            Value::Spark { points: vec![None, Some(f64::NAN)], scale: Scale::Own },
            Value::Spark { points: vec![], scale: Scale::Percent },
        ] {
            assert_eq!(unknown.human(&output(true, true)), "-", "{unknown:?}");
            assert_eq!(unknown.plain(), "", "{unknown:?}");
            assert_eq!(unknown.tone(), Tone::Quiet, "{unknown:?}");
        }
        assert_eq!(Value::Time(now).human(&output(false, true)), "1970-01-01T00:00:00Z");
        assert_eq!(Value::Time(now).human(&output(true, true)), "now");
    }

    #[test]
    fn quantities_have_units_for_people_only() {
        for (value, human, plain) in [
            (Value::Bytes(4_187_593_113), "3.9G", "4187593113"),
            (Value::BytesPerSecond(1_258_291.2), "1.2M/s", "1258291.2"),
            (Value::BytesPerSecond(0.0), "0B/s", "0.0"),
            (Value::Number(0.416), "0.42", "0.42"),
        ] {
            assert_eq!(value.human(&output(true, true)), human);
            assert_eq!(value.plain(), plain);
            assert!(value.right_aligned(), "{human}");
        }
    }

    #[test]
    fn points_are_blocks_for_people_and_numbers_for_programs() {
        let points = vec![Some(0.0), None, Some(50.0), Some(100.0)];
        let spark = Value::Spark { points, scale: Scale::Percent };
        assert_eq!(spark.human(&output(true, true)), "▁ ▅█");
        assert_eq!(spark.human(&output(true, false)), "_ =#");
        assert_eq!(spark.plain(), "0.00;;50.00;100.00");
        assert!(!spark.right_aligned());
    }
}
