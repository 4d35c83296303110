//! The checks of guests that move which do not hang on the node: who it is, whether ecobox runs in it, what works on it, and
//! whether the cluster has quorum.

use super::{Configs, Here, uuid_of};
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::model::check::fault::Fault;
use crate::model::inventory::Server;
use crate::model::migrate::Move;
use crate::model::power::{Finding, Plan, PowerAction, StepKind};
use crate::state::StateError;

impl Fleet<'_> {
    pub(super) async fn look_at_moves(
        &self,
        plan: &Plan,
        servers: &[Server],
        configs: &Configs,
        clients: &ApiClients,
        here: &Here,
    ) -> Result<Vec<Finding>, StateError> {
        let moving: Vec<(&Move, Named<'_>)> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.does {
                StepKind::Migrate(way) => Some((&**way, Named::of(&servers[step.server])?)),
                _ => None,
            })
            .collect();
        let mut findings = Vec::new();
        for (way, named) in &moving {
            let id = &named.server.id;
            let Some(config) = configs.get(id) else { continue };
            match self.compare_identity(*named, config)? {
                Some(finding) => findings.push(finding),
                None => {
                    // Whoever gets the number between now and the call is another one.
                    if self.state.identity(named.cluster, named.vmid)?.is_none() {
                        self.keep_identity(*named, config)?;
                    }
                }
            }
            // What moves while it runs takes ecobox along.
            if way.call.restart
                && let Some(here) = here.get(self).await
                && here.is_guest(uuid_of(config), &config.macs)
            {
                findings.push(Finding::of(Fault::ecobox_runs_in_it("migration"), id));
            }
        }
        if moving.is_empty() {
            return Ok(findings);
        }
        let guests: Vec<_> = moving.iter().map(|(_, named)| (PowerAction::Migrate, *named)).collect();
        findings.extend(self.look_at_tasks(&guests, clients).await);
        for (_, named) in &guests {
            if let Some(lost) = self.lost_quorum(clients, named.cluster).await {
                findings.push(Finding::of(Fault::no_quorum(&lost, ""), &named.server.id).final_word());
            }
        }
        Ok(findings)
    }
}
