//! `ecobox power`: start, stop, suspend and wake, as a plan with its reasons.

pub(crate) mod report;

use std::collections::HashMap;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap_complete::engine::ArgValueCompleter;

use self::report::{PowerReport, Ready};
use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, asked_by, complete, counted, tell, warn, with_fleet};
use crate::config::Access;
use crate::consent::Confirmed;
use crate::error::{Exit, Failure};
use crate::fleet::Fleet;
use crate::fleet::act::{Acting, Choice, Ended, How, Links, Now, Options, PARALLEL, PrepareError, Prepared};
use crate::fleet::observe::{Asking, Observed};
use crate::model::check::CheckId;
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::load::usage::Source;
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{Finding, Manner, Move, Plan, Policy, PowerAction, Told, Why};
use crate::state::Action as Done;
use crate::ui::Ui;

const USAGE: &str = "ecobox power ACTION TARGET... [--dry-run | --yes] [--guests WHAT] [--arm-wol] [--then-stop]\n                    [--allow REASON]... [--parallel NUMBER] [--no-wait]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox power start vm-101                # wakes its host first, if that sleeps\n\
    \x20 ecobox power shutdown web-01 --dry-run   # the plan and its checks; nothing is done\n\
    \x20 ecobox power suspend pve2 --guests shutdown --arm-wol\n\
    \x20 ecobox power shutdown tag=lab --then-stop --yes\n\
    \x20 ecobox power wake nas";

/// Start, stop, suspend, wake: as a plan, with every reason not to checked first
///
/// A guest whose host sleeps has its host woken first; a host on which guests run is not put to sleep under them. Each
/// step is seen to be done before the next one begins. Nothing is sent twice. `--dry-run` shows the plan.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct PowerArgs {
    /// What to do
    #[arg(value_enum, value_name = "ACTION")]
    action: ActionArg,
    /// With whom: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", required = true, add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Show the plan, and what speaks against it; do nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Answer the question beforehand; allows nothing else
    #[arg(long, short)]
    yes: bool,
    /// Let this reason not matter (can be repeated)
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = check_ids())]
    allow: Vec<CheckId>,
    /// What becomes of the guests of a host that goes down [default: refuse while any runs]
    #[arg(long, value_enum, value_name = "WHAT")]
    guests: Option<PolicyArg>,
    /// With `shutdown`: stop what does not shut down in time
    #[arg(long)]
    then_stop: bool,
    /// With `suspend` and `hibernate` of hosts: arm Wake-on-LAN first where it is off
    #[arg(long)]
    arm_wol: bool,
    /// Send, and do not wait for the outcome
    #[arg(long)]
    no_wait: bool,
    /// How many guests at a time on each node
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL, value_parser = clap::value_parser!(u16).range(1..=100))]
    parallel: u16,
}

/// The verbs, with Proxmox VE's meaning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ActionArg {
    /// Start or resume a guest, wake a host
    Start,
    /// Shut down cleanly
    Shutdown,
    /// Stop a guest at once, as if the plug were pulled
    Stop,
    /// Restart cleanly
    Reboot,
    /// Press the reset button of a virtual machine
    Reset,
    /// Pause a virtual machine; put a host to sleep
    Suspend,
    /// Save memory to disk and switch off
    Hibernate,
    /// Let a paused or hibernated virtual machine go on
    Resume,
    /// Wake a host by Wake-on-LAN
    Wake,
}

