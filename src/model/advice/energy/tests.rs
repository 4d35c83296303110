//! What energy was used, what sleep saved and would save, and what guests had of it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::share::{GuestPart, Part, of_guests, shares};
use super::*;
use crate::model::host::idle::NeedKind;
use crate::model::host::idle::explain::{Shown, Sighting, Stretch};
use crate::model::load::energy::WattsBy;

/// The start of a day, UTC.
const DAY: i64 = 1_767_225_600;

fn hour(n: i64) -> Timestamp {
    Timestamp::from_second(DAY + n * 3600).unwrap()
}

/// An hour of so many watts.
fn of(n: i64, by: WattsBy, phase: Phase, watts: f64, bounds: (f64, Option<f64>)) -> EnergyHour {
    let span = Span { least: bounds.0, most: bounds.1 };
    EnergyHour { hour: hour(n), by, phase, seconds: 3600.0, joules: watts * 3600.0, bounds: span.times(3600.0) }
}

fn meter(n: i64, phase: Phase, watts: f64) -> EnergyHour {
    of(n, WattsBy::Meter, phase, watts, (watts, Some(watts)))
}

fn package(n: i64, watts: f64) -> EnergyHour {
    of(n, WattsBy::Package, Phase::Awake, watts, (watts, None))
}

fn model(n: i64, least: f64, most: f64) -> EnergyHour {
    of(n, WattsBy::Model, Phase::Awake, f64::midpoint(least, most), (least, Some(most)))
}

struct Lab {
    id: ServerId,
    price: EnergyPrice,
}

impl Lab {
    fn new() -> Lab {
        let price = EnergyPrice { price: Some(0.3), currency: Some("EUR".to_owned()), co2_g_per_kwh: None };
        Lab { id: "pve2".parse().unwrap(), price }
    }

    /// A host over so many hours.
    fn host<'l>(&'l self, hours: &'l [EnergyHour], window: f64) -> HostPast<'l> {
        HostPast {
            id: &self.id,
            name: "pve2",
            hours,
            window_seconds: window * 3600.0,
            sleep_watts: None,
            idle_watts: None,
            asleep_seconds: 0.0,
            price: &self.price,
        }
    }
}

#[test]
fn energy_is_of_the_hours_that_are_known_and_has_the_range_of_its_source() {
    let lab = Lab::new();
    let measured: Vec<_> = (0..720).map(|n| meter(n, Phase::Awake, 86.0)).collect();
    let holes: Vec<_> = (0..400).map(|n| meter(n, Phase::Awake, 86.0)).collect();
    let counted: Vec<_> = (0..720).map(|n| package(n, 23.0)).collect();
    let modelled: Vec<_> = (0..720).map(|n| model(n, 45.0, 75.0)).collect();
    let both: Vec<_> =
        (0..720).map(|n| if n < 360 { meter(n, Phase::Awake, 86.0) } else { model(n, 45.0, 75.0) }).collect();
    for (hours, want, sure) in [
        (&measured, "62 kWh, 18.58 EUR in 720 h; 86 W on average while awake, by its meter", Confidence::High),
        (
            &holes,
            "34 kWh, 10.32 EUR in 400 of 720 h (nothing is known of the others); 86 W on average while awake, by its meter",
            Confidence::Medium,
        ),
        (
            &counted,
            "at least 16 kWh, at least 4.90 EUR in 720 h; at least 23 W on average while awake, counted by its CPU (CPU package \
             alone)",
            Confidence::Medium,
        ),
        (
            &modelled,
            "32–54 kWh, 9–17 EUR in 720 h; 45–75 W on average while awake, by `idle_watts` and `max_watts`",
            Confidence::Medium,
        ),
        (
            &both,
            "47–58 kWh, 14–18 EUR in 720 h; 65–81 W on average while awake, by its meter and by `idle_watts` and `max_watts`",
            Confidence::Medium,
        ),
    ] {
        let line = used(&lab.host(hours, 720.0)).unwrap();
        assert_eq!((line.evidence.as_str(), line.confidence, line.verdict), (want, Some(sure), Verdict::Fact));
        let amount = line.energy.unwrap();
        assert_eq!((amount.known_hours, amount.window_hours), (f64::from(u32::try_from(hours.len()).unwrap()), 720.0));
    }
    // Nothing is known: nothing is said, and nothing is zero.
    assert_eq!(used(&lab.host(&[], 720.0)), None);
    let co2 = Lab { price: EnergyPrice { co2_g_per_kwh: Some(400.0), price: None, currency: None }, ..Lab::new() };
    let line = used(&co2.host(&measured, 720.0)).unwrap();
    assert!(line.evidence.starts_with("62 kWh, 25 kg CO2 in 720 h; "), "{}", line.evidence);
    assert_eq!(line.energy.unwrap().cost, None);
}

