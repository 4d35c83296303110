//! The inventory: all servers as they were observed, and who failed and why.

mod failed;
pub(crate) mod problems;
pub(crate) mod reported_failures;
pub(crate) mod server;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::guest::GuestStatus;
use crate::model::host::idle::IdleRecord;
use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::model::inventory::problems::troubles;
use crate::model::inventory::server::{Address, Expected, ServerKey, ServerKind, Service, ServiceType, Tags, Whose};
use crate::model::load::usage::{Source, Usage};
use crate::model::power::PowerState;
use crate::model::power::outcome::InFlight;
use crate::model::select::{Candidate, SelectError, filter, select, whatever_state};
use crate::model::text::units::human_seconds;

pub(crate) use self::failed::{About, Failed, FailureKind};

/// One server, and what was seen of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) name: String,
    pub(crate) kind: ServerKind,
    pub(crate) parent: Option<ServerId>,
    pub(crate) cluster: Option<ClusterId>,
    /// The node that it is, or that it runs on.
    pub(crate) node: Option<NodeName>,
    pub(crate) vmid: Option<VmId>,
    /// What one dials: configured, else the best known address.
    pub(crate) hostname: Option<String>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) services: Vec<Service>,
    pub(crate) tags: Tags,
    pub(crate) pool: Option<String>,
    pub(crate) lock: Option<String>,
    pub(crate) ha_state: Option<String>,
    /// A guest that cannot start. Only seen where templates are asked for.
    pub(crate) template: bool,
    pub(crate) expected: Expected,
    /// Who named it: the configuration or the API.
    pub(crate) origin: Source,
    /// How deep it stands under its parents.
    pub(crate) depth: usize,
    pub(crate) seen: Observation,
}

impl Server {
    /// The lasting identity: a guest's is its cluster and number, whatever node it runs on.
    pub(crate) fn key(&self) -> ServerKey {
        match (&self.cluster, self.vmid) {
            (Some(cluster), Some(vmid)) => ServerKey::of_guest(cluster, vmid),
            _ => ServerKey::of_server(&self.id),
        }
    }

    /// Like `key`, to look many up.
    pub(crate) fn whose(&self) -> Whose {
        match (&self.cluster, self.vmid) {
            (Some(cluster), Some(vmid)) => Whose::Guest(cluster.clone(), vmid),
            _ => Whose::Server(self.id.clone()),
        }
    }

    /// What words on a command line can name it by; `wrong`: something is wrong with it.
    fn candidate(&self, wrong: bool) -> Candidate<'_> {
        Candidate {
            id: &self.id,
            kind: self.kind,
            name: &self.name,
            vmid: self.vmid,
            parent: self.parent.as_ref(),
            node: self.node.as_ref(),
            pool: self.pool.as_deref(),
            tags: &self.tags,
            hostname: self.hostname.as_deref().unwrap_or_default(),
            addresses: &self.addresses,
            state: (!self.template).then_some(self.seen.state),
            doing: self.doing(),
            wrong,
        }
    }

    /// Takes what a guest does at this moment, as its own node says it.
    pub(crate) fn see(&mut self, status: &GuestStatus, at: Timestamp) {
        if self.seen.state != status.state {
            self.seen.usage = self.seen.usage.of_guest(status.state);
        }
        self.lock.clone_from(&status.lock);
        self.template = status.template;
        let raw = Some(status.raw.as_str()).filter(|raw| *raw != status.state.as_str());
        self.seen.raw_status = raw.map(|raw| Cow::Owned(raw.to_owned()));
        self.seen.state = status.state;
        (self.seen.at, self.seen.age_seconds, self.seen.lag) = (Some(at), Some(0), None);
        self.seen.reason = None;
    }

    /// What it is doing, where an action is in flight whose wanted state is not seen yet: `waking`.
    pub(crate) fn doing(&self) -> Option<&'static str> {
        self.seen.action.as_ref()?.word(self.kind, self.seen.state)
    }

    /// What people call it: `vm-101 (web)`, `pve1`, `nas (Media)`.
    pub(crate) fn called(&self) -> String {
        let id = match (self.kind.guest(), self.vmid) {
            (Some(kind), Some(vmid)) => format!("{}-{vmid}", kind.short()),
            _ => self.id.to_string(),
        };
        if self.name == id { id } else { format!("{id} ({})", self.name) }
    }

    /// What a person has to know who is to say yes: `pve1-vm-101 (web)`, and `, qemu on pve1, running for 3d04h, managed by HA`.
    pub(crate) fn summary(&self) -> (String, String) {
        let node = self.node.as_ref().filter(|_| self.vmid.is_some());
        let node = node.map(|node| format!(" on {}", node.as_str())).unwrap_or_default();
        let uptime = self.seen.usage.uptime_seconds.filter(|_| self.seen.state.is_up());
        let uptime = uptime.map(|uptime| format!(" for {}", human_seconds(uptime.get()))).unwrap_or_default();
        let ha = if self.ha_state.is_some() { ", managed by HA" } else { "" };
        let Server { id, name, kind, seen, .. } = self;
        let name = if name == id.as_str() { String::new() } else { format!(" ({name})") };
        (format!("{id}{name}"), format!(", {}{node}, {}{uptime}{ha}", kind.as_str(), seen.state))
    }

    /// Until when it sleeps, as people say it: `07:00`.
    pub(crate) fn sleeps_until(&self) -> Option<&str> {
        self.seen.until.as_ref().filter(|until| !until.overdue).map(|until| until.words.as_str())
    }

    /// Whether its own clock should have woken it, and it is silent.
    pub(crate) fn is_overdue(&self) -> bool {
        self.seen.until.as_ref().is_some_and(|until| until.overdue)
    }

    /// Whether its state is worth an alarm: it should be on (or asleep), is not, and nothing is being done about it.
    pub(crate) fn is_alarming(&self) -> bool {
        match (self.expected, self.seen.state) {
            _ if self.seen.action.is_some() => false,
            // Whoever sleeps until a time may, and shall be there afterwards, whatever else is expected.
            (_, PowerState::Asleep | PowerState::Offline) if self.seen.until.is_some() => self.is_overdue(),
            (Expected::Any, _) | (_, PowerState::Online | PowerState::Running) => false,
            (Expected::Asleep, state) => state == PowerState::Unknown,
            (Expected::On, state) => state != PowerState::Asleep,
        }
    }
}

