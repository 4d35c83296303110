//! `agent/get-fsinfo`: the file systems inside a virtual machine, as its own agent tells them (QEMU's `guest-get-fsinfo`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::MapAccess;

use crate::model::load::reading::{Filesystem, is_root};

use super::lenient::{Record, Told, Value, skip};

/// The most file systems that are told of one guest.
const MOST: usize = 64;

/// The longest path that Linux knows.
const LONGEST_MOUNT: usize = 1000;

/// Types that hold nothing of a disk, or that cannot fill: what the kernel makes up, images and media that are only
/// read, and what lies on other machines.
const LEFT_OUT: [&str; 26] = [
    "9p", "autofs", "cdfs", "cifs", "cramfs", "debugfs", "devfs", "devtmpfs", "efivarfs", "erofs", "fdescfs",
    "iso9660", "nfs", "nfs4", "overlay", "proc", "procfs", "ramfs", "romfs", "smbfs", "squashfs", "sysfs", "tmpfs",
    "udf", "virtiofs", "vboxsf",
];

/// What QEMU's guest agent says of a guest's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentFilesystems {
    /// Perhaps none, with the reason.
    Told(GuestFilesystems),
    /// The agent is not enabled in the guest's configuration.
    NotConfigured,
    /// The agent does not answer, or the guest does not run.
    NotRunning,
}

/// What the agent tells of the guest's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestFilesystems {
    /// The root first, each disk once. Paths are the guest's own words.
    pub(crate) list: Vec<Filesystem>,
    /// Why not all of them are there.
    pub(crate) reason: Option<String>,
}

impl GuestFilesystems {
    /// Of an agent that is too old for the question, or forbidden to answer it.
    pub(super) fn not_told() -> GuestFilesystems {
        GuestFilesystems { list: Vec::new(), reason: Some("the guest agent reports no file systems".to_owned()) }
    }
}

/// One entry. `total-bytes` is what users may fill (used and available), as in `df`.
#[derive(Debug, Default)]
struct Mounted<'a> {
    name: Option<Cow<'a, str>>,
    mount: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    used: Option<u64>,
    total: Option<u64>,
}

impl<'de> Record<'de> for Mounted<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value::<Value<'_>>()?.text(),
            "mountpoint" => self.mount = map.next_value::<Value<'_>>()?.text(),
            "type" => self.kind = map.next_value::<Value<'_>>()?.text(),
            "used-bytes" => self.used = map.next_value::<Value<'_>>()?.bytes(),
            "total-bytes" => self.total = map.next_value::<Value<'_>>()?.bytes(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The answer: the list stands under `result`. Where the agent failed, an object with `error` stands there.
pub(super) struct FilesystemAnswer(pub(super) GuestFilesystems);

impl Default for FilesystemAnswer {
    fn default() -> Self {
        FilesystemAnswer(GuestFilesystems::not_told())
    }
}

impl<'de> Record<'de> for FilesystemAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "result" {
            self.0 = match map.next_value::<Told<Mounted<'de>>>()?.entries() {
                Ok(entries) => filesystems(entries.list),
                Err(Some(words)) => {
                    GuestFilesystems { list: Vec::new(), reason: Some(format!("its guest agent says: {words}")) }
                }
                Err(None) => GuestFilesystems::not_told(),
            };
            return Ok(());
        }
        skip(map)
    }
}

fn filesystems(entries: Vec<Mounted<'_>>) -> GuestFilesystems {
    let is_told = !entries.is_empty();
    let mut mounted: Vec<_> = entries
        .into_iter()
        .filter(|entry| !is_left_out(entry.kind.as_deref().unwrap_or_default()))
        .filter_map(|Mounted { name, mount, used, total, .. }| {
            let mount = mount.filter(|mount| is_mount(mount))?;
            let sizes = used.zip(total).filter(|(used, total)| used <= total && *total > 0);
            Some((sizes.is_none(), !is_root(mount.as_ref()), mount.len(), mount, name, sizes))
        })
        .collect();
    // Of what is mounted several times that counts of which there are sizes, then the root, then the shortest path.
    mounted.sort();
    let (mut devices, mut mounts) = (BTreeSet::new(), BTreeSet::new());
    let mut list = Vec::new();
    let (mut all, mut told) = (0, 0);
    for (_, _, _, mount, device, sizes) in mounted {
        let again = device.is_some_and(|device| !devices.insert(device)) || !mounts.insert(mount.clone());
        if again {
            continue;
        }
        all += 1;
        let Some((used_bytes, size_bytes)) = sizes else { continue };
        told += 1;
        list.push(Filesystem { mount: mount.into_owned(), used_bytes, size_bytes });
    }
    list.sort_by(|a, b| (!is_root(&a.mount), &a.mount).cmp(&(!is_root(&b.mount), &b.mount)));
    list.truncate(MOST);
    let reason = match (all, told) {
        (0, _) if is_told => Some("none of the file systems that the guest agent reports can be filled".to_owned()),
        (0, _) => return GuestFilesystems::not_told(),
        // Sizes are told since QEMU 3.0.
        (_, 0) => Some("the guest agent reports no sizes of file systems".to_owned()),
        _ if told < all => {
            Some(format!("the guest agent reports no usable size of {} of {all} file systems", all - told))
        }
        _ if told > MOST => Some(format!("the guest agent reports {told} file systems, of which {MOST} are kept")),
        _ => None,
    };
    GuestFilesystems { list, reason }
}

fn is_left_out(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    // `fuseblk` is a disk, `fuse.NAME` a program's invention.
    LEFT_OUT.contains(&kind.as_str()) || kind.starts_with("fuse.") || kind.starts_with("cgroup")
}

/// A path of Unix or of Windows. Windows' `System Reserved` and the like are mounted nowhere.
fn is_mount(mount: &str) -> bool {
    let on_drive = matches!(mount.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic());
    mount.len() <= LONGEST_MOUNT && (mount.starts_with('/') || on_drive)
}

/// Whether an error's text says that the agent does not know the question or must not answer it: `… 'guest-get-fsinfo'
/// failed - The command guest-get-fsinfo has not been found`, `… has been disabled for this instance`.
pub(super) fn is_not_offered(reason: &str) -> bool {
    let says = |words: &str| reason.contains(words);
    says("guest-get-fsinfo") && (says("has not been found") || says("has been disabled") || says("not supported"))
}

#[cfg(test)]
mod tests;
