//! Migration: what Proxmox VE says beforehand, the call, and what HA says of one that it was asked for.

use serde::de::MapAccess;

use crate::model::id::{GuestKind, NodeName, Upid, VmId};
use crate::model::migrate::ha::{HaService, HaStatus, StrictNodes};
use crate::model::migrate::{LocalDisk, MigrateCall, NodeCpu, NotAllowed, Precondition};
use crate::transport::Error;

use super::client::{Answers, Client};
use super::guest::TaskRow;
use super::lenient::{Entries, Entry, Record, Rows, Texts, Value, skip};
use super::post_once::{Due, Posted};
use super::requests::guest_path;

impl Client {
    /// What speaks against moving a guest, by its own node; `None`: it does not say, as before version 9 of containers.
    /// Needs `VM.Migrate` on the guest.
    pub(crate) async fn migrate_precondition(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<Option<Precondition>, Error> {
        let path = guest_path(node, kind, vmid, "migrate");
        match self.get::<Entry<PreconditionAnswer>>(&path, Answers::Node).await {
            Ok(Entry(answer)) => answer.map(|answer| Some(answer.0)).ok_or_else(|| self.senseless(&path)),
            Err(Error::Api { status: 501, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Migrates a guest. Needs `VM.Migrate` on it; to other storages also `VM.Config.Disk`, and `Datastore.AllocateSpace`
    /// on those.
    pub(crate) async fn migrate(&self, node: &NodeName, kind: GuestKind, vmid: VmId, call: &MigrateCall) -> Posted {
        let path = guest_path(node, kind, vmid, "migrate");
        self.post(&path, &call.parameters(kind), Due::Task).await
    }

    /// What HA says, with the quorum of the node that answers. Needs `Sys.Audit` on `/`.
    pub(crate) async fn ha_status(&self) -> Result<HaStatus, Error> {
        let Rows(rows) = self.get::<Rows<StatusRow>>("/cluster/ha/status/current", Answers::Itself).await?;
        let mut status = HaStatus::default();
        for row in rows {
            row.add_to(&mut status);
        }
        Ok(status)
    }

    /// Which nodes strict rules of HA leave to which guests: rules since version 9, restricted groups before. Needs
    /// `Sys.Audit` on `/`.
    pub(crate) async fn ha_strict_nodes(&self) -> Result<Vec<StrictNodes>, Error> {
        match self.get::<Rows<RuleRow>>("/cluster/ha/rules", Answers::Itself).await {
            Ok(Rows(rows)) => Ok(rows.into_iter().filter_map(RuleRow::strict).collect()),
            Err(Error::Api { status: 501, .. }) => {
                let Rows(groups) = self.get::<Rows<RuleRow>>("/cluster/ha/groups", Answers::Itself).await?;
                let Rows(resources) = self.get::<Rows<RuleRow>>("/cluster/ha/resources", Answers::Itself).await?;
                Ok(groups.into_iter().filter_map(|group| group.restricted(&resources)).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// The newest task of one of these types for a guest, whoever started it, `since` then by the node's clock: HA's are
    /// `root@pam`'s. Needs `Sys.Audit` on the node.
    pub(crate) async fn find_task_of_anybody(
        &self,
        node: &NodeName,
        vmid: VmId,
        types: &[&str],
        since: jiff::Timestamp,
    ) -> Result<Option<Upid>, Error> {
        let since = since.as_second().max(0);
        let path = format!("/nodes/{node}/tasks?source=all&vmid={vmid}&since={since}");
        let Rows(rows) = self.get::<Rows<TaskRow>>(&path, Answers::Node).await?;
        let meant = |upid: &Upid| {
            upid.id() == vmid.to_string()
                && upid.kind() != "hamigrate"
                && types.contains(&upid.kind())
                && upid.started().as_second() >= since
        };
        Ok(rows.into_iter().filter_map(|row| row.upid).filter(meant).max_by_key(Upid::age))
    }

    /// Which guests are replicated where. Those without `VM.Audit` are left out.
    pub(crate) async fn replication(&self) -> Result<Vec<(VmId, NodeName)>, Error> {
        let Rows(rows) = self.get::<Rows<ReplicationRow>>("/cluster/replication", Answers::Itself).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.guest?, row.target?))).collect())
    }

    /// The processors of a node; `None`: it does not say. Needs `Sys.Audit` on the node.
    pub(crate) async fn node_cpu(&self, node: &NodeName) -> Result<Option<NodeCpu>, Error> {
        let path = format!("/nodes/{node}/status");
        let Entry(answer) = self.get::<Entry<NodeAnswer>>(&path, Answers::Node).await?;
        Ok(answer.and_then(|answer| answer.0).filter(|cpu| !cpu.model.is_empty()))
    }
}

/// `GET .../migrate`, with `_` in the names of virtual machines and `-` in those of containers.
#[derive(Default)]
pub(super) struct PreconditionAnswer(pub(super) Precondition);

impl<'de> Record<'de> for PreconditionAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key.replace('-', "_").as_str() {
            "not_allowed_nodes" => {
                let Entry(nodes) = map.next_value::<Entry<NotAllowedNodes>>()?;
                self.0.not_allowed = nodes.unwrap_or_default().0;
            }
            "local_disks" => {
                let disks = map.next_value::<Entries<DiskRow>>()?;
                self.0.local_disks = disks.list.into_iter().map(|row| row.0).collect();
            }
            "local_resources" => self.0.local_resources = map.next_value::<Texts>()?.0,
            "dependent_ha_resources" => self.0.dependent = map.next_value::<Texts>()?.0,
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct NotAllowedNodes(std::collections::BTreeMap<NodeName, NotAllowed>);

impl<'de> Record<'de> for NotAllowedNodes {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let Entry(why) = map.next_value::<Entry<NotAllowedAnswer>>()?;
        if let (Ok(node), Some(why)) = (key.parse(), why) {
            self.0.insert(node, why.0);
        }
        Ok(())
    }
}

#[derive(Default)]
struct NotAllowedAnswer(NotAllowed);

impl<'de> Record<'de> for NotAllowedAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key.replace('-', "_").as_str() {
            "unavailable_storages" => self.0.storages = map.next_value::<Texts>()?.0,
            "unavailable_resources" => self.0.resources = map.next_value::<Texts>()?.0,
            "blocking_ha_resources" => {
                let blocking = map.next_value::<Entries<Blocking>>()?;
                self.0.ha = blocking.list.into_iter().map(|Blocking { sid, cause }| (sid, cause)).collect();
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Blocking {
    sid: String,
    cause: String,
}

impl<'de> Record<'de> for Blocking {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "sid" => self.sid = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "cause" => self.cause = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct DiskRow(LocalDisk);

impl<'de> Record<'de> for DiskRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "volid" => self.0.volid = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "drivename" => self.0.drive = map.next_value::<Value<'_>>()?.name_string(),
            "size" => self.0.size = map.next_value::<Value<'_>>()?.bytes(),
            "cdrom" => self.0.is_cdrom = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "is_cloudinit" => self.0.is_cloudinit = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "referenced_in_snapshot" => {
                let Entry(names) = map.next_value::<Entry<Names>>()?;
                self.0.snapshots = names.unwrap_or_default().0;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The keys of an object.
#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Record<'de> for Names {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.0.extend(Value::Text(key.to_owned().into()).name_string());
        skip(map)
    }
}

/// A row of `/cluster/ha/status/current`.
#[derive(Default)]
pub(super) struct StatusRow {
    kind: Option<String>,
    quorate: Option<bool>,
    node: Option<NodeName>,
    sid: Option<String>,
    state: Option<String>,
    crm_state: Option<String>,
    status: Option<String>,
}

impl<'de> Record<'de> for StatusRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value::<Value<'_>>()?.name_string(),
            "quorate" => self.quorate = map.next_value::<Value<'_>>()?.flag(),
            "node" => self.node = map.next_value::<Value<'_>>()?.text().and_then(|name| name.parse().ok()),
            "sid" => self.sid = map.next_value::<Value<'_>>()?.name_string(),
            "state" => self.state = map.next_value::<Value<'_>>()?.name_string(),
            "crm_state" => self.crm_state = map.next_value::<Value<'_>>()?.name_string(),
            "status" => self.status = map.next_value::<Value<'_>>()?.line(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl StatusRow {
    pub(super) fn add_to(self, status: &mut HaStatus) {
        let StatusRow { kind, quorate, node, sid, state, crm_state, status: words } = self;
        match kind.as_deref() {
            Some("quorum") => status.quorate = quorate,
            Some("master") => status.master = node,
            // `pve1 (maintenance mode, watchdog active, Sun Nov 29 15:44:31 2026)`: nothing else says so.
            Some("lrm") if words.is_some_and(|words| words.contains("(maintenance mode")) => {
                status.maintenance.extend(node);
            }
            Some("service") => {
                if let Some(sid) = sid {
                    status.services.push(HaService { sid, node, state: crm_state.or(state).unwrap_or_default() });
                }
            }
            _ => {}
        }
    }
}

/// A row of `/cluster/ha/rules`, and of the groups and resources before them.
#[derive(Default)]
pub(super) struct RuleRow {
    kind: Option<String>,
    resources: Option<String>,
    nodes: Option<String>,
    strict: bool,
    disabled: bool,
    /// Of groups.
    group: Option<String>,
    restricted: bool,
    sid: Option<String>,
}

impl<'de> Record<'de> for RuleRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value::<Value<'_>>()?.name_string(),
            "resources" => self.resources = map.next_value::<Value<'_>>()?.string(),
            "nodes" => self.nodes = map.next_value::<Value<'_>>()?.string(),
            "strict" => self.strict = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "disable" => self.disabled = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "group" => self.group = map.next_value::<Value<'_>>()?.name_string(),
            "restricted" => self.restricted = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "sid" => self.sid = map.next_value::<Value<'_>>()?.name_string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl RuleRow {
    /// What a rule leaves, if it is a strict one.
    pub(super) fn strict(self) -> Option<StrictNodes> {
        let counts = self.kind.as_deref() == Some("node-affinity") && self.strict && !self.disabled;
        let guests = self.resources.filter(|_| counts)?.split(',').map(|guest| guest.trim().to_owned()).collect();
        Some(StrictNodes { guests, nodes: nodes_of(self.nodes.as_deref()) })
    }

    /// What a group leaves to its members.
    fn restricted(self, resources: &[RuleRow]) -> Option<StrictNodes> {
        let group = self.group.filter(|_| self.restricted)?;
        let members = resources.iter().filter(|resource| resource.group.as_ref() == Some(&group));
        let guests = members.filter_map(|resource| resource.sid.clone()).collect();
        Some(StrictNodes { guests, nodes: nodes_of(self.nodes.as_deref()) })
    }
}

/// `pve1:2,pve2`: nodes, some with a priority.
fn nodes_of(text: Option<&str>) -> Vec<NodeName> {
    let names = text.unwrap_or_default().split(',').filter_map(|part| part.split(':').next());
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

/// A row of `/cluster/replication`.
#[derive(Default)]
struct ReplicationRow {
    guest: Option<VmId>,
    target: Option<NodeName>,
}

impl<'de> Record<'de> for ReplicationRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "guest" => {
                self.guest = map.next_value::<Value<'_>>()?.exact().and_then(|number| VmId::try_from(number).ok());
            }
            "target" => self.target = map.next_value::<Value<'_>>()?.text().and_then(|name| name.parse().ok()),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `/nodes/{node}/status`
#[derive(Default)]
struct NodeAnswer(Option<NodeCpu>);

impl<'de> Record<'de> for NodeAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "cpuinfo" {
            self.0 = map.next_value::<Entry<CpuAnswer>>()?.0.map(|answer| answer.0);
            return Ok(());
        }
        skip(map)
    }
}

#[derive(Default)]
struct CpuAnswer(NodeCpu);

impl<'de> Record<'de> for CpuAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "model" => self.0.model = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "flags" => {
                let flags = map.next_value::<Value<'_>>()?.text_up_to(MOST_FLAGS).unwrap_or_default();
                self.0.flags = flags.split_whitespace().map(str::to_owned).collect();
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// So long may be what processors can do, in bytes: today's have some 2,000.
const MOST_FLAGS: usize = 16_384;

#[cfg(test)]
mod tests;
