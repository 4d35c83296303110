//! Runs the script with the shells of this machine, on folders that look like hosts.
//!
//! `df` and `sleep` are functions before the script: df tells of whatever it is asked, and a sleep lets the host's time
//! pass at once.

mod energy;
mod ports;

use std::fs;

use super::*;
use crate::fleet::host::facts::run_tests::{Host, shells};

const SECOND: Duration = Duration::from_secs(1);
const NET: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

/// A Debian with one port, one disk and two CPUs. A sleep of whatever length is two seconds of a fifth of the CPUs.
fn debian() -> Host {
    let host = Host::debian();
    host.file("proc/uptime", "93784.21 370012.55\n");
    host.file("later/proc/uptime", "93786.21 370016.55\n");
    let single = "cpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\nintr 123456 0 1 2\nctxt 654321\n";
    host.file("proc/stat", &format!("cpu  1000000 2000 300000 36000000 40000 0 5000 0 0 0\n{single}"));
    host.file("later/proc/stat", &format!("cpu  1000060 2000 300020 36000316 40004 0 5000 0 0 0\n{single}"));
    host.file("proc/loadavg", "0.42 0.38 0.31 1/512 4242\n");
    host.file(
        "proc/meminfo",
        "MemTotal:       16000000 kB\nMemFree:         2000000 kB\nMemAvailable:   10000000 kB\nBuffers:          200000 kB\n\
         Cached:          6000000 kB\nSwapCached:            0 kB\nShmem:            100000 kB\nSReclaimable:     500000 kB\n\
         SwapTotal:       8000000 kB\nSwapFree:        7000000 kB\n",
    );
    for name in ["cpu", "memory", "io"] {
        let line = "avg10=0.10 avg60=1.25 avg300=0.05 total=34722116\n";
        host.file(&format!("proc/pressure/{name}"), &format!("some {line}full {line}"));
    }
    host.file("sys/block/sda/device/vendor", "ATA\n");
    host.file("sys/block/dm-0/size", "1\n");
    let disks = |read: u64, written: u64| {
        format!(
            "   8       0 sda 10 1 {read} 5 20 2 {written} 9 0 7 14\n   8       1 sda1 10 1 {read} 5 20 2 {written} 9 0 7 14\n \
             253       0 dm-0 10 1 {read} 5 20 2 {written} 9 0 7 14\n"
        )
    };
    host.file("proc/diskstats", &disks(1000, 2000));
    host.file("later/proc/diskstats", &disks(1004, 2008));
    counters(&host, "eno1", 5000);
    traffic(&host, "vmbr0", 9999);
    host
}

fn traffic(host: &Host, name: &str, received: u64) {
    host.file(&format!("sys/class/net/{name}/statistics/rx_bytes"), &format!("{received}\n"));
    host.file(&format!("sys/class/net/{name}/statistics/tx_bytes"), "300\n");
}

/// Counters of a port, which receives 1000 bytes while the host sleeps.
fn counters(host: &Host, name: &str, received: u64) {
    traffic(host, name, received);
    host.file(&format!("later/sys/class/net/{name}/statistics/rx_bytes"), &format!("{}\n", received + 1000));
}

