//! Numbers of the past: from the state file, from Proxmox VE's own database where that reaches further back, or from
//! the Prometheus server that the configuration names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::fleet::reach::api::{Group, Listed};
use crate::fleet::reach::bounded::per_node;
use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::load::usage::{Sample, Source};
use crate::model::past::series::{Measurement, Metric, Series, Window, values};
use crate::state::{Hour, StateError};
use crate::transport::Error;
use crate::transport::pve::{Client, Consolidation, RrdAnswer, RrdStep, Timeframe, merge};

/// Of how many servers the samples are in memory at a time: each may have thousands.
const AT_ONCE: usize = 50;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The past of some servers: for each, in their order, the series that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) series: Vec<Vec<Series>>,
    pub(crate) failures: Vec<Failed>,
}

/// What the state file kept of one server.
#[derive(Debug, Default)]
struct Kept {
    samples: Vec<(Timestamp, Sample)>,
    hours: Vec<Hour>,
}

impl Fleet<'_> {
    /// The series of these servers over a window. `progress` is told how many answers have come, of how many.
    ///
    /// # Errors
    /// Only the state file's. Other failures are in the answer, and the state file's numbers are used instead.
    pub(crate) async fn past(
        &self,
        servers: &[Server],
        metrics: &[Metric],
        window: Window,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Past, StateError> {
        let mut past = Past::default();
        match self.past_of_prometheus(servers, metrics, window).await {
            Ok(Some(series)) => return Ok(Past { series, failures: Vec::new() }),
            Ok(None) => {}
            Err(failed) => past.failures.push(failed),
        }
        let keys: Vec<ServerKey> = servers.iter().map(Server::key).collect();
        let begins = self.state.first_sample_at(&keys)?;
        let reaches = |server: &Server| {
            let enough = window.since.checked_add(window.step).unwrap_or(window.since);
            begins.get(&server.key()).is_some_and(|first| *first <= enough)
        };
        let short: Vec<&Server> = servers.iter().filter(|server| !reaches(server)).collect();
        let (mut rrds, failures) = self.rrds(&short, window, Peaks::Asked, progress).await;
        past.failures.extend(failures);
        for keys in keys.chunks(AT_ONCE) {
            let mut kept = self.kept(keys, window)?;
            past.series.extend(keys.iter().map(|key| -> Vec<Series> {
                let kept = kept.remove(key).unwrap_or_default();
                let rrd = rrds.remove(key).filter(|rrd| !rrd.is_empty());
                metrics.iter().map(|metric| series(*metric, &kept, rrd.as_ref(), window)).collect()
            }));
        }
        Ok(past)
    }

    /// Like `past`, from the state file alone: no server is asked. Series without any number are left out. A day of a large
    /// fleet takes a quarter of a second: others, such as a screen, have their turns in between.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn kept_past<'s>(
        &self,
        servers: impl IntoIterator<Item = &'s Server>,
        metrics: &[Metric],
        window: Window,
    ) -> Result<Vec<Vec<Series>>, StateError> {
        let keys: Vec<ServerKey> = servers.into_iter().map(Server::key).collect();
        let mut past = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let mut kept = self.kept(keys, window)?;
            past.extend(keys.iter().map(|key| -> Vec<Series> {
                let Some(kept) = kept.remove(key) else { return Vec::new() };
                let series = metrics.iter().map(|metric| own_series(*metric, &kept, window));
                series.filter(|series| !series.is_empty()).collect()
            }));
            tokio::task::yield_now().await;
        }
        Ok(past)
    }

    /// The series of one server, with what Proxmox VE kept of it.
    ///
    /// # Errors
    /// The state file's.
    pub(in crate::fleet) fn past_with(
        &self,
        server: &Server,
        metrics: &[Metric],
        window: Window,
        rrd: &Rrd,
    ) -> Result<Vec<Series>, StateError> {
        let key = server.key();
        let kept = self.kept(std::slice::from_ref(&key), window)?.remove(&key).unwrap_or_default();
        let rrd = Some(rrd).filter(|rrd| !rrd.is_empty());
        let all = metrics.iter().map(|metric| series(*metric, &kept, rrd, window));
        Ok(all.filter(|series| !series.is_empty()).collect())
    }

    fn kept(&self, keys: &[ServerKey], window: Window) -> Result<BTreeMap<ServerKey, Kept>, StateError> {
        let mut kept: BTreeMap<ServerKey, Kept> = BTreeMap::new();
        // A rate needs the sample before the window, too.
        let before = window.since.checked_sub(HOUR).unwrap_or(window.since);
        for (key, samples) in self.state.samples(keys, before, window.until)? {
            kept.entry(key).or_default().samples = samples;
        }
        for (key, hours) in self.state.hours(keys, window.since, window.until)? {
            kept.entry(key).or_default().hours = hours;
        }
        Ok(kept)
    }

    /// What Proxmox VE kept of these servers: guests, and hosts that are nodes. Each cluster is listed first: where its
    /// guests are now, and that the connection can be trusted.
    pub(in crate::fleet) async fn rrds(
        &self,
        servers: &[&Server],
        window: Window,
        peaks: Peaks,
        progress: &dyn Fn(usize, usize),
    ) -> (HashMap<ServerKey, Rrd>, Vec<Failed>) {
        let mut found = HashMap::new();
        let mut failed = Vec::new();
        let groups = self.groups();
        let concerned =
            groups.iter().filter(|group| servers.iter().any(|s| s.cluster.as_ref() == Some(&group.cluster)));
        let concerned: Vec<&Group<'_>> = concerned.collect();
        let total = servers.iter().filter(|server| server.cluster.is_some()).count();
        let done = std::cell::Cell::new(0);
        let one_more = || {
            done.set(done.get() + 1);
            progress(done.get(), total);
        };
        let one_more = &one_more;
        let asked = concerned.iter().map(|group| {
            let servers = group_of(servers, &group.cluster);
            self.rrds_of(servers, group, window, peaks, one_more)
        });
        for (rrds, failures) in join_all(asked).await {
            found.extend(rrds);
            failed.extend(failures);
        }
        (found, failed)
    }

    async fn rrds_of(
        &self,
        servers: Vec<&Server>,
        group: &Group<'_>,
        window: Window,
        peaks: Peaks,
        one_more: &dyn Fn(),
    ) -> (Vec<(ServerKey, Rrd)>, Vec<Failed>) {
        let answer = self.listing(group).await;
        let (mut failures, resting) = self.told_apart_from_rest(self.failures(&answer)).await;
        let Some(listed) = answer.listed else {
            for (_, word) in resting {
                self.notice(format!("{word}; from the state file"));
            }
            return (Vec::new(), failures.into_iter().map(stood_in_for).collect());
        };
        let guests = &listed.listing.guests;
        let now_on: HashMap<VmId, &NodeName> = guests.iter().map(|guest| (guest.vmid, &guest.node)).collect();
        let node_of = |server: &Server| match server.vmid {
            Some(vmid) => now_on.get(&vmid).copied().or(server.node.as_ref()).cloned(),
            None => self.node_in(&server.id, &listed),
        };
        let mut down = BTreeSet::new();
        let mut work = Vec::new();
        for server in servers {
            let Some(node) = node_of(server) else { continue };
            if listed.listing.nodes.iter().any(|row| row.name == node && row.online == Some(false)) {
                down.insert(node);
                one_more();
            } else {
                work.push((node.clone(), (server, node)));
            }
        }
        for node in down {
            match self.off_node(group, &listed, &node) {
                Ok(said) => self.notice(format!("{said}; from the state file")),
                Err(failed) => failures.push(failed),
            }
        }
        let (rrds, unread) = self.rrds_on(&listed.client, &listed.via, work.into_iter(), window, peaks, one_more).await;
        failures.extend(unread);
        (rrds, failures)
    }

    /// Like `rrds_of`, for servers whose nodes are known, through a connection that stands.
    pub(in crate::fleet) async fn rrds_on<'s>(
        &self,
        client: &Client,
        via: &ServerId,
        work: impl Iterator<Item = (NodeName, (&'s Server, NodeName))>,
        window: Window,
        peaks: Peaks,
        one_more: &dyn Fn(),
    ) -> (Vec<(ServerKey, Rrd)>, Vec<Failed>) {
        let asked = per_node(work, |(server, node)| async move {
            let rrd = self.rrd(client, server, &node, window, peaks).await;
            one_more();
            (server.key(), rrd)
        });
        let mut rrds = Vec::new();
        let mut unread: Vec<Failed> = Vec::new();
        for (key, rrd) in asked.await {
            match rrd {
                Ok(rrd) => rrds.push((key, rrd)),
                // One of many of a kind says as much as all.
                Err(error) if unread.iter().any(|known| known.kind == error.kind()) => {}
                Err(error) => unread.push(stood_in_for(self.failed(via, &error))),
            }
        }
        (rrds, unread)
    }

    /// What is to be said of a node that its cluster does not see, and that is not asked for that: that its host rests, or
    /// the failure.
    fn off_node(&self, group: &Group<'_>, listed: &Listed, node: &NodeName) -> Result<String, Failed> {
        let host = self.parents(group).remove(node);
        if let Some(word) = host.as_ref().and_then(|host| self.may_rest(host)) {
            return Ok(word);
        }
        let message = match &host {
            Some(host) => format!("{host} is offline: its cluster says so"),
            None => format!("the node {node} is offline: {} says so", listed.via),
        };
        let server = host.unwrap_or_else(|| listed.via.clone());
        Err(stood_in_for(Failed { server, kind: FailureKind::Unreachable, message, advice: None, about: None }))
    }

    async fn rrd(
        &self,
        client: &Client,
        server: &Server,
        node: &NodeName,
        window: Window,
        peaks: Peaks,
    ) -> Result<Rrd, Error> {
        // Not since now: an hour that began some milliseconds ago would need the longer steps of a day.
        let span = window.until.duration_since(window.since);
        let Some(timeframe) = Timeframe::covering(span) else { return Ok(Rrd::default()) };
        let ask = |consolidation| async move {
            let patience = self.limits.left(self.limits.host);
            let asked = async {
                match (server.kind.guest(), server.vmid) {
                    (Some(kind), Some(vmid)) => client.guest_rrd(node, kind, vmid, timeframe, consolidation).await,
                    _ => client.node_rrd(node, timeframe, consolidation).await,
                }
            };
            let late = |after| Error::Timeout { peer: server.id.to_string(), doing: "reading its history", after };
            let answer = tokio::time::timeout(patience, asked).await.map_err(|_| late(patience))?;
            // Whose history it was says more than which host was asked for it.
            answer.map_err(|error| if let Error::Timeout { after, .. } = error { late(after) } else { error })
        };
        let average = ask(Consolidation::Average).await?;
        if average.rows.is_empty() {
            return Ok(Rrd::default());
        }
        let max = match peaks {
            Peaks::Asked => ask(Consolidation::Max).await?,
            Peaks::Left => RrdAnswer::default(),
        };
        Ok(Rrd::of(&average, &max))
    }
}

