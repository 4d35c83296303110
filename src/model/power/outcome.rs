//! What ecobox does to servers: how an action ends, and what is said of a server while one is in flight.

use jiff::Timestamp;

use crate::model::inventory::server::ServerKind;
use crate::model::power::PowerState;

/// What is said of a host that did not have to be woken after all: how long that took says nothing.
pub(crate) const AWAKE_BEFORE: &str = "it was awake before a magic packet was sent";

/// How an action on a server's power ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ActionOutcome {
    /// The wanted state was seen.
    Done,
    /// It was in the wanted state before: nothing was sent.
    Already,
    /// What was asked for ran and failed, or could not be asked for.
    Failed,
    /// A check failed, or the question was not confirmed: nothing was sent.
    Refused,
    /// It was accepted, and the wanted state was not seen before the deadline.
    Unconfirmed,
    /// ecobox was stopped while it waited.
    Interrupted,
}

impl ActionOutcome {
    /// Each once.
    #[cfg(test)]
    pub(crate) const ALL: [ActionOutcome; 6] = [
        ActionOutcome::Done,
        ActionOutcome::Already,
        ActionOutcome::Failed,
        ActionOutcome::Refused,
        ActionOutcome::Unconfirmed,
        ActionOutcome::Interrupted,
    ];

    /// The word for it in reports and in the state file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ActionOutcome::Done => "done",
            ActionOutcome::Already => "already",
            ActionOutcome::Failed => "failed",
            ActionOutcome::Refused => "refused",
            ActionOutcome::Unconfirmed => "unconfirmed",
            ActionOutcome::Interrupted => "interrupted",
        }
    }

    /// The outcome named `text`; `None` for another word, as other kinds of actions have.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Option<ActionOutcome> {
        ActionOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl std::fmt::Display for ActionOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What servers are doing, while an action is in flight: all words of [`InFlight::word`].
pub(crate) const DOING: [&str; 8] =
    ["starting", "resuming", "waking", "suspending", "hibernating", "stopping", "rebooting", "migrating"];

/// An action that was begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// What was asked for, in the words of the command line, e.g. `shutdown`.
    pub(crate) action: String,
    pub(crate) since: Timestamp,
    /// Its deadline: a run that has not recorded an outcome by then was killed.
    pub(crate) until: Timestamp,
    /// The user, and how: a terminal, cron.
    pub(crate) by: String,
}

impl InFlight {
    /// What the server is doing, as a word beside the names of states; `None` once the wanted state is seen, and for an
    /// action that does not change a state.
    ///
    /// A host that is to sleep and is silent is on its way still: that it sleeps is only said once its silence was
    /// confirmed. A reboot begins and ends in one state, so that none shows that it is over.
    pub(crate) fn word(&self, kind: ServerKind, state: PowerState) -> Option<&'static str> {
        use PowerState::{Asleep, Hibernated, Offline, Online, Paused, Running, Stopped};
        let is_guest = kind.guest().is_some();
        let (word, wanted): (_, &[PowerState]) = match (self.action.as_str(), is_guest) {
            ("start", true) => ("starting", &[Running]),
            ("resume", true) => ("resuming", &[Running]),
            ("wake" | "start" | "resume", _) => ("waking", &[Online]),
            ("suspend", true) => ("suspending", &[Paused]),
            ("suspend", false) => ("suspending", &[Asleep]),
            ("hibernate", true) => ("hibernating", &[Hibernated]),
            ("hibernate", false) => ("hibernating", &[Asleep]),
            ("shutdown" | "stop", true) => ("stopping", &[Stopped, Hibernated]),
            ("shutdown" | "stop", false) => ("stopping", &[Offline, Asleep]),
            ("reboot" | "reset", _) => ("rebooting", &[]),
            // The state says nothing of the node.
            ("migrate", true) => ("migrating", &[]),
            _ => return None,
        };
        (!wanted.contains(&state)).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_round_trip() {
        for outcome in ActionOutcome::ALL {
            assert_eq!(ActionOutcome::parse(outcome.as_str()), Some(outcome));
            assert_eq!(outcome.to_string(), outcome.as_str());
        }
        // Of `setup-token`, and of an action without a recorded end.
        for other in ["created", "", "Done", "unknown outcome"] {
            assert_eq!(ActionOutcome::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_server_is_on_its_way_until_the_wanted_state_is_seen() {
        use PowerState::*;
        const GUEST: &[ServerKind] = &[ServerKind::Qemu, ServerKind::Lxc];
        const HOST: &[ServerKind] = &[ServerKind::Pve, ServerKind::Linux];
        const ALL: &[ServerKind] = &[ServerKind::Qemu, ServerKind::Lxc, ServerKind::Pve, ServerKind::Linux];
        // The action, of whom, the word, and the states in which it is not said any more.
        let cases: [(&str, &[ServerKind], &str, &[PowerState]); 17] = [
            ("start", GUEST, "starting", &[Running]),
            ("start", HOST, "waking", &[Online]),
            ("wake", HOST, "waking", &[Online]),
            ("resume", GUEST, "resuming", &[Running]),
            ("resume", HOST, "waking", &[Online]),
            ("suspend", GUEST, "suspending", &[Paused]),
            ("suspend", HOST, "suspending", &[Asleep]),
            ("hibernate", GUEST, "hibernating", &[Hibernated]),
            ("hibernate", HOST, "hibernating", &[Asleep]),
            ("shutdown", GUEST, "stopping", &[Stopped, Hibernated]),
            ("shutdown", HOST, "stopping", &[Offline, Asleep]),
            ("stop", GUEST, "stopping", &[Stopped, Hibernated]),
            ("reboot", GUEST, "rebooting", &[]),
            ("reboot", HOST, "rebooting", &[]),
            ("reset", GUEST, "rebooting", &[]),
            ("setup-token", ALL, "", &PowerState::ALL),
            ("", ALL, "", &PowerState::ALL),
        ];
        for (action, kinds, word, seen) in cases {
            let (since, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
            let in_flight = InFlight { action: action.to_owned(), since, until, by: String::new() };
            for (kind, state) in kinds.iter().flat_map(|kind| PowerState::ALL.map(|state| (*kind, state))) {
                let want = (!seen.contains(&state)).then_some(word);
                assert_eq!(in_flight.word(kind, state), want, "{action} {kind:?} {state}");
                assert!(want.is_none_or(|word| DOING.contains(&word)), "{action}");
            }
        }
    }
}
