//! How hard every server worked: series of the past.

#[cfg(test)]
mod schema;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::StatsArgs;
use crate::commands::args::Since;
use crate::commands::{Context, Outcome, Said, counted, say, stamp, with_fleet};
use crate::exit::Exit;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKind;
use crate::model::inventory::{Failed, Server};
use crate::model::load::energy::WattsSource;
use crate::model::past::energy::{self, Energy, JOULES_PER_KWH};
use crate::model::past::series::{Metric, Point, Series, Summary, Unit, Window, without_noise};
use crate::model::past::spark::Scale;
use crate::model::text::span::Span;
use crate::render::chart::{ChartOptions, Line, chart};
use crate::render::value::{Value, rfc3339};
use crate::render::{Column, Output, Records, Report};

/// How far a chart looks back unless `--since` says it.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The series that are shown unless others are asked for.
const USUAL: [Metric; 5] = [Metric::Cpu, Metric::Memory, Metric::Receive, Metric::Transmit, Metric::Watts];

/// What a line of CSV says.
const POINT: &[&str] = &["id", "name", "metric", "unit", "at", "avg", "min", "max", "source"];

/// Columns and rows of a chart where there is no terminal.
const CHART: (usize, usize) = (100, 20);

/// The series of all servers that were asked for.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct SeriesReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    #[serde(serialize_with = "stamp")]
    until: Timestamp,
    series: Vec<Row>,
    /// Whom we could not ask, and why.
    failures: Vec<Failed>,
    #[serde(skip)]
    chart: Option<Metric>,
}

/// One metric of one server.
#[derive(Debug)]
pub(crate) struct Row {
    id: ServerId,
    name: String,
    kind: ServerKind,
    series: Series,
    summary: Summary,
    /// Of watts: the energy of the hours that are known.
    energy: Option<Energy>,
}

/// Reads the past of the servers that were asked for.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &StatsArgs) -> anyhow::Result<Outcome<SeriesReport>> {
    let now = Timestamp::now();
    let since = args.since.unwrap_or(Since::Ago(DAY)).before(now);
    let window = Window::new(since, now, args.step);
    let metrics: Vec<Metric> = match (args.chart, args.metrics.as_slice()) {
        (Some(metric), _) => vec![metric],
        (None, []) => USUAL.to_vec(),
        (None, metrics) => metrics.to_vec(),
    };
    let mut energy =
        if metrics.contains(&Metric::Watts) { ctx.state.energy_hours(since, now)? } else { BTreeMap::new() };
    let ((servers, past), notices) = with_fleet(ctx, ctx.limits, async |fleet| {
        let servers = fleet.remembered()?.selected(&args.targets)?.servers;
        let progress = ctx.ui.progress(&format!("reading the past of {}", counted(servers.len(), "server")));
        let advance = |done, of| progress.set(&format!("reading what Proxmox VE kept: {done} of {of}"));
        let past = fleet.past(&servers, &metrics, window, &advance).await?;
        Ok((servers, past))
    })
    .await?;
    let (targets, failures) = (args.targets.as_slice(), past.failures.as_slice());
    say(ctx, Said { command: "stats --since", targets, notices, failures, at: now }, &|_| true);
    let wanted = |series: &Series| !series.is_empty() || args.chart.is_some() || !args.metrics.is_empty();
    let mut rows = Vec::new();
    let mut known = 0;
    for (server, series) in servers.iter().zip(past.series) {
        known += usize::from(series.iter().any(|series| !series.is_empty()));
        let (mut shown, hidden): (Vec<_>, Vec<_>) = series.into_iter().partition(wanted);
        if shown.is_empty() {
            // A server of which nothing is known is listed all the same.
            shown.extend(hidden.into_iter().next());
        }
        let energy = energy.remove(&server.id).and_then(|hours| Energy::of(&hours));
        rows.extend(shown.into_iter().map(|series| {
            let energy = energy.clone().filter(|_| series.metric == Metric::Watts);
            Row::new(server, series, energy)
        }));
    }
    let exit = Exit::of_many(known, past.failures.iter().map(|failed| failed.kind.into()));
    let report =
        SeriesReport { generated_at: now, since, until: now, series: rows, failures: past.failures, chart: args.chart };
    Ok(Outcome::new(report, exit))
}