/// Whether the highest number of each step is asked for, too, which is a request of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum Peaks {
    Asked,
    Left,
}

/// What Proxmox VE kept of one server.
#[derive(Debug, Default)]
pub(in crate::fleet) struct Rrd {
    step: SignedDuration,
    metrics: BTreeMap<Metric, Vec<RrdStep>>,
}

impl Rrd {
    fn of(average: &RrdAnswer, max: &RrdAnswer) -> Rrd {
        Rrd { step: average.step().unwrap_or_default(), metrics: merge(average, max) }
    }

    fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    fn measured(&self, metric: Metric) -> impl Iterator<Item = Measurement> {
        self.metrics.get(&metric).into_iter().flatten().filter_map(|step| {
            let avg = step.avg?;
            Some(Measurement { at: step.begins, count: 1, avg, min: None, max: step.max.unwrap_or(avg) })
        })
    }
}

/// A failure that leaves what the state file kept.
fn stood_in_for(failed: Failed) -> Failed {
    Failed { message: format!("{}; the state file is used instead", failed.message), ..failed }
}

fn group_of<'s>(servers: &[&'s Server], cluster: &ClusterId) -> Vec<&'s Server> {
    servers.iter().filter(|server| server.cluster.as_ref() == Some(cluster)).copied().collect()
}

