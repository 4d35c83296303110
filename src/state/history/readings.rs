//! The last readings of each host's counters, so that the next run needs no second one of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::model::id::ServerId;
use crate::model::load::reading::{KnownReading, Reading, YOUNG};
use crate::state::{Result, State, time};

/// How many are kept: the newest may be too young for a run that comes right after it.
const KEPT: i64 = 2;

impl State {
    /// Keeps readings beside the former ones. One that comes right after another says nothing new and is left out.
    pub(crate) fn put_readings(&self, readings: &[(ServerId, Reading)], at: Timestamp) -> Result<()> {
        if readings.is_empty() {
            return Ok(());
        }
        let at = at.as_millisecond();
        let young = at.saturating_sub(i64::try_from(YOUNG.as_millis()).unwrap_or(i64::MAX));
        self.write(|conn| {
            // Of a clock that was wrong.
            let mut forget = conn.prepare_cached("DELETE FROM readings WHERE server = ?1 AND at > ?2")?;
            let mut insert = conn.prepare_cached(
                "INSERT INTO readings (server, at, reading) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM readings WHERE server = ?1 AND at > ?4)",
            )?;
            let mut keep = conn.prepare_cached(
                "DELETE FROM readings WHERE server = ?1 AND at NOT IN
                    (SELECT at FROM readings WHERE server = ?1 ORDER BY at DESC LIMIT ?2)",
            )?;
            for (server, reading) in readings {
                forget.execute(params![server.as_str(), at])?;
                if insert.execute(params![server.as_str(), at, crate::state::to_json(reading), young])? > 0 {
                    keep.execute(params![server.as_str(), KEPT])?;
                }
            }
            Ok(())
        })
    }

    /// The last readings of each server, the newest first; without those that cannot be read.
    pub(crate) fn readings(&self) -> Result<BTreeMap<ServerId, Vec<KnownReading>>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, reading, at FROM readings ORDER BY at DESC")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, i64)>>>()
        })?;
        let mut known: BTreeMap<ServerId, Vec<KnownReading>> = BTreeMap::new();
        for (server, reading, at) in rows {
            let (Ok(server), Ok(reading)) = (server.parse(), serde_json::from_str(&reading)) else { continue };
            known.entry(server).or_default().push(KnownReading { reading, at: time(at) });
        }
        Ok(known)
    }
}
