//! The facts script and the reading of what it prints.
//!
//! One script answers everything that ecobox wants to know of a host before it has a token: which product it
//! is, how it can be woken and put to sleep, what its own addresses are, and whether commands can run as root.
//! Reading is lenient: a line that is missing, cut off or senseless costs that one fact.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::host::facts::{HostAddress, HostFacts, Nic, Privilege, Product, PveFacts};

/// The script; POSIX sh, no arguments, reads nothing from its input, needs no rights.
pub(crate) const SCRIPT: &str = concat!(include_str!("has.sh"), "\n", include_str!("facts.sh"));

/// More ports than this are not believed.
const MAX_NICS: usize = 256;
/// More addresses than this are not believed.
const MAX_ADDRESSES: usize = 1024;

/// The facts that the script's output tells. Never fails: what cannot be read is `None`.
pub(crate) fn parse(text: &str) -> HostFacts {
    let mut seen = Seen::default();
    for line in text.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            seen.addresses.extend(address_of_ip(line));
        } else if let Some((key, value)) = line.split_once('\t') {
            seen.take(key, value.trim());
        }
    }
    seen.finish()
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    facts: HostFacts,
    system: Option<String>,
    uid: Option<u32>,
    sudo: Option<Privilege>,
    /// dpkg-query was there and could be asked.
    dpkg: bool,
    /// Installed Proxmox packages with their versions.
    packages: Vec<(String, String)>,
    pveversion: Option<String>,
    /// The text of the file `/etc/pve/version`.
    version_file: Option<String>,
    /// Where `/etc/pve/local` leads.
    local: Option<String>,
    local_mode: Option<u32>,
    /// The default route's interface and all below it.
    route: Vec<String>,
    /// The port named last is not believed: its lines are dropped.
    skip_nic: bool,
    operstate: Vec<(String, bool)>,
    networks: Vec<(String, Ipv4Addr, Ipv4Addr)>,
    local4: Vec<Ipv4Addr>,
    addresses: Vec<HostAddress>,
}

impl Seen {
    fn take(&mut self, key: &str, value: &str) {
        match key {
            "os" => self.facts.os = word(unquote(value)),
            "system" => self.system = word(value),
            "kernel" => self.facts.kernel = word(value),
            "hostname" => self.facts.hostname = word(value),
            "machine" => self.facts.machine_id = word(value).filter(|id| is_id(id)),
            "boot" => self.facts.boot_id = word(value).filter(|id| is_id(id)),
            "uname" => self.take_uname(value),
            "uid" => self.uid = value.parse().ok(),
            "sudo" => {
                self.sudo = match value {
                    "yes" => Some(Privilege::Sudo),
                    "no" => Some(Privilege::Denied),
                    "none" => Some(Privilege::Nosudo),
                    _ => None,
                }
            }
            "dpkg" => self.dpkg = value == "yes",
            "pkg" => self.packages.extend(installed(value)),
            "pveversion" => self.pveversion = version_in(value),
            "pveversionfile" => self.version_file = Some(value.to_owned()),
            "local" => self.local = node_of_link(value),
            "localmode" => self.local_mode = u32::from_str_radix(value, 8).ok(),
            "sleep" => {
                let states: Vec<&str> = value.split_whitespace().collect();
                self.facts.sleep.suspend = Some(states.contains(&"mem"));
                self.facts.sleep.hibernate = Some(states.contains(&"disk"));
            }
            "masked" => self.facts.sleep.masked = yes_no(value),
            "route" => self.route.extend(interface(value)),
            "net" => self.networks.extend(network(value)),
            "local4" => self.local4.extend(value.parse::<Ipv4Addr>()),
            "inet6" => self.addresses.extend(address_of_if_inet6(value)),
            "nic" => {
                let name = interface(value).filter(|_| self.facts.nics.len() < MAX_NICS);
                self.skip_nic = name.is_none();
                self.facts.nics.extend(name.map(|name| Nic {
                    name,
                    mac: String::new(),
                    link: None,
                    master: None,
                    default_route: false,
                    wol_armed: None,
                    wol_supported: None,
                }));
            }
            _ => self.take_of_nic(key, value),
        }
    }

    /// The lines that belong to the port named last.
    fn take_of_nic(&mut self, key: &str, value: &str) {
        let Some(nic) = self.facts.nics.last_mut().filter(|_| !self.skip_nic) else { return };
        match key {
            "mac" if nic.mac.is_empty() => nic.mac = mac(value).unwrap_or_default(),
            "perm" => nic.mac = mac(value).unwrap_or_else(|| nic.mac.clone()),
            "carrier" => {
                nic.link = match value {
                    "1" => Some(true),
                    "0" => Some(false),
                    _ => None,
                }
            }
            // A port that is switched off has no readable carrier.
            "operstate" => match value {
                "up" => self.operstate.push((nic.name.clone(), true)),
                "down" => self.operstate.push((nic.name.clone(), false)),
                _ => {}
            },
            "master" => nic.master = interface(value),
            // ethtool: `Supports Wake-on: pumbg`, `Wake-on: g`; `g` is the magic packet, `d` disabled.
            "" => {
                if let Some(modes) = value.strip_prefix("Supports Wake-on:") {
                    nic.wol_supported = wake_modes(modes);
                } else if let Some(modes) = value.strip_prefix("Wake-on:") {
                    nic.wol_armed = wake_modes(modes);
                }
            }
            _ => {}
        }
    }

