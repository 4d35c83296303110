//! Ask everyone, keep every answer and every failure.

mod ask;
pub(crate) mod assemble;
pub(crate) mod knock;
pub(crate) mod measure;
pub(crate) mod quorum;
pub(crate) mod record;
pub(crate) mod scope;
mod server_state;
pub(crate) mod sightings;
pub(crate) mod to_prometheus;
pub(crate) mod watts;

use std::collections::HashMap;

use futures::future::{join, join_all, join4};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::fleet::Fleet;
use crate::fleet::observe::measure::{
    HostMeasurement, LoadOptions, Loads, MeasurePlan, PreviousTotals, split_loads_and_readings,
};
use crate::fleet::observe::record::Recording;
use crate::fleet::observe::scope::QueryScope;
use crate::fleet::observe::watts::Drawn;
use crate::fleet::reach::api::{ClusterAnswer, Group, Listed};
use crate::fleet::reach::bounded::bounded;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::{Inventory, ServiceCheck};
use crate::model::load::reading::HostLoad;
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::{EnergyTotals, StateError};
use crate::transport::Error;
use crate::transport::pve::Client;

/// How many ports are asked at a time.
const PROBES: usize = 64;

/// What was seen of a host or plain server, not through a listing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostSighting {
    pub(crate) state: PowerState,
    pub(crate) source: Source,
    pub(crate) reason: Option<String>,
    pub(crate) checks: Vec<ServiceCheck>,
}

impl HostSighting {
    /// Such a sighting without services.
    pub(super) fn silent(state: PowerState, source: Source, reason: Option<String>) -> HostSighting {
        HostSighting { state, source, reason, checks: Vec::new() }
    }
}

/// What a run asks for.
#[derive(Debug, Default)]
pub(crate) struct ObserveRequest {
    pub(crate) scope: QueryScope,
    /// Besides states, how hard hosts and plain servers work, by a script on each.
    pub(crate) load: Option<LoadOptions>,
    /// Templates, too, which are no servers to anybody else.
    pub(crate) templates: bool,
    /// And how each cluster itself is.
    pub(crate) clusters: bool,
}

/// One host or plain server: what was seen of it, and how hard it works where that was asked for.
type LookAtHost = (ServerId, HostSighting, Option<Result<HostMeasurement, Error>>);

/// Whether each member of a cluster is online by its listing, as soon as there is one.
type Words = watch::Receiver<Option<HashMap<ServerId, bool>>>;

/// What came of asking a cluster and its hosts.
type AnswerOfCluster = (ClusterAnswer, Vec<(ServerId, HostSighting)>, Vec<(ServerId, Result<HostMeasurement, Error>)>);

/// All answers of one run, before they are put together.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) at: Timestamp,
    pub(crate) clusters: Vec<(Group<'a>, ClusterAnswer)>,
    /// Of each configured host or plain server that was asked by TCP or SSH.
    pub(crate) hosts: HashMap<ServerId, HostSighting>,
    pub(crate) loads: Loads,
    /// Templates count as guests.
    pub(crate) templates: bool,
}

/// What was seen of the fleet.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) inventory: Inventory,
    /// How hard hosts and plain servers work, or why that is not known; of those that were asked.
    pub(crate) loads: HashMap<ServerId, Result<HostLoad, String>>,
    /// The connection that stands, of each cluster that answered.
    pub(crate) clients: HashMap<ClusterId, Client>,
    /// What guests had counted in the runs before, where load was asked for.
    pub(crate) earlier: PreviousTotals,
    /// What hosts draw, where load was asked for.
    pub(crate) drawn: Drawn,
    /// The energy that was known of each before this look, where load was asked for.
    pub(crate) energy: EnergyTotals,
    pub(crate) at: Timestamp,
}

impl<'a> Fleet<'a> {
    /// The fleet as it is now: clusters by their APIs, plain servers by their ports, services of what runs, and load
    /// where it is asked for. What was seen is recorded in the state file.
    ///
    /// # Errors
    /// Only the state file's; whatever failed out there is in the inventory.
    pub(crate) async fn observe(&self, request: &ObserveRequest) -> Result<Observed, StateError> {
        self.detect_cluster_members().await?;
        self.observe_with_known_clusters(request).await
    }

    /// Like `observe`, without probing for new cluster members.
    pub(super) async fn observe_with_known_clusters(&self, request: &ObserveRequest) -> Result<Observed, StateError> {
        let (observed, recording) = self.see(request).await?;
        self.record(&recording, &observed)?;
        Ok(observed)
    }

    /// Like `observe_with_known_clusters`, for a caller that shows it at once, and keeps the recording meanwhile. `None`: it is
    /// kept already, as somebody is to get what is in it.
    pub(crate) async fn observe_unsaved(
        &self,
        request: &ObserveRequest,
    ) -> Result<(Observed, Option<Recording>), StateError> {
        self.detect_cluster_members().await?;
        let (observed, recording) = self.see(request).await?;
        if self.sends_history() {
            self.record(&recording, &observed)?;
            return Ok((observed, None));
        }
        Ok((observed, Some(recording)))
    }

