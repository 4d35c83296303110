//! What ecobox did to servers, and who asked for it. Nothing of this is ever deleted.

use jiff::Timestamp;
use rusqlite::params;

use super::{Result, State, time};
use crate::model::server::ServerKey;

/// Something that ecobox did.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_field_names, reason = "what was asked for is an action")]
pub(crate) struct Action {
    pub(crate) at: Timestamp,
    /// Whom it concerned; `None`: none in particular.
    pub(crate) server: Option<ServerKey>,
    /// What was asked for, in the words of the command line, e.g. `shutdown`.
    pub(crate) action: String,
    /// The user, and how: a terminal, cron.
    pub(crate) by: String,
    /// How it ended.
    pub(crate) outcome: String,
    /// How long it took.
    pub(crate) seconds: Option<f64>,
    pub(crate) detail: Option<String>,
}

impl State {
    /// Keeps what was done.
    pub(crate) fn record_action(&self, action: &Action) -> Result<()> {
        let Action { at, server, action, by, outcome, seconds, detail } = action;
        self.write(|conn| {
            let sql = "INSERT INTO actions (at, server, action, asked_by, outcome, seconds, detail)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let server = server.as_ref().map(|server| &server.0);
            conn.execute(sql, params![at.as_millisecond(), server, action, by, outcome, seconds, detail]).map(drop)
        })
    }

    /// What was done from `since` on, the oldest first.
    pub(crate) fn actions(&self, since: Timestamp) -> Result<Vec<Action>> {
        self.read(|conn| {
            let sql = "SELECT at, server, action, asked_by, outcome, seconds, detail FROM actions
                WHERE at >= ?1 ORDER BY at, id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([since.as_millisecond()], |row| {
                Ok(Action {
                    at: time(row.get(0)?),
                    server: row.get::<_, Option<String>>(1)?.map(ServerKey),
                    action: row.get(2)?,
                    by: row.get(3)?,
                    outcome: row.get(4)?,
                    seconds: row.get(5)?,
                    detail: row.get(6)?,
                })
            })?;
            rows.collect()
        })
    }
}
