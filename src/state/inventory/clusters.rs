//! Which server belongs to which cluster, when a cluster was last looked at, and a cluster that gets its lasting name.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::past::metrics::Ids;
use crate::state::history::pending_hours;
use crate::state::history::samples;
use crate::state::inventory::{backups, leases, permissions, tokens};
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

/// A configured server as a member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) server: ServerId,
    pub(crate) cluster: ClusterId,
    /// Its name in the cluster, where it is known.
    pub(crate) node: Option<NodeName>,
    /// When that was learned.
    pub(crate) at: Timestamp,
    /// Whether it has shown that it is of that cluster; versions before took its word.
    pub(crate) checked: bool,
}

impl State {
    /// Remembers which cluster, and which node of it, a server has shown to be.
    pub(crate) fn put_member(
        &self,
        server: &ServerId,
        cluster: &ClusterId,
        node: Option<&NodeName>,
        at: Timestamp,
    ) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO members (server, cluster, node, at, checked)
                VALUES (?1, ?2, ?3, ?4, 1)";
            let node = node.map(NodeName::as_str);
            conn.execute(sql, params![server.as_str(), cluster.as_str(), node, at.as_millisecond()]).map(drop)
        })
    }

    /// Remembers which node a server is, and nothing more.
    pub(crate) fn put_node(&self, server: &ServerId, node: Option<&NodeName>) -> Result<()> {
        self.write(|conn| {
            let sql = "UPDATE members SET node = ?2 WHERE server = ?1";
            conn.execute(sql, params![server.as_str(), node.map(NodeName::as_str)]).map(drop)
        })
    }

    /// All members, by server.
    pub(crate) fn members(&self) -> Result<Vec<Member>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT server, cluster, node, at, checked FROM members ORDER BY server")?;
            statement.query_map([], read_member)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// When the guests of the cluster were last looked for with all their details.
    pub(crate) fn discovered_at(&self, cluster: &ClusterId) -> Result<Option<Timestamp>> {
        let found = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT discovered_at FROM clusters WHERE name = ?1")?;
            statement.query_row([cluster.as_str()], |row| row.get::<_, Option<i64>>(0)).optional()
        })?;
        Ok(found.flatten().map(time))
    }

    /// The server that listed the cluster's guests last.
    pub(crate) fn listed_via(&self, cluster: &ClusterId) -> Result<Option<ServerId>> {
        let found = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT listed_via FROM clusters WHERE name = ?1")?;
            statement.query_row([cluster.as_str()], |row| row.get::<_, Option<String>>(0)).optional()
        })?;
        Ok(found.flatten().and_then(|server| server.parse().ok()))
    }

    /// Remembers that the cluster's guests were looked for with all their details.
    pub(crate) fn put_discovered(&self, cluster: &ClusterId, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let sql = "UPDATE clusters SET discovered_at = ?2 WHERE id = ?1";
            conn.execute(sql, params![cluster_row(conn, cluster)?, at.as_millisecond()]).map(drop)
        })
    }

    /// Gives everything that is kept under `old` to `new`: a cluster known by one server only, `host:x`, turns out to
    /// be `ca:...`. Where `new` is known already, what it knows stays and what only `old` knows is added.
    ///
    /// Of two tokens the younger stays; the other becomes an intent, so that it is removed on its server.
    pub(crate) fn rename_cluster(&self, old: &ClusterId, new: &ClusterId) -> Result<()> {
        if old == new {
            return Ok(());
        }
        self.write_durably(|conn| {
            let names = params![old.as_str(), new.as_str()];
            conn.execute("UPDATE OR REPLACE upkeep SET subject = ?2 WHERE subject = ?1", names)?;
            for table in ["members", "intents"] {
                conn.execute(&format!("UPDATE {table} SET cluster = ?2 WHERE cluster = ?1"), names)?;
            }
            permissions::forget(conn, old)?;
            permissions::forget(conn, new)?;
            // Whoever keeps the numbers knows them by the label of the first certificate authority.
            let label = old.is_of_ca().then(|| old.short());
            let sql = "SELECT label FROM clusters WHERE name = ?1";
            let kept = conn.query_row(sql, [old.as_str()], |row| row.get::<_, Option<String>>(0)).optional()?.flatten();
            let label = kept.or(label.map(str::to_owned));
            move_token(conn, old, new)?;
            move_guests(conn, old, new)?;
            let sql = "UPDATE clusters SET label = coalesce(label, ?2) WHERE name = ?1";
            conn.execute(sql, params![new.as_str(), label])?;
            move_history(conn, old, new)
        })
    }

    /// Under which labels the numbers of clusters leave, where those are not their own names'.
    pub(crate) fn labels(&self) -> Result<Ids> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT name, label FROM clusters WHERE label IS NOT NULL")?;
            let mut rows = statement.query([])?;
            let mut labels = Ids::default();
            while let Some(row) = rows.next()? {
                labels.put(ClusterId::new(row.get_ref(0)?.as_str()?), row.get(1)?);
            }
            Ok(labels)
        })
    }
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<Option<Member>> {
    let Ok(server) = row.get::<_, String>(0)?.parse() else { return Ok(None) };
    let node = row.get::<_, Option<String>>(2)?.and_then(|node| node.parse().ok());
    let cluster = ClusterId::new(row.get_ref(1)?.as_str()?);
    Ok(Some(Member { server, cluster, node, at: time(row.get(3)?), checked: row.get(4)? }))
}

