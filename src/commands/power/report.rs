//! The plan as rows, before and after it was carried out.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::plan::numbered;
use crate::commands::stamp_of;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::host::idle::{Need, Verdict};
use crate::model::host::power::HostCall;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::power::{Course, Finding, Goal, Plan, PowerAction, PowerState, Step, StepKind, StepReason, StepText};
use crate::model::text::units::human_span;
use crate::render::value::{Stamp, Value};
use crate::render::{Column, Format, Output, Records, Report, table};

/// The plan, and what came of it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct PowerReport {
    action: &'static str,
    /// Nothing was done.
    dry_run: bool,
    steps: Vec<Row>,
    /// What was found against the plan.
    checks: Vec<Finding>,
}

/// What is known of steps besides the plan.
pub(super) struct Ready<'r> {
    /// By what some are done, by their places.
    pub(super) calls: &'r HashMap<usize, String>,
    /// Whether hosts that go down only if idle are idle, by the places of their steps.
    pub(super) idle: &'r HashMap<usize, Verdict>,
    /// Whether somebody logs in to a host.
    pub(super) over_ssh: &'r dyn Fn(&ServerId) -> bool,
}

/// One step.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Its number, from 1 on.
    step: usize,
    id: ServerId,
    name: String,
    kind: &'static str,
    action: &'static str,
    /// `planned`, `done`, `already`, `sent`, `failed`, `task failed`, `unconfirmed`, `refused`, `needed`,
    /// `not tried`.
    result: &'static str,
    /// Why the step is there.
    why: StepReason,
    /// The request or command, as far as it is known before.
    call: Option<String>,
    /// What is waited for.
    until: Option<String>,
    /// How long that is waited for.
    deadline_seconds: Option<f64>,
    /// The network port on which Wake-on-LAN is armed first.
    arms_wol: Option<String>,
    /// When its own clock wakes the host, which is set first.
    wakes_at: Option<Stamp>,
    /// The job that gave the time, with `--until next-job`.
    wakes_for: Option<String>,
    /// The time as people say it.
    #[serde(skip)]
    set_for: Option<String>,
    /// After how long a guest is stopped that has not shut down.
    stops_after_seconds: Option<f64>,
    /// Of a guest that moves: the node that it leaves, and the one that it goes to.
    from_node: Option<String>,
    to_node: Option<String>,
    /// Numbers of the steps that come before.
    after: Vec<usize>,
    /// Why it did not succeed, or what more there is to say.
    detail: Option<String>,
    /// The state that was seen last.
    state: Option<&'static str>,
    upid: Option<String>,
    /// The last lines of the log of a task that failed.
    log: Vec<String>,
    seconds: Option<f64>,
    /// What was found against it when its turn had come.
    checks: Vec<Finding>,
    /// With `--if-idle`: since when nothing has used the host, as far as was seen.
    #[serde(serialize_with = "stamp_of")]
    idle_since: Option<Timestamp>,
    /// And what needs it now; `null` unless it was looked at.
    needs: Option<Vec<Need>>,
    /// The plan of it in words, step by step.
    #[serde(skip)]
    told: Vec<String>,
}

impl Row {
    /// `pve1-vm-101 (web)`
    fn whom(&self) -> String {
        if self.name == self.id.as_str() { self.name.clone() } else { format!("{} ({})", self.id, self.name) }
    }

    /// The step and its outcome in words: `start pve1-vm-101 (web): done, running, 2.1 s`
    fn came_out(&self) -> String {
        let state = self.state.map(|state| format!(", {state}")).unwrap_or_default();
        let seconds = self.seconds.map(|seconds| format!(", {seconds:.1} s")).unwrap_or_default();
        let detail = self.detail.as_ref().map(|detail| format!("; {detail}")).unwrap_or_default();
        format!("{} {}: {}{state}{seconds}{detail}", self.action, self.whom(), self.result)
    }

