//! Ask everyone, keep every answer and every failure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::{join, join_all};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::api::{Answer, Group};
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Inventory, ServiceCheck};
use crate::model::power::PowerState;
use crate::model::server::{ServerKey, Service, ServiceType};
use crate::model::usage::Source;
use crate::state::{Check, Retention, Run, StateError};
use crate::transport::probe::{self, Probe};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{ConnectFailure, Error};

/// How many ports are asked at a time.
const PROBES: usize = 64;

/// What was seen of a host or plain server, not through a listing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) state: PowerState,
    pub(crate) source: Source,
    pub(crate) reason: Option<String>,
    pub(crate) checks: Vec<ServiceCheck>,
}

/// All answers of one run, before they are put together.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) at: Timestamp,
    pub(crate) clusters: Vec<(Group<'a>, Answer)>,
    /// Of each configured host or plain server that was asked by TCP or SSH.
    pub(crate) hosts: HashMap<ServerId, Seen>,
}

impl<'a> Fleet<'a> {
    /// The inventory as it is now: clusters by their APIs, plain servers by their ports, services of what runs.
    /// What was seen is recorded in the state file.
    ///
    /// # Errors
    /// Only the state file's; whatever failed out there is in the inventory.
    pub(crate) async fn inventory(&self) -> Result<Inventory, StateError> {
        self.tell_clusters_apart().await?;
        let groups = self.groups();
        let in_clusters = |server: &ServerConfig| groups.iter().any(|g| g.members.iter().any(|m| m.id == server.id));
        let plain: Vec<_> = self.hosts().filter(|server| !in_clusters(server)).collect();
        let listings = join_all(groups.iter().map(|group| self.cluster_and_hosts(group)));
        let plain = bounded(plain.into_iter().map(|server| self.plain(server)));
        let (listings, plain) = join(listings, plain).await;
        let mut hosts: HashMap<ServerId, Seen> = plain.into_iter().collect();
        let mut clusters = Vec::new();
        for (group, (answer, seen)) in groups.into_iter().zip(listings) {
            hosts.extend(seen);
            clusters.push((group, answer));
        }
        let answers = Answers { at: self.now(), clusters, hosts };
        let (at, runs) = (answers.at, answers.clusters.iter().flat_map(|(_, answer)| answer.runs()).collect());
        let mut inventory = self.assemble(answers)?;
        self.check_guests(&mut inventory).await;
        self.record(runs, at, &inventory)?;
        inventory.sort();
        Ok(inventory)
    }

    /// One cluster's listing, while its hosts' own services are checked; then the ports of those hosts that neither
    /// answered nor are online by the listing.
    async fn cluster_and_hosts(&self, group: &Group<'a>) -> (Answer, Vec<(ServerId, Seen)>) {
        let checks = join_all(group.members.iter().map(|server| self.checks(&server.hostname, &server.services)));
        let (answer, checks) = join(self.listing(group), checks).await;
        let mut seen = Vec::new();
        for (server, checks) in group.members.iter().zip(checks) {
            let answered = answer.listed.as_ref().is_some_and(|listed| listed.via == server.id);
            let node = self.node_of(&server.id);
            let rows = answer.listed.iter().flat_map(|listed| &listed.listing.nodes);
            let row = rows.clone().find(|row| Some(&row.name) == node.as_ref());
            let (state, source, reason) = if answered || row.is_some_and(|row| row.online == Some(true)) {
                (PowerState::Online, Source::Api, None)
            } else {
                let reason = row.filter(|row| row.online == Some(false)).map(|_| "its cluster says that it is offline");
                let (state, why) = self.alive(server).await;
                (state, Source::Tcp, reason.map(str::to_owned).or(why))
            };
            seen.push((server.id.clone(), Seen { state, source, reason, checks }));
        }
        (answer, seen)
    }

