//! A guest as one asks about it before and after a power action.

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

/// When a guest is started and ended among others: its configuration's `startup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Startup {
    /// Lower ones start first; none: after all others.
    pub(crate) order: Option<u32>,
    /// How long the next one waits after its start.
    pub(crate) up_seconds: Option<u32>,
    /// How long a clean shutdown may take.
    pub(crate) down_seconds: Option<u32>,
}
