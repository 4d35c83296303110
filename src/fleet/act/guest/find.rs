//! Where a guest runs now, and what it does there.

use std::rc::Rc;

use super::Named;
use crate::fleet::Fleet;
use crate::fleet::act::guest_snapshot::GuestSnapshot;
use crate::fleet::act::{ApiClients, StepOutcome, StepReport};
use crate::model::check::fault::Fault;
use crate::model::guest::{GuestConfig, GuestStatus};
use crate::model::id::NodeName;
use crate::model::inventory::server::Listing;
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::Finding;
use crate::transport::Error;
use crate::transport::pve::{Client, is_not_here};

/// A guest, found where it runs now.
pub(in crate::fleet::act) struct Found {
    pub(in crate::fleet::act) client: Rc<Client>,
    pub(in crate::fleet::act) node: NodeName,
    pub(in crate::fleet::act) status: GuestStatus,
}

/// Why a guest was not found.
pub(in crate::fleet::act) enum Missing {
    Error(Error),
    Gone,
    /// No listing has it, and none was whole.
    Unlisted,
    /// A virtual machine where a container was, or the other way round.
    OtherKind,
}

impl Fleet<'_> {
    /// The guest with its configuration, who it is right before the call. What was seen for the plan a moment ago counts.
    pub(in crate::fleet::act) async fn find_with_config(
        &self,
        clients: &ApiClients,
        named: Named<'_>,
    ) -> Result<(Found, GuestConfig), Missing> {
        let snapshot = clients.snapshot(&named.server.id);
        let found = self.find_again(clients, named, snapshot.clone()).await?;
        self.config_of(clients, named, found, snapshot).await
    }

    /// Like `find_with_config`, for a guest that was looked at for the plan a moment ago: that look counts.
    async fn find_again(
        &self,
        clients: &ApiClients,
        named: Named<'_>,
        snapshot: Option<GuestSnapshot>,
    ) -> Result<Found, Missing> {
        match snapshot {
            Some(GuestSnapshot { node, status, .. }) => {
                Ok(Found { client: self.client_of(clients, named.cluster).await?, node, status })
            }
            None => self.find_guest(clients, named).await,
        }
    }

    /// A guest's configuration: who it is right before the call. One that is not there any more is looked for.
    async fn config_of(
        &self,
        clients: &ApiClients,
        named: Named<'_>,
        mut found: Found,
        snapshot: Option<GuestSnapshot>,
    ) -> Result<(Found, GuestConfig), Missing> {
        if let Some(config) = snapshot.and_then(|snapshot| snapshot.config) {
            return Ok((found, config));
        }
        match found.client.guest_config(&found.node, named.kind, named.vmid).await {
            Err(error) if is_not_here(&error) => {
                let found = self.find_guest(clients, named).await?;
                let config = found.client.guest_config(&found.node, named.kind, named.vmid).await?;
                Ok((found, config))
            }
            Ok(config) => {
                // It was read after the status.
                found.status.lock.clone_from(&config.lock);
                found.status.template = config.template;
                Ok((found, config))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the guest runs now, and what it does there: asked of its node, not of a cache.
    pub(in crate::fleet::act) async fn find_guest(
        &self,
        clients: &ApiClients,
        named: Named<'_>,
    ) -> Result<Found, Missing> {
        let client = self.client_of(clients, named.cluster).await?;
        if let Some(node) = &named.server.node {
            match client.guest_status(node, named.kind, named.vmid).await {
                Ok(status) => return Ok(Found { client, node: node.clone(), status }),
                Err(error) if is_not_here(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // It migrated since it was listed, or it is gone.
        let listing = client.listing().await?;
        let found = listing.guests.iter().find(|guest| guest.vmid == named.vmid);
        let Some(listed) = found else {
            return Err(if is_whole(&listing) { Missing::Gone } else { Missing::Unlisted });
        };
        if listed.kind != named.kind {
            return Err(Missing::OtherKind);
        }
        match client.guest_status(&listed.node, named.kind, named.vmid).await {
            Ok(status) => Ok(Found { client, node: listed.node.clone(), status }),
            Err(error) if is_not_here(&error) => Err(Missing::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// What a guest that was not found makes of its step.
    pub(in crate::fleet::act) fn missing(&self, server: &Server, missing: Missing) -> StepReport {
        match missing {
            Missing::Error(error) => self.failed_step(&server.id, &error),
            Missing::Gone => gone(server),
            Missing::Unlisted => {
                let detail =
                    "its node does not have it, and the listing of its cluster is incomplete: it may be elsewhere";
                StepReport::because(StepOutcome::Failed(FailureKind::Failed), detail)
            }
            Missing::OtherKind => StepReport::refused(vec![other_kind(server)]),
        }
    }
}

/// Whether who is missing in a listing is not there: all entries could be read, and there are some. A token that lost its
/// privileges is answered with none.
pub(super) fn is_whole(listing: &Listing) -> bool {
    listing.unreadable == 0 && !listing.guests.is_empty()
}

pub(in crate::fleet::act) fn gone(server: &Server) -> StepReport {
    let detail = format!("{} is gone: no node of its cluster has it", server.id);
    StepReport::because(StepOutcome::Failed(FailureKind::Failed), detail)
}

impl From<Error> for Missing {
    fn from(error: Error) -> Missing {
        Missing::Error(error)
    }
}

fn other_kind(server: &Server) -> Finding {
    Finding::of(Fault::number_of_other_kind(), &server.id).final_word()
}
