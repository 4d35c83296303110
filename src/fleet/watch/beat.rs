//! When to look next: on a grid that begins at a moment of its own, sooner after a failure, never twice at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a failure; each further one is twice as long.
const RETRY: Duration = Duration::from_secs(1);

/// The moments of one loop.
#[derive(Debug)]
pub(super) struct Beat {
    /// Where the grid begins.
    first: Instant,
    interval: Duration,
    next: Instant,
    retry: Duration,
}

impl Beat {
    /// Begins at that moment.
    pub(super) fn new(first: Instant, interval: Duration) -> Beat {
        Beat { first, interval, next: first, retry: RETRY }
    }

    /// The same for the loop number `place` of `of`, so that they do not all begin at once: spread over that time, or
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

    /// A look has ended: the next one is at the next moment of the grid, or sooner where this one failed.
    pub(super) fn ended(&mut self, now: Instant, well: bool) {
        let since = now.saturating_duration_since(self.first);
        let into = since.as_nanos().checked_rem(self.interval.as_nanos()).unwrap_or_default();
        let left = self.interval - Duration::from_nanos(u64::try_from(into).unwrap_or_default());
        self.next = now + left;
        if well {
            self.retry = RETRY;
        } else if self.retry < self.interval {
            self.next = self.next.min(now + self.retry);
            self.retry *= 2;
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
        for (ended, well, next) in [
            (1, true, 10),
            (12, true, 20),
            // It took longer than the interval: nothing is made up for.
            (47, true, 50),
            (50, true, 60),
            (61, false, 62),
            (62, false, 64),
            (64, false, 68),
            (68, false, 70),
            (71, false, 80),
            (82, false, 90),
            (91, true, 100),
            (101, false, 102),
            (102, true, 110),
        ] {
            beat.ended(first + Duration::from_secs(ended), well);
            assert_eq!(beat.next(), first + Duration::from_secs(next), "{ended}");
        }
    }

    #[test]
    fn failures_are_no_reason_to_look_oftener_than_configured() {
        let first = Instant::now();
        let mut beat = Beat::new(first, Duration::from_millis(100));
        beat.ended(first + Duration::from_millis(130), false);
        assert_eq!(beat.next(), first + Duration::from_millis(200));
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
        late.ended(first + Duration::from_secs(100), true);
        assert_eq!(millis(&late), 120_030);
    }
}
