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
    for (cluster, vmid, sample) in samples.guests() {
        families.usage(&ids.of_guest(cluster, vmid), &sample.usage);
    }
    for (server, sample) in samples.servers() {
        families.usage(server.as_str(), &sample.usage);
        families.pressure(server.as_str(), &sample.pressure);
    }
    encode(series_of(&families.finish(), at))
}
