//! Whom a run has to ask: everybody, or only those that the words on the command line can mean.

use std::collections::HashSet;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::reach::api::Group;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::Server;
use crate::model::inventory::server::{ServerKey, ServerKind};
use crate::model::select::whatever_state;
use crate::state::StateError;

/// Whom to ask.
#[derive(Debug, Default)]
pub(crate) enum QueryScope {
    #[default]
    All,
    Only {
        /// Hosts and plain servers that are meant themselves.
        hosts: HashSet<ServerId>,
        /// Hosts of guests that are meant: whether they are there says what is known of these.
        around: HashSet<ServerId>,
        /// Clusters whose listing is needed.
        clusters: HashSet<ClusterId>,
        /// Who is remembered and not meant, where words exclude somebody: see [`Inventory::unasked`].
        unasked: Vec<Server>,
    },
}

impl QueryScope {
    /// Whether this host or plain server is meant itself.
    pub(crate) fn has_host(&self, server: &ServerId) -> bool {
        match self {
            QueryScope::All => true,
            QueryScope::Only { hosts, .. } => hosts.contains(server),
        }
    }

    /// Whether somebody wants to know if this host is there. Others are shown as their cluster lists them.
    pub(crate) fn asks(&self, server: &ServerId) -> bool {
        match self {
            QueryScope::All => true,
            QueryScope::Only { hosts, around, .. } => hosts.contains(server) || around.contains(server),
        }
    }

    /// Who is remembered, was not asked, and is not among `seen`: wherever a guest runs now, it is the same one.
    pub(in crate::fleet) fn unasked(&self, seen: &[Server]) -> Vec<Server> {
        let QueryScope::Only { unasked, .. } = self else { return Vec::new() };
        if unasked.is_empty() {
            return Vec::new();
        }
        let seen: HashSet<ServerKey> = seen.iter().map(Server::key).collect();
        unasked.iter().filter(|server| !seen.contains(&server.key())).cloned().collect()
    }

    /// Whether this cluster's listing is needed.
    pub(crate) fn has_cluster(&self, cluster: &ClusterId) -> bool {
        match self {
            QueryScope::All => true,
            QueryScope::Only { clusters, .. } => clusters.contains(cluster),
        }
    }
}

/// Whether a word means what it spells, so that what is remembered says whom it means: no pattern, no exclusion.
fn is_exact(word: &str) -> bool {
    !word.contains(['*', '?', '[', '=', '!'])
}

impl<'a> Fleet<'a> {
    /// Whom words on a command line can mean, from what is remembered. A word that nobody remembers may be a new
    /// guest: then everybody is asked. A pattern may fit new guests: then every cluster is.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn scope(&self, words: &[String]) -> Result<QueryScope, StateError> {
        // What a server did when it was seen last does not say what it does now.
        let words = &whatever_state(words);
        if words.is_empty() {
            return Ok(QueryScope::All);
        }
        let remembered = self.remembered()?;
        let excludes = words.iter().any(|word| word.contains('!'));
        let mut unasked = if excludes { remembered.servers.clone() } else { Vec::new() };
        let Ok(meant) = remembered.selected(words) else { return Ok(QueryScope::All) };
        let ids: HashSet<&ServerId> = meant.servers.iter().map(|server| &server.id).collect();
        unasked.retain(|server| !ids.contains(&server.id));
        let is_host = |kind: ServerKind| kind.guest().is_none();
        let mut clusters: HashSet<ClusterId> = meant.servers.iter().filter_map(|s| s.cluster.clone()).collect();
        if !words.iter().all(|word| is_exact(word)) {
            clusters.extend(self.groups().into_iter().map(|group| group.cluster));
        }
        let around = meant.servers.iter().filter(|server| !is_host(server.kind)).filter_map(|s| s.parent.clone());
        let around = around.collect();
        let hosts = meant.servers.into_iter().filter(|server| is_host(server.kind)).map(|server| server.id);
        Ok(QueryScope::Only { hosts: hosts.collect(), around, clusters, unasked })
    }

    /// Like `scope`, with what those servers hang on, which may have to be woken; `and_below`: and with what hangs on them.
    /// Servers that are to be changed are waited for in full.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn scope_around(&self, words: &[String], and_below: bool) -> Result<QueryScope, StateError> {
        let (mut hosts, around, mut clusters, unasked) = match self.scope(words)? {
            QueryScope::All => return Ok(QueryScope::All),
            QueryScope::Only { hosts, around, clusters, unasked } => (hosts, around, clusters, unasked),
        };
        for host in &hosts {
            self.be_patient_with(host);
        }
        loop {
            let known = hosts.len() + clusters.len();
            for server in self.hosts() {
                let cluster = self.is_pve(server).then(|| self.cluster_of(&server.id));
                let meant = |server: &ServerId, cluster: Option<&ClusterId>| {
                    hosts.contains(server) || cluster.is_some_and(|cluster| clusters.contains(cluster))
                };
                if let (true, Some(parent)) = (meant(&server.id, cluster.as_ref()), &server.parent_server_id) {
                    hosts.insert(parent.clone());
                } else if and_below && server.parent_server_id.as_ref().is_some_and(|parent| hosts.contains(parent)) {
                    hosts.insert(server.id.clone());
                }
                if hosts.contains(&server.id) {
                    clusters.extend(cluster);
                }
            }
            if hosts.len() + clusters.len() == known {
                return Ok(QueryScope::Only { hosts, around, clusters, unasked });
            }
        }
    }

    /// The clusters to ask, and the plain servers.
    pub(in crate::fleet) fn to_ask(&self, scope: &QueryScope) -> (Vec<Group<'a>>, Vec<&'a ServerConfig>) {
        let groups = self.groups();
        let in_clusters = |server: &ServerConfig| groups.iter().any(|group| group.has(&server.id));
        let plain = self.hosts().filter(|server| !in_clusters(server) && scope.has_host(&server.id)).collect();
        (groups.into_iter().filter(|group| scope.has_cluster(&group.cluster)).collect(), plain)
    }
}

#[cfg(test)]
mod tests;
