//! What a number for graphs is in JSON, for the schema.

use schemars::JsonSchema;

use super::Perf;
use crate::model::schema::described_as;

described_as!(Perf, Performance);

/// One number for graphs, as in a plugin's performance data.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct Performance {
    label: String,
    value: f64,
    unit: UnitSign,
    /// The range that is not a warning, in the words of the Monitoring Plugins.
    warn: Option<String>,
    /// The range that is not critical.
    crit: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
enum UnitSign {
    #[schemars(rename = "%")]
    Percent,
    #[schemars(rename = "s")]
    Seconds,
    #[schemars(rename = "")]
    Number,
}
