//! After a call was sent to a guest: its task, then its state, then its services.

use std::time::Duration;

use super::super::wait::Attempts;
use super::super::{ApiClients, PlanRun, StepOutcome, StepReport, look_hint};
use super::find::{gone, is_whole};
use super::{Named, Sending};
use crate::fleet::Fleet;
use crate::model::guest::{GuestStatus, TaskEnd, TaskState};
use crate::model::hint::HintId;
use crate::model::id::{ClusterId, NodeName, Upid, VmId};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{Goal, PowerState};
use crate::transport::Error;
use crate::transport::pve::{is_not_here, is_passing};

/// The lines of a failed task's log that are shown.
pub(in crate::fleet::act) const LOG_LINES: usize = 5;
/// How long a task is looked for whose POST had no answer.
pub(in crate::fleet::act) const LOOK_UP: Duration = Duration::from_secs(10);

impl Fleet<'_> {
    /// The task of a POST whose answer was lost. A full disk of the node may keep the task out of its list.
    pub(super) async fn look_up(
        &self,
        run: &PlanRun<'_>,
        sending: &Sending<'_>,
        since: jiff::Timestamp,
    ) -> Option<Upid> {
        let Sending { named, found, call, patience, .. } = sending;
        let types = call.task_types(named.kind);
        self.find_lost_task(run.clients, *named, &found.node, types, since, *patience).await
    }

    /// The task of one of these types that a POST started whose answer was lost.
    pub(in crate::fleet::act) async fn find_lost_task(
        &self,
        clients: &ApiClients,
        named: Named<'_>,
        node: &NodeName,
        types: &[&str],
        since: jiff::Timestamp,
        patience: Duration,
    ) -> Option<Upid> {
        let mut attempts = Attempts::during(LOOK_UP.min(patience));
        loop {
            let client = self.client_of(clients, named.cluster).await;
            if let Ok(Some(upid)) = match &client {
                Ok(client) => client.find_task(node, named.vmid, types, since).await,
                Err(_) => Ok(None),
            } {
                return Some(upid);
            }
            if !attempts.next().await {
                return None;
            }
        }
    }

    /// Nothing was heard of a call; only the state can tell.
    pub(super) async fn by_state(
        &self,
        run: &PlanRun<'_>,
        sending: &Sending<'_>,
        attempts: &mut Attempts,
        error: &Error,
    ) -> StepReport {
        let goal = Goal::of(&sending.call);
        // A reset leaves no trace in the state; of a reboot the uptime tells.
        let is_seen = |status: &GuestStatus| match goal {
            Goal::Rebooted => sending.is_anew(status) == Some(true),
            _ => !goal.is_met_by(sending.found.status.state),
        };
        match self.await_goal(run, sending, goal, false, attempts).await {
            Seen::Reached(status) if is_seen(&status) => {
                let ended = StepReport::because(StepOutcome::Done, "its answer was lost; the state shows it")
                    .seen(status.state);
                self.ready_if_wanted(sending, attempts, ended).await
            }
            Seen::Gone => gone(sending.named.server),
            Seen::Reached(GuestStatus { state, .. })
            | Seen::Halted(GuestStatus { state, .. })
            | Seen::Not(Some(state)) => {
                let detail = format!("its answer was lost ({error}), no task was found, and it is {state}");
                StepReport {
                    hint: Some(look_hint(&sending.named.server.id)),
                    ..StepReport::because(StepOutcome::Unconfirmed, detail)
                }
                .seen(state)
            }
            Seen::Failed(error) => unheard(sending.named.server, &error),
            Seen::Not(None) => {
                let detail = format!("its answer was lost ({error}), and nothing has answered since");
                StepReport {
                    hint: Some(look_hint(&sending.named.server.id)),
                    ..StepReport::because(StepOutcome::Unconfirmed, detail)
                }
            }
        }
    }

    /// Follows a task to its end, and then the state.
    pub(super) async fn follow(
        &self,
        run: &PlanRun<'_>,
        sending: &Sending<'_>,
        upid: Option<&Upid>,
        attempts: &mut Attempts,
    ) -> StepReport {
        let Sending { named, call, number, patience, .. } = sending;
        let what = format!("waiting until {} is {}", named.server.called(), Goal::of(call).as_str());
        run.say(*number, &what, Some(*patience));
        // The task of a guest that HA manages ends when HA was asked, or could not be: then only the state tells.
        let mut went_well = false;
        if let Some(upid) = upid {
            match self.await_task(run, named.cluster, upid, attempts).await {
                Ok(Some(TaskEnd::Failed(words))) => return self.task_failed(run, sending, upid, words).await,
                // Where the task says nothing, the state decides; where it went well, the state has to show it.
                Ok(Some(TaskEnd::Unclear(_) | TaskEnd::Gone)) => {}
                Ok(Some(TaskEnd::Ok | TaskEnd::Warnings(_))) => went_well = !sending.found.status.ha_managed,
                Err(error) => return unheard(named.server, &error),
                Ok(None) => {
                    let detail = format!("its task still runs: {upid}");
                    return StepReport {
                        hint: Some(look_hint(&named.server.id)),
                        ..StepReport::because(StepOutcome::Unconfirmed, detail)
                    };
                }
            }
        }
        match self.await_goal(run, sending, Goal::of(call), went_well, attempts).await {
            Seen::Gone => gone(named.server),
            Seen::Halted(status) => halted(sending, &status),
            Seen::Reached(status) => {
                self.ready_if_wanted(sending, attempts, StepReport::new(StepOutcome::Done).seen(status.state)).await
            }
            Seen::Failed(error) => unheard(named.server, &error),
            Seen::Not(state) => {
                let is = state.map_or("nothing answers".to_owned(), |state| format!("it is {state}"));
                let ended =
                    StepReport::because(StepOutcome::Unconfirmed, format!("accepted, but {is} at the deadline"));
                StepReport { state, hint: Some(look_hint(&named.server.id)), ..ended }
            }
        }
    }

    /// What a failed task means: its own words, and the last lines of its log.
    async fn task_failed(&self, run: &PlanRun<'_>, sending: &Sending<'_>, upid: &Upid, words: String) -> StepReport {
        if let Some(ended) = self.was_faster(run, sending, &words).await {
            return ended;
        }
        let log = match self.client_of(run.clients, sending.named.cluster).await {
            Ok(client) => client.task_log(upid, LOG_LINES).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let hint = task_hint(&words, sending.named.vmid);
        StepReport { hint, log, ..StepReport::because(StepOutcome::TaskFailed, words) }
    }

    /// Where Proxmox VE's words say that the guest runs already, or does not run: somebody else has done what was wanted,
    /// if its state shows it.
    pub(super) async fn was_faster(&self, run: &PlanRun<'_>, sending: &Sending<'_>, words: &str) -> Option<StepReport> {
        let Sending { named, found, call, .. } = sending;
        let words = words.trim();
        let goal = Goal::of(call);
        let tells = match goal {
            Goal::Running => words.ends_with(" already running"),
            Goal::Stopped => words.ends_with(" not running"),
            _ => false,
        };
        if !tells {
            return None;
        }
        let client = self.client_of(run.clients, named.cluster).await.ok()?;
        let status = client.guest_status(&found.node, named.kind, named.vmid).await.ok()?;
        goal.is_met_by(status.state).then(|| StepReport::because(StepOutcome::Already, words).seen(status.state))
    }

    /// The end of a task; `None`: it still ran at the deadline. What fails on the way and may pass is asked again.
    async fn await_task(
        &self,
        run: &PlanRun<'_>,
        cluster: &ClusterId,
        upid: &Upid,
        attempts: &mut Attempts,
    ) -> Result<Option<TaskEnd>, Error> {
        loop {
            let answer = match self.client_of(run.clients, cluster).await {
                Ok(client) => client.task(upid).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(TaskState::Ended(end)) => return Ok(Some(end)),
                Ok(TaskState::Running) => {}
                Err(error) if is_passing(&error) => run.clients.lose(cluster, &error),
                Err(error) => return Err(error),
            }
            if !attempts.next().await {
                return Ok(None);
            }
        }
    }

    /// Waits until the guest's state shows the goal. `went_well`: its task has ended, nothing more is done about it.
    async fn await_goal(
        &self,
        run: &PlanRun<'_>,
        sending: &Sending<'_>,
        goal: Goal,
        went_well: bool,
        attempts: &mut Attempts,
    ) -> Seen {
        let Sending { named, found, .. } = sending;
        let mut node = found.node.clone();
        let (mut last, mut halted) = (None, false);
        loop {
            let answer = match self.client_of(run.clients, named.cluster).await {
                Ok(client) => client.guest_status(&node, named.kind, named.vmid).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(status) => {
                    last = Some(status.state);
                    if goal.is_met_by(status.state)
                        && (goal != Goal::Rebooted || sending.is_anew(&status) != Some(false))
                    {
                        return Seen::Reached(status);
                    }
                    // Once it may be on its way. Twice: nobody lets it go on.
                    let halts = went_well && goal == Goal::Running && status.state == PowerState::Paused;
                    if halts && halted {
                        return Seen::Halted(status);
                    }
                    halted = halts;
                }
                // HA may have started it elsewhere; or it was destroyed.
                Err(error) if is_not_here(&error) => match self.node_now(run, *named, &node).await {
                    Ok(Some(now)) => node = now,
                    Ok(None) => return Seen::Gone,
                    Err(error) => run.clients.lose(named.cluster, &error),
                },
                Err(error) if is_passing(&error) => run.clients.lose(named.cluster, &error),
                Err(error) => return Seen::Failed(error),
            }
            if !attempts.next().await {
                return Seen::Not(last);
            }
        }
    }

    /// Which node has it; `None`: none has. Where the listing is not whole it may still be where it was.
    async fn node_now(
        &self,
        run: &PlanRun<'_>,
        named: Named<'_>,
        before: &NodeName,
    ) -> Result<Option<NodeName>, Error> {
        let client = self.client_of(run.clients, named.cluster).await?;
        let listing = client.listing().await?;
        let otherwise = (!is_whole(&listing)).then(|| before.clone());
        Ok(listing.guests.into_iter().find(|guest| guest.vmid == named.vmid).map(|guest| guest.node).or(otherwise))
    }

    async fn ready_if_wanted(&self, sending: &Sending<'_>, attempts: &mut Attempts, ended: StepReport) -> StepReport {
        if sending.services { self.ready(sending.named, attempts, ended).await } else { ended }
    }

    /// A guest is ready when its configured services answer, too.
    pub(super) async fn ready(&self, named: Named<'_>, attempts: &mut Attempts, ended: StepReport) -> StepReport {
        let server = named.server;
        if server.services.is_empty() {
            return ended;
        }
        let Some(host) = &server.hostname else {
            let detail = "it runs; its address is not known, so its services were not checked";
            return StepReport { detail: Some(detail.to_owned()), ..ended };
        };
        let missing = self.await_services(host, &server.services, attempts).await;
        if missing.is_empty() {
            return ended;
        }
        let detail = format!("it runs, but does not answer at {} ({host})", missing.join(", "));
        StepReport { detail: Some(detail), how: StepOutcome::Unconfirmed, hint: Some(look_hint(&server.id)), ..ended }
    }
}

