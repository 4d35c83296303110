//! What can be wrong with a guest.

use super::{CheckId, Text};

pub(super) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::GuestLocked,
        Text {
            fault: "the guest's configuration is locked, by something that works on it or by a lock that was left behind",
            looks: "the guest's lock, and the tasks of its node",
            why: "Proxmox VE refuses nearly everything to a guest that is locked",
            fix: "wait for what works on it; where nothing does, remove the lock on its node: `qm unlock VMID`, or \
                  `pct unlock VMID` of a container",
        },
    ),
    (
        CheckId::NoAgent,
        Text {
            fault: "the guest agent is enabled and does not answer",
            looks: "the agent of a virtual machine that runs, where its options say that there is one",
            why: "Proxmox VE shuts a guest down through its agent once that is enabled: without an answer the clean \
                  shutdown fails after its time, and no addresses are known",
            fix: "install and start `qemu-guest-agent` in the guest, or switch the agent off in its options",
        },
    ),
];
