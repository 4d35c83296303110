//! After a call was sent: its task with its words, then the list of snapshots, and the guest's state where that matters.

use std::time::Duration;

use super::SnapshotRun;
use super::look::GuestLook;
use crate::fleet::Fleet;
use crate::fleet::act::guest::{Named, unheard};
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{StepOutcome, StepReport, look_hint};
use crate::model::check::fault::Repair;
use crate::model::guest::{TaskEnd, TaskState};
use crate::model::hint::HintId;
use crate::model::id::{GuestKind, Upid};
use crate::model::power::PowerState;
use crate::model::snapshot::SnapshotCall;
use crate::transport::Error;
use crate::transport::pve::{is_not_here, is_passing};

/// The lines of a failed task's log that are shown.
const LOG_LINES: usize = 5;

/// How long something is waited for of which nothing was heard, and nothing is seen.
const UNHEARD: Duration = Duration::from_secs(60);

/// A call that was sent, or is about to be.
pub(super) struct Sent<'a> {
    pub(super) named: Named<'a>,
    /// What was seen right before.
    pub(super) look: &'a GuestLook,
    pub(super) call: &'a SnapshotCall,
    pub(super) number: usize,
    pub(super) patience: Duration,
    /// Whether the snapshot that is rolled back to has memory.
    pub(super) with_memory: bool,
}

impl Sent<'_> {
    /// Whether the guest runs after a rollback.
    fn runs_after(&self) -> bool {
        matches!(self.call, SnapshotCall::Rollback { starts, .. } if *starts || self.with_memory)
    }
}

/// What the guest's node shows of a call.
enum Shown {
    /// What was wanted, and the state of the guest.
    Done(PowerState),
    /// Not yet, or never.
    NotYet,
}

