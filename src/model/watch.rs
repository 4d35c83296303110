//! The fleet as it was seen last: many looks, each at one part of it, merged into one inventory; and what changed.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::model::guest::GuestStatus;
use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Failed, FailureKind, Inventory, Server};
use crate::model::load::usage::{Source, Usage};
use crate::model::power::PowerState;
use crate::model::power::outcome::InFlight;

/// What is looked at in one piece: a cluster with its hosts and guests, or one plain server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Cluster(ClusterId),
    Server(ServerId),
}

impl Part {
    fn has(&self, server: &Server) -> bool {
        match (self, &server.cluster) {
            (Part::Cluster(part), Some(cluster)) => part == cluster,
            (Part::Server(part), None) => *part == server.id,
            _ => false,
        }
    }
}

/// What a watcher receives, piece by piece.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What the fleet consists of: said first, and again when it turns out to be otherwise.
    Parts(Vec<Part>),
    Look(Look),
    Load(Load),
    /// When a part is looked at next.
    Next(Part, Timestamp),
    Notice(Notice),
}

/// What the user should be told besides a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    /// Something is lost: that is said even to those who want to hear little.
    pub(crate) is_loss: bool,
}

/// One look at one part: all its servers, and the servers that could not be asked.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) part: Part,
    pub(crate) servers: Vec<Server>,
    pub(crate) failures: Vec<Failed>,
    pub(crate) at: Timestamp,
}

/// How hard a host works, from a script on it; or why that is not known.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) server: ServerId,
    pub(crate) source: Source,
    pub(crate) usage: Result<Usage, Failed>,
    pub(crate) at: Timestamp,
}

/// What is not as it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Added {
        id: ServerId,
    },
    /// As it was seen last.
    Gone {
        server: Box<Server>,
    },
    /// A guest that is on another host now: its id is another one.
    Moved {
        id: ServerId,
        from: ServerId,
    },
    State {
        id: ServerId,
        from: PowerState,
        to: PowerState,
    },
    /// A service answers, or does so no more. `from` is `None` where it was not asked before.
    Service {
        id: ServerId,
        service: String,
        from: Option<bool>,
        to: bool,
    },
    /// ecobox began to do something to it, or ended.
    Action {
        id: ServerId,
        from: Option<InFlight>,
        to: Option<InFlight>,
    },
    Failure(Failed),
    Recovered {
        id: ServerId,
    },
}

/// What is known of one part.
#[derive(Debug, Default)]
struct PartSeen {
    looks: u64,
    failures: Vec<Failed>,
}

/// The fleet as it was seen last.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    inventory: Inventory,
    parts: Vec<(Part, PartSeen)>,
    /// The configuration's order of what is no guest.
    order: HashMap<ServerId, usize>,
    loads: HashMap<ServerId, Load>,
}

impl Watched {
    /// What is remembered stands until it is looked at.
    pub(crate) fn new(remembered: Inventory) -> Watched {
        let hosts = remembered.servers.iter().filter(|server| server.vmid.is_none());
        let order = hosts.enumerate().map(|(i, server)| (server.id.clone(), i)).collect();
        Watched { inventory: Inventory { failures: Vec::new(), ..remembered }, order, ..Watched::default() }
    }

    /// All servers as they were seen last, hosts with their guests under them, and the servers that cannot be asked.
    pub(crate) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// How often everything was looked at.
    pub(crate) fn rounds(&self) -> u64 {
        self.parts.iter().map(|(_, seen)| seen.looks).min().unwrap_or_default()
    }

    /// Says of each server how long ago it was seen.
    pub(crate) fn age(&mut self, now: Timestamp) {
        for server in &mut self.inventory.servers {
            // Unknown for a stamp from the future, which a wrong clock made.
            server.seen.age_seconds = server.seen.at.and_then(|at| now.duration_since(at).as_secs().try_into().ok());
        }
    }

