//! Who belongs to which cluster. What a server says of itself is no proof: its node, its CA and its fellows are public.
//! Before it gets a cluster's token, or counts as one of its members, it has shown a certificate that only a node of
//! that cluster can have the key of:
//!
//! - one that the cluster's CA issued for the node's name (`proven`), or
//! - one that a member lists as this node's, and the member presented one that this server knows as its fellow's
//!   (`vouched`): each names the other, so none can make itself a member by its own word.
//!
//! The host on which the cluster's token was made knows it anyway. All others are clusters of their own.

mod by_ssh;
mod unproven;

use std::time::Duration;

use futures::future::join_all;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::reach::api::{Group, Listed};
use crate::model::access::certificate::Fingerprint;
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::{Client, Presented};

pub(crate) use by_ssh::Shown;

/// What one server says of its cluster's nodes, and what it presented when it said so.
#[derive(Debug)]
pub(crate) struct CertifiedNodes {
    /// The node that answered.
    pub(crate) own: Option<NodeName>,
    /// Its certificate, whose key it has.
    presented: Option<Presented>,
    all: Vec<(NodeName, Option<Fingerprint>)>,
}

impl CertifiedNodes {
    /// Whether both are surely of one cluster: each lists the certificate that the other presented. Behind a proxy, whose
    /// certificate is no node's, it has to be one and the same, in front of the same nodes.
    fn is_with(&self, other: &CertifiedNodes) -> bool {
        let (Some(mine), Some(theirs)) = (&self.presented, &other.presented) else { return false };
        let mutual = self.lists(theirs.leaf) && other.lists(mine.leaf);
        mutual || (mine.leaf == theirs.leaf && self.all == other.all)
    }

    fn lists(&self, leaf: Fingerprint) -> bool {
        self.all.iter().any(|(_, fingerprint)| *fingerprint == Some(leaf))
    }

    /// Whether this node is listed with this certificate.
    fn names(&self, node: &NodeName, leaf: Fingerprint) -> bool {
        self.all.iter().any(|(name, fingerprint)| name == node && *fingerprint == Some(leaf))
    }
}

/// What a server says of its cluster's nodes. Which of them it is, is said by the certificate that it presents if only
/// one node has that; else, as with a wildcard's or a proxy's, by its own word.
async fn certified(client: &Client) -> Result<CertifiedNodes, Error> {
    let nodes = client.nodes().await?;
    let presented = client.presented();
    let mut all: Vec<_> = nodes.into_iter().map(|node| (node.name, node.fingerprint)).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut same = all.iter().filter(|(_, fingerprint)| {
        let presented = presented.as_ref().map(|presented| presented.leaf);
        presented.is_some() && *fingerprint == presented
    });
    let own = match (same.next(), same.next(), all.as_slice()) {
        (_, _, [(only, _)]) => Some(only.clone()),
        (Some((node, _)), None, _) => Some(node.clone()),
        _ => client.local_node().await.ok().flatten().filter(|local| all.iter().any(|(node, _)| node == local)),
    };
    Ok(CertifiedNodes { own, presented, all })
}

impl<'a> Fleet<'a> {
    /// What a server says of its cluster's nodes.
    pub(in crate::fleet) async fn certified_nodes(&self, server: &ServerConfig) -> Result<CertifiedNodes, Error> {
        certified(&self.client(server).await?).await
    }