/// What to do about a task that failed with these words.
fn task_hint(words: &str, vmid: VmId) -> Option<String> {
    if words.starts_with("can't lock file") {
        return Some(HintId::GuestBusy.text());
    }
    // Storages have words of their own around the name: `vm-105-state-suspend-2026-11-29.raw` in a directory.
    let state = format!("vm-{vmid}-state-suspend-");
    let mut names = words.split(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)));
    if let Some(image) = names.find(|word| word.starts_with(&state))
        && words.contains("exist")
    {
        return Some(format!(
            "an earlier hibernation left its image {image} behind: on the node `pvesm list STORAGE --vmid {vmid}` \
             finds it, and `pvesm free` removes it"
        ));
    }
    (words.contains("'/etc/pve/") && words.ends_with("Permission denied")).then(|| {
        format!(
            "its cluster has no quorum: bring the other nodes back; a hibernation may have left its image \
             ({state}DATE) behind"
        )
    })
}

/// What waiting for a goal saw.
enum Seen {
    Reached(GuestStatus),
    /// Its process is there and executes nothing, and nothing is done about it any more.
    Halted(GuestStatus),
    /// No node of its cluster has it.
    Gone,
    /// The last state, if anybody answered.
    Not(Option<PowerState>),
    /// It cannot be found out: the token was removed, for example.
    Failed(Error),
}

/// What was wanted was done, and the guest is halted all the same.
fn halted(sending: &Sending<'_>, status: &GuestStatus) -> StepReport {
    let because = if sending.freezes { ": `freeze` in its configuration halts it at the start" } else { "" };
    let detail = format!("its task ended well, and it is paused ({}){because}", status.raw);
    let hint = HintId::Paused.say(&[("server", sending.named.server.id.as_str())]);
    StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::Failed(FailureKind::Failed), detail) }
        .seen(status.state)
}

/// It was sent, and its outcome cannot be found out.
pub(in crate::fleet::act) fn unheard(server: &Server, error: &Error) -> StepReport {
    let detail = format!("it was sent, and then: {error}");
    StepReport { hint: Some(look_hint(&server.id)), ..StepReport::because(StepOutcome::Unconfirmed, detail) }
}
