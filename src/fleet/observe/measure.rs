//! How hard servers work: hosts and plain servers by a script on each, guests from what their cluster lists.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::host::load;
use crate::fleet::host::silent_agents::FAIR;
use crate::fleet::observe::ObserveRequest;
use crate::fleet::observe::scope::QueryScope;
use crate::fleet::reach::api::Group;
use crate::fleet::reach::bounded::per_node;
use crate::model::id::{ClusterId, NodeName, ServerId, VmId};
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKind;
use crate::model::load::reading::{Filesystem, HostLoad, KnownReading, Reading, YOUNG};
use crate::model::load::usage::{Count, Rates, Source, Totals};
use crate::model::past::series::{Grown, Total, rate};
use crate::model::power::PowerState;
use crate::state::{Counted, StateError, is_fresh};
use crate::transport::Error;
use crate::transport::pve::{AgentFilesystems, Client};
use crate::transport::ssh::HostKeyPolicy;

/// How old what an earlier run read may be to be compared with what is read now.
const COMPARABLE: SignedDuration = SignedDuration::from_mins(10);

/// Proxmox VE reads its guests' counters every ten seconds: of a run that was longer ago the reading is another one.
const SURELY_ANOTHER: SignedDuration = SignedDuration::from_secs(15);

/// Of a run that was not even so long ago it is surely the same.
const SURELY_THE_SAME: SignedDuration = SignedDuration::from_secs(5);

/// How many earlier runs a guest is compared with at most.
const MOST_RUNS: usize = 2;

/// How load is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadOptions {
    /// Between two readings, where no earlier run left one.
    pub(crate) interval: Duration,
    /// All local file systems, not only the root.
    pub(crate) all_disks: bool,
}

/// What measuring needs to know beforehand.
#[derive(Debug, Default)]
pub(in crate::fleet) struct MeasurePlan {
    options: Option<LoadOptions>,
    hosts: Option<Vec<ServerId>>,
    known: BTreeMap<ServerId, Reading>,
}

/// What a script on a host read.
#[derive(Debug)]
pub(in crate::fleet) struct HostMeasurement {
    pub(in crate::fleet) load: HostLoad,
    pub(in crate::fleet) reading: Reading,
}

impl MeasurePlan {
    /// Whether this server's load is asked for, and the server can be asked.
    pub(in crate::fleet) fn wants(&self, server: &ServerConfig) -> bool {
        self.is_about(&server.id) && server.access != Access::Api
    }

    /// Whether this server's load is asked for.
    pub(in crate::fleet) fn is_about(&self, server: &ServerId) -> bool {
        self.options.is_some() && self.hosts.as_ref().is_none_or(|hosts| hosts.contains(server))
    }
}

/// Who gives the numbers that a script on the server reads.
pub(in crate::fleet) fn measured_by(server: &ServerConfig) -> Source {
    if server.access == Access::Local { Source::Local } else { Source::Ssh }
}

/// How hard each server works, or why that is not known.
pub(in crate::fleet) type Loads = HashMap<ServerId, Result<HostLoad, Error>>;

/// Loads for the report, readings for the next run.
pub(in crate::fleet) fn split_loads_and_readings(
    measured: Vec<(ServerId, Result<HostMeasurement, Error>)>,
) -> (Loads, Vec<(ServerId, Reading)>) {
    let (mut loads, mut readings) = (HashMap::new(), Vec::new());
    for (server, result) in measured {
        let load = result.map(|HostMeasurement { load, reading }| {
            readings.push((server.clone(), reading));
            load
        });
        loads.insert(server, load);
    }
    (loads, readings)
}

