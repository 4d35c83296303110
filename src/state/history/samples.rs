//! How hard each server worked, look by look. A run keeps a sample of each server it knows something of, and thousands
//! of guests must cost it little: samples stand in the order in which runs add them, many in one row (`sample_blocks`), servers
//! are numbers, and a guest's number needs no look-up.

mod join;
mod packed;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

pub(in crate::state) use self::join::move_subjects;
use self::packed::Packed;
pub(crate) use self::packed::Samples;
use self::packed::says_something;
use crate::model::id::{ClusterId, VmId};
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::{Sample, Totals};
use crate::state::history::sample_blocks::{self, PLACE_BITS, block_of};
use crate::state::history::time_table::{TimeTable, collect};
use crate::state::history::{pending_hours, prometheus_queue};
use crate::state::subjects::{cluster_row, known_cluster, server_subject, subjects, vmid};
use crate::state::{OUT_OF_ORDER_MILLIS, Result, State, time};

/// What the guests of a cluster had counted at one look, by number.
pub(crate) type Counted = (Timestamp, Vec<(VmId, Totals)>);

/// Makes what is to be sent of a run, of that time.
pub(crate) type Bodies<'b> = &'b dyn Fn(Timestamp) -> Vec<Vec<u8>>;

const INSERT: &str = "INSERT OR REPLACE INTO samples (at, block, servers) VALUES (?1, ?2, ?3)";

impl TimeTable<Sample> {
    /// Every sample.
    pub(in crate::state) fn samples() -> TimeTable<Sample> {
        TimeTable {
            // A step to the next time is one look into the tree: there is no list of them.
            stamps: "WITH RECURSIVE stamps (at) AS (
                    SELECT min(at) FROM samples WHERE at >= ?1
                    UNION ALL SELECT (SELECT min(at) FROM samples WHERE at > stamps.at) FROM stamps WHERE at < ?2
                 ) SELECT at FROM stamps WHERE at <= ?2",
            count: "SELECT count(*) FROM samples WHERE at = ?1",
            rows: "SELECT at, block, servers FROM samples WHERE at = ?1 AND block >= ?2 AND block <= ?3 ORDER BY block"
                .to_owned(),
            place_bits: PLACE_BITS,
            read: sample_blocks::read,
        }
    }
}

impl State {
    /// Keeps what a run learned, and what of it is to be sent (`bodies`, made for the time they are given): all or
    /// nothing. A sample without any number is left out: most guests may be stopped.
    ///
    /// Prometheus wants samples in the order of time. A run that another one overtook gets the next
    /// millisecond, here as there.
    pub(crate) fn record_samples(&self, samples: &Samples, at: Timestamp, bodies: Option<Bodies<'_>>) -> Result<()> {
        self.write(|conn| {
            let at = match bodies {
                Some(_) => next_in_order(conn, at.as_millisecond())?,
                None => at.as_millisecond(),
            };
            let mut servers = Packed::default();
            for (server, sample) in samples.servers.iter().filter(|(_, sample)| says_something(sample)) {
                servers.add(server_subject(conn, server)?, sample);
            }
            let mut all: Vec<(i64, &[u8])> = servers.iter().collect();
            for (cluster, guests) in &samples.guests {
                // Its lowest bits are 0: a guest has the same place in its block in every cluster.
                let first = cluster_row(conn, cluster)? << 32;
                all.extend(guests.iter().map(|(vmid, sample)| (first | vmid, sample)));
            }
            // In the order of the table, where rows are added at the end.
            all.sort_by_key(|(subject, _)| *subject);
            // Of two of one server the later counts.
            all.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
            store(conn, at, &all)?;
            if !all.is_empty() {
                pending_hours::mark_hour_dirty(conn, pending_hours::SAMPLES, at, all.len())?;
            }
            let bodies = bodies.map(|bodies| bodies(time(at))).unwrap_or_default();
            bodies.iter().try_for_each(|body| prometheus_queue::add(conn, body, at))
        })
    }

