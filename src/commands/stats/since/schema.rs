//! What a series is in JSON, for the schema.

use jiff::Timestamp;
use schemars::JsonSchema;

use super::Row;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKind;
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
