//! Whether a Proxmox VE host that is awake can start guests.

use std::cell::RefCell;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::fleet::act::PlanRun;
use crate::fleet::act::wait::Attempts;
use crate::model::id::VmId;
use crate::model::inventory::{FailureKind, Server};
use crate::transport::Error;

impl Fleet<'_> {
    /// Waits until a Proxmox VE host that is awake can start guests: its API answers, its cluster has quorum, and the
    /// guests are listed on it. It never ends by itself where that does not come; `missing` is what it waits for.
    pub(super) async fn await_pve(
        &self,
        run: &PlanRun<'_>,
        server: &Server,
        guests: &[VmId],
        missing: &RefCell<Option<String>>,
    ) -> Result<(), Error> {
        let Some(cluster) = &server.cluster else { return Ok(()) };
        let mut attempts = Attempts::during(Duration::from_secs(24 * 3600));
        loop {
            let lacks = match self.connect(run.clients, cluster).await {
                Ok((client, listing)) => {
                    let online = server.node.as_ref().is_none_or(|node| {
                        listing.nodes.iter().any(|row| row.name == *node && row.online == Some(true))
                    });
                    let unlisted = guests.iter().find(|vmid| !listing.guests.iter().any(|guest| guest.vmid == **vmid));
                    // If the token may not ask for the quorum, Proxmox VE checks it when the guest is started.
                    let quorate = client.quorate().await.map_or(true, |quorate| quorate != Some(false));
                    match unlisted {
                        _ if !online => "its cluster does not list it as online".to_owned(),
                        _ if !quorate => "its cluster has no quorum".to_owned(),
                        Some(vmid) => format!("guest {vmid} is not listed"),
                        None => return Ok(()),
                    }
                }
                // Waiting does not fix a certificate or a token.
                Err(error) if matches!(error.kind(), FailureKind::Identity | FailureKind::Denied) => return Err(error),
                Err(error) => format!("its API does not answer ({error})"),
            };
            tracing::debug!(server = server.id.as_str(), lacks, "not ready yet");
            *missing.borrow_mut() = Some(lacks);
            attempts.next().await;
        }
    }
}
