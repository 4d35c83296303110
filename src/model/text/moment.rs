//! Moments and spans of time, as people write them.

use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp, Zoned};

/// A moment ahead of `now`, in its time zone: `8h`, `23:00`, `mon 06:30`, `2026-12-01 07:00`, or a time in RFC 3339. Of a time
/// of day the next one is meant. One that the clocks skip is as much later as they skip.
pub(crate) fn ahead(now: &Zoned, text: &str) -> Option<Timestamp> {
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
        let at = now.time_zone().to_ambiguous_zoned(day.to_datetime(time));
        // Where the clocks are put back a time comes twice: the second one is ahead after the first has gone by.
        let first = at.clone().compatible().ok()?.timestamp();
        let second = if let AmbiguousOffset::Fold { .. } = at.offset() { at.later().ok()?.timestamp() } else { first };
        [first, second].into_iter().find(|at| fits && *at > now.timestamp())
    })
}

/// The nearest time at which a host that goes to sleep now can be woken: it needs some of it to fall asleep.
pub(crate) const NEAREST_WAKE: SignedDuration = SignedDuration::from_mins(5);
/// The farthest: a clock that has all of day, month and year takes no more.
pub(crate) const FARTHEST_WAKE: SignedDuration = SignedDuration::from_hours(364 * 24);

/// A moment at which a host shall be woken that goes to sleep now.
///
/// # Errors
/// Why it is not such a moment.
pub(crate) fn wake_time(now: &Zoned, text: &str) -> Result<Timestamp, String> {
    let at = ahead(now, text).ok_or(AHEAD)?;
    match at.duration_since(now.timestamp()) {
        left if !left.is_positive() => Err("it is in the past".to_owned()),
        left if left < NEAREST_WAKE => Err(format!("it is nearer than {} min", NEAREST_WAKE.as_mins())),
        left if left > FARTHEST_WAKE => Err("it is farther than the year that a host's clock takes".to_owned()),
        _ => Ok(at),
    }
}

/// How a moment ahead is said.
pub(crate) const AHEAD: &str = "a time like `23:00`, `mon 06:30` or `2026-12-01T07:00:00Z`, or a time span like `8h`";

/// A moment as people say it who look at a clock now: `07:00`, `Mon 06:30`, `2026-12-24 18:00`.
pub(crate) fn clock_words(at: Timestamp, now: &Zoned) -> String {
    let left = at.duration_since(now.timestamp());
    let format = match left {
        left if left.abs() < SignedDuration::from_hours(24) => "%H:%M",
        left if left.is_positive() && left < SignedDuration::from_hours(6 * 24) => "%a %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    at.to_zoned(now.time_zone().clone()).strftime(format).to_string()
}

/// `7:05`, `23:00`
pub(crate) fn clock_time(text: &str) -> Option<jiff::civil::Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| Some(text).filter(|text| matches!(text.len(), 1 | 2))?.parse::<i8>().ok();
    jiff::civil::Time::new(number(hour)?, number(minute).filter(|_| minute.len() == 2)?, 0, 0).ok()
}

