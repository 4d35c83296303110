//! What energy was used and what it cost, what sleep saved, and what it would save. Of hours without a reading nothing is known:
//! they are not counted as zero, and each number says of how many hours it is.

mod idle;
mod share;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use self::idle::{IdlePast, would_sleep};
pub(crate) use self::share::{GuestPart, Part, of_guests};
use crate::model::advice::{Advice, Area, Confidence, Verdict};
use crate::model::id::ServerId;
use crate::model::load::energy::{EnergyPrice, WattsSource};
use crate::model::past::energy::{Energy, EnergyHour, Phase, in_unit};
use crate::model::text::span::Span;

/// So much is drawn asleep at most, where nobody measured it and nothing is configured: a server with a BMC has up to 15 W.
const ASLEEP: Span = Span { least: 0.0, most: Some(15.0) };

/// Of less than this nothing is said.
const LEAST_SECONDS: f64 = 3600.0;

const HOUR: f64 = 3600.0;

/// A host whose past is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostPast<'h> {
    pub(crate) id: &'h ServerId,
    pub(crate) name: &'h str,
    /// The hours of the window that have energy.
    pub(crate) hours: &'h [EnergyHour],
    pub(crate) window_seconds: f64,
    /// As configured.
    pub(crate) sleep_watts: Option<f64>,
    pub(crate) idle_watts: Option<f64>,
    /// How long it was seen to be asleep.
    pub(crate) asleep_seconds: f64,
    pub(crate) price: &'h EnergyPrice,
}

/// The energy of a line, and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnergyAmount {
    pub(crate) kwh: Span,
    pub(crate) cost: Option<Span>,
    pub(crate) currency: Option<String>,
    pub(crate) co2_kg: Option<Span>,
    /// Of how many hours, and how many there were.
    pub(crate) known_hours: f64,
    pub(crate) window_hours: f64,
    /// It is of this time: all that is known of the window, or a month.
    pub(crate) per: Per,
    /// Who measured it, the best first.
    pub(crate) sources: Vec<WattsSource>,
}

/// Of which time energy is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Per {
    /// Of the hours of the window that are known.
    KnownHours,
    /// A month of 30 days.
    Month,
}

impl EnergyAmount {
    fn new(host: &HostPast<'_>, energy: &Energy, kwh: Span, per: Per) -> EnergyAmount {
        let mut sources: Vec<WattsSource> = energy.by.iter().map(|by| by.source()).collect();
        sources.dedup();
        EnergyAmount {
            kwh,
            cost: host.price.price.map(|price| kwh.times(price)),
            currency: host.price.currency.clone(),
            co2_kg: host.price.co2_g_per_kwh.map(|grams| kwh.times(grams / 1000.0)),
            known_hours: energy.seconds / HOUR,
            window_hours: host.window_seconds / HOUR,
            per,
            sources,
        }
    }

    /// `11–14 kWh, 3.30–4.20 EUR`, with the CO2 where that is configured.
    pub(crate) fn words(&self) -> String {
        let (kwh, unit) = in_unit(self.kwh);
        let mut text = kwh.words(unit, true);
        if let Some(cost) = self.cost {
            text += ", ";
            text += &cost.money(self.currency.as_deref().unwrap_or_default(), true);
        }
        if let Some(co2) = self.co2_kg {
            text += ", ";
            text += &co2.words("kg CO2", true);
        }
        text
    }
}

/// What a host used.
pub(crate) fn used(host: &HostPast<'_>) -> Option<Advice> {
    let energy = Energy::of(host.hours).filter(|energy| energy.seconds >= LEAST_SECONDS)?;
    let amount = EnergyAmount::new(host, &energy, energy.kwh(), Per::KnownHours);
    let mean = awake(host).map(|awake| format!("; {} on average while awake", awake.mean().words("W", true)));
    let evidence = format!(
        "{} in {}{}, {}",
        amount.words(),
        of_window(&energy, host),
        mean.unwrap_or_default(),
        measured_by(&energy)
    );
    let mut line = Advice::new((Area::Energy, "energy"), (host.id, host.name), Verdict::Fact, evidence);
    line.confidence = Some(confidence(&energy, host));
    line.energy = Some(amount);
    Some(line)
}

