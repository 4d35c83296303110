//! What nodes are asked: what their guests are allocated, and what Proxmox VE kept of their past.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use futures::future::join_all;
use jiff::SignedDuration;

use super::AdviceRequest;
use super::subject::Gathering;
use crate::fleet::Fleet;
use crate::fleet::reach::bounded::per_node;
use crate::model::advice::Advice;
use crate::model::advice::right_size::with_pending;
use crate::model::advice::tally::{Level, Step};
use crate::model::guest::size::{Balloon, GuestSize};
use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId, VmId};
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::past::series::Metric;
use crate::model::power::PowerState;
use crate::model::upkeep::Storage;
use crate::transport::Error;
use crate::transport::pve::rrd::RrdRow;
use crate::transport::pve::{Client, Consolidation, RrdAnswer, Timeframe};

/// The storages of each cluster, and of what make the CPUs of each node are.
pub(super) type OfClusters = (HashMap<ClusterId, Vec<Storage>>, HashMap<(ClusterId, NodeName), String>);

/// One server that its node is asked about.
struct Question<'q> {
    number: usize,
    server: &'q Server,
    node: NodeName,
}

/// The nodes that were asked in vain, and what is to be said of it.
#[derive(Default)]
struct Silent {
    nodes: RefCell<BTreeMap<NodeName, Failed>>,
    /// What others did not tell.
    refusals: RefCell<Vec<Failed>>,
}

impl Silent {
    fn has(&self, node: &NodeName) -> bool {
        self.nodes.borrow().contains_key(node)
    }
}

