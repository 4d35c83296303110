//! Guest agents that did not answer when they were asked last.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::model::id::{ClusterId, VmId};
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

impl State {
    /// When the agents of a cluster that did not answer were asked last.
    pub(crate) fn silent_agents(&self, cluster: &ClusterId) -> Result<HashMap<VmId, Timestamp>> {
        self.read(|conn| {
            let sql = "SELECT vmid, at FROM silent_agents JOIN clusters ON clusters.id = cluster WHERE name = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([cluster.as_str()], |row| Ok((row.get::<_, u32>(0)?, time(row.get(1)?))))?;
            let known = |row: rusqlite::Result<(u32, Timestamp)>| {
                row.map(|(vmid, at)| Some((VmId::try_from(vmid).ok()?, at))).transpose()
            };
            rows.filter_map(known).collect()
        })
    }

    /// Keeps which agents did not answer, and forgets those that did.
    pub(crate) fn put_agents(
        &self,
        cluster: &ClusterId,
        silent: &[VmId],
        answered: &[VmId],
        at: Timestamp,
    ) -> Result<()> {
        self.write(|conn| {
            let cluster = cluster_row(conn, cluster)?;
            let mut insert =
                conn.prepare_cached("INSERT OR REPLACE INTO silent_agents (cluster, vmid, at) VALUES (?1, ?2, ?3)")?;
            for vmid in silent {
                insert.execute(params![cluster, vmid.get(), at.as_millisecond()])?;
            }
            let mut delete = conn.prepare_cached("DELETE FROM silent_agents WHERE cluster = ?1 AND vmid = ?2")?;
            for vmid in answered {
                delete.execute(params![cluster, vmid.get()])?;
            }
            Ok(())
        })
    }
}
