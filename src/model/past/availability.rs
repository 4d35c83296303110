//! How much of the time a server or a service was there, from what somebody saw of it.

pub(crate) mod confirmed;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::inventory::server::Expected;
use crate::model::power::PowerState;

/// For how many seconds a look speaks, unless somebody looks again before.
const LOOK_SPEAKS_FOR: i64 = 3600;

/// A change that was seen: when, from which state, to which.
pub(crate) type StateChange = (Timestamp, PowerState, PowerState);

/// What is known of one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PowerHistory<'a> {
    /// The changes, best those before and after the window too: each says what was before it. Those that contradict
    /// each other make the time between them unknown.
    pub(crate) changes: &'a [StateChange],
    /// The last state that was seen, and since when it is so.
    pub(crate) present: Option<(PowerState, Timestamp)>,
    /// When somebody looked and could tell (a host that does not answer is a look too), from an hour before the window
    /// on. Of the time for which only counts are kept: the begin of each hour with a look in it.
    pub(crate) looks: &'a [Timestamp],
    /// As configured, without regard to what the server does at present.
    pub(crate) expected: Expected,
    /// Of a guest: when its host could not run it, from when to when, in order and apart from each other. Who was not off
    /// by itself was asleep with its host, or that is unknown.
    pub(crate) host: &'a [Halt],
}

/// A time at which a host ran no guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) begin: i64,
    /// `i64::MAX`: it goes on.
    pub(crate) end: i64,
    /// `Asleep`, or `Offline`: then the fate of its guests is unknown.
    pub(crate) state: PowerState,
}

impl Halt {
    /// The part of it between these.
    pub(crate) fn within(self, begin: i64, end: i64) -> Option<Halt> {
        let halt = Halt { begin: self.begin.max(begin), end: self.end.min(end), ..self };
        (halt.begin < halt.end).then_some(halt)
    }
}

/// When a host was asleep or offline.
pub(crate) fn halts(changes: &[StateChange], present: Option<(PowerState, Timestamp)>) -> Vec<Halt> {
    let pieces = pieces(&PowerHistory { changes, present, looks: &[], expected: Expected::Any, host: &[] });
    let mut halts = Vec::new();
    for (i, (begin, state)) in pieces.iter().enumerate() {
        let end = pieces.get(i + 1).map_or(i64::MAX, |(at, _)| *at);
        if *begin < end && matches!(state, PowerState::Asleep | PowerState::Offline) {
            halts.push(Halt { begin: *begin, end, state: *state });
        }
    }
    halts
}

/// What is left of the checks of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedHour {
    pub(crate) begin: Timestamp,
    /// How many checks succeeded in it.
    pub(crate) ok: u32,
    pub(crate) failed: u32,
}

/// The seconds of a window; together they are the window. Time without a look is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Availability {
    /// Running or online; of a service: it answered.
    pub(crate) on_seconds: u64,
    /// Offline, stopped or hibernated, although it is not expected to be asleep.
    pub(crate) off_seconds: u64,
    /// Off on purpose: ecobox put it to sleep, or the configuration expects it to be asleep.
    pub(crate) asleep_seconds: u64,
    /// A guest whose CPUs are halted: neither on nor off.
    pub(crate) paused_seconds: u64,
    /// Nobody looked, or what was seen contradicts itself.
    pub(crate) unknown_seconds: u64,
    /// When it was off and should have been on, the oldest first.
    pub(crate) outages: Vec<Outage>,
}

/// A time in which a server or service was off and should have been on.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outage {
    /// When it was first seen off in the window.
    pub(crate) begin: Timestamp,
    /// When it was seen to be over; `None`: not before the end of the window.
    pub(crate) end: Option<Timestamp>,
    /// How long somebody looked in between: less than from begin to end if nobody looked for hours.
    pub(crate) seconds: u64,
    /// By how many seconds it may have begun, or ended, earlier: where only a listing said so.
    pub(crate) begin_lag_seconds: Option<u64>,
    pub(crate) end_lag_seconds: Option<u64>,
}

