//! Percentiles: exact ones of numbers that are at hand, and near ones of counts that can be kept and added up.

use std::collections::BTreeMap;
use std::fmt;

/// The smallest number that at least the share `q` (0 to 1) of all numbers does not exceed: the nearest rank, so the
/// answer is one of the numbers. What is not finite does not count; `None` without numbers or for a share outside.
pub(crate) fn percentile(numbers: impl IntoIterator<Item = f64>, q: f64) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
    let rank = rank(u64::try_from(numbers.len()).ok()?, q)?;
    let index = usize::try_from(rank).ok()?;
    let (_, found, _) = numbers.select_nth_unstable_by(index, f64::total_cmp);
    Some(*found)
}

/// Which of `count` numbers in order stands at the share `q`, counted from 0.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is between 0 and the count, and a count beyond 2^53 needs no exact rank"
)]
fn rank(count: u64, q: f64) -> Option<u64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = (count as f64 * q).ceil() as u64;
    Some(rank.clamp(1, count.max(1)) - 1).filter(|_| count > 0)
}

/// The lower bound of the first bucket, in milliseconds. What is less counts as this.
const LOWEST_MILLIS: f64 = 0.05;

/// What is more counts as this: no check waits longer.
const HIGHEST_MILLIS: f64 = 120_000.0;

/// The upper bound of a bucket by its lower one. The middle of a bucket is at most 3.9 % off. Stored histograms depend
/// on this number and on `LOWEST_MILLIS`: another would give them another meaning.
const GROWTH: f64 = 1.08;

/// How often it took how long, in buckets that grow with the time: at most 191. Sums of histograms are as exact as
/// each of them, and `quantile` is less than 5 % off between 0.05 ms and two minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Histogram {
    counts: BTreeMap<u8, u64>,
}

impl Histogram {
    /// Counts one time, in milliseconds. What is not finite or negative was not measured and does not count.
    pub(crate) fn add(&mut self, millis: f64) {
        if millis.is_finite() && millis >= 0.0 {
            self.count(bucket(millis), 1);
        }
    }

    /// Adds what another one counted.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.counts {
            self.count(*bucket, *count);
        }
    }

    /// How many times were counted.
    pub(crate) fn len(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The time in milliseconds that the share `q` (0 to 1) of all does not exceed, as `percentile` but for the width
    /// of a bucket. `None` where nothing was counted or for a share outside.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = rank(self.len(), q)?;
        let mut below: u64 = 0;
        for (bucket, count) in &self.counts {
            below = below.saturating_add(*count);
            if below > rank {
                return Some(middle(*bucket));
            }
        }
        // Only where the sum is at the end of its numbers.
        self.counts.keys().next_back().map(|bucket| middle(*bucket))
    }

    /// Reads what `Display` wrote. What is no `bucket:count` is left out; the rest counts.
    pub(crate) fn parse(text: &str) -> Histogram {
        let mut histogram = Histogram::default();
        for (bucket, count) in text.split_ascii_whitespace().filter_map(|pair| pair.split_once(':')) {
            if let (Ok(bucket), Ok(count)) = (bucket.parse::<u8>(), count.parse::<u64>())
                && bucket <= self::bucket(HIGHEST_MILLIS)
            {
                histogram.count(bucket, count);
            }
        }
        histogram
    }

    fn count(&mut self, bucket: u8, count: u64) {
        if count > 0 {
            let sum = self.counts.entry(bucket).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

/// The compact form that is kept: `57:12 58:3`, each bucket with its count.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (bucket, count)) in self.counts.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{bucket}:{count}")?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 190 after the clamp")]
fn bucket(millis: f64) -> u8 {
    ((millis.clamp(LOWEST_MILLIS, HIGHEST_MILLIS) / LOWEST_MILLIS).ln() / GROWTH.ln()).floor() as u8
}

/// The number that is as far from the lower bound as from the upper one, as a share of them.
fn middle(bucket: u8) -> f64 {
    LOWEST_MILLIS * GROWTH.powi(bucket.into()) * (2.0 * GROWTH / (GROWTH + 1.0))
}

#[cfg(test)]
mod tests;
