//! `ecobox power`: start, stop, suspend and wake, as a plan with its reasons.

pub(crate) mod args;
pub(crate) mod explain;
pub(crate) mod idle;
pub(crate) mod report;

pub(crate) use self::args::PowerArgs;
pub(crate) use self::explain::explain;
use self::report::{PowerReport, Ready};
use crate::commands::lead::Lead;
use crate::commands::plan::exit::{exit_of, exit_of_plan, refusal};
use crate::commands::plan::messages::{say_choice, say_ends, say_findings, say_fixes};
use crate::commands::plan::{Acted, Carrying, carry_out, numbered, record_refusal};
use crate::commands::{Context, Outcome, asked_by, counted, with_fleet};
use crate::config::Access;
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Choice, Options, PrepareError, Prepared};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::check::CheckId;
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::load::usage::Source;
use crate::model::migrate::{Destination, MigrateOptions, Moving};
use crate::model::power::{Plan, Policy, PowerAction, StepText, StopOptions};
use crate::ui::Ui;

/// Looks, plans, asks, acts, and reports.
///
/// # Errors
/// No such target; parents in a circle; not confirmed; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &PowerArgs) -> anyhow::Result<Outcome<PowerReport>> {
    let work = async |fleet: &Fleet<'_>| Box::pin(look_and_act(ctx, fleet, args)).await;
    let (acted, notices) = with_fleet(ctx, ctx.limits.open_ended(), work).await?;
    Ok(acted.say(&ctx.ui, &notices, of_interest))
}

/// Of hosts that failed otherwise only what concerns the plan is of interest.
fn of_interest(report: &PowerReport, inventory: &Inventory) -> Vec<Failed> {
    let concerned = inventory.servers.iter().filter(|server| report.has(&server.id));
    // A guest that was not listed is affected by what failed in its cluster.
    let concerns = |failed: &&Failed| {
        let unlisted = |server: &Server| server.vmid.is_some() && server.seen.source == Source::Cache;
        concerned.clone().any(|server| failed.server == server.id || (unlisted(server) && failed.concerns(server)))
    };
    inventory.failures.iter().filter(concerns).cloned().collect()
}

/// What was looked at for a command, and the plan that came of it.
struct Looked {
    inventory: Inventory,
    /// The servers that were named, and those that may have been meant (places).
    chosen: Vec<usize>,
    unclear: Vec<usize>,
    prepared: Prepared,
}

async fn look(ctx: &Context, fleet: &Fleet<'_>, args: &PowerArgs) -> anyhow::Result<Looked> {
    let action = args.action;
    if args.until.is_some() && (!action.goes_down() || action == PowerAction::Reboot) {
        let message = format!("`--until` goes with suspend, hibernate and shutdown, not with {action}");
        return Err(Failure::new(Exit::Usage, message).into());
    }
    check_guests(args)?;
    let request = ObserveRequest {
        scope: fleet.scope_around(&args.targets, action.goes_down())?,
        templates: true,
        ..ObserveRequest::default()
    };
    let Observed { mut inventory, clients, .. } = {
        let _progress = ctx.ui.progress("looking");
        fleet.observe(&request).await?
    };
    let clients = ApiClients::new(clients);
    let Choice { places: chosen, unclear } = fleet.choose(&mut inventory, &args.targets, &clients).await?;
    say_choice(&ctx.ui, &inventory.servers, &chosen, &unclear);
    if args.if_idle.is_some() {
        idle::check(action, &inventory.servers, &chosen)?;
    }
    let options = options(ctx, args);
    let prepared = {
        let _progress = ctx.ui.progress("running safety checks");
        fleet.prepare(&mut inventory, &chosen, action, &options, clients).await.map_err(|error| match error {
            PrepareError::State(error) => anyhow::Error::from(error),
            error @ PrepareError::Plan(_) => {
                Failure::new(Exit::Config, error.to_string()).hint("fix `parent_server_id`").into()
            }
        })?
    };
    Ok(Looked { inventory, chosen, unclear, prepared })
}

/// Refuses words of `--guests` that do not go with the action.
fn check_guests(args: &PowerArgs) -> Result<(), Failure> {
    let action = args.action;
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    match args.guests.as_ref().map(|guests| guests.policy) {
        Some(Policy::Return) if !matches!(action, PowerAction::Wake | PowerAction::Start) => {
            usage(format!("`--guests return` goes with `wake`, not with {action}"))
        }
        Some(Policy::Migrate) if !action.goes_down() => {
            usage(format!("`--guests migrate` goes with what takes a host down, not with {action}"))
        }
        _ => Ok(()),
    }
}

