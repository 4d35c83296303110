//! The use cases: which transport for which server, in parallel, with deadlines.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub(crate) mod act;
pub(crate) mod advice;
mod backoff;
pub(crate) mod discover;
pub(crate) mod doctor;
#[cfg(any(test, fuzzing))]
pub(crate) mod foreign;
pub(crate) mod host;
pub(crate) mod lease;
pub(crate) mod monitor;
pub(crate) mod observe;
pub(crate) mod onboard;
pub(crate) mod past;
pub(crate) mod reach;
pub(crate) mod upkeep;
pub(crate) mod watch;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Access, Config, ServerConfig};
use crate::file;
use crate::model::host::facts::HostFacts;
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::text::moment::clock_words;
use crate::model::watch::Notice;
use crate::state::{State, StateError};
use crate::transport::pve::Client;
use crate::transport::ssh::Ask;

/// What one host may take, and what it may take where a deadline is given.
const USUAL_SHARE: Duration = Duration::from_secs(20);
const LONGEST_SHARE: Duration = Duration::from_secs(120);

/// Deadlines of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The whole command.
    pub(crate) total: Duration,
    /// All that is asked of one host.
    pub(crate) host: Duration,
    /// One host's listing.
    pub(crate) listing: Duration,
    /// One service's port.
    pub(crate) probe: Duration,
    /// One guest's addresses: PVE itself waits 3 s for an agent that hangs, and 5 s more for its answer.
    pub(crate) agent: Duration,
    /// When asking must have ended.
    until: Instant,
    /// What the user set for the whole command.
    pub(crate) given: Option<Duration>,
}

impl Limits {
    /// The usual deadlines, shortened where the whole command has less time.
    pub(crate) fn new(given: Option<Duration>) -> Limits {
        let total = given.unwrap_or(Duration::from_secs(60));
        // A tenth is left to say what happened.
        let most = total * 9 / 10;
        Limits {
            total,
            // Who sets a longer deadline has the patience, for a login that asks a person, too; not for a host that hangs
            // while others are waited for by the hour.
            host: given.map_or(USUAL_SHARE, |_| LONGEST_SHARE).min(most),
            // After a host that hangs its ports are asked, and after a listing the guests.
            listing: Duration::from_secs(20).min(most / 2),
            probe: Duration::from_secs(3).min(most / 4),
            agent: Duration::from_secs(10).min(most),
            until: Instant::now() + most,
            given,
        }
    }

    /// Like `new`, for a command that waits for servers: each wait has its own deadline, and the whole has none.
    pub(crate) fn open_ended(self) -> Limits {
        Limits { until: Instant::now() + Duration::from_secs(365 * 24 * 3600), ..self }
    }

    /// For one file of this machine: less than a listing has, so that what is missing is named.
    pub(crate) fn file(&self) -> Duration {
        self.left(file::PATIENCE.min(self.listing * 3 / 4))
    }

    /// This client with the command's own deadline.
    pub(crate) fn bound(&self, client: Client) -> Client {
        client.within(self.until, self.total)
    }

    /// `wanted`, or what the whole command has left where that is less.
    pub(crate) fn left(&self, wanted: Duration) -> Duration {
        wanted.min(self.until.saturating_duration_since(Instant::now()))
    }
}

/// What the state file knew when the run began.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) facts: HashMap<ServerId, HostFacts>,
    pub(crate) members: HashMap<ServerId, (ClusterId, Option<NodeName>)>,
    /// Those of them that were never checked.
    pub(crate) unchecked: HashSet<ServerId>,
}

/// The servers of the configuration, what is known of them, and the means to reach them.
pub(crate) struct Fleet<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) ask: &'a dyn Ask,
    pub(crate) limits: Limits,
    pub(crate) known: RefCell<Known>,
    /// What the user should be told besides the report, in the order it came up.
    pub(crate) notices: RefCell<Vec<Notice>>,
    /// Keys and `ssh_config` answers, read once for all hosts.
    pub(crate) ssh: reach::session::Shared,
    /// Connections to APIs that stand between two looks.
    kept: RefCell<HashMap<ServerId, Client>>,
    /// Who was off when somebody looked last; read when it is first asked for.
    off: RefCell<Option<observe::knock::Off>>,
    /// What came of knocking at them.
    knocks: RefCell<HashMap<ServerId, observe::knock::Knock>>,
    /// The servers whose token lies among systemd's credentials, with its place.
    credentials: HashMap<ServerId, PathBuf>,
}

