//! How hard a server works, and who said so.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize, Serializer};

use crate::model::load::energy::Watts;
use crate::model::power::PowerState;
use crate::model::text::words::words;

/// Who gave an answer.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The Proxmox VE API.
    Api,
    /// A script over SSH.
    Ssh,
    /// A TCP connection that was accepted, refused or not answered.
    Tcp,
    /// This machine itself.
    Local,
    /// The state file: what an earlier run learned.
    Cache,
    /// The configuration file.
    Config,
    /// The QEMU guest agent inside a virtual machine, asked through the API.
    Agent,
    /// Proxmox VE's own round-robin database, read through the API.
    Rrd,
    /// A Prometheus server that keeps the history.
    Prometheus,
}

words!(Source: all => {
    Api = "api",
    Ssh = "ssh",
    Tcp = "tcp",
    Local = "local",
    Cache = "cache",
    Config = "config",
    Agent = "agent",
    Rrd = "rrd",
    Prometheus = "prometheus",
});

/// A number of bytes or of seconds. An `Option` of it takes no more room than the number itself, which counts where
/// thousands of guests have ten of them each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(NonZeroU64);

impl Count {
    /// The largest number of all reads as the one before it.
    pub(crate) fn new(number: u64) -> Count {
        Count(NonZeroU64::MIN.saturating_add(number))
    }

    pub(crate) fn get(self) -> u64 {
        self.0.get() - 1
    }

    /// For ratios: exact below 2^53, which is 8 PiB.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of such numbers needs no more places")]
    pub(crate) fn as_f64(self) -> f64 {
        self.get() as f64
    }
}

impl std::fmt::Debug for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// Numbers of one server at one moment, guests and hosts in the same form. `None` is unknown, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Percent of the server's own CPUs, 0 to 100.
    pub(crate) cpu_percent: Option<f32>,
    /// The number of its CPUs; fractional for a container with a limit.
    pub(crate) cpus: Option<f32>,
    /// The load average over one minute; of hosts and plain servers.
    pub(crate) load: Option<f32>,
    /// In use, without what can be taken back at once: page cache, and ZFS's cache.
    pub(crate) memory_bytes: Option<Count>,
    /// What there is, or what is allocated to a guest.
    pub(crate) memory_max_bytes: Option<Count>,
    /// In use on the root file system.
    pub(crate) disk_bytes: Option<Count>,
    /// The size of the root file system; a virtual machine's boot disk.
    pub(crate) disk_max_bytes: Option<Count>,
    /// Received over the network since boot; by a host over its physical ports.
    pub(crate) receive_bytes: Option<Count>,
    /// Sent likewise.
    pub(crate) transmit_bytes: Option<Count>,
    /// Read from disks since boot.
    pub(crate) read_bytes: Option<Count>,
    /// Written likewise.
    pub(crate) write_bytes: Option<Count>,
    pub(crate) uptime_seconds: Option<Count>,
}

impl Usage {
    /// These numbers, completed by those of `other`.
    pub(crate) fn or(self, other: Usage) -> Usage {
        Usage {
            cpu_percent: self.cpu_percent.or(other.cpu_percent),
            cpus: self.cpus.or(other.cpus),
            load: self.load.or(other.load),
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            memory_max_bytes: self.memory_max_bytes.or(other.memory_max_bytes),
            disk_bytes: self.disk_bytes.or(other.disk_bytes),
            disk_max_bytes: self.disk_max_bytes.or(other.disk_max_bytes),
            receive_bytes: self.receive_bytes.or(other.receive_bytes),
            transmit_bytes: self.transmit_bytes.or(other.transmit_bytes),
            read_bytes: self.read_bytes.or(other.read_bytes),
            write_bytes: self.write_bytes.or(other.write_bytes),
            uptime_seconds: self.uptime_seconds.or(other.uptime_seconds),
        }
    }

