//! The steps of both axes: round numbers and round times, and how they are written.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, Unit as TimeUnit, Zoned};

use super::ChartOptions;
use crate::model::past::series::Unit;
use crate::model::text::clean;
use crate::model::text::units::{human_scaled, human_watts};

/// The axis on the left: it begins at zero.
pub(in crate::render) struct ValueAxis {
    /// The number at its upper end.
    pub(in crate::render) top: f64,
    /// The numbers that are written beside it, with their texts.
    pub(in crate::render) ticks: Vec<(f64, String)>,
}

impl ValueAxis {
    /// For numbers up to `largest`, over so many rows: four to six round numbers, fewer where there are not the rows.
    pub(in crate::render) fn new(largest: Option<f64>, unit: Unit, rows: usize) -> ValueAxis {
        let least = match unit {
            Unit::Percent | Unit::Watts => 1.0,
            Unit::Bytes | Unit::BytesPerSecond => 4.0,
            Unit::Plain => 0.04,
        };
        // A line on the axis itself is still one of zeros, and the largest of all numbers has no step above it.
        let largest = largest.unwrap_or(100.0).clamp(least, 1e300);
        let step = match unit {
            // Ninety percent of something are a share of all of it.
            Unit::Percent if largest > 50.0 && largest <= 100.0 => 25.0,
            Unit::Percent | Unit::Watts | Unit::Plain => decimal_step(largest),
            Unit::Bytes | Unit::BytesPerSecond => binary_step(largest),
        };
        let count = [3_u32, 4, 5].into_iter().find(|count| f64::from(*count) * step >= largest).unwrap_or(5);
        // Numbers are left out evenly.
        let apart = (1..=count).find(|apart| count % apart == 0 && ((count / apart) as usize) < rows.max(2));
        let ticks = (0..=count).step_by(apart.unwrap_or(count) as usize).map(|i| {
            let value = f64::from(i) * step;
            (value, written(value, step, unit))
        });
        ValueAxis { top: f64::from(count) * step, ticks: ticks.collect() }
    }
}

/// The largest of 1, 2 and 5 times a power of ten that fits more than twice: it fits at most five times.
fn decimal_step(largest: f64) -> f64 {
    let power = 10_f64.powf((largest / 2.0).log10().floor());
    let fits = |step: &f64| largest / step > 2.0;
    [5.0, 2.0, 1.0].into_iter().map(|part| part * power).find(fits).unwrap_or(power / 2.0)
}

/// The largest power of two that fits more than twice: it fits at most four times.
fn binary_step(largest: f64) -> f64 {
    let step = 2_f64.powf((largest / 2.0).log2().floor());
    if largest / step > 2.0 { step } else { step / 2.0 }
}

/// A number on the axis: no more places than the steps need.
fn written(value: f64, step: f64, unit: Unit) -> String {
    let plain = |value: f64| match step {
        _ if value >= 1e6 => format!("{value:.1e}"),
        step if step >= 1.0 => format!("{value:.0}"),
        step if step >= 0.1 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match unit {
        Unit::Percent => plain(value) + "%",
        Unit::Plain => plain(value),
        Unit::Watts => plain(value) + "W",
        Unit::Bytes | Unit::BytesPerSecond if value == 0.0 => "0".to_owned(),
        Unit::Bytes => human_scaled(value),
        Unit::BytesPerSecond => human_scaled(value) + "/s",
    }
}

/// A number by itself, as in the cells of tables.
pub(super) fn exact(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent | Unit::Watts | Unit::Plain if value >= 1e6 => format!("{value:.1e}"),
        Unit::Percent => format!("{value:.1}%"),
        Unit::Watts => human_watts(value),
        Unit::Plain => format!("{value:.2}"),
        Unit::Bytes => human_scaled(value),
        Unit::BytesPerSecond => human_scaled(value) + "/s",
    }
}

/// A time that is written below the chart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimeTick {
    pub(super) column: usize,
    pub(super) label: String,
}

