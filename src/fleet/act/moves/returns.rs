//! Who comes back to a host that is woken: those that were moved away from it, and are still where they were put.

use super::Wanted;
use crate::fleet::Fleet;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::migrate::Destination;
use crate::model::power::PowerState;
use crate::state::StateError;

/// Guests that come back.
#[derive(Debug, Default)]
pub(in crate::fleet::act) struct Returns {
    /// Each with its host.
    pub(in crate::fleet::act) guests: Vec<(ServerId, ServerId)>,
    pub(in crate::fleet::act) wanted: Wanted,
    /// What is to be said of others.
    pub(in crate::fleet::act) said: Vec<String>,
}

impl Fleet<'_> {
    /// The guests that were moved away from the chosen hosts. One that is elsewhere by now was moved by somebody, and stays
    /// there.
    pub(in crate::fleet::act) fn returns_to(
        &self,
        servers: &[Server],
        chosen: &[usize],
        only_shown: bool,
    ) -> Result<Returns, StateError> {
        let mut returns = Returns::default();
        let moved = self.state.moved()?;
        for host in chosen.iter().map(|place| &servers[*place]).filter(|server| server.vmid.is_none()) {
            let mut any = false;
            for guest in moved.iter().filter(|guest| guest.host == host.id) {
                let place = servers.iter().position(|server| {
                    server.vmid == Some(guest.vmid) && server.cluster.as_ref() == Some(&guest.cluster)
                });
                let Some(place) = place else {
                    returns.said.push(format!("guest {} was moved away from {}, and is not seen", guest.vmid, host.id));
                    continue;
                };
                let server = &servers[place];
                let node = server.node.as_ref();
                if node == Some(&guest.to) || node == Some(&guest.from) || server.seen.state == PowerState::Unknown {
                    any = true;
                    returns.guests.push((server.id.clone(), host.id.clone()));
                    returns.wanted.push((place, Destination::Node(guest.from.clone())));
                } else {
                    let on = node.map_or("another node", |node| node.as_str());
                    returns.said.push(format!(
                        "{} was moved away from {} to {}, and is on {on} now: it stays there",
                        server.called(),
                        host.id,
                        guest.to
                    ));
                    if !only_shown {
                        self.state.forget_moved(&guest.cluster, guest.vmid)?;
                    }
                }
            }
            if !any {
                returns.said.push(format!("no guest was moved away from {}: nothing to bring back", host.id));
            }
        }
        Ok(returns)
    }
}
