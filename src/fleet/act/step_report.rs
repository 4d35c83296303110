//! What came of a step.

use std::time::{Duration, Instant};

use crate::model::id::{ServerId, Upid};
use crate::model::inventory::{Failed, FailureKind};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{Finding, PowerState};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
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
    /// Something stands against it.
    Refused,
    /// It could not be done; nothing was sent, or what was sent was refused.
    Failed(FailureKind),
    /// A step that it needs did not succeed.
    NotTried,
}

impl How {
    /// Whether what needs the step may go on.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, How::Done | How::Already | How::Sent)
    }

    /// The word for it where people read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            How::Done => "done",
            How::Already => "already",
            How::Sent => "sent",
            How::TaskFailed => "task failed",
            How::Unconfirmed => "unconfirmed",
            How::Refused => "refused",
            How::Failed(_) => "failed",
            How::NotTried => "not tried",
        }
    }

    /// The word for it in the state file; `None`: nothing was begun.
    pub(super) fn outcome(self) -> Option<ActionOutcome> {
        Some(match self {
            How::Done | How::Sent => ActionOutcome::Done,
            How::Already => ActionOutcome::Already,
            How::TaskFailed | How::Failed(_) => ActionOutcome::Failed,
            How::Unconfirmed => ActionOutcome::Unconfirmed,
            How::Refused => ActionOutcome::Refused,
            How::NotTried => return None,
        })
    }
}

/// What came of a step.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) how: How,
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

impl Ended {
    pub(super) fn new(how: How) -> Ended {
        Ended {
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

    pub(super) fn because(how: How, detail: impl Into<String>) -> Ended {
        Ended { detail: Some(detail.into()), ..Ended::new(how) }
    }

    /// A refusal by what was found.
    pub(super) fn refused(findings: Vec<Finding>) -> Ended {
        let first = findings.iter().find(|finding| !finding.allowed).map(|finding| finding.message.clone());
        Ended { findings, detail: first, ..Ended::new(How::Refused) }
    }

    /// A failure of a transport: nothing was sent, or it was refused.
    pub(super) fn failed(server: &ServerId, failed: Failed) -> Ended {
        // Whoever shows it names the server.
        let message = failed.message.strip_prefix(&format!("{server}: ")).unwrap_or(&failed.message);
        Ended { hint: failed.advice, ..Ended::because(How::Failed(failed.kind), message) }
    }

    pub(super) fn seen(self, state: PowerState) -> Ended {
        Ended { state: Some(state), seen_at: Some(Instant::now()), ..self }
    }
}
