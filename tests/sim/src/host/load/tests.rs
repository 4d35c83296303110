use super::*;
use crate::access::Outcome;
use crate::host::Rights;

fn script(host: &Host, login: &str, text: &str) -> Outcome {
    host.run(login, "sh -s", text)
}

#[test]
fn time_and_load_move_when_told() {
    let host = Host::pve("pve1").build();
    let look = "cat /proc/uptime; head -1 /proc/stat; cat /sys/class/net/enp3s0/statistics/rx_bytes; grep ' sda ' /proc/diskstats";
    let before = script(&host, "root", look).stdout;
    assert_eq!(
        before,
        "93784.21 370012.55\ncpu  1000000 2000 300000 36000000 40000 0 5000 0 0 0\n123456789\n   \
         8       0 sda 10000 100 800000 5000 20000 200 1600000 9000 0 7000 14000\n"
    );
    // A script's own short sleep is the host's time, and nobody's here.
    let slept = script(&host, "root", &format!("sleep 2.5; {look}")).stdout;
    let want = "93786.71 370015.05\ncpu 1000075 2000 300025 36000390 40010 0 5000 0 0 0\n123769289\n\
                8 0 sda 10000 100 800200 5000 20000 200 1600400 9000 0 7000 14000\n";
    assert_eq!(slept, want);
    host.set_pace(&Pace { cpu: [200.0, 0.0, 0.0, 0.0], ports: vec![("enp4s0".into(), 1.0, 2.0)], disks: vec![] });
    host.advance(10.0);
    host.add_traffic("enp3s0", 11, 0);
    host.add_disk_io("sda", 512, 1024);
    host.add_cpu(5, 10);
    let want = "93796.71 370025.05\ncpu 1002080 2000 300025 36000400 40010 0 5000 0 0 0\n123769300\n\
                8 0 sda 10000 100 800201 5000 20000 200 1600402 9000 0 7000 14000\n";
    assert_eq!(script(&host, "root", look).stdout, want);
    assert_eq!(host.read_file("/sys/class/net/enp4s0/statistics/tx_bytes").as_deref(), Some("23456809\n"));
    host.set_whole_sleep(true);
    assert_eq!(script(&host, "root", "sleep 0.5 2>/dev/null || echo no; sleep 1; echo $?").stdout, "no\n0\n");
    host.new_boot();
    assert!(script(&host, "root", look).stdout.starts_with("30.50 "));
}

#[test]
fn df_tells_of_what_it_is_asked_for() {
    let host = Host::debian("nas").build();
    host.set_filesystems(&[
        Disk::new("/dev/sda1", "/", "ext4", 400, 600),
        Disk::new("/dev/sdb1", "/a b\n\\c", "xfs", 1, 3),
    ]);
    let df = script(&host, "root", "df -P -k / '/a b\n\\c' /nowhere");
    let want = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                /dev/sda1       1052 400 600 40% /\n/dev/sdb1       4 1 3 25% /a b?\\c\n";
    assert_eq!((df.stdout.as_str(), df.code), (want, 1));
    assert_eq!(host.df_asked(), ["/", "/a b?\\c", "/nowhere"]);
    assert!(host.read_file("/proc/mounts").unwrap().contains("/dev/sdb1 /a\\040b\\012\\134c xfs "));
}

/// ecobox's own script, as far as the simulated hosts have what it reads.
#[test]
fn the_load_script_finds_what_it_reads() {
    let text = include_str!("../../../../../src/fleet/host/load.sh");
    let text = format!("known= since= pause=0.5 whole=1\n{text}\ndf -P -k \"$@\"\n");
    let lines = |host: &Host, login: &str| {
        let outcome = script(host, login, &text);
        assert_eq!((outcome.stderr.as_str(), outcome.code), ("", 0), "{}", outcome.stdout);
        outcome.stdout
    };
    for host in [
        Host::pve("a").login("ops", Rights::NoSudo).build(),
        Host::debian("b").login("ops", Rights::NoSudo).build(),
        Host::alpine("c").login("ops", Rights::NoSudo).build(),
    ] {
        host.set_arc(4096);
        let answer = lines(&host, "ops");
        for wanted in [
            "disks\tsda\n",
            "\nagain\t\nuptime:93784.71 ",
            "stat:cpu 1000015 ",
            "\nstat:cpu1 ",
            " sda 10000 100 800040 ",
            "/net/enp3s0/statistics/rx_bytes:123519289\n",
            "meminfo:MemAvailable:",
            "loadavg:0.42 ",
            "arcstats:size ",
            "% /\n",
        ] {
            assert!(answer.contains(wanted), "{wanted}: {answer}");
        }
        assert_eq!(answer.contains("pressure/io:some "), host.kind() != Kind::Alpine);
        assert!(
            !["vmbr0", "tap", "docker0", "veth", " sda1 ", "dm-0"].iter().any(|other| answer.contains(other)),
            "{answer}"
        );
    }
    let bsd = lines(&Host::freebsd("d").build(), "root");
    assert!(bsd.starts_with("boot\t\ndisks\t\nFilesystem") && bsd.ends_with("% /\n"), "{bsd}");
}