impl From<ActionArg> for PowerAction {
    fn from(action: ActionArg) -> PowerAction {
        match action {
            ActionArg::Start => PowerAction::Start,
            ActionArg::Shutdown => PowerAction::Shutdown,
            ActionArg::Stop => PowerAction::Stop,
            ActionArg::Reboot => PowerAction::Reboot,
            ActionArg::Reset => PowerAction::Reset,
            ActionArg::Suspend => PowerAction::Suspend,
            ActionArg::Hibernate => PowerAction::Hibernate,
            ActionArg::Resume => PowerAction::Resume,
            ActionArg::Wake => PowerAction::Wake,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PolicyArg {
    /// Shut them down first
    Shutdown,
    /// Suspend virtual machines to disk first; shut containers down
    Hibernate,
    /// Leave them to the host
    Leave,
}

impl From<PolicyArg> for Policy {
    fn from(policy: PolicyArg) -> Policy {
        match policy {
            PolicyArg::Shutdown => Policy::Shutdown,
            PolicyArg::Hibernate => Policy::Hibernate,
            PolicyArg::Leave => Policy::Leave,
        }
    }
}

/// `--allow`'s words.
fn check_ids() -> impl clap::builder::TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_POWER.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_POWER.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}

/// Looks, plans, asks, acts, and reports.
///
/// # Errors
/// No such target; parents in a circle; not confirmed; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &PowerArgs) -> anyhow::Result<Outcome<PowerReport>> {
    let work = async |fleet: &Fleet<'_>| look_and_act(ctx, fleet, args).await;
    let ((outcome, inventory), notices) = with_fleet(ctx, ctx.limits.open_ended(), work).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    if outcome.exit != Exit::Done {
        warn(&ctx.ui, &of_interest(&outcome.report, &inventory));
    }
    Ok(outcome)
}

/// Of hosts that failed otherwise only what concerns the plan is of interest.
fn of_interest(report: &PowerReport, inventory: &Inventory) -> Vec<Failed> {
    let concerned = inventory.servers.iter().filter(|server| report.has(&server.id));
    // Whom nobody listed is told of by those who should have.
    let concerns = |failed: &&Failed| {
        let unlisted = |server: &Server| server.vmid.is_some() && server.seen.source == Source::Cache;
        concerned.clone().any(|server| failed.server == server.id || (unlisted(server) && failed.concerns(server)))
    };
    inventory.failures.iter().filter(concerns).cloned().collect()
}

async fn look_and_act(
    ctx: &Context,
    fleet: &Fleet<'_>,
    args: &PowerArgs,
) -> anyhow::Result<(Outcome<PowerReport>, Inventory)> {
    let action = PowerAction::from(args.action);
    let options = options(ctx, args);
    let asking =
        Asking { scope: fleet.scope_around(&args.targets, action.goes_down())?, templates: true, ..Asking::default() };
    let Observed { mut inventory, clients, .. } = {
        let _progress = ctx.ui.progress("looking");
        fleet.observe(&asking).await?
    };
    let links = Links::new(clients);
    let Choice { places: chosen, unclear } = fleet.choose(&mut inventory, &args.targets, &links).await?;
    say_choice(&ctx.ui, &inventory.servers, &chosen, &unclear);
    let Prepared { plan, calls, is_clear, links } = {
        let _progress = ctx.ui.progress("looking what speaks against it");
        fleet.prepare(&mut inventory, &chosen, action, &options, links).await.map_err(|error| match error {
            PrepareError::State(error) => anyhow::Error::from(error),
            error @ PrepareError::Plan(_) => {
                Failure::new(Exit::Config, error.to_string()).hint("fix `parent_server_id`").into()
            }
        })?
    };
    let servers = &inventory.servers;
    let over_ssh =
        |id: &ServerId| !ctx.config.servers.iter().any(|server| server.id == *id && server.access == Access::Api);
    let ready = Ready { calls: &calls, over_ssh: &over_ssh };
    let report = |plan, ends| PowerReport::new(action, args.dry_run, servers, plan, &ready, ends);
    let outcome = if args.dry_run || !is_clear {
        say_findings(&ctx.ui, action, &plan.findings, args.dry_run);
        if args.dry_run {
            say_fixes(&ctx.ui, &plan);
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
        let confirmed = confirm(&ctx.ui, action, servers, &plan, args.yes).await?;
        let ends = carry_out(ctx, fleet, servers, &plan, &options, &links, &confirmed).await?;
        say_ends(&ctx.ui, servers, &plan, &ends);
        ctx.ledger.forget();
        let exit = exit_of(&plan, &ends);
        Outcome::new(report(plan, Some(ends)), exit)
    };
    // Whoever was not chosen for want of an answer may have been meant.
    let exit = if outcome.exit == Exit::Done && !unclear.is_empty() { Exit::Partial } else { outcome.exit };
    Ok((Outcome { exit, ..outcome }, inventory))
}

/// Says what else but the plan came of targets that ask for a state.
fn say_choice(ui: &Ui, servers: &[Server], chosen: &[usize], unclear: &[usize]) {
    if chosen.is_empty() {
        ui.status("no server is in the state that was asked for: nothing to do");
    }
    for place in unclear {
        let Server { id, seen, .. } = &servers[*place];
        let why = seen.reason.as_deref().unwrap_or("nobody told it");
        ui.warning(&format!("{id} is not chosen, as its state is unknown: {why}"));
    }
}

fn options(ctx: &Context, args: &PowerArgs) -> Options {
    Options {
        manner: Manner { then_stop: args.then_stop, overrule_shutdown: args.allow.contains(&CheckId::TasksRunning) },
        guests: args.guests.map(Policy::from),
        only_shown: args.dry_run,
        arm_wol: args.arm_wol,
        parallel: usize::from(args.parallel),
        wait: !args.no_wait,
        timeout: ctx.limits.given,
        allowed: args.allow.clone(),
        by: asked_by(&ctx.ui),
    }
}

/// Asks whether the plan shall be carried out. Nobody is asked about what only wakes, or where nothing is to be done.
async fn confirm(
    ui: &Ui,
    action: PowerAction,
    servers: &[Server],
    plan: &Plan,
    yes: bool,
) -> Result<Confirmed, Failure> {
    let acting: Vec<_> = plan.steps.iter().filter(|step| step.acts()).collect();
    if action.only_wakes() || acting.is_empty() {
        return Ok(Confirmed::by_command());
    }
    if !yes && ui.is_interactive() {
        let told = acting.iter().flat_map(|step| Told::of(step, &servers[step.server]).lines());
        for line in report::numbered(told, ui.columns()).lines() {
            ui.status(line);
        }
    }
    // A server may have more than one step.
    let acting: Vec<_> = acting.iter().map(|step| &servers[step.server].id).collect();
    match acting.as_slice() {
        [only] => ui.confirm(&format!("{action} {only}?"), yes).await,
        many => ui.confirm_many(&format!("{action} {}?", counted(many.len(), "server")), many.len(), yes).await,
    }
}

async fn carry_out(
    ctx: &Context,
    fleet: &Fleet<'_>,
    servers: &[Server],
    plan: &Plan,
    options: &Options,
    links: &Links,
    confirmed: &Confirmed,
) -> anyhow::Result<Vec<Ended>> {
    let progress = ctx.ui.progress(&format!("{} to go", counted(plan.steps.len(), "step")));
    let left = std::cell::Cell::new(plan.steps.len());
    let tell = |number: usize, now: Now<'_>| match now {
        Now::Does(what, of) => {
            tracing::info!(server = servers[plan.steps[number].server].id.as_str(), what, "power");
            progress.step(number, what, of);
        }
        Now::Over => {
            progress.end_step(number);
            left.set(left.get().saturating_sub(1));
            progress.set(&format!("{} to go", counted(left.get(), "step")));
        }
    };
    let acting = Acting { plan, servers, options, ledger: ctx.ledger.clone(), tell: &tell, links };
    Ok(fleet.carry_out(&acting, confirmed).await?)
}

/// Says what stands against the plan, each with the line that mends it and the one that overrides it.
fn say_findings(ui: &Ui, action: PowerAction, findings: &[Finding], only_warn: bool) {
    for finding in findings {
        let Finding { id, server, message, allowed, .. } = finding;
        if *allowed {
            ui.warning(&format!("{server}: {message} (allowed: {id})"));
            continue;
        }
        let what = format!("{action} {server}: {message}");
        if only_warn {
            ui.warning(&what);
        } else {
            ui.error(&what);
        }
        if let Some(hint) = finding.hint() {
            ui.hint(&hint);
        }
    }
}

/// Says what would help steps that cannot be done: why not stands in the report.
fn say_fixes(ui: &Ui, plan: &Plan) {
    let mut said: Vec<&str> = Vec::new();
    for step in plan.steps.iter().filter(|step| !step.is_of_finding()) {
        if let Move::Cannot { fix: Some(fix), .. } = &step.does
            && !said.contains(&fix.as_str())
            && !plan.findings.iter().any(|finding| finding.fix.as_ref() == Some(fix))
        {
            ui.hint(fix);
            said.push(fix);
        }
    }
}

/// Says which steps did not succeed, and why.
fn say_ends(ui: &Ui, servers: &[Server], plan: &Plan, ends: &[Ended]) {
    for (step, end) in plan.steps.iter().zip(ends) {
        let id = &servers[step.server].id;
        if end.how.is_good() || step.is_of_finding() {
            continue;
        }
        if end.findings.is_empty() {
            let detail = end.detail.as_deref().unwrap_or_default();
            ui.error(&format!("{} {id}: {}: {detail}", step.action, end.how.as_str()));
            for line in &end.log {
                ui.status(&format!("  {line}"));
            }
            if let Some(hint) = &end.hint {
                ui.hint(hint);
            }
        } else {
            say_findings(ui, step.action, &end.findings, false);
        }
    }
}

/// The exit status of a refusal: another guest under a number is a matter of identity. A privilege that is missing, and
/// nothing else, is what Proxmox VE would have refused the call for.
fn refusal(findings: &[Finding]) -> Exit {
    let mut against = findings.iter().filter(|finding| !finding.allowed).peekable();
    if against.clone().any(|finding| finding.id == CheckId::IdentityChanged) {
        Exit::Identity
    } else if against.peek().is_some() && against.all(|finding| finding.id == CheckId::PrivilegeMissing) {
        Exit::Denied
    } else {
        Exit::Refused
    }
}

/// The exit status of a plan that is only shown.
fn exit_of_plan(plan: &Plan) -> Exit {
    let cannot = plan.steps.iter().filter(|step| !step.is_of_finding()).filter_map(|step| match &step.does {
        Move::Cannot { kind, .. } => Some(kind.map_or(Exit::Refused, Exit::from)),
        _ => None,
    });
    // What needs a step that cannot be done is not tried.
    let mut could: Vec<bool> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let can = !matches!(step.does, Move::Cannot { .. });
        could.push(can && step.needs.iter().all(|need| could.get(*need).copied().unwrap_or(true)));
    }
    let could = plan.steps.iter().zip(could).filter(|(step, could)| step.why == Why::Asked && *could);
    Exit::of_many(could.count(), cannot)
}

