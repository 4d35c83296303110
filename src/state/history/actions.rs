//! What ecobox did to servers, and who asked for it. Nothing of this is ever deleted.
//!
//! An action on a server's power takes minutes. It is begun here before anything is sent, and ended when it is known what
//! came of it, so that others see it while it is in flight. A process that is killed ends nothing: after the deadline its
//! action has no outcome that anybody knows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::model::inventory::server::ServerKey;
use crate::model::lease::Process;
use crate::model::power::outcome::{ActionOutcome, InFlight};
use crate::state::history::sightings;
use crate::state::{Result, State, time};

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
    /// How it ended; `in flight`, or `unknown outcome` if none was recorded before its deadline.
    pub(crate) outcome: String,
    /// How long it took.
    pub(crate) seconds: Option<f64>,
    pub(crate) detail: Option<String>,
}

/// An action that is about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewAction {
    pub(crate) server: ServerKey,
    /// What was asked for, in the words of the command line, e.g. `shutdown`.
    pub(crate) action: String,
    /// The user, and how: a terminal, cron.
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    /// When it will have ended, one way or another.
    pub(crate) until: Timestamp,
    /// Who says how it ended; `None`: not known.
    pub(crate) process: Option<Process>,
}

/// An action that was begun. Ids are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ActionId(i64);

/// The outcomes of actions that were begun and not ended.
const IN_FLIGHT: &str = "in flight";
const UNKNOWN: &str = "unknown outcome";

impl State {
    /// Remembers that an action begins: before anything is sent.
    pub(crate) fn begin_action(&self, action: &NewAction) -> Result<ActionId> {
        let NewAction { server, action, by, at, until, process } = action;
        self.write(|conn| {
            let sql = "INSERT INTO actions (at, server, action, asked_by, outcome) VALUES (?1, ?2, ?3, ?4, '')";
            conn.prepare_cached(sql)?.execute(params![at.as_millisecond(), server.0, action, by])?;
            let id = conn.last_insert_rowid();
            let sql = "INSERT INTO in_flight (action, until, pid, started, boot) VALUES (?1, ?2, ?3, ?4, ?5)";
            let process = process.as_ref().map(|Process { pid, started, boot }| (pid, started, boot));
            conn.prepare_cached(sql)?.execute(params![
                id,
                until.as_millisecond(),
                process.map(|(pid, ..)| pid),
                process.map(|(_, started, _)| started),
                process.map(|(.., boot)| boot),
            ])?;
            sightings::begin(conn, server, *at)?;
            Ok(ActionId(id))
        })
    }

    /// Remembers how an action ended and how long it took. What was said first stays: whoever is interrupted says so,
    /// and may go on for a moment.
    pub(crate) fn end_action(
        &self,
        id: ActionId,
        outcome: ActionOutcome,
        seconds: f64,
        detail: Option<&str>,
    ) -> Result<()> {
        self.write(|conn| {
            let sql = "UPDATE actions SET outcome = ?2, seconds = ?3, detail = ?4 WHERE id = ?1 AND outcome = ''";
            conn.prepare_cached(sql)?.execute(params![id.0, outcome.as_str(), seconds, detail])?;
            conn.prepare_cached("DELETE FROM in_flight WHERE action = ?1")?.execute([id.0]).map(drop)
        })
    }

    /// The action in flight of each server that has one; of two the one that was begun last. One whose deadline is over
    /// was left behind, and one that begins in the future is of a clock that was wrong.
    pub(crate) fn actions_in_flight(&self, now: Timestamp) -> Result<BTreeMap<ServerKey, InFlight>> {
        self.read(|conn| {
            let sql = "SELECT server, actions.action, at, until, asked_by
                FROM in_flight CROSS JOIN actions ON actions.id = in_flight.action
                WHERE at <= ?1 AND until > ?1 AND server IS NOT NULL ORDER BY actions.id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([now.as_millisecond()], |row| {
                let (since, until) = (time(row.get(2)?), time(row.get(3)?));
                Ok((ServerKey(row.get(0)?), InFlight { action: row.get(1)?, since, until, by: row.get(4)? }))
            })?;
            rows.collect()
        })
    }

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

    /// What was done from `since` on, as it stands `now`, the oldest first.
    pub(crate) fn actions(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Action>> {
        self.read(|conn| {
            let sql = "SELECT at, server, action, asked_by,
                    CASE WHEN outcome <> '' THEN outcome
                        WHEN at <= ?2 AND (SELECT until FROM in_flight WHERE action = actions.id) > ?2 THEN ?3
                        ELSE ?4 END,
                    seconds, detail
                FROM actions WHERE at >= ?1 ORDER BY at, id";
            let mut statement = conn.prepare_cached(sql)?;
            let values = params![since.as_millisecond(), now.as_millisecond(), IN_FLIGHT, UNKNOWN];
            let rows = statement.query_map(values, |row| {
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
