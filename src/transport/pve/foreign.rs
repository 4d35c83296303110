//! What this room reads of what Proxmox VE sends, for those who try any bytes on it.

use reqwest::StatusCode;
use serde::Deserialize;

use super::answers::{AgentInterfaces, ContainerInterfaces, Nodes, PermissionMap, Version};
use super::filesystems::{FilesystemAnswer, is_not_offered};
use super::guest::{ConfigAnswer, LogAnswer, MemberRow, NodeConfig, StatusAnswer, TaskAnswer, TaskRow};
use super::guest_size::{BalloonAnswer, NodeStatus, SizeAnswer};
use super::lenient::{Entries, Entry};
use super::migrate::{PreconditionAnswer, RuleRow, StatusRow};
use super::rrd::{self, Sample, Timeframe};
use super::snapshot::SnapshotRow;
use super::upkeep::{BackupRow, JobRow, StorageRow, UserAnswer};
use super::{certificate, failure, listing, repair_json, snapshot};
use crate::model::foreign::Reader;
use crate::model::id::GuestKind;
use crate::model::migrate::ha::HaStatus;
use crate::model::migrate::progress;

/// Each reader with its name.
pub(crate) const READERS: &[Reader] = &[
    ("listing", |bytes| drop(listing::listing(bytes, "pve1"))),
    ("version", |bytes| {
        let _ = read::<Entry<Version>>(bytes).and_then(|Entry(version)| version?.major());
    }),
    ("nodes", |bytes| drop(read::<Nodes>(bytes))),
    ("permissions", |bytes| drop(read::<Entry<PermissionMap>>(bytes))),
    ("agent-interfaces", |bytes| drop(read::<Entry<AgentInterfaces>>(bytes))),
    ("container-interfaces", |bytes| drop(read::<ContainerInterfaces>(bytes))),
    ("filesystems", |bytes| drop(read::<Entry<FilesystemAnswer>>(bytes))),
    ("rrd", |bytes| {
        if let Some(entries) = read::<Entries<Sample>>(bytes) {
            let answer = rrd::answer(entries, Timeframe::Day, Some(GuestKind::Qemu));
            drop((answer.step(), rrd::merge(&answer, &answer)));
        }
    }),
    ("task", |bytes| drop(read::<Entry<TaskAnswer>>(bytes).and_then(|Entry(task)| task?.state()))),
    ("tasks", |bytes| drop(read::<Entries<TaskRow>>(bytes))),
    ("storages", |bytes| {
        let rows = read::<Entries<StorageRow>>(bytes).unwrap_or_default();
        drop(rows.list.into_iter().map(StorageRow::storage).collect::<Vec<_>>());
    }),
    ("user", |bytes| {
        let _ = read::<Entry<UserAnswer>>(bytes).and_then(|Entry(user)| user?.term("ecobox"));
    }),
    ("backup-jobs", |bytes| drop(read::<Entries<JobRow>>(bytes))),
    ("backup-tasks", |bytes| {
        let rows = read::<Entries<BackupRow>>(bytes).unwrap_or_default();
        drop(rows.list.into_iter().map(BackupRow::task).collect::<Vec<_>>());
    }),
    ("task-log", |bytes| drop(LogAnswer::parse(bytes))),
    ("guest-status", |bytes| drop(read::<Entry<StatusAnswer>>(bytes).and_then(|Entry(status)| Some(status?.status())))),
    ("guest-config", |bytes| {
        for kind in [GuestKind::Qemu, GuestKind::Lxc] {
            drop(read::<Entry<ConfigAnswer>>(bytes).and_then(|Entry(config)| Some(config?.config(kind))));
        }
    }),
    ("snapshots", |bytes| {
        let rows = read::<Entries<SnapshotRow>>(bytes).unwrap_or_default();
        let snapshots = snapshot::snapshots(rows.list);
        let whose = |one| (crate::model::snapshot::of_ecobox(one), crate::model::snapshot::text_of(one).len());
        let whose: Vec<_> = snapshots.list.iter().map(whose).collect();
        let _ = (crate::model::snapshot::tree::tree(&snapshots).len(), whose);
    }),
    ("guest-settings", |bytes| drop(read::<Entry<snapshot::Settings>>(bytes))),
    ("precondition", |bytes| drop(read::<Entry<PreconditionAnswer>>(bytes))),
    ("ha-status", |bytes| {
        let rows = read::<Entries<StatusRow>>(bytes).unwrap_or_default();
        let mut status = HaStatus::default();
        for row in rows.list {
            row.add_to(&mut status);
        }
    }),
    ("ha-rules", |bytes| {
        let rows = read::<Entries<RuleRow>>(bytes).unwrap_or_default();
        drop(rows.list.into_iter().filter_map(RuleRow::strict).collect::<Vec<_>>());
    }),
    ("migration-log", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().collect();
        drop((progress::progress(&lines), progress::summary(&lines), progress::problem(&lines)));
    }),
    ("thin-pools", |bytes| drop(read::<Entries<snapshot::ThinPool>>(bytes))),
    ("storage-setups", |bytes| drop(read::<Entries<snapshot::StorageSetup>>(bytes))),
    ("guest-size", |bytes| drop(read::<Entry<SizeAnswer>>(bytes))),
    ("balloon", |bytes| {
        let _ = read::<Entry<BalloonAnswer>>(bytes).and_then(|Entry(answer)| Some(answer?.balloon()));
    }),
    ("node-status", |bytes| drop(read::<Entry<NodeStatus>>(bytes))),
    ("node-config", |bytes| drop(read::<Entry<NodeConfig>>(bytes))),
    ("members", |bytes| {
        let members = read::<Entries<MemberRow>>(bytes).unwrap_or_default();
        drop(members.list.into_iter().map(MemberRow::node).collect::<Vec<_>>());
    }),
    ("error", |bytes| {
        let reason = failure::reason(StatusCode::INTERNAL_SERVER_ERROR, None, bytes);
        let _ = (failure::is_refusal(StatusCode::INTERNAL_SERVER_ERROR, &reason), is_not_offered(&reason));
        let _ = rrd::is_unrecorded(&reason);
    }),
    ("certificate", |bytes| {
        let pem = String::from_utf8_lossy(bytes);
        drop((certificate::presented_by_file(&pem), certificate::ca_fingerprint(&pem)));
    }),
];

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    repair_json::parse(bytes).ok()
}