    /// What is waited for, how long, and what is done besides.
    fn ahead(&self) -> Option<String> {
        let until = self.until.as_ref().filter(|_| self.result == PLANNED)?;
        let span = |seconds: f64| human_span(Duration::from_secs_f64(seconds));
        let limit = self.deadline_seconds.map(|limit| format!(", at most {}", span(limit))).unwrap_or_default();
        let first = self.arms_wol.as_ref().map(|port| format!("first Wake-on-LAN is armed on {port}; "));
        let clock = self.set_for.as_ref().map(|at| format!("its clock is set to wake it at {at}; "));
        let then = self.stops_after_seconds.map(|after| format!("; stopped at once after {}", span(after)));
        let before = first.unwrap_or_default() + &clock.unwrap_or_default();
        Some(format!("{before}until {until}{limit}{}", then.unwrap_or_default()))
    }
}

/// The result of a step that was not taken.
const PLANNED: &str = "planned";

impl PowerReport {
    /// `ends`: what came of the steps.
    pub(super) fn new(
        action: PowerAction,
        dry_run: bool,
        servers: &[Server],
        plan: Plan,
        ready: &Ready<'_>,
        ends: Option<Vec<StepReport>>,
    ) -> PowerReport {
        let refused = plan.findings.iter().any(|finding| !finding.allowed) && !dry_run;
        let mut ends = ends.map(Vec::into_iter);
        let rows = plan.steps.iter().enumerate().map(|(number, step)| {
            let end = ends.as_mut().and_then(Iterator::next);
            row(number, step, servers, &plan, ready, end, refused)
        });
        let steps = rows.collect();
        PowerReport { action: action.as_str(), dry_run, steps, checks: plan.findings }
    }

    /// Whether a step is about this server.
    pub(super) fn has(&self, server: &ServerId) -> bool {
        self.steps.iter().any(|row| row.id == *server)
    }
}

fn row(
    number: usize,
    step: &Step,
    servers: &[Server],
    plan: &Plan,
    ready: &Ready<'_>,
    end: Option<StepReport>,
    refused: bool,
) -> Row {
    let server = &servers[step.server];
    let result = match (&end, &step.does) {
        (Some(end), _) => end.how.as_str(),
        (None, StepKind::Already(_)) => StepOutcome::Already.as_str(),
        (None, StepKind::Cannot { kind, .. }) => kind.map_or(StepOutcome::Refused, StepOutcome::Failed).as_str(),
        (None, StepKind::Needed { .. }) => StepOutcome::Needed.as_str(),
        (None, _) if refused => StepOutcome::NotTried.as_str(),
        (None, _) => PLANNED,
    };
    let planned_state = match &step.does {
        StepKind::Already(state) => Some(*state),
        _ => None,
    };
    let cannot = match &step.does {
        StepKind::Cannot { why, .. } | StepKind::Needed { why } => Some(why.clone()),
        _ => None,
    };
    let way = match &step.does {
        StepKind::Migrate(way) => Some(way),
        _ => None,
    };
    let until = until(number, step, servers, plan, ready);
    let mut told = StepText::of(step, server);
    if let Some(until) = until.as_ref().filter(|_| way.is_none()) {
        told.until = Some(format!("until {until}"));
    }
    let Course { limit, arms, wakes, stops_after } = &step.course;
    let mut after: Vec<usize> = step.needs.iter().chain(&step.follows).map(|other| other + 1).collect();
    after.sort_unstable();
    Row {
        step: number + 1,
        id: server.id.clone(),
        name: server.name.clone(),
        kind: server.kind.as_str(),
        action: step.action.as_str(),
        result,
        why: step.why.clone(),
        call: ready.calls.get(&number).cloned().or_else(|| call(step, server)),
        told: told.lines(),
        until,
        deadline_seconds: limit.map(|limit| limit.as_secs_f64()),
        wakes_at: wakes.as_ref().map(|waking| Stamp(waking.at)),
        wakes_for: wakes.as_ref().and_then(|waking| waking.job.clone()),
        set_for: wakes.as_ref().map(|waking| waking.words.clone()),
        arms_wol: arms.as_ref().map(|arms| arms.port.clone()),
        stops_after_seconds: stops_after.map(|after| after.as_secs_f64()),
        from_node: way.map(|way| way.from.to_string()),
        to_node: way.map(|way| way.call.target.to_string()),
        after,
        detail: end.as_ref().map_or(cannot, |end| end.detail.clone()),
        state: end.as_ref().map_or(planned_state, |end| end.state).map(PowerState::as_str),
        upid: end.as_ref().and_then(|end| end.upid.as_ref()).map(ToString::to_string),
        seconds: end.as_ref().map(|end| (end.took.as_secs_f64() * 1000.0).round() / 1000.0),
        log: end.as_ref().map(|end| end.log.clone()).unwrap_or_default(),
        checks: end.map(|end| end.findings).unwrap_or_default(),
        idle_since: ready.idle.get(&number).and_then(|verdict| verdict.since),
        needs: ready.idle.get(&number).map(|verdict| verdict.needs.clone()),
    }
}

