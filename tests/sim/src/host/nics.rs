//! Network interfaces as /sys/class/net, /proc/net, `ip` and ethtool show them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::tree::Tree;

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicKind {
    /// A port with a device behind it.
    Physical,
    Bridge,
    Bond,
    /// A guest's tap, a veth pair, docker0: anything without a device.
    Virtual,
}

/// One network interface of a simulated host.
#[derive(Debug, Clone)]
pub struct Nic {
    pub name: String,
    pub mac: String,
    pub kind: NicKind,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    pub carrier: bool,
    /// Addresses with the length of their network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// ethtool's letters: what is supported, and what is armed (`g`: magic packet, `d`: nothing).
    pub wol: Option<(String, String)>,
    /// The address burnt into the card, where `mac` is another.
    pub permanent_mac: Option<String>,
}

impl Nic {
    fn new(name: &str, mac: &str, kind: NicKind) -> Nic {
        Nic {
            name: name.into(),
            mac: mac.into(),
            kind,
            master: None,
            carrier: true,
            addresses: Vec::new(),
            wol: None,
            permanent_mac: None,
        }
    }

    /// A physical port with a cable, Wake-on-LAN armed.
    pub fn physical(name: &str, mac: &str) -> Nic {
        Nic { wol: Some(("pumbg".into(), "g".into())), ..Nic::new(name, mac, NicKind::Physical) }
    }

    /// A bridge.
    pub fn bridge(name: &str, mac: &str) -> Nic {
        Nic::new(name, mac, NicKind::Bridge)
    }

    /// A bond.
    pub fn bond(name: &str, mac: &str) -> Nic {
        Nic::new(name, mac, NicKind::Bond)
    }

    /// A tap, veth, docker0 or the like.
    pub fn virtual_port(name: &str, mac: &str) -> Nic {
        Nic::new(name, mac, NicKind::Virtual)
    }

    /// Makes it a port of a bridge or bond.
    #[must_use]
    pub fn in_master(mut self, master: &str) -> Nic {
        self.master = Some(master.into());
        self
    }

    /// Gives it an address.
    #[must_use]
    pub fn address(mut self, ip: IpAddr, prefix: u8) -> Nic {
        self.addresses.push((ip, prefix));
        self
    }

    /// Takes the cable out.
    #[must_use]
    pub fn unplugged(mut self) -> Nic {
        self.carrier = false;
        self
    }

    /// ethtool's letters, e.g. `wol("pumbg", "d")`.
    #[must_use]
    pub fn wol(mut self, supported: &str, armed: &str) -> Nic {
        self.wol = Some((supported.into(), armed.into()));
        self
    }

    fn device_folder(&self, index: usize) -> String {
        match self.kind {
            NicKind::Physical => format!("sys/devices/pci0000:00/0000:{index:02x}:00.0/net/{}", self.name),
            _ => format!("sys/devices/virtual/net/{}", self.name),
        }
    }
}

/// Writes everything that shows the interfaces. The default route goes through the first that has an IPv4 address.
pub(super) fn write(tree: &Tree, nics: &[Nic]) {
    let folders: Vec<String> = nics.iter().enumerate().map(|(index, nic)| nic.device_folder(index + 1)).collect();
    for (nic, folder) in nics.iter().zip(&folders) {
        let put = |file: &str, text: &str| tree.write(&format!("{folder}/{file}"), &format!("{text}\n"));
        put("address", &nic.mac);
        put("addr_assign_type", "0");
        put("type", "1");
        put("mtu", "1500");
        put("flags", "0x1003");
        put("carrier", if nic.carrier { "1" } else { "0" });
        put("operstate", if nic.carrier { "up" } else { "down" });
        put("speed", if nic.carrier { "1000" } else { "-1" });
        put("statistics/rx_bytes", "123456789");
        put("statistics/tx_bytes", "23456789");
        tree.link(&format!("sys/class/net/{}", nic.name), &format!("../../{}", folder.trim_start_matches("sys/")));
        match nic.kind {
            NicKind::Physical => {
                tree.link(&format!("{folder}/device"), "../..");
                let armed = nic.wol.as_ref().is_some_and(|(_, armed)| armed != "d");
                tree.folder("sys/bus/pci/drivers/igc");
                tree.link(&format!("{folder}/../../driver"), "../../../bus/pci/drivers/igc");
                put("../../power/wakeup", if armed { "enabled" } else { "disabled" });
                let (supported, armed) = nic.wol.clone().unwrap_or(("d".into(), "d".into()));
                let permanent = nic.permanent_mac.as_ref().unwrap_or(&nic.mac);
                tree.write(&format!(".sim/ethtool/{}", nic.name), &format!("{supported} {armed} {permanent}\n"));
            }
            NicKind::Bridge => put("bridge/stp_state", "0"),
            NicKind::Bond => put("bonding/mode", "active-backup 1"),
            NicKind::Virtual => {}
        }
        let Some(at) = nics.iter().position(|other| Some(&other.name) == nic.master.as_ref()) else { continue };
        let up = "../".repeat(folder.matches('/').count());
        tree.link(&format!("{folder}/master"), &format!("{up}{}", folders[at].trim_start_matches("sys/")));
        let master_up = "../".repeat(folders[at].matches('/').count());
        let lower = format!("{}/lower_{}", folders[at], nic.name);
        tree.link(&lower, &format!("{master_up}{}", folder.trim_start_matches("sys/")));
        if nics[at].kind == NicKind::Bond {
            put("bonding_slave/perm_hwaddr", nic.permanent_mac.as_ref().unwrap_or(&nic.mac));
        }
    }
    write_proc(tree, nics);
    write_ip(tree, nics);
}

