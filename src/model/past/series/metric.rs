//! What is measured over time, and how its numbers leave ecobox.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::model::load::usage::{Count, Sample};
use crate::model::text::words::words;

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
    /// Watts that a host draws.
    Watts,
}

/// What a metric's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Bytes,
    BytesPerSecond,
    Watts,
    Plain,
}

words!(Metric: all, parse => {
    Cpu = "cpu",
    Load = "load",
    Memory = "memory",
    Disk = "disk",
    Receive = "receive",
    Transmit = "transmit",
    Read = "read",
    Write = "write",
    PressureCpu = "pressure-cpu",
    PressureMemory = "pressure-memory",
    PressureIo = "pressure-io",
    Watts = "watts",
});

impl Metric {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Metric::Cpu | Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo => Unit::Percent,
            Metric::Load => Unit::Plain,
            Metric::Watts => Unit::Watts,
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

impl Metric {
    /// Whether it is how much of the time somebody waited.
    pub(crate) fn is_pressure(self) -> bool {
        matches!(self, Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo)
    }

    /// Whether it is how fast a total grows.
    pub(crate) fn is_rate(self) -> bool {
        self.unit() == Unit::BytesPerSecond
    }

    /// The number itself; `None` for a rate, which needs two samples.
    pub(super) fn of(self, sample: &Sample) -> Option<f64> {
        let Sample { usage, pressure, watts, .. } = sample;
        match self {
            Metric::Cpu => usage.cpu_percent.map(rounded),
            Metric::Load => usage.load.map(rounded),
            Metric::Memory => usage.memory_bytes.map(Count::as_f64),
            Metric::Disk => usage.disk_bytes.map(Count::as_f64),
            Metric::PressureCpu => pressure.cpu_percent.map(rounded),
            Metric::PressureMemory => pressure.memory_percent.map(rounded),
            Metric::PressureIo => pressure.io_percent.map(rounded),
            Metric::Watts => watts.map(|watts| rounded(watts.likely)),
            Metric::Receive | Metric::Transmit | Metric::Read | Metric::Write => None,
        }
    }

    /// The total that a rate is of.
    pub(super) fn total(self, sample: &Sample) -> Option<Count> {
        let usage = &sample.usage;
        match self {
            Metric::Receive => usage.receive_bytes,
            Metric::Transmit => usage.transmit_bytes,
            Metric::Read => usage.read_bytes,
            Metric::Write => usage.write_bytes,
            _ => None,
        }
    }
}

/// A number as it leaves ecobox: what binary fractions add behind the sixth place is noise, not measured.
pub(crate) fn without_noise(number: f64) -> f64 {
    // Beyond this there is nothing behind the point that was measured, and what stands before it stays.
    if number.abs() < 1e9 { (number * 1e6).round() / 1e6 + 0.0 } else { number }
}

/// A measured number with four places, so that it is the same wherever it was kept meanwhile.
pub(crate) fn four_places(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn rounded(number: f32) -> f64 {
    four_places(number.into())
}

/// Numbers of some time: one that was measured, or what is left of many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measurement {
    /// When, or when the time begins that it sums up.
    pub(crate) at: Timestamp,
    /// Of how many measurements.
    pub(crate) count: u32,
    pub(crate) avg: f64,
    /// `None` where only averages and maxima were kept.
    pub(crate) min: Option<f64>,
    pub(crate) max: f64,
}

impl Measurement {
    /// A single measurement.
    pub(crate) fn one(at: Timestamp, value: f64) -> Measurement {
        Measurement { at, count: 1, avg: value, min: Some(value), max: value }
    }
}
