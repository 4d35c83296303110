//! What the last run saw of servers beyond their states: how hard they worked, and which services answered.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::fleet::Fleet;
use crate::model::inventory::server::{ServerKey, Service, ServiceType, Whose};
use crate::model::inventory::{Server, ServiceCheck};
use crate::model::load::usage::{Sample, Usage};
use crate::model::power::PowerState;
use crate::state::{CheckRecord, StateError};

/// What was seen this close together belongs to one look, and needs no age of its own.
const SAME_LOOK_SECONDS: i64 = 60;

impl Fleet<'_> {
    /// Completes what is remembered by the numbers and the services of the last time, each with its age where it is not
    /// that of the state. Of what was off there are none.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn recall(&self, servers: &mut [Server]) -> Result<(), StateError> {
        self.state.at_once(|| self.recall_all(servers))
    }

    fn recall_all(&self, servers: &mut [Server]) -> Result<(), StateError> {
        self.recall_load(servers)?;
        let mut checks: HashMap<ServerKey, Vec<CheckRecord>> = HashMap::new();
        for check in self.state.last_checks()? {
            checks.entry(check.server.clone()).or_default().push(check);
        }
        for server in servers {
            // Most servers have no services: their keys need not be made.
            if checks.is_empty() {
                break;
            }
            let Some(known) = checks.remove(&server.key()) else { continue };
            let newest = known.iter().map(|check| check.at).max();
            // Of guests that are off nobody asks, and of what was configured once nobody did in the last look.
            if server.vmid.is_some() && !server.seen.state.is_up() {
                continue;
            }
            let configured = |check: &CheckRecord| server.services.iter().find(|service| service.name == check.service);
            let last: Vec<_> = known.iter().filter(|check| Some(check.at) == newest).collect();
            server.seen.checks = last
                .iter()
                .filter_map(|check| {
                    let own = || (check.service == "ssh").then(|| self.own_port(server)).flatten();
                    Some(recalled(configured(check).cloned().or_else(own)?, check))
                })
                .collect();
            server.seen.checks_at = newest.filter(|at| differs(server, *at) && !server.seen.checks.is_empty());
        }
        Ok(())
    }

    /// The numbers alone, of servers that have none and may have some.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn recall_load(&self, servers: &mut [Server]) -> Result<(), StateError> {
        let lacks = |server: &Server| {
            let could = if server.vmid.is_some() {
                server.seen.state != PowerState::Unknown
            } else {
                server.seen.state.is_up()
            };
            could && server.seen.usage == Usage::default()
        };
        if !servers.iter().any(lacks) {
            return Ok(());
        }
        let measured = self.state.measured_at()?;
        let mut looks: Vec<(usize, (Whose, Timestamp))> = Vec::with_capacity(servers.len());
        let mut scripts: Vec<(usize, (Whose, Timestamp))> = Vec::new();
        for (place, server) in servers.iter().enumerate().filter(|(_, server)| lacks(server)) {
            looks.extend(server.seen.at.map(|at| (place, (server.whose(), at))));
            scripts.extend(measured.get(&server.id).map(|at| (place, (server.whose(), *at))));
        }
        let mut taken: Vec<Option<Timestamp>> = vec![None; servers.len()];
        for asked in [looks, scripts] {
            let (places, looks): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            self.state.samples_of_looks(&looks, |index, at, sample| {
                let place: usize = places[index];
                // Of two the later counts.
                if taken[place].is_none_or(|known| known < at) {
                    taken[place] = Some(at);
                    take(&mut servers[place], at, &sample);
                }
            })?;
        }
        Ok(())
    }

    /// A plain server's own SSH port, which is asked without being configured as a service.
    fn own_port(&self, server: &Server) -> Option<Service> {
        let entry = self.config.servers.iter().find(|entry| entry.id == server.id)?;
        Some(Service { name: "ssh".to_owned(), port: entry.ssh_port.unwrap_or(22), kind: ServiceType::Ssh })
    }
}

fn take(server: &mut Server, at: Timestamp, sample: &Sample) {
    let usage = sample.usage;
    server.seen.usage = if server.vmid.is_some() { usage.of_guest(server.seen.state) } else { usage };
    server.seen.usage_source = sample.source;
    server.seen.usage_at = Some(at).filter(|at| differs(server, *at));
}

/// Whether that was another look than the one that saw the state.
fn differs(server: &Server, at: Timestamp) -> bool {
    server.seen.at.is_none_or(|seen| seen.duration_since(at).as_secs().abs() >= SAME_LOOK_SECONDS)
}

fn recalled(service: Service, check: &CheckRecord) -> ServiceCheck {
    let Service { name, port, kind } = service;
    let response_seconds = check.millis.filter(|_| check.ok).map(|millis| millis / 1000.0);
    ServiceCheck { name, port, kind, open: Some(check.ok), response_seconds, error: check.detail.clone() }
}
