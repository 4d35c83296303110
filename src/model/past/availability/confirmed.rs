//! What actions of ecobox brought about, among what was seen: a listing may be seconds old, and between two looks a server
//! may have gone off and come back.

use jiff::{SignedDuration, Timestamp};

use super::StateChange;
use crate::model::power::PowerState;

/// A listing may be this old: what it says that soon after an action may be from before.
const STALE: SignedDuration = SignedDuration::from_secs(15);

/// The state that a confirmed action leaves; `None` for a word that is no power action. `is_guest` tells a guest from a
/// host, which sleeps where a guest is off or paused.
pub(crate) fn state_after(action: &str, is_guest: bool) -> Option<PowerState> {
    Some(match (action, is_guest) {
        ("start" | "resume" | "reboot" | "reset", true) => PowerState::Running,
        ("shutdown" | "stop", true) => PowerState::Stopped,
        ("suspend", true) => PowerState::Paused,
        ("hibernate", true) => PowerState::Hibernated,
        ("start" | "wake" | "reboot", false) => PowerState::Online,
        ("shutdown" | "suspend" | "hibernate", false) => PowerState::Asleep,
        _ => return None,
    })
}

/// Changes without those that only a listing told and that are older than an action it had not heard of: it says what was
/// before the action, and soon after what the action brought about. Each change comes with how much older it may be.
pub(crate) fn without_echoes(
    changes: &[(StateChange, SignedDuration)],
    confirmed: &[(Timestamp, PowerState)],
) -> Vec<StateChange> {
    let mut kept = Vec::new();
    let mut rest = changes;
    while let [((at, from, to), lag), others @ ..] = rest {
        rest = others;
        let is_unheard = |(done, state): &&(Timestamp, PowerState)| {
            let after = at.duration_since(*done);
            state == from && after >= SignedDuration::ZERO && after < *lag
        };
        if let [((again, _, back), _), later @ ..] = others
            && back == from
            && let Some((done, _)) = confirmed.iter().find(is_unheard)
            && again.duration_since(*done) < STALE + *lag
        {
            rest = later;
            continue;
        }
        kept.push((*at, *from, *to));
    }
    kept
}

/// What the state file has of a server's power.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// Changes that were seen, in any order.
    pub(crate) changes: Vec<StateChange>,
    /// The last state that was seen, and since when it is so.
    pub(crate) present: Option<(PowerState, Timestamp)>,
}

impl Timeline {
    /// The same with what actions brought about: each a time at which a state was confirmed. `looked_at` is when the
    /// present state was last seen.
    pub(crate) fn with(mut self, confirmed: &[(Timestamp, PowerState)], looked_at: Option<Timestamp>) -> Timeline {
        if confirmed.is_empty() {
            return self;
        }
        let seen = self.changes.iter().map(|(at, from, to)| (*at, Some(*from), *to));
        let mut marks: Vec<(Timestamp, Option<PowerState>, PowerState)> =
            seen.chain(confirmed.iter().map(|(at, to)| (*at, None, *to))).collect();
        marks.sort_by_key(|(at, ..)| *at);
        let mut changes: Vec<StateChange> = Vec::new();
        let mut last_confirmed = None;
        for (at, from, to) in marks {
            let Some(from) = from else {
                // What is seen since before the first of all changes was so until then.
                let before = self.present.filter(|(_, since)| changes.is_empty() && *since <= at);
                changes.push((at, before.map_or(PowerState::Unknown, |(state, _)| state), to));
                last_confirmed = Some((at, to));
                continue;
            };
            match (last_confirmed.take(), changes.last_mut()) {
                // The look that saw what the action did, later.
                (Some((_, state)), Some(before)) if state == to && before.1 == PowerState::Unknown => before.1 = from,
                (Some((_, state)), _) if state == to => {}
                // What was before the change is older than the action.
                (Some(_), _) => changes.push((at, PowerState::Unknown, to)),
                (None, _) => changes.push((at, from, to)),
            }
        }
        if let Some((at, state)) = last_confirmed {
            let younger = looked_at.filter(|looked| looked.duration_since(at) > STALE);
            match (younger, self.present) {
                // A look since then saw something else; when that began is not known.
                (Some(looked), Some((present, _))) if present != state => {
                    changes.push((looked, PowerState::Unknown, present));
                    self.present = Some((present, looked));
                }
                _ => self.present = Some((state, at)),
            }
        }
        self.changes = changes;
        self
    }
}

#[cfg(test)]
mod tests;