impl Row {
    fn new(server: &Server, series: Series, energy: Option<Energy>) -> Row {
        let summary = series.summary();
        Row { id: server.id.clone(), name: server.name.clone(), kind: server.kind, series, summary, energy }
    }

    fn value(&self, number: Option<f64>) -> Value<'_> {
        Value::of(number, |number| match in_unit(self.series.metric, number) {
            Value::Within { span, unit, value } if self.is_partial() => {
                Value::Within { span: Span { most: None, ..span }, unit, value }
            }
            value => value,
        })
    }

    /// Whether watts are those of a part of the server, some of the time at least.
    fn is_partial(&self) -> bool {
        self.series.is_partial || self.energy.as_ref().is_some_and(|energy| energy.by.iter().any(|by| by.is_partial()))
    }

    fn kwh(&self) -> Value<'_> {
        Value::of(self.energy.as_ref(), |energy| {
            let (span, unit) = energy::in_unit(energy.kwh());
            Value::Within { span, unit, value: energy.joules / JOULES_PER_KWH }
        })
    }

    /// Of how many hours the energy is.
    fn energy_of(&self) -> Value<'_> {
        let Window { since, until, .. } = self.series.window;
        let hours = until.duration_since(since).as_secs_f64() / 3600.0;
        Value::of(self.energy.as_ref(), |energy| Value::text(format!("{:.1} of {hours:.1} h", energy.seconds / 3600.0)))
    }

    /// Who measured the watts.
    fn measured_by(&self) -> Value<'_> {
        let mut words: Vec<&str> = Vec::new();
        for by in self.energy.iter().flat_map(|energy| &energy.by) {
            let word = by.source().as_str();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Value::made(words.join(", "))
    }

    fn course(&self) -> Value<'_> {
        if self.series.is_empty() {
            return Value::Unknown;
        }
        let scale = if self.series.metric.unit() == Unit::Percent { Scale::Percent } else { Scale::Own };
        Value::Spark { points: self.series.points.iter().map(|point| point.avg).collect(), scale }
    }

    /// What CSV says of a point.
    fn record(&self, point: &Point) -> Vec<Value<'_>> {
        let number = |number: Option<f64>| Value::of(number, Value::Exact);
        vec![
            Value::text(self.id.as_str()),
            Value::text(self.name.as_str()),
            Value::text(self.series.metric.as_str()),
            Value::text(unit_name(self.series.metric)),
            Value::Time(point.at),
            number(point.avg),
            number(point.min),
            number(point.max),
            Value::text(self.series.source.as_str()),
        ]
    }

    fn known(&self) -> Value<'_> {
        let points = &self.series.points;
        let known = points.iter().filter(|point| point.avg.is_some()).count();
        Value::text(format!("{known} of {} steps", points.len()))
    }
}

/// A number of a series as a cell.
fn in_unit<'r>(metric: Metric, number: f64) -> Value<'r> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, not negative")]
    match metric.unit() {
        Unit::Percent => Value::Percent(number),
        Unit::Bytes => Value::Bytes(number as u64),
        Unit::BytesPerSecond => Value::BytesPerSecond(number),
        Unit::Watts => Value::Within { span: Span::exact(number), unit: "W", value: number },
        Unit::Plain => Value::Number(number),
    }
}

fn unit_name(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Percent => "percent",
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "bytes_per_second",
        Unit::Watts => "watts",
        Unit::Plain => "load",
    }
}

