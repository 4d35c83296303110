//! Sets up access to clusters: drives the onboarding saga over SSH, and says what each host's token may do.

use futures::future::join_all;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::onboard::answer::{self, Answer, Done, HostSide, parse};
use crate::fleet::onboard::saga::{Ending, Event, Goal, Lost, Problem, Saga, Start, Step};
use crate::fleet::onboard::script::{Action, Removal, Request, plan};
use crate::fleet::trust::Learned;
use crate::model::id::{ClusterId, ServerId, TokenId};
use crate::model::scope::{Comparison, Scope};
use crate::state::{Intent, StateError, StoredToken};
use crate::transport::Error;
use crate::transport::local;
use crate::transport::ssh::HostKeyPolicy;
use crate::ui::Confirmed;

/// What is wanted of every host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A usable token of this scope; one that is stored and does is kept. `None`: the stored scope, else operator.
    Token(Option<Scope>),
    /// A new token in place of the stored one.
    Rotated(Option<Scope>),
    Revoked,
}

/// What became of one host.
#[derive(Debug)]
pub(crate) struct SetUp {
    pub(crate) server: ServerId,
    pub(crate) learned: Learned,
    pub(crate) token: Option<TokenId>,
    pub(crate) scope: Option<Scope>,
    /// The trust's name.
    pub(crate) trust: Option<&'static str>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) did: Did,
    /// What may still stand on the host, for the next run to remove.
    pub(crate) left: Vec<TokenId>,
    pub(crate) error: Option<SetUpError>,
}

/// What was done on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
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
    fn new(server: &ServerConfig, learned: Learned) -> SetUp {
        SetUp {
            server: server.id.clone(),
            learned,
            token: None,
            scope: None,
            trust: None,
            comparison: None,
            did: Did::Nothing,
            left: Vec::new(),
            error: None,
        }
    }

    fn failed(server: &ServerConfig, error: impl Into<SetUpError>) -> SetUp {
        SetUp { error: Some(error.into()), ..SetUp::new(server, Learned::default()) }
    }
}

