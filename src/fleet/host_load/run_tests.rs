//! Runs the script with the shells of this machine, on simulated hosts.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ecobox_sim::host::{Disk, Host, Nic, Pace};

use super::*;
use crate::fleet::host_facts::run_tests::shells;

const SECOND: Duration = Duration::from_secs(1);

/// Where this machine has a program.
fn program(name: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .unwrap()
}

/// What a script prints on the host under a shell. busybox brings its own grep.
fn run(host: &Host, shell: &[&str], script: &str) -> String {
    let mut sed = Command::new("sed")
        .args(["-E", "-f"])
        .arg(host.root().join(".sim/rewrite-0"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sed.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let script = String::from_utf8(sed.wait_with_output().unwrap().stdout).unwrap();

    let root = host.root().to_str().unwrap();
    let applets = tempfile::tempdir().unwrap();
    if shell[0] == "busybox" {
        symlink(program("busybox"), applets.path().join("grep")).unwrap();
    }
    // The host has an sh of its own, first on its PATH.
    let mut child = Command::new(program(shell[0]))
        .args(&shell[1..])
        .arg("-s")
        .env("LC_ALL", "C")
        .env("PATH", format!("{}:{root}/usr/sbin:{root}/usr/bin:/usr/bin:/bin", applets.path().display()))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{{\n(:\n{script}\n)\nset -- $?\n}} </dev/null\necho \"ended $1\"");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.strip_suffix("ended 0\n").unwrap_or_else(|| panic!("{shell:?}: {text}")).to_owned()
}

/// A reading by each shell. `make` builds the same host again, as a reading lets its time pass.
fn by_all(
    make: impl Fn() -> Host,
    known: Option<&Reading>,
    interval: Duration,
    all_disks: bool,
) -> (Reading, HostLoad, String) {
    let mut all = shells().into_iter().map(|shell| {
        let host = make();
        let text = run(&host, &shell, &script(known, interval, all_disks));
        // Boot ids differ between the hosts.
        let (reading, load) = read(&text, known);
        (Reading { boot_id: reading.boot_id.map(|_| String::new()), ..reading }, load, text)
    });
    let first = all.next().unwrap();
    for (reading, load, text) in all {
        assert_eq!((&reading, &load), (&first.0, &first.1), "{text}\n----\n{}", first.2);
    }
    first
}

fn keys(load: &HostLoad) -> Vec<&'static str> {
    load.reasons.keys().copied().collect()
}

#[test]
fn a_proxmox_host_is_measured_in_one_visit() {
    let (reading, load, _) = by_all(|| Host::pve("pve1").build(), None, SECOND, false);
    assert_eq!(load.reasons, BTreeMap::new());
    assert_eq!(load.measured_seconds.map(f64::round), Some(1.0));
    let usage = &load.usage;
    assert_eq!((usage.cpu_percent, usage.cpus, usage.load), (Some(20.0), Some(2.0), Some(0.42)));
    assert_eq!(load.load, Some([0.42, 0.38, 0.31]));
    assert_eq!(usage.memory_max_bytes, Some(Count::new(16_326_428 * 1024)));
    assert_eq!(usage.memory_bytes, Some(Count::new((16_326_428 - 10_485_760) * 1024)));
    assert_eq!((load.swap_bytes, load.swap_max_bytes, load.arc_bytes), (Some(0), Some(8_388_604 * 1024), None));
    assert_eq!(
        (usage.disk_bytes, usage.disk_max_bytes),
        (Some(Count::new(5_242_880 * 1024)), Some(Count::new(68_157_440 * 1024)))
    );
    assert_eq!(load.filesystems.len(), 1);
    // Both ports, no bridge and no tap; the one disk, no partition, LVM or loop device.
    assert_eq!(reading.ports.keys().collect::<Vec<_>>(), ["enp3s0", "enp4s0"]);
    assert_eq!(reading.disks, BTreeMap::from([("sda".to_owned(), (800_080 * 512, 1_600_160 * 512))]));
    assert_eq!(usage.receive_bytes, Some(Count::new(2 * 123_456_789 + 125_000)));
    assert_eq!(usage.write_bytes, Some(Count::new(1_600_160 * 512)));
    let rates = load.rates;
    let near = |rate: Option<f64>, want: f64| assert!((rate.unwrap() - want).abs() < 1.0, "{rate:?} {want}");
    near(rates.receive, 125_000.0);
    near(rates.transmit, 25_000.0);
    near(rates.read, 40_960.0);
    near(rates.write, 81_920.0);
    assert_eq!(usage.uptime_seconds, Some(Count::new(93_785)));
    let pressure = Pressure { cpu_percent: Some(1.25), memory_percent: Some(0.0), io_percent: Some(0.5) };
    assert_eq!(load.pressure, pressure);
}