impl Outage {
    fn begun(begin: Timestamp, seconds: u64) -> Outage {
        Outage { begin, end: None, seconds, begin_lag_seconds: None, end_lag_seconds: None }
    }
}

/// What a state counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    On,
    Off { outage: bool },
    Asleep,
    Paused,
    Unknown,
}

impl Part {
    fn of(state: PowerState, expected: Expected) -> Part {
        match (state, expected) {
            (PowerState::Running | PowerState::Online, _) => Part::On,
            (PowerState::Paused, _) => Part::Paused,
            (PowerState::Unknown, _) => Part::Unknown,
            (PowerState::Asleep, _) | (_, Expected::Asleep) => Part::Asleep,
            (PowerState::Stopped | PowerState::Hibernated | PowerState::Offline, expected) => {
                Part::Off { outage: expected == Expected::On }
            }
        }
    }
}

impl Availability {
    /// Of a server between `since` and `until`. A window that does not end after its begin is empty.
    pub(crate) fn of_server(since: Timestamp, until: Timestamp, observed: &PowerHistory<'_>) -> Availability {
        let (since, until) = (since.as_second(), until.as_second());
        let mut sum = Availability::default();
        if since >= until {
            return sum;
        }
        let marks = observed.changes.iter().map(|(at, ..)| *at).chain(observed.present.map(|(_, at)| at));
        let spans = spans(observed.looks.iter().copied().chain(marks), since, until);
        let mut spans = spans.as_slice();
        let pieces = pieces(observed);
        let mut open: Option<Outage> = None;
        for (i, (begin, state)) in pieces.iter().enumerate() {
            let begin = (*begin).max(since);
            let end = pieces.get(i + 1).map_or(until, |(at, _)| *at).min(until);
            if begin >= end {
                continue;
            }
            let (first, seen) = overlap(&mut spans, begin, end);
            let part = Part::of(*state, observed.expected);
            sum.add(part, seen);
            sum.add(Part::Unknown, end.abs_diff(begin) - seen);
            if part == (Part::Off { outage: true }) {
                match &mut open {
                    Some(outage) => outage.seconds += seen,
                    None if seen > 0 => open = Some(Outage::begun(at(first), seen)),
                    None => {}
                }
            } else if let Some(outage) = open.take() {
                sum.outages.push(Outage { end: Some(at(begin)), ..outage });
            }
        }
        sum.outages.extend(open);
        sum
    }

    /// Says of the outages by how much they may have begun or ended earlier. `lags`: of each change, when it was seen and
    /// by how much it may be older.
    pub(crate) fn doubt(&mut self, lags: &[(Timestamp, SignedDuration)]) {
        let lag_of = |at: Timestamp| {
            let of = lags.iter().find(|(seen, lag)| seen.as_second() == at.as_second() && lag.is_positive());
            of.map(|(_, lag)| lag.as_secs().unsigned_abs())
        };
        for outage in &mut self.outages {
            outage.begin_lag_seconds = lag_of(outage.begin);
            outage.end_lag_seconds = outage.end.and_then(lag_of);
        }
    }

    /// Percent of the time on, among on and off. Asleep, paused and unknown count neither way; `None` where nothing
    /// else was seen.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a window are far below 2^53")]
    pub(crate) fn percent(&self) -> Option<f64> {
        let all = self.on_seconds.saturating_add(self.off_seconds);
        (all > 0).then(|| self.on_seconds as f64 / all as f64 * 100.0)
    }

    /// The seconds of something that was seen or not seen; `None` if there was no look at all: a zero would say
    /// that it was seen not to be so.
    pub(crate) fn seen(&self, seconds: u64) -> Option<u64> {
        let all = [self.on_seconds, self.off_seconds, self.asleep_seconds, self.paused_seconds];
        all.iter().any(|seconds| *seconds > 0).then_some(seconds)
    }

    /// The seconds of the longest outage; `None` without one.
    pub(crate) fn longest_outage_seconds(&self) -> Option<u64> {
        self.outages.iter().map(|outage| outage.seconds).max()
    }

