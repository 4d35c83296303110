//! The servers whose past is read, and what is gathered of each.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::Shared;
use crate::model::advice::coverage::Hours;
use crate::model::advice::host_load::HourSums;
use crate::model::advice::right_size::Guest;
use crate::model::advice::tally::{Allocated, Level, PastUse, Step, Tally};
use crate::model::guest::size::{Balloon, GuestSize, MIB};
use crate::model::id::{ClusterId, NodeName, VmId};
use crate::model::inventory::{Inventory, Server};
use crate::model::load::usage::Count;
use crate::model::past::series::{Metric, Series, Window};

/// One guest or host.
#[derive(Debug)]
pub(super) struct Subject {
    /// Among the servers of the inventory.
    pub(super) place: usize,
    pub(super) size: Option<GuestSize>,
    /// Whether its size was asked for in this run.
    pub(super) is_new: bool,
    pub(super) tally: Tally,
    /// The sums that it belongs to, by number: of its node. Hosts have sums of their own, which nobody reads.
    sums: usize,
    /// Before this it was another guest under the same number.
    since: Option<Timestamp>,
}

impl Subject {
    pub(super) fn new(place: usize, server: &Server, size: Option<GuestSize>) -> Subject {
        let mut subject = Subject { place, size: None, is_new: false, tally: Tally::default(), sums: 0, since: None };
        subject.resize(server, size);
        subject
    }

    /// Takes its size, before anything of its past.
    pub(super) fn resize(&mut self, server: &Server, size: Option<GuestSize>) {
        let usage = &server.seen.usage;
        let kind = server.kind.guest();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let told = size.as_ref().zip(kind).map(|(size, kind)| Allocated {
            cpus: size.cpus(kind).map(f64::from).or(size.cpu_limit),
            memory: Some(size.memory_mib() as f64 * MIB),
        });
        let measured = Allocated { cpus: usage.cpus.map(f64::from), memory: usage.memory_max_bytes.map(Count::as_f64) };
        let told = told.unwrap_or_default();
        self.tally =
            Tally::new(Allocated { cpus: told.cpus.or(measured.cpus), memory: told.memory.or(measured.memory) });
        self.since = size.as_ref().and_then(|size| size.made_at);
        self.size = size;
    }
}

/// What is gathered of all of them. Many answers add to it, each for a moment.
pub(super) struct Gathering {
    pub(super) hours: Hours,
    pub(super) window: Window,
    subjects: Shared<Vec<Subject>>,
    sums: Shared<Vec<HourSums>>,
    /// Which sums a node has.
    nodes: HashMap<(ClusterId, NodeName), usize>,
    has_hosts: bool,
}

impl Gathering {
    pub(super) fn new(hours: Hours, window: Window, mut subjects: Vec<Subject>, inventory: &Inventory) -> Gathering {
        let mut nodes = HashMap::new();
        let mut has_hosts = false;
        for subject in &mut subjects {
            let server = &inventory.servers[subject.place];
            has_hosts |= server.vmid.is_none();
            if let (Some(_), Some(cluster), Some(node)) = (server.vmid, &server.cluster, &server.node) {
                // The first is of those that belong to no node.
                let next = nodes.len() + 1;
                subject.sums = *nodes.entry((cluster.clone(), node.clone())).or_insert(next);
            }
        }
        let sums = vec![HourSums::default(); nodes.len() + 1];
        Gathering { hours, window, subjects: RefCell::new(subjects), sums: RefCell::new(sums), nodes, has_hosts }
    }

    pub(super) fn has_hosts(&self) -> bool {
        self.has_hosts
    }

    /// Where the subjects are in the inventory, in their order.
    pub(super) fn places(&self) -> Vec<usize> {
        self.subjects.borrow().iter().map(|subject| subject.place).collect()
    }

    pub(super) fn next_source(&self) {
        let mut sums = self.sums.borrow_mut();
        for subject in self.subjects.borrow_mut().iter_mut() {
            subject.tally.next_source(&mut sums[subject.sums]);
        }
    }

    /// What the balloon of a guest reported the last time.
    pub(super) fn balloon(&self, number: usize) -> Option<Balloon> {
        self.subjects.borrow()[number].size.as_ref().map(|size| size.balloon)
    }

    pub(super) fn resize(&self, number: usize, server: &Server, size: GuestSize) {
        let subject = &mut self.subjects.borrow_mut()[number];
        subject.resize(server, Some(size));
        subject.is_new = true;
    }

