//! Leases: servers are brought up for somebody who needs them, stay up as long as anybody does, and go down again after that.
//!
//! What a lease holds is in the state file before anything is looked at or sent, and what it is about to bring up is
//! marked there, too. So the rules hold wherever a run is killed: the lease of a process that is gone does not count, and
//! the mark says to the next one that ends there that the server is up only because of a lease.

mod begin;
mod end;
mod ready;

pub(crate) use self::begin::{Begun, Wanted};
pub(crate) use self::end::{Became, End, Lowered};

use crate::fleet::Fleet;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::power::{Plan, StepReason};
use crate::state::StateError;

/// What a server does now, for the one who waits.
pub(crate) type Tell<'t> = &'t dyn Fn(&Server, Option<&str>, Option<std::time::Duration>);

impl Fleet<'_> {
    /// What somebody asked for by hand to be up stays so, whoever brought it up.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn keep_up(&self, plan: &Plan, servers: &[Server]) -> Result<(), StateError> {
        let asked = plan.steps.iter().filter(|step| step.why == StepReason::Asked && step.action.only_wakes());
        let chosen: Vec<ServerKey> = asked.filter_map(|step| Some(servers.get(step.server)?.key())).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let woken = self.state.woken()?;
        if woken.iter().any(|woken| chosen.contains(&woken.key)) {
            self.state.forget_woken(&chosen)?;
        }
        Ok(())
    }
}
