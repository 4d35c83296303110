//! The faults of migrations: why a guest cannot leave its node, or another node cannot take it.

use super::{Fault, list};
use crate::model::check::CheckId;
use crate::model::check::fix::Fix;
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::text::units::human_bytes;

/// The node that it shall go to.
impl Fault {
    /// `known`: the nodes of the cluster, the guest's own among them.
    pub(crate) fn no_such_node(node: &NodeName, known: &[&NodeName]) -> Fault {
        if let [only] = known {
            return Fault::no_node_takes_it(only, &[]);
        }
        Fault::new(CheckId::TargetAway, format!("{node} is not a node of its cluster"))
            .say(format!("name one of {}, or `any`", list(known.iter())))
    }

    pub(crate) fn target_offline(node: &NodeName, host: Option<&ServerId>) -> Fault {
        let fix = match host {
            Some(host) => format!("run `ecobox power wake {host}` first, or name another node"),
            None => "bring it up first, or name another node".to_owned(),
        };
        // Proxmox VE takes the call, and the task fails.
        Fault::new(CheckId::TargetAway, format!("{node} is offline")).say(fix)
    }

    pub(crate) fn target_leaves(node: &NodeName) -> Fault {
        Fault::new(CheckId::TargetAway, format!("{node} goes down in the same plan")).say("name another node, or `any`")
    }

    pub(crate) fn target_in_maintenance(node: &NodeName) -> Fault {
        Fault::new(CheckId::TargetAway, format!("{node} is in HA's maintenance mode"))
            .say(format!("run `ha-manager crm-command node-maintenance disable {node}` there, or name another node"))
    }

    /// `claimed`: what other guests of the plan will take of it.
    pub(crate) fn target_full(node: &NodeName, free: u64, needs: u64, claimed: u64) -> Fault {
        let after = if claimed > 0 { " after the others of this plan" } else { "" };
        let finding = format!(
            "{node} has {} of memory free{after}, and {} are allocated to it",
            human_bytes(free),
            human_bytes(needs)
        );
        Fault::new(CheckId::TargetFull, finding).say("name another node, or `any`")
    }

    /// Why each of the others does not.
    pub(crate) fn no_node_takes_it(home: &NodeName, others: &[(NodeName, String)]) -> Fault {
        if others.is_empty() {
            return Fault::new(CheckId::NoTarget, format!("its cluster has no other node than {home}"));
        }
        let reasons: Vec<String> = others
            .iter()
            .map(|(node, why)| if why.starts_with(node.as_str()) { why.clone() } else { format!("{node}: {why}") })
            .collect();
        Fault::new(CheckId::NoTarget, format!("no other node can take it: {}", reasons.join("; ")))
    }
}

/// What the guest hangs on at its node.
impl Fault {
    /// `size`: of all together.
    pub(crate) fn local_disks(node: &NodeName, disks: &[&str], size: u64) -> Fault {
        let size = if size > 0 { format!(", {}", human_bytes(size)) } else { String::new() };
        Fault::new(CheckId::LocalDisks, format!("it has disks that only {node} has: {}{size}", list(disks.iter())))
            .say("add `--with-local-disks` to have them copied")
    }

    pub(crate) fn snapshots_on_local_disks(disks: &[&str]) -> Fault {
        let finding = format!("disks that only its node has are part of snapshots: {}", list(disks.iter()));
        Fault::new(CheckId::LocalDisks, finding).say("delete the snapshots first, or shut it down")
    }

    pub(crate) fn snapshots_on_thin_pool(disks: &[&str]) -> Fault {
        let finding =
            format!("disks on an LVM thin pool are part of snapshots, which cannot be sent: {}", list(disks.iter()));
        Fault::new(CheckId::LocalDisks, finding).say("delete the snapshots first")
    }

    pub(crate) fn local_medium(vmid: VmId, volid: &str, drive: Option<&str>) -> Fault {
        let drive = drive.unwrap_or("DRIVE");
        Fault::new(CheckId::LocalResources, format!("an image that only its node has is in its drive: {volid}"))
            .say(format!("take it out: `qm set {vmid} --{drive} none,media=cdrom` on its node"))
    }