impl Fleet<'_> {
    /// Follows the task to its end, and then looks at what is there.
    pub(super) async fn follow_snapshot(
        &self,
        run: &SnapshotRun<'_>,
        sent: &Sent<'_>,
        upid: Option<&Upid>,
        attempts: &mut Attempts,
    ) -> StepReport {
        let server = sent.named.server;
        let unconfirmed = |detail: String| StepReport {
            hint: Some(look_hint(&server.id)),
            ..StepReport::because(StepOutcome::Unconfirmed, detail)
        };
        let mut warnings = None;
        if let Some(upid) = upid {
            match self.await_task_with_words(run, sent, upid, attempts).await {
                Ok(Some(TaskEnd::Failed(words))) => return self.snapshot_task_failed(run, sent, upid, words).await,
                Ok(Some(TaskEnd::Unclear(_))) => return self.broken_off(run, sent).await,
                Ok(Some(TaskEnd::Warnings(count))) => warnings = Some(format!("its task ended with {count} warnings")),
                Ok(Some(TaskEnd::Ok | TaskEnd::Gone)) => {}
                Ok(None) => return unconfirmed(format!("its task still runs: {upid}")),
                Err(error) => return unheard(server, &error),
            }
        }
        loop {
            match self.shown(run, sent).await {
                Ok(Shown::Done(state)) => {
                    return StepReport { detail: warnings, ..StepReport::new(StepOutcome::Done) }.seen(state);
                }
                Ok(Shown::NotYet) => {}
                Err(error) if is_not_here(&error) || is_passing(&error) => {
                    run.clients().lose(sent.named.cluster, &error);
                }
                Err(error) => return unheard(server, &error),
            }
            if !attempts.next().await {
                return unconfirmed(format!("its task ended well, but {}", not_seen(sent)));
            }
        }
    }

    /// Nothing was heard of a call; only what is there can tell.
    pub(super) async fn by_list(
        &self,
        run: &SnapshotRun<'_>,
        sent: &Sent<'_>,
        attempts: &mut Attempts,
        lost: &Error,
    ) -> StepReport {
        let server = sent.named.server;
        // A node that passes a call on to another one may do so for half a minute; what is under way by then shows.
        let mut short = Attempts::during(UNHEARD.min(sent.patience));
        loop {
            match self.shown(run, sent).await {
                // What a rollback leaves may have been so before it.
                Ok(Shown::Done(state)) if self.tells(run, sent).await => {
                    let detail = "its answer was lost; the list of snapshots shows it";
                    return StepReport::because(StepOutcome::Done, detail).seen(state);
                }
                Ok(_) => {}
                Err(error) if is_not_here(&error) || is_passing(&error) => {
                    run.clients().lose(sent.named.cluster, &error);
                }
                Err(error) => return unheard(server, &error),
            }
            let goes_on = if self.works_on(run, sent).await { attempts.next().await } else { short.next().await };
            if !goes_on {
                let detail = format!("its answer was lost ({lost}), no task was found, and {}", not_seen(sent));
                return StepReport {
                    hint: Some(look_hint(&server.id)),
                    ..StepReport::because(StepOutcome::Unconfirmed, detail)
                };
            }
        }
    }

    /// Whether the call is seen to be carried out: its snapshot is neither there nor gone, or the guest is being rolled back.
    async fn works_on(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>) -> bool {
        let Sent { named, look, call, .. } = sent;
        let Ok(client) = self.client_of(run.clients(), named.cluster).await else { return false };
        if matches!(call, SnapshotCall::Rollback { .. }) {
            let status = client.guest_status(&look.node, named.kind, named.vmid).await;
            return status.is_ok_and(|status| status.lock.as_deref() == Some("rollback"));
        }
        let snapshots = client.snapshots(&look.node, named.kind, named.vmid).await;
        snapshots.is_ok_and(|list| list.get(call.name()).is_some_and(|snapshot| !snapshot.is_whole()))
    }

    /// What the guest's node shows now.
    async fn shown(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>) -> Result<Shown, Error> {
        let Sent { named, look, call, .. } = sent;
        let client = self.client_of(run.clients(), named.cluster).await?;
        let snapshots = client.snapshots(&look.node, named.kind, named.vmid).await?;
        let is_done = match call {
            SnapshotCall::Create { name, .. } => snapshots.has_whole(name),
            SnapshotCall::Delete { name } => snapshots.get(name).is_none(),
            SnapshotCall::Rollback { name, .. } => snapshots.current.as_deref() == Some(name),
        };
        if !matches!(call, SnapshotCall::Rollback { .. }) {
            let state = look.status.state;
            return Ok(if is_done { Shown::Done(state) } else { Shown::NotYet });
        }
        let status = client.guest_status(&look.node, named.kind, named.vmid).await?;
        let is_there = match status.state {
            PowerState::Running => sent.runs_after() || look.status.ha_managed,
            // With its memory it goes on as it was: it may have been halted.
            PowerState::Paused => sent.with_memory,
            _ => !sent.runs_after(),
        };
        let is_free = status.lock.as_deref() != Some("rollback");
        Ok(if is_done && is_there && is_free { Shown::Done(status.state) } else { Shown::NotYet })
    }

    /// Whether what is shown tells that this very call was carried out. A rollback to the snapshot that the guest came from
    /// anyway shows in nothing but the new generation id of a virtual machine.
    async fn tells(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>) -> bool {
        let Sent { named, look, call, .. } = sent;
        let SnapshotCall::Rollback { name, .. } = call else { return true };
        if look.snapshots.current.as_deref() != Some(name) {
            return true;
        }
        if named.kind == GuestKind::Lxc {
            return look.runs() && !sent.runs_after();
        }
        let Ok(client) = self.client_of(run.clients(), named.cluster).await else { return false };
        let now = client.whole_config(&look.node, named.kind, named.vmid).await;
        now.is_ok_and(|(_, settings)| settings.get("vmgenid") != look.settings.get("vmgenid"))
    }

    /// The end of a task, whose last words are shown meanwhile; `None`: it still ran at the deadline.
    async fn await_task_with_words(
        &self,
        run: &SnapshotRun<'_>,
        sent: &Sent<'_>,
        upid: &Upid,
        attempts: &mut Attempts,
    ) -> Result<Option<TaskEnd>, Error> {
        let cluster = sent.named.cluster;
        loop {
            let client = match self.client_of(run.clients(), cluster).await {
                Ok(client) => Some(client),
                Err(error) if is_passing(&error) => None,
                Err(error) => return Err(error),
            };
            if let Some(client) = client {
                match client.task(upid).await {
                    Ok(TaskState::Ended(end)) => return Ok(Some(end)),
                    Ok(TaskState::Running) => {
                        let log = client.task_log(upid, 1).await.unwrap_or_default();
                        let words = log.last().map_or_else(|| sent.call.action(), |line| line.trim().to_owned());
                        let what = format!("{}: {words}", sent.named.server.called());
                        run.say(sent.number, &what, Some(sent.patience));
                    }
                    Err(error) if is_passing(&error) => run.clients().lose(cluster, &error),
                    Err(error) => return Err(error),
                }
            }
            if !attempts.next().await {
                return Ok(None);
            }
        }
    }

    /// What a failed task means: its own words, the last lines of its log, and what it left.
    async fn snapshot_task_failed(
        &self,
        run: &SnapshotRun<'_>,
        sent: &Sent<'_>,
        upid: &Upid,
        words: String,
    ) -> StepReport {
        let Sent { named, call, .. } = sent;
        // Somebody else has deleted it meanwhile.
        if let SnapshotCall::Delete { name } = call
            && words.trim() == format!("snapshot '{name}' does not exist")
        {
            return StepReport::because(StepOutcome::Already, "it is not there any more");
        }
        let client = self.client_of(run.clients(), named.cluster).await;
        let log = match &client {
            Ok(client) => client.task_log(upid, LOG_LINES).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let busy = words.starts_with("can't lock file").then(|| HintId::GuestBusy.text());
        let hint = self.repair_of(run, sent).await.or(busy);
        StepReport { hint, log, ..StepReport::because(StepOutcome::TaskFailed, words) }
    }

    /// A task that was killed: what it had done by then is there, or half there.
    async fn broken_off(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>) -> StepReport {
        if let Ok(Shown::Done(state)) = self.shown(run, sent).await
            && self.tells(run, sent).await
        {
            let detail = "its task was broken off; the list of snapshots shows that it was done";
            return StepReport::because(StepOutcome::Done, detail).seen(state);
        }
        let hint = self.repair_of(run, sent).await.unwrap_or_else(|| look_hint(&sent.named.server.id));
        let detail = "its task was broken off: its log has no end";
        StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::TaskFailed, detail) }
    }

    /// The commands that repair what a failed call has left, if it has left anything.
    async fn repair_of(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>) -> Option<String> {
        let Sent { named, look, call, .. } = sent;
        let client = self.client_of(run.clients(), named.cluster).await.ok()?;
        let status = client.guest_status(&look.node, named.kind, named.vmid).await.ok()?;
        let tool = if named.kind == GuestKind::Qemu { "qm" } else { "pct" };
        if status.lock.as_deref() == Some("rollback") {
            let (vmid, name) = (named.vmid, call.name());
            return Some(format!(
                "its disks may be old and new mixed: do not start it; run `{tool} unlock {vmid}` on {}, then roll back to \
                 {name} again",
                look.node
            ));
        }
        let snapshots = client.snapshots(&look.node, named.kind, named.vmid).await.ok()?;
        let left = snapshots.get(call.name()).filter(|snapshot| !snapshot.is_whole())?;
        let repair = Repair {
            kind: named.kind,
            vmid: named.vmid,
            name: left.name.clone(),
            state: left.state.as_str().to_owned(),
            locked: status.lock.as_deref().is_some_and(|lock| lock.starts_with("snapshot")),
        };
        Some(format!(
            "it left {} in the state `{}`: run {} on {}",
            repair.name,
            repair.state,
            repair.commands(),
            look.node
        ))
    }
}

/// What was not seen.
fn not_seen(sent: &Sent<'_>) -> String {
    match sent.call {
        SnapshotCall::Create { name, .. } => format!("the list of its snapshots does not have {name}"),
        SnapshotCall::Delete { name } => format!("the list of its snapshots still has {name}"),
        SnapshotCall::Rollback { name, .. } => format!("it is not seen to be back at {name}"),
    }
}
