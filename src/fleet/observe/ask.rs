//! One host or plain server: what its cluster says of it, whether its ports answer, and its load.

use std::time::{Duration, Instant};

use futures::future::{Either, join, join_all, select};

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::observe::measure::{MeasurePlan, measured_by};
use crate::fleet::observe::server_state::{state_behind, state_of_silence};
use crate::fleet::observe::{HostSighting, LookAtHost, Words};
use crate::model::inventory::ServiceCheck;
use crate::model::inventory::server::{Service, ServiceType};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::transport::probe::{self, Probe};
use crate::transport::ssh::{HostKeyPolicy, Route};
use crate::transport::{ConnectFailure, Error};

/// How long a visit takes that measures, at most, where all is well: longer, and its ports are asked besides.
const USUAL_VISIT: Duration = Duration::from_millis(1500);
/// Why a silent host counts as off if its cluster does not see it either.
const OFFLINE_BY_CLUSTER: &str = "its cluster says that it is offline";

impl Fleet<'_> {
    /// A host of a cluster: by its cluster's word, else by its own ports; its load where that is asked for.
    pub(super) async fn member(&self, server: &ServerConfig, measuring: &MeasurePlan, words: Words) -> LookAtHost {
        let word = || {
            let mut words = words.clone();
            async move {
                let told = words.wait_for(Option::is_some).await;
                told.ok().and_then(|told| told.as_ref()?.get(&server.id).copied())
            }
        };
        let says_offline = || Some(OFFLINE_BY_CLUSTER.to_owned());
        // It was put to sleep: that its cluster does not see it is enough.
        if self.was_put_to_sleep(server) && word().await == Some(false) {
            let seen = HostSighting::silent(PowerState::Offline, Source::Api, says_offline());
            return (server.id.clone(), seen, measuring.wants(server).then(|| Err(unreached(server))));
        }
        if let Some(silence) = self.still_off(server).await {
            let mut seen = silence.seen(&server.services);
            match word().await {
                Some(true) => (seen.state, seen.source, seen.reason) = (PowerState::Online, Source::Api, None),
                Some(false) => seen.reason = says_offline(),
                None => {}
            }
            return (server.id.clone(), seen, measuring.wants(server).then(|| Err(silence.error(server))));
        }
        let alive = async {
            match word().await {
                Some(true) => (PowerState::Online, Source::Api, None),
                word => {
                    let (state, why) = self.alive(server).await;
                    (state, Source::Tcp, says_offline().filter(|_| word == Some(false)).or(why))
                }
            }
        };
        let state = async {
            let load = match select(Box::pin(self.measure(server, measuring)), Box::pin(alive)).await {
                Either::Left((Some(Ok(load)), _)) => Some(Ok(load)),
                Either::Left((load, alive)) => return (alive.await, load),
                // No login is tried if no port answers.
                Either::Right((off @ (PowerState::Offline, ..), _)) => {
                    return (off, measuring.wants(server).then(|| Err(unreached(server))));
                }
                Either::Right((alive, measure)) => match measure.await {
                    Some(Ok(load)) => Some(Ok(load)),
                    load => return (alive, load),
                },
            };
            let source = if word().await == Some(true) { Source::Api } else { measured_by(server) };
            ((PowerState::Online, source, None), load)
        };
        let (((state, source, reason), load), checks) =
            join(state, self.checks(&server.hostname, &server.services)).await;
        (server.id.clone(), HostSighting { state, source, reason, checks }, load)
    }

    /// A host that was not asked for, as its cluster lists it: nothing is sent to it. Being offline there is no proof,
    /// because nobody has tried to reach it.
    pub(super) fn unmeant(&self, server: &ServerConfig, online: Option<bool>) -> Option<HostSighting> {
        let state = match online? {
            true => PowerState::Online,
            false if self.was_put_to_sleep(server) => PowerState::Offline,
            false => PowerState::Unknown,
        };
        let reason = (state != PowerState::Online).then(|| OFFLINE_BY_CLUSTER.to_owned());
        Some(HostSighting::silent(state, Source::Api, reason))
    }

    /// Whether a host answers at all: SSH's port, or the API's. Anything but an accepted connection is no answer.
    pub(super) async fn alive(&self, server: &ServerConfig) -> (PowerState, Option<String>) {
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

    /// A plain server: its load where that is asked for, else its SSH port and its services. One behind a jump host is
    /// asked through its SSH session.
    pub(super) async fn plain(&self, server: &ServerConfig, measuring: &MeasurePlan) -> LookAtHost {
        if let Some(silence) = self.still_off(server).await {
            let seen = silence.seen(&silence.services(server));
            return (server.id.clone(), seen, measuring.wants(server).then(|| Err(silence.error(server))));
        }
        let wants = measuring.wants(server);
        let ports = async {
            // A host that runs a script is up: its ports are asked only for its services, or if the script takes long.
            if wants && server.services.is_empty() {
                tokio::time::sleep(USUAL_VISIT).await;
            }
            self.ports(server).await
        };
        let (load, seen) = match select(Box::pin(self.measure(server, measuring)), Box::pin(ports)).await {
            // No login is tried if no port answers.
            Either::Right((seen, _)) if wants && seen.state == PowerState::Offline => {
                (Some(Err(unreached(server))), Some(seen))
            }
            Either::Right((seen, measure)) => (measure.await, Some(seen)),
            Either::Left((Some(Ok(load)), _)) if server.services.is_empty() => (Some(Ok(load)), None),
            Either::Left((load, ports)) => (load, Some(ports.await)),
        };
        let seen = match (&load, seen) {
            (Some(Ok(_)), seen) => {
                let checks = seen.map(|seen| seen.checks).unwrap_or_default();
                HostSighting { state: PowerState::Online, source: measured_by(server), reason: None, checks }
            }
            (_, Some(seen)) => seen,
            (_, None) => self.ports(server).await,
        };
        (server.id.clone(), seen, load)
    }

    /// The ports of a plain server, within the time that one host has.
    async fn ports(&self, server: &ServerConfig) -> HostSighting {
        let after = self.limits.left(self.limits.host);
        let asked = tokio::time::timeout(after, self.try_plain(server)).await;
        asked.unwrap_or_else(|_| HostSighting {
            state: PowerState::Unknown,
            source: Source::Tcp,
            reason: Some(format!("did not answer within {:.1} s", after.as_secs_f32())),
            checks: Vec::new(),
        })
    }

    async fn try_plain(&self, server: &ServerConfig) -> HostSighting {
        if server.access == Access::Local {
            let checks = self.checks("127.0.0.1", &server.services).await;
            return HostSighting { state: PowerState::Online, source: Source::Local, reason: None, checks };
        }
        let route = match self.route(server).await {
            Ok(route) => route,
            Err(error) => {
                let reason = Some(error.to_string());
                return HostSighting { state: PowerState::Unknown, source: Source::Tcp, reason, checks: Vec::new() };
            }
        };
        let Some(hop) = route.direct() else { return self.behind_jump(server, &route).await };
        let services = with_ssh(server, hop.port);
        let probes = self.probes(&hop.host, &services).await;
        let (state, reason) = if probes.iter().any(|probe| probe.open) {
            (PowerState::Online, None)
        } else {
            state_of_silence(probes.iter().filter_map(|probe| probe.failure))
        };
        let checks = services.iter().zip(&probes).map(|(service, probe)| check_of(service, probe)).collect();
        HostSighting { state, source: Source::Tcp, reason, checks }
    }

    async fn behind_jump(&self, server: &ServerConfig, route: &Route) -> HostSighting {
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
                        Err(error) => {
                            let asked = matches!(error, Error::Connect { failure, .. } if failure.reached_host());
                            silent(service, asked, error.to_string())
                        }
                    });
                }
                HostSighting { state: PowerState::Online, source: Source::Ssh, reason: None, checks }
            }
            Err(error) => {
                let (state, reason) = state_behind(&error, route);
                HostSighting { state, source: Source::Ssh, reason: Some(reason), checks: Vec::new() }
            }
        }
    }

    /// Asks the ports of some services of one host, all at once.
    async fn probes(&self, host: &str, services: &[Service]) -> Vec<Probe> {
        join_all(services.iter().map(|service| probe::tcp(host, service.port, self.limits.probe))).await
    }

    /// Looks for some services of one host.
    pub(in crate::fleet) async fn checks(&self, host: &str, services: &[Service]) -> Vec<ServiceCheck> {
        let probes = self.probes(host, services).await;
        services.iter().zip(&probes).map(|(service, probe)| check_of(service, probe)).collect()
    }
}

