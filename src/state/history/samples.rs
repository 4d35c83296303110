//! How hard each server worked, look by look. A run keeps a sample of each server it knows something of, and thousands
//! of guests must cost it little: samples stand in the order in which runs add them, many in one row (`blocks`), servers
//! are numbers, and a guest's number needs no look-up.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::inventory::server::{ServerKey, Whose};
use crate::model::load::usage::{Sample, Totals};
use crate::state::history::blocks::{self, PLACE_BITS, block_of};
use crate::state::history::outbox;
use crate::state::history::pending_hours;
use crate::state::subjects::cluster_row;
use crate::state::{OUT_OF_ORDER_MILLIS, Result, State, counted, time};

/// What one run learned of all servers. A sample without any number is left out: most guests may be stopped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    guests: Vec<(ClusterId, Packed)>,
    /// Configured servers.
    servers: Vec<(ServerId, Sample)>,
}

/// Samples as they stand in the file, a third as large as in the model, each with its subject and where it ends.
#[derive(Debug, Clone, Default)]
struct Packed {
    bytes: Vec<u8>,
    ends: Vec<(i64, usize)>,
}

impl Packed {
    fn add(&mut self, subject: i64, sample: &Sample) {
        if says_something(sample) {
            blocks::write(&mut self.bytes, subject, sample);
            self.ends.push((subject, self.bytes.len()));
        }
    }

    fn iter(&self) -> impl Iterator<Item = (i64, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |(subject, end)| (*subject, &self.bytes[std::mem::replace(&mut begin, *end)..*end]))
    }
}

impl Samples {
    /// Adds a configured server's.
    pub(crate) fn add_server(&mut self, server: &ServerId, sample: Sample) {
        self.servers.push((server.clone(), sample));
    }

    /// Adds a guest's.
    pub(crate) fn add_guest(&mut self, cluster: &ClusterId, vmid: VmId, sample: &Sample) {
        let known = self.guests.iter().position(|(known, _)| known == cluster);
        let at = known.unwrap_or_else(|| {
            self.guests.push((cluster.clone(), Packed::default()));
            self.guests.len() - 1
        });
        self.guests[at].1.add(i64::from(vmid.get()), sample);
    }

    /// Those of configured servers.
    pub(crate) fn servers(&self) -> &[(ServerId, Sample)] {
        &self.servers
    }

    /// Those of guests.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (&ClusterId, VmId, Sample)> {
        self.guests.iter().flat_map(|(cluster, packed)| {
            packed.iter().filter_map(move |(subject, mut bytes)| {
                Some((cluster, vmid(subject)?, blocks::read_one(&mut bytes)?.1))
            })
        })
    }
}

/// What the guests of a cluster had counted at one look, by number.
pub(crate) type Counted = (Timestamp, Vec<(VmId, Totals)>);

/// Makes what is to be sent of a run, of that time.
pub(crate) type Bodies<'b> = &'b dyn Fn(Timestamp) -> Vec<Vec<u8>>;

const INSERT: &str = "INSERT OR REPLACE INTO samples (at, block, servers) VALUES (?1, ?2, ?3)";

/// Takes what a row says of each of its subjects, in their order.
pub(in crate::state) type Each<'e, T> = &'e mut dyn FnMut(i64, T) -> rusqlite::Result<()>;

/// A table whose rows stand in the order of a time and a number of subjects, and the ways to look things up in it.
#[derive(Debug)]
pub(in crate::state) struct Kept<T> {
    /// The times between ?1 and ?2, the oldest first.
    pub(in crate::state) stamps: &'static str,
    /// How many rows one time has.
    pub(in crate::state) count: &'static str,
    /// The rows of the time ?1 and with the numbers from ?2 to ?3.
    pub(in crate::state) rows: String,
    /// How many of a subject's bits are not in the number of its row.
    pub(in crate::state) place_bits: u32,
    /// Gives what a row says.
    pub(in crate::state) read: fn(&Row<'_>, Each<'_, T>) -> rusqlite::Result<()>,
}

impl Kept<Sample> {
    /// Every sample.
    pub(in crate::state) fn samples() -> Kept<Sample> {
        Kept {
            // A step to the next time is one look into the tree: there is no list of them.
            stamps: "WITH RECURSIVE stamps (at) AS (
                    SELECT min(at) FROM samples WHERE at >= ?1
                    UNION ALL SELECT (SELECT min(at) FROM samples WHERE at > stamps.at) FROM stamps WHERE at < ?2
                 ) SELECT at FROM stamps WHERE at <= ?2",
            count: "SELECT count(*) FROM samples WHERE at = ?1",
            rows: "SELECT at, block, servers FROM samples WHERE at = ?1 AND block >= ?2 AND block <= ?3 ORDER BY block"
                .to_owned(),
            place_bits: PLACE_BITS,
            read: blocks::read,
        }
    }
}

