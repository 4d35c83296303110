use super::*;

fn address(ip: &str, interface: &str) -> Address {
    Address { ip: ip.parse().unwrap(), prefix: None, interface: interface.to_owned(), mac: None }
}

#[test]
fn the_hosts_own_network_comes_first() {
    let networks = [Network { ip: "192.168.7.2".parse().unwrap(), prefix: 24 }];
    let given = [
        ("127.0.0.1", "lo"),
        ("172.17.0.1", "docker0"),
        ("172.18.0.1", "br-0a1b2c3d4e5f"),
        ("fe80::1", "eth0"),
        ("2001:db8::7", "eth0"),
        ("203.0.113.9", "eth2"),
        ("10.8.0.2", "tun0"),
        ("192.168.7.55", "eth1"),
        ("192.168.7.55", "eth1"),
        ("169.254.169.254", "eth0"),
    ];
    let ranked = ranked(given.map(|(ip, interface)| address(ip, interface)).to_vec(), &networks, &[]);
    let ips: Vec<_> = ranked.iter().map(|address| address.ip.to_string()).collect();
    assert_eq!(ips, ["192.168.7.55", "203.0.113.9", "2001:db8::7", "10.8.0.2"]);
}

/// An address with the card it is on.
fn on(mac: &str, ip: &str, interface: &str) -> Address {
    Address { mac: (mac != "-").then(|| mac.to_owned()), ..address(ip, interface) }
}

/// The two cards of a guest's configuration.
const CARDS: [&str; 2] = ["bc:24:11:00:00:64", "bc:24:11:00:00:65"];

