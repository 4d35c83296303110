//! What is said of a plan on stderr, beside its report.

use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::inventory::Server;
use crate::model::power::{Finding, Plan, PowerAction, StepKind};
use crate::ui::Ui;

/// Says what else but the plan came of targets that ask for a state.
pub(crate) fn say_choice(ui: &Ui, servers: &[Server], chosen: &[usize], unclear: &[usize]) {
    if chosen.is_empty() {
        ui.status("no server is in the state that was asked for: nothing to do");
    }
    for place in unclear {
        let Server { id, seen, .. } = &servers[*place];
        let why = seen.reason.as_deref().unwrap_or("the reason is not known");
        ui.warning(&format!("{id} is not chosen, as its state is unknown: {why}"));
    }
}

/// Says which checks failed, each with the line that fixes it and the one that overrides it.
pub(crate) fn say_findings(ui: &Ui, action: PowerAction, findings: &[Finding], only_warn: bool) {
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

/// Says what would help steps that cannot be done; the reasons are in the report.
pub(crate) fn say_fixes(ui: &Ui, plan: &Plan) {
    let mut said: Vec<&str> = Vec::new();
    for step in plan.steps.iter().filter(|step| !step.is_of_finding()) {
        if let StepKind::Cannot { fix: Some(fix), .. } = &step.does
            && !said.contains(&fix.as_str())
            && !plan.findings.iter().any(|finding| finding.fix.as_ref() == Some(fix))
        {
            ui.hint(fix);
            said.push(fix);
        }
    }
}

/// Says which steps did not succeed, and why.
pub(crate) fn say_ends(ui: &Ui, servers: &[Server], plan: &Plan, ends: &[StepReport]) {
    for (step, end) in plan.steps.iter().zip(ends) {
        let id = &servers[step.server].id;
        if end.how.is_good() || step.is_of_finding() {
            continue;
        }
        if end.how == StepOutcome::Needed {
            // Said before, unless somebody began to need it after the plan was made.
            if step.acts() {
                ui.status(&format!("{id} stays awake: {}", end.detail.as_deref().unwrap_or_default()));
            }
        } else if end.findings.is_empty() {
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
