//! The pauses between two looks at something that is about to change: short at first, then each half as long again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(2);

/// The pauses of one wait.
#[derive(Debug)]
pub(in crate::fleet) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(in crate::fleet) fn new() -> Backoff {
        Backoff { next: FIRST }
    }

    /// The pause after this look.
    pub(in crate::fleet) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause + pause / 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_two_seconds() {
        let mut backoff = Backoff::new();
        let pauses: Vec<u128> = (0..8).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [250, 375, 562, 843, 1265, 1898, 2000, 2000]);
    }
}