/// One series: Proxmox VE's where it was asked for and has something, else what the state file kept.
fn series(metric: Metric, kept: &Kept, rrd: Option<&Rrd>, window: Window) -> Series {
    let own = || own_series(metric, kept, window);
    let Some(rrd) = rrd else { return own() };
    let series = Series::of(metric, Source::Rrd, window.at_least(rrd.step), rrd.measured(metric));
    // What Proxmox VE does not keep of it may be known all the same.
    if series.is_empty() {
        return own();
    }
    // A minute's average hides what a look within it saw. Sums of hours say nothing of shorter steps.
    let hours = kept.hours.iter().filter_map(|hour| hour.of(metric)).filter(|_| series.window.step >= HOUR);
    let seen = Series::of(metric, Source::Cache, series.window, hours.chain(values(metric, &kept.samples)));
    series.widened_by(&seen)
}

/// What the state file kept: the sums of the hours whose samples are gone, then samples.
fn own_series(metric: Metric, kept: &Kept, window: Window) -> Series {
    let hours: Vec<Measurement> = kept.hours.iter().filter_map(|hour| hour.of(metric)).collect();
    let window = if hours.is_empty() { window } else { window.at_least(HOUR) };
    let series = Series::of(metric, Source::Cache, window, hours.into_iter().chain(values(metric, &kept.samples)));
    let partial = |(_, sample): &(Timestamp, Sample)| sample.watts.is_some_and(|watts| watts.by.is_partial());
    Series { is_partial: metric == Metric::Watts && kept.samples.iter().any(partial), ..series }
}
