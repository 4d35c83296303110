//! The reasons not to: what is looked at before a server's power is changed.

use serde::Serialize;

use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::id::ServerId;

/// An option that makes a plan of which a finding is no part any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remedy {
    /// Saying what becomes of the guests.
    Guests,
    /// Arming Wake-on-LAN first.
    ArmWol,
    /// Stopping what does not shut down.
    ThenStop,
}

/// A check that found something.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) id: CheckId,
    /// The server that it was found at.
    pub(crate) server: ServerId,
    /// What was found, without the server's name.
    pub(crate) message: String,
    /// What fixes it, if something does.
    pub(crate) fix: Option<String>,
    /// Whether the action can succeed despite it. If Proxmox VE or the host refuses it anyway, no override is offered.
    pub(crate) overridable: bool,
    /// The user overrides it.
    pub(crate) allowed: bool,
    /// Whether `doctor` finds it, too.
    #[serde(skip)]
    pub(crate) lasts: bool,
    /// The option that fixes it, where one does.
    #[serde(skip)]
    pub(crate) remedy: Option<Remedy>,
}

impl Finding {
    /// One that stands against the action until it is allowed.
    pub(crate) fn of(fault: Fault, server: &ServerId) -> Finding {
        let Fault { id, finding, fix, lasts } = fault;
        Finding {
            id,
            server: server.clone(),
            message: finding,
            fix: fix.map(|fix| fix.text),
            overridable: true,
            allowed: false,
            lasts,
            remedy: None,
        }
    }

    /// This finding, but not to be overridden: Proxmox VE or the host would refuse the action anyway.
    pub(crate) fn final_word(self) -> Finding {
        Finding { overridable: false, ..self }
    }

    /// Puts other words in its place: more is known of the same fault.
    pub(crate) fn say(&mut self, fault: Fault) {
        (self.message, self.fix, self.lasts) = (fault.finding, fault.fix.map(|fix| fix.text), fault.lasts);
    }

    /// What to do about it: what fixes it, and the override if one helps.
    pub(crate) fn hint(&self) -> Option<String> {
        let Finding { id, fix, overridable, .. } = self;
        match (fix, overridable) {
            (Some(fix), true) => Some(format!("{fix}; or add `--allow {id}`")),
            (Some(fix), false) => Some(format!("{fix} ({id})")),
            (None, true) => Some(format!("add `--allow {id}`")),
            (None, false) => None,
        }
    }
}

/// Marks what the user allows; gives whether nothing stands against the action any more.
pub(crate) fn allow(findings: &mut [Finding], allowed: &[CheckId]) -> bool {
    for finding in findings.iter_mut().filter(|finding| allowed.contains(&finding.id)) {
        finding.allowed = true;
    }
    findings.iter().all(|finding| finding.allowed)
}
