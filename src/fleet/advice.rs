//! `advise`: gathers the past of guests and hosts, and has the rules of `model/advice` judge it. Nothing is changed, and
//! who does not answer is judged by what the state file kept.

mod ask;
mod energy;
mod hosts;
mod kept;
mod subject;
mod waste;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;

use self::subject::{Gathering, Subject};
use crate::fleet::Fleet;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::advice::Advice;
use crate::model::advice::coverage::Hours;
use crate::model::advice::right_size::{Guest, right_size};
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Failed, Inventory};
use crate::model::past::series::{Metric, Window};
use crate::state::StateError;
use crate::transport::pve::Client;

/// Of how many servers Prometheus is asked at a time.
const AT_ONCE: usize = 50;

/// What Prometheus kept is read in steps of this.
const STEP: SignedDuration = SignedDuration::from_mins(30);

/// What advice is made of.
pub(crate) struct AdviceRequest<'r> {
    /// Everything that was seen, and its place where advice on it is wanted.
    pub(crate) inventory: &'r Inventory,
    pub(crate) wanted: &'r BTreeSet<usize>,
    pub(crate) window: Window,
    /// The connections that stand; none where nobody is to be asked.
    pub(crate) clients: &'r HashMap<ClusterId, Client>,
    /// Whether others than the state file may be asked.
    pub(crate) asks: bool,
    /// Is told how many of how many servers have been asked.
    pub(crate) progress: &'r dyn Fn(usize, usize),
}

/// All advice, and who could not be asked.
#[derive(Debug, Default)]
pub(crate) struct Advised {
    pub(crate) list: Vec<Advice>,
    pub(crate) failures: Vec<Failed>,
}

