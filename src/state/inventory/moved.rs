//! Guests that were moved away so that their host could go down: who comes back once it is up again.

use jiff::Timestamp;
use rusqlite::params;

use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

/// A guest that was moved away from a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedGuest {
    pub(crate) cluster: ClusterId,
    pub(crate) vmid: VmId,
    /// The host that it belongs to, and the node that this host is.
    pub(crate) host: ServerId,
    pub(crate) from: NodeName,
    /// Where it was put.
    pub(crate) to: NodeName,
    pub(crate) at: Timestamp,
}

impl State {
    /// Remembers that a guest is moved away from its host. One that was moved away from another host before still belongs to
    /// that one.
    pub(crate) fn put_moved(&self, guest: &MovedGuest) -> Result<()> {
        let MovedGuest { cluster, vmid, host, from, to, at } = guest;
        self.write(|conn| {
            let sql = "INSERT INTO moved (cluster, vmid, host, from_node, to_node, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (cluster, vmid) DO UPDATE SET to_node = excluded.to_node, at = excluded.at";
            let (cluster, at) = (cluster_row(conn, cluster)?, at.as_millisecond());
            let values = params![cluster, vmid.get(), host.as_str(), from.as_str(), to.as_str(), at];
            conn.prepare_cached(sql)?.execute(values).map(drop)
        })
    }

    /// Forgets that a guest was moved away.
    pub(crate) fn forget_moved(&self, cluster: &ClusterId, vmid: VmId) -> Result<()> {
        self.write(|conn| {
            let sql = "DELETE FROM moved WHERE cluster = (SELECT id FROM clusters WHERE name = ?1) AND vmid = ?2";
            conn.prepare_cached(sql)?.execute(params![cluster.as_str(), vmid.get()]).map(drop)
        })
    }

    /// All that were moved away, the longest first.
    pub(crate) fn moved(&self) -> Result<Vec<MovedGuest>> {
        let rows = self.read(|conn| {
            let sql = "SELECT name, vmid, host, from_node, to_node, at FROM moved
                JOIN clusters ON clusters.id = moved.cluster ORDER BY at, vmid";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let text = |place| row.get::<_, String>(place);
                Ok((text(0)?, row.get::<_, u32>(1)?, text(2)?, text(3)?, text(4)?, time(row.get(5)?)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let read = |(cluster, vmid, host, from, to, at): (String, u32, String, String, String, Timestamp)| {
            Some(MovedGuest {
                cluster: ClusterId::new(&cluster),
                vmid: VmId::try_from(vmid).ok()?,
                host: host.parse().ok()?,
                from: from.parse().ok()?,
                to: to.parse().ok()?,
                at,
            })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }
}
