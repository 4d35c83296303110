//! Migration: what is known of a guest and of the nodes of its cluster, which of them could take it, and what HA and the log
//! of a task say of one that is on its way.

mod against;
mod call;
mod choose;
mod claims;
mod cpu;
pub(crate) mod facts;
pub(crate) mod ha;
mod judge;
pub(crate) mod progress;

use crate::model::id::NodeName;
use crate::model::power::{Against, PowerState};

pub(crate) use self::call::MigrateCall;
pub(crate) use self::claims::Claims;
pub(crate) use self::cpu::NodeCpu;
pub(crate) use self::facts::{LocalDisk, MovingGuest, NotAllowed, Precondition, TargetNode, Volume};
pub(crate) use self::judge::judge_move;

/// Where guests shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Node(NodeName),
    /// The node with the most free memory among those that can take it.
    Any,
}

impl Destination {
    /// `any`, or the name of a node.
    ///
    /// # Errors
    /// It is no name that a node can have.
    pub(crate) fn parse(text: &str) -> Result<Destination, String> {
        if text == "any" {
            return Ok(Destination::Any);
        }
        text.parse().map(Destination::Node).map_err(|_| format!("`{text}` is neither a node's name nor `any`"))
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Destination::Node(node) => node.as_str(),
            Destination::Any => "any",
        }
    }
}

/// How guests shall move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MigrateOptions {
    /// Containers that run are shut down for it, and started again on the other node.
    pub(crate) restart: bool,
    /// Disks on storages of the node alone are copied while the guest runs.
    pub(crate) with_local_disks: bool,
    /// Other storages for the disks, as Proxmox VE writes it: `x`, `a:b,c:d`.
    pub(crate) target_storage: Option<String>,
    /// The move is a step of `power`, which has none of these options: only its `--allow` helps there.
    pub(crate) within_power: bool,
}

/// Where guests shall go that move, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moving {
    pub(crate) to: Destination,
    pub(crate) how: MigrateOptions,
}

impl Default for Moving {
    fn default() -> Moving {
        Moving { to: Destination::Any, how: MigrateOptions::default() }
    }
}

/// A guest's way to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) call: MigrateCall,
    /// The node that it is on.
    pub(crate) from: NodeName,
    /// Why this node was chosen, where it was not named.
    pub(crate) why: Option<String>,
    /// What else there is to know before it is agreed to.
    pub(crate) notes: Vec<String>,
    /// How much is copied: memory and local disks.
    pub(crate) bytes: u64,
}

impl Move {
    /// The step in words, with what is waited for.
    pub(crate) fn told(&self, state: PowerState) -> String {
        let Move { call, from, why, notes, .. } = self;
        let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let way = format!("from {from} to {}{why}", call.target);
        let end = format!("until it is {state} there");
        let parts = std::iter::once(way).chain(notes.iter().cloned()).chain([end]);
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// What moving a guest comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveVerdict {
    /// It is there.
    Already,
    /// This call is due; each reason against it has to be allowed before.
    Move(Box<Move>, Vec<Against>),
    /// No node can take it: the reasons, each of which stands against the whole.
    Nowhere(Vec<Against>),
    /// No call would do it.
    Cannot { why: String, fix: Option<String> },
}

#[cfg(test)]
mod tests;
