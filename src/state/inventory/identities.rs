//! By what a guest is told from another one: numbers are used again, and a power action must not hit who has the number
//! now. Kept as text, which is only compared.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::id::{ClusterId, VmId};
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

const PUT: &str = "INSERT OR REPLACE INTO identities (cluster, vmid, identity, at) VALUES (?1, ?2, ?3, ?4)";

impl State {
    /// The identity of a guest as it was learned, and when; `None`: never, or the guest is gone since.
    pub(crate) fn identity(&self, cluster: &ClusterId, vmid: VmId) -> Result<Option<(String, Timestamp)>> {
        self.read(|conn| {
            let sql = "SELECT identity, at FROM identities
                WHERE cluster = (SELECT id FROM clusters WHERE name = ?1) AND vmid = ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let row = statement.query_row(params![cluster.as_str(), vmid.get()], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(row.optional()?.map(|(identity, at)| (identity, time(at))))
        })
    }

    /// Keeps the identity of a guest, in place of what was known.
    pub(crate) fn put_identity(&self, cluster: &ClusterId, vmid: VmId, identity: &str, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let values = params![cluster_row(conn, cluster)?, vmid.get(), identity, at.as_millisecond()];
            conn.prepare_cached(PUT)?.execute(values).map(drop)
        })
    }

    /// Keeps the identities of guests. What else was learned of a guest that was `replaced` was of another one.
    pub(crate) fn put_identities(
        &self,
        cluster: &ClusterId,
        identities: &[(VmId, String)],
        replaced: &BTreeSet<VmId>,
        at: Timestamp,
    ) -> Result<()> {
        if identities.is_empty() {
            return Ok(());
        }
        self.write(|conn| {
            let cluster = cluster_row(conn, cluster)?;
            let mut put = conn.prepare_cached(PUT)?;
            for (vmid, identity) in identities {
                put.execute(params![cluster, vmid.get(), identity, at.as_millisecond()])?;
            }
            let sql = "UPDATE guests SET addresses = NULL, addresses_at = NULL WHERE cluster = ?1 AND vmid = ?2";
            let mut forget = conn.prepare_cached(sql)?;
            for vmid in replaced {
                forget.execute(params![cluster, vmid.get()])?;
            }
            Ok(())
        })
    }

    /// Forgets who had the number: a person said that the one who has it now is meant. A listing without the guest does
    /// the same.
    #[cfg(test)]
    pub(crate) fn forget_identity(&self, cluster: &ClusterId, vmid: VmId) -> Result<()> {
        self.write(|conn| forget(conn, cluster_row(conn, cluster)?, vmid))
    }

    /// Guests of the cluster that are there and whose identity was never learned; templates do not run.
    pub(crate) fn guests_without_identity(&self, cluster: &ClusterId) -> Result<BTreeSet<VmId>> {
        self.read(|conn| {
            let sql = "SELECT vmid FROM clusters CROSS JOIN guests ON guests.cluster = clusters.id
                WHERE clusters.name = ?1 AND gone_at IS NULL AND NOT template AND NOT EXISTS
                    (SELECT 1 FROM identities WHERE cluster = clusters.id AND vmid = guests.vmid)";
            let mut statement = conn.prepare_cached(sql)?;
            let numbers = statement.query_map([cluster.as_str()], |row| row.get::<_, u32>(0))?;
            let numbers = numbers.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(numbers.into_iter().filter_map(|number| VmId::try_from(number).ok()).collect())
        })
    }
}

/// Forgets identities of guests that the cluster does not have: they were saved out of a damaged file, and the guests went
/// without anyone noticing.
pub(in crate::state) fn forget_others(conn: &Connection, cluster: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM identities WHERE cluster = ?1 AND NOT EXISTS
        (SELECT 1 FROM guests WHERE guests.cluster = ?1 AND guests.vmid = identities.vmid)";
    conn.prepare_cached(sql)?.execute([cluster]).map(drop)
}

/// From now on this number belongs to another guest.
pub(in crate::state) fn forget(conn: &Connection, cluster: i64, vmid: VmId) -> rusqlite::Result<()> {
    let mut delete = conn.prepare_cached("DELETE FROM identities WHERE cluster = ?1 AND vmid = ?2")?;
    delete.execute(params![cluster, vmid.get()]).map(drop)
}
