//! What is asked of guests before their snapshots are judged.

use std::collections::BTreeMap;

use futures::future::join;

use super::SnapshotWish;
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::reach::bounded::per_node;
use crate::model::guest::{GuestConfig, GuestStatus};
use crate::model::id::{GuestKind, NodeName};
use crate::model::power::PowerState;
use crate::model::snapshot::Snapshots;
use crate::model::snapshot::judge::Freeze;
use crate::transport::Error;
use crate::transport::pve::{AgentAnswer, Client};

/// What was seen of a guest.
#[derive(Debug, Clone)]
pub(super) struct GuestLook {
    pub(super) node: NodeName,
    pub(super) status: GuestStatus,
    pub(super) config: GuestConfig,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) snapshots: Snapshots,
    pub(super) supported: Option<bool>,
    pub(super) freeze: Freeze,
}

impl GuestLook {
    /// Whether it has a process, halted or not.
    pub(super) fn runs(&self) -> bool {
        matches!(self.status.state, PowerState::Running | PowerState::Paused)
    }

    /// The memory that its configuration gives it. Its number may be the value of `current` among others.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let text = self.settings.get("memory")?;
        let number = text.split(',').find_map(|part| part.strip_prefix("current=").or(Some(part)))?;
        number.trim().parse::<u64>().ok().and_then(|mebibytes| mebibytes.checked_mul(1 << 20))
    }
}

impl Fleet<'_> {
    /// Looks at guests, each on its node, and at most three of a node at a time. The answers come in no order, each with the
    /// place that it was asked for.
    pub(super) async fn look_at_guests_for<'s>(
        &self,
        guests: Vec<(NodeName, (usize, Named<'s>))>,
        wish: &SnapshotWish,
        clients: &ApiClients,
    ) -> Vec<(usize, Result<GuestLook, Error>)> {
        let creates = matches!(wish, SnapshotWish::Create { .. });
        let saves_memory = matches!(wish, SnapshotWish::Create { memory: true, .. });
        let ask = |(place, named): (usize, Named<'s>)| async move {
            let look = self.look_for_snapshots(named, creates, clients).await.map(|mut look| {
                if saves_memory {
                    look.freeze = Freeze::AtRest;
                }
                look
            });
            (place, look)
        };
        per_node(guests, ask).await
    }

    /// One guest: where it is, what it does, how it is configured, and its snapshots.
    pub(super) async fn look_for_snapshots(
        &self,
        named: Named<'_>,
        creates: bool,
        clients: &ApiClients,
    ) -> Result<GuestLook, Error> {
        let snapshot = clients.snapshot(&named.server.id);
        let node = snapshot.as_ref().map(|snapshot| snapshot.node.clone()).or_else(|| named.server.node.clone());
        let client = self.client_of(clients, named.cluster).await?;
        let node = node.ok_or_else(|| Error::Protocol {
            peer: named.cluster.short().to_owned(),
            detail: format!("no node is known to have {}", named.server.id),
        })?;
        let status = match snapshot {
            Some(snapshot) => snapshot.status,
            None => client.guest_status(&node, named.kind, named.vmid).await?,
        };
        let feature = async {
            if creates { client.can_snapshot(&node, named.kind, named.vmid).await.ok().flatten() } else { None }
        };
        let (look, supported) = join(configured(&client, node.clone(), named, status), feature).await;
        let mut look = look?;
        look.supported = supported;
        if creates {
            look.freeze = self.freeze_of(named, &look, clients).await;
        }
        Ok(look)
    }

    /// One guest at this moment, whatever was seen of it before.
    pub(super) async fn look_freshly(
        &self,
        client: &Client,
        node: &NodeName,
        named: Named<'_>,
    ) -> Result<GuestLook, Error> {
        let status = client.guest_status(node, named.kind, named.vmid).await?;
        configured(client, node.clone(), named, status).await
    }

    /// What becomes of the file systems of a guest while a snapshot is taken.
    async fn freeze_of(&self, named: Named<'_>, look: &GuestLook, clients: &ApiClients) -> Freeze {
        let GuestLook { node, status, config, settings, .. } = look;
        if named.kind == GuestKind::Lxc || status.state != PowerState::Running {
            return Freeze::AtRest;
        }
        if !config.agent {
            return Freeze::NoAgent;
        }
        let agent = settings.get("agent").map(String::as_str).unwrap_or_default();
        // The names of the switch: since 9.1.6, and the older ones that stand for it.
        let off = ["freeze-fs", "freeze-fs-on-backup", "guest-fsfreeze"];
        let is_off =
            |part: &str| part.trim().split_once('=').is_some_and(|(key, value)| off.contains(&key) && value == "0");
        if agent.split(',').any(is_off) {
            return Freeze::SwitchedOff;
        }
        let Ok(client) = self.client_of(clients, named.cluster).await else { return Freeze::ByAgent };
        match tokio::time::timeout(self.limits.agent, client.agent_addresses(node, named.vmid)).await {
            Ok(Ok(AgentAnswer::NotRunning)) | Err(_) => Freeze::SilentAgent,
            _ => Freeze::ByAgent,
        }
    }
}

/// What a guest's configuration and its list of snapshots add to what it does.
async fn configured(
    client: &Client,
    node: NodeName,
    named: Named<'_>,
    mut status: GuestStatus,
) -> Result<GuestLook, Error> {
    let config = client.whole_config(&node, named.kind, named.vmid);
    let (config, snapshots) = join(config, client.snapshots(&node, named.kind, named.vmid)).await;
    let ((config, settings), snapshots) = (config?, snapshots?);
    // It was read after the status.
    status.lock.clone_from(&config.lock);
    status.template = config.template;
    Ok(GuestLook { node, status, config, settings, snapshots, supported: None, freeze: Freeze::AtRest })
}
