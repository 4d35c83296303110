//! Availability of a service, from checks that are kept one by one and, of older times, as counts by the hour.

use jiff::Timestamp;

use super::{Availability, LOOK_SPEAKS_FOR, Observed, Outage, Part, at};
use crate::model::power::PowerState;
use crate::model::server::Expected;

/// What is left of the checks of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedHour {
    pub(crate) begin: Timestamp,
    pub(crate) ok: u32,
    pub(crate) failed: u32,
}

impl Availability {
    /// Of a service between `since` and `until`, or of whether a server could be looked at: checks with their times
    /// and whether they succeeded, and hours for the time before the first of them. An hour of which only counts are
    /// left is on for the share of its checks that succeeded; it is part of an outage only if all of them failed.
    pub(crate) fn of_checks(
        since: Timestamp,
        until: Timestamp,
        checks: &[(Timestamp, bool)],
        hours: &[CheckedHour],
    ) -> Availability {
        let mut checks = checks.to_vec();
        checks.sort_by_key(|(at, _)| *at);
        let first = checks.first().map_or(until, |(at, _)| *at).clamp(since, until.max(since));
        let mut sum = of_hours(since, first, hours);
        let rest = of_each(first, until, &checks);
        sum.on_seconds += rest.on_seconds;
        sum.off_seconds += rest.off_seconds;
        sum.unknown_seconds += rest.unknown_seconds;
        let mut later = rest.outages.into_iter().peekable();
        // Nobody saw the last outage of the hours end: the first check says whether it goes on.
        if let (Some(last), false) = (sum.outages.last_mut().filter(|o| o.end.is_none()), checks.is_empty()) {
            match later.next_if(|next| next.begin.as_second() == first.as_second()) {
                Some(next) => (last.end, last.seconds) = (next.end, last.seconds + next.seconds),
                None => last.end = Some(at(first.as_second())),
            }
        }
        sum.outages.extend(later);
        sum
    }
}

fn of_each(since: Timestamp, until: Timestamp, checks: &[(Timestamp, bool)]) -> Availability {
    let state = |ok| if ok { PowerState::Online } else { PowerState::Offline };
    let changes: Vec<_> = checks
        .windows(2)
        .filter(|pair| pair[0].1 != pair[1].1)
        .map(|pair| (pair[1].0, state(pair[0].1), state(pair[1].1)))
        .collect();
    let looks: Vec<_> = checks.iter().map(|(at, _)| *at).collect();
    let present = checks.last().map(|(_, ok)| {
        let since = changes.last().map(|(at, ..)| *at).or(looks.first().copied());
        (state(*ok), since.unwrap_or_default())
    });
    Availability::of_server(
        since,
        until,
        &Observed { changes: &changes, present, looks: &looks, expected: Expected::On },
    )
}

fn of_hours(since: Timestamp, until: Timestamp, hours: &[CheckedHour]) -> Availability {
    let mut sum = Availability::default();
    let mut hours = hours.to_vec();
    hours.sort_by_key(|hour| hour.begin);
    let (mut known, until) = (since.as_second(), until.as_second());
    let mut open: Option<Outage> = None;
    for hour in hours {
        let begin = hour.begin.as_second().max(known);
        let end = (hour.begin.as_second() + LOOK_SPEAKS_FOR).min(until);
        let (ok, all) = (u64::from(hour.ok), u64::from(hour.ok) + u64::from(hour.failed));
        if begin >= end || all == 0 {
            continue;
        }
        let seconds = end.abs_diff(begin);
        let on = (seconds * ok + all / 2) / all;
        sum.add(Part::On, on);
        sum.add(Part::Off { outage: true }, seconds - on);
        sum.add(Part::Unknown, begin.abs_diff(known));
        known = end;
        if ok == 0 {
            let outage = open.get_or_insert(Outage { begin: at(begin), end: None, seconds: 0 });
            outage.seconds += seconds;
        } else if let Some(outage) = open.take() {
            sum.outages.push(Outage { end: Some(at(begin)), ..outage });
        }
    }
    sum.outages.extend(open);
    sum.add(Part::Unknown, until.saturating_sub(known).max(0).unsigned_abs());
    sum
}
