//! When to look next: on a grid that begins at a moment of its own, sooner after a failure, never twice at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a failure; each further one is twice as long.
const RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a refusal: a client that tries too often is locked out, by fail2ban or by an administrator.
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
mod tests;
