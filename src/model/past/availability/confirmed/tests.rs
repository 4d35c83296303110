use PowerState::{Offline, Online, Paused, Running, Stopped, Unknown};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn what_a_listing_had_not_heard_of() {
    type Told = (i64, PowerState, PowerState, SignedDuration);
    let lag = SignedDuration::from_secs(10);
    let none = SignedDuration::ZERO;
    // It was stopped until it was started at 100.
    let cases: [(&str, &[Told], usize); 6] = [
        ("the listing from before", &[(104, Running, Stopped, lag), (114, Stopped, Running, lag)], 0),
        ("too late to be one", &[(111, Running, Stopped, lag), (121, Stopped, Running, lag)], 2),
        ("its own node said so", &[(104, Running, Stopped, none), (114, Stopped, Running, none)], 2),
        ("it stayed so", &[(104, Running, Stopped, lag)], 1),
        ("it came back much later", &[(104, Running, Stopped, lag), (400, Stopped, Running, lag)], 2),
        ("before", &[(90, Running, Stopped, lag), (104, Stopped, Running, lag)], 2),
    ];
    for (name, told, want) in cases {
        let told: Vec<_> = told.iter().map(|(second, from, to, lag)| ((at(*second), *from, *to), *lag)).collect();
        let kept = without_echoes(&told, &[(at(100), Running)]);
        assert_eq!(kept.len(), want, "{name}");
    }
    assert_eq!(without_echoes(&[], &[(at(1), Running)]), []);
}

#[test]
fn actions_among_what_was_seen() {
    type Seen = (i64, PowerState, PowerState);
    type Case<'a> =
        (&'a str, &'a [Seen], (PowerState, i64), &'a [(i64, PowerState)], i64, &'a [Seen], (PowerState, i64));
    let cases: [Case<'_>; 7] = [
        ("no action", &[(9, Stopped, Running)], (Running, 9), &[], 99, &[(9, Stopped, Running)], (Running, 9)),
        (
            "off and on again between two looks",
            &[],
            (Running, 0),
            &[(100, Stopped), (250, Running)],
            300,
            &[(100, Running, Stopped), (250, Unknown, Running)],
            (Running, 250),
        ),
        (
            "a look saw it later",
            &[(112, Running, Stopped)],
            (Stopped, 112),
            &[(100, Stopped)],
            112,
            &[(100, Running, Stopped)],
            (Stopped, 112),
        ),
        (
            "a look saw the next state only",
            &[(112, Running, Paused)],
            (Paused, 112),
            &[(100, Stopped)],
            112,
            &[(100, Unknown, Stopped), (112, Unknown, Paused)],
            (Paused, 112),
        ),
        (
            "nobody looked since",
            &[(9, Stopped, Running)],
            (Running, 9),
            &[(100, Stopped)],
            110,
            &[(9, Stopped, Running), (100, Unknown, Stopped)],
            (Stopped, 100),
        ),
        (
            "somebody else started it unseen",
            &[],
            (Running, 0),
            &[(100, Stopped)],
            400,
            &[(100, Running, Stopped), (400, Unknown, Running)],
            (Running, 400),
        ),
        (
            "a host",
            &[(130, Online, Offline)],
            (Offline, 130),
            &[(100, PowerState::Asleep)],
            130,
            &[(100, Unknown, PowerState::Asleep), (130, Unknown, Offline)],
            (Offline, 130),
        ),
    ];
    let all = |changes: &[Seen]| -> Vec<StateChange> {
        changes.iter().map(|(second, from, to)| (at(*second), *from, *to)).collect()
    };
    for (name, changes, present, confirmed, looked, want, then) in cases {
        let timeline = Timeline { changes: all(changes), present: Some((present.0, at(present.1))) };
        let confirmed: Vec<_> = confirmed.iter().map(|(second, state)| (at(*second), *state)).collect();
        let got = timeline.with(&confirmed, Some(at(looked)));
        assert_eq!(got, Timeline { changes: all(want), present: Some((then.0, at(then.1))) }, "{name}");
    }
}
