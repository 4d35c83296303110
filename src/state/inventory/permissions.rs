//! What tokens may do, as Proxmox VE said last: so that a plan knows it without asking, and of clusters that sleep, too.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::access::scope::Permissions;
use crate::model::id::{ClusterId, TokenId};
use crate::state::{Result, State, time};

impl State {
    /// What the token may do in the cluster, and when that was said.
    pub(crate) fn permissions(&self, cluster: &ClusterId, token: &TokenId) -> Result<Option<(Permissions, Timestamp)>> {
        let found = self.read(|conn| {
            let sql = "SELECT held, at FROM permissions WHERE cluster = ?1 AND token_id = ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, time(row.get(1)?)));
            statement.query_row(params![cluster.as_str(), token.to_string()], row).optional()
        })?;
        // What cannot be read was never said.
        Ok(found.and_then(|(held, at)| Some((Permissions(serde_json::from_str(&held).ok()?), at))))
    }

    /// Keeps what the token may do, in place of what another one might.
    pub(crate) fn put_permissions(
        &self,
        cluster: &ClusterId,
        token: &TokenId,
        held: &Permissions,
        at: Timestamp,
    ) -> Result<()> {
        let held = serde_json::to_string(&held.condensed().0).unwrap_or_default();
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO permissions (cluster, token_id, held, at) VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, params![cluster.as_str(), token.to_string(), held, at.as_millisecond()]).map(drop)
        })
    }

    /// What was said is not so any more.
    pub(crate) fn forget_permissions(&self, cluster: &ClusterId) -> Result<()> {
        self.write(|conn| forget(conn, cluster))
    }
}

pub(in crate::state) fn forget(conn: &Connection, cluster: &ClusterId) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM permissions WHERE cluster = ?1", [cluster.as_str()]).map(drop)
}
