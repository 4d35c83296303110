//! How much energy hosts used.

use jiff::{SignedDuration, Timestamp};

use super::{at, server};
use crate::model::load::energy::{Watts, WattsBy, WattsSource};
use crate::model::past::energy::{Energy, EnergyLook, Phase};
use crate::model::text::span::Span;
use crate::state::{Retention, State};

fn look(when: Timestamp, watts: Watts) -> EnergyLook {
    EnergyLook { at: when, phase: Phase::Awake, watts, over: None }
}

/// The start of an hour.
fn hour(n: i64) -> Timestamp {
    Timestamp::from_second(at(0).as_second() / 3600 * 3600 + n * 3600).unwrap()
}

fn minutes(n: i64) -> Timestamp {
    hour(0) + SignedDuration::from_mins(n)
}

#[test]
fn looks_add_up_by_hour_and_source_and_unknown_time_stays_unknown() {
    let state = State::in_memory().unwrap();
    let record = |n: i64, watts: Watts| state.record_energy(&[(server("pve1"), look(minutes(n), watts))]).unwrap();
    let meter = |watts| Watts::measured(WattsBy::Meter, watts);
    record(0, meter(100.0));
    record(30, meter(100.0));
    record(90, meter(200.0));
    // Nobody looked for five hours; then the meter was gone.
    record(390, meter(100.0));
    record(420, Watts::measured(WattsBy::Package, 20.0));
    record(450, Watts::measured(WattsBy::Package, 20.0));
    let hours = state.energy_hours(hour(0), hour(100)).unwrap();
    let rows: Vec<_> = hours[&server("pve1")]
        .iter()
        .map(|one| {
            ((one.hour.as_second() - hour(0).as_second()) / 3600, one.by, one.seconds, one.joules, one.bounds.most)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (0, WattsBy::Meter, 3600.0, 180_000.0 + 270_000.0, Some(450_000.0)),
            (1, WattsBy::Meter, 1800.0, 270_000.0, Some(270_000.0)),
            (7, WattsBy::Package, 1800.0, 36_000.0, None),
        ]
    );
    let energy = Energy::of(&hours[&server("pve1")]).unwrap();
    assert_eq!((energy.seconds, energy.kwh()), (7200.0, Span { least: 0.21, most: None }));
    // Part of an hour is not a whole one; its end may be.
    assert_eq!(state.energy_hours(minutes(1), minutes(61)).unwrap()[&server("pve1")].len(), 1);
    let totals = state.energy_totals().unwrap();
    assert_eq!(totals[&server("pve1")], [(WattsSource::Meter, 720_000.0), (WattsSource::Rapl, 36_000.0)].into());
}

#[test]
fn totals_never_go_back_when_hours_are_deleted() {
    let state = State::in_memory().unwrap();
    let meter = Watts::measured(WattsBy::Meter, 100.0);
    for n in 0..=200 {
        state.record_energy(&[(server("pve1"), look(hour(n), meter))]).unwrap();
    }
    let count = || state.energy_hours(hour(0), hour(300)).unwrap().get(&server("pve1")).map_or(0, Vec::len);
    assert_eq!(count(), 200);
    let before = state.energy_totals().unwrap();
    let retention = Retention { raw: SignedDuration::from_hours(1), hourly: SignedDuration::from_hours(24) };
    for _ in 0..100 {
        state.tidy(hour(201), &retention).unwrap();
    }
    assert!((20..=26).contains(&count()), "{}", count());
    assert_eq!(state.energy_totals().unwrap(), before);
}
