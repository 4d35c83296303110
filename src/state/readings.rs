//! The last reading of each host's counters, so that the next run needs no second one of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::{Result, State, time};
use crate::model::id::ServerId;
use crate::model::reading::{KnownReading, Reading};

impl State {
    /// Keeps readings in place of former ones.
    pub(crate) fn put_readings(&self, readings: &[(ServerId, Reading)], at: Timestamp) -> Result<()> {
        if readings.is_empty() {
            return Ok(());
        }
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO readings (server, reading, at) VALUES (?1, ?2, ?3)";
            let mut statement = conn.prepare_cached(sql)?;
            for (server, reading) in readings {
                statement.execute(params![server.as_str(), super::to_json(reading), at.as_millisecond()])?;
            }
            Ok(())
        })
    }

    /// The last reading of each server; without those that cannot be read.
    pub(crate) fn readings(&self) -> Result<BTreeMap<ServerId, KnownReading>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, reading, at FROM readings")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, i64)>>>()
        })?;
        let known = |(server, reading, at): (String, String, i64)| {
            let reading = serde_json::from_str(&reading).ok()?;
            Some((server.parse().ok()?, KnownReading { reading, at: time(at) }))
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }
}
