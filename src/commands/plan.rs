//! What commands have in common that make a plan and carry it out: what is said of it, how it ends, what is kept.

pub(crate) mod exit;
pub(crate) mod messages;

use std::collections::HashMap;

use crate::commands::lead::Lead;
use crate::commands::{Context, Outcome, asked_by, counted, say_failures, tell};
use crate::consent::Confirmed;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Now, Options, PlanRun, StepReport};
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{Plan, StepReason};
use crate::model::text::{clean, wrap};
use crate::model::watch::Notice;
use crate::state::Action as Done;
use crate::ui::Ui;

/// What came of a command, and what is still to be said.
pub(crate) struct Acted<R> {
    pub(crate) outcome: Outcome<R>,
    pub(crate) inventory: Inventory,
    pub(crate) lead: Lead,
}

impl<R> Acted<R> {
    /// Says it: notices, and where not all went well those failures of the look that `of_interest` picks, and where to look.
    pub(crate) fn say(
        self,
        ui: &Ui,
        notices: &[Notice],
        of_interest: impl FnOnce(&R, &Inventory) -> Vec<Failed>,
    ) -> Outcome<R> {
        let Acted { outcome, inventory, mut lead } = self;
        for notice in notices {
            tell(ui, notice);
        }
        if outcome.exit != Exit::Done {
            let failures = of_interest(&outcome.report, &inventory);
            say_failures(ui, &failures);
            lead.failures(&failures);
            lead.say(ui);
        }
        outcome
    }
}

/// A plan that is carried out.
pub(crate) struct Carrying<'a> {
    pub(crate) servers: &'a [Server],
    pub(crate) plan: &'a Plan,
    pub(crate) options: &'a Options,
    pub(crate) clients: &'a ApiClients,
    /// What is counted down: `step`, `guest`.
    pub(crate) unit: &'a str,
}

/// Carries a plan out, and shows what each step does.
///
/// # Errors
/// The state file's.
pub(crate) async fn carry_out(
    ctx: &Context,
    fleet: &Fleet<'_>,
    carrying: &Carrying<'_>,
    confirmed: &Confirmed,
) -> anyhow::Result<Vec<StepReport>> {
    let Carrying { servers, plan, options, clients, unit } = *carrying;
    let left = std::cell::Cell::new(plan.steps.len());
    let to_go = || format!("{} to go", counted(left.get(), unit));
    let progress = ctx.ui.progress(&to_go());
    let tell = |number: usize, now: Now<'_>| match now {
        Now::Does(what, of) => {
            tracing::info!(server = servers[plan.steps[number].server].id.as_str(), what, "power");
            progress.step(number, what, of);
        }
        Now::Over => {
            progress.end_step(number);
            left.set(left.get().saturating_sub(1));
            progress.set(&to_go());
        }
    };
    let run = PlanRun { plan, servers, options, sent_log: ctx.sent_log.clone(), tell: &tell, clients };
    Ok(fleet.carry_out(&run, confirmed).await?)
}

/// Keeps that somebody wanted this, and that it was refused.
///
/// # Errors
/// The state file's.
pub(crate) fn record_refusal(ctx: &Context, fleet: &Fleet<'_>, servers: &[Server], plan: &Plan) -> anyhow::Result<()> {
    let against: HashMap<_, _> = plan
        .findings
        .iter()
        .rev()
        .filter(|finding| !finding.allowed)
        .map(|finding| (&finding.server, finding.id.as_str()))
        .collect();
    for step in plan.steps.iter().filter(|step| step.why == StepReason::Asked) {
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

/// Lines with their numbers, broken where the terminal ends.
pub(crate) fn numbered(lines: impl IntoIterator<Item = String>, width: usize) -> String {
    let mut text = String::new();
    for (number, line) in (1..).zip(lines) {
        let sign = format!("{number:2}. ");
        for (i, part) in wrap(&clean(&line), width.saturating_sub(sign.len())).into_iter().enumerate() {
            text += &(if i == 0 { sign.clone() } else { " ".repeat(sign.len()) } + part.trim_start() + "\n");
        }
    }
    text
}
