//! What can be asked of a server's power, in Proxmox VE's words.

use serde::{Deserialize, Serialize};

use crate::model::guest::GuestCall;
use crate::model::power::PowerState;
use crate::model::text::words::words;

/// What a step does with a server: one verb of `ecobox power`, or a migration. The words mean what they mean in Proxmox VE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PowerAction {
    /// On, whatever that takes: a guest is started or resumed, a host is woken.
    Start,
    /// Off, and the system may finish what it does.
    Shutdown,
    /// Off at once, as if the plug were pulled. Guests only.
    Stop,
    /// Off and on again, cleanly.
    Reboot,
    /// The reset button of a virtual machine.
    Reset,
    /// A guest's CPUs are halted, its memory stays; a host sleeps, its memory stays powered.
    Suspend,
    /// The memory goes to disk, then the power goes off.
    Hibernate,
    /// A guest that is paused or hibernated goes on.
    Resume,
    /// A host is woken by Wake-on-LAN.
    Wake,
    /// A guest goes to another node. No verb of `power`.
    Migrate,
}

words!(PowerAction: all, parse => {
    Start = "start",
    Shutdown = "shutdown",
    Stop = "stop",
    Reboot = "reboot",
    Reset = "reset",
    Suspend = "suspend",
    Hibernate = "hibernate",
    Resume = "resume",
    Wake = "wake",
    Migrate = "migrate",
});

impl PowerAction {
    /// The verbs of `ecobox power`.
    pub(crate) fn verbs() -> impl Iterator<Item = PowerAction> {
        PowerAction::ALL.into_iter().filter(|action| *action != PowerAction::Migrate)
    }

    /// Whether nothing that runs can be lost by it, so that the typed command is agreement enough.
    pub(crate) fn only_wakes(self) -> bool {
        matches!(self, PowerAction::Start | PowerAction::Resume | PowerAction::Wake)
    }

    /// Whether the server has less running afterwards, so that its guests and users have to be asked about.
    pub(crate) fn goes_down(self) -> bool {
        matches!(self, PowerAction::Shutdown | PowerAction::Suspend | PowerAction::Hibernate | PowerAction::Reboot)
    }
}

impl std::fmt::Display for PowerAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What must be seen of a guest before an action counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Goal {
    Running,
    Stopped,
    Paused,
    Hibernated,
    /// It runs, after it was off in between.
    Rebooted,
    /// It began from its reset vector; one that was paused stays so.
    Reset,
}

impl Goal {
    /// What a call to the API is for.
    pub(crate) fn of(call: &GuestCall) -> Goal {
        match call {
            GuestCall::Start | GuestCall::Resume => Goal::Running,
            GuestCall::Shutdown { .. } | GuestCall::Stop { .. } => Goal::Stopped,
            GuestCall::Reboot { .. } => Goal::Rebooted,
            GuestCall::Reset => Goal::Reset,
            GuestCall::Suspend => Goal::Paused,
            GuestCall::Hibernate => Goal::Hibernated,
        }
    }

    /// Whether this state shows it. A task that ended well is needed besides where the state was the same before.
    pub(crate) fn is_met_by(self, state: PowerState) -> bool {
        match self {
            Goal::Running | Goal::Rebooted => state == PowerState::Running,
            Goal::Reset => matches!(state, PowerState::Running | PowerState::Paused),
            Goal::Stopped => state == PowerState::Stopped,
            Goal::Paused => state == PowerState::Paused,
            Goal::Hibernated => state == PowerState::Hibernated,
        }
    }

    /// The state as a word for plans: `until it is running`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Goal::Running => "running",
            Goal::Stopped => "stopped",
            Goal::Paused => "paused",
            Goal::Hibernated => "hibernated",
            Goal::Rebooted => "running again",
            Goal::Reset => "reset",
        }
    }
}