    /// Takes steps of the past of one subject, oldest first.
    pub(super) fn add<'s>(&self, number: usize, steps: impl IntoIterator<Item = &'s Step>) {
        let subject = &mut self.subjects.borrow_mut()[number];
        let sums = &mut self.sums.borrow_mut()[subject.sums];
        for step in steps {
            if step.begins >= self.window.since && subject.since.is_none_or(|since| step.begins >= since) {
                subject.tally.add(step, self.hours, sums);
            }
        }
    }

    /// Takes what Prometheus kept: a series of each metric, in the same steps.
    pub(super) fn add_series(&self, number: usize, series: &[Series]) {
        let Some(first) = series.first() else { return };
        let of = |metric: Metric, place: usize| {
            let point = series.iter().find(|series| series.metric == metric)?.points.get(place)?;
            Some(Level { avg: point.avg?, max: point.max? })
        };
        let steps: Vec<Step> = first
            .points
            .iter()
            .enumerate()
            .map(|(place, point)| Step {
                cpu: of(Metric::Cpu, place),
                memory: of(Metric::Memory, place),
                pressure: [Metric::PressureCpu, Metric::PressureMemory, Metric::PressureIo].map(|m| of(m, place)),
                traffic: of(Metric::Receive, place).zip(of(Metric::Transmit, place)).map(|(a, b)| a.avg + b.avg),
                sent: of(Metric::Transmit, place).map(|level| level.avg),
                ..Step::at(point.at, first.window.step)
            })
            .collect();
        self.add(number, &steps);
    }

    /// The sizes that were asked for in this run, by cluster.
    pub(super) fn new_sizes(&self, inventory: &Inventory) -> BTreeMap<ClusterId, BTreeMap<VmId, GuestSize>> {
        let mut sizes: BTreeMap<ClusterId, BTreeMap<VmId, GuestSize>> = BTreeMap::new();
        for subject in self.subjects.borrow().iter().filter(|subject| subject.is_new) {
            let server = &inventory.servers[subject.place];
            if let (Some(cluster), Some(vmid), Some(size)) = (&server.cluster, server.vmid, &subject.size) {
                sizes.entry(cluster.clone()).or_default().insert(vmid, size.clone());
            }
        }
        sizes
    }

    /// What is left of it all.
    pub(super) fn finish(self) -> Past {
        let mut sums = self.sums.into_inner();
        let mut subjects = Vec::new();
        for subject in self.subjects.into_inner() {
            let Subject { place, size, mut tally, sums: number, .. } = subject;
            let past = tally.finish(self.hours, &mut sums[number]);
            subjects.push(SubjectPast { place, size, past });
        }
        Past { subjects, sums, nodes: self.nodes }
    }
}

/// What is left of one.
#[derive(Debug)]
pub(super) struct SubjectPast {
    pub(super) place: usize,
    pub(super) size: Option<GuestSize>,
    pub(super) past: PastUse,
}

impl SubjectPast {
    /// As the rules see it; `None`: it is no guest.
    pub(super) fn guest<'s>(&'s self, server: &'s Server) -> Option<Guest<'s>> {
        let usage = &server.seen.usage;
        Some(Guest {
            id: &server.id,
            name: &server.name,
            kind: server.kind.guest()?,
            vmid: server.vmid?,
            size: self.size.as_ref(),
            allocated: Allocated { cpus: usage.cpus.map(f64::from), memory: usage.memory_max_bytes.map(Count::as_f64) },
            running: server.seen.state.is_up(),
            tags: &server.tags,
            host_cpus: None,
        })
    }
}

/// What is left of all of them.
pub(super) struct Past {
    pub(super) subjects: Vec<SubjectPast>,
    sums: Vec<HourSums>,
    nodes: HashMap<(ClusterId, NodeName), usize>,
}

impl Past {
    /// What the guests of a node used together.
    pub(super) fn sums(&self, cluster: &ClusterId, node: &NodeName) -> Option<&HourSums> {
        self.sums.get(*self.nodes.get(&(cluster.clone(), node.clone()))?)
    }
}

/// The step of a length that ends at a moment.
pub(super) fn ending(at: Timestamp, length: SignedDuration) -> Step {
    Step::at(at.checked_sub(length).unwrap_or(at), length)
}
