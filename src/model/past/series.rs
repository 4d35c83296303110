//! Numbers over time: one form, whoever kept them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::model::load::usage::{Count, Sample, Source};
use crate::model::past::percentile::percentile;

/// Two readings that are further apart say nothing about the time between them: whatever happened there would be
/// shown as if it had just happened.
const LONGEST_RATE: SignedDuration = SignedDuration::from_hours(2);

/// Uptimes are whole seconds: readings that are nearer to each other say nothing of a rate, and count as one.
const LEAST_APART: f64 = 5.0;

/// Proxmox VE reads its guests every ten seconds: an uptime is as old as that, and a little more, when it is listed.
const STALE: f64 = 15.0;

/// The most steps of a window: more than any screen or file wants.
const MOST_STEPS: i64 = 100_000;

/// What is measured over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    /// Percent of the server's own CPUs.
    Cpu,
    /// Load average over one minute.
    Load,
    /// Bytes in use.
    Memory,
    /// Bytes in use on the root file system.
    Disk,
    /// Bytes a second.
    Receive,
    Transmit,
    Read,
    Write,
    /// Percent of the time that somebody waited for a CPU, for memory, for a disk.
    PressureCpu,
    PressureMemory,
    PressureIo,
}

/// What a metric's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Bytes,
    BytesPerSecond,
    Plain,
}

impl Metric {
    pub(crate) const ALL: [Metric; 11] = [
        Metric::Cpu,
        Metric::Load,
        Metric::Memory,
        Metric::Disk,
        Metric::Receive,
        Metric::Transmit,
        Metric::Read,
        Metric::Write,
        Metric::PressureCpu,
        Metric::PressureMemory,
        Metric::PressureIo,
    ];

    /// The word for it on the command line and in reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Metric::Cpu => "cpu",
            Metric::Load => "load",
            Metric::Memory => "memory",
            Metric::Disk => "disk",
            Metric::Receive => "receive",
            Metric::Transmit => "transmit",
            Metric::Read => "read",
            Metric::Write => "write",
            Metric::PressureCpu => "pressure-cpu",
            Metric::PressureMemory => "pressure-memory",
            Metric::PressureIo => "pressure-io",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Metric::Cpu | Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo => Unit::Percent,
            Metric::Load => Unit::Plain,
            Metric::Memory | Metric::Disk => Unit::Bytes,
            Metric::Receive | Metric::Transmit | Metric::Read | Metric::Write => Unit::BytesPerSecond,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Metric {
    /// The metric named `text`.
    pub(crate) fn parse(text: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.as_str() == text)
    }

    /// Whether it is how much of the time somebody waited.
    pub(crate) fn is_pressure(self) -> bool {
        matches!(self, Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo)
    }

    /// Whether it is how fast a total grows.
    pub(crate) fn is_rate(self) -> bool {
        self.unit() == Unit::BytesPerSecond
    }

    /// The number itself; `None` for a rate, which needs two samples.
    fn of(self, sample: &Sample) -> Option<f64> {
        let Sample { usage, pressure, .. } = sample;
        match self {
            Metric::Cpu => usage.cpu_percent.map(rounded),
            Metric::Load => usage.load.map(rounded),
            Metric::Memory => usage.memory_bytes.map(Count::as_f64),
            Metric::Disk => usage.disk_bytes.map(Count::as_f64),
            Metric::PressureCpu => pressure.cpu_percent.map(rounded),
            Metric::PressureMemory => pressure.memory_percent.map(rounded),
            Metric::PressureIo => pressure.io_percent.map(rounded),
            Metric::Receive | Metric::Transmit | Metric::Read | Metric::Write => None,
        }
    }

    /// The total that a rate is of.
    fn total(self, sample: &Sample) -> Option<Count> {
        let usage = &sample.usage;
        match self {
            Metric::Receive => usage.receive_bytes,
            Metric::Transmit => usage.transmit_bytes,
            Metric::Read => usage.read_bytes,
            Metric::Write => usage.write_bytes,
            _ => None,
        }
    }
}

/// A number as it leaves ecobox: what binary fractions add behind the sixth place is noise, not measured.
pub(crate) fn without_noise(number: f64) -> f64 {
    // Beyond this there is nothing behind the point that was measured, and what stands before it stays.
    if number.abs() < 1e9 { (number * 1e6).round() / 1e6 + 0.0 } else { number }
}

/// A measured number with four places, so that it is the same wherever it was kept meanwhile.
pub(crate) fn four_places(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn rounded(number: f32) -> f64 {
    four_places(number.into())
}

/// Numbers of some time: one that was measured, or what is left of many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// When, or when the time begins that it sums up.
    pub(crate) at: Timestamp,
    /// Of how many measurements.
    pub(crate) count: u32,
    pub(crate) avg: f64,
    /// `None` where only averages and maxima were kept.
    pub(crate) min: Option<f64>,
    pub(crate) max: f64,
}

impl Measured {
    /// A single measurement.
    pub(crate) fn one(at: Timestamp, value: f64) -> Measured {
        Measured { at, count: 1, avg: value, min: Some(value), max: value }
    }
}

/// A total at some moment, and for how long it had been counted then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Total {
    pub(crate) at: Timestamp,
    pub(crate) bytes: f64,
    /// Seconds since it was 0; `None`: not known.
    pub(crate) uptime: Option<f64>,
}