    pub(crate) fn local_devices(devices: &[String]) -> Fault {
        Fault::new(CheckId::LocalResources, format!("it uses devices of its node: {}", list(devices.iter())))
            .say("shut it down and remove them, or map them (Datacenter, Resource Mappings)")
    }

    pub(crate) fn bind_mounts(mounts: &[&str]) -> Fault {
        let finding = format!("it mounts folders or devices of its node: {}", list(mounts.iter()));
        Fault::new(CheckId::LocalResources, finding)
            .say("remove them, or declare them the same on all nodes: `shared=1`")
    }

    pub(crate) fn resources_missing(node: &NodeName, resources: &[String]) -> Fault {
        Fault::new(CheckId::LocalResources, format!("{node} has no device for {}", list(resources.iter())))
            .say("map it there (Datacenter, Resource Mappings), or name another node")
    }

    /// `can_map`: its disks may go to other storages there.
    pub(crate) fn storages_missing(node: &NodeName, storages: &[String], can_map: bool) -> Fault {
        let or_map = if can_map { ", or another storage by `--target-storage`" } else { "" };
        Fault::new(CheckId::StorageMissing, format!("{node} does not have its storage {}", list(storages.iter())))
            .say(format!("name another node{or_map}"))
    }

    pub(crate) fn replicated_elsewhere<'n>(targets: impl Iterator<Item = &'n NodeName>) -> Fault {
        let targets = list(targets);
        Fault::new(CheckId::Replicated, format!("it is replicated, and moves while it runs only to {targets}"))
            .say(format!("name {targets}, or shut it down"))
    }

    pub(crate) fn needs_restart() -> Fault {
        let finding =
            "it is a container that runs: it would be shut down, moved, and started again, and be away meanwhile";
        Fault::new(CheckId::RestartNeeded, finding).say("add `--restart` to have that done")
    }
}

/// HA's rules.
impl Fault {
    pub(crate) fn ha_keeps_on<'n>(nodes: impl Iterator<Item = &'n NodeName>) -> Fault {
        let nodes = list(nodes);
        Fault::new(CheckId::HaRules, format!("a strict rule of HA keeps it on {nodes}"))
            .say(format!("name one of {nodes}, or change the rule (Datacenter, HA, Affinity Rules)"))
    }

    /// Guests that HA keeps apart from it, each with the rule's words.
    pub(crate) fn ha_keeps_apart(others: &[(String, String)]) -> Fault {
        let others: Vec<String> = others.iter().map(|(guest, cause)| format!("{guest} ({cause})")).collect();
        Fault::new(CheckId::HaRules, format!("a rule of HA keeps it apart from {}", list(others)))
            .say("name another node, or change the rule (Datacenter, HA, Affinity Rules)")
    }
}

/// Its processors.
impl Fault {
    pub(crate) fn cpu_differs(from: &str, to: &str) -> Fault {
        let finding = format!("its CPU type is `host`, and the processors differ: {from} here, {to} there");
        Fault::new(CheckId::CpuType, finding).say("shut it down first, or give it a type that both have")
    }

    pub(crate) fn cpu_unknown(node: &NodeName) -> Fault {
        let finding =
            format!("its CPU type is `host`, and the processors of {node} could not be compared with its own");
        Fault::new(CheckId::CpuType, finding).say("shut it down first, or give it a type that both have")
    }

    pub(crate) fn cpu_lacks(node: &NodeName, kind: &str, flags: &[String]) -> Fault {
        Fault::new(CheckId::CpuType, format!("its CPU type {kind} needs what {node} lacks: {}", list(flags.iter())))
            .say("name another node, or give it a type that both have")
    }
}

/// A guest that was to be moved for the sake of its host.
impl Fault {
    pub(crate) fn guest_does_not_move(guest: &ServerId, why: &str, fix: Option<&str>) -> Fault {
        let fault = Fault::new(CheckId::RunningGuests, format!("{guest} runs on it and cannot be moved away: {why}"));
        Fault { fix: fix.map(Fix::say), ..fault }
    }
}
