//! The power calls of the API, and the tasks that they start.

use crate::model::id::GuestKind;

/// A power call of the API, with Proxmox VE's meaning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestCall {
    Start,
    /// Clean: the guest is asked to end.
    Shutdown {
        /// Seconds; `None`: what the guest's `startup` says, else 60.
        timeout: Option<u32>,
        /// Kills it where it has not ended by then.
        force_stop: bool,
    },
    /// Hard.
    Stop {
        /// Ends a shutdown that is under way first. Proxmox VE before 8.2 does not know it and refuses the call.
        overrule_shutdown: bool,
    },
    Reboot {
        /// Seconds; `None`: as for a shutdown.
        timeout: Option<u32>,
    },
    /// Of virtual machines only.
    Reset,
    /// Halts the virtual CPUs; memory stays allocated.
    Suspend,
    /// Saves memory to disk and ends. Of virtual machines only; refused for one that HA manages.
    Hibernate,
    Resume,
}

impl GuestCall {
    /// The verb of `ecobox power`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GuestCall::Start => "start",
            GuestCall::Shutdown { .. } => "shutdown",
            GuestCall::Stop { .. } => "stop",
            GuestCall::Reboot { .. } => "reboot",
            GuestCall::Reset => "reset",
            GuestCall::Suspend => "suspend",
            GuestCall::Hibernate => "hibernate",
            GuestCall::Resume => "resume",
        }
    }

    /// The word in the path `/status/…` of the API, and the parameters.
    pub(crate) fn request(self) -> (&'static str, Vec<(&'static str, String)>) {
        let yes = |name: &'static str, wanted: bool| wanted.then(|| (name, "1".to_owned()));
        let seconds = |timeout: Option<u32>| timeout.map(|seconds| ("timeout", seconds.to_string()));
        match self {
            GuestCall::Shutdown { timeout, force_stop } => {
                ("shutdown", seconds(timeout).into_iter().chain(yes("forceStop", force_stop)).collect())
            }
            GuestCall::Stop { overrule_shutdown } => {
                ("stop", yes("overrule-shutdown", overrule_shutdown).into_iter().collect())
            }
            GuestCall::Reboot { timeout } => ("reboot", seconds(timeout).into_iter().collect()),
            GuestCall::Hibernate => ("suspend", yes("todisk", true).into_iter().collect()),
            GuestCall::Start | GuestCall::Reset | GuestCall::Suspend | GuestCall::Resume => (self.as_str(), vec![]),
        }
    }

    /// Whether Proxmox VE cannot carry it out without quorum. A start is refused then. To hibernate the configuration
    /// is written, and where that fails the image of the memory is left behind. A virtual machine's reboot ends with a
    /// start of its own (`qm cleanup`), so that it stays off. What HA does is written down for HA.
    pub(crate) fn needs_quorum(self, kind: GuestKind, ha_managed: bool) -> bool {
        match self {
            GuestCall::Start | GuestCall::Hibernate => true,
            GuestCall::Reboot { .. } => kind == GuestKind::Qemu,
            GuestCall::Shutdown { .. } | GuestCall::Stop { .. } => ha_managed,
            GuestCall::Reset | GuestCall::Suspend | GuestCall::Resume => false,
        }
    }

    /// The types of the tasks that it may start. For a guest that HA manages a request is queued instead.
    pub(crate) fn task_types(self, kind: GuestKind) -> &'static [&'static str] {
        match (kind, self) {
            (GuestKind::Qemu, GuestCall::Start) => &["qmstart", "hastart"],
            (GuestKind::Qemu, GuestCall::Shutdown { .. }) => &["qmshutdown", "hastop"],
            (GuestKind::Qemu, GuestCall::Stop { .. }) => &["qmstop", "hastop"],
            (GuestKind::Qemu, GuestCall::Reboot { .. }) => &["qmreboot"],
            (GuestKind::Qemu, GuestCall::Reset) => &["qmreset"],
            (GuestKind::Qemu, GuestCall::Suspend) => &["qmpause"],
            (GuestKind::Qemu, GuestCall::Hibernate) => &["qmsuspend"],
            (GuestKind::Qemu, GuestCall::Resume) => &["qmresume"],
            (GuestKind::Lxc, GuestCall::Start) => &["vzstart", "hastart"],
            (GuestKind::Lxc, GuestCall::Shutdown { .. }) => &["vzshutdown", "hastop"],
            (GuestKind::Lxc, GuestCall::Stop { .. }) => &["vzstop", "hastop"],
            (GuestKind::Lxc, GuestCall::Reboot { .. }) => &["vzreboot"],
            (GuestKind::Lxc, GuestCall::Suspend) => &["vzsuspend"],
            (GuestKind::Lxc, GuestCall::Resume) => &["vzresume"],
            (GuestKind::Lxc, GuestCall::Reset | GuestCall::Hibernate) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_as_the_api_wants_them() {
        for (call, want) in [
            (GuestCall::Start, "start"),
            (GuestCall::Shutdown { timeout: None, force_stop: false }, "shutdown"),
            (GuestCall::Shutdown { timeout: Some(90), force_stop: true }, "shutdown timeout=90 forceStop=1"),
            (GuestCall::Stop { overrule_shutdown: false }, "stop"),
            (GuestCall::Stop { overrule_shutdown: true }, "stop overrule-shutdown=1"),
            (GuestCall::Reboot { timeout: Some(5) }, "reboot timeout=5"),
            (GuestCall::Reset, "reset"),
            (GuestCall::Suspend, "suspend"),
            (GuestCall::Hibernate, "suspend todisk=1"),
            (GuestCall::Resume, "resume"),
        ] {
            let (word, parameters) = call.request();
            let parameters = parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            assert_eq!(word.to_owned() + &parameters.collect::<String>(), want);
        }
    }

    #[test]
    fn each_call_has_its_tasks() {
        let calls = [
            GuestCall::Start,
            GuestCall::Shutdown { timeout: None, force_stop: false },
            GuestCall::Stop { overrule_shutdown: false },
            GuestCall::Reboot { timeout: None },
            GuestCall::Reset,
            GuestCall::Suspend,
            GuestCall::Hibernate,
            GuestCall::Resume,
        ];
        let all = |kind| calls.map(|call| call.task_types(kind).join(" ")).join(", ");
        assert_eq!(
            all(GuestKind::Qemu),
            "qmstart hastart, qmshutdown hastop, qmstop hastop, qmreboot, qmreset, qmpause, qmsuspend, qmresume"
        );
        assert_eq!(
            all(GuestKind::Lxc),
            "vzstart hastart, vzshutdown hastop, vzstop hastop, vzreboot, , vzsuspend, , vzresume"
        );
    }
}
