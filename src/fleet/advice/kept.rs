//! What the state file kept of the past: hours, samples, and when guests were seen to be off.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::keys;
use super::subject::{Gathering, ending};
use crate::fleet::Fleet;
use crate::model::advice::tally::{Level, Step};
use crate::model::inventory::Inventory;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::{Count, Sample};
use crate::model::past::series::{Grown, Total, rate};
use crate::model::power::PowerState;
use crate::state::StateError;

/// For how long one look speaks at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// How long a guest counts as just started.
const STARTED: u64 = 600;

/// The sample before, of one server.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    at: Option<Timestamp>,
    total: Option<Total>,
    sent: Option<Total>,
}

impl Fleet<'_> {
    /// Reads the state file, once and in the order of time.
    pub(super) fn read_kept(&self, gathering: &Gathering, inventory: &Inventory) -> Result<(), StateError> {
        let keys = keys(gathering, inventory);
        let window = (gathering.window.since, gathering.window.until);
        self.state.visit_hours(&keys, window, |number, step| gathering.add(number, [step]))?;
        let mut before = vec![Before::default(); keys.len()];
        self.state.visit_samples(&keys, window, |number, at, sample| {
            gathering.add(number, [&step(at, sample, &mut before[number])]);
        })?;
        self.read_off(gathering, &keys)
    }

    /// When guests were seen to be off: no sample says so.
    fn read_off(&self, gathering: &Gathering, keys: &[ServerKey]) -> Result<(), StateError> {
        let numbers: HashMap<&ServerKey, usize> = keys.iter().enumerate().map(|(number, key)| (key, number)).collect();
        let is_off = |state: PowerState| matches!(state, PowerState::Stopped | PowerState::Hibernated);
        let mut since: HashMap<usize, Timestamp> = HashMap::new();
        let window = gathering.window;
        let add = |number: usize, from: Timestamp, until: Timestamp| {
            let from = from.max(window.since);
            if until > from {
                gathering.add(number, [&Step { off: true, ..Step::at(from, until.duration_since(from)) }]);
            }
        };
        let before = self.state.last_events_before(window.since)?.into_values();
        for event in before.chain(self.state.events(window.since)?) {
            let Some(number) = numbers.get(&event.server) else { continue };
            if let Some(from) = since.remove(number) {
                add(*number, from, event.at);
            }
            if is_off(event.to) {
                since.insert(*number, event.at);
            }
        }
        for group in self.groups() {
            for guest in self.state.guests(&group.cluster)? {
                let key = ServerKey::of_guest(&group.cluster, guest.vmid);
                if let Some(number) = numbers.get(&key).filter(|_| is_off(guest.known_state)) {
                    let from = since.get(number).copied().unwrap_or(guest.changed_at);
                    add(*number, from, guest.last_seen);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

fn step(at: Timestamp, sample: &Sample, before: &mut Before) -> Step {
    let usage = &sample.usage;
    let length = before.at.map_or(SignedDuration::from_mins(1), |before| at.duration_since(before)).min(LONGEST);
    let once = |number: Option<f32>| number.map(|number| Level::once(number.into()));
    let uptime = usage.uptime_seconds;
    let counted = |bytes: f64| Total { at, bytes, uptime: uptime.map(Count::as_f64) };
    let total = usage.receive_bytes.zip(usage.transmit_bytes).map(|(a, b)| counted(a.as_f64() + b.as_f64()));
    let sent = usage.transmit_bytes.map(|bytes| counted(bytes.as_f64()));
    let grown = |before: Option<Total>, now: Option<Total>| match rate(before?, now?) {
        Grown::By(rate) => Some(rate),
        Grown::SameReading | Grown::Unknown => None,
    };
    let rates = (grown(before.total, total), grown(before.sent, sent));
    *before = Before { at: Some(at), total, sent };
    Step {
        at_start: uptime.is_some_and(|uptime| uptime.get() < STARTED),
        cpus: usage.cpus.map(f64::from),
        memory_max: usage.memory_max_bytes.map(Count::as_f64),
        cpu: once(usage.cpu_percent),
        memory: usage.memory_bytes.map(|bytes| Level::once(bytes.as_f64())),
        pressure: [sample.pressure.cpu_percent, sample.pressure.memory_percent, sample.pressure.io_percent].map(once),
        traffic: rates.0,
        sent: rates.1,
        ..ending(at, length.max(SignedDuration::from_secs(1)))
    }
}