#[test]
fn a_remembered_reading_saves_the_pause() {
    for shell in shells() {
        let host = Host::debian("nas").build();
        let ask = |known: Option<&Reading>| run(&host, &shell, &script(known, SECOND, false));
        let measured = |text: &str| text.contains("\nagain\t");
        let first = ask(None);
        assert!(measured(&first), "{first}");
        let (known, _) = read(&first, None);

        host.set_pace(&Pace { cpu: [50.0, 0.0, 150.0, 0.0], ..Pace::default() });
        host.advance(60.0);
        let second = ask(Some(&known));
        assert!(!measured(&second), "{shell:?}: {second}");
        let (reading, load) = read(&second, Some(&known));
        assert_eq!((load.usage.cpu_percent, load.measured_seconds.map(f64::round)), (Some(25.0), Some(60.0)));

        // So young that nothing could be told, of the future, or of another boot: measured again.
        for (known, why) in [
            (Reading { uptime: reading.uptime.map(|up| up - 0.5), ..reading.clone() }, "young"),
            (Reading { uptime: reading.uptime.map(|up| up + 500.0), ..reading.clone() }, "of the future"),
            (Reading { boot_id: Some("3f39dcff-3b06-442c-9fdf-2778c2f46a00".into()), ..known.clone() }, "foreign"),
            (Reading { boot_id: Some("x; touch /tmp/x".into()), ..known.clone() }, "hostile"),
            (Reading { uptime: None, ..known.clone() }, "timeless"),
        ] {
            let text = ask(Some(&known));
            assert!(measured(&text), "{why}: {text}");
            assert_eq!(read(&text, Some(&known)).1.usage.cpu_percent, Some(25.0), "{why}");
        }
        host.new_boot();
        let text = ask(Some(&known));
        let (reading, load) = read(&text, Some(&known));
        assert!(measured(&text) && reading.boot_id != known.boot_id);
        assert_eq!((load.usage.cpu_percent, keys(&load)), (Some(25.0), vec![]));
    }
}

#[test]
fn parts_of_a_second_where_sleep_knows_them() {
    let make = |whole: bool| {
        move || {
            let host = Host::debian("nas").build();
            host.set_whole_sleep(whole);
            host
        }
    };
    for (interval, whole, want) in
        [(500, false, 0.5), (500, true, 1.0), (2250, true, 3.0), (2000, true, 2.0), (0, false, 0.05)]
    {
        let (_, load, _) = by_all(make(whole), None, Duration::from_millis(interval), false);
        let measured = load.measured_seconds.unwrap();
        assert!((measured - want).abs() < 0.011, "{interval} ms: {measured}");
    }
}

#[test]
fn other_kinds_of_hosts() {
    let (_, load, _) = by_all(|| Host::alpine("alp").build(), None, SECOND, false);
    assert_eq!(load.usage.cpu_percent, Some(20.0));
    assert_eq!(load.reasons, BTreeMap::from([("pressure", "the kernel has no pressure stall information".to_owned())]));

    // What a FreeBSD says of its disk is true; the rest is not there.
    let (reading, load, text) = by_all(|| Host::freebsd("bsd").build(), None, SECOND, true);
    assert!(!text.contains("again"), "{text}");
    assert_eq!(keys(&load), ["cpu", "io", "load", "memory", "network", "pressure", "swap", "uptime"]);
    assert!(load.reasons.values().all(|why| why == "the server has no /proc as Linux has it"), "{:?}", load.reasons);
    assert_eq!(reading, Reading::default());
    let rest = Usage { disk_bytes: None, disk_max_bytes: None, ..load.usage };
    assert_eq!((rest, load.usage.disk_bytes), (Usage::default(), Some(Count::new(2_097_152 * 1024))));
}

