//! The catalogue of metrics: the names under which numbers leave ecobox, for every reader. They are a contract.
//!
//! Guests and hosts share one namespace; the label `id` tells them apart, and is the caller's: one that stays when a
//! guest moves. Bytes, seconds, and ratios from 0 to 1, as Prometheus has it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::model::id::{ClusterId, VmId};
use crate::model::inventory::{FailureKind, Server, ServiceCheck};
use crate::model::load::energy::{Watts, WattsSource};
use crate::model::load::reading::{Filesystem, HostLoad};
use crate::model::load::usage::{Count, Pressure, Usage};
use crate::model::past::series::{Metric, Total, Unit, four_places};
use crate::model::power::PowerState;
use crate::model::text::clean;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// It grows from boot on, and begins again at zero.
    Counter,
    /// Always 1: the information is in the labels.
    Info,
}

/// One name of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// The unit at the end of the name; of a counter before its `_total`.
    pub(crate) unit: Option<&'static str>,
    pub(crate) kind: Kind,
}

macro_rules! catalogue {
    ($($constant:ident $kind:ident $name:literal $unit:expr, $help:literal;)*) => {
        $(pub(crate) const $constant: Definition =
            Definition { name: $name, help: $help, unit: $unit, kind: Kind::$kind };)*

        /// Each once, in the order in which they are shown.
        pub(crate) const ALL: &[&Definition] = &[$(&$constant),*];
    };
}

catalogue! {
    UP Gauge "ecobox_up" None, "Whether the server runs or answers.";
    POWER_STATE Gauge "ecobox_power_state" None, "The state of the server: 1 for the present one, 0 for the others.";
    CPU_USAGE Gauge "ecobox_cpu_usage_ratio" Some("ratio"), "Share of the server's own CPUs in use.";
    CPUS Gauge "ecobox_cpus" None, "Number of the server's CPUs.";
    LOAD1 Gauge "ecobox_load1" None, "Load average over one minute.";
    MEMORY_USED Gauge "ecobox_memory_used_bytes" Some("bytes"), "Memory in use, without caches.";
    MEMORY_SIZE Gauge "ecobox_memory_size_bytes" Some("bytes"), "Memory of the server.";
    MEMORY_ARC Gauge "ecobox_memory_arc_bytes" Some("bytes"), "Memory used by the cache of ZFS.";
    SWAP_USED Gauge "ecobox_swap_used_bytes" Some("bytes"), "Swap space in use.";
    SWAP_SIZE Gauge "ecobox_swap_size_bytes" Some("bytes"), "Swap space of the server.";
    FILESYSTEM_USED Gauge "ecobox_filesystem_used_bytes" Some("bytes"), "Space in use on a file system.";
    FILESYSTEM_SIZE Gauge "ecobox_filesystem_size_bytes" Some("bytes"), "Space on a file system that users may fill.";
    DISK_SIZE Gauge "ecobox_disk_size_bytes" Some("bytes"), "Size of a guest's disk from outside; of several the one it boots from.";
    NETWORK_RECEIVE Counter "ecobox_network_receive_bytes_total" Some("bytes"), "Received over the network since boot.";
    NETWORK_TRANSMIT Counter "ecobox_network_transmit_bytes_total" Some("bytes"), "Sent over the network since boot.";
    DISK_READ Counter "ecobox_disk_read_bytes_total" Some("bytes"), "Read from disks since boot.";
    DISK_WRITTEN Counter "ecobox_disk_written_bytes_total" Some("bytes"), "Written to disks since boot.";
    UPTIME Gauge "ecobox_uptime_seconds" Some("seconds"), "Time since boot.";
    PRESSURE Gauge "ecobox_pressure_ratio" Some("ratio"), "Share of the last minute in which some task waited for the resource.";
    HOST_POWER Gauge "ecobox_host_power_watts" Some("watts"), "Power that the host draws; by rapl only what its CPU counts, a lower bound.";
    HOST_ENERGY Counter "ecobox_host_energy_joules_total" Some("joules"), "Energy of the time between looks that is known; by rapl only what the CPU counts.";
    SERVICE_UP Gauge "ecobox_service_up" None, "Whether the service accepts connections.";
    SERVICE_RESPONSE Gauge "ecobox_service_response_seconds" Some("seconds"), "Time until the service accepted a connection.";
    GUEST_INFO Info "ecobox_guest_info" None, "What and where the guest is.";
    HOST_INFO Info "ecobox_host_info" None, "What and where the host is.";
    LAST_RUN Gauge "ecobox_last_run_timestamp_seconds" Some("seconds"), "When these numbers were collected.";
    FAILED Gauge "ecobox_failed" None, "1 for each server that could not be asked.";
}

