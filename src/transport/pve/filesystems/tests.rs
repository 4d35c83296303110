use proptest::prelude::*;

use super::*;
use crate::transport::pve::lenient::Entry;
use crate::transport::pve::repair_json::parse;

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
    let none_to_fill = Some("none of the file systems that the guest agent reports can be filled");
    let no_sizes = Some("the guest agent reports no sizes of file systems");
    let one_of_two = Some("the guest agent reports no usable size of 1 of 2 file systems");
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
    let none = "the guest agent reports no file systems";
    let failed = read(br#"{"data":{"result":{"error":{"class":"CommandNotFound"}}}}"#);
    assert_eq!(failed.reason.as_deref(), Some("its guest agent says: CommandNotFound"));
    for body in ["{}", r#"{"result":[]}"#, r#"{"result":null}"#, r#"{"result":[7,null]}"#] {
        let found = read(format!(r#"{{"data":{body}}}"#).as_bytes());
        assert_eq!((found.list.len(), found.reason.as_deref()), (0, Some(none)), "{body}");
    }
    // An agent from before QEMU 3.0.
    let old = entries(r#"{"name":"sda1","mountpoint":"/","type":"ext4","disk":[]}"#);
    assert_eq!(old.reason.as_deref(), Some("the guest agent reports no sizes of file systems"));
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
        let reason = "the guest agent reports no usable size of 1 of 2 file systems";
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
    assert_eq!(many.reason.as_deref(), Some("the guest agent reports 501 file systems, of which 64 are kept"));
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