    /// The seconds of all outages.
    pub(crate) fn outage_seconds(&self) -> u64 {
        self.outages.iter().map(|outage| outage.seconds).sum()
    }

    fn add(&mut self, part: Part, seconds: u64) {
        let sum = match part {
            Part::On => &mut self.on_seconds,
            Part::Off { .. } => &mut self.off_seconds,
            Part::Asleep => &mut self.asleep_seconds,
            Part::Paused => &mut self.paused_seconds,
            Part::Unknown => &mut self.unknown_seconds,
        };
        *sum += seconds;
    }
}

/// Since when which state holds, the oldest first, from the beginning of time. A state that the next change does not
/// come from is unknown: something happened in between that was not seen.
fn pieces(observed: &PowerHistory<'_>) -> Vec<(i64, PowerState)> {
    let present = observed.present.filter(|(state, _)| *state != PowerState::Unknown);
    let mut marks: Vec<StateChange> = observed.changes.to_vec();
    marks.extend(present.map(|(state, since)| (since, PowerState::Unknown, state)));
    marks.sort_by_key(|(at, ..)| *at);
    let before = marks.first().map_or(PowerState::Unknown, |(_, from, _)| *from);
    let mut pieces = vec![(i64::MIN, before)];
    for (i, (at, _, to)) in marks.iter().enumerate() {
        let holds = match marks.get(i + 1) {
            Some((_, from, _)) => *from == PowerState::Unknown || from == to,
            None => present.is_none_or(|(state, _)| state == *to),
        };
        pieces.push((at.as_second(), if holds { *to } else { PowerState::Unknown }));
    }
    with_host(pieces, observed.host)
}

/// Like `pieces`, for a guest whose host did not run it at times. Its guests are not seen then, so what was seen before
/// seems to go on.
fn with_host(pieces: Vec<(i64, PowerState)>, host: &[Halt]) -> Vec<(i64, PowerState)> {
    if host.is_empty() {
        return pieces;
    }
    let mut begins: Vec<i64> = pieces.iter().map(|(at, _)| *at).collect();
    begins.extend(host.iter().flat_map(|halt| [halt.begin, halt.end]));
    begins.sort_unstable();
    begins.dedup();
    let state_at = |at: i64| {
        let own = pieces.iter().rev().find(|(begin, _)| *begin <= at).map_or(PowerState::Unknown, |(_, state)| *state);
        let halt = host.iter().find(|halt| halt.begin <= at && at < halt.end);
        match (own, halt.map(|halt| halt.state)) {
            (PowerState::Running | PowerState::Paused, Some(PowerState::Asleep)) => PowerState::Asleep,
            (PowerState::Running | PowerState::Paused, Some(_)) => PowerState::Unknown,
            _ => own,
        }
    };
    begins.into_iter().filter(|at| *at < i64::MAX).map(|at| (at, state_at(at))).collect()
}

/// The time for which the looks speak, cut to the window, in order and apart from each other.
fn spans(looks: impl Iterator<Item = Timestamp>, since: i64, until: i64) -> Vec<(i64, i64)> {
    let mut begins: Vec<i64> = looks.map(Timestamp::as_second).collect();
    begins.sort_unstable();
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for look in begins {
        let (begin, end) = (look.max(since), (look + LOOK_SPEAKS_FOR).min(until));
        match spans.last_mut() {
            _ if begin >= end => {}
            Some(last) if last.1 >= begin => last.1 = last.1.max(end),
            _ => spans.push((begin, end)),
        }
    }
    spans
}

/// How many seconds of `begin..end` the spans cover, and where that begins. Drops the spans that are over.
fn overlap(spans: &mut &[(i64, i64)], begin: i64, end: i64) -> (i64, u64) {
    let (mut first, mut seen) = (None, 0);
    while let Some((span, rest)) = spans.split_first() {
        let (from, to) = (span.0.max(begin), span.1.min(end));
        if from < to {
            first.get_or_insert(from);
            seen += to.abs_diff(from);
        }
        if span.1 > end {
            break;
        }
        *spans = rest;
    }
    (first.unwrap_or(begin), seen)
}

/// A second that came from a time stamp.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}
