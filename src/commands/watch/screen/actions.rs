//! What the keys of the screen do to servers: the same plan, checks and agreement as of `power`.

use tokio::sync::mpsc::UnboundedSender;

use crate::commands::{Context, asked_by};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{Now, Options, PARALLEL, PlanRun, Prepared, StepReport};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::migrate::Moving;
use crate::model::power::{PowerAction, Remedy, StepText, StopOptions};
use crate::tui::{Choices, Event, Offers, Plan};

/// A plan that waits for an answer.
pub(super) struct Ready {
    servers: Vec<Server>,
    prepared: Prepared,
    options: Options,
}

/// What came of the work for a key.
pub(super) enum Answer {
    Plan(Box<Ready>, Plan),
    NoPlan {
        number: u64,
        why: String,
    },
    /// A plan was carried out; the screen knows how it ended.
    Carried,
}

/// Looks at these servers again, plans, and runs the checks.
pub(super) async fn prepare(
    ctx: &Context,
    fleet: &Fleet<'_>,
    number: u64,
    action: PowerAction,
    servers: Vec<ServerId>,
    choices: Choices,
) -> Answer {
    match try_prepare(ctx, fleet, action, &servers, choices).await {
        Ok(ready) => {
            let plan = shown(number, action, choices, &ready);
            Answer::Plan(Box::new(ready), plan)
        }
        Err(error) => Answer::NoPlan { number, why: format!("{action}: {error:#}") },
    }
}

async fn try_prepare(
    ctx: &Context,
    fleet: &Fleet<'_>,
    action: PowerAction,
    servers: &[ServerId],
    choices: Choices,
) -> anyhow::Result<Ready> {
    let options = Options {
        stop: StopOptions { then_stop: choices.then_stop, ..StopOptions::default() },
        guests: choices.guests,
        moving: Moving::default(),
        only_shown: true,
        arm_wol: choices.arm_wol,
        until: None,
        unless_used: false,
        if_idle: None,
        parallel: PARALLEL.into(),
        wait: true,
        timeout: None,
        allowed: Vec::new(),
        by: asked_by(&ctx.ui),
    };
    let words: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let request = ObserveRequest {
        scope: fleet.scope_around(&words, action.goes_down())?,
        templates: true,
        ..ObserveRequest::default()
    };
    let Observed { mut inventory, clients, .. } = fleet.observe(&request).await?;
    let chosen = inventory.chosen(&words)?;
    let prepared = fleet.prepare(&mut inventory, &chosen, action, &options, clients).await?;
    Ok(Ready { servers: inventory.servers, prepared, options })
}

/// The plan as it is shown.
fn shown(number: u64, action: PowerAction, choices: Choices, ready: &Ready) -> Plan {
    let plan = &ready.prepared.plan;
    let offers = |remedy| plan.findings.iter().any(|finding| finding.remedy == Some(remedy));
    Plan {
        number,
        action,
        changes: plan.steps.iter().filter(|step| step.acts()).count(),
        steps: plan.steps.iter().flat_map(|step| StepText::of(step, &ready.servers[step.server]).lines()).collect(),
        findings: plan.findings.clone(),
        offers: Offers {
            guests: choices.guests.is_some() || offers(Remedy::Guests),
            arm_wol: choices.arm_wol || offers(Remedy::ArmWol),
            then_stop: choices.then_stop || offers(Remedy::ThenStop),
        },
    }
}

/// Carries a plan out that the person at the screen has agreed to.
pub(super) async fn carry(
    ctx: &Context,
    fleet: &Fleet<'_>,
    number: u64,
    ready: Ready,
    say: UnboundedSender<Event>,
) -> Answer {
    let Ready { servers, prepared: Prepared { plan, clients, is_clear, .. }, options } = &ready;
    let id = |number: usize| servers[plan.steps[number].server].id.clone();
    // The screen may have ended: then all of this is dropped with it.
    let tell = |event| drop(say.send(event));
    // The screen does not ask for it; what stands against a plan is not left to it alone.
    if !is_clear {
        tell(Event::Message("refused: nothing was sent".to_owned()));
        return Answer::Carried;
    }
    let progress = |number: usize, now: Now<'_>| match now {
        Now::Does(what, of) => tell(Event::Progress { server: id(number), text: what.to_owned(), of }),
        Now::Over => tell(Event::Over { server: id(number) }),
    };
    let sent_log = ctx.sent_log.of_plan(number);
    let run = PlanRun { plan, servers, options, sent_log, tell: &progress, clients };
    // Who asks for it by hand keeps it up past the end of a lease.
    let carried = match fleet.keep_up(plan, servers) {
        Ok(()) => fleet.carry_out(&run, &Confirmed::on_screen()).await,
        Err(error) => Err(error),
    };
    match carried {
        Ok(ends) => {
            for (number, (step, end)) in plan.steps.iter().zip(&ends).enumerate() {
                let text = format!("{}: {}", step.action, ended(end));
                tell(Event::Ended { server: id(number), good: end.how.is_good(), text });
            }
        }
        Err(error) => {
            for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.acts()) {
                let text = format!("{}: not known how it ended: {error}", step.action);
                tell(Event::Ended { server: id(number), good: false, text });
            }
        }
    }
    Answer::Carried
}

/// How a step ended, and why.
fn ended(end: &StepReport) -> String {
    let word = end.how.as_str();
    let found = end.findings.iter().filter(|finding| !finding.allowed).map(|finding| finding.message.clone());
    let more: Vec<String> = end.detail.clone().into_iter().chain(found).chain(end.hint.clone()).collect();
    if more.is_empty() { word.to_owned() } else { format!("{word}: {}", more.join("; ")) }
}