/// `mon`, `Monday`
pub(crate) fn weekday(text: &str) -> Option<jiff::civil::Weekday> {
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

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, Zoned};

    fn in_berlin(text: &str) -> Zoned {
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        text.parse::<Timestamp>().unwrap().to_zoned(zone)
    }

    #[test]
    fn a_moment_ahead_is_said_in_many_ways() {
        // A Sunday.
        let now = in_berlin("2026-11-29T22:30:00+01:00");
        let ahead = |text: &str| super::ahead(&now, text).map(|at| at.to_string());
        for (text, want) in [
            ("8h", "2026-11-30T05:30:00Z"),
            ("23:00", "2026-11-29T22:00:00Z"),
            ("7:00", "2026-11-30T06:00:00Z"),
            ("22:30", "2026-11-30T21:30:00Z"),
            ("mon 06:30", "2026-11-30T05:30:00Z"),
            ("Sunday 22:00", "2026-12-06T21:00:00Z"),
            ("sun 23:59", "2026-11-29T22:59:00Z"),
            ("2026-12-24 18:00", "2026-12-24T17:00:00Z"),
            ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
        ] {
            assert_eq!(ahead(text).as_deref(), Some(want), "{text}");
        }
        for bad in ["", "24:00", "7:5", "7", "su 7:00", "someday 7:00", "tomorrow", "7:00pm", "-8h"] {
            assert!(bad == "7" || ahead(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn nights_in_which_the_clocks_change_have_their_own_lengths() {
        for (now, text, want) in [
            // The night has 23 hours, and no 02:30.
            ("2026-03-28T22:00:00+01:00", "07:00", "2026-03-29T05:00:00Z"),
            ("2026-03-28T22:00:00+01:00", "02:30", "2026-03-29T01:30:00Z"),
            ("2026-03-29T01:30:00+01:00", "2:30", "2026-03-29T01:30:00Z"),
            ("2026-03-29T03:45:00+02:00", "02:30", "2026-03-30T00:30:00Z"),
            ("2026-03-28T22:00:00+01:00", "9h", "2026-03-29T06:00:00Z"),
            ("2026-03-28T22:00:00+01:00", "sun 02:00", "2026-03-29T01:00:00Z"),
            // The night has 25 hours, and 02:30 twice.
            ("2026-10-24T22:00:00+02:00", "07:00", "2026-10-25T06:00:00Z"),
            ("2026-10-24T22:00:00+02:00", "02:30", "2026-10-25T00:30:00Z"),
            ("2026-10-25T02:40:00+02:00", "02:30", "2026-10-25T01:30:00Z"),
            ("2026-10-25T02:40:00+01:00", "02:30", "2026-10-26T01:30:00Z"),
            ("2026-10-24T22:00:00+02:00", "9h", "2026-10-25T05:00:00Z"),
        ] {
            assert_eq!(super::ahead(&in_berlin(now), text).unwrap().to_string(), want, "{text} at {now}");
        }
    }

    #[test]
    fn a_host_can_be_woken_in_five_minutes_and_within_a_year() {
        let now = in_berlin("2026-11-29T22:30:00+01:00");
        let refused = |text: &str| super::wake_time(&now, text).unwrap_err();
        for text in ["300", "5m", "22:35", "8h", "mon 06:30", "8736h", "363d"] {
            assert!(super::wake_time(&now, text).is_ok(), "{text}");
        }
        for text in ["7", "4m", "299", "22:34"] {
            assert_eq!(refused(text), "it is nearer than 5 min", "{text}");
        }
        for text in ["365d", "2027-11-29 22:30", "2999-01-01T00:00:00Z"] {
            assert_eq!(refused(text), "it is farther than the year that a host's clock takes", "{text}");
        }
        assert_eq!(refused("2026-11-29 22:29"), "it is in the past");
        assert_eq!(refused("tomorrow"), super::AHEAD);
    }

    #[test]
    fn a_moment_is_said_as_short_as_it_is_plain() {
        let now = in_berlin("2026-11-29T22:30:00+01:00");
        for (at, want) in [
            ("2026-11-30T06:00:00Z", "07:00"),
            ("2026-11-30T21:29:00Z", "22:29"),
            ("2026-11-30T21:30:00Z", "Mon 22:30"),
            ("2026-12-05T05:30:00Z", "Sat 06:30"),
            ("2026-12-24T17:00:00Z", "2026-12-24 18:00"),
            ("2026-11-29T06:00:00Z", "07:00"),
            ("2026-11-28T06:00:00Z", "2026-11-28 07:00"),
        ] {
            assert_eq!(super::clock_words(at.parse().unwrap(), &now), want, "{at}");
        }
    }
}
