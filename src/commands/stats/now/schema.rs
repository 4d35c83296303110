//! What the report is in JSON, for the schema.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;

use super::{Row, StatsReport};
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::inventory::Failed;
use crate::model::inventory::server::ServerKind;
use crate::model::load::energy::WattsSource;
use crate::model::load::reading::Filesystem;
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::model::schema::described_as;

described_as!(StatsReport, Report<'static>);
described_as!(Row<'_>, ServerStats);

/// How hard every server works.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct Report<'r> {
    generated_at: Timestamp,
    servers: Vec<Row<'r>>,
    /// Servers that could not be asked, and why.
    failures: Vec<Failed>,
}

/// How hard one server works.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct ServerStats {
    id: ServerId,
    name: String,
    kind: ServerKind,
    state: PowerState,
    /// The id of the configured host that a guest belongs to.
    parent: Option<ServerId>,
    /// The Proxmox VE node that it is, or runs on.
    node: Option<NodeName>,
    /// The number of a guest.
    vmid: Option<VmId>,
    /// Percent of its own CPUs.
    cpu_percent: Option<f32>,
    cpus: Option<f32>,
    memory_bytes: Option<u64>,
    memory_max_bytes: Option<u64>,
    memory_percent: Option<f64>,
    disk_bytes: Option<u64>,
    disk_max_bytes: Option<u64>,
    disk_percent: Option<f64>,
    /// Where the file system is mounted that `disk_bytes` is about, if it is not the root.
    disk_mount: Option<String>,
    /// Since the server was started.
    network_receive_bytes: Option<u64>,
    /// Since the server was started.
    network_transmit_bytes: Option<u64>,
    network_total_bytes: Option<u64>,
    network_receive_bytes_per_second: Option<f64>,
    network_transmit_bytes_per_second: Option<f64>,
    disk_read_bytes: Option<u64>,
    disk_write_bytes: Option<u64>,
    disk_read_bytes_per_second: Option<f64>,
    disk_write_bytes_per_second: Option<f64>,
    uptime_seconds: Option<u64>,
    #[schemars(flatten)]
    host: Option<HostStats>,
    filesystems: Vec<Filesystem>,
    /// Who gave the numbers.
    source: Option<Source>,
    /// Who gave a number if that is not `source`, by the number's name.
    sources: BTreeMap<String, Source>,
    observed_at: Option<Timestamp>,
    /// Why numbers are not known, by the number's name.
    reasons: BTreeMap<String, String>,
}

/// What only hosts and plain servers have.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct HostStats {
    /// Over 1, 5 and 15 minutes.
    load_average: Option<[f64; 3]>,
    swap_bytes: Option<u64>,
    swap_max_bytes: Option<u64>,
    /// The cache of ZFS.
    arc_bytes: Option<u64>,
    /// Percent of the time in which something waited for a CPU.
    pressure_cpu_percent: Option<f32>,
    pressure_memory_percent: Option<f32>,
    pressure_io_percent: Option<f32>,
    /// Power that the server draws: measured, or what is most likely by the configuration.
    power_watts: Option<f64>,
    /// It draws at least this.
    power_least_watts: Option<f64>,
    /// It draws at most this; unknown where a part of it was measured.
    power_most_watts: Option<f64>,
    power_source: Option<WattsSource>,
    /// What was measured: `whole server`, or which part of it.
    power_covers: Option<String>,
    /// Over how long the rates were measured.
    measured_seconds: Option<f64>,
}