    /// These are all the parts. Servers of no part are not of the fleet that is watched.
    pub(crate) fn parts(&mut self, parts: Vec<Part>) -> Vec<Change> {
        let had = std::mem::take(&mut self.parts);
        let first = had.is_empty();
        let mut had: HashMap<Part, PartSeen> = had.into_iter().collect();
        self.parts = parts.into_iter().map(|part| (part.clone(), had.remove(&part).unwrap_or_default())).collect();
        let (kept, lost) = std::mem::take(&mut self.inventory.servers)
            .into_iter()
            .partition(|server| self.parts.iter().any(|(part, _)| part.has(server)));
        self.inventory.servers = kept;
        self.inventory.sort();
        let mut changes = Vec::new();
        if first {
            self.inventory.unasked = lost;
        } else {
            changes.extend(lost.into_iter().map(|server| Change::Gone { server: Box::new(server) }));
            changes.extend(self.note_failures());
        }
        changes
    }

    /// Takes a look: its servers replace those of the part. A part that is no more changes nothing.
    pub(crate) fn look(&mut self, look: Look) -> Vec<Change> {
        let Look { part, mut servers, failures, at: _ } = look;
        let Some((_, seen)) = self.parts.iter_mut().find(|(known, _)| *known == part) else { return Vec::new() };
        seen.looks += 1;
        seen.failures = failures;
        for server in &mut servers {
            if let Some(load) = self.loads.get(&server.id) {
                apply(load, server);
            }
        }
        let (before, others) = std::mem::take(&mut self.inventory.servers).into_iter().partition(|s| part.has(s));
        self.inventory.servers = others;
        let mut changes = changes(before, &servers);
        self.inventory.servers.append(&mut servers);
        // Hosts in the configuration's order; guests have the order of their numbers.
        let order = &self.order;
        self.inventory.servers.sort_by_key(|server| order.get(&server.id).copied().unwrap_or(usize::MAX));
        self.inventory.sort();
        changes.extend(self.note_failures());
        changes
    }

    /// Takes the actions in flight, also of other processes, and says what that changes.
    pub(crate) fn actions(&mut self, in_flight: &BTreeMap<ServerKey, InFlight>) -> Vec<Change> {
        let mut changes = Vec::new();
        for server in &mut self.inventory.servers {
            // Most often there are none.
            if in_flight.is_empty() && server.seen.action.is_none() {
                continue;
            }
            let now = in_flight.get(&server.key());
            if server.seen.action.as_deref() != now {
                let to = now.cloned();
                let from = std::mem::replace(&mut server.seen.action, to.clone().map(Box::new));
                changes.push(Change::Action { id: server.id.clone(), from: from.map(|from| *from), to });
            }
        }
        changes
    }

    /// Takes what a guest's own node says that it does, and says what that changes.
    pub(crate) fn see(&mut self, guest: &ServerId, status: &GuestStatus, at: Timestamp) -> Vec<Change> {
        let Some(server) = self.inventory.servers.iter_mut().find(|server| server.id == *guest) else {
            return Vec::new();
        };
        let before = server.clone();
        server.see(status, at);
        let mut changes = Vec::new();
        compare(&before, server, &mut changes);
        changes
    }

    /// Takes what a script on a host said.
    pub(crate) fn load(&mut self, load: Load) -> Vec<Change> {
        if let Some(server) = self.inventory.servers.iter_mut().find(|server| server.id == load.server) {
            apply(&load, server);
        }
        self.loads.insert(load.server.clone(), load);
        self.note_failures()
    }

