//! A look at how a host could be woken, and how that went before.

use std::net::IpAddr;

use jiff::Timestamp;

use super::known::{Known, Look};
use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::act::wake::{NoWakePath, WakePath};
use crate::model::check::CheckId;
use crate::model::check::fix::Fix;
use crate::model::check::host::SystemSeen;
use crate::model::check::sleep::{SleepSeen, Wakes, Way};
use crate::model::host::facts::{HostAddress, HostFacts};
use crate::model::id::ServerId;
use crate::model::inventory::server::{Expected, ServerKey};
use crate::model::inventory::{Inventory, Server};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{AWAKE_BEFORE, PowerAction};
use crate::state::Action;
use crate::transport::wol;

impl Fleet<'_> {
    /// Everything that the checks of a host's sleep judge, besides what a script there told. `None`: ecobox runs on it.
    pub(super) async fn sleep_seen(&self, look: &Look<'_>, known: &Known<'_>, looks: &[Look<'_>]) -> Option<SleepSeen> {
        let (past, known) = (known.past, known.inventory);
        let server = look.host;
        if server.access == Access::Local {
            return None;
        }
        let key = ServerKey::of_server(&server.id);
        let own: Vec<&Action> = past.iter().filter(|action| action.server.as_ref() == Some(&key)).collect();
        let slept = own.iter().any(|action| {
            let is_sleep =
                [PowerAction::Suspend, PowerAction::Hibernate].iter().any(|one| action.action == one.as_str());
            is_sleep && action.outcome == ActionOutcome::Done.as_str()
        });
        let remembered = known.servers.iter().find(|known| known.id == server.id);
        Some(SleepSeen {
            mac: server.mac.map(|mac| mac.to_string()),
            meant: slept || remembered.is_some_and(|server| server.expected == Expected::Asleep),
            way: Some(Box::pin(self.way(look, looks)).await),
            wakes: wakes(&own),
            managed: managed(remembered, known),
        })
    }

    /// How often ecobox has woken a host.
    pub(crate) fn wakes_of(&self, server: &ServerId) -> Wakes {
        let key = ServerKey::of_server(server);
        let past = self.state.actions(Timestamp::MIN, self.now()).unwrap_or_default();
        wakes(&past.iter().filter(|action| action.server.as_ref() == Some(&key)).collect::<Vec<_>>())
    }

    /// How a host could be woken.
    async fn way(&self, look: &Look<'_>, looks: &[Look<'_>]) -> Way {
        let server = look.host;
        match self.wake_path(server) {
            Ok(WakePath::Relay(relay)) => self.by_relay(server, &relay, looks).await,
            Ok(path) => self.by_broadcast(server, &path, looks).await,
            Err(error) => {
                if let Some(way) = self.by_node(look).await {
                    way
                } else {
                    let fix = error.advice().map_or_else(|| Fix::of(CheckId::NoWakePath, &[]), Fix::say);
                    let NoWakePath::UnknownMac { .. } = error else { return Way::Unsure(error.to_string()) };
                    Way::Unlearned { why: "the MAC address of its network card is not known".to_owned(), fix }
                }
            }
        }
    }

    /// Whether its cluster has the address by which another node could wake it.
    async fn by_node(&self, look: &Look<'_>) -> Option<Way> {
        let node = self.node_of(&look.host.id)?;
        let client = look.client?;
        let after = self.limits.left(self.limits.host);
        let mac = tokio::time::timeout(after, client.node_config_mac(&node)).await.ok()?;
        mac.ok()?.map(|mac| Way::By(format!("by another node of its cluster, to {mac}")))
    }

    /// Whether another server could send the packet.
    async fn by_relay(&self, server: &ServerConfig, relay: &ServerId, looks: &[Look<'_>]) -> Way {
        let by = format!("by a magic packet from {relay}");
        let Some(other) = self.config.servers.iter().find(|other| other.id == *relay) else {
            return none(format!("its relay {relay} is not configured"), server);
        };
        if let Err(error) = self.refuse_circle(other, server).await {
            return none(error.to_string(), server);
        }
        let Some(Look { seen, .. }) = looks.iter().find(|look| look.host.id == *relay) else {
            return Way::By(by);
        };
        if let (Some(why), Some(Err(_))) = (&seen.may_be_away, &seen.login) {
            return none(format!("its relay {relay} does not answer ({why})"), server);
        }
        match (&seen.login, &seen.system) {
            (Some(Err(trouble)), _) | (_, Some(Err(trouble))) => Way::Because(trouble.id),
            (_, Some(Ok(SystemSeen { sleep, .. }))) if sleep.senders.is_empty() => {
                let why = format!("its relay {relay} has none of perl, python3, etherwake, ether-wake and wakeonlan");
                let fix = Fix { on: Some(relay.clone()), ..Fix::say(format!("install `wakeonlan` on {relay}")) };
                Way::None { why, fix }
            }
            _ => Way::By(by),
        }
    }

    /// Whether a broadcast from here would reach it.
    async fn by_broadcast(&self, server: &ServerConfig, path: &WakePath, looks: &[Look<'_>]) -> Way {
        if let Some(to) = server.wol.broadcast {
            return Way::By(format!("by {path} to {to}"));
        }
        let own = self.own_addresses(server, looks);
        let dialled = self.dialled_address(server).await;
        let addresses: Vec<IpAddr> = own.iter().map(|address| address.ip).chain(dialled).collect();
        let is_near = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) if !ip.is_loopback() => wol::is_in_own_network(*ip),
            _ => None,
        };
        let near: Vec<bool> = addresses.iter().filter_map(is_near).collect();
        if near.contains(&true) {
            return Way::By(format!("by {path} from here"));
        }
        // Through a tunnel to it, or a forwarded port, nothing shows where it is.
        if near.is_empty() || dialled.is_some_and(|ip| ip.is_loopback()) {
            return Way::Unsure("whether a packet from here reaches its network is not known".to_owned());
        }
        let place = addresses.iter().find(|ip| is_near(ip) == Some(false)).map(ToString::to_string).unwrap_or_default();
        let why = format!("this machine is in none of its networks ({place}), and a broadcast does not leave its own");
        let neighbour = self.neighbour(server, &own, looks);
        let relay = neighbour.as_ref().map_or("RELAY", ServerId::as_str);
        let fix = format!("name a server in its network: `relay = \"{relay}\"` under [servers.wol] of `{}`", server.id);
        Way::Far { why, fix: Fix::say(fix) }
    }

    /// The addresses that a host has, as it says now or said to `init`.
    fn own_addresses(&self, server: &ServerConfig, looks: &[Look<'_>]) -> Vec<HostAddress> {
        let of_port = |facts: &HostFacts| {
            let Some(port) = facts.wake_nic() else { return Vec::new() };
            let is_its = |interface: &str| interface == port.name || port.master.as_deref() == Some(interface);
            facts.addresses.iter().filter(|address| is_its(&address.interface)).cloned().collect()
        };
        let seen = looks.iter().find(|look| look.host.id == server.id).map(|look| look.seen);
        match seen.and_then(|seen| seen.system.as_ref()) {
            Some(Ok(system)) => of_port(&system.preflight.facts),
            _ => self.known.borrow().facts.get(&server.id).map(of_port).unwrap_or_default(),
        }
    }

    /// Another server in a host's network, to which this machine logs in.
    fn neighbour(&self, server: &ServerConfig, own: &[HostAddress], looks: &[Look<'_>]) -> Option<ServerId> {
        let shares = |other: &HostAddress| own.iter().any(|address| network(address) == network(other));
        let others = self.hosts().filter(|other| other.id != server.id && other.access == Access::Ssh);
        others
            .into_iter()
            .find(|other| self.own_addresses(other, looks).iter().any(shares))
            .map(|other| other.id.clone())
    }
}

/// The network of an address: its first bits, and how many.
fn network(address: &HostAddress) -> Option<(u32, u8)> {
    let IpAddr::V4(ip) = address.ip else { return None };
    let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix.min(32))).unwrap_or(0);
    Some((ip.to_bits() & mask, address.prefix))
}

