//! Hosts that were off when somebody looked last. Most of them sleep, as they shall, so nobody waits long for them: a short
//! knock at their ports, once for all who want something of the host. Whoever answers is asked like any other.
//!
//! Full patience has who asks for it: `--timeout` is given, or a power action means the host itself.

use std::cell::RefMut;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::observe::HostSighting;
use crate::fleet::observe::ask::{check_of, with_ssh};
use crate::fleet::observe::server_state::state_of_silence;
use crate::model::id::ServerId;
use crate::model::inventory::server::{Expected, ServerKey, Service};
use crate::model::inventory::{Failed, FailureKind, Server, ServiceCheck};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::{State, StateError};
use crate::transport::probe::{self, Probe};
use crate::transport::ssh::Route;
use crate::transport::{ConnectFailure, Error};

/// How long a host has to answer that was off at the last look.
const KNOCK: Duration = Duration::from_millis(400);

/// How long one knock counts: a run goes on for a moment, a watch for hours.
const FRESH: Duration = Duration::from_secs(2);

/// Who was off when somebody looked last.
#[derive(Debug, Default)]
pub(crate) struct Off {
    hosts: HashSet<ServerId>,
    /// Those that ecobox itself put to sleep.
    put_to_sleep: HashSet<ServerId>,
}

/// What a knock was met with; `None`: somebody answered.
pub(in crate::fleet) type Knock = (Instant, Rc<OnceCell<Option<Rc<Silence>>>>);

/// A host that did not answer a knock.
#[derive(Debug)]
pub(in crate::fleet) struct Silence {
    /// By port.
    probes: Vec<(u16, Probe)>,
    /// The one of SSH, where that was knocked at.
    ssh: Option<u16>,
    /// The jump host that does not answer, if the host itself was not reached.
    stopped_at: Option<String>,
}

impl Off {
    /// What the state file knows.
    pub(in crate::fleet) fn known(state: &State, now: Timestamp) -> Result<Off, StateError> {
        let is_off = |state: PowerState| matches!(state, PowerState::Offline | PowerState::Asleep);
        let host = |key: ServerKey| key.0.parse::<ServerId>().ok();
        let states = state.states()?.into_iter().filter(|(_, known)| is_off(known.state));
        let alarms = state.alarms()?;
        // Whoever should have woken by now does not sleep on purpose.
        let overdue = |server: &ServerId| alarms.get(server).is_some_and(|alarm| alarm.sleeps && alarm.late <= now);
        let marks = state.intended_sleep()?.into_iter().filter(|(server, mark)| mark.asleep && !overdue(server));
        Ok(Off {
            hosts: states.filter_map(|(key, _)| host(key)).collect(),
            put_to_sleep: marks.map(|(server, _)| server).collect(),
        })
    }
}

impl Silence {
    /// What it says of the host.
    pub(in crate::fleet) fn seen(&self, services: &[Service]) -> HostSighting {
        let failures = || self.probes.iter().filter_map(|(_, probe)| probe.failure);
        let (state, reason) = state_of_silence(failures());
        let reason = match failures().next() {
            Some(ConnectFailure::JumpHostFailed(why)) => {
                let (jump, why) = (self.stopped_at.as_deref().unwrap_or_default(), told(why.to_owned()));
                Some(format!("its jump host does not answer: cannot reach {jump}: {why}"))
            }
            _ => reason.map(told),
        };
        HostSighting { state, source: Source::Tcp, reason, checks: self.checks(services) }
    }

    /// The services of a plain server that were knocked at.
    pub(in crate::fleet) fn services(&self, server: &ServerConfig) -> Vec<Service> {
        self.ssh.map_or_else(|| server.services.clone(), |port| with_ssh(server, port))
    }

    /// What it says of services that were knocked at.
    pub(in crate::fleet) fn checks(&self, services: &[Service]) -> Vec<ServiceCheck> {
        let check = |service: &Service| {
            let (_, probe) = self.probes.iter().find(|(port, _)| *port == service.port)?;
            let check = check_of(service, probe);
            Some(ServiceCheck { error: check.error.map(told), ..check })
        };
        services.iter().filter_map(check).collect()
    }

