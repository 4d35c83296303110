//! Whether ecobox runs on the host that goes down, or in a guest of it, or reaches others through it.

use std::net::IpAddr;

use super::{Findings, HostCheck};
use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::model::check::fault::Fault;
use crate::model::host::power::{HostPreflight, Identity, Itself};
use crate::model::inventory::Server;

impl Fleet<'_> {
    /// Whether ecobox, or its way to others, goes down with the host.
    pub(super) async fn look_at_itself(
        &self,
        check: &HostCheck<'_>,
        config: &ServerConfig,
        seen: &HostPreflight,
        here: Option<&Identity>,
        found: &mut Findings<'_>,
    ) {
        let there = seen.identity();
        if config.access == Access::Local {
            found.add(Fault::ecobox_runs_on_it());
        }
        if let Some(here) = here {
            match here.itself(&there) {
                Some(Itself::ThisMachine) => found.add(Fault::ecobox_runs_on_it()),
                Some(Itself::KernelHost) => found.add(Fault::ecobox_runs_in_container()),
                None => {
                    if let Some(guest) = guest_of(here, check, seen) {
                        found.add(Fault::ecobox_runs_in_guest(&guest));
                    }
                }
            }
            let addresses: Vec<IpAddr> = there.addresses;
            if here.came_from(&addresses) {
                found.add(Fault::your_session_comes_from_it());
            }
        }
        let mut behind = Vec::new();
        for other in self.hosts().filter(|other| other.id != config.id && other.access == Access::Ssh) {
            if self.leads_through(config, other).await.unwrap_or(false) {
                behind.push(other.id.to_string());
            }
        }
        if !behind.is_empty() {
            found.add(Fault::jump_host_of(&behind));
        }
    }
}

/// The guest of a host that ecobox runs in: by what QEMU was told, else by the addresses that its agent gave.
fn guest_of(here: &Identity, check: &HostCheck<'_>, seen: &HostPreflight) -> Option<String> {
    let HostCheck { host, servers, .. } = *check;
    let on_it = || servers.iter().filter(|server| server.vmid.is_some() && server.parent.as_ref() == Some(&host.id));
    let carried = seen.carries.iter().find(|(_, carried)| here.is_guest(carried.uuid.as_deref(), &carried.macs));
    if let Some((vmid, _)) = carried {
        let listed = on_it().find(|guest| guest.vmid == Some(*vmid));
        return Some(listed.map_or_else(|| vmid.to_string(), |guest| guest.id.to_string()));
    }
    let is_here = |guest: &&Server| {
        let macs: Vec<String> = guest.addresses.iter().filter_map(|address| address.mac.clone()).collect();
        here.is_guest(None, &macs)
    };
    on_it().find(is_here).map(|guest| guest.id.to_string())
}
