//! What lasts between runs: one SQLite file, and the only home of rusqlite.
//!
//! Every function is synchronous and short: one transaction at most, none held across other work, so that cron's
//! `discover`, a script's `power` and a person's `status` can run at once. There is no clock here: the caller says
//! what time it is. Times are kept as milliseconds since 1970, UTC.
//!
//! Words that are easily confused: a *sample* is what one look measured of one server, an *hour* what is left of its samples;
//! a *check* is what came of one service in one look; an *event* is a change of power that was seen, an *action* what ecobox
//! did, and a *sighting* what an action saw of a guest and a listing may not know yet. What is known *now* stands in
//! `inventory`, what *was* in `history`.
//!
//! - `open`, `access`, `damage`, `read_only`: finding, checking, making, and setting aside the file
//! - `schema`: the tables, and how older files become today's
//! - `tokens`: API tokens, and the intents that keep one from being lost half-made
//! - `certificates`: how each server's TLS certificate is verified
//! - `clusters`: which server belongs to which cluster
//! - `completion_names`: what shells complete targets by
//! - `servers`: facts, last states and intended sleep (`wishes`) of configured servers
//! - `guests`, `record_listing`: what is known of guests, and how a new listing changes it
//! - `identities`: by what a guest is told from another one with its number
//! - `events`: changes of power, moves, service checks, runs
//! - `last_seen`: numbers and services as they were seen the last time
//! - `samples`, `sample_blocks`: how hard each server worked, look by look, and how that stands in the file
//! - `time_table`, `subjects`: how tables of times and servers are read, and servers as numbers
//! - `rollup`, `pending_hours`, `check_hours`: what is left of an hour of samples and of checks
//! - `energy`: how much energy hosts used in each hour
//! - `retention`: what is summed up and deleted in each run, a little at a time
//! - `readings`: the last readings of each host's counters
//! - `prometheus_queue`: what is still to be sent to Prometheus, and who sends
//! - `actions`: what was done to servers, and who asked for it; what is in flight
//! - `sightings`: what actions have seen of guests, which listings may not have heard of yet
//! - `reported_failures`: which failures were reported, for `-q`
//! - `silent_agents`: guest agents that do not answer
//! - `upkeep`, `backups`: storages, ends of tokens and certificates; the last backup of each guest
//! - `alarms`: hosts whose own clock wakes them
//! - `leases`: who needs which servers awake, and who is up only because of that
//! - `program_answers`: answers of other programs that are slow to ask again

pub(crate) mod file;
pub(crate) mod history;
pub(crate) mod inventory;
pub(crate) mod subjects;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

pub(crate) use crate::state::file::error::StateError;
pub(crate) use crate::state::history::events::{Check, CheckRecord, HostCheck, Moves};
pub(crate) use crate::state::inventory::alarms::Alarm;
pub(crate) use crate::state::inventory::backups::BackupLook;
pub(crate) use crate::state::inventory::changes::{Edit, GuestChange, GuestChangeKind, net};
pub(crate) use crate::state::inventory::guests::{KnownGuest, RememberedGuest};
pub(crate) use crate::state::inventory::moved::MovedGuest;

pub(crate) use crate::state::file::inspect::look;
pub(crate) use crate::state::file::open::find;
pub(crate) use crate::state::history::actions::Action;
pub(crate) use crate::state::history::check_hours::CheckHistory;
pub(crate) use crate::state::history::energy::EnergyTotals;
pub(crate) use crate::state::history::retention::Retention;
pub(crate) use crate::state::history::rollup::Hour;
pub(crate) use crate::state::history::samples::{Bodies, Counted, Samples};
pub(crate) use crate::state::history::sightings::Sighting;
pub(crate) use crate::state::inventory::completion_names::Target;
pub(crate) use crate::state::inventory::leases::GoingDown;
pub(crate) use crate::state::inventory::servers::KnownState;
pub(crate) use crate::state::inventory::tokens::{Intent, StoredToken};

pub(crate) use crate::state::history::actions::ActionId;
pub(crate) use crate::state::history::actions::NewAction;

use crate::model::hint::HintId;

type Result<T> = std::result::Result<T, StateError>;

/// The open state file. It may be shared between threads; calls wait for each other.
#[derive(Debug)]
pub(crate) struct State {
    conn: Mutex<Connection>,
    path: PathBuf,
    notice: Option<Notice>,
    /// Bytes of the journal when the file was opened.
    journal_before: u64,
    /// Held as long as the file is open, so that no other process sets it aside meanwhile.
    _folder: Option<File>,
}

/// Something that happened to the state file and that a person must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What happened: a lowercase fragment.
    pub(crate) text: String,
    /// What brings back what was lost.
    pub(crate) hint: HintId,
}