async fn look_and_act(ctx: &Context, fleet: &Fleet<'_>, args: &PowerArgs) -> anyhow::Result<Acted<PowerReport>> {
    let action = args.action;
    let options = options(ctx, args);
    let Looked { inventory, unclear, prepared, .. } = look(ctx, fleet, args).await?;
    let Prepared { plan, calls, idle, is_clear, clients, said } = prepared;
    for line in &said {
        ctx.ui.status(line);
    }
    let servers = &inventory.servers;
    let over_ssh =
        |id: &ServerId| !ctx.config.servers.iter().any(|server| server.id == *id && server.access == Access::Api);
    if args.if_idle.is_some() {
        idle::say(&ctx.ui, &plan, servers, &idle, args.dry_run);
    }
    let ready = Ready { calls: &calls, idle: &idle, over_ssh: &over_ssh };
    let mut lead = Lead::default();
    lead.findings(&plan.findings);
    let report = |plan, ends| PowerReport::new(action, args.dry_run, servers, plan, &ready, ends);
    let outcome = if args.dry_run || !is_clear {
        say_findings(&ctx.ui, action, &plan.findings, args.dry_run);
        if args.dry_run {
            say_fixes(&ctx.ui, &plan);
            lead.plan(servers, &plan);
        }
        let exit = if is_clear { Exit::Done } else { refusal(&plan.findings) };
        if !is_clear && !args.dry_run {
            record_refusal(ctx, fleet, servers, &plan)?;
        }
        // Steps that nothing could do are part of what the plan says.
        let exit = if exit == Exit::Done { exit_of_plan(&plan) } else { exit };
        Outcome::new(report(plan, None), exit)
    } else {
        say_findings(&ctx.ui, action, &plan.findings, true);
        // With a condition nobody is there to ask, as a rule: the condition is the agreement.
        let agreed = args.yes || args.if_idle.is_some();
        let confirmed = confirm(&ctx.ui, action, servers, &plan, agreed).await?;
        // Who asks for it by hand keeps it up past the end of a lease.
        fleet.keep_up(&plan, servers)?;
        let ends = carry_out(
            ctx,
            fleet,
            &Carrying { servers, plan: &plan, options: &options, clients: &clients, unit: "step" },
            &confirmed,
        )
        .await?;
        say_ends(&ctx.ui, servers, &plan, &ends);
        lead.ends(servers, &plan, &ends);
        ctx.sent_log.forget();
        let exit = exit_of(&plan, &ends);
        Outcome::new(report(plan, Some(ends)), exit)
    };
    // A server that was not selected because it did not answer may have been meant.
    let exit = if outcome.exit == Exit::Done && !unclear.is_empty() { Exit::Partial } else { outcome.exit };
    Ok(Acted { outcome: Outcome { exit, ..outcome }, inventory, lead })
}

fn options(ctx: &Context, args: &PowerArgs) -> Options {
    Options {
        stop: StopOptions { then_stop: args.then_stop, overrule_shutdown: args.allow.contains(&CheckId::TasksRunning) },
        guests: args.guests.as_ref().map(|guests| guests.policy),
        moving: Moving {
            to: args.guests.as_ref().map_or(Destination::Any, |guests| guests.to.clone()),
            how: MigrateOptions { within_power: true, ..MigrateOptions::default() },
        },
        only_shown: args.dry_run,
        arm_wol: args.arm_wol,
        until: args.until,
        unless_used: args.if_idle.is_some(),
        if_idle: args.if_idle,
        parallel: usize::from(args.parallel),
        wait: !args.no_wait,
        timeout: ctx.limits.given,
        allowed: args.allow.clone(),
        by: asked_by(&ctx.ui),
    }
}

/// Asks whether to carry out the plan. Does not ask about plans that only wake, or where nothing is to be done.
async fn confirm(
    ui: &Ui,
    action: PowerAction,
    servers: &[Server],
    plan: &Plan,
    yes: bool,
) -> Result<Confirmed, Failure> {
    let steps: Vec<_> = plan.steps.iter().filter(|step| step.acts()).collect();
    let moves = steps.iter().any(|step| step.action == PowerAction::Migrate);
    if (action.only_wakes() && !moves) || steps.is_empty() {
        return Ok(Confirmed::by_command());
    }
    if !yes && ui.is_interactive() {
        let told = steps.iter().flat_map(|step| StepText::of(step, &servers[step.server]).lines());
        for line in numbered(told, ui.columns()).lines() {
            ui.status(line);
        }
    }
    // A server may have more than one step.
    let changed: Vec<_> = steps.iter().map(|step| &servers[step.server].id).collect();
    match changed.as_slice() {
        [only] => ui.confirm(&format!("{action} {only}?"), yes).await,
        many => ui.confirm_many(&format!("{action} {}?", counted(many.len(), "server")), many.len(), yes).await,
    }
}