impl Fleet<'_> {
    /// What is there now of what the targets mean, and with a host all of its cluster.
    ///
    /// # Errors
    /// The state file's. Other failures are in the answer.
    pub(crate) async fn look_for_advice(&self, targets: &[String]) -> Result<Observed, StateError> {
        // Before the targets are read: which cluster a host belongs to decides who is asked.
        self.detect_cluster_members().await?;
        let request = ObserveRequest { scope: self.scope(targets)?, clusters: true, ..ObserveRequest::default() };
        self.observe(&request).await
    }

    /// Reads the past and judges it.
    ///
    /// # Errors
    /// The state file's. Other failures are in the answer.
    pub(crate) async fn advise(&self, request: &AdviceRequest<'_>) -> Result<Advised, StateError> {
        let AdviceRequest { inventory, window, .. } = *request;
        let hours = Hours::between(window.since, window.until);
        let subjects = self.subjects(request)?;
        let places: Vec<usize> = subjects.iter().map(|subject| subject.place).collect();
        let gathering = Gathering::new(hours, window, subjects, inventory);
        let mut failures = Vec::new();
        if request.asks {
            failures.extend(self.ask_prometheus(&gathering, inventory).await);
            failures.extend(self.ask_nodes(&gathering, request).await);
        }
        gathering.next_source();
        self.read_kept(&gathering, inventory)?;
        let mut storages = HashMap::new();
        let mut models = HashMap::new();
        if request.asks && gathering.has_hosts() {
            (storages, models) = self.ask_clusters(request, &gathering).await;
        }
        self.keep_sizes(&gathering, inventory);
        let past = gathering.finish();
        let cpus: HashMap<&ServerId, f32> = inventory
            .servers
            .iter()
            .filter(|server| server.vmid.is_none())
            .filter_map(|host| Some((&host.id, host.seen.usage.cpus?)))
            .collect();
        let mut list = Vec::new();
        for (place, one) in places.iter().zip(&past.subjects) {
            let server = &inventory.servers[*place];
            let Some(guest) = one.guest(server).filter(|_| request.wanted.contains(place)) else { continue };
            let host_cpus = server.parent.as_ref().and_then(|parent| cpus.get(parent).copied());
            list.extend(right_size(&Guest { host_cpus, ..guest }, &one.past));
        }
        if request.asks {
            self.look_for_pending(request, &mut list).await;
        }
        list.extend(self.waste(request, &past)?);
        list.extend(self.energy_advice(request, &past)?);
        list.extend(self.host_advice(request, &past, &storages, &models));
        for line in &mut list {
            self.complete(line, inventory);
        }
        Ok(Advised { list, failures })
    }

    /// What is to be read of: the servers that are wanted, and with a host all of its cluster.
    fn subjects(&self, request: &AdviceRequest<'_>) -> Result<Vec<Subject>, StateError> {
        let servers = &request.inventory.servers;
        let host = |place: &&usize| servers[**place].vmid.is_none();
        let clusters: BTreeSet<&ClusterId> =
            request.wanted.iter().filter(host).filter_map(|place| servers[*place].cluster.as_ref()).collect();
        let mut sizes: BTreeMap<&ClusterId, _> = BTreeMap::new();
        let mut subjects = Vec::new();
        for (place, server) in servers.iter().enumerate() {
            let Some(cluster) = &server.cluster else { continue };
            if server.template || !(request.wanted.contains(&place) || clusters.contains(cluster)) {
                continue;
            }
            if !sizes.contains_key(cluster) {
                sizes.insert(cluster, self.state.guest_sizes(cluster)?);
            }
            let size = server.vmid.and_then(|vmid| sizes.get_mut(cluster)?.remove(&vmid));
            subjects.push(Subject::new(place, server, size));
        }
        Ok(subjects)
    }

    /// What a Prometheus server kept, where the configuration names one.
    async fn ask_prometheus(&self, gathering: &Gathering, inventory: &Inventory) -> Option<Failed> {
        const METRICS: [Metric; 7] = [
            Metric::Cpu,
            Metric::Memory,
            Metric::PressureCpu,
            Metric::PressureMemory,
            Metric::PressureIo,
            Metric::Receive,
            Metric::Transmit,
        ];
        let window = Window::new(gathering.window.since, gathering.window.until, Some(STEP));
        let places: Vec<usize> = gathering.places();
        for (chunk, places) in places.chunks(AT_ONCE).enumerate() {
            let servers: Vec<_> = places.iter().map(|place| inventory.servers[*place].clone()).collect();
            match self.past_of_prometheus(&servers, &METRICS, window).await {
                Ok(Some(all)) => {
                    for (number, series) in all.iter().enumerate() {
                        gathering.add_series(chunk * AT_ONCE + number, series);
                    }
                }
                Ok(None) => return None,
                Err(failed) => return Some(failed),
            }
        }
        gathering.next_source();
        None
    }

    /// Where a command is to be typed: on the guest's own node.
    fn complete(&self, line: &mut Advice, inventory: &Inventory) {
        let Some(command) =
            line.command.as_mut().filter(|command| command.starts_with("qm ") || command.starts_with("pct "))
        else {
            return;
        };
        let Some(server) = inventory.servers.iter().find(|server| server.id == line.subject) else { return };
        let host = server.parent.as_ref().and_then(|parent| self.hosts().find(|config| config.id == *parent));
        let typed = host.and_then(|host| self.ssh_command(host, server.node.as_ref(), command));
        let on_node = || Some(format!("ssh root@{} {command}", server.node.as_ref()?));
        if let Some(typed) = typed.or_else(on_node) {
            line.command = Some(typed);
        }
    }

    /// Guests of nodes that are off the next time are judged by what is known of them now.
    fn keep_sizes(&self, gathering: &Gathering, inventory: &Inventory) {
        for (cluster, new) in gathering.new_sizes(inventory) {
            let kept = self.state.guest_sizes(&cluster).and_then(|mut sizes| {
                sizes.extend(new);
                self.state.put_guest_sizes(&cluster, &sizes, self.now())
            });
            if let Err(error) = kept {
                tracing::debug!(%error, "the sizes of guests are not remembered");
            }
        }
    }
}

/// The keys of servers, in their order.
fn keys(gathering: &Gathering, inventory: &Inventory) -> Vec<ServerKey> {
    gathering.places().into_iter().map(|place| inventory.servers[place].key()).collect()
}

/// A value that many answers change, each for a moment.
type Shared<T> = RefCell<T>;