/// What a guest says, and in which order its addresses are tried.
type Case = (&'static str, Vec<Address>, &'static [&'static str]);

#[track_caller]
fn come_in_order<const N: usize>(cases: [Case; N]) {
    let networks = [Network { ip: "192.168.7.2".parse().unwrap(), prefix: 24 }];
    for (name, given, want) in cases {
        let ranked = ranked(given, &networks, &CARDS.map(str::to_owned));
        let ips: Vec<_> = ranked.iter().map(|address| address.ip.to_string()).collect();
        assert_eq!(ips, want, "{name}");
    }
}

#[test]
fn a_card_of_the_configuration_comes_before_what_is_inside_the_guest() {
    let [own, second] = CARDS;
    come_in_order([
        (
            "Hyper-V's switch inside of Windows",
            vec![
                on("00:15:5d:01:02:03", "172.29.208.1", "vEthernet (Default Switch)"),
                on(own, "192.168.7.50", "Ethernet"),
            ],
            &["192.168.7.50", "172.29.208.1"],
        ),
        (
            "a public address on the card, private ones on tunnels and bridges",
            vec![
                on("-", "10.8.0.2", "tun0"),
                on("00:00:00:00:00:00", "10.66.0.2", "wg0"),
                on("02:42:ac:11:00:01", "172.20.0.1", "mybridge"),
                on(own, "203.0.113.9", "ens18"),
            ],
            &["203.0.113.9", "172.20.0.1", "10.8.0.2", "10.66.0.2"],
        ),
        (
            "a router's own bridge has the card's address and a bridge's name",
            vec![on(own, "192.168.1.1", "br-lan"), on("02:42:ac:11:00:01", "172.17.0.1", "docker0")],
            &["192.168.1.1"],
        ),
        (
            "an IPv6 address alone on the card",
            vec![on("-", "10.8.0.2", "tun0"), on(own, "2001:db8::7", "eth0")],
            &["2001:db8::7", "10.8.0.2"],
        ),
        (
            "in the host's own network, and not on a card",
            vec![on("-", "192.168.7.9", "tap0"), on(second, "198.51.100.7", "eth1"), on(own, "10.0.0.5", "eth0")],
            &["10.0.0.5", "198.51.100.7", "192.168.7.9"],
        ),
        (
            "among cards the host's own network comes first",
            vec![on(own, "10.0.0.5", "eth0"), on(second, "192.168.7.9", "eth1")],
            &["192.168.7.9", "10.0.0.5"],
        ),
    ]);
}

#[test]
fn names_of_interfaces_are_the_last_resort() {
    let [own, second] = CARDS;
    come_in_order([
        (
            "no card is known by its address",
            vec![on("02:42:00:00:00:01", "172.17.0.1", "docker0"), on("52:54:00:00:00:01", "10.0.0.5", "eth0")],
            &["10.0.0.5"],
        ),
        (
            "the agent tells loopback, docker and tailscale first",
            vec![
                on("00:00:00:00:00:00", "127.0.0.1", "lo"),
                on("02:42:ac:11:00:01", "172.17.0.1", "docker0"),
                on("-", "100.101.102.103", "tailscale0"),
                on("-", "fd7a:115c:a1e0::1", "tailscale0"),
                on(own, "203.0.113.9", "eth0"),
            ],
            &["203.0.113.9", "fd7a:115c:a1e0::1", "100.101.102.103"],
        ),
        (
            "the same where no card is known by its address",
            vec![
                on("02:42:ac:11:00:01", "172.17.0.1", "docker0"),
                on("-", "100.101.102.103", "tailscale0"),
                on("-", "fd7a:115c:a1e0::1", "tailscale0"),
                on("-", "10.147.17.5", "ztabcdefghij"),
                on("52:54:00:00:00:01", "203.0.113.9", "eth0"),
            ],
            &["203.0.113.9", "10.147.17.5", "fd7a:115c:a1e0::1", "100.101.102.103"],
        ),
        (
            "a bridge inside the guest has taken the card's address, the card itself has none",
            vec![
                on(own, "fe80::be24:11ff:fe00:64", "ens18"),
                on("02:42:ac:11:00:01", "172.18.0.1", "br-0a1b2c3d4e5f"),
                on(own, "198.51.100.7", "br0"),
                on("fe:24:11:00:00:01", "10.10.10.1", "vmbr1"),
            ],
            &["198.51.100.7", "10.10.10.1"],
        ),
        (
            "IPv6 alone, on both cards",
            vec![
                on(second, "2001:db8::7", "eth1"),
                on(own, "fd00:1::5", "eth0"),
                on("-", "fd7a:115c:a1e0::1", "tailscale0"),
            ],
            &["fd00:1::5", "2001:db8::7", "fd7a:115c:a1e0::1"],
        ),
        (
            "link-local addresses alone lead nowhere",
            vec![on(own, "fe80::be24:11ff:fe00:64", "eth0"), on(own, "169.254.3.4", "eth0")],
            &[],
        ),
        (
            "a container's bond of two cards, and VLANs above it",
            vec![on(own, "203.0.113.9", "bond0.20"), on(own, "10.0.0.5", "bond0"), on("-", "10.8.0.2", "wg0")],
            &["10.0.0.5", "203.0.113.9", "10.8.0.2"],
        ),
        (
            "what only looks like a tunnel by its name",
            vec![on("-", "10.0.0.5", "wlan0"), on("-", "10.0.0.6", "tunis"), on("-", "10.8.0.2", "tun12")],
            &["10.0.0.5", "10.0.0.6", "10.8.0.2"],
        ),
    ]);
}

#[test]
fn the_configuration_is_asked_only_where_it_decides() {
    let own = "bc:24:11:00:00:64";
    for (name, given, want) in [
        ("no address", vec![], false),
        ("one card", vec![on("00:00:00:00:00:00", "127.0.0.1", "lo"), on(own, "10.0.0.5", "eth0")], false),
        ("two addresses of it", vec![on(own, "10.0.0.5", "eth0"), on(own, "fd00::5", "eth0")], false),
        ("two cards", vec![on(own, "10.0.0.5", "eth0"), on("-", "10.8.0.2", "tun0")], true),
        ("docker beside it", vec![on(own, "10.0.0.5", "eth0"), on("02:42:00:00:00:01", "172.17.0.1", "docker0")], true),
        ("only a bridge", vec![on(own, "192.168.1.1", "br-lan")], true),
    ] {
        assert_eq!(needs_cards(&given), want, "{name}");
    }
}

#[test]
fn what_a_guest_says_is_not_dialled_blindly() {
    let refused = [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "fe80::1",
        "ff02::1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "fec0::1",
    ];
    for ip in refused {
        assert!(!is_dialled(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["10.0.0.5", "192.168.1.9", "8.8.8.8", "100.64.0.7", "fd00::5", "2001:db8::1"] {
        assert!(is_dialled(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn networks_compare_by_their_prefix() {
    for (network, prefix, ip, inside) in [
        ("10.0.0.1", 8, "10.255.0.1", true),
        ("10.0.0.1", 30, "10.0.0.4", false),
        ("10.0.0.1", 32, "10.0.0.1", true),
        ("10.0.0.1", 0, "192.0.2.1", true),
        ("10.0.0.1", 99, "10.0.0.2", false),
        ("fd00::1", 64, "fd00::9:9", true),
        ("fd00::1", 0, "2001::1", true),
        ("fd00::1", 64, "10.0.0.1", false),
    ] {
        let network = Network { ip: network.parse().unwrap(), prefix };
        assert_eq!(network.contains(ip.parse().unwrap()), inside, "{network:?} {ip}");
    }
}
