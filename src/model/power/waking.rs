//! A host that goes down until a time, at which its own clock wakes it.

use std::time::Duration;

use jiff::Timestamp;

/// When a host that goes down is woken by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WakeTime {
    At(Timestamp),
    /// In time for what the host begins next by itself.
    NextJob,
    /// When its clock wakes it already, if that is still ahead: who woke it for a while does not change it.
    AsBefore,
}

/// The clock of a host is set right before the host goes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waking {
    pub(crate) at: Timestamp,
    /// The time as people say it: `07:00`.
    pub(crate) words: String,
    /// What it is woken for, where that gave the time.
    pub(crate) job: Option<String>,
    /// How long setting it may take.
    pub(crate) limit: Duration,
}

/// How long a host may be silent after its clock should have woken it: half more than the longest of its last wakes.
pub(crate) fn boot_grace(wakes: &[f64]) -> Duration {
    const LEAST: f64 = 60.0;
    const MOST: f64 = 900.0;
    const UNKNOWN: Duration = Duration::from_secs(300);
    let longest = wakes
        .iter()
        .copied()
        .filter(|seconds| seconds.is_finite())
        .fold(None, |longest: Option<f64>, one| Some(longest.map_or(one, |longest| longest.max(one))));
    longest.map_or(UNKNOWN, |longest| Duration::from_secs_f64((longest * 1.5).clamp(LEAST, MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_the_time_that_it_usually_takes() {
        for (wakes, want) in [
            (&[][..], 300.0),
            (&[5.0, 8.0], 60.0),
            (&[100.0, 40.0, 60.0], 150.0),
            (&[10_000.0], 900.0),
            (&[f64::NAN], 300.0),
            (&[-3.0], 60.0),
        ] {
            assert_eq!(boot_grace(wakes), Duration::from_secs_f64(want), "{wakes:?}");
        }
    }
}