/// Names and values; the values are safe to show.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// One name with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) definition: &'static Definition,
    pub(crate) samples: Vec<(Labels, f64)>,
}

/// Numbers by name, in the order of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Families(Vec<Family>);

impl Default for Families {
    fn default() -> Families {
        let empty = |definition: &&'static Definition| Family { definition, samples: Vec::new() };
        Families(ALL.iter().map(empty).collect())
    }
}

/// `Some(7)`, `7.0` or what is unknown.
pub(crate) trait Number {
    fn number(self) -> Option<f64>;
}

impl Number for f64 {
    fn number(self) -> Option<f64> {
        Some(self)
    }
}

impl Number for bool {
    fn number(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }
}

impl Number for Count {
    fn number(self) -> Option<f64> {
        Some(self.as_f64())
    }
}

impl Number for u64 {
    fn number(self) -> Option<f64> {
        Count::new(self).number()
    }
}

impl Number for f32 {
    /// As the state file's series have it, so that 12.3 stays 12.3.
    fn number(self) -> Option<f64> {
        Some(four_places(self.into()))
    }
}

impl<N: Number> Number for Option<N> {
    fn number(self) -> Option<f64> {
        self.and_then(Number::number)
    }
}

impl Families {
    /// Adds a number. What is unknown, or no number, is not there; neither is a second one under the same labels, for
    /// then a reader could use none of them.
    pub(crate) fn add(&mut self, definition: &'static Definition, labels: &[(&'static str, &str)], value: impl Number) {
        let Some(value) = value.number().filter(|value| value.is_finite()) else { return };
        let mut labels: Labels = labels.iter().map(|(name, text)| (*name, clean(text).into_owned())).collect();
        labels.sort_unstable();
        let family = self.0.iter_mut().find(|family| family.definition == definition);
        if let Some(family) = family {
            family.samples.push((labels, value));
        }
    }

    /// The numbers of a server.
    pub(crate) fn usage(&mut self, id: &str, usage: &Usage) {
        if usage.disk_bytes.is_some() {
            let root = [("id", id), ("mountpoint", "/")];
            self.add(&FILESYSTEM_USED, &root, usage.disk_bytes);
            self.add(&FILESYSTEM_SIZE, &root, usage.disk_max_bytes);
        } else {
            // The size of a disk whose use is unknown: it holds partitions, and not one file system.
            self.add(&DISK_SIZE, &[("id", id)], usage.disk_max_bytes);
        }
        self.usage_besides_disks(id, usage);
    }

    /// Like `usage`, for a guest that told of its file systems.
    pub(crate) fn usage_inside(&mut self, id: &str, usage: &Usage, inside: &[Filesystem], disk: Option<Count>) {
        self.filesystems(id, inside.iter());
        self.add(&DISK_SIZE, &[("id", id)], disk);
        self.usage_besides_disks(id, usage);
    }

    fn filesystems<'f>(&mut self, id: &str, filesystems: impl Iterator<Item = &'f Filesystem>) {
        for filesystem in filesystems {
            let labels = [("id", id), ("mountpoint", filesystem.mount.as_str())];
            self.add(&FILESYSTEM_USED, &labels, filesystem.used_bytes);
            self.add(&FILESYSTEM_SIZE, &labels, filesystem.size_bytes);
        }
    }

    fn usage_besides_disks(&mut self, id: &str, usage: &Usage) {
        let of = [("id", id)];
        self.add(&CPU_USAGE, &of, share(usage.cpu_percent));
        self.add(&CPUS, &of, usage.cpus);
        self.add(&LOAD1, &of, usage.load);
        self.add(&MEMORY_USED, &of, usage.memory_bytes);
        self.add(&MEMORY_SIZE, &of, usage.memory_max_bytes);
        self.add(&NETWORK_RECEIVE, &of, usage.receive_bytes);
        self.add(&NETWORK_TRANSMIT, &of, usage.transmit_bytes);
        self.add(&DISK_READ, &of, usage.read_bytes);
        self.add(&DISK_WRITTEN, &of, usage.write_bytes);
        self.add(&UPTIME, &of, usage.uptime_seconds);
    }

    /// How much of the time somebody waited.
    pub(crate) fn pressure(&mut self, id: &str, pressure: &Pressure) {
        for (resource, percent) in
            [("cpu", pressure.cpu_percent), ("memory", pressure.memory_percent), ("io", pressure.io_percent)]
        {
            self.add(&PRESSURE, &[("id", id), ("resource", resource)], share(percent));
        }
    }

    /// All numbers of a host, with its usage and pressure.
    pub(crate) fn host_load(&mut self, id: &str, load: &HostLoad) {
        self.usage(id, &load.usage);
        self.pressure(id, &load.pressure);
        self.host_details(id, load);
    }

    /// What only a host itself tells: ZFS's cache, swap, and file systems.
    pub(crate) fn host_details(&mut self, id: &str, load: &HostLoad) {
        self.add(&MEMORY_ARC, &[("id", id)], load.arc_bytes);
        self.add(&SWAP_USED, &[("id", id)], load.swap_bytes);
        self.add(&SWAP_SIZE, &[("id", id)], load.swap_max_bytes);
        // The usage already has the root file system, if it is known.
        let known = load.usage.disk_bytes.is_some();
        self.filesystems(id, load.filesystems.iter().filter(|system| !(known && system.mount == "/")));
    }

    /// The power that a host draws, and who says so.
    pub(crate) fn host_power(&mut self, id: &str, watts: &Watts) {
        self.add(&HOST_POWER, &[("id", id), ("source", watts.by.source().as_str())], watts.likely);
    }

    /// The energy that was known of a host, by who measured it.
    pub(crate) fn host_energy(&mut self, id: &str, joules: &BTreeMap<WattsSource, f64>) {
        for (source, joules) in joules {
            self.add(&HOST_ENERGY, &[("id", id), ("source", source.as_str())], four_places(*joules));
        }
    }

    /// Whether services answer, and how fast.
    pub(crate) fn services(&mut self, id: &str, checks: &[ServiceCheck]) {
        for check in checks {
            let labels = [("id", id), ("service", check.name.as_str())];
            self.add(&SERVICE_UP, &labels, check.open);
            self.add(&SERVICE_RESPONSE, &labels, check.response_seconds);
        }
    }

    /// The state of a server: 1 for it, 0 for each other that such a server can have. Unknown is not a state to be up in.
    pub(crate) fn power(&mut self, id: &str, is_guest: bool, state: PowerState) {
        use PowerState::{Asleep, Hibernated, Offline, Online, Paused, Running, Stopped, Unknown};
        let states: &[PowerState] = if is_guest {
            &[Running, Stopped, Paused, Hibernated, Unknown]
        } else {
            &[Online, Offline, Asleep, Unknown]
        };
        if state != Unknown {
            self.add(&UP, &[("id", id)], state.is_up());
        }
        for other in states {
            self.add(&POWER_STATE, &[("id", id), ("state", other.as_str())], *other == state);
        }
    }

    /// A server that could not be asked.
    pub(crate) fn failed(&mut self, id: &str, kind: FailureKind) {
        let reason = match kind {
            FailureKind::Unreachable => "unreachable",
            FailureKind::Identity => "identity",
            FailureKind::Denied => "denied",
            FailureKind::Failed => "failed",
            FailureKind::NoQuorum => "no-quorum",
            FailureKind::NodeOffline => "node-offline",
        };
        self.add(&FAILED, &[("id", id), ("reason", reason)], 1.0);
    }

    /// When the numbers were collected.
    pub(crate) fn last_run(&mut self, at: Timestamp) {
        self.add(&LAST_RUN, &[], u64::try_from(at.as_second()).ok());
    }

    /// Those that have numbers, each set of labels once.
    pub(crate) fn finish(self) -> Vec<Family> {
        let mut families = self.0;
        families.retain(|family| !family.samples.is_empty());
        for family in &mut families {
            let mut seen = std::collections::HashSet::new();
            family.samples.retain(|(labels, _)| seen.insert(told_apart_by(labels)));
        }
        families
    }
}

