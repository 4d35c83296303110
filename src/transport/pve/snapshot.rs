//! Snapshots of guests: their lists, what they were taken of, the calls that change them, and the room that they take.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::MapAccess;

use crate::model::guest::GuestConfig;
use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::snapshot::{Snapshot, SnapshotCall, SnapshotState, Snapshots};
use crate::transport::Error;

use super::client::{Answers, Client};
use super::guest::ConfigAnswer;
use super::lenient::{Entry, Record, Rows, Value, skip};
use super::post_once::{Due, Method, Posted};
use super::repair_json;
use super::requests::guest_path;

/// So many settings a configuration may have, and so long may one be.
const MOST_SETTINGS: usize = 1000;
const LONGEST_SETTING: usize = 16 * 1024;

impl Client {
    /// The snapshots of a guest. Needs `VM.Audit`. `is_not_here` tells the error of a guest that is not there.
    pub(crate) async fn snapshots(&self, node: &NodeName, kind: GuestKind, vmid: VmId) -> Result<Snapshots, Error> {
        let Rows(rows) =
            self.get::<Rows<SnapshotRow>>(&guest_path(node, kind, vmid, "snapshot"), Answers::Node).await?;
        Ok(snapshots(rows))
    }

    /// Whether snapshots can be taken of a guest's disks, by their storages and formats; `None`: it does not say. Needs
    /// `VM.Audit`. How full the storages are has no part in it.
    pub(crate) async fn can_snapshot(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<Option<bool>, Error> {
        let path = guest_path(node, kind, vmid, "feature?feature=snapshot");
        let Entry(answer) = self.get::<Entry<FeatureAnswer>>(&path, Answers::Node).await?;
        Ok(answer.and_then(|answer| answer.0))
    }

    /// A guest's configuration: what ecobox understands of it, and all its settings as they stand.
    pub(crate) async fn whole_config(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<(GuestConfig, BTreeMap<String, String>), Error> {
        let path = guest_path(node, kind, vmid, "config");
        let body = self.body(&path, Answers::Node).await?;
        let unreadable = |error: serde_json::Error| self.unreadable(&path, &error);
        let Entry(config) = repair_json::parse::<Entry<ConfigAnswer>>(&body).map_err(unreadable)?;
        let Entry(settings) = repair_json::parse::<Entry<Settings>>(&body).map_err(unreadable)?;
        match (config, settings) {
            (Some(config), Some(Settings(settings))) => Ok((config.config(kind), settings)),
            _ => Err(self.senseless(&path)),
        }
    }

    /// The settings that a guest had when a snapshot was taken.
    pub(crate) async fn snapshot_config(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
        name: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        let path = guest_path(node, kind, vmid, &format!("snapshot/{name}/config"));
        let Entry(settings) = self.get::<Entry<Settings>>(&path, Answers::Node).await?;
        settings.map(|Settings(settings)| settings).ok_or_else(|| self.senseless(&path))
    }

    /// A call that takes, deletes or rolls back. Needs `VM.Snapshot`; see `SnapshotCall::right`.
    pub(crate) async fn change_snapshot(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
        call: &SnapshotCall,
    ) -> Posted {
        let (method, path, parameters) = call.request();
        let method = if method == "DELETE" { Method::Delete } else { Method::Post };
        self.change(method, &guest_path(node, kind, vmid, &path), &parameters, Due::Task).await
    }

    /// How the storages of the cluster are set up. Needs `Datastore.Audit`: those without are left out.
    pub(crate) async fn storage_setups(&self) -> Result<Vec<StorageSetup>, Error> {
        let Rows(rows) = self.get::<Rows<StorageSetup>>("/storage", Answers::Itself).await?;
        Ok(rows)
    }

    /// The thin pools of a node. Needs `Sys.Audit` on `/` and the node.
    pub(crate) async fn thin_pools(&self, node: &NodeName) -> Result<Vec<ThinPool>, Error> {
        let Rows(rows) = self.get::<Rows<ThinPool>>(&format!("/nodes/{node}/disks/lvmthin"), Answers::Node).await?;
        Ok(rows)
    }

    /// The guests of a node that are replicated, each with a target. Needs `VM.Audit` on the guests.
    pub(crate) async fn replications(&self, node: &NodeName) -> Result<Vec<(VmId, String)>, Error> {
        let Rows(rows) = self.get::<Rows<ReplicationRow>>(&format!("/nodes/{node}/replication"), Answers::Node).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.guest?, row.target?))).collect())
    }
}

