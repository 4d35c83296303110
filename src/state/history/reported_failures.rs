//! What was said of troubles, for runs that come every few minutes.

use jiff::Timestamp;
use rusqlite::params;

use crate::model::inventory::reported_failures::ReportedFailure;
use crate::state::{Result, State, time};

impl State {
    /// What runs of this job have said and not taken back.
    pub(crate) fn told(&self, job: &str) -> Result<Vec<ReportedFailure>> {
        self.read(|conn| {
            let sql = "SELECT server, kind, what, text, since, said_at FROM told WHERE job = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([job], |row| {
                let (server, kind, what, text) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(ReportedFailure { server, kind, what, text, since: time(row.get(4)?), said_at: time(row.get(5)?) })
            })?;
            rows.collect()
        })
    }

    /// Keeps what was said in place of what was.
    pub(crate) fn put_told(&self, job: &str, told: &[ReportedFailure]) -> Result<()> {
        let millis = Timestamp::as_millisecond;
        self.write(|conn| {
            conn.prepare_cached("DELETE FROM told WHERE job = ?1")?.execute([job])?;
            let sql = "INSERT OR REPLACE INTO told (job, server, kind, what, text, since, said_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut insert = conn.prepare_cached(sql)?;
            for ReportedFailure { server, kind, what, text, since, said_at } in told {
                insert.execute(params![job, server, kind, what, text, millis(*since), millis(*said_at)])?;
            }
            Ok(())
        })
    }
}
