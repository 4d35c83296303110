//! What a rollback changes in a guest's configuration: it goes back to what it was, and Proxmox VE does not say so.

use std::collections::{BTreeMap, BTreeSet};

/// Of a snapshot itself, or made anew by each rollback.
const NOT_RESTORED: [&str; 12] = [
    "description",
    "digest",
    "lock",
    "parent",
    "runningcpu",
    "runningmachine",
    "running-nets-host-mtu",
    "snaptime",
    "snapstate",
    "snapshot",
    "vmgenid",
    "vmstate",
];

/// A setting that a rollback changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) key: String,
    /// As it is now; `None`: it is not set.
    pub(crate) now: Option<String>,
    /// As it will be.
    pub(crate) then: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
        write!(f, "{}: {} -> {}", self.key, value(&self.now), value(&self.then))
    }
}

/// The settings that differ between the configuration as it is now and the one that a snapshot has, by their names. Disks
/// that are new since then become `unusedN`: they are named, and nothing of them is lost.
pub(crate) fn differences(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<Difference> {
    let is_restored = |key: &str| !NOT_RESTORED.contains(&key) && !key.strip_prefix("unused").is_some_and(is_number);
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).filter(|key| is_restored(key)).collect();
    let difference = |key: &String| {
        let (now, then) = (now.get(key), then.get(key));
        (now != then).then(|| Difference { key: key.clone(), now: now.cloned(), then: then.cloned() })
    };
    keys.into_iter().filter_map(difference).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rollback_changes() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let now = map(&[
            ("memory", "4096"),
            ("cores", "2"),
            ("name", "web"),
            ("tags", "prod"),
            ("digest", "a"),
            ("parent", "s1"),
            ("vmgenid", "1"),
            ("scsi1", "local:101/vm-101-disk-1.qcow2"),
            ("unused0", "x"),
            ("lock", "backup"),
            ("description", "now"),
            ("onboot", "1"),
        ]);
        let then = map(&[
            ("memory", "2048"),
            ("cores", "2"),
            ("name", "web"),
            ("net1", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
            ("vmgenid", "2"),
            ("snaptime", "1795964556"),
            ("vmstate", "local:101/state.raw"),
            ("description", "then"),
            ("runningmachine", "pc"),
            ("onboot", "1"),
        ]);
        let said: Vec<String> = differences(&now, &then).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "memory: 4096 -> 2048",
                "net1: (not set) -> virtio=BC:24:11:00:00:01,bridge=vmbr0",
                "scsi1: local:101/vm-101-disk-1.qcow2 -> (not set)",
                "tags: prod -> (not set)",
            ]
        );
        assert_eq!(differences(&now, &now), []);
    }
}