impl Fleet<'_> {
    pub(in crate::fleet) fn measuring(&self, request: &ObserveRequest) -> Result<MeasurePlan, StateError> {
        if request.load.is_none() {
            return Ok(MeasurePlan::default());
        }
        let hosts = match &request.scope {
            QueryScope::All => None,
            QueryScope::Only { hosts, .. } => Some(hosts.iter().cloned().collect()),
        };
        let now = self.now();
        // The newest that is old enough to be compared with.
        let usable = |known: &KnownReading| is_fresh(known.at, now, COMPARABLE) && !is_fresh(known.at, now, YOUNG);
        let of_server =
            |(server, known): (ServerId, Vec<KnownReading>)| Some((server, known.into_iter().find(usable)?.reading));
        let known = self.state.readings()?.into_iter().filter_map(of_server).collect();
        Ok(MeasurePlan { options: request.load, hosts, known })
    }

    /// Measures one host or plain server; `None`: not asked for it, or it has no shell.
    pub(in crate::fleet) async fn measure(
        &self,
        server: &ServerConfig,
        measuring: &MeasurePlan,
    ) -> Option<Result<HostMeasurement, Error>> {
        let options = measuring.options.filter(|_| measuring.wants(server))?;
        // No login is tried if no port answers.
        if let Some(silence) = self.still_off(server).await {
            return Some(Err(silence.error(server)));
        }
        let known = measuring.known.get(&server.id);
        let script = load::script(known, options.interval, options.all_disks);
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await;
        Some(output.map(|output| {
            let (reading, load) = load::read(&output.stdout, known, server.energy.max_watts);
            HostMeasurement { load, reading }
        }))
    }

    /// What guests had counted in the runs before this one.
    pub(in crate::fleet) fn earlier(
        &self,
        clusters: &[Group<'_>],
        now: Timestamp,
    ) -> Result<PreviousTotals, StateError> {
        let ago = |span| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let mut earlier = PreviousTotals::default();
        for group in clusters {
            let before = |until| self.state.totals(&group.cluster, ago(COMPARABLE), until);
            let mut runs = Vec::new();
            runs.extend(before(ago(SURELY_THE_SAME))?);
            if runs.first().is_some_and(|(at, _)| *at > ago(SURELY_ANOTHER)) {
                runs.extend(before(ago(SURELY_ANOTHER))?);
            }
            earlier.0.insert(group.cluster.clone(), runs);
        }
        Ok(earlier)
    }
}

/// What a guest's agent said: its file systems, the root first where its size is known; else why there are none.
pub(crate) type AskedAgent = Result<Vec<Filesystem>, String>;