impl<T> Kept<T> {
    /// The times between these two, both included, the oldest first.
    pub(in crate::state) fn stamps(&self, conn: &Connection, since: i64, until: i64) -> rusqlite::Result<Vec<i64>> {
        conn.prepare_cached(self.stamps)?.query_map([since, until], |row| row.get(0))?.collect()
    }

    /// How many rows the time has.
    pub(in crate::state) fn count(&self, conn: &Connection, at: i64) -> rusqlite::Result<usize> {
        conn.prepare_cached(self.count)?.query_row([at], |row| counted(row, 0))
    }

    /// Gives what rows of one time say, those with the numbers from `first` to `last`, to `each`.
    pub(in crate::state) fn range(
        &self,
        conn: &Connection,
        at: i64,
        (first, last): (i64, i64),
        each: Each<'_, T>,
    ) -> rusqlite::Result<()> {
        let mut statement = conn.prepare_cached(&self.rows)?;
        let mut rows = statement.query([at, first, last])?;
        while let Some(row) = rows.next()? {
            (self.read)(row, each)?;
        }
        Ok(())
    }

    /// Gives what one time has of these subjects, in their order, each with its index in `subjects`, to `each`. `size`
    /// is how many rows such a time has about: many subjects are found by reading all of them.
    pub(in crate::state) fn visit(
        &self,
        conn: &Connection,
        at: i64,
        subjects: &[(i64, usize)],
        size: usize,
        mut each: impl FnMut(usize, T) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let (Some((first, _)), Some((last, _))) = (subjects.first(), subjects.last()) else { return Ok(()) };
        let row_of = |subject: i64| subject >> self.place_bits;
        let mut wanted = |subject, said| match subjects.binary_search_by_key(&subject, |(subject, _)| *subject) {
            Ok(place) => each(subjects[place].1, said),
            Err(_) => Ok(()),
        };
        let rows = subjects.chunk_by(|(a, _), (b, _)| row_of(*a) == row_of(*b)).map(|chunk| row_of(chunk[0].0));
        if rows.clone().count() * 4 > size {
            return self.range(conn, at, (row_of(*first), row_of(*last)), &mut wanted);
        }
        for row in rows {
            self.range(conn, at, (row, row), &mut wanted)?;
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
                pending_hours::reopen(conn, pending_hours::SAMPLES, at, all.len())?;
            }
            let bodies = bodies.map(|bodies| bodies(time(at))).unwrap_or_default();
            bodies.iter().try_for_each(|body| outbox::add(conn, body, at))
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
                Kept::samples().range(conn, at, range, &mut |subject, sample| {
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
            let since = since.as_millisecond().max(pending_hours::border(conn)?);
            let stamps = Kept::samples().stamps(conn, since, until.as_millisecond())?;
            collect(conn, &Kept::samples(), &stamps, servers)
        })
    }

    /// When the first sample that is still known was taken, of those servers that have one: to the hour where only
    /// hours are left.
    pub(crate) fn first_sample_at(&self, servers: &[ServerKey]) -> Result<BTreeMap<ServerKey, Timestamp>> {
        self.read(|conn| {
            let border = pending_hours::border(conn)?;
            let mut missing = subjects(conn, servers)?;
            let mut found = BTreeMap::new();
            Kept::hours().first(conn, (i64::MIN, border - 1), servers, &mut missing, &mut found)?;
            Kept::samples().first(conn, (border, i64::MAX), servers, &mut missing, &mut found)?;
            Ok(found)
        })
    }