fn none(why: String, server: &ServerConfig) -> Way {
    let fix = format!("name another `relay` under [servers.wol] of `{}`", server.id);
    Way::None { why, fix: Fix::say(fix) }
}

/// How its wakes went: those of which it is known, and for which a packet was sent.
fn wakes(actions: &[&Action]) -> Wakes {
    let tries = actions.iter().filter(|action| action.action == PowerAction::Wake.as_str());
    let tries = tries.filter(|action| action.detail.as_deref() != Some(AWAKE_BEFORE));
    let is = |action: &Action, outcome: ActionOutcome| action.outcome == outcome.as_str();
    let went = tries.filter_map(|action| {
        if is(action, ActionOutcome::Done) {
            action.seconds.map(Some)
        } else if is(action, ActionOutcome::Unconfirmed) || is(action, ActionOutcome::Failed) {
            Some(None)
        } else {
            None
        }
    });
    Wakes::of(&went.collect::<Vec<_>>())
}

/// The guests on it that HA manages, as far as is remembered.
fn managed(host: Option<&Server>, known: &Inventory) -> Vec<String> {
    let Some(host) = host else { return Vec::new() };
    let is_on_it = |guest: &&Server| guest.vmid.is_some() && guest.cluster == host.cluster && guest.node == host.node;
    let is_managed = |guest: &&Server| {
        guest.ha_state.as_deref().is_some_and(|state| !matches!(state, "ignored" | "stopped" | "disabled"))
    };
    let guests = known.servers.iter().filter(is_on_it).filter(is_managed);
    guests.map(|guest| guest.id.to_string()).collect()
}
