//! One call: wait for what works on the guest, look again, make sure that it is the same guest, and send it once.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::follow::Sent;
use super::look::GuestLook;
use super::{Seen, SnapshotRun, usual_patience, wanted};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::guest::{LOOK_UP, Named};
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{ApiClients, StepOutcome, StepReport, holds};
use crate::model::id::NodeName;
use crate::model::inventory::FailureKind;
use crate::model::power::allow;
use crate::model::snapshot::SnapshotCall;
use crate::model::snapshot::judge::{GuestFacts, judge};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::{Posted, is_not_here};

impl Fleet<'_> {
    /// Makes a call to the guest of a step, which `--keep` does as well; `lock_wait`: how long what works on it is waited for.
    pub(super) async fn change_snapshot_of(
        &self,
        run: &SnapshotRun<'_>,
        number: usize,
        call: &SnapshotCall,
        lock_wait: Option<Duration>,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let begun = Instant::now();
        let ended = self.change_once_free(run, number, call, lock_wait, confirmed).await?;
        Ok(StepReport { took: begun.elapsed(), ..ended })
    }

    async fn change_once_free(
        &self,
        run: &SnapshotRun<'_>,
        number: usize,
        call: &SnapshotCall,
        lock_wait: Option<Duration>,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let step = &run.plan.steps[number];
        let server = &run.servers[step.server];
        let (Some(named), Some(seen)) = (Named::of(server), &step.seen) else {
            return Ok(StepReport::because(StepOutcome::Failed(FailureKind::Failed), "it is not a guest"));
        };
        run.say(number, &format!("looking at {}", server.called()), None);
        let look = match self.look_once_free(run, number, named, lock_wait).await {
            Ok(look) => look,
            Err(ended) => return Ok(*ended),
        };
        if let SnapshotCall::Delete { name } = call
            && look.snapshots.get(name).is_none()
        {
            return Ok(StepReport::because(StepOutcome::Already, "it is not there any more"));
        }
        if let Some(refused) = self.judge_again(run, named, call, seen, &look).await? {
            return Ok(refused);
        }
        self.keep_identity(named, &look.config)?;
        let patience = run.options.timeout.unwrap_or_else(|| usual_patience(call));
        let begun = self.begin_on(server, &call.action(), &run.options.by, patience + LOOK_UP, false)?;
        let sent = Sent { named, look: &look, call, number, patience, with_memory: seen.with_memory };
        let ended = self.send_snapshot(run, &sent, confirmed).await;
        begun.end(&ended, self.now()).inspect_err(|_| {
            let (what, how) = (call.action(), ended.how.as_str());
            run.sent_log.note(number, format!("{what} of {} was sent: {how}", server.id));
        })?;
        Ok(ended)
    }

    /// The guest, where it is now, once nothing works on it any more, or the time for that is over.
    async fn look_once_free(
        &self,
        run: &SnapshotRun<'_>,
        number: usize,
        named: Named<'_>,
        lock_wait: Option<Duration>,
    ) -> Result<GuestLook, Box<StepReport>> {
        let mut attempts = Attempts::during(lock_wait.unwrap_or_default());
        let (mut moved, mut left) = (false, false);
        loop {
            let found = match self.find_guest(run.clients(), named).await {
                Ok(found) => found,
                Err(missing) => return Err(Box::new(self.missing(named.server, missing))),
            };
            // What was seen for the plan is not what counts now.
            let seen = self.look_at_guest_on(&found.node, named, run.clients()).await;
            if let Err(error) = &seen
                && is_not_here(error)
                && !moved
            {
                // It has moved since it was found.
                moved = true;
                continue;
            }
            let seen = seen.map_err(|error| Box::new(self.failed_step(&named.server.id, &error)))?;
            let works = match &seen.status.lock {
                Some(lock) if lock_wait.is_some() => {
                    // Once a task may be about to begin or to end. Twice: the lock was left behind.
                    let is_left = self.is_left_behind(named, &seen, lock, run.clients()).await;
                    if is_left && left {
                        return Ok(seen);
                    }
                    left = is_left;
                    Some(format!("its lock ({lock})"))
                }
                Some(_) => return Ok(seen),
                None if lock_wait.is_some() => {
                    let tasks = self.tasks_now(named, &seen.node, run.clients()).await;
                    (!tasks.is_empty()).then(|| tasks.join(", "))
                }
                None => None,
            };
            let Some(works) = works.filter(|_| lock_wait.is_some()) else { return Ok(seen) };
            run.say(number, &format!("waiting for {works} of {}", named.server.called()), lock_wait);
            if !attempts.next().await {
                return Ok(seen);
            }
        }
    }

    /// Whether nothing works under a guest's lock, as far as the token may see that.
    async fn is_left_behind(&self, named: Named<'_>, seen: &GuestLook, lock: &str, clients: &ApiClients) -> bool {
        let tasks = self.all_tasks(clients, named.cluster, &seen.node).await;
        let vmid = named.vmid.to_string();
        tasks.is_some_and(|tasks| !tasks.iter().any(|task| holds(task, &vmid, lock)))
    }

    /// What was judged for the plan, by what is there now.
    async fn judge_again(
        &self,
        run: &SnapshotRun<'_>,
        named: Named<'_>,
        call: &SnapshotCall,
        seen: &Seen,
        look: &GuestLook,
    ) -> Result<Option<StepReport>, StateError> {
        let facts = GuestFacts {
            kind: named.kind,
            vmid: named.vmid,
            running: look.runs(),
            template: look.status.template,
            lock: look.status.lock.as_deref(),
            ha: None,
            // A task that holds the guest's lock file is waited for by Proxmox VE itself.
            tasks: &[],
            disks: &seen.disks,
            storages: &seen.storages,
            supported: seen.supported,
            memory_bytes: look.memory_bytes(),
            state_storage: look.settings.get("vmstatestorage").map(String::as_str),
            freeze: seen.freeze,
            snapshots: &look.snapshots,
            replicated_to: &seen.replicated_to,
        };
        let mut findings: Vec<_> = self.compare_identity(named, &look.config)?.into_iter().collect();
        findings.extend(judge(&named.server.id, &facts, &wanted(&run.plan.wish, call)).findings);
        if allow(&mut findings, &run.options.allowed) {
            return Ok(None);
        }
        self.explain_lock(&mut findings, named, &look.node, facts.lock, run.clients()).await;
        super::prepare::explain_broken_off(&mut findings, named, look);
        let fix = findings.iter().find(|finding| !finding.allowed).and_then(|finding| finding.fix.clone());
        Ok(Some(StepReport { hint: fix, ..StepReport::refused(findings) }))
    }

    /// Sends the call, once, and follows what comes of it.
    async fn send_snapshot(&self, run: &SnapshotRun<'_>, sent: &Sent<'_>, _: &Confirmed) -> StepReport {
        let Sent { named, look, call, number, patience, .. } = sent;
        let (id, what) = (&named.server.id, call.action());
        run.say(*number, &format!("{what} of {} was sent", named.server.called()), Some(*patience));
        run.sent_log.note(*number, format!("{what} of {id} was sent, the answer is not there yet"));
        let client = match self.client_of(run.clients(), named.cluster).await {
            Ok(client) => client,
            Err(error) => return self.failed_step(id, &error),
        };
        let sent_at = self.now();
        let mut attempts = Attempts::during(*patience);
        let posting = client.change_snapshot(&look.node, named.kind, named.vmid, call);
        // Past its deadline an answer is lost, too.
        let posted = timeout(*patience, posting).await.unwrap_or_else(|_| {
            let peer = look.node.as_str().to_owned();
            Posted::Lost(Error::Timeout { peer, doing: "waiting for the answer", after: *patience })
        });
        let upid = match posted {
            Posted::Task(upid) => Some(upid),
            Posted::Done => None,
            Posted::Refused(error) => {
                self.doubt_permissions(named.cluster, &error);
                return self.refusal(named.server, &error);
            }
            Posted::Lost(error) => {
                run.sent_log.note(*number, format!("{what} of {id} was sent, its answer was lost: {error}"));
                let looking = format!("the answer about {} was lost, looking for its task", named.server.called());
                run.say(*number, &looking, Some(*patience));
                let since = client.by_its_clock(sent_at);
                let types = [call.task_type(named.kind)];
                let found = self.find_lost_task(run.clients(), *named, &look.node, &types, since, *patience).await;
                match found {
                    Some(upid) => Some(upid),
                    None => return self.by_list(run, sent, &mut attempts, &error).await,
                }
            }
        };
        if let Some(upid) = &upid {
            run.sent_log.note(*number, format!("{what} of {id} goes on there as {upid}"));
        }
        if !run.options.wait && !run.is_followed(*number) {
            return StepReport { upid, ..StepReport::new(StepOutcome::Sent) };
        }
        let ended = self.follow_snapshot(run, sent, upid.as_ref(), &mut attempts).await;
        StepReport { upid, ..ended }
    }

    /// Like `look_at_guest`, on this node and at this moment.
    async fn look_at_guest_on(
        &self,
        node: &NodeName,
        named: Named<'_>,
        clients: &ApiClients,
    ) -> Result<GuestLook, Error> {
        let client = self.client_of(clients, named.cluster).await?;
        self.look_freshly(&client, node, named).await
    }
}