impl Fleet<'_> {
    /// Asks each node about its guests and itself, nodes beside each other, on each three questions at a time. A node that
    /// does not answer one is asked nothing more.
    pub(super) async fn ask_nodes(&self, gathering: &Gathering, request: &AdviceRequest<'_>) -> Vec<Failed> {
        let servers = &request.inventory.servers;
        let mut questions: BTreeMap<&ClusterId, Vec<(NodeName, Question<'_>)>> = BTreeMap::new();
        let mut total = 0;
        for (number, place) in gathering.places().into_iter().enumerate() {
            let server = &servers[place];
            let (Some(cluster), Some(node)) = (&server.cluster, &server.node) else { continue };
            // Of what is not seen its node does not answer, or is off.
            if !request.clients.contains_key(cluster) || !is_asked(server) {
                continue;
            }
            total += 1;
            questions.entry(cluster).or_default().push((node.clone(), Question { number, server, node: node.clone() }));
        }
        let done = Cell::new(0);
        let asked = questions.into_iter().map(|(cluster, questions)| {
            let done = &done;
            async move {
                let silent = Silent::default();
                let Some(client) = request.clients.get(cluster) else { return Vec::new() };
                let asked = &silent;
                per_node(questions, |question| async move {
                    self.ask_about(client, &question, gathering, asked).await;
                    done.set(done.get() + 1);
                    (request.progress)(done.get(), total);
                })
                .await;
                let Silent { nodes, refusals } = silent;
                nodes.into_inner().into_values().chain(refusals.into_inner()).collect()
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask_about(&self, client: &Client, question: &Question<'_>, gathering: &Gathering, silent: &Silent) {
        let Question { number, server, node } = question;
        if silent.has(node) {
            return;
        }
        let result = if let (Some(kind), Some(vmid)) = (server.kind.guest(), server.vmid) {
            self.ask_about_guest(client, question, (kind, vmid), gathering).await
        } else {
            let ask = |frame, cf| client.node_rrd(node, frame, cf);
            self.ask_history(gathering, ask).await.map(|steps| gathering.add(*number, &steps))
        };
        let Err(error) = result else { return };
        let failed = self.failed_about(server, node, &error);
        if failed.kind == FailureKind::Unreachable {
            silent.nodes.borrow_mut().entry(node.clone()).or_insert(failed);
            return;
        }
        // One of many of a kind says as much as all.
        let mut refusals = silent.refusals.borrow_mut();
        if !refusals.iter().any(|known| known.kind == failed.kind) {
            refusals.push(failed);
        }
    }

    fn failed_about(&self, server: &Server, node: &NodeName, error: &Error) -> Failed {
        let host = server.parent.as_ref().unwrap_or(&server.id);
        let failed = self.failed(host, error);
        let whom = if failed.kind == FailureKind::Unreachable {
            format!("the guests of {node} are")
        } else {
            format!("{} is", server.id)
        };
        Failed { message: format!("{}; {whom} judged by the state file", failed.message), ..failed }
    }

    async fn ask_about_guest(
        &self,
        client: &Client,
        question: &Question<'_>,
        (kind, vmid): (GuestKind, VmId),
        gathering: &Gathering,
    ) -> Result<(), Error> {
        let Question { number, server, node } = question;
        let size = self.in_time(server, self.size(client, question, (kind, vmid), gathering)).await;
        // What is not told of its size does not keep its past from being told.
        let refused = match size {
            Ok(size) => {
                gathering.resize(*number, server, size);
                None
            }
            Err(error) if error.kind() == FailureKind::Unreachable => return Err(error),
            Err(error) => Some(error),
        };
        let ask = |frame, cf| client.guest_rrd(node, kind, vmid, frame, cf);
        let steps = self.ask_history(gathering, ask).await?;
        gathering.add(*number, &steps);
        refused.map_or(Ok(()), Err)
    }

    async fn size(
        &self,
        client: &Client,
        question: &Question<'_>,
        (kind, vmid): (GuestKind, VmId),
        gathering: &Gathering,
    ) -> Result<GuestSize, Error> {
        let Question { number, server, node } = question;
        let mut size = client.guest_size(node, kind, vmid).await?;
        if kind == GuestKind::Qemu {
            size.balloon = if server.seen.state.is_up() {
                client.balloon(node, vmid).await?
            } else {
                gathering.balloon(*number).unwrap_or(Balloon::Unknown)
            };
        }
        Ok(size)
    }

    async fn in_time<T>(&self, server: &Server, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let after = self.limits.left(self.limits.host);
        let late = |_| Error::Timeout { peer: server.id.to_string(), doing: "reading its history", after };
        tokio::time::timeout(after, asked).await.map_err(late)?
    }

    /// Averages and highest of the whole window. Where its steps are long, and shorter ones are kept of its end, those too.
    async fn ask_history<F: Future<Output = Result<RrdAnswer, Error>>>(
        &self,
        gathering: &Gathering,
        ask: impl Fn(Timeframe, Consolidation) -> F,
    ) -> Result<Vec<Step>, Error> {
        let window = gathering.window;
        let Some(frame) = Timeframe::covering(window.until.duration_since(window.since)) else { return Ok(Vec::new()) };
        let after = self.limits.left(self.limits.host);
        let both = async |frame| {
            let late = |_| Error::Timeout { peer: "its node".to_owned(), doing: "reading its history", after };
            let average = tokio::time::timeout(after, ask(frame, Consolidation::Average)).await.map_err(late)??;
            if average.rows.is_empty() {
                return Ok(Vec::new());
            }
            let max = tokio::time::timeout(after, ask(frame, Consolidation::Max)).await.map_err(late)??;
            Ok::<_, Error>(steps(&average, &max))
        };
        let mut steps = both(frame).await?;
        let coarse = steps.iter().any(|step| step.length > SignedDuration::from_hours(1));
        let finer = Timeframe::ALL.into_iter().rev().find(|finer| *finer < frame && *finer >= Timeframe::Week);
        if let Some(finer) = finer.filter(|_| coarse) {
            let fine = both(finer).await?;
            if let Some(from) = fine.iter().find(|step| step.cpu.is_some() || step.off).map(|step| step.begins) {
                steps.retain(|step| step.begins < from);
                steps.extend(fine);
            }
        }
        Ok(steps)
    }

    /// Looks at guests that would be changed for changes that wait until they are stopped and started.
    pub(super) async fn look_for_pending(&self, request: &AdviceRequest<'_>, lines: &mut [Advice]) {
        let servers = &request.inventory.servers;
        let mut asked: BTreeMap<&ServerId, (&Server, &NodeName, &Client)> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.to.is_some()) {
            let Some(server) = servers.iter().find(|server| server.id == line.subject) else { continue };
            let client = server.cluster.as_ref().and_then(|cluster| request.clients.get(cluster));
            if let (Some(node), Some(client), true) = (&server.node, client, is_asked(server)) {
                asked.insert(&server.id, (server, node, client));
            }
        }
        let questions = asked.into_iter().map(|(id, question)| (question.1.clone(), (id, question)));
        let answers = per_node(questions, |(id, (server, node, client))| async move {
            let (kind, vmid) = (server.kind.guest()?, server.vmid?);
            let next = self.in_time(server, client.next_guest_size(node, kind, vmid)).await.ok()?;
            Some((id, kind, next))
        });
        for (id, kind, next) in answers.await.into_iter().flatten() {
            lines.iter_mut().filter(|line| line.subject == *id).for_each(|line| with_pending(line, kind, &next));
        }
    }

    /// What only a look at whole clusters needs.
    pub(super) async fn ask_clusters(&self, request: &AdviceRequest<'_>, gathering: &Gathering) -> OfClusters {
        let (mut storages, mut models) = (HashMap::new(), HashMap::new());
        let places = gathering.places();
        for (cluster, client) in request.clients {
            match self.ask_storages(cluster, client).await {
                Ok(found) => drop(storages.insert(cluster.clone(), found)),
                Err(error) => tracing::debug!(%error, "the storages of the cluster are not told"),
            }
            let hosts = places.iter().map(|place| &request.inventory.servers[*place]);
            let hosts =
                hosts.filter(|host| host.vmid.is_none() && host.cluster.as_ref() == Some(cluster) && is_asked(host));
            let nodes: Vec<NodeName> = hosts.filter_map(|host| host.node.clone()).collect();
            let asked = nodes.iter().map(|node| async move { (node, client.cpu_model(node).await) });
            for (node, model) in join_all(asked).await {
                if let Ok(Some(model)) = model {
                    models.insert((cluster.clone(), node.clone()), model);
                }
            }
        }
        (storages, models)
    }
}

/// Whether its node answers, as far as was seen.
fn is_asked(server: &Server) -> bool {
    match server.vmid {
        Some(_) => server.seen.state != PowerState::Unknown,
        None => server.seen.state == PowerState::Online,
    }
}

/// Averages and highest of the same times.
fn steps(average: &RrdAnswer, max: &RrdAnswer) -> Vec<Step> {
    let mut highest = max.rows.iter().peekable();
    let mut was_on = true;
    let step = |row: &RrdRow| {
        while highest.next_if(|max| max.ends < row.ends).is_some() {}
        let max = highest.peek().filter(|max| max.ends == row.ends);
        let level = |metric: Metric| {
            let avg = row.value(metric)?;
            let max = max.and_then(|max| max.value(metric)).map_or(avg, |max| max.max(avg));
            Some(Level { avg, max })
        };
        let cpu = level(Metric::Cpu);
        // A guest that is off has a size, and nothing else.
        let off = cpu.is_none() && row.memory_max_bytes.is_some();
        let at_start = !std::mem::replace(&mut was_on, !off);
        Step {
            begins: row.begins,
            length: row.ends.duration_since(row.begins),
            off,
            at_start: at_start && cpu.is_some(),
            cpus: row.cpus,
            memory_max: row.memory_max_bytes,
            cpu,
            memory: level(Metric::Memory),
            pressure: [Metric::PressureCpu, Metric::PressureMemory, Metric::PressureIo].map(level),
            traffic: row.value(Metric::Receive).zip(row.value(Metric::Transmit)).map(|(a, b)| a + b),
            sent: row.value(Metric::Transmit),
        }
    };
    average.rows.iter().map(step).collect()
}
