//! A look at the guests of each cluster whose API answers, and at services that never did.

use std::collections::HashMap;
use std::time::Instant;

use futures::future::join_all;
use jiff::tz::TimeZone;

use super::known::{Known, Look};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::act::holds;
use crate::fleet::host::silent_agents::FAIR;
use crate::fleet::reach::api::Group;
use crate::fleet::reach::bounded::per_node;
use crate::model::check::guest::{Agent, GuestSeen, Lock, Past, ServiceSeen};
use crate::model::guest::ActiveTask;
use crate::model::guest::address::is_dialled;
use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::inventory::server::{Guest, Listing, ServerKey, Service};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{PowerAction, PowerState};
use crate::state::Action;
use crate::transport::Error;
use crate::transport::pve::{AgentAnswer, Client};

impl Fleet<'_> {
    /// The guests of the clusters of which some host's API answered.
    pub(super) async fn guests_seen(&self, known: &Known<'_>, looks: &[Look<'_>]) -> Vec<GuestSeen> {
        let groups = self.groups();
        let asked = groups.iter().map(|group| Box::pin(self.guests_of_group(group, known, looks)));
        join_all(asked).await.into_iter().flatten().flatten().collect()
    }

    /// `None`: no host of the cluster has an API that answers.
    async fn guests_of_group(
        &self,
        group: &Group<'_>,
        known: &Known<'_>,
        looks: &[Look<'_>],
    ) -> Option<Vec<GuestSeen>> {
        let of = |server: &&ServerConfig| looks.iter().find(|look| look.host.id == server.id)?.client;
        // The connection that is there already.
        let client = group.members.iter().find_map(of)?;
        let after = self.limits.left(self.limits.listing);
        let listing = tokio::time::timeout(after, client.listing()).await.ok()?.ok()?;
        let mut guests = self.guests_of(group, client, listing, known).await;
        guests.sort_by_key(|guest| guest.vmid);
        Some(guests)
    }

    /// All guests that a cluster lists.
    async fn guests_of(
        &self,
        group: &Group<'_>,
        client: &Client,
        listing: Listing,
        known: &Known<'_>,
    ) -> Vec<GuestSeen> {
        let parents = self.parents(group);
        let Some(first) = group.members.first().map(|server| &server.id) else { return Vec::new() };
        let online: HashMap<NodeName, Option<bool>> =
            listing.nodes.into_iter().map(|node| (node.name, node.online)).collect();
        let tasks = self.tasks_of_locked(client, &listing.guests).await;
        let guests = listing.guests.into_iter().filter(|guest| !guest.template);
        let bare = guests.map(|guest| {
            let of =
                |server: &&Server| server.vmid == Some(guest.vmid) && server.cluster.as_ref() == Some(&group.cluster);
            let remembered = known.inventory.servers.iter().find(of);
            let node_online = online.get(&guest.node).copied().flatten();
            let host = parents.get(&guest.node).cloned();
            let seen = self.bare_guest((&group.cluster, first), host, node_online, &guest, remembered, known);
            (guest.node.clone(), (seen, guest, remembered))
        });
        let ask = |(seen, guest, remembered)| self.look_at_guest(client, seen, guest, remembered, &tasks);
        per_node(bare.collect::<Vec<_>>(), ask).await
    }

    /// Asks a guest's node for its lock, its agent, and looks for its services.
    async fn look_at_guest(
        &self,
        client: &Client,
        mut seen: GuestSeen,
        guest: Guest,
        remembered: Option<&Server>,
        tasks: &HashMap<NodeName, Option<Vec<ActiveTask>>>,
    ) -> GuestSeen {
        let tasks = tasks.get(&guest.node).and_then(Option::as_deref);
        seen.lock = self.lock_seen(client, &guest, tasks).await;
        if seen.runs && seen.node_online != Some(false) {
            seen.agent = self.agent_seen(client, &guest).await;
            if let Some(server) = remembered {
                let host = server.hostname.as_deref();
                seen.services = self.services_seen(&server.key(), host, &server.services).await;
            }
        }
        seen
    }

    fn bare_guest(
        &self,
        (cluster, first): (&ClusterId, &ServerId),
        host: Option<ServerId>,
        node_online: Option<bool>,
        guest: &Guest,
        remembered: Option<&Server>,
        known: &Known<'_>,
    ) -> GuestSeen {
        let entry = self.config.servers.iter().find(|server| {
            server
                .guest_ref()
                .is_some_and(|(parent, _, vmid)| vmid == guest.vmid && self.cluster_of(&parent) == *cluster)
        });
        let id = remembered.map(|server| server.id.clone()).or_else(|| entry.map(|entry| entry.id.clone()));
        let made = || host.as_ref().map(|host| ServerId::of_guest(host, guest.kind, guest.vmid));
        let id = id.or_else(made).unwrap_or_else(|| ServerId::of_guest(first, guest.kind, guest.vmid));
        let key = ServerKey::of_guest(cluster, guest.vmid);
        GuestSeen {
            id,
            cluster: cluster.as_str().to_owned(),
            name: guest.name.clone(),
            kind: guest.kind,
            vmid: guest.vmid,
            host,
            node: guest.node.as_str().to_owned(),
            node_online,
            told: guest.name.is_some() && guest.state != PowerState::Unknown,
            runs: guest.state == PowerState::Running,
            uptime_seconds: guest.usage.uptime_seconds.map(crate::model::load::usage::Count::get),
            lock: None,
            agent: Agent::Unasked,
            has_hostname: entry.is_some_and(|entry| !entry.hostname.is_empty()),
            services_need_agent: entry.is_some_and(|entry| entry.hostname.is_empty() && !entry.services.is_empty()),
            had_addresses: remembered.is_some_and(|server| !server.addresses.is_empty()),
            shutdown_failed: last_shutdown_failed(&key, known.past),
            services: Vec::new(),
        }
    }

    /// What works on the nodes that have a locked guest; `None` where the token may see its own tasks only.
    async fn tasks_of_locked(&self, client: &Client, guests: &[Guest]) -> HashMap<NodeName, Option<Vec<ActiveTask>>> {
        let mut nodes: Vec<&NodeName> = guests.iter().filter(|guest| guest.lock.is_some()).map(|g| &g.node).collect();
        nodes.sort();
        nodes.dedup();
        if nodes.is_empty() {
            return HashMap::new();
        }
        let permissions = client.permissions().await.ok();
        let ask = nodes.into_iter().map(|node| {
            let all = permissions.as_ref().is_some_and(|held| held.allows_on(&format!("/nodes/{node}"), "Sys.Audit"));
            async move { (node.clone(), if all { client.active_tasks(node).await.ok() } else { None }) }
        });
        join_all(ask).await.into_iter().collect()
    }

    /// A lock, and whether something works under it. What has just ended may have held it: its node is asked once more.
    async fn lock_seen(&self, client: &Client, guest: &Guest, tasks: Option<&[ActiveTask]>) -> Option<Lock> {
        let name = guest.lock.clone()?;
        let vmid = guest.vmid.to_string();
        let Some(tasks) = tasks else { return Some(Lock { name, held: None }) };
        if tasks.iter().any(|task| holds(task, &vmid, &name)) {
            return Some(Lock { name, held: Some(true) });
        }
        match client.guest_status(&guest.node, guest.kind, guest.vmid).await {
            Ok(status) => status.lock.filter(|now| *now == name).map(|name| Lock { name, held: Some(false) }),
            Err(_) => Some(Lock { name, held: None }),
        }
    }

    /// What a guest that runs says of its addresses.
    async fn agent_seen(&self, client: &Client, guest: &Guest) -> Agent {
        if guest.kind == GuestKind::Qemu {
            // The agent itself is asked only where it is enabled: one that is silent costs its node three seconds.
            match client.guest_status(&guest.node, guest.kind, guest.vmid).await {
                Ok(status) if !status.agent => return Agent::Off,
                Ok(_) => {}
                Err(error) => return Agent::Unread(error.to_string()),
            }
        }
        let begun = Instant::now();
        let ask = async {
            match guest.kind {
                GuestKind::Qemu => client.agent_addresses(&guest.node, guest.vmid).await,
                GuestKind::Lxc => client.container_addresses(&guest.node, guest.vmid).await,
            }
        };
        match tokio::time::timeout(self.limits.left(self.limits.agent), ask).await {
            Ok(Ok(AgentAnswer::Addresses(list))) => {
                Agent::Addresses(list.iter().filter(|address| is_dialled(address.ip)).count())
            }
            Ok(Ok(AgentAnswer::NotTold(why))) => Agent::NotTold(why),
            Ok(Ok(AgentAnswer::NotConfigured)) => Agent::Off,
            Ok(Ok(AgentAnswer::NotRunning)) => Agent::Silent,
            Ok(Err(error)) => Agent::Unread(why_unread(&error)),
            Err(_) if begun.elapsed() >= FAIR => Agent::Silent,
            Err(_) => Agent::Unread("there was no time left to ask its guest agent".to_owned()),
        }
    }

    /// The configured services of a server that is there. Only those that never answered are looked for now.
    pub(super) async fn services_seen(
        &self,
        key: &ServerKey,
        host: Option<&str>,
        services: &[Service],
    ) -> Vec<ServiceSeen> {
        let mut list = Vec::new();
        let mut silent: Vec<(Service, String)> = Vec::new();
        for service in services {
            let past = match self.state.first_check(key, &service.name) {
                Ok(Some((_, true))) => Past::Answered,
                Ok(Some((since, false))) => {
                    silent.push((service.clone(), since.to_zoned(TimeZone::system()).strftime("%F").to_string()));
                    continue;
                }
                Ok(None) => Past::New,
                Err(error) => Past::Unseen(error.to_string()),
            };
            list.push(ServiceSeen { name: service.name.clone(), port: service.port, past });
        }
        let (asked, since): (Vec<Service>, Vec<String>) = silent.into_iter().unzip();
        let Some(host) = host else {
            let past = || Past::Unseen("its address is not known".to_owned());
            list.extend(asked.into_iter().map(|one| ServiceSeen { name: one.name, port: one.port, past: past() }));
            return list;
        };
        for (check, since) in self.checks(host, &asked).await.into_iter().zip(since) {
            let past = match (check.open, check.error) {
                (Some(true), _) => Past::Answered,
                (Some(false), why) => Past::Never { since, why: why.unwrap_or_else(|| "no answer".to_owned()) },
                (None, why) => Past::Unseen(why.unwrap_or_else(|| "it could not be looked for".to_owned())),
            };
            list.push(ServiceSeen { name: check.name, port: check.port, past });
        }
        list
    }

    /// The same of a host or plain server, where this machine dials it itself.
    pub(super) async fn services_of_host(&self, server: &ServerConfig) -> Vec<ServiceSeen> {
        if server.services.is_empty() || self.dialled_address(server).await.is_none() {
            return Vec::new();
        }
        self.services_seen(&ServerKey::of_server(&server.id), Some(&server.hostname), &server.services).await
    }
}

/// Why an agent could not be asked, in words.
fn why_unread(error: &Error) -> String {
    match error {
        Error::Denied { .. } => format!("the token may not ask it: {error}"),
        error => error.to_string(),
    }
}

/// Whether ecobox could not shut a guest down cleanly when it last tried.
fn last_shutdown_failed(key: &ServerKey, past: &[Action]) -> bool {
    let of = |action: &&Action| action.server.as_ref() == Some(key) && action.action == PowerAction::Shutdown.as_str();
    let bad = [ActionOutcome::Failed.as_str(), ActionOutcome::Unconfirmed.as_str()];
    past.iter().rev().find(of).is_some_and(|action| bad.contains(&action.outcome.as_str()))
}
