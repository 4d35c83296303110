//! The past of many servers, read once in the order of time and handed on row by row: nothing of it is gathered here.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Row;

use crate::model::advice::tally::{Level, Step};
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Sample;
use crate::state::history::pending_hours::{first_whole_hour, whole_from};
use crate::state::history::time_table::{RowVisitor, TimeTable};
use crate::state::subjects::subjects;
use crate::state::{Result, State, time};

/// How a percentage is stored.
const PERCENT: f64 = 10_000.0;

/// The numbers of an hour that advice is about: average and highest of each, and the averages of rates.
const COLUMNS: &str =
    "cpu_avg, cpu_max, memory_avg, memory_max, pressure_cpu_avg, pressure_cpu_max, pressure_memory_avg,
    pressure_memory_max, pressure_io_avg, pressure_io_max, receive_avg, transmit_avg";

impl TimeTable<Step> {
    fn steps() -> TimeTable<Step> {
        TimeTable {
            rows: format!(
                "SELECT hour, subject, {COLUMNS} FROM sample_hours
                 WHERE hour = ?1 AND subject >= ?2 AND subject <= ?3 ORDER BY subject"
            ),
            read: read_step,
            stamps: TimeTable::hours().stamps,
            count: TimeTable::hours().count,
            place_bits: 0,
        }
    }
}

impl State {
    /// Gives what is left of the hours between these two times to `each`, the oldest first, with the place of the server in
    /// `servers`. No time is also in `visit_samples`.
    pub(crate) fn visit_hours(
        &self,
        servers: &[ServerKey],
        (since, until): (Timestamp, Timestamp),
        mut each: impl FnMut(usize, &Step),
    ) -> Result<()> {
        self.read(|conn| {
            let until = until.as_millisecond().min(first_whole_hour(conn)? - 1);
            let table = TimeTable::steps();
            let stamps = table.stamps(conn, whole_from(since.as_millisecond()), until)?;
            let subjects = subjects(conn, servers)?;
            let Some(last) = stamps.last() else { return Ok(()) };
            let size = table.count(conn, *last)?;
            for at in &stamps {
                table.visit(conn, *at, &subjects, size, |index, step| {
                    each(index, &step);
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    /// Gives the samples between these two times to `each`, the oldest first, with the place of the server in `servers`.
    pub(crate) fn visit_samples(
        &self,
        servers: &[ServerKey],
        (since, until): (Timestamp, Timestamp),
        mut each: impl FnMut(usize, Timestamp, &Sample),
    ) -> Result<()> {
        self.read(|conn| {
            let since = since.as_millisecond().max(first_whole_hour(conn)?);
            let table = TimeTable::samples();
            let stamps = table.stamps(conn, since, until.as_millisecond())?;
            let subjects = subjects(conn, servers)?;
            let Some(last) = stamps.last() else { return Ok(()) };
            let size = table.count(conn, *last)?;
            for at in &stamps {
                table.visit(conn, *at, &subjects, size, |index, sample| {
                    each(index, time(*at), &sample);
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}

fn read_step(row: &Row<'_>, each: RowVisitor<'_, Step>) -> rusqlite::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "it was an f64 when it was stored")]
    let number = |column: usize, scale: f64| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(|number| number as f64 / scale))
    };
    let level = |column: usize, scale: f64| {
        let pair = number(column, scale)?.zip(number(column + 1, scale)?);
        Ok::<_, rusqlite::Error>(pair.map(|(avg, max)| Level { avg, max }))
    };
    let mut step = Step::at(time(row.get(0)?), SignedDuration::from_hours(1));
    step.cpu = level(2, PERCENT)?;
    step.memory = level(4, 1.0)?;
    step.pressure = [level(6, PERCENT)?, level(8, PERCENT)?, level(10, PERCENT)?];
    step.sent = number(13, 1.0)?;
    step.traffic = number(12, 1.0)?.zip(step.sent).map(|(received, sent)| received + sent);
    each(row.get(1)?, step)
}
