//! PVE's built-in privileges and roles, by major version.

use std::collections::{BTreeMap, BTreeSet};

use super::Role;

/// Every privilege of PVE 9 but the guest agent's and `VM.Replicate`.
const PRIVILEGES: &str = "\
    Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit Group.Allocate Mapping.Audit \
    Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit Realm.Allocate Realm.AllocateUser \
    SDN.Allocate SDN.Audit SDN.Use Sys.AccessNetwork Sys.Audit Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt \
    Sys.Syslog User.Modify VM.Allocate VM.Audit VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit \
    VM.Config.Disk VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options VM.Console VM.Migrate \
    VM.PowerMgmt VM.Snapshot VM.Snapshot.Rollback";

/// Since PVE 9, in place of `VM.Monitor`.
const GUEST_AGENT: &str = "VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt \
    VM.GuestAgent.FileWrite VM.GuestAgent.Unrestricted VM.Replicate";

/// What `PVEAdmin` lacks of `Administrator`.
const ADMINISTRATOR_ONLY: &str = "Mapping.Modify Permissions.Modify Realm.Allocate Sys.AccessNetwork Sys.Incoming \
    Sys.Modify Sys.PowerMgmt";

const NAMED: [(&str, &str); 14] = [
    ("NoAccess", ""),
    ("PVEAuditor", "Datastore.Audit Mapping.Audit Pool.Audit SDN.Audit Sys.Audit VM.Audit VM.GuestAgent.Audit"),
    ("PVEDatastoreAdmin", "Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit"),
    ("PVEDatastoreUser", "Datastore.AllocateSpace Datastore.Audit"),
    ("PVEMappingAdmin", "Mapping.Audit Mapping.Modify Mapping.Use"),
    ("PVEMappingUser", "Mapping.Audit Mapping.Use"),
    ("PVEPoolAdmin", "Pool.Allocate Pool.Audit"),
    ("PVEPoolUser", "Pool.Audit"),
    ("PVESDNAdmin", "SDN.Allocate SDN.Audit SDN.Use"),
    ("PVESDNUser", "SDN.Audit SDN.Use"),
    ("PVESysAdmin", "Sys.Audit Sys.Console Sys.Syslog"),
    ("PVETemplateUser", "VM.Audit VM.Clone"),
    ("PVEUserAdmin", "Group.Allocate Realm.AllocateUser User.Modify"),
    (
        "PVEVMUser",
        "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit \
         VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.PowerMgmt",
    ),
];

/// The privileges that a major version knows.
pub(crate) fn privileges(major: u32) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = words(PRIVILEGES).collect();
    if major >= 9 {
        names.extend(words(GUEST_AGENT));
    } else {
        names.insert("VM.Monitor".into());
    }
    if major <= 7 {
        names.retain(|name| !name.starts_with("Mapping.") && name != "SDN.Use" && name != "Sys.AccessNetwork");
    }
    names
}

/// The built-in roles of a major version.
pub(super) fn built_in(major: u32) -> BTreeMap<String, Role> {
    let all = privileges(major);
    let not_admin: BTreeSet<String> = words(ADMINISTRATOR_ONLY).collect();
    let of_vms = |name: &&String| name.starts_with("VM.");
    let mut sets: BTreeMap<String, BTreeSet<String>> = NAMED
        .iter()
        .map(|(name, privs)| ((*name).to_owned(), words(privs).filter(|name| all.contains(name)).collect()))
        .collect();
    sets.insert("PVEAdmin".into(), all.difference(&not_admin).cloned().collect());
    sets.insert("PVEVMAdmin".into(), all.iter().filter(of_vms).cloned().collect());
    sets.insert("Administrator".into(), all);
    if major <= 7 {
        sets.retain(|name, _| !name.starts_with("PVEMapping") && !name.starts_with("PVESDNUser"));
    }
    sets.into_iter().map(|(name, privs)| (name, Role { privs, special: true })).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}
