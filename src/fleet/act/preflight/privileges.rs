//! What the token may not do, of what a plan sends to the API. Proxmox VE refuses such a call itself, before anything
//! happens; a plan that is looked at, or has other steps before that call, says it beforehand.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::fleet::Fleet;
use crate::fleet::act::guest::Named;
use crate::fleet::act::{Links, Options};
use crate::model::guest::GuestCall;
use crate::model::hint::HintId;
use crate::model::id::{ClusterId, TokenId};
use crate::model::inventory::Server;
use crate::model::power::{CheckId, Finding, Move, Plan};
use crate::model::scope::Permissions;

impl Fleet<'_> {
    /// The privileges that calls to guests need and the token lacks: one request for each cluster.
    pub(super) async fn look_at_privileges(
        &self,
        plan: &Plan,
        servers: &[Server],
        links: &Links,
        options: &Options,
    ) -> Vec<Finding> {
        // A call that is all there is to do, and is sent at once, is its own question.
        if !options.only_shown && plan.steps.iter().filter(|step| step.acts()).count() < 2 {
            return Vec::new();
        }
        let mut asked: HashMap<&ClusterId, Option<(TokenId, Permissions)>> = HashMap::new();
        let mut findings = Vec::new();
        for step in &plan.steps {
            let Move::Guest(call) = &step.does else { continue };
            let Some(named) = Named::of(&servers[step.server]) else { continue };
            let held = match asked.entry(named.cluster) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.held(links, named.cluster).await),
            };
            let Some((token, held)) = held else { continue };
            let missing = held.lacks(*call, named.vmid);
            if !missing.is_empty() {
                let message = format!("its token {token} lacks {}", missing.join(" and "));
                let finding = Finding::new(CheckId::PrivilegeMissing, &named.server.id, message).final_word();
                findings.push(finding.fix(self.right_to(*call, named.cluster)));
            }
        }
        findings
    }

    /// What the token of a cluster may do; `None`: nobody says.
    async fn held(&self, links: &Links, cluster: &ClusterId) -> Option<(TokenId, Permissions)> {
        if !links.0.borrow().contains_key(cluster) {
            return None;
        }
        let client = self.client_of(links, cluster).await.ok()?;
        let permissions = client.permissions().await.ok()?;
        Some((client.token_id().clone(), permissions))
    }
}

impl Fleet<'_> {
    /// What gives a cluster's token the right to a call.
    fn right_to(&self, call: GuestCall, cluster: &ClusterId) -> String {
        match call {
            GuestCall::Hibernate => HintId::HibernateRights.text(),
            _ => {
                let groups = self.groups();
                let member =
                    groups.iter().find(|group| group.cluster == *cluster).and_then(|group| group.members.first());
                member.map_or_else(|| HintId::PrivilegeMissing.say(&[("scope", "")]), |member| self.privileges(member))
            }
        }
    }
}
