//! Whether a number rises from day to day, as the memory of a program that leaks does.

/// The fewest days of which a trend can be told.
const LEAST_DAYS: usize = 5;

/// What a day must lose against the one before to count as a new begin: a restart.
const FALLS_TO: f64 = 0.7;

/// How many of all pairs of days must rise, less those that fall (Kendall's tau).
const MOSTLY: f64 = 0.6;

/// By which share of what is allocated it must have risen at least.
const RISES_BY: f64 = 0.05;

/// A number that rises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    /// In its unit.
    pub(crate) per_day: f64,
    pub(crate) days: usize,
    /// The highest of the last day.
    pub(crate) last: f64,
}

/// The trend of each day's highest value, oldest first; `None` in a day of which nothing is known. What counts is the
/// newest stretch between two restarts that is long enough.
pub(crate) fn trend(days: &[Option<f64>], allocated: f64) -> Option<Trend> {
    let mut stretches: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    for (day, value) in days.iter().enumerate().filter_map(|(day, value)| Some((day, (*value)?))) {
        let before = stretches.last().and_then(|stretch| stretch.last()).map(|(_, value)| *value);
        if before.is_some_and(|before| value < before * FALLS_TO) {
            stretches.push(Vec::new());
        }
        if let Some(stretch) = stretches.last_mut() {
            stretch.push((day, value));
        }
    }
    let stretch = stretches.iter().rev().find(|stretch| stretch.len() >= LEAST_DAYS)?;
    let (first, last) = (stretch.first()?, stretch.last()?);
    let (mut rising, mut pairs) = (0.0, 0.0);
    for (place, (_, early)) in stretch.iter().enumerate() {
        for (_, late) in stretch.iter().skip(place + 1) {
            // A hundredth is noise.
            rising += if *late > early * 1.01 {
                1.0
            } else if *late < early * 0.99 {
                -1.0
            } else {
                0.0
            };
            pairs += 1.0;
        }
    }
    // The first and the last day may be odd ones.
    let half = stretch.len() / 2;
    let risen = middle(&stretch[half..])? - middle(&stretch[..half])?;
    if rising < pairs * MOSTLY || risen < allocated * RISES_BY {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of days")]
    let apart = (last.0 - first.0) as f64 / 2.0;
    Some(Trend { per_day: risen / apart.max(1.0), days: last.0 - first.0 + 1, last: last.1 })
}

/// The median.
fn middle(days: &[(usize, f64)]) -> Option<f64> {
    let mut values: Vec<f64> = days.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
