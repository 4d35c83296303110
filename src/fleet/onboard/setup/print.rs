//! What setting up would run on each host, as it would be typed there. Nothing is run.

use std::collections::HashSet;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::onboard::saga::{Event, Goal, Saga, Step};
use crate::fleet::onboard::script::{Request, plan};
use crate::fleet::onboard::setup::SetUpError;
use crate::fleet::onboard::setup::steps::removal;
use crate::model::access::scope::TokenScope;
use crate::model::id::{ServerId, TokenId};

/// What would be run on one host; `None`: what is done on another node of its cluster holds for it.
pub(crate) struct Printed {
    pub(crate) server: ServerId,
    pub(crate) token: Option<PrintedToken>,
}

/// A token that would be made.
pub(crate) struct PrintedToken {
    pub(crate) token: TokenId,
    pub(crate) scope: TokenScope,
    pub(crate) commands: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// The commands for each host; of a cluster on the first of its nodes only.
    ///
    /// # Errors
    /// No valid token can be named; the state file's; who logs in is not known.
    pub(crate) async fn print_set_up(
        &self,
        servers: &[&'a ServerConfig],
        scope: Option<TokenScope>,
    ) -> Result<Vec<Printed>, SetUpError> {
        let mut printed = Vec::new();
        let mut clusters = HashSet::new();
        for server in servers {
            let token = if clusters.insert(self.cluster_of(&server.id)) {
                Some(self.print_token(server, scope).await?)
            } else {
                None
            };
            printed.push(Printed { server: server.id.clone(), token });
        }
        Ok(printed)
    }

    /// The saga says what it would send. A real one removes the token before it only when the new one is stored; whoever
    /// types this does both at once.
    async fn print_token(
        &self,
        server: &'a ServerConfig,
        scope: Option<TokenScope>,
    ) -> Result<PrintedToken, SetUpError> {
        let cluster = self.cluster_of(&server.id);
        let stored = self.state.token(&cluster)?;
        let scope = scope.or(stored.as_ref().map(|stored| stored.scope)).unwrap_or(TokenScope::Operator);
        let intents = self.pending(server, &cluster)?.into_iter().map(|intent| intent.token).collect();
        let replaces = stored.as_ref().map(|stored| stored.token.id.clone());
        let start = self.start(server, Goal::Create, scope, intents, replaces).await?;
        let failed = |what: String| SetUpError::Other { server: server.id.clone(), what };
        let mut saga = Saga::<SetUpError>::new(start);
        let (mut step, mut token) = (saga.start(), None);
        let request = loop {
            step = match step {
                Step::Intend(id) => {
                    token = Some(id);
                    saga.next(Event::Recorded(Ok(())))
                }
                Step::Clear(_) => saga.next(Event::Recorded(Ok(()))),
                Step::Visit(request) => break request,
                _ => return Err(failed("no token can be named".to_owned())),
            };
        };
        let token = token.ok_or_else(|| failed("no token can be named".to_owned()))?;
        let remove = request.remove.into_iter().chain(stored.as_ref().map(removal)).collect();
        let major = self.known.borrow().facts.get(&server.id).and_then(|facts| facts.pve()?.major());
        let commands = plan(&Request { remove, ..request }, major).map_err(|error| failed(error.to_string()))?.commands;
        Ok(PrintedToken { token, scope, commands })
    }
}
