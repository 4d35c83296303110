//! Asking the guests of a listing: for their addresses, and new ones for their identity.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::fleet::Fleet;
use crate::fleet::host::silent_agents::{FAIR, SilentAgents};
use crate::fleet::reach::api::Group;
use crate::fleet::reach::bounded::per_node;
use crate::model::guest::address::{Network, needs_cards, ranked};
use crate::model::guest::{GuestConfig, GuestIdentity};
use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::inventory::server::{Address, Guest, Listing};
use crate::model::power::PowerState;
use crate::transport::Error;
use crate::transport::pve::{AgentAnswer, Client};

/// A question to a node, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Addresses,
    Identity,
    AddressesOfSilent,
}

/// One answer of a node.
enum Answer {
    Addresses(VmId, Asked),
    /// `None`: it was not told.
    Identity(VmId, Option<GuestIdentity>),
}

/// What came of asking one guest for its addresses.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// It does not run.
    Skipped,
    Found(Vec<Address>),
    /// Why there are none: what was known before stays.
    Silent(String),
    /// Like `Silent`, for a guest agent that should answer and did not.
    Dead(String),
    /// Like `Dead`, because its node does not answer.
    Lost(Arc<Error>),
}

impl<'a> Fleet<'a> {
    /// Asks each running guest for its addresses, and the configurations of `strangers` for who they are, node by node.
    /// Guests that were silent the last time come last, so that they hold no place that another could use, if at all.
    pub(super) async fn ask(
        &self,
        group: &Group<'a>,
        client: &Client,
        listing: &Listing,
        silent: &SilentAgents,
        strangers: &BTreeSet<VmId>,
    ) -> (HashMap<VmId, Asked>, Vec<(VmId, GuestIdentity)>) {
        let down: HashSet<&NodeName> =
            listing.nodes.iter().filter(|node| node.online == Some(false)).map(|node| &node.name).collect();
        let offline = |guest: &Guest| down.contains(&guest.node);
        let mut questions: Vec<(Question, &Guest)> = Vec::new();
        let mut addresses = HashMap::new();
        for guest in listing.guests.iter().filter(|guest| !guest.template) {
            let is_silent = guest.kind == GuestKind::Qemu && silent.has(guest.vmid);
            let not_yet = silent.not_yet(guest.vmid, guest.usage.uptime_seconds).filter(|_| is_silent);
            match (guest.state, not_yet) {
                (PowerState::Running, Some(why)) => drop(addresses.insert(guest.vmid, Asked::Silent(why))),
                (PowerState::Running, None) => {
                    let question = if is_silent { Question::AddressesOfSilent } else { Question::Addresses };
                    questions.push((question, guest));
                }
                _ => {}
            }
            if strangers.contains(&guest.vmid) && !offline(guest) {
                questions.push((Question::Identity, guest));
            }
        }
        questions.sort_by_key(|(question, guest)| (*question, guest.vmid));
        let networks = self.networks(group);
        // A service that is down on a node is reported once, and not for each guest.
        let lost: RefCell<HashMap<NodeName, Arc<Error>>> = RefCell::default();
        let ask = async |(question, guest): (Question, &Guest)| match question {
            Question::Identity => Answer::Identity(guest.vmid, self.identity_of(client, guest).await),
            Question::Addresses | Question::AddressesOfSilent => {
                let known = lost.borrow().get(&guest.node).cloned();
                let (vmid, asked) = match known {
                    Some(error) => (guest.vmid, Asked::Lost(error)),
                    None => self.addresses_of(client, guest, &networks).await,
                };
                if let Asked::Lost(error) = &asked {
                    lost.borrow_mut().insert(guest.node.clone(), error.clone());
                }
                Answer::Addresses(vmid, asked)
            }
        };
        let questions = questions.into_iter().map(|(question, guest)| (guest.node.clone(), (question, guest)));
        let mut identities = Vec::new();
        for answer in per_node(questions, ask).await {
            match answer {
                Answer::Addresses(vmid, asked) => drop(addresses.insert(vmid, asked)),
                Answer::Identity(vmid, identity) => identities.extend(identity.map(|identity| (vmid, identity))),
            }
        }
        (addresses, identities)
    }

    /// The identity of a guest, by its configuration. A failure costs only this guest, until the next discovery.
    async fn identity_of(&self, client: &Client, guest: &Guest) -> Option<GuestIdentity> {
        self.told_config(client, guest).await?.identity
    }

    /// The addresses of the cards that a guest's configuration gives it; none if it cannot be read.
    async fn cards_of(&self, client: &Client, guest: &Guest) -> Vec<String> {
        self.told_config(client, guest).await.map(|config| config.macs).unwrap_or_default()
    }

    async fn told_config(&self, client: &Client, guest: &Guest) -> Option<GuestConfig> {
        let patience = self.limits.left(self.limits.agent);
        if patience.is_zero() {
            return None;
        }
        let asked = client.guest_config(&guest.node, guest.kind, guest.vmid);
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(config)) => Some(config),
            Ok(Err(error)) => {
                tracing::debug!(vmid = guest.vmid.get(), %error, "its configuration was not read");
                None
            }
            Err(_) => None,
        }
    }

    async fn addresses_of(&self, client: &Client, guest: &Guest, networks: &[Network]) -> (VmId, Asked) {
        let asked = async {
            match guest.kind {
                GuestKind::Lxc => client.container_addresses(&guest.node, guest.vmid).await,
                GuestKind::Qemu => client.agent_addresses(&guest.node, guest.vmid).await,
            }
        };
        let patience = self.limits.left(self.limits.agent);
        if patience.is_zero() {
            return (guest.vmid, Asked::Silent("no time was left to ask".to_owned()));
        }
        let answer = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(AgentAnswer::Addresses(addresses))) => {
                let macs = if needs_cards(&addresses) { self.cards_of(client, guest).await } else { Vec::new() };
                Asked::Found(ranked(addresses, networks, &macs))
            }
            Ok(Ok(AgentAnswer::NotTold(why))) => Asked::Silent(why),
            Ok(Ok(AgentAnswer::NotConfigured)) => Asked::Silent("no guest agent is configured".to_owned()),
            Ok(Ok(AgentAnswer::NotRunning)) => Asked::Dead("its guest agent does not answer".to_owned()),
            // PVE 7 and 8 ask for VM.Monitor here, which is more than ecobox wants to hold.
            Ok(Err(Error::Denied { detail, .. })) => Asked::Silent(detail),
            Ok(Err(
                error @ (Error::ServiceDown { .. } | Error::Connect { .. } | Error::Api { status: 595..=599, .. }),
            )) => Asked::Lost(Arc::new(error)),
            Ok(Err(error @ Error::Timeout { .. })) if patience >= FAIR => Asked::Dead(error.to_string()),
            Ok(Err(error)) => Asked::Silent(error.to_string()),
            Err(_) if patience < FAIR => Asked::Silent(format!("no answer within {:.1} s", patience.as_secs_f32())),
            Err(_) => Asked::Dead(format!("no answer within {:.1} s", patience.as_secs_f32())),
        };
        (guest.vmid, answer)
    }

    /// The networks that the cluster's hosts themselves are in.
    fn networks(&self, group: &Group<'a>) -> Vec<Network> {
        let known = self.known.borrow();
        let facts = group.members.iter().filter_map(|server| known.facts.get(&server.id));
        facts.flat_map(|facts| &facts.addresses).map(|a| Network { ip: a.ip, prefix: a.prefix }).collect()
    }
}