#[test]
fn sleep_saved_what_the_host_draws_awake_less_what_it_draws_asleep() {
    let lab = Lab::new();
    let awake = || (0..480).map(|n| meter(n, Phase::Awake, 86.0));
    let asleep: Vec<_> = awake().chain((480..720).map(|n| meter(n, Phase::Asleep, 4.0))).collect();
    let unmeasured: Vec<_> = awake().collect();
    let counted: Vec<_> = (0..480).map(|n| package(n, 23.0)).collect();
    for (hours, sleep_watts, want) in [
        // 240 h of 82 W.
        (&asleep, None, "that saved 20 kWh, 5.90 EUR, against the 86 W"),
        (&unmeasured, Some(3.0), "that saved 20 kWh, 5.98 EUR, against the 86 W"),
        // Between 0 and 15 W.
        (&unmeasured, None, "that saved 17–21 kWh, 5.10–6.20 EUR, against the 86 W"),
        (&counted, Some(3.0), "that saved at least 4.8 kWh, at least 1.40 EUR, against the at least 23 W"),
    ] {
        let host = HostPast { asleep_seconds: 240.0 * 3600.0, sleep_watts, ..lab.host(hours, 720.0) };
        let line = slept(&host).unwrap();
        assert!(
            line.evidence.starts_with(&format!("asleep for 240 of 720 h: {want} that it draws awake, ")),
            "{}",
            line.evidence
        );
    }
    // What it draws awake is unknown, or it did not sleep.
    assert_eq!(slept(&HostPast { asleep_seconds: 1e6, ..lab.host(&[], 720.0) }), None);
    assert_eq!(slept(&lab.host(&asleep, 720.0)), None);
}

fn stretch(shown: Shown, since: i64, until: i64) -> Stretch {
    let sighting = Sighting { shown, what: String::new(), text: String::new() };
    Stretch { sighting, since: hour(since), until: hour(until) }
}

/// Each day idle from this hour on for so many hours, else in use.
fn days(days: i64, from: i64, hours: i64) -> Vec<Stretch> {
    let need = Shown::Need(NeedKind::Connection);
    let day = |day: i64| {
        let (begin, end) = (day * 24 + from, day * 24 + from + hours);
        [stretch(need, begin - (24 - hours), begin), stretch(Shown::Idle, begin, end)]
    };
    (1..=days).flat_map(day).collect()
}

