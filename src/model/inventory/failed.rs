//! Who could not be asked, and why.

use serde::Serialize;

use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;

/// The class of a failure; each has an exit status of its own.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureKind {
    /// Not reached, or no answer in time.
    Unreachable,
    /// An SSH host key, a certificate or a guest that is not the one it should be.
    Identity,
    /// Credentials rejected, or a privilege is missing.
    Denied,
    /// Any other.
    Failed,
    /// A cluster cannot decide anything: too few of its nodes see each other.
    NoQuorum,
    /// A node that its cluster cannot see.
    NodeOffline,
}

impl FailureKind {
    /// Whether it is the cluster that is not well, while the server that says so was asked and answered.
    pub(crate) fn is_of_cluster(self) -> bool {
        matches!(self, FailureKind::NoQuorum | FailureKind::NodeOffline)
    }
}

impl FailureKind {
    /// The word for it in the state file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            FailureKind::Unreachable => "unreachable",
            FailureKind::Identity => "identity",
            FailureKind::Denied => "denied",
            FailureKind::Failed => "failed",
            FailureKind::NoQuorum => "no-quorum",
            FailureKind::NodeOffline => "node-offline",
        }
    }
}

/// Whom we could not ask, and why.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Failed {
    pub(crate) server: ServerId,
    pub(crate) kind: FailureKind,
    /// Names the server.
    pub(crate) message: String,
    /// What a person can do about it.
    #[serde(skip)]
    pub(crate) advice: Option<String>,
    /// Whom it concerns where that is more than the server and its guests.
    #[serde(skip)]
    pub(crate) about: Option<About>,
}

/// Whom a failure concerns that is not a server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    Cluster(ClusterId),
    /// Guests on these nodes.
    Nodes(ClusterId, Vec<NodeName>),
}

impl Failed {
    /// Whether it says something of this server. A guest's own failure is its host's.
    pub(crate) fn concerns(&self, server: &Server) -> bool {
        match &self.about {
            None => self.server == server.id || server.parent.as_ref() == Some(&self.server),
            Some(About::Cluster(cluster)) => server.cluster.as_ref() == Some(cluster),
            Some(About::Nodes(cluster, nodes)) => {
                let there = server.node.as_ref().is_some_and(|node| nodes.contains(node));
                there && server.cluster.as_ref() == Some(cluster)
            }
        }
    }
}
