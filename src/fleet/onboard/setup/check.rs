//! What each host's token may do now, and how its API is trusted.

use futures::future::join_all;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::onboard::setup::refused::Refused;
use crate::model::access::scope::{Comparison, TokenScope};
use crate::model::id::{NodeName, TokenId};
use crate::transport::{Denial, Error};

/// What was found of one host.
pub(crate) struct Checked {
    pub(crate) node: Option<NodeName>,
    pub(crate) token: Option<TokenId>,
    pub(crate) scope: TokenScope,
    /// The trust's name.
    pub(crate) trust: Option<&'static str>,
    pub(crate) compared: Result<Comparison, Error>,
    /// Why Proxmox VE takes the token no more, where its user database says so.
    pub(crate) refused: Option<Refused>,
}

impl Fleet<'_> {
    /// Checks the token of each host, side by side, against a scope (`None`: the one that it was made for); the results
    /// come in the hosts' order.
    pub(crate) async fn check_tokens(&self, servers: &[&ServerConfig], scope: Option<TokenScope>) -> Vec<Checked> {
        join_all(servers.iter().map(|server| self.check_token(server, scope))).await
    }

    async fn check_token(&self, server: &ServerConfig, scope: Option<TokenScope>) -> Checked {
        let stored = self.state.token(&self.cluster_of(&server.id)).ok().flatten();
        let scope = scope.or(stored.as_ref().map(|stored| stored.scope)).unwrap_or(TokenScope::Operator);
        let (token, compared) = match self.token(server).await {
            Ok(token) => (Some(token.id), self.check(server, scope).await),
            Err(error) => (None, Err(error)),
        };
        let node = self.node_of(&server.id);
        let trust = self.trust(server).await.ok().map(|trust| trust.as_str());
        let refused = match (&compared, &token) {
            (Err(Error::Denied { why: Denial::Token, .. }), Some(token)) => self.why_refused(server, token).await,
            _ => None,
        };
        Checked { node, token, scope, trust, compared, refused }
    }

    /// Like `compare`, for a person who asks by name: a certificate that is refused is looked up over SSH, at once.
    async fn check(&self, server: &ServerConfig, scope: TokenScope) -> Result<Comparison, Error> {
        match self.compare(server, scope).await {
            Err(refusal @ Error::Untrusted { .. }) => {
                self.relearn(server, refusal, true).await?;
                self.compare(server, scope).await
            }
            compared => compared,
        }
    }
}
