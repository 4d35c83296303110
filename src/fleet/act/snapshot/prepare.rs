//! From what was seen to what is to be done: each guest is judged, and nothing is changed.

use std::collections::HashMap;

use super::look::GuestLook;
use super::node::Nodes;
use super::{Seen, SnapshotOptions, SnapshotPlan, SnapshotStep, SnapshotWish, wanted};
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::act::preflight::Privileges;
use crate::fleet::reach::hint::Doing;
use crate::model::check::CheckId;
use crate::model::check::fault::{Fault, Repair};
use crate::model::id::{ClusterId, NodeName};
use crate::model::inventory::{FailureKind, Inventory, Server};
use crate::model::power::{Finding, PowerState, allow};
use crate::model::snapshot::differences::differences;
use crate::model::snapshot::judge::{GuestFacts, judge};
use crate::model::snapshot::{Disk, SnapshotCall, SnapshotState, Snapshots, description, disks, keep};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::is_not_here;

impl Fleet<'_> {
    /// Looks at the chosen servers (places in the inventory's) and judges what is wanted of them.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn prepare_snapshots(
        &self,
        inventory: &mut Inventory,
        chosen: &[usize],
        wish: SnapshotWish,
        options: &SnapshotOptions,
        clients: impl Into<ApiClients>,
    ) -> Result<SnapshotPlan, StateError> {
        let clients = clients.into();
        let lost = self.refresh(&mut inventory.servers, chosen, &clients).await?;
        let servers = &inventory.servers;
        let mut steps: Vec<(usize, Vec<SnapshotStep>)> = Vec::new();
        let mut guests = Vec::new();
        for place in chosen {
            let server = &servers[*place];
            let failed = |why: String, fix, kind| (*place, vec![SnapshotStep::cannot(*place, why, fix, kind)]);
            match (Named::of(server), &server.node) {
                (None, _) => steps.push(failed("it is not a guest, and has no snapshots".to_owned(), None, None)),
                (Some(_), _) if let Some(lost) = lost.get(&server.id) => {
                    steps.push(failed(lost.why.clone(), lost.fix.clone(), Some(lost.kind)));
                }
                (Some(named), Some(node)) if server.seen.state != PowerState::Unknown => {
                    guests.push((node.clone(), (*place, named)));
                }
                (Some(_), _) => {
                    let why = server.seen.reason.clone().unwrap_or_else(|| "nothing answers for it".to_owned());
                    steps.push(failed(why, None, Some(FailureKind::Unreachable)));
                }
            }
        }
        let around: Vec<(NodeName, Named<'_>)> =
            guests.iter().map(|(node, (_, named))| (node.clone(), *named)).collect();
        let looks = self.look_at_guests_for(guests, &wish, &clients);
        let (looks, (nodes, no_quorum)) = futures::future::join(looks, self.look_around(&around, &clients)).await;
        let mut known = Privileges::default();
        for (place, look) in looks {
            let server = &servers[place];
            let Some(named) = Named::of(server) else { continue };
            let mut of_it = match look {
                Ok(look) => self.steps_of(place, named, &look, &wish, &nodes, options, &clients).await?,
                Err(error) => vec![self.unseen(place, server, &error)],
            };
            for step in of_it.iter_mut().filter(|step| step.call.is_some()) {
                self.add_what_clusters_say(step, named, &no_quorum, &clients, &mut known).await;
                allow(&mut step.findings, &options.allowed);
            }
            steps.push((place, of_it));
        }
        let order = |place: usize| chosen.iter().position(|other| *other == place);
        steps.sort_by_key(|(place, _)| order(*place));
        let steps = steps.into_iter().flat_map(|(_, steps)| steps).collect();
        Ok(SnapshotPlan { wish, steps, clients })
    }

    /// A guest that could not be looked at.
    fn unseen(&self, place: usize, server: &Server, error: &Error) -> SnapshotStep {
        if is_not_here(error) {
            let why = "it is not on its node any more: it has moved or is gone".to_owned();
            return SnapshotStep::cannot(
                place,
                why,
                Some("run the command again".to_owned()),
                Some(FailureKind::Failed),
            );
        }
        let fix = self.hint(&server.id, error, Doing::Look);
        SnapshotStep::cannot(place, error.to_string(), fix, Some(error.kind()))
    }

    /// The steps of one guest.
    #[expect(clippy::too_many_arguments, reason = "what was looked at, from all sides")]
    async fn steps_of(
        &self,
        place: usize,
        named: Named<'_>,
        look: &GuestLook,
        wish: &SnapshotWish,
        nodes: &Nodes,
        options: &SnapshotOptions,
        clients: &ApiClients,
    ) -> Result<Vec<SnapshotStep>, StateError> {
        let calls = calls(wish, &look.snapshots);
        if calls.is_empty() {
            return Ok(vec![SnapshotStep::new(place)]);
        }
        let identity = self.compare_identity(named, &look.config)?;
        if identity.is_none() && self.state.identity(named.cluster, named.vmid)?.is_none() {
            // Whoever gets the number between now and the call is another one.
            self.keep_identity(named, &look.config)?;
        }
        let node = nodes.get(&(named.cluster.clone(), look.node.clone()));
        let tasks = node.map(|node| node.tasks_of(named.vmid)).unwrap_or_default();
        let storages = node.map(|node| node.storages.clone()).unwrap_or_default();
        let replicated_to = node.map(|node| node.replicated_to(named.vmid)).unwrap_or_default();
        let disks: Vec<Disk> = disks(named.kind, &look.settings);
        let facts = GuestFacts {
            tasks: &tasks,
            disks: &disks,
            storages: &storages,
            replicated_to: &replicated_to,
            ..facts_of(named, look)
        };
        let mut steps = Vec::new();
        for call in calls {
            let judged = judge(&named.server.id, &facts, &wanted(wish, &call));
            let mut step = SnapshotStep::new(place);
            step.findings.extend(identity.clone());
            step.findings.extend(judged.findings);
            (step.notes, step.loses_since) = (judged.notes, judged.loses_since);
            self.explain_lock(&mut step.findings, named, &look.node, facts.lock, clients).await;
            explain_broken_off(&mut step.findings, named, look);
            if let Some(wait) = options.lock_wait {
                waits_for(&mut step, wait);
            }
            self.add_differences(&mut step, named, look, &call, clients).await;
            if let SnapshotWish::Create { rotation, keep: Some(keep), .. } = wish {
                let surplus = keep::surplus_with_one_more(&look.snapshots, rotation, *keep);
                step.surplus = surplus.into_iter().map(|snapshot| snapshot.name.clone()).collect();
            }
            let of = look.snapshots.get(call.name());
            step.seen = Some(Seen {
                disks: disks.clone(),
                storages: storages.clone(),
                supported: look.supported,
                freeze: look.freeze,
                replicated_to: replicated_to.clone(),
                with_memory: of.is_some_and(|snapshot| snapshot.with_memory),
            });
            step.call = Some(call);
            steps.push(step);
        }
        Ok(steps)
    }

    /// What a rollback changes in the guest's configuration.
    async fn add_differences(
        &self,
        step: &mut SnapshotStep,
        named: Named<'_>,
        look: &GuestLook,
        call: &SnapshotCall,
        clients: &ApiClients,
    ) {
        let SnapshotCall::Rollback { name, .. } = call else { return };
        if look.snapshots.get(name).is_none() {
            return;
        }
        let then = match self.client_of(clients, named.cluster).await {
            Ok(client) => client.snapshot_config(&look.node, named.kind, named.vmid, name).await,
            Err(error) => Err(error),
        };
        match then {
            Ok(then) => step.differences = differences(&look.settings, &then),
            Err(error) => step.notes.push(format!("what changes in its configuration is not known: {error}")),
        }
    }

    /// What a whole cluster has against it: no quorum, or the token may not do it.
    async fn add_what_clusters_say(
        &self,
        step: &mut SnapshotStep,
        named: Named<'_>,
        no_quorum: &HashMap<ClusterId, String>,
        clients: &ApiClients,
        known: &mut Privileges,
    ) {
        let Some(call) = &step.call else { return };
        if let Some(of) = no_quorum.get(named.cluster) {
            step.findings.push(Finding::of(Fault::no_quorum(of, ""), &named.server.id).final_word());
        }
        step.findings.extend(self.lacks_right(call.right(named.kind), named, clients, true, known).await);
    }
}

