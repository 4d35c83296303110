//! What is known of configured servers: facts of a visit, the last observed states, and who was put to sleep.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::host::facts::HostFacts;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::history::events;
use crate::state::inventory::alarms::note_awake;
use crate::state::{OUT_OF_ORDER_MILLIS, Result, State, is_superseded, time};

/// The last state that was observed of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownState {
    pub(crate) state: PowerState,
    /// Who said so.
    pub(crate) source: Source,
    /// When this state was first seen without another in between.
    pub(crate) since: Timestamp,
    /// When it was last seen.
    pub(crate) at: Timestamp,
    /// When the server was last seen online; `None`: never.
    pub(crate) last_online_at: Option<Timestamp>,
}

/// What ecobox did to a server on purpose: put it to sleep, or woke it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SleepMark {
    pub(crate) asleep: bool,
    pub(crate) at: Timestamp,
}

impl State {
    /// Keeps what a visit found out, in place of what was known.
    pub(crate) fn put_facts(&self, server: &ServerId, facts: &HostFacts, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO facts (server, facts, at) VALUES (?1, ?2, ?3)";
            conn.execute(sql, params![server.as_str(), crate::state::to_json(facts), at.as_millisecond()]).map(drop)
        })
    }

    /// Gives what a visit learned of a server to its new id. Only right after it was added: history stays behind.
    pub(crate) fn rename_server(&self, old: &ServerId, new: &ServerId) -> Result<()> {
        self.write(|conn| {
            let sql = "UPDATE OR REPLACE facts SET server = ?2 WHERE server = ?1";
            conn.execute(sql, params![old.as_str(), new.as_str()]).map(drop)
        })
    }

    /// The facts of the last visit and when it was. Facts that cannot be read are none: the next visit learns them.
    #[cfg(test)]
    pub(crate) fn facts(&self, server: &ServerId) -> Result<Option<(HostFacts, Timestamp)>> {
        let found = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT facts, at FROM facts WHERE server = ?1")?;
            statement.query_row([server.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()
        })?;
        Ok(found.and_then(|(facts, at)| Some((serde_json::from_str(&facts).ok()?, time(at)))))
    }

    /// The facts of each server's last visit and when it was; without those that cannot be read.
    pub(crate) fn all_facts(&self) -> Result<BTreeMap<ServerId, (HostFacts, Timestamp)>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, facts, at FROM facts")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, i64)>>>()
        })?;
        let entry = |(server, facts, at): (String, String, i64)| {
            Some((server.parse().ok()?, (serde_json::from_str(&facts).ok()?, time(at))))
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    /// Stores an observed state; gives the previous one if it was another.
    #[cfg(test)]
    pub(crate) fn record_state(
        &self,
        server: &ServerKey,
        state: PowerState,
        source: Source,
        at: Timestamp,
    ) -> Result<Option<PowerState>> {
        let changed = self.record_states(&[(server.clone(), state, source)], at)?;
        Ok(changed.into_iter().next().map(|(_, previous)| previous))
    }

    /// Stores observed states in one transaction; gives the servers whose state changed, each with its previous one.
    /// A change is also an event. `Unknown` is no observation and changes nothing. Whoever is online again was woken: that
    /// it was put to sleep explains nothing any more.
    pub(crate) fn record_states(
        &self,
        observed: &[(ServerKey, PowerState, Source)],
        at: Timestamp,
    ) -> Result<Vec<(ServerKey, PowerState)>> {
        let at = at.as_millisecond();
        self.write(|conn| {
            let mut changed = Vec::new();
            for (server, state, source) in observed.iter().filter(|(_, state, _)| *state != PowerState::Unknown) {
                if let Some(previous) = record_one(conn, server, *state, *source, at)? {
                    changed.push((server.clone(), previous));
                }
            }
            // A look that began before the server was put to sleep may be stored after it.
            let awake = "DELETE FROM wishes WHERE asleep AND abs(at - ?1) > ?2 AND EXISTS
                (SELECT 1 FROM states WHERE states.server = wishes.server AND states.at = ?1 AND state = ?3)";
            let values = params![at, OUT_OF_ORDER_MILLIS, PowerState::Online.as_str()];
            conn.prepare_cached(awake)?.execute(values)?;
            note_awake(conn, at)?;
            Ok(changed)
        })
    }

    /// The last observed state of each server.
    pub(crate) fn states(&self) -> Result<BTreeMap<ServerKey, KnownState>> {
        self.read(|conn| {
            let sql = "SELECT server, state, source, since, at, last_online_at FROM states";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let known = KnownState {
                    state: PowerState::parse(row.get_ref(1)?.as_str()?),
                    source: events::source(row.get_ref(2)?.as_str()?),
                    since: time(row.get(3)?),
                    at: time(row.get(4)?),
                    last_online_at: row.get::<_, Option<i64>>(5)?.map(time),
                };
                Ok((ServerKey(row.get(0)?), known))
            })?;
            rows.collect()
        })
    }

    /// Remembers that ecobox put the server to sleep, so that nobody takes its silence for a failure.
    pub(crate) fn mark_asleep(&self, server: &ServerId, at: Timestamp) -> Result<()> {
        self.put_sleep_mark(server, true, at)
    }

    /// Remembers that ecobox woke the server, or saw it awake.
    pub(crate) fn mark_woken(&self, server: &ServerId, at: Timestamp) -> Result<()> {
        self.put_sleep_mark(server, false, at)
    }

    fn put_sleep_mark(&self, server: &ServerId, asleep: bool, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO wishes (server, asleep, at) VALUES (?1, ?2, ?3)";
            conn.execute(sql, params![server.as_str(), asleep, at.as_millisecond()]).map(drop)
        })
    }

    /// What ecobox last did to each server on purpose.
    pub(crate) fn intended_sleep(&self) -> Result<BTreeMap<ServerId, SleepMark>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, asleep, at FROM wishes")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, bool, i64)>>>()
        })?;
        let mark = |(server, asleep, at): (String, bool, i64)| {
            Some((server.parse().ok()?, SleepMark { asleep, at: time(at) }))
        };
        Ok(rows.into_iter().filter_map(mark).collect())
    }
}

fn record_one(
    conn: &Connection,
    server: &ServerKey,
    state: PowerState,
    source: Source,
    at: i64,
) -> rusqlite::Result<Option<PowerState>> {
    let mut select = conn.prepare_cached("SELECT state, at FROM states WHERE server = ?1")?;
    let known = select
        .query_row([&server.0], |row| Ok((PowerState::parse(row.get_ref(0)?.as_str()?), row.get::<_, i64>(1)?)))
        .optional()?;
    if is_superseded(at, known.map(|(_, at)| at)) {
        return Ok(None);
    }
    let previous = known.map(|(state, _)| state).filter(|previous| *previous != state);
    if let Some(previous) = previous {
        events::add_event(conn, at, server, previous, state, source, SignedDuration::ZERO)?;
    }
    let mut upsert = conn.prepare_cached(
        "INSERT INTO states (server, state, source, since, at, last_online_at) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
         ON CONFLICT (server) DO UPDATE SET
            since = iif(state = excluded.state, since, excluded.since), state = excluded.state,
            source = excluded.source, at = excluded.at, last_online_at = coalesce(excluded.last_online_at, last_online_at)",
    )?;
    upsert.execute(params![server.0, state.as_str(), source.as_str(), at, state.is_up().then_some(at)])?;
    Ok(previous)
}
