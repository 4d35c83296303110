//! The calls. Nodes and guests come into paths only as types that hold nothing to escape.

use crate::model::access::scope::Permissions;
use crate::model::id::{GuestKind, NodeName, TokenId, VmId};
use crate::model::inventory::server::{Address, Listing};
use crate::transport::Error;

use super::answers::{AgentInterfaces, ContainerInterfaces, LocalNode, NodeCertificate, Nodes, PermissionMap, Version};
use super::client::{Answers, Client};
use super::filesystems::{self, AgentFilesystems, FilesystemAnswer, GuestFilesystems};
use super::lenient::{Entries, Entry, Record};
use super::listing;
use super::rrd::{self, Consolidation, RrdAnswer, Sample, Timeframe};

/// What QEMU's guest agent says of a guest's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentAnswer {
    Addresses(Vec<Address>),
    /// It answered, and not with a list; why, as far as it says so.
    NotTold(String),
    /// The agent is not enabled in the guest's configuration.
    NotConfigured,
    /// The agent does not answer, or the guest does not run.
    NotRunning,
}

impl Client {
    /// All guests and nodes that the token may see: one request for the whole cluster.
    pub(crate) async fn listing(&self) -> Result<Listing, Error> {
        let path = "/cluster/resources";
        let body = self.body(path, Answers::Itself).await?;
        listing::listing(&body, &self.label).map_err(|error| self.unreadable(path, &error))
    }

    /// Whose calls these are.
    pub(crate) fn token_id(&self) -> &TokenId {
        &self.token
    }

    /// What the token may do.
    ///
    /// # Errors
    /// Also where the answer does not say so: that is not to be taken for a token that may do nothing.
    pub(crate) async fn permissions(&self) -> Result<Permissions, Error> {
        let path = "/access/permissions";
        let Entry(map) = self.get::<Entry<PermissionMap>>(path, Answers::Itself).await?;
        map.and_then(PermissionMap::told).ok_or_else(|| self.senseless(path))
    }

    /// The host's own version, not its cluster's.
    pub(crate) async fn version(&self) -> Result<Version, Error> {
        let Entry(version) = self.get::<Entry<Version>>("/version", Answers::Itself).await?;
        Ok(version.unwrap_or_default())
    }

    /// The nodes of the cluster with the certificates that it knows of them.
    pub(crate) async fn nodes(&self) -> Result<Vec<NodeCertificate>, Error> {
        Ok(self.get::<Nodes>("/nodes", Answers::Itself).await?.0)
    }

    /// The node that answers, by its own word. Needs `Sys.Audit` on `/`.
    pub(crate) async fn local_node(&self) -> Result<Option<NodeName>, Error> {
        Ok(self.get::<LocalNode>("/cluster/status", Answers::Itself).await?.0)
    }

    /// A virtual machine's addresses, from the agent inside.
    pub(crate) async fn agent_addresses(&self, node: &NodeName, vmid: VmId) -> Result<AgentAnswer, Error> {
        Ok(match self.ask_agent::<AgentInterfaces>(node, vmid, "network-get-interfaces").await? {
            Ok(Entry(answer)) => match answer.unwrap_or_default().0 {
                Ok(addresses) => AgentAnswer::Addresses(addresses),
                Err(Some(words)) => AgentAnswer::NotTold(format!("its guest agent says: {words}")),
                Err(None) => AgentAnswer::NotTold("its guest agent answers with no list of interfaces".to_owned()),
            },
            Err(Silence::NotConfigured) => AgentAnswer::NotConfigured,
            Err(Silence::NotRunning) => AgentAnswer::NotRunning,
        })
    }

    /// A virtual machine's file systems, from the agent inside.
    pub(crate) async fn agent_filesystems(&self, node: &NodeName, vmid: VmId) -> Result<AgentFilesystems, Error> {
        Ok(match self.ask_agent::<FilesystemAnswer>(node, vmid, "get-fsinfo").await {
            Ok(Ok(Entry(answer))) => AgentFilesystems::Told(answer.unwrap_or_default().0),
            Ok(Err(Silence::NotConfigured)) => AgentFilesystems::NotConfigured,
            Ok(Err(Silence::NotRunning)) => AgentFilesystems::NotRunning,
            Err(Error::Api { status: 500, reason, .. }) if filesystems::is_not_offered(&reason) => {
                AgentFilesystems::Told(GuestFilesystems::not_told())
            }
            Err(error) => return Err(error),
        })
    }