/// What was seen of a server, by whom and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) state: PowerState,
    /// PVE's own word, where it says more than the state.
    pub(crate) raw_status: Option<Cow<'static, str>>,
    pub(crate) source: Source,
    /// When the source saw it.
    pub(crate) at: Option<Timestamp>,
    /// How long before the report that was.
    pub(crate) age_seconds: Option<u64>,
    /// By how much the state may be older than that: where only a listing said it.
    pub(crate) lag: Option<SignedDuration>,
    /// When it was last seen in a state other than unknown or offline.
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) usage: Usage,
    /// Who gave the numbers.
    pub(crate) usage_source: Source,
    /// When they were measured, where that was not when the state was seen.
    pub(crate) usage_at: Option<Timestamp>,
    /// When its services were asked, likewise.
    pub(crate) checks_at: Option<Timestamp>,
    pub(crate) checks: Vec<ServiceCheck>,
    /// Why the state is what it is, where that is not plain.
    pub(crate) reason: Option<String>,
    /// When its own clock wakes it, where ecobox put it to sleep until then and it is silent. Thousands do without.
    pub(crate) until: Option<Box<Until>>,
    /// What ecobox itself is doing to the server at this moment, in this process or another. Thousands do without.
    pub(crate) action: Option<Box<InFlight>>,
    /// Of a host that is awake: for how long nothing has needed it, where somebody looked for that lately.
    pub(crate) idle: Option<Box<IdleRecord>>,
}

impl Observation {
    /// Why the state is what it is, or Proxmox VE's own word where it says more.
    pub(crate) fn why(&self) -> Option<&str> {
        self.reason.as_deref().or(self.word())
    }

    /// Proxmox VE's own word, where it says more than the state. A hibernated guest is one that Proxmox VE calls stopped,
    /// which says less.
    pub(crate) fn word(&self) -> Option<&str> {
        self.raw_status.as_deref().filter(|_| self.state != PowerState::Hibernated)
    }

    /// Not asked, or no answer.
    pub(crate) fn unknown(source: Source) -> Observation {
        Observation {
            state: PowerState::Unknown,
            raw_status: None,
            source,
            at: None,
            age_seconds: None,
            lag: None,
            last_seen: None,
            usage: Usage::default(),
            usage_source: source,
            usage_at: None,
            checks_at: None,
            checks: Vec::new(),
            reason: None,
            until: None,
            action: None,
            idle: None,
        }
    }
}

/// A time until which a host sleeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Until {
    pub(crate) at: Timestamp,
    /// As people say it: `07:00`.
    pub(crate) words: String,
    /// The time is over, and so is the one that the host usually takes.
    pub(crate) overdue: bool,
}

impl Until {
    /// What is said of a host that is still silent.
    pub(crate) fn reproach(&self) -> String {
        format!("it should have woken at {}", self.words)
    }
}

/// The answer of a service.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ServiceCheck {
    pub(crate) name: String,
    pub(crate) port: u16,
    #[serde(rename = "type")]
    pub(crate) kind: ServiceType,
    /// Whether the port accepted a connection; `None`: it was not asked.
    pub(crate) open: Option<bool>,
    /// From the first packet to the accepted connection.
    pub(crate) response_seconds: Option<f64>,
    /// Why it is not open.
    pub(crate) error: Option<String>,
}

/// All servers, in a stable order: as configured, each host followed by its guests by number.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Inventory {
    pub(crate) servers: Vec<Server>,
    pub(crate) failures: Vec<Failed>,
    /// Servers that were not asked, because the words on the command line do not mean them. They are never shown, but
    /// they exist: a word that excludes may name them.
    pub(crate) unasked: Vec<Server>,
    /// Who gave a listing of which some entries could not be read: its cluster has guests that stand nowhere here.
    pub(crate) torn: Vec<ServerId>,
}

