//! Whether a host of a cluster could sleep, and its guests run on the other nodes meanwhile.

use std::collections::BTreeSet;

use super::waste::OWN_BYTES;
use super::{Advice, Area, Confidence, Verdict};
use crate::model::id::{NodeName, ServerId};
use crate::model::text::units::human_bytes;

/// What is left free on each node for what was not seen.
const HEADROOM: f64 = 1.15;

/// How many reasons are named.
const NAMED: usize = 4;

/// A node of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Node<'n> {
    pub(crate) id: &'n ServerId,
    pub(crate) name: &'n str,
    /// Its name in the cluster.
    pub(crate) called: NodeName,
    pub(crate) online: bool,
    pub(crate) cpus: f64,
    pub(crate) memory: f64,
    /// The highest that its guests used together in one hour, or the node itself: cores, bytes.
    pub(crate) used: (f64, f64),
    pub(crate) cpu_model: Option<String>,
    /// The storages that it can use.
    pub(crate) storages: BTreeSet<String>,
    pub(crate) movable: Vec<Movable<'n>>,
    /// Why it cannot sleep, or be woken, whatever runs on it.
    pub(crate) cannot_sleep: Option<String>,
    /// Why that is not known.
    pub(crate) unknown_sleep: Option<String>,
}

/// A guest that would have to move.
#[derive(Debug, Clone)]
pub(crate) struct Movable<'n> {
    pub(crate) id: &'n ServerId,
    pub(crate) cores: f64,
    pub(crate) memory: f64,
    /// Whether that was measured for long enough.
    pub(crate) known: bool,
    pub(crate) container: bool,
    /// Of its disks, each with whether all nodes share it; `None`: its configuration is not known.
    pub(crate) storages: Option<Vec<(String, bool)>>,
    /// Devices and folders of its node.
    pub(crate) bound: Vec<String>,
    /// It sees its node's own CPU.
    pub(crate) host_cpu: bool,
}

