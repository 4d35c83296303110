//! The reasons not to: what is looked at before a server's power is changed.

use serde::Serialize;

use crate::model::id::ServerId;

/// What speaks against an action. The names are a contract: `--allow ID` and scripts use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CheckId {
    /// The guest's configuration is locked by something that works on it.
    GuestLocked,
    /// A backup runs.
    BackupRunning,
    /// Other tasks run on the node, or of the guest.
    TasksRunning,
    /// The HA manager decides about the guest, or watches the node.
    HaManaged,
    /// The cluster has no quorum, or would lose it with this node.
    QuorumLost,
    /// Guests, or servers that hang on it, still run.
    RunningGuests,
    /// Somebody is logged in.
    LoggedInUsers,
    /// A program asked not to sleep or shut down now.
    SleepInhibited,
    /// The host was configured never to sleep.
    SleepMasked,
    /// The network card would not wake it.
    WolNotArmed,
    /// Nobody could wake it again.
    NoWakePath,
    /// It is what ecobox runs on, or depends on.
    #[serde(rename = "self")]
    Itself,
    /// Another guest stands under this number now.
    IdentityChanged,
    /// It is a template.
    Template,
    /// The guest agent is enabled and does not answer.
    NoAgent,
    /// The API token may not do it.
    PrivilegeMissing,
}

impl CheckId {
    /// Each once, in the order of the documentation.
    pub(crate) const ALL: [CheckId; 16] = [
        CheckId::GuestLocked,
        CheckId::BackupRunning,
        CheckId::TasksRunning,
        CheckId::HaManaged,
        CheckId::QuorumLost,
        CheckId::RunningGuests,
        CheckId::LoggedInUsers,
        CheckId::SleepInhibited,
        CheckId::SleepMasked,
        CheckId::WolNotArmed,
        CheckId::NoWakePath,
        CheckId::Itself,
        CheckId::IdentityChanged,
        CheckId::Template,
        CheckId::NoAgent,
        CheckId::PrivilegeMissing,
    ];

    /// The name as typed after `--allow`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CheckId::GuestLocked => "guest-locked",
            CheckId::BackupRunning => "backup-running",
            CheckId::TasksRunning => "tasks-running",
            CheckId::HaManaged => "ha-managed",
            CheckId::QuorumLost => "quorum-lost",
            CheckId::RunningGuests => "running-guests",
            CheckId::LoggedInUsers => "logged-in-users",
            CheckId::SleepInhibited => "sleep-inhibited",
            CheckId::SleepMasked => "sleep-masked",
            CheckId::WolNotArmed => "wol-not-armed",
            CheckId::NoWakePath => "no-wake-path",
            CheckId::Itself => "self",
            CheckId::IdentityChanged => "identity-changed",
            CheckId::Template => "template",
            CheckId::NoAgent => "no-agent",
            CheckId::PrivilegeMissing => "privilege-missing",
        }
    }
}

impl std::fmt::Display for CheckId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) id: CheckId,
    /// The server that it was found at.
    pub(crate) server: ServerId,
    /// What was found, without the server's name.
    pub(crate) message: String,
    /// What mends it, where something does.
    pub(crate) fix: Option<String>,
    /// Whether the action can succeed in spite of it. Where somebody else refuses it anyway, nobody is told to allow it.
    pub(crate) overridable: bool,
    /// The user said that it shall not matter.
    pub(crate) allowed: bool,
    /// The option that fixes it, where one does.
    #[serde(skip)]
    pub(crate) remedy: Option<Remedy>,
}

impl Finding {
    /// One that stands against the action until it is allowed.
    pub(crate) fn new(id: CheckId, server: &ServerId, message: impl Into<String>) -> Finding {
        Finding {
            id,
            server: server.clone(),
            message: message.into(),
            fix: None,
            overridable: true,
            allowed: false,
            remedy: None,
        }
    }

    /// The same that nothing is gained by allowing: whoever carries the action out refuses it.
    pub(crate) fn final_word(self) -> Finding {
        Finding { overridable: false, ..self }
    }

    /// The same with what mends it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into());
        self
    }

    /// What to do about it: what mends it, and the override where one helps.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for id in CheckId::ALL {
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        }
    }

    #[test]
    fn each_check_is_documented_once() {
        let text = include_str!("../../../docs/power.md");
        let table =
            text.split_once("| check | found | how to fix it |").expect("docs/power.md has the table of checks").1;
        let table = table.split_once("\n\n").expect("the table ends").0;
        for id in CheckId::ALL {
            assert_eq!(table.matches(&format!("\n| `{id}` | ")).count(), 1, "{id}");
        }
        assert_eq!(table.matches("\n| `").count(), CheckId::ALL.len());
    }
}
