//! Snapshots of guests: looked at and judged before anything is sent, taken, deleted and rolled back guest by guest, and
//! seen to be there or gone.

mod carry;
mod follow;
mod keep;
pub(crate) mod list;
mod look;
mod node;
mod prepare;
mod step;

use std::time::Duration;

use jiff::Timestamp;

use super::{ApiClients, Now, SentLog, StepReport};
use crate::model::check::CheckId;
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::Finding;
use crate::model::snapshot::differences::Difference;
use crate::model::snapshot::judge::{Freeze, Wanted};
use crate::model::snapshot::{Disk, Rotation, SnapshotCall, SnapshotName, StorageUse};

/// What is wanted of the chosen guests.
#[derive(Debug, Clone)]
pub(crate) enum SnapshotWish {
    Create {
        name: SnapshotName,
        /// What the user says of it.
        text: Option<String>,
        memory: bool,
        rotation: Rotation,
        /// How many of the series stay.
        keep: Option<usize>,
        /// How full a storage may be, in percent.
        max_storage: f64,
    },
    Delete {
        /// A name, or a pattern.
        pattern: String,
    },
    Rollback {
        name: String,
        starts: bool,
    },
}

impl SnapshotWish {
    /// The verb of `ecobox snapshot`.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            SnapshotWish::Create { .. } => "create",
            SnapshotWish::Delete { .. } => "delete",
            SnapshotWish::Rollback { .. } => "rollback",
        }
    }
}

/// How it shall be done.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotOptions {
    /// Calls at a time on each node, and on each storage.
    pub(crate) parallel: usize,
    /// Whether the outcome is waited for.
    pub(crate) wait: bool,
    /// For each call, in place of the usual time.
    pub(crate) timeout: Option<Duration>,
    /// How long what works on a guest is waited for.
    pub(crate) lock_wait: Option<Duration>,
    /// What shall not matter.
    pub(crate) allowed: Vec<CheckId>,
    /// Who asked, and how.
    pub(crate) by: String,
}

/// One call to one guest, as it was judged.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotStep {
    /// The place of the server in the list that the plan was made from.
    pub(crate) server: usize,
    /// `None`: there is nothing to do, or nothing can be done.
    pub(crate) call: Option<SnapshotCall>,
    /// Why the guest could not be looked at, or is none.
    pub(crate) cannot: Option<Cannot>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
    /// Since when everything is lost.
    pub(crate) loses_since: Option<Timestamp>,
    /// What changes in the configuration.
    pub(crate) differences: Vec<Difference>,
    /// What `--keep` deletes afterwards, by what is there now.
    pub(crate) surplus: Vec<String>,
    pub(super) seen: Option<Seen>,
}

/// Why nothing can be done with a server.
#[derive(Debug, Clone)]
pub(crate) struct Cannot {
    pub(crate) why: String,
    pub(crate) fix: Option<String>,
    /// `None`: it is not a matter of what answers.
    pub(crate) kind: Option<FailureKind>,
}

/// What was seen of a guest for the plan, and does not change from one moment to the next.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    disks: Vec<Disk>,
    storages: Vec<StorageUse>,
    supported: Option<bool>,
    freeze: Freeze,
    replicated_to: Vec<String>,
    /// Whether the snapshot that is rolled back to has memory.
    with_memory: bool,
}

impl SnapshotStep {
    fn new(server: usize) -> SnapshotStep {
        SnapshotStep {
            server,
            call: None,
            cannot: None,
            findings: Vec::new(),
            notes: Vec::new(),
            loses_since: None,
            differences: Vec::new(),
            surplus: Vec::new(),
            seen: None,
        }
    }

    fn cannot(server: usize, why: impl Into<String>, fix: Option<String>, kind: Option<FailureKind>) -> SnapshotStep {
        SnapshotStep { cannot: Some(Cannot { why: why.into(), fix, kind }), ..SnapshotStep::new(server) }
    }

    /// Whether nothing stands against it that was not allowed.
    pub(crate) fn is_clear(&self) -> bool {
        self.cannot.is_none() && self.findings.iter().all(|finding| finding.allowed)
    }

    /// Whether a call is sent for it.
    pub(crate) fn acts(&self) -> bool {
        self.call.is_some() && self.is_clear()
    }

    /// The storages of the guest's disks.
    fn storages(&self) -> Vec<&str> {
        let seen = self.seen.iter().flat_map(|seen| &seen.disks);
        let mut names: Vec<&str> = seen.filter_map(|disk| disk.storage.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What is to be done, judged from all sides.
pub(crate) struct SnapshotPlan {
    pub(crate) wish: SnapshotWish,
    pub(crate) steps: Vec<SnapshotStep>,
    pub(crate) clients: ApiClients,
}

impl SnapshotPlan {
    /// Whether the steps that are clear may be done where others are not. A guest that is rolled back loses its present state: all
    /// that are named go back together, or none.
    pub(crate) fn goes_on(&self) -> bool {
        !matches!(self.wish, SnapshotWish::Rollback { .. }) || self.steps.iter().all(SnapshotStep::is_clear)
    }
}

/// What came of a step.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotEnd {
    pub(crate) report: StepReport,
    /// What `--keep` deleted, or could not, by name.
    pub(crate) kept: Vec<(String, StepReport)>,
}

/// A plan on its way.
pub(crate) struct SnapshotRun<'a> {
    pub(crate) plan: &'a SnapshotPlan,
    pub(crate) servers: &'a [Server],
    pub(crate) options: &'a SnapshotOptions,
    pub(crate) sent_log: SentLog,
    /// Called with the place of a step and what it does now.
    pub(crate) tell: &'a dyn Fn(usize, Now<'_>),
}

impl SnapshotRun<'_> {
    fn say(&self, step: usize, what: &str, of: Option<Duration>) {
        (self.tell)(step, Now::Does(what, of));
    }

    /// Whether another call to the same guest comes after this one, which the guest's lock would keep back.
    fn is_followed(&self, step: usize) -> bool {
        let Some((this, later)) = self.plan.steps.get(step..).and_then(<[SnapshotStep]>::split_first) else {
            return false;
        };
        later.iter().any(|other| other.server == this.server && other.acts())
    }

    fn clients(&self) -> &ApiClients {
        &self.plan.clients
    }
}

/// How long a call may take: to take a snapshot Proxmox VE waits for the guest's agent, to delete one it may merge layers, and
/// memory is written to disk.
fn usual_patience(call: &SnapshotCall) -> Duration {
    Duration::from_secs(match call {
        SnapshotCall::Create { memory: false, .. } => 600,
        SnapshotCall::Create { .. } | SnapshotCall::Delete { .. } | SnapshotCall::Rollback { .. } => 3600,
    })
}

/// What a call wants of a guest, in the words of the rules.
fn wanted<'a>(wish: &SnapshotWish, call: &'a SnapshotCall) -> Wanted<'a> {
    match call {
        SnapshotCall::Create { name, memory, .. } => {
            let max_storage = match wish {
                SnapshotWish::Create { max_storage, .. } => *max_storage,
                _ => 100.0,
            };
            Wanted::Create { name, memory: *memory, max_storage }
        }
        SnapshotCall::Delete { name } => Wanted::Delete { name },
        SnapshotCall::Rollback { name, starts } => Wanted::Rollback { name, starts: *starts },
    }
}
