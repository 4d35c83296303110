//! A look at the API of a Proxmox VE host.

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::doctor::cause::By;
use crate::fleet::onboard::setup::refused::Refused;
use crate::model::access::certificate::Trust;
use crate::model::access::scope::TokenScope;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Trouble;
use crate::model::check::fix::Fix;
use crate::model::check::host::{ApiSeen, Clock};
use crate::transport::pve::Client;
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{Denial, Error};

impl Fleet<'_> {
    /// Asks the API of a host what any token may ask, and what its token may do.
    pub(super) async fn api_seen(&self, server: &ServerConfig) -> Result<(ApiSeen, Client), Trouble> {
        let after = self.limits.left(self.limits.host);
        if let Ok(seen) = tokio::time::timeout(after, self.ask_api(server)).await {
            match seen {
                Ok(seen) => Ok(seen),
                Err(error) => Err(self.api_trouble(server, &error).await),
            }
        } else {
            let finding = format!("the API did not answer within {} s", after.as_secs());
            Err(Trouble {
                id: CheckId::ApiUnreachable,
                finding,
                fix: Some(Fix::of(CheckId::ApiUnreachable, &[])),
                at: None,
            })
        }
    }

    /// The trouble that an error of the API is. It does not say why it takes no token: its user database does.
    async fn api_trouble(&self, server: &ServerConfig, error: &Error) -> Trouble {
        let trouble = self.trouble(server, error, By::Api);
        if !matches!(error, Error::Denied { why: Denial::Token, .. }) || self.has_given_token(server) {
            return trouble;
        }
        let Ok(token) = self.token(server).await else { return trouble };
        let Some(refused) = Box::pin(self.why_refused(server, &token.id)).await else { return trouble };
        let id = match refused {
            Refused::Disabled { .. } | Refused::Expired { .. } => CheckId::UserDisabled,
            Refused::NoUser { .. } | Refused::NoToken | Refused::Ended(_) => CheckId::TokenRefused,
        };
        let fix = refused.advice().map(|advice| Fix::say(advice).at(Some(&server.id)));
        Trouble { id, finding: refused.why(), fix: fix.or(trouble.fix), at: trouble.at }
    }

    async fn ask_api(&self, server: &ServerConfig) -> Result<(ApiSeen, Client), Error> {
        let trust = self.trust(server).await?;
        let mut rule = trust.as_str();
        let client = self.client_trusting(server, trust).await?;
        let (client, version) = match client.version().await {
            Err(refusal @ Error::Untrusted { .. }) => {
                let Some((renewed, trust)) = Box::pin(self.renewed(server)).await else { return Err(refusal) };
                rule = trust;
                let version = renewed.version().await?;
                (renewed, version)
            }
            version => (client, version?),
        };
        let stored = self.state.token(&self.cluster_of(&server.id)).ok().flatten();
        let stored = stored.filter(|_| !self.has_given_token(server));
        let major = version.major().unwrap_or(9);
        let permissions = client.permissions().await;
        let privileges = match (permissions, &stored) {
            (Ok(held), Some(stored)) => Some(Ok(held.compare(stored.scope, major))),
            // Whoever gives a token from elsewhere decides what it may do beyond reading.
            (Ok(held), None) => {
                let mut comparison = held.compare(TokenScope::Monitor, major);
                comparison.excess.clear();
                Some(Ok(comparison))
            }
            (Err(error @ (Error::Denied { .. } | Error::ServiceDown { .. })), _) => return Err(error),
            (Err(error), _) => Some(Err(error.to_string())),
        };
        let scope = stored.as_ref().map_or(TokenScope::Monitor, |stored| stored.scope);
        let quorate = client.quorate().await.ok().flatten();
        let members = if quorate == Some(false) { client.cluster_status().await.ok() } else { None };
        let offline = members.into_iter().flat_map(|members| members.nodes).filter(|node| !node.online);
        let ends = client.presented().and_then(|presented| presented.ends());
        let seen = ApiSeen {
            trust: rule,
            privileges_fix: self.privileges(server, scope),
            privileges,
            scope: Some((scope.as_str(), major)),
            quorate,
            offline: offline.map(|node| node.name.to_string()).collect(),
            clock: client.clock_ahead().map(|(least, most)| Clock { least, most }),
            certificate_left: ends.map(|ends| ends.as_second() - self.now().as_second()),
        };
        Ok((seen, client))
    }

    /// A client for a certificate that the host itself shows over SSH, where that is another one than the known: every
    /// command learns such a one by itself. Nothing is kept here.
    async fn renewed(&self, server: &ServerConfig) -> Option<(Client, &'static str)> {
        if server.is_trust_configured() || server.access == Access::Api {
            return None;
        }
        let stored = self.state.trust(&server.id).ok().flatten()?;
        let shown = self.show(server, HostKeyPolicy::Refuse).await.ok()?;
        let trust: Trust = shown.trust.clone().filter(|trust| *trust != stored.trust)?;
        let cluster = self.cluster_of(&server.id);
        if !self.has_given_token(server) && !matches!(self.is_of(server, &shown, &cluster).await, Ok(true)) {
            return None;
        }
        let rule = trust.as_str();
        Some((self.client_trusting(server, trust).await.ok()?, rule))
    }
}
