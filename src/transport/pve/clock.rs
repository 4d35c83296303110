//! The clock of the other side: Proxmox VE stamps its tasks by its own, which may be wrong, or ours may.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, DATE, HeaderMap};

/// Where nothing is known: how far two clocks that are kept right may be apart.
const USUAL: SignedDuration = SignedDuration::from_secs(5);
/// Nothing was told yet.
const UNKNOWN: i64 = i64::MIN;
/// A `Date` is cut to seconds.
const SECOND: i64 = 1000;

/// By how many milliseconds the clock over there is ahead of this machine's: at least, and at most.
///
/// Each answer carries its `Date`, cut to seconds, and was made after the request was sent and before it came: each gives
/// two bounds, and the narrowest are the best. Where another node of the cluster has to answer, the date may be that of
/// either: the nodes of a cluster agree about the time, or it would not hold together.
#[derive(Debug)]
pub(super) struct Ahead {
    least: AtomicI64,
    most: AtomicI64,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead { least: AtomicI64::new(UNKNOWN), most: AtomicI64::new(i64::MAX) }
    }
}

impl Ahead {
    /// Takes notice of an answer that came `now`, to what was `sent` then.
    pub(super) fn note(&self, headers: &HeaderMap, sent: Timestamp, now: Timestamp) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        // What a cache kept is as old as it is.
        let Some(date) = date.filter(|_| !headers.contains_key(AGE)) else { return };
        let date = date.as_millisecond();
        self.least.fetch_max(date.saturating_sub(now.as_millisecond()), Ordering::Relaxed);
        self.most.fetch_min((date + SECOND).saturating_sub(sent.as_millisecond()), Ordering::Relaxed);
    }

    /// By how many seconds it is ahead: at least, and at most; `None`: no answer told.
    pub(super) fn seconds(&self) -> Option<(f64, f64)> {
        let (least, most) = (self.least.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed));
        let seconds = |milliseconds: i64| SignedDuration::from_millis(milliseconds).as_secs_f64();
        (least != UNKNOWN).then(|| (seconds(least), seconds(most)))
    }

    /// A time of this machine by the clock over there, or a little earlier.
    pub(super) fn not_before(&self, at: Timestamp) -> Timestamp {
        let ahead = match self.least.load(Ordering::Relaxed) {
            UNKNOWN => -USUAL,
            least => SignedDuration::from_millis(least),
        };
        at.checked_add(ahead).unwrap_or(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, date.parse().unwrap())])
    }

    #[test]
    fn the_best_of_what_the_answers_told() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-22T21:27:43.9Z");
        let ahead = Ahead::default();
        let is = |ahead: &Ahead| ahead.not_before(now).to_string();
        assert_eq!(is(&ahead), "2026-11-22T21:27:38.9Z", "nothing is known");
        for senseless in ["", "soon", "Sun, 22 Nov 2026", "2026-11-22T21:27:43Z"] {
            ahead.note(&dated(senseless), now, now);
        }
        ahead.note(&HeaderMap::new(), now, now);
        let mut kept = dated("Sun, 22 Nov 2026 23:27:43 GMT");
        kept.insert(AGE, 60.into());
        ahead.note(&kept, now, now);
        assert_eq!(ahead.seconds(), None);
        assert_eq!(is(&ahead), "2026-11-22T21:27:38.9Z");
        // An answer that took long, as it is recorded.
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:33 GMT"), at("2026-11-22T21:27:33.5Z"), now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:33Z");
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:43 GMT"), now, now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:43Z");
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:40 GMT"), at("2026-11-22T21:27:40.5Z"), now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:43Z");
        assert_eq!(ahead.seconds(), Some((3599.1, 3600.1)));
        let behind = Ahead::default();
        behind.note(&dated("Sun, 22 Nov 2026 20:27:43 GMT"), now, now);
        assert_eq!(is(&behind), "2026-11-22T20:27:43Z");
    }
}
