//! How `ecobox snapshot` ends.

use crate::exit::Exit;
use crate::fleet::act::snapshot::{SnapshotEnd, SnapshotPlan, SnapshotStep};
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::check::CheckId;
use crate::model::power::Finding;

/// The exit status of a refusal: another guest under a number is a matter of identity. A privilege that is missing, and
/// nothing else, is what Proxmox VE would have refused the call for.
fn refusal(findings: &[Finding]) -> Exit {
    let mut against = findings.iter().filter(|finding| !finding.allowed).peekable();
    if against.clone().any(|finding| finding.id == CheckId::IdentityChanged) {
        Exit::Identity
    } else if against.peek().is_some() && against.all(|finding| finding.id == CheckId::PrivilegeMissing) {
        Exit::Denied
    } else {
        Exit::Refused
    }
}

/// Why a step was not begun.
fn before(step: &SnapshotStep) -> Option<Exit> {
    if let Some(cannot) = &step.cannot {
        return Some(cannot.kind.map_or(Exit::Refused, Exit::from));
    }
    (!step.is_clear()).then(|| refusal(&step.findings))
}

/// The exit status of a plan that is only shown, or of which nothing could be begun.
pub(super) fn exit_of_plan(plan: &SnapshotPlan) -> Exit {
    let failed: Vec<Exit> = plan.steps.iter().filter_map(before).collect();
    if !plan.goes_on() {
        return Exit::of_many(0, failed);
    }
    Exit::of_many(plan.steps.len() - failed.len(), failed)
}

fn of_report(report: &StepReport) -> Option<Exit> {
    match report.how {
        StepOutcome::Done | StepOutcome::Already | StepOutcome::Sent | StepOutcome::Needed | StepOutcome::NotTried => {
            None
        }
        StepOutcome::TaskFailed => Some(Exit::TaskFailed),
        StepOutcome::Unconfirmed => Some(Exit::Unconfirmed),
        StepOutcome::Refused => Some(refusal(&report.findings)),
        StepOutcome::Failed(kind) => Some(kind.into()),
    }
}

/// The exit status of a plan that was carried out. What `--keep` could not delete is a failure beside the new snapshot.
pub(super) fn exit_of(plan: &SnapshotPlan, ends: &[Option<SnapshotEnd>]) -> Exit {
    let mut failed: Vec<Exit> = plan.steps.iter().filter_map(before).collect();
    let mut good = plan.steps.iter().filter(|step| step.cannot.is_none() && step.call.is_none()).count();
    for end in ends.iter().flatten() {
        match of_report(&end.report) {
            None => good += 1,
            Some(exit) => failed.push(exit),
        }
        failed.extend(end.kept.iter().filter_map(|(_, report)| of_report(report)));
    }
    Exit::of_many(good, failed)
}
