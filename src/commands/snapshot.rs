//! `ecobox snapshot`: lists the snapshots of guests, takes, deletes and rolls back.

pub(crate) mod args;
mod exit;
pub(crate) mod list;
pub(crate) mod report;

use jiff::Timestamp;

use self::args::{CreateArgs, DeleteArgs, HowArgs, RollbackArgs};
pub(crate) use self::args::{SnapshotArgs, Verb};
use self::exit::{exit_of, exit_of_plan};
use self::report::SnapshotReport;
use crate::commands::lead::Lead;
use crate::commands::{Context, Outcome, asked_by, counted, tell, with_fleet};
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::snapshot::{
    SnapshotEnd, SnapshotOptions, SnapshotPlan, SnapshotRun, SnapshotStep, SnapshotWish,
};
use crate::fleet::act::{ApiClients, Choice, Now};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::hint::HintId;
use crate::model::inventory::{Inventory, Server};
use crate::model::power::outcome::ActionOutcome;
use crate::model::select::SelectError;
use crate::model::snapshot::{Rotation, SnapshotCall, SnapshotName};
use crate::model::text::units::human_seconds;
use crate::state::Action as Done;
use crate::ui::Ui;

/// A verb that changes something, with all that was typed.
struct Asked<'a> {
    wish: SnapshotWish,
    targets: &'a [String],
    yes: bool,
    how: &'a HowArgs,
}

/// Takes a snapshot of each guest.
///
/// # Errors
/// As `act`.
pub(crate) async fn create(ctx: &Context, args: &CreateArgs) -> anyhow::Result<Outcome<SnapshotReport>> {
    let CreateArgs { targets, name, description, vmstate, label, keep, max_storage, how } = args;
    let name = name.clone().unwrap_or_else(|| SnapshotName::by_default(label.as_ref(), Timestamp::now()));
    let wish = SnapshotWish::Create {
        name,
        text: description.clone(),
        memory: *vmstate,
        rotation: Rotation::of(label.as_ref(), keep.is_some()),
        keep: keep.map(usize::from),
        max_storage: *max_storage,
    };
    // A new snapshot takes nothing from anybody, and what `--keep` deletes was asked for by it.
    act(ctx, Asked { wish, targets, yes: true, how }).await
}

/// Deletes snapshots.
///
/// # Errors
/// As `act`.
pub(crate) async fn delete(ctx: &Context, args: &DeleteArgs) -> anyhow::Result<Outcome<SnapshotReport>> {
    let DeleteArgs { name, targets, yes, how } = args;
    act(ctx, Asked { wish: SnapshotWish::Delete { pattern: name.clone() }, targets, yes: *yes, how }).await
}

/// Rolls back.
///
/// # Errors
/// As `act`.
pub(crate) async fn rollback(ctx: &Context, args: &RollbackArgs) -> anyhow::Result<Outcome<SnapshotReport>> {
    let RollbackArgs { name, targets, start, yes, how } = args;
    let wish = SnapshotWish::Rollback { name: name.clone(), starts: *start };
    act(ctx, Asked { wish, targets, yes: *yes, how }).await
}

/// Looks, judges, asks, acts, and reports.
///
/// # Errors
/// No such target or snapshot; not confirmed; an unusable state file.
async fn act(ctx: &Context, asked: Asked<'_>) -> anyhow::Result<Outcome<SnapshotReport>> {
    let work = async |fleet: &Fleet<'_>| Box::pin(look_and_act(ctx, fleet, &asked)).await;
    let ((outcome, lead), notices) = with_fleet(ctx, ctx.limits.open_ended(), work).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    if outcome.exit != Exit::Done {
        lead.say(&ctx.ui);
    }
    Ok(outcome)
}

async fn look_and_act(
    ctx: &Context,
    fleet: &Fleet<'_>,
    asked: &Asked<'_>,
) -> anyhow::Result<(Outcome<SnapshotReport>, Lead)> {
    let options = SnapshotOptions {
        parallel: usize::from(asked.how.parallel),
        wait: !asked.how.no_wait,
        timeout: ctx.limits.given,
        lock_wait: asked.how.wait_for_lock,
        allowed: asked.how.allow.clone(),
        by: asked_by(&ctx.ui),
    };
    let (inventory, plan) = look(ctx, fleet, asked, &options).await?;
    let servers = &inventory.servers;
    let verb = asked.wish.verb();
    if let Some(failure) = nothing_named_so(asked, servers, &plan) {
        return Err(failure.into());
    }
    let mut lead = Lead::default();
    for step in &plan.steps {
        lead.findings(&step.findings);
        if step.cannot.as_ref().is_some_and(|cannot| cannot.kind.is_some()) {
            lead.server(&servers[step.server].id);
        }
    }
    let acts = plan.steps.iter().any(SnapshotStep::acts) && plan.goes_on() && !asked.how.dry_run;
    say_checks(&ctx.ui, verb, servers, &plan);
    if asked.how.dry_run {
        say_lost(&ctx.ui, servers, &plan);
    }
    if !acts {
        if !asked.how.dry_run {
            record_refusals(ctx, fleet, servers, &plan)?;
        }
        let exit = exit_of_plan(&plan);
        return Ok((Outcome::new(SnapshotReport::new(servers, &plan, asked.how.dry_run, None), exit), lead));
    }
    let confirmed = confirm(&ctx.ui, servers, &plan, asked.yes).await?;
    let ends = carry_out(ctx, fleet, servers, &plan, &options, &confirmed).await?;
    record_refusals(ctx, fleet, servers, &plan)?;
    say_ends(&ctx.ui, servers, &plan, &ends);
    for end in ends.iter().flatten() {
        lead.findings(&end.report.findings);
    }
    ctx.sent_log.forget();
    let exit = exit_of(&plan, &ends);
    Ok((Outcome::new(SnapshotReport::new(servers, &plan, false, Some(&ends)), exit), lead))
}

