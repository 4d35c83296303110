//! Guests that go to other nodes: what is known of them and of the nodes before anything is sent, and the step itself.

mod act;
mod by_ha;
mod facts;
mod follow;
mod remember;
mod returns;

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;

pub(super) use self::returns::Returns;
use super::ApiClients;
use super::guest::Named;
use super::preflight::Configs;
use crate::fleet::Fleet;
use crate::fleet::reach::bounded::per_node;
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::migrate::{Claims, Destination, MigrateOptions, Move, MoveVerdict, judge_move};

/// Guests (places) that shall move, each with where to.
pub(super) type Wanted = Vec<(usize, Destination)>;

/// What else happens in the plan to nodes that guests may go to.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// They go down.
    pub(super) leaving: Vec<(ClusterId, NodeName)>,
    /// They are woken first.
    pub(super) woken: Vec<(ClusterId, NodeName)>,
}

/// How long a migration may take by itself: at a fifth of what a network of 1 Gbit/s carries, and a while more.
pub(super) fn usual_patience(way: &Move) -> Duration {
    const BYTES_A_SECOND: u64 = 20 << 20;
    // The shutdown of a container may take three minutes.
    const SLACK: u64 = 600;
    let ha = if way.call.through_ha { 90 } else { 0 };
    Duration::from_secs(SLACK + ha + way.bytes / BYTES_A_SECOND)
}

impl Fleet<'_> {
    /// What moving each of these guests comes down to. What one was promised of a node another one does not get.
    pub(super) async fn judge_moves(
        &self,
        servers: &[Server],
        wanted: &Wanted,
        clients: &ApiClients,
        configs: &Configs,
        how: &MigrateOptions,
        around: &Around,
    ) -> HashMap<ServerId, MoveVerdict> {
        let mut clusters: Vec<&ClusterId> = Vec::new();
        for cluster in wanted.iter().filter_map(|(place, _)| servers[*place].cluster.as_ref()) {
            // Hosts that are known not to answer are not asked.
            if !clusters.contains(&cluster) && clients.standing(cluster).is_some() {
                clusters.push(cluster);
            }
        }
        let asked = clusters.into_iter().map(|cluster| async move {
            let of_it = wanted.iter().filter(|(place, _)| servers[*place].cluster.as_ref() == Some(cluster));
            let guests: Vec<_> =
                of_it.filter_map(|(place, to)| Some((Named::of(&servers[*place])?, to.clone()))).collect();
            self.judge_moves_in(cluster, guests, servers, clients, configs, how, around).await
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is looked at for the same verdicts")]
    async fn judge_moves_in(
        &self,
        cluster: &ClusterId,
        guests: Vec<(Named<'_>, Destination)>,
        servers: &[Server],
        clients: &ApiClients,
        configs: &Configs,
        how: &MigrateOptions,
        around: &Around,
    ) -> Vec<(ServerId, MoveVerdict)> {
        let cannot = |why: &str| MoveVerdict::Cannot { why: why.to_owned(), fix: None };
        let mut facts = match self.cluster_facts(clients, cluster, servers, around).await {
            Ok(facts) => facts,
            Err(error) => {
                let why = error.to_string();
                return guests.into_iter().map(|(named, _)| (named.server.id.clone(), cannot(&why))).collect();
            }
        };
        let with_cpu = guests.iter().any(|(named, _)| configs.get(&named.server.id).is_some_and(facts::is_of_a_cpu));
        if with_cpu {
            self.add_cpus(clients, cluster, &mut facts).await;
        }
        let facts = &facts;
        let work = guests
            .iter()
            .enumerate()
            .filter_map(|(number, (named, _))| Some((named.server.node.clone()?, (number, *named))));
        let ask = |(number, named): (usize, Named<'_>)| {
            let (id, node) = (named.server.id.clone(), named.server.node.clone());
            let seen = facts::Seen::of(named.server);
            let (kind, vmid, cluster) = (named.kind, named.vmid, named.cluster.clone());
            async move {
                let known = configs.get(&id);
                let asked = match node {
                    Some(node) => self.moving_guest(clients, facts, &cluster, &node, kind, vmid, &seen, known).await,
                    None => return (number, None),
                };
                (number, Some(asked))
            }
        };
        let mut answers: HashMap<usize, _> = per_node(work, ask).await.into_iter().collect();
        // In the order of the plan: who comes first chooses first.
        let mut claims = Claims::default();
        let verdicts = guests.into_iter().enumerate().map(|(number, (named, to))| {
            let verdict = match answers.remove(&number).flatten() {
                Some(Ok(guest)) => judge_move(&guest, &to, &facts.nodes, &mut claims, how),
                Some(Err(error)) => cannot(&error.to_string()),
                None => cannot("its node is not known"),
            };
            (named.server.id.clone(), verdict)
        });
        verdicts.collect()
    }
}
