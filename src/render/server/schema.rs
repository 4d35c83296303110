//! What a server is in JSON, for the schema.

use jiff::Timestamp;
use schemars::JsonSchema;

use super::{Doing, Idle, ServerJson, Stamp};
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::inventory::ServiceCheck;
use crate::model::inventory::server::{Address, Expected, ServerKind};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::model::schema::described_as;

described_as!(ServerJson<'_>, Server<'static>);
described_as!(Stamp, Timestamp);

/// A server, and what was seen of it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct Server<'a> {
    /// The configured id; of a guest its host's id, `vm` or `ct`, and its number.
    id: ServerId,
    name: String,
    kind: ServerKind,
    state: PowerState,
    /// The state in the words of its source.
    raw_status: Option<String>,
    /// The id of the configured host that a guest belongs to.
    parent: Option<ServerId>,
    /// The Proxmox VE node that it is, or runs on.
    node: Option<NodeName>,
    /// The number of a guest.
    vmid: Option<VmId>,
    /// A name or an address under which it is reached.
    address: Option<String>,
    /// All known addresses of a guest.
    addresses: Vec<Address>,
    /// Percent of its own CPUs.
    cpu_percent: Option<f32>,
    cpus: Option<f32>,
    memory_bytes: Option<u64>,
    memory_max_bytes: Option<u64>,
    uptime_seconds: Option<u64>,
    services: Vec<ServiceCheck>,
    tags: Vec<String>,
    pool: Option<String>,
    /// Why Proxmox VE has locked the guest: `backup`, `migrate`, …
    lock: Option<String>,
    /// What the HA manager says of the guest.
    ha_state: Option<String>,
    /// Which state is expected, where the configuration says so.
    expected: Option<Expected>,
    /// How ecobox knows of the server.
    origin: Source,
    /// Who gave the state.
    source: Source,
    /// When the state was observed.
    observed_at: Option<Timestamp>,
    /// How old the state was when it was told.
    age_seconds: Option<u64>,
    /// By how much the state may be older than it was said to be.
    lag_seconds: Option<u64>,
    /// When the numbers were measured, unless that was together with the state.
    #[schemars(skip_serializing_if = "Option::is_none")]
    measured_at: Option<Timestamp>,
    /// When the services were checked, unless that was together with the state.
    #[schemars(skip_serializing_if = "Option::is_none")]
    checked_at: Option<Timestamp>,
    /// When it was last seen running or online.
    last_seen: Option<Timestamp>,
    /// Why something is not known.
    reason: Option<String>,
    /// Until when it sleeps, where its own clock shall wake it.
    #[schemars(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// What ecobox is doing to it at this moment.
    action: Option<Doing<'a>>,
    /// Whether somebody needs a host that is awake, where `power --if-idle` looked for that lately.
    #[schemars(skip_serializing_if = "Option::is_none")]
    idle: Option<Idle<'a>>,
}
