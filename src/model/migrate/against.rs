//! What stands against a migration, as Proxmox VE decides it and where it does not look: from the sources and recordings of
//! 9.2. What would fail is not sent.

use super::claims::Claims;
use super::cpu::{self, CpuTrouble};
use super::{LocalDisk, MigrateOptions, MovingGuest, TargetNode};
use crate::model::check::fault::Fault;
use crate::model::id::GuestKind;
use crate::model::power::Against;

pub(super) fn final_word(fault: Fault) -> Against {
    Against { fault, overridable: false }
}

pub(super) fn allowable(fault: Fault) -> Against {
    Against { fault, overridable: true }
}

/// A fault that an option of `migrate` fixes.
fn by_option(fault: Fault, options: &MigrateOptions) -> Fault {
    if options.within_power { Fault { fix: None, ..fault } } else { fault }
}

/// Disks that are copied: no drive for media, and no cloud-init drive, which is made again.
pub(super) fn local_disks(guest: &MovingGuest) -> impl Iterator<Item = &LocalDisk> {
    let disks = guest.precondition.iter().flat_map(|precondition| &precondition.local_disks);
    disks.filter(|disk| !disk.is_cdrom && !disk.is_cloudinit)
}

/// What stands against moving it anywhere.
pub(super) fn against_guest(guest: &MovingGuest, options: &MigrateOptions) -> Vec<Against> {
    let mut found = Vec::new();
    if let Some(lock) = &guest.lock {
        found.push(final_word(Fault::locked(lock, guest.kind)));
    }
    match guest.ha.as_deref() {
        Some("error") => found.push(final_word(Fault::ha_in_error())),
        Some(busy @ ("fence" | "recovery" | "migrate" | "relocate" | "freeze")) => {
            found.push(allowable(Fault::ha_busy(busy)));
        }
        _ => {}
    }
    if guest.kind == GuestKind::Lxc && guest.runs() && !options.restart {
        found.push(allowable(by_option(Fault::needs_restart(), options)));
    }
    let binds: Vec<&str> = guest
        .volumes
        .iter()
        .filter(|volume| volume.storage.is_none() && !volume.shared)
        .map(|volume| volume.key.as_str())
        .collect();
    if !binds.is_empty() {
        found.push(final_word(Fault::bind_mounts(&binds)));
    }
    let Some(precondition) = &guest.precondition else { return found };
    if !precondition.local_resources.is_empty() {
        found.push(final_word(Fault::local_devices(&precondition.local_resources)));
    }
    for disk in precondition.local_disks.iter().filter(|disk| disk.is_cdrom && !disk.is_cloudinit) {
        found.push(final_word(Fault::local_medium(guest.vmid, &disk.volid, disk.drive.as_deref())));
    }
    let stuck = local_disks(guest).filter(|disk| disk.on_thin_pool && !disk.snapshots.is_empty());
    let stuck: Vec<&str> = stuck.map(|disk| disk.volid.as_str()).collect();
    if !stuck.is_empty() {
        found.push(final_word(Fault::snapshots_on_thin_pool(&stuck)));
    } else if guest.runs() {
        let kept: Vec<&str> =
            local_disks(guest).filter(|disk| !disk.snapshots.is_empty()).map(|disk| disk.volid.as_str()).collect();
        if !kept.is_empty() && guest.replicated_to.is_empty() {
            found.push(final_word(Fault::snapshots_on_local_disks(&kept)));
        } else if !options.with_local_disks && local_disks(guest).next().is_some() {
            let disks: Vec<&str> = local_disks(guest).map(|disk| disk.volid.as_str()).collect();
            let size = local_disks(guest).filter_map(|disk| disk.size).sum();
            let fault = Fault::local_disks(&guest.node, &disks, size);
            found.push(allowable(by_option(fault, options)));
        }
    }
    found
}

/// What stands against moving it to this node.
pub(super) fn against_node(
    guest: &MovingGuest,
    node: &TargetNode,
    nodes: &[TargetNode],
    claims: &Claims,
    options: &MigrateOptions,
) -> Vec<Against> {
    let mut found = Vec::new();
    let name = &node.name;
    if !node.online && !node.is_woken_first {
        return vec![final_word(Fault::target_offline(name, node.host.as_ref()))];
    }
    if node.leaves {
        return vec![final_word(Fault::target_leaves(name))];
    }
    if node.in_maintenance {
        // HA takes such a node for one that is not online; others Proxmox VE moves there.
        let fault = Fault::target_in_maintenance(name);
        found.push(Against { fault, overridable: !guest.is_managed() });
    }
    if let Some(nodes) = guest.ha_nodes.as_ref().filter(|nodes| !nodes.contains(name)) {
        found.push(final_word(Fault::ha_keeps_on(nodes.iter())));
    }
    let not_allowed = guest.precondition.as_ref().and_then(|told| told.not_allowed.get(name));
    if let Some(told) = not_allowed {
        if !told.ha.is_empty() {
            found.push(final_word(Fault::ha_keeps_apart(&told.ha)));
        }
        if !told.resources.is_empty() {
            found.push(final_word(Fault::resources_missing(name, &told.resources)));
        }
        if !told.storages.is_empty() && options.target_storage.is_none() {
            found.push(final_word(Fault::storages_missing(name, &told.storages, !options.within_power)));
        }
    }
    let missing = missing_volumes(guest, node);
    if !missing.is_empty() && options.target_storage.is_none() {
        found.push(final_word(Fault::storages_missing(name, &missing, !options.within_power)));
    }
    if guest.runs() && !guest.replicated_to.is_empty() && !guest.replicated_to.contains(name) {
        found.push(final_word(Fault::replicated_elsewhere(guest.replicated_to.iter())));
    }
    if guest.kind == GuestKind::Qemu && guest.runs() && !node.is_woken_first {
        let here = nodes.iter().find(|other| other.name == guest.node).and_then(|node| node.cpu.as_ref());
        match cpu::trouble(guest.cpu.as_deref(), here, node.cpu.as_ref()) {
            Some(CpuTrouble::OtherModel(from, to)) => found.push(allowable(Fault::cpu_differs(&from, &to))),
            Some(CpuTrouble::UnknownModel) => found.push(allowable(Fault::cpu_unknown(name))),
            Some(CpuTrouble::Lacks(kind, flags)) => found.push(allowable(Fault::cpu_lacks(name, &kind, &flags))),
            None => {}
        }
    }
    if let (true, Some(needs), Some(free)) = (guest.runs(), guest.memory, claims.left(node))
        && needs > free
    {
        found.push(allowable(Fault::target_full(name, free, needs, claims.of(node))));
    }
    found
}

/// Storages of a container that a node does not have: Proxmox VE does not look before it begins.
fn missing_volumes(guest: &MovingGuest, node: &TargetNode) -> Vec<String> {
    let Some(storages) = &node.storages else { return Vec::new() };
    let needed = guest.volumes.iter().filter_map(|volume| volume.storage.clone());
    let mut missing: Vec<String> = needed.filter(|storage| !storages.contains(storage)).collect();
    missing.sort();
    missing.dedup();
    missing
}
