//! One reading of a Linux host's own counters, and what two of them say together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::usage::{Pressure, Rates, Usage};

/// What the kernel of a host said at one moment. Kept in the state file as JSON, so that the next run needs no second
/// reading of its own. Times are the host's own clock since its boot: nobody sets that one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reading {
    /// `/proc/sys/kernel/random/boot_id`: counters of another boot cannot be compared.
    pub(crate) boot_id: Option<String>,
    /// Seconds since boot, to the hundredth (`/proc/uptime`).
    pub(crate) uptime: Option<f64>,
    pub(crate) cpu: Option<Ticks>,
    /// Bytes received and sent, by physical port.
    pub(crate) ports: BTreeMap<String, (u64, u64)>,
    /// Bytes read and written, by whole disk.
    pub(crate) disks: BTreeMap<String, (u64, u64)>,
}

/// Time that all CPUs together spent since boot, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticks {
    /// Neither idle nor waiting for a disk.
    pub(crate) busy: u64,
    pub(crate) total: u64,
}

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Filesystem {
    pub(crate) mount: String,
    pub(crate) used_bytes: u64,
    /// What users may fill: used and available, as `df` computes its percentage.
    pub(crate) size_bytes: u64,
}

/// What is known of a host's or plain server's load.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HostLoad {
    pub(crate) usage: Usage,
    pub(crate) pressure: Pressure,
    pub(crate) rates: Rates,
    /// Load averages over one, five and fifteen minutes.
    pub(crate) load: Option<[f32; 3]>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) swap_max_bytes: Option<u64>,
    /// ZFS's cache: given back when memory is short, and not part of `usage.memory_bytes`.
    pub(crate) arc_bytes: Option<u64>,
    /// The root file system first; more only where they were asked for.
    pub(crate) filesystems: Vec<Filesystem>,
    /// Why a number is unknown, or what is to be known about it, by the number's name.
    pub(crate) reasons: BTreeMap<&'static str, String>,
    /// Over how many seconds CPU and rates were measured.
    pub(crate) measured_seconds: Option<f64>,
}

/// A reading with the moment at which this machine had it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KnownReading {
    pub(crate) reading: Reading,
    pub(crate) at: Timestamp,
}
