//! What a guest is allocated, and whether its balloon reports its memory; and of what make a node's CPUs are.

use serde::de::MapAccess;

use crate::model::guest::size::{Balloon, GuestSize, Volume};
use crate::model::id::{GuestKind, NodeName, VmId};
use crate::transport::Error;

use super::client::{Answers, Client};
use super::guest::{first, made_at};
use super::lenient::{Entry, Record, Value, skip};
use super::requests::guest_path;

impl Client {
    /// What a guest is allocated, by its configuration in force: what is changed and waits for the next start does not count.
    pub(crate) async fn guest_size(&self, node: &NodeName, kind: GuestKind, vmid: VmId) -> Result<GuestSize, Error> {
        let path = guest_path(node, kind, vmid, "config?current=1");
        let Entry(answer) = self.get::<Entry<SizeAnswer>>(&path, Answers::Node).await?;
        answer.map(|SizeAnswer(size)| size).ok_or_else(|| self.senseless(&path))
    }

    /// Like `guest_size`, as it will be after the next stop and start.
    pub(crate) async fn next_guest_size(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<GuestSize, Error> {
        let path = guest_path(node, kind, vmid, "config");
        let Entry(answer) = self.get::<Entry<SizeAnswer>>(&path, Answers::Node).await?;
        answer.map(|SizeAnswer(size)| size).ok_or_else(|| self.senseless(&path))
    }

    /// What the balloon of a virtual machine reports now.
    pub(crate) async fn balloon(&self, node: &NodeName, vmid: VmId) -> Result<Balloon, Error> {
        let path = guest_path(node, GuestKind::Qemu, vmid, "status/current");
        let Entry(answer) = self.get::<Entry<BalloonAnswer>>(&path, Answers::Node).await?;
        answer.map(BalloonAnswer::balloon).ok_or_else(|| self.senseless(&path))
    }

    /// Of what make a node's CPUs are: `AMD EPYC 7302P 16-Core Processor`. Needs `Sys.Audit` on the node.
    pub(crate) async fn cpu_model(&self, node: &NodeName) -> Result<Option<String>, Error> {
        let Entry(answer) = self.get::<Entry<NodeStatus>>(&format!("/nodes/{node}/status"), Answers::Node).await?;
        Ok(answer.and_then(|status| status.0))
    }
}

/// `.../config?current=1`
#[derive(Default)]
pub(super) struct SizeAnswer(pub(super) GuestSize);

/// The keys of disks.
const DISKS: [&str; 7] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused"];

impl<'de> Record<'de> for SizeAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let size = &mut self.0;
        let numbered = |word: &&str| key.strip_prefix(*word).is_some_and(|number| number.parse::<u32>().is_ok());
        if key == "rootfs" || DISKS.iter().any(numbered) {
            size.volumes.extend(map.next_value::<Value<'_>>()?.string().as_deref().and_then(volume));
            return Ok(());
        }
        if numbered(&"mp") {
            let text = map.next_value::<Value<'_>>()?.string().unwrap_or_default();
            match volume(&text) {
                Some(volume) => size.volumes.push(volume),
                // A folder of its node.
                None => size.bound.push(key.to_owned()),
            }
            return Ok(());
        }
        if ["hostpci", "usb", "dev", "virtiofs"].iter().any(numbered) {
            let text = map.next_value::<Value<'_>>()?.string().unwrap_or_default();
            // Remote desktops pass devices through by `spice`, which no node has.
            if !text.split(',').any(|part| matches!(part.trim(), "spice" | "host=spice")) {
                size.bound.push(key.to_owned());
            }
            return Ok(());
        }
        match key {
            "cores" => size.cores = map.next_value::<Value<'_>>()?.exact().filter(|cores| *cores > 0),
            "sockets" => size.sockets = map.next_value::<Value<'_>>()?.exact().filter(|sockets| *sockets > 0),
            "vcpus" => size.vcpus = map.next_value::<Value<'_>>()?.exact().filter(|vcpus| *vcpus > 0),
            "cpulimit" => size.cpu_limit = map.next_value::<Value<'_>>()?.number(1e4).filter(|limit| *limit > 0.0),
            // `4096`, or since 8 `current=4096`.
            "memory" => {
                let text = map.next_value::<Value<'_>>()?.text().map(std::borrow::Cow::into_owned);
                size.memory_mib = text.and_then(|text| first(&text, "current")?.parse().ok());
            }
            "balloon" => size.balloon_mib = map.next_value::<Value<'_>>()?.exact().map(u64::from),
            "swap" => size.swap_mib = map.next_value::<Value<'_>>()?.exact().map(u64::from),
            "ostype" => size.ostype = map.next_value::<Value<'_>>()?.name_string(),
            "cpu" => {
                let text = map.next_value::<Value<'_>>()?.string();
                size.cpu_type = text.and_then(|text| first(&text, "cputype").map(str::to_owned));
            }
            "hotplug" => size.hotplug = map.next_value::<Value<'_>>()?.text().map(std::borrow::Cow::into_owned),
            "numa" => size.numa = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "meta" => size.made_at = map.next_value::<Value<'_>>()?.string().as_deref().and_then(made_at),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `local-lvm:vm-101-disk-0,size=32G`; none for a CD, an empty drive, a device or a folder of the node.
fn volume(text: &str) -> Option<Volume> {
    let is_cd = text.split(',').any(|part| part.trim() == "media=cdrom");
    let name = first(text, "file").or_else(|| first(text, "volume")).filter(|_| !is_cd)?;
    let (storage, _) = name.split_once(':').filter(|(storage, _)| !storage.contains('/'))?;
    let size = text.split(',').find_map(|part| part.trim().strip_prefix("size="));
    Some(Volume { storage: storage.to_owned(), bytes: size.and_then(bytes) })
}

/// `32G`, `528K`, `4M`, `1T`, or bytes.
fn bytes(text: &str) -> Option<u64> {
    let number: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let factor = match text.chars().last()? {
        'K' => 1_u64 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        'T' => 1 << 40,
        _ => 1,
    };
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
    number.parse::<f64>().ok().map(|number| (number * factor as f64) as u64)
}

/// `.../status/current`, as far as the balloon goes.
#[derive(Default)]
pub(super) struct BalloonAnswer {
    runs: bool,
    info: Option<BalloonInfo>,
}

/// What QEMU's `query-balloon` and the guest's statistics say.
#[derive(Default)]
struct BalloonInfo {
    free: Option<u64>,
    actual: Option<u64>,
}

impl<'de> Record<'de> for BalloonInfo {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "free_mem" => self.free = map.next_value::<Value<'_>>()?.bytes(),
            "actual" => self.actual = map.next_value::<Value<'_>>()?.bytes(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for BalloonAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "status" => self.runs = map.next_value::<Value<'_>>()?.text().as_deref() == Some("running"),
            "ballooninfo" => self.info = map.next_value::<Entry<BalloonInfo>>()?.0,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl BalloonAnswer {
    pub(super) fn balloon(self) -> Balloon {
        match self.info {
            Some(BalloonInfo { free: Some(_), actual }) => Balloon::Reports { actual },
            _ if self.runs => Balloon::Silent,
            _ => Balloon::Unknown,
        }
    }
}

/// `/nodes/{node}/status`, as far as its CPUs go.
#[derive(Default)]
pub(super) struct NodeStatus(Option<String>);

#[derive(Default)]
struct CpuInfo(Option<String>);

impl<'de> Record<'de> for CpuInfo {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "model" => self.0 = map.next_value::<Value<'_>>()?.line(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for NodeStatus {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "cpuinfo" => self.0 = map.next_value::<Entry<CpuInfo>>()?.0.and_then(|CpuInfo(model)| model),
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
