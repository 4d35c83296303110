//! Visits: what a host is, learned over SSH by one script, kept in the state file.

use std::time::{Duration, Instant};

use futures::StreamExt as _;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::host::facts;
use crate::model::host::facts::HostFacts;
use crate::model::id::ServerId;
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;

/// How many hosts are visited at a time.
const AT_ONCE: usize = 64;

/// What a visit found.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) server: ServerId,
    /// Type and SHA-256 of the host's key; `None` for this machine itself, and if the host was not reached.
    pub(crate) host_key: Option<String>,
    pub(crate) took: Duration,
    /// `None`: it is configured without SSH, nothing was visited.
    pub(crate) facts: Option<Result<HostFacts, Error>>,
}

impl<'a> Fleet<'a> {
    /// Visits servers, many at a time, and keeps what was learned. With `Ask`, hosts whose key is not known are
    /// asked about afterwards, one by one.
    ///
    /// # Errors
    /// Only the state file's; hosts that fail are in the answer. The order is that of `servers`.
    pub(crate) async fn visit(
        &self,
        servers: &[&'a ServerConfig],
        policy: HostKeyPolicy,
    ) -> Result<Vec<Visit>, StateError> {
        let first = if policy == HostKeyPolicy::Ask { HostKeyPolicy::Refuse } else { policy };
        let visits = servers.iter().map(|server| self.visit_one(server, first));
        let mut visits: Vec<Visit> = futures::stream::iter(visits).buffered(AT_ONCE).collect().await;
        if policy == HostKeyPolicy::Ask {
            for (visit, server) in visits.iter_mut().zip(servers) {
                if matches!(visit.facts, Some(Err(Error::UnknownHostKey { .. }))) {
                    *visit = self.visit_one(server, HostKeyPolicy::Ask).await;
                }
            }
        }
        self.keep_facts(&visits)?;
        Ok(visits)
    }

    /// Keeps what was learned; what a visit did not tell stays as an earlier one told it, and that is said.
    fn keep_facts(&self, visits: &[Visit]) -> Result<(), StateError> {
        let mut earlier = self.state.all_facts()?;
        for visit in visits {
            let Some(Ok(facts)) = &visit.facts else { continue };
            let (facts, kept) = match earlier.remove(&visit.server) {
                Some((known, at)) => facts.clone().completed_by(&known, at),
                None => (facts.clone(), Vec::new()),
            };
            if let Some(of) = facts.kept_of.filter(|_| !kept.is_empty()) {
                let (what, of) = (kept.join(" and "), of.strftime("%Y-%m-%d %H:%MZ"));
                self.notice(format!("{}: its {what} could not be read: kept as of {of}", visit.server));
            }
            self.state.put_facts(&visit.server, &facts, self.now())?;
            self.known.borrow_mut().facts.insert(visit.server.clone(), facts);
        }
        Ok(())
    }

    async fn visit_one(&self, server: &ServerConfig, policy: HostKeyPolicy) -> Visit {
        let started = Instant::now();
        let facts = match server.access {
            Access::Api => None,
            Access::Local | Access::Ssh => {
                let script = self.run_script_in_time(server, policy, facts::SCRIPT);
                Some(script.await.map(|output| facts::parse(&output.stdout)))
            }
        };
        let host_key = match (&facts, server.access) {
            (Some(Ok(_)), Access::Ssh) => self.session(server, policy).await.ok().map(|s| s.host_key().to_owned()),
            _ => None,
        };
        Visit { server: server.id.clone(), host_key, took: started.elapsed(), facts }
    }
}
