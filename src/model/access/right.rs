//! What a call to a guest's API needs, and which scope of tokens gives it.

use crate::model::access::scope::{Permissions, TokenScope};
use crate::model::guest::GuestCall;
use crate::model::id::VmId;
use crate::model::migrate::MigrateCall;

/// A right on a guest, as Proxmox VE checks it for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestRight {
    /// To start, shut down, stop and suspend it.
    Power,
    /// To save its memory to disk and end it.
    Hibernate,
    /// To take and to delete its snapshots.
    Snapshot,
    /// To roll it back. `VM.Snapshot` gives this as well.
    Rollback {
        /// It is started again afterwards: a virtual machine needs `VM.PowerMgmt` for that.
        starts: bool,
    },
    /// To move it to another node, and to ask what would be in the way.
    Migrate,
}

impl GuestRight {
    /// What is needed on the guest: of each set one.
    fn on_guest(self) -> &'static [&'static [&'static str]] {
        match self {
            GuestRight::Power => &[&["VM.PowerMgmt"]],
            GuestRight::Hibernate => &[&["VM.PowerMgmt"], &["VM.Config.Disk"]],
            GuestRight::Snapshot => &[&["VM.Snapshot"]],
            GuestRight::Rollback { starts: false } => &[&["VM.Snapshot", "VM.Snapshot.Rollback"]],
            GuestRight::Rollback { starts: true } => &[&["VM.Snapshot", "VM.Snapshot.Rollback"], &["VM.PowerMgmt"]],
            GuestRight::Migrate => &[&["VM.Migrate"]],
        }
    }

    /// The least scope that has it; `None`: no scope but `full`.
    pub(crate) fn scope(self) -> Option<TokenScope> {
        match self {
            GuestRight::Power => Some(TokenScope::Operator),
            GuestRight::Hibernate => None,
            GuestRight::Snapshot | GuestRight::Rollback { .. } | GuestRight::Migrate => Some(TokenScope::Manager),
        }
    }

    /// The least scope that has what Proxmox VE names in a refusal: `Permission check failed (/vms/105, VM.Snapshot)`.
    pub(crate) fn scope_of_refusal(detail: &str) -> TokenScope {
        let names = |privilege: &str| detail.contains(privilege);
        if names("VM.Snapshot") || names("VM.Migrate") { TokenScope::Manager } else { TokenScope::Operator }
    }
}

impl From<GuestCall> for GuestRight {
    fn from(call: GuestCall) -> GuestRight {
        if call == GuestCall::Hibernate { GuestRight::Hibernate } else { GuestRight::Power }
    }
}

impl Permissions {
    /// What a right on a guest needs and is not held, each with its path: `VM.PowerMgmt on /vms/101`.
    pub(crate) fn lacks(&self, right: GuestRight, vmid: VmId) -> Vec<String> {
        let guest = format!("/vms/{vmid}");
        let held = |one_of: &&&[&str]| one_of.iter().any(|privilege| self.allows_on(&guest, privilege));
        let missing = right.on_guest().iter().filter(|one_of| !held(one_of));
        let mut missing: Vec<String> =
            missing.filter_map(|one_of| one_of.first()).map(|privilege| format!("{privilege} on {guest}")).collect();
        // Which storage takes the memory is Proxmox VE's choice.
        if right == GuestRight::Hibernate && !self.allows_on_storage("Datastore.AllocateSpace") {
            missing.push("Datastore.AllocateSpace on the storage that takes its memory".to_owned());
        }
        missing
    }

    /// What a migration to other storages needs besides and is not held, each with its path.
    pub(crate) fn lacks_to_map(&self, call: &MigrateCall, vmid: VmId) -> Vec<String> {
        let disks = call.maps_storages().then(|| (format!("/vms/{vmid}"), "VM.Config.Disk"));
        let storages = call.storages().into_iter();
        let storages = storages.map(|storage| (format!("/storage/{storage}"), "Datastore.AllocateSpace"));
        let needed = disks.into_iter().chain(storages);
        let missing = needed.filter(|(path, privilege)| !self.allows_on(path, privilege));
        missing.map(|(path, privilege)| format!("{privilege} on {path}")).collect()
    }

    /// Whether the privilege is held on any storage.
    fn allows_on_storage(&self, privilege: &str) -> bool {
        let of_storage = |path: &str| path == "/" || path.starts_with("/storage");
        self.0.iter().any(|(path, held)| of_storage(path) && held.contains(privilege))
    }
}

#[cfg(test)]
mod tests;
