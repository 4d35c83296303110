//! The energy between looks: how much a server used in the time that is known, and nothing of the time that is not.

use jiff::{SignedDuration, Timestamp};

use crate::model::load::energy::{Watts, WattsBy};
use crate::model::text::span::Span;
use crate::model::text::words::words;

/// Two looks that are further apart say nothing of the time between them. Cron's hourly run is not always punctual.
pub(crate) const MOST_APART: SignedDuration = SignedDuration::from_mins(65);

/// A mean of the time since the last look may be some seconds shorter than it: the run itself took them.
const NEARLY_ALL: f64 = 5.0;

/// What a server did while it used energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Awake,
    /// Asleep or off.
    Asleep,
    /// It was awake at one of two looks.
    Between,
}

words!(Phase: parse => { Awake = "awake", Asleep = "asleep", Between = "between" });

/// What one look knew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EnergyLook {
    pub(crate) at: Timestamp,
    pub(crate) phase: Phase,
    pub(crate) watts: Watts,
    /// Over how many seconds before the look the watts are the mean.
    pub(crate) over: Option<f64>,
}

/// The energy of some seconds of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EnergyHour {
    /// When the hour begins.
    pub(crate) hour: Timestamp,
    pub(crate) by: WattsBy,
    pub(crate) phase: Phase,
    pub(crate) seconds: f64,
    pub(crate) joules: f64,
    pub(crate) bounds: Span,
}

/// What a look adds to what is known since the last one.
pub(crate) fn since(last: Option<&EnergyLook>, now: &EnergyLook) -> Vec<EnergyHour> {
    // A clock that went back, or was ahead.
    let last = last.filter(|last| last.at < now.at);
    let seconds = |span: SignedDuration| span.as_secs_f64();
    let gap = last.map(|last| seconds(now.at.duration_since(last.at)));
    let over = now.over.filter(|over| over.is_finite() && *over > 0.0);
    let Watts { by, likely, least, most } = now.watts;
    let mean = [Some(likely), Some(least), most].map(|number| number.map(f64::from));
    match (last, gap, over) {
        // The mean of all of the time.
        (Some(_), Some(gap), Some(over)) if over >= gap - NEARLY_ALL => hours(now.at, gap, by, now.phase, mean),
        (Some(last), Some(gap), _) if last.watts.by == by && gap <= seconds(MOST_APART) => {
            let phase = if last.phase == now.phase { now.phase } else { Phase::Between };
            hours(now.at, gap, by, phase, between(&last.watts, &now.watts))
        }
        (_, gap, Some(over)) => hours(now.at, gap.map_or(over, |gap| over.min(gap)), by, now.phase, mean),
        (_, _, None) => Vec::new(),
    }
}

/// Watts over the time between two moments: as if it went from one to the other evenly. What is modelled may have been as
/// low, or as high, as at either of them.
fn between(a: &Watts, b: &Watts) -> [Option<f64>; 3] {
    let half = |a: f32, b: f32| f64::from(a).midpoint(b.into());
    let watts = Some(half(a.likely, b.likely));
    let most = a.most.zip(b.most);
    if b.by == WattsBy::Model {
        return [watts, Some(a.least.min(b.least).into()), most.map(|(a, b)| a.max(b).into())];
    }
    [watts, Some(half(a.least, b.least)), most.map(|(a, b)| half(a, b))]
}

/// So many seconds until then, by hours.
fn hours(until: Timestamp, seconds: f64, by: WattsBy, phase: Phase, watts: [Option<f64>; 3]) -> Vec<EnergyHour> {
    const HOUR: i64 = 3_600_000;
    let [Some(watts), Some(least), most] = watts else { return Vec::new() };
    let end = until.as_millisecond();
    #[expect(clippy::cast_possible_truncation, reason = "some hours; the host's clock is not believed beyond that")]
    let begin = end.saturating_sub((seconds.min(86_400.0) * 1000.0).round() as i64);
    let mut parts = Vec::new();
    let mut at = begin;
    while at < end {
        let hour = at.div_euclid(HOUR) * HOUR;
        let next = (hour + HOUR).min(end);
        #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
        let seconds = (next - at) as f64 / 1000.0;
        let bounds = Span { least: least * seconds, most: most.map(|most| most * seconds) };
        let hour = Timestamp::from_millisecond(hour).unwrap_or(until);
        parts.push(EnergyHour { hour, by, phase, seconds, joules: watts * seconds, bounds });
        at = next;
    }
    parts
}

/// The energy of some time: of the seconds of it that are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Energy {
    pub(crate) joules: f64,
    pub(crate) bounds: Span,
    pub(crate) seconds: f64,
    /// Who measured it, the best first.
    pub(crate) by: Vec<WattsBy>,
}

impl Energy {
    /// All of these together. `None`: there are none.
    pub(crate) fn of<'h>(hours: impl IntoIterator<Item = &'h EnergyHour>) -> Option<Energy> {
        let mut all: Option<Energy> = None;
        for hour in hours {
            let sum = all.get_or_insert_with(|| Energy { bounds: Span::exact(0.0), ..Energy::default() });
            sum.joules += hour.joules;
            sum.bounds = sum.bounds.plus(hour.bounds);
            sum.seconds += hour.seconds;
            if !sum.by.contains(&hour.by) {
                sum.by.push(hour.by);
            }
        }
        if let Some(all) = &mut all {
            all.by.sort_unstable();
        }
        all.filter(|all| all.seconds > 0.0)
    }

    /// Watts on average.
    pub(crate) fn mean(&self) -> Span {
        self.bounds.by(self.seconds)
    }

    /// In kilowatt-hours.
    pub(crate) fn kwh(&self) -> Span {
        self.bounds.by(JOULES_PER_KWH)
    }
}

/// Kilowatt-hours in the unit in which people read them, and its name.
pub(crate) fn in_unit(kwh: Span) -> (Span, &'static str) {
    if kwh.most.unwrap_or(kwh.least) < 0.1 { (kwh.times(1000.0), "Wh") } else { (kwh, "kWh") }
}

pub(crate) const JOULES_PER_KWH: f64 = 3_600_000.0;

#[cfg(test)]
mod tests;
