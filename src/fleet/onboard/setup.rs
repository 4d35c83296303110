//! Sets up access to clusters: drives the onboarding saga over SSH, and says what each host's token may do.

pub(crate) mod check;
mod place;
pub(crate) mod print;
pub(crate) mod refused;
mod steps;

use futures::future::join_all;

use crate::config::{Access, ServerConfig};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::onboard::answer;
use crate::fleet::onboard::saga::Goal;
use crate::fleet::onboard::setup::steps::{explain, removal};
use crate::fleet::reach::cluster_members::Shown;
use crate::fleet::reach::host_certificates::HostCertificates;
use crate::model::access::scope::{Comparison, TokenScope};
use crate::model::host::facts::Product;
use crate::model::id::{ClusterId, ServerId, TokenId};
use crate::state::{StateError, StoredToken};
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;

/// What is wanted of every host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A usable token of this scope; one that is stored and does is kept. `None`: the stored scope, else operator.
    Token(Option<TokenScope>),
    /// A new token in place of the stored one.
    Rotated(Option<TokenScope>),
    Revoked,
}

impl Wanted {
    /// What is wanted of the next member of a cluster: it shares the new token.
    fn after(self, did: TokenChange) -> Wanted {
        match (self, did) {
            (Wanted::Rotated(scope), TokenChange::Created | TokenChange::Replaced) => Wanted::Token(scope),
            _ => self,
        }
    }
}

/// A host that was looked at.
struct Host<'a> {
    /// Its place among those that were asked for.
    place: usize,
    server: &'a ServerConfig,
    shown: Shown,
}

/// Hosts that go together.
#[derive(Default)]
struct Lots<'a>(Vec<(ClusterId, Vec<Host<'a>>)>);

impl<'a> Lots<'a> {
    fn add(&mut self, cluster: ClusterId, host: Host<'a>) {
        match self.0.iter_mut().find(|(known, _)| *known == cluster) {
            Some((_, hosts)) => hosts.push(host),
            None => self.0.push((cluster, vec![host])),
        }
    }
}

/// What became of one host.
#[derive(Debug)]
pub(crate) struct SetUp {
    pub(crate) server: ServerId,
    pub(crate) learned: HostCertificates,
    /// What the host showed before anything was done there.
    shown: Shown,
    pub(crate) token: Option<TokenId>,
    pub(crate) scope: Option<TokenScope>,
    /// The trust's name.
    pub(crate) trust: Option<&'static str>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) did: TokenChange,
    /// What may still stand on the host, for the next run to remove.
    pub(crate) left: Vec<TokenId>,
    pub(crate) error: Option<SetUpError>,
}

/// What was done on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenChange {
    Nothing,
    /// The cluster's token was there already and does.
    Kept,
    Created,
    Replaced,
    Revoked,
}

