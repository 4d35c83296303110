//! The checks of guests that their clusters answer: quorum, tasks, guest agents.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Configs, asks_agent, is_console, is_managed};
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::reach::bounded::per_node;
use crate::model::check::fault::Fault;
use crate::model::guest::{ActiveTask, GuestCall};
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::power::{Finding, Plan, PowerAction, Remedy, StepKind, StopOptions};
use crate::transport::pve::AgentAnswer;

impl Fleet<'_> {
    /// Whether the clusters can do what needs quorum. A token that may not ask gets the answer from Proxmox VE when it
    /// acts.
    pub(super) async fn look_at_quorum(&self, plan: &Plan, servers: &[Server], clients: &ApiClients) -> Vec<Finding> {
        let mut asked: HashMap<&ClusterId, Option<String>> = HashMap::new();
        let mut findings = Vec::new();
        for step in &plan.steps {
            let StepKind::Guest(call) = &step.does else { continue };
            let Some(named) = Named::of(&servers[step.server]) else { continue };
            if !call.needs_quorum(named.kind, is_managed(named.server)) {
                continue;
            }
            let lost = match asked.entry(named.cluster) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.lost_quorum(clients, named.cluster).await),
            };
            if let Some(lost) = lost {
                let then = match call {
                    GuestCall::Reboot { .. } => ": it would go down, and not come up again",
                    _ => "",
                };
                findings.push(Finding::of(Fault::no_quorum(lost, then), &named.server.id).final_word());
            }
        }
        findings
    }

    /// That a cluster has no quorum: how many of its nodes are online, in words; `None`: it has, or that is unknown.
    pub(in crate::fleet::act) async fn lost_quorum(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<String> {
        clients.standing(cluster)?;
        let client = self.client_of(clients, cluster).await.ok()?;
        if client.quorate().await.ok()? != Some(false) {
            return None;
        }
        let members = client.cluster_status().await.map(|status| status.nodes).unwrap_or_default();
        let online = members.iter().filter(|node| node.online).count();
        Some(if members.is_empty() { String::new() } else { format!(" ({online} of {} nodes online)", members.len()) })
    }

    /// What works on the guests now. To start a guest is not held up by anything but its lock.
    pub(super) async fn look_at_tasks(
        &self,
        guests: &[(PowerAction, Named<'_>)],
        clients: &ApiClients,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut nodes: HashMap<(&ClusterId, &NodeName), Vec<ActiveTask>> = HashMap::new();
        for (_, named) in guests.iter().filter(|(action, _)| !action.only_wakes()) {
            let Some(node) = &named.server.node else { continue };
            let tasks = match nodes.entry((named.cluster, node)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(self.tasks(clients, named.cluster, node).await.unwrap_or_default())
                }
            };
            let vmid = named.vmid.to_string();
            let tasks = tasks.iter().filter(|task| task.id == vmid && !is_console(task));
            let (backups, others): (Vec<_>, Vec<_>) = tasks.partition(|task| task.kind == "vzdump");
            let id = &named.server.id;
            if let Some(backup) = backups.first() {
                findings.push(Finding::of(Fault::backup_of_it(&backup.since.to_string()), id));
            }
            if !others.is_empty() {
                let kinds = others.iter().map(|task| task.kind.as_str());
                findings.push(Finding::of(Fault::tasks_of_it(kinds), id));
            }
        }
        findings
    }

    /// Whether the agents that a clean end goes through answer. HA ends by force what does not end in time; and before a
    /// reboot quorum is the question that counts: without an agent nothing happens, without quorum it stays off.
    pub(super) async fn look_at_agents(
        &self,
        guests: &[(PowerAction, Named<'_>)],
        configs: &Configs,
        clients: &ApiClients,
        stop: StopOptions,
    ) -> Vec<Finding> {
        // Who is stopped where a clean end does not work needs no agent that answers.
        let is_stopped = |action: PowerAction| stop.then_stop && action == PowerAction::Shutdown;
        let by_agent = guests.iter().filter(|(action, _)| !is_stopped(*action)).filter(|(action, named)| {
            configs.0.get(&named.server.id).is_some_and(|config| asks_agent(*action, *named, config))
        });
        let work = by_agent.filter_map(|(_, named)| Some((named.server.node.clone()?, *named)));
        let ask = |named: Named<'_>| {
            let (cluster, vmid) = (named.cluster.clone(), named.vmid);
            let (id, node) = (named.server.id.clone(), named.server.node.clone());
            async move {
                let client = self.client_of(clients, &cluster).await.ok()?;
                let patience = self.limits.agent;
                match tokio::time::timeout(patience, client.agent_addresses(&node?, vmid)).await {
                    Ok(Ok(AgentAnswer::NotRunning)) | Err(_) => Some(id),
                    _ => None,
                }
            }
        };
        let silent = per_node(work, ask).await.into_iter().flatten();
        let shuts_down = |id: &ServerId| {
            guests.iter().any(|(action, named)| *action == PowerAction::Shutdown && named.server.id == *id)
        };
        let finding = |id: ServerId| {
            let ends = shuts_down(&id);
            let finding = Finding::of(Fault::silent_agent_at_end(ends), &id);
            Finding { remedy: ends.then_some(Remedy::ThenStop), ..finding }
        };
        silent.map(finding).collect()
    }
}
