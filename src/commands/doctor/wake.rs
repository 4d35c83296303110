//! `ecobox doctor --wake`: really puts a host to sleep and wakes it, by the steps that `power` takes, and measures both.

use crate::commands::lead::Lead;
use crate::commands::{Context, Outcome, asked_by, tell, with_fleet};
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Choice, Now, Options, PlanRun, PrepareError, Prepared, StepOutcome, StepReport};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fix::Fix;
use crate::model::inventory::{Inventory, Server};
use crate::model::migrate::Moving;
use crate::model::power::{PowerAction, PowerState, StepKind, StopOptions};

use super::report::DoctorReport;

/// Puts the host to sleep, wakes it, and reports how that went.
///
/// # Errors
/// No such host, or one that is off; a check failed; not confirmed; it did not fall asleep.
pub(crate) async fn run(ctx: &Context, host: &str, yes: bool) -> anyhow::Result<Outcome<DoctorReport>> {
    let work = async |fleet: &Fleet<'_>| Box::pin(try_it(ctx, fleet, host, yes)).await;
    let (outcome, notices) = with_fleet(ctx, ctx.limits.open_ended(), work).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    Ok(outcome)
}

async fn try_it(ctx: &Context, fleet: &Fleet<'_>, host: &str, yes: bool) -> anyhow::Result<Outcome<DoctorReport>> {
    let mut confirmed = None;
    let (server, slept) = act(ctx, fleet, host, PowerAction::Suspend, yes, &mut confirmed).await?;
    if slept.how != StepOutcome::Done {
        return Err(failed(&server, PowerAction::Suspend, &slept).into());
    }
    ctx.ui.status(&format!("{} was asleep after {:.1} s", server.id, slept.took.as_secs_f64()));
    let (_, woke) = act(ctx, fleet, host, PowerAction::Wake, yes, &mut confirmed).await?;
    let wakes = fleet.wakes_of(&server.id);
    let mut chart = Chart::of(Some(&server.id));
    if woke.how == StepOutcome::Done {
        let (down, up) = (slept.took.as_secs_f64(), woke.took.as_secs_f64());
        chart.fine(CheckId::WakeFailed, format!("asleep after {down:.1} s, awake after {up:.1} s; {wakes}"));
    } else {
        let why = woke.detail.unwrap_or_default();
        let fix = Fix::say(format!(
            "press its button; then look for Wake-on-LAN, ErP and deep sleep in its firmware's settings; `ecobox doctor {}` \
             shows what else may be wrong",
            server.id
        ));
        chart.problem(CheckId::WakeFailed, format!("it fell asleep, and did not wake: {why} ({wakes})"), Some(fix));
    }
    let report = DoctorReport::new(chart.list, true, fleet.now());
    let exit = report.exit();
    Ok(Outcome::new(report, exit))
}

