//! After a migration was sent: its task, which belongs to the node that the guest leaves, and then where the guest is.

use std::time::Duration;

use crate::fleet::Fleet;
use crate::fleet::act::guest::{LOG_LINES, Named, gone, unheard};
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{PlanRun, StepOutcome, StepReport, look_hint};
use crate::model::check::fault::Locked;
use crate::model::guest::{GuestStatus, TaskEnd, TaskState};
use crate::model::hint::HintId;
use crate::model::id::{NodeName, Upid};
use crate::model::inventory::FailureKind;
use crate::model::migrate::MigrateCall;
use crate::model::migrate::progress::{problem, progress, summary};
use crate::model::power::PowerState;
use crate::transport::Error;
use crate::transport::pve::{is_not_here, is_passing};

/// So many lines of a log are looked through for how far it is.
const TAIL: usize = 8;
/// And for what went wrong.
const WHOLE: usize = 400;

/// A migration that was sent, or is about to be.
pub(super) struct Following<'a> {
    pub(super) named: Named<'a>,
    /// The node that it leaves.
    pub(super) from: NodeName,
    pub(super) call: &'a MigrateCall,
    pub(super) number: usize,
    pub(super) patience: Duration,
    /// What the guest did before.
    pub(super) before: PowerState,
}

impl Following<'_> {
    fn there(&self, node: &NodeName, status: &GuestStatus) -> bool {
        *node == self.call.target
            && is_as_before(self.before, status.state)
            && status.lock.as_deref() != Some("migrate")
    }
}

