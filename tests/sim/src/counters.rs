//! What a guest has moved since it started.

use std::time::Instant;

/// Bytes received, sent, read and written: how many, and how many more each second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) bytes: [u64; 4],
    pub(crate) rates: [u64; 4],
    /// When `bytes` were right.
    from: Option<Instant>,
}

impl Counters {
    pub(crate) fn at(&self, now: Instant, moves: bool) -> [u64; 4] {
        let seconds = self.from.filter(|_| moves).map_or(0.0, |from| now.saturating_duration_since(from).as_secs_f64());
        let mut bytes = self.bytes;
        for (count, rate) in bytes.iter_mut().zip(self.rates) {
            #[expect(clippy::cast_precision_loss, reason = "a rate of the simulator")]
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
            let more = (rate as f64 * seconds) as u64;
            *count += more;
        }
        bytes
    }

    /// Goes on from these bytes.
    pub(crate) fn go_on(&mut self, bytes: [u64; 4], now: Instant) {
        (self.bytes, self.from) = (bytes, Some(now));
    }
}
