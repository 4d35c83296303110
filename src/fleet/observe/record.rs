//! What a run leaves behind in the state file: states and their changes, checks, samples.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::observe::Observed;
use crate::fleet::observe::measure::{HostMeasurement, measured_by};
use crate::fleet::observe::to_prometheus::outgoing;
use crate::fleet::observe::watts::energy_look;
use crate::fleet::reach::api::{ClusterAnswer, Group};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::{Listing, ServerKey};
use crate::model::load::reading::Reading;
use crate::model::load::usage::{Pressure, Sample, Source, Usage};
use crate::model::past::energy::EnergyLook;
use crate::model::past::metrics::Ids;
use crate::model::power::PowerState;
use crate::state::{Bodies, Check, HostCheck, Retention, Samples, State, StateError};
use crate::transport::Error;

/// What one look leaves behind. It owns all of it, so that it can be kept while the look is shown.
#[derive(Debug)]
pub(crate) struct Recording {
    at: Timestamp,
    states: Vec<(ServerKey, PowerState, Source)>,
    checks: Vec<Check>,
    /// Whether each host could be looked at.
    host_checks: Vec<HostCheck>,
    /// What hosts themselves had counted.
    readings: Vec<(ServerId, Reading)>,
    samples: Samples,
    energy: Vec<(ServerId, EnergyLook)>,
    retention: Retention,
}

impl Recording {
    /// Keeps what was seen: states and their changes, services, whether each host's check succeeded, how fast, and how
    /// hard everything works. Deletes a bounded batch of expired rows.
    ///
    /// # Errors
    /// The state file's; then nothing is kept.
    pub(crate) fn keep(&self, state: &State) -> Result<(), StateError> {
        self.keep_and_send(state, None)
    }

    /// Like `keep`, with what is to be sent where somebody is configured to get it.
    fn keep_and_send(&self, state: &State, bodies: Option<Bodies<'_>>) -> Result<(), StateError> {
        state.together(|| {
            state.record_states(&self.states, self.at)?;
            state.record_checks(&self.checks, self.at)?;
            state.record_host_checks(&self.host_checks, self.at)?;
            state.put_readings(&self.readings, self.at)?;
            state.record_energy(&self.energy)?;
            state.record_samples(&self.samples, self.at, bodies)?;
            state.tidy(self.at, &self.retention).map(drop)
        })
    }
}

