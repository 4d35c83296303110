//! How much of the time everything was there, from what earlier runs saw.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::model::inventory::Server;
use crate::model::inventory::server::{Expected, ServerKey};
use crate::model::past::availability::confirmed::{Timeline, state_after, without_echoes};
use crate::model::past::availability::{Availability, Halt, PowerHistory, StateChange, halts};
use crate::model::past::percentile::Histogram;
use crate::model::power::PowerState;
use crate::model::power::outcome::ActionOutcome;
use crate::state::{CheckHistory, Moves, StateError};

/// The past of one server or of one of its services.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// `None`: the server itself.
    pub(crate) service: Option<String>,
    pub(crate) availability: Availability,
    /// Of a service: whether it answered the last time.
    pub(crate) answers: Option<bool>,
    /// How often it was asked, and how often it answered.
    pub(crate) checks: u64,
    pub(crate) checks_ok: u64,
    /// How long the answers took: half of them, 95 of 100 of them at most.
    pub(crate) response_p50_millis: Option<f64>,
    pub(crate) response_p95_millis: Option<f64>,
}

/// What the state file knows of all servers, for a window.
struct Memory {
    /// Changes that were seen, and by how much each may be older.
    changes: HashMap<ServerKey, Vec<(StateChange, SignedDuration)>>,
    /// Where guests were before they moved.
    moves: Moves,
    /// The configured hosts by the nodes that they are.
    hosts: HashMap<(ClusterId, NodeName), ServerId>,
    /// The last state of each, since when, and when somebody looked.
    present: HashMap<ServerKey, (PowerState, Timestamp, Timestamp)>,
    /// What actions are known to have done, the oldest first, by the verb.
    done: HashMap<ServerKey, Vec<(Timestamp, String)>>,
    checks: BTreeMap<ServerKey, Vec<CheckHistory>>,
    /// When each cluster was listed: all its members and guests were seen then.
    listed: HashMap<ClusterId, Vec<Timestamp>>,
}

impl Fleet<'_> {
    /// The past of each server, itself first, then its services by name.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn records(
        &self,
        servers: &[Server],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Vec<Record>>, StateError> {
        let memory = self.memory_of(since, until)?;
        Ok(servers.iter().map(|server| memory.records(server, since, until)).collect())
    }

    fn memory_of(&self, since: Timestamp, until: Timestamp) -> Result<Memory, StateError> {
        let mut changes: HashMap<ServerKey, Vec<(StateChange, SignedDuration)>> = HashMap::new();
        let before = self.state.last_events_before(since)?.into_values();
        for event in before.chain(self.state.events(since)?) {
            changes.entry(event.server).or_default().push(((event.at, event.from, event.to), event.lag));
        }
        let states = self.state.states()?.into_iter().map(|(key, known)| (key, (known.state, known.since, known.at)));
        let mut present: HashMap<ServerKey, (PowerState, Timestamp, Timestamp)> = states.collect();
        // A look before the window speaks into it.
        let earlier = since.checked_sub(SignedDuration::from_hours(1)).unwrap_or(since);
        let mut checks: BTreeMap<ServerKey, Vec<CheckHistory>> = BTreeMap::new();
        for history in self.state.check_history(earlier, until)? {
            checks.entry(history.server.clone()).or_default().push(history);
        }
        let (mut listed, mut hosts) = (HashMap::new(), HashMap::new());
        for group in self.groups() {
            for guest in self.state.guests(&group.cluster)? {
                let since = guest.changed_at;
                present.insert(key_of(&group.cluster, guest.vmid), (guest.known_state, since, guest.last_seen));
            }
            let own = |history: &&CheckHistory| history.service.is_empty();
            let members = group.members.iter().filter_map(|server| checks.get(&ServerKey::of_server(&server.id)));
            let answered = members.flatten().filter(own).flat_map(|history| looks(history, true));
            let nodes = self.parents(&group).into_iter();
            hosts.extend(nodes.map(|(node, host)| ((group.cluster.clone(), node), host)));
            listed.insert(group.cluster, answered.collect());
        }
        let moves = self.state.moves(since)?;
        Ok(Memory { changes, moves, hosts, present, done: self.done(since, until)?, checks, listed })
    }

    /// What actions are known to have done: the state that each wanted was seen when it ended. A look since has those of
    /// the days before.
    fn done(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<HashMap<ServerKey, Vec<(Timestamp, String)>>, StateError> {
        let before = since.checked_sub(SignedDuration::from_hours(24)).unwrap_or(since);
        let mut done: HashMap<ServerKey, Vec<(Timestamp, String)>> = HashMap::new();
        for action in self.state.actions(before, until)? {
            if action.outcome != ActionOutcome::Done.as_str() {
                continue;
            }
            let took = SignedDuration::try_from_secs_f64(action.seconds.unwrap_or_default()).unwrap_or_default();
            let ended = action.at.checked_add(took).unwrap_or(action.at);
            if let Some(server) = action.server {
                done.entry(server).or_default().push((ended, action.action));
            }
        }
        Ok(done)
    }
}

fn key_of(cluster: &ClusterId, vmid: VmId) -> ServerKey {
    ServerKey::of_guest(cluster, vmid)
}

/// When somebody looked; of older times the hours in which somebody did. With `answered` only looks that were answered.
fn looks(history: &CheckHistory, answered: bool) -> Vec<Timestamp> {
    let each = history.looks.iter().filter(|(_, ok)| *ok || !answered).map(|(at, _)| *at);
    let hours = history.hours.iter().filter(|hour| hour.counts.ok > 0 || !answered).map(|hour| hour.counts.begin);
    hours.chain(each).collect()
}