    /// Why nothing else was tried.
    pub(in crate::fleet) fn error(&self, server: &ServerConfig) -> Error {
        let failure = self.probes.iter().find_map(|(_, probe)| probe.failure).unwrap_or(ConnectFailure::Timeout);
        Error::Connect { peer: server.id.to_string(), failure, source: None }
    }
}

/// How the silence was found: with less patience than usual.
fn told(reason: String) -> String {
    if reason == ConnectFailure::Timeout.as_str() {
        format!("{reason} in {:.1} s", KNOCK.as_secs_f32())
    } else {
        reason
    }
}

impl Fleet<'_> {
    /// Who was off. A state file that cannot say so costs only time.
    fn off(&self) -> RefMut<'_, Off> {
        let known = || self.state.at_once(|| Off::known(self.state, self.now())).unwrap_or_default();
        RefMut::map(self.off.borrow_mut(), |off| off.get_or_insert_with(known))
    }

    /// Whether a host is only knocked at: it was off at the last look, and `--timeout` was not given.
    pub(in crate::fleet) fn was_off(&self, server: &ServerConfig) -> bool {
        self.limits.given.is_none() && server.access != Access::Local && self.off().hosts.contains(&server.id)
    }

    /// Whether ecobox put it to sleep, and it was not seen awake since.
    pub(in crate::fleet) fn was_put_to_sleep(&self, server: &ServerConfig) -> bool {
        self.limits.given.is_none() && self.off().put_to_sleep.contains(&server.id)
    }

    /// Of failures to ask hosts those that say more than that a host rests which may; and those hosts, in words. A host
    /// may rest that ecobox put to sleep, or that is not expected to be on.
    pub(in crate::fleet) async fn told_apart_from_rest(
        &self,
        failures: Vec<Failed>,
    ) -> (Vec<Failed>, Vec<(ServerId, String)>) {
        let looked = failures.into_iter().map(async |failed| {
            let rests = match failed.kind {
                FailureKind::Unreachable => self.rests(&failed.server).await,
                FailureKind::Denied
                | FailureKind::Identity
                | FailureKind::Failed
                | FailureKind::NoQuorum
                | FailureKind::NodeOffline => None,
            };
            match rests {
                Some(word) => Ok((failed.server, word)),
                None => Err(failed),
            }
        });
        let (mut said, mut resting) = (Vec::new(), Vec::new());
        for looked in join_all(looked).await {
            match looked {
                Ok(rests) => resting.push(rests),
                Err(failed) => said.push(failed),
            }
        }
        (said, resting)
    }

    /// `pve3 is asleep`, where it may be, and does not answer.
    async fn rests(&self, server: &ServerId) -> Option<String> {
        let word = self.may_rest(server)?;
        let server = self.hosts().find(|host| host.id == *server)?;
        let is_off = match self.still_off(server).await {
            Some(silence) => silence.seen(&[]).state == PowerState::Offline,
            None => self.alive(server).await.0 == PowerState::Offline,
        };
        is_off.then_some(word)
    }

    /// How to call it if it does not answer, where that is no failure.
    pub(in crate::fleet) fn may_rest(&self, server: &ServerId) -> Option<String> {
        let expected = self.hosts().find(|host| host.id == *server)?.expected;
        if self.off().put_to_sleep.contains(server) {
            return Some(format!("{server} is asleep"));
        }
        matches!(expected, Some(Expected::Asleep | Expected::Any)).then(|| format!("{server} is off"))
    }

    /// From now on this host is waited for like any other.
    pub(in crate::fleet) fn be_patient_with(&self, server: &ServerId) {
        let mut off = self.off();
        off.hosts.remove(server);
        off.put_to_sleep.remove(server);
    }

    /// Remembers who is off for the next look of this run.
    pub(in crate::fleet) fn note_off<'s>(&self, hosts: impl Iterator<Item = &'s Server>) {
        let mut off = self.off();
        for host in hosts {
            match host.seen.state {
                PowerState::Offline => drop(off.hosts.insert(host.id.clone())),
                PowerState::Asleep => {
                    off.hosts.insert(host.id.clone());
                    off.put_to_sleep.insert(host.id.clone());
                }
                PowerState::Unknown => {}
                _ => {
                    off.hosts.remove(&host.id);
                    off.put_to_sleep.remove(&host.id);
                }
            }
        }
    }

    /// Knocks at a host that was off. `None`: it answers, or it is to be asked like any other.
    pub(in crate::fleet) async fn still_off(&self, server: &ServerConfig) -> Option<Rc<Silence>> {
        if !self.was_off(server) {
            return None;
        }
        let cell = {
            let mut knocks = self.knocks.borrow_mut();
            knocks.retain(|_, (since, _)| since.elapsed() < FRESH);
            knocks.entry(server.id.clone()).or_insert_with(|| (Instant::now(), Rc::default())).1.clone()
        };
        let silence = cell.get_or_init(|| async { self.knock(server).await.map(Rc::new) }).await.clone();
        if silence.is_none() {
            self.be_patient_with(&server.id);
        }
        silence
    }

    async fn knock(&self, server: &ServerConfig) -> Option<Silence> {
        let mut ports: Vec<u16> = server.services.iter().map(|service| service.port).collect();
        if self.is_pve(server) {
            ports.push(server.api_port());
        }
        let mut ssh = None;
        let host = match server.access {
            Access::Api | Access::Local => server.hostname.clone(),
            Access::Ssh => {
                // Asking in full reports what is wrong with the way.
                let route = self.route(server).await.ok()?;
                let Some(hop) = route.direct() else { return self.knock_behind(server, &route).await };
                ports.push(hop.port);
                ssh = Some(hop.port);
                hop.host.clone()
            }
        };
        ports.sort_unstable();
        ports.dedup();
        let knock = |port| {
            let host = &host;
            async move { (port, probe::knock(host, port, self.limits.left(KNOCK)).await) }
        };
        let mut knocks: FuturesUnordered<_> = ports.into_iter().map(knock).collect();
        let mut probes = Vec::new();
        while let Some((port, probe)) = knocks.next().await {
            if probe.open {
                return None;
            }
            probes.push((port, probe));
        }
        Some(Silence { probes, ssh, stopped_at: None })
    }

    /// Like `knock`, from its last jump host. That is another host: it is logged in to if it is there.
    async fn knock_behind(&self, server: &ServerConfig, route: &Route) -> Option<Silence> {
        let jumps = route.to_jump()?;
        let first = jumps.hops().first()?;
        // What a command does cannot be hurried.
        if jumps.by_command() {
            return None;
        }
        let way = probe::knock(&first.host, first.port, self.limits.left(KNOCK)).await;
        let failure = if let Some(failure) = way.failure {
            ConnectFailure::JumpHostFailed(failure.as_str())
        } else {
            let (session, hop) = self.jump_session(server).await.ok().flatten()?;
            let asked = timeout(KNOCK, session.forward(&hop.host, hop.port)).await;
            let answer = asked.map(|answer| answer.map(drop));
            session.close().await;
            match answer {
                Ok(Err(Error::Connect { failure, .. })) => failure,
                // It is there; or its jump host does not forward, and asking in full reports that.
                Ok(Ok(()) | Err(_)) => return None,
                Err(_) => ConnectFailure::Timeout,
            }
        };
        let port = server.ssh_port.unwrap_or(22);
        let probe = Probe { open: false, millis: None, failure: Some(failure) };
        let stopped_at =
            matches!(failure, ConnectFailure::JumpHostFailed(_)).then(|| probe::peer(&first.host, first.port));
        Some(Silence { probes: vec![(port, probe)], ssh: None, stopped_at })
    }
}
