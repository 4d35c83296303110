//! Power of hosts and plain servers: the calls, and what a look before a call finds.

mod itself;
mod no_way;
pub(crate) mod rtc;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

pub(crate) use self::itself::{Identity, Itself, is_jump_host};
pub(crate) use self::no_way::{NoWay, SwapLack};
use crate::model::host::activity::Activity;
use crate::model::host::facts::HostFacts;
use crate::model::host::power::rtc::Clocks;
use crate::model::id::VmId;
use crate::model::text::words::words;

/// What can be asked of a host or plain server over SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HostCall {
    /// To memory.
    Suspend,
    /// To disk.
    Hibernate,
    /// Power off.
    Shutdown,
    Reboot,
}

words!(HostCall: all => {
    Suspend = "suspend",
    Hibernate = "hibernate",
    Shutdown = "shutdown",
    Reboot = "reboot",
});

impl HostCall {
    /// Whether only a wake-up packet, or somebody at its button, brings it back.
    pub(crate) fn sleeps(self) -> bool {
        matches!(self, HostCall::Suspend | HostCall::Hibernate)
    }
}

/// What was found of a host right before a power call. `None` is what could not be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HostPreflight {
    /// Ports with their Wake-on-LAN, addresses, boot, how it can sleep: fresh, as `init` learns them.
    pub(crate) facts: HostFacts,
    /// Who is logged in besides this very session.
    pub(crate) users: Option<Vec<LoggedIn>>,
    /// Inhibitors of mode `block`.
    pub(crate) inhibitors: Option<Vec<Inhibitor>>,
    /// The numbers of guests that run, as far as the host itself shows them.
    pub(crate) guests: BTreeSet<VmId>,
    /// By what virtual machines that run there know themselves, as far as the host shows it.
    pub(crate) carries: BTreeMap<VmId, Carried>,
    /// Who is connected and what works there; `None`: that was not asked for.
    pub(crate) activity: Option<Activity>,
    /// UPIDs of Proxmox VE tasks that run; `None`: no Proxmox VE.
    pub(crate) tasks: Option<BTreeSet<String>>,
    /// What each call would be made by, or why nothing can make it.
    pub(crate) ways: Vec<(HostCall, Result<String, NoWay>)>,
    /// Like `ways`, past the locks that programs hold, where that was asked for.
    pub(crate) ways_past: Vec<(HostCall, Result<String, NoWay>)>,
    /// The clocks that could wake it at a time, where that was asked for.
    pub(crate) clocks: Clocks,
    /// `/sys/class/dmi/id/product_uuid`; only root can read it.
    pub(crate) product_uuid: Option<String>,
    /// From where the session came that ran this (`SSH_CONNECTION`).
    pub(crate) ssh_client: Option<IpAddr>,
}

impl HostPreflight {
    /// What a call would be made by; `None`: the script did not say.
    pub(crate) fn way(&self, call: HostCall) -> Option<&Result<String, NoWay>> {
        self.ways.iter().find(|(one, _)| *one == call).map(|(_, way)| way)
    }

    /// Whether a call has to go past locks, where that is allowed; if no lock is held, past none.
    pub(crate) fn goes_past_locks(&self, call: HostCall, allowed: bool) -> bool {
        allowed && self.blocks(call).is_some_and(|blocks| !blocks.is_empty())
    }

    /// What a call would be made by if it has to go past locks.
    pub(crate) fn way_past(&self, call: HostCall) -> Option<&Result<String, NoWay>> {
        self.ways_past.iter().find(|(one, _)| *one == call).map(|(_, way)| way)
    }

    /// The inhibitors that a call would meet: those of sleep for suspend and hibernate, else those of shutdown.
    pub(crate) fn blocks(&self, call: HostCall) -> Option<Vec<&Inhibitor>> {
        let word = if call.sleeps() { "sleep" } else { "shutdown" };
        let all = self.inhibitors.as_ref()?;
        Some(all.iter().filter(|inhibitor| inhibitor.what.split(':').any(|what| what == word)).collect())
    }

    /// Whether a magic packet would wake it: the port's with this MAC, else the one to wake it by. `None`: it could
    /// not be read, or there is no such port.
    pub(crate) fn wol_armed(&self, mac: Option<&str>) -> Option<bool> {
        self.wake_nic(mac)?.wol_armed
    }

    /// Whether its hardware says that no magic packet can ever wake it.
    pub(crate) fn wol_impossible(&self, mac: Option<&str>) -> bool {
        self.wake_nic(mac).is_some_and(|nic| nic.wol_supported == Some(false) && nic.wol_armed != Some(true))
    }

    /// The port to arm: the one with this MAC, else the one to wake it by.
    pub(crate) fn nic_to_arm(&self, mac: Option<&str>) -> Option<&crate::model::host::facts::Nic> {
        self.wake_nic(mac).or_else(|| self.facts.wake_nic())
    }

    fn wake_nic(&self, mac: Option<&str>) -> Option<&crate::model::host::facts::Nic> {
        match mac {
            Some(mac) => self.facts.nics.iter().find(|nic| nic.mac.eq_ignore_ascii_case(mac)),
            None => self.facts.wake_nic(),
        }
    }

    /// Which machine this is.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            machine_id: self.facts.machine_id.clone(),
            boot_id: self.facts.boot_id.clone(),
            product_uuid: self.product_uuid.clone(),
            macs: self.facts.nics.iter().map(|nic| nic.mac.clone()).collect(),
            addresses: self.facts.addresses.iter().map(|address| address.ip).collect(),
            ssh_client: self.ssh_client,
        }
    }
}

/// By what a virtual machine knows itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Carried {
    /// The firmware's, as QEMU was told.
    pub(crate) uuid: Option<String>,
    /// Of its network cards, as QEMU was told.
    pub(crate) macs: Vec<String>,
}

/// Somebody's login session, or an open terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LoggedIn {
    /// `None`: a terminal is open, whose is not known.
    pub(crate) user: Option<String>,
    /// `pts/0`, `tty1`; `None`: a session without one, as of a program that came over SSH.
    pub(crate) terminal: Option<String>,
    /// An address or a name.
    pub(crate) from: Option<String>,
    /// logind's idle hint.
    pub(crate) idle: Option<bool>,
}

impl fmt::Display for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or("somebody"))?;
        if let Some(terminal) = &self.terminal {
            write!(f, " on {terminal}")?;
        }
        if let Some(from) = &self.from {
            write!(f, " from {from}")?;
        }
        if self.idle == Some(true) { f.write_str(" (idle)") } else { Ok(()) }
    }
}

/// Who asked logind not to sleep or shut down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Inhibitor {
    pub(crate) who: String,
    /// systemd's words, joined by colons: `shutdown:sleep`.
    pub(crate) what: String,
    pub(crate) why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inhibitors_count_for_what_they_inhibit() {
        let inhibitor = |what: &str| Inhibitor { who: "x".into(), what: what.into(), why: String::new() };
        let mut seen = HostPreflight::default();
        assert_eq!(seen.blocks(HostCall::Suspend), None);
        seen.inhibitors =
            Some(vec![inhibitor("shutdown:sleep"), inhibitor("shutdown"), inhibitor("handle-lid-switch")]);
        let count = |call| seen.blocks(call).unwrap().len();
        assert_eq!(HostCall::ALL.map(count), [1, 1, 2, 2]);
    }
}