fn remove(host: &Host, path: &str) {
    let path = host.0.path().join(path);
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// What the script prints on the host; each file system that df is asked for uses ten KiB more than the one before.
fn run(host: &Host, shell: &[&str], script: &str) -> String {
    let root = host.0.path().display();
    let mut text = format!(
        "df() {{ [ \"$1 $2\" = '-P -k' ] || return 1; shift 2; echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n\
         n=0; for m; do n=$((n + 10)); printf '/dev/x y 999 %s 90 5%% %s\\n' $n \"$m\" | tr '\\001-\\011\\013-\\037' '?'; done; }}\n\
         sleep() {{ if [ -e {root}/whole ]; then case $1 in *.*) return 1 ;; esac; fi\n\
         printf '%s\\n' \"$1\" > {root}/slept; cp -R {root}/later/. {root}/; }}\n"
    );
    if shell[0] == "busybox" {
        text += "grep() { busybox grep \"$@\"; }\n";
    }
    host.run(shell, &(text + script))
}

/// A reading by each shell. `make` builds the same host again, as a reading lets its time pass.
fn by_all(make: impl Fn() -> Host, all_disks: bool) -> (Reading, HostLoad, String) {
    let mut all = shells().into_iter().map(|shell| {
        let text = run(&make(), &shell, &script(None, SECOND, all_disks));
        let (reading, load) = read(&text, None, None);
        (reading, load, text)
    });
    let first = all.next().unwrap();
    for (reading, load, text) in all {
        assert_eq!((&reading, &load), (&first.0, &first.1), "{text}\n----\n{}", first.2);
    }
    first
}

#[test]
fn a_host_is_measured_in_one_visit() {
    let (reading, load, text) = by_all(debian, false);
    assert_eq!(load.reasons, BTreeMap::new());
    let kib = |kib: u64| Some(Count::new(kib * 1024));
    let want = Usage {
        cpu_percent: Some(20.0),
        cpus: Some(2.0),
        load: Some(0.42),
        memory_bytes: kib(6_000_000),
        memory_max_bytes: kib(16_000_000),
        disk_bytes: kib(10),
        disk_max_bytes: kib(100),
        // The port alone, and the disk without its partition and what LVM makes of it.
        receive_bytes: Some(Count::new(6000)),
        transmit_bytes: Some(Count::new(300)),
        read_bytes: Some(Count::new(1004 * 512)),
        write_bytes: Some(Count::new(2008 * 512)),
        uptime_seconds: Some(Count::new(93_786)),
    };
    assert_eq!(load.usage, want);
    assert_eq!((load.rates.receive, load.rates.write), (Some(500.0), Some(2048.0)));
    assert_eq!((load.swap_bytes, load.arc_bytes, load.filesystems.len()), (Some(1_000_000 * 1024), None, 1));
    assert_eq!(load.pressure.io_percent, Some(1.25));
    assert_eq!((reading.ports.len(), reading.disks.len(), load.measured_seconds), (1, 1, Some(2.0)));
    assert!(!text.contains("intr") && !text.contains("full"), "{text}");
}

#[test]
fn a_remembered_reading_saves_the_pause() {
    for shell in shells() {
        let host = debian();
        let ask = |known: Option<&Reading>| run(&host, &shell, &script(known, SECOND, false));
        let measured = |text: &str| text.contains("\nagain\t");
        let first = ask(None);
        assert!(measured(&first), "{first}");
        let (known, _) = read(&first, None, None);

        host.file("proc/uptime", "93846.21 1.0\n");
        host.file("proc/stat", "cpu  1000560 2000 300020 36001316 40504 0 5000 0 0 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\n");
        let second = ask(Some(&known));
        assert!(!measured(&second), "{shell:?}: {second}");
        let (reading, load) = read(&second, Some(&known), None);
        assert_eq!((load.usage.cpu_percent, load.measured_seconds), (Some(25.0), Some(60.0)));

        // So young that nothing could be told, of the future, or of another boot: measured again.
        for (known, why) in [
            (reading.clone(), "young"),
            (Reading { uptime: reading.uptime.map(|up| up + 500.0), ..reading.clone() }, "of the future"),
            (Reading { boot_id: Some("4f39dcff-3b06-442c-9fdf-2778c2f46a00".into()), ..known.clone() }, "foreign"),
            (Reading { boot_id: Some("x; touch /tmp/x".into()), ..known.clone() }, "hostile"),
            (Reading { uptime: None, ..known.clone() }, "timeless"),
        ] {
            for path in ["proc/uptime", "proc/stat"] {
                fs::copy(debian().0.path().join(path), host.0.path().join(path)).unwrap();
            }
            let known = Reading { uptime: known.uptime.map(|up| if why == "young" { 93_784.1 } else { up }), ..known };
            let text = ask(Some(&known));
            assert!(measured(&text), "{why}: {text}");
            assert_eq!(read(&text, Some(&known), None).1.usage.cpu_percent, Some(20.0), "{why}");
        }
    }
}

#[test]
fn parts_of_a_second_where_sleep_knows_them() {
    for shell in shells() {
        for (interval, whole, want) in [
            (500, false, "0.500\n"),
            (500, true, "1\n"),
            (2250, true, "3\n"),
            (2000, true, "2\n"),
            (0, false, "0.050\n"),
        ] {
            let host = debian();
            if whole {
                host.file("whole", "");
            }
            run(&host, &shell, &script(None, Duration::from_millis(interval), false));
            assert_eq!(fs::read_to_string(host.0.path().join("slept")).unwrap(), want, "{shell:?}");
        }
    }
}

#[test]
fn no_linux() {
    // FreeBSD's /proc is an empty folder. What it says of its disk is true; the rest is not there.
    let make = || {
        let host = Host(tempfile::tempdir().unwrap());
        fs::create_dir(host.0.path().join("proc")).unwrap();
        host
    };
    let (reading, load, text) = by_all(make, true);
    assert!(!text.contains("again"), "{text}");
    let keys: Vec<_> = load.reasons.keys().copied().collect();
    assert_eq!(keys, ["cpu", "io", "load", "memory", "network", "pressure", "swap", "uptime"]);
    assert!(load.reasons.values().all(|why| why == "the server has no Linux /proc"), "{:?}", load.reasons);
    assert_eq!(reading, Reading::default());
    let rest = Usage { disk_bytes: None, disk_max_bytes: None, ..load.usage };
    assert_eq!((rest, load.usage.disk_bytes), (Usage::default(), Some(Count::new(10 * 1024))));
}

#[test]
fn a_container_without_ports_and_disks() {
    let eth0 = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    let worse = "eno7\t00000000\t0101A8C0\t0003\t0\t0\t900\t00000000\t0\t0\t0\n";
    let make = |route: &str, six: &str| {
        let host = debian();
        remove(&host, "sys/class/net/eno1");
        remove(&host, "sys/block/sda");
        counters(&host, "eth0", 50);
        host.file("proc/net/route", &format!("{NET}{route}"));
        host.file("proc/net/ipv6_route", six);
        host
    };
    let by_route = "no physical port: measured on eth0, where the default route leads";
    let zero = "00000000000000000000000000000000";
    let lo = format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n");
    let six = format!(
        "fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eno7\n\
         {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n{lo}"
    );
    for (route, six) in [(format!("{worse}{eth0}"), ""), (String::new(), six.as_str())] {
        let (reading, load, _) = by_all(|| make(&route, six), false);
        assert_eq!(load.reasons["network"], by_route);
        assert_eq!(load.reasons["io"], "the server has no visible physical disk");
        assert_eq!((reading.ports.len(), load.rates.receive), (1, Some(500.0)));
        assert_eq!((load.usage.read_bytes, load.rates.read), (None, None));
    }
    let (_, load, _) = by_all(|| make("", &lo), false);
    assert_eq!(load.reasons["network"], "the server has no physical network port, and no default route");
    assert_eq!((load.usage.receive_bytes, load.rates.receive), (None, None));
    let (_, load, _) = by_all(|| make(worse, ""), false);
    assert_eq!(load.reasons["network"], "the counters of eno7 cannot be read");
}

#[test]
fn zfs_and_containers_on_it() {
    let of = |arc: u64, mounts: &str| {
        let make = || {
            let host = debian();
            host.file("proc/spl/kstat/zfs/arcstats", &format!("hits  4 5\nsize  4    {arc}\noverhead_size 4 7\n"));
            host.file("proc/mounts", mounts);
            host
        };
        let (_, load, _) = by_all(make, false);
        (load.usage.memory_bytes.unwrap().get(), load.arc_bytes, load.reasons)
    };
    let used = 6_000_000 * 1024;
    // The host itself has lxcfs mounted where no meminfo is.
    let (on_host, inside) = (
        "lxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0\n",
        "lxcfs /proc/meminfo fuse.lxcfs rw 0 0\nsize /size tmpfs rw 0 0\n",
    );
    let (memory, arc, reasons) = of(1 << 30, on_host);
    assert_eq!((memory, arc, reasons.len()), (used - (1 << 30), Some(1 << 30), 0));
    let (memory, arc, reasons) = of(1 << 40, on_host);
    assert_eq!((memory, arc), (used, Some(1 << 40)));
    assert_eq!(reasons["memory"], "ZFS's cache is larger than the memory in use, and was not taken off");
    let (memory, arc, reasons) = of(1 << 30, inside);
    assert_eq!((memory, arc), (used, None));
    assert_eq!(reasons["arc"], "ZFS's cache is the host's, not this container's");
}

#[test]
fn an_old_kernel_tells_less() {
    let make = || {
        let host = debian();
        let meminfo = fs::read_to_string(host.0.path().join("proc/meminfo")).unwrap();
        host.file("proc/meminfo", &meminfo.replace("MemAvailable:   10000000 kB\n", ""));
        for path in ["proc/pressure", "proc/loadavg", "proc/sys/kernel/random/boot_id"] {
            remove(&host, path);
        }
        host
    };
    let (_, load, _) = by_all(make, false);
    let available = 2_000_000 + 200_000 + 6_000_000 - 100_000 + 500_000;
    assert_eq!(load.usage.memory_bytes, Some(Count::new((16_000_000 - available) * 1024)));
    let want = "the kernel does not say what is available: free, buffers and cache were taken";
    assert_eq!((load.reasons["memory"].as_str(), load.reasons["load"].as_str()), (want, "there is no /proc/loadavg"));
    assert_eq!(load.reasons["pressure"], "the kernel has no pressure stall information");
    assert_eq!(load.reasons["cpu"], "without a boot id two readings cannot be compared");
}

#[test]
fn all_local_file_systems_and_no_others() {
    let mounts = "/dev/root /media/before ext4 rw 0 0\n/dev/root / ext4 rw 0 0\ntmpfs /run/user/0 tmpfs rw 0 0\n\
        overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n/dev/loop3 /snap/core/1 squashfs ro 0 0\n\
        /dev/sdb1 /srv/a\\040b xfs rw 0 0\n/dev/sdb1 /srv/bound xfs rw 0 0\nnas:/export /mnt/nfs nfs4 rw 0 0\n\
        /dev/sdc1 /mnt/nfs/below ext4 rw 0 0\n/dev/sdd1 /mnt/under ext4 rw 0 0\n//nas/share /mnt/under cifs rw 0 0\n\
        me@nas: /home/me/far fuse.sshfs rw 0 0\nsystemd-1 /auto autofs rw 0 0\n/dev/sde1 /auto/x ext4 rw 0 0\n\
        tank/data /tank\\0405%\\040/data zfs rw 0 0\ntank/data@daily /tank/.zfs/snapshot/daily zfs rw 0 0\n\
        tank/two\\040words /tab\\011back\\134slash\\0401 zfs rw 0 0\n/dev/sdf1 /* vfat rw 0 0\n\
        /dev/sdg1 /$(touch\\040x)`id`;'\" fuseblk rw 0 0\n";
    let make = || {
        let host = debian();
        host.file("proc/mounts", mounts);
        host
    };
    let (_, load, text) = by_all(make, true);
    assert_eq!(load.reasons, BTreeMap::new(), "{text}");
    let list: Vec<_> = load.filesystems.iter().map(|one| (one.mount.as_str(), one.used_bytes / 1024)).collect();
    // The second, at 20, is the root's device again.
    let want = [
        ("/", 10),
        ("/srv/a b", 30),
        ("/tank 5% /data", 40),
        ("/tab\tback\\slash 1", 50),
        ("/*", 60),
        ("/$(touch x)`id`;'\"", 70),
    ];
    assert_eq!(list, want, "{text}");
    // What was left out was not touched at all; without the wish, nothing but the root.
    let asked = |text: &str| text.lines().filter(|line| line.starts_with("/dev/x y")).count();
    assert_eq!(asked(&text), 7, "{text}");
    assert_eq!(asked(&by_all(make, false).2), 1);
}

#[test]
fn line_ends_in_a_name_reach_df() {
    let make = || {
        let host = debian();
        host.file("proc/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /line\\012end\\012 xfs rw 0 0\n");
        host
    };
    let (_, load, text) = by_all(make, true);
    // busybox prints them as they are, and its lines cannot be told; GNU df prints question marks.
    assert!(text.contains(" /line\nend\n\n"), "{text:?}");
    assert_eq!(load.reasons["disk"], "df does not list 1 of 1 other file systems");
    let (_, load) = read(&text.replace("/line\nend\n\n", "/line?end?\n"), None, None);
    assert_eq!(load.filesystems[1].mount, "/line\nend\n");
}

#[test]
fn ten_thousand_mounts() {
    let mut mounts = String::from("/dev/sda1 / ext4 rw 0 0\n");
    mounts.extend((0..5000).map(|n| format!("/dev/sd{n} /mnt/m{n} ext4 rw 0 0\ntmpfs /run/{n} tmpfs rw 0 0\n")));
    let host = debian();
    host.file("proc/mounts", &mounts);
    for shell in shells() {
        let load = read(&run(&host, &shell, &script(None, SECOND, true)), None, None).1;
        assert_eq!(load.filesystems.len(), 201);
        assert_eq!(load.reasons["disk"], "there are more than 200 other file systems; the rest was not looked at");
    }
}
