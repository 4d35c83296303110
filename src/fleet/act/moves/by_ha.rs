//! A guest that HA moves: the request is queued, and taken or dropped without a word.

use std::time::{Duration, Instant};

use super::follow::{Following, is_as_before};
use crate::fleet::Fleet;
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{PlanRun, StepOutcome, StepReport, look_hint};
use crate::model::id::{GuestKind, NodeName};
use crate::model::migrate::MigrateCall;
use crate::model::migrate::ha::{HaProgress, progress};
use crate::transport::Error;
use crate::transport::pve::is_passing;

/// HA acts in rounds of ten seconds: what has shown nothing after this long was dropped.
const SIGN: Duration = Duration::from_secs(30);

impl Fleet<'_> {
    /// Follows what HA does with the request.
    pub(super) async fn follow_ha(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        attempts: &mut Attempts,
    ) -> StepReport {
        let Following { named, call, number, patience, from, .. } = following;
        let sid = format!("{}:{}", if named.kind == GuestKind::Qemu { "vm" } else { "ct" }, named.vmid);
        let what = format!("HA was asked to move {} to {}", named.server.called(), call.target);
        run.say(*number, &what, Some(*patience));
        let begun = Instant::now();
        let since = self.now();
        let (mut took, mut master) = (false, None);
        loop {
            match self.look_at_ha(run, following, &sid, took).await {
                Ok((seen, by)) => {
                    master = by.or(master);
                    match seen {
                        HaProgress::There => {
                            if let Some(ended) = self.seen_by_ha(run, following).await {
                                return ended;
                            }
                        }
                        HaProgress::Works if !took => {
                            took = true;
                            let what = format!("HA moves {} to {}", named.server.called(), call.target);
                            run.say(*number, &what, Some(*patience));
                        }
                        HaProgress::GaveUp => return self.ha_gave_up(run, following, since).await,
                        HaProgress::Works | HaProgress::Waits => {}
                    }
                }
                Err(error) if is_passing(&error) => run.clients.lose(named.cluster, &error),
                Err(error) => tracing::debug!(%error, "HA's state could not be read"),
            }
            if !took && begun.elapsed() > SIGN.min(*patience) {
                return dropped(following, master.as_ref());
            }
            if !attempts.next().await {
                break;
            }
        }
        if !took {
            return dropped(following, master.as_ref());
        }
        let hint = Some(look_hint(&named.server.id));
        let detail = format!("HA moves it, and it is not seen on {} at the deadline (from {from})", call.target);
        StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, detail) }
    }

    /// What HA's status shows, and who its master is. Where the token may not read it the guest's place decides.
    async fn look_at_ha(
        &self,
        run: &PlanRun<'_>,
        following: &Following<'_>,
        sid: &str,
        took: bool,
    ) -> Result<(HaProgress, Option<NodeName>), Error> {
        let client = self.client_of(run.clients, following.named.cluster).await?;
        match client.ha_status().await {
            Ok(status) => {
                let seen = progress(status.service(sid), &following.from, &following.call.target, took);
                Ok((seen, status.master))
            }
            Err(Error::Denied { .. }) => match self.place_of_guest(run, following).await? {
                Some((node, _)) if node == following.call.target => Ok((HaProgress::There, None)),
                _ => Ok((HaProgress::Waits, None)),
            },
            Err(error) => Err(error),
        }
    }

    /// The end, if the guest itself shows it.
    async fn seen_by_ha(&self, run: &PlanRun<'_>, following: &Following<'_>) -> Option<StepReport> {
        let (node, status) = self.place_of_guest(run, following).await.ok()??;
        let there = node == following.call.target && is_as_before(following.before, status.state);
        there.then(|| {
            let way = format!("{} to {node}, by HA", following.from);
            StepReport::because(StepOutcome::Done, way).seen(status.state)
        })
    }

    /// HA has tried, and the guest is where it was: HA's own task says why.
    async fn ha_gave_up(&self, run: &PlanRun<'_>, following: &Following<'_>, since: jiff::Timestamp) -> StepReport {
        let Following { named, call, from, .. } = following;
        let types = MigrateCall::task_types(named.kind);
        if let Ok(client) = self.client_of(run.clients, named.cluster).await
            && let Ok(Some(upid)) =
                client.find_task_of_anybody(from, named.vmid, types, client.by_its_clock(since)).await
        {
            let ended = self.move_failed(run, following, &upid, "HA's migration failed").await;
            return StepReport { upid: Some(upid), ..ended };
        }
        let detail = format!("HA has tried to move it to {}, and it is still on {from}", call.target);
        StepReport::because(StepOutcome::TaskFailed, detail)
    }
}

/// Nothing shows that HA took the request.
fn dropped(following: &Following<'_>, master: Option<&NodeName>) -> StepReport {
    let detail = "HA has taken the request, and nothing shows that it acts on it: it may have dropped it";
    let hint = match master {
        Some(master) => format!("the journal of HA's master says why: `journalctl -u pve-ha-crm` on {master}"),
        None => look_hint(&following.named.server.id),
    };
    StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::Unconfirmed, detail) }.seen(following.before)
}