/// The services of a plain server, with SSH if that is not one of them.
pub(super) fn with_ssh(server: &ServerConfig, port: u16) -> Vec<Service> {
    let mut services = server.services.clone();
    if !services.iter().any(|service| service.port == port) {
        services.insert(0, Service { name: "ssh".to_owned(), port, kind: ServiceType::Ssh });
    }
    services
}

/// The failure of a host without a login, because no port answers.
fn unreached(server: &ServerConfig) -> Error {
    Error::Connect { peer: server.id.to_string(), failure: ConnectFailure::Timeout, source: None }
}

pub(super) fn check_of(service: &Service, probe: &Probe) -> ServiceCheck {
    if let (true, Some(millis)) = (probe.open, probe.millis) {
        return answered(service, Duration::from_secs_f64(millis / 1000.0));
    }
    let failure = probe.failure.unwrap_or(ConnectFailure::Timeout);
    silent(service, failure.reached_host(), failure.as_str().to_owned())
}

fn answered(service: &Service, took: Duration) -> ServiceCheck {
    let Service { name, port, kind } = service.clone();
    ServiceCheck { name, port, kind, open: Some(true), response_seconds: Some(took.as_secs_f64()), error: None }
}

/// A service that did not answer, or that could not be asked.
fn silent(service: &Service, asked: bool, error: String) -> ServiceCheck {
    let Service { name, port, kind } = service.clone();
    ServiceCheck { name, port, kind, open: asked.then_some(false), response_seconds: None, error: Some(error) }
}