#[test]
fn what_if_idle_would_save_is_what_nobody_needed() {
    let lab = Lab::new();
    let zone = TimeZone::UTC;
    let idle = |stretches: &[Stretch], hours: &[EnergyHour], sleep_watts| {
        let host = HostPast { sleep_watts, ..lab.host(hours, 720.0) };
        would_sleep(&host, &IdlePast { stretches, since: hour(0), until: hour(720), zone: &zone })
    };
    let modelled: Vec<_> = (0..720).map(|n| model(n, 53.0, 67.0)).collect();
    // It draws 60 W while nobody needs it, and 100 W else.
    let metered: Vec<_> = (0..720)
        .map(|n| meter(n, Phase::Awake, if (22..24).contains(&(n % 24)) || n % 24 < 6 { 60.0 } else { 100.0 }))
        .collect();
    let nights = days(28, 22, 8);
    let line = idle(&nights, &modelled, Some(3.0)).unwrap();
    // 7.5 of 24 h for 30 days are 225 h, of 50 to 64 W.
    assert_eq!(
        line.evidence,
        "nobody needed it for 7.5 h a night, beyond 30 min each time: 11–15 kWh, 3.30–4.40 EUR a month, by `idle_watts` and \
         `max_watts` (672 of 720 h were looked at)"
    );
    assert_eq!(
        (line.verdict, line.confidence, line.command.as_deref()),
        (Verdict::CanSleep, Some(Confidence::High), Some("ecobox power suspend pve2 --if-idle 30m"))
    );
    let line = idle(&nights, &metered, Some(4.0)).unwrap();
    assert!(
        line.evidence.contains("7.5 h a night, beyond 30 min each time: 13 kWh, 3.78 EUR a month, by its meter"),
        "{}",
        line.evidence
    );
    let counted: Vec<_> = (0..720).map(|n| package(n, 20.0)).collect();
    let line = idle(&nights, &counted, Some(4.0)).unwrap();
    assert!(line.evidence.contains("at least 3.6 kWh, at least 1.00 EUR a month"), "{}", line.evidence);
    let line = idle(&days(10, 8, 8), &metered, Some(4.0)).unwrap();
    assert!(line.evidence.starts_with("nobody needed it for 7.5 h a day, "), "{}", line.evidence);
    assert_eq!(line.confidence, Some(Confidence::Medium));
    for (what, stretches, hours) in [
        ("nobody looked", vec![], &metered[..]),
        ("for a day only", days(1, 22, 8), &metered),
        ("always in use", days(29, 22, 0), &metered),
        (
            "short breaks",
            (0..700)
                .map(|n| Stretch { until: hour(n) + SignedDuration::from_mins(20), ..stretch(Shown::Idle, n, n) })
                .collect(),
            &metered,
        ),
        ("what it draws is unknown", days(28, 22, 8), &[]),
        // It sleeps already.
        ("asleep", (0..29).map(|day| stretch(Shown::Asleep, day * 24, day * 24 + 24)).collect(), &metered),
    ] {
        assert_eq!(idle(&stretches, hours, Some(3.0)), None, "{what}");
    }
}

#[test]
fn guests_share_idle_by_memory_and_work_by_cpu_time() {
    let part = |memory_hours, core_hours| Part { memory_hours, core_hours };
    for (what, idle, host, guests, want, own) in [
        ("one has all", 0.5, part(32.0, 4.0), vec![part(32.0, 4.0)], vec![1.0], 0.0),
        // A quarter of the memory of half of it, and half of the work of the other half.
        ("a part", 0.5, part(32.0, 4.0), vec![part(8.0, 2.0)], vec![0.375], 0.625),
        ("two", 0.8, part(40.0, 10.0), vec![part(10.0, 0.0), part(20.0, 5.0)], vec![0.2, 0.5], 0.3),
        ("overcommitted", 1.0, part(10.0, 1.0), vec![part(10.0, 0.0), part(30.0, 0.0)], vec![0.25, 0.75], 0.0),
        (
            "guests count more time than their host",
            0.0,
            part(10.0, 1.0),
            vec![part(1.0, 1.0), part(1.0, 3.0)],
            vec![0.25, 0.75],
            0.0,
        ),
        ("nobody works", 0.5, part(10.0, 0.0), vec![part(10.0, 0.0)], vec![0.5], 0.5),
        ("no guests", 0.5, part(10.0, 1.0), vec![], vec![], 1.0),
        ("nothing is known", f64::NAN, part(0.0, f64::NAN), vec![part(0.0, 0.0)], vec![0.0], 1.0),
    ] {
        let shared = shares(idle, host, &guests);
        assert!(shared.guests.iter().zip(&want).all(|(a, b): (&f64, &f64)| (a - b).abs() < 1e-9), "{what}: {shared:?}");
        assert!((shared.host - own).abs() < 1e-9 && shared.guests.len() == want.len(), "{what}: {shared:?}");
    }
}

