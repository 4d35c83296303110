//! API tokens, one per cluster, and the intents that keep one from being lost half-made.
//!
//! A token is made as a saga: the intent is on the disk before the server makes the token, and is cleared in the same
//! transaction that stores the secret. The next run that finds an intent removes that token on the server.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::access::scope::TokenScope;
use crate::model::id::{ClusterId, Secret, ServerId, Token, TokenId};
use crate::state::inventory::permissions;
use crate::state::{Result, State, time};

/// A token with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredToken {
    pub(crate) cluster: ClusterId,
    pub(crate) token: Token,
    pub(crate) scope: TokenScope,
    /// The major version of the host that made it; the privileges of a scope depend on it.
    pub(crate) pve_major: Option<u32>,
    /// The server it was made on.
    pub(crate) via: ServerId,
    pub(crate) at: Timestamp,
}

/// A token that was about to be made on a server, and of which nobody knows whether it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) server: ServerId,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) token: TokenId,
    pub(crate) at: Timestamp,
}

const TOKEN: &str = "SELECT cluster, token_id, secret, scope, pve_major, via, at FROM tokens";
const INTENT: &str = "SELECT server, cluster, token_id, at FROM intents";

impl State {
    /// A cluster's token.
    pub(crate) fn token(&self, cluster: &ClusterId) -> Result<Option<StoredToken>> {
        let found = self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{TOKEN} WHERE cluster = ?1"))?;
            statement.query_row([cluster.as_str()], read_token).optional()
        })?;
        Ok(found.flatten())
    }

    /// All tokens, by cluster.
    pub(crate) fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{TOKEN} ORDER BY cluster"))?;
            statement.query_map([], read_token)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// Whether there was one. Its bytes are overwritten.
    pub(crate) fn forget_token(&self, cluster: &ClusterId) -> Result<bool> {
        self.write_durably(|conn| {
            permissions::forget(conn, cluster)?;
            Ok(conn.execute("DELETE FROM tokens WHERE cluster = ?1", [cluster.as_str()])? > 0)
        })
    }

    /// Says, durably, that `token` is about to be made on `server`. It also proves that the file can be written.
    pub(crate) fn begin_intent(
        &self,
        server: &ServerId,
        cluster: Option<&ClusterId>,
        token: &TokenId,
        at: Timestamp,
    ) -> Result<()> {
        self.write_durably(|conn| {
            insert_intent(conn, server.as_str(), cluster, &token.to_string(), at.as_millisecond())
        })
    }

    /// The intents that a run on `server` left.
    #[cfg(test)]
    pub(crate) fn intents(&self, server: &ServerId) -> Result<Vec<Intent>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{INTENT} WHERE server = ?1 ORDER BY at"))?;
            statement.query_map([server.as_str()], read_intent)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// All intents, by server and age.
    pub(crate) fn all_intents(&self) -> Result<Vec<Intent>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{INTENT} ORDER BY server, at"))?;
            statement.query_map([], read_intent)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// The token is known not to be on the server, or is stored. Another server's intent of the same name stays.
    pub(crate) fn clear_intent(&self, server: &ServerId, token: &TokenId) -> Result<()> {
        self.write_durably(|conn| delete_intent(conn, server, token))
    }

    /// Stores the token of a cluster, in place of a former one, and clears its intent: both or neither.
    pub(crate) fn finish_intent(
        &self,
        cluster: &ClusterId,
        token: &Token,
        scope: TokenScope,
        pve_major: Option<u32>,
        via: &ServerId,
        at: Timestamp,
    ) -> Result<()> {
        self.write_durably(|conn| {
            let sql = "INSERT OR REPLACE INTO tokens (cluster, token_id, secret, scope, pve_major, via, at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let (id, secret, at) = (token.id.to_string(), token.secret.expose(), at.as_millisecond());
            conn.execute(sql, params![cluster.as_str(), id, secret, scope.as_str(), pve_major, via.as_str(), at])?;
            permissions::forget(conn, cluster)?;
            delete_intent(conn, via, &token.id)
        })
    }

    /// The suffix that tells this machine's tokens from other machines'. `make` is asked once in the file's life.
    pub(crate) fn machine_suffix(&self, make: impl FnOnce() -> String) -> Result<String> {
        let select = |conn: &Connection| conn.query_row("SELECT suffix FROM machine", [], |row| row.get(0));
        if let Some(suffix) = self.read(|conn| select(conn).optional())? {
            return Ok(suffix);
        }
        let suffix = make();
        self.write_durably(|conn| {
            conn.execute("INSERT OR IGNORE INTO machine (id, suffix) VALUES (1, ?1)", [&suffix])?;
            select(conn)
        })
    }
}

/// `server` and `token` are the texts as stored.
pub(in crate::state) fn insert_intent(
    conn: &Connection,
    server: &str,
    cluster: Option<&ClusterId>,
    token: &str,
    at: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO intents (server, cluster, token_id, at) VALUES (?1, ?2, ?3, ?4)";
    conn.execute(sql, params![server, cluster.map(ClusterId::as_str), token, at]).map(drop)
}

fn delete_intent(conn: &Connection, server: &ServerId, token: &TokenId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM intents WHERE server = ?1 AND token_id = ?2";
    conn.execute(sql, params![server.as_str(), token.to_string()]).map(drop)
}

/// `None` for a row that makes no sense: `ecobox setup-token` replaces it.
fn read_token(row: &Row<'_>) -> rusqlite::Result<Option<StoredToken>> {
    let (id, scope, via): (String, String, String) = (row.get(1)?, row.get(3)?, row.get(5)?);
    let scope = TokenScope::parse(&scope);
    let (Ok(id), Some(scope), Ok(via)) = (id.parse(), scope, via.parse()) else { return Ok(None) };
    Ok(Some(StoredToken {
        cluster: ClusterId::new(row.get_ref(0)?.as_str()?),
        token: Token { id, secret: Secret::new(row.get(2)?) },
        scope,
        pve_major: row.get(4)?,
        via,
        at: time(row.get(6)?),
    }))
}

fn read_intent(row: &Row<'_>) -> rusqlite::Result<Option<Intent>> {
    let (server, token): (String, String) = (row.get(0)?, row.get(2)?);
    let (Ok(server), Ok(token)) = (server.parse(), token.parse()) else { return Ok(None) };
    let cluster = row.get_ref(1)?.as_str_or_null()?.map(ClusterId::new);
    Ok(Some(Intent { server, cluster, token, at: time(row.get(3)?) }))
}
