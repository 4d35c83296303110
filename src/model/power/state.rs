//! What a server does, and what the words of Proxmox VE's API mean.

use serde::{Deserialize, Serialize};

use crate::model::text::words::words;

/// What a server does, as observed. `Unknown`: nothing could tell.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PowerState {
    /// A guest executes.
    Running,
    /// A guest is off.
    Stopped,
    /// A guest's virtual CPUs are halted; its memory stays allocated.
    Paused,
    /// A guest is off, its memory is saved on disk.
    Hibernated,
    /// A host or plain server answers.
    Online,
    /// A host or plain server does not answer.
    Offline,
    /// A host or plain server does not answer because ecobox put it to sleep.
    Asleep,
    Unknown,
}

words!(PowerState: all => {
    Running = "running",
    Stopped = "stopped",
    Paused = "paused",
    Hibernated = "hibernated",
    Online = "online",
    Offline = "offline",
    Asleep = "asleep",
    Unknown = "unknown",
});

impl PowerState {
    /// The state named `text`; a name that is not known reads as `Unknown`.
    pub(crate) fn parse(text: &str) -> PowerState {
        PowerState::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(PowerState::Unknown)
    }

    /// Whether services of a server in this state can answer.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, PowerState::Running | PowerState::Online)
    }

    /// The state of a guest from the words of the API.
    ///
    /// `status` is `/cluster/resources`' or `status/current`'s, `qmpstatus` only the latter's. PVE keeps
    /// saying `running` for up to five minutes after a node died, so a node that is not online makes its
    /// guests unknown whatever the listing says. A hibernated guest reads `stopped` with the lock
    /// `suspended`; where a listing has the lock already and still says `running`, the lock is newer.
    /// `prelaunch` and `suspended` (ACPI S3) execute nothing, as `paused`.
    pub(crate) fn of_guest(status: &str, qmpstatus: Option<&str>, lock: Option<&str>, node_online: bool) -> PowerState {
        if !node_online {
            return PowerState::Unknown;
        }
        match qmpstatus.unwrap_or(status) {
            "stopped" if lock == Some("suspended") => PowerState::Hibernated,
            "running" if lock == Some("suspended") && qmpstatus.is_none() => PowerState::Hibernated,
            "stopped" => PowerState::Stopped,
            "running" => PowerState::Running,
            // From `io-error` on halted by QEMU itself: the process is there and executes nothing.
            "paused" | "prelaunch" | "suspended" | "io-error" | "internal-error" | "guest-panicked" | "watchdog"
            | "shutdown" | "postmigrate" | "finish-migrate" | "save-vm" | "restore-vm" | "inmigrate" | "colo"
            | "preconfig" => PowerState::Paused,
            _ => PowerState::Unknown,
        }
    }
}

impl std::fmt::Display for PowerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_told_apart() {
        use PowerState::*;
        let cases = [
            ("running", None, None, true, Running),
            ("running", None, Some("suspended"), true, Hibernated),
            ("running", Some("running"), Some("suspended"), true, Running),
            ("running", None, Some("suspending"), true, Running),
            ("running", Some("running"), Some("backup"), true, Running),
            ("running", Some("paused"), None, true, Paused),
            ("paused", None, None, true, Paused),
            ("running", Some("prelaunch"), None, true, Paused),
            ("running", Some("suspended"), None, true, Paused),
            ("io-error", None, None, true, Paused),
            ("stopped", None, None, true, Stopped),
            ("stopped", None, Some("backup"), true, Stopped),
            ("stopped", None, Some("suspended"), true, Hibernated),
            ("stopped", None, Some("suspending"), true, Stopped),
            ("unknown", None, None, true, Unknown),
            ("", None, None, true, Unknown),
            ("running", None, None, false, Unknown),
            ("stopped", None, Some("suspended"), false, Unknown),
        ];
        for (status, qmp, lock, online, want) in cases {
            assert_eq!(PowerState::of_guest(status, qmp, lock, online), want, "{status} {qmp:?} {lock:?} {online}");
        }
    }

    #[test]
    fn names_round_trip() {
        for state in PowerState::ALL {
            assert_eq!(PowerState::parse(state.as_str()), state);
        }
        assert_eq!(PowerState::parse("flying"), PowerState::Unknown);
    }
}
