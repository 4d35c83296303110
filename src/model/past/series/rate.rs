//! How fast a total grows, from two readings of it.

use jiff::{SignedDuration, Timestamp};

use super::metric::{Measurement, four_places};

/// Two readings that are further apart say nothing about the time between them: whatever happened there would be
/// shown as if it had just happened.
const LONGEST_RATE: SignedDuration = SignedDuration::from_hours(2);

/// Uptimes are whole seconds: readings that are nearer to each other say nothing of a rate, and count as one.
const LEAST_APART: f64 = 5.0;

/// Proxmox VE reads its guests every ten seconds: an uptime is as old as that, and a little more, when it is listed.
const STALE: f64 = 15.0;

/// A total at some moment, and for how long it had been counted then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Total {
    pub(crate) at: Timestamp,
    pub(crate) bytes: f64,
    /// Seconds since it was 0; `None`: not known.
    pub(crate) uptime: Option<f64>,
}

/// How fast a total grew, from its readings, oldest first. None across a restart or a total that went back, and none
/// from the same reading seen twice: Proxmox VE gives what it read some seconds ago.
pub(crate) fn rates(totals: impl IntoIterator<Item = Total>) -> Vec<Measurement> {
    let mut rates = Vec::new();
    let mut before: Option<Total> = None;
    for now in totals {
        let Some(base) = before else {
            before = Some(now);
            continue;
        };
        match rate(base, now) {
            Grown::By(rate) => rates.push(Measurement::one(now.at, rate)),
            Grown::Unknown => {}
            Grown::SameReading => continue,
        }
        before = Some(now);
    }
    rates
}

/// How two readings of a total compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grown {
    /// Bytes a second.
    By(f64),
    /// It was the same reading both times, or nearly.
    SameReading,
    /// They cannot be compared: a restart, a total that went back, too long a time.
    Unknown,
}

/// How fast a total grew between two readings.
pub(crate) fn rate(before: Total, now: Total) -> Grown {
    let apart = now.at.duration_since(before.at);
    let seconds = match (before.uptime, now.uptime) {
        (Some(then), Some(now)) => now - then,
        _ => apart.as_secs_f64(),
    };
    if seconds < 0.0 || now.bytes < before.bytes || apart > LONGEST_RATE || apart.is_negative() {
        return Grown::Unknown;
    }
    if (now.bytes, now.uptime) != (before.bytes, before.uptime) && restarted(before.uptime, now.uptime, apart) {
        return Grown::Unknown;
    }
    if seconds < LEAST_APART {
        return Grown::SameReading;
    }
    Grown::By(four_places((now.bytes - before.bytes) / seconds))
}

/// Whether the total was reset between two readings. A later uptime that is longer than the earlier one does not rule
/// that out: what ran for a minute and then restarted has run for two some minutes later.
fn restarted(before: Option<f64>, now: Option<f64>, apart: SignedDuration) -> bool {
    let (Some(before), Some(now), apart) = (before, now, apart.as_secs_f64()) else { return false };
    let missing = apart - (now - before);
    // It is younger than the time between them, or may be, and some of that time is missing.
    now < apart || now < apart + STALE && missing > STALE
}
