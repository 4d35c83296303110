//! Which failures are none, because a host may rest, and which silence is one.

use std::collections::HashMap;

use crate::model::id::ServerId;
use crate::model::inventory::server::Expected;
use crate::model::inventory::{Failed, FailureKind, Inventory, Server};
use crate::model::power::PowerState;

/// What runs on a host that was put to sleep is not expected to be seen.
pub(super) fn rest_with_hosts(inventory: &mut Inventory) {
    let rest = |server: &Server| match server.sleeps_until() {
        _ if server.vmid.is_some() => None,
        _ if server.seen.state == PowerState::Asleep => Some("asleep".to_owned()),
        until => until.map(|until| format!("off until {until}")),
    };
    let hosts = inventory.servers.iter().filter_map(|host| Some((host.id.clone(), rest(host)?)));
    let hosts: HashMap<ServerId, String> = hosts.collect();
    if hosts.is_empty() {
        return;
    }
    for guest in inventory.servers.iter_mut().filter(|server| server.seen.state == PowerState::Unknown) {
        let Some(host) = guest.parent.as_ref().filter(|_| guest.vmid.is_some()) else { continue };
        let Some(rest) = hosts.get(host) else { continue };
        guest.seen.reason = Some(format!("its host {host} is {rest}"));
        guest.expected = Expected::Any;
    }
}

/// Whether a failure says no more than that a host is off which may be, or that it is on its way.
pub(super) fn is_expected(failed: &Failed, inventory: &Inventory) -> bool {
    let may_be_off = |server: &Server| {
        server.id == failed.server && (server.seen.action.is_some() || server.expected != Expected::On)
    };
    if failed.kind == FailureKind::NodeOffline && failed.about.is_none() {
        return inventory.servers.iter().any(may_be_off);
    }
    failed.kind == FailureKind::Unreachable
        && inventory.servers.iter().any(|server| {
            let off = matches!(server.seen.state, PowerState::Offline | PowerState::Asleep);
            // A host that wakes may answer to SSH and not yet to its API.
            server.id == failed.server && (server.seen.action.is_some() || off && !server.is_alarming())
        })
}

/// Whether a failure says that there is no token to show to a host that is off: a host that refuses one is on. That it is
/// off is said instead.
pub(super) fn is_off_besides(failed: &Failed, inventory: &Inventory) -> bool {
    let off = |server: &Server| matches!(server.seen.state, PowerState::Offline | PowerState::Asleep);
    failed.kind == FailureKind::Denied
        && inventory.servers.iter().any(|server| server.id == failed.server && off(server))
}

/// Hosts that should be on and are not, where nothing else was said of them.
pub(super) fn silent_hosts(inventory: &Inventory) -> Vec<Failed> {
    let own = inventory.failures.iter().filter(|failed| !failed.kind.is_of_cluster());
    let said: Vec<_> = own.map(|failed| &failed.server).collect();
    let alarming = inventory.servers.iter().filter(|server| server.is_alarming() && !said.contains(&&server.id));
    alarming
        .map(|server| Failed {
            server: server.id.clone(),
            kind: FailureKind::Unreachable,
            message: match &server.seen.reason {
                Some(reason) => format!("{} is {}: {reason}", server.id, server.seen.state),
                None => format!("{} is {}, and expected to be on", server.id, server.seen.state),
            },
            advice: None,
            about: None,
        })
        .collect()
}

/// Says of hosts that do not answer that their own clocks should have woken them.
pub(super) fn say_overdue(inventory: &mut Inventory) {
    let overdue = inventory.servers.iter().filter(|server| server.is_alarming() && server.is_overdue());
    for server in overdue {
        let Some(until) = &server.seen.until else { continue };
        let reproach = until.reproach();
        let silent = |failed: &&mut Failed| failed.server == server.id && failed.kind == FailureKind::Unreachable;
        for failed in inventory.failures.iter_mut().filter(silent) {
            if !failed.message.contains(&reproach) {
                failed.message = format!("{}; {reproach}", failed.message);
            }
        }
    }
}