impl<'a> Fleet<'a> {
    /// Reads what is known of the configured servers, and looks for whom systemd has credentials.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn open(
        config: &'a Config,
        state: &'a State,
        ask: &'a dyn Ask,
        limits: Limits,
    ) -> Result<Fleet<'a>, StateError> {
        let mut fleet = Fleet::without_credentials(config, state, ask, limits)?;
        match reach::api::credentials(config.servers.iter(), limits.file()).await {
            Ok(credentials) => fleet.credentials = credentials,
            Err(error) => fleet.notice(format!("cannot look into $CREDENTIALS_DIRECTORY: {error}")),
        }
        Ok(fleet)
    }

    /// Reads what is known of the configured servers.
    fn without_credentials(
        config: &'a Config,
        state: &'a State,
        ask: &'a dyn Ask,
        limits: Limits,
    ) -> Result<Fleet<'a>, StateError> {
        let (facts, members) = state.at_once(|| Ok((state.all_facts()?, state.members()?)))?;
        let facts = facts.into_iter().map(|(id, (facts, _))| (id, facts)).collect();
        let unchecked = members.iter().filter(|member| !member.checked).map(|member| member.server.clone()).collect();
        let members = members.into_iter().map(|m| (m.server, (m.cluster, m.node))).collect();
        let ssh = reach::session::Shared::new(config);
        Ok(Fleet {
            config,
            state,
            ask,
            limits,
            known: RefCell::new(Known { facts, members, unchecked }),
            notices: RefCell::default(),
            ssh,
            kept: RefCell::default(),
            off: RefCell::default(),
            knocks: RefCell::default(),
            credentials: HashMap::new(),
        })
    }

    /// The time, for stamps. One place, so that a run's stamps agree with its clock.
    #[expect(clippy::unused_self, reason = "who has a fleet has its clock")]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// A moment as whoever sits at this machine says it: `07:00`.
    pub(crate) fn clock_words(&self, at: Timestamp) -> String {
        clock_words(at, &self.now().to_zoned(TimeZone::system()))
    }

    /// Takes a line for the user.
    pub(crate) fn notice(&self, line: String) {
        self.notices.borrow_mut().push(Notice { text: line, is_loss: false });
    }

    /// Takes a line for the user about something that is lost.
    pub(crate) fn loss(&self, line: String) {
        self.notices.borrow_mut().push(Notice { text: line, is_loss: true });
    }

    /// Whether this server has a Proxmox VE API: it is configured so, or a visit or a token showed it.
    pub(crate) fn is_pve(&self, server: &ServerConfig) -> bool {
        let known = self.known.borrow();
        server.access == Access::Api
            || known.members.contains_key(&server.id)
            || known.facts.get(&server.id).is_some_and(|facts| facts.pve().is_some())
            || self.has_given_token(server)
    }

    /// The cluster that a server belongs to, as far as is known.
    pub(crate) fn cluster_of(&self, server: &ServerId) -> ClusterId {
        let known = self.known.borrow();
        known.members.get(server).map_or_else(|| ClusterId::of_host(server), |(cluster, _)| cluster.clone())
    }

    /// The node that a configured server is, as far as is known.
    pub(crate) fn node_of(&self, server: &ServerId) -> Option<NodeName> {
        let known = self.known.borrow();
        let member = known.members.get(server).and_then(|(_, node)| node.clone());
        member.or_else(|| known.facts.get(server)?.pve()?.node.clone())
    }

    /// Remembers which cluster and node a server is.
    pub(crate) fn learn_member(
        &self,
        server: &ServerId,
        cluster: &ClusterId,
        node: Option<&NodeName>,
    ) -> Result<(), StateError> {
        self.state.put_member(server, cluster, node, self.now())?;
        let mut known = self.known.borrow_mut();
        known.members.insert(server.clone(), (cluster.clone(), node.cloned()));
        known.unchecked.remove(server);
        Ok(())
    }

    /// Remembers which node of its cluster a server is; if its membership is unproven, that stays so.
    pub(crate) fn learn_node(
        &self,
        server: &ServerId,
        cluster: &ClusterId,
        node: Option<&NodeName>,
    ) -> Result<(), StateError> {
        if !self.is_doubtful(server) {
            return self.learn_member(server, cluster, node);
        }
        self.state.put_node(server, node)?;
        self.known.borrow_mut().members.insert(server.clone(), (cluster.clone(), node.cloned()));
        Ok(())
    }

    /// The configured servers that are hosts or plain servers: all but those that only add to a guest.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &'a ServerConfig> {
        self.config.servers.iter().filter(|server| server.guest_ref().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_take_as_long_as_the_deadline_that_was_given() {
        for (given, host) in [(None, 20), (Some(10), 9), (Some(60), 54), (Some(100), 90), (Some(3600), 120)] {
            let limits = Limits::new(given.map(Duration::from_secs));
            assert_eq!(limits.host, Duration::from_secs(host), "{given:?}");
            assert!(limits.left(limits.host) <= limits.host && limits.open_ended().left(limits.host) == limits.host);
        }
    }
}
