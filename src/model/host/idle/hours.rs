//! Times of the week, as `not_between` has them: `Mon-Fri 08:00-18:00`.

use jiff::civil::{DateTime, Time, Weekday};

/// Days, and the time of day on them. One that ends before it begins ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours {
    days: [bool; 7],
    from: Time,
    /// `None`: midnight.
    until: Option<Time>,
    text: String,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Hours {
    /// `Mon-Fri 08:00-18:00`, `Sat,Sun`, `22:00-06:00`.
    pub(crate) fn parse(text: &str) -> Option<Hours> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_time = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let (days, times) = match words.as_slice() {
            [one] if is_time(one) => (None, Some(*one)),
            [one] => (Some(*one), None),
            [days, times] => (Some(*days), Some(*times)),
            _ => return None,
        };
        let days = match days {
            Some(days) => days_of(days)?,
            None => [true; 7],
        };
        let (from, until) = match times {
            Some(times) => {
                let (from, until) = times.split_once('-')?;
                let until = if until == "24:00" { None } else { Some(time_of(until)?) };
                (time_of(from)?, until.filter(|until| *until != Time::midnight()))
            }
            None => (Time::midnight(), None),
        };
        // An empty stretch is a slip.
        (until != Some(from)).then(|| Hours { days, from, until, text: words.join(" ") })
    }

    /// Whether a moment lies within.
    pub(crate) fn contains(&self, at: DateTime) -> bool {
        let (day, time) = (place(at.weekday()), at.time());
        let today = self.days[day];
        let yesterday = self.days[(day + 6) % 7];
        match self.until {
            None => today && time >= self.from,
            Some(until) if self.from < until => today && time >= self.from && time < until,
            // Over midnight: the day is the one on which it began.
            Some(until) => (today && time >= self.from) || (yesterday && time < until),
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn place(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or_default() % 7
}

fn day_of(word: &str) -> Option<usize> {
    let word = word.to_ascii_lowercase();
    let short = word.get(..3)?;
    let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let at = DAYS.iter().position(|day| *day == short)?;
    full[at].starts_with(&word).then_some(at)
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day_of(first)?, day_of(last)?);
        let count = (last + 7 - first) % 7;
        for step in 0..=count {
            days[(first + step) % 7] = true;
        }
    }
    Some(days)
}

fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_week_are_read_and_held() {
        // 2026-11-30 is a Monday.
        let at = |text: &str| -> DateTime { text.parse().unwrap() };
        for (hours, inside, outside) in [
            (
                "Mon-Fri 08:00-18:00",
                &["2026-11-30T08:00", "2026-12-04T17:59:59"][..],
                &["2026-11-30T07:59:59", "2026-11-30T18:00", "2026-12-05T12:00"][..],
            ),
            (
                "22:00-06:00",
                &["2026-11-30T22:00", "2026-11-30T05:59", "2026-12-06T00:00"],
                &["2026-11-30T06:00", "2026-11-30T21:59"],
            ),
            // It began on Friday.
            ("fri 22:00-06:00", &["2026-12-04T23:00", "2026-12-05T05:00"], &["2026-12-04T05:00", "2026-12-05T23:00"]),
            ("Sat,Sun", &["2026-12-05T00:00", "2026-12-06T23:59"], &["2026-12-04T23:59", "2026-12-07T00:00"]),
            ("Friday-Mon 20:00-24:00", &["2026-12-06T23:59", "2026-11-30T20:00"], &["2026-12-01T20:00"]),
            ("0:00-24:00", &["2026-12-01T00:00", "2026-12-01T23:59"], &[]),
        ] {
            let read = Hours::parse(hours).unwrap();
            for moment in inside {
                assert!(read.contains(at(moment)), "{hours} has {moment}");
            }
            for moment in outside {
                assert!(!read.contains(at(moment)), "{hours} has not {moment}");
            }
        }
        for bad in [
            "",
            "Mon-Fri 8-18",
            "Mon 08:00",
            "25:00-26:00",
            "Mun 08:00-09:00",
            "08:00-08:00",
            "Mon Tue 1:00-2:00",
            "Mox",
        ] {
            assert_eq!(Hours::parse(bad), None, "{bad}");
        }
    }
}
