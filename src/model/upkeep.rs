//! What Proxmox VE has to be looked after for: storages that fill, backups that age, tokens and certificates that end.

pub(crate) mod backup;
pub(crate) mod missed;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::id::NodeName;
use crate::model::load::usage::{Count, percent};

/// A storage as one node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storage {
    pub(crate) name: String,
    pub(crate) node: NodeName,
    /// All nodes see the same one.
    pub(crate) shared: bool,
    /// Its type: `dir`, `nfs`, `zfspool`, `pbs`.
    pub(crate) plugin: Option<String>,
    /// Whether the node could use it when it told the others last. `false` also stands for a storage that is switched off,
    /// and for a node that tells nothing.
    pub(crate) available: bool,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) size_bytes: Option<u64>,
}

impl Storage {
    /// Percent of it that is in use; `None`: unknown.
    pub(crate) fn used_percent(&self) -> Option<f64> {
        percent(Count::new(self.used_bytes?), Count::new(self.size_bytes?)).filter(|_| self.available)
    }

    /// What people call it: `pve1/local`, and `tank` where all nodes share it.
    pub(crate) fn called(&self) -> String {
        if self.shared { self.name.clone() } else { format!("{}/{}", self.node, self.name) }
    }
}

/// Each storage once: of one that nodes share the row of a node that could use it.
pub(crate) fn each_once(storages: Vec<Storage>) -> Vec<Storage> {
    let mut once: Vec<Storage> = Vec::new();
    for storage in storages {
        let same = |known: &&mut Storage| storage.shared && known.shared && known.name == storage.name;
        match once.iter_mut().find(same) {
            Some(known) if storage.available && !known.available => *known = storage,
            Some(_) => {}
            None => once.push(storage),
        }
    }
    once
}

/// How long a token will be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenTerm {
    /// When it ends, or its user does; `None`: never.
    pub(crate) ends: Option<Timestamp>,
}

/// The certificate that an API presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificateTerm {
    /// The end of its validity; `None`: it has none.
    pub(crate) ends: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(name: &str, node: &str, shared: bool, available: bool) -> Storage {
        let (used_bytes, size_bytes) = (Some(30), Some(40));
        let (name, node) = (name.to_owned(), node.parse().unwrap());
        Storage { name, node, shared, plugin: None, available, used_bytes, size_bytes }
    }

    #[test]
    fn a_shared_storage_counts_once_and_by_who_can_use_it() {
        let all = vec![
            storage("local", "pve1", false, true),
            storage("nfs", "pve1", true, false),
            storage("local", "pve2", false, false),
            storage("nfs", "pve2", true, true),
        ];
        let once = each_once(all);
        let told: Vec<_> = once.iter().map(|one| (one.called(), one.used_percent())).collect();
        let want = [("pve1/local", Some(75.0)), ("nfs", Some(75.0)), ("pve2/local", None)];
        assert_eq!(told, want.map(|(name, used)| (name.to_owned(), used)));
    }
}
