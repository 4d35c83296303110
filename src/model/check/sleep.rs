//! Whether a host could sleep and be woken again, and what would break if it slept.

use super::{CheckId, Text};

pub(super) const TEXTS: &[(CheckId, Text)] = &[
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
