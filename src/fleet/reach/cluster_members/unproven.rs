//! Unproven members: earlier versions of ecobox took a server's word for it that it belongs to a cluster. Such
//! a server gets no token of that cluster, and what it lists counts for nothing there, before it has shown where it belongs.

use futures::future::join_all;
use tokio::time::timeout;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::reach::api::Group;
use crate::model::access::certificate::Trust;
use crate::model::id::{ClusterId, ServerId};
use crate::state::StoredToken;
use crate::transport::pve::{self, Presented};
use crate::transport::{Error, probe};

impl Fleet<'_> {
    /// Whether it is only remembered as a member, from before that had to be shown.
    pub(in crate::fleet) fn is_doubtful(&self, server: &ServerId) -> bool {
        let known = self.known.borrow();
        let other = |(cluster, _): &(ClusterId, _)| *cluster != ClusterId::of_host(server);
        known.unchecked.contains(server) && known.members.get(server).is_some_and(other)
    }

    /// Like `is_doubtful`, for one that answers with a token of its own, so that nothing else keeps it from being listed.
    pub(super) fn lists_in_doubt(&self, server: &ServerConfig) -> bool {
        self.is_doubtful(&server.id) && (server.access == Access::Api || self.has_given_token(server))
    }

    /// Looks at all whom only an earlier version took for members, so that nothing counts as a cluster's that is not. Who
    /// does not answer soon stays in doubt.
    pub(super) async fn look_at_doubtful(&self) {
        let doubtful: Vec<_> = self.hosts().filter(|server| self.is_doubtful(&server.id)).collect();
        let looks = doubtful.into_iter().filter(|server| !self.lists_in_doubt(server)).map(|server| async move {
            let stored = self.state.token(&self.cluster_of(&server.id)).ok().flatten();
            if let Some(stored) = stored {
                // Whatever prevents the check is reported when the server is asked for something.
                let _ = timeout(self.patience(), self.dispel_doubt(server, &stored)).await;
            }
        });
        join_all(looks).await;
    }

    /// Makes sure that a server may have the token of its cluster: its certificate has to be of the cluster's CA, or one
    /// that a member which is known lists. One that the members do not know is none of them, from now on.
    ///
    /// # Errors
    /// It is not a member, or that is unknown; it does not answer.
    pub(in crate::fleet) async fn dispel_doubt(
        &self,
        server: &ServerConfig,
        stored: &StoredToken,
    ) -> Result<(), Error> {
        if stored.via == server.id || !self.is_doubtful(&server.id) {
            return Ok(());
        }
        let local =
            |error: crate::state::StateError| Error::Local { peer: server.id.to_string(), detail: error.to_string() };
        let cluster = stored.cluster.clone();
        if self.has_trust_of(server, &cluster) {
            return self.learn_member(&server.id, &cluster, self.node_of(&server.id).as_ref()).map_err(local);
        }
        let presented = self.presented_there(server).await?;
        let groups = self.groups();
        let members =
            groups.iter().filter(|group| group.cluster == cluster).flat_map(|group: &Group<'_>| &group.members);
        let sure = |member: &&&ServerConfig| {
            member.id != server.id
                && (member.id == stored.via || !self.is_doubtful(&member.id) || self.has_trust_of(member, &cluster))
        };
        let none = |detail: &str| Error::NoToken { peer: server.id.to_string(), detail: detail.to_owned() };
        for member in members.filter(sure) {
            let Ok(says) = Box::pin(self.certified_nodes(member)).await else { continue };
            if says.lists(presented.leaf) {
                return self.learn_member(&server.id, &cluster, self.node_of(&server.id).as_ref()).map_err(local);
            }
            self.learn_member(&server.id, &ClusterId::of_host(&server.id), None).map_err(local)?;
            self.notice(format!(
                "{}: {} does not know its certificate, so it is not a node of that cluster: it is treated as a cluster \
                 of its own, and gets no token of the other one",
                server.id, member.id
            ));
            return Err(none("no API token is known for it"));
        }
        Err(none("whether it belongs to its cluster cannot be checked now, so it gets no token"))
    }

    /// Whether what is trusted of it is a certificate of the cluster's own CA, which only a member can show.
    fn has_trust_of(&self, server: &ServerConfig, cluster: &ClusterId) -> bool {
        let stored = self.state.trust(&server.id).ok().flatten();
        let of_ca = |ca: &[u8]| ClusterId::of_ca(&pve::fingerprint_of(ca).hex()) == *cluster;
        !server.is_trust_configured()
            && stored.is_some_and(|stored| matches!(&stored.trust, Trust::ClusterCa { ca, .. } if of_ca(ca)))
    }

    /// What its API presents. No token is sent.
    async fn presented_there(&self, server: &ServerConfig) -> Result<Presented, Error> {
        let (host, port) = self.api_address(server).await?;
        let stream = probe::dial(&host, port, self.limits.probe).await?;
        let node = self.node_of(&server.id);
        pve::presented_over(stream, node.as_ref().map_or("localhost", |node| node.as_str())).await
    }
}
