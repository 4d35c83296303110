//! Puts answers, memory and configuration together into one inventory.

mod expected;
mod guest;
mod guests;
mod memory;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::observe::measure::measured_by;
use crate::fleet::observe::scope::QueryScope;
use crate::fleet::observe::{Answers, HostSighting, Observed};
use crate::fleet::reach::api::{ClusterAnswer, Group, Listed};
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::server::{Expected, ServerKey, ServerKind};
use crate::model::inventory::{Failed, FailureKind, Inventory, Observation, Server};
use crate::model::load::usage::{Source, Usage};
use crate::model::power::PowerState;
use crate::state::StateError;
use crate::transport::Error;

use self::expected::{is_expected, is_off_besides, rest_with_hosts, say_overdue, silent_hosts};

use self::guest::known_guest;
use self::memory::Memory;

impl Fleet<'_> {
    /// The inventory from this run's answers, completed by what earlier runs learned.
    pub(in crate::fleet) fn assemble(&self, answers: Answers<'_>, scope: &QueryScope) -> Result<Observed, StateError> {
        let memory = self.memory()?;
        let Answers { at, clusters, hosts, mut loads, templates } = answers;
        let mut inventory = Inventory::default();
        let mut known_loads = HashMap::new();
        for server in self.hosts() {
            let Some(seen) = hosts.get(&server.id).cloned() else { continue };
            let in_cluster = clusters.iter().find(|(group, _)| group.has(&server.id));
            let listed = in_cluster.and_then(|(_, answer)| self.node_usage(server, answer)).unwrap_or_default();
            let load = loads.remove(&server.id);
            let (usage, usage_source) = match &load {
                Some(Ok(load)) => (load.usage.or(listed), measured_by(server)),
                _ => (listed, Source::Api),
            };
            let host = self.host(server, seen, usage, usage_source, at, &memory);
            // A server that does not answer at all is reported as a whole.
            if let (Some(Err(error)), true) = (&load, host.seen.state.is_up()) {
                inventory.failures.push(self.failed(&server.id, error));
            }
            let load = load.map(|load| load.map(|load| load.beside(&listed)).map_err(|error| error.to_string()));
            known_loads.extend(load.map(|load| (server.id.clone(), load)));
            inventory.servers.push(host);
        }
        let mut clients = HashMap::new();
        for (group, answer) in clusters {
            let listed = answer.listed.as_ref().filter(|listed| listed.listing.unreadable > 0);
            inventory.torn.extend(listed.map(|listed| listed.via.clone()));
            inventory.failures.extend(self.failures(&answer));
            clients.extend(
                self.add_guests(&group, answer, at, templates, &mut inventory)?.map(|client| (group.cluster, client)),
            );
        }
        self.overlay(&mut inventory, scope);
        rest_with_hosts(&mut inventory);
        memory.note_actions(&mut inventory);
        memory.note_idle(&mut inventory, at);
        let vain = |failed| is_expected(failed, &inventory) || is_off_besides(failed, &inventory);
        let vain: Vec<bool> = inventory.failures.iter().map(vain).collect();
        let mut vain = vain.into_iter();
        inventory.failures.retain(|_| vain.next() != Some(true));
        inventory.failures.extend(silent_hosts(&inventory));
        say_overdue(&mut inventory);
        Ok(Observed { inventory, loads: known_loads, clients, at, ..Observed::default() })
    }

    /// A cluster without a listing fails once for each member that was asked. If a later member answered, only what
    /// somebody has to fix is said: a member that refused the token, or is not who it should be.
    pub(in crate::fleet) fn failures(&self, answer: &ClusterAnswer) -> Vec<Failed> {
        let to_fix = |error: &Error| {
            matches!(error.kind(), FailureKind::Denied | FailureKind::Identity)
                || matches!(error, Error::ServiceDown { .. })
        };
        let said = answer.failures.iter().filter(|(_, error)| answer.listed.is_none() || to_fix(error));
        said.map(|(server, error)| self.failed(server, error)).chain(answer.troubles.iter().cloned()).collect()
    }

    /// The inventory from memory alone: no server is asked, and every answer has its age.
    pub(crate) fn remembered(&self) -> Result<Inventory, StateError> {
        self.state.at_once(|| self.remember())
    }

    fn remember(&self) -> Result<Inventory, StateError> {
        let memory = self.memory()?;
        let now = self.now();
        let mut inventory = Inventory::default();
        // Room for some hundreds, so that it need not grow again and again; what is not filled is never touched.
        inventory.servers.reserve(512);
        for server in self.hosts() {
            let known = memory.states.get(&ServerKey::of_server(&server.id));
            let mut host = self.bare(server);
            host.seen.state = known.map_or(PowerState::Unknown, |known| memory.state_of(&server.id, known.state));
            host.seen.at = known.map(|known| known.at);
            host.seen.age_seconds = known.and_then(|known| age(known.at, now));
            host.seen.last_seen = known.and_then(|known| known.last_online_at);
            memory.note_until(&mut host);
            inventory.servers.push(host);
        }
        for group in self.groups() {
            let parents = self.parents(&group);
            self.state.each_guest(&group.cluster, |guest| {
                let (state, last_seen) = (guest.state, guest.last_seen);
                let mut server = known_guest(&group, &parents, guest);
                server.seen.state = state;
                server.seen.at = Some(last_seen);
                server.seen.age_seconds = age(last_seen, now);
                inventory.servers.push(server);
            })?;
        }
        self.overlay(&mut inventory, &QueryScope::All);
        memory.note_actions(&mut inventory);
        memory.note_idle(&mut inventory, self.now());
        inventory.sort();
        Ok(inventory)
    }

    /// A configured host or plain server of which nothing was seen yet.
    fn bare(&self, server: &ServerConfig) -> Server {
        let pve = self.is_pve(server);
        Server {
            id: server.id.clone(),
            name: server.name.clone(),
            kind: if pve { ServerKind::Pve } else { ServerKind::Linux },
            parent: server.parent_server_id.clone(),
            cluster: pve.then(|| self.cluster_of(&server.id)),
            node: self.node_of(&server.id),
            vmid: None,
            hostname: Some(server.hostname.clone()),
            addresses: Vec::new(),
            services: server.services.clone(),
            tags: server.tags.as_slice().into(),
            pool: None,
            lock: None,
            ha_state: None,
            template: false,
            expected: server.expected.unwrap_or(Expected::On),
            origin: Source::Config,
            depth: 0,
            seen: Observation::unknown(Source::Cache),
        }
    }

    fn host(
        &self,
        server: &ServerConfig,
        seen: HostSighting,
        usage: Usage,
        usage_source: Source,
        at: Timestamp,
        memory: &Memory,
    ) -> Server {
        let mut host = self.bare(server);
        let known = memory.states.get(&ServerKey::of_server(&server.id));
        if memory.asleep.contains(&server.id) && server.expected.is_none() {
            host.expected = Expected::Any;
        }
        host.seen.last_seen = known.and_then(|known| known.last_online_at);
        let state = memory.state_of(&server.id, seen.state);
        if state.is_up() {
            host.seen.last_seen = Some(at);
        }
        host.seen = Observation {
            state,
            raw_status: None,
            source: seen.source,
            at: Some(at),
            age_seconds: Some(0),
            lag: None,
            last_seen: host.seen.last_seen,
            usage: if state.is_up() { usage } else { Usage::default() },
            usage_source,
            usage_at: None,
            checks_at: None,
            checks: seen.checks,
            reason: seen.reason,
            until: None,
            action: None,
            idle: None,
        };
        memory.note_until(&mut host);
        host
    }

    /// What the listing says of the node that a configured host is.
    fn node_usage(&self, server: &ServerConfig, answer: &ClusterAnswer) -> Option<Usage> {
        let listed = answer.listed.as_ref()?;
        let node = self.node_in(&server.id, listed)?;
        listed.listing.nodes.iter().find(|row| row.name == node).map(|row| row.usage)
    }

    /// The node that a configured host is: the only one, where it gave the listing itself and nothing else is known.
    pub(in crate::fleet) fn node_in(&self, server: &ServerId, listed: &Listed) -> Option<NodeName> {
        self.node_of(server).or_else(|| match listed.listing.nodes.as_slice() {
            [only] if listed.via == *server => Some(only.name.clone()),
            _ => None,
        })
    }

    /// Adds what the configuration says of guests: entries whose id is a guest's.
    fn overlay(&self, inventory: &mut Inventory, scope: &QueryScope) {
        for entry in &self.config.servers {
            let Some((parent, _, vmid)) = entry.guest_ref() else { continue };
            let cluster = self.cluster_of(&parent);
            if !scope.has_cluster(&cluster) {
                continue;
            }
            let found = inventory
                .servers
                .iter_mut()
                .find(|server| server.vmid == Some(vmid) && server.cluster.as_ref() == Some(&cluster));
            if let Some(server) = found {
                server.services.clone_from(&entry.services);
                let more = entry.tags.iter().filter(|tag| !server.tags.contains(tag));
                server.tags = server.tags.iter().chain(more).cloned().collect();
                server.expected = entry.expected.unwrap_or(server.expected);
                if entry.name != entry.id.as_str() {
                    server.name.clone_from(&entry.name);
                }
                if !entry.hostname.is_empty() {
                    server.hostname = Some(entry.hostname.clone());
                }
            } else {
                let mut server = self.bare(entry);
                server.vmid = Some(vmid);
                server.cluster = Some(cluster);
                server.parent = Some(parent);
                server.kind = entry.guest_ref().map_or(server.kind, |(_, kind, _)| kind.into());
                server.expected = entry.expected.unwrap_or(Expected::Any);
                server.seen.reason = Some("no listing has it".to_owned());
                inventory.servers.push(server);
            }
        }
    }
}

/// Whole seconds since then; unknown for a stamp from the future, which a wrong clock made.
fn age(at: Timestamp, now: Timestamp) -> Option<u64> {
    now.duration_since(at).as_secs().try_into().ok()
}

impl Group<'_> {
    pub(in crate::fleet) fn has(&self, server: &ServerId) -> bool {
        self.members.iter().any(|member| member.id == *server)
    }
}
