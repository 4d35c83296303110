//! What the screen is told of the past: measurements, and what happened.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Sample;
use crate::model::past::series::{Metric, values};
use crate::state::{State, StateError};
use crate::tui::{Entry, Event, Point};

/// How far back a log goes, and how many lines it has of each kind.
const LOGGED: SignedDuration = SignedDuration::from_hours(7 * 24);
const LINES: u32 = 30;

/// Measurements of one server, the oldest first, from its samples, the oldest first.
pub(super) fn points(samples: &[(Timestamp, Sample)]) -> Vec<Point> {
    let mut points: BTreeMap<Timestamp, Point> = samples
        .iter()
        .map(|(at, sample)| {
            #[expect(clippy::cast_possible_truncation, reason = "a chart needs no more places")]
            let memory_percent = sample.usage.memory_percent().map(|percent| percent as f32);
            let cpu_percent = sample.usage.cpu_percent;
            (*at, Point { at: *at, cpu_percent, memory_percent, receive: None, transmit: None })
        })
        .collect();
    for metric in [Metric::Receive, Metric::Transmit] {
        for measured in values(metric, samples) {
            let Some(point) = points.get_mut(&measured.at) else { continue };
            #[expect(clippy::cast_possible_truncation, reason = "a chart needs no more places")]
            let rate = Some(measured.avg as f32);
            *(if metric == Metric::Receive { &mut point.receive } else { &mut point.transmit }) = rate;
        }
    }
    points.into_values().collect()
}

/// What happened to a server, and what is being done to it.
///
/// # Errors
/// The state file's.
pub(super) fn log(state: &State, server: ServerKey, now: Timestamp) -> Result<Event, StateError> {
    let since = now.saturating_sub(LOGGED).unwrap_or(Timestamp::UNIX_EPOCH);
    let changes = state.last_events_of(&server, since, LINES)?;
    let mut events: Vec<Entry> = changes
        .into_iter()
        .map(|event| Entry { at: Some(event.at), text: format!("{}, was {}", event.to, event.from) })
        .collect();
    let running = state.actions_in_flight(now)?;
    for action in state.actions(since, now)?.into_iter().filter(|action| action.server.as_ref() == Some(&server)) {
        let is_running = running.get(&server).is_some_and(|in_flight| in_flight.since == action.at);
        if !is_running {
            let detail = action.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            let text = format!("{}: {}{detail} ({})", action.action, action.outcome, action.by);
            events.push(Entry { at: Some(action.at), text });
        }
    }
    events.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    events.truncate(LINES as usize);
    let tasks = running.get(&server).into_iter();
    let tasks = tasks.map(|task| Entry { at: Some(task.since), text: format!("{} ({})", task.action, task.by) });
    Ok(Event::Log { tasks: tasks.collect(), server, events })
}
