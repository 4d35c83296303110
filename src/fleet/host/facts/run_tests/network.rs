//! Ports, bridges and addresses.

use super::*;

#[test]
fn only_ports_count_and_the_default_route_is_followed_down() {
    let host = Host::debian();
    host.nic("eno2", "a8:a1:59:00:00:02");
    host.nic("eno3", "a8:a1:59:00:00:03");
    host.nic("eno3v0", "a8:a1:59:00:00:04");
    host.file("sys/class/net/eno3v0/device/physfn/x", "");
    host.nic("wwan0", "");
    host.file("sys/class/net/wwan0/type", "65534\n");
    for name in ["vmbr0", "vmbr0.10", "bond0", "tap100i0", "lo", "veth1"] {
        host.file(&format!("sys/class/net/{name}/address"), "02:00:00:00:00:99\n");
    }
    for (upper, lower) in
        [("vmbr0.10", "vmbr0"), ("vmbr0", "bond0"), ("vmbr0", "tap100i0"), ("bond0", "eno1"), ("bond0", "eno2")]
    {
        host.link(&format!("sys/class/net/{upper}/lower_{lower}"), &format!("../{lower}"));
    }
    for name in ["eno1", "eno2"] {
        host.link(&format!("sys/class/net/{name}/master"), "../bond0");
        host.file(&format!("sys/class/net/{name}/address"), "02:00:00:00:00:99\n");
    }
    host.file("sys/class/net/eno1/bonding_slave/perm_hwaddr", "a8:a1:59:00:00:01\n");
    // Another driver of several ports into one: the address was set, ethtool knows the card's own.
    host.file("sys/class/net/eno2/addr_assign_type", "3\n");
    host.program(
        "usr/sbin/ethtool",
        "case $1 in -P) echo 'Permanent address: a8:a1:59:00:00:02';; eno3) exit 75;; \
         *) printf 'Settings for %s:\\n\\tSupports Wake-on: pumbg\\n\\tWake-on: g\\n' \"$1\";; esac",
    );
    host.route(
        "eno3\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
         vmbr0.10\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
         eno3\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    );
    let facts = of(&host);
    let nics: Vec<_> = facts
        .nics
        .iter()
        .map(|nic| (nic.name.as_str(), nic.mac.as_str(), nic.master.as_deref(), nic.default_route, nic.wol_armed))
        .collect();
    let want = [
        ("eno1", "a8:a1:59:00:00:01", Some("bond0"), true, Some(true)),
        ("eno2", "a8:a1:59:00:00:02", Some("bond0"), true, Some(true)),
        ("eno3", "a8:a1:59:00:00:03", None, false, None),
    ];
    assert_eq!(nics, want);
}

/// Open vSwitch's bridges do not show their ports: all lie below `ovs-system`, and a bridge has the address of one of them.
#[test]
fn the_port_of_an_open_vswitch_bridge_is_found() {
    for (address, want) in [
        ("a8:a1:59:00:00:02", &["eno2"][..]),
        // Set by hand: it may be any of them.
        ("02:00:00:00:00:77", &["eno1", "eno2"]),
    ] {
        let host = Host::debian();
        host.nic("eno2", "a8:a1:59:00:00:02");
        host.nic("eno3", "a8:a1:59:00:00:03");
        host.file("sys/class/net/vmbr0/address", &format!("{address}\n"));
        host.file("sys/class/net/ovs-system/address", "02:00:00:00:00:01\n");
        host.file("sys/class/net/tap100i0/address", "02:00:00:00:00:02\n");
        for lower in ["eno1", "eno2", "tap100i0"] {
            host.link(&format!("sys/class/net/ovs-system/lower_{lower}"), &format!("../{lower}"));
        }
        host.route("vmbr0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        let facts = of(&host);
        let on: Vec<&str> = facts.nics.iter().filter(|nic| nic.default_route).map(|nic| nic.name.as_str()).collect();
        assert_eq!(on, want, "{address}");
        if let [only] = want {
            assert_eq!(facts.wake_nic().map(|nic| nic.name.as_str()), Some(*only));
        }
    }
}

#[test]
fn addresses_with_ip_and_without() {
    let host = Host::debian();
    host.route(
        "eno1\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         eno1\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    );
    host.file(
        "proc/net/fib_trie",
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
         \x20    |-- 192.168.2.7\n        /32 host LOCAL\n     |-- 192.168.2.255\n        /32 link BROADCAST\n",
    );
    host.file("proc/net/if_inet6", "fd000000000000000000000000000002 02 40 00 80     eno1\n");
    let facts = of(&host);
    let list = |facts: &HostFacts| -> Vec<String> {
        facts.addresses.iter().map(|a| format!("{}/{}@{}", a.ip, a.prefix, a.interface)).collect()
    };
    assert_eq!(list(&facts), ["fd00::2/64@eno1", "192.168.2.7/24@eno1"]);
    assert!(facts.nics[0].default_route);

    host.route("");
    host.program(
        "sbin/ip",
        "case $* in '-o addr') echo '2: eno1    inet 10.0.0.5/8 scope global eno1\\  valid_lft forever';; \
         '-6 route show default') echo 'default via fe80::1 dev eno1 proto ra metric 1024';; esac",
    );
    let facts = of(&host);
    assert_eq!(list(&facts), ["10.0.0.5/8@eno1"]);
    assert!(facts.nics[0].default_route);
}
