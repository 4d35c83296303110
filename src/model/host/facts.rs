//! What a visit to a host over SSH found: the product, the system, its network ports, how it can sleep.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::id::NodeName;

/// Facts of one host, as `ecobox init` learned them. Kept in the state file as JSON.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HostFacts {
    pub(crate) product: Product,
    /// The host's own name.
    pub(crate) hostname: Option<String>,
    /// `PRETTY_NAME` of os-release.
    pub(crate) os: Option<String>,
    /// `uname -r`.
    pub(crate) kernel: Option<String>,
    pub(crate) machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`: another one means that the host was booted in between.
    pub(crate) boot_id: Option<String>,
    pub(crate) nics: Vec<Nic>,
    /// The host's own addresses with their networks.
    pub(crate) addresses: Vec<HostAddress>,
    pub(crate) sleep: SleepSupport,
    pub(crate) privilege: Privilege,
    /// The visit that told the ports or addresses, where a later one did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_of: Option<Timestamp>,
}

/// What a host is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Product {
    /// Proxmox VE.
    Pve(PveFacts),
    /// Another Proxmox product: Backup Server, Mail Gateway, Datacenter Manager.
    OtherProxmox {
        product: String,
        version: Option<String>,
    },
    Linux,
    /// Something else, e.g. `FreeBSD`.
    Other {
        system: String,
    },
    #[default]
    Unknown,
}

/// What is known of a Proxmox VE host without its API.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PveFacts {
    /// From `/etc/pve/local`; `None` while pmxcfs is down.
    pub(crate) node: Option<NodeName>,
    /// pve-manager's version, e.g. `9.2.11`.
    pub(crate) version: Option<String>,
    /// From the owner's write bit of `/etc/pve/local`; `None` while pmxcfs is down.
    pub(crate) quorate: Option<bool>,
    /// Whether pmxcfs is mounted.
    pub(crate) pmxcfs: bool,
}

impl PveFacts {
    /// The major version: 7, 8, 9.
    pub(crate) fn major(&self) -> Option<u32> {
        self.version.as_deref()?.split(['.', '-']).next()?.parse().ok()
    }
}

/// A physical network port. Bridges, bonds, taps and veths are not ports.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nic {
    pub(crate) name: String,
    /// Lower case, with colons.
    pub(crate) mac: String,
    /// Has a carrier.
    pub(crate) link: Option<bool>,
    /// The bridge or bond that it belongs to.
    pub(crate) master: Option<String>,
    /// Whether the default route goes through it (or its bridge).
    pub(crate) default_route: bool,
    /// Whether Wake-on-LAN by magic packet is armed now; `None`: could not be read.
    pub(crate) wol_armed: Option<bool>,
    /// Whether it can be armed; `None`: could not be read.
    pub(crate) wol_supported: Option<bool>,
}

/// An address of the host itself.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostAddress {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) interface: String,
}

/// How the host can sleep.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SleepSupport {
    /// `/sys/power/state` lists `mem`.
    pub(crate) suspend: Option<bool>,
    /// `disk` stands there.
    pub(crate) hibernate: Option<bool>,
    /// sleep.target is masked in systemd.
    pub(crate) masked: Option<bool>,
}

/// How commands run with root's rights there.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Privilege {
    /// The login user is root.
    Root,
    /// `sudo -n` works.
    Sudo,
    /// sudo is there but wants a password, or refuses.
    Denied,
    /// sudo is not installed.
    Nosudo,
    #[default]
    Unknown,
}

impl HostFacts {
    /// These facts, completed by those of an earlier visit of the same host: what a visit does not tell is not gone. No
    /// host that answers is without addresses, and none loses its ports. Gives also what was kept, in words.
    pub(crate) fn completed_by(mut self, earlier: &HostFacts, at: Timestamp) -> (HostFacts, Vec<&'static str>) {
        let is_same = match (&self.machine_id, &earlier.machine_id) {
            (Some(now), Some(then)) => now == then,
            _ => self.hostname.is_none() || self.hostname == earlier.hostname,
        };
        if !is_same {
            return (self, Vec::new());
        }
        let mut kept = Vec::new();
        if self.product == Product::Unknown && earlier.product != Product::Unknown {
            self.product = earlier.product.clone();
            kept.push("product");
        }
        if let (Product::Pve(now), Product::Pve(then)) = (&mut self.product, &earlier.product) {
            now.node = now.node.take().or_else(|| then.node.clone());
            now.version = now.version.take().or_else(|| then.version.clone());
        }
        if self.nics.is_empty() && !earlier.nics.is_empty() {
            self.nics.clone_from(&earlier.nics);
            kept.push("network ports");
        }
        if self.addresses.is_empty() && !earlier.addresses.is_empty() {
            self.addresses.clone_from(&earlier.addresses);
            kept.push("addresses");
        }
        if !kept.is_empty() {
            self.kept_of = Some(earlier.kept_of.unwrap_or(at));
        }
        for (now, then) in [
            (&mut self.hostname, &earlier.hostname),
            (&mut self.os, &earlier.os),
            (&mut self.machine_id, &earlier.machine_id),
        ] {
            *now = now.take().or_else(|| then.clone());
        }
        (self, kept)
    }

    /// The facts of a Proxmox VE host.
    pub(crate) fn pve(&self) -> Option<&PveFacts> {
        match &self.product {
            Product::Pve(facts) => Some(facts),
            _ => None,
        }
    }

    /// The port to wake the host by: the default route's, else the first with a carrier, else the first.
    pub(crate) fn wake_nic(&self) -> Option<&Nic> {
        let rank = |nic: &&Nic| (!nic.default_route, nic.link != Some(true));
        self.nics.iter().min_by_key(rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(name: &str) -> Nic {
        Nic {
            name: name.to_owned(),
            mac: "a8:a1:59:00:00:01".to_owned(),
            link: None,
            master: None,
            default_route: true,
            wol_armed: Some(true),
            wol_supported: Some(true),
        }
    }

    fn full() -> HostFacts {
        let pve = PveFacts {
            node: "pve1".parse().ok(),
            version: Some("9.2.11".to_owned()),
            quorate: Some(true),
            pmxcfs: true,
        };
        HostFacts {
            product: Product::Pve(pve),
            hostname: Some("pve1".to_owned()),
            os: Some("Debian".to_owned()),
            machine_id: Some("3d1219c7c4c5404aaa1f6d2a48adfda4".to_owned()),
            boot_id: Some("a".to_owned()),
            nics: vec![nic("eno1")],
            addresses: vec![HostAddress {
                ip: "192.168.1.10".parse().unwrap(),
                prefix: 24,
                interface: "vmbr0".to_owned(),
            }],
            ..HostFacts::default()
        }
    }

    #[test]
    fn what_a_visit_does_not_tell_is_not_gone() {
        let at = Timestamp::from_second(1_000).unwrap();
        let silent = HostFacts { product: Product::Unknown, nics: vec![], addresses: vec![], ..full() };
        let bare = HostFacts { boot_id: Some("b".to_owned()), ..HostFacts::default() };
        let other = HostFacts { machine_id: Some("0".repeat(32)), ..silent.clone() };
        let renamed = HostFacts { machine_id: None, hostname: Some("nas".to_owned()), ..silent.clone() };
        let moved = HostFacts { nics: vec![nic("enp3s0")], ..silent.clone() };
        let down = PveFacts { pmxcfs: false, ..PveFacts::default() };
        let down = HostFacts { product: Product::Pve(down), ..full() };
        let all = ["product", "network ports", "addresses"];
        let cases: [(&str, HostFacts, &[&str]); 7] = [
            ("all is told", full(), &[]),
            ("no list is told", silent, &all),
            ("next to nothing is told", bare, &all),
            ("another machine", other, &[]),
            ("another name, and no machine id", renamed, &[]),
            ("another port, no addresses", moved, &["product", "addresses"]),
            ("pmxcfs is down", down, &[]),
        ];
        for (name, now, want) in cases {
            let (facts, kept) = now.clone().completed_by(&full(), at);
            assert_eq!(kept, want, "{name}");
            assert_eq!(facts.kept_of, (!want.is_empty()).then_some(at), "{name}");
            assert_eq!((&facts.boot_id, &facts.sleep), (&now.boot_id, &now.sleep), "{name}");
            let (lists, old) = ((&facts.nics, &facts.addresses), full());
            let nics = if want.contains(&"network ports") { &old.nics } else { &now.nics };
            let addresses = if want.contains(&"addresses") { &old.addresses } else { &now.addresses };
            assert_eq!(lists, (nics, addresses), "{name}");
            // Twice kept is as old as it was.
            let later = Timestamp::from_second(2_000).unwrap();
            assert_eq!(now.completed_by(&facts, later).0.kept_of, facts.kept_of, "{name}");
        }
    }

    #[test]
    fn a_node_keeps_its_name_while_pmxcfs_is_down() {
        let down = HostFacts { product: Product::Pve(PveFacts::default()), ..full() };
        let (facts, _) = down.completed_by(&full(), Timestamp::UNIX_EPOCH);
        let want = PveFacts { quorate: None, pmxcfs: false, ..full().pve().unwrap().clone() };
        assert_eq!(facts.pve(), Some(&want));
    }
}
