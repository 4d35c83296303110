//! Deadlines that run out in a test: as long as this machine needs at the moment.
//!
//! Where something is meant to end before its deadline the deadline is a minute, and costs nothing. Where it is meant to run
//! out, each second of it is one of the test; but what comes before (a login, a listing, a task) must not be cut short
//! because others use the machine, too.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A deadline that runs out, for `--timeout`: so many seconds on a machine with nothing else to do.
pub(crate) fn deadline(seconds: u32) -> String {
    format!("{}s", seconds * slowness())
}

/// How many times longer a thread takes now than alone: at most ten.
pub(crate) fn slowness() -> u32 {
    // Whether the kernel says so or not, a test gets some reserve.
    const UNKNOWN: f64 = 3.0;
    /// More than a turn of the scheduler.
    const LONG: Duration = Duration::from_millis(25);
    let (begun, ran_before) = (Instant::now(), ran());
    let now = loop {
        black_box((0..10_000_u32).fold(0, |sum, i| black_box(sum ^ i)));
        match ran_before.and_then(|before| ran()?.checked_sub(before)) {
            Some(had) if had < LONG => {}
            Some(had) => break begun.elapsed().as_secs_f64() / had.as_secs_f64(),
            None => break UNKNOWN,
        }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10")]
    let whole = (now - 0.25).ceil().clamp(1.0, 10.0) as u32;
    whole
}

/// How long this thread has had a processor.
fn ran() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
