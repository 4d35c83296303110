//! Keys of an SSH agent.

use russh::client::AuthResult;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PublicKey};
use russh::{AgentAuthError, Signer};
use tokio::net::UnixStream;

use super::{Locked, Login, Overdue, name};
use crate::transport::script::excerpt;
use crate::transport::ssh::route::Identity;

impl Login<'_> {
    /// Offers the agent's keys: those of the configured files, then the others unless `IdentitiesOnly`.
    pub(super) async fn with_agent(&mut self, locked: &[Locked<'_>]) -> Result<bool, Overdue> {
        let Some(socket) = &self.hop.agent else { return Ok(false) };
        if self.over || self.hop.identities_only && locked.is_empty() {
            return Ok(false);
        }
        let binding = self.handle.agent_session_binding().cloned();
        let open = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            if let Some(binding) = &binding {
                // Needed only for keys that are bound to destinations; other agents do not know it.
                let _ = agent.bind_session(binding, false).await;
            }
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        let (mut agent, mut identities) = match self.budget.run(open).await? {
            Ok(opened) => opened,
            Err(e) => {
                self.skipped.push(format!("the agent: {e}"));
                return Ok(false);
            }
        };
        if self.hop.identities_only {
            identities.retain(|identity| rank(locked, identity).is_some());
        }
        // A certificate before its bare key.
        identities.sort_by_key(|identity| {
            (rank(locked, identity).unwrap_or(usize::MAX), matches!(identity, AgentIdentity::PublicKey { .. }))
        });
        for identity in identities {
            let configured = rank(locked, &identity).and_then(|at| locked.get(at)).map(|locked| locked.identity);
            if self.with_agent_key(&mut agent, identity, configured).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Offers one key of the agent, the certificates of its configured file first.
    async fn with_agent_key(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
        configured: Option<&Identity>,
    ) -> Result<bool, Overdue> {
        if let Some(configured) = configured {
            self.held.insert(configured.path.clone());
            for certificate in self.certificates(&configured.path, &identity.public_key()).await {
                // The agent may have the key without the certificate.
                let mut signer = Bare(agent);
                if self.agent_certificate(&mut signer, &name(&configured.path), certificate).await? {
                    return Ok(true);
                }
            }
        }
        let comment = excerpt(identity.comment().as_bytes()).unwrap_or_else(|| "without a name".to_owned());
        let label = format!("agent key {comment}");
        match identity {
            AgentIdentity::Certificate { certificate, .. } => self.agent_certificate(agent, &label, certificate).await,
            AgentIdentity::PublicKey { key, .. } => {
                let Some(hash) = self.hash(&key, &label).await? else { return Ok(false) };
                if !self.may_offer(&label, &key, false) {
                    return Ok(false);
                }
                let user = self.hop.user.as_str();
                let step = self.handle.authenticate_publickey_with(user, key, hash, agent);
                let result = self.budget.run(step).await?;
                Ok(self.signed(result))
            }
        }
    }

    async fn agent_certificate(
        &mut self,
        signer: &mut impl Signer<Error = AgentAuthError>,
        label: &str,
        certificate: Certificate,
    ) -> Result<bool, Overdue> {
        let label = format!("{label} with a certificate");
        let key = PublicKey::new(certificate.public_key().clone(), "");
        let Some(hash) = self.hash(&key, &label).await? else { return Ok(false) };
        if !self.may_offer(&label, &key, true) {
            return Ok(false);
        }
        let user = self.hop.user.as_str();
        let step = self.handle.authenticate_certificate_with(user, certificate, hash, signer);
        let result = self.budget.run(step).await?;
        Ok(self.signed(result))
    }

    fn signed(&mut self, result: Result<AuthResult, AgentAuthError>) -> bool {
        match result {
            Ok(result) => self.accepted(Some(result)),
            Err(e) => {
                if let Some(label) = self.offered.pop() {
                    self.skipped.push(format!("{label}: the agent does not sign: {e}"));
                }
                self.over = self.handle.is_closed();
                false
            }
        }
    }
}

/// The place of an agent's key among the configured files.
fn rank(locked: &[Locked<'_>], identity: &AgentIdentity) -> Option<usize> {
    let key = identity.public_key();
    let same = |public: &PublicKey| public.key_data() == key.key_data();
    locked.iter().position(|locked| locked.public.as_ref().is_some_and(same))
}

/// Signs for a certificate with the bare key.
struct Bare<'a>(&'a mut AgentClient<UnixStream>);

impl Signer for Bare<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash_alg: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let bare = AgentIdentity::from(key.public_key().into_owned());
        self.0.sign_request(&bare, hash_alg, to_sign).await.map_err(AgentAuthError::from)
    }
}
