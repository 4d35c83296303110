//! A guest's status and configuration, tasks and their logs, members: the answers that power needs.

mod node_config;
mod volumes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::de::MapAccess;

use crate::model::guest::{GuestConfig, GuestIdentity, GuestStatus, MemberNode, Startup, TaskEnd, TaskState};
use crate::model::id::{GuestKind, Upid, VmId};
use crate::model::power::PowerState;

pub(super) use self::node_config::NodeConfig;
use self::volumes::volume;
use super::lenient::{Entries, Entry, Record, Value, flag, mac, skip};
use super::repair_json;

/// `.../tasks/{upid}/status`
#[derive(Default)]
pub(super) struct TaskAnswer {
    status: Option<String>,
    exit_status: Option<String>,
}

impl<'de> Record<'de> for TaskAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "status" => self.status = map.next_value::<Value<'_>>()?.name_string(),
            "exitstatus" => self.exit_status = map.next_value::<Value<'_>>()?.line(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl TaskAnswer {
    /// `None` where it says neither that the task runs nor that it ended.
    pub(super) fn state(self) -> Option<TaskState> {
        match (self.status.as_deref(), self.exit_status) {
            (Some("running"), _) => Some(TaskState::Running),
            (_, Some(exit)) => Some(TaskState::Ended(TaskEnd::of_exit_status(&exit))),
            (Some("stopped"), None) => Some(TaskState::Ended(TaskEnd::of_exit_status(""))),
            _ => None,
        }
    }
}

/// A row of a list of tasks. Its id says all but whether the task runs.
#[derive(Default)]
pub(super) struct TaskRow {
    /// `None` where it is missing or none.
    pub(super) upid: Option<Upid>,
    pub(super) ended: bool,
}

impl<'de> Record<'de> for TaskRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "upid" => self.upid = map.next_value::<Value<'_>>()?.text().and_then(|text| text.parse().ok()),
            "endtime" => self.ended |= map.next_value::<Value<'_>>()?.seconds().is_some_and(|end| end > 0),
            // The exit text of a task that ended.
            "status" => {
                let status = map.next_value::<Value<'_>>()?.text();
                self.ended |= status.is_some_and(|status| !status.eq_ignore_ascii_case("running"));
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `.../tasks/{upid}/log`
#[derive(Default)]
pub(super) struct LogAnswer {
    pub(super) lines: Vec<String>,
    /// How many lines there are in all.
    pub(super) total: Option<usize>,
}

#[derive(Default)]
struct LogLine(String);

impl<'de> Record<'de> for LogLine {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "t" {
            self.0 = map.next_value::<Value<'_>>()?.line().unwrap_or_default();
            return Ok(());
        }
        skip(map)
    }
}

/// What stands beside `data`.
#[derive(Default)]
struct Total(Option<u32>);

impl<'de> Record<'de> for Total {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "total" {
            self.0 = map.next_value::<Value<'_>>()?.exact();
            return Ok(());
        }
        skip(map)
    }
}

impl LogAnswer {
    pub(super) fn parse(body: &[u8]) -> Result<LogAnswer, serde_json::Error> {
        let rows: Entries<LogLine> = repair_json::parse(body)?;
        let total = serde_json::from_str::<Entry<Total>>(&String::from_utf8_lossy(body)).ok();
        let total = total.and_then(|Entry(total)| total?.0).and_then(|total| usize::try_from(total).ok());
        Ok(LogAnswer { lines: rows.list.into_iter().map(|LogLine(line)| line).collect(), total })
    }
}

/// `.../status/current`, and a row of the list of all guests of one kind on a node
#[derive(Default)]
pub(super) struct StatusAnswer {
    /// Which guest it is, where it is one of a list.
    pub(super) vmid: Option<VmId>,
    status: Option<String>,
    qmp_status: Option<String>,
    lock: Option<String>,
    ha: Ha,
    agent: bool,
    template: bool,
    name: Option<String>,
    uptime: Option<u64>,
}

#[derive(Default)]
struct Ha {
    managed: bool,
    state: Option<String>,
}