    /// Whether a host answers at all: SSH's port, or the API's. Anything but an accepted connection is no answer.
    async fn alive(&self, server: &ServerConfig) -> (PowerState, Option<String>) {
        if server.access == Access::Local {
            return (PowerState::Online, None);
        }
        let mut ports = vec![server.api_port()];
        let host = match server.access {
            Access::Ssh => match self.route(server).await {
                Err(error) => return (PowerState::Unknown, Some(error.to_string())),
                Ok(route) => match route.direct() {
                    // SSH itself has just failed, or the API behind it: there is no port to ask from here.
                    None => return (PowerState::Unknown, Some("it is only reached through a jump host".to_owned())),
                    Some(hop) => {
                        ports.push(hop.port);
                        hop.host.clone()
                    }
                },
            },
            Access::Api | Access::Local => server.hostname.clone(),
        };
        let patience = self.limits.left(self.limits.probe);
        let probes = join_all(ports.iter().map(|port| probe::tcp(&host, *port, patience))).await;
        if probes.iter().any(|probe| probe.open) {
            return (PowerState::Online, None);
        }
        let unheard = |probe: &Probe| probe.failure == Some(ConnectFailure::Timeout);
        if patience < self.limits.probe && probes.iter().all(unheard) {
            return (PowerState::Unknown, Some("no time was left to look for it".to_owned()));
        }
        state_of_silence(probes.iter().filter_map(|probe| probe.failure))
    }

    /// A plain server: its SSH port and its services. One behind a jump host is asked through its SSH session.
    async fn plain(&self, server: &ServerConfig) -> (ServerId, Seen) {
        let after = self.limits.left(self.limits.host);
        let asked = tokio::time::timeout(after, self.try_plain(server)).await;
        let seen = asked.unwrap_or_else(|_| Seen {
            state: PowerState::Unknown,
            source: Source::Tcp,
            reason: Some(format!("did not answer within {:.1} s", after.as_secs_f32())),
            checks: Vec::new(),
        });
        (server.id.clone(), seen)
    }

    async fn try_plain(&self, server: &ServerConfig) -> Seen {
        if server.access == Access::Local {
            let checks = self.checks("127.0.0.1", &server.services).await;
            return Seen { state: PowerState::Online, source: Source::Local, reason: None, checks };
        }
        let route = match self.route(server).await {
            Ok(route) => route,
            Err(error) => {
                let reason = Some(error.to_string());
                return Seen { state: PowerState::Unknown, source: Source::Tcp, reason, checks: Vec::new() };
            }
        };
        let Some(hop) = route.direct() else { return self.behind_jump(server).await };
        let mut services = server.services.clone();
        if !services.iter().any(|service| service.port == hop.port) {
            services.insert(0, Service { name: "ssh".to_owned(), port: hop.port, kind: ServiceType::Ssh });
        }
        let probes = self.probes(&hop.host, &services).await;
        let (state, reason) = if probes.iter().any(|probe| probe.open) {
            (PowerState::Online, None)
        } else {
            state_of_silence(probes.iter().filter_map(|probe| probe.failure))
        };
        let checks = services.iter().zip(&probes).map(|(service, probe)| check_of(service, probe)).collect();
        Seen { state, source: Source::Tcp, reason, checks }
    }

    async fn behind_jump(&self, server: &ServerConfig) -> Seen {
        let port = server.ssh_port.unwrap_or(22);
        let started = Instant::now();
        match self.session(server, HostKeyPolicy::Refuse).await {
            Ok(session) => {
                let ssh = Service { name: "ssh".to_owned(), port, kind: ServiceType::Ssh };
                let mut checks = vec![answered(&ssh, started.elapsed())];
                for service in &server.services {
                    let started = Instant::now();
                    checks.push(match session.forward("127.0.0.1", service.port).await {
                        Ok(_) => answered(service, started.elapsed()),
                        Err(error) => silent(service, error.to_string()),
                    });
                }
                Seen { state: PowerState::Online, source: Source::Ssh, reason: None, checks }
            }
            Err(error) => {
                let state = match &error {
                    Error::Connect { failure, .. } if *failure != ConnectFailure::Resolve => PowerState::Offline,
                    _ => PowerState::Unknown,
                };
                Seen { state, source: Source::Ssh, reason: Some(error.to_string()), checks: Vec::new() }
            }
        }
    }

