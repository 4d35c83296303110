//! The migrations as rows, before and after they were carried out.

use serde::Serialize;

use crate::commands::plan::numbered;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::migrate::Destination;
use crate::model::power::{Finding, Plan, PowerState, Step, StepKind, StepText};
use crate::model::text::units::human_span;
use crate::render::value::Value;
use crate::render::{Column, Format, Output, Records, Report, table};

/// The result of a step that was not taken.
const PLANNED: &str = "planned";

/// The plan, and what came of it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct MigrateReport {
    /// The node that was named, or `any`.
    to: String,
    /// Nothing was done.
    dry_run: bool,
    steps: Vec<Row>,
    /// What was found against the plan.
    checks: Vec<Finding>,
}

/// One guest.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: ServerId,
    name: String,
    kind: &'static str,
    /// The node that it is on before.
    from_node: Option<String>,
    /// The node that it goes to; `null` if none can take it.
    to_node: Option<String>,
    /// `planned`, `done`, `already`, `sent`, `failed`, `task failed`, `unconfirmed`, `refused`, `not tried`.
    result: &'static str,
    /// The request.
    call: Option<String>,
    /// Why this node was chosen, with `--to any`.
    chosen_because: Option<String>,
    /// What else there is to know: others that HA moves along, disks that are copied.
    notes: Vec<String>,
    /// How long it is waited for.
    deadline_seconds: Option<f64>,
    /// Why it did not succeed, or how it went.
    detail: Option<String>,
    /// The state that was seen last.
    state: Option<&'static str>,
    upid: Option<String>,
    /// The last lines of the log of a task that failed.
    log: Vec<String>,
    seconds: Option<f64>,
    /// What was found against it when its turn had come.
    checks: Vec<Finding>,
    /// The plan of it in words.
    #[serde(skip)]
    told: Vec<String>,
}

impl Row {
    /// `pve1-vm-101 (web)`
    fn whom(&self) -> String {
        if self.name == self.id.as_str() { self.name.clone() } else { format!("{} ({})", self.id, self.name) }
    }

    /// The step and its outcome in words.
    fn came_out(&self) -> String {
        let state = self.state.map(|state| format!(", {state}")).unwrap_or_default();
        let seconds = self.seconds.map(|seconds| format!(", {seconds:.1} s")).unwrap_or_default();
        let detail = self.detail.as_ref().map(|detail| format!("; {detail}")).unwrap_or_default();
        format!("migrate {}: {}{state}{seconds}{detail}", self.whom(), self.result)
    }

    /// What is to be known of a step that was not taken.
    fn ahead(&self) -> Option<String> {
        let limit = self.deadline_seconds.filter(|_| self.result == PLANNED)?;
        let why = self.chosen_because.iter().cloned().chain(self.notes.iter().cloned());
        let limit = human_span(std::time::Duration::from_secs_f64(limit));
        Some(why.chain([format!("at most {limit}")]).collect::<Vec<_>>().join("; "))
    }
}

impl MigrateReport {
    /// `ends`: what came of the steps.
    pub(super) fn new(
        to: &Destination,
        dry_run: bool,
        servers: &[Server],
        plan: Plan,
        ends: Option<Vec<StepReport>>,
    ) -> MigrateReport {
        let refused = plan.findings.iter().any(|finding| !finding.allowed) && !dry_run;
        let mut ends = ends.map(Vec::into_iter);
        let rows = plan.steps.iter().map(|step| {
            let end = ends.as_mut().and_then(Iterator::next);
            row(step, &servers[step.server], end, refused)
        });
        let steps = rows.collect();
        MigrateReport { to: to.as_str().to_owned(), dry_run, steps, checks: plan.findings }
    }

    /// Whether a step is about this server.
    pub(super) fn has(&self, server: &ServerId) -> bool {
        self.steps.iter().any(|row| row.id == *server)
    }
}

