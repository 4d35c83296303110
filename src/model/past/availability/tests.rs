use proptest::prelude::*;

use super::PowerState::*;
use super::*;

const H: i64 = 3600;

fn hourly(hours: std::ops::Range<i64>) -> Vec<Timestamp> {
    hours.map(|hour| at(hour * H)).collect()
}

type Seen = (i64, PowerState, PowerState);

fn of(hours: i64, changes: &[Seen], looks: &[Timestamp], expected: Expected) -> Availability {
    let changes: Vec<StateChange> = changes.iter().map(|(second, from, to)| (at(*second), *from, *to)).collect();
    let present = changes.last().map(|(at, _, to)| (*to, *at));
    Availability::of_server(
        at(0),
        at(hours * H),
        &PowerHistory { changes: &changes, present, looks, expected, host: &[] },
    )
}

/// On, off, asleep, paused and unknown hours, and begin, end and length of each outage in hours.
type Hours = ([u64; 5], Vec<(i64, Option<i64>, u64)>);

fn in_hours(sum: &Availability) -> Hours {
    let parts = [sum.on_seconds, sum.off_seconds, sum.asleep_seconds, sum.paused_seconds, sum.unknown_seconds];
    let hour = |at: Timestamp| at.as_second() / H;
    let outages = sum.outages.iter().map(|o| (hour(o.begin), o.end.map(hour), o.seconds / 3600)).collect();
    (parts.map(|seconds| seconds / 3600), outages)
}

#[test]
fn states_count_as_they_are_expected() {
    let cases: [(PowerState, Expected, [u64; 5], usize); 12] = [
        (Offline, Expected::On, [2, 8, 0, 0, 0], 1),
        (Offline, Expected::Any, [2, 8, 0, 0, 0], 0),
        (Offline, Expected::Asleep, [2, 0, 8, 0, 0], 0),
        (Asleep, Expected::On, [2, 0, 8, 0, 0], 0),
        (Asleep, Expected::Any, [2, 0, 8, 0, 0], 0),
        (Stopped, Expected::On, [2, 8, 0, 0, 0], 1),
        (Stopped, Expected::Any, [2, 8, 0, 0, 0], 0),
        (Hibernated, Expected::On, [2, 8, 0, 0, 0], 1),
        (Hibernated, Expected::Any, [2, 8, 0, 0, 0], 0),
        (Paused, Expected::On, [2, 0, 0, 8, 0], 0),
        (Running, Expected::On, [10, 0, 0, 0, 0], 0),
        (Unknown, Expected::On, [2, 0, 0, 0, 8], 0),
    ];
    for (state, expected, want, outages) in cases {
        let sum = of(10, &[(2 * H, Online, state)], &hourly(0..10), expected);
        let (parts, found) = in_hours(&sum);
        assert_eq!(parts, want, "{state} {expected:?}");
        assert_eq!(found.len(), outages, "{state} {expected:?}");
        assert_eq!(sum.seen(0), Some(0), "{state} {expected:?}");
    }
    assert_eq!(of(10, &[], &hourly(0..10), Expected::On).seen(0), None);
}

