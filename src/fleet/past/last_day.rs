//! The last day of each server for a page: what the state file kept, and before that what Proxmox VE kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::SignedDuration;

use crate::fleet::Fleet;
use crate::fleet::past::series::{Peaks, Rrd};
use crate::model::id::ClusterId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Failed, Server};
use crate::model::past::series::{Metric, Series, Window};
use crate::state::StateError;
use crate::transport::pve::Client;

/// Of so many servers Proxmox VE is asked at most, by one request each: a page is made often.
const MOST_ASKED: usize = 100;

/// So long a page waits for the answers at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// `watch --html` asks again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// How much of the day may be missing before anybody is asked.
const MISSING: SignedDuration = SignedDuration::from_hours(1);

/// What Proxmox VE kept of servers, for a run that makes more than one page.
#[derive(Debug, Default)]
pub(crate) struct DayOne {
    asked: Option<Instant>,
    kept: HashMap<ServerKey, Rrd>,
}

impl Fleet<'_> {
    /// The series of a page. Where ecobox has not looked for a day yet, Proxmox VE is asked for what was before: through
    /// `clients`, the connections that an observation left, or else through new ones.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn day(
        &self,
        servers: &[Server],
        metrics: &[Metric],
        window: Window,
        before: &mut DayOne,
        clients: &HashMap<ClusterId, Client>,
    ) -> Result<Vec<Vec<Series>>, StateError> {
        let mut past = self.kept_past(servers, metrics, window).await?;
        let short: Vec<usize> = (0..servers.len()).filter(|i| is_short(&servers[*i], &past[*i], window)).collect();
        if short.is_empty() {
            return Ok(past);
        }
        if before.asked.is_none_or(|asked| asked.elapsed() > AGAIN_AFTER) {
            let asked: Vec<&Server> = short.iter().take(MOST_ASKED).map(|i| &servers[*i]).collect();
            let answers = self.before(&asked, window, clients);
            if let Ok((rrds, failures)) = tokio::time::timeout(self.limits.left(PATIENCE), answers).await {
                for failed in failures {
                    tracing::debug!(server = failed.server.as_str(), why = failed.message, "no charts of before");
                }
                before.kept.extend(rrds);
            } else {
                tracing::debug!("no charts of before: no answer within {PATIENCE:?}");
            }
            before.asked = Some(Instant::now());
        }
        for i in short {
            if let Some(rrd) = before.kept.get(&servers[i].key()) {
                past[i] = self.past_with(&servers[i], metrics, window, rrd)?;
            }
        }
        Ok(past)
    }
}

impl Fleet<'_> {
    /// Through the connections that stand, where there are any.
    async fn before(
        &self,
        servers: &[&Server],
        window: Window,
        clients: &HashMap<ClusterId, Client>,
    ) -> (HashMap<ServerKey, Rrd>, Vec<Failed>) {
        if clients.is_empty() {
            return self.rrds(servers, window, Peaks::Left, &|_, _| {}).await;
        }
        let asked = clients.iter().map(|(cluster, client)| async move {
            let of_cluster = servers.iter().filter(|server| server.cluster.as_ref() == Some(cluster));
            let work = of_cluster.filter_map(|server| {
                let node = server.node.clone()?;
                Some((node.clone(), (*server, node)))
            });
            let via = servers.iter().find(|server| server.cluster.as_ref() == Some(cluster)).map(|server| &server.id);
            match via {
                Some(via) => self.rrds_on(client, via, work, window, Peaks::Left, &|| {}).await,
                None => (Vec::new(), Vec::new()),
            }
        });
        let (mut rrds, mut failures) = (HashMap::new(), Vec::new());
        for (found, failed) in join_all(asked).await {
            rrds.extend(found);
            failures.extend(failed);
        }
        (rrds, failures)
    }
}

/// Whether a server that is up was on for longer than ecobox has known it.
fn is_short(server: &Server, series: &[Series], window: Window) -> bool {
    if !server.seen.state.is_up() || server.cluster.is_none() {
        return false;
    }
    let uptime =
        server.seen.usage.uptime_seconds.map_or(i64::MAX, |uptime| i64::try_from(uptime.get()).unwrap_or(i64::MAX));
    let was_on = window.until.checked_sub(SignedDuration::from_secs(uptime)).unwrap_or(window.since).max(window.since);
    let known = series.iter().filter_map(|series| series.points.iter().find(|point| point.avg.is_some()));
    let first = known.map(|point| point.at).min().unwrap_or(window.until);
    first.duration_since(was_on) > MISSING
}

#[cfg(test)]
mod tests;