impl Fleet<'_> {
    /// Follows the task to its end, and then the guest.
    pub(super) async fn follow_move(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        upid: Option<&Upid>,
        attempts: &mut Attempts,
    ) -> StepReport {
        let Following { named, call, number, patience, .. } = following;
        let what = format!("waiting until {} is on {}", named.server.called(), call.target);
        run.say(*number, &what, Some(*patience));
        let mut went_well = false;
        if let Some(upid) = upid {
            match self.await_move_task(run, following, upid, attempts).await {
                Ok(Some(TaskEnd::Failed(words))) => return self.move_failed(run, following, upid, &words).await,
                // Where the task says nothing the guest's place decides.
                Ok(Some(TaskEnd::Unclear(_) | TaskEnd::Gone)) => {}
                Ok(Some(TaskEnd::Ok | TaskEnd::Warnings(_))) => went_well = true,
                Err(error) => return unheard(named.server, &error),
                Ok(None) => {
                    let detail = format!("its task still runs: {upid}");
                    let hint = Some(look_hint(&named.server.id));
                    return StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, detail) };
                }
            }
        }
        // The task of a guest that HA manages ends once HA was asked.
        if call.through_ha && upid.is_some_and(|upid| upid.kind() == "hamigrate") {
            return self.follow_ha(run, following, attempts).await;
        }
        let ended = self.await_there(run, following, went_well, attempts).await;
        match upid.filter(|_| ended.how == StepOutcome::Done) {
            Some(upid) => StepReport { detail: self.how_it_went(run, following, upid).await, ..ended },
            None => ended,
        }
    }

    /// The end of a task; `None`: it still ran at the deadline. Says how far it is meanwhile.
    pub(super) async fn await_move_task(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        upid: &Upid,
        attempts: &mut Attempts,
    ) -> Result<Option<TaskEnd>, Error> {
        let Following { named, call, number, patience, .. } = following;
        let mut said = None;
        loop {
            let answer = match self.client_of(run.clients, named.cluster).await {
                Ok(client) => client.task(upid).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(TaskState::Ended(end)) => return Ok(Some(end)),
                Ok(TaskState::Running) => {
                    let step = self.move_progress(run, following, upid).await;
                    if let Some(step) = step.filter(|step| said.as_ref() != Some(step)) {
                        let what = format!("{} goes to {}: {step}", named.server.called(), call.target);
                        run.say(*number, &what, Some(*patience));
                        said = Some(step);
                    }
                }
                Err(error) if is_passing(&error) => run.clients.lose(named.cluster, &error),
                Err(error) => return Err(error),
            }
            if !attempts.next().await {
                return Ok(None);
            }
        }
    }

    /// How far the log says that it is.
    async fn move_progress(&self, run: &PlanRun<'_>, following: &Following<'_>, upid: &Upid) -> Option<String> {
        let client = self.client_of(run.clients, following.named.cluster).await.ok()?;
        progress(&client.task_log(upid, TAIL).await.ok()?)
    }

    /// From where to where, and what the log says of it: `pve1 to pve2, downtime 57 ms, 113.0 MiB/s`.
    async fn how_it_went(&self, run: &PlanRun<'_>, following: &Following<'_>, upid: &Upid) -> Option<String> {
        let way = format!("{} to {}", following.from, following.call.target);
        let client = self.client_of(run.clients, following.named.cluster).await.ok()?;
        let log = client.task_log(upid, TAIL).await.unwrap_or_default();
        Some(summary(&log).map_or(way.clone(), |summary| format!("{way}, {summary}")))
    }

    /// Where the guest is, and what it does there; `None`: no node has it. The node that it goes to is asked first.
    pub(super) async fn place_of_guest(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
    ) -> Result<Option<(NodeName, GuestStatus)>, Error> {
        let Following { named, call, from, .. } = following;
        let client = self.client_of(run.clients, named.cluster).await?;
        for node in [&call.target, from] {
            match client.guest_status(node, named.kind, named.vmid).await {
                Ok(status) => return Ok(Some((node.clone(), status))),
                Err(error) if is_not_here(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let listing = client.listing().await?;
        let Some(listed) = listing.guests.iter().find(|guest| guest.vmid == named.vmid) else {
            return Ok(None);
        };
        let status = client.guest_status(&listed.node, named.kind, named.vmid).await?;
        Ok(Some((listed.node.clone(), status)))
    }

    /// Waits until the guest is seen where it should be. `went_well`: its task has said so, nothing more is done about it.
    async fn await_there(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        went_well: bool,
        attempts: &mut Attempts,
    ) -> StepReport {
        let Following { named, call, .. } = following;
        let (mut last, mut looks) = (None, 0);
        loop {
            match self.place_of_guest(run, following).await {
                Ok(Some((node, status))) if following.there(&node, &status) => {
                    let way = format!("{} to {node}", following.from);
                    return StepReport::because(StepOutcome::Done, way).seen(status.state);
                }
                Ok(Some((node, status))) => {
                    looks += 1;
                    // Twice: nobody lets it go on.
                    if went_well && node == call.target && status.state == PowerState::Paused && looks > 1 {
                        return paused_there(named, &node, &status);
                    }
                    last = Some((node, status));
                }
                Ok(None) => return gone(named.server),
                Err(error) if is_passing(&error) => {
                    run.clients.lose(named.cluster, &error);
                    if let Some(ended) = self.listed_there(run, following).await.filter(|_| went_well) {
                        return ended;
                    }
                }
                Err(error) => return unheard(named.server, &error),
            }
            if !attempts.next().await {
                break;
            }
        }
        let hint = Some(look_hint(&named.server.id));
        let Some((node, status)) = last else {
            let detail = "accepted, and nothing has answered since";
            return StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, detail) };
        };
        let detail = format!("accepted, and it is {} on {node} at the deadline", status.state);
        StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, detail) }.seen(status.state)
    }

    /// The guest as its cluster lists it, where the API of the node that it went to does not answer: where it is is known at
    /// once, what it does some seconds later.
    async fn listed_there(&self, run: &PlanRun<'_>, following: &Following<'_>) -> Option<StepReport> {
        let Following { named, call, from, .. } = following;
        let listing = self.client_of(run.clients, named.cluster).await.ok()?.listing().await.ok()?;
        let listed = listing.guests.into_iter().find(|guest| guest.vmid == named.vmid && guest.node == call.target)?;
        let unlocked = listed.lock.as_deref() != Some("migrate");
        (unlocked && is_as_before(following.before, listed.state)).then(|| {
            let way = format!("{from} to {}, as its cluster lists it: its API does not answer", call.target);
            StepReport::because(StepOutcome::Done, way).seen(listed.state)
        })
    }

    /// Nothing was heard of a call; only the guest's place can tell.
    pub(super) async fn by_place(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        attempts: &mut Attempts,
        error: &Error,
    ) -> StepReport {
        let ended = self.await_there(run, following, false, attempts).await;
        match ended.how {
            StepOutcome::Done => {
                StepReport { detail: Some("its answer was lost; it is seen there".to_owned()), ..ended }
            }
            StepOutcome::Unconfirmed => {
                let is = ended.detail.as_deref().unwrap_or_default();
                let is = is.strip_prefix("accepted, and ").unwrap_or(is);
                let detail = format!("its answer was lost ({error}), no task was found, and {is}");
                StepReport { detail: Some(detail), ..ended }
            }
            _ => ended,
        }
    }

    /// What a failed task means, by its own words, its log, and where the guest is: `migration aborted` says that nothing has
    /// moved, `migration problems` says nothing of it.
    pub(super) async fn move_failed(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        upid: &Upid,
        words: &str,
    ) -> StepReport {
        let Following { named, call, .. } = following;
        let log = match self.client_of(run.clients, named.cluster).await {
            Ok(client) => client.task_log(upid, WHOLE).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let why = problem(&log).map(|why| format!(": {why}")).unwrap_or_default();
        let log = log.split_at(log.len().saturating_sub(LOG_LINES)).1.to_vec();
        let place = self.place_of_guest(run, following).await;
        let ended = StepReport { log, ..StepReport::new(StepOutcome::TaskFailed) };
        let (node, status) = match place {
            Ok(Some(place)) => place,
            Ok(None) => {
                let detail = format!("{words}{why}; no node has it any more");
                return StepReport { detail: Some(detail), hint: Some(look_hint(&named.server.id)), ..ended };
            }
            Err(error) => {
                let detail = format!("{words}{why}; where it is now is not known: {error}");
                return StepReport { detail: Some(detail), hint: Some(look_hint(&named.server.id)), ..ended };
            }
        };
        let is_there = node == call.target;
        let still = if node == following.from { "still " } else { "" };
        let mut detail = format!("{words}{why}; it is {still}on {node}, {}", status.state);
        let id = named.server.id.as_str();
        let mut hint = None;
        if status.lock.as_deref() == Some("migrate") {
            detail += ", and locked (migrate)";
            let locked =
                Locked { kind: named.kind, vmid: named.vmid, lock: "migrate", host: None, node: node.as_str() };
            hint = Some(format!("if no task works on it, run `{}` on {node}", locked.command()));
        } else if is_there && status.state == PowerState::Paused && following.before != PowerState::Paused {
            hint = Some(HintId::Paused.say(&[("server", id)]));
        }
        StepReport { detail: Some(detail), hint, ..ended }.seen(status.state)
    }
}

/// Its task ended well, and its processors stand still there.
fn paused_there(named: &Named<'_>, node: &NodeName, status: &GuestStatus) -> StepReport {
    let detail = format!("its task ended well, and it is paused on {node} ({})", status.raw);
    let hint = HintId::Paused.say(&[("server", named.server.id.as_str())]);
    StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::Failed(FailureKind::Failed), detail) }
        .seen(status.state)
}

/// Whether the guest shows what it showed before it moved.
pub(super) fn is_as_before(before: PowerState, now: PowerState) -> bool {
    match before {
        PowerState::Running | PowerState::Paused => now == before,
        _ => matches!(now, PowerState::Stopped | PowerState::Hibernated),
    }
}
