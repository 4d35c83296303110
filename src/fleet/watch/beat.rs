//! When to look next: on a grid that begins at a moment of its own, sooner after a failure, never twice at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a failure; each further one is twice as long.
const RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a refusal: whoever knocks too often is locked out, by fail2ban or by an administrator.
const REFUSED: Duration = Duration::from_secs(300);

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// It may be over in a moment.
    Failed,
    /// Somebody has to fix it: credentials, a key, a certificate.
    Refused,
}

/// The moments of one loop.
#[derive(Debug)]
pub(super) struct Beat {
    /// Where the grid begins.
    first: Instant,
    interval: Duration,
    next: Instant,
    /// After the next failure.
    retry: Duration,
    /// After the next refusal.
    patience: Duration,
}

impl Beat {
    /// Begins at that moment.
    pub(super) fn new(first: Instant, interval: Duration) -> Beat {
        Beat { first, interval, next: first, retry: RETRY, patience: interval }
    }

    /// Like `new`, for the loop number `place` of `of`, so that they do not all begin at once: spread over that time, or
    /// over the interval where that is less. They stay apart, since each has a grid of its own.
    pub(super) fn late(self, over: Duration, place: usize, of: usize) -> Beat {
        let share = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let late = over.min(self.interval) * share(place) / share(of).max(1);
        Beat { first: self.first + late, next: self.next + late, ..self }
    }

    /// When to look next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// A look has ended: the next one is at the next moment of the grid; sooner where this one failed, and later where
    /// it was refused.
    pub(super) fn ended(&mut self, now: Instant, ended: Ended) {
        let from = match ended {
            Ended::Refused => now + self.patience - self.interval,
            Ended::Well | Ended::Failed => now,
        };
        let since = from.saturating_duration_since(self.first);
        let into = since.as_nanos().checked_rem(self.interval.as_nanos()).unwrap_or_default();
        let left = self.interval.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or_default()));
        self.next = from + left;
        match ended {
            Ended::Well => (self.retry, self.patience) = (RETRY, self.interval),
            Ended::Failed if self.retry < self.interval => {
                self.next = self.next.min(now + self.retry);
                self.retry *= 2;
            }
            Ended::Failed => {}
            Ended::Refused => self.patience = (self.patience * 2).min(REFUSED).max(self.interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_on_the_grid_and_sooner_after_a_failure() {
        let first = Instant::now();
        let mut beat = Beat::new(first, Duration::from_secs(10));
        assert_eq!(beat.next(), first);
        // When a look ends, how, and when the next one is.
        for (at, ended, next) in [
            (1, Ended::Well, 10),
            (12, Ended::Well, 20),
            // It took longer than the interval: nothing is made up for.
            (47, Ended::Well, 50),
            (50, Ended::Well, 60),
            (61, Ended::Failed, 62),
            (62, Ended::Failed, 64),
            (64, Ended::Failed, 68),
            (68, Ended::Failed, 70),
            (71, Ended::Failed, 80),
            (82, Ended::Failed, 90),
            (91, Ended::Well, 100),
            (101, Ended::Failed, 102),
            (102, Ended::Well, 110),
        ] {
            beat.ended(first + Duration::from_secs(at), ended);
            assert_eq!(beat.next(), first + Duration::from_secs(next), "{at}");
        }
    }

    #[test]
    fn failures_are_no_reason_to_look_oftener_than_configured() {
        let first = Instant::now();
        let mut beat = Beat::new(first, Duration::from_millis(100));
        beat.ended(first + Duration::from_millis(130), Ended::Failed);
        assert_eq!(beat.next(), first + Duration::from_millis(200));
    }

    #[test]
    fn who_is_refused_knocks_more_and_more_rarely() {
        let first = Instant::now();
        let waits = |interval, count| {
            let mut beat = Beat::new(first, Duration::from_secs(interval));
            let mut wait = || {
                let before = beat.next();
                beat.ended(before, Ended::Refused);
                (beat.next() - before).as_secs()
            };
            (0..count).map(|_| wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(30, 6), [30, 60, 120, 240, 300, 300]);
        assert_eq!(waits(400, 3), [400, 400, 400]);
        let mut beat = Beat::new(first, Duration::from_secs(30));
        for (at, ended, next) in
            [(1, Ended::Refused, 30), (31, Ended::Refused, 90), (91, Ended::Well, 120), (121, Ended::Refused, 150)]
        {
            beat.ended(first + Duration::from_secs(at), ended);
            assert_eq!(beat.next(), first + Duration::from_secs(next), "{at}");
        }
    }

    #[test]
    fn many_begin_one_after_the_other_and_stay_apart() {
        let first = Instant::now();
        let millis = |beat: &Beat| (beat.next() - first).as_millis();
        let begin = |interval, place| {
            Beat::new(first, Duration::from_millis(interval)).late(Duration::from_millis(200), place, 20)
        };
        let all: Vec<_> = (0..20).map(|place| millis(&begin(30_000, place))).collect();
        assert_eq!(all, (0..20).map(|place| place * 10).collect::<Vec<_>>());
        assert_eq!(millis(&begin(100, 19)), 95);
        // All were held up, as by a machine that slept.
        let mut late = begin(30_000, 3);
        late.ended(first + Duration::from_secs(100), Ended::Well);
        assert_eq!(millis(&late), 120_030);
    }
}
