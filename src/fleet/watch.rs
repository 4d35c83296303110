//! Looks at the fleet again and again: each part of it at its own pace, so that one that hangs delays no other.
//!
//! All loops are one future: dropped, everything ends, and nothing of it is left behind.

mod beat;

use std::path::Path;
use std::time::Duration;

use futures::future::{LocalBoxFuture, join, try_join_all};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use self::beat::{Beat, Ended};
use crate::config::{Access, ServerConfig, Settings};
use crate::fleet::Fleet;
use crate::fleet::observe::measure::{LoadOptions, measured_by};
use crate::fleet::observe::scope::QueryScope;
use crate::fleet::observe::watts::{draw, energy_look};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::id::{ClusterId, Secret};
use crate::model::inventory::{Failed, FailureKind};
use crate::model::power::PowerState;
use crate::model::watch::{Heard, Load, Look, Part};
use crate::state::{StateError, is_fresh};
use crate::transport::ssh::Ask;

/// Between two readings of a host's counters, where no look before left one.
const MEASURED_OVER: Duration = Duration::from_secs(1);

/// Over how long the first looks are spread.
const SPREAD: Duration = Duration::from_millis(200);

/// Like `SPREAD`, for scripts and discoveries: they wait until the first looks are through.
const SPREAD_LATER: Duration = Duration::from_secs(2);

/// Questions cannot be answered here.
pub(crate) struct Unattended;

impl Ask for Unattended {
    fn accept_host_key<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn passphrase<'a>(&'a self, _: &'a Path) -> LocalBoxFuture<'a, Option<Secret>> {
        Box::pin(std::future::ready(None))
    }
}

/// How often what is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// States, guests and services.
    pub(crate) update: Duration,
    /// Scripts on hosts.
    pub(crate) load: Duration,
    /// Addresses of guests, and which servers are one cluster.
    pub(crate) discovery: Duration,
}

impl Pace {
    /// As configured; `update` instead of its interval where somebody said so.
    pub(crate) fn of(settings: &Settings, update: Option<Duration>) -> Pace {
        Pace {
            update: update.unwrap_or(settings.update_interval),
            load: settings.system_check_interval,
            discovery: settings.vm_discovery_interval,
        }
    }
}

/// What all loops share.
struct Watch<'w> {
    pace: Pace,
    /// Ends the wait for the next look.
    again: &'w Notify,
    heard: &'w Sender<Heard>,
}

impl Watch<'_> {
    /// Waits for the next look, or until somebody wants one now.
    async fn next(&self, beat: &Beat) {
        tokio::select! {
            () = tokio::time::sleep_until(beat.next()) => {}
            () = self.again.notified() => {}
        }
    }

    /// The receiver may be gone: then all of this is dropped with it.
    async fn say(&self, heard: Heard) {
        let _ = self.heard.send(heard).await;
    }
}

type Loop<'l> = LocalBoxFuture<'l, Result<(), StateError>>;

impl<'a> Fleet<'a> {
    /// Looks at all that `scope` means until it is dropped, and says what it sees. `again` has everybody looked at now.
    ///
    /// # Errors
    /// Only the state file's.
    pub(crate) async fn watch(
        &self,
        scope: &QueryScope,
        pace: Pace,
        again: &Notify,
        heard: &Sender<Heard>,
    ) -> Result<(), StateError> {
        let watch = Watch { pace, again, heard };
        self.detect_cluster_members().await?;
        loop {
            let parts = self.parts(scope);
            watch.say(Heard::Parts(parts.clone())).await;
            tokio::select! {
                ended = self.watch_parts(&parts, scope, &watch) => ended?,
                changed = self.until_other_parts(scope, &parts, &watch) => changed?,
            }
        }
    }

    /// The parts that `scope` means.
    fn parts(&self, scope: &QueryScope) -> Vec<Part> {
        let (groups, plain) = self.to_ask(scope);
        let clusters = groups.into_iter().map(|group| Part::Cluster(group.cluster));
        clusters.chain(plain.into_iter().map(|server| Part::Server(server.id.clone()))).collect()
    }

