//! The check `held`: a server that a lease holds stays up.

use jiff::Timestamp;

use super::{PlanRun, StepReport};
use crate::fleet::Fleet;
use crate::model::check::fault::Fault;
use crate::model::host::power::Inhibitor;
use crate::model::inventory::Server;
use crate::model::lease::{Lease, LeaseKind, described};
use crate::model::power::{Finding, Plan, Step, allow};
use crate::state::StateError;
use crate::transport::process;
use crate::transport::script::random_hex;

/// By whom locks are held that stand for leases, on the hosts themselves.
pub(crate) const WHO: &str = "ecobox";

impl Fleet<'_> {
    /// The leases that count: their process runs, and their time is not over.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn live_leases(&self) -> Result<Vec<Lease>, StateError> {
        let mut leases = self.state.leases()?;
        let now = self.now();
        leases.retain(|lease| lease.is_alive(now, process::runs));
        Ok(leases)
    }

    /// By what a lock on a host shows of which lease, and of which state file, it is: other machines have leases, too.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn lease_mark(&self, lease: &str) -> Result<String, StateError> {
        let suffix = self.state.machine_suffix(|| random_hex().chars().take(6).collect())?;
        Ok(format!("lease {lease}-{suffix})"))
    }

    /// The leases that a plan would break.
    pub(super) fn look_at_leases(&self, plan: &Plan, servers: &[Server]) -> Result<Vec<Finding>, StateError> {
        if !plan.steps.iter().any(takes_down) {
            return Ok(Vec::new());
        }
        let leases = self.live_leases()?;
        let steps = plan.steps.iter().filter(|step| takes_down(step));
        Ok(steps.filter_map(|step| held(&servers[step.server], &leases)).collect())
    }

    /// The refusal of a step by a lease that began while the plan was made. To be asked once the step stands in the state
    /// file as begun: whoever makes a lease looks there after it, so that one of the two sees the other.
    pub(super) fn held_meanwhile(&self, run: &PlanRun<'_>, step: &Step) -> Result<Option<StepReport>, StateError> {
        if !takes_down(step) {
            return Ok(None);
        }
        let mut findings: Vec<Finding> = held(run.server(step), &self.live_leases()?).into_iter().collect();
        let may = allow(&mut findings, &run.options.allowed);
        Ok((!may).then(|| StepReport::refused(findings)))
    }

    /// Parts the locks that a call would meet: those of other programs, and those of leases that only another machine's
    /// ecobox knows of. Those of this one's leases are left out: the state file knows more of them.
    pub(super) fn foreign_locks<'l>(&self, locks: Vec<&'l Inhibitor>) -> (Vec<&'l Inhibitor>, Vec<&'l Inhibitor>) {
        let (leases, others): (Vec<_>, Vec<_>) = locks.into_iter().partition(|lock| lock.who == WHO);
        if leases.is_empty() {
            return (others, leases);
        }
        // A state file that cannot say which they are makes all of them others'.
        let Ok(own) = self.lease_mark("") else { return (others, leases) };
        let own = own.strip_prefix("lease ").unwrap_or(&own);
        (others, leases.into_iter().filter(|lock| !lock.why.ends_with(own)).collect())
    }
}

/// Whether a server does less after a step than before.
fn takes_down(step: &Step) -> bool {
    step.acts() && !step.action.only_wakes()
}

/// What leases say against taking a server down.
fn held(server: &Server, leases: &[Lease]) -> Option<Finding> {
    let key = server.key();
    let holding: Vec<&Lease> = leases.iter().filter(|lease| lease.holds(&key)).collect();
    let by: Vec<String> = holding.iter().map(|lease| described(lease, when)).collect();
    let can_be_released = holding.iter().all(|lease| lease.kind == LeaseKind::Hold);
    (!by.is_empty()).then(|| Finding::of(Fault::held(&server.id, &by, can_be_released), &server.id))
}

/// A time as other checks say it.
fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}