#[test]
fn what_nobody_looked_at_is_unknown() {
    let all = hourly(0..10);
    let there_and_back = [(2 * H, Online, Offline), (5 * H, Offline, Online)];
    let cases: [(&str, &[Seen], &[Timestamp], Hours); 9] = [
        ("never seen", &[], &all, ([0, 0, 0, 0, 10], vec![])),
        ("one outage", &there_and_back, &all, ([7, 3, 0, 0, 0], vec![(2, Some(5), 3)])),
        ("only the changes were seen", &there_and_back, &[], ([1, 1, 0, 0, 8], vec![(2, Some(5), 1)])),
        ("not looked at for the first hours", &there_and_back, &all[4..], ([5, 2, 0, 0, 3], vec![(2, Some(5), 2)])),
        (
            "looks between which nobody saw an end are one outage",
            &there_and_back,
            &[at(0), at(4 * H), at(5 * H)],
            ([2, 2, 0, 0, 6], vec![(2, Some(5), 2)]),
        ),
        ("goes on", &[(8 * H, Online, Offline)], &all, ([8, 2, 0, 0, 0], vec![(8, None, 2)])),
        (
            "began before the window",
            &[(-50 * H, Online, Offline), (H, Offline, Online)],
            &all,
            ([9, 1, 0, 0, 0], vec![(0, Some(1), 1)]),
        ),
        ("after the window", &[(12 * H, Offline, Online)], &all, ([0, 10, 0, 0, 0], vec![(0, None, 10)])),
        (
            "neighbours contradict each other",
            &[(2 * H, Online, Offline), (5 * H, Online, Offline), (6 * H, Offline, Online)],
            &all,
            ([6, 1, 0, 0, 3], vec![(5, Some(6), 1)]),
        ),
    ];
    for (name, changes, looks, want) in cases {
        let sum = of(10, changes, looks, Expected::On);
        assert_eq!(in_hours(&sum), want, "{name}");
        let mut turned = changes.to_vec();
        turned.reverse();
        let present = changes.last().map(|(second, _, to)| (*to, at(*second)));
        let turned: Vec<StateChange> = turned.iter().map(|(second, from, to)| (at(*second), *from, *to)).collect();
        let observed = PowerHistory { changes: &turned, present, looks, expected: Expected::On, host: &[] };
        assert_eq!(Availability::of_server(at(0), at(10 * H), &observed), sum, "{name}, unsorted");
    }
}

#[test]
fn a_look_speaks_for_an_hour() {
    let sum = of(10, &[(-20 * H, Offline, Online)], &[at(-H / 2), at(H / 4), at(5 * H)], Expected::On);
    // Half an hour of the first, which the second carries on until 1.25 h, and the third.
    assert_eq!(sum.on_seconds, (5 * H / 4 + H).unsigned_abs());
    assert_eq!(sum.percent(), Some(100.0));
}

#[test]
fn the_present_state_holds_without_a_change_and_not_against_one() {
    let looks = hourly(0..10);
    let server = |changes: &[StateChange], state, since: i64| {
        let observed = PowerHistory {
            changes,
            present: Some((state, at(since))),
            looks: &looks,
            expected: Expected::On,
            host: &[],
        };
        in_hours(&Availability::of_server(at(0), at(10 * H), &observed)).0
    };
    assert_eq!(server(&[], Online, -H), [10, 0, 0, 0, 0]);
    assert_eq!(server(&[], Online, 4 * H), [6, 0, 0, 0, 4]);
    assert_eq!(server(&[], Online, 40 * H), [0, 0, 0, 0, 10]);
    assert_eq!(server(&[], Unknown, 0), [0, 0, 0, 0, 10]);
    // The event of the change back was lost.
    assert_eq!(server(&[(at(2 * H), Online, Offline)], Online, 4 * H), [8, 2, 0, 0, 0]);
    // The clock went back after the change was seen.
    assert_eq!(server(&[(at(5 * H), Online, Offline)], Online, 4 * H), [1, 0, 0, 0, 9]);
}

#[test]
fn percent_and_sums() {
    let sum = of(
        10,
        &[(H, Online, Offline), (2 * H, Offline, Online), (5 * H, Online, Stopped), (8 * H, Stopped, Online)],
        &hourly(0..10),
        Expected::On,
    );
    assert_eq!(sum.percent(), Some(60.0));
    assert_eq!((sum.outages.len(), sum.longest_outage_seconds(), sum.outage_seconds()), (2, Some(10_800), 14_400));
    let asleep = of(10, &[(-H, Online, Asleep)], &hourly(0..10), Expected::On);
    assert_eq!((asleep.percent(), asleep.longest_outage_seconds()), (None, None));
    let json = serde_json::to_value(&sum).unwrap();
    assert_eq!(json["outages"][0]["begin"], "1970-01-01T01:00:00Z");
    assert_eq!(json["off_seconds"], 14_400);
}

