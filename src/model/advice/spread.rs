//! How the values of a number spread over time, without keeping each of them.

use jiff::Timestamp;

/// The upper bound of a bucket by its lower one: percentiles are at most this much too high, and never too low.
const GROWTH: f64 = 1.04;

/// What is less counts as nothing.
const LEAST: f64 = 1e-3;

/// For how long which values lasted, in buckets that grow with the value. Most numbers of a guest are in few of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weights {
    /// In the order of their buckets, with seconds.
    buckets: Vec<(i16, f32)>,
}

impl Weights {
    fn add(&mut self, value: f64, seconds: f32) {
        let bucket = bucket(value);
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.buckets[place].1 += seconds,
            Err(place) => self.buckets.insert(place, (bucket, seconds)),
        }
    }

    /// The value that was not exceeded in this share (0 to 1) of the time.
    fn quantile(&self, share: f32) -> Option<f64> {
        let all: f32 = self.buckets.iter().map(|(_, seconds)| seconds).sum();
        let mut below = 0.0;
        let found = self.buckets.iter().find(|(_, seconds)| {
            below += seconds;
            below >= all * share
        });
        found.or(self.buckets.last()).map(|(bucket, _)| upper_bound(*bucket))
    }
}

fn bucket(value: f64) -> i16 {
    if value < LEAST {
        return i16::MIN;
    }
    #[expect(clippy::cast_possible_truncation, reason = "some thousand buckets reach up to 10^40")]
    let bucket = (value.min(1e30).ln() / GROWTH.ln()).floor() as i16;
    bucket
}

fn upper_bound(bucket: i16) -> f64 {
    if bucket == i16::MIN { 0.0 } else { GROWTH.powi(i32::from(bucket) + 1) }
}

/// The highest value, and when it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    pub(crate) value: f64,
    pub(crate) at: Timestamp,
    /// The guest had just been started.
    pub(crate) at_start: bool,
}

/// A number of the past while it is read in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    weights: Weights,
    peak: Option<Peak>,
    /// Value times seconds.
    sum: f64,
}

impl Gathered {
    /// Takes the average of some time.
    pub(crate) fn lasted(&mut self, value: f64, seconds: f64) {
        if value.is_finite() && value >= 0.0 && seconds > 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "a weight")]
            self.weights.add(value, seconds as f32);
            self.sum += value * seconds;
        }
    }

    /// Takes the highest of some time.
    pub(crate) fn reached(&mut self, peak: Peak) {
        if peak.value.is_finite() && peak.value >= 0.0 && self.peak.is_none_or(|known| peak.value > known.value) {
            self.peak = Some(peak);
        }
    }

    /// All of it: the value times hours. `None`: nothing was measured.
    pub(crate) fn times_hours(&self) -> Option<f64> {
        self.peak.map(|_| self.sum / 3600.0)
    }

    /// What is left of it. `None`: nothing was measured.
    pub(crate) fn spread(&self) -> Option<Spread> {
        let peak = self.peak?;
        // A bucket's upper bound may lie above all that was in it.
        let quantile = |share| self.weights.quantile(share).unwrap_or(peak.value).min(peak.value);
        Some(Spread { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), peak })
    }
}

/// What is left of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// In half of the time.
    pub(crate) p50: f64,
    /// In 95 of 100 hours it was no higher on average.
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) peak: Peak,
}
