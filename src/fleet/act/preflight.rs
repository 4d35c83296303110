//! What is looked at before anything is changed: reasons of guests that their configurations tell, and of hosts that one
//! script and their cluster tell.

mod guests;
mod host;
mod idle;
mod locks;
mod moves;
mod privileges;

use std::collections::HashMap;

use futures::future::{join, join_all, join3};
use tokio::sync::OnceCell;

use super::guest::Named;
use super::{ApiClients, Options};
use crate::fleet::Fleet;
use crate::fleet::reach::bounded::per_node;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::guest::{ActiveTask, ClusterStatus, GuestCall, GuestConfig, Startup};
use crate::model::host::idle::Verdict;
use crate::model::host::power::{HostPreflight, Identity};
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::power::{Arming, Finding, Plan, PowerAction, PowerState, Step, StepKind};
use crate::model::upkeep::backup::BackupJob;
use crate::state::StateError;

use self::host::HostIdle;
pub(super) use self::host::{Blocked, HostCheck, When};
pub(in crate::fleet) use self::locks::holds;
pub(super) use self::privileges::Privileges;

/// What guests' configurations say, by their ids.
#[derive(Debug, Default)]
pub(super) struct Configs(HashMap<ServerId, GuestConfig>);

impl Configs {
    /// What a guest's says.
    pub(super) fn get(&self, guest: &ServerId) -> Option<&GuestConfig> {
        self.0.get(guest)
    }

    /// The order among the guests.
    pub(crate) fn startups(&self) -> HashMap<ServerId, Startup> {
        self.0.iter().map(|(id, config)| (id.clone(), config.startup)).collect()
    }
}

/// What the checks of a plan found out besides.
pub(super) struct Checked {
    /// By what some steps are done, by their places.
    pub(super) calls: HashMap<usize, String>,
    /// Whether hosts that go down only if idle are idle.
    pub(super) idle: HashMap<usize, Verdict>,
}

/// What one run needs to know once.
#[derive(Debug, Default)]
struct Here(OnceCell<Option<Identity>>);

