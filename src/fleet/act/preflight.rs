//! What is looked at before anything is changed: reasons of guests that their configurations tell, and of hosts that one
//! script and their cluster tell.

mod host;
mod locks;
mod privileges;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use futures::future::{join, join_all, join3};
use tokio::sync::OnceCell;

use super::guest::Named;
use super::{Links, Options};
use crate::fleet::Fleet;
use crate::fleet::reach::per_node::per_node;
use crate::model::check::CheckId;
use crate::model::guest::{ActiveTask, ClusterStatus, GuestCall, GuestConfig, Startup};
use crate::model::host::power::{HostPreflight, Identity};
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::power::{Arming, Finding, Manner, Move, Plan, PowerAction, PowerState, Remedy, Step};
use crate::state::StateError;
use crate::transport::pve::AgentAnswer;

pub(super) use self::host::When;
use self::privileges::Privileges;

/// More of a kind are counted, not named.
const NAMED: usize = 5;

/// What guests' configurations say, by their ids.
#[derive(Debug, Default)]
pub(super) struct Configs(HashMap<ServerId, GuestConfig>);

impl Configs {
    /// The order among the guests.
    pub(crate) fn startups(&self) -> HashMap<ServerId, Startup> {
        self.0.iter().map(|(id, config)| (id.clone(), config.startup)).collect()
    }
}

/// What one run needs to know once.
#[derive(Debug, Default)]
struct Here(OnceCell<Option<Identity>>);