impl<'a> Fleet<'a> {
    /// Gives every host what is wanted: hosts of one cluster share one token, each learns the trust of its own API.
    /// Looks at all hosts first, then works on the clusters side by side.
    pub(crate) async fn set_up(
        &self,
        servers: &[&'a ServerConfig],
        wanted: Wanted,
        confirmed: &Confirmed,
    ) -> Vec<SetUp> {
        let looks = join_all(servers.iter().map(|server| self.look(server, HostKeyPolicy::Refuse))).await;
        let mut clusters: Vec<(ClusterId, Vec<(usize, Learned)>)> = Vec::new();
        let mut done: Vec<Option<SetUp>> = servers.iter().map(|_| None).collect();
        for (i, look) in looks.into_iter().enumerate() {
            match look {
                Err(error) => done[i] = Some(SetUp::failed(servers[i], error)),
                Ok(learned) => {
                    let cluster = learned.cluster().unwrap_or_else(|| self.cluster_of(&servers[i].id));
                    match clusters.iter_mut().find(|(known, _)| *known == cluster) {
                        Some((_, members)) => members.push((i, learned)),
                        None => clusters.push((cluster, vec![(i, learned)])),
                    }
                }
            }
        }
        let work = clusters.into_iter().map(|(cluster, members)| async move {
            let mut results = Vec::new();
            let mut wanted = wanted;
            for (i, learned) in members {
                let result = self.set_up_one(servers[i], &cluster, learned, wanted, confirmed).await;
                // The next member of the cluster shares the new token; a revoked one is revoked once.
                if let (Wanted::Rotated(scope), Did::Created | Did::Replaced) = (wanted, result.did) {
                    wanted = Wanted::Token(scope);
                }
                results.push((i, result));
            }
            results
        });
        for (i, result) in join_all(work).await.into_iter().flatten() {
            done[i] = Some(result);
        }
        done.into_iter().flatten().collect()
    }

    async fn set_up_one(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        learned: Learned,
        wanted: Wanted,
        confirmed: &Confirmed,
    ) -> SetUp {
        let mut result = SetUp::new(server, learned);
        if result.learned.node.is_none() && result.learned.version.is_none() {
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
        self.follow_cluster(server, cluster, confirmed).await?;
        let stored = self.state.token(cluster)?;
        let intents: Vec<TokenId> = self.pending(server, cluster)?.into_iter().map(|intent| intent.token).collect();
        let scope = match (wanted, &stored) {
            (Wanted::Token(Some(scope)) | Wanted::Rotated(Some(scope)), _) => scope,
            (_, Some(stored)) => stored.scope,
            (_, None) => Scope::Operator,
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
        let start = self.start(server, goal.clone(), scope, intents).await?;
        let ending = self.drive(server, cluster, start, confirmed, result).await?;
        result.did = match (&goal, &ending.token) {
            (Goal::Revoke(_), _) if ending.problem.is_none() => Did::Revoked,
            (Goal::Create, Some(_)) if had => Did::Replaced,
            (Goal::Create, Some(_)) => Did::Created,
            _ => Did::Nothing,
        };
        if result.did == Did::Revoked {
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
        confirmed: &Confirmed,
    ) -> Result<(), SetUpError> {
        let before = self.cluster_of(&server.id);
        if before == *cluster {
            return Ok(());
        }
        // Before the CA was known, the server's own name stood in. Else the CA was replaced, or the host has joined
        // another cluster; in that one nobody knows our token.
        let same = match self.state.token(&before)? {
            _ if before == ClusterId::of_host(&server.id) => true,
            Some(stored) => self.has_token(server, &stored, confirmed).await?,
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

    /// Whether a stored token stands on a host, as seen over SSH: it is not shown to an API that may be another's.
    async fn has_token(
        &self,
        server: &'a ServerConfig,
        stored: &StoredToken,
        confirmed: &Confirmed,
    ) -> Result<bool, SetUpError> {
        let ssh_user = self.login_user(server).await?;
        let request = Request { action: Action::Check, scope: stored.scope, remove: Vec::new(), ssh_user };
        match self.run_plan(server, &request, confirmed).await {
            Ok(Answer { result: Ok(Done::Checked { tokens }), .. }) => Ok(tokens.contains(&stored.token.id.name)),
            Ok(Answer { result: Ok(_), .. }) => Ok(false),
            Ok(Answer { result: Err(failure), .. }) => Err(SetUpError::Host { server: server.id.clone(), failure }),
            Err(Lost::NotSent(error) | Lost::Unknown(error)) => Err(error),
        }
    }

    /// Whether the stored token does for this host: learns the host's trust and asks the API what the token may do.
    async fn keeps(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        stored: &StoredToken,
        result: &mut SetUp,
    ) -> Result<bool, SetUpError> {
        self.learn_member(&server.id, cluster, result.learned.node.as_ref())?;
        self.learn_and_keep_trust(server, result).await?;
        match self.compare(server, stored.scope).await {
            Ok(comparison) if comparison.missing.is_empty() => {
                result.comparison = Some(comparison);
                result.token = Some(stored.token.id.clone());
                result.did = Did::Kept;
                Ok(true)
            }
            // Removed on the host, or its role was changed: a new one mends both.
            Ok(_) | Err(Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn learn_and_keep_trust(&self, server: &ServerConfig, result: &mut SetUp) -> Result<(), SetUpError> {
        let configured = server.fingerprint.is_some() || server.ca_file.is_some() || !server.verify_tls;
        let trust = if configured { self.trust(server)? } else { self.learn_trust(server, &result.learned).await? };
        if !configured {
            self.keep_trust(server, &trust)?;
        }
        result.trust = Some(trust.as_str());
        Ok(())
    }

    /// What the server's token may do, compared with a scope.
    pub(crate) async fn compare(&self, server: &ServerConfig, scope: Scope) -> Result<Comparison, Error> {
        let client = self.client(server).await?;
        let permissions = client.permissions().await?;
        let major = client.version().await?.major().unwrap_or(9);
        Ok(permissions.compare(scope, major))
    }

    /// Intents on this host or its cluster.
    fn pending(&self, server: &ServerConfig, cluster: &ClusterId) -> Result<Vec<Intent>, StateError> {
        let all = self.state.all_intents()?.into_iter();
        Ok(all.filter(|intent| intent.server == server.id || intent.cluster.as_ref() == Some(cluster)).collect())
    }

    /// What the saga must know before its first step.
    async fn start(
        &self,
        server: &ServerConfig,
        goal: Goal,
        scope: Scope,
        intents: Vec<TokenId>,
    ) -> Result<Start, SetUpError> {
        let hostname = local::hostname().unwrap_or_else(|| "ecobox".to_owned());
        let today = self.now().strftime("%Y-%m-%d").to_string();
        Ok(Start {
            goal,
            scope,
            ssh_user: self.login_user(server).await?,
            suffix: self.state.machine_suffix(|| crate::transport::script::random_hex()[..6].to_owned())?,
            comment: format!("ecobox on {hostname}, {today}"),
            hostname,
            intents,
            stored: self.state.tokens()?.iter().map(removal).collect(),
            all_intents: self.state.all_intents()?.into_iter().map(|intent| intent.token).collect(),
        })
    }

    /// Does what the saga says, step by step.
    async fn drive(
        &self,
        server: &'a ServerConfig,
        cluster: &ClusterId,
        start: Start,
        confirmed: &Confirmed,
        result: &mut SetUp,
    ) -> Result<Ending<SetUpError>, SetUpError> {
        let scope = start.scope;
        let mut saga = Saga::new(start);
        let mut step = saga.start();
        loop {
            let event = match step {
                Step::End(ending) => return Ok(ending),
                Step::Intend(token) => Event::Recorded(self.intend(server, result, &token)),
                Step::Visit(request) => Event::Visited(self.run_plan(server, &request, confirmed).await),
                Step::Store(created, host) => {
                    result.learned = learned(&host, &result.learned);
                    Event::Stored(self.store(server, scope, &created.token, &host, result))
                }
                Step::Clear(tokens) => Event::Recorded(self.clear(server, cluster, &tokens)),
                Step::Learn => Event::Learned(self.learn_and_keep_trust(server, result).await),
                Step::Verify => Event::Verified(self.compare(server, scope).await.map_err(SetUpError::from)),
                Step::Forget => Event::Recorded(self.state.forget_token(cluster).map(drop).map_err(Into::into)),
            };
            step = saga.next(event);
        }
    }

    fn intend(&self, server: &ServerConfig, result: &SetUp, token: &TokenId) -> Result<(), SetUpError> {
        let cluster = result.learned.cluster();
        Ok(self.state.begin_intent(&server.id, cluster.as_ref(), token, self.now())?)
    }

    /// The token that was stored before for the same cluster gets an intent: it stands on the host until it is removed.
    fn store(
        &self,
        server: &ServerConfig,
        scope: Scope,
        token: &crate::model::id::Token,
        host: &HostSide,
        result: &SetUp,
    ) -> Result<Option<Removal>, SetUpError> {
        let cluster = result.learned.cluster().unwrap_or_else(|| self.cluster_of(&server.id));
        let replaced = self.state.token(&cluster)?.filter(|stored| stored.token.id != token.id);
        if let Some(replaced) = &replaced {
            self.state.begin_intent(&server.id, Some(&cluster), &replaced.token.id, self.now())?;
        }
        self.learn_member(&server.id, &cluster, result.learned.node.as_ref())?;
        // Last: once it is stored, nothing may fail any more that would take the token back.
        self.state.finish_intent(&cluster, token, scope, host.major(), &server.id, self.now())?;
        Ok(replaced.as_ref().map(removal))
    }

    /// Another cluster may have an intent of the same name: that one stays.
    fn clear(&self, server: &ServerConfig, cluster: &ClusterId, tokens: &[TokenId]) -> Result<(), SetUpError> {
        for intent in self.pending(server, cluster)? {
            if tokens.contains(&intent.token) {
                self.state.clear_intent(&intent.server, &intent.token)?;
            }
        }
        Ok(())
    }

    async fn run_plan(
        &self,
        server: &ServerConfig,
        request: &Request,
        _: &Confirmed,
    ) -> Result<Answer, Lost<SetUpError>> {
        let plan = plan(request, None)
            .map_err(|error| Lost::NotSent(SetUpError::Other { server: server.id.clone(), what: error.to_string() }))?;
        if server.access == Access::Ssh {
            // Until the session stands nothing was sent; after that the script may have run, whatever went wrong.
            self.session(server, HostKeyPolicy::Refuse).await.map_err(|error| Lost::NotSent(error.into()))?;
        }
        let deadline = crate::fleet::onboard::DEADLINE;
        let output = self.run_script(server, HostKeyPolicy::Refuse, &plan.script, deadline).await;
        output.map(|output| parse(&output.stdout, request)).map_err(|error| Lost::Unknown(error.into()))
    }

    /// Who logs in on a host.
    pub(crate) async fn login_user(&self, server: &ServerConfig) -> Result<String, Error> {
        match server.access {
            Access::Ssh => {
                let route = self.route(server).await?;
                Ok(route.hops().last().map_or_else(|| "root".to_owned(), |hop| hop.user.clone()))
            }
            Access::Local | Access::Api => Ok(std::env::var("USER").unwrap_or_else(|_| "root".to_owned())),
        }
    }
}

/// A saga's problem as an error of this server's.
fn explain(server: &ServerConfig, problem: Problem<SetUpError>, result: &SetUp) -> SetUpError {
    let server = server.id.clone();
    let other = |what: &str| SetUpError::Other { server: server.clone(), what: what.to_owned() };
    match problem {
        Problem::State(error) | Problem::Lost(error) | Problem::Trust(error) | Problem::Unverified(error) => error,
        Problem::Host(failure) => SetUpError::Host { server, failure },
        Problem::Missing => {
            let missing = result.comparison.as_ref().map(|comparison| comparison.missing.clone());
            SetUpError::Missing { server, missing: missing.unwrap_or_default() }
        }
        Problem::NamesTaken => other("it has tokens of all names that were tried"),
        Problem::Name(error) => other(&format!("the login user cannot be a Proxmox VE user: {error}")),
        Problem::OutOfStep => other("the steps of the set-up came out of order: this is a fault of ecobox"),
    }
}

fn removal(stored: &StoredToken) -> Removal {
    Removal { token: stored.token.id.clone(), scope: Some(stored.scope) }
}

/// What the visit added to what the look had learned.
fn learned(host: &HostSide, before: &Learned) -> Learned {
    Learned {
        node: host.node.clone().or_else(|| before.node.clone()),
        ca_pem: host.ca_pem.clone().or_else(|| before.ca_pem.clone()),
        leaf_pem: host.leaf_pem.clone().or_else(|| before.leaf_pem.clone()),
        version: host.version.clone().or_else(|| before.version.clone()),
        problem: None,
    }
}