/// For Prometheus a label without a value is none.
fn told_apart_by(labels: &Labels) -> Labels {
    labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect()
}

/// The ratio that a percentage is.
fn share(percent: Option<f32>) -> Option<f64> {
    // Six places of a ratio are the four of a percentage.
    percent.number().map(|percent| (percent * 1e4).round() / 1e6)
}

/// The labels `id`: a guest's stays the same when it moves to another node, and when its cluster gets a new certificate
/// authority, by which ecobox knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ids(HashMap<ClusterId, String>);

impl Ids {
    /// The cluster has another label than its own.
    pub(crate) fn put(&mut self, cluster: ClusterId, label: String) {
        self.0.insert(cluster, label);
    }

    /// Of a server.
    pub(crate) fn of(&self, server: &Server) -> String {
        match (&server.cluster, server.vmid) {
            (Some(cluster), Some(vmid)) => self.of_guest(cluster, vmid),
            _ => server.id.to_string(),
        }
    }

    /// Of a guest: `ca:1a2b3c4d/101`.
    pub(crate) fn of_guest(&self, cluster: &ClusterId, vmid: VmId) -> String {
        format!("{}/{vmid}", self.of_cluster(cluster))
    }

    /// Of a cluster: `ca:1a2b3c4d`.
    pub(crate) fn of_cluster<'a>(&'a self, cluster: &'a ClusterId) -> &'a str {
        self.0.get(cluster).map_or_else(|| cluster.short(), String::as_str)
    }
}

