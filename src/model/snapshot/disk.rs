//! The disks of a guest by its configuration, and the storages that they are on.

use std::collections::BTreeMap;

use crate::model::id::GuestKind;

/// A disk or mount point of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// `scsi0`, `rootfs`, `mp1`
    pub(crate) key: String,
    /// `local:101/vm-101-disk-0.qcow2`; or a path of the host, which is no volume.
    pub(crate) volume: String,
    /// `None`: it is a folder or device of the host.
    pub(crate) storage: Option<String>,
}

/// How full a storage is that disks of a guest are on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StorageUse {
    pub(crate) name: String,
    /// The type of the storage: `dir`, `lvmthin`, `zfspool`.
    pub(crate) plugin: String,
    /// Snapshots are layers on top of each other (`snapshot-as-volume-chain`).
    pub(crate) chains: bool,
    pub(crate) used_percent: Option<f64>,
    pub(crate) free_bytes: Option<u64>,
    /// Of a thin pool, which has room for its metadata of its own.
    pub(crate) metadata_percent: Option<f64>,
}

impl StorageUse {
    /// Whether only the newest snapshot can be rolled back to.
    pub(crate) fn newest_only(&self) -> bool {
        self.chains || matches!(self.plugin.as_str(), "zfspool" | "zfs")
    }
}

/// The disks that a snapshot is taken of: all but CD-ROM drives, which may hold a cloud-init image.
pub(crate) fn disks(kind: GuestKind, config: &BTreeMap<String, String>) -> Vec<Disk> {
    let is_disk = |key: &str| {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        match kind {
            GuestKind::Qemu => {
                stem != key && matches!(stem, "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate")
            }
            GuestKind::Lxc => key == "rootfs" || stem != key && stem == "mp",
        }
    };
    let disk = |(key, value): (&String, &String)| {
        let is_cdrom = value.split(',').any(|part| part.trim() == "media=cdrom");
        let words = || value.split(',').map(str::trim);
        let named = words().find_map(|part| part.strip_prefix("volume=").or_else(|| part.strip_prefix("file=")));
        let volume = named.or_else(|| words().find(|part| !part.contains('=') && !part.is_empty()))?;
        if is_cdrom || matches!(volume, "none" | "cdrom") {
            return None;
        }
        let storage = volume.split_once(':').map(|(storage, _)| storage.to_owned());
        let storage = storage.filter(|_| !volume.starts_with('/'));
        Some(Disk { key: key.clone(), volume: volume.to_owned(), storage })
    };
    config.iter().filter(|(key, _)| is_disk(key)).filter_map(disk).collect()
}

/// Why no snapshot can be taken of a disk, as far as its storage and format tell; `None`: nothing is known against it.
pub(crate) fn obstacle(disk: &Disk, storage: Option<&StorageUse>) -> Option<String> {
    let Disk { key, volume, .. } = disk;
    let Some(name) = &disk.storage else {
        return Some(format!("{key} is {volume} of the host, which is not on a storage"));
    };
    let storage = storage?;
    let ends = |end: &str| volume.ends_with(end);
    let is_file = matches!(storage.plugin.as_str(), "dir" | "nfs" | "cifs" | "glusterfs");
    match storage.plugin.as_str() {
        _ if is_file && (ends(".raw") || ends(".vmdk")) => {
            let format = volume.rsplit('.').next().unwrap_or_default();
            Some(format!("{key} on {name} is a {format} image, which has no snapshots there"))
        }
        _ if is_file && ends(".subvol") => Some(format!("{key} on {name} is a folder, which has no snapshots there")),
        "lvm" if !storage.chains || !ends(".qcow2") => {
            Some(format!("{key} is on {name}, and LVM without thin pool has none"))
        }
        "iscsi" | "iscsidirect" | "esxi" | "pbs" => {
            Some(format!("{key} is on {name}, and a storage of type {} has none", storage.plugin))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn disks_of_a_configuration() {
        let said = |kind, pairs: &[(&str, &str)]| {
            let list = disks(kind, &config(pairs)).into_iter();
            list.map(|disk| format!("{} {}", disk.key, disk.storage.unwrap_or("-".to_owned()))).collect::<Vec<_>>()
        };
        let vm = [
            ("scsi0", "local:101/vm-101-disk-0.qcow2,size=64M"),
            ("scsihw", "virtio-scsi-pci"),
            ("ide2", "local:iso/debian.iso,media=cdrom"),
            ("ide3", "local-lvm:vm-101-cloudinit,media=cdrom"),
            ("ide0", "none,media=cdrom"),
            ("efidisk0", "file=local-zfs:vm-101-disk-1,efitype=4m"),
            ("tpmstate0", "local-lvm:vm-101-disk-2,size=4M"),
            ("virtio1", "/dev/sdb,size=1T"),
            ("unused0", "local:101/old.raw"),
            ("sata", "x"),
        ];
        assert_eq!(
            said(GuestKind::Qemu, &vm),
            ["efidisk0 local-zfs", "scsi0 local", "tpmstate0 local-lvm", "virtio1 -"]
        );
        let ct = [
            ("rootfs", "local-lvm:vm-201-disk-0,size=8G"),
            ("mp0", "/srv/data,mp=/data"),
            ("mp1", "volume=local:201/vm-201-disk-1.raw,mp=/x"),
            ("memory", "512"),
            ("mpx", "a:b"),
        ];
        assert_eq!(said(GuestKind::Lxc, &ct), ["mp0 -", "mp1 local", "rootfs local-lvm"]);
    }

    /// Each storage and format with what Proxmox VE says of it (`volume_has_feature` of each plugin).
    #[test]
    fn which_disks_have_no_snapshots() {
        for (plugin, chains, volume, can) in [
            ("dir", false, "s:101/vm-101-disk-0.qcow2", true),
            ("dir", false, "s:101/vm-101-disk-0.raw", false),
            ("nfs", false, "s:101/vm-101-disk-0.vmdk", false),
            ("cifs", false, "s:101/vm-101-disk-0.qcow2", true),
            ("dir", false, "s:201/subvol-201-disk-0.subvol", false),
            ("dir", true, "s:101/vm-101-disk-0.qcow2", true),
            ("lvm", false, "s:vm-101-disk-0", false),
            ("lvm", true, "s:vm-101-disk-0.qcow2", true),
            ("lvm", true, "s:vm-101-disk-0", false),
            ("lvmthin", false, "s:vm-101-disk-0", true),
            ("zfspool", false, "s:subvol-201-disk-0", true),
            ("rbd", false, "s:vm-101-disk-0", true),
            ("btrfs", false, "s:101/vm-101-disk-0.raw", true),
            ("iscsidirect", false, "s:lun1", false),
            // A type that is not known: Proxmox VE's own answer decides.
            ("somebodys", false, "s:x.raw", true),
        ] {
            let disk = Disk { key: "scsi0".to_owned(), volume: volume.to_owned(), storage: Some("s".to_owned()) };
            let storage =
                StorageUse { name: "s".to_owned(), plugin: plugin.to_owned(), chains, ..StorageUse::default() };
            assert_eq!(obstacle(&disk, Some(&storage)).is_none(), can, "{plugin} {volume}");
        }
        let bind = Disk { key: "mp0".to_owned(), volume: "/srv".to_owned(), storage: None };
        assert_eq!(obstacle(&bind, None).unwrap(), "mp0 is /srv of the host, which is not on a storage");
    }
}
