//! How each server's TLS certificate is verified, as it was learned over SSH.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use crate::model::access::certificate::Trust;
use crate::model::id::ServerId;
use crate::state::{Result, State, time};

/// A server's trust and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTrust {
    pub(crate) server: ServerId,
    pub(crate) trust: Trust,
    pub(crate) learned_at: Timestamp,
    /// How it was learned: a word such as `ssh`, or the host it was read on.
    pub(crate) via: String,
}

const TRUST: &str = "SELECT server, trust, via, at FROM trust";

impl State {
    /// Durable: a token that no certificate is known for cannot be used.
    pub(crate) fn put_trust(&self, server: &ServerId, trust: &Trust, via: &str, at: Timestamp) -> Result<()> {
        self.write_durably(|conn| {
            let sql = "INSERT OR REPLACE INTO trust (server, trust, via, at) VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, params![server.as_str(), crate::state::to_json(trust), via, at.as_millisecond()])
                .map(drop)
        })
    }

    /// A server's trust.
    pub(crate) fn trust(&self, server: &ServerId) -> Result<Option<StoredTrust>> {
        let found = self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{TRUST} WHERE server = ?1"))?;
            statement.query_row([server.as_str()], read_trust).optional()
        })?;
        Ok(found.flatten())
    }

    /// All servers' trust, by server.
    pub(crate) fn trusts(&self) -> Result<Vec<StoredTrust>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{TRUST} ORDER BY server"))?;
            statement.query_map([], read_trust)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }
}

/// `None` for a row that makes no sense: without trust no token is sent, and `ecobox setup-token` learns it again.
fn read_trust(row: &Row<'_>) -> rusqlite::Result<Option<StoredTrust>> {
    let (server, trust): (String, String) = (row.get(0)?, row.get(1)?);
    let (Ok(server), Ok(trust)) = (server.parse(), serde_json::from_str(&trust)) else { return Ok(None) };
    Ok(Some(StoredTrust { server, trust, via: row.get(2)?, learned_at: time(row.get(3)?) }))
}