/// Under which name a metric's history is kept, and how its numbers come back. A rate is kept as its total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kept {
    pub(crate) definition: &'static Definition,
    /// The label beside `id`.
    pub(crate) label: Option<(&'static str, &'static str)>,
    /// A ratio is kept where the metric is a percentage.
    is_share: bool,
}

impl Kept {
    /// The metric's number for the kept one; a total stays what it is.
    pub(crate) fn value(self, kept: f64) -> f64 {
        if self.is_share { four_places(kept * 100.0) } else { kept }
    }
}

/// Where the history of a metric is.
pub(crate) fn kept(metric: Metric) -> Kept {
    let (definition, label) = match metric {
        Metric::Cpu => (&CPU_USAGE, None),
        Metric::Load => (&LOAD1, None),
        Metric::Memory => (&MEMORY_USED, None),
        Metric::Disk => (&FILESYSTEM_USED, Some(("mountpoint", "/"))),
        Metric::Receive => (&NETWORK_RECEIVE, None),
        Metric::Transmit => (&NETWORK_TRANSMIT, None),
        Metric::Read => (&DISK_READ, None),
        Metric::Write => (&DISK_WRITTEN, None),
        Metric::PressureCpu => (&PRESSURE, Some(("resource", "cpu"))),
        Metric::PressureMemory => (&PRESSURE, Some(("resource", "memory"))),
        Metric::PressureIo => (&PRESSURE, Some(("resource", "io"))),
        Metric::Watts => (&HOST_POWER, None),
    };
    Kept { definition, label, is_share: metric.unit() == Unit::Percent }
}

/// The readings of a total, for [`crate::model::past::series::rates`]: each with the uptime of the same moment, which was
/// kept under [`UPTIME`]. Both are in the order of time.
pub(crate) fn totals(bytes: &[(Timestamp, f64)], uptime: &[(Timestamp, f64)]) -> Vec<Total> {
    let uptime_at = |at| uptime.binary_search_by_key(&at, |(at, _)| *at).ok().map(|index| uptime[index].1);
    bytes.iter().map(|&(at, bytes)| Total { at, bytes, uptime: uptime_at(at) }).collect()
}

#[cfg(test)]
mod tests;
