//! Carries a plan out: guests beside each other, as many on each node and each storage as asked for, and the calls of one
//! guest one after the other. Deletions take turns on each storage.

use std::collections::HashMap;
use std::rc::Rc;

use futures::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{SnapshotEnd, SnapshotRun, SnapshotStep};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{Now, StepOutcome, StepReport};
use crate::model::id::ClusterId;
use crate::model::snapshot::SnapshotCall;
use crate::state::StateError;

/// What is shared, and how many may use it at a time.
#[derive(Default)]
pub(super) struct Turns {
    places: HashMap<(Option<ClusterId>, String), Semaphore>,
    /// Storages, for deletions: they merge layers, or free blocks of a pool that others write to.
    deletions: HashMap<(Option<ClusterId>, String), Semaphore>,
}

impl Turns {
    fn of(run: &SnapshotRun<'_>) -> Turns {
        let mut turns = Turns::default();
        for step in &run.plan.steps {
            let server = &run.servers[step.server];
            let at_once = run.options.parallel.max(1);
            let nodes = server.node.iter().map(|node| format!("node {node}"));
            for place in nodes.chain(step.storages().into_iter().map(|name| format!("storage {name}"))) {
                turns.places.entry((server.cluster.clone(), place)).or_insert_with(|| Semaphore::new(at_once));
            }
            for storage in step.storages() {
                let place = (server.cluster.clone(), storage.to_owned());
                turns.deletions.entry(place).or_insert_with(|| Semaphore::new(1));
            }
        }
        turns
    }

    /// Waits for the turn on the guest's node and storages, always in the same order, so that nobody waits for each other.
    async fn wait(&self, run: &SnapshotRun<'_>, step: &SnapshotStep) -> Vec<SemaphorePermit<'_>> {
        let server = &run.servers[step.server];
        let storages = step.storages().into_iter().map(|name| format!("storage {name}"));
        let places = storages.chain(server.node.iter().map(|node| format!("node {node}")));
        let mut permits = Vec::new();
        for place in places {
            if let Some(turns) = self.places.get(&(server.cluster.clone(), place)) {
                permits.extend(turns.acquire().await.ok());
            }
        }
        permits
    }

    /// Waits until nothing else is deleted on the guest's storages.
    pub(super) async fn wait_to_delete(&self, run: &SnapshotRun<'_>, step: &SnapshotStep) -> Vec<SemaphorePermit<'_>> {
        let server = &run.servers[step.server];
        let mut permits = Vec::new();
        for storage in step.storages() {
            if let Some(turns) = self.deletions.get(&(server.cluster.clone(), storage.to_owned())) {
                permits.extend(turns.acquire().await.ok());
            }
        }
        permits
    }
}

impl Fleet<'_> {
    /// Carries a plan out; gives what came of each step, in the plan's order. `None`: it was not begun.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn carry_out_snapshots(
        &self,
        run: &SnapshotRun<'_>,
        confirmed: &Confirmed,
    ) -> Result<Vec<Option<SnapshotEnd>>, StateError> {
        let turns = Rc::new(Turns::of(run));
        let mut by_guest: Vec<(usize, Vec<usize>)> = Vec::new();
        for (number, step) in run.plan.steps.iter().enumerate().filter(|(_, step)| step.acts()) {
            match by_guest.iter_mut().find(|(server, _)| *server == step.server) {
                Some((_, numbers)) => numbers.push(number),
                None => by_guest.push((step.server, vec![number])),
            }
        }
        let work = by_guest.into_iter().map(|(_, numbers)| {
            let turns = Rc::clone(&turns);
            async move {
                let mut ends = Vec::new();
                for number in numbers {
                    ends.push((number, Box::pin(self.take_snapshot_step(run, number, &turns, confirmed)).await?));
                }
                Ok::<_, StateError>(ends)
            }
        });
        let mut ended: Vec<Option<SnapshotEnd>> = vec![None; run.plan.steps.len()];
        for ends in join_all(work).await {
            for (number, end) in ends? {
                ended[number] = Some(end);
            }
        }
        Ok(ended)
    }

    async fn take_snapshot_step(
        &self,
        run: &SnapshotRun<'_>,
        number: usize,
        turns: &Turns,
        confirmed: &Confirmed,
    ) -> Result<SnapshotEnd, StateError> {
        let step = &run.plan.steps[number];
        let Some(call) = &step.call else {
            return Ok(SnapshotEnd { report: StepReport::new(StepOutcome::Already), kept: Vec::new() });
        };
        let report = {
            let _turn = turns.wait(run, step).await;
            let _alone = match call {
                SnapshotCall::Delete { .. } => turns.wait_to_delete(run, step).await,
                _ => Vec::new(),
            };
            self.change_snapshot_of(run, number, call, run.options.lock_wait, confirmed).await?
        };
        let kept = if report.how == StepOutcome::Done {
            self.keep_as_many(run, number, turns, confirmed).await?
        } else {
            Vec::new()
        };
        if report.how != StepOutcome::Unconfirmed {
            run.sent_log.clear(number);
        }
        (run.tell)(number, Now::Over);
        Ok(SnapshotEnd { report, kept })
    }
}
