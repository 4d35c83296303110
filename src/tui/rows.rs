//! Which servers are shown, and in which order.

use std::cmp::Ordering;

use crate::model::inventory::Server;
use crate::tui::state::{Order, Row, State};

/// The rows to be shown.
pub(crate) fn rows(state: &State) -> Vec<Row> {
    let mut nodes = shown(state);
    sort(state, &mut nodes);
    fold(state, &nodes)
}

/// Those that the filter lets through (places and depths), each under the nearest that is shown of those above it.
fn shown(state: &State) -> Vec<(usize, usize)> {
    // The depths of those that stand above and are shown: the inventory is in the order of the tree.
    let mut above: Vec<usize> = Vec::new();
    let mut nodes = Vec::new();
    for (place, server) in state.fleet.servers.iter().enumerate() {
        while above.last().is_some_and(|depth| *depth >= server.depth) {
            above.pop();
        }
        if state.filter.chosen.as_ref().is_none_or(|chosen| chosen.contains(&state.keys[place])) {
            nodes.push((place, if state.flat { 0 } else { above.len() }));
            above.push(server.depth);
        }
    }
    nodes
}

/// Sorts trees that stand beside each other, and then what stands under each.
fn sort(state: &State, nodes: &mut [(usize, usize)]) {
    if state.order == Order::Own && !state.reversed {
        return;
    }
    let mut trees: Vec<Vec<(usize, usize)>> = Vec::new();
    for node in nodes.iter() {
        match trees.last_mut() {
            Some(tree) if node.1 > tree[0].1 => tree.push(*node),
            _ => trees.push(vec![*node]),
        }
    }
    trees.sort_by(|a, b| compare(state, a[0].0, b[0].0));
    let mut at = 0;
    for tree in &mut trees {
        if tree.len() > 2 {
            sort(state, &mut tree[1..]);
        }
        nodes[at..at + tree.len()].copy_from_slice(tree);
        at += tree.len();
    }
}

fn compare(state: &State, a: usize, b: usize) -> Ordering {
    let (left, right) = (&state.fleet.servers[a], &state.fleet.servers[b]);
    let turned = |ordering: Ordering| if state.reversed { ordering.reverse() } else { ordering };
    // The largest first; unknown values come last either way.
    let largest = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => turned(b.total_cmp(&a)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    };
    let first = match state.order {
        Order::Own => turned(a.cmp(&b)),
        Order::Name => turned(left.name.to_lowercase().cmp(&right.name.to_lowercase())),
        Order::State => turned(rank(left).cmp(&rank(right))),
        Order::Cpu => {
            let cpu = |server: &Server| server.seen.usage.cpu_percent.map(f64::from).filter(|cpu| cpu.is_finite());
            largest(cpu(left), cpu(right))
        }
        Order::Memory => largest(left.seen.usage.memory_share(), right.seen.usage.memory_share()),
        Order::Age => {
            let age = |server: &Server| state.age(server).map(|age| age.as_secs_f64());
            largest(age(left), age(right))
        }
    };
    first.then(a.cmp(&b))
}

/// What wants to be looked at comes first.
fn rank(server: &Server) -> (bool, usize) {
    use crate::model::power::PowerState::{Asleep, Hibernated, Offline, Online, Paused, Running, Stopped, Unknown};
    let order = [Unknown, Offline, Paused, Stopped, Hibernated, Asleep, Running, Online];
    (!server.is_alarming(), order.iter().position(|state| *state == server.seen.state).unwrap_or(0))
}

fn fold(state: &State, nodes: &[(usize, usize)]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(nodes.len());
    let mut i = 0;
    while i < nodes.len() {
        let (place, depth) = nodes[i];
        let below = nodes[i + 1..].iter().take_while(|(_, other)| *other > depth);
        let places: Vec<usize> = below.map(|(place, _)| *place).collect();
        let folded = !places.is_empty() && state.folded.contains(&state.keys[place]);
        let alarms = places.iter().filter(|place| state.fleet.servers[**place].is_alarming()).count();
        rows.push(Row { place, depth, below: places.len(), folded, alarms: if folded { alarms } else { 0 } });
        i += if folded { places.len() + 1 } else { 1 };
    }
    rows
}
