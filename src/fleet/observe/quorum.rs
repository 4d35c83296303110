//! How a cluster itself is, beyond what its nodes and guests do: whether it has quorum, and which nodes it misses.

use std::time::Duration;

use tokio::time::timeout;

use crate::fleet::Fleet;
use crate::fleet::reach::api::{ClusterAnswer, Group};

use crate::model::hint::HintId;
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::{About, Failed, FailureKind};
use crate::transport::Error;

impl Fleet<'_> {
    /// What is wrong with a cluster as a whole. Costs a request only where a node is not known to be online: as long as
    /// all are, there is quorum.
    pub(in crate::fleet) async fn look_at_cluster(
        &self,
        group: &Group<'_>,
        answer: &ClusterAnswer,
        patience: Duration,
    ) -> Vec<Failed> {
        let Some(listed) = &answer.listed else { return Vec::new() };
        let nodes = &listed.listing.nodes;
        // Always the same member, regardless of which one gave the listing.
        let online = |server: &ServerId| {
            let node = self.node_of(server);
            nodes.iter().any(|row| Some(&row.name) == node.as_ref() && row.online == Some(true))
        };
        let members = group.members.iter().map(|member| &member.id);
        let server = members.into_iter().find(|member| online(member)).unwrap_or(&listed.via);
        let mut found = Vec::new();
        if nodes.len() > 1 && nodes.iter().any(|node| node.online != Some(true)) {
            // Who may not ask does not know.
            let quorate = timeout(patience, listed.client.quorate()).await;
            if let Ok(Ok(Some(false))) = quorate {
                let message = format!("{server}: its cluster has no quorum: nothing can be started or changed in it");
                found.push(Failed {
                    server: server.clone(),
                    kind: FailureKind::NoQuorum,
                    message,
                    advice: Some(HintId::NoQuorum.text()),
                    about: Some(About::Cluster(group.cluster.clone())),
                });
            }
        }
        let parents = self.parents(group);
        let strange = nodes.iter().filter(|node| node.online == Some(false) && !parents.contains_key(&node.name));
        let missing: Vec<NodeName> = strange.map(|node| node.name.clone()).collect();
        if !missing.is_empty() {
            let (what, are) = if missing.len() == 1 { ("node", "is") } else { ("nodes", "are") };
            let names = missing.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
            found.push(Failed {
                server: server.clone(),
                kind: FailureKind::NodeOffline,
                message: format!("{server}: {what} {names} of its cluster {are} offline"),
                advice: Some(HintId::NodeOffline.text()),
                about: Some(About::Nodes(group.cluster.clone(), missing)),
            });
        }
        found
    }

    /// A configured host that answers, and that its cluster has lost nevertheless.
    pub(in crate::fleet) fn lost_by_its_cluster(&self, server: &ServerId) -> Failed {
        let node = self.node_of(server);
        let config = self.hosts().find(|config| config.id == *server);
        let command =
            config.map(|config| self.command_on(config, node.as_ref(), "systemctl status corosync pve-cluster"));
        Failed {
            server: server.clone(),
            kind: FailureKind::NodeOffline,
            message: format!("{server} answers, and its cluster says that it is offline"),
            advice: command.map(|command| HintId::NodeLost.say(&[("command", &command)])),
            about: None,
        }
    }

    /// What keeps a node from being asked, said of the configured host that it is, or else of the one that was asked.
    pub(in crate::fleet) fn failed_on_node(
        &self,
        group: &Group<'_>,
        via: &ServerId,
        node: &NodeName,
        error: &Error,
    ) -> Failed {
        self.failed(self.parents(group).get(node).unwrap_or(via), error)
    }
}
