//! What is left of hours of samples.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::samples::{all_of, busy, random, record, tidy};
use super::{at, cluster, key};
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Sample;
use crate::model::past::series::{Metric, Unit, values};
use crate::state::State;
use crate::state::history::retention::Tidied;

fn hours_of(samples: &[(Timestamp, Sample)]) -> BTreeMap<(Timestamp, Metric), (u32, f64, f64, f64)> {
    let mut hours: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for metric in Metric::ALL {
        for one in values(metric, samples) {
            let hour = Timestamp::from_second(one.at.as_second() / 3600 * 3600).unwrap();
            hours.entry((hour, metric)).or_default().push(one.avg);
        }
    }
    let sum_up = |all: Vec<f64>| {
        let (count, sum) = (u32::try_from(all.len()).unwrap(), all.iter().sum::<f64>());
        let (min, max) = (all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(f64::MIN, f64::max));
        (count, min, sum / f64::from(count), max)
    };
    hours.into_iter().map(|(key, all)| (key, sum_up(all))).collect()
}

fn assert_hours(state: &State, kept: &BTreeMap<ServerKey, Vec<(Timestamp, Sample)>>) {
    let servers: Vec<_> = kept.keys().cloned().collect();
    let got = state.hours(&servers, Timestamp::MIN, Timestamp::MAX).unwrap();
    for (server, samples) in kept {
        let want = hours_of(samples);
        let rows = got[server].iter().flat_map(|hour| hour.metrics.iter().map(|(metric, m)| (hour.at, *metric, m)));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), want.len(), "{server:?}");
        for (hour, metric, measured) in rows {
            let (count, min, avg, max) = want[&(hour, metric)];
            assert_eq!((measured.at, measured.count), (hour, count), "{server:?} {hour} {metric}");
            let step = if metric.unit() == Unit::BytesPerSecond { 0.5001 } else { 0.000_051 };
            for (got, want) in [(measured.min.unwrap(), min), (measured.avg, avg), (measured.max, max)] {
                assert!((got - want).abs() <= step, "{server:?} {hour} {metric}: {got} {want}");
            }
        }
    }
}

#[test]
fn hours_are_what_the_samples_were() {
    for (seed, every) in [(2, 300), (3, 3600), (4, 60), (5, 7000)] {
        let state = State::in_memory().unwrap();
        let kept = random(&state, seed, 60, every);
        let servers: Vec<_> = kept.keys().cloned().collect();
        let later = at(60 * every + 4 * 3600);
        let tidied: Vec<_> = (0..200).map(|_| tidy(&state, later, 1_000_000)).collect();
        assert_eq!(tidied.last(), Some(&Tidied::default()), "all is done at last");
        assert_eq!(tidied.iter().map(|one| one.deleted).sum::<usize>(), 0);
        // Nothing was deleted: everything is read from the samples, nothing twice.
        assert_eq!(all_of(&state, &servers), kept);
        assert_eq!(state.hours(&servers, Timestamp::MIN, Timestamp::MAX).unwrap(), BTreeMap::new());
        let first = state.first_sample_at(&servers).unwrap();

        for _ in 0..200 {
            tidy(&state, later, 0);
        }
        assert_eq!(all_of(&state, &servers), BTreeMap::new());
        assert_hours(&state, &kept);
        let hour = |at: Timestamp| Timestamp::from_second(at.as_second() / 3600 * 3600).unwrap();
        let first: BTreeMap<_, _> = first.into_iter().map(|(server, at)| (server, hour(at))).collect();
        assert_eq!(state.first_sample_at(&servers).unwrap(), first);
    }
}