/// The request that a guest's step makes.
fn call(step: &Step, server: &Server) -> Option<String> {
    let (node, kind, vmid) = (server.node.as_ref()?, server.kind.guest()?, server.vmid?);
    let (word, parameters) = match &step.does {
        StepKind::Guest(call) => {
            let (word, parameters) = call.request();
            (format!("status/{word}"), parameters)
        }
        StepKind::Migrate(way) => ("migrate".to_owned(), way.call.parameters(kind)),
        _ => return None,
    };
    let path = format!("POST /nodes/{}/{}/{vmid}/{word}", node.as_str(), kind.as_str());
    let parameters = parameters.iter().map(|(name, value)| format!("{name}={value}"));
    Some(std::iter::once(path).chain(parameters).collect::<Vec<_>>().join(" "))
}

/// What a step waits for.
fn until(number: usize, step: &Step, servers: &[Server], plan: &Plan, ready: &Ready<'_>) -> Option<String> {
    let server = &servers[step.server];
    let services = || {
        let names: Vec<&str> = server.services.iter().map(|service| service.name.as_str()).collect();
        let up = matches!(step.action, PowerAction::Start | PowerAction::Resume | PowerAction::Reboot);
        if up && !names.is_empty() { format!(", {} answers", names.join(" and ")) } else { String::new() }
    };
    match &step.does {
        StepKind::Wake => {
            let needing = plan.steps.iter().filter(|other| other.needs.contains(&number));
            let guests: Vec<&str> = needing
                .map(|other| &servers[other.server])
                .filter(|server| server.vmid.is_some())
                .map(|server| server.id.as_str())
                .collect();
            let over_ssh = (ready.over_ssh)(&server.id);
            let listed = match guests.as_slice() {
                [] => String::new(),
                guests => format!(", its API answers with quorum, and lists {}", guests.join(", ")),
            };
            let awake =
                if over_ssh { "SSH answers with its known key" } else { "its API answers with its certificate" };
            Some(format!("{awake}{listed}"))
        }
        StepKind::Guest(call) => Some(format!("it is {}{}", Goal::of(call).as_str(), services())),
        StepKind::Migrate(way) => {
            let why = way.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            Some(format!("it is {} on {}{why}", server.seen.state, way.call.target))
        }
        StepKind::GuestLater => Some(format!("its host is ready, then depending on its state{}", services())),
        StepKind::Host(call) => Some(match call {
            HostCall::Reboot => "it answers again, in another boot".to_owned(),
            _ => "it is gone".to_owned(),
        }),
        StepKind::Already(_) | StepKind::Cannot { .. } | StepKind::Needed { .. } => None,
    }
}

impl Report for PowerReport {
    const SCHEMA: &'static str = "ecobox.power/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("STEP", 3, |row| Value::text(row.step.to_string())),
            column("SERVER", 0, |row| Value::text(row.whom())).cut_to(16),
            column("ACTION", 0, |row| Value::text(row.action)),
            column("RESULT", 0, |row| Value::text(row.result)),
            column("STATE", 4, |row| Value::maybe(row.state)),
            column("TIME", 5, |row| Value::of(row.seconds, |seconds| Value::Milliseconds(seconds * 1000.0))),
            // That it was asked for needs no words.
            column("WHY", 2, |row| Value::maybe((row.why != StepReason::Asked).then(|| row.why.to_string())))
                .cut_to(12),
            column("DETAIL", 1, |row| Value::maybe(row.detail.clone().or_else(|| row.ahead()))).cut_to(28),
            wide("NAME", |row| Value::text(row.name.as_str())),
            wide("AFTER", |row| {
                let after: Vec<String> = row.after.iter().map(ToString::to_string).collect();
                Value::made(after.join(","))
            }),
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
        const HEADER: &[&str] =
            &["step", "server", "action", "result", "state", "time", "why", "detail", "name", "after", "call", "upid"];
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