impl Fleet<'_> {
    /// The configurations of guests, asked of their nodes side by side. A guest of which none is told is left out: its
    /// step says why.
    pub(super) async fn configs(&self, links: &Links, guests: Vec<&Server>) -> Configs {
        let named = guests.into_iter().filter_map(|server| Some((server.node.clone()?, Named::of(server)?)));
        let ask = |named: Named<'_>| {
            let (cluster, id, kind, vmid) = (named.cluster.clone(), named.server.id.clone(), named.kind, named.vmid);
            let node = named.server.node.clone();
            async move {
                let client = self.client_of(links, &cluster).await.ok()?;
                Some((id, client.guest_config(&node?, kind, vmid).await.ok()?))
            }
        };
        // Nobody is asked who is known not to answer.
        let standing = |(_, named): &(NodeName, Named<'_>)| {
            links.0.borrow().contains_key(named.cluster) && named.server.seen.state != PowerState::Unknown
        };
        Configs(per_node(named.filter(standing), ask).await.into_iter().flatten().collect())
    }

    /// Adds to a plan what speaks against its steps, and turns steps that nothing could do into those that say so. Gives
    /// by what some steps are done, by their places.
    ///
    /// # Errors
    /// The state file's.
    pub(super) async fn look_before(
        &self,
        plan: &mut Plan,
        servers: &[Server],
        configs: &Configs,
        links: &Links,
        options: &Options,
    ) -> Result<HashMap<usize, String>, StateError> {
        let mut calls = HashMap::new();
        let here = Here::default();
        let findings = join(self.look_at_guests(plan, servers, configs, links, &here, options), async {
            let hosts = plan.steps.iter().enumerate().filter_map(|(number, step)| match &step.does {
                Move::Host(call) => Some((number, &servers[step.server], *call)),
                _ => None,
            });
            let looks = hosts.map(|(number, host, call)| async move {
                (number, Box::pin(self.look_at_host(host, call, When::Planning, servers, links, options)).await)
            });
            join_all(looks).await
        });
        let (guests, hosts) = findings.await;
        plan.findings.extend(guests?);
        let mut known = Privileges::default();
        plan.findings.extend(self.look_at_privileges(plan, servers, links, options, &mut known).await);
        self.explain_locks(&mut plan.findings, servers, links).await;
        for (number, look) in hosts {
            let look = look?;
            // What the plan found of running guests already, the host says again in its own words.
            let host = &servers[plan.steps[number].server].id;
            let is_known = |finding: &Finding| finding.id == CheckId::RunningGuests && finding.server == *host;
            let known = plan.findings.iter().any(is_known);
            plan.findings.extend(look.findings.into_iter().filter(|finding| !known || !is_known(finding)));
            if let (Some(seen), Move::Host(call)) = (&look.seen, &plan.steps[number].does) {
                if let Some(Ok(way)) = seen.way(*call) {
                    calls.insert(number, way.clone());
                }
                if call.sleeps() && options.arm_wol {
                    plan.steps[number].course.arms = self.arming(host, seen);
                }
            }
            if let Some((why, fix, kind)) = look.blocked {
                plan.steps[number].does = Move::Cannot { why, fix, kind };
            }
        }
        for (number, step) in plan.steps.iter_mut().enumerate() {
            let server = &servers[step.server];
            if step.does == Move::Wake
                && let Some(host) = self.configured(&server.id)
            {
                let error = match self.wake_path_of(host, servers, links).await {
                    Ok(path) => {
                        plan.findings.extend(self.look_at_wake_path(&path, server, links, &mut known).await);
                        calls.insert(number, path.to_string());
                        continue;
                    }
                    Err(error) => error,
                };
                // There is nobody who could be asked to wake it.
                let finding = Finding::new(CheckId::NoWakePath, &server.id, error.to_string()).final_word();
                plan.findings.push(Finding { fix: error.advice(), ..finding });
                step.does = Move::Cannot { why: error.to_string(), fix: error.advice(), kind: None };
            }
        }
        Ok(calls)
    }

    /// What is armed before a host sleeps, if anything is.
    fn arming(&self, host: &ServerId, seen: &HostPreflight) -> Option<Arming> {
        let mac = self.configured(host)?.mac.map(|mac| mac.to_string());
        let port = seen.nic_to_arm(mac.as_deref())?.name.clone();
        (seen.wol_armed(mac.as_deref()) != Some(true)).then_some(Arming { port, limit: self.limits.host })
    }

    async fn look_at_guests(
        &self,
        plan: &Plan,
        servers: &[Server],
        configs: &Configs,
        links: &Links,
        here: &Here,
        options: &Options,
    ) -> Result<Vec<Finding>, StateError> {
        let mut findings = Vec::new();
        let guest_step = |step: &Step| match step.does {
            Move::Guest(call) => Some((call, (step.action, Named::of(&servers[step.server])?))),
            _ => None,
        };
        let (calls, guests): (Vec<_>, Vec<_>) = plan.steps.iter().filter_map(guest_step).unzip();
        for (call, (action, named)) in calls.iter().zip(&guests) {
            let id = &named.server.id;
            let Some(config) = configs.0.get(id) else { continue };
            if let Some(finding) = self.compare_identity(*named, config)? {
                findings.push(finding);
            } else {
                // Whoever gets the number between now and the call is another one.
                let is_new = self.state.identity(named.cluster, named.vmid)?.is_none();
                if is_new {
                    self.keep_identity(*named, config)?;
                }
                if !is_new || questions(*call, *action, *named, config) > 1 {
                    links.keep_config(id, config);
                }
            }
            if !action.only_wakes()
                && let Some(here) = here.get(self).await
                && here.is_guest(uuid_of(config), &config.macs)
            {
                let message = format!("ecobox itself runs in it: nothing would be left to see the {action} through");
                findings.push(Finding::new(CheckId::Itself, id, message).fix("run this from another machine"));
            }
        }
        let (quorum, tasks, agents) = join3(
            self.look_at_quorum(plan, servers, links),
            self.look_at_tasks(&guests, links),
            self.look_at_agents(&guests, configs, links, options.manner),
        )
        .await;
        findings.extend(quorum);
        findings.extend(tasks);
        findings.extend(agents);
        Ok(findings)
    }

    /// Whether the clusters can do what needs quorum. Whoever may not ask is told by Proxmox VE itself.
    async fn look_at_quorum(&self, plan: &Plan, servers: &[Server], links: &Links) -> Vec<Finding> {
        let mut asked: HashMap<&ClusterId, Option<String>> = HashMap::new();
        let mut findings = Vec::new();
        for step in &plan.steps {
            let Move::Guest(call) = &step.does else { continue };
            let Some(named) = Named::of(&servers[step.server]) else { continue };
            if !call.needs_quorum(named.kind, is_managed(named.server)) {
                continue;
            }
            let lost = match asked.entry(named.cluster) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.lost_quorum(links, named.cluster).await),
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
    async fn lost_quorum(&self, links: &Links, cluster: &ClusterId) -> Option<String> {
        if !links.0.borrow().contains_key(cluster) {
            return None;
        }
        let client = self.client_of(links, cluster).await.ok()?;
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
    async fn look_at_tasks(&self, guests: &[(PowerAction, Named<'_>)], links: &Links) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut nodes: HashMap<(&ClusterId, &NodeName), Vec<ActiveTask>> = HashMap::new();
        for (_, named) in guests.iter().filter(|(action, _)| !action.only_wakes()) {
            let Some(node) = &named.server.node else { continue };
            let tasks = match nodes.entry((named.cluster, node)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.tasks(links, named.cluster, node).await.unwrap_or_default()),
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
    async fn look_at_agents(
        &self,
        guests: &[(PowerAction, Named<'_>)],
        configs: &Configs,
        links: &Links,
        manner: Manner,
    ) -> Vec<Finding> {
        // Who is stopped where a clean end does not work needs no agent that answers.
        let is_stopped = |action: PowerAction| manner.then_stop && action == PowerAction::Shutdown;
        let by_agent = guests.iter().filter(|(action, _)| !is_stopped(*action)).filter(|(action, named)| {
            configs.0.get(&named.server.id).is_some_and(|config| asks_agent(*action, *named, config))
        });
        let work = by_agent.filter_map(|(_, named)| Some((named.server.node.clone()?, *named)));
        let ask = |named: Named<'_>| {
            let (cluster, vmid) = (named.cluster.clone(), named.vmid);
            let (id, node) = (named.server.id.clone(), named.server.node.clone());
            async move {
                let client = self.client_of(links, &cluster).await.ok()?;
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

    async fn members(&self, links: &Links, cluster: &ClusterId) -> Option<ClusterStatus> {
        if !links.0.borrow().contains_key(cluster) {
            return None;
        }
        self.client_of(links, cluster).await.ok()?.cluster_status().await.ok()
    }

    /// All that runs on a node; `None`: nobody says, or the token may see its own tasks only.
    async fn all_tasks(&self, links: &Links, cluster: &ClusterId, node: &NodeName) -> Option<Vec<ActiveTask>> {
        if !links.0.borrow().contains_key(cluster) {
            return None;
        }
        let client = self.client_of(links, cluster).await.ok()?;
        let (permissions, tasks) = join(client.permissions(), client.active_tasks(node)).await;
        let all = permissions.ok()?.allows_on(&format!("/nodes/{node}"), "Sys.Audit");
        tasks.ok().filter(|_| all)
    }

    async fn tasks(&self, links: &Links, cluster: &ClusterId, node: &NodeName) -> Option<Vec<ActiveTask>> {
        if !links.0.borrow().contains_key(cluster) {
            return None;
        }
        self.client_of(links, cluster).await.ok()?.active_tasks(node).await.ok()
    }
}

impl Here {
    /// Which machine ecobox runs on; looked at when first needed.
    async fn get(&self, fleet: &Fleet<'_>) -> Option<&Identity> {
        self.0.get_or_init(|| async { fleet.local_identity().await.ok() }).await.as_ref()
    }
}

/// Whether a guest's agent is asked for before an action.
fn asks_agent(action: PowerAction, named: Named<'_>, config: &GuestConfig) -> bool {
    action == PowerAction::Shutdown && config.agent && !is_managed(named.server)
}

/// What is asked about a guest beside its state and its configuration. One guest costs at most six requests: with more
/// than one of these its configuration, read a moment ago, is not read again.
fn questions(call: GuestCall, action: PowerAction, named: Named<'_>, config: &GuestConfig) -> usize {
    let asked = [
        call.needs_quorum(named.kind, is_managed(named.server)),
        !action.only_wakes(),
        asks_agent(action, named, config),
    ];
    asked.into_iter().filter(|asked| *asked).count()
}

/// Whether HA carries out what is asked of a guest.
fn is_managed(guest: &Server) -> bool {
    guest.ha_state.as_deref().is_some_and(|state| state != "ignored")
}

/// Consoles that are open are no work.
fn is_console(task: &ActiveTask) -> bool {
    matches!(task.kind.as_str(), "vncproxy" | "vncshell" | "spiceproxy" | "spiceshell" | "termproxy")
}

/// The SMBIOS UUID of a virtual machine's identity.
fn uuid_of(config: &GuestConfig) -> Option<&str> {
    config.identity.as_ref()?.as_str().strip_prefix("uuid:")
}

/// `a, b, c and 4 more`
fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let more = names.len().saturating_sub(NAMED);
    let text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
