//! What a visit to a host over SSH found: the product, the system, its network ports, how it can sleep.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::id::NodeName;

/// Facts of one host, as `ecobox init` learned them. Kept in the state file as JSON.
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
}

/// What a host is.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostAddress {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) interface: String,
}

/// How the host can sleep.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SleepSupport {
    /// `mem` stands in `/sys/power/state`.
    pub(crate) suspend: Option<bool>,
    /// `disk` stands there.
    pub(crate) hibernate: Option<bool>,
    /// sleep.target is masked in systemd.
    pub(crate) masked: Option<bool>,
}

/// How commands run with root's rights there.
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
