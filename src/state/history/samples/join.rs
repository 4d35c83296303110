//! Two clusters turn out to be one: their samples and hours, too.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::packed::Packed;
use super::{block_at, store};
use crate::model::load::usage::Sample;
use crate::state::history::pending_hours;
use crate::state::history::sample_blocks::{PLACE_BITS, block_of};
use crate::state::history::time_table::TimeTable;

/// Gives the samples and hours of the cluster in row `from` to the one in row `to`; what that one has stays.
pub(in crate::state) fn move_subjects(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<()> {
    let bits = 32 - PLACE_BITS;
    let (first, last, by) = (from << bits, ((from + 1) << bits) - 1, (to - from) << bits);
    let table = TimeTable::samples();
    for at in table.stamps(conn, i64::MIN, i64::MAX)? {
        // Places are the same in both.
        let sql = "UPDATE OR IGNORE samples SET block = block + ?4 WHERE at = ?1 AND block >= ?2 AND block <= ?3";
        conn.prepare_cached(sql)?.execute([at, first, last, by])?;
        let mut both = BTreeMap::new();
        table.range(conn, at, (first, last), &mut |subject, sample| {
            both.insert(subject + (by << PLACE_BITS), sample);
            Ok(())
        })?;
        store_under(conn, at, &both)?;
        let sql = "DELETE FROM samples WHERE at = ?1 AND block >= ?2 AND block <= ?3";
        conn.prepare_cached(sql)?.execute([at, first, last])?;
    }
    for hour in TimeTable::hours().stamps(conn, i64::MIN, i64::MAX)? {
        let range = params![hour, from << 32, (from + 1) << 32, (to - from) << 32];
        let sql = "UPDATE OR IGNORE sample_hours SET subject = subject + ?4
            WHERE hour = ?1 AND subject >= ?2 AND subject < ?3";
        conn.prepare_cached(sql)?.execute(range)?;
        let sql = "DELETE FROM sample_hours WHERE hour = ?1 AND subject >= ?2 AND subject < ?3";
        conn.prepare_cached(sql)?.execute(&range[..3])?;
    }
    // An hour that is half summed up may have got subjects in the other half.
    conn.execute("UPDATE unrolled SET next = 0 WHERE kind = ?1", [pending_hours::SAMPLES]).map(drop)
}

/// Adds samples to those of the time; what it has stays.
fn store_under(conn: &Connection, at: i64, samples: &BTreeMap<i64, Sample>) -> rusqlite::Result<()> {
    let mut all = Packed::default();
    let mut known = (None, BTreeMap::new());
    for (subject, sample) in samples {
        let block = block_of(*subject);
        if known.0 != Some(block) {
            known = (Some(block), block_at(conn, at, block)?);
        }
        if !known.1.contains_key(subject) {
            all.add(*subject, sample);
        }
    }
    store(conn, at, &all.iter().collect::<Vec<_>>())
}