#[test]
fn shares_are_of_the_energy_that_is_known() {
    let lab = Lab::new();
    let ids: [ServerId; 2] = ["pve2-vm-101", "pve2-ct-201"].map(|id| id.parse().unwrap());
    let guests = [
        GuestPart { id: &ids[0], name: "web", part: Part { memory_hours: 16.0, core_hours: 9.0 } },
        GuestPart { id: &ids[1], name: "off", part: Part::default() },
    ];
    let own = Part { memory_hours: 32.0, core_hours: 10.0 };
    // 50 W idle, 100 W on average: half of it is idle. 100 h asleep are the host's own.
    let hours: Vec<_> = (0..100)
        .map(|n| meter(n, Phase::Awake, if n % 2 == 0 { 50.0 } else { 150.0 }))
        .chain((100..200).map(|n| meter(n, Phase::Asleep, 5.0)))
        .collect();
    let lines = of_guests(&lab.host(&hours, 200.0), own, &guests);
    assert_eq!(lines.len(), 1, "who used nothing has no share");
    // A half of a half, and nine tenths of the other half: 70 % of 10 kWh.
    assert_eq!(
        lines[0].evidence,
        "70 % of what pve2 used while it was awake: 7.0 kWh, 2.10 EUR; what that draws idle (50 %) by allocated memory, the rest \
         by CPU time"
    );
    let configured = HostPast { idle_watts: Some(40.0), ..lab.host(&hours, 200.0) };
    assert!(of_guests(&configured, own, &guests)[0].evidence.contains("draws idle (40 %)"));
    // The watts of the whole server say nothing of its CPU's.
    let counted: Vec<_> = (0..100).map(|n| package(n, if n % 2 == 0 { 10.0 } else { 30.0 })).collect();
    let partly = HostPast { idle_watts: Some(40.0), ..lab.host(&counted, 200.0) };
    let line = &of_guests(&partly, own, &guests)[0];
    assert!(
        line.evidence.contains("at least 1.4 kWh") && line.evidence.contains("draws idle (50 %)"),
        "{}",
        line.evidence
    );
    assert_eq!(of_guests(&lab.host(&[], 200.0), own, &guests), []);
}

proptest! {
    #[test]
    fn shares_add_up_to_all(
        idle in 0.0..1.5f64, host in (0.0..1e6f64, 0.0..1e6f64), guests in proptest::collection::vec((0.0..1e6f64, 0.0..1e6f64), 0..20),
    ) {
        let part = |(memory_hours, core_hours)| Part { memory_hours, core_hours };
        let guests: Vec<Part> = guests.into_iter().map(part).collect();
        let shared = shares(idle, part(host), &guests);
        let sum: f64 = shared.guests.iter().sum::<f64>() + shared.host;
        prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        prop_assert!(shared.guests.iter().all(|share| (0.0..=1.0 + 1e-9).contains(share)));
    }

    /// What is known less well is never said to be less, or more, than it may be.
    #[test]
    fn savings_are_never_negative_and_in_order(
        least in 0.0..200.0f64, more in 0.0..100.0f64, sleep in 0.0..100.0f64, asleep in 3600.0..1e6f64,
    ) {
        let lab = Lab::new();
        let hours = [model(0, least, least + more), model(1, least, least + more)];
        let host = HostPast { sleep_watts: Some(sleep), asleep_seconds: asleep, ..lab.host(&hours, 720.0) };
        let kwh = slept(&host).unwrap().energy.unwrap().kwh;
        prop_assert!(kwh.least >= 0.0 && kwh.most.unwrap() >= kwh.least);
    }
}