    /// What the agent says to one of its GETs, or why it says nothing.
    async fn ask_agent<R>(&self, node: &NodeName, vmid: VmId, command: &str) -> Result<Result<Entry<R>, Silence>, Error>
    where
        R: for<'de> Record<'de>,
    {
        let path = guest_path(node, GuestKind::Qemu, vmid, &format!("agent/{command}"));
        match self.get::<Entry<R>>(&path, Answers::Guest).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(Error::Api { status: 500, reason, path, .. }) => match Silence::of_reason(&reason) {
                Some(silence) => Ok(Err(silence)),
                None => Err(Error::Api { peer: self.label.clone(), method: "GET", path, status: 500, reason }),
            },
            Err(error) => Err(error),
        }
    }

    /// A container's addresses. Not told while it does not run, nor before PVE 8.1, which cannot say.
    pub(crate) async fn container_addresses(&self, node: &NodeName, vmid: VmId) -> Result<AgentAnswer, Error> {
        let not_told = |why: &str| Ok(AgentAnswer::NotTold(why.to_owned()));
        let path = guest_path(node, GuestKind::Lxc, vmid, "interfaces");
        match self.get::<ContainerInterfaces>(&path, Answers::Guest).await {
            Ok(ContainerInterfaces(Ok(addresses))) => Ok(AgentAnswer::Addresses(addresses)),
            Ok(ContainerInterfaces(Err(Some(words)))) => Ok(AgentAnswer::NotTold(format!("its node says: {words}"))),
            Ok(ContainerInterfaces(Err(None))) => not_told("its node answers with no list of interfaces"),
            Err(Error::Api { status: 501, .. }) => {
                tracing::info!(
                    server = self.label,
                    vm_id = vmid.get(),
                    "this Proxmox VE is older than 8.1 and does not report a container's addresses"
                );
                not_told("its node is older than Proxmox VE 8.1 and does not report a container's addresses")
            }
            Err(Error::Api { status: 500, reason, .. }) if reason.trim_end().ends_with("not running") => {
                not_told("it does not run")
            }
            Err(error) => Err(error),
        }
    }

    /// A guest's history, as Proxmox VE keeps it. Empty for a guest of which nothing was recorded yet, and for one that
    /// does not exist.
    pub(crate) async fn guest_rrd(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<RrdAnswer, Error> {
        let path = guest_path(node, kind, vmid, &rrd_call(timeframe, consolidation));
        self.rrd(&path, timeframe, Some(kind)).await
    }

    /// A node's history. Needs `Sys.Audit` on the node.
    pub(crate) async fn node_rrd(
        &self,
        node: &NodeName,
        timeframe: Timeframe,
        consolidation: Consolidation,
    ) -> Result<RrdAnswer, Error> {
        let path = format!("/nodes/{node}/{}", rrd_call(timeframe, consolidation));
        self.rrd(&path, timeframe, None).await
    }

    async fn rrd(&self, path: &str, timeframe: Timeframe, kind: Option<GuestKind>) -> Result<RrdAnswer, Error> {
        match self.get::<Entries<Sample>>(path, Answers::Node).await {
            Ok(entries) => Ok(rrd::answer(entries, timeframe, kind)),
            Err(Error::Api { status: 500, reason, .. }) if rrd::is_unrecorded(&reason) => Ok(RrdAnswer::default()),
            Err(error) => Err(error),
        }
    }
}

fn rrd_call(timeframe: Timeframe, consolidation: Consolidation) -> String {
    format!("rrddata?timeframe={}&cf={}", timeframe.as_str(), consolidation.as_str())
}

/// Why the agent says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    NotConfigured,
    NotRunning,
}

impl Silence {
    /// What an error's text says of the agent: `No QEMU guest agent configured`, `QEMU guest agent is not running`,
    /// `VM 102 is not running`, `VM 102 qmp command 'guest-network-get-interfaces' failed - got timeout`.
    fn of_reason(reason: &str) -> Option<Silence> {
        let reason = reason.trim_end().to_ascii_lowercase();
        if reason.starts_with("no qemu guest agent") {
            Some(Silence::NotConfigured)
        } else if reason.ends_with("not running") || (reason.contains("'guest-") && reason.ends_with("got timeout")) {
            Some(Silence::NotRunning)
        } else {
            None
        }
    }
}

pub(super) fn guest_path(node: &NodeName, kind: GuestKind, vmid: VmId, call: &str) -> String {
    format!("/nodes/{node}/{}/{vmid}/{call}", kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_the_agent_says_nothing() {
        for (reason, want) in [
            ("No QEMU guest agent configured", Some(Silence::NotConfigured)),
            ("No Qemu guest agent configured", Some(Silence::NotConfigured)),
            ("QEMU guest agent is not running", Some(Silence::NotRunning)),
            ("VM 102 is not running", Some(Silence::NotRunning)),
            ("VM 102 not running\n", Some(Silence::NotRunning)),
            ("VM 102 qmp command 'guest-network-get-interfaces' failed - got timeout", Some(Silence::NotRunning)),
            ("Configuration file 'nodes/a/qemu-server/102.conf' does not exist", None),
            ("can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout", None),
        ] {
            assert_eq!(Silence::of_reason(reason), want, "{reason}");
        }
    }
}
