//! The last backup of each guest, as the tasks of its cluster's nodes told it: Proxmox VE forgets tasks.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::model::id::{ClusterId, GuestKind, NodeName, VmId};
use crate::model::upkeep::backup::LastBackup;
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

/// How far the tasks of a node are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupLook {
    pub(crate) node: NodeName,
    /// When they were asked for last.
    pub(crate) at: Timestamp,
    /// Tasks that began then or later are to be read; by the node's clock, as is `since`.
    pub(crate) next: Timestamp,
    /// Of all that began since then it is known what they did; `None`: not asked.
    pub(crate) since: Option<Timestamp>,
}

const COLUMNS: &str = "SELECT vmid, kind, good_at, failed_at, why FROM backups";

impl State {
    /// What is known of the backups of a cluster's guests.
    pub(crate) fn backups(&self, cluster: &ClusterId) -> Result<HashMap<VmId, LastBackup>> {
        self.read(|conn| {
            let sql = format!("{COLUMNS} JOIN clusters ON clusters.id = cluster WHERE name = ?1");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement.query_map([cluster.as_str()], read_backup)?;
            rows.filter_map(rusqlite::Result::transpose).map(|row| row.map(|last| (last.vmid, last))).collect()
        })
    }

    /// Like `backups`, for all clusters: whether the rows make sense.
    pub(in crate::state) fn all_backups(&self) -> Result<Vec<LastBackup>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(COLUMNS)?;
            statement.query_map([], read_backup)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// How far each node's tasks are known.
    pub(crate) fn backup_looks(&self, cluster: &ClusterId) -> Result<Vec<BackupLook>> {
        self.read(|conn| {
            let sql = "SELECT node, at, next, since FROM backup_looks JOIN clusters ON clusters.id = cluster
                WHERE name = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([cluster.as_str()], |row| {
                let Ok(node) = row.get_ref(0)?.as_str()?.parse() else { return Ok(None) };
                let since = row.get::<_, Option<i64>>(3)?.map(time);
                Ok(Some(BackupLook { node, at: time(row.get(1)?), next: time(row.get(2)?), since }))
            })?;
            rows.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// Adds what a look at the tasks of some nodes found, with how far it went.
    pub(crate) fn record_backups(&self, cluster: &ClusterId, found: &[LastBackup], looks: &[BackupLook]) -> Result<()> {
        let known = self.backups(cluster)?;
        self.write(|conn| {
            let cluster = cluster_row(conn, cluster)?;
            let sql = "INSERT OR REPLACE INTO backups (cluster, vmid, kind, good_at, failed_at, why)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut insert = conn.prepare_cached(sql)?;
            for new in found {
                let mut last = known.get(&new.vmid).cloned().unwrap_or_else(|| LastBackup::none(new.vmid));
                last.add(new);
                let LastBackup { vmid, kind, good_at, failed_at, why } = last;
                let (good_at, failed_at) = (millis(good_at), millis(failed_at));
                insert.execute(params![cluster, vmid.get(), kind.map(GuestKind::as_str), good_at, failed_at, why])?;
            }
            let sql =
                "INSERT OR REPLACE INTO backup_looks (cluster, node, at, next, since) VALUES (?1, ?2, ?3, ?4, ?5)";
            let mut insert = conn.prepare_cached(sql)?;
            for BackupLook { node, at, next, since } in looks {
                let (at, next) = (at.as_millisecond(), next.as_millisecond());
                insert.execute(params![cluster, node.as_str(), at, next, millis(*since)])?;
            }
            Ok(())
        })
    }
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

fn read_backup(row: &Row<'_>) -> rusqlite::Result<Option<LastBackup>> {
    let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { return Ok(None) };
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(time));
    let kind = row.get_ref(1)?.as_str_or_null()?.and_then(GuestKind::parse);
    Ok(Some(LastBackup { vmid, kind, good_at: at(2)?, failed_at: at(3)?, why: row.get(4)? }))
}

/// Gives what is known of one cluster's backups to another one, which is the same under its lasting name.
pub(in crate::state) fn move_backups(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<()> {
    for table in ["backups", "backup_looks"] {
        conn.execute(&format!("UPDATE OR IGNORE {table} SET cluster = ?2 WHERE cluster = ?1"), [from, to])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_backups_are_kept_and_follow_their_cluster() {
        let state = State::in_memory().unwrap();
        let (old, new) = (ClusterId::new("host:pve1"), ClusterId::new("ca:abc"));
        let (one, two) = (VmId::try_from(101).unwrap(), VmId::try_from(102).unwrap());
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let good = LastBackup { kind: Some(GuestKind::Lxc), good_at: Some(at(0)), ..LastBackup::none(one) };
        let bad = LastBackup { failed_at: Some(at(9)), why: Some("full".to_owned()), ..LastBackup::none(one) };
        let look = BackupLook { node: "pve1".parse().unwrap(), at: at(10), next: at(9), since: Some(at(-90)) };
        state.record_backups(&old, std::slice::from_ref(&good), &[]).unwrap();
        state.record_backups(&old, &[bad, LastBackup::none(two)], std::slice::from_ref(&look)).unwrap();
        state.record_backups(&new, &[LastBackup { good_at: Some(at(3)), ..LastBackup::none(two) }], &[]).unwrap();
        state.rename_cluster(&old, &new).unwrap();
        let kept = state.backups(&new).unwrap();
        let want = LastBackup { failed_at: Some(at(9)), why: Some("full".to_owned()), ..good };
        assert_eq!((kept.get(&one), kept.get(&two).and_then(|last| last.good_at)), (Some(&want), Some(at(3))));
        assert_eq!(state.backup_looks(&new).unwrap(), [look]);
        assert!(state.backups(&old).unwrap().is_empty());
    }
}
