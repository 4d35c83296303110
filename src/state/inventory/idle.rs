//! For how long hosts are idle, and what kept them awake, as far as somebody looked.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::model::host::idle::IdleRecord;
use crate::model::host::idle::explain::{Shown, Sighting, Stretch};
use crate::model::id::ServerId;
use crate::state::{Result, State, time};

/// How long stretches are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

const COLUMNS: &str = "server, since, looked_at, paced_at, gaps, needs, used_at, used, sleeps";

impl State {
    /// What looks at a host have shown so far.
    pub(crate) fn idle(&self, server: &ServerId) -> Result<Option<IdleRecord>> {
        self.read(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM idle WHERE server = ?1");
            conn.prepare_cached(&sql)?.query_row([server.as_str()], read_record).optional()
        })
    }

    /// The same of all hosts that somebody looked at.
    pub(crate) fn all_idle(&self) -> Result<BTreeMap<ServerId, IdleRecord>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM idle"))?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, read_record(row)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(rows.into_iter().filter_map(|(server, record)| Some((server.parse().ok()?, record))).collect())
    }

    /// Keeps a host's record after a look, and adds what the look showed to the stretches: to those that were seen until
    /// `seen_from`, where the time from then on counts as seen; else new ones begin.
    pub(crate) fn put_idle(
        &self,
        server: &ServerId,
        record: &IdleRecord,
        shown: &[Sighting],
        seen_from: Option<Timestamp>,
    ) -> Result<()> {
        let IdleRecord { since, looked_at, paced_at, gaps, needs, used, sleeps } = record;
        let now = looked_at.as_millisecond();
        let gaps: Vec<i64> = gaps.iter().map(|gap| i64::try_from(gap.as_millis()).unwrap_or(i64::MAX)).collect();
        self.write(|conn| {
            let sql = format!("INSERT OR REPLACE INTO idle ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
            conn.prepare_cached(&sql)?.execute(params![
                server.as_str(),
                since.map(Timestamp::as_millisecond),
                now,
                paced_at.as_millisecond(),
                crate::state::to_json(&gaps),
                crate::state::to_json(needs),
                used.as_ref().map(|(at, _)| at.as_millisecond()),
                used.as_ref().map(|(_, what)| what),
                sleeps.map(|sleeps| i64::try_from(sleeps).unwrap_or(i64::MAX)),
            ])?;
            let from = seen_from.map_or(now, Timestamp::as_millisecond);
            let mut extend = conn.prepare_cached(
                "UPDATE idle_stretches SET until = ?4, text = ?6
                 WHERE server = ?1 AND kind = ?2 AND what = ?3 AND until >= ?5 AND until <= ?4",
            )?;
            let mut begin = conn.prepare_cached(
                "INSERT OR REPLACE INTO idle_stretches (server, kind, what, since, until, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for Sighting { shown, what, text } in shown {
                let kind = shown.as_str();
                if extend.execute(params![server.as_str(), kind, what, now, from, text])? == 0 {
                    begin.execute(params![server.as_str(), kind, what, from, now, text])?;
                }
            }
            let old = looked_at.checked_sub(KEPT).unwrap_or(Timestamp::MIN).as_millisecond();
            conn.prepare_cached("DELETE FROM idle_stretches WHERE until < ?1")?.execute([old]).map(drop)
        })
    }

    /// Somebody else than `--if-idle` saw that a host is in use: the window begins again.
    pub(crate) fn note_use(&self, server: &ServerId, at: Timestamp, what: &str) -> Result<()> {
        self.write(|conn| note_use(conn, server.as_str(), at, what))
    }

    /// What looks at a host have shown from `since` on, the oldest first.
    pub(crate) fn idle_stretches(&self, server: &ServerId, since: Timestamp) -> Result<Vec<Stretch>> {
        self.read(|conn| {
            let sql = "SELECT kind, what, text, since, until FROM idle_stretches
                WHERE server = ?1 AND until >= ?2 ORDER BY since, kind, what";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map(params![server.as_str(), since.as_millisecond()], |row| {
                // A word of a newer version.
                let Some(shown) = Shown::parse(row.get_ref(0)?.as_str()?) else { return Ok(None) };
                let sighting = Sighting { shown, what: row.get(1)?, text: row.get(2)? };
                Ok(Some(Stretch { sighting, since: time(row.get(3)?), until: time(row.get(4)?) }))
            })?;
            rows.filter_map(rusqlite::Result::transpose).collect()
        })
    }
}

/// Says of a host that somebody looks at whether it is idle that it was in use.
pub(super) fn note_use(conn: &Connection, server: &str, at: Timestamp, what: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE idle SET since = NULL, used_at = ?2, used = ?3 WHERE server = ?1 AND looked_at <= ?2";
    conn.prepare_cached(sql)?.execute(params![server, at.as_millisecond(), what]).map(drop)
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<IdleRecord> {
    let used: (Option<i64>, Option<String>) = (row.get(6)?, row.get(7)?);
    // What cannot be read is left out, and the window begins again.
    let gaps: Vec<i64> = serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default();
    Ok(IdleRecord {
        since: row.get::<_, Option<i64>>(1)?.map(time),
        looked_at: time(row.get(2)?),
        paced_at: time(row.get(3)?),
        gaps: gaps.into_iter().map(SignedDuration::from_millis).collect(),
        needs: serde_json::from_str(row.get_ref(5)?.as_str()?).unwrap_or_default(),
        used: used.0.map(time).zip(used.1),
        sleeps: row.get::<_, Option<i64>>(8)?.and_then(|sleeps| u64::try_from(sleeps).ok()),
    })
}
