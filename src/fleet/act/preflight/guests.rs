//! The checks of guests that their clusters answer: quorum, tasks, guest agents.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Configs, asks_agent, is_console, is_managed, list};
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::reach::bounded::per_node;
use crate::model::check::CheckId;
use crate::model::guest::{ActiveTask, GuestCall};
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::power::{Finding, Plan, PowerAction, Remedy, StepKind, StopOptions};
use crate::transport::pve::AgentAnswer;

impl Fleet<'_> {
    /// Whether the clusters can do what needs quorum. Whoever may not ask is told by Proxmox VE itself.
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
                let message = match call {
                    GuestCall::Reboot { .. } => format!("{lost}: it would go down, and not come up again"),
                    _ => lost.clone(),
                };
                let finding = Finding::new(CheckId::QuorumLost, &named.server.id, message).final_word();
                findings.push(finding.fix("bring the other nodes back first"));
            }
        }
        findings
    }

    /// That a cluster has no quorum, in words; `None`: it has, or nobody says.
    async fn lost_quorum(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<String> {
        clients.standing(cluster)?;
        let client = self.client_of(clients, cluster).await.ok()?;
        if client.quorate().await.ok()? != Some(false) {
            return None;
        }
        let members = client.cluster_status().await.map(|status| status.nodes).unwrap_or_default();
        let online = members.iter().filter(|node| node.online).count();
        let of =
            if members.is_empty() { String::new() } else { format!(" ({online} of {} nodes online)", members.len()) };
        Some(format!("its cluster has no quorum{of}"))
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
                let message = format!("a backup of it runs since {}", backup.since);
                findings.push(Finding::new(CheckId::BackupRunning, id, message).fix("wait until it has ended"));
            }
            if !others.is_empty() {
                let message = format!("{} of it runs", list(others.iter().map(|task| task.kind.clone())));
                findings.push(Finding::new(CheckId::TasksRunning, id, message).fix("wait until it has ended"));
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
            let message = "its guest agent is enabled and does not answer: a clean end may not work";
            let finding = Finding::new(CheckId::NoAgent, &id, message);
            if shuts_down(&id) {
                let fix = "add `--then-stop`, use `stop`, or allow it to have ACPI's button tried";
                Finding { remedy: Some(Remedy::ThenStop), ..finding.fix(fix) }
            } else {
                finding.fix("allow it to have ACPI's button tried, or use `stop` and `start`")
            }
        };
        silent.map(finding).collect()
    }
}
