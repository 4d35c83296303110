//! How much of a window is known, hour by hour.

use jiff::{SignedDuration, Timestamp};

const HOUR: i64 = 3600;

/// The hours of a window, numbered from its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours {
    since: i64,
    count: usize,
}

impl Hours {
    /// The hours between these; what is left at the end counts as one.
    pub(crate) fn between(since: Timestamp, until: Timestamp) -> Hours {
        let since = since.as_second();
        let count = usize::try_from((until.as_second() - since + HOUR - 1) / HOUR).unwrap_or_default();
        Hours { since, count: count.clamp(1, 50_000) }
    }

    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// The hours in which a step lies, at least that of its begin.
    pub(crate) fn range(self, from: Timestamp, length: SignedDuration) -> std::ops::Range<usize> {
        let first = (from.as_second() - self.since).div_euclid(HOUR);
        let last = (from.as_second() + length.as_secs().max(1) - 1 - self.since).div_euclid(HOUR);
        let within = |hour: i64| usize::try_from(hour.max(0)).unwrap_or_default().min(self.count);
        if last < 0 { 0..0 } else { within(first)..within(last + 1) }
    }
}

/// Some hours of a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct HourSet {
    words: Vec<u64>,
}

impl HourSet {
    pub(crate) fn insert(&mut self, hour: usize) {
        let word = hour / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (hour % 64);
    }

    pub(crate) fn has(&self, hour: usize) -> bool {
        self.words.get(hour / 64).is_some_and(|word| word >> (hour % 64) & 1 == 1)
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// How much of the window is known of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "the unit is in the name, as everywhere")]
pub(crate) struct Coverage {
    pub(crate) window_hours: usize,
    /// Hours in which it ran and was measured.
    pub(crate) measured_hours: usize,
    /// Hours in which it was seen not to run.
    pub(crate) off_hours: usize,
    /// The longest time without any word of it, after the first one.
    pub(crate) longest_gap_hours: usize,
}

impl Coverage {
    pub(crate) fn of(hours: Hours, measured: &HourSet, off: &HourSet) -> Coverage {
        let known = |hour: &usize| measured.has(*hour) || off.has(*hour);
        let first = (0..hours.count()).find(known).unwrap_or(hours.count());
        let (mut longest, mut gap) = (0, 0);
        for hour in first..hours.count() {
            gap = if known(&hour) { 0 } else { gap + 1 };
            longest = longest.max(gap);
        }
        Coverage {
            window_hours: hours.count(),
            measured_hours: measured.count(),
            off_hours: (0..hours.count()).filter(|hour| off.has(*hour) && !measured.has(*hour)).count(),
            longest_gap_hours: longest,
        }
    }
}
