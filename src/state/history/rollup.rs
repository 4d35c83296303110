//! What is left of an hour of samples: one row for each server, made once the hour is over. A run sums up some of the
//! servers of one hour, a little more than what it adds itself, so that none pays for all and all together keep up.
//! An hour that gets a late sample is summed up again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params_from_iter};

use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Sample;
use crate::model::past::series::{Measurement, Metric, Unit, values};
use crate::state::history::pending_hours::{
    HOUR_MILLIS, LEAST_WORK, LOOK_BACK_MILLIS, PendingHour, SAMPLES, advance, first_whole_hour, next_pending_hour,
    whole_from,
};
use crate::state::history::sample_blocks::{PLACE_BITS, block_of};
use crate::state::history::time_table::{RowVisitor, TimeTable, collect};
use crate::state::{Result, State, counted, time};

/// About how much room a sample takes in its block.
const SAMPLE_BYTES: usize = 32;

/// What each metric's columns begin with.
const COLUMNS: [(Metric, &str); 12] = [
    (Metric::Cpu, "cpu"),
    (Metric::Load, "load"),
    (Metric::Memory, "memory"),
    (Metric::Disk, "disk"),
    (Metric::Receive, "receive"),
    (Metric::Transmit, "transmit"),
    (Metric::Read, "read"),
    (Metric::Write, "write"),
    (Metric::PressureCpu, "pressure_cpu"),
    (Metric::PressureMemory, "pressure_memory"),
    (Metric::PressureIo, "pressure_io"),
    (Metric::Watts, "watts"),
];

/// The columns of all metrics, each after a comma.
fn columns() -> String {
    COLUMNS.map(|(_, name)| format!(", {name}_n, {name}_min, {name}_avg, {name}_max")).concat()
}

/// What is left of one hour of one server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hour {
    /// When it begins.
    pub(crate) at: Timestamp,
    /// The metrics that were measured in it, each with what is left of its values.
    pub(crate) metrics: Vec<(Metric, Measurement)>,
}

impl Hour {
    /// What is left of a metric; `None`: it was not measured.
    pub(crate) fn of(&self, metric: Metric) -> Option<Measurement> {
        self.metrics.iter().find(|(found, _)| *found == metric).map(|(_, measured)| *measured)
    }
}

impl TimeTable<Hour> {
    /// What is left of each hour.
    pub(in crate::state) fn hours() -> TimeTable<Hour> {
        let columns = columns();
        TimeTable {
            stamps: "WITH RECURSIVE stamps (hour) AS (
                    SELECT min(hour) FROM sample_hours WHERE hour >= ?1
                    UNION ALL SELECT (SELECT min(hour) FROM sample_hours WHERE hour > stamps.hour)
                        FROM stamps WHERE hour < ?2
                 ) SELECT hour FROM stamps WHERE hour <= ?2",
            count: "SELECT count(*) FROM sample_hours WHERE hour = ?1",
            rows: format!(
                "SELECT hour, subject{columns} FROM sample_hours
                 WHERE hour = ?1 AND subject >= ?2 AND subject <= ?3 ORDER BY subject"
            ),
            place_bits: 0,
            read: read_hour,
        }
    }
}