fn move_token(conn: &Connection, old: &ClusterId, new: &ClusterId) -> rusqlite::Result<()> {
    let token = |cluster: &ClusterId| {
        let sql = "SELECT token_id, via, at FROM tokens WHERE cluster = ?1";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
        conn.query_row(sql, [cluster.as_str()], read).optional()
    };
    let (Some(from), Some(to)) = (token(old)?, token(new)?) else {
        let sql = "UPDATE tokens SET cluster = ?2 WHERE cluster = ?1";
        return conn.execute(sql, [old.as_str(), new.as_str()]).map(drop);
    };
    let (kept, dropped, loser) = if from.2 > to.2 { (&from, &to, new) } else { (&to, &from, old) };
    if kept.0 != dropped.0 {
        tokens::insert_intent(conn, &dropped.1, Some(new), &dropped.0, dropped.2)?;
    }
    conn.execute("DELETE FROM tokens WHERE cluster = ?1", [loser.as_str()])?;
    conn.execute("UPDATE tokens SET cluster = ?2 WHERE cluster = ?1", [old.as_str(), new.as_str()]).map(drop)
}

fn move_guests(conn: &Connection, old: &ClusterId, new: &ClusterId) -> rusqlite::Result<()> {
    let mut select = conn.prepare_cached("SELECT id FROM clusters WHERE name = ?1")?;
    let mut row_of = |cluster: &ClusterId| select.query_row([cluster.as_str()], |row| row.get::<_, i64>(0)).optional();
    let Some(from) = row_of(old)? else { return Ok(()) };
    let Some(to) = row_of(new)? else {
        let sql = "UPDATE clusters SET name = ?2 WHERE id = ?1";
        return conn.execute(sql, params![from, new.as_str()]).map(drop);
    };
    // A guest that only `old` knows was last seen when `old` was last listed.
    let seen = "UPDATE guests SET last_seen = coalesce(last_seen, (SELECT listed_at FROM clusters WHERE id = ?1))
        WHERE cluster = ?1";
    conn.execute(seen, [from])?;
    conn.execute("UPDATE OR IGNORE guests SET cluster = ?2 WHERE cluster = ?1", [from, to])?;
    // Of a guest that both know, the identity that was seen last is its own.
    let younger = "DELETE FROM identities WHERE cluster = ?2 AND at < (SELECT old.at FROM identities old
        WHERE old.cluster = ?1 AND old.vmid = identities.vmid)";
    conn.execute(younger, [from, to])?;
    conn.execute("UPDATE OR IGNORE identities SET cluster = ?2 WHERE cluster = ?1", [from, to])?;
    conn.execute("UPDATE OR IGNORE moved SET cluster = ?2 WHERE cluster = ?1", [from, to])?;
    conn.execute("UPDATE changes SET cluster = ?2 WHERE cluster = ?1", [from, to])?;
    backups::move_backups(conn, from, to)?;
    samples::move_subjects(conn, from, to)?;
    // The next listing is compared with all that is known now.
    conn.execute("UPDATE clusters SET digest = NULL WHERE id = ?1", [to])?;
    conn.execute("DELETE FROM clusters WHERE id = ?1", [from]).map(drop)
}

/// States, events, actions and checks of guests are kept under `<cluster>/<vmid>`.
fn move_history(conn: &Connection, old: &ClusterId, new: &ClusterId) -> rusqlite::Result<()> {
    // `0` comes after `/`.
    let range = params![format!("{old}/", old = old.as_str()), format!("{}0", old.as_str()), new.as_str()];
    let moved = |table: &str, or: &str| {
        let sql = format!(
            "UPDATE {or} {table} SET server = ?3 || substr(server, length(?1)) WHERE server >= ?1 AND server < ?2"
        );
        conn.execute(&sql, range).map(drop)
    };
    moved("events", "")?;
    moved("actions", "")?;
    moved("moves", "OR IGNORE")?;
    moved("states", "OR IGNORE")?;
    moved("series", "OR IGNORE")?;
    // What is still under the old name is also known under the new one.
    let rest = &range[..2];
    for table in ["states", "moves"] {
        conn.execute(&format!("DELETE FROM {table} WHERE server >= ?1 AND server < ?2"), rest)?;
    }
    leases::move_servers(conn, moved, rest)?;
    let twin = "SELECT twin.id FROM series old JOIN series twin ON twin.service = old.service
            AND twin.server = ?3 || substr(old.server, length(?1)) WHERE old.id";
    for table in ["checks", "check_hours", "switches"] {
        let sql = format!(
            "UPDATE OR IGNORE {table} SET series = ({twin} = {table}.series)
             WHERE series IN (SELECT id FROM series WHERE server >= ?1 AND server < ?2)"
        );
        conn.execute(&sql, range)?;
    }
    // Of an hour that lost some checks on either side only the sum is whole.
    let sql = "UPDATE series SET gone_before = max(series.gone_before, old.gone_before) FROM series old
        WHERE old.server >= ?1 AND old.server < ?2 AND series.service = old.service
            AND series.server = ?3 || substr(old.server, length(?1))";
    conn.execute(sql, range)?;
    conn.execute("UPDATE unrolled SET next = 0 WHERE kind = ?1", [pending_hours::CHECKS])?;
    conn.execute("DELETE FROM series WHERE server >= ?1 AND server < ?2", rest).map(drop)
}
