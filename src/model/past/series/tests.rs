use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::model::load::energy::{Watts, WattsBy};
use crate::model::load::usage::{Pressure, Usage};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn total(seconds: i64, bytes: f64, uptime: Option<f64>) -> Total {
    Total { at: at(seconds), bytes, uptime }
}

#[test]
fn a_rate_needs_two_readings_of_one_life() {
    let first = total(0, 1000.0, Some(50.0));
    for (now, want) in [
        (total(10, 3000.0, Some(60.0)), Grown::By(200.0)),
        // The times of the readings themselves count, not when they were asked for.
        (total(10, 3000.0, Some(55.0)), Grown::By(400.0)),
        (total(10, 3000.0, Some(54.0)), Grown::SameReading),
        (total(10, 3000.0, Some(50.0)), Grown::SameReading),
        (total(10, 1000.0, Some(60.0)), Grown::By(0.0)),
        (total(10, 999.0, Some(60.0)), Grown::Unknown),
        (total(10, 3000.0, Some(9.0)), Grown::Unknown),
        (total(10, 3000.0, None), Grown::By(200.0)),
        (total(0, 3000.0, None), Grown::SameReading),
        (total(-10, 3000.0, None), Grown::Unknown),
        (total(7201, 9000.0, Some(7251.0)), Grown::Unknown),
    ] {
        assert_eq!(rate(first, now), want, "{now:?}");
    }
}

/// What restarted in between may have counted further than before, and may have run for longer.
#[test]
fn no_rate_crosses_a_restart_that_the_total_and_the_uptime_outgrew() {
    for (uptime, seconds, then, want) in [
        // Restarted 60 seconds before, with 50 seconds of uptime at the first reading.
        (50.0, 100, 60.0, Grown::Unknown),
        // Restarted between the first reading and its listing, ten seconds later.
        (50.0, 100, 110.0, Grown::Unknown),
        (50.0, 3600, 3599.0, Grown::Unknown),
        // The same life, whose second reading is as new, or ten seconds old.
        (50.0, 100, 150.0, Grown::By(80.0)),
        (50.0, 90, 130.0, Grown::By(100.0)),
        (0.0, 80, 80.0, Grown::By(100.0)),
        // Proxmox VE read nothing for a minute: who is older than that did not restart.
        (9000.0, 140, 9080.0, Grown::By(100.0)),
        // Nobody says how long it ran.
        (50.0, 100, f64::NAN, Grown::By(80.0)),
    ] {
        let now = total(seconds, 9000.0, Some(then).filter(|uptime| !uptime.is_nan()));
        assert_eq!(rate(total(0, 1000.0, Some(uptime)), now), want, "{uptime} {seconds} {then}");
    }
    // It was read once, and listed twice.
    let same = total(0, 1000.0, Some(50.0));
    assert_eq!(rate(same, Total { at: at(60), ..same }), Grown::SameReading);
}

#[test]
fn the_same_reading_twice_does_not_hide_the_next() {
    let found = rates([
        total(0, 100.0, Some(10.0)),
        total(3, 100.0, Some(10.0)),
        total(10, 300.0, Some(20.0)),
        total(20, 50.0, Some(4.0)),
        total(30, 150.0, Some(14.0)),
    ]);
    assert_eq!(found, [Measurement::one(at(10), 20.0), Measurement::one(at(30), 10.0)]);
}

#[test]
fn every_metric_is_read_from_samples() {
    let count = |n| Some(Count::new(n));
    let sample = |n: u64| Sample {
        source: Source::Ssh,
        usage: Usage {
            cpu_percent: Some(12.345_678),
            cpus: Some(2.0),
            load: Some(0.5),
            memory_bytes: count(1 << 30),
            memory_max_bytes: count(1 << 31),
            disk_bytes: count(5),
            disk_max_bytes: count(9),
            receive_bytes: count(n),
            transmit_bytes: count(2 * n),
            read_bytes: count(3 * n),
            write_bytes: count(4 * n),
            uptime_seconds: count(n),
        },
        pressure: Pressure { cpu_percent: Some(1.5), memory_percent: Some(0.25), io_percent: Some(99.0) },
        watts: Some(Watts::measured(WattsBy::Package, 23.5)),
    };
    let samples = [(at(0), sample(100)), (at(60), sample(160))];
    let wanted = [12.3457, 0.5, f64::from(1 << 30), 5.0, 1.0, 2.0, 3.0, 4.0, 1.5, 0.25, 99.0, 23.5];
    for (metric, want) in Metric::ALL.into_iter().zip(wanted) {
        let found = values(metric, &samples);
        assert_eq!(found.len(), if metric.is_rate() { 1 } else { 2 }, "{metric}");
        assert_eq!(found.last(), Some(&Measurement::one(at(60), want)), "{metric}");
        assert_eq!(Metric::parse(metric.as_str()), Some(metric));
    }
}