impl State {
    /// The hours between these two times of those servers that have some, the oldest first; only such whose samples
    /// are gone, or will be soon. The hour in which `since` lies is not among them, unless it begins with it: nobody
    /// can tell which of it was before. No time is also in `samples`.
    pub(crate) fn hours(
        &self,
        servers: &[ServerKey],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<ServerKey, Vec<Hour>>> {
        self.read(|conn| {
            let until = until.as_millisecond().min(first_whole_hour(conn)? - 1);
            let stamps = TimeTable::hours().stamps(conn, whole_from(since.as_millisecond()), until)?;
            let found = collect(conn, &TimeTable::hours(), &stamps, servers)?;
            let hours = |rows: Vec<(Timestamp, Hour)>| rows.into_iter().map(|(_, hour)| hour).collect();
            Ok(found.into_iter().map(|(server, rows)| (server, hours(rows))).collect())
        })
    }
}

/// Sums up what this run has to, and gives how many rows it made.
pub(in crate::state) fn roll_up(conn: &Connection, now: i64) -> rusqlite::Result<usize> {
    let (mut read, mut written) = (0, 0);
    while read < LEAST_WORK {
        let Some(pending) = next_pending_hour(conn, SAMPLES, now)? else { break };
        let slice = HourSlice::of(conn, pending)?;
        written += slice.subjects.len();
        // An hour without samples costs something too.
        read += 20 + slice.read;
        slice.store(conn)?;
        advance(conn, SAMPLES, pending.hour, slice.next)?;
    }
    Ok(written)
}

/// The block of a time at which this many samples are reached, from `first` on; `None`: there are not so many. The size
/// of a row says well enough how many stand in it: each cluster has blocks of its own, with few in them or many.
fn block_after(conn: &Connection, at: i64, first: i64, samples: usize) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT block, length(servers) FROM samples WHERE at = ?1 AND block >= ?2 ORDER BY block";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([at, first])?;
    let mut left = samples;
    while let Some(row) = rows.next()? {
        let held = (counted(row, 1)? / SAMPLE_BYTES).max(1);
        if held >= left {
            return row.get(0).map(Some);
        }
        left -= held;
    }
    Ok(None)
}

/// Some subjects of one hour.
struct HourSlice {
    hour: i64,
    /// Their samples, the oldest first; one before the hour, where there is one, begins the first rate.
    subjects: BTreeMap<i64, Vec<(Timestamp, Sample)>>,
    read: usize,
    /// The last of the subjects, unless it is the last of all.
    next: Option<i64>,
}

impl HourSlice {
    /// The bite that is next.
    fn of(conn: &Connection, PendingHour { hour, next, most, behind }: PendingHour) -> rusqlite::Result<HourSlice> {
        let table = TimeTable::samples();
        let stamps = table.stamps(conn, hour, hour.saturating_add(HOUR_MILLIS - 1))?;
        let mut slice = HourSlice { hour, subjects: BTreeMap::new(), read: 0, next: None };
        if stamps.is_empty() {
            return Ok(slice);
        }
        // Each run of the next hour works off a part of this one: half as much again as it brings itself, and more
        // where that was not enough, because each cluster has its own runs.
        let work = (most.saturating_mul(3) / 2).max(LEAST_WORK).saturating_mul(behind.clamp(1, 4));
        let most = (work / stamps.len()).max(1);
        let first = block_of(next + 1);
        let mut last: Option<i64> = None;
        for at in &stamps {
            last = last.into_iter().chain(block_after(conn, *at, first, most)?).min();
        }
        slice.next = last.map(|last| ((last + 1) << PLACE_BITS) - 1);
        let range = (first, last.unwrap_or(i64::MAX));
        for at in &stamps {
            table.range(conn, *at, range, &mut |subject, sample| {
                slice.subjects.entry(subject).or_default().push((time(*at), sample));
                slice.read += 1;
                Ok(())
            })?;
        }
        slice.look_back(conn, &table)?;
        Ok(slice)
    }

