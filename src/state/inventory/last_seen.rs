//! What was seen of servers the last time: numbers and services, each with its time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::model::id::ServerId;
use crate::model::inventory::server::Whose;
use crate::model::load::usage::Sample;
use crate::state::history::events::CheckRecord;
use crate::state::history::time_table::TimeTable;
use crate::state::subjects::subjects_of;
use crate::state::{Result, State, time};

/// A sample may be so much later than the look it is of: runs that go to Prometheus are kept in order.
const LATER_MILLIS: i64 = 1000;

/// Older ones are not shown.
const OLDEST_MILLIS: i64 = 24 * 3_600_000;

impl State {
    /// Gives `each` how hard each of these servers worked when it was looked at at that time; where that look kept
    /// nothing of it, at the one before. Each has its index in `looks`; of what is not kept nothing is given.
    pub(crate) fn samples_of_looks(
        &self,
        looks: &[(Whose, Timestamp)],
        mut each: impl FnMut(usize, Timestamp, Sample),
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..looks.len()).collect();
        order.sort_by_key(|index| looks[*index].1);
        self.read(|conn| {
            let table = TimeTable::samples();
            let mut found = vec![false; looks.len()];
            for same in order.chunk_by(|a, b| looks[*a].1 == looks[*b].1) {
                let at = looks[same[0]].1.as_millisecond();
                let own = "SELECT min(at) FROM samples WHERE at >= ?1 AND at <= ?2";
                let before = "SELECT max(at) FROM samples WHERE at >= ?1 AND at < ?2";
                let mut missing = subjects_of(conn, same.iter().map(|index| (*index, &looks[*index].0)))?;
                for (sql, from, to) in [(own, at, at + LATER_MILLIS), (before, at - OLDEST_MILLIS, at)] {
                    if missing.is_empty() {
                        break;
                    }
                    let Some(stamp) = stamp(conn, sql, from, to)? else { continue };
                    let size = table.count(conn, stamp)?;
                    table.visit(conn, stamp, &missing, size, |index, sample| {
                        found[index] = true;
                        each(index, time(stamp), sample);
                        Ok(())
                    })?;
                    missing.retain(|(_, index)| !found[*index]);
                }
            }
            Ok(())
        })
    }

    /// When each server was last measured by a script of its own.
    pub(crate) fn measured_at(&self) -> Result<BTreeMap<ServerId, Timestamp>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, max(at) FROM readings GROUP BY server")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, i64)>>>()
        })?;
        Ok(rows.into_iter().filter_map(|(server, at)| Some((server.parse().ok()?, time(at)))).collect())
    }

    /// What came of the last check of each service.
    pub(crate) fn last_checks(&self) -> Result<Vec<CheckRecord>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT checks.at, server, service, ok, millis, detail FROM series
                 JOIN checks ON series = series.id AND checks.at = (SELECT max(at) FROM checks WHERE series = series.id)
                 WHERE service <> '' ORDER BY series.id",
            )?;
            statement.query_map([], CheckRecord::read)?.collect()
        })
    }
}

fn stamp(conn: &Connection, sql: &str, from: i64, to: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(sql)?.query_row([from, to], |row| row.get(0)).optional().map(Option::flatten)
}