impl State {
    /// Where the file is; symbolic links are resolved.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What opening the file had to do to it, if anything.
    pub(crate) fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// To be called where the process ends: once in many runs, what the disk is slow at is done here.
    pub(crate) fn close(self) {
        let journal = file::access::journal_len(&self.path);
        file::schema::empty_long_journal(&self.lock(), journal, self.journal_before);
        // To finalize dozens of statements one by one would only take time (`tests/bench/run.py start`).
        std::mem::forget(self);
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolls it back, so that the connection stays usable.
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, from one snapshot if `read` asks more than once.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let conn = self.lock();
        if !conn.is_autocommit() {
            return read(&conn).map_err(|source| self.failed(source));
        }
        let snapshot = Transaction::new_unchecked(&conn, TransactionBehavior::Deferred);
        snapshot.and_then(|tx| read(&tx)).map_err(|source| self.failed(source))
    }

    /// Reads all of `work` from one snapshot: what belongs together, and without the locks of each single question.
    pub(crate) fn at_once<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let say = |sql: &str| self.lock().execute_batch(sql).map_err(|source| self.failed(source));
        if !self.lock().is_autocommit() {
            return work();
        }
        say("BEGIN")?;
        let result = work();
        // Nothing was written that could fail.
        let _ = say("COMMIT");
        result
    }

    /// Makes all writes of `work` one: they are there together or not at all, and the file is locked and written once.
    /// Nothing may happen in between that takes time.
    pub(crate) fn together<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let say = |sql: &str| self.lock().execute_batch(sql).map_err(|source| self.failed(source));
        say("BEGIN IMMEDIATE")?;
        match work() {
            Ok(value) => say("COMMIT").map(|()| value),
            Err(error) => {
                // A failure may have ended it already.
                let _ = say("ROLLBACK");
                Err(error)
            }
        }
    }

    /// Writes in one transaction. A power cut may lose the last such writes, never half of one.
    fn write<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let conn = self.lock();
        transact(&conn, write).map_err(|source| self.failed(source))
    }

    /// Like `write`, and it is on the disk when this returns: in the file itself too, so that a copy of the file without
    /// its journal has it.
    fn write_durably<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let conn = self.lock();
        let result = file::schema::make_durable(&conn).and_then(|()| transact(&conn, write));
        let _ = conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        file::schema::make_quick(&conn).and(result).map_err(|source| self.failed(source))
    }

    /// Whether every row makes sense.
    fn read_everything(&self) -> Result<()> {
        self.read(file::schema::read_values)?;
        let ever = Timestamp::MIN;
        self.tokens().and(self.all_intents())?;
        self.trusts().and(self.all_facts())?;
        self.states().and(self.intended_sleep())?;
        self.members().and(self.all_guests())?;
        self.events(ever).and(self.checks(ever))?;
        self.host_checks(ever).and(self.names())?;
        self.check_history(ever, Timestamp::MAX).and(self.read_samples())?;
        self.last_events_before(Timestamp::MAX).and(self.actions(ever, ever))?;
        self.actions_in_flight(ever)?;
        self.readings().and(self.outbox_len())?;
        self.told("")?;
        self.all_backups()?;
        self.leases().and(self.woken())?;
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> StateError {
        let error = StateError::of(&self.path, source);
        if let StateError::Damaged { .. } = error {
            file::damage::suspect(&self.path);
        }
        error
    }
}

/// BEGIN IMMEDIATE: a writer waits for its turn first, so that what it read stays true until it commits.
/// Inside of [`State::together`] it is part of that.
fn transact<T>(conn: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    if !conn.is_autocommit() {
        return work(conn);
    }
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let value = work(&tx)?;
    tx.commit()?;
    Ok(value)
}

/// Whether something learned at `at` is younger than `age` now. A stamp from the future is of a clock that was
/// wrong, and never fresh.
pub(crate) fn is_fresh(at: Timestamp, now: Timestamp, age: SignedDuration) -> bool {
    at <= now && now.duration_since(at) < age
}

/// Two runs at once may store in another order than they looked. What was seen this much before the stored is a
/// late answer and must not overwrite; an even later stamp is of a clock that was wrong, and does not count.
const OUT_OF_ORDER_MILLIS: i64 = 120_000;

fn is_superseded(at: i64, stored: Option<i64>) -> bool {
    stored.is_some_and(|stored| stored > at && stored - at <= OUT_OF_ORDER_MILLIS)
}

/// A stored time. One outside of what jiff can say (damage) reads as 1970, so that it counts as old.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A number of rows or bytes that SQLite counted.
fn counted(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    Ok(usize::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// Facts, trust and readings as JSON. Their types have nothing that JSON cannot say.
fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
