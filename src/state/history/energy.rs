//! How much energy hosts used: hour by hour, and since ecobox looks at them. Each look adds what is known of the time since the
//! last one; of other time nothing is known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::model::id::ServerId;
use crate::model::load::energy::{Watts, WattsBy, WattsSource};
use crate::model::past::energy::{EnergyHour, EnergyLook, Phase, since};
use crate::model::text::span::Span;
use crate::state::history::pending_hours::whole_from;
use crate::state::{Result, State, time};

/// Deletes the hours of about a day; a run adds at most one of each server.
pub(in crate::state) const OLD_ENERGY_HOURS: &str = "DELETE FROM energy_hours
    WHERE hour < ?1 AND hour < (SELECT min(hour) FROM energy_hours) + ?2 * 200000";

/// Joules since ecobox looks, by source.
pub(crate) type EnergyTotals = BTreeMap<ServerId, BTreeMap<WattsSource, f64>>;

impl State {
    /// Keeps what a look knew of the power of hosts, and the energy since the last look.
    pub(crate) fn record_energy(&self, looks: &[(ServerId, EnergyLook)]) -> Result<()> {
        if looks.is_empty() {
            return Ok(());
        }
        self.write(|conn| looks.iter().try_for_each(|(server, look)| record(conn, server.as_str(), look)))
    }

    /// The energy of the whole hours between these two times, by server, the oldest first. Of an hour that is not over it is
    /// what is known so far.
    pub(crate) fn energy_hours(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<ServerId, Vec<EnergyHour>>> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT server, hour, measured_by, phase, seconds, joules, least, most FROM energy_hours
                 WHERE hour >= ?1 AND hour <= ?2 ORDER BY hour",
            )?;
            let range = [whole_from(from.as_millisecond()), until.as_millisecond()];
            let rows = statement.query_map(range, |row| Ok((row.get::<_, String>(0)?, read_hour(row)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut hours: BTreeMap<ServerId, Vec<EnergyHour>> = BTreeMap::new();
        for (server, hour) in rows {
            let (Ok(server), Some(hour)) = (server.parse(), hour) else { continue };
            hours.entry(server).or_default().push(hour);
        }
        Ok(hours)
    }

    /// All the energy that was ever known, of each host.
    pub(crate) fn energy_totals(&self) -> Result<EnergyTotals> {
        let rows = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT server, measured_by, joules FROM energy_totals")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, f64)>>>()
        })?;
        let mut totals = EnergyTotals::new();
        for (server, by, joules) in rows {
            let (Ok(server), Some(by)) = (server.parse(), WattsBy::parse(&by)) else { continue };
            *totals.entry(server).or_default().entry(by.source()).or_default() += joules;
        }
        Ok(totals)
    }
}

fn record(conn: &Connection, server: &str, look: &EnergyLook) -> rusqlite::Result<()> {
    let sql = "SELECT at, measured_by, phase, watts, least, most FROM energy_looks WHERE server = ?1";
    let last = conn.prepare_cached(sql)?.query_row([server], read_look).optional()?.flatten();
    let mut add_hour = conn.prepare_cached(
        "INSERT INTO energy_hours (hour, server, measured_by, phase, seconds, joules, least, most)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (hour, server, measured_by, phase) DO UPDATE SET seconds = seconds + excluded.seconds,
            joules = joules + excluded.joules, least = least + excluded.least, most = most + excluded.most",
    )?;
    let mut add_total = conn.prepare_cached(
        "INSERT INTO energy_totals (server, measured_by, joules) VALUES (?1, ?2, ?3)
         ON CONFLICT (server, measured_by) DO UPDATE SET joules = joules + excluded.joules",
    )?;
    for part in since(last.as_ref(), look) {
        let EnergyHour { hour, by, phase, seconds, joules, bounds } = part;
        let (by, phase, hour) = (by.as_str(), phase.as_str(), hour.as_millisecond());
        add_hour.execute(params![hour, server, by, phase, seconds, joules, bounds.least, bounds.most])?;
        add_total.execute(params![server, by, joules])?;
    }
    let Watts { by, likely, least, most } = look.watts;
    let mut keep = conn.prepare_cached(
        "INSERT OR REPLACE INTO energy_looks (server, at, measured_by, phase, watts, least, most)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (at, phase) = (look.at.as_millisecond(), look.phase.as_str());
    keep.execute(params![server, at, by.as_str(), phase, likely, least, most]).map(drop)
}

/// `None`: of another version.
fn read_look(row: &Row<'_>) -> rusqlite::Result<Option<EnergyLook>> {
    let (by, phase): (String, String) = (row.get(1)?, row.get(2)?);
    let (likely, least, most) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let at = time(row.get(0)?);
    let known = WattsBy::parse(&by).zip(Phase::parse(&phase));
    Ok(known.map(|(by, phase)| EnergyLook { at, phase, watts: Watts { by, likely, least, most }, over: None }))
}

fn read_hour(row: &Row<'_>) -> rusqlite::Result<Option<EnergyHour>> {
    let (by, phase): (String, String) = (row.get(2)?, row.get(3)?);
    let (seconds, joules) = (row.get(4)?, row.get(5)?);
    let bounds = Span { least: row.get(6)?, most: row.get(7)? };
    let hour = time(row.get(1)?);
    let known = WattsBy::parse(&by).zip(Phase::parse(&phase));
    Ok(known.map(|(by, phase)| EnergyHour { hour, by, phase, seconds, joules, bounds }))
}
