//! Which disks and network ports count.

use super::*;

#[test]
fn only_whole_physical_disks_and_ports_count() {
    let make = || {
        let host = debian();
        let mut stats = String::new();
        for disk in ["sda", "cciss!c0d0", "nvme0n1", "nvme0c0n1"] {
            host.file(&format!("sys/block/{disk}/device/x"), "");
            stats.extend([" 8 0 ", &disk.replace('!', "/"), " 0 0 2 0 0 0 1 0 0 0 0\n"]);
        }
        host.file("sys/block/nbd0/size", "1\n");
        let stats = stats + " 8 1 sda1 0 0 2 0 0 0 1 0 0 0 0\n 43 0 nbd0 0 0 2 0 0 0 1 0 0 0 0\n";
        host.file("proc/diskstats", &stats);
        host.file("later/proc/diskstats", &stats);
        for (name, kind) in [("eno1v0", "1\n"), ("wwan0", "65534\n")] {
            host.file(&format!("sys/class/net/{name}/device/x"), "");
            host.file(&format!("sys/class/net/{name}/type"), kind);
            traffic(&host, name, 7);
        }
        host.file("sys/class/net/eno1v0/device/physfn/x", "");
        host
    };
    let (reading, load, _) = by_all(make, false);
    assert_eq!(reading.disks.keys().collect::<Vec<_>>(), ["cciss/c0d0", "nvme0n1", "sda"]);
    assert_eq!(load.usage.read_bytes.map(Count::get), Some(3 * 1024));
    assert_eq!(reading.ports.keys().collect::<Vec<_>>(), ["eno1"]);
}

/// What one layer of a stack has counted the one below it has, too.
#[test]
fn traffic_is_counted_once_in_a_stack_of_ports() {
    // Ports with a device, what lies below each and above it, and which count.
    type Stack = (
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: [Stack; 5] = [
        // A router's switch (DSA): its ports lie on the one that leads to the CPU.
        (
            &["eth0", "lan1", "lan2", "wan"],
            &[("lan1", "eth0"), ("lan2", "eth0"), ("wan", "eth0")],
            &[],
            &["lan1", "lan2", "wan"],
        ),
        // The same under a bridge.
        (
            &["eth0", "lan1", "wan"],
            &[("lan1", "eth0"), ("wan", "eth0"), ("br-lan", "lan1")],
            &[("lan1", "br-lan")],
            &["lan1", "wan"],
        ),
        // Hyper-V: what goes through the function of the card itself is counted by the synthetic port, too.
        (&["eth0", "enP2s1"], &[("eth0", "enP2s1")], &[("enP2s1", "eth0")], &["eth0"]),
        // Older kernels there do not say what lies below, only what is above.
        (&["eth0", "enP2s1"], &[], &[("enP2s1", "eth0")], &["eth0"]),
        // A bond's ports count, whatever stands above: it has no device.
        (
            &["eno2", "eno3"],
            &[("bond0", "eno2"), ("bond0", "eno3"), ("vmbr0", "bond0")],
            &[("eno2", "bond0"), ("eno3", "bond0")],
            &["eno2", "eno3"],
        ),
    ];
    for (ports, below, above, want) in cases {
        let make = || {
            let host = debian();
            remove(&host, "sys/class/net/eno1");
            remove(&host, "later/sys/class/net/eno1");
            for name in ports {
                host.file(&format!("sys/class/net/{name}/device/vendor"), "0x8086\n");
                host.file(&format!("sys/class/net/{name}/type"), "1\n");
                counters(&host, name, 10_000);
            }
            for name in ["br-lan", "bond0"] {
                host.file(&format!("sys/class/net/{name}/type"), "1\n");
                traffic(&host, name, 40_000);
            }
            for (upper, lower) in below {
                host.link(&format!("sys/class/net/{upper}/lower_{lower}"), &format!("../{lower}"));
            }
            for (lower, upper) in above {
                host.link(&format!("sys/class/net/{lower}/master"), &format!("../{upper}"));
            }
            host
        };
        let (reading, load, _) = by_all(make, false);
        assert_eq!(reading.ports.keys().collect::<Vec<_>>(), want, "{ports:?}");
        let received = 11_000 * u64::try_from(want.len()).unwrap();
        assert_eq!(load.usage.receive_bytes.map(Count::get), Some(received), "{ports:?}");
    }
}
