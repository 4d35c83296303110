//! `ecobox migrate`: guests go to other nodes of their cluster, as a plan with its reasons.

pub(crate) mod report;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use self::report::MigrateReport;
use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lead::Lead;
use crate::commands::plan::exit::{exit_of, exit_of_plan, refusal};
use crate::commands::plan::messages::{say_choice, say_ends, say_findings, say_fixes};
use crate::commands::plan::{Acted, Carrying, carry_out, numbered, record_refusal};
use crate::commands::{Context, Outcome, asked_by, complete, counted, with_fleet};
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Choice, Options, PrepareError, Prepared};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::check::CheckId;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::load::usage::Source;
use crate::model::migrate::{Destination, MigrateOptions, Moving};
use crate::model::power::{Plan, PowerAction, StepText, StopOptions};
use crate::ui::Ui;

const USAGE: &str = "ecobox migrate TARGET... --to NODE|any [--dry-run | --yes] [--restart] [--with-local-disks]\n                      [--target-storage MAP] [--allow CHECK]... [--parallel NUMBER] [--no-wait]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox migrate vm-101 --to pve2            # while it runs, without a pause that one sees\n\
    \x20 ecobox migrate tag=web --to any --dry-run  # which node would take each, and why\n\
    \x20 ecobox migrate ct-201 --to pve3 --restart  # a container is shut down for it, and started again\n\
    \x20 ecobox migrate node=pve1 --to any --yes";

/// Migrations at a time from each node, unless given: they share its network.
const PARALLEL: u16 = 2;

/// Move guests to another node of their cluster, after checking what could go wrong
///
/// Virtual machines that run go on running. A container cannot: `--restart` shuts it down, moves it, and starts it again.
/// Each move is confirmed by what is seen on the other node. Nothing is sent twice. `--dry-run` shows the plan.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct MigrateArgs {
    /// Whom: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", required = true, add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Where to: a node of their cluster, or `any` for the one with the most free memory that can take each
    #[arg(long, value_name = "NODE", required = true, value_parser = Destination::parse)]
    to: Destination,
    /// Show the plan and the failed checks; do nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Answer the question beforehand; allows nothing else
    #[arg(long, short)]
    yes: bool,
    /// Shut running containers down, move them, and start them again
    #[arg(long)]
    restart: bool,
    /// Copy disks that only their node has while a virtual machine runs
    #[arg(long)]
    with_local_disks: bool,
    /// Put disks on other storages there: `fast`, or `slow:fast,old:new`
    #[arg(long, value_name = "MAP")]
    target_storage: Option<String>,
    /// Proceed despite this check (can be repeated)
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = check_ids())]
    allow: Vec<CheckId>,
    /// Send the calls without waiting for the outcome
    #[arg(long)]
    no_wait: bool,
    /// How many guests at a time from each node
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL, value_parser = clap::value_parser!(u16).range(1..=100))]
    parallel: u16,
}

/// `--allow`'s words.
fn check_ids() -> impl TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_MIGRATION.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_MIGRATION.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}

/// Looks, plans, asks, acts, and reports.
///
/// # Errors
/// No such target; not confirmed; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &MigrateArgs) -> anyhow::Result<Outcome<MigrateReport>> {
    let work = async |fleet: &Fleet<'_>| Box::pin(look_and_act(ctx, fleet, args)).await;
    let (acted, notices) = with_fleet(ctx, ctx.limits.open_ended(), work).await?;
    Ok(acted.say(&ctx.ui, &notices, of_interest))
}

/// Of hosts that failed otherwise only what concerns the plan is of interest.
fn of_interest(report: &MigrateReport, inventory: &Inventory) -> Vec<Failed> {
    let concerned: Vec<&Server> = inventory.servers.iter().filter(|server| report.has(&server.id)).collect();
    let concerns = |failed: &&Failed| {
        concerned.iter().any(|server| server.seen.source == Source::Cache && failed.concerns(server))
    };
    inventory.failures.iter().filter(concerns).cloned().collect()
}

