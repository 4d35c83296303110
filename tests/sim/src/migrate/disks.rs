//! The disks of a guest, as its configuration names them, and where their storages are.

use serde_json::{Value, json};

use crate::api::view;
use crate::cluster::Cluster;
use crate::guest::{Guest, Kind};

/// One disk.
#[derive(Debug)]
pub(crate) struct Disk {
    /// `scsi0`, `mp0`
    pub(crate) drive: String,
    pub(crate) volid: String,
    pub(crate) storage: String,
    pub(crate) size: u64,
    pub(crate) cdrom: bool,
    pub(crate) shared: bool,
}

impl Disk {
    /// As `local_disks` writes it.
    pub(crate) fn told(&self, snapshot: Option<&String>) -> Value {
        let mut told = json!({
            "volid": self.volid, "size": self.size, "drivename": self.drive, "cdrom": u8::from(self.cdrom),
            "shared": 0, "replicate": 1, "is_unused": u8::from(self.drive.starts_with("unused")), "is_attached": 1,
            "is_cloudinit": u8::from(self.is_cloudinit()), "is_tpmstate": u8::from(self.drive.starts_with("tpmstate")),
            "is_vmstate": 0,
        });
        if let Some(snapshot) = snapshot.filter(|_| !self.cdrom) {
            told["referenced_in_snapshot"] = json!({ snapshot.as_str(): 1 });
        }
        told
    }

    pub(crate) fn is_cloudinit(&self) -> bool {
        self.volid.contains("-cloudinit")
    }
}

/// The disks of a guest, bind mounts aside.
pub(crate) fn disks(cluster: &Cluster, guest: &Guest) -> Vec<Disk> {
    let buses: &[&str] = match guest.kind {
        Kind::Qemu => &["ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "unused"],
        Kind::Lxc => &["rootfs", "mp", "unused"],
    };
    let is_disk = |key: &str| {
        buses.iter().any(|bus| key.strip_prefix(bus).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())))
    };
    let config = view::config(guest);
    let found = config.iter().filter(|(key, _)| is_disk(key)).filter_map(|(key, value)| {
        let text = value.as_str()?;
        let volid = text.split(',').next()?.to_owned();
        let (storage, _) = volid.split_once(':')?;
        let storage = storage.to_owned();
        let shared = cluster.storages.iter().any(|known| known.name == storage && known.node.is_none());
        let size = text.split(',').find_map(|part| part.strip_prefix("size=")).map_or(0, bytes);
        let cdrom = text.contains("media=cdrom");
        Some(Disk { drive: key.clone(), volid, storage, size, cdrom, shared })
    });
    found.collect()
}

/// A snapshot that a guest's disks are part of.
pub(crate) fn snapshot_of(cluster: &Cluster, guest: &Guest) -> Option<String> {
    let told = cluster.moves.snapshots.get(&guest.vmid).cloned();
    told.or_else(|| guest.snapshots.list.first().map(|snapshot| snapshot.name.clone()))
}

/// `8G`, `64M`, `528K`
fn bytes(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => 0,
    };
    number.parse::<u64>().map_or(0, |number| number << shift)
}

/// The storages of a guest's disks that a node does not have. One that nobody described is everywhere.
pub(crate) fn unavailable(cluster: &Cluster, guest: &Guest, node: &str) -> Vec<String> {
    let has = |storage: &str| {
        let mut rows = cluster.storages.iter().filter(|known| known.name == storage).peekable();
        rows.peek().is_none() || rows.any(|known| known.node.as_deref().is_none_or(|home| home == node))
    };
    let mut missing: Vec<String> =
        disks(cluster, guest).into_iter().map(|disk| disk.storage).filter(|storage| !has(storage)).collect();
    missing.sort();
    missing.dedup();
    missing
}
