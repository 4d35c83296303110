//! What is said of hosts: by what their guests used together, and whether one could sleep.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::AdviceRequest;
use super::subject::{Past, SubjectPast};
use crate::fleet::Fleet;
use crate::model::advice::Advice;
use crate::model::advice::consolidate::{Movable, Node, consolidate};
use crate::model::advice::host_load::HourSums;
use crate::model::advice::spread::Spread;
use crate::model::advice::waste::{Host, host};
use crate::model::guest::size::{Balloon, GuestSize};
use crate::model::host::facts::HostFacts;
use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId};
use crate::model::inventory::Server;
use crate::model::load::usage::Count;
use crate::model::upkeep::Storage;

/// The fewest hours of which something must be known of a guest that is to move.
const LEAST_HOURS: usize = 7 * 24;

impl Fleet<'_> {
    pub(super) fn host_advice(
        &self,
        request: &AdviceRequest<'_>,
        past: &Past,
        storages: &HashMap<ClusterId, Vec<Storage>>,
        models: &HashMap<(ClusterId, NodeName), String>,
    ) -> Vec<Advice> {
        let servers = &request.inventory.servers;
        let mut clusters: BTreeMap<&ClusterId, Vec<&SubjectPast>> = BTreeMap::new();
        for one in &past.subjects {
            let server = &servers[one.place];
            if let (None, Some(cluster), Some(_)) = (server.vmid, &server.cluster, &server.node) {
                clusters.entry(cluster).or_default().push(one);
            }
        }
        let mut lines = Vec::new();
        for (cluster, hosts) in clusters {
            let is_wanted = |one: &&SubjectPast| request.wanted.contains(&one.place);
            if !hosts.iter().any(is_wanted) {
                continue;
            }
            let look = Look { fleet: self, servers, past, cluster };
            let none = Vec::new();
            let shared = storages.get(cluster).unwrap_or(&none);
            let nodes: Vec<Node<'_>> = hosts.iter().filter_map(|one| look.node(one, shared, models)).collect();
            for (place, one) in hosts.iter().enumerate().filter(|(_, one)| is_wanted(one)) {
                lines.extend(host(&look.host(one)));
                // Without an answer nobody knows where disks are.
                if request.asks {
                    lines.extend(consolidate(&nodes, place));
                }
            }
        }
        lines
    }
}

/// One cluster.
struct Look<'l> {
    fleet: &'l Fleet<'l>,
    servers: &'l [Server],
    past: &'l Past,
    cluster: &'l ClusterId,
}

impl<'l> Look<'l> {
    fn guests(&self, node: &'l NodeName) -> impl Iterator<Item = (&'l Server, &'l SubjectPast)> {
        let (servers, cluster) = (self.servers, self.cluster);
        let all = self.past.subjects.iter().map(move |one| (&servers[one.place], one));
        all.filter(move |(server, _)| {
            server.vmid.is_some() && server.cluster.as_ref() == Some(cluster) && server.node.as_ref() == Some(node)
        })
    }