#[test]
fn a_container_without_ports_and_disks() {
    let eth0 = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    let make = |route: &'static str, six: &'static str| {
        move || {
            let host = Host::debian("ct").nics(vec![Nic::virtual_port("eth0", "bc:24:11:00:00:01")]).build();
            host.set_disks(&[]);
            host.set_pace(&Pace { ports: vec![("eth0".into(), 10.0, 20.0)], ..Pace::default() });
            host.write_file(
                "/proc/net/route",
                &format!("Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n{route}"),
            );
            host.write_file("/proc/net/ipv6_route", six);
            host
        }
    };
    let by_route = "no physical port: measured on eth0, where the default route leads";
    let lo = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 \
              ffffffff 00000001 00000000 00200200       lo\n";
    let six = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 \
               00000100 00000001 00000000 00000001     eth0\n\
               00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 \
               00000400 00000001 00000000 00000003     eth0\n";
    for (route, six) in [(eth0, ""), ("", six)] {
        let (reading, load, _) = by_all(make(route, six), None, SECOND, false);
        assert_eq!(load.reasons["network"], by_route);
        assert_eq!(load.reasons["io"], "the server has no physical disk to be seen");
        assert_eq!((reading.ports.len(), load.rates.receive.map(f64::round)), (1, Some(10.0)));
        assert_eq!((load.usage.read_bytes, load.rates.read), (None, None));
    }
    let (_, load, _) = by_all(make("", lo), None, SECOND, false);
    assert_eq!(load.reasons["network"], "the server has no physical network port, and no default route");
    assert_eq!((load.usage.receive_bytes, load.rates.receive), (None, None));
    let gone = "gone0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    let (_, load, _) = by_all(make(gone, ""), None, SECOND, false);
    assert_eq!(load.reasons["network"], "the counters of gone0 cannot be read");
}

#[test]
fn only_whole_physical_disks_and_ports_count() {
    let make = || {
        let host = Host::debian("nas").build();
        host.set_disks(&["sda", "cciss/c0d0", "nvme0n1", "nvme0c0n1", "sda1", "nbd0"]);
        host.remove_file("/sys/block/sda1");
        host.remove_file("/sys/block/nbd0/device");
        for disk in ["sda", "cciss/c0d0", "nvme0n1", "nvme0c0n1", "sda1", "nbd0"] {
            host.add_disk_io(disk, 1024, 512);
        }
        host.write_file("/sys/class/net/enp3s0v0/device/physfn/x", "");
        host.write_file("/sys/class/net/wwan0/device/x", "");
        for (name, kind) in [("enp3s0v0", "1\n"), ("wwan0", "65534\n")] {
            host.write_file(&format!("/sys/class/net/{name}/type"), kind);
            host.set_traffic(name, 7, 7);
        }
        host
    };
    let (reading, load, _) = by_all(make, None, SECOND, false);
    assert_eq!(reading.disks.keys().collect::<Vec<_>>(), ["cciss/c0d0", "nvme0n1", "sda"]);
    assert_eq!(load.usage.read_bytes.map(Count::get), Some(3 * 1024 + 40_960));
    assert_eq!(reading.ports.keys().collect::<Vec<_>>(), ["enp3s0"]);
}

#[test]
fn zfs_and_containers_on_it() {
    let make = |arc: u64, lxcfs: bool| {
        move || {
            let host = Host::pve("pve1").build();
            host.set_arc(arc);
            let mounts = host.read_file("/proc/mounts").unwrap();
            // The host itself has lxcfs mounted where no meminfo is.
            let lines = if lxcfs {
                "lxcfs /proc/meminfo fuse.lxcfs rw 0 0\n"
            } else {
                "lxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0\n"
            };
            host.write_file("/proc/mounts", &(mounts + lines));
            host
        }
    };
    let used = (16_326_428 - 10_485_760) * 1024;
    let of = |(_, load, _): (Reading, HostLoad, String)| {
        (load.usage.memory_bytes.unwrap().get(), load.arc_bytes, load.reasons)
    };
    let (memory, arc, reasons) = of(by_all(make(1 << 30, false), None, SECOND, false));
    assert_eq!((memory, arc, reasons.len()), (used - (1 << 30), Some(1 << 30), 0));
    let (memory, arc, reasons) = of(by_all(make(1 << 40, false), None, SECOND, false));
    assert_eq!((memory, arc), (used, Some(1 << 40)));
    assert_eq!(reasons["memory"], "ZFS's cache is larger than the memory in use, and was not taken off");
    let (memory, arc, reasons) = of(by_all(make(1 << 30, true), None, SECOND, false));
    assert_eq!((memory, arc), (used, None));
    assert_eq!(reasons["arc"], "ZFS's cache is the host's, not this container's");
}