#[test]
fn while_samples_go_no_time_is_missing_and_none_is_there_twice() {
    let state = State::in_memory().unwrap();
    let kept = random(&state, 6, 200, 300);
    let servers: Vec<_> = kept.keys().cloned().collect();
    let want: BTreeMap<_, _> = kept.iter().map(|(server, samples)| (server.clone(), samples.len())).collect();
    let mut borders = std::collections::BTreeSet::new();
    for _ in 0..60 {
        tidy(&state, at(200 * 300 + 3600), 3);
        let samples = all_of(&state, &servers);
        let hours = state.hours(&servers, Timestamp::MIN, Timestamp::MAX).unwrap();
        for (server, want) in &want {
            let raw = samples.get(server).map_or(0, Vec::len);
            let count =
                |hour: &crate::state::history::rollup::Hour| hour.of(Metric::Cpu).map_or(0, |m| m.count as usize);
            let summed: usize = hours.get(server).map_or(0, |hours| hours.iter().map(count).sum());
            assert_eq!(raw + summed, *want, "{server:?}");
            borders.insert(raw);
        }
    }
    assert!(borders.len() > 5 && !borders.contains(&0), "{borders:?}");
}

#[test]
fn a_late_sample_is_summed_up_too() {
    let state = State::in_memory().unwrap();
    let home = cluster("ca:1");
    let hour = |state: &State| {
        let conn = state.lock();
        let sql = "SELECT cpu_n, cpu_max FROM sample_hours";
        conn.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
    };
    record(&state, &home, &[(100, busy(10.0, 0, 0))], at(60));
    assert_eq!(tidy(&state, at(3599), 7).rolled, 0, "the hour is not over");
    assert_eq!((tidy(&state, at(3600), 7).rolled, hour(&state)), (1, (1, 100_000)));
    record(&state, &home, &[(100, busy(30.0, 0, 0))], at(120));
    assert_eq!((tidy(&state, at(3601), 7).rolled, hour(&state)), (1, (2, 300_000)));
    assert_eq!(tidy(&state, at(3602), 7).rolled, 0);
    // The samples of the hour are gone, and a clock that goes back brings one more: the whole hour stays.
    tidy(&state, at(90_000), 1);
    record(&state, &home, &[(100, busy(90.0, 0, 0))], at(180));
    for _ in 0..3 {
        tidy(&state, at(90_000), 1);
    }
    assert_eq!(hour(&state), (2, 300_000));
}

#[test]
fn an_hour_that_began_before_the_window_is_not_of_it() {
    let state = State::in_memory().unwrap();
    let home = cluster("ca:1");
    for (look, percent) in [(0, 90.0), (1, 90.0), (2, 10.0), (3, 10.0)] {
        record(&state, &home, &[(100, busy(percent, 0, 0))], at(look * 1800));
    }
    for _ in 0..3 {
        tidy(&state, at(90_000), 1);
    }
    let one = [key("ca:1/100")];
    let hours = |since| {
        let hours = state.hours(&one, at(since), at(90_000)).unwrap().remove(&one[0]).unwrap_or_default();
        hours.iter().map(|hour| hour.at).collect::<Vec<_>>()
    };
    assert_eq!(hours(0), [at(0), at(3600)]);
    // What was measured in the first half hour nobody asked for: neither its average nor its maximum.
    assert_eq!((hours(1), hours(1800), hours(3600)), (vec![at(3600)], vec![at(3600)], vec![at(3600)]));
    assert_eq!(hours(3601), []);
}

#[test]
fn thousands_of_guests_are_kept_up_with_in_bites() {
    let state = State::in_memory().unwrap();
    let home = cluster("ca:1");
    let guests: Vec<_> = (100..3100).map(|number| (number, busy(1.0, 1, 1))).collect();
    let (mut most, mut rolled) = (Tidied::default(), 0);
    for look in 0..24 {
        record(&state, &home, &guests, at(look * 900));
        // Half of the looks are at one server only: they must not make the bites small.
        record(&state, &home, &guests[..1], at(look * 900 + 450));
        let tidied = tidy(&state, at(look * 900 + 450), 3);
        rolled += tidied.rolled;
        most = Tidied { rolled: most.rolled.max(tidied.rolled), deleted: most.deleted.max(tidied.deleted) };
    }
    assert!(rolled >= 4 * 3000, "{rolled}: five hours are over, the last may be half done");
    assert!(most.rolled < 2300 && most.deleted <= 6002, "{most:?}");
    let count = |sql: &str| state.lock().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    // Three hours are kept, two more because the present hour is not summed up, and what a bite leaves.
    assert!(count("SELECT count(*) FROM samples") <= 6 * 4 * 3001);
    assert!(count("SELECT count(*) FROM unrolled") <= 3);
}
