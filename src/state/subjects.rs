//! Whom rows are about: the row of a cluster, and the kind of a guest.

use rusqlite::{Connection, OptionalExtension};

use crate::model::id::{ClusterId, GuestKind};

/// The row of a cluster, made if need be.
pub(super) fn cluster_row(conn: &Connection, cluster: &ClusterId) -> rusqlite::Result<i64> {
    let mut select = conn.prepare_cached("SELECT id FROM clusters WHERE name = ?1")?;
    if let Some(id) = select.query_row([cluster.as_str()], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.execute("INSERT INTO clusters (name) VALUES (?1)", [cluster.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// The kind of guest that is stored as `text`.
pub(super) fn kind(text: &str) -> Option<GuestKind> {
    [GuestKind::Qemu, GuestKind::Lxc].into_iter().find(|kind| kind.as_str() == text)
}