fn default_route(nics: &[Nic]) -> Option<(&Nic, Ipv4Addr, u8)> {
    nics.iter().find_map(|nic| {
        nic.addresses.iter().find_map(|(ip, prefix)| match ip {
            IpAddr::V4(ip) => Some((nic, *ip, *prefix)),
            IpAddr::V6(_) => None,
        })
    })
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The network's first address, which plays the router.
fn gateway(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits((ip.to_bits() & mask(prefix)) | 1)
}

fn write_proc(tree: &Tree, nics: &[Nic]) {
    let mut dev = "Inter-|   Receive                                                |  Transmit\n \
                   face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                   lo: 1000 10 0 0 0 0 0 0 1000 10 0 0 0 0 0 0\n"
        .to_owned();
    let mut route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n".to_owned();
    if let Some((nic, ip, prefix)) = default_route(nics) {
        let gateway = gateway(ip, prefix).to_bits().swap_bytes();
        let _ = writeln!(route, "{}\t00000000\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0", nic.name);
    }
    let (mut trie, mut six) = (String::from("Local:\n"), String::new());
    for (index, nic) in nics.iter().enumerate() {
        let _ = writeln!(dev, "{:>6}: 123456789 1000 0 0 0 0 0 0 23456789 900 0 0 0 0 0 0", nic.name);
        for (ip, prefix) in &nic.addresses {
            match ip {
                IpAddr::V4(ip) => {
                    let bits = ip.to_bits() & mask(*prefix);
                    let (net, mask) = (bits.swap_bytes(), mask(*prefix).swap_bytes());
                    let _ = writeln!(route, "{}\t{net:08X}\t00000000\t0001\t0\t0\t0\t{mask:08X}\t0\t0\t0", nic.name);
                    let _ = write!(trie, "           |-- {ip}\n              /32 host LOCAL\n");
                }
                IpAddr::V6(ip) => {
                    let _ = writeln!(six, "{:032x} {:02x} {prefix:02x} 00 80 {:>8}", ip.to_bits(), index + 2, nic.name);
                }
            }
        }
    }
    tree.write("proc/net/dev", &dev);
    tree.write("proc/net/route", &route);
    tree.write("proc/net/fib_trie", &trie);
    tree.write("proc/net/if_inet6", &six);
}

fn write_ip(tree: &Tree, nics: &[Nic]) {
    let mut lines = String::from(
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n\
         1: lo    inet6 ::1/128 scope host noprefixroute \\       valid_lft forever preferred_lft forever\n",
    );
    let mut plain = String::from(
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
         link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n",
    );
    let mut all = vec![json!({
        "ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "mtu": 65536, "operstate": "UNKNOWN",
        "link_type": "loopback", "address": "00:00:00:00:00:00",
        "addr_info": [{ "family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host", "label": "lo" }],
    })];
    for (index, nic) in nics.iter().enumerate() {
        let (index, state) = (index + 2, if nic.carrier { "UP" } else { "DOWN" });
        let master = nic.master.as_ref().map(|master| format!(" master {master}")).unwrap_or_default();
        let name = &nic.name;
        let _ = write!(
            plain,
            "{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue{master} state {state} group default qlen 1000\n    \
             link/ether {} brd ff:ff:ff:ff:ff:ff\n",
            nic.mac
        );
        let mut infos: Vec<Value> = Vec::new();
        for (ip, prefix) in &nic.addresses {
            let family = if ip.is_ipv4() { "inet" } else { "inet6" };
            let _ = writeln!(
                lines,
                "{index}: {name}    {family} {ip}/{prefix} scope global {name}\\       valid_lft forever preferred_lft forever"
            );
            let _ = writeln!(plain, "    {family} {ip}/{prefix} scope global {name}");
            infos.push(json!({ "family": family, "local": ip.to_string(), "prefixlen": prefix, "scope": "global" }));
        }
        let mut link = json!({
            "ifindex": index, "ifname": name, "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"], "mtu": 1500,
            "operstate": state, "link_type": "ether", "address": nic.mac, "addr_info": infos,
        });
        if let Some(master) = &nic.master {
            link["master"] = json!(master);
        }
        all.push(link);
    }
    let (mut route, mut routes) = (String::new(), Vec::new());
    if let Some((nic, ip, prefix)) = default_route(nics) {
        let (name, router) = (&nic.name, gateway(ip, prefix));
        let net = Ipv4Addr::from_bits(ip.to_bits() & mask(prefix));
        let _ = writeln!(route, "default via {router} dev {name} proto kernel onlink ");
        let _ = writeln!(route, "{net}/{prefix} dev {name} proto kernel scope link src {ip} ");
        routes.push(json!({ "dst": "default", "gateway": router.to_string(), "dev": name, "flags": ["onlink"] }));
        routes.push(json!({ "dst": format!("{net}/{prefix}"), "dev": name, "prefsrc": ip.to_string(), "flags": [] }));
    }
    tree.write(".sim/ip/addr.line", &lines);
    tree.write(".sim/ip/addr", &plain);
    tree.write(".sim/ip/addr.json", &format!("{}\n", Value::from(all)));
    tree.write(".sim/ip/route", &route);
    tree.write(".sim/ip/route.json", &format!("{}\n", Value::from(routes)));
}
