//! Waking a host over the network: by which way, round by round, until the caller sees it awake.
//!
//! `path` says by whom, `relay` sends from another server, `awake` tells whether a host is awake, `ready` whether it can start
//! guests; `step` is all of it as a step of a plan. A packet that was sent proves nothing.

mod awake;
mod can_wake;
mod ready;
mod relay;
pub(in crate::fleet) mod step;

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::pin;

use tokio::time::MissedTickBehavior;

use crate::config::{Access, SecureOnFrom, ServerConfig};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::reach::secret::{Asker, secret};
use crate::model::host::magic_packet::{Mac, SecureOn, magic_packet};
use crate::model::id::{NodeName, ServerId};
use crate::model::power::PowerState;
use crate::transport::pve::Posted;
use crate::transport::wol::Order;
use crate::transport::{Error, probe, wol};

pub(crate) use self::can_wake::{NoWakePath, WakePath};
pub(super) use self::step::WAKE;

/// What is read here of what a relay's script prints, for those who try any bytes on it.
#[cfg(any(test, fuzzing))]
pub(crate) const READERS: &[crate::model::foreign::Reader] = &[("relay", |bytes| {
    let text = String::from_utf8_lossy(bytes);
    drop((relay::read(&text, Some("eno1"), false), relay::read(&text, None, true)));
})];

/// Why a round of packets was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// This machine could not.
    #[error(transparent)]
    Here(#[from] Error),
    /// The relay was not reached, or its answer makes no sense. `state` is what is known of it.
    #[error("the relay {relay} ({}) sent nothing: {error}", state.as_str())]
    Relay { relay: ServerId, state: PowerState, error: Error },
    /// The relay has no program that could, or they all failed.
    #[error("the relay {relay} sent nothing: {detail}")]
    NoMeans { relay: ServerId, detail: String },
    /// A node of the cluster refused.
    #[error("{via} sent nothing to node {node}: {error}", node = node.as_str())]
    Node { via: ServerId, node: NodeName, error: Error },
}

impl SendError {
    /// What went wrong between this machine and the sender; `None`: the sender itself failed.
    pub(crate) fn cause(&self) -> Option<&Error> {
        match self {
            SendError::Here(error) | SendError::Relay { error, .. } | SendError::Node { error, .. } => Some(error),
            SendError::NoMeans { .. } => None,
        }
    }

    /// Whether the cluster, too, does not know the address.
    pub(crate) fn is_for_want_of_address(&self) -> bool {
        matches!(self, SendError::Node { error: Error::Api { reason, .. }, .. } if reason.contains("No wake on LAN MAC address"))
    }
}

/// Why a server was not seen awake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWoken {
    #[error(transparent)]
    NoPath(#[from] NoWakePath),
    /// Nothing left at all.
    #[error(transparent)]
    NotSent(#[from] SendError),
    /// `rounds` of packets were sent, and it did not answer before the caller's deadline.
    #[error("{server} did not answer after {rounds} rounds of magic packets")]
    Silent { server: ServerId, rounds: u32 },
}

/// A server that was seen awake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Woken<T> {
    /// What the caller saw.
    pub(crate) seen: T,
    /// How many rounds were sent until then; it may have been awake before any.
    pub(crate) rounds: u32,
}

/// What was sent in one round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// Where to: `10.0.0.255:9 by eno1`.
    pub(crate) sent: Vec<String>,
    /// Where not to, and why.
    pub(crate) failed: Vec<String>,
}

/// What happens while a server is being woken.
#[derive(Debug)]
pub(crate) enum WakeEvent<'a> {
    /// Packets of round `round` of `of` have left.
    Sent { round: u32, of: u32, sent: &'a Sent },
    /// They did not; those of an earlier round have.
    NotSent { round: u32, of: u32, error: &'a SendError },
}

/// What each round of packets needs.
struct Parcel<'a> {
    server: &'a ServerConfig,
    mac: Mac,
    secure_on: Option<SecureOn>,
    last_address: Option<IpAddr>,
}

/// What sends the rounds of one run.
enum Sender<'a> {
    /// Packets, from this machine or from a relay.
    Packets {
        parcel: Parcel<'a>,
        relay: Option<&'a ServerId>,
    },
    Node {
        via: &'a ServerId,
        node: &'a NodeName,
    },
}

impl Parcel<'_> {
    fn order<'p>(&'p self, packet: &'p [u8]) -> Order<'p> {
        let wol = &self.server.wol;
        Order {
            label: self.server.id.as_str(),
            packet,
            broadcast: wol.broadcast,
            interface: wol.interface.as_deref(),
            port: wol.port,
            last_address: self.last_address,
        }
    }
}