    /// What of a listing's numbers means something for a guest in this state: what is off is listed with zeros, which
    /// nothing was measured.
    pub(crate) fn of_guest(mut self, state: PowerState) -> Usage {
        if state != PowerState::Running {
            (self.cpu_percent, self.memory_bytes) = (None, None);
        }
        if !matches!(state, PowerState::Running | PowerState::Paused) {
            (self.uptime_seconds, self.disk_bytes) = (None, None);
            (self.receive_bytes, self.transmit_bytes) = (None, None);
            (self.read_bytes, self.write_bytes) = (None, None);
        }
        self
    }

    /// What it had counted.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            receive: self.receive_bytes,
            transmit: self.transmit_bytes,
            read: self.read_bytes,
            write: self.write_bytes,
            uptime_seconds: self.uptime_seconds,
        }
    }

    /// Percent of its memory that is in use.
    pub(crate) fn memory_percent(&self) -> Option<f64> {
        percent(self.memory_bytes?, self.memory_max_bytes?)
    }

    /// Like `memory_percent`, and more than 100 where more is in use than there is: Proxmox VE may count what QEMU itself
    /// needs.
    pub(crate) fn memory_share(&self) -> Option<f64> {
        let (used, of) = (self.memory_bytes?, self.memory_max_bytes?);
        (of.get() > 0).then(|| (used.as_f64() * 1e4 / of.as_f64()).round() / 100.0)
    }

    /// Percent of its root file system that is in use.
    pub(crate) fn disk_percent(&self) -> Option<f64> {
        percent(self.disk_bytes?, self.disk_max_bytes?)
    }
}

/// Percent, to the hundredth, at most 100: Proxmox VE may count what QEMU itself needs, too. The bytes say so.
pub(crate) fn percent(used: Count, of: Count) -> Option<f64> {
    (of.get() > 0).then(|| (used.as_f64() * 1e4 / of.as_f64()).round().min(1e4) / 100.0)
}

/// How much of the time somebody waited: percent, the average over a minute (the kernel's pressure stall information).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the unit stands in the name, as everywhere")]
pub(crate) struct Pressure {
    /// Some task waited for a CPU.
    pub(crate) cpu_percent: Option<f32>,
    /// Some task waited for memory.
    pub(crate) memory_percent: Option<f32>,
    /// Some task waited for a disk.
    pub(crate) io_percent: Option<f32>,
}

/// Bytes a second between two readings. `None`: there are not two, or a counter went back between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Rates {
    pub(crate) receive: Option<f64>,
    pub(crate) transmit: Option<f64>,
    pub(crate) read: Option<f64>,
    pub(crate) write: Option<f64>,
}

/// What a server had counted at one moment, and for how long: rates compare two of these.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) receive: Option<Count>,
    pub(crate) transmit: Option<Count>,
    pub(crate) read: Option<Count>,
    pub(crate) write: Option<Count>,
    pub(crate) uptime_seconds: Option<Count>,
}

/// What is kept of a server at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Who gave the numbers.
    pub(crate) source: Source,
    pub(crate) usage: Usage,
    pub(crate) pressure: Pressure,
    /// What it drew; known of hosts and plain servers at most.
    pub(crate) watts: Option<Watts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_memory_than_there_is_is_shown_as_more() {
        let usage = |used: u64, of: u64| Usage {
            memory_bytes: Some(Count::new(used << 20)),
            memory_max_bytes: Some(Count::new(of << 20)),
            ..Usage::default()
        };
        for (used, of, share, percent) in [
            (227, 128, Some(177.34), Some(100.0)),
            (128, 128, Some(100.0), Some(100.0)),
            (1, 3, Some(33.33), Some(33.33)),
            (1, 0, None, None),
        ] {
            assert_eq!((usage(used, of).memory_share(), usage(used, of).memory_percent()), (share, percent), "{used}");
        }
        assert_eq!(Usage::default().memory_share(), None);
    }

    #[test]
    fn a_count_is_its_number_and_takes_no_more_room() {
        for number in [0, 1, 1 << 60, u64::MAX - 1] {
            assert_eq!(Count::new(number).get(), number);
        }
        assert_eq!(Count::new(u64::MAX).get(), u64::MAX - 1);
        assert!(Count::new(0) < Count::new(1));
        assert_eq!(size_of::<Option<Count>>(), size_of::<u64>());
    }
}
