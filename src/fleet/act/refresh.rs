//! What guests do at this moment, asked of their own nodes: what a listing says of that may be ten seconds old.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use super::ApiClients;
use super::guest::Named;
use super::guest_snapshot::GuestSnapshot;
use crate::fleet::Fleet;
use crate::fleet::reach::bounded::per_node;
use crate::fleet::reach::hint::Doing;
use crate::model::guest::{GuestConfig, GuestStatus};
use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId, VmId};
use crate::model::inventory::Server;
use crate::model::power::{Lost, PowerState};
use crate::state::StateError;
use crate::transport::Error;

/// More guests of one kind on a node are asked by one list.
const ONE_BY_ONE: usize = 3;

/// So long a look counts for a step that begins at once. Who waited, for a person or for another step, looks again.
const RECENT: Duration = Duration::from_secs(5);

/// Why the state of a guest is unknown.
#[derive(Debug, Clone)]
struct Unsaid {
    why: String,
    /// Where nothing can be done with it either.
    lost: Option<Lost>,
}

impl From<&str> for Unsaid {
    fn from(why: &str) -> Unsaid {
        Unsaid { why: why.to_owned(), lost: None }
    }
}

/// Guests that one list tells of.
type OnNode<'a> = (&'a ClusterId, &'a NodeName, GuestKind);

impl ApiClients {
    /// What was seen of a guest a moment ago.
    pub(super) fn snapshot(&self, guest: &ServerId) -> Option<GuestSnapshot> {
        self.snapshots.borrow().get(guest).filter(|snapshot| snapshot.at.elapsed() < RECENT).cloned()
    }

    /// Keeps what a guest's configuration says, which is that of the guest that is known.
    pub(super) fn keep_config(&self, guest: &ServerId, config: &GuestConfig) {
        if let Some(snapshot) = self.snapshots.borrow_mut().get_mut(guest) {
            snapshot.config = Some(config.clone());
        }
    }
}

impl Fleet<'_> {
    /// Puts what these guests do at this moment in place of what the listing said. Of whom nobody can tell it nothing is
    /// known: a plan is not made on what may be old. Gives those with whom nothing can be done.
    ///
    /// # Errors
    /// The state file's.
    pub(super) async fn refresh(
        &self,
        servers: &mut [Server],
        places: &[usize],
        clients: &ApiClients,
    ) -> Result<HashMap<ServerId, Lost>, StateError> {
        let mut groups: HashMap<OnNode<'_>, Vec<(usize, VmId)>> = HashMap::new();
        for place in places {
            let server = &servers[*place];
            let Some(named) = Named::of(server) else { continue };
            // Hosts that are known not to answer are not asked.
            let stands = clients.standing(named.cluster).is_some() && server.seen.state != PowerState::Unknown;
            if let (true, Some(node)) = (stands, &server.node) {
                groups.entry((named.cluster, node, named.kind)).or_default().push((*place, named.vmid));
            }
        }
        let asked = groups.into_iter().map(|((cluster, node, kind), guests)| async move {
            let answers = self.ask_guests_of(clients, cluster, node, kind, &guests).await;
            (node.clone(), answers)
        });
        let answers: Vec<_> = join_all(asked).await;
        let mut lost = HashMap::new();
        for (node, answers) in answers {
            for (place, answer) in answers {
                if let Err(Unsaid { lost: Some(one), .. }) = &answer {
                    lost.insert(servers[place].id.clone(), one.clone());
                }
                self.take_look(&mut servers[place], &node, answer, clients)?;
            }
        }
        Ok(lost)
    }

    /// What guests of one kind on one node do.
    async fn ask_guests_of(
        &self,
        clients: &ApiClients,
        cluster: &ClusterId,
        node: &NodeName,
        kind: GuestKind,
        guests: &[(usize, VmId)],
    ) -> Vec<(usize, Result<GuestStatus, Unsaid>)> {
        let after = self.limits.left(self.limits.host);
        let late = |_| Error::Timeout { peer: node.to_string(), doing: "asking what its guests do", after };
        let nobody = |why: Unsaid| guests.iter().map(|(place, _)| (*place, Err(why.clone()))).collect();
        let client = match self.client_of(clients, cluster).await {
            Ok(client) => client,
            Err(error) => return nobody(Unsaid::from(error.to_string().as_str())),
        };
        if guests.len() > ONE_BY_ONE {
            let listed =
                timeout(after, client.guest_statuses(node, kind)).await.map_err(late).and_then(|answer| answer);
            return match listed {
                Err(error) => nobody(self.unsaid(&error)),
                Ok(mut listed) => {
                    let moved = format!("{node} does not have it any more");
                    let of = |vmid: &VmId| listed.remove(vmid).ok_or_else(|| Unsaid::from(moved.as_str()));
                    guests.iter().map(of_place(of)).collect()
                }
            };
        }
        let ask = |(place, vmid): (usize, VmId)| {
            let client = client.clone();
            async move {
                let answer = timeout(after, client.guest_status(node, kind, vmid)).await;
                (place, answer.map_err(late).and_then(|answer| answer).map_err(|error| self.unsaid(&error)))
            }
        };
        per_node(guests.iter().map(|guest| (node.clone(), *guest)), ask).await
    }

    fn unsaid(&self, error: &Error) -> Unsaid {
        let why = error.to_string();
        let is_final = matches!(error, Error::ServiceDown { .. } | Error::Api { status: 595..=599, .. });
        let lost = is_final.then(|| {
            let server = error.peer().parse::<ServerId>().ok();
            let fix = server.and_then(|server| self.hint(&server, error, Doing::Look));
            Lost { why: why.clone(), fix, kind: error.kind() }
        });
        Unsaid { why, lost }
    }

    fn take_look(
        &self,
        server: &mut Server,
        node: &NodeName,
        answer: Result<GuestStatus, Unsaid>,
        clients: &ApiClients,
    ) -> Result<(), StateError> {
        match answer {
            Ok(mut status) => {
                let at = self.now();
                // A list does not say who is managed by HA; the listing knows at once.
                if status.ha_state.is_none() {
                    status.ha_state.clone_from(&server.ha_state);
                    status.ha_managed |= server.ha_state.as_deref().is_some_and(|state| state != "ignored");
                }
                // Who looks next is told the same, though the listing has not heard of it.
                if server.seen.state != status.state && !server.template {
                    self.state.put_sighting(&server.key(), status.state, at, false)?;
                }
                server.see(&status, at);
                let look = GuestSnapshot { at: Instant::now(), node: node.clone(), status, config: None };
                clients.snapshots.borrow_mut().insert(server.id.clone(), look);
            }
            Err(Unsaid { why, .. }) => {
                tracing::debug!(server = server.id.as_str(), why, "its node does not say what it does now");
                server.seen.state = PowerState::Unknown;
                server.seen.reason = Some(why);
            }
        }
        Ok(())
    }
}

/// The place beside what is said of the guest.
fn of_place<T>(mut of: impl FnMut(&VmId) -> T) -> impl FnMut(&(usize, VmId)) -> (usize, T) {
    move |(place, vmid)| (*place, of(vmid))
}
