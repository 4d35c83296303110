//! Leases: who needs which servers awake, and which servers are up only because of that.
//!
//! A lease whose process was killed stays here until somebody looks: whoever reads decides which of them still count, as
//! the state file does not know which processes run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::model::inventory::server::ServerKey;
use crate::model::lease::{Lease, LeaseKind, Leased, Process, Then, Woken};
use crate::model::power::PowerAction;
use crate::state::inventory::idle;
use crate::state::{Result, State, time};

impl State {
    /// Remembers a lease, and gives its number; `lease.id` means nothing yet.
    pub(crate) fn begin_lease(&self, lease: &Lease) -> Result<i64> {
        let Lease { id: _, kind, by, reason, since, until, then, process, servers } = lease;
        self.write(|conn| {
            let sql = "INSERT INTO leases (kind, asked_by, reason, at, until, ending, pid, started, boot)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            conn.prepare_cached(sql)?.execute(params![
                kind.as_str(),
                by,
                reason,
                since.as_millisecond(),
                until.map(Timestamp::as_millisecond),
                then.map(Then::as_str),
                process.as_ref().map(|process| process.pid),
                process.as_ref().map(|process| process.started),
                process.as_ref().map(|process| &process.boot),
            ])?;
            let id = conn.last_insert_rowid();
            let sql = "INSERT OR IGNORE INTO leased (lease, server, name, asked) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = conn.prepare_cached(sql)?;
            for Leased { key, name, asked } in servers {
                insert.execute(params![id, key.0, name, asked])?;
            }
            Ok(id)
        })
    }

    /// All leases that are remembered, the oldest first, whether they still count or not.
    pub(crate) fn leases(&self) -> Result<Vec<Lease>> {
        self.read(|conn| {
            let mut servers: BTreeMap<i64, Vec<Leased>> = BTreeMap::new();
            let sql = "SELECT lease, server, name, asked FROM leased ORDER BY lease, asked DESC, name";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let leased = Leased { key: ServerKey(row.get(1)?), name: row.get(2)?, asked: row.get(3)? };
                servers.entry(row.get(0)?).or_default().push(leased);
            }
            let sql =
                "SELECT id, kind, asked_by, reason, at, until, ending, pid, started, boot FROM leases ORDER BY id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let mut lease = read_lease(row)?;
                lease.servers = servers.remove(&lease.id).unwrap_or_default();
                Ok(lease)
            })?;
            rows.collect()
        })
    }

    /// Forgets leases that have ended. Whatever they held was in use until then.
    pub(crate) fn end_leases(&self, ids: &[i64], at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let mut held = conn.prepare_cached("SELECT server FROM leased WHERE lease = ?1")?;
            let mut delete = conn.prepare_cached("DELETE FROM leases WHERE id = ?1")?;
            for id in ids {
                for server in held.query_map([id], |row| row.get::<_, String>(0))? {
                    idle::note_use(conn, &server?, at, "a lease held it")?;
                }
                delete.execute([id])?;
            }
            Ok(())
        })
    }

    /// Remembers that servers are about to be brought up for a lease: before anything is sent.
    pub(crate) fn put_woken(&self, woken: &[Woken]) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO woken (server, name, back, at) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = conn.prepare_cached(sql)?;
            for Woken { key, name, back, at, was_down: _ } in woken {
                insert.execute(params![key.0, name, back.as_str(), at.as_millisecond()])?;
            }
            Ok(())
        })
    }

    /// The servers that are up because of leases.
    pub(crate) fn woken(&self) -> Result<Vec<Woken>> {
        self.read(|conn| {
            let sql = "SELECT server, name, back, at, EXISTS (SELECT 1 FROM events
                    WHERE events.server = woken.server AND events.at > woken.at
                        AND events.before IN ('online', 'running'))
                FROM woken ORDER BY name";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let back: String = row.get(2)?;
                let back = PowerAction::ALL.into_iter().find(|action| action.as_str() == back);
                let (key, name, at) = (ServerKey(row.get(0)?), row.get(1)?, time(row.get(3)?));
                let was_down = row.get(4)?;
                Ok(back.map(|back| Woken { key, name, back, at, was_down }))
            })?;
            rows.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// What was up because of leases is no longer, or stays up for another reason.
    pub(crate) fn forget_woken(&self, servers: &[ServerKey]) -> Result<()> {
        self.write(|conn| {
            let mut delete = conn.prepare_cached("DELETE FROM woken WHERE server = ?1")?;
            servers.iter().try_for_each(|server| delete.execute([&server.0]).map(drop))
        })
    }

    /// The actions in flight that take servers down: of which server, since when, and who says how it ended.
    pub(crate) fn going_down(&self, now: Timestamp) -> Result<Vec<GoingDown>> {
        self.read(|conn| {
            let sql = "SELECT server, actions.action, at, pid, started, boot
                FROM in_flight CROSS JOIN actions ON actions.id = in_flight.action
                WHERE at <= ?1 AND until > ?1 AND server IS NOT NULL
                    AND actions.action NOT IN ('start', 'resume', 'wake')
                ORDER BY actions.id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([now.as_millisecond()], |row| {
                let (key, action, since) = (ServerKey(row.get(0)?), row.get(1)?, time(row.get(2)?));
                Ok(GoingDown { key, action, since, process: read_process(row, 3)? })
            })?;
            rows.collect()
        })
    }

    /// How ecobox took a server down last, of the ways that a host can go.
    pub(crate) fn last_way_down(&self, server: &ServerKey) -> Result<Option<PowerAction>> {
        self.read(|conn| {
            let sql = "SELECT action FROM actions WHERE server = ?1 AND outcome IN ('done', 'unconfirmed')
                    AND action IN ('suspend', 'hibernate', 'shutdown')
                ORDER BY id DESC LIMIT 1";
            let word = |row: &Row<'_>| row.get::<_, String>(0);
            let found = conn.prepare_cached(sql)?.query_row([&server.0], word).optional()?;
            Ok(found.and_then(|word| PowerAction::ALL.into_iter().find(|action| action.as_str() == word)))
        })
    }
}

/// An action that takes a server down, and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoingDown {
    pub(crate) key: ServerKey,
    pub(crate) action: String,
    pub(crate) since: Timestamp,
    pub(crate) process: Option<Process>,
}

fn read_process(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Process>> {
    Ok(match (row.get(first)?, row.get(first + 1)?, row.get(first + 2)?) {
        (Some(pid), Some(started), Some(boot)) => Some(Process { pid, started, boot }),
        _ => None,
    })
}

fn read_lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let kind: String = row.get(1)?;
    let then: Option<String> = row.get(6)?;
    Ok(Lease {
        id: row.get(0)?,
        kind: LeaseKind::parse(&kind),
        by: row.get(2)?,
        reason: row.get(3)?,
        since: time(row.get(4)?),
        until: row.get::<_, Option<i64>>(5)?.map(time),
        then: then.as_deref().and_then(Then::parse),
        process: read_process(row, 7)?,
        servers: Vec::new(),
    })
}

/// Guests keep their leases when their cluster gets another name; see `move_history`.
pub(super) fn move_servers(
    conn: &Connection,
    moved: impl Fn(&str, &str) -> rusqlite::Result<()>,
    rest: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<()> {
    for table in ["leased", "woken"] {
        moved(table, "OR IGNORE")?;
        conn.execute(&format!("DELETE FROM {table} WHERE server >= ?1 AND server < ?2"), rest)?;
    }
    Ok(())
}
