//! What of a host's energy its guests used. What the host draws when it is idle is shared by the memory that is allocated to them,
//! what it draws beyond that by the CPU time that they used. What nobody has, the host itself has: together it is all.

use super::{EnergyAmount, HostPast, LEAST_SECONDS, Per};
use crate::model::advice::{Advice, Area, Confidence, Verdict};
use crate::model::id::ServerId;
use crate::model::load::energy::WattsSource;
use crate::model::past::energy::{Energy, Phase};

/// The shortest part of an hour that may be the idlest.
const LEAST_OF_HOUR: f64 = 1800.0;

/// What a guest, or the host, had over the window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Part {
    /// Allocated memory times the hours that it ran.
    pub(crate) memory_hours: f64,
    /// CPUs that were busy, times hours.
    pub(crate) core_hours: f64,
}

/// Who used how much of the energy, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shares {
    pub(crate) guests: Vec<f64>,
    /// The hypervisor, and what is allocated to nobody.
    pub(crate) host: f64,
}

/// Shares the energy of a host out; `idle` is the part of it, from 0 to 1, that it would have used without any work.
pub(crate) fn shares(idle: f64, host: Part, guests: &[Part]) -> Shares {
    let sane = |number: f64| if number.is_finite() { number.max(0.0) } else { 0.0 };
    let idle = sane(idle).min(1.0);
    let sum = |number: fn(&Part) -> f64| guests.iter().map(|guest| sane(number(guest))).sum::<f64>();
    // More memory may be allocated than there is, and guests count a little more CPU time than their host.
    let memory = sane(host.memory_hours).max(sum(|part| part.memory_hours));
    let cores = sane(host.core_hours).max(sum(|part| part.core_hours));
    let of = |number: f64, all: f64| if all > 0.0 { sane(number) / all } else { 0.0 };
    let share = |guest: &Part| idle * of(guest.memory_hours, memory) + (1.0 - idle) * of(guest.core_hours, cores);
    let guests: Vec<f64> = guests.iter().map(share).collect();
    let host = (1.0 - guests.iter().sum::<f64>()).max(0.0);
    Shares { guests, host }
}

/// A guest of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestPart<'g> {
    pub(crate) id: &'g ServerId,
    pub(crate) name: &'g str,
    pub(crate) part: Part,
}

/// What each guest of a host used of its energy. Nothing where that of the host is unknown.
pub(crate) fn of_guests(host: &HostPast<'_>, own: Part, guests: &[GuestPart<'_>]) -> Vec<Advice> {
    let awake = Energy::of(host.hours.iter().filter(|hour| hour.phase != Phase::Asleep));
    let Some(awake) = awake.filter(|energy| energy.seconds >= LEAST_SECONDS) else { return Vec::new() };
    let Some(idle) = idle_part(host, &awake) else { return Vec::new() };
    let parts: Vec<Part> = guests.iter().map(|guest| guest.part).collect();
    let shared = shares(idle, own, &parts);
    let line = |(guest, share): (&GuestPart<'_>, &f64)| {
        let amount = EnergyAmount::new(host, &awake, awake.kwh().times(*share), Per::KnownHours);
        let evidence = format!(
            "{:.0} % of what {} used while it was awake: {}; what that draws idle ({:.0} %) by allocated memory, the rest by CPU time",
            share * 100.0,
            host.id,
            amount.words(),
            idle * 100.0,
        );
        let mut line = Advice::new((Area::Energy, "share"), (guest.id, guest.name), Verdict::Fact, evidence);
        line.confidence = Some(Confidence::Low);
        line.energy = Some(amount);
        line
    };
    guests.iter().zip(&shared.guests).filter(|(_, share)| **share > 0.0).map(line).collect()
}

/// The part of the energy that is used without any work: as configured, else by the hour in which the host drew least. What is
/// counted of a part of a host has nothing to do with the watts of the whole.
fn idle_part(host: &HostPast<'_>, awake: &Energy) -> Option<f64> {
    let is_partial = awake.by.iter().any(|by| by.source() == WattsSource::Rapl);
    let configured = host.idle_watts.filter(|_| !is_partial);
    let hours = host.hours.iter().filter(|hour| hour.phase == Phase::Awake && hour.seconds >= LEAST_OF_HOUR);
    let lowest = || hours.map(|hour| hour.joules / hour.seconds).reduce(f64::min);
    let idle = configured.or_else(lowest)?;
    (awake.joules > 0.0).then(|| (idle * awake.seconds / awake.joules).clamp(0.0, 1.0))
}