/// The exit status of a plan that was carried out.
fn exit_of(plan: &Plan, ends: &[Ended]) -> Exit {
    let asked = plan.steps.iter().zip(ends).filter(|(step, _)| step.why == Why::Asked);
    let good = asked.filter(|(_, end)| end.how.is_good()).count();
    let ends = plan.steps.iter().zip(ends).filter(|(step, _)| !step.is_of_finding()).map(|(_, end)| end);
    let failed = ends.filter_map(|end| match end.how {
        How::Done | How::Already | How::Sent | How::NotTried => None,
        How::TaskFailed => Some(Exit::TaskFailed),
        How::Unconfirmed => Some(Exit::Unconfirmed),
        How::Refused => Some(refusal(&end.findings)),
        How::Failed(kind) => Some(kind.into()),
    });
    Exit::of_many(good, failed)
}

/// Keeps that somebody wanted this, and that it was refused.
fn record_refusal(ctx: &Context, fleet: &Fleet<'_>, servers: &[Server], plan: &Plan) -> anyhow::Result<()> {
    let against: HashMap<_, _> = plan
        .findings
        .iter()
        .rev()
        .filter(|finding| !finding.allowed)
        .map(|finding| (&finding.server, finding.id.as_str()))
        .collect();
    for step in plan.steps.iter().filter(|step| step.why == Why::Asked) {
        let server = &servers[step.server];
        let reason = against.get(&server.id).or_else(|| against.values().next());
        ctx.state.record_action(&Done {
            at: fleet.now(),
            server: Some(server.key()),
            action: step.action.as_str().to_owned(),
            by: asked_by(&ctx.ui),
            outcome: ActionOutcome::Refused.as_str().to_owned(),
            seconds: None,
            detail: reason.map(|reason| (*reason).to_owned()),
        })?;
    }
    Ok(())
}
