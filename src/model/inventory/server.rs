//! Servers: entries of the inventory, configured or discovered, and what a listing says of guests and nodes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::id::{GuestKind, NodeName, ServerId, VmId};
use crate::model::load::usage::Usage;
use crate::model::power::PowerState;
use crate::model::text::words::words;

/// What a server is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServerKind {
    /// A Proxmox VE host.
    Pve,
    /// A plain server, reached over SSH.
    Linux,
    Qemu,
    Lxc,
}

impl ServerKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ServerKind::Pve => "pve",
            ServerKind::Linux => "linux",
            ServerKind::Qemu => "qemu",
            ServerKind::Lxc => "lxc",
        }
    }

    pub(crate) fn guest(self) -> Option<GuestKind> {
        match self {
            ServerKind::Qemu => Some(GuestKind::Qemu),
            ServerKind::Lxc => Some(GuestKind::Lxc),
            ServerKind::Pve | ServerKind::Linux => None,
        }
    }
}

impl From<GuestKind> for ServerKind {
    fn from(kind: GuestKind) -> ServerKind {
        match kind {
            GuestKind::Qemu => ServerKind::Qemu,
            GuestKind::Lxc => ServerKind::Lxc,
        }
    }
}

/// Which state of a server is no alarm.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expected {
    On,
    Asleep,
    Any,
}

/// What a service speaks. Only a TCP connection is made; the type gives the default port and the label.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceType {
    Ssh,
    Rdp,
    Vnc,
    Telnet,
    Http,
    Https,
    Proxmox,
    Smb,
    Nfs,
    Ftp,
    Database,
    Mail,
    Ldap,
    Dns,
    Custom,
}

words!(ServiceType: all => {
    Ssh = "ssh",
    Rdp = "rdp",
    Vnc = "vnc",
    Telnet = "telnet",
    Http = "http",
    Https = "https",
    Proxmox = "proxmox",
    Smb = "smb",
    Nfs = "nfs",
    Ftp = "ftp",
    Database = "database",
    Mail = "mail",
    Ldap = "ldap",
    Dns = "dns",
    Custom = "custom",
});

impl ServiceType {
    /// The TCP port if the configuration names none (IANA); `database` and `custom` have none.
    pub(crate) fn default_port(self) -> Option<u16> {
        Some(match self {
            ServiceType::Ssh => 22,
            ServiceType::Rdp => 3389,
            ServiceType::Vnc => 5900,
            ServiceType::Telnet => 23,
            ServiceType::Http => 80,
            ServiceType::Https => 443,
            ServiceType::Proxmox => 8006,
            ServiceType::Smb => 445,
            ServiceType::Nfs => 2049,
            ServiceType::Ftp => 21,
            ServiceType::Mail => 25,
            ServiceType::Ldap => 389,
            ServiceType::Dns => 53,
            ServiceType::Database | ServiceType::Custom => return None,
        })
    }
}

/// A service of a server that is checked by a TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) port: u16,
    #[serde(rename = "type")]
    pub(crate) kind: ServiceType,
}

/// An address of a guest, and where it was found.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    /// Bits of the network part, where the source said so.
    pub(crate) prefix: Option<u8>,
    /// The guest's interface, e.g. `eth0`.
    pub(crate) interface: String,
    /// The interface's MAC, lower case.
    pub(crate) mac: Option<String>,
}

/// The tags of a server. Thousands of guests share a few lists of them.
pub(crate) type Tags = Arc<[String]>;

/// So old may be what a listing says of states and numbers: each node tells its own to the others every ten seconds. Where a
/// guest is, its lock, tags, pool and HA state are as they are when it is asked for.
pub(crate) const LISTING_LAG: SignedDuration = SignedDuration::from_secs(10);

/// What one listing says of one guest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guest {
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    pub(crate) node: NodeName,
    /// `None` where the node's data is missing: a dead node, or just after boot.
    pub(crate) name: Option<String>,
    pub(crate) state: PowerState,
    /// PVE's own word behind `state`, e.g. `io-error`.
    pub(crate) raw_status: Cow<'static, str>,
    pub(crate) template: bool,
    pub(crate) lock: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) pool: Option<String>,
    /// The HA manager's state, e.g. `started`; `None`: not managed.
    pub(crate) ha_state: Option<String>,
    pub(crate) usage: Usage,
    /// When the guest's own node said what it does; `None`: the listing did.
    pub(crate) seen_at: Option<Timestamp>,
}

impl Guest {
    /// Takes what is known of its state from its own node, at that time.
    pub(crate) fn see(&mut self, state: PowerState, raw: impl Into<Cow<'static, str>>, at: Timestamp) {
        if self.state != state {
            self.usage = self.usage.of_guest(state);
        }
        (self.state, self.raw_status, self.seen_at) = (state, raw.into(), Some(at));
    }
}

/// What one listing says of one node of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: NodeName,
    /// Corosync's membership; `None` where the listing gives neither `online` nor `offline`.
    pub(crate) online: Option<bool>,
    pub(crate) usage: Usage,
}

/// The whole answer of `/cluster/resources`, templates included.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Listing {
    pub(crate) nodes: Vec<Node>,
    pub(crate) guests: Vec<Guest>,
    /// How many entries could not be read. Each may be a guest or a node: who is missing may stand there.
    pub(crate) unreadable: usize,
}

/// The lasting identity of a server, under which state and history are kept: a guest keeps its key when it
/// migrates, a configured server has its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerKey(pub(crate) String);

/// Whom a [`ServerKey`] means, without its text: cheap to make for each of thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    Guest(crate::model::id::ClusterId, VmId),
    Server(ServerId),
}

impl ServerKey {
    pub(crate) fn of_server(id: &ServerId) -> ServerKey {
        ServerKey(id.to_string())
    }

    pub(crate) fn of_guest(cluster: &crate::model::id::ClusterId, vmid: VmId) -> ServerKey {
        ServerKey(format!("{}/{vmid}", cluster.as_str()))
    }
}