impl<'de> Record<'de> for Ha {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "managed" => self.managed = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "state" => self.state = map.next_value::<Value<'_>>()?.name_string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for StatusAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "vmid" => {
                self.vmid = map.next_value::<Value<'_>>()?.exact().and_then(|number| VmId::try_from(number).ok());
            }
            "status" => self.status = map.next_value::<Value<'_>>()?.name_string(),
            "qmpstatus" => self.qmp_status = map.next_value::<Value<'_>>()?.name_string(),
            "lock" => self.lock = map.next_value::<Value<'_>>()?.name_string(),
            "ha" => self.ha = map.next_value::<Entry<Ha>>()?.0.unwrap_or_default(),
            "agent" => self.agent = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "template" => self.template = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "name" => self.name = map.next_value::<Value<'_>>()?.name_string(),
            "uptime" => self.uptime = map.next_value::<Value<'_>>()?.seconds(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl StatusAnswer {
    pub(super) fn status(self) -> GuestStatus {
        let status = self.status.unwrap_or_default();
        let (qmp_status, lock) = (self.qmp_status.as_deref(), self.lock.as_deref());
        // Who answered is the guest's own node, which is online.
        let state = PowerState::of_guest(&status, qmp_status, lock, true);
        GuestStatus {
            state,
            raw: self.qmp_status.unwrap_or(status),
            lock: self.lock,
            // The HA manager leaves an ignored one alone.
            ha_managed: self.ha.managed && self.ha.state.as_deref() != Some("ignored"),
            ha_state: self.ha.state,
            agent: self.agent,
            template: self.template,
            name: self.name,
            uptime_seconds: self.uptime,
        }
    }
}

/// `.../config`
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the configuration's own switches")]
pub(super) struct ConfigAnswer {
    name: Option<String>,
    hostname: Option<String>,
    smbios1: Option<String>,
    rootfs: Option<String>,
    startup: Option<String>,
    agent: bool,
    onboot: bool,
    protection: bool,
    template: bool,
    passthrough: bool,
    freeze: bool,
    lock: Option<String>,
    meta: Option<String>,
    cpu: Option<String>,
    /// `mp0` and so on.
    mounts: BTreeMap<u32, String>,
    /// `net0` and so on, by number.
    interfaces: BTreeMap<u32, String>,
}

