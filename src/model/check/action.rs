//! What can be in the way of an action, and of nothing else: looked at right before ecobox acts.

use super::{CheckId, Text};

pub(super) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::BackupRunning,
        Text {
            fault: "a backup of the guest, or on the host, runs",
            looks: "the tasks of the node, and the locks of its guests",
            why: "a guest or host that goes down in the middle of a backup leaves that backup incomplete",
            fix: "wait until it has ended",
        },
    ),
    (
        CheckId::TasksRunning,
        Text {
            fault: "another task of the guest, or on the host, runs",
            looks: "the tasks of the node, consoles aside",
            why: "two tasks that change one guest get in each other's way, and a host that goes down ends all of them",
            fix: "wait until it has ended",
        },
    ),
    (
        CheckId::LoggedInUsers,
        Text {
            fault: "somebody is logged in on the host",
            looks: "logind's sessions and the open terminals of the host, without ecobox's own",
            why: "people lose what they work on",
            fix: "ask them to log out",
        },
    ),
    (
        CheckId::Itself,
        Text {
            fault: "ecobox runs on it or in a guest of it, or reaches others through it",
            looks: "machine id, boot id, UUID and network cards of both machines, your SSH session, and jump hosts",
            why: "nothing would be left to see the action through, or to wake the host again",
            fix: "run this from another machine",
        },
    ),
    (
        CheckId::IdentityChanged,
        Text {
            fault: "another guest has the number now",
            looks: "the UUID of a virtual machine, or the network card and root volume of a container",
            why: "what was meant for one guest must not be done to another",
            fix: "see which guest it is now: `ecobox status {server}`",
        },
    ),
    (
        CheckId::Template,
        Text {
            fault: "it is a template",
            looks: "the configuration of the guest",
            why: "Proxmox VE does not start templates",
            fix: "clone it, and start the clone",
        },
    ),
    (
        CheckId::Held,
        Text {
            fault: "a lease holds it",
            looks: "the leases of `ecobox run`, `hold` and `ssh` here, and the locks that those of other machines hold on the host",
            why: "somebody needs it awake, a backup perhaps",
            fix: "wait until the lease has ended, or run `ecobox release {server}`",
        },
    ),
    (
        CheckId::InUse,
        Text {
            fault: "somebody uses the host",
            looks: "established connections to the configured services and to file servers, a package manager at work, disks \
                    that are put together or looked through, and backup programs; at the end of a lease, and with `--if-idle`",
            why: "a file that is being read, or a backup that runs, ends with the host",
            fix: "wait until that has ended",
        },
    ),
    (
        CheckId::SnapshotName,
        Text {
            fault: "the name of the snapshot is taken, or no snapshot has it",
            looks: "the list of the guest's snapshots",
            why: "a name stands for one snapshot of a guest",
            fix: "run `ecobox snapshot list` to see the names, and choose another one",
        },
    ),
    (
        CheckId::SnapshotUnsupported,
        Text {
            fault: "no snapshot can be taken of one of the guest's disks",
            looks: "what Proxmox VE says of the disks (`feature=snapshot`), and the types of their storages",
            why: "the task would fail: one disk that cannot keeps the whole guest from having snapshots",
            fix: "move the disk to a storage that has snapshots, such as a thin pool, ZFS, or qcow2 on a directory",
        },
    ),
    (
        CheckId::SnapshotMemory,
        Text {
            fault: "there is no memory to save",
            looks: "whether the guest is a virtual machine that runs",
            why: "Proxmox VE would take the snapshot without it, and not say so",
            fix: "leave `--vmstate` out",
        },
    ),
    (
        CheckId::SnapshotNewer,
        Text {
            fault: "newer snapshots are in the way of a rollback",
            looks: "the storages of the guest's disks, and the times of its snapshots",
            why: "ZFS and volume chains roll back to the newest snapshot only",
            fix: "delete the newer ones first, if nothing of them is needed",
        },
    ),
    (
        CheckId::SnapshotBroken,
        Text {
            fault: "a snapshot is neither whole nor gone",
            looks: "the states of the guest's snapshots, its lock, and the tasks of its node",
            why: "a task that was killed leaves a lock that keeps the guest from starting and from further snapshots, and \
                  no call of the API removes it",
            fix: "on its node: `qm unlock {vmid}`, then `qm delsnapshot {vmid} {name} --force` (`pct` for containers)",
        },
    ),
];