async fn look_and_act(ctx: &Context, fleet: &Fleet<'_>, args: &MigrateArgs) -> anyhow::Result<Acted<MigrateReport>> {
    let scope = fleet.scope_around(&args.targets, false)?;
    let request = ObserveRequest { scope, templates: true, ..ObserveRequest::default() };
    let Observed { mut inventory, clients, .. } = {
        let _progress = ctx.ui.progress("looking");
        fleet.observe(&request).await?
    };
    let clients = ApiClients::new(clients);
    let Choice { places, unclear } = fleet.choose(&mut inventory, &args.targets, &clients).await?;
    say_choice(&ctx.ui, &inventory.servers, &places, &unclear);
    let options = options(ctx, args, &inventory.servers);
    let prepared = {
        let _progress = ctx.ui.progress("running safety checks");
        let prepared = fleet.prepare(&mut inventory, &places, PowerAction::Migrate, &options, clients).await;
        prepared.map_err(|error| match error {
            PrepareError::State(error) => anyhow::Error::from(error),
            error @ PrepareError::Plan(_) => Failure::new(Exit::Config, error.to_string()).into(),
        })?
    };
    let Prepared { plan, is_clear, clients, .. } = prepared;
    let servers = &inventory.servers;
    let mut lead = Lead::default();
    lead.findings(&plan.findings);
    let report = |plan, ends| MigrateReport::new(&options.moving.to, args.dry_run, servers, plan, ends);
    let outcome = if args.dry_run || !is_clear {
        say_findings(&ctx.ui, PowerAction::Migrate, &plan.findings, args.dry_run);
        if args.dry_run {
            say_fixes(&ctx.ui, &plan);
            lead.plan(servers, &plan);
        } else {
            record_refusal(ctx, fleet, servers, &plan)?;
        }
        let exit = if is_clear { exit_of_plan(&plan) } else { refusal(&plan.findings) };
        Outcome::new(report(plan, None), exit)
    } else {
        say_findings(&ctx.ui, PowerAction::Migrate, &plan.findings, true);
        let confirmed = confirm(&ctx.ui, servers, &plan, args.yes).await?;
        let ends = carry_out(
            ctx,
            fleet,
            &Carrying { servers, plan: &plan, options: &options, clients: &clients, unit: "guest" },
            &confirmed,
        )
        .await?;
        say_ends(&ctx.ui, servers, &plan, &ends);
        lead.ends(servers, &plan, &ends);
        ctx.sent_log.forget();
        let exit = exit_of(&plan, &ends);
        Outcome::new(report(plan, Some(ends)), exit)
    };
    // A guest that was not selected because it did not answer may have been meant.
    let exit = if outcome.exit == Exit::Done && !unclear.is_empty() { Exit::Partial } else { outcome.exit };
    Ok(Acted { outcome: Outcome { exit, ..outcome }, inventory, lead })
}

fn options(ctx: &Context, args: &MigrateArgs, servers: &[Server]) -> Options {
    // Who names a host means the node that it is.
    let node_of = |name: &str| servers.iter().find(|server| server.vmid.is_none() && server.id.as_str() == name);
    let to = match &args.to {
        Destination::Node(name) => {
            let node = node_of(name.as_str()).and_then(|host| host.node.clone());
            Destination::Node(node.unwrap_or_else(|| name.clone()))
        }
        Destination::Any => Destination::Any,
    };
    let how = MigrateOptions {
        restart: args.restart,
        with_local_disks: args.with_local_disks,
        target_storage: args.target_storage.clone(),
        within_power: false,
    };
    Options {
        stop: StopOptions::default(),
        guests: None,
        moving: Moving { to, how },
        only_shown: args.dry_run,
        arm_wol: false,
        until: None,
        unless_used: false,
        if_idle: None,
        parallel: usize::from(args.parallel),
        wait: !args.no_wait,
        timeout: ctx.limits.given,
        allowed: args.allow.clone(),
        by: asked_by(&ctx.ui),
    }
}

/// Asks whether to carry out the plan. Does not ask where nothing is to be done.
async fn confirm(ui: &Ui, servers: &[Server], plan: &Plan, yes: bool) -> Result<Confirmed, Failure> {
    let steps: Vec<_> = plan.steps.iter().filter(|step| step.acts()).collect();
    if steps.is_empty() {
        return Ok(Confirmed::by_command());
    }
    if !yes && ui.is_interactive() {
        let told = steps.iter().flat_map(|step| StepText::of(step, &servers[step.server]).lines());
        for line in numbered(told, ui.columns()).lines() {
            ui.status(line);
        }
    }
    match steps.as_slice() {
        [only] => ui.confirm(&format!("migrate {}?", servers[only.server].id), yes).await,
        many => ui.confirm_many(&format!("migrate {}?", counted(many.len(), "guest")), many.len(), yes).await,
    }
}
