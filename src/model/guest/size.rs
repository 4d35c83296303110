//! What a guest is allocated, as its configuration in force says it, and whether it reports how much memory it needs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::id::GuestKind;

/// Bytes of a mebibyte, the unit of the configuration.
pub(crate) const MIB: f64 = 1_048_576.0;

/// What a guest is allocated. Kept in the state file, for guests whose node is off.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GuestSize {
    /// Of a virtual machine: for each socket. `None`: one, or for a container all that its node has.
    pub(crate) cores: Option<u32>,
    pub(crate) sockets: Option<u32>,
    /// How many of them are plugged in.
    pub(crate) vcpus: Option<u32>,
    /// How many cores' worth of time it may use; `None`: no limit.
    pub(crate) cpu_limit: Option<f64>,
    pub(crate) memory_mib: Option<u64>,
    /// The least memory that its host leaves it. `None`: all of it; 0: there is no balloon device.
    pub(crate) balloon_mib: Option<u64>,
    /// Of a container.
    pub(crate) swap_mib: Option<u64>,
    pub(crate) ostype: Option<String>,
    /// The type of CPU that a virtual machine sees: `host`, `x86-64-v2-AES`.
    pub(crate) cpu_type: Option<String>,
    /// What can be changed while it runs: `network,disk,usb`.
    pub(crate) hotplug: Option<String>,
    pub(crate) numa: bool,
    /// When a virtual machine was made; a container does not say.
    pub(crate) made_at: Option<Timestamp>,
    pub(crate) volumes: Vec<Volume>,
    /// Devices and folders of its node that it uses, by their keys: `hostpci0`, `mp0`.
    pub(crate) bound: Vec<String>,
    pub(crate) balloon: Balloon,
}

/// A disk of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) storage: String,
    pub(crate) bytes: Option<u64>,
}

/// What a virtual machine's balloon driver reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Balloon {
    /// It was not looked at, or does not run.
    #[default]
    Unknown,
    /// Nothing: how much memory the guest itself uses is not known.
    Silent,
    /// How much is free in the guest; its host leaves it this many bytes now.
    Reports { actual: Option<u64> },
}

impl GuestSize {
    /// How many CPUs it has, as far as its own configuration says.
    pub(crate) fn cpus(&self, kind: GuestKind) -> Option<u32> {
        match kind {
            GuestKind::Qemu => Some(self.vcpus.unwrap_or_else(|| self.sockets() * self.cores.unwrap_or(1))),
            GuestKind::Lxc => self.cores,
        }
    }

    /// At least one.
    pub(crate) fn sockets(&self) -> u32 {
        self.sockets.unwrap_or(1).max(1)
    }

    /// What is in force where the configuration says nothing.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.memory_mib.unwrap_or(512)
    }

    /// Whether a change of this (`cpu`, `memory`) takes effect while it runs.
    pub(crate) fn hotplugs(&self, what: &str) -> bool {
        let words = self.hotplug.as_deref().unwrap_or("network,disk,usb");
        // `1` stands for the usual ones.
        words.split([',', ';']).any(|word| word.trim() == what) && (what != "memory" || self.numa)
    }

    /// Whether it runs Windows.
    pub(crate) fn is_windows(&self) -> bool {
        self.ostype.as_deref().is_some_and(|ostype| ostype.starts_with('w'))
    }
}