    /// What is seen, and what is to be kept of it.
    async fn see(&self, request: &ObserveRequest) -> Result<(Observed, Recording), StateError> {
        let (groups, plain) = self.to_ask(&request.scope);
        let measuring = self.measuring(request)?;
        let listings = join_all(groups.iter().map(|group| self.cluster_and_hosts(group, &measuring, request)));
        let plain = bounded(PROBES, plain.into_iter().map(|server| self.plain(server, &measuring)));
        let earlier = async {
            // Read while the answers are on their way: everybody is asked first.
            tokio::task::yield_now().await;
            if request.load.is_some() { self.earlier(&groups, self.now()) } else { Ok(PreviousTotals::default()) }
        };
        let (listings, plain, earlier, meters) = join4(listings, plain, earlier, self.meters(request)).await;
        let earlier = earlier?;
        let (mut hosts, mut measured, mut clusters) = (HashMap::new(), Vec::new(), Vec::new());
        for (server, seen, load) in plain {
            measured.extend(load.map(|load| (server.clone(), load)));
            hosts.insert(server, seen);
        }
        for (group, (answer, seen, loads)) in groups.into_iter().zip(listings) {
            hosts.extend(seen);
            measured.extend(loads);
            clusters.push((group, answer));
        }
        let at = self.now();
        let (loads, readings) = split_loads_and_readings(measured);
        let host_checks = clusters.iter().flat_map(|(_, answer)| answer.host_checks()).collect();
        let mut observed =
            self.assemble(Answers { at, clusters, hosts, loads, templates: request.templates }, &request.scope)?;
        observed.earlier = earlier;
        observed.drawn = self.drawn(&observed, &meters, &measuring);
        if request.load.is_some() {
            observed.energy = self.state.energy_totals()?;
        }
        self.check_guests(&mut observed.inventory).await;
        let recording = self.to_keep(host_checks, readings, &observed);
        observed.inventory.sort();
        self.note_off(observed.inventory.servers.iter().filter(|server| server.vmid.is_none()));
        observed.inventory.unasked = request.scope.unasked(&observed.inventory.servers);
        Ok((observed, recording))
    }

    /// One cluster's listing, while those of its hosts that are meant are looked at.
    async fn cluster_and_hosts(
        &self,
        group: &Group<'a>,
        measuring: &MeasurePlan,
        request: &ObserveRequest,
    ) -> AnswerOfCluster {
        let scope = &request.scope;
        let (tell, words) = watch::channel(None);
        let listing = async {
            let mut answer = self.listing(group).await;
            if let Some(listed) = answer.listed.as_mut() {
                // What cannot be kept is learned again by the next run.
                if let Err(error) = self.learn_nodes(group, listed).await {
                    tracing::debug!(%error, "which nodes they are was not kept");
                }
                // The receiver is gone.
                let _ = tell.send(Some(self.words(group, listed)));
                let silent = self.ask_silent_nodes(listed, self.limits.left(self.limits.listing)).await;
                let via = &listed.via;
                let of_nodes = silent.iter().map(|(node, error)| self.failed_on_node(group, via, node, error));
                answer.troubles.extend(of_nodes);
            } else {
                let _ = tell.send(Some(HashMap::new()));
            }
            if request.clusters {
                let patience = self.limits.left(self.limits.listing);
                let found = self.look_at_cluster(group, &answer, patience).await;
                answer.troubles.extend(found);
            }
            answer
        };
        let meant = group.members.iter().filter(|server| scope.asks(&server.id));
        let members = join_all(meant.map(|server| Box::pin(self.member(server, measuring, words.clone()))));
        let (mut answer, members) = join(listing, members).await;
        let (mut seen, mut loads) = (Vec::new(), Vec::new());
        for (server, saw, load) in members {
            loads.extend(load.map(|load| (server.clone(), load)));
            if request.clusters
                && saw.state == PowerState::Online
                && words.borrow().as_ref().is_some_and(|words| words.get(&server) == Some(&false))
            {
                answer.troubles.push(self.lost_by_its_cluster(&server));
            }
            seen.push((server, saw));
        }
        let words = words.borrow().clone().unwrap_or_default();
        for server in group.members.iter().filter(|server| !scope.asks(&server.id)) {
            seen.extend(self.unmeant(server, words.get(&server.id).copied()).map(|saw| (server.id.clone(), saw)));
        }
        (answer, seen, loads)
    }

    /// Whether each member is online, as the listing says, or as it shows by having given it.
    fn words(&self, group: &Group<'a>, listed: &Listed) -> HashMap<ServerId, bool> {
        let word = |server: &ServerId| {
            let row = || listed.listing.nodes.iter().find(|row| Some(&row.name) == self.node_of(server).as_ref());
            if *server == listed.via { Some(true) } else { row()?.online }
        };
        group.members.iter().filter_map(|server| Some((server.id.clone(), word(&server.id)?))).collect()
    }

    /// The configured services of guests: asked only where the guest runs and an address is known.
    async fn check_guests(&self, inventory: &mut Inventory) {
        let wanted = inventory.servers.iter().enumerate().filter(|(_, server)| server.vmid.is_some());
        let asked = wanted.filter(|(_, server)| !server.services.is_empty() && server.seen.state.is_up());
        let probes = asked.filter_map(|(i, server)| {
            let (host, services) = (server.hostname.clone()?, server.services.clone());
            Some(async move { (i, self.checks(&host, &services).await) })
        });
        let probes: Vec<_> = probes.collect();
        for (i, checks) in bounded(PROBES, probes).await {
            inventory.servers[i].seen.checks = checks;
        }
    }
}
