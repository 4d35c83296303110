//! What a host tells of its sleep.

use super::lasting::BootFiles;

/// What a script on the host told, besides what is looked at before a power call.
#[derive(Debug, Clone, Default)]
pub(crate) struct SleepFacts {
    /// The sleep states of its kernel: `freeze mem disk, s2idle [deep]`.
    pub(crate) states: Option<String>,
    /// What it is a guest of: `kvm`, `lxc`; `None`: it is no guest, or does not say.
    pub(crate) virtual_machine: Option<String>,
    /// Locks of logind, and since when their holders run.
    pub(crate) held: Vec<Held>,
    /// The nodes of its cluster: how many, and how many of them are online.
    pub(crate) members: Option<(usize, usize)>,
    /// What says whether Wake-on-LAN will be armed after the next boot.
    pub(crate) boot: BootFiles,
    /// Programs that could send magic packets for others.
    pub(crate) senders: Vec<String>,
}

/// Who holds a lock of logind's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) who: String,
    pub(crate) why: String,
    /// For how long the process runs that holds it.
    pub(crate) seconds: Option<u64>,
}
