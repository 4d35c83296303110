//! Time as the simulated cluster sees it: the real clock, or one that a test moves by hand.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The cluster's clock, and how long one second of Proxmox VE's own waiting lasts.
#[derive(Debug, Clone)]
pub struct Clock {
    frozen: Option<Instant>,
    ahead: Duration,
    /// Seconds by which it is wrong.
    off: i64,
    pace: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { frozen: None, ahead: Duration::ZERO, off: 0, pace: Duration::from_millis(10) }
    }
}

impl Clock {
    /// Now. Moves by itself unless frozen.
    pub fn now(&self) -> Instant {
        self.frozen.unwrap_or_else(Instant::now) + self.ahead
    }

    /// Unix seconds of an instant of this clock, as PVE writes into UPIDs and task lists.
    pub fn epoch(&self, at: Instant) -> u64 {
        let now = self.now();
        let real = SystemTime::now() + self.ahead;
        let real = if at > now { real + (at - now) } else { real - (now - at) };
        real.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().saturating_add_signed(self.off))
    }

    /// Stops the clock: from now on only [`Clock::advance`] moves it.
    pub fn freeze(&mut self) {
        self.frozen.get_or_insert_with(Instant::now);
    }

    /// Moves the clock forward.
    pub fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// Shows a time that is wrong by this many seconds.
    pub fn set_wrong(&mut self, seconds: i64) {
        self.off = seconds;
    }

    /// Now, as the `Date` of answers says it.
    pub(crate) fn date(&self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.epoch(self.now())))
    }

    /// Sets how long one second of PVE's waiting (task lengths, timeouts, the delay of a 401) lasts here.
    pub fn set_pace(&mut self, second: Duration) {
        self.pace = second;
    }

    /// `seconds` of PVE's waiting at this clock's pace.
    pub fn seconds(&self, seconds: f64) -> Duration {
        self.pace.mul_f64(seconds)
    }
}
