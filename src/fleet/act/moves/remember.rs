//! Which guests were moved away for their host's sake: noted before the call, forgotten when they are home again, or went
//! where somebody wanted them.

use crate::fleet::Fleet;
use crate::fleet::act::guest::Named;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::migrate::Move;
use crate::model::power::{PowerAction, Step, StepReason};
use crate::state::{MovedGuest, StateError};

impl Fleet<'_> {
    /// Notes where a guest belongs that is about to be moved away.
    pub(super) fn note_moved(&self, named: Named<'_>, why: &StepReason, way: &Move) -> Result<(), StateError> {
        let Some(host) = host_of(why) else { return Ok(()) };
        self.state.put_moved(&MovedGuest {
            cluster: named.cluster.clone(),
            vmid: named.vmid,
            host: host.clone(),
            from: way.from.clone(),
            to: way.call.target.clone(),
            at: self.now(),
        })
    }

    /// A guest that is where the step wanted it: one that came home, or that somebody moved by hand, is not brought back.
    pub(super) fn settle_moved(&self, named: Named<'_>, why: &StepReason) -> Result<(), StateError> {
        match why {
            StepReason::Asked | StepReason::ReturnsTo(_) => self.state.forget_moved(named.cluster, named.vmid),
            StepReason::RunsOn(_) | StepReason::NeededBy(_) => Ok(()),
        }
    }

    /// The same of a step that has nothing to do.
    pub(in crate::fleet::act) fn forget_where_it_was(&self, server: &Server, step: &Step) -> Result<(), StateError> {
        match Named::of(server).filter(|_| step.action == PowerAction::Migrate) {
            Some(named) => self.settle_moved(named, &step.why),
            None => Ok(()),
        }
    }

    /// What the end of a migration means for that. One whose outcome is open may still arrive.
    pub(super) fn settle_moved_by(
        &self,
        named: Named<'_>,
        why: &StepReason,
        ended: &StepReport,
    ) -> Result<(), StateError> {
        match ended.how {
            StepOutcome::Done | StepOutcome::Already => self.settle_moved(named, why),
            StepOutcome::Refused | StepOutcome::Failed(_) if host_of(why).is_some() => {
                self.state.forget_moved(named.cluster, named.vmid)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a step moves a guest away for its host's sake.
fn host_of(why: &StepReason) -> Option<&ServerId> {
    match why {
        StepReason::RunsOn(host) => Some(host),
        _ => None,
    }
}