/// A metric's values in samples of one server, oldest first. A rate stands at the later of its two samples.
pub(crate) fn values(metric: Metric, samples: &[(Timestamp, Sample)]) -> Vec<Measured> {
    if metric.is_rate() {
        let total = |(at, sample): &(Timestamp, Sample)| {
            let uptime = sample.usage.uptime_seconds.map(Count::as_f64);
            Some(Total { at: *at, bytes: metric.total(sample)?.as_f64(), uptime })
        };
        return rates(samples.iter().filter_map(total));
    }
    samples.iter().filter_map(|(at, sample)| Some(Measured::one(*at, metric.of(sample)?))).collect()
}

/// How fast a total grew, from its readings, oldest first. None across a restart or a total that went back, and none
/// from the same reading seen twice: Proxmox VE gives what it read some seconds ago.
pub(crate) fn rates(totals: impl IntoIterator<Item = Total>) -> Vec<Measured> {
    let mut rates = Vec::new();
    let mut before: Option<Total> = None;
    for now in totals {
        let Some(base) = before else {
            before = Some(now);
            continue;
        };
        match rate(base, now) {
            Grown::By(rate) => rates.push(Measured::one(now.at, rate)),
            Grown::Unknown => {}
            Grown::SameReading => continue,
        }
        before = Some(now);
    }
    rates
}

/// How two readings of a total compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grown {
    /// Bytes a second.
    By(f64),
    /// It was the same reading both times, or nearly.
    SameReading,
    /// They cannot be compared: a restart, a total that went back, too long a time.
    Unknown,
}

/// How fast a total grew between two readings.
pub(crate) fn rate(before: Total, now: Total) -> Grown {
    let apart = now.at.duration_since(before.at);
    let seconds = match (before.uptime, now.uptime) {
        (Some(then), Some(now)) => now - then,
        _ => apart.as_secs_f64(),
    };
    if seconds < 0.0 || now.bytes < before.bytes || apart > LONGEST_RATE || apart.is_negative() {
        return Grown::Unknown;
    }
    if (now.bytes, now.uptime) != (before.bytes, before.uptime) && restarted(before.uptime, now.uptime, apart) {
        return Grown::Unknown;
    }
    if seconds < LEAST_APART {
        return Grown::SameReading;
    }
    Grown::By(four_places((now.bytes - before.bytes) / seconds))
}

/// Whether the total began anew between two readings. A later uptime that is longer than the earlier one does not rule
/// that out: what ran for a minute and then restarted has run for two some minutes later.
fn restarted(before: Option<f64>, now: Option<f64>, apart: SignedDuration) -> bool {
    let (Some(before), Some(now), apart) = (before, now, apart.as_secs_f64()) else { return false };
    let missing = apart - (now - before);
    // It is younger than the time between them, or may be, and some of that time is missing.
    now < apart || now < apart + STALE && missing > STALE
}

/// The time that is looked at, in steps that begin at multiples of their length since 1970, so that two looks share
/// their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Whole seconds, at least one.
    pub(crate) step: SignedDuration,
}

impl Window {
    /// The window from `since` to `until`; the step is the given one, else one that suits its length. A step that
    /// would make too many points is made longer.
    pub(crate) fn new(since: Timestamp, until: Timestamp, step: Option<SignedDuration>) -> Window {
        let span = until.duration_since(since).max(SignedDuration::from_secs(1));
        let step = step.unwrap_or_else(|| usual_step(span)).as_secs().max(1);
        let step = step.max(span.as_secs() / MOST_STEPS + i64::from(span.as_secs() > MOST_STEPS));
        Window { since, until: until.max(since), step: SignedDuration::from_secs(step) }
    }

    /// The same window in steps that are no shorter than `step`.
    pub(crate) fn at_least(self, step: SignedDuration) -> Window {
        if step > self.step { Window { step, ..self } } else { self }
    }

    /// Whether a moment lies in it.
    pub(crate) fn has(self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }

    /// When the step begins that a moment lies in: a multiple of the step since 1970.
    pub(crate) fn step_of(self, at: Timestamp) -> Timestamp {
        let step = self.step.as_secs().max(1);
        Timestamp::from_second(at.as_second().div_euclid(step) * step).unwrap_or(at)
    }

    /// When each step begins, the first at or before `since`.
    fn steps(self) -> impl Iterator<Item = Timestamp> {
        let (first, step) = (self.step_of(self.since), self.step);
        std::iter::successors(Some(first), move |at| at.checked_add(step).ok()).take_while(move |at| *at <= self.until)
    }
}

/// The step that suits a window of this length: some dozens to some hundreds of points.
fn usual_step(span: SignedDuration) -> SignedDuration {
    const HOUR: i64 = 3600;
    let (limits, beyond) = ([(2, 60), (12, 300), (48, 1800), (7 * 24, HOUR), (31 * 24, 4 * HOUR)], 24 * HOUR);
    let found = limits.into_iter().find(|(hours, _)| span.as_secs() <= hours * HOUR);
    SignedDuration::from_secs(found.map_or(beyond, |(_, step)| step))
}

/// One step: what was measured in it. `None`: nobody measured then; a gap stays a gap.
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
}

/// What a series says as a whole. `None` where nothing was measured.
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
        measured: impl IntoIterator<Item = Measured>,
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
        Series { metric, source, window, points: points.collect() }
    }

    /// The same, and what another source saw in the same steps: the highest and the lowest of both, and its steps where
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