/// A distance between times: so many of a unit, how many seconds that is about, and how they are written.
type TimeStep = (i64, TimeUnit, i64, &'static str);

const DAY: i64 = 86_400;
const CLOCK: &str = "%H:%M";

const TIME_STEPS: [TimeStep; 24] = [
    (1, TimeUnit::Second, 1, "%H:%M:%S"),
    (5, TimeUnit::Second, 5, "%H:%M:%S"),
    (15, TimeUnit::Second, 15, "%H:%M:%S"),
    (30, TimeUnit::Second, 30, "%H:%M:%S"),
    (1, TimeUnit::Minute, 60, CLOCK),
    (2, TimeUnit::Minute, 120, CLOCK),
    (5, TimeUnit::Minute, 300, CLOCK),
    (10, TimeUnit::Minute, 600, CLOCK),
    (15, TimeUnit::Minute, 900, CLOCK),
    (30, TimeUnit::Minute, 1800, CLOCK),
    (1, TimeUnit::Hour, 3600, CLOCK),
    (2, TimeUnit::Hour, 7200, CLOCK),
    (3, TimeUnit::Hour, 10_800, CLOCK),
    (6, TimeUnit::Hour, 21_600, CLOCK),
    (12, TimeUnit::Hour, 43_200, CLOCK),
    (1, TimeUnit::Day, DAY, "%b %-d"),
    (2, TimeUnit::Day, 2 * DAY, "%b %-d"),
    (7, TimeUnit::Day, 7 * DAY, "%b %-d"),
    (14, TimeUnit::Day, 14 * DAY, "%b %-d"),
    (1, TimeUnit::Month, 30 * DAY, "%b %Y"),
    (3, TimeUnit::Month, 91 * DAY, "%b %Y"),
    (6, TimeUnit::Month, 182 * DAY, "%b %Y"),
    (1, TimeUnit::Year, 365 * DAY, "%Y"),
    (5, TimeUnit::Year, 5 * 365 * DAY, "%Y"),
];

/// Round times of the zone within the window, as many as have room for their texts: `14:05`, over days `Mon 14:00`,
/// over weeks `Nov 25`.
pub(super) fn time_ticks(options: &ChartOptions<'_>, columns: usize) -> Vec<TimeTick> {
    let span = options.until.duration_since(options.since).as_secs();
    if span <= 0 {
        return Vec::new();
    }
    let since = options.since.to_zoned(options.zone.clone());
    // The day is named where the hour alone would come twice, and the weekday where the week is still known.
    let format = |step: &TimeStep| match step {
        (.., CLOCK) if span > DAY * 3 / 2 => "%a %H:%M",
        (1, TimeUnit::Day, ..) if span <= 14 * DAY => "%a %b %-d",
        step => step.3,
    };
    let fits = |step: &&TimeStep| {
        // Some days have a digit more than this one.
        let width = since.strftime(format(step)).to_string().len() + 1;
        span / step.2 <= i64::try_from(columns / (width + 4)).unwrap_or(i64::MAX)
    };
    let Some(step) = TIME_STEPS.iter().find(fits) else { return Vec::new() };
    let mut ticks = Vec::new();
    let mut last = None;
    let mut next = aligned(&since, step);
    // The begin is at most one step before the window, and the steps were chosen to be fewer than columns.
    for _ in 0..=columns {
        let Some(civil) = next else { break };
        next = length(step).and_then(|length| civil.checked_add(length).ok());
        let Ok(at) = options.zone.to_ambiguous_zoned(civil).compatible() else { continue };
        if at.timestamp() > options.until {
            break;
        }
        // An hour that the clock leaves out is the next one.
        let is_new = last.is_none_or(|last| last < at.timestamp());
        if at.timestamp() >= options.since && is_new {
            last = Some(at.timestamp());
            let label = at.strftime(format(step)).to_string();
            ticks.push(TimeTick { column: column(at.timestamp(), options, columns), label });
        }
    }
    ticks
}

/// The last round time that is not after `since`, on the clock of its zone: steps within a day count from midnight,
/// days from a Monday, months from January.
fn aligned(since: &Zoned, step: &TimeStep) -> Option<DateTime> {
    let (date, time) = (since.date(), since.time());
    let month = |first: i8, year: i16| jiff::civil::Date::new(year, first, 1).ok().map(|date| date.at(0, 0, 0, 0));
    match step.1 {
        TimeUnit::Month => {
            let every = i8::try_from(step.0).ok()?;
            month((date.month() - 1) / every * every + 1, date.year())
        }
        TimeUnit::Year => month(1, date.year() - date.year().rem_euclid(i16::try_from(step.0).ok()?)),
        TimeUnit::Day => {
            let monday = jiff::civil::date(1970, 1, 5);
            let days = i64::from(date.since((TimeUnit::Day, monday)).ok()?.get_days());
            let back = Span::new().try_days(days.rem_euclid(step.0)).ok()?;
            Some(date.checked_sub(back).ok()?.at(0, 0, 0, 0))
        }
        _ => {
            let second = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
            let length = Span::new().try_seconds(second - second % step.2).ok()?;
            date.at(0, 0, 0, 0).checked_add(length).ok()
        }
    }
}

fn length(step: &TimeStep) -> Option<Span> {
    match step.1 {
        TimeUnit::Year => Span::new().try_years(step.0).ok(),
        TimeUnit::Month => Span::new().try_months(step.0).ok(),
        TimeUnit::Day => Span::new().try_days(step.0).ok(),
        _ => Span::new().try_seconds(step.2).ok(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a column of a screen; the share is between 0 and 1"
)]
fn column(at: Timestamp, options: &ChartOptions<'_>, columns: usize) -> usize {
    let share = super::share_of_time(at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64(), options);
    (share * columns.saturating_sub(1) as f64).round() as usize
}

/// The short name of the zone at the end of the window: `UTC`, `CET`.
pub(super) fn zone_name(options: &ChartOptions<'_>) -> Option<String> {
    let name = options.until.to_zoned(options.zone.clone()).strftime("%Z").to_string();
    Some(clean(&name).into_owned()).filter(|name| name.is_ascii())
}
