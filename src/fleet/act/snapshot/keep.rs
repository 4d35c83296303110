//! `--keep`: once the new snapshot is seen, the oldest of its series are deleted, one after the other, until as many are left as
//! asked for. The list is read again before each.

use std::collections::HashSet;
use std::time::Duration;

use super::carry::Turns;
use super::{SnapshotRun, SnapshotWish};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::guest::Named;
use crate::fleet::act::{StepOutcome, StepReport};
use crate::model::check::CheckId;
use crate::model::snapshot::{SnapshotCall, Snapshots, keep};
use crate::state::StateError;
use crate::transport::Error;

/// How long what works on the guest is waited for at least: another run of ecobox may delete at the same time.
const LOCK_WAIT: Duration = Duration::from_secs(60);

impl Fleet<'_> {
    /// Deletes what is too much of the series of the snapshot that a step has taken; gives what came of each, by name. What
    /// cannot be deleted keeps nothing else from it, unless the guest is locked.
    pub(super) async fn keep_as_many(
        &self,
        run: &SnapshotRun<'_>,
        number: usize,
        turns: &Turns,
        confirmed: &Confirmed,
    ) -> Result<Vec<(String, StepReport)>, StateError> {
        let SnapshotWish::Create { name, rotation, keep: Some(most), .. } = &run.plan.wish else {
            return Ok(Vec::new());
        };
        let step = &run.plan.steps[number];
        let Some(named) = Named::of(&run.servers[step.server]) else { return Ok(Vec::new()) };
        let mut ends: Vec<(String, StepReport)> = Vec::new();
        let mut tried: HashSet<String> = HashSet::new();
        loop {
            let _alone = turns.wait_to_delete(run, step).await;
            let snapshots = match self.snapshots_now(run, named).await {
                Ok(snapshots) => snapshots,
                Err(error) => {
                    tracing::warn!(server = named.server.id.as_str(), %error, "what is too old was not deleted");
                    ends.push(("-".to_owned(), self.failed_step(&named.server.id, &error)));
                    return Ok(ends);
                }
            };
            // Nothing goes unless the new one is there.
            if !snapshots.has_whole(name.as_str()) {
                return Ok(ends);
            }
            let surplus = keep::surplus(&snapshots, rotation, *most);
            let next = surplus.into_iter().find(|snapshot| !tried.contains(&snapshot.name));
            let Some(next) = next.map(|snapshot| snapshot.name.clone()) else { return Ok(ends) };
            tried.insert(next.clone());
            let call = SnapshotCall::Delete { name: next.clone() };
            let wait = run.options.lock_wait.unwrap_or_default().max(LOCK_WAIT);
            let end = self.change_snapshot_of(run, number, &call, Some(wait), confirmed).await?;
            let locked = |id: CheckId| matches!(id, CheckId::GuestLocked | CheckId::SnapshotBroken);
            let is_locked = end.findings.iter().any(|finding| locked(finding.id));
            let is_known = !matches!(end.how, StepOutcome::Unconfirmed);
            ends.push((next, end));
            // What is not known to have ended may still work on the guest.
            if is_locked || !is_known {
                return Ok(ends);
            }
        }
    }

    async fn snapshots_now(&self, run: &SnapshotRun<'_>, named: Named<'_>) -> Result<Snapshots, Error> {
        let found = match self.find_guest(run.clients(), named).await {
            Ok(found) => found,
            Err(missing) => {
                let what = self.missing(named.server, missing).detail.unwrap_or_default();
                return Err(Error::Protocol { peer: named.server.id.to_string(), detail: what });
            }
        };
        found.client.snapshots(&found.node, named.kind, named.vmid).await
    }
}
