//! Whether a host is awake: it proves who it is. A ping or an open port would say nothing of that.

use std::time::Duration;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::backoff::Backoff;
use crate::transport::pve::Client;
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{ConnectFailure, Error, Stranger, probe};

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);
/// How long the port may be silent: a host that sleeps does not answer, and a connection that is tried again later by
/// the system alone would find it seconds late.
const DOOR: Duration = Duration::from_secs(1);

impl Fleet<'_> {
    /// Looks until the host is awake: a login over SSH under its known key, or for a server without SSH an answer of the
    /// API whose certificate verifies. If nothing answers it never ends by itself: give it a deadline. `missed` is told
    /// why each look failed.
    ///
    /// # Errors
    /// What waiting does not fix: another key or certificate than the known one, or something on this machine.
    pub(crate) async fn awake(&self, server: &ServerConfig, mut missed: impl FnMut(&Error)) -> Result<(), Error> {
        let client = match server.access {
            Access::Api => Some(self.client(server).await?),
            Access::Ssh => None,
            Access::Local => return Ok(()),
        };
        let mut backoff = Backoff::new();
        loop {
            // A session from before would wait for a host that has forgotten it.
            self.forget_session(&server.id);
            let looked = tokio::time::timeout(LOOK, Box::pin(self.try_awake(server, client.as_ref()))).await;
            let late = |_| Error::Timeout { peer: server.id.to_string(), doing: "waking up", after: LOOK };
            match looked.map_err(late).flatten() {
                Ok(()) => {
                    self.be_patient_with(&server.id);
                    return Ok(());
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => missed(&error),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn try_awake(&self, server: &ServerConfig, client: Option<&Client>) -> Result<(), Error> {
        if let Some(client) = client {
            return match client.version().await {
                // Whatever it says, its certificate was verified before.
                Ok(_)
                | Err(
                    Error::Api { .. }
                    | Error::ServiceDown { .. }
                    | Error::Denied { .. }
                    | Error::Stranger { who: Stranger::Redirect | Stranger::Login, .. },
                ) => Ok(()),
                Err(error) => Err(error),
            };
        }
        if let Some(hop) = self.route(server).await?.direct() {
            let door = probe::tcp(&hop.host, hop.port, DOOR).await;
            if !door.open {
                let failure = door.failure.unwrap_or(ConnectFailure::Other);
                return Err(Error::Connect { peer: probe::peer(&hop.host, hop.port), failure, source: None });
            }
        }
        self.session(server, HostKeyPolicy::Refuse).await.map(drop)
    }
}

/// Whether waiting changes nothing. A login that is refused is not final: while a system starts, `pam_nologin` keeps
/// everybody but root out.
fn is_final(error: &Error) -> bool {
    match error {
        Error::UnknownHostKey { .. }
        | Error::Untrusted { .. }
        | Error::Revoked { .. }
        | Error::Unproven { .. }
        | Error::NoToken { .. }
        | Error::Local { .. } => true,
        Error::Connect { .. }
        | Error::Denied { .. }
        | Error::Api { .. }
        | Error::Stranger { .. }
        | Error::ServiceDown { .. }
        | Error::Protocol { .. }
        | Error::Timeout { .. } => false,
    }
}