async fn look(
    ctx: &Context,
    fleet: &Fleet<'_>,
    asked: &Asked<'_>,
    options: &SnapshotOptions,
) -> anyhow::Result<(Inventory, SnapshotPlan)> {
    let request = ObserveRequest { scope: fleet.scope(asked.targets)?, templates: true, ..ObserveRequest::default() };
    let Observed { mut inventory, clients, .. } = {
        let _progress = ctx.ui.progress("looking");
        fleet.observe(&request).await?
    };
    let clients = ApiClients::new(clients);
    let choice = fleet.choose(&mut inventory, asked.targets, &clients).await;
    let Choice { places, unclear } = choice.map_err(|error| misplaced_name(asked, error))?;
    for place in unclear {
        let Server { id, seen, .. } = &inventory.servers[place];
        let why = seen.reason.as_deref().unwrap_or("the reason is not known");
        ctx.ui.warning(&format!("{id} is not chosen, as its state is unknown: {why}"));
    }
    let plan = {
        let _progress = ctx.ui.progress("running safety checks");
        fleet.prepare_snapshots(&mut inventory, &places, asked.wish.clone(), options, clients).await?
    };
    Ok((inventory, plan))
}

/// A word that names nobody may be the name of a snapshot, in the place of the targets.
fn misplaced_name(asked: &Asked<'_>, error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<SelectError>().is_none() {
        return error;
    }
    let name = match &asked.wish {
        SnapshotWish::Create { .. } => "the name of a new snapshot is given by `--name`".to_owned(),
        SnapshotWish::Delete { .. } | SnapshotWish::Rollback { .. } => {
            format!("the name of the snapshot comes first: `ecobox snapshot {} NAME TARGET...`", asked.wish.verb())
        }
    };
    Failure::new(Exit::NoTarget, error.to_string()).hint(format!("{}; {name}", HintId::NoTarget.text())).into()
}

/// That no guest has a snapshot of this name.
fn nothing_named_so(asked: &Asked<'_>, servers: &[Server], plan: &SnapshotPlan) -> Option<Failure> {
    let SnapshotWish::Delete { pattern } = &asked.wish else { return None };
    let could = plan.steps.iter().all(|step| step.cannot.is_none() && step.call.is_none());
    (could && !plan.steps.is_empty()).then(|| {
        let whom = match plan.steps.as_slice() {
            [only] => servers[only.server].id.to_string(),
            many => format!("{} guests", many.len()),
        };
        Failure::new(Exit::NoTarget, format!("no snapshot of {whom} is called `{pattern}`"))
            .hint("run `ecobox snapshot list` to see the names")
    })
}

/// Says which checks failed, each with the line that fixes it and the one that overrides it.
fn say_checks(ui: &Ui, verb: &str, servers: &[Server], plan: &SnapshotPlan) {
    let mut said: Vec<String> = Vec::new();
    for step in &plan.steps {
        let id = &servers[step.server].id;
        if let Some(cannot) = &step.cannot {
            ui.error(&format!("snapshot {verb} {id}: {}", cannot.why));
            if let Some(fix) = &cannot.fix {
                ui.hint(fix);
            }
        }
        for finding in &step.findings {
            let line = if finding.allowed {
                format!("{id}: {} (allowed: {})", finding.message, finding.id)
            } else {
                format!("snapshot {verb} {id}: {}", finding.message)
            };
            if said.contains(&line) {
                continue;
            }
            if finding.allowed {
                ui.warning(&line);
            } else {
                ui.error(&line);
            }
            if let Some(hint) = finding.hint().filter(|_| !finding.allowed) {
                ui.hint(&hint);
            }
            said.push(line);
        }
        for note in step.notes.iter().filter(|_| step.acts()) {
            ui.status(&format!("{id}: {note}"));
        }
    }
}

