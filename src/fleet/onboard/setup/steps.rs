//! The saga's steps, carried out.

use crate::config::{Access, ServerConfig};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::onboard::answer::{HostSide, VisitAnswer, parse};
use crate::fleet::onboard::saga::{Ending, Event, Goal, Lost, Problem, Saga, Start, Step};
use crate::fleet::onboard::script::{Removal, Request, plan};
use crate::fleet::onboard::setup::{SetUp, SetUpError};
use crate::fleet::reach::host_certificates::HostCertificates;
use crate::model::access::scope::TokenScope;
use crate::model::id::{ClusterId, Token, TokenId};
use crate::state::{Intent, StateError, StoredToken};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{Error, local};

impl<'a> Fleet<'a> {
    /// Intents on this host or its cluster.
    pub(super) fn pending(&self, server: &ServerConfig, cluster: &ClusterId) -> Result<Vec<Intent>, StateError> {
        let all = self.state.all_intents()?.into_iter();
        Ok(all.filter(|intent| intent.server == server.id || intent.cluster.as_ref() == Some(cluster)).collect())
    }

    /// What the saga must know before its first step.
    pub(super) async fn start(
        &self,
        server: &ServerConfig,
        goal: Goal,
        scope: TokenScope,
        intents: Vec<TokenId>,
        replaces: Option<TokenId>,
    ) -> Result<Start, SetUpError> {
        let hostname = local::hostname().unwrap_or_else(|| "ecobox".to_owned());
        let today = self.now().strftime("%Y-%m-%d").to_string();
        Ok(Start {
            goal,
            scope,
            ssh_user: self.login_user(server).await?,
            suffix: self.state.machine_suffix(|| crate::transport::script::random_hex().chars().take(6).collect())?,
            comment: format!("ecobox on {hostname}, {today}"),
            hostname,
            intents,
            replaces,
            stored: self.state.tokens()?.iter().map(removal).collect(),
            all_intents: self.state.all_intents()?.into_iter().map(|intent| intent.token).collect(),
        })
    }

