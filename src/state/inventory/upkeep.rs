//! What was told of storages, jobs of backups, sizes of guests, and the ends of tokens and certificates: of each the last word, with
//! its time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::guest::size::GuestSize;
use crate::model::id::{ClusterId, ServerId, TokenId, VmId};
use crate::model::upkeep::backup::BackupJob;
use crate::model::upkeep::{CertificateTerm, Storage, TokenTerm};
use crate::state::{Result, State, time, to_json};

const STORAGES: &str = "storages";
const JOBS: &str = "backup-jobs";
const CERTIFICATE: &str = "certificate";
const SIZES: &str = "guest-sizes";

impl State {
    pub(crate) fn storages(&self, cluster: &ClusterId) -> Result<Option<(Vec<Storage>, Timestamp)>> {
        self.upkeep(cluster.as_str(), STORAGES)
    }

    pub(crate) fn put_storages(&self, cluster: &ClusterId, storages: &[Storage], at: Timestamp) -> Result<()> {
        self.put_upkeep(cluster.as_str(), STORAGES, &storages, at)
    }

    pub(crate) fn backup_jobs(&self, cluster: &ClusterId) -> Result<Option<(Vec<BackupJob>, Timestamp)>> {
        self.upkeep(cluster.as_str(), JOBS)
    }

    pub(crate) fn put_backup_jobs(&self, cluster: &ClusterId, jobs: &[BackupJob], at: Timestamp) -> Result<()> {
        self.put_upkeep(cluster.as_str(), JOBS, &jobs, at)
    }

    /// What the guests of a cluster are allocated, by their numbers, as each was told last.
    pub(crate) fn guest_sizes(&self, cluster: &ClusterId) -> Result<BTreeMap<VmId, GuestSize>> {
        Ok(self.upkeep(cluster.as_str(), SIZES)?.map(|(sizes, _)| sizes).unwrap_or_default())
    }

    pub(crate) fn put_guest_sizes(
        &self,
        cluster: &ClusterId,
        sizes: &BTreeMap<VmId, GuestSize>,
        at: Timestamp,
    ) -> Result<()> {
        self.put_upkeep(cluster.as_str(), SIZES, sizes, at)
    }

    /// How long this very token of the cluster is accepted.
    pub(crate) fn token_term(&self, cluster: &ClusterId, token: &TokenId) -> Result<Option<(TokenTerm, Timestamp)>> {
        self.upkeep(cluster.as_str(), &of_token(token))
    }

    pub(crate) fn put_token_term(
        &self,
        cluster: &ClusterId,
        token: &TokenId,
        term: TokenTerm,
        at: Timestamp,
    ) -> Result<()> {
        self.put_upkeep(cluster.as_str(), &of_token(token), &term, at)
    }

    /// How long the certificate is valid that a server's API presented last.
    pub(crate) fn certificate_term(&self, server: &ServerId) -> Result<Option<(CertificateTerm, Timestamp)>> {
        self.upkeep(server.as_str(), CERTIFICATE)
    }

    pub(crate) fn put_certificate_term(&self, server: &ServerId, term: CertificateTerm, at: Timestamp) -> Result<()> {
        self.put_upkeep(server.as_str(), CERTIFICATE, &term, at)
    }

    /// `None` also for what cannot be read: it was never told.
    fn upkeep<T: DeserializeOwned>(&self, subject: &str, what: &str) -> Result<Option<(T, Timestamp)>> {
        let found = self.read(|conn| {
            let sql = "SELECT told, at FROM upkeep WHERE subject = ?1 AND what = ?2";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, time(row.get(1)?)));
            conn.prepare_cached(sql)?.query_row([subject, what], row).optional()
        })?;
        Ok(found.and_then(|(told, at)| Some((serde_json::from_str(&told).ok()?, at))))
    }

    fn put_upkeep(&self, subject: &str, what: &str, told: &impl Serialize, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO upkeep (subject, what, told, at) VALUES (?1, ?2, ?3, ?4)";
            conn.prepare_cached(sql)?.execute(params![subject, what, to_json(told), at.as_millisecond()]).map(drop)
        })
    }
}

fn of_token(token: &TokenId) -> String {
    format!("token {token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_of_a_cluster_follows_its_name() {
        let state = State::in_memory().unwrap();
        let (old, new) = (ClusterId::new("host:pve1"), ClusterId::new("ca:abc"));
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let storage = Storage {
            name: "local".to_owned(),
            node: "pve1".parse().unwrap(),
            shared: false,
            plugin: Some("dir".to_owned()),
            available: true,
            used_bytes: Some(1),
            size_bytes: Some(2),
        };
        let (token, term) = ("root@pam!box".parse().unwrap(), TokenTerm { ends: Some(at) });
        state.put_storages(&old, std::slice::from_ref(&storage), at).unwrap();
        state.put_token_term(&old, &token, term, at).unwrap();
        state.put_certificate_term(&"pve1".parse().unwrap(), CertificateTerm { ends: None }, at).unwrap();
        state.rename_cluster(&old, &new).unwrap();
        assert_eq!(state.storages(&new).unwrap(), Some((vec![storage], at)));
        assert_eq!(state.token_term(&new, &token).unwrap(), Some((term, at)));
        assert_eq!(state.token_term(&new, &"root@pam!other".parse().unwrap()).unwrap(), None);
        assert_eq!(state.storages(&old).unwrap(), None);
        let kept = state.certificate_term(&"pve1".parse().unwrap()).unwrap();
        assert_eq!(kept, Some((CertificateTerm { ends: None }, at)));
    }
}
