//! What the API's TLS must show, learned through SSH: SSH is the root of trust, TLS follows by itself.

use std::time::Duration;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::reach::host_certificates::{self, HostCertificates};
use crate::model::access::certificate::Trust;
use crate::model::id::{ClusterId, NodeName};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::Client;
use crate::transport::ssh::HostKeyPolicy;

/// A certificate that was refused is looked up again over SSH at most this often.
const RELEARN_AFTER: Duration = Duration::from_secs(60);

impl Fleet<'_> {
    /// Asks a host over SSH for its node name, its version and its cluster's CA. Changes nothing there.
    pub(crate) async fn look(&self, server: &ServerConfig, policy: HostKeyPolicy) -> Result<HostCertificates, Error> {
        let output = self.run_script_in_time(server, policy, host_certificates::SCRIPT).await?;
        Ok(host_certificates::parse(&output))
    }

    /// After a certificate was refused: looks over SSH whether the host has another one now. A new one is remembered
    /// and said; else the refusal stands. A server is not asked twice a minute, unless a person asks by name.
    ///
    /// # Errors
    /// `refusal`, or what went wrong in looking.
    pub(crate) async fn relearn(&self, server: &ServerConfig, refusal: Error, asked: bool) -> Result<Client, Error> {
        let stored = self.state.trust(&server.id).ok().flatten();
        let recently = stored.as_ref().is_some_and(|stored| {
            let age = self.now().duration_since(stored.learned_at);
            !age.is_negative() && age.unsigned_abs() < RELEARN_AFTER
        });
        let may = !server.is_trust_configured() && server.access != Access::Api && (asked || !recently);
        let Some(stored) = stored.filter(|_| may) else { return Err(refusal) };
        let Ok(mut shown) = self.show(server, HostKeyPolicy::Refuse).await else { return Err(refusal) };
        let Some(trust) = shown.trust.clone() else { return Err(shown.take_error().unwrap_or(refusal)) };
        if trust == stored.trust {
            return Err(refusal);
        }
        let cluster = self.cluster_of(&server.id);
        // A token that is given for this very server is not the cluster's.
        if !self.has_given_token(server) && !matches!(self.is_of(server, &shown, &cluster).await, Ok(true)) {
            return Err(refusal);
        }
        let client = self.client_trusting(server, trust.clone()).await?;
        // The proof is one verified answer; only then is the new trust kept.
        client.version().await?;
        self.follow_node(server, &cluster, shown.learned.node.as_ref());
        if let Err(error) = self.keep_trust(server, &trust) {
            // This run goes on; the next one looks again.
            self.notice(format!("{}: the API has a new certificate, which could not be kept: {error}", server.id));
        }
        Ok(client)
    }

    /// A node that has another name now.
    fn follow_node(&self, server: &ServerConfig, cluster: &ClusterId, node: Option<&NodeName>) {
        if node.is_some() && self.node_of(&server.id).as_ref() != node {
            // Where it cannot be kept, the next run learns it again.
            if let Err(error) = self.learn_node(&server.id, cluster, node) {
                tracing::debug!(server = server.id.as_str(), %error, "its node's name was not kept");
            }
        }
    }

    /// Stores a trust that was learned over SSH, and says so where another one was known.
    pub(crate) fn keep_trust(&self, server: &ServerConfig, trust: &Trust) -> Result<(), StateError> {
        let via = if server.access == Access::Local { "local" } else { "ssh" };
        let before = self.state.trust(&server.id)?;
        self.state.put_trust(&server.id, trust, via, self.now())?;
        if before.is_some_and(|before| before.trust != *trust) {
            let how = match trust {
                Trust::PublicKey { .. } => "trusted by its key from now on",
                _ => "trusted from now on",
            };
            self.notice(format!("{}: the API has a new certificate; seen over SSH, and {how}", server.id));
        }
        Ok(())
    }
}
