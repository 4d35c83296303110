//! An action in the state file, from before it is sent until its outcome is known.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{PlanRun, StepReport};
use crate::fleet::Fleet;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{PowerAction, Step};
use crate::state::{ActionId, NewAction, State, StateError};
use crate::transport::process;

/// An action that the state file has as begun. If no outcome is recorded, it was interrupted.
pub(super) struct Begun<'a> {
    state: &'a State,
    id: ActionId,
    /// The guest that it concerns.
    guest: Option<ServerKey>,
    /// It goes through other states until it is there again.
    passing: bool,
    at: Instant,
    ended: bool,
}

impl Begun<'_> {
    pub(super) fn end(mut self, ended: &StepReport, now: Timestamp) -> Result<(), StateError> {
        self.ended = true;
        let Some(outcome) = ended.how.outcome() else { return Ok(()) };
        let seconds = self.at.elapsed().as_secs_f64();
        self.state.together(|| {
            self.state.end_action(self.id, outcome, seconds, ended.detail.as_deref())?;
            // A listing may not have heard of it for a while.
            if let (Some(guest), Some(state), Some(at)) = (&self.guest, ended.state, ended.seen_at) {
                let ago = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
                let seen_at = now.saturating_sub(ago).unwrap_or(Timestamp::MIN);
                self.state.put_sighting(guest, state, seen_at, self.passing)?;
            }
            Ok(())
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // The run is being interrupted: nothing can be done about a state file that cannot be written.
            let seconds = self.at.elapsed().as_secs_f64();
            let _ = self.state.end_action(self.id, ActionOutcome::Interrupted, seconds, None);
        }
    }
}

impl Fleet<'_> {
    /// Notes that an action begins, before anything is sent.
    pub(super) fn begin(&self, run: &PlanRun<'_>, step: &Step, patience: Duration) -> Result<Begun<'_>, StateError> {
        let passing = step.action == PowerAction::Reboot;
        self.begin_on(run.server(step), step.action.as_str(), &run.options.by, patience, passing)
    }

    /// Notes that an action on a server begins, by what it is called. `passing`: the guest goes through other states until it
    /// is there again.
    pub(super) fn begin_on(
        &self,
        server: &Server,
        action: &str,
        by: &str,
        patience: Duration,
        passing: bool,
    ) -> Result<Begun<'_>, StateError> {
        let at = self.now();
        let until = at.saturating_add(SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX));
        let action = NewAction {
            server: server.key(),
            action: action.to_owned(),
            by: by.to_owned(),
            at,
            until: until.unwrap_or(Timestamp::MAX),
            process: Some(process::this()),
        };
        let id = self.state.begin_action(&action)?;
        let guest = server.vmid.map(|_| action.server.clone());
        Ok(Begun { state: self.state, id, guest, passing, at: Instant::now(), ended: false })
    }
}
