//! What a token may do: scopes, the privileges of each, and how effective permissions compare with them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::text::words::words;

/// How much a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenScope {
    /// Read state and load.
    Monitor,
    /// What `Monitor` may, and start, stop and suspend guests.
    Operator,
    /// What `Operator` may, and take, delete and roll back snapshots, and migrate guests.
    Manager,
    /// Everything its user may do (`--privsep 0`), the way of the original ecobox-server.
    Full,
}

words!(TokenScope: all, parse => {
    Monitor = "monitor",
    Operator = "operator",
    Manager = "manager",
    Full = "full",
});

impl TokenScope {
    /// The scopes that have a role of their own.
    pub(crate) const WITH_ROLE: [TokenScope; 3] = [TokenScope::Monitor, TokenScope::Operator, TokenScope::Manager];

    /// The role that carries the scope's privileges; `Full` has none.
    pub(crate) fn role(self) -> Option<&'static str> {
        match self {
            TokenScope::Monitor => Some("EcoboxRead"),
            TokenScope::Operator => Some("Ecobox"),
            TokenScope::Manager => Some("EcoboxManager"),
            TokenScope::Full => None,
        }
    }

    /// The role's privileges on a host of this major version, in the order in which Proxmox VE lists them.
    ///
    /// `VM.GuestAgent.Audit` exists from 9.0 on. Before, reading a guest's addresses needed `VM.Monitor`,
    /// which also grants running programs inside the guest: it is never asked for.
    pub(crate) fn privileges(self, pve_major: u32) -> Vec<&'static str> {
        let mut list = vec!["Datastore.Audit", "Sys.Audit", "VM.Audit"];
        if pve_major >= 9 {
            list.push("VM.GuestAgent.Audit");
        }
        match self {
            TokenScope::Monitor => {}
            TokenScope::Operator => list.push("VM.PowerMgmt"),
            TokenScope::Manager => list.extend(["VM.Migrate", "VM.PowerMgmt", "VM.Snapshot"]),
            TokenScope::Full => return Vec::new(),
        }
        list
    }
}

/// Effective permissions: for each ACL path the privileges held, as GET /access/permissions gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Permissions(pub(crate) BTreeMap<String, BTreeSet<String>>);

/// How a token's effective permissions compare with its scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// Privileges the scope needs and the token lacks on `/`.
    pub(crate) missing: Vec<String>,
    /// Privileges that the token holds anywhere beyond its scope.
    pub(crate) excess: Vec<String>,
}

impl Permissions {
    /// Whether the privilege is held anywhere.
    pub(crate) fn allows(&self, privilege: &str) -> bool {
        self.0.values().any(|held| held.contains(privilege))
    }

    /// Whether the privilege is held on a path: by what stands for it, or for the nearest path above it.
    ///
    /// A path on which nothing is held is not told, so that what is held above it may be said to reach further than it
    /// does. What is said to be missing is.
    pub(crate) fn allows_on(&self, path: &str, privilege: &str) -> bool {
        upwards(path).find_map(|path| self.0.get(path)).is_some_and(|held| held.contains(privilege))
    }

    /// Without paths that add nothing to the nearest one above them.
    pub(crate) fn condensed(&self) -> Permissions {
        let above = |path| upwards(path).skip(1).find_map(|path| self.0.get(path));
        let own = self.0.iter().filter(|(path, held)| above(path.as_str()) != Some(*held));
        Permissions(own.map(|(path, held)| (path.clone(), held.clone())).collect())
    }

    /// How the permissions compare with what `scope` needs on a host of this major version.
    pub(crate) fn compare(&self, scope: TokenScope, pve_major: u32) -> Comparison {
        let wanted: BTreeSet<String> = scope.privileges(pve_major).into_iter().map(str::to_owned).collect();
        let root = self.0.get("/").cloned().unwrap_or_default();
        let held: BTreeSet<String> = self.0.values().flatten().cloned().collect();
        let excess = if scope == TokenScope::Full { Vec::new() } else { held.difference(&wanted).cloned().collect() };
        Comparison { missing: wanted.difference(&root).cloned().collect(), excess }
    }
}

/// A path, then those above it.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/')? {
        0 if *path == "/" => None,
        0 => Some("/"),
        end => path.get(..end),
    })
}

#[cfg(test)]
mod tests;