    /// The configured hosts and plain servers of a part.
    fn hosts_of(&self, part: &Part) -> Vec<&'a ServerConfig> {
        match part {
            Part::Cluster(cluster) => {
                let group = self.groups().into_iter().find(|group| group.cluster == *cluster);
                group.map(|group| group.members).unwrap_or_default()
            }
            Part::Server(id) => self.hosts().filter(|server| server.id == *id).collect(),
        }
    }

    /// One loop for the states of each part, one for each host's load, one for each cluster's addresses.
    async fn watch_parts(&self, parts: &[Part], scope: &QueryScope, watch: &Watch<'_>) -> Result<(), StateError> {
        let begun = Instant::now();
        let mut loops: Vec<Loop<'_>> = Vec::new();
        let hosts: Vec<_> = parts.iter().flat_map(|part| self.hosts_of(part)).collect();
        for (i, part) in parts.iter().enumerate() {
            let beat = Beat::new(begun, watch.pace.update).late(SPREAD, i, parts.len());
            loops.push(Box::pin(self.watch_states(part, scope, beat, watch)));
        }
        for (i, server) in hosts.iter().enumerate().filter(|(_, server)| server.access != Access::Api) {
            let beat = Beat::new(begun + SPREAD, watch.pace.load).late(SPREAD_LATER, i, hosts.len());
            loops.push(Box::pin(self.watch_load(server, beat, watch)));
        }
        for (i, part) in parts.iter().enumerate() {
            if let Part::Cluster(cluster) = part {
                let beat = Beat::new(begun + SPREAD, watch.pace.discovery).late(SPREAD_LATER, i, parts.len());
                loops.push(Box::pin(self.watch_guests(cluster, beat, watch)));
            }
        }
        if self.config.settings.history.remote_write.is_some() {
            let beat = Beat::new(begun + watch.pace.update, watch.pace.update.max(SPREAD_LATER));
            loops.push(Box::pin(self.watch_outbox(beat, watch)));
        }
        try_join_all(loops).await?;
        // There is nothing to watch until the parts change.
        std::future::pending().await
    }

    async fn watch_states(
        &self,
        part: &Part,
        scope: &QueryScope,
        mut beat: Beat,
        watch: &Watch<'_>,
    ) -> Result<(), StateError> {
        let clusters = match part {
            Part::Cluster(cluster) => [cluster.clone()].into(),
            Part::Server(_) => [].into(),
        };
        let meant = self.hosts_of(part).into_iter().filter(|server| scope.asks(&server.id));
        let hosts = meant.map(|server| server.id.clone()).collect();
        let scope = QueryScope::Only { hosts, around: [].into(), clusters, unasked: Vec::new() };
        let request = ObserveRequest { scope, load: None, templates: false, clusters: true };
        loop {
            watch.next(&beat).await;
            let Observed { inventory, clients, at, .. } = self.observe_with_known_clusters(&request).await?;
            // If one member refuses and another one answers, there is no need to wait.
            let refused = clients.is_empty() && inventory.failures.iter().any(is_refusal);
            let failed = !inventory.failures.is_empty();
            beat.ended(Instant::now(), if refused { Ended::Refused } else { how(!failed) });
            for client in clients.into_values() {
                self.keep_client(client);
            }
            let (servers, failures) = (inventory.servers, inventory.failures);
            watch.say(Heard::Look(Look { part: part.clone(), servers, failures, at })).await;
            let left = beat.next().saturating_duration_since(Instant::now());
            let left = jiff::SignedDuration::try_from(left).unwrap_or_default();
            watch.say(Heard::Next(part.clone(), self.now().saturating_add(left).unwrap_or(at))).await;
            self.pass_notices(watch).await;
        }
    }

    async fn watch_load(&self, server: &ServerConfig, mut beat: Beat, watch: &Watch<'_>) -> Result<(), StateError> {
        let scope = QueryScope::Only {
            hosts: [server.id.clone()].into(),
            around: [].into(),
            clusters: [].into(),
            unasked: Vec::new(),
        };
        let load = Some(LoadOptions { interval: MEASURED_OVER, all_disks: false });
        let request = ObserveRequest { scope, load, ..ObserveRequest::default() };
        loop {
            tokio::time::sleep_until(beat.next()).await;
            let measuring = self.measuring(&request)?;
            let (measured, meter) = join(self.measure(server, &measuring), self.meter(server)).await;
            let Some(measured) = measured else { return Ok(()) };
            let at = self.now();
            let usual = if self.was_put_to_sleep(server) { PowerState::Asleep } else { PowerState::Unknown };
            let state = if measured.is_ok() { PowerState::Online } else { usual };
            let load = measured.as_ref().ok().map(|measured| &measured.load);
            let cpu = load.and_then(|load| load.usage.cpu_percent);
            let drawn = draw(server, state, meter, load, cpu).ok().map(|drawn| energy_look(at, state, &drawn));
            let usage: Result<_, Failed> = match measured {
                Ok(measured) => {
                    self.record_load(server, Some(&measured), drawn.as_ref(), at)?;
                    Ok(measured.load.usage)
                }
                Err(error) => {
                    if drawn.is_some() {
                        self.record_load(server, None, drawn.as_ref(), at)?;
                    }
                    Err(self.failed(&server.id, &error))
                }
            };
            let refused = usage.as_ref().is_err_and(is_refusal);
            beat.ended(Instant::now(), if refused { Ended::Refused } else { how(usage.is_ok()) });
            watch.say(Heard::Load(Load { server: server.id.clone(), source: measured_by(server), usage, at })).await;
        }
    }

    /// What `discover` does, without its report. One that another run did lately counts.
    async fn watch_guests(&self, cluster: &ClusterId, mut beat: Beat, watch: &Watch<'_>) -> Result<(), StateError> {
        // Half of it: the own one of the last time is as old as the interval, more or less.
        let lately = jiff::SignedDuration::try_from(watch.pace.discovery / 2).unwrap_or_default();
        loop {
            tokio::time::sleep_until(beat.next()).await;
            let known = self.state.discovered_at(cluster)?;
            let done = known.is_some_and(|at| is_fresh(at, self.now(), lately)) || self.rediscover(cluster).await?;
            beat.ended(Instant::now(), if done { Ended::Well } else { Ended::Refused });
            self.pass_notices(watch).await;
        }
    }

    /// Sends to Prometheus what waits for it.
    async fn watch_outbox(&self, mut beat: Beat, watch: &Watch<'_>) -> Result<(), StateError> {
        loop {
            tokio::time::sleep_until(beat.next()).await;
            self.send_history().await;
            beat.ended(Instant::now(), Ended::Well);
            self.pass_notices(watch).await;
        }
    }

    /// Ends when servers turn out to be nodes of one cluster that stood each for itself.
    async fn until_other_parts(&self, scope: &QueryScope, parts: &[Part], watch: &Watch<'_>) -> Result<(), StateError> {
        let mut beat = Beat::new(Instant::now() + watch.pace.discovery, watch.pace.discovery);
        loop {
            tokio::time::sleep_until(beat.next()).await;
            self.detect_cluster_members().await?;
            beat.ended(Instant::now(), Ended::Well);
            if self.parts(scope) != parts {
                return Ok(());
            }
        }
    }

    async fn pass_notices(&self, watch: &Watch<'_>) {
        for notice in self.notices.take() {
            watch.say(Heard::Notice(notice)).await;
        }
    }
}

fn how(well: bool) -> Ended {
    if well { Ended::Well } else { Ended::Failed }
}

fn is_refusal(failed: &Failed) -> bool {
    matches!(failed.kind, FailureKind::Denied | FailureKind::Identity)
}