/// Whether the node at this place could sleep. `None`: it is alone, or does not run, and there is nothing to say.
pub(crate) fn consolidate(nodes: &[Node<'_>], place: usize) -> Option<Advice> {
    let node = nodes.get(place).filter(|node| node.online && nodes.len() > 1)?;
    let line = |verdict, why| Advice::new((Area::Consolidation, "sleep"), (node.id, node.name), verdict, why);
    let mut against: Vec<String> = node.cannot_sleep.iter().cloned().collect();
    let others = nodes.iter().enumerate().filter(|(other, node)| *other != place && node.online);
    let others: Vec<&Node<'_>> = others.map(|(_, node)| node).collect();
    // Each node is taken to have one vote.
    if others.len() * 2 <= nodes.len() {
        against.push(format!(
            "its cluster would lose quorum with {} of {} nodes online (a QDevice is not counted)",
            others.len(),
            nodes.len()
        ));
    }
    against.extend(node.movable.iter().flat_map(tied));
    if !against.is_empty() {
        return Some(line(Verdict::CannotSleep, listed(&against)));
    }
    let unknown: Vec<&str> = node.movable.iter().filter(|guest| !guest.known).map(|guest| guest.id.as_str()).collect();
    if !unknown.is_empty() {
        let why = format!("what {} need is not known for long enough", listed(&unknown));
        return Some(line(Verdict::CannotTell, why));
    }
    let plan = match pack(node, &others) {
        Ok(plan) => plan,
        Err(why) => return Some(line(Verdict::CannotSleep, why)),
    };
    let mut why = if plan.is_empty() {
        "no guest runs on it".to_owned()
    } else {
        let moves: Vec<String> = plan.iter().map(|(guest, to)| format!("{} to {}", guest.id, to.called)).collect();
        format!("its guests fit on the others by their peaks, with 15 % left: {}", listed(&moves))
    };
    let doubts = doubts(node, &plan);
    for doubt in &doubts {
        why.push_str("; ");
        why.push_str(doubt);
    }
    let mut line = line(Verdict::CanSleep, why);
    line.confidence = Some(if doubts.is_empty() { Confidence::High } else { Confidence::Medium });
    let guests = if plan.is_empty() { "" } else { " --guests migrate" };
    line.command = Some(format!("ecobox power suspend {}{guests}", node.id));
    Some(line)
}

/// What ties a guest to its node.
fn tied(guest: &Movable<'_>) -> Vec<String> {
    let mut ties = Vec::new();
    if !guest.bound.is_empty() {
        ties.push(format!("{} uses {} of it", guest.id, guest.bound.join(", ")));
    }
    match &guest.storages {
        None => ties.push(format!("where the disks of {} are is not known", guest.id)),
        Some(storages) => {
            let local: BTreeSet<&str> =
                storages.iter().filter(|(_, shared)| !shared).map(|(name, _)| name.as_str()).collect();
            if !local.is_empty() {
                let names = local.into_iter().collect::<Vec<_>>().join(", ");
                ties.push(format!("disks of {} are on its local storage {names}", guest.id));
            }
        }
    }
    ties
}

/// The largest guests first, each to the node that is left with the least room.
fn pack<'n, 'm>(node: &'m Node<'n>, others: &[&'m Node<'n>]) -> Result<Vec<(&'m Movable<'n>, &'m Node<'n>)>, String> {
    let mut free: Vec<(f64, f64)> = others
        .iter()
        .map(|other| {
            let memory = other.memory - other.used.1.max(OWN_BYTES) * HEADROOM;
            (other.cpus - other.used.0 * HEADROOM, memory)
        })
        .collect();
    let mut guests: Vec<&Movable<'_>> = node.movable.iter().collect();
    guests.sort_by(|a, b| b.memory.total_cmp(&a.memory));
    let mut plan = Vec::new();
    for guest in guests {
        let (cores, memory) = (guest.cores * HEADROOM, guest.memory * HEADROOM);
        let reaches =
            |other: &Node<'_>| guest.storages.iter().flatten().all(|(storage, _)| other.storages.contains(storage));
        let fits = |place: &usize| free[*place].0 >= cores && free[*place].1 >= memory && reaches(others[*place]);
        let best = (0..others.len()).filter(fits).min_by(|a, b| free[*a].1.total_cmp(&free[*b].1));
        let Some(best) = best else {
            let most = free.iter().map(|(_, memory)| *memory).fold(0.0, f64::max);
            return Err(format!(
                "{} fits on no other node: it needs {:.1} cores and {} at most, and they have at most {} left when they are busiest",
                guest.id,
                guest.cores,
                bytes(guest.memory),
                bytes(most)
            ));
        };
        free[best].0 -= cores;
        free[best].1 -= memory;
        plan.push((guest, others[best]));
    }
    Ok(plan)
}

/// What nobody can promise.
fn doubts(node: &Node<'_>, plan: &[(&Movable<'_>, &Node<'_>)]) -> Vec<String> {
    let mut doubts: Vec<String> = node.unknown_sleep.iter().cloned().collect();
    let other_cpu = |to: &Node<'_>| to.cpu_model.is_none() || to.cpu_model != node.cpu_model;
    let strange: Vec<&str> =
        plan.iter().filter(|(guest, to)| guest.host_cpu && other_cpu(to)).map(|(guest, _)| guest.id.as_str()).collect();
    if !strange.is_empty() {
        doubts.push(format!(
            "{} see the CPU of their node, and the other one has another: they may not survive the move",
            listed(&strange)
        ));
    }
    let restarted = plan.iter().filter(|(guest, _)| guest.container).count();
    if restarted > 0 {
        doubts.push(format!("{restarted} of them are containers, which a move restarts"));
    }
    doubts
}

fn listed<T: AsRef<str>>(words: &[T]) -> String {
    let named = words.iter().take(NAMED).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn bytes(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, not negative")]
    human_bytes(number.max(0.0) as u64)
}
