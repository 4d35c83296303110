//! The calls of the API that take, delete and roll back.

use crate::model::access::right::GuestRight;
use crate::model::id::GuestKind;

/// A call that changes a guest's snapshots, or the guest by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SnapshotCall {
    Create {
        name: String,
        description: String,
        /// With the memory of a virtual machine that runs.
        memory: bool,
    },
    Delete {
        name: String,
    },
    Rollback {
        name: String,
        /// The guest is started afterwards.
        starts: bool,
    },
}

impl SnapshotCall {
    /// The verb of `ecobox snapshot`.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            SnapshotCall::Create { .. } => "create",
            SnapshotCall::Delete { .. } => "delete",
            SnapshotCall::Rollback { .. } => "rollback",
        }
    }

    /// The snapshot's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            SnapshotCall::Create { name, .. } | SnapshotCall::Delete { name } | SnapshotCall::Rollback { name, .. } => {
                name
            }
        }
    }

    /// What the state file calls it: `snapshot create before`.
    pub(crate) fn action(&self) -> String {
        format!("snapshot {} {}", self.verb(), self.name())
    }

    /// The method, the path below the guest, and the parameters.
    pub(crate) fn request(&self) -> (&'static str, String, Vec<(&'static str, String)>) {
        let yes = |name: &'static str, wanted: bool| wanted.then(|| (name, "1".to_owned()));
        match self {
            SnapshotCall::Create { name, description, memory } => {
                let mut parameters = vec![("snapname", name.clone()), ("description", description.clone())];
                parameters.extend(yes("vmstate", *memory));
                ("POST", "snapshot".to_owned(), parameters)
            }
            SnapshotCall::Delete { name } => ("DELETE", format!("snapshot/{name}"), Vec::new()),
            SnapshotCall::Rollback { name, starts } => {
                ("POST", format!("snapshot/{name}/rollback"), yes("start", *starts).into_iter().collect())
            }
        }
    }

    /// The type of the task that it starts.
    pub(crate) fn task_type(&self, kind: GuestKind) -> &'static str {
        match (kind, self) {
            (GuestKind::Qemu, SnapshotCall::Create { .. }) => "qmsnapshot",
            (GuestKind::Qemu, SnapshotCall::Delete { .. }) => "qmdelsnapshot",
            (GuestKind::Qemu, SnapshotCall::Rollback { .. }) => "qmrollback",
            (GuestKind::Lxc, SnapshotCall::Create { .. }) => "vzsnapshot",
            (GuestKind::Lxc, SnapshotCall::Delete { .. }) => "vzdelsnapshot",
            (GuestKind::Lxc, SnapshotCall::Rollback { .. }) => "vzrollback",
        }
    }

    /// What it needs on the guest. Who starts a container after a rollback is not asked for more.
    pub(crate) fn right(&self, kind: GuestKind) -> GuestRight {
        match self {
            SnapshotCall::Create { .. } | SnapshotCall::Delete { .. } => GuestRight::Snapshot,
            SnapshotCall::Rollback { starts, .. } => {
                GuestRight::Rollback { starts: *starts && kind == GuestKind::Qemu }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_as_the_api_wants_them() {
        let name = "before".to_owned();
        let create = |memory| SnapshotCall::Create { name: name.clone(), description: "d".to_owned(), memory };
        for (call, want, tasks) in [
            (create(false), "POST snapshot snapname=before description=d", "qmsnapshot vzsnapshot"),
            (create(true), "POST snapshot snapname=before description=d vmstate=1", "qmsnapshot vzsnapshot"),
            (SnapshotCall::Delete { name: name.clone() }, "DELETE snapshot/before", "qmdelsnapshot vzdelsnapshot"),
            (
                SnapshotCall::Rollback { name: name.clone(), starts: false },
                "POST snapshot/before/rollback",
                "qmrollback vzrollback",
            ),
            (
                SnapshotCall::Rollback { name: name.clone(), starts: true },
                "POST snapshot/before/rollback start=1",
                "qmrollback vzrollback",
            ),
        ] {
            let (method, path, parameters) = call.request();
            let parameters = parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            assert_eq!(format!("{method} {path}{}", parameters.collect::<String>()), want);
            let types = [GuestKind::Qemu, GuestKind::Lxc].map(|kind| call.task_type(kind));
            assert_eq!(types.join(" "), tasks);
            assert_eq!(call.action(), format!("snapshot {} before", call.verb()));
        }
        let starts = SnapshotCall::Rollback { name, starts: true };
        assert_eq!(starts.right(GuestKind::Qemu), GuestRight::Rollback { starts: true });
        assert_eq!(starts.right(GuestKind::Lxc), GuestRight::Rollback { starts: false });
    }
}
