//! What actions have seen of guests: newer than what a listing says, until one agrees or it has grown old.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use crate::model::inventory::server::ServerKey;
use crate::model::power::PowerState;
use crate::state::{Result, State, time};

/// After this time every listing has heard of it: a broadcast each 10 s, which takes some seconds to be shown.
const COUNTS_FOR: SignedDuration = SignedDuration::from_secs(15);

/// What was seen of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) state: PowerState,
    pub(crate) at: Timestamp,
    /// It was in other states a moment before: a listing that says the same may be from before those.
    pub(crate) passing: bool,
}

impl State {
    /// Remembers what a guest's own node said that it does. `passing`: it is known to have been otherwise a moment ago.
    pub(crate) fn put_sighting(
        &self,
        server: &ServerKey,
        state: PowerState,
        at: Timestamp,
        passing: bool,
    ) -> Result<()> {
        let since = at.saturating_sub(COUNTS_FOR).unwrap_or(Timestamp::MIN);
        self.write(|conn| {
            let sql = "INSERT INTO sightings (server, state, at, passing) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (server) DO UPDATE SET state = ?2, at = ?3,
                    passing = ?4 OR (sightings.at > ?5 AND (sightings.passing OR sightings.state <> ?2))";
            let values = params![server.0, state.as_str(), at.as_millisecond(), passing, since.as_millisecond()];
            conn.prepare_cached(sql)?.execute(values).map(drop)
        })
    }

    /// What was seen so lately that a listing may not have heard of it. One from the future is of a clock that was wrong.
    pub(crate) fn sightings(&self, now: Timestamp) -> Result<BTreeMap<ServerKey, Sighting>> {
        let since = now.saturating_sub(COUNTS_FOR).unwrap_or(Timestamp::MIN);
        self.read(|conn| {
            let sql = "SELECT server, state, at, passing FROM sightings WHERE at > ?1 AND at <= ?2 AND state <> ''";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([since.as_millisecond(), now.as_millisecond()], |row| {
                let state = PowerState::parse(row.get_ref(1)?.as_str()?);
                let sighting = Sighting { state, at: time(row.get(2)?), passing: row.get(3)? };
                Ok((ServerKey(row.get(0)?), sighting))
            })?;
            rows.collect()
        })
    }

    /// A listing has heard of these. What has grown old is forgotten, too.
    pub(crate) fn forget_sightings(&self, heard: &[ServerKey], now: Timestamp) -> Result<()> {
        let since = now.saturating_sub(COUNTS_FOR).unwrap_or(Timestamp::MIN);
        self.write(|conn| {
            for server in heard {
                conn.prepare_cached("DELETE FROM sightings WHERE server = ?1")?.execute([&server.0])?;
            }
            let sql = "DELETE FROM sightings WHERE at <= ?1";
            conn.prepare_cached(sql)?.execute([since.as_millisecond()]).map(drop)
        })
    }
}

/// An action begins: what was seen before is about to change, and no longer counts.
pub(in crate::state) fn begin(conn: &Connection, server: &ServerKey, at: Timestamp) -> rusqlite::Result<()> {
    let since = at.saturating_sub(COUNTS_FOR).unwrap_or(Timestamp::MIN);
    conn.prepare_cached("DELETE FROM sightings WHERE server = ?1 AND at <= ?2")?
        .execute(params![server.0, since.as_millisecond()])?;
    conn.prepare_cached("UPDATE sightings SET state = '' WHERE server = ?1")?.execute([&server.0]).map(drop)
}
