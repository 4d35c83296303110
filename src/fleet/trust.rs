//! What the API's TLS must show, learned through SSH: SSH is the root of trust, TLS follows by itself.

use std::time::Duration;

use crate::config::{Access, ServerConfig};
use crate::fleet::session::no_ssh;
use crate::fleet::{Fleet, look};
use crate::model::id::{ClusterId, NodeName};
use crate::model::trust::Trust;
use crate::state::StateError;
use crate::transport::pve::{self, Client, Presented};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{Error, probe};

/// A certificate that was refused is looked up again over SSH at most this often.
const RELEARN_AFTER: Duration = Duration::from_secs(60);

/// What a host says of its certificates over SSH.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learned {
    pub(crate) node: Option<NodeName>,
    pub(crate) ca_pem: Option<String>,
    /// The certificate that its files say is served, where that is not the cluster's own or the visit read it.
    pub(crate) leaf_pem: Option<String>,
    pub(crate) version: Option<String>,
    /// Why the CA could not be read.
    pub(crate) problem: Option<String>,
}

impl Learned {
    /// The identity of the cluster, where its CA could be read.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        let fingerprint = pve::ca_fingerprint(self.ca_pem.as_deref()?)?;
        Some(ClusterId::of_ca(&fingerprint.hex()))
    }
}

impl Fleet<'_> {
    /// Asks a host over SSH for its node name, its version and its cluster's CA. Changes nothing there.
    pub(crate) async fn look(&self, server: &ServerConfig, policy: HostKeyPolicy) -> Result<Learned, Error> {
        let output = self.run_script_in_time(server, policy, look::SCRIPT).await?;
        Ok(look::parse(&output))
    }

    /// The trust that fits what the API really presents, seen through SSH: at the host's own loopback, where nobody
    /// stands between.
    pub(crate) async fn learn_trust(&self, server: &ServerConfig, learned: &Learned) -> Result<Trust, Error> {
        let name = learned.node.as_ref().map_or("localhost", NodeName::as_str);
        let (ca, node) = (learned.ca_pem.as_deref(), learned.node.as_ref());
        let presented = match self.presented_at_home(server, name).await {
            Ok(presented) => presented,
            // sshd may forbid forwarding. The files came through the same session: an administrator's certificate,
            // else the CA, which is what a stock installation uses.
            Err(error) => match (learned.leaf_pem.as_deref().and_then(pve::presented_by_file), ca, node) {
                (Some(presented), ..) => presented,
                (None, Some(pem), Some(node)) => return pve::ca_trust(pem, node).ok_or(error),
                _ => return Err(error),
            },
        };
        Ok(pve::choose_trust(&presented, ca, node, &server.hostname))
    }

    async fn presented_at_home(&self, server: &ServerConfig, name: &str) -> Result<Presented, Error> {
        match server.access {
            // Without SSH there is nobody to ask: `look` has refused it before.
            Access::Api => Err(no_ssh(server)),
            Access::Local => {
                let stream = probe::dial("127.0.0.1", server.api_port(), self.limits.probe).await?;
                pve::presented_over(stream, name).await
            }
            Access::Ssh => {
                let session = self.session(server, HostKeyPolicy::Refuse).await?;
                let stream = session.forward("127.0.0.1", server.api_port()).await?;
                pve::presented_over(stream, name).await
            }
        }
    }

    /// After a certificate was refused: looks over SSH whether the host has another one now. A new one is remembered
    /// and said; else the refusal stands.
    ///
    /// # Errors
    /// `refusal`, or what went wrong in looking.
    pub(crate) async fn relearn(&self, server: &ServerConfig, refusal: Error) -> Result<Client, Error> {
        let stored = self.state.trust(&server.id).ok().flatten();
        let configured = server.fingerprint.is_some() || server.ca_file.is_some();
        let recently = stored.as_ref().is_some_and(|stored| {
            let age = self.now().duration_since(stored.learned_at);
            !age.is_negative() && age.unsigned_abs() < RELEARN_AFTER
        });
        let Some(stored) = stored.filter(|_| !configured && !recently && server.access != Access::Api) else {
            return Err(refusal);
        };
        let Ok(learned) = self.look(server, HostKeyPolicy::Refuse).await else { return Err(refusal) };
        let trust = self.learn_trust(server, &learned).await?;
        if trust == stored.trust {
            return Err(refusal);
        }
        let client = self.client_trusting(server, trust.clone()).await?;
        // The proof is one verified answer; only then is the new trust kept.
        client.version().await?;
        if let Err(error) = self.keep_trust(server, &trust) {
            // This run goes on; the next one looks again.
            self.notice(format!("{}: the API has a new certificate, which could not be kept: {error}", server.id));
            return Ok(client);
        }
        let how = match &trust {
            Trust::PublicKey { .. } => "trusted by its key from now on",
            _ => "trusted from now on",
        };
        self.notice(format!("{}: the API has a new certificate; seen over SSH, and {how}", server.id));
        Ok(client)
    }

    /// Stores a trust that was learned over SSH.
    pub(crate) fn keep_trust(&self, server: &ServerConfig, trust: &Trust) -> Result<(), StateError> {
        let via = if server.access == Access::Local { "local" } else { "ssh" };
        self.state.put_trust(&server.id, trust, via, self.now())
    }
}