    /// Asks the ports of some services of one host, all at once.
    async fn probes(&self, host: &str, services: &[Service]) -> Vec<Probe> {
        join_all(services.iter().map(|service| probe::tcp(host, service.port, self.limits.probe))).await
    }

    async fn checks(&self, host: &str, services: &[Service]) -> Vec<ServiceCheck> {
        let probes = self.probes(host, services).await;
        services.iter().zip(&probes).map(|(service, probe)| check_of(service, probe)).collect()
    }

    /// The configured services of guests: asked only where the guest runs and an address is known.
    async fn check_guests(&self, inventory: &mut Inventory) {
        let wanted = inventory.servers.iter().enumerate().filter(|(_, server)| server.vmid.is_some());
        let asked = wanted.filter(|(_, server)| !server.services.is_empty() && server.seen.state.is_up());
        let probes = asked.filter_map(|(i, server)| {
            let (host, services) = (server.hostname.clone()?, server.services.clone());
            Some(async move { (i, self.checks(&host, &services).await) })
        });
        let probes: Vec<_> = probes.collect();
        for (i, checks) in bounded(probes).await {
            inventory.servers[i].seen.checks = checks;
        }
    }

    /// Groups APIs that were never told apart: where two configured servers may be nodes of one cluster, each says
    /// once what its nodes' certificates are, and those that say the same are one.
    pub(super) async fn tell_clusters_apart(&self) -> Result<(), StateError> {
        let pve: Vec<_> = self.hosts().filter(|server| self.is_pve(server)).collect();
        let is_new = |server: &&ServerConfig| !self.known.borrow().members.contains_key(&server.id);
        let (new, old): (Vec<_>, Vec<_>) = pve.into_iter().partition(is_new);
        if new.len() + old.len() < 2 || new.is_empty() {
            return Ok(());
        }
        // Who is slow here is told apart in another run: nobody waits long for it before the first listing.
        let patience = self.limits.probe.min(self.limits.total / 4);
        let ask = |server: &'a ServerConfig| async move {
            let asked = self.certified_nodes(server);
            let nodes = tokio::time::timeout(self.limits.left(patience), asked).await.ok()?.ok()?;
            Some((server, nodes))
        };
        let mut answers: Vec<_> = join_all(new.iter().map(|server| ask(server))).await.into_iter().flatten().collect();
        if !answers.is_empty() {
            answers.extend(join_all(old.iter().map(|server| ask(server))).await.into_iter().flatten());
        }
        for (i, (server, own)) in answers.iter().enumerate() {
            if !new.iter().any(|n| n.id == server.id) {
                continue;
            }
            // One that is known decides; among new ones the first gives the name.
            let known = |other: &ServerId| !new.iter().any(|n| n.id == *other);
            let mut twins = answers.iter().enumerate().filter(|(j, (_, other))| *j != i && own.overlaps(other));
            let twin = twins.clone().find(|(_, (other, _))| known(&other.id)).or_else(|| twins.find(|(j, _)| *j < i));
            let cluster = self.cluster_of(twin.map_or(&server.id, |(_, (other, _))| &other.id));
            self.learn_member(&server.id, &cluster, own.own.as_ref())?;
        }
        Ok(())
    }

    /// Keeps what was seen: states and their changes, services, whether each host's check succeeded, how fast.
    fn record(&self, mut runs: Vec<Run>, at: Timestamp, inventory: &Inventory) -> Result<(), StateError> {
        let (mut states, mut checks) = (Vec::new(), Vec::new());
        for server in &inventory.servers {
            let seen = &server.seen;
            if server.vmid.is_none() {
                states.push((server.key(), seen.state, seen.source));
                if server.cluster.is_none() {
                    let detail = (!seen.state.is_up()).then(|| seen.reason.clone().unwrap_or_default());
                    let took = seen.checks.iter().find_map(|check| check.response_seconds);
                    runs.push(run(&server.id, took.map(Duration::from_secs_f64), detail));
                }
            }
            checks.extend(seen.checks.iter().filter_map(|check| {
                Some(Check {
                    server: server.key(),
                    service: check.name.clone(),
                    ok: check.open?,
                    millis: check.response_seconds.map(|seconds| seconds * 1000.0),
                    detail: check.error.clone(),
                })
            }));
        }
        self.state.record_states(&states, at)?;
        self.state.record_checks(&checks, at)?;
        self.state.record_runs(&runs, at)?;
        self.state.tidy(at, &Retention::default()).map(drop)
    }
}