    fn take_uname(&mut self, value: &str) {
        let mut words = value.split_whitespace();
        self.system = words.next().and_then(word);
        self.facts.hostname = words.next().and_then(word);
        self.facts.kernel = words.next().and_then(word);
    }

    fn finish(mut self) -> HostFacts {
        self.facts.product = self.product();
        self.facts.privilege = match self.uid {
            Some(0) => Privilege::Root,
            _ => self.sudo.unwrap_or_default(),
        };
        self.facts.nics.retain(|nic| !nic.mac.is_empty());
        for nic in &mut self.facts.nics {
            nic.default_route = self.route.contains(&nic.name);
            let state = self.operstate.iter().find(|(name, _)| *name == nic.name).map(|(_, up)| *up);
            nic.link = nic.link.or(state);
        }
        let networks = self.networks;
        self.addresses.extend(self.local4.iter().filter_map(|ip| in_networks(*ip, &networks)));
        let mut addresses = Vec::new();
        for address in self.addresses {
            if is_own(&address) && !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
                addresses.push(address);
            }
        }
        self.facts.addresses = addresses;
        self.facts
    }

    fn product(&mut self) -> Product {
        let package = |name: &str| self.packages.iter().find(|(package, _)| package == name);
        let pve = package("pve-manager");
        // Where dpkg can be asked it decides: a folder /etc/pve may be left over from a removed installation.
        let guess = !self.dpkg && self.local.is_some();
        if pve.is_some() || self.pveversion.is_some() || self.version_file.is_some() || guess {
            let version = pve.and_then(|(_, version)| version_in(version)).or_else(|| self.pveversion.take());
            // A file there means that something is mounted, even without the link. A node's name is its host name.
            let pmxcfs = self.local.is_some() || self.version_file.is_some();
            let short = self.facts.hostname.as_deref().and_then(|name| name.split('.').next());
            let name = self.local.as_deref().or(short.filter(|_| pmxcfs));
            let node = name.and_then(|name| name.parse().ok());
            return Product::Pve(PveFacts {
                node,
                version: version.or_else(|| self.version_file.as_deref().and_then(version_in)),
                quorate: self.local_mode.filter(|_| self.local.is_some()).map(|mode| mode & 0o200 != 0),
                pmxcfs,
            });
        }
        for (name, product) in [
            ("proxmox-backup-server", "Proxmox Backup Server"),
            ("proxmox-mailgateway", "Proxmox Mail Gateway"),
            ("pmg-api", "Proxmox Mail Gateway"),
            ("proxmox-datacenter-manager", "Proxmox Datacenter Manager"),
        ] {
            if let Some((_, version)) = package(name) {
                return Product::OtherProxmox { product: product.to_owned(), version: version_in(version) };
            }
        }
        match self.system.take() {
            Some(system) if system == "Linux" => Product::Linux,
            Some(system) => Product::Other { system },
            None => Product::Unknown,
        }
    }
}

