//! What was done with snapshots, or would be, as rows.

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::stamp_of;
use crate::fleet::act::snapshot::{SnapshotEnd, SnapshotPlan, SnapshotStep};
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::power::{Finding, PowerState};
use crate::model::snapshot::SnapshotCall;
use crate::render::value::Value;
use crate::render::{Column, Report};

/// What was done, guest by guest.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotReport {
    action: &'static str,
    /// Nothing was done.
    dry_run: bool,
    steps: Vec<Row>,
}

/// One call to one guest.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: ServerId,
    name: String,
    kind: &'static str,
    /// `create`, `delete`, `rollback`.
    action: &'static str,
    /// Its name; `null` where no snapshot is meant.
    snapshot: Option<String>,
    /// `planned`, `done`, `already`, `sent`, `failed`, `task failed`, `unconfirmed`, `refused`, `not tried`.
    result: &'static str,
    /// That `--keep` asks for it.
    by_keep: bool,
    /// The request.
    call: Option<String>,
    /// Why it did not succeed, or what more there is to say.
    detail: Option<String>,
    /// What is to be known beforehand.
    notes: Vec<String>,
    /// With a rollback: since when everything is lost.
    #[serde(serialize_with = "stamp_of")]
    loses_since: Option<Timestamp>,
    /// With a rollback: what changes in the configuration.
    differences: Vec<Change>,
    /// The state of the guest that was seen last.
    state: Option<&'static str>,
    upid: Option<String>,
    /// The last lines of the log of a task that failed.
    log: Vec<String>,
    seconds: Option<f64>,
    /// What was found against it.
    checks: Vec<Finding>,
    /// What to do about it.
    hint: Option<String>,
}

/// A setting that a rollback changes.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
struct Change {
    key: String,
    /// As it is now; `null`: it is not set.
    now: Option<String>,
    /// As it will be.
    then: Option<String>,
}

const PLANNED: &str = "planned";

impl SnapshotReport {
    /// `ends`: what came of the steps.
    pub(super) fn new(
        servers: &[Server],
        plan: &SnapshotPlan,
        dry_run: bool,
        ends: Option<&[Option<SnapshotEnd>]>,
    ) -> SnapshotReport {
        let verb = plan.wish.verb();
        let mut steps = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let server = &servers[step.server];
            let end = ends.and_then(|ends| ends.get(number)).and_then(Option::as_ref);
            let result = match end {
                Some(end) => end.report.how.as_str(),
                None => unbegun(step, dry_run && plan.goes_on()),
            };
            let mut row = row(server, verb, result, end.map(|end| &end.report));
            row.snapshot = step.call.as_ref().map(|call| call.name().to_owned());
            row.call = step.call.as_ref().and_then(|call| request(server, call));
            row.notes.clone_from(&step.notes);
            row.loses_since = step.loses_since;
            row.differences = step.differences.iter().map(Change::of).collect();
            row.checks.splice(0..0, step.findings.iter().cloned());
            if let Some(cannot) = &step.cannot {
                (row.detail, row.hint) = (Some(cannot.why.clone()), cannot.fix.clone());
            }
            let against = step.findings.iter().find(|finding| !finding.allowed);
            if let (None, Some(finding)) = (&row.detail, against) {
                (row.detail, row.hint) = (Some(finding.message.clone()), finding.fix.clone());
            }
            let is_there = step.call.is_none() && step.cannot.is_none();
            if is_there {
                row.detail = Some("no snapshot of it is called so".to_owned());
            }
            steps.push(row);
            let planned = step.surplus.iter().filter(|_| end.is_none() && result == PLANNED);
            steps.extend(planned.map(|name| by_keep(server, name, PLANNED, None)));
            let kept = end.iter().flat_map(|end| &end.kept);
            steps.extend(kept.map(|(name, report)| by_keep(server, name, report.how.as_str(), Some(report))));
        }
        SnapshotReport { action: verb, dry_run, steps }
    }
}