fn row(step: &Step, server: &Server, end: Option<StepReport>, refused: bool) -> Row {
    let result = match (&end, &step.does) {
        (Some(end), _) => end.how.as_str(),
        (None, StepKind::Already(_)) => StepOutcome::Already.as_str(),
        (None, StepKind::Cannot { kind, .. }) => kind.map_or(StepOutcome::Refused, StepOutcome::Failed).as_str(),
        (None, _) if refused => StepOutcome::NotTried.as_str(),
        (None, _) => PLANNED,
    };
    let (way, state, cannot) = match &step.does {
        StepKind::Migrate(way) => (Some(way), None, None),
        StepKind::Already(state) => (None, Some(*state), Some("it is there already".to_owned())),
        StepKind::Cannot { why, .. } => (None, None, Some(why.clone())),
        _ => (None, None, None),
    };
    let call = way.and_then(|way| {
        let (kind, vmid) = (server.kind.guest()?, server.vmid?);
        let path = format!("POST /nodes/{}/{}/{vmid}/migrate", way.from, kind.as_str());
        let parameters = way.call.parameters(kind).into_iter().map(|(name, value)| format!("{name}={value}"));
        Some(std::iter::once(path).chain(parameters).collect::<Vec<_>>().join(" "))
    });
    let from = way.map(|way| &way.from).or(server.node.as_ref());
    Row {
        id: server.id.clone(),
        name: server.name.clone(),
        kind: server.kind.as_str(),
        from_node: from.map(ToString::to_string),
        to_node: way.map(|way| way.call.target.to_string()).or_else(|| state.and(from.map(ToString::to_string))),
        result,
        call,
        chosen_because: way.and_then(|way| way.why.clone()),
        notes: way.map(|way| way.notes.clone()).unwrap_or_default(),
        deadline_seconds: step.course.limit.map(|limit| limit.as_secs_f64()),
        detail: end.as_ref().map_or(cannot, |end| end.detail.clone()),
        state: end.as_ref().map_or(state, |end| end.state).map(PowerState::as_str),
        upid: end.as_ref().and_then(|end| end.upid.as_ref()).map(ToString::to_string),
        log: end.as_ref().map(|end| end.log.clone()).unwrap_or_default(),
        seconds: end.as_ref().map(|end| (end.took.as_secs_f64() * 1000.0).round() / 1000.0),
        checks: end.map(|end| end.findings).unwrap_or_default(),
        told: StepText::of(step, server).lines(),
    }
}

impl Report for MigrateReport {
    const SCHEMA: &'static str = "ecobox.migrate/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("SERVER", 0, |row| Value::text(row.whom())).cut_to(16),
            column("FROM", 2, |row| Value::maybe(row.from_node.as_deref())),
            column("TO", 0, |row| Value::maybe(row.to_node.as_deref())),
            column("RESULT", 0, |row| Value::text(row.result)),
            column("STATE", 3, |row| Value::maybe(row.state)),
            column("TIME", 4, |row| Value::of(row.seconds, |seconds| Value::Milliseconds(seconds * 1000.0))),
            column("DETAIL", 1, |row| Value::maybe(row.detail.clone().or_else(|| row.ahead()))).cut_to(28),
            wide("NAME", |row| Value::text(row.name.as_str())),
            wide("CALL", |row| Value::maybe(row.call.as_deref())),
            wide("UPID", |row| Value::maybe(row.upid.as_deref())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.steps.iter()
    }

    fn picture(&self, output: &Output) -> Option<String> {
        let width = output.width.filter(|_| output.format == Format::Table)?;
        if table::natural_width(self, output) <= width {
            return None;
        }
        let lines = self.steps.iter().flat_map(|row| match row.result {
            PLANNED => row.told.clone(),
            _ => vec![row.came_out()],
        });
        Some(numbered(lines, width))
    }

    fn records(&self) -> Option<Records<'_>> {
        const HEADER: &[&str] = &["server", "from", "to", "result", "state", "time", "detail", "name", "call", "upid"];
        let columns = self.columns();
        let rows = self.steps.iter().map(|row| record(&columns, row));
        Some(Records { header: HEADER, rows: rows.collect() })
    }
}

/// What CSV says of a step: the id alone is what scripts look for.
fn record<'r>(columns: &[Column<'r, &'r Row>], row: &'r Row) -> Vec<Value<'r>> {
    let cell = |column: &Column<'r, &'r Row>| match column.name {
        "SERVER" => Value::text(row.id.as_str()),
        _ => (column.value)(row),
    };
    columns.iter().map(cell).collect()
}
