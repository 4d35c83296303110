//! Tables whose rows stand in the order of a time and a number of subjects: samples, and what is left of their hours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use crate::model::inventory::server::ServerKey;
use crate::state::subjects::subjects;
use crate::state::{counted, time};

/// Takes what a row says of each of its subjects, in their order.
pub(in crate::state) type RowVisitor<'e, T> = &'e mut dyn FnMut(i64, T) -> rusqlite::Result<()>;

/// A table whose rows stand in the order of a time and a number of subjects, and the ways to look things up in it.
#[derive(Debug)]
pub(in crate::state) struct TimeTable<T> {
    /// The times between ?1 and ?2, the oldest first.
    pub(in crate::state) stamps: &'static str,
    /// How many rows one time has.
    pub(in crate::state) count: &'static str,
    /// The rows of the time ?1 and with the numbers from ?2 to ?3.
    pub(in crate::state) rows: String,
    /// How many of a subject's bits are not in the number of its row.
    pub(in crate::state) place_bits: u32,
    /// Gives what a row says.
    pub(in crate::state) read: fn(&Row<'_>, RowVisitor<'_, T>) -> rusqlite::Result<()>,
}

impl<T> TimeTable<T> {
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
        each: RowVisitor<'_, T>,
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

    /// Finds the first time, between these two, of each of the subjects that are missing.
    pub(in crate::state) fn first(
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
    pub(in crate::state) fn read_all(&self, conn: &Connection) -> rusqlite::Result<()> {
        for at in self.stamps(conn, i64::MIN, i64::MAX)? {
            self.range(conn, at, (i64::MIN, i64::MAX), &mut |_, _| Ok(()))?;
        }
        Ok(())
    }
}

/// What these times have of these servers, by server.
pub(in crate::state) fn collect<T>(
    conn: &Connection,
    table: &TimeTable<T>,
    stamps: &[i64],
    servers: &[ServerKey],
) -> rusqlite::Result<BTreeMap<ServerKey, Vec<(Timestamp, T)>>> {
    let Some(last) = stamps.last() else { return Ok(BTreeMap::new()) };
    let size = table.count(conn, *last)?;
    let subjects = subjects(conn, servers)?;
    let mut found: Vec<Vec<(Timestamp, T)>> = servers.iter().map(|_| Vec::new()).collect();
    for at in stamps {
        table.visit(conn, *at, &subjects, size, |index, said| {
            found[index].push((time(*at), said));
            Ok(())
        })?;
    }
    Ok(servers.iter().cloned().zip(found).filter(|(_, rows)| !rows.is_empty()).collect())
}