pub(super) fn snapshots(rows: Vec<SnapshotRow>) -> Snapshots {
    let mut snapshots = Snapshots::default();
    for row in rows {
        let Some(name) = row.name else { continue };
        // The present state is one of the rows.
        if name == "current" {
            snapshots.current = row.parent;
            continue;
        }
        let seconds = row.taken_at.and_then(|seconds| i64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        snapshots.list.push(Snapshot {
            name,
            description: row.description.unwrap_or_default(),
            taken_at: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            with_memory: row.with_memory,
            parent: row.parent,
            state: match row.state.as_deref() {
                None | Some("") => SnapshotState::Whole,
                Some("prepare") => SnapshotState::Prepare,
                Some("delete") => SnapshotState::Delete,
                Some(other) => SnapshotState::Other(other.to_owned()),
            },
        });
    }
    snapshots
}

/// `.../snapshot`
#[derive(Default)]
pub(super) struct SnapshotRow {
    name: Option<String>,
    description: Option<String>,
    taken_at: Option<u64>,
    with_memory: bool,
    parent: Option<String>,
    state: Option<String>,
}

impl<'de> Record<'de> for SnapshotRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value::<Value<'_>>()?.name_string(),
            "description" => {
                self.description =
                    map.next_value::<Value<'_>>()?.text_up_to(LONGEST_SETTING).map(std::borrow::Cow::into_owned);
            }
            "snaptime" => self.taken_at = map.next_value::<Value<'_>>()?.seconds(),
            "vmstate" => self.with_memory = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "parent" => self.parent = map.next_value::<Value<'_>>()?.name_string(),
            "snapstate" => self.state = map.next_value::<Value<'_>>()?.name_string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `.../feature`
#[derive(Default)]
pub(super) struct FeatureAnswer(Option<bool>);

impl<'de> Record<'de> for FeatureAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "hasFeature" => self.0 = map.next_value::<Value<'_>>()?.flag(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// Settings with their values as text.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<String, String>);

impl<'de> Record<'de> for Settings {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Value<'_>>()?.text_up_to(LONGEST_SETTING);
        if let Some(value) = value.filter(|_| self.0.len() < MOST_SETTINGS) {
            self.0.insert(key.to_owned(), value.into_owned());
        }
        Ok(())
    }
}

/// A row of `/storage`: what its configuration says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct StorageSetup {
    pub(crate) name: String,
    pub(crate) plugin: String,
    /// Of a thin pool: its volume group and its name there.
    pub(crate) volume_group: Option<String>,
    pub(crate) thin_pool: Option<String>,
    /// `snapshot-as-volume-chain`
    pub(crate) chains: bool,
}

impl<'de> Record<'de> for StorageSetup {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "storage" => self.name = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "type" => self.plugin = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "vgname" => self.volume_group = map.next_value::<Value<'_>>()?.name_string(),
            "thinpool" => self.thin_pool = map.next_value::<Value<'_>>()?.name_string(),
            "snapshot-as-volume-chain" => self.chains = map.next_value::<Value<'_>>()?.flag() == Some(true),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A row of `/nodes/{node}/disks/lvmthin`
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ThinPool {
    pub(crate) name: String,
    /// Older versions do not say it.
    pub(crate) volume_group: Option<String>,
    pub(crate) metadata_size: Option<u64>,
    pub(crate) metadata_used: Option<u64>,
}

impl<'de> Record<'de> for ThinPool {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "lv" => self.name = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "vg" => self.volume_group = map.next_value::<Value<'_>>()?.name_string(),
            "metadata_size" => self.metadata_size = map.next_value::<Value<'_>>()?.bytes(),
            "metadata_used" => self.metadata_used = map.next_value::<Value<'_>>()?.bytes(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A row of `/nodes/{node}/replication`
#[derive(Default)]
pub(super) struct ReplicationRow {
    guest: Option<VmId>,
    target: Option<String>,
}

impl<'de> Record<'de> for ReplicationRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "guest" => self.guest = map.next_value::<Value<'_>>()?.exact().and_then(|id| VmId::try_from(id).ok()),
            "target" => self.target = map.next_value::<Value<'_>>()?.name_string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}
