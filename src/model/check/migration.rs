//! What can be in the way of a migration, and of nothing else: looked at by `migrate`, and by `power` with `--guests migrate`.

use super::{CheckId, Text};

pub(super) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::TargetAway,
        Text {
            fault: "the node that the guest shall go to is unknown, offline, or in maintenance mode",
            looks: "the nodes of the cluster, which of them are online, and HA's maintenance mode",
            why: "Proxmox VE takes such a call, and the task fails some seconds later; HA drops it without a word",
            fix: "name another node, or bring that one up first",
        },
    ),
    (
        CheckId::TargetFull,
        Text {
            fault: "the node has less memory free than is allocated to the guest",
            looks: "the free memory of the node, and what other guests of the same plan will take of it",
            why: "Proxmox VE does not look: the node begins to swap, or ends a process for want of memory",
            fix: "name another node, or let `--to any` choose one",
        },
    ),
    (
        CheckId::NoTarget,
        Text {
            fault: "no other node of the cluster can take the guest",
            looks: "all other nodes: each has a reason of its own",
            why: "the guest stays where it is",
            fix: "remove what keeps one of the nodes from it, or allow it and name that node",
        },
    ),
    (
        CheckId::LocalDisks,
        Text {
            fault: "a virtual machine that runs has disks that only its node has",
            looks: "Proxmox VE's own precondition call, snapshots on such disks included",
            why: "they are copied over the network while it runs, which may take hours; with snapshots that is impossible",
            fix: "add `--with-local-disks`, or move the disks to a shared storage first",
        },
    ),
    (
        CheckId::LocalResources,
        Text {
            fault: "the guest uses what only its node has: a device, an image in a drive, a folder that is mounted",
            looks: "Proxmox VE's own precondition call, and the mounts of a container",
            why: "Proxmox VE gives up such a migration",
            fix: "take the image out of the drive, remove the device, or map it",
        },
    ),
    (
        CheckId::StorageMissing,
        Text {
            fault: "the node does not have a storage that the guest needs",
            looks: "Proxmox VE's own precondition call; of containers the storages of the node",
            why: "the disks would have no place there",
            fix: "name another node, or another storage by `--target-storage`",
        },
    ),
    (
        CheckId::RestartNeeded,
        Text {
            fault: "a container that runs cannot move while it runs",
            looks: "the kind and state of the guest",
            why: "it is shut down, moved, and started again: whoever uses it is cut off for that time",
            fix: "add `--restart` to have that done, or shut it down first",
        },
    ),
    (
        CheckId::CpuType,
        Text {
            fault: "the processors of the node differ from what the virtual machine was started with",
            looks: "the CPU type of the guest, and the processors of both nodes",
            why: "QEMU does not start there, or the guest fails later on an instruction that is missing",
            fix: "shut it down first, or give it a type that both nodes have",
        },
    ),
    (
        CheckId::Replicated,
        Text {
            fault: "the guest is replicated, and not to that node",
            looks: "the jobs of replication",
            why: "Proxmox VE moves a replicated guest that runs only to a node that has its disks already",
            fix: "name the node that it is replicated to, or shut it down first",
        },
    ),
    (
        CheckId::HaRules,
        Text {
            fault: "a rule of HA keeps the guest from that node",
            looks: "strict node affinity, and guests that HA keeps apart",
            why: "HA drops such a request and says so only in its journal",
            fix: "name a node that the rule allows, or change the rule",
        },
    ),
];