    /// Puts the last totals before the hour before each subject's, so that its first rates are known.
    fn look_back(&mut self, conn: &Connection, table: &TimeTable<Sample>) -> rusqlite::Result<()> {
        let stamps = table.stamps(conn, self.hour.saturating_sub(LOOK_BACK_MILLIS), self.hour.saturating_sub(1))?;
        let wanted = |samples: &Vec<(Timestamp, Sample)>| {
            samples.iter().fold([false; 4], |wanted, (_, sample)| either(wanted, totals(sample)))
        };
        let mut wanted: BTreeMap<i64, [bool; 4]> =
            self.subjects.iter().map(|(subject, samples)| (*subject, wanted(samples))).collect();
        // More would cost more than the first rates of some guests are worth.
        for at in stamps.iter().rev().take(12) {
            wanted.retain(|_, wanted| wanted.contains(&true));
            let subjects: Vec<(i64, usize)> = wanted.keys().enumerate().map(|(i, subject)| (*subject, i)).collect();
            // The first look before the hour has nearly all of them; later ones are asked for what it lacks.
            let size = self.subjects.len() >> PLACE_BITS;
            table.visit(conn, *at, &subjects, size, |index, sample| {
                let subject = subjects[index].0;
                if let (Some(wanted), Some(samples)) = (wanted.get_mut(&subject), self.subjects.get_mut(&subject)) {
                    samples.insert(0, (time(*at), sample));
                    let found = totals(&sample);
                    wanted.iter_mut().zip(found).for_each(|(wanted, found)| *wanted &= !found);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn store(&self, conn: &Connection) -> rusqlite::Result<()> {
        let names = columns();
        let sets: String = COLUMNS
            .iter()
            .flat_map(|(_, name)| {
                ["n", "min", "avg", "max"].map(|what| format!(", {name}_{what} = excluded.{name}_{what}"))
            })
            .collect();
        let marks = ", ?".repeat(COLUMNS.len() * 4);
        // An hour that lost samples meanwhile must not take the place of the whole one.
        let sql = format!(
            "INSERT INTO sample_hours (hour, subject, n{names}) VALUES (?, ?, ?{marks})
             ON CONFLICT (hour, subject) DO UPDATE SET n = excluded.n{sets} WHERE excluded.n >= n"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let begin = time(self.hour);
        for (subject, samples) in &self.subjects {
            let count = samples.iter().filter(|(at, _)| *at >= begin).count();
            let mut row = vec![Some(self.hour), Some(*subject), i64::try_from(count).ok()];
            for (metric, _) in COLUMNS {
                row.extend(sum_up(metric, begin, samples));
            }
            statement.execute(params_from_iter(row.iter().map(|value| value as &dyn ToSql)))?;
        }
        Ok(())
    }
}

/// Which totals a sample has.
fn totals(sample: &Sample) -> [bool; 4] {
    let usage = &sample.usage;
    [usage.receive_bytes, usage.transmit_bytes, usage.read_bytes, usage.write_bytes].map(|total| total.is_some())
}

fn either(a: [bool; 4], b: [bool; 4]) -> [bool; 4] {
    std::array::from_fn(|i| a[i] || b[i])
}

/// Count, minimum, average and maximum of a metric from `begin` on, as stored.
fn sum_up(metric: Metric, begin: Timestamp, samples: &[(Timestamp, Sample)]) -> [Option<i64>; 4] {
    let (mut count, mut sum) = (0_u32, 0.0);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for measured in values(metric, samples).into_iter().filter(|one| one.at >= begin && one.avg.is_finite()) {
        count += 1;
        sum += measured.avg;
        min = min.min(measured.avg);
        max = max.max(measured.avg);
    }
    if count == 0 {
        return [None; 4];
    }
    [Some(i64::from(count)), stored(metric, min), stored(metric, sum / f64::from(count)), stored(metric, max)]
}

/// By how much a number is multiplied to be stored as a whole one.
fn scale(metric: Metric) -> f64 {
    match metric.unit() {
        Unit::Bytes | Unit::BytesPerSecond => 1.0,
        Unit::Percent | Unit::Watts | Unit::Plain => 10_000.0,
    }
}

/// `None` for what cannot be stored: nothing that is measured is that large.
fn stored(metric: Metric, number: f64) -> Option<i64> {
    let number = (number * scale(metric)).round();
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far below 2^63")]
    (number.abs() < 9e18).then_some(number as i64)
}

/// Gives the hour of a row of `hour`, `subject` and the columns.
fn read_hour(row: &Row<'_>, each: RowVisitor<'_, Hour>) -> rusqlite::Result<()> {
    let at = time(row.get(0)?);
    let mut metrics = Vec::new();
    for (i, (metric, _)) in COLUMNS.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "it was an f64 when it was stored")]
        let number = |part| {
            Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(2 + i * 4 + part)?.map(|n| n as f64 / scale(metric)))
        };
        let count = row.get::<_, Option<i64>>(2 + i * 4)?.and_then(|count| u32::try_from(count).ok());
        if let (Some(count), min, Some(avg), Some(max)) = (count, number(1)?, number(2)?, number(3)?) {
            metrics.push((metric, Measurement { at, count, avg, min, max }));
        }
    }
    each(row.get(1)?, Hour { at, metrics })
}