/// A value as a fact: without control characters; nothing left is no fact.
pub(in crate::fleet) fn word(value: &str) -> Option<String> {
    let text: String = value.chars().filter(|c| !c.is_control()).take(256).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A value of os-release: bare, or quoted as in a shell.
fn unquote(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn is_id(text: &str) -> bool {
    (32..=36).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn yes_no(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// An interface's name as the kernel allows it, at most 15 bytes.
fn interface(value: &str) -> Option<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    (!value.is_empty() && value.len() <= 15 && !value.contains(odd)).then(|| value.to_owned())
}

/// Six bytes, one machine's own: not all zero, not a group's.
fn mac(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    let bytes: Vec<&str> = value.split(':').collect();
    let byte = |text: &&str| u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let numbers: Option<Vec<u8>> = bytes.iter().map(byte).collect();
    let numbers = numbers.filter(|n| n.len() == 6)?;
    let own = numbers.first().is_some_and(|first| first & 1 == 0) && numbers.iter().any(|byte| *byte != 0);
    own.then_some(value)
}

/// Whether the magic packet is among ethtool's letters.
fn wake_modes(modes: &str) -> Option<bool> {
    let modes = modes.trim();
    let letters = !modes.is_empty() && modes.chars().all(|c| c.is_ascii_lowercase());
    letters.then(|| modes.contains('g'))
}

/// `pve-manager install ok installed 9.2.11` gives name and version, if the package is there.
fn installed(value: &str) -> Option<(String, String)> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let [name, _wanted, _flag, state, version] = words.as_slice() else { return None };
    let there = !matches!(*state, "not-installed" | "config-files" | "half-installed");
    there.then(|| ((*name).to_owned(), (*version).to_owned()))
}

/// The version in `9.2.11`, `7.4-3`, `pve-manager/9.2.11/14a22df3 (running kernel: 6.18.44)`.
pub(in crate::fleet) fn version_in(text: &str) -> Option<String> {
    let start = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    let part = text.split(|c: char| c == '/' || c.is_whitespace()).find(start)?;
    Some(part.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-+~".contains(*c)).take(64).collect())
}

/// `nodes/pve1` or `/etc/pve/nodes/pve1` gives `pve1`.
pub(in crate::fleet) fn node_of_link(value: &str) -> Option<String> {
    let (before, node) = value.rsplit_once('/')?;
    (before == "nodes" || before.ends_with("/nodes")).then(|| word(node))?
}

/// A line of `ip -o addr`: `2: eno1    inet 192.168.1.10/24 brd ... scope global eno1\ ...`.
fn address_of_ip(line: &str) -> Option<HostAddress> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_index, name, "inet" | "inet6", address, rest @ ..] = words.as_slice() else { return None };
    // Privacy addresses come and go; the others here do not work (any more, or yet).
    if rest.iter().any(|flag| ["temporary", "deprecated", "tentative", "dadfailed"].contains(flag)) {
        return None;
    }
    // On a point-to-point link: `inet 10.0.0.1 peer 10.0.0.2/32`.
    let prefix = match rest {
        ["peer", peer, ..] if !address.contains('/') => peer.rsplit_once('/').map(|(_, prefix)| prefix),
        _ => None,
    };
    let (ip, prefix) = address.split_once('/').or_else(|| prefix.map(|prefix| (*address, prefix)))?;
    let name = name.split('@').next().unwrap_or_default();
    host_address(ip.parse().ok()?, prefix.parse().ok()?, name)
}

/// A line of `/proc/net/if_inet6`: address, index, prefix, scope and flags in hex, then the interface.
fn address_of_if_inet6(value: &str) -> Option<HostAddress> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let [address, _index, prefix, _scope, flags, name] = words.as_slice() else { return None };
    let bits = u128::from_str_radix(address, 16).ok().filter(|_| address.len() == 32)?;
    // linux/if_addr.h: temporary 0x01, dadfailed 0x08, deprecated 0x20, tentative 0x40
    if u32::from_str_radix(flags, 16).ok()? & 0x69 != 0 {
        return None;
    }
    host_address(Ipv6Addr::from_bits(bits).into(), u8::from_str_radix(prefix, 16).ok()?, name)
}

fn host_address(ip: IpAddr, prefix: u8, name: &str) -> Option<HostAddress> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    (prefix <= most).then_some(HostAddress { ip, prefix, interface: interface(name)? })
}

/// `eno1 0002A8C0 00FFFFFF`: interface, network, mask as `/proc/net/route` writes them on a little-endian host.
fn network(value: &str) -> Option<(String, Ipv4Addr, Ipv4Addr)> {
    let mut words = value.split_whitespace();
    let name = interface(words.next()?)?;
    let mut address = || {
        let bits = u32::from_str_radix(words.next()?, 16).ok()?;
        Some(Ipv4Addr::from_bits(bits.swap_bytes()))
    };
    Some((name, address()?, address()?))
}

/// The address with the smallest network that it lies in.
fn in_networks(ip: Ipv4Addr, networks: &[(String, Ipv4Addr, Ipv4Addr)]) -> Option<HostAddress> {
    let holds = |net: &&(String, Ipv4Addr, Ipv4Addr)| ip.to_bits() & net.2.to_bits() == net.1.to_bits();
    let (name, _, mask) = networks.iter().filter(holds).max_by_key(|net| net.2)?;
    let prefix = u8::try_from(mask.to_bits().leading_ones()).ok()?;
    host_address(ip.into(), prefix, name)
}

/// Whether others may reach the host by it: not loopback, not link-local, not a network of its own containers.
fn is_own(address: &HostAddress) -> bool {
    let reachable = match address.ip {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast())
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast()),
    };
    let inner =
        ["docker", "veth", "virbr", "lxcbr", "lxdbr", "podman", "cni", "flannel", "cali", "tap", "fwbr", "fwln"];
    // Docker names its networks br- and twelve hex digits.
    let docker =
        address.interface.strip_prefix("br-").is_some_and(|id| id.len() == 12 && u64::from_str_radix(id, 16).is_ok());
    reachable && !docker && !inner.iter().any(|prefix| address.interface.starts_with(prefix))
}

#[cfg(test)]
pub(crate) mod run_tests;
#[cfg(test)]
mod tests;
