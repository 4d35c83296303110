use super::*;
use crate::model::load::usage::{Pressure, Source, Usage};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn sample(received: u64, uptime: u64) -> Sample {
    let usage = Usage {
        cpu_percent: Some(25.0),
        cpus: Some(4.0),
        memory_bytes: Some(Count::new(1 << 30)),
        memory_max_bytes: Some(Count::new(4 << 30)),
        receive_bytes: Some(Count::new(received)),
        transmit_bytes: Some(Count::new(0)),
        uptime_seconds: Some(Count::new(uptime)),
        ..Usage::default()
    };
    let pressure = Pressure { cpu_percent: Some(1.5), ..Pressure::default() };
    Sample { source: Source::Api, usage, pressure, watts: None }
}

/// What was counted goes back to nothing when a guest restarts: that is no traffic, and its start is known as one.
#[test]
fn a_counter_that_begins_again_is_no_traffic() {
    let mut before = Before::default();
    let mut traffic = Vec::new();
    for (seconds, received, uptime, want, starts) in [
        (0, 1_000_000, 9000, None, false),
        (300, 1_300_000, 9300, Some(1000.0), false),
        // Restarted a minute ago.
        (600, 60_000, 60, None, true),
        (900, 360_000, 360, Some(1000.0), true),
        // Nobody looked for hours.
        (90_000, 9_000_000_000, 89_460, None, false),
    ] {
        let step = step(at(seconds), &sample(received, uptime), &mut before);
        assert_eq!((step.traffic, step.at_start), (want, starts), "{seconds}");
        traffic.extend(step.traffic);
        // It speaks for the time since the look before, an hour at most, and ends with the look.
        assert_eq!(step.begins.checked_add(step.length).unwrap(), at(seconds));
        assert!(step.length <= SignedDuration::from_hours(1), "{seconds}");
    }
    assert_eq!(traffic, [1000.0, 1000.0]);
}
