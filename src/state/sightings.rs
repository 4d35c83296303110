//! What actions have seen of guests: newer than what a listing says, until one agrees or it has grown old.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::{Result, State, time};
use crate::model::power::PowerState;
use crate::model::server::ServerKey;

/// After this time every listing has heard of it: a broadcast each 10 s, which takes some seconds to be shown.
const COUNTS_FOR: SignedDuration = SignedDuration::from_secs(15);

impl State {
    /// Remembers what a guest's own node said that it does.
    pub(crate) fn put_sighting(&self, server: &ServerKey, state: PowerState, at: Timestamp) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO sightings (server, state, at) VALUES (?1, ?2, ?3)";
            conn.prepare_cached(sql)?.execute(params![server.0, state.as_str(), at.as_millisecond()]).map(drop)
        })
    }

    /// What was seen so lately that a listing may not have heard of it. One from the future is of a clock that was wrong.
    pub(crate) fn sightings(&self, now: Timestamp) -> Result<BTreeMap<ServerKey, (PowerState, Timestamp)>> {
        let since = now.saturating_sub(COUNTS_FOR).unwrap_or(Timestamp::MIN);
        self.read(|conn| {
            let sql = "SELECT server, state, at FROM sightings WHERE at > ?1 AND at <= ?2";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([since.as_millisecond(), now.as_millisecond()], |row| {
                let state = PowerState::parse(row.get_ref(1)?.as_str()?);
                Ok((ServerKey(row.get(0)?), (state, time(row.get(2)?))))
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
