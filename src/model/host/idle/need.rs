//! What needs a host: one reason why it stays awake.

use serde::{Deserialize, Serialize};

use crate::model::check::CheckId;
use crate::model::power::Finding;
use crate::model::text::words::words;

/// What kind of reason it is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NeedKind {
    /// Somebody is logged in.
    Login,
    /// Somebody is connected to a service or file server.
    Connection,
    /// A program asked logind not to sleep.
    Inhibitor,
    Lease,
    /// A task of Proxmox VE.
    Task,
    Backup,
    /// A package manager, a backup program, a check of disks.
    Work,
    /// CPU, network or disks between two readings.
    Load,
    /// The same, on average over the window.
    Average,
    /// A guest runs, or works.
    Guest,
    /// A timer or a backup job is due within the window.
    Timer,
    /// The configured command.
    Command,
    /// The configured times of day.
    Hours,
    /// The cluster would lose quorum.
    Quorum,
    /// Something that could not be looked at, which is no proof of idleness.
    Unknown,
}

words!(NeedKind: parse => {
    Login = "login",
    Connection = "connection",
    Inhibitor = "inhibitor",
    Lease = "lease",
    Task = "task",
    Backup = "backup",
    Work = "work",
    Load = "load",
    Average = "average",
    Guest = "guest",
    Timer = "timer",
    Command = "command",
    Hours = "hours",
    Quorum = "quorum",
    Unknown = "unknown",
});

impl NeedKind {
    /// Whether somebody or something uses the host at this moment, so that the window begins again. What only forbids sleep
    /// now does not.
    pub(crate) fn is_use(self) -> bool {
        !matches!(self, NeedKind::Average | NeedKind::Timer | NeedKind::Hours | NeedKind::Quorum)
    }

    /// The check of `power` that finds the same, for `--allow`.
    pub(crate) fn check(self) -> CheckId {
        match self {
            NeedKind::Login => CheckId::LoggedInUsers,
            NeedKind::Inhibitor => CheckId::SleepInhibited,
            NeedKind::Lease => CheckId::Held,
            NeedKind::Task => CheckId::TasksRunning,
            NeedKind::Backup => CheckId::BackupRunning,
            NeedKind::Guest => CheckId::RunningGuests,
            NeedKind::Quorum => CheckId::QuorumLost,
            NeedKind::Connection
            | NeedKind::Work
            | NeedKind::Load
            | NeedKind::Average
            | NeedKind::Timer
            | NeedKind::Command
            | NeedKind::Hours
            | NeedKind::Unknown => CheckId::InUse,
        }
    }
}

/// One reason.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Need {
    pub(crate) kind: NeedKind,
    /// What it is, the same at each look, so that looks add up: `SMB from 10.0.0.5`, `CPU`.
    pub(crate) what: String,
    /// The same with what was measured at this look: `CPU at 34 %`.
    pub(crate) text: String,
}

impl Need {
    pub(crate) fn new(kind: NeedKind, what: impl Into<String>) -> Need {
        let what = what.into();
        Need { kind, text: what.clone(), what }
    }

    /// With what was measured.
    pub(crate) fn saying(self, text: impl Into<String>) -> Need {
        Need { text: text.into(), ..self }
    }

    /// What a failed check says of a host or one of its guests, where the check is about need.
    pub(crate) fn of_finding(finding: &Finding, of: &str) -> Option<Need> {
        let (kind, what) = match finding.id {
            CheckId::GuestLocked => (NeedKind::Guest, "a guest is locked"),
            CheckId::BackupRunning => (NeedKind::Backup, "a backup runs"),
            CheckId::TasksRunning => (NeedKind::Task, "tasks run"),
            CheckId::RunningGuests => (NeedKind::Guest, "guests run"),
            CheckId::LoggedInUsers => (NeedKind::Login, "somebody is logged in"),
            CheckId::SleepInhibited => (NeedKind::Inhibitor, "programs ask not to sleep"),
            CheckId::Held => (NeedKind::Lease, "a lease holds it"),
            CheckId::QuorumLost => (NeedKind::Quorum, "its cluster would lose quorum"),
            CheckId::InUse => (NeedKind::Work, "it is in use"),
            _ => return None,
        };
        Some(Need::new(kind, what).saying(format!("{of}{}", finding.message)))
    }
}

/// Reasons in one line, the first ones by name.
pub(crate) fn listed<'n>(needs: impl IntoIterator<Item = &'n Need>) -> String {
    const NAMED: usize = 5;
    let texts: Vec<&str> = needs.into_iter().map(|need| need.text.as_str()).collect();
    let more = texts.len().saturating_sub(NAMED);
    let named = texts.get(..NAMED).unwrap_or(&texts).join("; ");
    if more > 0 { format!("{named}; and {more} more") } else { named }
}
