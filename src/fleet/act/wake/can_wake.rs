//! Whether a host could be woken, and by whom.

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::model::hint::HintId;
use crate::model::host::facts::HostFacts;
use crate::model::host::magic_packet::Mac;
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::power::PowerState;

/// Who sends the packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WakePath {
    /// This machine.
    Here,
    /// Another server, over SSH.
    Relay(ServerId),
    /// Another node of its cluster, asked through the API of `via`, wakes `node` by the MAC address that the cluster has.
    Node { via: ServerId, node: NodeName },
}

impl std::fmt::Display for WakePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WakePath::Here => f.write_str("magic packet"),
            WakePath::Relay(relay) => write!(f, "magic packet from {relay}"),
            WakePath::Node { via, node } => write!(f, "POST /nodes/{}/wakeonlan by {via}", node.as_str()),
        }
    }
}

/// Why a server cannot be woken by anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWakePath {
    #[error("{server} cannot be woken: the MAC address of its network card is not known")]
    UnknownMac { server: ServerId },
    #[error("{server} is this machine, and awake")]
    ThisMachine { server: ServerId },
}

impl NoWakePath {
    /// The line that fixes it, if one does.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            NoWakePath::UnknownMac { server } => Some(HintId::NoMac.say(&[("server", server.as_str())])),
            NoWakePath::ThisMachine { .. } => None,
        }
    }
}

impl Fleet<'_> {
    /// The MAC address to wake a server by: the configuration's, else that of the port that `init` found.
    pub(super) fn wake_mac(&self, server: &ServerConfig) -> Result<Mac, NoWakePath> {
        let known = self.known.borrow();
        let found = || known.facts.get(&server.id).and_then(HostFacts::wake_nic).and_then(|nic| nic.mac.parse().ok());
        server.mac.or_else(found).ok_or_else(|| NoWakePath::UnknownMac { server: server.id.clone() })
    }

    /// The way by which a server can be woken, according to the configuration and the state file. No server is asked.
    pub(crate) fn wake_path(&self, server: &ServerConfig) -> Result<WakePath, NoWakePath> {
        if server.access == Access::Local {
            return Err(NoWakePath::ThisMachine { server: server.id.clone() });
        }
        self.wake_mac(server)?;
        Ok(server.wol.relay.clone().map_or(WakePath::Here, WakePath::Relay))
    }

    /// How a host could be woken: by the configuration and what is known of it, else by another node of its cluster that
    /// is online and has its address.
    pub(in crate::fleet::act) async fn wake_path_of(
        &self,
        host: &ServerConfig,
        servers: &[Server],
        clients: &ApiClients,
    ) -> Result<WakePath, NoWakePath> {
        let error = match self.wake_path(host) {
            Err(error @ NoWakePath::UnknownMac { .. }) => error,
            other => return other,
        };
        let Some(node) = self.node_of(&host.id) else { return Err(error) };
        let cluster = self.cluster_of(&host.id);
        let client = clients.standing(&cluster);
        let online = |server: &&Server| {
            let other = server.vmid.is_none() && server.cluster.as_ref() == Some(&cluster) && server.id != host.id;
            other && server.seen.state == PowerState::Online
        };
        let sleeps = servers.iter().any(|server| server.id == host.id && server.seen.state != PowerState::Online);
        let (Some(client), Some(via)) = (client, servers.iter().find(online)) else { return Err(error) };
        match client.node_config_mac(&node).await {
            Ok(Some(_)) => Ok(WakePath::Node { via: via.id.clone(), node }),
            // Only the node itself tells its settings. While it sleeps whoever sends the packet looks, and says so.
            Err(_) if sleeps => Ok(WakePath::Node { via: via.id.clone(), node }),
            _ => Err(error),
        }
    }
}