    /// Whether every sample and every hour makes sense.
    pub(in crate::state) fn read_samples(&self) -> Result<()> {
        self.read(|conn| {
            Kept::samples().read_all(conn)?;
            Kept::hours().read_all(conn)?;
            pending_hours::border(conn).map(drop)
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

/// What these times have of these servers, by server.
pub(in crate::state) fn collect<T>(
    conn: &Connection,
    kept: &Kept<T>,
    stamps: &[i64],
    servers: &[ServerKey],
) -> rusqlite::Result<BTreeMap<ServerKey, Vec<(Timestamp, T)>>> {
    let Some(last) = stamps.last() else { return Ok(BTreeMap::new()) };
    let size = kept.count(conn, *last)?;
    let subjects = subjects(conn, servers)?;
    let mut found: Vec<Vec<(Timestamp, T)>> = servers.iter().map(|_| Vec::new()).collect();
    for at in stamps {
        kept.visit(conn, *at, &subjects, size, |index, said| {
            found[index].push((time(*at), said));
            Ok(())
        })?;
    }
    Ok(servers.iter().cloned().zip(found).filter(|(_, rows)| !rows.is_empty()).collect())
}

impl<T> Kept<T> {
    /// Finds the first time, between these two, of each of the subjects that are missing.
    fn first(
        &self,
        conn: &Connection,
        (since, until): (i64, i64),
        servers: &[ServerKey],
        missing: &mut Vec<(i64, usize)>,
        found: &mut BTreeMap<ServerKey, Timestamp>,
    ) -> rusqlite::Result<()> {
        for at in self.stamps(conn, since, until)? {
            if missing.is_empty() {
                break;
            }
            let size = self.count(conn, at)?;
            let before = found.len();
            self.visit(conn, at, missing, size, |index, _| {
                found.insert(servers[index].clone(), time(at));
                Ok(())
            })?;
            if found.len() > before {
                missing.retain(|(_, index)| !found.contains_key(&servers[*index]));
            }
        }
        Ok(())
    }

    /// Reads everything.
    fn read_all(&self, conn: &Connection) -> rusqlite::Result<()> {
        for at in self.stamps(conn, i64::MIN, i64::MAX)? {
            self.range(conn, at, (i64::MIN, i64::MAX), &mut |_, _| Ok(()))?;
        }
        Ok(())
    }
}

/// The subjects of those servers that ever had one, each with the server's index, in the order of the tables.
pub(in crate::state) fn subjects<'k>(
    conn: &Connection,
    servers: &'k [ServerKey],
) -> rusqlite::Result<Vec<(i64, usize)>> {
    // The id of a configured server has no `/`.
    let part = |ServerKey(key): &'k ServerKey| match key.rsplit_once('/') {
        None => Some(Part::Server(key)),
        Some((cluster, vmid)) => Some(Part::Guest(cluster, vmid.parse().ok()?)),
    };
    numbered(conn, servers.iter().enumerate().filter_map(|(index, key)| Some((index, part(key)?))))
}

/// The same of servers that are not named by a text.
pub(in crate::state) fn subjects_of<'w>(
    conn: &Connection,
    servers: impl Iterator<Item = (usize, &'w Whose)>,
) -> rusqlite::Result<Vec<(i64, usize)>> {
    let part = |whose: &'w Whose| match whose {
        Whose::Guest(cluster, vmid) => Part::Guest(cluster.as_str(), *vmid),
        Whose::Server(id) => Part::Server(id.as_str()),
    };
    numbered(conn, servers.map(|(index, whose)| (index, part(whose))))
}

/// What names a subject.
enum Part<'k> {
    Guest(&'k str, VmId),
    Server(&'k str),
}

fn numbered<'k>(
    conn: &Connection,
    servers: impl Iterator<Item = (usize, Part<'k>)>,
) -> rusqlite::Result<Vec<(i64, usize)>> {
    let mut clusters: HashMap<&str, Option<i64>> = HashMap::new();
    // The next guest is mostly of the same cluster.
    let mut last: Option<(&str, Option<i64>)> = None;
    let mut select = conn.prepare_cached("SELECT id FROM subjects WHERE server = ?1")?;
    let mut found = Vec::with_capacity(servers.size_hint().0);
    for (index, part) in servers {
        let subject = match part {
            Part::Server(id) => select.query_row([id], |row| row.get(0)).optional()?,
            Part::Guest(cluster, vmid) => {
                let known = match last.filter(|(name, _)| *name == cluster) {
                    Some((_, known)) => known,
                    None => match clusters.get(cluster) {
                        Some(known) => *known,
                        None => *clusters.entry(cluster).or_insert(known_cluster(conn, cluster)?),
                    },
                };
                last = Some((cluster, known));
                known.map(|cluster| (cluster << 32) | i64::from(vmid.get()))
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
                block.iter().filter_map(|(subject, sample)| Some((*subject, blocks::read_one(&mut &**sample)?.1))),
            );
            for (subject, sample) in &all {
                blocks::write(&mut body, *subject, sample);
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
    Kept::samples().range(conn, at, (block, block), &mut |subject, sample| {
        all.insert(subject, sample);
        Ok(())
    })?;
    Ok(all)
}

/// Gives the samples and hours of the cluster in row `from` to the one in row `to`; what that one has stays.
pub(in crate::state) fn move_subjects(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<()> {
    let bits = 32 - PLACE_BITS;
    let (first, last, by) = (from << bits, ((from + 1) << bits) - 1, (to - from) << bits);
    let kept = Kept::samples();
    for at in kept.stamps(conn, i64::MIN, i64::MAX)? {
        // Places are the same in both.
        let sql = "UPDATE OR IGNORE samples SET block = block + ?4 WHERE at = ?1 AND block >= ?2 AND block <= ?3";
        conn.prepare_cached(sql)?.execute([at, first, last, by])?;
        let mut both = BTreeMap::new();
        kept.range(conn, at, (first, last), &mut |subject, sample| {
            both.insert(subject + (by << PLACE_BITS), sample);
            Ok(())
        })?;
        store_under(conn, at, &both)?;
        let sql = "DELETE FROM samples WHERE at = ?1 AND block >= ?2 AND block <= ?3";
        conn.prepare_cached(sql)?.execute([at, first, last])?;
    }
    for hour in Kept::hours().stamps(conn, i64::MIN, i64::MAX)? {
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
