//! Numbers over time: one form for every source.

mod metric;
mod rate;
mod window;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(crate) use self::metric::{Measurement, Metric, Unit, four_places, without_noise};
pub(crate) use self::rate::{Grown, Total, rate, rates};
pub(crate) use self::window::Window;
use crate::model::load::usage::{Count, Sample, Source};
use crate::model::past::percentile::percentile;

/// A metric's values in samples of one server, oldest first. A rate stands at the later of its two samples.
pub(crate) fn values(metric: Metric, samples: &[(Timestamp, Sample)]) -> Vec<Measurement> {
    if metric.is_rate() {
        let total = |(at, sample): &(Timestamp, Sample)| {
            let uptime = sample.usage.uptime_seconds.map(Count::as_f64);
            Some(Total { at: *at, bytes: metric.total(sample)?.as_f64(), uptime })
        };
        return rates(samples.iter().filter_map(total));
    }
    samples.iter().filter_map(|(at, sample)| Some(Measurement::one(*at, metric.of(sample)?))).collect()
}

/// One step: what was measured in it. `None`: not measured then; a gap stays a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// When the step begins.
    pub(crate) at: Timestamp,
    pub(crate) avg: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// A metric of one server over a window: a point for each step, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) metric: Metric,
    /// Who kept it: the state file (`cache`), Proxmox VE (`rrd`) or Prometheus.
    pub(crate) source: Source,
    pub(crate) window: Window,
    pub(crate) points: Vec<Point>,
    /// Whether it is, some of the time at least, about a part of the server only: the power of its CPU.
    pub(crate) is_partial: bool,
}

/// What a series says as a whole. `None` where nothing was measured.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Summary {
    /// The lowest that was measured; the lowest average where nothing else was kept.
    pub(crate) min: Option<f64>,
    /// The average of the steps that are known.
    pub(crate) avg: Option<f64>,
    pub(crate) max: Option<f64>,
    /// 95 of 100 steps are on average no higher (nearest rank).
    pub(crate) p95: Option<f64>,
    /// The newest step that is known.
    pub(crate) last: Option<f64>,
}

/// What has come for one step so far.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    sum: f64,
    count: f64,
    min: Option<f64>,
    max: f64,
}

impl Series {
    /// The series of these measurements: those outside of the window, and numbers that are none, are left out.
    pub(crate) fn of(
        metric: Metric,
        source: Source,
        window: Window,
        measured: impl IntoIterator<Item = Measurement>,
    ) -> Series {
        let mut buckets: BTreeMap<Timestamp, Bucket> = BTreeMap::new();
        for one in measured.into_iter().filter(|one| window.has(one.at)) {
            if !one.avg.is_finite() || !one.max.is_finite() || one.count == 0 {
                continue;
            }
            let count = f64::from(one.count);
            let new = Bucket { sum: one.avg * count, count, min: one.min, max: one.max };
            let merge = |bucket: &mut Bucket| {
                bucket.sum += new.sum;
                bucket.count += new.count;
                bucket.min = bucket.min.zip(new.min).map(|(a, b)| a.min(b));
                bucket.max = bucket.max.max(new.max);
            };
            buckets.entry(window.step_of(one.at)).and_modify(merge).or_insert(new);
        }
        let points = window.steps().map(|at| match buckets.get(&at) {
            Some(bucket) => {
                Point { at, avg: Some(four_places(bucket.sum / bucket.count)), min: bucket.min, max: Some(bucket.max) }
            }
            None => Point { at, avg: None, min: None, max: None },
        });
        Series { metric, source, window, points: points.collect(), is_partial: false }
    }

    /// Like `of`, and what another source saw in the same steps: the highest and the lowest of both, and its steps where
    /// this one has none. Averages stay those of who measured all the time.
    pub(crate) fn widened_by(mut self, other: &Series) -> Series {
        for (point, seen) in self.points.iter_mut().zip(&other.points) {
            let (Some(avg), Some(_)) = (point.avg, seen.avg) else {
                if point.avg.is_none() {
                    *point = *seen;
                }
                continue;
            };
            point.max = point.max.into_iter().chain(seen.max).reduce(f64::max);
            point.min = seen.min.map(|min| min.min(point.min.unwrap_or(avg)).min(avg)).or(point.min);
        }
        self
    }

    /// Whether nothing at all was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.points.iter().all(|point| point.avg.is_none())
    }

    /// For how much of its window something is known, where one measurement speaks for `span` around it.
    pub(crate) fn seen(&self, span: SignedDuration) -> SignedDuration {
        let Window { since, until, step } = self.window;
        let (mut seen, mut begin) = (0, since.as_second());
        for point in self.points.iter().filter(|point| point.avg.is_some()) {
            let middle = point.at.as_second() + step.as_secs() / 2;
            let from = (middle - span.as_secs() / 2).max(begin);
            let to = (middle + span.as_secs() / 2).min(until.as_second());
            if to > from {
                seen += to - from;
                begin = to;
            }
        }
        SignedDuration::from_secs(seen)
    }

    pub(crate) fn summary(&self) -> Summary {
        let averages: Vec<f64> = self.points.iter().filter_map(|point| point.avg).collect();
        let last = averages.last().copied();
        if averages.is_empty() {
            return Summary::default();
        }
        let known = self.points.iter().filter(|point| point.avg.is_some());
        let min = known.clone().filter_map(|point| point.min.or(point.avg)).min_by(f64::total_cmp);
        let max = known.filter_map(|point| point.max).max_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "some thousand steps")]
        let avg = averages.iter().sum::<f64>() / averages.len() as f64;
        Summary { min, avg: Some(four_places(avg)), max, p95: percentile(averages, 0.95), last }
    }
}

#[cfg(test)]
mod tests;
