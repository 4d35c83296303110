//! The JSON Schemas of `docs/schema`, made from the reports. `UPDATE=1 cargo test schemas` writes them.
//!
//! They describe what is there today. Fields may be added under the same number, so a schema allows others; the tests of the
//! binary do not (`tests/cli/schemas.rs`): what is printed is described.

mod tests;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::commands::advise::report::AdviceReport;
use crate::commands::check::report::CheckReport;
use crate::commands::discover::DiscoverReport;
use crate::commands::doctor::explain::ExplainReport;
use crate::commands::doctor::report::DoctorReport;
use crate::commands::hold::LeasesReport;
use crate::commands::init::report::InitReport;
use crate::commands::migrate::report::MigrateReport;
use crate::commands::power::explain::IdleReport;
use crate::commands::power::report::PowerReport;
use crate::commands::release::ReleaseReport;
use crate::commands::setup_token::report::SetupTokenReport;
use crate::commands::snapshot::list::SnapshotListReport;
use crate::commands::snapshot::report::SnapshotReport;
use crate::commands::stats::now::StatsReport;
use crate::commands::stats::since::SeriesReport;
use crate::commands::status::StatusReport;
use crate::commands::status::since::AvailabilityReport;
use crate::commands::watch::json_lines::{Line, Snapshot};
use crate::render::Report;

/// The schema of every document that names one.
fn all() -> Vec<Value> {
    vec![
        report::<AdviceReport>(),
        report::<AvailabilityReport>(),
        report::<CheckReport>(),
        report::<DiscoverReport>(),
        report::<DoctorReport>(),
        report::<ExplainReport>(),
        report::<IdleReport>(),
        report::<InitReport>(),
        report::<LeasesReport>(),
        report::<MigrateReport>(),
        report::<PowerReport>(),
        report::<ReleaseReport>(),
        report::<SeriesReport>(),
        report::<SetupTokenReport>(),
        report::<SnapshotListReport>(),
        report::<SnapshotReport>(),
        report::<StatsReport>(),
        report::<StatusReport>(),
        watch(),
    ]
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// A report as one document (`-o json`) and as lines (`-o jsonl`); both begin with the name of the schema.
fn report<R: Report + JsonSchema + 'static>() -> Value
where
    R::Item<'static>: JsonSchema,
{
    let mut generator = generator();
    let mut document = R::json_schema(&mut generator).to_value();
    document["properties"]["schema"] = json!({ "const": R::SCHEMA });
    document["required"].as_array_mut().unwrap().insert(0, json!("schema"));
    let item = generator.subschema_for::<R::Item<'static>>().to_value();
    let line = json!({
        "description": "A line of `-o jsonl`.",
        "type": "object",
        "properties": { "schema": { "const": R::SCHEMA } },
        "required": ["schema"],
        "allOf": [item],
    });
    whole(R::SCHEMA, generator, document, line)
}

/// The stream: what its first line is, and what all others are.
fn watch() -> Value {
    let mut generator = generator();
    let mut first = Snapshot::json_schema(&mut generator).to_value();
    first["properties"]["schema"] = json!({ "const": "ecobox.watch/1" });
    first["properties"]["event"] = json!({ "const": "snapshot" });
    let line = Line::json_schema(&mut generator).to_value();
    whole("ecobox.watch/1", generator, first, line)
}

fn whole(name: &str, mut generator: SchemaGenerator, document: Value, line: Value) -> Value {
    let mut definitions = Value::Object(generator.take_definitions(true));
    definitions["Document"] = document;
    definitions["Line"] = line;
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "anyOf": [{ "$ref": "#/$defs/Document" }, { "$ref": "#/$defs/Line" }],
        "$defs": definitions,
    })
}

/// `ecobox.status/1` is described in `status-1.json`.
fn file_name(schema: &Value) -> String {
    let name = schema["title"].as_str().unwrap();
    name.trim_start_matches("ecobox.").replace('/', "-") + ".json"
}