impl Memory {
    /// What was seen of a server's power, and what actions brought about.
    fn timeline(&self, key: &ServerKey, is_guest: bool) -> Timeline {
        let present = self.present.get(key);
        let done = self.done.get(key).into_iter().flatten();
        let done: Vec<_> = done.filter_map(|(at, action)| Some((*at, state_after(action, is_guest)?))).collect();
        let seen = Timeline {
            changes: without_echoes(self.changes.get(key).map_or(&[], Vec::as_slice), &done),
            present: present.map(|(state, since, _)| (*state, *since)),
        };
        seen.with(&done, present.map(|(_, _, looked_at)| *looked_at))
    }

    /// The configured hosts that a guest was on, from when to when, the oldest first.
    fn places<'a>(&'a self, server: &'a Server) -> Vec<(i64, i64, &'a ServerId)> {
        let (Some(cluster), Some(_)) = (&server.cluster, server.vmid) else { return Vec::new() };
        let host_of = |node: &NodeName| self.hosts.get(&(cluster.clone(), node.clone()));
        let (mut places, mut begin) = (Vec::new(), i64::MIN);
        for (at, before) in self.moves.get(&server.key()).into_iter().flatten() {
            places.extend(host_of(before).map(|host| (begin, at.as_second(), host)));
            begin = at.as_second();
        }
        // Which node a lone host is may not be known.
        let own = || server.parent.as_ref().filter(|parent| !self.hosts.values().any(|host| host == *parent));
        let now = server.node.as_ref().and_then(host_of).or_else(own);
        places.extend(now.map(|host| (begin, i64::MAX, host)));
        places
    }

    fn records(&self, server: &Server, since: Timestamp, until: Timestamp) -> Vec<Record> {
        let key = server.key();
        let checks = self.checks.get(&key).map_or(&[][..], Vec::as_slice);
        let own = checks.iter().find(|history| history.service.is_empty());
        let mut seen: Vec<Timestamp> = own.map(|own| looks(own, false)).unwrap_or_default();
        seen.extend(server.cluster.iter().filter_map(|cluster| self.listed.get(cluster)).flatten());
        let timeline = self.timeline(&key, server.vmid.is_some());
        let mut halted = Vec::new();
        for (begin, end, host) in self.places(server) {
            let host = ServerKey::of_server(host);
            let of_host = self.timeline(&host, false);
            let halts = halts(&of_host.changes, of_host.present).into_iter();
            let here: Vec<Halt> = halts.filter_map(|halt| halt.within(begin, end)).collect();
            // Who looked at a host that sleeps knows of its guests, too.
            let own = self.checks.get(&host).into_iter().flatten().filter(|history| history.service.is_empty());
            let within = |at: &Timestamp| here.iter().any(|halt| (halt.begin..halt.end).contains(&at.as_second()));
            seen.extend(own.flat_map(|own| looks(own, false)).filter(within));
            halted.extend(here);
        }
        let observed = PowerHistory {
            changes: &timeline.changes,
            present: timeline.present,
            looks: &seen,
            expected: server.expected,
            host: &halted,
        };
        let mut availability = Availability::of_server(since, until, &observed);
        let lags = self.changes.get(&key).into_iter().flatten().map(|((at, ..), lag)| (*at, *lag));
        availability.doubt(&lags.collect::<Vec<_>>());
        let itself = own.map(|own| counted(own, since)).unwrap_or_default();
        let services = checks.iter().filter(|history| !history.service.is_empty());
        let services = services.map(|history| Record {
            service: Some(history.service.clone()),
            availability: of_service(history, since, until, server.expected),
            answers: history.switches.last().map(|(_, ok)| *ok),
            ..counted(history, since)
        });
        std::iter::once(Record { availability, ..itself }).chain(services).collect()
    }
}

/// A service is on while it answers, and expected to be unless its server is expected to be asleep.
fn of_service(history: &CheckHistory, since: Timestamp, until: Timestamp, server: Expected) -> Availability {
    let state = |ok| if ok { PowerState::Online } else { PowerState::Offline };
    let change = |pair: &[(Timestamp, bool)]| match pair {
        [(_, before), (at, after)] => Some((*at, state(*before), state(*after))),
        _ => None,
    };
    let changes: Vec<StateChange> = history.switches.windows(2).filter_map(change).collect();
    let observed = PowerHistory {
        changes: &changes,
        present: history.switches.last().map(|(at, ok)| (state(*ok), *at)),
        looks: &looks(history, false),
        expected: if server == Expected::Asleep { server } else { Expected::On },
        host: &[],
    };
    Availability::of_server(since, until, &observed)
}

/// How often something was asked and how fast it answered, in the window itself.
fn counted(history: &CheckHistory, since: Timestamp) -> Record {
    let mut millis = Histogram::default();
    let (mut ok, mut failed) = (0, 0);
    for hour in history.hours.iter().filter(|hour| hour.counts.begin >= since) {
        ok += u64::from(hour.counts.ok);
        failed += u64::from(hour.counts.failed);
        millis.merge(&hour.millis);
    }
    for (_, answered) in history.looks.iter().filter(|(at, _)| *at >= since) {
        if *answered { ok += 1 } else { failed += 1 }
    }
    for (_, took) in history.millis.iter().filter(|(at, _)| *at >= since) {
        millis.add(*took);
    }
    Record {
        checks: ok + failed,
        checks_ok: ok,
        response_p50_millis: millis.quantile(0.5),
        response_p95_millis: millis.quantile(0.95),
        ..Record::default()
    }
}