/// What was seen of a guest itself.
fn facts_of<'a>(named: Named<'_>, look: &'a GuestLook) -> GuestFacts<'a> {
    GuestFacts {
        kind: named.kind,
        vmid: named.vmid,
        running: look.runs(),
        template: look.status.template,
        lock: look.status.lock.as_deref(),
        ha: look.status.ha_state.as_deref().filter(|_| look.status.ha_managed),
        tasks: &[],
        disks: &[],
        storages: &[],
        supported: look.supported,
        memory_bytes: look.memory_bytes(),
        state_storage: look.settings.get("vmstatestorage").map(String::as_str),
        freeze: look.freeze,
        snapshots: &look.snapshots,
        replicated_to: &[],
    }
}

/// The calls that a wish comes to for one guest, in their order.
fn calls(wish: &SnapshotWish, snapshots: &Snapshots) -> Vec<SnapshotCall> {
    match wish {
        SnapshotWish::Create { name, text, memory, rotation, .. } => vec![SnapshotCall::Create {
            name: name.as_str().to_owned(),
            description: description(text.as_deref(), name, rotation),
            memory: *memory,
        }],
        SnapshotWish::Delete { pattern } => {
            let named = snapshots.matching(pattern).into_iter();
            named.map(|snapshot| SnapshotCall::Delete { name: snapshot.name.clone() }).collect()
        }
        SnapshotWish::Rollback { name, starts } => {
            vec![SnapshotCall::Rollback { name: name.clone(), starts: *starts }]
        }
    }
}

