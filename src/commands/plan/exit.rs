//! How a command ends that carried out a plan.

use crate::exit::Exit;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::check::CheckId;
use crate::model::power::{Finding, Plan, StepKind, StepReason};

/// The exit status of a refusal: another guest under a number is a matter of identity. A privilege that is missing, and
/// nothing else, is what Proxmox VE would have refused the call for.
pub(crate) fn refusal(findings: &[Finding]) -> Exit {
    let mut against = findings.iter().filter(|finding| !finding.allowed).peekable();
    if against.clone().any(|finding| finding.id == CheckId::IdentityChanged) {
        Exit::Identity
    } else if against.peek().is_some() && against.all(|finding| finding.id == CheckId::PrivilegeMissing) {
        Exit::Denied
    } else {
        Exit::Refused
    }
}

/// The exit status of a plan that is only shown.
pub(crate) fn exit_of_plan(plan: &Plan) -> Exit {
    let cannot = plan.steps.iter().filter(|step| !step.is_of_finding()).filter_map(|step| match &step.does {
        StepKind::Cannot { kind, .. } => Some(kind.map_or(Exit::Refused, Exit::from)),
        _ => None,
    });
    // What needs a step that cannot be done is not tried.
    let mut could: Vec<bool> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let can = !matches!(step.does, StepKind::Cannot { .. });
        could.push(can && step.needs.iter().all(|need| could.get(*need).copied().unwrap_or(true)));
    }
    let could = plan.steps.iter().zip(could).filter(|(step, could)| step.why == StepReason::Asked && *could);
    Exit::of_many(could.count(), cannot)
}

/// The exit status of a plan that was carried out.
pub(crate) fn exit_of(plan: &Plan, ends: &[StepReport]) -> Exit {
    let asked = plan.steps.iter().zip(ends).filter(|(step, _)| step.why == StepReason::Asked);
    let good = asked.filter(|(_, end)| end.how.is_good()).count();
    let ends = plan.steps.iter().zip(ends).filter(|(step, _)| !step.is_of_finding()).map(|(_, end)| end);
    let failed = ends.filter_map(|end| match end.how {
        StepOutcome::Done | StepOutcome::Already | StepOutcome::Sent | StepOutcome::Needed | StepOutcome::NotTried => {
            None
        }
        StepOutcome::TaskFailed => Some(Exit::TaskFailed),
        StepOutcome::Unconfirmed => Some(Exit::Unconfirmed),
        StepOutcome::Refused => Some(refusal(&end.findings)),
        StepOutcome::Failed(kind) => Some(kind.into()),
    });
    Exit::of_many(good, failed)
}
