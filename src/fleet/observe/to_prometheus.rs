//! What a look sends to Prometheus, put together while it is kept.

use jiff::Timestamp;

use crate::fleet::observe::Observed;
use crate::model::past::metrics::{Families, Ids};
use crate::state::Samples;
use crate::transport::prometheus::{encode, series_of};

/// The bodies that send what a run learned. `observed` has what is
/// beyond samples: states, services, and what hosts alone tell.
pub(in crate::fleet) fn outgoing(
    samples: &Samples,
    observed: Option<&Observed>,
    ids: &Ids,
    at: Timestamp,
) -> Vec<Vec<u8>> {
    let mut families = Families::default();
    for server in observed.iter().flat_map(|observed| &observed.inventory.servers) {
        let id = ids.of(server);
        families.power(&id, server.vmid.is_some(), server.seen.state);
        families.services(&id, &server.seen.checks);
    }
    for (server, load) in observed.iter().flat_map(|observed| &observed.loads) {
        if let Ok(load) = load {
            families.host_details(server.as_str(), load);
        }
    }
    for (server, joules) in observed.iter().flat_map(|observed| &observed.energy) {
        // Of a server that is not looked at no more is added.
        if observed.is_some_and(|observed| observed.drawn.contains_key(server)) {
            families.host_energy(server.as_str(), joules);
        }
    }
    for (cluster, vmid, sample) in samples.guests() {
        families.usage(&ids.of_guest(cluster, vmid), &sample.usage);
    }
    for (server, sample) in samples.servers() {
        families.usage(server.as_str(), &sample.usage);
        families.pressure(server.as_str(), &sample.pressure);
        if let Some(watts) = &sample.watts {
            families.host_power(server.as_str(), watts);
        }
    }
    encode(series_of(&families.finish(), at))
}
