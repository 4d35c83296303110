//! The connections to clusters' APIs that stand while a plan is made and carried out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::guest_snapshot::GuestSnapshot;
use crate::fleet::Fleet;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::server::Listing;
use crate::transport::pve::Client;
use crate::transport::{Error, PVE_CLUSTER};

/// The connections that stand, of the clusters that answered, and what was seen of guests through them for the plan.
#[derive(Debug, Default)]
pub(crate) struct ApiClients {
    connected: RefCell<HashMap<ClusterId, Rc<Client>>>,
    pub(super) snapshots: RefCell<HashMap<ServerId, GuestSnapshot>>,
}

impl ApiClients {
    /// Those that an observation left.
    pub(crate) fn new(clients: HashMap<ClusterId, Client>) -> ApiClients {
        let clients = clients.into_iter().map(|(cluster, client)| (cluster, Rc::new(client)));
        ApiClients { connected: RefCell::new(clients.collect()), snapshots: RefCell::default() }
    }

    /// The open connection, if there is one; none is opened.
    pub(super) fn standing(&self, cluster: &ClusterId) -> Option<Rc<Client>> {
        self.connected.borrow().get(cluster).cloned()
    }

    /// Forgets a connection whose node does not answer: another member may.
    pub(super) fn lose(&self, cluster: &ClusterId, error: &Error) {
        tracing::debug!(%error, "asking again");
        let nobody = matches!(error, Error::Connect { .. } | Error::Timeout { .. });
        if nobody || matches!(error, Error::ServiceDown { service: PVE_CLUSTER, .. }) {
            self.connected.borrow_mut().remove(cluster);
        }
    }
}

impl From<HashMap<ClusterId, Client>> for ApiClients {
    fn from(clients: HashMap<ClusterId, Client>) -> ApiClients {
        ApiClients::new(clients)
    }
}

impl Fleet<'_> {
    /// The connection to a cluster that stands, or a new one.
    ///
    /// # Errors
    /// No member of the cluster answers: the first member's reason.
    pub(super) async fn client_of(&self, clients: &ApiClients, cluster: &ClusterId) -> Result<Rc<Client>, Error> {
        match clients.standing(cluster) {
            Some(client) => Ok(client),
            None => Ok(self.connect(clients, cluster).await?.0),
        }
    }

    /// A new connection to a cluster, by whichever member answers, and what it listed.
    pub(super) async fn connect(
        &self,
        clients: &ApiClients,
        cluster: &ClusterId,
    ) -> Result<(Rc<Client>, Listing), Error> {
        let groups = self.groups();
        let none = || Error::NoToken {
            peer: cluster.short().to_owned(),
            detail: "no configured server reaches its API".to_owned(),
        };
        let group = groups.iter().find(|group| group.cluster == *cluster).ok_or_else(none)?;
        let answer = self.listing(group).await;
        match answer.listed {
            Some(listed) => {
                let client = Rc::new(listed.client);
                clients.connected.borrow_mut().insert(cluster.clone(), client.clone());
                Ok((client, listed.listing))
            }
            None => Err(answer.failures.into_iter().next().map_or_else(none, |(_, error)| error)),
        }
    }
}