impl Fleet<'_> {
    /// What is to be kept of a look.
    pub(in crate::fleet) fn to_keep(
        &self,
        mut host_checks: Vec<HostCheck>,
        readings: Vec<(ServerId, Reading)>,
        observed: &Observed,
    ) -> Recording {
        let (mut states, mut checks) = (Vec::new(), Vec::new());
        for server in &observed.inventory.servers {
            let seen = &server.seen;
            // What is on its way up or down is neither off nor failing: a later look says where it came to.
            let on_its_way = seen.action.is_some() && seen.state == PowerState::Offline;
            if server.vmid.is_none() && !on_its_way {
                states.push((server.key(), seen.state, seen.source));
                // The member that listed the cluster was looked at already.
                let key = server.key();
                if seen.state != PowerState::Unknown && !host_checks.iter().any(|host_check| host_check.server == key) {
                    // Asleep is no failure: it was put to sleep.
                    let failed = !seen.state.is_up() && seen.state != PowerState::Asleep;
                    let detail = failed.then(|| seen.reason.clone().unwrap_or_default());
                    let took = seen.checks.iter().find_map(|check| check.response_seconds);
                    host_checks.push(host_check(&server.id, took.map(Duration::from_secs_f64), detail));
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
        let (samples, energy, retention) = (samples(observed), energy(observed), self.retention());
        Recording { at: observed.at, states, checks, host_checks, readings, samples, energy, retention }
    }

    /// Keeps them, and what is to be sent of the look.
    pub(in crate::fleet) fn record(&self, recording: &Recording, observed: &Observed) -> Result<(), StateError> {
        let ids = self.labels()?;
        let bodies = |at| outgoing(&recording.samples, Some(observed), &ids, at);
        recording.keep_and_send(self.state, self.sends_history().then_some(&bodies))
    }

    /// The labels of what is sent, where somebody is configured to get it.
    fn labels(&self) -> Result<Ids, StateError> {
        if self.sends_history() { self.state.labels() } else { Ok(Ids::default()) }
    }

    /// Whether somebody is configured to get what is kept.
    pub(in crate::fleet) fn sends_history(&self) -> bool {
        self.config.settings.history.remote_write.is_some()
    }

    /// Keeps samples, with what is to be sent where somebody is configured to get it.
    fn keep(&self, samples: &Samples, at: Timestamp) -> Result<(), StateError> {
        let ids = self.labels()?;
        let bodies = |at| outgoing(samples, None, &ids, at);
        self.state.record_samples(samples, at, if self.sends_history() { Some(&bodies) } else { None })
    }

    /// Deletes a bounded batch of expired rows.
    pub(in crate::fleet) fn tidy(&self, at: Timestamp) -> Result<(), StateError> {
        self.state.tidy(at, &self.retention()).map(drop)
    }

    fn retention(&self) -> Retention {
        let history = &self.config.settings.history;
        let span = |kept| SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
        Retention { raw: span(history.raw), hourly: span(history.hourly) }
    }

    /// Keeps what a script read on one server, and what the server draws, for a run that looks at nothing else. Without the
    /// one the server is asleep, or silent.
    pub(in crate::fleet) fn record_load(
        &self,
        server: &ServerConfig,
        measured: Option<&HostMeasurement>,
        drawn: Option<&EnergyLook>,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let (usage, pressure) = measured.map(|measured| (measured.load.usage, measured.load.pressure)).unzip();
        let mut samples = Samples::default();
        samples.add_server(
            &server.id,
            Sample {
                source: measured_by(server),
                usage: usage.unwrap_or_default(),
                pressure: pressure.unwrap_or_default(),
                watts: drawn.map(|drawn| drawn.watts),
            },
        );
        let readings = measured.map(|measured| (server.id.clone(), measured.reading.clone()));
        let energy = drawn.map(|drawn| (server.id.clone(), *drawn));
        self.state.together(|| {
            self.state.put_readings(readings.as_slice(), at)?;
            self.state.record_energy(energy.as_slice())?;
            self.keep(&samples, at)
        })
    }

    /// Keeps what a listing says of the load of guests and nodes, for a run that looks at nothing else.
    pub(in crate::fleet) fn record_listed(
        &self,
        group: &Group<'_>,
        listing: &Listing,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let parents = self.parents(group);
        let mut samples = Samples::default();
        for guest in listing.guests.iter().filter(|guest| !guest.template) {
            samples.add_guest(&group.cluster, guest.vmid, &listed(guest.usage));
        }
        for node in listing.nodes.iter().filter(|node| node.online == Some(true)) {
            if let Some(server) = parents.get(&node.name) {
                samples.add_server(server, listed(node.usage));
            }
        }
        self.keep(&samples, at)
    }
}

fn listed(usage: Usage) -> Sample {
    Sample { source: Source::Api, usage, pressure: Pressure::default(), watts: None }
}

/// How hard everything that was seen works.
fn samples(observed: &Observed) -> Samples {
    let mut samples = Samples::default();
    for server in observed.inventory.servers.iter().filter(|server| !server.template) {
        match (&server.cluster, server.vmid) {
            (Some(cluster), Some(vmid)) => samples.add_guest(cluster, vmid, &listed(server.seen.usage)),
            _ => samples.add_server(&server.id, sample_of_host(observed, server)),
        }
    }
    samples
}

fn sample_of_host(observed: &Observed, server: &Server) -> Sample {
    let load = observed.loads.get(&server.id).and_then(|load| load.as_ref().ok());
    Sample {
        source: server.seen.usage_source,
        usage: server.seen.usage,
        pressure: load.map(|load| load.pressure).unwrap_or_default(),
        watts: observed.drawn.get(&server.id).and_then(|drawn| Some(drawn.as_ref().ok()?.watts)),
    }
}

/// What hosts draw.
fn energy(observed: &Observed) -> Vec<(ServerId, EnergyLook)> {
    let states: HashMap<&ServerId, PowerState> =
        observed.inventory.servers.iter().map(|server| (&server.id, server.seen.state)).collect();
    let known = observed.drawn.iter().filter_map(|(id, drawn)| Some((id, drawn.as_ref().ok()?)));
    known.filter_map(|(id, drawn)| Some((id.clone(), energy_look(observed.at, *states.get(id)?, drawn)))).collect()
}

impl ClusterAnswer {
    /// The looks at the cluster's members that it stands for. An attempt that did not reach the host is not a look.
    pub(in crate::fleet) fn host_checks(&self) -> impl Iterator<Item = HostCheck> {
        let looked = |error: &Error| !matches!(error, Error::Connect { failure, .. } if !failure.reached_host());
        let failed = self.failures.iter().filter(move |(_, error)| looked(error));
        let failed = failed.map(|(server, error)| host_check(server, None, Some(error.to_string())));
        failed.chain(self.listed.iter().map(|listed| host_check(&listed.via, Some(listed.took), None)))
    }
}

fn host_check(server: &ServerId, took: Option<Duration>, detail: Option<String>) -> HostCheck {
    let millis = took.map(|took| took.as_secs_f64() * 1000.0);
    HostCheck { server: ServerKey::of_server(server), ok: detail.is_none(), millis, detail }
}