impl Fleet<'_> {
    /// Sends a round of packets at once, and one every `wol_retry_interval` up to `wol_max_retries` of them, while
    /// `until_awake` runs; then it goes on waiting. `until_awake` gives what it saw, or `None` at the caller's deadline.
    /// Where the first round cannot be sent, nothing else is tried.
    pub(crate) async fn wake<T>(
        &self,
        server: &ServerConfig,
        path: &WakePath,
        until_awake: impl Future<Output = Option<T>>,
        mut events: impl FnMut(WakeEvent<'_>),
        _: &Confirmed,
    ) -> Result<Woken<T>, NotWoken> {
        let mut until_awake = pin!(until_awake);
        let settings = &self.config.settings;
        // A node of the cluster is asked once: it is a request that changes something, and is never repeated.
        let of = if matches!(path, WakePath::Node { .. }) { 1 } else { settings.wol_max_retries.max(1) };
        let rounds = Cell::new(0);
        let mut sending = Box::pin(async {
            let sender = self.sender(server, path).await?;
            let mut turns = tokio::time::interval(settings.wol_retry_interval);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for round in 1..=of {
                turns.tick().await;
                match self.send_round(&sender).await {
                    Ok(sent) => {
                        // If it is unknown whether a packet left, the round does not count.
                        rounds.set(rounds.get() + u32::from(!sent.sent.is_empty()));
                        events(WakeEvent::Sent { round, of, sent: &sent });
                    }
                    Err(error) if rounds.get() == 0 => return Err(NotWoken::NotSent(error)),
                    Err(error) => events(WakeEvent::NotSent { round, of, error: &error }),
                }
            }
            Ok(())
        });
        let mut sends = true;
        let seen = loop {
            tokio::select! {
                seen = &mut until_awake => break seen,
                sent = &mut sending, if sends => {
                    sent?;
                    sends = false;
                }
            }
        };
        let rounds = rounds.get();
        match seen {
            Some(seen) => Ok(Woken { seen, rounds }),
            None => Err(NotWoken::Silent { server: server.id.clone(), rounds }),
        }
    }

    async fn sender<'a>(&self, server: &'a ServerConfig, path: &'a WakePath) -> Result<Sender<'a>, NotWoken> {
        let relay = match path {
            WakePath::Here => None,
            WakePath::Relay(relay) => Some(relay),
            // The cluster knows the address, and this machine may not.
            WakePath::Node { via, node } => return Ok(Sender::Node { via, node }),
        };
        let mac = self.wake_mac(server)?;
        let secure_on = self.secure_on(server).await.map_err(SendError::Here)?;
        let last_address = match relay {
            None => match self.dialled_address(server).await {
                Some(address) => Some(address),
                None => self.learned_address(server),
            },
            // What this machine dials may be a way in from elsewhere; the relay is in the server's own network.
            Some(_) => match self.learned_address(server) {
                Some(address) => Some(address),
                None => self.dialled_address(server).await,
            },
        };
        let parcel = Parcel { server, mac, secure_on, last_address };
        Ok(Sender::Packets { parcel, relay })
    }

    async fn secure_on(&self, server: &ServerConfig) -> Result<Option<SecureOn>, Error> {
        let asker = Asker { peer: server.id.as_str(), place: "[servers.wol]" };
        match &server.wol.secure_on {
            None => Ok(None),
            Some(SecureOnFrom::Given(password)) => Ok(Some(password.clone())),
            Some(SecureOnFrom::Elsewhere(from)) => {
                let text = secret(asker, from, self.limits.left(self.limits.host)).await?;
                let password = text.expose().parse::<SecureOn>();
                password.map(Some).map_err(|error| asker.failed(format!("what `{}` gives {error}", from.key())))
            }
        }
    }

    /// The address that this machine dials, if no jump host is in between.
    pub(in crate::fleet) async fn dialled_address(&self, server: &ServerConfig) -> Option<IpAddr> {
        let host = match server.access {
            Access::Api => server.hostname.clone(),
            Access::Ssh => self.route(server).await.ok()?.direct()?.host.clone(),
            Access::Local => return None,
        };
        probe::address(&host).await
    }

    /// The address that the server's wake port had when `init` looked; IPv4 where it has both.
    fn learned_address(&self, server: &ServerConfig) -> Option<IpAddr> {
        let known = self.known.borrow();
        let facts = known.facts.get(&server.id)?;
        let nic = facts.wake_nic()?;
        let own = |interface: &str| interface == nic.name || nic.master.as_deref() == Some(interface);
        let addresses = facts.addresses.iter().filter(|address| own(&address.interface));
        addresses.map(|address| address.ip).min_by_key(IpAddr::is_ipv6)
    }

    async fn send_round(&self, sender: &Sender<'_>) -> Result<Sent, SendError> {
        let (parcel, relay) = match sender {
            Sender::Packets { parcel, relay } => (parcel, relay),
            Sender::Node { via, node } => return self.wake_by_node(via, node).await,
        };
        let packet = magic_packet(parcel.mac, parcel.secure_on.as_ref());
        if let Some(relay) = relay {
            return self.send_from(relay, parcel, &packet).await;
        }
        let round = wol::send(&parcel.order(&packet))?;
        let sent = round.sent.iter().map(ToString::to_string).collect();
        Ok(Sent { sent, failed: round.failures() })
    }

    /// Asks a node of the cluster to send the packet: `POST /nodes/{node}/wakeonlan`. One whose answer was lost may have
    /// been sent: then the host is waited for all the same.
    async fn wake_by_node(&self, via: &ServerId, node: &NodeName) -> Result<Sent, SendError> {
        let failed = |error: Error| SendError::Node { via: via.clone(), node: node.clone(), error };
        let server = self.config.servers.iter().find(|server| server.id == *via);
        let unknown = || Error::Local { peer: via.to_string(), detail: "it is not configured".to_owned() };
        let client = self.client(server.ok_or_else(|| failed(unknown()))?).await.map_err(failed)?;
        match client.wake_node(node).await {
            Posted::Done | Posted::Task(_) => {
                Ok(Sent { sent: vec![format!("{} by {via}", node.as_str())], ..Sent::default() })
            }
            Posted::Lost(error) => {
                Ok(Sent { failed: vec![format!("the answer of {via} was lost: {error}")], ..Sent::default() })
            }
            Posted::Refused(error) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests;
