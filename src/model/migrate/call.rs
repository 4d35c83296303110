//! The call that migrates a guest.

use crate::model::id::{GuestKind, NodeName};

/// One call to migrate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "Proxmox VE's own parameters")]
pub(crate) struct MigrateCall {
    pub(crate) target: NodeName,
    /// A virtual machine that has a process moves with it.
    pub(crate) online: bool,
    /// A container that runs is shut down for it, and started again on the other node.
    pub(crate) restart: bool,
    pub(crate) with_local_disks: bool,
    pub(crate) target_storage: Option<String>,
    /// HA moves it when its turn has come; what the call starts only asks HA.
    pub(crate) through_ha: bool,
}

impl MigrateCall {
    /// The parameters of the request.
    pub(crate) fn parameters(&self, kind: GuestKind) -> Vec<(&'static str, String)> {
        let yes = |name: &'static str, wanted: bool| wanted.then(|| (name, "1".to_owned()));
        let is_vm = kind == GuestKind::Qemu;
        // pve-container has a hyphen in the name, qemu-server has not.
        let storage = if is_vm { "targetstorage" } else { "target-storage" };
        std::iter::once(("target", self.target.to_string()))
            .chain(yes("online", self.online && is_vm))
            .chain(yes("restart", self.restart && !is_vm))
            .chain(yes("with-local-disks", self.with_local_disks && is_vm))
            .chain(self.target_storage.as_ref().map(|map| (storage, map.clone())))
            .collect()
    }

    /// The types of the tasks that it may start. For a guest that HA manages a request is queued instead.
    pub(crate) fn task_types(kind: GuestKind) -> &'static [&'static str] {
        match kind {
            GuestKind::Qemu => &["qmigrate", "hamigrate"],
            GuestKind::Lxc => &["vzmigrate", "hamigrate"],
        }
    }

    /// Whether disks go to other storages than before, which takes more privileges.
    pub(crate) fn maps_storages(&self) -> bool {
        self.target_storage.as_deref().is_some_and(|map| map != "1")
    }

    /// The storages that it names, on the other node.
    pub(crate) fn storages(&self) -> Vec<&str> {
        let map = self.target_storage.as_deref().filter(|map| *map != "1").unwrap_or_default();
        map.split(',').map(|pair| pair.rsplit(':').next().unwrap_or(pair)).filter(|name| !name.is_empty()).collect()
    }
}
