//! Answers of other programs that are slow to ask again, each with the stamp of what it depends on.

use rusqlite::{OptionalExtension, params};

use crate::state::{Result, State};

impl State {
    /// What `ssh -G` said of `alias` while its configuration had this `stamp`.
    pub(crate) fn ssh_answer(&self, alias: &str, stamp: &str) -> Result<Option<String>> {
        self.read(|conn| {
            let sql = "SELECT answer FROM ssh_answers WHERE alias = ?1 AND stamp = ?2";
            conn.prepare_cached(sql)?.query_row([alias, stamp], |row| row.get(0)).optional()
        })
    }

    /// Keeps what `ssh -G` said; what it said with another stamp is forgotten.
    pub(crate) fn put_ssh_answer(&self, alias: &str, stamp: &str, answer: &str) -> Result<()> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO ssh_answers (alias, stamp, answer) VALUES (?1, ?2, ?3)";
            conn.prepare_cached(sql)?.execute(params![alias, stamp, answer]).map(drop)
        })
    }
}
