//! Backups: which guests a job covers, what the log of a task says of each, and how old the last good one is.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::id::{GuestKind, NodeName, VmId};

/// A job of backups that Proxmox VE runs by its schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupJob {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) covers: Coverage,
    /// Only guests on this node.
    pub(crate) node: Option<NodeName>,
    /// When it begins next; one that is off does not.
    #[serde(default)]
    pub(crate) next_run: Option<Timestamp>,
}

/// Which guests a job takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Coverage {
    /// All but these.
    AllBut(Vec<VmId>),
    Only(Vec<VmId>),
    Pool(String),
    /// The job does not say.
    #[default]
    Untold,
}

impl BackupJob {
    /// Whether the job backs up a guest with this number, on this node, in this pool (`PVE::VZDump::get_included_guests`).
    pub(crate) fn takes(&self, vmid: VmId, node: Option<&NodeName>, pool: Option<&str>) -> bool {
        let here = self.node.is_none() || self.node.as_ref() == node;
        let meant = match &self.covers {
            Coverage::AllBut(others) => !others.contains(&vmid),
            Coverage::Only(some) => some.contains(&vmid),
            // Pools may stand inside of each other since 8.1.
            Coverage::Pool(name) => pool.is_some_and(|pool| {
                pool == name || pool.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }),
            Coverage::Untold => false,
        };
        self.enabled && here && meant
    }
}

/// What is kept of the backups of one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastBackup {
    pub(crate) vmid: VmId,
    /// What the guest was then: another guest may have the number now.
    pub(crate) kind: Option<GuestKind>,
    /// When the last good one ended.
    pub(crate) good_at: Option<Timestamp>,
    /// When one failed last, and why.
    pub(crate) failed_at: Option<Timestamp>,
    pub(crate) why: Option<String>,
}

impl LastBackup {
    pub(crate) fn none(vmid: VmId) -> LastBackup {
        LastBackup { vmid, kind: None, good_at: None, failed_at: None, why: None }
    }

    /// Whether the last one that was tried failed, and why.
    pub(crate) fn failure(&self) -> Option<(Timestamp, &str)> {
        let at = self.failed_at.filter(|at| self.good_at.is_none_or(|good| good < *at))?;
        Some((at, self.why.as_deref().unwrap_or_default()))
    }

    /// Adds what another look found: what is newer counts.
    pub(crate) fn add(&mut self, other: &LastBackup) {
        if other.good_at > self.good_at {
            (self.good_at, self.kind) = (other.good_at, other.kind.or(self.kind));
        }
        if other.failed_at > self.failed_at {
            (self.failed_at, self.why) = (other.failed_at, other.why.clone());
        }
    }
}

/// What a task did for one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) vmid: VmId,
    pub(crate) kind: Option<GuestKind>,
    pub(crate) end: LoggedEnd,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoggedEnd {
    /// So long after the task's begin, as far as the log counts it.
    Good(SignedDuration),
    Failed(String),
    /// It was begun, and nothing says how it ended: killed, or not yet.
    Open,
}

/// What the log of a `vzdump` task says of each guest. The words are the same in Proxmox VE 7, 8 and 9, and say "VM"
/// for containers, too.
pub(crate) fn read_log<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<Logged> {
    let mut all: Vec<Logged> = Vec::new();
    let mut passed = SignedDuration::ZERO;
    for line in lines {
        let begun = line.strip_prefix("INFO: Starting Backup of VM ").and_then(number);
        if let Some((vmid, rest)) = begun {
            let kind = match rest.trim() {
                "(qemu)" => Some(GuestKind::Qemu),
                "(lxc)" => Some(GuestKind::Lxc),
                _ => None,
            };
            all.push(Logged { vmid, kind, end: LoggedEnd::Open });
            continue;
        }
        let ended = if let Some((vmid, rest)) = line.strip_prefix("INFO: Finished Backup of VM ").and_then(number) {
            passed = passed.saturating_add(took(rest).unwrap_or_default());
            Some((vmid, LoggedEnd::Good(passed)))
        } else {
            let failed = line.strip_prefix("ERROR: Backup of VM ").and_then(number);
            failed.and_then(|(vmid, rest)| Some((vmid, LoggedEnd::Failed(rest.strip_prefix(" failed - ")?.to_owned()))))
        };
        let Some((vmid, end)) = ended else { continue };
        match all.iter_mut().rev().find(|logged| logged.vmid == vmid) {
            Some(logged) => logged.end = end,
            // It failed before it was begun: there is no such guest.
            None => all.push(Logged { vmid, kind: None, end }),
        }
    }
    all
}

/// `202 (lxc)` as the number and what follows.
fn number(text: &str) -> Option<(VmId, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((VmId::try_from(number.parse::<u32>().ok()?).ok()?, rest))
}

/// ` (00:12:30)`
fn took(text: &str) -> Option<SignedDuration> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut parts = inner.split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(SignedDuration::from_secs(i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)))
}

#[cfg(test)]
mod tests;
