//! What has to be looked after: storages, backups, and the ends of tokens and certificates. Nobody is asked unless a
//! command wants to know, and each answer is kept with its time.

mod backups;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::model::id::{ClusterId, TokenId, VmId};
use crate::model::upkeep::backup::{BackupJob, LastBackup};
use crate::model::upkeep::{CertificateTerm, Storage, TokenTerm};
use crate::state::{BackupLook, StateError};
use crate::transport::Error;
use crate::transport::pve::Client;

/// What is kept of a cluster's backups.
#[derive(Debug, Default)]
pub(crate) struct Backups {
    /// The jobs, and when they were told; `None`: they never were.
    pub(crate) jobs: Option<(Vec<BackupJob>, Timestamp)>,
    pub(crate) last: HashMap<VmId, LastBackup>,
    /// How far the tasks of each node are known.
    pub(crate) looks: Vec<BackupLook>,
}

impl Fleet<'_> {
    /// Asks a cluster for its storages.
    ///
    /// # Errors
    /// The server that was asked fails.
    pub(crate) async fn ask_storages(&self, cluster: &ClusterId, client: &Client) -> Result<Vec<Storage>, Error> {
        let storages = client.storages().await?;
        Self::note_upkeep(self.state.put_storages(cluster, &storages, self.now()));
        Ok(storages)
    }

    /// Asks a cluster how long the client's token is accepted.
    ///
    /// # Errors
    /// The server that was asked fails, or does not know the token.
    pub(crate) async fn ask_token_term(&self, cluster: &ClusterId, client: &Client) -> Result<TokenTerm, Error> {
        let term = client.token_term().await?;
        Self::note_upkeep(self.state.put_token_term(cluster, client.token_id(), term, self.now()));
        Ok(term)
    }

    /// How long the certificate is valid that a server's API presents. A client that has just asked it something knows.
    ///
    /// # Errors
    /// The API cannot be reached, or is not trusted.
    pub(crate) async fn ask_certificate_term(
        &self,
        server: &ServerConfig,
        client: Option<&Client>,
    ) -> Result<CertificateTerm, Error> {
        let known = client.filter(|client| client.label() == server.id.as_str()).and_then(Client::presented);
        let presented = if known.is_some() {
            known
        } else {
            let client = self.client(server).await?;
            client.version().await?;
            client.presented()
        };
        let nothing =
            || Error::Protocol { peer: server.id.to_string(), detail: "it presents no certificate".to_owned() };
        let term = CertificateTerm { ends: presented.ok_or_else(nothing)?.ends() };
        Self::note_upkeep(self.state.put_certificate_term(&server.id, term, self.now()));
        Ok(term)
    }

    /// What is stored of a cluster's backups.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) fn kept_backups(&self, cluster: &ClusterId) -> Result<Backups, StateError> {
        self.state.at_once(|| {
            let (jobs, last) = (self.state.backup_jobs(cluster)?, self.state.backups(cluster)?);
            Ok(Backups { jobs, last, looks: self.state.backup_looks(cluster)? })
        })
    }

    /// Whose token a cluster is asked with, as far as that is known without running a command.
    pub(crate) fn stored_token(&self, cluster: &ClusterId) -> Result<Option<TokenId>, StateError> {
        Ok(self.state.token(cluster)?.map(|stored| stored.token.id))
    }

    /// Where something cannot be kept, the next run asks again.
    fn note_upkeep(result: Result<(), StateError>) {
        if let Err(error) = result {
            tracing::debug!(%error, "what was reported could not be stored");
        }
    }
}
