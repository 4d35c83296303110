//! What is said of the checks of guests.

use crate::model::check::{CheckId, Text};

pub(crate) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::GuestStale,
        Text {
            fault: "what is known of the guest is old: its node is online and tells nothing",
            looks: "the cluster's listing: whether the node of the guest fills in what its guests do",
            why: "for five minutes Proxmox VE goes on showing the last state that it heard of, then none",
            fix: "restart pvestatd on the node (no guest is stopped by it): `systemctl restart pvestatd`; storage that hangs, \
                  as of an NFS server that is off, stops it again",
        },
    ),
    (
        CheckId::AgentOff,
        Text {
            fault: "the virtual machine runs, and its guest agent is not enabled",
            looks: "the option `agent` of a virtual machine that runs: it is missed where an agent told addresses before, where \
                    services are configured for it and no address, and where the last clean shutdown failed",
            why: "without an agent its addresses are not known, its services cannot be looked for, and a clean shutdown depends \
                  on a system that listens to ACPI's button",
            fix: "install and start `qemu-guest-agent` in the guest, run `qm set {vmid} --agent 1` on its node, then stop and start \
                  it: the option takes effect at its next start",
        },
    ),
    (
        CheckId::NoAddress,
        Text {
            fault: "the guest runs, and has no address that one could dial",
            looks: "the addresses that the guest agent of a virtual machine names, or the node of a container",
            why: "nobody can log in there, and none of its services can be looked for",
            fix: "look at its network from its console: a cable or bridge that is missing, a DHCP server that does not answer; \
                  or name its address: `hostname` in its entry",
        },
    ),
    (
        CheckId::NameTwice,
        Text {
            fault: "two guests have one name",
            looks: "the names of all guests, whatever their case",
            why: "Proxmox VE allows it, and a command that names one of them could mean the other: ecobox refuses",
            fix: "rename one of them, or say the number: `pve1/101`",
        },
    ),
    (
        CheckId::NumberTwice,
        Text {
            fault: "guests of two clusters have one number",
            looks: "the numbers of the guests of all clusters and single hosts",
            why: "`vm-101` means neither of them, and on a backup server that both use the backups of one are taken for those of \
                  the other",
            fix: "say the host with the number, as in `pve1/101`; let one cluster give other numbers (Datacenter, Options, Next \
                  Free VMID Range)",
        },
    ),
    (
        CheckId::ServiceNeverAnswered,
        Text {
            fault: "a configured service has never answered since it was added",
            looks: "the history of the service's checks, and its port now; of servers that are there",
            why: "a port that was mistyped looks like a service that is down for ever",
            fix: "check `port` and `type` of the service in the configuration, and that the program listens on the address",
        },
    ),
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
