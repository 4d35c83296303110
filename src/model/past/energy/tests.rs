use proptest::prelude::*;

use super::*;

/// An hour begins here.
const BASE: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(BASE + seconds).unwrap()
}

fn look(seconds: i64, by: WattsBy, watts: f64, over: Option<f64>) -> EnergyLook {
    EnergyLook { at: at(seconds), phase: Phase::Awake, watts: Watts::measured(by, watts), over }
}

/// Hour, seconds, joules, least, most.
type Row = (i64, f64, f64, f64, Option<f64>);

fn rows(last: Option<&EnergyLook>, now: &EnergyLook) -> Vec<Row> {
    let row = |part: EnergyHour| {
        let EnergyHour { hour, seconds, joules, bounds, .. } = part;
        ((hour.as_second() - BASE) / 3600, seconds, joules, bounds.least, bounds.most)
    };
    since(last, now).into_iter().map(row).collect()
}

#[test]
fn only_the_time_that_is_known_has_energy() {
    use WattsBy::{Meter, Package};
    let meter = |seconds, watts| look(seconds, Meter, watts, None);
    let cpu = |seconds, watts, over| look(seconds, Package, watts, Some(over));
    for (what, last, now, want) in [
        ("the first look of a meter", None, meter(600, 80.0), vec![]),
        ("two looks", Some(meter(0, 80.0)), meter(600, 100.0), vec![(0, 600.0, 54_000.0, 54_000.0, Some(54_000.0))]),
        (
            "over two hours",
            Some(meter(3000, 80.0)),
            meter(4200, 80.0),
            vec![(0, 600.0, 48_000.0, 48_000.0, Some(48_000.0)), (1, 600.0, 48_000.0, 48_000.0, Some(48_000.0))],
        ),
        ("too far apart", Some(meter(0, 80.0)), meter(3901, 80.0), vec![]),
        (
            "hourly, and late",
            Some(meter(0, 80.0)),
            meter(3600, 80.0),
            vec![(0, 3600.0, 288_000.0, 288_000.0, Some(288_000.0))],
        ),
        ("the clock went back", Some(meter(600, 80.0)), meter(0, 80.0), vec![]),
        ("the same moment", Some(meter(600, 80.0)), meter(600, 80.0), vec![]),
        ("another source", Some(cpu(0, 20.0, 60.0)), meter(600, 80.0), vec![]),
        (
            "a counter, of all of the time",
            Some(cpu(0, 20.0, 60.0)),
            cpu(600, 30.0, 599.0),
            vec![(0, 600.0, 18_000.0, 18_000.0, None)],
        ),
        (
            "a counter, of a second: as a meter",
            Some(cpu(0, 20.0, 1.0)),
            cpu(600, 30.0, 1.0),
            vec![(0, 600.0, 15_000.0, 15_000.0, None)],
        ),
        (
            "a counter after a long time",
            Some(cpu(0, 20.0, 1.0)),
            cpu(7200, 30.0, 60.0),
            vec![(1, 60.0, 1800.0, 1800.0, None)],
        ),
        ("a counter at its first look", None, cpu(600, 30.0, 2.0), vec![(0, 2.0, 60.0, 60.0, None)]),
        (
            "a counter of more than the time",
            Some(meter(590, 80.0)),
            cpu(600, 30.0, 300.0),
            vec![(0, 10.0, 300.0, 300.0, None)],
        ),
    ] {
        assert_eq!(rows(last.as_ref(), &now), want, "{what}");
    }
}

#[test]
fn a_modelled_time_has_a_range_and_one_in_which_it_fell_asleep_has_a_wide_one() {
    let awake = EnergyLook { watts: Watts::modelled(40.0, 120.0, 50.0), ..look(0, WattsBy::Model, 0.0, None) };
    let later = EnergyLook { at: at(100), over: Some(98.0), ..awake };
    assert_eq!(rows(Some(&awake), &later), [(0, 100.0, 8000.0, 6800.0, Some(9200.0))]);
    let asleep = EnergyLook { at: at(100), phase: Phase::Asleep, watts: Watts::asleep(4.0), over: None };
    let parts = since(Some(&awake), &asleep);
    assert_eq!(parts.iter().map(|part| part.phase).collect::<Vec<_>>(), [Phase::Between]);
    assert_eq!(rows(Some(&awake), &asleep), [(0, 100.0, 4200.0, 400.0, Some(9200.0))]);
    let still = EnergyLook { at: at(200), ..asleep };
    assert_eq!(since(Some(&asleep), &still)[0].phase, Phase::Asleep);
    assert_eq!(rows(Some(&asleep), &still), [(0, 100.0, 400.0, 400.0, Some(400.0))]);
}

#[test]
fn hours_add_up_and_say_of_what_time_they_are() {
    let hour = |n: i64, by, seconds, joules, most| EnergyHour {
        hour: at(n * 3600),
        by,
        phase: Phase::Awake,
        seconds,
        joules,
        bounds: Span { least: joules, most },
    };
    assert_eq!(Energy::of(&[]), None);
    let measured = [
        hour(0, WattsBy::Meter, 3600.0, 360_000.0, Some(360_000.0)),
        hour(5, WattsBy::Meter, 1800.0, 90_000.0, Some(90_000.0)),
    ];
    let energy = Energy::of(&measured).unwrap();
    assert_eq!((energy.seconds, energy.kwh(), &energy.by[..]), (5400.0, Span::exact(0.125), &[WattsBy::Meter][..]));
    assert!((energy.mean().least - 83.333).abs() < 0.001);
    for (kwh, want) in [(0.0, "0 Wh"), (0.000_138, "0.14 Wh"), (0.0612, "61 Wh"), (0.123, "0.12 kWh"), (62.0, "62 kWh")]
    {
        let (span, unit) = in_unit(Span::exact(kwh));
        assert_eq!(span.words(unit, true), want);
    }
    let partly = [measured[0], hour(1, WattsBy::Package, 3600.0, 36_000.0, None)];
    let energy = Energy::of(&partly).unwrap();
    assert_eq!(
        (energy.kwh(), &energy.by[..]),
        (Span { least: 0.11, most: None }, &[WattsBy::Meter, WattsBy::Package][..])
    );
}

proptest! {
    #[test]
    fn no_looks_make_time_or_energy_of_nothing(
        first in 0..100_000i64, gap in -10_000..100_000i64, watts in 0.0..1000.0f64, over in proptest::option::of(any::<f64>()),
    ) {
        let (last, now) = (look(first, WattsBy::Meter, watts, None), look(first + gap, WattsBy::Meter, watts, over));
        let parts = since(Some(&last), &now);
        let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
        if gap > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a test")]
            let gap = gap as f64;
            prop_assert!(seconds <= gap + 0.001, "{seconds} {gap}");
        }
        for part in parts {
            prop_assert!(part.seconds > 0.0 && part.seconds <= 3600.0);
            prop_assert!((part.joules - part.seconds * watts).abs() < 1.0);
        }
    }
}