impl<'de> Record<'de> for ConfigAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let numbered = |word: &str| key.strip_prefix(word).and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = numbered("net") {
            if let Some(text) = map.next_value::<Value<'_>>()?.string() {
                self.interfaces.insert(number, text);
            }
            return Ok(());
        }
        if let Some(number) = numbered("mp") {
            if let Some(text) = map.next_value::<Value<'_>>()?.string() {
                self.mounts.insert(number, text);
            }
            return Ok(());
        }
        if numbered("hostpci").is_some() {
            self.passthrough |= map.next_value::<Value<'_>>()?.text().is_some();
            return Ok(());
        }
        match key {
            "name" => self.name = map.next_value::<Value<'_>>()?.name_string(),
            "hostname" => self.hostname = map.next_value::<Value<'_>>()?.name_string(),
            "smbios1" => self.smbios1 = map.next_value::<Value<'_>>()?.string(),
            "rootfs" => self.rootfs = map.next_value::<Value<'_>>()?.string(),
            "startup" => self.startup = map.next_value::<Value<'_>>()?.string(),
            "agent" => self.agent = agent(map.next_value::<Value<'_>>()?),
            "onboot" => self.onboot = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "protection" => self.protection = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "template" => self.template = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "freeze" => self.freeze = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "lock" => self.lock = map.next_value::<Value<'_>>()?.name_string(),
            "meta" => self.meta = map.next_value::<Value<'_>>()?.string(),
            "cpu" => self.cpu = map.next_value::<Value<'_>>()?.string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl ConfigAnswer {
    pub(super) fn config(self, kind: GuestKind) -> GuestConfig {
        let identity = match kind {
            GuestKind::Qemu => {
                let uuid = self.smbios1.as_deref().and_then(|text| property(text, "uuid"));
                GuestIdentity::of_vm(uuid, self.interfaces.get(&0).and_then(|text| mac_of(text)).as_deref())
            }
            GuestKind::Lxc => {
                let net0 = self.interfaces.get(&0).and_then(|text| property(text, "hwaddr"));
                GuestIdentity::of_container(net0, self.rootfs.as_deref().and_then(|text| first(text, "volume")))
            }
        };
        let is_vm = kind == GuestKind::Qemu;
        let root = self.rootfs.iter().map(|text| volume("rootfs".to_owned(), text));
        let mounts = self.mounts.iter().map(|(number, text)| volume(format!("mp{number}"), text));
        let volumes = if is_vm { Vec::new() } else { root.chain(mounts).collect() };
        GuestConfig {
            cpu: self.cpu.filter(|_| is_vm).and_then(|text| first(&text, "cputype").map(str::to_owned)),
            volumes,
            identity,
            name: if kind == GuestKind::Qemu { self.name } else { self.hostname },
            startup: self.startup.as_deref().map(Startup::parse).unwrap_or_default(),
            agent: self.agent && kind == GuestKind::Qemu,
            onboot: self.onboot,
            protection: self.protection,
            template: self.template,
            passthrough: self.passthrough,
            freeze: self.freeze && kind == GuestKind::Qemu,
            macs: self.interfaces.values().filter_map(|text| mac_of(text)).collect(),
            lock: self.lock,
            made_at: self.meta.as_deref().and_then(made_at),
        }
    }
}

/// `ctime` of `creation-qemu=10.0.2,ctime=1795381239`
pub(super) fn made_at(meta: &str) -> Option<Timestamp> {
    Timestamp::from_second(property(meta, "ctime")?.parse().ok()?).ok()
}

/// Whether the guest agent is enabled: `1`, `enabled=1,fstrim_cloned_disks=1`, or a number.
fn agent(value: Value<'_>) -> bool {
    match value {
        Value::Text(text) => first(&text, "enabled").is_some_and(|enabled| flag(enabled) == Some(true)),
        other => other.flag() == Some(true),
    }
}

/// The value of a key in a property string such as `a=1,b=2` (pve-common, `parse_property_string`).
fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// Like `property`, for a key whose name may be left out.
pub(super) fn first<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let bare = text.split(',').map(str::trim).find(|part| !part.contains('=') && !part.is_empty());
    property(text, key).or(bare)
}

/// The address in `virtio=BC:24:11:00:01:01,bridge=vmbr0` or `name=eth0,hwaddr=BC:24:11:00:02:01`, lower case.
fn mac_of(text: &str) -> Option<String> {
    // The names of bridges and interfaces may look like one.
    let others = ["bridge", "name", "script"];
    let pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.filter(|(key, _)| !others.contains(&key.trim())).find_map(|(_, value)| mac(value))
}

/// A row of `/cluster/status`: the cluster, or one of its nodes.
#[derive(Default)]
pub(super) struct MemberRow {
    is_cluster: bool,
    name: Option<String>,
    online: bool,
    local: bool,
    ip: Option<IpAddr>,
}

impl<'de> Record<'de> for MemberRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.is_cluster = map.next_value::<Value<'_>>()?.text() == Some(Cow::Borrowed("cluster")),
            "name" => self.name = map.next_value::<Value<'_>>()?.name_string(),
            "online" => self.online = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "local" => self.local = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "ip" => self.ip = map.next_value::<Value<'_>>()?.text().and_then(|text| text.parse().ok()),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl MemberRow {
    /// The node, where it is one.
    pub(super) fn node(self) -> Option<MemberNode> {
        let MemberRow { is_cluster, name, online, local, ip, .. } = self;
        let name = name.filter(|_| !is_cluster)?.parse().ok()?;
        Some(MemberNode { name, online, local, ip })
    }
}

/// A row of what the HA manager says. Only the one of the quorum is read.
#[derive(Debug, Default)]
pub(super) struct HaRow {
    pub(super) is_quorum: bool,
    pub(super) quorate: Option<bool>,
}

impl<'de> Record<'de> for HaRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.is_quorum = map.next_value::<Value<'_>>()?.text() == Some(Cow::Borrowed("quorum")),
            "quorate" => self.quorate = map.next_value::<Value<'_>>()?.flag(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