impl Answer {
    /// The looks at the cluster's members that it stands for.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        let failed = self.failures.iter().map(|(server, error)| run(server, None, Some(error.to_string())));
        failed.chain(self.listed.iter().map(|listed| run(&listed.via, Some(listed.took), None)))
    }
}

fn run(server: &ServerId, took: Option<Duration>, detail: Option<String>) -> Run {
    let millis = took.map(|took| took.as_secs_f64() * 1000.0);
    Run { server: ServerKey::of_server(server), ok: detail.is_none(), millis, detail }
}

/// The failure that an error is in a report.
pub(crate) fn failed(server: &ServerId, error: &Error) -> Failed {
    let text = error.to_string();
    // Some errors know only where was dialled.
    let message = if text.contains(server.as_str()) { text } else { format!("{server}: {text}") };
    Failed { server: server.clone(), kind: error.kind(), message, advice: error.advice() }
}

/// Runs some futures, at most `PROBES` at a time; answers in the order they come.
async fn bounded<T>(work: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting = work.into_iter();
    let mut running: FuturesUnordered<_> = waiting.by_ref().take(PROBES).collect();
    let mut done = Vec::new();
    while let Some(one) = running.next().await {
        done.push(one);
        running.extend(waiting.next());
    }
    done
}

/// What it means that no port accepted: offline, unless nothing could be asked.
fn state_of_silence(failures: impl Iterator<Item = ConnectFailure>) -> (PowerState, Option<String>) {
    let failures: Vec<_> = failures.collect();
    let reason = failures.first().map(|failure| failure.as_str().to_owned());
    let unasked = |failure: &ConnectFailure| matches!(failure, ConnectFailure::Resolve | ConnectFailure::Other);
    if failures.is_empty() || failures.iter().all(unasked) {
        (PowerState::Unknown, reason)
    } else {
        (PowerState::Offline, reason)
    }
}

fn check_of(service: &Service, probe: &Probe) -> ServiceCheck {
    match (probe.open, probe.millis) {
        (true, Some(millis)) => answered(service, Duration::from_secs_f64(millis / 1000.0)),
        _ => silent(service, probe.failure.map_or("no answer", ConnectFailure::as_str).to_owned()),
    }
}

fn answered(service: &Service, took: Duration) -> ServiceCheck {
    let Service { name, port, kind } = service.clone();
    ServiceCheck { name, port, kind, open: Some(true), response_seconds: Some(took.as_secs_f64()), error: None }
}

fn silent(service: &Service, error: String) -> ServiceCheck {
    let Service { name, port, kind } = service.clone();
    ServiceCheck { name, port, kind, open: Some(false), response_seconds: None, error: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_offline_only_where_somebody_was_asked() {
        use ConnectFailure::*;
        let cases: [(&[ConnectFailure], PowerState); 5] = [
            (&[Timeout], PowerState::Offline),
            (&[Refused, Unreachable], PowerState::Offline),
            (&[Resolve], PowerState::Unknown),
            (&[Resolve, Timeout], PowerState::Offline),
            (&[], PowerState::Unknown),
        ];
        for (failures, want) in cases {
            assert_eq!(state_of_silence(failures.iter().copied()).0, want, "{failures:?}");
        }
    }
}
