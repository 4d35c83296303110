use jiff::Timestamp;

use super::*;

fn size(data: &str) -> GuestSize {
    let Entry(answer) = serde_json::from_str::<Entry<SizeAnswer>>(data).unwrap();
    answer.unwrap().0
}

#[test]
fn sizes_are_read_as_proxmox_ve_writes_them() {
    let vm = size(
        r#"{"cores":4,"sockets":"2","memory":"8192","balloon":2048,"cpu":"host,flags=+aes","ostype":"win11","numa":1,
            "hotplug":"network,disk,cpu","meta":"creation-qemu=10.0.2,ctime=1795381239","cpulimit":"1.5",
            "scsi0":"local-lvm:vm-101-disk-0,iothread=1,size=32G","ide2":"local:iso/debian.iso,media=cdrom,size=628M",
            "efidisk0":"tank:vm-101-disk-1,efitype=4m,size=528K","hostpci0":"0000:01:00","usb0":"spice","usb1":"host=1-2"}"#,
    );
    assert_eq!((vm.cpus(GuestKind::Qemu), vm.memory_mib(), vm.balloon_mib), (Some(8), 8192, Some(2048)));
    assert_eq!((vm.cpu_type.as_deref(), vm.cpu_limit), (Some("host"), Some(1.5)));
    assert!(vm.is_windows() && vm.hotplugs("cpu") && !vm.hotplugs("memory"));
    assert_eq!(vm.made_at.map(Timestamp::as_second), Some(1_795_381_239));
    let volume = |storage: &str, bytes| Volume { storage: storage.to_owned(), bytes: Some(bytes) };
    assert_eq!(vm.volumes, [volume("local-lvm", 32 << 30), volume("tank", 528 << 10)]);
    assert_eq!(vm.bound, ["hostpci0", "usb1"]);
    let ct = size(
        r#"{"memory":512,"swap":256,"rootfs":"local:201/vm-201-disk-0.raw,size=1G","mp0":"/srv/media,mp=/media",
            "mp1":"tank:subvol-201-disk-1,mp=/data,size=1.5T"}"#,
    );
    assert_eq!((ct.cpus(GuestKind::Lxc), ct.memory_mib(), ct.swap_mib), (None, 512, Some(256)));
    assert_eq!(ct.volumes, [volume("local", 1 << 30), volume("tank", 3 << 39)]);
    assert_eq!(ct.bound, ["mp0"]);
    let bare = size(r#"{"memory":"current=4096","cores":0,"sockets":null,"unused0":"local:x"}"#);
    assert_eq!((bare.memory_mib(), bare.cpus(GuestKind::Qemu)), (4096, Some(1)));
}

#[test]
fn a_balloon_reports_only_where_free_memory_is_told() {
    let balloon = |data: &str| {
        let Entry(answer) = serde_json::from_str::<Entry<BalloonAnswer>>(data).unwrap();
        answer.unwrap().balloon()
    };
    for (data, want) in [
        (
            r#"{"status":"running","ballooninfo":{"actual":4096,"max_mem":8192,"free_mem":100}}"#,
            Balloon::Reports { actual: Some(4096) },
        ),
        (r#"{"status":"running","ballooninfo":{"actual":8192,"max_mem":8192}}"#, Balloon::Silent),
        (r#"{"status":"running"}"#, Balloon::Silent),
        (r#"{"status":"stopped"}"#, Balloon::Unknown),
        (r#"{"status":"running","ballooninfo":[]}"#, Balloon::Silent),
    ] {
        assert_eq!(balloon(data), want, "{data}");
    }
}
