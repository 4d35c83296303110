//! `--if-idle`: hosts that somebody needs stay awake, and nothing is wrong with that.

use std::collections::HashMap;

use crate::error::Failure;
use crate::exit::Exit;
use crate::model::host::idle::Verdict;
use crate::model::inventory::Server;
use crate::model::power::{Plan, PowerAction, StepKind, StepReason};
use crate::ui::Ui;

/// Refuses what the option does not go with.
pub(super) fn check(action: PowerAction, servers: &[Server], chosen: &[usize]) -> Result<(), Failure> {
    if !matches!(action, PowerAction::Suspend | PowerAction::Hibernate | PowerAction::Shutdown) {
        let message = "`--if-idle` goes with `suspend`, `hibernate` and `shutdown` only";
        return Err(Failure::new(Exit::Usage, message));
    }
    match chosen.iter().map(|place| &servers[*place]).find(|server| server.vmid.is_some()) {
        Some(guest) => {
            let message = format!("`--if-idle` is about hosts and plain servers, and {} is a guest", guest.id);
            Err(Failure::new(Exit::Usage, message))
        }
        None => Ok(()),
    }
}

/// Says which hosts stay awake, and why; with `all` also which do not. What their guests do follows from that.
pub(super) fn say(ui: &Ui, plan: &Plan, servers: &[Server], verdicts: &HashMap<usize, Verdict>, all: bool) {
    for (number, step) in plan.steps.iter().enumerate() {
        let host = &servers[step.server];
        match &step.does {
            StepKind::Needed { why } if host.vmid.is_none() => {
                ui.status(&format!("{} stays awake: {why}", host.id));
            }
            StepKind::Already(state) if step.why == StepReason::Asked => {
                ui.status(&format!("{} is {state} already", host.id));
            }
            _ => {
                if let Some(since) = verdicts.get(&number).and_then(|verdict| verdict.since).filter(|_| all) {
                    let since = since.strftime("%Y-%m-%d %H:%M:%SZ");
                    ui.status(&format!("{} is idle since {since}, as far as was seen", host.id));
                }
            }
        }
    }
}