    /// Puts all failures together, and says what is new of them.
    fn note_failures(&mut self) -> Vec<Change> {
        let mut failures: Vec<Failed> = self.parts.iter().flat_map(|(_, seen)| &seen.failures).cloned().collect();
        // A server that does not answer at all is reported as a whole.
        let up = self.inventory.servers.iter().filter(|server| server.vmid.is_none() && server.seen.state.is_up());
        for server in up {
            if let Some(Load { usage: Err(failed), .. }) = self.loads.get(&server.id) {
                failures.push(failed.clone());
            }
        }
        let before = std::mem::replace(&mut self.inventory.failures, failures);
        let after = &self.inventory.failures;
        // The words may differ each time: `no answer within 4.9 s`.
        let kinds = |failures: &[Failed]| -> HashSet<(ServerId, FailureKind)> {
            failures.iter().map(|failed| (failed.server.clone(), failed.kind)).collect()
        };
        let (known, mut told) = (kinds(&before), HashSet::new());
        let mut changes = Vec::new();
        for failed in after {
            let what = (failed.server.clone(), failed.kind);
            if !known.contains(&what) && told.insert(what) {
                changes.push(Change::Failure(failed.clone()));
            }
        }
        let mut well = HashSet::new();
        for failed in before {
            if !after.iter().any(|other| other.server == failed.server) && well.insert(failed.server.clone()) {
                changes.push(Change::Recovered { id: failed.server });
            }
        }
        changes
    }
}

/// Puts what a host itself says beside what a listing says of it: where both have a number, the newer one counts.
fn apply(load: &Load, server: &mut Server) {
    let (Ok(own), true) = (&load.usage, server.vmid.is_none() && server.seen.state.is_up()) else { return };
    let listed = server.seen.usage;
    let is_newer = server.seen.at.is_some_and(|at| at > load.at);
    if is_newer && listed != Usage::default() {
        server.seen.usage = listed.or(*own);
    } else {
        server.seen.usage = own.or(listed);
        server.seen.usage_source = load.source;
    }
}

/// What lasts of a server, borrowed: a guest's cluster and number, whatever host it is on.
#[derive(PartialEq, Eq, Hash)]
enum Lasting<'a> {
    Guest(&'a ClusterId, VmId),
    Server(&'a ServerId),
}

impl<'a> Lasting<'a> {
    fn of(server: &'a Server) -> Lasting<'a> {
        match (&server.cluster, server.vmid) {
            (Some(cluster), Some(vmid)) => Lasting::Guest(cluster, vmid),
            _ => Lasting::Server(&server.id),
        }
    }
}

fn changes(before: Vec<Server>, after: &[Server]) -> Vec<Change> {
    let mut changes = Vec::new();
    let now: HashMap<Lasting<'_>, &Server> = after.iter().map(|server| (Lasting::of(server), server)).collect();
    let known: HashSet<Lasting<'_>> = before.iter().map(Lasting::of).collect();
    let added = after.iter().filter(|server| !known.contains(&Lasting::of(server)));
    changes.extend(added.map(|server| Change::Added { id: server.id.clone() }));
    let mut gone = Vec::new();
    for server in before {
        match now.get(&Lasting::of(&server)) {
            Some(now) => compare(&server, now, &mut changes),
            None => gone.push(Change::Gone { server: Box::new(server) }),
        }
    }
    changes.extend(gone);
    changes
}

fn compare(before: &Server, now: &Server, changes: &mut Vec<Change>) {
    let id = || now.id.clone();
    if before.id != now.id {
        changes.push(Change::Moved { id: id(), from: before.id.clone() });
    }
    let (was, is) = (&before.seen, &now.seen);
    if was.action != is.action {
        changes.push(Change::Action {
            id: id(),
            from: was.action.as_deref().cloned(),
            to: is.action.as_deref().cloned(),
        });
    }
    if was.state != is.state {
        changes.push(Change::State { id: id(), from: was.state, to: is.state });
    }
    for check in &is.checks {
        let earlier = was.checks.iter().find(|earlier| earlier.name == check.name && earlier.port == check.port);
        let from = earlier.and_then(|earlier| earlier.open);
        if let Some(to) = check.open.filter(|to| from != Some(*to)) {
            changes.push(Change::Service { id: id(), service: check.name.clone(), from, to });
        }
    }
}