impl Fleet<'_> {
    /// The configurations of guests, asked of their nodes side by side. A guest of which none is told is left out: its
    /// step says why.
    pub(super) async fn configs(&self, clients: &ApiClients, guests: Vec<&Server>) -> Configs {
        let named = guests.into_iter().filter_map(|server| Some((server.node.clone()?, Named::of(server)?)));
        let ask = |named: Named<'_>| {
            let (cluster, id, kind, vmid) = (named.cluster.clone(), named.server.id.clone(), named.kind, named.vmid);
            let node = named.server.node.clone();
            async move {
                let client = self.client_of(clients, &cluster).await.ok()?;
                Some((id, client.guest_config(&node?, kind, vmid).await.ok()?))
            }
        };
        // Hosts that are known not to answer are not asked.
        let standing = |(_, named): &(NodeName, Named<'_>)| {
            clients.standing(named.cluster).is_some() && named.server.seen.state != PowerState::Unknown
        };
        Configs(per_node(named.filter(standing), ask).await.into_iter().flatten().collect())
    }

    /// Adds the failed checks of its steps to a plan, and turns steps that nothing could do into those that say so. Gives
    /// by what some steps are done, by their places.
    ///
    /// # Errors
    /// The state file's.
    pub(super) async fn check_plan(
        &self,
        plan: &mut Plan,
        servers: &[Server],
        configs: &Configs,
        clients: &ApiClients,
        options: &Options,
    ) -> Result<Checked, StateError> {
        let mut calls = HashMap::new();
        let here = Here::default();
        let readings = self.comparable_readings(options)?;
        let alarms = self.alarms_of(plan, servers, options)?;
        let findings = join(self.look_at_guests(plan, servers, configs, clients, &here, options), async {
            let hosts = plan.steps.iter().enumerate().filter_map(|(number, step)| match &step.does {
                StepKind::Host(call) => Some((number, &servers[step.server], *call)),
                _ => None,
            });
            let (readings, alarms, steps) = (&readings, &alarms, &plan.steps);
            let looks = hosts.map(|(number, host, call)| async move {
                let (known, wakes) = (readings.get(&host.id), alarms.get(&host.id).copied());
                let when = When::Planning;
                let check = HostCheck { host, call, when, wakes, servers, clients, options, known, steps };
                (number, Box::pin(self.look_at_host(&check)).await)
            });
            join_all(looks).await
        });
        let (guests, hosts) = findings.await;
        plan.findings.extend(guests?);
        plan.findings.extend(self.look_at_moves(plan, servers, configs, clients, &here).await?);
        plan.findings.extend(self.look_at_leases(plan, servers)?);
        let mut known = Privileges::default();
        plan.findings.extend(self.look_at_privileges(plan, servers, clients, options, &mut known).await);
        self.explain_locks(&mut plan.findings, servers, clients).await;
        let mut idle = Vec::new();
        for (number, mut look) in hosts {
            idle.extend(look.idle.take().map(|seen| (number, seen)));
            // What the plan found of running guests already, the host says again in its own words.
            let host = &servers[plan.steps[number].server].id;
            let is_known = |finding: &Finding| finding.id == CheckId::RunningGuests && finding.server == *host;
            let known = plan.findings.iter().any(is_known);
            plan.findings.extend(look.findings.into_iter().filter(|finding| !known || !is_known(finding)));
            if let (Some(seen), StepKind::Host(call)) = (&look.seen, &plan.steps[number].does) {
                if let Some(Ok(way)) = seen.way(*call) {
                    calls.insert(number, way.clone());
                }
                if call.sleeps() && options.arm_wol {
                    plan.steps[number].course.arms = self.arming(host, seen);
                }
            }
            plan.steps[number].course.wakes = look.waking;
            if let Some(Blocked { why, fix, kind }) = look.blocked {
                plan.steps[number].does = StepKind::Cannot { why, fix, kind };
            }
        }
        self.look_at_wakes(plan, servers, clients, &mut known, &mut calls).await;
        let idle = self.settle_idle(plan, servers, idle, options)?;
        Ok(Checked { calls, idle })
    }

    /// Which server wakes each host that sleeps, or that none can.
    async fn look_at_wakes(
        &self,
        plan: &mut Plan,
        servers: &[Server],
        clients: &ApiClients,
        known: &mut Privileges,
        calls: &mut HashMap<usize, String>,
    ) {
        for (number, step) in plan.steps.iter_mut().enumerate() {
            let server = &servers[step.server];
            let Some(host) = self.configured(&server.id).filter(|_| step.does == StepKind::Wake) else { continue };
            match self.wake_path_of(host, servers, clients).await {
                Ok(path) => {
                    plan.findings.extend(self.look_at_wake_path(&path, server, clients, known).await);
                    calls.insert(number, path.to_string());
                }
                Err(error) => {
                    let (why, fix) = (error.to_string(), error.advice());
                    let fault = Fault::cannot_be_woken(&why, fix.as_deref());
                    plan.findings.push(Finding::of(fault, &server.id).final_word());
                    step.does = StepKind::Cannot { why, fix, kind: None };
                }
            }
        }
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
        clients: &ApiClients,
        here: &Here,
        options: &Options,
    ) -> Result<Vec<Finding>, StateError> {
        let mut findings = Vec::new();
        let guest_step = |step: &Step| match step.does {
            StepKind::Guest(call) => Some((call, (step.action, Named::of(&servers[step.server])?))),
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
                    clients.keep_config(id, config);
                }
            }
            if !action.only_wakes()
                && let Some(here) = here.get(self).await
                && here.is_guest(uuid_of(config), &config.macs)
            {
                findings.push(Finding::of(Fault::ecobox_runs_in_it(action.as_str()), id));
            }
        }
        let (quorum, tasks, agents) = join3(
            self.look_at_quorum(plan, servers, clients),
            self.look_at_tasks(&guests, clients),
            self.look_at_agents(&guests, configs, clients, options.stop),
        )
        .await;
        findings.extend(quorum);
        findings.extend(tasks);
        findings.extend(agents);
        Ok(findings)
    }

    async fn members(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<ClusterStatus> {
        clients.standing(cluster)?;
        self.client_of(clients, cluster).await.ok()?.cluster_status().await.ok()
    }

    /// All that runs on a node; `None`: not known, or the token may see its own tasks only.
    pub(super) async fn all_tasks(
        &self,
        clients: &ApiClients,
        cluster: &ClusterId,
        node: &NodeName,
    ) -> Option<Vec<ActiveTask>> {
        clients.standing(cluster)?;
        let client = self.client_of(clients, cluster).await.ok()?;
        let (permissions, tasks) = join(client.permissions(), client.active_tasks(node)).await;
        let all = permissions.ok()?.allows_on(&format!("/nodes/{node}"), "Sys.Audit");
        tasks.ok().filter(|_| all)
    }

    /// The jobs of backups; nothing where the token may not see them.
    async fn backup_jobs(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<Vec<BackupJob>> {
        clients.standing(cluster)?;
        self.client_of(clients, cluster).await.ok()?.backup_jobs().await.ok()
    }

    async fn tasks(&self, clients: &ApiClients, cluster: &ClusterId, node: &NodeName) -> Option<Vec<ActiveTask>> {
        clients.standing(cluster)?;
        self.client_of(clients, cluster).await.ok()?.active_tasks(node).await.ok()
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
pub(super) fn is_console(task: &ActiveTask) -> bool {
    matches!(task.kind.as_str(), "vncproxy" | "vncshell" | "spiceproxy" | "spiceshell" | "termproxy")
}

/// The SMBIOS UUID of a virtual machine's identity.
fn uuid_of(config: &GuestConfig) -> Option<&str> {
    config.identity.as_ref()?.as_str().strip_prefix("uuid:")
}
