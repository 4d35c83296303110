//! What the availability of a server is in JSON, for the schema.

use schemars::JsonSchema;

use super::Row;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKind;
use crate::model::past::availability::Outage;
use crate::model::power::PowerState;
use crate::model::schema::described_as;

described_as!(Row, ServerAvailability);

/// How much of the time a server was there, or one of its services.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct ServerAvailability {
    id: ServerId,
    name: String,
    kind: ServerKind,
    /// The name of the service; `null`: the server itself.
    service: Option<String>,
    /// The last known state of the server; `null` for a service.
    state: Option<PowerState>,
    /// Whether the service answered the last time.
    open: Option<bool>,
    available_percent: Option<f64>,
    on_seconds: Option<u64>,
    asleep_seconds: Option<u64>,
    off_seconds: Option<u64>,
    paused_seconds: Option<u64>,
    /// Nobody looked, or what was seen contradicts itself.
    unknown_seconds: u64,
    outage_seconds: Option<u64>,
    longest_outage_seconds: Option<u64>,
    /// The oldest first.
    outages: Vec<Outage>,
    checks: u64,
    checks_ok: u64,
    checks_ok_percent: Option<f64>,
    /// Half of the answers took no longer.
    response_p50_seconds: Option<f64>,
    /// 95 of 100 answers took no longer.
    response_p95_seconds: Option<f64>,
}
