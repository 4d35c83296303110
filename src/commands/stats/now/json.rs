//! The report as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{Row, StatsReport};
use crate::model::past::series::four_places;
use crate::render::value::Stamp;

/// An object of them.
struct ByName<'r>(&'r [(&'static str, Cow<'r, str>)]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, reason)| (name, reason)))
    }
}

impl Serialize for StatsReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Rows<'r>(&'r StatsReport);
        impl Serialize for Rows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.rows())
            }
        }
        let mut object = serializer.serialize_struct("StatsReport", 3)?;
        object.serialize_field("generated_at", &Stamp(self.generated_at))?;
        object.serialize_field("servers", &Rows(self))?;
        object.serialize_field("failures", &self.failures)?;
        object.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (server, usage, rates) = (self.server, &self.server.seen.usage, &self.rates);
        let only_of_hosts = if server.vmid.is_none() { 13 } else { 0 };
        let mut object = serializer.serialize_struct("Server", 31 + only_of_hosts)?;
        object.serialize_field("id", &server.id)?;
        object.serialize_field("name", &server.name)?;
        object.serialize_field("kind", server.kind.as_str())?;
        object.serialize_field("state", server.seen.state.as_str())?;
        object.serialize_field("parent", &server.parent)?;
        object.serialize_field("node", &server.node)?;
        object.serialize_field("vmid", &server.vmid)?;
        object.serialize_field("cpu_percent", &usage.cpu_percent)?;
        object.serialize_field("cpus", &usage.cpus)?;
        object.serialize_field("memory_bytes", &usage.memory_bytes)?;
        object.serialize_field("memory_max_bytes", &usage.memory_max_bytes)?;
        object.serialize_field("memory_percent", &usage.memory_percent())?;
        object.serialize_field("disk_bytes", &usage.disk_bytes)?;
        object.serialize_field("disk_max_bytes", &usage.disk_max_bytes)?;
        object.serialize_field("disk_percent", &usage.disk_percent())?;
        object.serialize_field("disk_mount", &self.disk_mount())?;
        object.serialize_field("network_receive_bytes", &usage.receive_bytes)?;
        object.serialize_field("network_transmit_bytes", &usage.transmit_bytes)?;
        object.serialize_field("network_total_bytes", &self.network_total())?;
        object.serialize_field("network_receive_bytes_per_second", &rates.receive)?;
        object.serialize_field("network_transmit_bytes_per_second", &rates.transmit)?;
        object.serialize_field("disk_read_bytes", &usage.read_bytes)?;
        object.serialize_field("disk_write_bytes", &usage.write_bytes)?;
        object.serialize_field("disk_read_bytes_per_second", &rates.read)?;
        object.serialize_field("disk_write_bytes_per_second", &rates.write)?;
        object.serialize_field("uptime_seconds", &usage.uptime_seconds)?;
        if server.vmid.is_none() {
            // What only a host or plain server can have.
            let load = self.load();
            let pressure = load.map(|load| load.pressure).unwrap_or_default();
            object.serialize_field("load_average", &load.and_then(|load| load.load))?;
            object.serialize_field("swap_bytes", &load.and_then(|load| load.swap_bytes))?;
            object.serialize_field("swap_max_bytes", &load.and_then(|load| load.swap_max_bytes))?;
            object.serialize_field("arc_bytes", &load.and_then(|load| load.arc_bytes))?;
            object.serialize_field("pressure_cpu_percent", &pressure.cpu_percent)?;
            object.serialize_field("pressure_memory_percent", &pressure.memory_percent)?;
            object.serialize_field("pressure_io_percent", &pressure.io_percent)?;
            let watts = self.watts();
            let number = |watts: f32| four_places(watts.into());
            object.serialize_field("power_watts", &watts.map(|watts| number(watts.likely)))?;
            object.serialize_field("power_least_watts", &watts.map(|watts| number(watts.least)))?;
            object.serialize_field("power_most_watts", &watts.and_then(|watts| watts.most).map(number))?;
            object.serialize_field("power_source", &watts.map(|watts| watts.by.source()))?;
            object.serialize_field("power_covers", &watts.map(|watts| watts.by.covers()))?;
            object.serialize_field("measured_seconds", &load.and_then(|load| load.measured_seconds))?;
        }
        object.serialize_field("filesystems", self.filesystems())?;
        object.serialize_field("source", &self.source())?;
        let none = BTreeMap::new();
        object.serialize_field("sources", self.detail.map_or(&none, |detail| &detail.sources))?;
        object.serialize_field("observed_at", &server.seen.at.map(Stamp))?;
        object.serialize_field("reasons", &ByName(&self.reasons()))?;
        object.end()
    }
}