    fn host(&self, one: &SubjectPast) -> Host<'l> {
        let server = &self.servers[one.place];
        let mut host = Host {
            id: &server.id,
            name: &server.name,
            cpus: server.seen.usage.cpus.map_or(0.0, f64::from),
            memory: server.seen.usage.memory_max_bytes.map_or(0.0, Count::as_f64),
            guests: 0,
            together: (0.0, 0.0),
            sum_of_peaks: (0.0, 0.0),
            known_hours: usize::MAX,
        };
        let Some(node) = &server.node else { return host };
        host.together = self.past.sums(self.cluster, node).map_or((0.0, 0.0), HourSums::highest);
        let mut longest = 0;
        for (_, guest) in self.guests(node) {
            let peak = |spread: Option<Spread>| spread.map_or(0.0, |spread| spread.peak.value);
            host.guests += 1;
            host.sum_of_peaks.0 += peak(guest.past.cores);
            host.sum_of_peaks.1 += peak(guest.past.memory);
            let coverage = &guest.past.coverage;
            host.known_hours = host.known_hours.min(coverage.measured_hours + coverage.off_hours);
            longest = longest.max(coverage.measured_hours);
        }
        // Where nothing ran for long, nothing is known of what it has to carry.
        host.known_hours = host.known_hours.min(longest);
        host
    }

    fn node(
        &self,
        one: &SubjectPast,
        storages: &[Storage],
        models: &HashMap<(ClusterId, NodeName), String>,
    ) -> Option<Node<'l>> {
        let server = &self.servers[one.place];
        let host = self.host(one);
        let node = server.node.clone()?;
        let own = |spread: Option<Spread>| spread.map_or(0.0, |spread| spread.peak.value);
        let of_node: BTreeSet<String> = storages
            .iter()
            .filter(|storage| storage.node == node && storage.available)
            .map(|storage| storage.name.clone())
            .collect();
        let (cannot_sleep, unknown_sleep) = self.sleep(&server.id);
        let running = server.node.as_ref().map(|node| self.guests(node)).into_iter().flatten();
        let running = running.filter(|(guest, _)| guest.seen.state.is_up());
        Some(Node {
            id: &server.id,
            name: &server.name,
            online: server.seen.state.is_up(),
            cpus: host.cpus,
            memory: host.memory,
            used: (host.together.0.max(own(one.past.cores)), host.together.1.max(own(one.past.memory))),
            cpu_model: models.get(&(self.cluster.clone(), node.clone())).cloned(),
            storages: of_node,
            movable: running.map(|(guest, past)| movable(guest, past, storages)).collect(),
            cannot_sleep,
            unknown_sleep,
            called: node,
        })
    }

    /// Why it cannot sleep and be woken, or why that is not known.
    fn sleep(&self, id: &ServerId) -> (Option<String>, Option<String>) {
        let known = self.fleet.known.borrow();
        let look = format!("`ecobox doctor {id}` looks");
        let Some(HostFacts { sleep, nics, .. }) = known.facts.get(id) else {
            return (None, Some(format!("whether it can sleep and be woken is not known: {look}")));
        };
        let cannot = match (sleep.suspend, sleep.masked) {
            (Some(false), _) => Some("it cannot suspend: its kernel offers no `mem`".to_owned()),
            (_, Some(true)) => Some(format!("sleep.target is masked on it: {look} and says how to change that")),
            _ if !nics.is_empty() && nics.iter().all(|nic| nic.wol_supported == Some(false)) => {
                Some("none of its network ports can wake it".to_owned())
            }
            _ => None,
        };
        let is_armed = nics.iter().any(|nic| nic.wol_armed == Some(true));
        let unknown = (!is_armed).then(|| format!("no network port of it is known to be armed to wake it: {look}"));
        (cannot, unknown)
    }
}

fn movable<'l>(guest: &'l Server, one: &SubjectPast, storages: &[Storage]) -> Movable<'l> {
    let size = one.size.as_ref();
    let kind = guest.kind.guest().unwrap_or(GuestKind::Qemu);
    let is_shared = |name: &str| storages.iter().any(|storage| storage.name == name && storage.shared);
    let of_disks = |size: &GuestSize| {
        size.volumes.iter().map(|volume| (volume.storage.clone(), is_shared(&volume.storage))).collect()
    };
    // Where its host cannot see what it uses, it may use all it has.
    let reports = |size: &GuestSize| matches!(size.balloon, Balloon::Reports { .. }) && size.balloon_mib != Some(0);
    let is_blind = kind == GuestKind::Qemu && !size.is_some_and(reports);
    let all = guest.seen.usage.memory_max_bytes.map(Count::as_f64);
    let measured = one.past.memory.map(|spread| spread.peak.value);
    let memory = if is_blind { all.or(measured) } else { measured.or(all) };
    Movable {
        id: &guest.id,
        cores: one.past.cores.map_or(0.0, |spread| spread.peak.value),
        memory: memory.unwrap_or_default(),
        known: one.past.coverage.measured_hours + one.past.coverage.off_hours >= LEAST_HOURS && memory.is_some(),
        container: kind == GuestKind::Lxc,
        storages: size.map(of_disks),
        bound: size.map(|size| size.bound.clone()).unwrap_or_default(),
        host_cpu: size.and_then(|size| size.cpu_type.as_deref()) == Some("host"),
    }
}