/// A lock of work on snapshots that nothing works under any more: the broken one is named, with what repairs it.
pub(super) fn explain_broken_off(findings: &mut [Finding], named: Named<'_>, seen: &GuestLook) {
    let Some(lock) = seen.status.lock.as_deref().filter(|lock| lock.starts_with("snapshot")) else { return };
    let of_lock = if lock == "snapshot" { SnapshotState::Prepare } else { SnapshotState::Delete };
    let Some(broken) = seen.snapshots.list.iter().find(|snapshot| snapshot.state == of_lock) else { return };
    let left_behind = |finding: &&mut Finding| finding.id == CheckId::GuestLocked && finding.lasts;
    let repair = Repair {
        kind: named.kind,
        vmid: named.vmid,
        name: broken.name.clone(),
        state: broken.state.as_str().to_owned(),
        locked: true,
    };
    for finding in findings.iter_mut().filter(left_behind) {
        let fault = Fault::snapshot_broken_off(lock, &repair, seen.node.as_str());
        finding.id = fault.id;
        finding.say(fault);
    }
}

/// What ends by itself is waited for, and stands against nothing.
fn waits_for(step: &mut SnapshotStep, wait: std::time::Duration) {
    let passes = |finding: &Finding| {
        matches!(finding.id, CheckId::GuestLocked | CheckId::BackupRunning | CheckId::TasksRunning) && !finding.lasts
    };
    let wait = crate::model::text::units::human_span(wait);
    for finding in step.findings.iter().filter(|finding| passes(finding)) {
        step.notes.push(format!("{}: waits at most {wait} until that has ended", finding.message));
    }
    step.findings.retain(|finding| !passes(finding));
}
