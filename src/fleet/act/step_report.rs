//! What came of a step.

use std::time::{Duration, Instant};

use crate::model::check::CheckId;
use crate::model::id::{ServerId, Upid};
use crate::model::inventory::{Failed, FailureKind};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{Finding, PowerState};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    /// The wanted state was seen.
    Done,
    /// It was there before.
    Already,
    /// Sent, and not waited for.
    Sent,
    /// The task on the host failed.
    TaskFailed,
    /// Sent; what came of it is not known.
    Unconfirmed,
    /// Nothing was done because somebody needs the host.
    Needed,
    /// Something stands against it.
    Refused,
    /// It could not be done; nothing was sent, or what was sent was refused.
    Failed(FailureKind),
    /// A step that it needs did not succeed.
    NotTried,
}

impl StepOutcome {
    /// Whether what needs the step may go on.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, StepOutcome::Done | StepOutcome::Already | StepOutcome::Sent)
    }

    /// The word for it where people read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StepOutcome::Done => "done",
            StepOutcome::Already => "already",
            StepOutcome::Sent => "sent",
            StepOutcome::TaskFailed => "task failed",
            StepOutcome::Unconfirmed => "unconfirmed",
            StepOutcome::Needed => "needed",
            StepOutcome::Refused => "refused",
            StepOutcome::Failed(_) => "failed",
            StepOutcome::NotTried => "not tried",
        }
    }

    /// The word for it in the state file; `None`: nothing was begun.
    pub(super) fn outcome(self) -> Option<ActionOutcome> {
        Some(match self {
            StepOutcome::Done | StepOutcome::Sent => ActionOutcome::Done,
            StepOutcome::Already => ActionOutcome::Already,
            StepOutcome::TaskFailed | StepOutcome::Failed(_) => ActionOutcome::Failed,
            StepOutcome::Unconfirmed => ActionOutcome::Unconfirmed,
            StepOutcome::Refused => ActionOutcome::Refused,
            StepOutcome::NotTried | StepOutcome::Needed => return None,
        })
    }
}

/// What came of a step.
#[derive(Debug, Clone)]
pub(crate) struct StepReport {
    pub(crate) how: StepOutcome,
    /// Why, or what more there is to say.
    pub(crate) detail: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The state that was seen last.
    pub(crate) state: Option<PowerState>,
    /// When that was.
    pub(super) seen_at: Option<Instant>,
    pub(crate) upid: Option<Upid>,
    /// The last lines of a task that failed.
    pub(crate) log: Vec<String>,
    /// What was found against it when its turn had come.
    pub(crate) findings: Vec<Finding>,
    pub(crate) took: Duration,
}

impl StepReport {
    pub(super) fn new(how: StepOutcome) -> StepReport {
        StepReport {
            how,
            detail: None,
            hint: None,
            state: None,
            seen_at: None,
            upid: None,
            log: Vec::new(),
            findings: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub(in crate::fleet) fn because(how: StepOutcome, detail: impl Into<String>) -> StepReport {
        StepReport { detail: Some(detail.into()), ..StepReport::new(how) }
    }

    /// A refusal by what was found.
    pub(super) fn refused(findings: Vec<Finding>) -> StepReport {
        let first = findings.iter().find(|finding| !finding.allowed).map(|finding| finding.message.clone());
        StepReport { findings, detail: first, ..StepReport::new(StepOutcome::Refused) }
    }

    /// Like `self`; a refusal only because somebody began to need the host after the plan was made is none.
    pub(super) fn needed_meanwhile(self) -> StepReport {
        let mut against = self.findings.iter().filter(|finding| !finding.allowed).peekable();
        let needed = self.how == StepOutcome::Refused
            && against.peek().is_some()
            && against.all(|finding| CheckId::NEEDS.contains(&finding.id));
        if needed { StepReport { how: StepOutcome::Needed, findings: Vec::new(), ..self } } else { self }
    }

    /// A failure of a transport: nothing was sent, or it was refused.
    pub(super) fn failed(server: &ServerId, failed: Failed) -> StepReport {
        // The server is named where this is shown.
        let message = failed.message.strip_prefix(&format!("{server}: ")).unwrap_or(&failed.message);
        StepReport { hint: failed.advice, ..StepReport::because(StepOutcome::Failed(failed.kind), message) }
    }

    pub(super) fn seen(self, state: PowerState) -> StepReport {
        StepReport { state: Some(state), seen_at: Some(Instant::now()), ..self }
    }
}
