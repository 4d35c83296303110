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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nearest_rank_is_one_of_the_numbers() {
        let numbers = [15.0, 50.0, 20.0, 40.0, 35.0];
        for (q, want) in [(0.0, 15.0), (0.05, 15.0), (0.3, 20.0), (0.4, 20.0), (0.5, 35.0), (0.99, 50.0), (1.0, 50.0)] {
            assert_eq!(percentile(numbers, q), Some(want), "{q}");
        }
        assert_eq!(percentile([f64::NAN, 3.0, f64::INFINITY], 0.95), Some(3.0));
        assert_eq!(percentile([], 0.5), None);
        for outside in [-0.1, 1.1, f64::NAN] {
            assert_eq!(percentile(numbers, outside), None, "{outside}");
        }
    }

    #[test]
    fn histograms_are_kept_and_added_up() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.to_string().as_str(), histogram.len()), (None, "", 0));
        for millis in [1.0, 1.0, 250.0, f64::NAN, -1.0, f64::INFINITY] {
            histogram.add(millis);
        }
        assert_eq!(histogram.to_string(), "38:2 110:1");
        assert_eq!(histogram.len(), 3);
        histogram.merge(&Histogram::parse("38:1 110:1"));
        assert_eq!(histogram.to_string(), "38:3 110:2");
        assert_eq!(histogram.quantile(2.0), None);
        // Beyond both ends.
        let mut ends = Histogram::default();
        ends.add(0.0);
        ends.add(1e300);
        assert_eq!(ends.to_string(), "0:1 190:1");
    }

    #[test]
    fn nonsense_is_left_out_when_it_is_read() {
        for (text, want) in [
            ("", ""),
            ("57:12  58:3\n", "57:12 58:3"),
            ("58:3 57:12 58:1", "57:12 58:4"),
            ("57 :1 2: x:y -1:1 1:-1 300:1 191:1 57:1.5 57:7", "57:7"),
            ("1:0", ""),
            ("1:18446744073709551615 1:9 2:9", "1:18446744073709551615 2:9"),
        ] {
            let histogram = Histogram::parse(text);
            assert_eq!(histogram.to_string(), want, "{text}");
            assert_eq!(histogram.quantile(1.0).is_none(), want.is_empty(), "{text}");
        }
    }

    fn millis() -> impl Strategy<Value = f64> {
        (LOWEST_MILLIS.ln()..=HIGHEST_MILLIS.ln()).prop_map(f64::exp)
    }

    proptest! {
        #[test]
        fn a_quantile_is_less_than_five_percent_off(
            times in prop::collection::vec(millis(), 1..200), split in 0..200_usize, q in 0.0..=1.0,
        ) {
            let (mut one, mut other) = (Histogram::default(), Histogram::default());
            for (i, time) in times.iter().enumerate() {
                if i < split { one.add(*time) } else { other.add(*time) }
            }
            one.merge(&Histogram::parse(&other.to_string()));
            let exact = percentile(times, q).unwrap();
            let near = one.quantile(q).unwrap();
            prop_assert!((near - exact).abs() < 0.05 * exact, "{} {}", near, exact);
        }

        #[test]
        fn any_text_can_be_read(text in "[0-9: a\n-]{0,80}") {
            let histogram = Histogram::parse(&text);
            prop_assert_eq!(&Histogram::parse(&histogram.to_string()), &histogram);
        }
    }
}
