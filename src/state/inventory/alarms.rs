//! Hosts whose own clock wakes them: when they were promised to be awake again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::model::id::ServerId;
use crate::model::power::{AWAKE_BEFORE, PowerAction, PowerState};
use crate::state::{OUT_OF_ORDER_MILLIS, Result, State, time};

/// An alarm that ecobox set in the clock of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When it wakes the host.
    pub(crate) at: Timestamp,
    /// From then on it is a failure that the host is silent.
    pub(crate) late: Timestamp,
    /// When it was set.
    pub(crate) set_at: Timestamp,
    /// As the clock shows it, in its own time.
    pub(crate) shown: Option<u64>,
    /// Whether the host is still expected to sleep until then: it was not seen awake since.
    pub(crate) sleeps: bool,
}

/// How many wakes say how long the next one takes.
const WAKES: u32 = 10;

impl State {
    /// Remembers an alarm in place of an earlier one.
    pub(crate) fn put_alarm(&self, server: &ServerId, alarm: &Alarm) -> Result<()> {
        let Alarm { at, late, set_at, shown, sleeps } = alarm;
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO alarms (server, at, late, set_at, shown, sleeps)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let shown = shown.and_then(|shown| i64::try_from(shown).ok());
            let [at, late, set_at] = [at, late, set_at].map(|at| at.as_millisecond());
            conn.prepare_cached(sql)?.execute(params![server.as_str(), at, late, set_at, shown, sleeps]).map(drop)
        })
    }

    /// Forgets the alarm of a host.
    pub(crate) fn remove_alarm(&self, server: &ServerId) -> Result<()> {
        self.write(|conn| conn.execute("DELETE FROM alarms WHERE server = ?1", [server.as_str()]).map(drop))
    }

    /// The alarms that were set, those of hosts that were seen awake since among them.
    pub(crate) fn alarms(&self) -> Result<BTreeMap<ServerId, Alarm>> {
        let rows = self.read(|conn| {
            let sql = "SELECT server, at, late, set_at, shown, sleeps FROM alarms";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let alarm = Alarm {
                    at: time(row.get(1)?),
                    late: time(row.get(2)?),
                    set_at: time(row.get(3)?),
                    shown: row.get::<_, Option<i64>>(4)?.and_then(|shown| u64::try_from(shown).ok()),
                    sleeps: row.get(5)?,
                };
                Ok((row.get(0)?, alarm))
            })?;
            rows.collect::<rusqlite::Result<Vec<(String, Alarm)>>>()
        })?;
        Ok(rows.into_iter().filter_map(|(server, alarm)| Some((server.parse().ok()?, alarm))).collect())
    }

    /// How long a host took to wake, the last times that ecobox has woken it, in seconds.
    pub(crate) fn wake_seconds(&self, server: &ServerId) -> Result<Vec<f64>> {
        self.read(|conn| {
            let sql = "SELECT seconds FROM actions WHERE server = ?1 AND action = ?2 AND outcome = 'done'
                    AND seconds IS NOT NULL AND detail IS NOT ?3 ORDER BY id DESC LIMIT ?4";
            let mut statement = conn.prepare_cached(sql)?;
            let values = params![server.as_str(), PowerAction::Wake.as_str(), AWAKE_BEFORE, WAKES];
            statement.query_map(values, |row| row.get(0))?.collect()
        })
    }
}

/// Whoever was seen awake at this time is not waited for any more: what is left is an alarm in its clock, until it goes off.
pub(super) fn note_awake(conn: &Connection, at: i64) -> rusqlite::Result<()> {
    let any = conn.prepare_cached("SELECT 1 FROM alarms LIMIT 1")?.query_row([], |_| Ok(())).optional()?;
    if any.is_none() {
        return Ok(());
    }
    let awake = "EXISTS (SELECT 1 FROM states WHERE states.server = alarms.server AND states.at = ?1 AND state = ?2)";
    let online = PowerState::Online.as_str();
    conn.execute(&format!("DELETE FROM alarms WHERE at <= ?1 AND {awake}"), params![at, online])?;
    // A look that began before the host went to sleep may be stored after it.
    let sql = format!("UPDATE alarms SET sleeps = 0 WHERE sleeps AND abs(set_at - ?1) > ?3 AND {awake}");
    conn.execute(&sql, params![at, online, OUT_OF_ORDER_MILLIS]).map(drop)
}
