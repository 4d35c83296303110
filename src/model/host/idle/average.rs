//! How hard a server worked over some time, from the samples that runs kept of it.

use jiff::{SignedDuration, Timestamp};

use crate::model::host::idle::settings::Rate;
use crate::model::load::usage::Sample;
use crate::model::past::series::{Measurement, Metric, values};

/// A sample stands for the time since the one before it, at most this long.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// What the newest two samples of a server say. `samples` are the oldest first.
pub(crate) fn latest(samples: &[(Timestamp, Sample)]) -> Rate {
    let last = |metric| values(metric, samples).last().map(|one: &Measurement| one.avg);
    let of = |one, other| sum(last(one), last(other));
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    let cpu_percent = last(Metric::Cpu).map(|cpu| cpu as f32);
    Rate { cpu_percent, network: of(Metric::Receive, Metric::Transmit), disk: of(Metric::Read, Metric::Write) }
}

/// The means over the time from `from` on, each sample weighed by the time that it stands for. `None`: there are not enough.
pub(crate) fn average(samples: &[(Timestamp, Sample)], from: Timestamp) -> Rate {
    let mean = |metric| {
        let (mut sum, mut seconds) = (0.0, 0.0);
        let measured = values(metric, samples);
        for pair in measured.windows(2) {
            let [before, one] = pair else { continue };
            if one.at <= from {
                continue;
            }
            let stands_for = one.at.duration_since(before.at.max(from)).min(LONGEST).as_secs_f64();
            sum += one.avg * stands_for;
            seconds += stands_for;
        }
        (seconds > 0.0).then(|| sum / seconds)
    };
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    let cpu_percent = mean(Metric::Cpu).map(|cpu| cpu as f32);
    Rate {
        cpu_percent,
        network: sum(mean(Metric::Receive), mean(Metric::Transmit)),
        disk: sum(mean(Metric::Read), mean(Metric::Write)),
    }
}

fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or_default() + other.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load::usage::{Count, Pressure, Source, Usage};

    #[test]
    fn samples_count_by_the_time_that_they_stand_for() {
        let at = |minute: i64| Timestamp::from_second(1_767_225_600 + minute * 60).unwrap();
        let sample = |minute: i64, cpu: f32, received: u64| {
            let usage = Usage {
                cpu_percent: Some(cpu),
                receive_bytes: Some(Count::new(received)),
                uptime_seconds: Some(Count::new(10_000 + u64::try_from(minute).unwrap() * 60)),
                ..Usage::default()
            };
            (at(minute), Sample { source: Source::Ssh, usage, pressure: Pressure::default(), watts: None })
        };
        let samples = [
            sample(0, 90.0, 0),
            // A peak of a minute, and nine quiet ones.
            sample(10, 1.0, 0),
            sample(11, 80.0, 6_000_000),
            sample(20, 2.0, 6_000_000),
        ];
        let mean = average(&samples, at(10));
        assert!((mean.cpu_percent.unwrap() - 9.8).abs() < 0.01, "{mean:?}");
        assert!((mean.network.unwrap() - 10_000.0).abs() < 1.0, "{mean:?}");
        assert_eq!(mean.disk, None);
        let now = latest(&samples);
        assert_eq!((now.cpu_percent, now.network), (Some(2.0), Some(0.0)));
        assert_eq!(average(&samples[..1], at(0)), Rate::default());
        assert_eq!(average(&[], at(0)), Rate::default());
    }
}
