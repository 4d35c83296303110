//! What a guest's configuration says.

use jiff::Timestamp;

use crate::model::guest::identity::GuestIdentity;
use crate::model::migrate::Volume;

/// When a guest is started and ended among others: its configuration's `startup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Startup {
    /// Lower ones start first; none: after all others.
    pub(crate) order: Option<u32>,
    /// How long a clean shutdown may take.
    pub(crate) down_seconds: Option<u32>,
}

impl Startup {
    /// `order=2,up=30,down=60`, or the order alone (pve-guest-common, `pve-startup-order`). What is unreadable is left out.
    pub(crate) fn parse(text: &str) -> Startup {
        let mut startup = Startup::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or(("order", part));
            let value = value.trim().parse().ok();
            match key.trim() {
                "order" => startup.order = value,
                // `up`, a fixed time after the start of one before the next, is for boots: a step is waited for.
                "down" => startup.down_seconds = value,
                _ => {}
            }
        }
        startup
    }
}

/// What a guest's configuration says, as far as power needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the configuration's own switches")]
pub(crate) struct GuestConfig {
    /// `None`: it says nothing that lasts.
    pub(crate) identity: Option<GuestIdentity>,
    /// A virtual machine's `name`, a container's `hostname`.
    pub(crate) name: Option<String>,
    pub(crate) startup: Startup,
    /// Whether the guest agent is configured.
    pub(crate) agent: bool,
    /// Starts with its node.
    pub(crate) onboot: bool,
    /// Must not be removed; power actions are allowed.
    pub(crate) protection: bool,
    pub(crate) template: bool,
    /// Uses a PCI device of its node (`hostpci0` and so on): it cannot hibernate.
    pub(crate) passthrough: bool,
    /// Begins halted, until somebody lets it go on.
    pub(crate) freeze: bool,
    /// Of its interfaces in the order of their numbers, lower case.
    pub(crate) macs: Vec<String>,
    pub(crate) lock: Option<String>,
    /// When a virtual machine was made; a container does not say.
    pub(crate) made_at: Option<Timestamp>,
    /// A virtual machine's CPU type; `None`: Proxmox VE's own, which runs anywhere.
    pub(crate) cpu: Option<String>,
    /// What a container mounts, its root included.
    pub(crate) volumes: Vec<Volume>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_guest_starts_among_others() {
        let startup = |order, down_seconds| Startup { order, down_seconds };
        for (text, want) in [
            ("order=2,up=30,down=60", startup(Some(2), Some(60))),
            ("2", startup(Some(2), None)),
            ("3,down=5", startup(Some(3), Some(5))),
            ("down=180", startup(None, Some(180))),
            ("order=-1,up=x,left=1,", startup(None, None)),
            ("", startup(None, None)),
        ] {
            assert_eq!(Startup::parse(text), want, "{text}");
        }
    }
}
