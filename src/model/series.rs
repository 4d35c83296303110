//! Numbers over time: one form, whoever kept them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::model::usage::Source;

/// What is measured over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    /// Percent of the server's own CPUs.
    Cpu,
    /// Load average over one minute.
    Load,
    /// Bytes in use.
    Memory,
    /// Bytes in use on the root file system.
    Disk,
    /// Bytes a second.
    Receive,
    Transmit,
    Read,
    Write,
    /// Percent of the time that somebody waited for a CPU, for memory, for a disk.
    PressureCpu,
    PressureMemory,
    PressureIo,
}

/// What a metric's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Bytes,
    BytesPerSecond,
    Plain,
}

impl Metric {
    pub(crate) const ALL: [Metric; 11] = [
        Metric::Cpu,
        Metric::Load,
        Metric::Memory,
        Metric::Disk,
        Metric::Receive,
        Metric::Transmit,
        Metric::Read,
        Metric::Write,
        Metric::PressureCpu,
        Metric::PressureMemory,
        Metric::PressureIo,
    ];

    /// The word for it on the command line and in reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Metric::Cpu => "cpu",
            Metric::Load => "load",
            Metric::Memory => "memory",
            Metric::Disk => "disk",
            Metric::Receive => "receive",
            Metric::Transmit => "transmit",
            Metric::Read => "read",
            Metric::Write => "write",
            Metric::PressureCpu => "pressure-cpu",
            Metric::PressureMemory => "pressure-memory",
            Metric::PressureIo => "pressure-io",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Metric::Cpu | Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo => Unit::Percent,
            Metric::Load => Unit::Plain,
            Metric::Memory | Metric::Disk => Unit::Bytes,
            Metric::Receive | Metric::Transmit | Metric::Read | Metric::Write => Unit::BytesPerSecond,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The time that is looked at, in steps that begin at multiples of their length since 1970, so that two looks share
/// their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Whole seconds, at least one.
    pub(crate) step: SignedDuration,
}

/// One step: what was measured in it. `None`: nobody measured then; a gap stays a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// When the step begins.
    pub(crate) at: Timestamp,
    pub(crate) avg: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// A metric of one server over a window: a point for each step, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) metric: Metric,
    /// Who kept it: the state file (`cache`), Proxmox VE (`rrd`) or Prometheus.
    pub(crate) source: Source,
    pub(crate) window: Window,
    pub(crate) points: Vec<Point>,
}
