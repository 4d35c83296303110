//! Words that the arguments of several commands have in common: times, durations, and what `-h` says of global options.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::power::WakeTime;
use crate::model::text::moment;
pub(crate) use crate::model::text::moment::span;

/// What `-h` says in place of the options of every command.
pub(crate) const GLOBAL_OPTIONS: &str =
    "Global options: -o FORMAT, -q, -v, --timeout, --config and others; see `ecobox help options`";

/// Between two readings, if no earlier run left one and the user gives no other value.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// A moment in the past, as words on a command line have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(SignedDuration),
    At(Timestamp),
}

impl Since {
    /// The moment itself, seen from `now`; never later than that.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH),
            Since::At(at) => at.min(now),
        }
    }
}

/// `24h`, `7d`, a date, or a time in RFC 3339; not in the future, of which nothing is known.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    match moment(text)? {
        Since::At(at) if at > Timestamp::now() => Err("it is in the future".to_owned()),
        since => Ok(since),
    }
}

fn moment(text: &str) -> Result<Since, String> {
    if let Ok(span) = span(text) {
        return Ok(Since::Ago(span));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    // A day begins where this machine's clock says so.
    let date = text.parse::<jiff::civil::Date>().ok();
    let begin = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::system()).ok());
    begin.map(|begin| Since::At(begin.timestamp())).ok_or_else(|| {
        "a time span like `24h` or `7d`, a date like `2026-11-24`, or a time like `2026-11-24T08:00:00Z`".to_owned()
    })
}

/// A moment ahead: `8h`, `23:00`, `mon 06:30`, `2026-12-01 07:00`, or a time in RFC 3339. A time of day is this machine's.
pub(crate) fn ahead(text: &str) -> Result<Timestamp, String> {
    let zone = jiff::tz::TimeZone::system();
    let now = Timestamp::now();
    let at = moment::ahead(&now.to_zoned(zone), text).ok_or(moment::AHEAD)?;
    if at > now { Ok(at) } else { Err("it is in the past".to_owned()) }
}

/// A moment at which a host's own clock shall wake it.
pub(crate) fn wake_time(text: &str) -> Result<WakeTime, String> {
    if text == "next-job" {
        return Ok(WakeTime::NextJob);
    }
    moment::wake_time(&Timestamp::now().to_zoned(jiff::tz::TimeZone::system()), text).map(WakeTime::At)
}

/// A positive time span of at most some hours; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let spelled = || text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    seconds.or_else(spelled).filter(|d| !d.is_zero()).ok_or_else(|| "a duration like `30s`, `2m` or `1h30m`".to_owned())
}

#[cfg(test)]
mod tests;
