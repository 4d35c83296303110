//! What was seen of guests by their own nodes, put in place of what a listing says that may not have heard of it.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::fleet::Fleet;
use crate::fleet::reach::api::Listed;
use crate::model::guest::GuestStatus;
use crate::model::id::{ClusterId, GuestKind, NodeName, VmId};
use crate::model::inventory::Server;
use crate::model::inventory::server::{Listing, ServerKey};
use crate::model::power::PowerState;
use crate::state::{Sighting, StateError};
use crate::transport::Error;

impl Fleet<'_> {
    /// Corrects a listing by what actions have seen since, until it has heard of that itself.
    ///
    /// # Errors
    /// The state file's.
    pub(in crate::fleet) fn correct(
        &self,
        cluster: &ClusterId,
        listing: &mut Listing,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let sightings = self.state.sightings(at)?;
        if sightings.is_empty() {
            return Ok(());
        }
        let mut heard = Vec::new();
        for guest in &mut listing.guests {
            let key = ServerKey::of_guest(cluster, guest.vmid);
            match sightings.get(&key) {
                Some(Sighting { state, passing: false, .. }) if *state == guest.state => heard.push(key),
                // Who cannot be seen now is not what it was.
                Some(Sighting { state, at, .. }) if guest.state != PowerState::Unknown => {
                    guest.see(*state, state.as_str(), *at);
                }
                _ => {}
            }
        }
        if heard.is_empty() {
            return Ok(());
        }
        match self.state.forget_sightings(&heard, at) {
            Err(error) if !error.is_of_writing() => Err(error),
            _ => Ok(()),
        }
    }

    /// What a guest does at this moment, asked of its own node through whichever member of its cluster answers. Where a
    /// listing says otherwise, it is kept until one has heard of it.
    ///
    /// # Errors
    /// The state file's. `None`: no node could be asked.
    pub(crate) async fn ask_guest(&self, server: &Server) -> Result<Option<GuestStatus>, StateError> {
        let (Some(cluster), Some(node), Some(vmid), Some(kind)) =
            (&server.cluster, &server.node, server.vmid, server.kind.guest())
        else {
            return Ok(None);
        };
        let members = self.groups().into_iter().find(|group| group.cluster == *cluster).map(|group| group.members);
        for member in members.unwrap_or_default() {
            let asked = async { self.client(member).await?.guest_status(node, kind, vmid).await };
            match timeout(self.limits.left(self.limits.listing), asked).await {
                Ok(Ok(status)) => {
                    if status.state != server.seen.state {
                        self.state.put_sighting(&server.key(), status.state, self.now(), false)?;
                    }
                    return Ok(Some(status));
                }
                Ok(Err(error)) => tracing::debug!(server = member.id.as_str(), %error, "asking what a guest does"),
                Err(_) => tracing::debug!(server = member.id.as_str(), "asking what a guest does took too long"),
            }
        }
        Ok(None)
    }

    /// Asks nodes that are there and whose pvestatd tells nothing what their guests do. Gives which of them have nobody
    /// who could say it.
    pub(in crate::fleet) async fn ask_silent_nodes(
        &self,
        listed: &mut Listed,
        patience: Duration,
    ) -> Vec<(NodeName, Error)> {
        let Listed { listing, client, .. } = listed;
        let silent: Vec<NodeName> =
            listing.nodes.iter().filter(|node| node.online.is_none()).map(|node| node.name.clone()).collect();
        let mut asked: Vec<(NodeName, GuestKind)> = Vec::new();
        for guest in listing.guests.iter().filter(|guest| silent.contains(&guest.node)) {
            let list = (guest.node.clone(), guest.kind);
            if !asked.contains(&list) {
                asked.push(list);
            }
        }
        let client = &*client;
        let answers_of = join_all(asked.into_iter().map(|(node, kind)| async move {
            let answer = timeout(patience, client.guest_statuses(&node, kind)).await.ok()?;
            Some((node, kind, answer))
        }));
        let mut answers: HashMap<(NodeName, GuestKind), HashMap<VmId, GuestStatus>> = HashMap::new();
        let mut down: Vec<(NodeName, Error)> = Vec::new();
        for (node, kind, answer) in answers_of.await.into_iter().flatten() {
            match answer {
                Ok(answer) => drop(answers.insert((node, kind), answer)),
                Err(error @ Error::ServiceDown { .. }) if !down.iter().any(|(other, _)| *other == node) => {
                    down.push((node, error));
                }
                Err(_) => {}
            }
        }
        let at = self.now();
        for guest in &mut listing.guests {
            let Some(status) = answers.get(&(guest.node.clone(), guest.kind)).and_then(|all| all.get(&guest.vmid))
            else {
                continue;
            };
            guest.see(status.state, status.raw.clone(), at);
            guest.name = guest.name.take().or_else(|| status.name.clone());
            guest.template |= status.template;
        }
        down
    }
}
