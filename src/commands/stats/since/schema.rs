//! What a series is in JSON, for the schema.

use jiff::Timestamp;
use schemars::JsonSchema;

use super::Row;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKind;
use crate::model::load::energy::WattsSource;
use crate::model::load::usage::Source;
use crate::model::past::series::{Metric, Summary};
use crate::model::schema::described_as;

described_as!(Row, MetricSeries);

/// One metric of one server.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct MetricSeries {
    id: ServerId,
    name: String,
    kind: ServerKind,
    metric: Metric,
    unit: UnitName,
    /// Who kept the numbers.
    source: Source,
    step_seconds: u64,
    summary: Summary,
    #[schemars(flatten)]
    energy: Option<WithEnergy>,
    /// The oldest first.
    points: Vec<SeriesPoint>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes")]
enum UnitName {
    Percent,
    Bytes,
    BytesPerSecond,
    Load,
    Watts,
}

/// What only `watts` have.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct WithEnergy {
    /// The energy of the hours that are known.
    energy: EnergyOfWindow,
}

/// The energy of a time, as far as it is known.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct EnergyOfWindow {
    kwh: f64,
    least_kwh: f64,
    /// Unknown where a part of the server was measured.
    most_kwh: Option<f64>,
    /// How many seconds of the time are known.
    known_seconds: f64,
    /// Who measured it, the best first.
    sources: Vec<WattsSource>,
}

/// One step.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct SeriesPoint {
    /// When the step begins.
    at: Timestamp,
    avg: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}
