//! The snapshots of guests, asked of their nodes.

use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::fleet::reach::bounded::per_node;
use crate::fleet::reach::hint::Doing;
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::PowerState;
use crate::model::snapshot::Snapshots;
use crate::transport::Error;
use crate::transport::pve::is_not_here;

use super::Cannot;

impl Fleet<'_> {
    /// The snapshots of the chosen servers that are guests (places in `servers`), in their order. Nodes are asked beside each
    /// other, each for three guests at a time, and no longer than any host is waited for.
    pub(crate) async fn list_snapshots<'s>(
        &self,
        servers: &'s [Server],
        chosen: &[usize],
        clients: &ApiClients,
    ) -> Vec<(usize, Result<Snapshots, Cannot>)> {
        let mut done: Vec<(usize, Result<Snapshots, Cannot>)> = Vec::new();
        let mut guests = Vec::new();
        for place in chosen {
            let server = &servers[*place];
            let Some(named) = Named::of(server) else { continue };
            match &server.node {
                Some(node) if server.seen.state != PowerState::Unknown || clients.standing(named.cluster).is_some() => {
                    guests.push((node.clone(), (*place, named)));
                }
                _ => {
                    let why = server.seen.reason.clone().unwrap_or_else(|| "nothing answers for it".to_owned());
                    done.push((*place, Err(Cannot { why, fix: None, kind: Some(FailureKind::Unreachable) })));
                }
            }
        }
        let after = self.limits.left(self.limits.host);
        let ask = |(place, named): (usize, Named<'s>)| async move {
            let asked = tokio::time::timeout(after, self.snapshots_of(named, clients)).await;
            let peer = named.server.id.to_string();
            let late = |_| Err(Error::Timeout { peer, doing: "asking for its snapshots", after });
            let answer = asked.unwrap_or_else(late);
            (place, answer.map_err(|error| self.cannot_list(named.server, &error)))
        };
        done.extend(per_node(guests, ask).await);
        let order = |place: usize| chosen.iter().position(|other| *other == place);
        done.sort_by_key(|(place, _)| order(*place));
        done
    }

    async fn snapshots_of(&self, named: Named<'_>, clients: &ApiClients) -> Result<Snapshots, Error> {
        let client = self.client_of(clients, named.cluster).await?;
        let node = named.server.node.as_ref();
        match node {
            Some(node) => match client.snapshots(node, named.kind, named.vmid).await {
                Err(error) if is_not_here(&error) => {
                    // It has moved since it was listed.
                    let listing = client.listing().await?;
                    let now = listing.guests.iter().find(|guest| guest.vmid == named.vmid && guest.kind == named.kind);
                    match now {
                        Some(guest) => client.snapshots(&guest.node, named.kind, named.vmid).await,
                        None => Err(error),
                    }
                }
                answer => answer,
            },
            None => {
                Err(Error::Protocol { peer: named.server.id.to_string(), detail: "its node is not known".to_owned() })
            }
        }
    }

    fn cannot_list(&self, server: &Server, error: &Error) -> Cannot {
        let fix = self.hint(&server.id, error, Doing::Look);
        Cannot { why: error.to_string(), fix, kind: Some(error.kind()) }
    }
}
