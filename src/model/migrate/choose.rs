//! Which node takes a guest that may go anywhere: the one with the most free memory among those that can.

use super::against::against_node;
use super::claims::Claims;
use super::{MigrateOptions, MovingGuest, TargetNode};
use crate::model::check::fault::Fault;
use crate::model::text::units::human_bytes;

/// The node, and why that one.
///
/// # Errors
/// No node can take it: what keeps each from it.
pub(super) fn choose<'n>(
    guest: &MovingGuest,
    nodes: &'n [TargetNode],
    claims: &Claims,
    options: &MigrateOptions,
) -> Result<(&'n TargetNode, String), Box<Fault>> {
    let (mut able, mut out) = (Vec::new(), Vec::new());
    for node in nodes.iter().filter(|node| node.name != guest.node) {
        match against_node(guest, node, nodes, claims, options).into_iter().next() {
            None => able.push(node),
            Some(against) => out.push((node.name.clone(), against.fault.finding)),
        }
    }
    // The most free memory; of equals the first by name. One that says nothing of it comes last.
    able.sort_by(|one, other| {
        claims.left(other).cmp(&claims.left(one)).then_with(|| one.name.as_str().cmp(other.name.as_str()))
    });
    let Some(best) = able.first().copied() else { return Err(Box::new(Fault::no_node_takes_it(&guest.node, &out))) };
    let free = |node: &TargetNode| claims.left(node).map_or("unknown".to_owned(), human_bytes);
    let of = if able.len() > 1 {
        let others: Vec<String> = able.iter().skip(1).map(|node| format!("{} has {}", node.name, free(node))).collect();
        format!("most free memory: {}; {}", free(best), others.join(", "))
    } else {
        format!("the only one that can take it, {} free", free(best))
    };
    Ok((best, of))
}
