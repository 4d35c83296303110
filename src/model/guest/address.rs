//! Which of a guest's addresses one would dial.

use std::net::IpAddr;

use crate::model::inventory::server::Address;

/// A network: an address in it, and the bits of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
}

impl Network {
    /// Whether `ip` lies in it.
    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), self.prefix, 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), self.prefix, 128),
            _ => false,
        }
    }
}

fn same(a: u128, b: u128, prefix: u8, bits: u8) -> bool {
    match bits.checked_sub(prefix) {
        Some(rest) if rest < 128 => a >> rest == b >> rest,
        Some(_) => true,
        None => a == b,
    }
}

/// The addresses worth keeping, the one to dial first: on a card that the guest's configuration names (`macs`, lower
/// case), for only those lead out of the guest; then in one of the host's own networks, then what is no tunnel by its
/// name, then private, then others; IPv4 before IPv6. Loopback, link-local and the like are left out, and so is what by its name is a bridge inside the guest
/// and is no such card. Sorting is stable otherwise: the guest's own order counts.
pub(crate) fn ranked(mut addresses: Vec<Address>, networks: &[Network], macs: &[String]) -> Vec<Address> {
    let leads_out = |address: &Address| address.mac.as_ref().is_some_and(|mac| macs.contains(mac));
    addresses.retain(|address| is_dialled(address.ip) && (leads_out(address) || !is_inner(&address.interface)));
    addresses.sort_by_key(|address| {
        let near = networks.iter().any(|network| network.contains(address.ip));
        (!leads_out(address), !near, is_tunnel(&address.interface), !is_private(address.ip), address.ip.is_ipv6())
    });
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(address.ip));
    addresses
}

/// Whether it takes the guest's configuration to rank them: they are on several cards, or on what by its name is none.
pub(crate) fn needs_cards(addresses: &[Address]) -> bool {
    let mut dialled = addresses.iter().filter(|address| is_dialled(address.ip));
    let Some(first) = dialled.next() else { return false };
    let one_card = |other: &Address| other.mac == first.mac && other.interface == first.interface;
    is_inner(&first.interface) || !dialled.all(one_card)
}

/// Whether an address that a guest names may be dialled at all. The guest's root chooses what it says: nothing that
/// leads back to this machine, to the link, to a group, or to another family in disguise.
pub(crate) fn is_dialled(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || first == 0
                || first >= 240)
        }
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            let embedded = ip.to_ipv4_mapped().is_some()
                || segments[0] == 0x2002 // 6to4
                || (segments[0] == 0x64 && segments[1] == 0xff9b) // NAT64
                || segments[..6] == [0; 6]; // IPv4-compatible, ::1, ::
            !(embedded || ip.is_multicast() || ip.is_unicast_link_local() || (segments[0] & 0xffc0) == 0xfec0)
        }
    }
}

/// Interfaces that containers and bridges inside the guest bring along: their networks lead nowhere from outside.
fn is_inner(interface: &str) -> bool {
    const PREFIXES: [&str; 12] =
        ["docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "podman", "lxcbr", "lxdbr", "kube-", "vnet"];
    interface == "lo" || PREFIXES.iter().any(|prefix| interface.starts_with(prefix))
}

/// Interfaces of tunnels: their addresses are reached by whoever is in the tunnel, too.
fn is_tunnel(interface: &str) -> bool {
    const PREFIXES: [&str; 8] = ["tailscale", "tun", "wg", "utun", "zt", "nebula", "ppp", "wt"];
    PREFIXES.iter().any(|prefix| {
        let rest = interface.strip_prefix(prefix);
        // ZeroTier's are `zt` and ten letters and digits.
        rest.is_some_and(|rest| *prefix == "zt" || rest.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
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
            (
                "docker beside it",
                vec![on(own, "10.0.0.5", "eth0"), on("02:42:00:00:00:01", "172.17.0.1", "docker0")],
                true,
            ),
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
}
