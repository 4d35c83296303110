//! How hard each server worked, look by look. A run adds a row for each server it knows something of, and thousands of
//! guests must cost it little: rows stand in the order in which runs add them, servers are numbers, and a guest's
//! number needs no look-up.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::clusters::cluster_row;
use super::{OUT_OF_ORDER_MILLIS, Result, State, counted, history, outbox, rollup, time};
use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::server::ServerKey;
use crate::model::usage::{Count, Pressure, Sample, Totals, Usage};

/// What one run learned of all servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples<'a> {
    pub(crate) guests: Vec<(&'a ClusterId, Vec<(VmId, Sample)>)>,
    /// Configured servers.
    pub(crate) servers: Vec<(&'a ServerId, Sample)>,
}

/// What the guests of a cluster had counted at one look, by number.
pub(crate) type Counted = (Timestamp, Vec<(VmId, Totals)>);

/// Makes what is to be sent of a run, of that time.
pub(crate) type Bodies<'b> = &'b dyn Fn(Timestamp) -> Vec<Vec<u8>>;

/// What a row says after `at` and `subject`.
macro_rules! columns {
    () => {
        "source, cpu, cpus, load, memory, memory_max, disk, disk_max, receive, transmit, read, write, uptime,
         pressure_cpu, pressure_memory, pressure_io"
    };
}

const INSERT: &str = concat!(
    "INSERT OR REPLACE INTO samples (at, subject, ",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
);

/// A table whose rows stand in the order of a time and a subject, and the ways to look things up in it.
#[derive(Debug)]
pub(super) struct Kept {
    /// The times between ?1 and ?2, the oldest first.
    pub(super) stamps: &'static str,
    /// How many rows one time has.
    pub(super) count: &'static str,
    /// The rows of the time ?1 and of the subjects from ?2 to ?3.
    pub(super) rows: String,
}

impl Kept {
    /// Every sample.
    pub(super) fn samples() -> Kept {
        Kept {
            // A step to the next time is one look into the tree: there is no list of them.
            stamps: "WITH RECURSIVE stamps (at) AS (
                    SELECT min(at) FROM samples WHERE at >= ?1
                    UNION ALL SELECT (SELECT min(at) FROM samples WHERE at > stamps.at) FROM stamps WHERE at < ?2
                 ) SELECT at FROM stamps WHERE at <= ?2",
            count: "SELECT count(*) FROM samples WHERE at = ?1",
            rows: concat!(
                "SELECT at, subject, ",
                columns!(),
                " FROM samples WHERE at = ?1 AND subject >= ?2 AND subject <= ?3 ORDER BY subject"
            )
            .to_owned(),
        }
    }

    /// The times between these two, both included, the oldest first.
    pub(super) fn stamps(&self, conn: &Connection, since: i64, until: i64) -> rusqlite::Result<Vec<i64>> {
        conn.prepare_cached(self.stamps)?.query_map([since, until], |row| row.get(0))?.collect()
    }

    /// How many rows the time has.
    pub(super) fn count(&self, conn: &Connection, at: i64) -> rusqlite::Result<usize> {
        conn.prepare_cached(self.count)?.query_row([at], |row| counted(row, 0))
    }

    /// Gives the rows of one time and of these subjects, in their order, each with its index in `subjects`, to `each`.
    /// `size` is how many rows such a time has about: many subjects are found by reading all of them.
    pub(super) fn visit(
        &self,
        conn: &Connection,
        at: i64,
        subjects: &[(i64, usize)],
        size: usize,
        mut each: impl FnMut(usize, &Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let (Some((first, _)), Some((last, _))) = (subjects.first(), subjects.last()) else { return Ok(()) };
        let mut statement = conn.prepare_cached(&self.rows)?;
        if subjects.len() * 4 <= size {
            for (subject, index) in subjects {
                let mut rows = statement.query([at, *subject, *subject])?;
                while let Some(row) = rows.next()? {
                    each(*index, row)?;
                }
            }
            return Ok(());
        }
        let mut rows = statement.query([at, *first, *last])?;
        while let Some(row) = rows.next()? {
            if let Ok(place) = subjects.binary_search_by_key(&row.get(1)?, |(subject, _)| *subject) {
                each(subjects[place].1, row)?;
            }
        }
        Ok(())
    }
}

impl State {
    /// Keeps what a run learned, and what of it is to be sent (`bodies`, made for the time they are given): all or
    /// nothing. A sample without any number is left out: most guests may be stopped.
    ///
    /// Whoever takes what is sent wants it in the order of time. A run that another one overtook gets the next
    /// millisecond, here as there.
    pub(crate) fn record_samples(
        &self,
        samples: &Samples<'_>,
        at: Timestamp,
        bodies: Option<Bodies<'_>>,
    ) -> Result<()> {
        self.write(|conn| {
            let at = match bodies {
                Some(_) => next_in_order(conn, at.as_millisecond())?,
                None => at.as_millisecond(),
            };
            let mut writer = Writer { statement: conn.prepare_cached(INSERT)?, at, rows: 0 };
            for (server, sample) in samples.servers.iter().filter(|(_, sample)| says_something(sample)) {
                writer.add(server_subject(conn, server)?, sample)?;
            }
            for (cluster, guests) in samples.guests.iter().filter(|(_, guests)| !guests.is_empty()) {
                let first = cluster_row(conn, cluster)? << 32;
                let mut guests: Vec<_> = guests.iter().filter(|(_, sample)| says_something(sample)).collect();
                // In the order of the table, where rows are added at the end.
                guests.sort_by_key(|(vmid, _)| *vmid);
                for (vmid, sample) in guests {
                    writer.add(first | i64::from(vmid.get()), sample)?;
                }
            }
            if writer.rows > 0 {
                rollup::reopen(conn, rollup::SAMPLES, at, writer.rows)?;
            }
            let bodies = bodies.map(|bodies| bodies(time(at))).unwrap_or_default();
            bodies.iter().try_for_each(|body| outbox::add(conn, body, at))
        })
    }

    /// What the cluster's guests had counted at the newest look between these two times, both included.
    pub(crate) fn totals(&self, cluster: &ClusterId, since: Timestamp, until: Timestamp) -> Result<Option<Counted>> {
        self.read(|conn| {
            let Some(cluster) = known_cluster(conn, cluster.as_str())? else { return Ok(None) };
            let mut rows = conn.prepare_cached(
                "SELECT subject, receive, transmit, read, write, uptime FROM samples
                 WHERE at = ?1 AND subject >= ?2 AND subject <= ?3 ORDER BY subject",
            )?;
            let mut newest = conn.prepare_cached("SELECT max(at) FROM samples WHERE at >= ?1 AND at <= ?2")?;
            let mut before = until.as_millisecond();
            loop {
                let at: Option<i64> = newest.query_row([since.as_millisecond(), before], |row| row.get(0))?;
                let Some(at) = at else { return Ok(None) };
                let read = |row: &Row<'_>| Ok((vmid(row.get(0)?), read_totals(row)?));
                let guests = rows.query_map([at, cluster << 32, (cluster + 1) << 32], read)?;
                let guests = guests.filter_map(|row| row.map(|(vmid, totals)| Some((vmid?, totals))).transpose());
                let guests = guests.collect::<rusqlite::Result<Vec<_>>>()?;
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
            let since = since.as_millisecond().max(rollup::border(conn)?);
            let stamps = Kept::samples().stamps(conn, since, until.as_millisecond())?;
            collect(conn, &Kept::samples(), &stamps, servers, read_sample)
        })
    }

    /// When the first sample that is still known was taken, of those servers that have one: to the hour where only
    /// hours are left.
    pub(crate) fn first_sample_at(&self, servers: &[ServerKey]) -> Result<BTreeMap<ServerKey, Timestamp>> {
        self.read(|conn| {
            let border = rollup::border(conn)?;
            let mut missing = subjects(conn, servers)?;
            let mut found = BTreeMap::new();
            for (kept, since, until) in [(Kept::hours(), i64::MIN, border - 1), (Kept::samples(), border, i64::MAX)] {
                let stamps = kept.stamps(conn, since, until)?;
                for at in stamps {
                    if missing.is_empty() {
                        break;
                    }
                    let size = kept.count(conn, at)?;
                    let before = found.len();
                    kept.visit(conn, at, &missing, size, |index, _| {
                        found.insert(servers[index].clone(), time(at));
                        Ok(())
                    })?;
                    if found.len() > before {
                        missing.retain(|(_, index)| !found.contains_key(&servers[*index]));
                    }
                }
            }
            Ok(found)
        })
    }

    /// Whether every sample and every hour makes sense.
    pub(super) fn read_samples(&self) -> Result<()> {
        self.read(|conn| {
            let (samples, hours) = (Kept::samples(), Kept::hours());
            let all = |kept: &Kept, read: &dyn Fn(&Row<'_>) -> rusqlite::Result<()>| {
                for at in kept.stamps(conn, i64::MIN, i64::MAX)? {
                    let mut statement = conn.prepare_cached(&kept.rows)?;
                    let mut rows = statement.query([at, i64::MIN, i64::MAX])?;
                    while let Some(row) = rows.next()? {
                        row.get::<_, i64>(1).and_then(|_| read(row))?;
                    }
                }
                Ok::<_, rusqlite::Error>(())
            };
            all(&samples, &|row| read_sample(row).map(drop))?;
            all(&hours, &|row| rollup::read_hour(row).map(drop))?;
            rollup::border(conn).map(drop)
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

/// The rows of these times and servers as `read` understands them, by server.
pub(super) fn collect<T>(
    conn: &Connection,
    kept: &Kept,
    stamps: &[i64],
    servers: &[ServerKey],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<BTreeMap<ServerKey, Vec<(Timestamp, T)>>> {
    let Some(last) = stamps.last() else { return Ok(BTreeMap::new()) };
    let size = kept.count(conn, *last)?;
    let subjects = subjects(conn, servers)?;
    let mut found: Vec<Vec<(Timestamp, T)>> = servers.iter().map(|_| Vec::new()).collect();
    for at in stamps {
        kept.visit(conn, *at, &subjects, size, |index, row| {
            found[index].push((time(*at), read(row)?));
            Ok(())
        })?;
    }
    Ok(servers.iter().cloned().zip(found).filter(|(_, rows)| !rows.is_empty()).collect())
}

/// The subjects of those servers that ever had one, each with the server's index, in the order of the tables.
fn subjects(conn: &Connection, servers: &[ServerKey]) -> rusqlite::Result<Vec<(i64, usize)>> {
    let mut clusters: HashMap<&str, Option<i64>> = HashMap::new();
    let mut select = conn.prepare_cached("SELECT id FROM subjects WHERE server = ?1")?;
    let mut found = Vec::new();
    for (index, ServerKey(key)) in servers.iter().enumerate() {
        // The id of a configured server has no `/`.
        let subject = match key.rsplit_once('/') {
            None => select.query_row([key], |row| row.get(0)).optional()?,
            Some((cluster, vmid)) => {
                let known = match clusters.get(cluster) {
                    Some(known) => *known,
                    None => *clusters.entry(cluster).or_insert(known_cluster(conn, cluster)?),
                };
                let vmid = vmid.parse::<VmId>().ok();
                known.zip(vmid).map(|(cluster, vmid)| (cluster << 32) | i64::from(vmid.get()))
            }
        };
        found.extend(subject.map(|subject| (subject, index)));
    }
    found.sort_unstable();
    found.dedup_by_key(|(subject, _)| *subject);
    Ok(found)
}

fn known_cluster(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM clusters WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

fn server_subject(conn: &Connection, server: &ServerId) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM subjects WHERE server = ?1")?;
    if let Some(id) = select.query_row([server.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.execute("INSERT INTO subjects (server) VALUES (?1)", [server.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// The guest that a subject is, within its cluster.
fn vmid(subject: i64) -> Option<VmId> {
    VmId::try_from(u32::try_from(subject & 0xffff_ffff).ok()?).ok()
}

/// Whether anything was measured: sizes alone are no measurement.
fn says_something(sample: &Sample) -> bool {
    let Sample { usage: u, pressure: p, .. } = sample;
    let numbers = [u.cpu_percent, u.load, p.cpu_percent, p.memory_percent, p.io_percent];
    let counts = [u.memory_bytes, u.disk_bytes, u.receive_bytes, u.transmit_bytes, u.read_bytes, u.write_bytes];
    u.uptime_seconds.is_some() || numbers.iter().any(Option::is_some) || counts.iter().any(Option::is_some)
}

/// Writes the rows of one run.
struct Writer<'a> {
    statement: CachedStatement<'a>,
    at: i64,
    rows: usize,
}

impl Writer<'_> {
    fn add(&mut self, subject: i64, sample: &Sample) -> rusqlite::Result<()> {
        let Sample { source, usage: u, pressure: p } = sample;
        // What no number of the file can say is unknown.
        let count = |count: Option<Count>| count.and_then(|count| i64::try_from(count.get()).ok());
        let number = |number: Option<f32>| number.filter(|number| number.is_finite()).map(f64::from);
        self.rows += 1;
        let values = params![
            self.at,
            subject,
            source.as_str(),
            number(u.cpu_percent),
            number(u.cpus),
            number(u.load),
            count(u.memory_bytes),
            count(u.memory_max_bytes),
            count(u.disk_bytes),
            count(u.disk_max_bytes),
            count(u.receive_bytes),
            count(u.transmit_bytes),
            count(u.read_bytes),
            count(u.write_bytes),
            count(u.uptime_seconds),
            number(p.cpu_percent),
            number(p.memory_percent),
            number(p.io_percent),
        ];
        self.statement.execute(values).map(drop)
    }
}

fn read_count(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Count>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()).map(Count::new))
}

/// After the subject.
fn read_totals(row: &Row<'_>) -> rusqlite::Result<Totals> {
    let count = |i| read_count(row, i);
    Ok(Totals { receive: count(1)?, transmit: count(2)?, read: count(3)?, write: count(4)?, uptime_seconds: count(5)? })
}

/// A sample of a row of `at`, `subject` and the columns.
pub(super) fn read_sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let count = |i| read_count(row, i);
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32 when it was stored")]
    let number = |i| Ok::<_, rusqlite::Error>(row.get::<_, Option<f64>>(i)?.map(|number| number as f32));
    Ok(Sample {
        source: history::source(row.get_ref(2)?.as_str()?),
        usage: Usage {
            cpu_percent: number(3)?,
            cpus: number(4)?,
            load: number(5)?,
            memory_bytes: count(6)?,
            memory_max_bytes: count(7)?,
            disk_bytes: count(8)?,
            disk_max_bytes: count(9)?,
            receive_bytes: count(10)?,
            transmit_bytes: count(11)?,
            read_bytes: count(12)?,
            write_bytes: count(13)?,
            uptime_seconds: count(14)?,
        },
        pressure: Pressure { cpu_percent: number(15)?, memory_percent: number(16)?, io_percent: number(17)? },
    })
}

/// Gives the samples and hours of the cluster in row `from` to the one in row `to`; what that one has stays.
pub(super) fn move_subjects(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<()> {
    let tables = [("samples", "at"), ("sample_hours", "hour")];
    for (table, time) in tables {
        let of_cluster = format!(
            "{time} IN (WITH RECURSIVE stamps (at) AS (SELECT min({time}) FROM {table}
                UNION ALL SELECT (SELECT min({time}) FROM {table} WHERE {time} > stamps.at) FROM stamps
                    WHERE at IS NOT NULL)
                SELECT at FROM stamps WHERE at IS NOT NULL)
             AND subject >= ?1 AND subject < ?2"
        );
        let range = params![from << 32, (from + 1) << 32, (to - from) << 32];
        conn.execute(&format!("UPDATE OR IGNORE {table} SET subject = subject + ?3 WHERE {of_cluster}"), range)?;
        conn.execute(&format!("DELETE FROM {table} WHERE {of_cluster}"), &range[..2])?;
    }
    // An hour that is half summed up may have got subjects in the other half.
    conn.execute("UPDATE unrolled SET next = 0 WHERE kind = ?1", [rollup::SAMPLES]).map(drop)
}