/// What a host's sleep saved, against what it draws while it is awake.
pub(crate) fn slept(host: &HostPast<'_>) -> Option<Advice> {
    if host.asleep_seconds < LEAST_SECONDS {
        return None;
    }
    let awake = awake(host)?;
    let saved = less(awake.mean(), asleep_watts(host)).times(host.asleep_seconds / 3_600_000.0);
    let amount = EnergyAmount::new(host, &awake, saved, Per::KnownHours);
    let evidence = format!(
        "asleep for {:.0} of {:.0} h: that saved {}, against the {} that it draws awake, {}",
        host.asleep_seconds / HOUR,
        host.window_seconds / HOUR,
        amount.words(),
        awake.mean().words("W", true),
        measured_by(&awake),
    );
    let mut line = Advice::new((Area::Energy, "slept"), (host.id, host.name), Verdict::Fact, evidence);
    line.confidence = Some(confidence(&awake, host));
    line.energy = Some(EnergyAmount { known_hours: host.asleep_seconds / HOUR, ..amount });
    Some(line)
}

/// The energy of the time that it was awake, where enough of it is known.
fn awake(host: &HostPast<'_>) -> Option<Energy> {
    Energy::of(host.hours.iter().filter(|hour| hour.phase == Phase::Awake))
        .filter(|energy| energy.seconds >= LEAST_SECONDS)
}

/// What it draws asleep: measured, configured, or within what servers draw.
fn asleep_watts(host: &HostPast<'_>) -> Span {
    let measured = Energy::of(host.hours.iter().filter(|hour| hour.phase == Phase::Asleep));
    let measured = measured.filter(|energy| energy.seconds >= LEAST_SECONDS).map(|energy| energy.mean());
    measured.or(host.sleep_watts.map(Span::exact)).unwrap_or(ASLEEP)
}

/// By how much more one draws than the other. What is counted of a part only has no upper end.
fn less(awake: Span, asleep: Span) -> Span {
    let most_asleep = asleep.most.unwrap_or(awake.least);
    Span { least: (awake.least - most_asleep).max(0.0), most: awake.most.map(|awake| (awake - asleep.least).max(0.0)) }
}

/// `712 of 720 h`
fn of_window(energy: &Energy, host: &HostPast<'_>) -> String {
    let (known, all) = (energy.seconds / HOUR, host.window_seconds / HOUR);
    if known >= all - 1.0 {
        return format!("{all:.0} h");
    }
    format!("{:.0} of {all:.0} h (nothing is known of the others)", known.floor())
}

fn measured_by(energy: &Energy) -> String {
    let mut words: Vec<String> = Vec::new();
    for by in &energy.by {
        let word = match by.source() {
            WattsSource::Meter => "by its meter".to_owned(),
            WattsSource::Sensors => "by its own power meter".to_owned(),
            WattsSource::Rapl => format!("counted by its CPU ({} alone)", by.covers()),
            WattsSource::Model => "by `idle_watts` and `max_watts`".to_owned(),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" and ")
}

/// How sure it is: by how much of the window is known; what is modelled, or of a part only, is never sure.
fn confidence(energy: &Energy, host: &HostPast<'_>) -> Confidence {
    let share = energy.seconds / host.window_seconds.max(1.0);
    let is_measured = energy.by.iter().all(|by| matches!(by.source(), WattsSource::Meter | WattsSource::Sensors));
    match share {
        share if share >= 0.9 && is_measured => Confidence::High,
        share if share >= 0.5 => Confidence::Medium,
        _ => Confidence::Low,
    }
}
