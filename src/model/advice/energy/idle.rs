//! What `--if-idle` would have saved.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{EnergyAmount, HOUR, HostPast, LEAST_SECONDS, Per, asleep_watts, awake, less, measured_by};
use crate::model::advice::{Advice, Area, Confidence, Verdict};
use crate::model::host::idle::explain::{Shown, Stretch, explain};
use crate::model::past::energy::{Energy, EnergyHour};

/// The window of `--if-idle` that is judged: it sleeps after so long without a need.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// The least that must have been looked at.
const LEAST_LOOKED: f64 = 48.0 * HOUR;

/// Less sleep than this in a day is not worth a line.
const LEAST_HOURS_A_DAY: f64 = 0.5;

/// Hours of a month of 30 days.
const MONTH: f64 = 720.0;

/// What looks of `--if-idle` have shown of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdlePast<'i> {
    pub(crate) stretches: &'i [Stretch],
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Where night is.
    pub(crate) zone: &'i TimeZone,
}

/// What would be saved if the host slept whenever nothing needs it. `None`: too little is known, or it would hardly sleep.
pub(crate) fn would_sleep(host: &HostPast<'_>, idle: &IdlePast<'_>) -> Option<Advice> {
    let explained = explain(idle.stretches, idle.since, idle.until, WINDOW);
    let seconds = |span: SignedDuration| span.as_secs_f64();
    let looked = seconds(explained.looked);
    if looked < LEAST_LOOKED {
        return None;
    }
    // Beyond what it slept.
    let more = seconds(explained.would_sleep) - seconds(explained.asleep);
    let hours_a_day = more / looked * 24.0;
    if hours_a_day < LEAST_HOURS_A_DAY {
        return None;
    }
    let drawn = while_idle(host, idle).or_else(|| awake(host))?;
    let kwh = less(drawn.mean(), asleep_watts(host)).times(more / looked * MONTH / 1000.0);
    let amount = EnergyAmount::new(host, &drawn, kwh, Per::Month);
    let when = if is_at_night(idle) { "a night" } else { "a day" };
    let evidence = format!(
        "nobody needed it for {hours_a_day:.1} h {when}, beyond {} min each time: {} a month, {} ({:.0} of {:.0} h were looked at)",
        WINDOW.as_mins(),
        amount.words(),
        measured_by(&drawn),
        looked / HOUR,
        seconds(idle.until.duration_since(idle.since)) / HOUR,
    );
    let mut line = Advice::new((Area::Energy, "if-idle"), (host.id, host.name), Verdict::CanSleep, evidence);
    line.confidence = Some(match looked / HOUR {
        hours if hours >= 14.0 * 24.0 => Confidence::High,
        hours if hours >= 7.0 * 24.0 => Confidence::Medium,
        _ => Confidence::Low,
    });
    line.command = Some(format!("ecobox power suspend {} --if-idle {}m", host.id, WINDOW.as_mins()));
    line.energy = Some(EnergyAmount { known_hours: looked / HOUR, ..amount });
    Some(line)
}

/// The energy of the hours in which nothing needed it: it draws less then than on average.
fn while_idle(host: &HostPast<'_>, idle: &IdlePast<'_>) -> Option<Energy> {
    let is_idle = |hour: &&EnergyHour| {
        let begin = hour.hour;
        let end = begin.checked_add(SignedDuration::from_hours(1)).unwrap_or(begin);
        let within =
            idle.stretches.iter().filter(|stretch| stretch.sighting.shown == Shown::Idle).map(|stretch| {
                stretch.until.min(end).duration_since(stretch.since.max(begin)).max(SignedDuration::ZERO)
            });
        within.sum::<SignedDuration>() >= SignedDuration::from_mins(30)
    };
    let awake = host.hours.iter().filter(|hour| hour.phase == crate::model::past::energy::Phase::Awake);
    Energy::of(awake.filter(is_idle)).filter(|energy| energy.seconds >= LEAST_SECONDS)
}

/// Whether most of the time without a need is between 20 and 8 o'clock.
fn is_at_night(idle: &IdlePast<'_>) -> bool {
    let (mut night, mut all) = (0, 0);
    for stretch in idle.stretches.iter().filter(|stretch| stretch.sighting.shown == Shown::Idle) {
        let (mut at, end) = (stretch.since.max(idle.since), stretch.until.min(idle.until));
        while at < end {
            let hour = at.to_zoned(idle.zone.clone()).hour();
            night += usize::from(!(8..20).contains(&hour));
            all += 1;
            at = at.checked_add(SignedDuration::from_mins(30)).unwrap_or(end);
        }
    }
    all > 0 && night * 5 >= all * 4
}
