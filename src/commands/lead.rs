//! The last hint at what went wrong: where its cause is found.

use crate::error::Failure;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::check::CheckId;
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::power::{Finding, Plan, PowerAction, StepKind};
use crate::ui::Ui;

/// Of more servers it is asked about all.
const NAMED: usize = 3;

/// Where the causes of what went wrong are found: by `doctor` at these servers; what only an action meets is explained.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lead {
    servers: Vec<ServerId>,
    explained: Option<CheckId>,
}

impl Lead {
    /// `doctor` looks at this server.
    pub(crate) fn server(&mut self, server: &ServerId) {
        if !self.servers.contains(server) {
            self.servers.push(server.clone());
        }
    }

    pub(crate) fn failures(&mut self, failures: &[Failed]) {
        let of_servers = failures.iter().filter(|failed| failed.kind != FailureKind::NodeOffline);
        let of_servers = of_servers.map(|failed| &failed.server).filter(|server| **server != ServerId::of_prometheus());
        of_servers.for_each(|server| self.server(server));
    }

    /// What stands against an action.
    pub(crate) fn findings(&mut self, findings: &[Finding]) {
        for finding in findings.iter().filter(|finding| !finding.allowed) {
            if finding.lasts {
                self.server(&finding.server);
            } else {
                self.explained.get_or_insert(finding.id);
            }
        }
    }

    /// What could not be done at all.
    pub(crate) fn plan(&mut self, servers: &[Server], plan: &Plan) {
        for step in plan.steps.iter().filter(|step| !step.is_of_finding()) {
            if let StepKind::Cannot { kind: Some(kind), .. } = &step.does
                && is_looked_for(*kind)
            {
                self.server(&servers[step.server].id);
            }
        }
    }

    /// How the steps of a plan ended.
    pub(crate) fn ends(&mut self, servers: &[Server], plan: &Plan, ends: &[StepReport]) {
        for (step, end) in plan.steps.iter().zip(ends).filter(|(step, _)| !step.is_of_finding()) {
            self.findings(&end.findings);
            let is_known = match end.how {
                // A scope has no more privileges than it should have.
                StepOutcome::Failed(FailureKind::Denied)
                    if end.hint.as_deref().is_some_and(HintId::is_beyond_scopes) =>
                {
                    self.explained.get_or_insert(CheckId::PrivilegeMissing);
                    false
                }
                StepOutcome::Failed(kind) => is_looked_for(kind),
                StepOutcome::Unconfirmed => step.action == PowerAction::Wake,
                _ => false,
            };
            if is_known {
                self.server(&servers[step.server].id);
            }
        }
    }

    /// In words; `None`: nothing went wrong whose cause a check knows.
    pub(crate) fn hint(&self) -> Option<String> {
        let names: Vec<&str> = self.servers.iter().map(ServerId::as_str).collect();
        match (names.len(), self.explained) {
            (0, None) => None,
            (0, Some(id)) => Some(format!("run `ecobox doctor --explain {id}`")),
            (1..=NAMED, _) => Some(format!("run `ecobox doctor {}`", names.join(" "))),
            _ => Some("run `ecobox doctor`".to_owned()),
        }
    }

    /// Says it; whoever reads it in a mail has the cause in the lines above.
    pub(crate) fn say(&self, ui: &Ui) {
        if let Some(hint) = self.hint().filter(|_| !ui.is_quiet()) {
            ui.hint(&hint);
        }
    }

    /// The failure that ends the command, with the hint.
    pub(crate) fn of(&self, failure: Failure, ui: &Ui) -> Failure {
        match self.hint().filter(|_| !ui.is_quiet()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Whether a check looks for what is behind such a failure.
fn is_looked_for(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable
        | FailureKind::Identity
        | FailureKind::Denied
        | FailureKind::NoQuorum
        | FailureKind::NodeOffline => true,
        FailureKind::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::fault::Fault;

    fn id(text: &str) -> ServerId {
        text.parse().unwrap()
    }

    #[test]
    fn what_lasts_is_looked_at_and_what_does_not_is_explained() {
        let mut lead = Lead::default();
        assert_eq!(lead.hint(), None);
        lead.findings(&[Finding::of(Fault::template(), &id("pve1-vm-101"))]);
        assert_eq!(lead.hint().unwrap(), "run `ecobox doctor --explain template`");
        let wol = Finding::of(Fault::wol_off("eno1"), &id("nas"));
        lead.findings(&[Finding { allowed: true, ..wol.clone() }]);
        assert_eq!(lead.hint().unwrap(), "run `ecobox doctor --explain template`");
        lead.findings(&[wol.clone(), wol]);
        assert_eq!(lead.hint().unwrap(), "run `ecobox doctor nas`");
        for server in ["a", "b", "c"] {
            lead.server(&id(server));
        }
        assert_eq!(lead.hint().unwrap(), "run `ecobox doctor`");
    }
}
