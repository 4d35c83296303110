//! What guests of a plan will take of the nodes that they go to.

use std::collections::BTreeMap;

use super::{MovingGuest, TargetNode};
use crate::model::id::NodeName;

/// Memory that was promised to guests which are not there yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(BTreeMap<NodeName, u64>);

impl Claims {
    /// Free memory of a node, without what was promised of it.
    pub(super) fn left(&self, node: &TargetNode) -> Option<u64> {
        Some(node.free?.saturating_sub(self.of(node)))
    }

    pub(super) fn of(&self, node: &TargetNode) -> u64 {
        self.0.get(&node.name).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, guest: &MovingGuest, node: &TargetNode) {
        if let Some(memory) = guest.memory.filter(|_| guest.runs()) {
            let claimed = self.0.entry(node.name.clone()).or_default();
            *claimed = claimed.saturating_add(memory);
        }
    }
}