    /// What the cluster's guests had counted at the newest look between these two times, both included.
    pub(crate) fn totals(&self, cluster: &ClusterId, since: Timestamp, until: Timestamp) -> Result<Option<Counted>> {
        self.read(|conn| {
            let Some(cluster) = known_cluster(conn, cluster.as_str())? else { return Ok(None) };
            let mut newest = conn.prepare_cached("SELECT max(at) FROM samples WHERE at >= ?1 AND at <= ?2")?;
            let mut before = until.as_millisecond();
            loop {
                let at: Option<i64> = newest.query_row([since.as_millisecond(), before], |row| row.get(0))?;
                let Some(at) = at else { return Ok(None) };
                let mut guests = Vec::new();
                let range = (block_of(cluster << 32), block_of((cluster + 1) << 32) - 1);
                TimeTable::samples().range(conn, at, range, &mut |subject, sample| {
                    guests.extend(vmid(subject).map(|vmid| (vmid, sample.usage.totals())));
                    Ok(())
                })?;
                // Other clusters are asked in other runs, too.
                if !guests.is_empty() {
                    return Ok(Some((time(at), guests)));
                }
                before = at.saturating_sub(1);
            }
        })
    }

    /// The samples between these two times of those servers that have some, the oldest first. What is older than the
    /// samples that are kept whole stands in `hours`: no time is in both.
    pub(crate) fn samples(
        &self,
        servers: &[ServerKey],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<ServerKey, Vec<(Timestamp, Sample)>>> {
        self.read(|conn| {
            let since = since.as_millisecond().max(pending_hours::first_whole_hour(conn)?);
            let stamps = TimeTable::samples().stamps(conn, since, until.as_millisecond())?;
            collect(conn, &TimeTable::samples(), &stamps, servers)
        })
    }

    /// When the first sample that is still known was taken, of those servers that have one: to the hour where only
    /// hours are left.
    pub(crate) fn first_sample_at(&self, servers: &[ServerKey]) -> Result<BTreeMap<ServerKey, Timestamp>> {
        self.read(|conn| {
            let border = pending_hours::first_whole_hour(conn)?;
            let mut missing = subjects(conn, servers)?;
            let mut found = BTreeMap::new();
            TimeTable::hours().first(conn, (i64::MIN, border - 1), servers, &mut missing, &mut found)?;
            TimeTable::samples().first(conn, (border, i64::MAX), servers, &mut missing, &mut found)?;
            Ok(found)
        })
    }

    /// Whether every sample and every hour makes sense.
    pub(in crate::state) fn read_samples(&self) -> Result<()> {
        self.read(|conn| {
            TimeTable::samples().read_all(conn)?;
            TimeTable::hours().read_all(conn)?;
            pending_hours::first_whole_hour(conn).map(drop)
        })
    }
}

/// This time, or the one after the newest that is kept. One far ahead is of a clock that was wrong.
fn next_in_order(conn: &Connection, at: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT max(at) FROM (SELECT max(at) AS at FROM samples UNION ALL SELECT max(at) FROM outbox)";
    let newest: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let overtaken = newest.filter(|newest| *newest >= at && newest - at <= OUT_OF_ORDER_MILLIS);
    Ok(overtaken.map_or(at, |newest| newest + 1))
}

/// Adds samples, in the order of their subjects, to those of the time.
fn store(conn: &Connection, at: i64, samples: &[(i64, &[u8])]) -> rusqlite::Result<()> {
    let some = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM samples WHERE at = ?1)")?
        .query_row([at], |row| row.get(0))?;
    let mut insert = conn.prepare_cached(INSERT)?;
    let mut body = Vec::new();
    for block in samples.chunk_by(|(a, _), (b, _)| block_of(*a) == block_of(*b)) {
        let number = block_of(block[0].0);
        body.clear();
        // Two looks in one millisecond are rare.
        if some {
            let mut all = block_at(conn, at, number)?;
            all.extend(
                block
                    .iter()
                    .filter_map(|(subject, sample)| Some((*subject, sample_blocks::read_one(&mut &**sample)?.1))),
            );
            for (subject, sample) in &all {
                sample_blocks::write(&mut body, *subject, sample);
            }
        } else {
            for (_, sample) in block {
                body.extend_from_slice(sample);
            }
        }
        insert.execute(params![at, number, body])?;
    }
    Ok(())
}

/// The samples of one block at one time.
fn block_at(conn: &Connection, at: i64, block: i64) -> rusqlite::Result<BTreeMap<i64, Sample>> {
    let mut all = BTreeMap::new();
    TimeTable::samples().range(conn, at, (block, block), &mut |subject, sample| {
        all.insert(subject, sample);
        Ok(())
    })?;
    Ok(all)
}