/// Each state of a guest on a host that sleeps from the second to the fifth hour of ten, and where each hour counts.
#[test]
fn every_state_on_a_host_that_sleeps_or_is_off() {
    let cases: [(PowerState, PowerState, [u64; 5]); 10] = [
        // State of the guest, of its host; hours on, off, asleep, paused, unknown.
        (Running, Asleep, [7, 0, 3, 0, 0]),
        (Paused, Asleep, [0, 0, 3, 7, 0]),
        (Stopped, Asleep, [0, 10, 0, 0, 0]),
        (Hibernated, Asleep, [0, 10, 0, 0, 0]),
        (Unknown, Asleep, [0, 0, 0, 0, 10]),
        (Running, Offline, [7, 0, 0, 0, 3]),
        (Paused, Offline, [0, 0, 0, 7, 3]),
        (Stopped, Offline, [0, 10, 0, 0, 0]),
        (Hibernated, Offline, [0, 10, 0, 0, 0]),
        (Unknown, Offline, [0, 0, 0, 0, 10]),
    ];
    for (guest, host, want) in cases {
        let halts = halts(&[(at(2 * H), Online, host), (at(5 * H), host, Online)], Some((Online, at(5 * H))));
        assert_eq!(halts, [Halt { begin: 2 * H, end: 5 * H, state: host }]);
        let looks = hourly(0..10);
        let observed = PowerHistory {
            changes: &[],
            present: Some((guest, at(-H))),
            looks: &looks,
            expected: Expected::Any,
            host: &halts,
        };
        let sum = Availability::of_server(at(0), at(10 * H), &observed);
        assert_eq!(in_hours(&sum).0, want, "{guest} on a host that is {host}");
    }
}

/// A guest is shut down with its host, which wakes 150 s later; two minutes after that the guest is started.
#[test]
fn off_with_its_host_and_on_again() {
    let confirmed = [(at(100), Stopped), (at(400), Running)];
    let timeline = confirmed::Timeline { changes: vec![], present: Some((Running, at(-H))) };
    let timeline = timeline.with(&confirmed, Some(at(420)));
    let host = halts(&[(at(110), Online, Asleep), (at(260), Asleep, Online)], Some((Online, at(260))));
    let observed = PowerHistory {
        changes: &timeline.changes,
        present: timeline.present,
        looks: &[at(0), at(420)],
        expected: Expected::Any,
        host: &host,
    };
    let sum = Availability::of_server(at(0), at(500), &observed);
    assert_eq!((sum.on_seconds, sum.off_seconds, sum.asleep_seconds, sum.unknown_seconds), (200, 300, 0, 0));
}

fn state() -> impl Strategy<Value = PowerState> {
    prop::sample::select(PowerState::ALL.as_slice())
}

fn second() -> impl Strategy<Value = i64> {
    prop_oneof![9 => -20_000..200_000_i64, 1 => -377_705_023_201..=253_402_207_200_i64]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop::sample::select([Expected::On, Expected::Asleep, Expected::Any].as_slice())
}

fn sums_up(sum: &Availability, since: i64, until: i64) -> Result<(), TestCaseError> {
    let parts = [sum.on_seconds, sum.off_seconds, sum.asleep_seconds, sum.paused_seconds, sum.unknown_seconds];
    prop_assert_eq!(parts.iter().sum::<u64>(), until.saturating_sub(since).max(0).unsigned_abs());
    prop_assert!(sum.percent().is_none_or(|percent| (0.0..=100.0).contains(&percent)));
    prop_assert!(sum.outage_seconds() <= sum.off_seconds);
    let mut last = since;
    for outage in &sum.outages {
        let (begin, end) = (outage.begin.as_second(), outage.end.map_or(until, Timestamp::as_second));
        prop_assert!(last <= begin && begin < end && end <= until);
        prop_assert!((1..=end.abs_diff(begin)).contains(&outage.seconds));
        last = end;
    }
    Ok(())
}

proptest! {
    #[test]
    fn parts_sum_up_to_the_window(
        changes in prop::collection::vec((second(), state(), state()), 0..12),
        looks in prop::collection::vec(second(), 0..40),
        present in prop::option::of((state(), second())),
        expected in expected(),
        since in second(),
        until in second(),
    ) {
        let changes: Vec<StateChange> = changes.into_iter().map(|(second, from, to)| (at(second), from, to)).collect();
        let looks: Vec<Timestamp> = looks.into_iter().map(at).collect();
        let present = present.map(|(state, since)| (state, at(since)));
        let observed = PowerHistory { changes: &changes, present, looks: &looks, expected, host: &[] };
        sums_up(&Availability::of_server(at(since), at(until), &observed), since, until)?;
    }
}