    /// Like `certified_nodes`, for several servers at once, of those that answer soon: it must not delay the
    /// first listing.
    async fn certified_soon<'s>(&self, servers: &[&'s ServerConfig]) -> Vec<(&'s ServerConfig, CertifiedNodes)> {
        let asked = servers.iter().map(|server| async move {
            if self.still_off(server).await.is_some() {
                return None;
            }
            let asked = self.certified_nodes(server);
            let nodes = tokio::time::timeout(self.patience(), asked).await.ok()?.ok()?;
            Some((*server, nodes))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn patience(&self) -> Duration {
        self.limits.left(self.limits.probe.min(self.limits.total / 4))
    }

    /// Groups APIs that were not grouped yet: where two configured servers may be nodes of one cluster, each says
    /// once what its nodes' certificates are, and those that name each other are one.
    pub(in crate::fleet) async fn detect_cluster_members(&self) -> Result<(), StateError> {
        self.look_at_doubtful().await;
        let pve: Vec<_> = self.hosts().filter(|server| self.is_pve(server)).collect();
        let is_new = |server: &&ServerConfig| {
            !self.known.borrow().members.contains_key(&server.id) || self.lists_in_doubt(server)
        };
        let (new, old): (Vec<_>, Vec<_>) = pve.into_iter().partition(is_new);
        if new.len() + old.len() < 2 || new.is_empty() {
            return Ok(());
        }
        let mut answers = self.certified_soon(&new).await;
        if !answers.is_empty() {
            answers.extend(self.certified_soon(&old).await);
        }
        for (i, (server, own)) in answers.iter().enumerate() {
            if !new.iter().any(|n| n.id == server.id) {
                continue;
            }
            // One that is known decides; among new ones the first gives the name.
            let known = |other: &ServerId| !new.iter().any(|n| n.id == *other);
            let mut twins = answers.iter().enumerate().filter(|(j, (_, other))| *j != i && own.is_with(other));
            let twin = twins.clone().find(|(_, (other, _))| known(&other.id)).or_else(|| twins.find(|(j, _)| *j < i));
            let cluster = match twin {
                Some((_, (other, _))) => self.cluster_of(&other.id),
                None => self.cluster_without_twin(server),
            };
            self.learn_member(&server.id, &cluster, own.own.as_ref())?;
        }
        Ok(())
    }

    /// The cluster of a server that no other names as its fellow: that of others is none of its own, unless it is the first
    /// of them.
    fn cluster_without_twin(&self, server: &ServerConfig) -> ClusterId {
        let (cluster, own) = (self.cluster_of(&server.id), ClusterId::of_host(&server.id));
        let is_in = |other: &&ServerConfig| other.id != server.id && self.cluster_of(&other.id) == cluster;
        let others: Vec<_> = self.hosts().filter(|server| self.is_pve(server)).filter(is_in).collect();
        let is_first =
            self.hosts().find(|host| self.cluster_of(&host.id) == cluster).is_some_and(|first| first.id == server.id);
        let known = others.iter().any(|other| !self.is_doubtful(&other.id));
        if others.is_empty() || is_first && !known { cluster } else { own }
    }

    /// Which nodes the members of a cluster are, where the listing that one of them gave contradicts what is known (a node
    /// was renamed, a server is another one now), or nothing is known: they say it again.
    ///
    /// # Errors
    /// Only the state file's.
    pub(in crate::fleet) async fn learn_nodes(&self, group: &Group<'a>, listed: &Listed) -> Result<(), StateError> {
        let nodes = &listed.listing.nodes;
        let (mut wrong, mut via) = (Vec::new(), None);
        for server in &group.members {
            let is_via = server.id == listed.via;
            via = via.or(is_via.then_some(*server));
            let doubtful = match self.node_of(&server.id) {
                Some(node) => !nodes.is_empty() && !nodes.iter().any(|row| row.name == node),
                // Only one that answers can say; and once it could not, it is not asked each time.
                None => is_via && !self.known.borrow().members.contains_key(&server.id),
            };
            if doubtful {
                wrong.push(*server);
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        if let ([only], [server]) = (nodes.as_slice(), wrong.as_slice())
            && server.id == listed.via
        {
            return self.learn_node(&server.id, &group.cluster, Some(&only.name));
        }
        let others: Vec<_> = wrong.iter().copied().filter(|server| server.id != listed.via).collect();
        let patience = self.patience();
        let by_via = tokio::time::timeout(patience, certified(&listed.client)).await;
        let Ok(Ok(by_via)) = by_via else { return Ok(()) };
        if let Some(via) = via.filter(|via| wrong.iter().any(|server| server.id == via.id)) {
            self.learn_node(&via.id, &group.cluster, by_via.own.as_ref())?;
        }
        for (server, says) in self.certified_soon(&others).await {
            if says.is_with(&by_via) {
                self.learn_member(&server.id, &group.cluster, says.own.as_ref())?;
            } else if server.access == Access::Api {
                // It is in another cluster now, or always was.
                self.learn_member(&server.id, &ClusterId::of_host(&server.id), says.own.as_ref())?;
            }
        }
        Ok(())
    }
}