#[test]
fn an_old_kernel_tells_less() {
    let make = || {
        let host = Host::debian("old").build();
        host.set_memory("MemAvailable", None);
        host.remove_file("/proc/pressure");
        host.remove_file("/proc/loadavg");
        host.remove_file("/proc/sys/kernel/random/boot_id");
        host
    };
    let (_, load, _) = by_all(make, None, SECOND, false);
    let available = 2_097_152 + 262_144 + 6_291_456 - 131_072 + 524_288;
    assert_eq!(load.usage.memory_bytes, Some(Count::new((16_326_428 - available) * 1024)));
    let want = "the kernel does not say what is available: free, buffers and cache were taken";
    assert_eq!((load.reasons["memory"].as_str(), load.reasons["load"].as_str()), (want, "there is no /proc/loadavg"));
    assert_eq!(load.reasons["cpu"], "without a boot id two readings cannot be compared");
}

#[test]
fn all_local_file_systems_and_no_others() {
    let make = || {
        let host = Host::debian("nas").build();
        host.set_filesystems(&[
            Disk::new("/dev/root", "/media/before", "ext4", 1, 1),
            Disk::new("/dev/root", "/", "ext4", 400, 600),
            Disk::new("tmpfs", "/run/user/0", "tmpfs", 1, 1),
            Disk::new("overlay", "/var/lib/docker/overlay2/x/merged", "overlay", 1, 1),
            Disk::new("/dev/loop3", "/snap/core/1", "squashfs", 1, 0),
            Disk::new("/dev/sdb1", "/srv/a b", "xfs", 10, 30),
            Disk::new("/dev/sdb1", "/srv/bound", "xfs", 10, 30),
            Disk::new("nas:/export", "/mnt/nfs", "nfs4", 9, 9),
            Disk::new("/dev/sdc1", "/mnt/nfs/below", "ext4", 9, 9),
            Disk::new("/dev/sdd1", "/mnt/under", "ext4", 9, 9),
            Disk::new("//nas/share", "/mnt/under", "cifs", 9, 9),
            Disk::new("me@nas:", "/home/me/far", "fuse.sshfs", 9, 9),
            Disk::new("systemd-1", "/auto", "autofs", 9, 9),
            Disk::new("/dev/sde1", "/auto/x", "ext4", 9, 9),
            Disk::new("tank/data", "/tank 5% /data", "zfs", 70, 30),
            Disk::new("tank/data@daily", "/tank/.zfs/snapshot/daily", "zfs", 70, 30),
            Disk::new("tank/two words", "/line\nend\ttab\\slash\n", "zfs", 1, 99),
            Disk::new("/dev/sdf1", "/*", "vfat", 5, 5),
            Disk::new("/dev/sdg1", "/$(touch x)`id`;'\"", "fuseblk", 6, 5),
        ]);
        host
    };
    let (_, load, text) = by_all(make, None, SECOND, true);
    assert_eq!(load.reasons, BTreeMap::new(), "{text}");
    let list: Vec<_> =
        load.filesystems.iter().map(|one| (one.mount.as_str(), one.used_bytes / 1024, one.size_bytes / 1024)).collect();
    let want = [
        ("/", 400, 1000),
        ("/srv/a b", 10, 40),
        ("/tank 5% /data", 70, 100),
        ("/line\nend\ttab\\slash\n", 1, 100),
        ("/*", 5, 10),
        ("/$(touch x)`id`;'\"", 6, 11),
    ];
    assert_eq!(list, want, "{text}");
    assert_eq!(load.usage.disk_max_bytes, Some(Count::new(1000 * 1024)));

    // What was left out was not touched at all.
    let host = make();
    run(&host, &["sh"], &script(None, SECOND, true));
    assert!(
        host.df_asked().iter().all(|asked| !asked.contains("nfs") && asked != "/mnt/under" && !asked.contains("auto"))
    );
    let host = make();
    run(&host, &["sh"], &script(None, SECOND, false));
    assert_eq!(host.df_asked(), ["/"]);
}

#[test]
fn ten_thousand_mounts() {
    let make = || {
        let host = Host::debian("nas").build();
        let root = Disk::new("/dev/sda1", "/", "ext4", 400, 600);
        let many = (0..10_000).map(|n| match n % 2 {
            0 => Disk::new(&format!("/dev/sd{n}"), &format!("/mnt/m{n}"), "ext4", 1, 1),
            _ => Disk::new("tmpfs", &format!("/run/credentials/{n}"), "tmpfs", 1, 1),
        });
        host.set_filesystems(&std::iter::once(root).chain(many).collect::<Vec<_>>());
        host
    };
    let (_, load, _) = by_all(make, None, SECOND, true);
    assert_eq!(load.filesystems.len(), 201);
    assert_eq!(load.reasons["disk"], "there are more than 200 other file systems; the rest was not looked at");
}