/// Asks whether to delete or to roll back, with what is lost.
async fn confirm(ui: &Ui, servers: &[Server], plan: &SnapshotPlan, yes: bool) -> Result<Confirmed, Failure> {
    let steps: Vec<&SnapshotStep> = plan.steps.iter().filter(|step| step.acts()).collect();
    if matches!(plan.wish, SnapshotWish::Create { .. }) {
        return Ok(Confirmed::by_command());
    }
    say_lost(ui, servers, plan);
    let verb = plan.wish.verb();
    match steps.as_slice() {
        [only] => {
            let name = only.call.as_ref().map(SnapshotCall::name).unwrap_or_default();
            let id = &servers[only.server].id;
            let question =
                if verb == "delete" { format!("delete {name} of {id}?") } else { format!("roll {id} back to {name}?") };
            ui.confirm(&question, yes).await
        }
        many => {
            let what = if verb == "delete" { "snapshot" } else { "guest" };
            let question = format!("{verb} {}?", counted(many.len(), what));
            ui.confirm_many(&question, many.len(), yes).await
        }
    }
}

/// Says what the calls take away.
fn say_lost(ui: &Ui, servers: &[Server], plan: &SnapshotPlan) {
    for step in plan.steps.iter().filter(|step| step.acts()) {
        for line in lost(step, &servers[step.server], Timestamp::now()) {
            ui.status(&line);
        }
    }
}

/// What a call takes away, line by line.
fn lost(step: &SnapshotStep, server: &Server, now: Timestamp) -> Vec<String> {
    let id = &server.id;
    match &step.call {
        Some(SnapshotCall::Rollback { name, .. }) => {
            let since = step.loses_since.map_or_else(
                || format!("{id}: everything since {name} is lost"),
                |at| {
                    let age = u64::try_from(now.duration_since(at).as_secs()).unwrap_or_default();
                    let day = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M");
                    format!("{id}: everything since {day} is lost, {}", human_seconds(age))
                },
            );
            let changes = step.differences.iter().map(|difference| format!("{id}: configuration: {difference}"));
            std::iter::once(since).chain(changes).collect()
        }
        Some(SnapshotCall::Delete { name }) => vec![format!("{id}: {name} is deleted")],
        _ => Vec::new(),
    }
}

async fn carry_out(
    ctx: &Context,
    fleet: &Fleet<'_>,
    servers: &[Server],
    plan: &SnapshotPlan,
    options: &SnapshotOptions,
    confirmed: &Confirmed,
) -> anyhow::Result<Vec<Option<SnapshotEnd>>> {
    let all = plan.steps.iter().filter(|step| step.acts()).count();
    let progress = ctx.ui.progress(&format!("{} to go", counted(all, "snapshot")));
    let left = std::cell::Cell::new(all);
    let tell = |number: usize, now: Now<'_>| match now {
        Now::Does(what, of) => {
            tracing::info!(server = servers[plan.steps[number].server].id.as_str(), what, "snapshot");
            progress.step(number, what, of);
        }
        Now::Over => {
            progress.end_step(number);
            left.set(left.get().saturating_sub(1));
            progress.set(&format!("{} to go", counted(left.get(), "snapshot")));
        }
    };
    let run = SnapshotRun { plan, servers, options, sent_log: ctx.sent_log.clone(), tell: &tell };
    Ok(fleet.carry_out_snapshots(&run, confirmed).await?)
}

/// Says which calls did not succeed, and why.
fn say_ends(ui: &Ui, servers: &[Server], plan: &SnapshotPlan, ends: &[Option<SnapshotEnd>]) {
    for (step, end) in plan.steps.iter().zip(ends) {
        let (Some(call), Some(end)) = (&step.call, end) else { continue };
        let id = &servers[step.server].id;
        let reports = std::iter::once((call.action(), &end.report));
        let kept = end.kept.iter().map(|(name, report)| (format!("snapshot delete {name}"), report));
        for (what, report) in reports.chain(kept).filter(|(_, report)| !report.how.is_good()) {
            let detail = report.detail.as_deref().unwrap_or_default();
            ui.error(&format!("{what} of {id}: {}: {detail}", report.how.as_str()));
            for line in &report.log {
                ui.status(&format!("  {line}"));
            }
            if let Some(hint) = &report.hint {
                ui.hint(hint);
            }
        }
    }
}

/// Keeps that somebody wanted this, and that it was refused.
fn record_refusals(ctx: &Context, fleet: &Fleet<'_>, servers: &[Server], plan: &SnapshotPlan) -> anyhow::Result<()> {
    let goes_on = plan.goes_on();
    for step in plan.steps.iter().filter(|step| !step.is_clear() || !goes_on) {
        let Some(call) = &step.call else { continue };
        let against = step.findings.iter().find(|finding| !finding.allowed);
        ctx.state.record_action(&Done {
            at: fleet.now(),
            server: Some(servers[step.server].key()),
            action: call.action(),
            by: asked_by(&ctx.ui),
            outcome: ActionOutcome::Refused.as_str().to_owned(),
            seconds: None,
            detail: against.map(|finding| finding.id.as_str().to_owned()),
        })?;
    }
    Ok(())
}
