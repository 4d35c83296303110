//! The clock of the other side: Proxmox VE stamps its tasks by its own, which may be wrong, or ours may.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// Where nothing is known: how far two clocks that are kept right may be apart.
const USUAL: SignedDuration = SignedDuration::from_secs(5);
/// Nothing was told yet.
const UNKNOWN: i64 = i64::MIN;

/// The least, in milliseconds, by which the clock over there is ahead of this machine's.
///
/// Each answer carries its `Date`, cut to seconds, and is on its way for a while: each gives a lower bound, and the
/// largest is the best. Where another node of the cluster has to answer, the date may be that of either: the nodes of
/// a cluster agree about the time, or it would not hold together.
#[derive(Debug)]
pub(super) struct Ahead(AtomicI64);

impl Default for Ahead {
    fn default() -> Self {
        Ahead(AtomicI64::new(UNKNOWN))
    }
}

impl Ahead {
    /// Takes notice of an answer that came `now`.
    pub(super) fn note(&self, headers: &HeaderMap, now: Timestamp) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        if let Some(date) = date {
            self.0.fetch_max(date.as_millisecond().saturating_sub(now.as_millisecond()), Ordering::Relaxed);
        }
    }

    /// A time of this machine by the clock over there, or a little earlier.
    pub(super) fn not_before(&self, at: Timestamp) -> Timestamp {
        let ahead = match self.0.load(Ordering::Relaxed) {
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
        let now: Timestamp = "2026-11-22T21:27:43.9Z".parse().unwrap();
        let ahead = Ahead::default();
        let is = |ahead: &Ahead| ahead.not_before(now).to_string();
        assert_eq!(is(&ahead), "2026-11-22T21:27:38.9Z", "nothing is known");
        for senseless in ["", "soon", "Sun, 22 Nov 2026", "2026-11-22T21:27:43Z"] {
            ahead.note(&dated(senseless), now);
        }
        ahead.note(&HeaderMap::new(), now);
        assert_eq!(is(&ahead), "2026-11-22T21:27:38.9Z");
        // An answer that took long, as it is recorded.
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:33 GMT"), now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:33Z");
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:43 GMT"), now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:43Z");
        ahead.note(&dated("Sun, 22 Nov 2026 22:27:40 GMT"), now);
        assert_eq!(is(&ahead), "2026-11-22T22:27:43Z");
        let behind = Ahead::default();
        behind.note(&dated("Sun, 22 Nov 2026 20:27:43 GMT"), now);
        assert_eq!(is(&behind), "2026-11-22T20:27:43Z");
    }
}