impl Report for SeriesReport {
    const SCHEMA: &'static str = "ecobox.series/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        let mut columns = vec![
            column("NAME", 0, |row| Value::text(row.name.as_str())).cut_to(12),
            column("METRIC", 0, |row| Value::text(row.series.metric.as_str())),
            column("COURSE", 2, Row::course),
            column("MIN", 4, |row| row.value(row.summary.min)),
            column("AVG", 0, |row| row.value(row.summary.avg)),
            column("MAX", 0, |row| row.value(row.summary.max)),
            column("P95", 1, |row| row.value(row.summary.p95)),
            column("LAST", 3, |row| row.value(row.summary.last)),
            column("BY", 5, |row| Value::maybe((!row.series.is_empty()).then(|| row.series.source.as_str()))),
            wide("ID", |row| Value::text(row.id.as_str())),
            wide("STEP", |row| Value::Seconds(seconds(row.series.window.step))),
            wide("KNOWN", Row::known),
        ];
        if self.series.iter().any(|row| row.energy.is_some()) {
            columns.push(column("ENERGY", 6, Row::kwh));
            columns.push(wide("ENERGY OF", Row::energy_of));
            columns.push(wide("WATTS BY", Row::measured_by));
        }
        columns
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.series.iter()
    }

    fn notes(&self) -> Vec<String> {
        let window = self.until.duration_since(self.since).as_secs_f64();
        let is_short = |row: &Row| row.energy.as_ref().is_some_and(|energy| energy.seconds < window * 0.9);
        if self.series.iter().any(is_short) {
            return vec!["energy is of the time that is known: `-o wide` says how much that is".to_owned()];
        }
        if self.series.iter().all(|row| row.series.is_empty()) {
            return vec![
                "nothing is known of that time; each run of `ecobox status` or `ecobox stats` adds to it".to_owned(),
            ];
        }
        Vec::new()
    }

    fn picture(&self, output: &Output) -> Option<String> {
        let metric = self.chart?;
        let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
        // A line goes through the middle of each step.
        let middle = |series: &Series, point: &Point| seconds(point.at) + series.window.step.as_secs_f64() / 2.0;
        let points = |row: &Row| -> Vec<(f64, Option<f64>)> {
            row.series.points.iter().map(|point| (middle(&row.series, point), point.avg)).collect()
        };
        let points: Vec<_> = self.series.iter().map(points).collect();
        let lines = self.series.iter().zip(&points).map(|(row, points)| Line { label: &row.name, points });
        let lines: Vec<Line<'_>> = lines.collect();
        let options = ChartOptions {
            width: output.width.unwrap_or(CHART.0),
            height: CHART.1,
            title: &format!("{metric} since {}", rfc3339(self.since)),
            unit: metric.unit(),
            since: self.since,
            until: self.until,
            zone: if output.width.is_some() { TimeZone::system() } else { TimeZone::UTC },
            color: output.color,
            utf8: output.utf8,
        };
        Some(chart(&lines, &options))
    }

    /// CSV carries the points.
    fn records(&self) -> Option<Records<'_>> {
        let rows = self.series.iter().flat_map(|row| row.series.points.iter().map(|point| row.record(point)));
        Some(Records { header: POINT, rows: rows.collect() })
    }
}

fn seconds(step: SignedDuration) -> u64 {
    u64::try_from(step.as_secs()).unwrap_or_default()
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = &self.series;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("kind", self.kind.as_str())?;
        map.serialize_entry("metric", &series.metric)?;
        map.serialize_entry("unit", unit_name(series.metric))?;
        map.serialize_entry("source", series.source.as_str())?;
        map.serialize_entry("step_seconds", &series.window.step.as_secs())?;
        map.serialize_entry("summary", &self.summary)?;
        if let Some(energy) = &self.energy {
            map.serialize_entry("energy", &EnergyOfWindow(energy))?;
        }
        map.serialize_entry("points", &Points(&series.points))?;
        map.end()
    }
}

/// Kilowatt-hours, and of how much time they are.
struct EnergyOfWindow<'e>(&'e Energy);

impl Serialize for EnergyOfWindow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let energy = self.0;
        let kwh = energy.kwh();
        let mut sources: Vec<WattsSource> = energy.by.iter().map(|by| by.source()).collect();
        sources.dedup();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("kwh", &without_noise(energy.joules / JOULES_PER_KWH))?;
        map.serialize_entry("least_kwh", &without_noise(kwh.least))?;
        map.serialize_entry("most_kwh", &kwh.most.map(without_noise))?;
        map.serialize_entry("known_seconds", &energy.seconds.round())?;
        map.serialize_entry("sources", &sources)?;
        map.end()
    }
}

/// The points of a series; times are stamped as in every report.
struct Points<'p>(&'p [Point]);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Stamped {
            at: String,
            avg: Option<f64>,
            min: Option<f64>,
            max: Option<f64>,
        }
        let stamped = |point: &Point| Stamped { at: rfc3339(point.at), avg: point.avg, min: point.min, max: point.max };
        serializer.collect_seq(self.0.iter().map(stamped))
    }
}
