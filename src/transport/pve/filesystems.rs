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

/// Types that hold nothing of a disk, or that nobody can fill: what the kernel makes up, images and media that are only
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
        GuestFilesystems { list: Vec::new(), reason: Some("the guest agent tells no file systems".to_owned()) }
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
        (0, _) if is_told => Some("none of the file systems that the guest agent tells is one to fill".to_owned()),
        (0, _) => return GuestFilesystems::not_told(),
        // Sizes are told since QEMU 3.0.
        (_, 0) => Some("the guest agent tells no sizes of file systems".to_owned()),
        _ if told < all => {
            Some(format!("the guest agent tells no usable size of {} of {all} file systems", all - told))
        }
        _ if told > MOST => Some(format!("the guest agent tells {told} file systems, of which {MOST} are kept")),
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::pve::lenient::Entry;
    use crate::transport::pve::repair::parse;

    fn read(body: &[u8]) -> GuestFilesystems {
        parse::<Entry<FilesystemAnswer>>(body).unwrap().0.unwrap_or_default().0
    }

    fn entries(entries: &str) -> GuestFilesystems {
        read(format!(r#"{{"data":{{"result":[{entries}]}}}}"#).as_bytes())
    }

    fn told(filesystems: &GuestFilesystems) -> Vec<(&str, u64, u64)> {
        filesystems.list.iter().map(|entry| (entry.mount.as_str(), entry.used_bytes, entry.size_bytes)).collect()
    }

    fn main(found: &GuestFilesystems) -> Option<&str> {
        Filesystem::main_of(&found.list).map(|main| main.mount.as_str())
    }

    #[test]
    fn without_a_usable_root_the_largest_is_the_disk() {
        // Of Home Assistant OS: an image that is only read, and all that counts on another partition.
        let found = entries(
            r#"{"name":"sda3","total-bytes":265000000,"used-bytes":265000000,"mountpoint":"/","type":"erofs","disk":[]},
               {"name":"sda1","total-bytes":33000000,"used-bytes":2000000,"mountpoint":"/mnt/boot","type":"vfat","disk":[]},
               {"name":"sda8","total-bytes":31675576320,"used-bytes":10837524480,"mountpoint":"/mnt/data","type":"ext4","disk":[]}"#,
        );
        assert_eq!(told(&found), [("/mnt/boot", 2_000_000, 33_000_000), ("/mnt/data", 10_837_524_480, 31_675_576_320)]);
        assert_eq!((main(&found), found.reason.as_deref()), (Some("/mnt/data"), None));
    }

    #[test]
    fn of_linux() {
        // Of Debian 12 with its agent of QEMU 7.2: a snap, a bind mount, an ISO.
        let found = entries(
            r#"{"name":"sda15","total-bytes":129718272,"used-bytes":12124160,"mountpoint":"/boot/efi","type":"vfat",
                 "disk":[{"serial":"0QEMU","bus-type":"scsi","bus":0,"unit":0,"dev":"/dev/sda15","target":0,
                 "pci-controller":{"bus":1,"slot":1,"domain":0,"function":0}}]},
               {"name":"loop3","total-bytes":66846720,"used-bytes":66846720,"mountpoint":"/snap/core20/2105","type":"squashfs","disk":[]},
               {"name":"sda1","total-bytes":31495655424,"used-bytes":4186210304,"mountpoint":"/var/lib/docker/x","type":"ext4","disk":[]},
               {"name":"sda1","total-bytes":31495655424,"used-bytes":4186210304,"mountpoint":"/","type":"ext4","disk":[]},
               {"name":"sr0","total-bytes":658505728,"used-bytes":658505728,"mountpoint":"/media/cdrom0","type":"iso9660","disk":[]},
               {"name":"dm-0","total-bytes":100,"used-bytes":0,"mountpoint":"/data","type":"xfs","total-bytes-privileged":110}"#,
        );
        assert_eq!(
            told(&found),
            [("/", 4_186_210_304, 31_495_655_424), ("/boot/efi", 12_124_160, 129_718_272), ("/data", 0, 100)]
        );
        assert_eq!((main(&found), found.reason.as_ref()), (Some("/"), None));
    }

    #[test]
    fn of_windows() {
        let found = entries(
            r#"{"name":"\\\\?\\Volume{f1}\\","mountpoint":"System Reserved","type":"NTFS","disk":[]},
               {"name":"\\\\?\\Volume{f3}\\","total-bytes":90,"used-bytes":20,"mountpoint":"D:\\data\\","type":"NTFS"},
               {"name":"\\\\?\\Volume{f2}\\","total-bytes":50,"used-bytes":30,"mountpoint":"C:\\","type":"NTFS"},
               {"name":"\\\\?\\Volume{f4}\\","total-bytes":5,"used-bytes":5,"mountpoint":"E:\\","type":"CDFS"}"#,
        );
        assert_eq!(told(&found), [("C:\\", 30, 50), ("D:\\data\\", 20, 90)]);
        assert_eq!((main(&found), found.reason.as_ref()), (Some("C:\\"), None));
    }

    /// What is told, the disk, and the reason.
    type Told<'a> = (&'a [(&'a str, u64, u64)], Option<&'a str>, Option<&'a str>);

    #[test]
    fn answers_of_many_guests() {
        let none_to_fill = Some("none of the file systems that the guest agent tells is one to fill");
        let no_sizes = Some("the guest agent tells no sizes of file systems");
        let one_of_two = Some("the guest agent tells no usable size of 1 of 2 file systems");
        let cases: [(&str, &str, Told<'_>); 12] = [
            (
                "Windows, without a drive C, sizes as texts",
                r#"{"name":"\\\\?\\Volume{a}\\","mountpoint":"E:\\","type":"NTFS","used-bytes":"7","total-bytes":"9"},
                   {"name":"\\\\?\\Volume{b}\\","mountpoint":"D:\\","type":"exFAT","used-bytes":1,"total-bytes":5}"#,
                (&[("D:\\", 1, 5), ("E:\\", 7, 9)], Some("E:\\"), None),
            ),
            (
                "Windows, a drive in a folder of another, and one not formatted",
                r#"{"name":"v1","mountpoint":"C:\\mnt\\data\\","type":"NTFS","used-bytes":1,"total-bytes":90},
                   {"name":"v2","mountpoint":"c:\\","type":"NTFS","used-bytes":3,"total-bytes":5},
                   {"name":"v3","mountpoint":"F:\\","type":""}"#,
                (&[("c:\\", 3, 5), ("C:\\mnt\\data\\", 1, 90)], Some("c:\\"), Some("1 of 3")),
            ),
            (
                "Windows, only the partition that nobody sees",
                r#"{"name":"v1","mountpoint":"System Reserved","type":"NTFS","used-bytes":1,"total-bytes":5}"#,
                (&[], None, none_to_fill),
            ),
            (
                "one disk mounted twice, the root without sizes",
                r#"{"name":"sda1","mountpoint":"/","type":"ext4"},
                   {"name":"sda1","mountpoint":"/srv","type":"ext4","used-bytes":2,"total-bytes":8}"#,
                (&[("/srv", 2, 8)], Some("/srv"), None),
            ),
            (
                "one disk mounted twice, with the same sizes",
                r#"{"name":"sda2","mountpoint":"/var/lib/docker","type":"btrfs","used-bytes":2,"total-bytes":8},
                   {"name":"sda2","mountpoint":"/home","type":"btrfs","used-bytes":2,"total-bytes":8}"#,
                (&[("/home", 2, 8)], Some("/home"), None),
            ),
            (
                "one place mounted over, below without sizes",
                r#"{"name":"sda1","mountpoint":"/","type":"ext4","used-bytes":null,"total-bytes":null},
                   {"name":"sdb1","mountpoint":"/","type":"ext4","used-bytes":2,"total-bytes":8}"#,
                (&[("/", 2, 8)], Some("/"), None),
            ),
            (
                "no room at all, and a disk beside it",
                r#"{"name":"sda1","mountpoint":"/","type":"ext4","used-bytes":0,"total-bytes":0},
                   {"name":"sdb1","mountpoint":"/data","type":"xfs","used-bytes":0,"total-bytes":8}"#,
                (&[("/data", 0, 8)], Some("/data"), one_of_two),
            ),
            (
                "sizes are null",
                r#"{"name":"sda1","mountpoint":"/","type":"ext4","used-bytes":null,"total-bytes":null}"#,
                (&[], None, no_sizes),
            ),
            (
                "images alone",
                r#"{"name":"vda","mountpoint":"/","type":"squashfs","used-bytes":5,"total-bytes":5},
                   {"name":"vdb","mountpoint":"/usr","type":"EROFS","used-bytes":5,"total-bytes":5}"#,
                (&[], None, none_to_fill),
            ),
            (
                "a router: an image below, and a disk above it",
                r#"{"name":"vda2","mountpoint":"/rom","type":"squashfs","used-bytes":5,"total-bytes":5},
                   {"name":"overlay","mountpoint":"/","type":"overlay","used-bytes":1,"total-bytes":4},
                   {"name":"vda3","mountpoint":"/overlay","type":"f2fs","used-bytes":1,"total-bytes":4}"#,
                (&[("/overlay", 1, 4)], Some("/overlay"), None),
            ),
            (
                "FreeBSD, two pools of ZFS of one size: the first of their names",
                r#"{"name":"zroot/b","mountpoint":"/zroot","type":"zfs","used-bytes":1,"total-bytes":9},
                   {"name":"zroot/a","mountpoint":"/home","type":"zfs","used-bytes":1,"total-bytes":9}"#,
                (&[("/home", 1, 9), ("/zroot", 1, 9)], Some("/home"), None),
            ),
            (
                "full, with what only root may fill told apart",
                r#"{"name":"sda1","mountpoint":"/","type":"ext4","used-bytes":8,"total-bytes":8,"total-bytes-privileged":9}"#,
                (&[("/", 8, 8)], Some("/"), None),
            ),
        ];
        for (name, given, (list, disk, reason)) in cases {
            let found = entries(given);
            assert_eq!((told(&found).as_slice(), main(&found)), (list, disk), "{name}");
            let said = found.reason.as_deref();
            assert_eq!(said.is_some(), reason.is_some(), "{name}: {said:?}");
            assert!(said.unwrap_or_default().contains(reason.unwrap_or_default()), "{name}: {said:?}");
        }
    }

    #[test]
    fn what_is_not_told_has_a_reason() {
        let sized = r#"{"name":"b","mountpoint":"/b","type":"ext4","used-bytes":1,"total-bytes":2}"#;
        let none = "the guest agent tells no file systems";
        let failed = read(br#"{"data":{"result":{"error":{"class":"CommandNotFound"}}}}"#);
        assert_eq!(failed.reason.as_deref(), Some("its guest agent says: CommandNotFound"));
        for body in ["{}", r#"{"result":[]}"#, r#"{"result":null}"#, r#"{"result":[7,null]}"#] {
            let found = read(format!(r#"{{"data":{body}}}"#).as_bytes());
            assert_eq!((found.list.len(), found.reason.as_deref()), (0, Some(none)), "{body}");
        }
        // An agent from before QEMU 3.0.
        let old = entries(r#"{"name":"sda1","mountpoint":"/","type":"ext4","disk":[]}"#);
        assert_eq!(old.reason.as_deref(), Some("the guest agent tells no sizes of file systems"));
        for sizes in [
            r#""used-bytes":3,"total-bytes":2"#,
            r#""used-bytes":0,"total-bytes":0"#,
            r#""used-bytes":-1,"total-bytes":2"#,
            r#""used-bytes":1"#,
            r#""used-bytes":"x","total-bytes":2"#,
            r#""used-bytes":1e300,"total-bytes":1e301"#,
        ] {
            let found = entries(&format!(r#"{sized},{{"name":"a","mountpoint":"/","type":"ext4",{sizes}}}"#));
            assert_eq!(told(&found), [("/b", 1, 2)], "{sizes}");
            assert_eq!(main(&found), Some("/b"), "{sizes}");
            let reason = "the guest agent tells no usable size of 1 of 2 file systems";
            assert_eq!(found.reason.as_deref(), Some(reason), "{sizes}");
        }
    }

    #[test]
    fn what_a_guest_invents_is_left_out_or_bounded() {
        let found = entries(
            r#"7,null,[],{"mountpoint":7},{"mountpoint":["/"]},{"mountpoint":"relative","used-bytes":1,"total-bytes":2},
               {"mountpoint":"1:\\","used-bytes":1,"total-bytes":2},{"mountpoint":"","used-bytes":1,"total-bytes":2},
               {"mountpoint":"/run","type":"tmpfs","used-bytes":1,"total-bytes":2},
               {"mountpoint":"/s","type":"fuse.sshfs","used-bytes":1,"total-bytes":2},
               {"mountpoint":"/n","type":"fuseblk","used-bytes":"1","total-bytes":"2"},
               {"mountpoint":"/n","type":"ext4","used-bytes":7,"total-bytes":9},
               {"mountpoint":"/\u001b[31mred","type":"ext4","used-bytes":1,"total-bytes":2}"#,
        );
        // Escapes stay: who prints them cleans them.
        assert_eq!(told(&found), [("/\u{1b}[31mred", 1, 2), ("/n", 1, 2)]);
        let long = format!(r#"{{"mountpoint":"/{}","used-bytes":1,"total-bytes":2}}"#, "x".repeat(LONGEST_MOUNT));
        assert_eq!(entries(&long).list, []);
        let many = (0..500).map(|n| format!(r#"{{"name":"d{n}","mountpoint":"/{n}","used-bytes":1,"total-bytes":2}}"#));
        let many = many.chain([r#"{"name":"r","mountpoint":"/","used-bytes":1,"total-bytes":2}"#.to_owned()]);
        let many = entries(&many.collect::<Vec<_>>().join(","));
        assert_eq!((many.list.len(), main(&many)), (MOST, Some("/")));
        assert_eq!(many.reason.as_deref(), Some("the guest agent tells 501 file systems, of which 64 are kept"));
    }

    #[test]
    fn an_agent_that_does_not_offer_it() {
        for (reason, want) in [
            ("VM 102 qmp command 'guest-get-fsinfo' failed - The command guest-get-fsinfo has not been found", true),
            ("VM 102 qmp command 'guest-get-fsinfo' failed - Command guest-get-fsinfo has been disabled", true),
            ("VM 102 qmp command 'guest-get-fsinfo' failed - got timeout", false),
            ("VM 102 qmp command 'guest-get-fsinfo' failed - failed to open /proc/self/mounts", false),
            ("The command guest-ping has not been found", false),
        ] {
            assert_eq!(is_not_offered(reason), want, "{reason}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_is_told_makes_sense(
            mounts in prop::collection::vec(
                ("(/[a-c]{0,2}|C:.?|[a-c]{0,3})", "[ab]{0,2}", "(ext4|tmpfs|NTFS|\u{1b})", any::<Option<i64>>(), any::<Option<f64>>()),
                0..90,
            ),
        ) {
            let json = |text: &str| serde_json::to_string(text).unwrap();
            let objects = mounts.iter().map(|(mount, name, kind, used, total)| {
                let used = used.map_or("null".to_owned(), |number| number.to_string());
                let total = total.map_or("null".to_owned(), |number| number.to_string());
                format!(r#"{{"mountpoint":{},"name":{},"type":{},"used-bytes":{used},"total-bytes":{total}}}"#,
                    json(mount), json(name), json(kind))
            });
            let found = entries(&objects.collect::<Vec<_>>().join(","));
            prop_assert!(found.list.len() <= MOST);
            for entry in &found.list {
                prop_assert!(entry.used_bytes <= entry.size_bytes && entry.size_bytes <= 1 << 60);
                prop_assert!(is_mount(&entry.mount));
            }
            let mounts: BTreeSet<_> = found.list.iter().map(|entry| &entry.mount).collect();
            prop_assert_eq!(mounts.len(), found.list.len());
            let roots = found.list.iter().filter(|entry| is_root(&entry.mount)).count();
            prop_assert_eq!(roots > 0, found.list.first().is_some_and(|first| is_root(&first.mount)));
            prop_assert_eq!(found.list.is_empty(), main(&found).is_none());
        }

        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse::<Entry<FilesystemAnswer>>(&body);
            let whole = [br#"{"data":{"result":[{"mountpoint":""#, body.as_slice(), b"\"}]}}"].concat();
            let _ = parse::<Entry<FilesystemAnswer>>(&whole);
        }
    }
}