impl Inventory {
    /// Sorts: the configuration's order for what has no parent, children under their parents, guests by number.
    pub(crate) fn sort(&mut self) {
        let named: BTreeSet<&ServerId> = self.servers.iter().filter_map(|server| server.parent.as_ref()).collect();
        let places = self.servers.iter().enumerate().filter(|(_, server)| named.contains(&server.id));
        let places: BTreeMap<&ServerId, usize> = places.map(|(i, server)| (&server.id, i)).collect();
        // Few have children, who come in nearly the order that is wanted: each family is sorted for itself.
        let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (i, server) in self.servers.iter().enumerate() {
            let parent = server.parent.as_ref().and_then(|parent| places.get(parent).copied());
            children.entry(parent).or_default().push(i);
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|i| self.servers[*i].vmid);
        }
        let mut order = Vec::with_capacity(self.servers.len());
        let mut next = |parent, depth| {
            let siblings = children.remove(&parent).unwrap_or_default();
            siblings.into_iter().rev().map(move |i| (i, depth))
        };
        let mut waiting: Vec<(usize, usize)> = next(None, 0).collect();
        while let Some((i, depth)) = waiting.pop() {
            order.push(i);
            self.servers[i].depth = depth;
            waiting.extend(next(Some(i), depth + 1));
        }
        // A circle of parents hangs on nothing: the configuration refuses one.
        if order.len() < self.servers.len() {
            let done: HashSet<usize> = order.iter().copied().collect();
            order.extend((0..self.servers.len()).filter(|i| !done.contains(i)));
        }
        // Each cycle of the permutation is walked once: nothing large is copied aside.
        for start in 0..order.len() {
            let mut at = start;
            while order[at] != start {
                let from = order[at];
                self.servers.swap(at, from);
                order[at] = at;
                at = from;
            }
            order[at] = at;
        }
    }
}

impl Inventory {
    /// The places of the servers that words on a command line name. None, where they ask for a state that no server is in.
    ///
    /// # Errors
    /// A word that names nothing, or more than one where one is meant.
    pub(crate) fn chosen(&self, words: &[String]) -> Result<Vec<usize>, SelectError> {
        let mut chosen = select(words, &self.candidates()).map_err(|error| match error {
            SelectError::NotFound { word, .. } if !self.torn.is_empty() => {
                SelectError::Unlisted { word, by: self.torn.clone() }
            }
            error => error,
        })?;
        chosen.retain(|place| *place < self.servers.len());
        Ok(chosen)
    }

    /// The places of the servers that a filter lets through.
    ///
    /// # Errors
    /// Why the text is no filter.
    pub(crate) fn filtered(&self, text: &str) -> Result<Vec<usize>, String> {
        let mut found = filter(text, &self.candidates())?;
        found.retain(|place| *place < self.servers.len());
        Ok(found)
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let all: Vec<&Server> = self.servers.iter().collect();
        let wrong: HashSet<&ServerId> = troubles(&all, &self.failures).iter().map(|trouble| trouble.server).collect();
        self.servers.iter().chain(&self.unasked).map(|server| server.candidate(wrong.contains(&server.id))).collect()
    }

    /// What words on a command line name, with the failures that concern it; without words all of it.
    ///
    /// # Errors
    /// A word that names nothing, or more than one where one is meant.
    pub(crate) fn selected(mut self, words: &[String]) -> Result<Inventory, SelectError> {
        if words.is_empty() {
            return Ok(self);
        }
        let chosen = self.chosen(words)?;
        // A server that failed may be in the state that is asked for.
        let could = whatever_state(words);
        let could: HashSet<ServerId> = match self.chosen(&could) {
            Ok(places) if could != words => places.into_iter().map(|i| self.servers[i].id.clone()).collect(),
            _ => HashSet::new(),
        };
        let mut keep = vec![false; self.servers.len()];
        for i in chosen {
            keep[i] = true;
        }
        let parents: HashMap<_, _> = self.servers.iter().map(|s| (s.id.clone(), s.parent.clone())).collect();
        let mut keep = keep.into_iter();
        self.servers.retain(|_| keep.next() == Some(true));
        // Who is shown without its host stands on its own.
        let mut depths: HashMap<ServerId, usize> = HashMap::new();
        for server in &mut self.servers {
            server.depth = server.parent.as_ref().and_then(|parent| depths.get(parent)).map_or(0, |depth| depth + 1);
            depths.insert(server.id.clone(), server.depth);
        }
        // A guest's own failure is its host's.
        let own = |id: &ServerId| [Some(id.clone()), parents.get(id).cloned().flatten()];
        let shown = self.servers.iter().map(|server| &server.id);
        let concerned: HashSet<_> = shown.chain(&could).flat_map(own).flatten().collect();
        let servers = &self.servers;
        self.failures.retain(|failed| match failed.about {
            None => concerned.contains(&failed.server),
            Some(_) => servers.iter().any(|server| failed.concerns(server)),
        });
        // What stood above may not have been asked for.
        self.sort();
        Ok(self)
    }
}

#[cfg(test)]
pub(crate) mod tests;
