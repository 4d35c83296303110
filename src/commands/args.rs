//! Words that the arguments of several commands have in common: times, durations, and what `-h` says of global options.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What `-h` says in place of the options of every command.
pub(crate) const GLOBAL_OPTIONS: &str =
    "Global options: -o FORMAT, -q, -v, --timeout, --config and others; see `ecobox help options`";

/// Between two readings, where no earlier run left one and nobody says otherwise.
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
    let at = ahead_of(&now.to_zoned(zone), text).ok_or_else(|| {
        "a time like `23:00`, `mon 06:30` or `2026-12-01T07:00:00Z`, or a time span like `8h`".to_owned()
    })?;
    if at > now { Ok(at) } else { Err("it is in the past".to_owned()) }
}

fn ahead_of(now: &jiff::Zoned, text: &str) -> Option<Timestamp> {
    if let Ok(span) = span(text) {
        return now.timestamp().checked_add(span).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return Some(at.to_zoned(now.time_zone().clone()).ok()?.timestamp());
    }
    let (day, time) = text.split_once(' ').map_or((None, text), |(day, time)| (Some(day), time.trim_start()));
    let time = clock_time(time)?;
    let weekday = match day {
        Some(day) => Some(weekday(day)?),
        None => None,
    };
    // Today, or the next day that fits.
    (0..=7).find_map(|days| {
        let day = now.date().checked_add(jiff::Span::new().days(days)).ok()?;
        let fits = weekday.is_none_or(|weekday| day.weekday() == weekday);
        let at = day.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?.timestamp();
        (fits && at > now.timestamp()).then_some(at)
    })
}

/// `7:05`, `23:00`
fn clock_time(text: &str) -> Option<jiff::civil::Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| Some(text).filter(|text| matches!(text.len(), 1 | 2))?.parse::<i8>().ok();
    jiff::civil::Time::new(number(hour)?, number(minute).filter(|_| minute.len() == 2)?, 0, 0).ok()
}

/// `mon`, `Monday`
fn weekday(text: &str) -> Option<jiff::civil::Weekday> {
    use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = [
        ("monday", Monday),
        ("tuesday", Tuesday),
        ("wednesday", Wednesday),
        ("thursday", Thursday),
        ("friday", Friday),
        ("saturday", Saturday),
        ("sunday", Sunday),
    ];
    let text = text.to_ascii_lowercase();
    days.into_iter().find(|(name, _)| text.len() >= 3 && name.starts_with(&text)).map(|(_, day)| day)
}

/// A positive time span; a number alone is seconds, a day is 24 hours.
pub(crate) fn span(text: &str) -> Result<SignedDuration, String> {
    let seconds = text.parse::<u32>().ok().map(|seconds| SignedDuration::from_secs(seconds.into()));
    let spelled = || {
        let span = text.parse::<jiff::Span>().ok()?;
        span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
    };
    let found = seconds.or_else(spelled).filter(SignedDuration::is_positive);
    found.ok_or_else(|| "a time span like `30s`, `5m`, `24h` or `7d`".to_owned())
}

/// A positive time span of at most some hours; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let spelled = || text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    seconds.or_else(spelled).filter(|d| !d.is_zero()).ok_or_else(|| "a duration like `30s`, `2m` or `1h30m`".to_owned())
}

#[cfg(test)]
mod tests;