    /// Does what the saga says, step by step.
    pub(super) async fn drive(
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
                Step::Intend(token) => Event::Recorded(self.intend(server, cluster, &token)),
                Step::Visit(request) => Event::Visited(self.run_plan(server, &request, confirmed).await.map(Box::new)),
                Step::Store(token, host) => {
                    if let Some(ended) = host.replaced_ended {
                        let day = ended.strftime("%Y-%m-%d");
                        self.notice(format!(
                            "{}: the token before had ended on {day}; the new one does not end",
                            server.id
                        ));
                    }
                    result.learned = learned(&host, &result.learned);
                    Event::Stored(self.store(server, cluster, scope, &token, &host, result).await)
                }
                Step::Clear(tokens) => Event::Recorded(self.clear(server, cluster, &tokens, result).await),
                Step::Learn => Event::Learned(self.learn_and_keep_trust(server, result).await),
                Step::Verify => Event::Verified(self.compare(server, scope).await.map_err(SetUpError::from)),
                Step::Forget => Event::Recorded(self.forget(server, cluster, result).await),
            };
            step = saga.next(event);
        }
    }

    fn intend(&self, server: &ServerConfig, cluster: &ClusterId, token: &TokenId) -> Result<(), SetUpError> {
        Ok(self.state.begin_intent(&server.id, Some(cluster), token, self.now())?)
    }

    /// The token that was stored before for the same cluster gets an intent: it stands on the host until it is removed.
    ///
    /// A token that another host made is replaced only if the cluster takes the new one: this host may pass on what it
    /// shows from one that is of the cluster, and be none itself.
    async fn store(
        &self,
        server: &ServerConfig,
        cluster: &ClusterId,
        scope: TokenScope,
        token: &Token,
        host: &HostSide,
        result: &SetUp,
    ) -> Result<Option<Removal>, SetUpError> {
        let replaced = self.state.token(cluster)?.filter(|stored| stored.token.id != token.id);
        if replaced.as_ref().is_some_and(|replaced| replaced.via != server.id)
            && !self.takes(server, &result.shown, token.clone()).await?
        {
            let what = "the cluster does not take the token that was made there, and the stored one is kept".to_owned();
            return Err(SetUpError::Other { server: server.id.clone(), what });
        }
        if let Some(replaced) = &replaced {
            self.state.begin_intent(&server.id, Some(cluster), &replaced.token.id, self.now())?;
        }
        let node = result.shown.learned.node.as_ref().or(result.learned.node.as_ref());
        self.learn_member(&server.id, cluster, node)?;
        // Last: once it is stored, nothing may fail any more that would take the token back.
        self.state.finish_intent(cluster, token, scope, host.major(), &server.id, self.now())?;
        Ok(replaced.as_ref().map(removal))
    }

    /// That a token is gone is believed of the host that made it; of any other the cluster has to refuse it.
    async fn forget(&self, server: &ServerConfig, cluster: &ClusterId, result: &SetUp) -> Result<(), SetUpError> {
        if let Some(stored) = self.state.token(cluster)?.filter(|stored| stored.via != server.id)
            && self.takes(server, &result.shown, stored.token).await?
        {
            let what = format!("the token still works, as it was made on {}: it is kept", stored.via);
            return Err(SetUpError::Other { server: server.id.clone(), what });
        }
        self.state.forget_token(cluster)?;
        Ok(())
    }

    /// Another cluster may have an intent of the same name: that one stays. So does what another server of the cluster
    /// left, unless this one has shown that what it does there is done: a host that passes on what a member shows may say
    /// of any token that it is gone.
    async fn clear(
        &self,
        server: &ServerConfig,
        cluster: &ClusterId,
        tokens: &[TokenId],
        result: &SetUp,
    ) -> Result<(), SetUpError> {
        let gone = self.pending(server, cluster)?.into_iter().filter(|intent| tokens.contains(&intent.token));
        let (own, others): (Vec<_>, Vec<_>) = gone.partition(|intent| intent.server == server.id);
        let is_shown = !others.is_empty() && self.has_made_a_token(server, cluster, result).await?;
        for intent in own.into_iter().chain(others.into_iter().filter(|_| is_shown)) {
            self.state.clear_intent(&intent.server, &intent.token)?;
        }
        Ok(())
    }

    /// Whether the token that is stored was made there, and the cluster takes it.
    async fn has_made_a_token(
        &self,
        server: &ServerConfig,
        cluster: &ClusterId,
        result: &SetUp,
    ) -> Result<bool, SetUpError> {
        match self.state.token(cluster)?.filter(|stored| stored.via == server.id) {
            Some(stored) => Ok(matches!(self.takes(server, &result.shown, stored.token).await, Ok(true))),
            None => Ok(false),
        }
    }

    pub(super) async fn run_plan(
        &self,
        server: &ServerConfig,
        request: &Request,
        _: &Confirmed,
    ) -> Result<VisitAnswer, Lost<SetUpError>> {
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
pub(super) fn explain(server: &ServerConfig, problem: Problem<SetUpError>, result: &SetUp) -> SetUpError {
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

pub(super) fn removal(stored: &StoredToken) -> Removal {
    Removal { token: stored.token.id.clone(), scope: Some(stored.scope) }
}

/// What the visit added to what the look had learned.
fn learned(host: &HostSide, before: &HostCertificates) -> HostCertificates {
    HostCertificates {
        node: host.node.clone().or_else(|| before.node.clone()),
        ca_pem: host.ca_pem.clone().or_else(|| before.ca_pem.clone()),
        leaf_pem: host.leaf_pem.clone().or_else(|| before.leaf_pem.clone()),
        version: host.version.clone().or_else(|| before.version.clone()),
        fellows: before.fellows.clone(),
        problem: None,
    }
}