impl Change {
    fn of(difference: &crate::model::snapshot::differences::Difference) -> Change {
        let crate::model::snapshot::differences::Difference { key, now, then } = difference.clone();
        Change { key, now, then }
    }
}

/// What is said of a step that was not begun.
fn unbegun(step: &SnapshotStep, is_planned: bool) -> &'static str {
    match (&step.cannot, &step.call) {
        (Some(cannot), _) => cannot.kind.map_or(StepOutcome::Refused, StepOutcome::Failed).as_str(),
        (None, None) => StepOutcome::Already.as_str(),
        (None, Some(_)) if !step.is_clear() => StepOutcome::Refused.as_str(),
        (None, Some(_)) if is_planned => PLANNED,
        (None, Some(_)) => StepOutcome::NotTried.as_str(),
    }
}

fn by_keep(server: &Server, name: &str, result: &'static str, report: Option<&StepReport>) -> Row {
    let call = SnapshotCall::Delete { name: name.to_owned() };
    Row {
        snapshot: Some(name.to_owned()),
        by_keep: true,
        call: request(server, &call),
        ..row(server, call.verb(), result, report)
    }
}

fn row(server: &Server, action: &'static str, result: &'static str, report: Option<&StepReport>) -> Row {
    Row {
        id: server.id.clone(),
        name: server.name.clone(),
        kind: server.kind.as_str(),
        action,
        snapshot: None,
        result,
        by_keep: false,
        call: None,
        detail: report.and_then(|report| report.detail.clone()),
        notes: Vec::new(),
        loses_since: None,
        differences: Vec::new(),
        state: report.and_then(|report| report.state).map(PowerState::as_str),
        upid: report.and_then(|report| report.upid.as_ref()).map(ToString::to_string),
        log: report.map(|report| report.log.clone()).unwrap_or_default(),
        seconds: report.map(|report| (report.took.as_secs_f64() * 1000.0).round() / 1000.0),
        checks: report.map(|report| report.findings.clone()).unwrap_or_default(),
        hint: report.and_then(|report| report.hint.clone()),
    }
}

/// The request that a call makes.
fn request(server: &Server, call: &SnapshotCall) -> Option<String> {
    let (method, path, parameters) = call.request();
    let (node, kind, vmid) = (server.node.as_ref()?, server.kind.guest()?, server.vmid?);
    let place = format!("{method} /nodes/{node}/{}/{vmid}/{path}", kind.as_str());
    let shown = |(name, value): &(&str, String)| format!("{name}={}", value.replace('\n', "\\n"));
    Some(std::iter::once(place).chain(parameters.iter().map(shown)).collect::<Vec<_>>().join(" "))
}

impl Row {
    /// `pve1-vm-101 (web)`
    fn whom(&self) -> String {
        if self.name == self.id.as_str() { self.name.clone() } else { format!("{} ({})", self.id, self.name) }
    }

    fn said(&self) -> Option<String> {
        let why = self.by_keep.then(|| "by --keep".to_owned());
        let all: Vec<String> = self.detail.clone().into_iter().chain(why).collect();
        let all = if all.is_empty() && self.result == PLANNED { self.notes.clone() } else { all };
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Report for SnapshotReport {
    const SCHEMA: &'static str = "ecobox.snapshot/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("SERVER", 0, |row| Value::text(row.whom())).cut_to(16),
            column("ACTION", 3, |row| Value::text(row.action)),
            column("SNAPSHOT", 0, |row| Value::maybe(row.snapshot.as_deref())).cut_to(16),
            column("RESULT", 0, |row| Value::text(row.result)),
            column("STATE", 4, |row| Value::maybe(row.state)),
            column("TIME", 5, |row| Value::of(row.seconds, |seconds| Value::Milliseconds(seconds * 1000.0))),
            column("DETAIL", 1, |row| Value::maybe(row.said())).cut_to(28),
            wide("NAME", |row| Value::text(row.name.as_str())),
            wide("CALL", |row| Value::maybe(row.call.as_deref())),
            wide("UPID", |row| Value::maybe(row.upid.as_deref())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.steps.iter()
    }
}
