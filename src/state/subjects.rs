//! Whom rows are about: servers as numbers, and the row of a cluster.
//!
//! A subject is a configured server's number in `subjects`, or for a guest its cluster's row and its vmid: `row << 32 | vmid`.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::inventory::server::{ServerKey, Whose};

/// The row of a cluster, made if need be.
pub(super) fn cluster_row(conn: &Connection, cluster: &ClusterId) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM clusters WHERE name = ?1")?;
    if let Some(id) = select.query_row([cluster.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.execute("INSERT INTO clusters (name) VALUES (?1)", [cluster.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// The subjects of those servers that ever had one, each with the server's index, in the order of the tables.
pub(super) fn subjects<'k>(conn: &Connection, servers: &'k [ServerKey]) -> rusqlite::Result<Vec<(i64, usize)>> {
    // The id of a configured server has no `/`.
    let part = |ServerKey(key): &'k ServerKey| match key.rsplit_once('/') {
        None => Some(Part::Server(key)),
        Some((cluster, vmid)) => Some(Part::Guest(cluster, vmid.parse().ok()?)),
    };
    numbered(conn, servers.iter().enumerate().filter_map(|(index, key)| Some((index, part(key)?))))
}

/// Like `subjects`, for servers that are not named by a text.
pub(super) fn subjects_of<'w>(
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

pub(super) fn known_cluster(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM clusters WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

pub(super) fn server_subject(conn: &Connection, server: &ServerId) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM subjects WHERE server = ?1")?;
    if let Some(id) = select.query_row([server.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.execute("INSERT INTO subjects (server) VALUES (?1)", [server.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// The guest that a subject is, within its cluster.
pub(super) fn vmid(subject: i64) -> Option<VmId> {
    VmId::try_from(u32::try_from(subject & 0xffff_ffff).ok()?).ok()
}