impl Fleet<'_> {
    /// Asks the agents of running virtual machines for their file systems, three at a time on each node. Those that were
    /// silent the last time come last, and not within the hour unless `all` are to be asked.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn filesystems(
        &self,
        servers: &[Server],
        clients: &HashMap<ClusterId, Client>,
        all: bool,
    ) -> Result<HashMap<ServerId, AskedAgent>, StateError> {
        let mut silent = HashMap::new();
        for cluster in clients.keys() {
            silent.insert(cluster, self.silent_agents(cluster, all)?);
        }
        let mut told = HashMap::new();
        let running = |server: &&Server| server.kind == ServerKind::Qemu && server.seen.state == PowerState::Running;
        let (mut work, mut last) = (Vec::new(), Vec::new());
        for server in servers.iter().filter(running) {
            let Some((cluster, client)) = server.cluster.as_ref().and_then(|cluster| clients.get_key_value(cluster))
            else {
                continue;
            };
            let (Some(node), Some(vmid)) = (server.node.clone(), server.vmid) else { continue };
            let silent = silent.get(cluster);
            if let Some(why) = silent.and_then(|silent| silent.not_yet(vmid, server.seen.usage.uptime_seconds)) {
                told.insert(server.id.clone(), Err(why));
                continue;
            }
            let work = if silent.is_some_and(|silent| silent.has(vmid)) { &mut last } else { &mut work };
            work.push((node.clone(), (server.id.clone(), cluster, client, node, vmid)));
        }
        work.extend(last);
        let asked = per_node(work, |(id, cluster, client, node, vmid)| async move {
            (id, cluster, vmid, self.filesystems_of(client, &node, vmid).await)
        });
        let mut heard: HashMap<&ClusterId, (Vec<VmId>, Vec<VmId>)> = HashMap::new();
        for (id, cluster, vmid, (answer, is_silent)) in asked.await {
            let (dead, answered) = heard.entry(cluster).or_default();
            if is_silent {
                dead.push(vmid);
            } else if answer.is_ok() && silent.get(cluster).is_some_and(|silent| silent.has(vmid)) {
                answered.push(vmid);
            }
            told.insert(id, answer);
        }
        for (cluster, (dead, answered)) in heard.into_iter().filter(|(_, (a, b))| !a.is_empty() || !b.is_empty()) {
            self.state.put_agents(cluster, &dead, &answered, self.now())?;
        }
        Ok(told)
    }

    /// Like `filesystems`, with whether the agent was silent.
    async fn filesystems_of(&self, client: &Client, node: &NodeName, vmid: VmId) -> (AskedAgent, bool) {
        let patience = self.limits.left(self.limits.agent);
        if patience.is_zero() {
            return (Err("no time was left to ask its guest agent".to_owned()), false);
        }
        let mut is_silent = false;
        let answer = match tokio::time::timeout(patience, client.agent_filesystems(node, vmid)).await {
            Ok(Ok(AgentFilesystems::Told(told))) => match (told.list.is_empty(), told.reason) {
                (false, _) => Ok(told.list),
                (true, Some(reason)) => Err(reason),
                (true, None) => Err("its guest agent names no file system".to_owned()),
            },
            Ok(Ok(AgentFilesystems::NotConfigured)) => Err("no guest agent is configured".to_owned()),
            Ok(Ok(AgentFilesystems::NotRunning)) => {
                is_silent = true;
                Err("its guest agent does not answer".to_owned())
            }
            Ok(Err(Error::Denied { detail, .. })) => Err(detail),
            Ok(Err(error)) => {
                is_silent = matches!(error, Error::Timeout { .. }) && patience >= FAIR;
                Err(error.to_string())
            }
            Err(_) => {
                is_silent = patience >= FAIR;
                Err(format!("its guest agent did not answer within {:.1} s", patience.as_secs_f32()))
            }
        };
        (answer, is_silent)
    }
}

/// What guests had counted in the last runs, the newest first.
#[derive(Debug, Default)]
pub(crate) struct PreviousTotals(HashMap<ClusterId, Vec<Counted>>);

impl PreviousTotals {
    /// How fast a guest's totals grow: against the newest earlier reading that is another one.
    pub(crate) fn rates(&self, server: &Server, at: Timestamp) -> Rates {
        let (Some(cluster), Some(vmid)) = (&server.cluster, server.vmid) else { return Rates::default() };
        let runs = self.0.get(cluster).map_or(&[][..], Vec::as_slice);
        let now = server.seen.usage.totals();
        let before = |(then, guests): &Counted| {
            let place = guests.binary_search_by_key(&vmid, |(vmid, _)| *vmid).ok()?;
            Some((*then, guests[place].1))
        };
        // Looked up once for all four.
        let runs: [_; MOST_RUNS] = std::array::from_fn(|i| runs.get(i).and_then(before));
        let of = |total: fn(&Totals) -> Option<Count>| {
            let total_at = |at: Timestamp, totals: &Totals| {
                let uptime = totals.uptime_seconds.map(Count::as_f64);
                Some(Total { at, bytes: total(totals)?.as_f64(), uptime })
            };
            let now = total_at(at, &now)?;
            for (then, totals) in runs.iter().flatten() {
                // The guest may not have run then.
                let Some(earlier) = total_at(*then, totals) else { continue };
                match rate(earlier, now) {
                    Grown::By(rate) => return Some(rate),
                    Grown::SameReading => {}
                    Grown::Unknown => return None,
                }
            }
            None
        };
        Rates {
            receive: of(|totals| totals.receive),
            transmit: of(|totals| totals.transmit),
            read: of(|totals| totals.read),
            write: of(|totals| totals.write),
        }
    }
}
