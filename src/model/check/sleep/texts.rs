//! What is said of the checks of a host's sleep.

use crate::model::check::{CheckId, Text};

pub(crate) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::SleepUnsupported,
        Text {
            fault: "the host is meant to sleep, and cannot",
            looks: "the states in /sys/power/state, whether that file can be written, and what logind says",
            why: "a host whose kernel offers no sleep stays on, and uses power",
            fix: "switch suspend (S3) on in its firmware's settings; a container or virtual machine is put to sleep by its \
                  host",
        },
    ),
    (
        CheckId::MacWrong,
        Text {
            fault: "the configured MAC address is not that of the network card that magic packets reach",
            looks: "`mac` under [servers.wol], and the physical ports of the host with their own addresses: not those of \
                    bridges, bonds and VLANs",
            why: "a card wakes its host only by its own address",
            fix: "put the address of the port into `mac` under [servers.wol], or remove `mac` and run `ecobox init`",
        },
    ),
    (
        CheckId::WolNotPersistent,
        Text {
            fault: "Wake-on-LAN is armed now, and will not be after the next boot",
            looks: "systemd's .link files, /etc/network/interfaces, NetworkManager, units and scripts that run `ethtool`, \
                    and TLP, which switches it off",
            why: "most drivers start with Wake-on-LAN off: after an update and a reboot the host sleeps and does not wake",
            fix: "write a .link file for the card with WakeOnLan=magic; `ecobox doctor {server}` prints it",
        },
    ),
    (
        CheckId::WakeFailed,
        Text {
            fault: "it did not wake when ecobox last tried to wake it",
            looks: "the history of `wake` in the state file",
            why: "what failed once fails again unless its cause was found: a card that was not armed, a firmware that cuts \
                  its power (ErP, deep sleep), a packet that does not get there",
            fix: "look for Wake-on-LAN, ErP and deep sleep in its firmware's settings, then try it while somebody is near: \
                  `ecobox doctor --wake {server}`",
        },
    ),
    (
        CheckId::NoRtc,
        Text {
            fault: "its clock could not wake it at a time",
            looks: "/sys/class/rtc: which clock has an alarm, whether its device may wake the host, and its battery",
            why: "a sleep until a time needs a clock that wakes; with a dead battery the host also forgets the time",
            fix: "write `enabled` to /sys/class/rtc/RTC/device/power/wakeup, or replace the battery of the mainboard",
        },
    ),
    (
        CheckId::SleepMasked,
        Text {
            fault: "the host is configured never to sleep: a unit is masked, or `sleep.conf` says no",
            looks: "masks of `sleep.target` and of the targets below it, and sleep.conf with its drop-ins, as systemd \
                    reads them",
            why: "systemd refuses to suspend the host",
            fix: "on the host: `systemctl unmask UNIT`, or set AllowSuspend=yes in /etc/systemd/sleep.conf",
        },
    ),
    (
        CheckId::SleepInhibited,
        Text {
            fault: "a program asks not to sleep or to shut down now",
            looks: "logind's inhibitors of the mode `block`",
            why: "systemd refuses to sleep while one is held; since version 257 also for root",
            fix: "end the program, or wait until it is done; `systemd-inhibit --list` on the host shows them",
        },
    ),
    (
        CheckId::WolNotArmed,
        Text {
            fault: "its network card would not wake it, cannot, or does not say",
            looks: "the Wake-on-LAN setting of the port that magic packets reach (`ethtool`)",
            why: "a host that sleeps with it switched off needs somebody at its button",
            fix: "`ecobox power suspend {server} --arm-wol` arms it for the next sleep; where the card knows no magic \
                  packet, look for Wake-on-LAN in its firmware's settings",
        },
    ),
    (
        CheckId::NoWakePath,
        Text {
            fault: "nothing could wake it again",
            looks: "its MAC address, the networks of this machine, and the relays that could send a magic packet",
            why: "a host that sleeps and cannot be woken from here stays asleep",
            fix: "put `mac` under [servers.wol] of `{server}`, or run `ecobox init` while it is awake; in another \
                  network, name a `relay`",
        },
    ),
    (
        CheckId::RunningGuests,
        Text {
            fault: "guests run on the host, or servers that hang on it are online",
            looks: "the guests of the host, as its API and the host itself show them",
            why: "they end, or sleep with their host",
            fix: "say what becomes of them by `--guests`",
        },
    ),
    (
        CheckId::HaManaged,
        Text {
            fault: "HA is busy with the guest, or manages guests of the host",
            looks: "the HA state of the guests",
            why: "HA starts such guests elsewhere, and its watchdog resets a host that was asleep",
            fix: "wait, or move the guests to another node first",
        },
    ),
];
