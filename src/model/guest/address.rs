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

/// Interfaces of tunnels: their addresses are also reachable inside the tunnel.
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
mod tests;