/// Why a host could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    #[error(transparent)]
    Transport(#[from] Error),
    #[error(transparent)]
    State(#[from] StateError),
    /// The host's own answer to the script.
    #[error("{server}: {failure}")]
    Host { server: ServerId, failure: answer::Failure },
    #[error("{server}: {what}")]
    Other { server: ServerId, what: String },
    /// The token is stored and may do less than its scope needs.
    #[error("{server}: the token lacks {}", missing.join(", "))]
    Missing { server: ServerId, missing: Vec<String> },
}

impl SetUp {
    fn new(server: &ServerConfig, shown: Shown) -> SetUp {
        SetUp {
            server: server.id.clone(),
            learned: shown.learned.clone(),
            shown,
            token: None,
            scope: None,
            trust: None,
            comparison: None,
            did: TokenChange::Nothing,
            left: Vec::new(),
            error: None,
        }
    }

    fn failed(server: &ServerConfig, error: impl Into<SetUpError>) -> SetUp {
        SetUp { error: Some(error.into()), ..SetUp::new(server, Shown::default()) }
    }
}

impl<'a> Fleet<'a> {
    /// The hosts that are meant: those named, else all that are Proxmox VE hosts or were never visited.
    pub(crate) fn hosts_to_set_up(&self, named: &[ServerId], api_too: bool) -> Vec<&'a ServerConfig> {
        let visited_as_other = |server: &ServerConfig| {
            let known = self.known.borrow();
            known
                .facts
                .get(&server.id)
                .is_some_and(|facts| !matches!(facts.product, Product::Pve(_) | Product::Unknown))
        };
        self.hosts()
            .filter(|server| {
                if named.is_empty() {
                    (api_too || server.access != Access::Api) && (self.is_pve(server) || !visited_as_other(server))
                } else {
                    named.contains(&server.id)
                }
            })
            .collect()
    }

    /// Gives every host what is wanted: hosts of one cluster share one token, each learns the trust of its own API.
    /// Looks at all hosts first, then works on the clusters side by side. Those that do not prove where they belong come
    /// last, so that somebody can vouch for them.
    pub(crate) async fn set_up(
        &self,
        servers: &[&'a ServerConfig],
        wanted: Wanted,
        confirmed: &Confirmed,
    ) -> Vec<SetUp> {
        let looks = join_all(servers.iter().map(|server| self.show(server, HostKeyPolicy::Refuse))).await;
        let mut done: Vec<(usize, SetUp)> = Vec::new();
        let (mut clusters, mut claims) = (Lots::default(), Lots::default());
        for (place, (server, look)) in servers.iter().copied().zip(looks).enumerate() {
            match look {
                Err(error) => done.push((place, SetUp::failed(server, error))),
                Ok(shown) => {
                    if let Some(cluster) = self.proven(server, &shown) {
                        clusters.add(cluster, Host { place, server, shown });
                    } else {
                        let own = || ClusterId::of_host(&server.id);
                        claims.add(shown.learned.cluster().unwrap_or_else(own), Host { place, server, shown });
                    }
                }
            }
        }
        let work = clusters.0.into_iter().map(|(cluster, mut members)| async move {
            // Who made the token that is known first: whatever changed, there it can be found out.
            members.sort_by_key(|host| !self.made_the_token(host.server));
            let mut results = Vec::new();
            let mut wanted = wanted;
            for Host { place, server, shown } in members {
                let result = Box::pin(self.set_up_one(server, &cluster, shown, wanted, confirmed)).await;
                wanted = wanted.after(result.did);
                results.push((place, result));
            }
            results
        });
        let proven = join_all(work).await;
        let work = claims.0.into_iter().map(|(_, members)| async move {
            let mut results = Vec::new();
            let mut rotated: Vec<(ClusterId, TokenChange)> = Vec::new();
            for Host { place, server, mut shown } in members {
                let result = match self.place(server, &mut shown).await {
                    Err(error) => SetUp { error: Some(error), ..SetUp::new(server, shown) },
                    Ok(cluster) => {
                        let before = rotated.iter().filter(|(theirs, _)| *theirs == cluster);
                        let wanted = before.fold(wanted, |wanted, (_, did)| wanted.after(*did));
                        let result = Box::pin(self.set_up_one(server, &cluster, shown, wanted, confirmed)).await;
                        rotated.push((cluster, result.did));
                        result
                    }
                };
                results.push((place, result));
            }
            results
        });
        let placed = join_all(work).await;
        done.extend(proven.into_iter().chain(placed).flatten());
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Whether the token of the cluster that a server is known to be of was made on it.
    fn made_the_token(&self, server: &ServerConfig) -> bool {
        let stored = self.state.token(&self.cluster_of(&server.id)).ok().flatten();
        stored.is_some_and(|stored| stored.via == server.id)
    }

    async fn set_up_one(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        shown: Shown,
        wanted: Wanted,
        confirmed: &Confirmed,
    ) -> SetUp {
        let mut result = SetUp::new(server, shown);
        if !result.learned.is_pve() {
            let (server, failure) = (server.id.clone(), answer::Failure::NotPve);
            result.error = Some(SetUpError::Host { server, failure });
            return result;
        }
        if let Err(error) = self.try_set_up(server, cluster, wanted, confirmed, &mut result).await {
            result.error = Some(error);
        }
        result
    }

    async fn try_set_up(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        wanted: Wanted,
        confirmed: &Confirmed,
        result: &mut SetUp,
    ) -> Result<(), SetUpError> {
        self.follow_cluster(server, cluster, &result.shown).await?;
        let stored = self.state.token(cluster)?;
        let intents: Vec<TokenId> = self.pending(server, cluster)?.into_iter().map(|intent| intent.token).collect();
        let scope = match (wanted, &stored) {
            (Wanted::Token(Some(scope)) | Wanted::Rotated(Some(scope)), _) => scope,
            (_, Some(stored)) => stored.scope,
            (_, None) => TokenScope::Operator,
        };
        result.scope = Some(scope);
        let goal = match wanted {
            Wanted::Revoked => {
                if stored.is_none() && intents.is_empty() {
                    result.scope = None;
                    return Ok(());
                }
                Goal::Revoke(stored.as_ref().map(removal))
            }
            Wanted::Token(_) => {
                if let Some(stored) = stored.as_ref().filter(|stored| stored.scope == scope && intents.is_empty())
                    && self.keeps(server, cluster, stored, result).await?
                {
                    return Ok(());
                }
                Goal::Create
            }
            Wanted::Rotated(_) => Goal::Create,
        };
        let had = stored.is_some();
        let start = self.start(server, goal.clone(), scope, intents, stored.map(|stored| stored.token.id)).await?;
        let ending = self.drive(server, cluster, start, confirmed, result).await?;
        result.did = match (&goal, &ending.token) {
            (Goal::Revoke(_), _) if ending.problem.is_none() => TokenChange::Revoked,
            (Goal::Create, Some(_)) if had => TokenChange::Replaced,
            (Goal::Create, Some(_)) => TokenChange::Created,
            _ => TokenChange::Nothing,
        };
        if result.did == TokenChange::Revoked {
            result.scope = None;
        }
        if let Some(token) = &ending.token {
            tracing::info!(server = server.id.as_str(), token = %token, "token made");
        }
        result.token = ending.token;
        result.comparison = ending.comparison.or(result.comparison.take());
        result.left = ending.left;
        match ending.problem {
            None => Ok(()),
            Some(problem) => Err(explain(server, problem, result)),
        }
    }

    /// What is kept under the name that the server's cluster had before goes to `cluster`, if it is the same cluster.
    async fn follow_cluster(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        shown: &Shown,
    ) -> Result<(), SetUpError> {
        let before = self.cluster_of(&server.id);
        if before == *cluster {
            return Ok(());
        }
        // Before the CA was known, the server's own name stood in. Else the CA was replaced, or the host has joined
        // another cluster; in that one nobody knows our token.
        let is_new = self.state.token(cluster)?.is_none() && !self.has_others(server, cluster);
        let same = match self.state.token(&before)? {
            _ if before == ClusterId::of_host(&server.id) && is_new => true,
            Some(stored) if stored.via == server.id => self.takes(server, shown, stored.token).await?,
            Some(_) => self.is_of(server, shown, &before).await?,
            None => false,
        };
        if same {
            self.state.rename_cluster(&before, cluster)?;
            for (known, _) in self.known.borrow_mut().members.values_mut().filter(|(known, _)| *known == before) {
                *known = cluster.clone();
            }
        }
        Ok(())
    }

    /// Whether the stored token does for this host: learns the host's trust and asks the API what the token may do.
    async fn keeps(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        stored: &StoredToken,
        result: &mut SetUp,
    ) -> Result<bool, SetUpError> {
        let node = result.learned.node.clone().or_else(|| self.node_of(&server.id));
        self.learn_member(&server.id, cluster, node.as_ref())?;
        self.learn_and_keep_trust(server, result).await?;
        match self.compare(server, stored.scope).await {
            Ok(comparison) if comparison.missing.is_empty() => {
                result.comparison = Some(comparison);
                result.token = Some(stored.token.id.clone());
                result.did = TokenChange::Kept;
                Ok(true)
            }
            // Removed on the host, or its role was changed: a new one fixes both.
            Ok(_) | Err(Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn learn_and_keep_trust(&self, server: &ServerConfig, result: &mut SetUp) -> Result<(), SetUpError> {
        if server.is_trust_configured() {
            result.trust = Some(self.trust(server).await?.as_str());
            return Ok(());
        }
        if result.shown.trust.is_none() {
            // Nothing was shown, so it is a cluster of its own. Perhaps it can be seen by now.
            let again = self.show(server, HostKeyPolicy::Refuse).await?;
            result.shown.trust = again.trust;
        }
        let Some(trust) = result.shown.trust.clone() else {
            let what = || "what its API presents could not be seen".to_owned();
            let unseen = result.shown.take_error();
            return Err(
                unseen.map_or_else(|| SetUpError::Other { server: server.id.clone(), what: what() }, Into::into)
            );
        };
        self.keep_trust(server, &trust)?;
        result.trust = Some(trust.as_str());
        Ok(())
    }

    /// What the server's token may do, compared with a scope.
    pub(crate) async fn compare(&self, server: &ServerConfig, scope: TokenScope) -> Result<Comparison, Error> {
        let client = self.client(server).await?;
        let permissions = client.permissions().await?;
        self.keep_permissions(&self.cluster_of(&server.id), &client, &permissions);
        let major = client.version().await?.major().unwrap_or(9);
        Ok(permissions.compare(scope, major))
    }
}