#[test]
fn steps_have_what_was_measured_in_them_and_gaps_stay() {
    let window = Window::new(at(0), at(299), Some(SignedDuration::from_mins(1)));
    let measured = [(-1, 7.0), (0, 1.0), (59, 3.0), (60, 10.0), (200, f64::NAN), (240, 4.0), (300, 9.0)];
    let series =
        Series::of(Metric::Load, Source::Cache, window, measured.map(|(s, value)| Measurement::one(at(s), value)));
    let points: Vec<_> = series.points.iter().map(|p| (p.at, p.avg, p.min, p.max)).collect();
    let none = |seconds| (at(seconds), None, None, None);
    assert_eq!(
        points,
        [
            (at(0), Some(2.0), Some(1.0), Some(3.0)),
            (at(60), Some(10.0), Some(10.0), Some(10.0)),
            none(120),
            none(180),
            (at(240), Some(4.0), Some(4.0), Some(4.0)),
        ]
    );
    let want = Summary { min: Some(1.0), avg: Some(5.3333), max: Some(10.0), p95: Some(10.0), last: Some(4.0) };
    assert_eq!(series.summary(), want);
    let empty = Series::of(Metric::Load, Source::Cache, window, []);
    assert!(empty.is_empty() && empty.points.len() == 5);
    assert_eq!(empty.summary(), Summary::default());
}

#[test]
fn hours_weigh_by_what_they_sum_up() {
    let window = Window::new(at(0), at(7199), Some(SignedDuration::from_hours(2)));
    let hour = |seconds, count, avg, min, max| Measurement { at: at(seconds), count, avg, min: Some(min), max };
    let series =
        Series::of(Metric::Cpu, Source::Cache, window, [hour(0, 3, 10.0, 1.0, 20.0), hour(3600, 1, 50.0, 50.0, 50.0)]);
    let point = series.points[0];
    assert_eq!((point.avg, point.min, point.max), (Some(20.0), Some(1.0), Some(50.0)));
    // Proxmox VE keeps averages and maxima.
    let rrd = Measurement { at: at(60), count: 1, avg: 5.0, min: None, max: 8.0 };
    let series = Series::of(Metric::Cpu, Source::Rrd, window, [rrd]);
    assert_eq!((series.points[0].min, series.summary().min, series.summary().max), (None, Some(5.0), Some(8.0)));
}

#[test]
fn the_step_suits_the_length() {
    for (hours, seconds) in
        [(1, 60), (2, 60), (12, 300), (24, 1800), (100, 3600), (24 * 30, 14_400), (24 * 400, 86_400)]
    {
        let window = Window::new(at(0), at(hours * 3600), None);
        assert_eq!(window.step.as_secs(), seconds, "{hours} h");
    }
    // Nobody reads a million points.
    let window = Window::new(at(0), at(400 * 86_400), Some(SignedDuration::from_secs(1)));
    assert!(window.steps().count() <= 100_002, "{window:?}");
    let backwards = Window::new(at(0), at(-5), None);
    assert_eq!((backwards.until, backwards.steps().count()), (at(0), 1));
}

proptest! {
    #[test]
    fn no_measurements_make_it_lie(
        measured in proptest::collection::vec((-100i64..4000, any::<f64>(), 0u32..5), 0..60),
        step in 1i64..700,
    ) {
        let window = Window::new(at(0), at(3600), Some(SignedDuration::from_secs(step)));
        let all = measured.iter().map(|(s, value, count)| {
            Measurement { at: at(*s), count: *count, avg: *value, min: Some(*value), max: *value }
        });
        let series = Series::of(Metric::Cpu, Source::Cache, window, all);
        let summary = series.summary();
        for point in &series.points {
            prop_assert_eq!(point.avg.is_some(), point.max.is_some());
        }
        let good = |v: &f64, s: &i64, c: &u32| v.is_finite() && *c > 0 && (0..=3600).contains(s);
        prop_assert_eq!(series.is_empty(), !measured.iter().any(|(s, v, c)| good(v, s, c)));
        if let (Some(min), Some(max)) = (summary.min, summary.max) {
            prop_assert!(min <= max);
        }
    }

    #[test]
    fn rates_are_never_negative(
        totals in proptest::collection::vec((0i64..100_000, 0.0..1e15f64, proptest::option::of(0.0..1e6f64)), 0..40)
    ) {
        let totals = totals.iter().map(|(s, bytes, uptime)| total(*s, *bytes, *uptime));
        for one in rates(totals) {
            prop_assert!(one.avg >= 0.0 && one.avg.is_finite());
        }
    }
}

#[test]
fn of_two_sources_the_one_that_saw_it_counts() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let window = Window::new(at(0), at(179), Some(SignedDuration::from_secs(60)));
    let kept = |second, avg, max| Measurement { at: at(second), count: 1, avg, min: None, max };
    let rrd = Series::of(Metric::Cpu, Source::Rrd, window, [kept(0, 30.0, 38.0), kept(60, 20.0, 21.0)]);
    let own = [Measurement::one(at(10), 97.0), Measurement::one(at(20), 5.0), Measurement::one(at(130), 50.0)];
    let seen = rrd.widened_by(&Series::of(Metric::Cpu, Source::Cache, window, own));
    let points: Vec<_> = seen.points.iter().map(|point| (point.avg, point.min, point.max)).collect();
    assert_eq!(
        points,
        [(Some(30.0), Some(5.0), Some(97.0)), (Some(20.0), None, Some(21.0)), (Some(50.0), Some(50.0), Some(50.0)),]
    );
    assert_eq!((seen.source, seen.summary().max), (Source::Rrd, Some(97.0)));
}