/// Looks, plans one action on one host, asks once for all, and carries it out.
async fn act(
    ctx: &Context,
    fleet: &Fleet<'_>,
    host: &str,
    action: PowerAction,
    yes: bool,
    confirmed: &mut Option<Confirmed>,
) -> anyhow::Result<(Server, StepReport)> {
    let words = [host.to_owned()];
    let options = options(ctx);
    let request = ObserveRequest { scope: fleet.scope_around(&words, true)?, ..ObserveRequest::default() };
    let Observed { mut inventory, clients, .. } = fleet.observe(&request).await?;
    let clients = ApiClients::new(clients);
    let Choice { places, .. } = fleet.choose(&mut inventory, &words, &clients).await?;
    let place = one_host(&inventory, &places, host, action)?;
    let server = inventory.servers[place].clone();
    let prepared = fleet.prepare(&mut inventory, &places, action, &options, clients).await;
    let Prepared { plan, is_clear, clients, .. } = prepared.map_err(|error| match error {
        PrepareError::State(error) => anyhow::Error::from(error),
        error @ PrepareError::Plan(_) => Failure::new(Exit::Config, error.to_string()).into(),
    })?;
    if !is_clear {
        for finding in plan.findings.iter().filter(|finding| !finding.allowed) {
            ctx.ui.error(&format!("{action} {}: {}", finding.server, finding.message));
            if let Some(fix) = &finding.fix {
                ctx.ui.hint(fix);
            }
        }
        let mut lead = Lead::default();
        lead.findings(&plan.findings);
        let failure = Failure::new(Exit::Refused, format!("{} was not put to sleep: checks failed", server.id));
        return Err(lead.of(failure, &ctx.ui).into());
    }
    if let Some(StepKind::Cannot { why, fix, kind }) = plan.steps.first().map(|step| &step.does) {
        let failure = Failure::new(kind.map_or(Exit::Refused, Exit::from), format!("{action} {}: {why}", server.id));
        return Err(match fix {
            Some(fix) => failure.hint(fix),
            None => failure,
        }
        .into());
    }
    if confirmed.is_none() {
        let question = format!("put {} to sleep and wake it again?", server.id);
        *confirmed = Some(ctx.ui.confirm(&question, yes).await?);
    }
    let Some(confirmed) = confirmed else { return Err(Failure::new(Exit::Refused, "not confirmed").into()) };
    let progress = ctx.ui.progress(&format!("{action} {}", server.id));
    let tell = |number: usize, now: Now<'_>| match now {
        Now::Does(what, of) => progress.step(number, what, of),
        Now::Over => progress.end_step(number),
    };
    let servers = &inventory.servers;
    let sent_log = ctx.sent_log.of_plan(u64::from(action == PowerAction::Wake));
    let run = PlanRun { plan: &plan, servers, options: &options, sent_log, tell: &tell, clients: &clients };
    let ends = fleet.carry_out(&run, confirmed).await?;
    ctx.sent_log.forget();
    let own = plan.steps.iter().zip(ends).find(|(step, _)| step.server == place).map(|(_, end)| end);
    let own = own.ok_or_else(|| Failure::new(Exit::Failed, format!("nothing was done with {}", server.id)))?;
    Ok((server, own))
}

fn options(ctx: &Context) -> Options {
    Options {
        stop: StopOptions { then_stop: false, overrule_shutdown: false },
        guests: None,
        moving: Moving::default(),
        only_shown: false,
        arm_wol: false,
        until: None,
        unless_used: false,
        if_idle: None,
        parallel: 1,
        wait: true,
        timeout: ctx.limits.given,
        allowed: Vec::new(),
        by: asked_by(&ctx.ui),
    }
}

/// The one host that the word means, which is awake before it is put to sleep.
fn one_host(inventory: &Inventory, places: &[usize], word: &str, action: PowerAction) -> Result<usize, Failure> {
    let [place] = places else {
        return Err(Failure::new(
            Exit::Usage,
            format!("`--wake {word}` means {} servers: name one host", places.len()),
        ));
    };
    let server = &inventory.servers[*place];
    if server.vmid.is_some() {
        let message = format!("{} is a guest: `--wake` is for hosts and plain servers", server.id);
        return Err(Failure::new(Exit::Usage, message));
    }
    if action == PowerAction::Suspend && server.seen.state != PowerState::Online {
        let message = format!("{} is {}: it has to be online before it is put to sleep", server.id, server.seen.state);
        return Err(Failure::new(Exit::Unreachable, message).hint(format!("run `ecobox power wake {}`", server.id)));
    }
    Ok(*place)
}

/// A step that did not succeed, with its reason.
fn failed(server: &Server, action: PowerAction, ended: &StepReport) -> Failure {
    let exit = match ended.how {
        StepOutcome::Failed(kind) => Exit::from(kind),
        StepOutcome::Refused => Exit::Refused,
        StepOutcome::Unconfirmed => Exit::Unconfirmed,
        _ => Exit::Failed,
    };
    let detail = ended.detail.as_deref().unwrap_or_default();
    let failure = Failure::new(exit, format!("{action} {}: {}: {detail}", server.id, ended.how.as_str()));
    match &ended.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
