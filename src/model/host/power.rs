//! Power of hosts and plain servers: the calls, what a look before a call finds, and whose machine ecobox runs on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::host::facts::HostFacts;
use crate::model::id::VmId;

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

impl HostCall {
    /// Each call once.
    pub(crate) const ALL: [HostCall; 4] =
        [HostCall::Suspend, HostCall::Hibernate, HostCall::Shutdown, HostCall::Reboot];

    /// Whether only a wake-up packet, or somebody at its button, brings it back.
    pub(crate) fn sleeps(self) -> bool {
        matches!(self, HostCall::Suspend | HostCall::Hibernate)
    }

    /// The verb of `ecobox power`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            HostCall::Suspend => "suspend",
            HostCall::Hibernate => "hibernate",
            HostCall::Shutdown => "shutdown",
            HostCall::Reboot => "reboot",
        }
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
    /// UPIDs of Proxmox VE tasks that run; `None`: no Proxmox VE.
    pub(crate) tasks: Option<BTreeSet<String>>,
    /// What each call would be made by, or why nothing can make it.
    pub(crate) ways: Vec<(HostCall, Result<String, NoWay>)>,
    /// The same past the locks that programs hold, where that was asked for.
    pub(crate) ways_past: Vec<(HostCall, Result<String, NoWay>)>,
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

    /// Whether a call has to go past locks, where that is allowed: past none if nobody holds one.
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

/// Why nothing on a host can make a call. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoWay {
    /// Neither root nor a sudo that asks for no password; the line of sudoers that would do, where sudo is there.
    Rights { user: Option<String>, sudo: bool, command: String },
    /// The unit is masked.
    Masked { unit: String },
    /// `sleep.conf` says `no` to this key.
    Disallowed { key: String },
    /// The kernel offers no such state: `mem`, `disk`.
    Unsupported { state: String },
    /// `/sys/power/state` cannot be written, as in a container.
    ReadOnly,
    /// logind says so, without a reason that was found: its answer.
    Logind { answer: String },
    /// No swap to hibernate to.
    NoSwap { why: SwapLack },
    /// No program for it.
    NoMeans,
    /// It was tried, and failed before anything was armed; its words.
    Failed { detail: String },
}

/// What is missing of a swap to hibernate to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwapLack {
    /// There is none.
    None,
    /// It lies in memory, which loses it.
    Zram,
    /// None has room for the memory in use.
    Small,
}

impl SwapLack {
    /// The script's word for it.
    pub(crate) fn of(word: &str) -> SwapLack {
        match word {
            "zram" => SwapLack::Zram,
            "small" => SwapLack::Small,
            _ => SwapLack::None,
        }
    }
}

impl NoWay {
    /// Whether it is a matter of `sleep-masked`.
    pub(crate) fn is_masked(&self) -> bool {
        matches!(self, NoWay::Masked { .. } | NoWay::Disallowed { .. })
    }

    /// The line that removes it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            NoWay::Rights { user, sudo: true, command } => {
                // sudoers gives these a meaning of their own inside a command's arguments.
                let escaped = command.chars().fold(String::new(), |mut out, c| {
                    if matches!(c, ',' | ':' | '=' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                    out
                });
                let user = user.as_deref().unwrap_or("USER");
                Some(format!("add to sudoers (visudo): {user} ALL=(root) NOPASSWD: {escaped}"))
            }
            NoWay::Rights { sudo: false, .. } => Some("set ssh_user = \"root\", or install sudo there".to_owned()),
            NoWay::Masked { unit } => Some(format!("systemctl unmask {unit}")),
            NoWay::Disallowed { key } => Some(format!("set {key}=yes in /etc/systemd/sleep.conf")),
            NoWay::NoSwap { .. } => Some("add swap space on a disk, at least as large as the memory in use".to_owned()),
            NoWay::Unsupported { .. }
            | NoWay::ReadOnly
            | NoWay::Logind { .. }
            | NoWay::NoMeans
            | NoWay::Failed { .. } => None,
        }
    }
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoWay::Rights { sudo: true, .. } => {
                f.write_str("no rights: the login is not root, and sudo wants a password")
            }
            NoWay::Rights { sudo: false, .. } => f.write_str("no rights: the login is not root, and there is no sudo"),
            NoWay::Masked { unit } => write!(f, "{unit} is masked"),
            NoWay::Disallowed { key } => write!(f, "{key}=no stands in its sleep.conf"),
            NoWay::Unsupported { state } => write!(f, "its kernel offers no such state ({state})"),
            NoWay::ReadOnly => f.write_str("/sys/power/state cannot be written there, as in a container"),
            NoWay::Logind { answer } => write!(f, "its logind says that it cannot ({answer})"),
            NoWay::NoSwap { why: SwapLack::None } => f.write_str("it has no swap space to hibernate to"),
            NoWay::NoSwap { why: SwapLack::Zram } => {
                f.write_str("its swap space lies in memory (zram), which is lost when it is off")
            }
            NoWay::NoSwap { why: SwapLack::Small } => f.write_str("its swap space is too small for the memory in use"),
            NoWay::NoMeans => f.write_str("no program there can do it"),
            NoWay::Failed { detail } => write!(f, "it failed before anything was sent: {detail}"),
        }
    }
}

/// Which machine something is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) machine_id: Option<String>,
    pub(crate) boot_id: Option<String>,
    pub(crate) product_uuid: Option<String>,
    /// Of its physical ports; lower case, with colons.
    pub(crate) macs: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    /// Who is logged in to it over SSH in the session that looked.
    pub(crate) ssh_client: Option<IpAddr>,
}

/// What a server is to the process that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Itself {
    /// The process runs on it.
    ThisMachine,
    /// The process runs in a container on it: the kernel is the same.
    KernelHost,
}

impl Identity {
    /// Whether another look saw the machine that this one saw.
    ///
    /// The boot id is the kernel's: a container has its host's. The machine id alone is no proof, for clones of one
    /// template share it; it counts where a boot id is missing. So do the ports' addresses.
    pub(crate) fn itself(&self, other: &Identity) -> Option<Itself> {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(a.eq_ignore_ascii_case(b)),
            _ => None,
        };
        let machine = same(&self.machine_id, &other.machine_id);
        match same(&self.boot_id, &other.boot_id) {
            Some(true) if machine == Some(false) => return Some(Itself::KernelHost),
            Some(true) => return Some(Itself::ThisMachine),
            Some(false) => return None,
            None => {}
        }
        let uuid = same(&self.product_uuid, &other.product_uuid);
        let port = self.macs.iter().any(|mac| other.macs.contains(mac));
        let alike = uuid == Some(true) || port || (machine == Some(true) && uuid != Some(false));
        alike.then_some(Itself::ThisMachine)
    }

    /// Whether this machine is a guest with this SMBIOS UUID or one of these MACs: then the guest's host carries it.
    pub(crate) fn is_guest(&self, uuid: Option<&str>, macs: &[String]) -> bool {
        let by_uuid = uuid.zip(self.product_uuid.as_deref()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        by_uuid || macs.iter().any(|mac| self.macs.iter().any(|own| own.eq_ignore_ascii_case(mac)))
    }

    /// Whether the person at this machine came over SSH from a machine with these addresses.
    pub(crate) fn came_from(&self, addresses: &[IpAddr]) -> bool {
        self.ssh_client.is_some_and(|client| !client.is_loopback() && addresses.contains(&client))
    }
}

/// Whether a way that leads through these jump hosts leads through the server that is known by these names and
/// addresses.
pub(crate) fn is_jump_host(names: &[&str], addresses: &[IpAddr], jumps: &[&str]) -> bool {
    jumps.iter().any(|jump| {
        let bare = jump.trim_start_matches('[').trim_end_matches(']');
        let by_name = names.iter().any(|name| !name.is_empty() && name.eq_ignore_ascii_case(bare));
        by_name || bare.parse().is_ok_and(|ip| addresses.contains(&ip))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(machine: &str, boot: &str, uuid: &str, mac: &str) -> Identity {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity {
            machine_id: some(machine),
            boot_id: some(boot),
            product_uuid: some(uuid),
            macs: some(mac).into_iter().collect(),
            ..Identity::default()
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        use Itself::*;
        let here = identity("m1", "b1", "u1", "aa:01");
        for (there, want) in [
            (("m1", "b1", "u1", "aa:01"), Some(ThisMachine)),
            // A container's host.
            (("m2", "b1", "", ""), Some(KernelHost)),
            (("", "b1", "", ""), Some(ThisMachine)),
            // Clones of one template.
            (("m1", "b2", "u2", "aa:02"), None),
            (("m1", "", "u2", "aa:02"), None),
            (("m1", "", "", ""), Some(ThisMachine)),
            (("", "", "U1", ""), Some(ThisMachine)),
            (("m2", "", "", "aa:01"), Some(ThisMachine)),
            (("m2", "b2", "", "aa:01"), None),
            (("", "", "", ""), None),
        ] {
            let (machine, boot, uuid, mac) = there;
            assert_eq!(here.itself(&identity(machine, boot, uuid, mac)), want, "{there:?}");
        }
        assert_eq!(Identity::default().itself(&Identity::default()), None);
    }

    #[test]
    fn a_guest_and_a_client_are_recognised() {
        let here = identity("m", "b", "ABCD", "aa:01");
        assert!(here.is_guest(Some("abcd"), &[]) && here.is_guest(None, &["AA:01".to_owned()]));
        assert!(!here.is_guest(Some("x"), &["aa:02".to_owned()]) && !here.is_guest(None, &[]));
        assert!(!Identity::default().is_guest(Some("x"), &["aa:01".to_owned()]));
        let ip: IpAddr = "10.0.0.5".parse().unwrap();
        let from = |client: &str| Identity { ssh_client: client.parse().ok(), ..Identity::default() };
        assert!(from("10.0.0.5").came_from(&[ip]) && !from("10.0.0.6").came_from(&[ip]) && !from("").came_from(&[ip]));
        assert!(!from("127.0.0.1").came_from(&["127.0.0.1".parse().unwrap()]));
    }

    #[test]
    fn jump_hosts_are_recognised_by_name_and_by_address() {
        let ip: IpAddr = "192.168.1.1".parse().unwrap();
        for (jumps, want) in [
            (&["gate"][..], true),
            (&["other", "GATE"], true),
            (&["192.168.1.1"], true),
            (&["[fe80::1]"], false),
            (&["gates"], false),
            (&[], false),
        ] {
            assert_eq!(is_jump_host(&["gate", ""], &[ip], jumps), want, "{jumps:?}");
        }
    }

    #[test]
    fn what_is_in_the_way_has_words_and_a_line_that_helps() {
        let rights = |sudo| NoWay::Rights {
            user: Some("anna".to_owned()),
            sudo,
            command: "/usr/bin/systemd-run --on-active=2 /usr/bin/systemctl suspend".to_owned(),
        };
        let line = "add to sudoers (visudo): anna ALL=(root) NOPASSWD: /usr/bin/systemd-run --on-active\\=2 \
                    /usr/bin/systemctl suspend";
        assert_eq!(rights(true).hint().as_deref(), Some(line));
        assert!(rights(false).hint().unwrap().contains("root"));
        let masked = NoWay::Masked { unit: "sleep.target".to_owned() };
        assert_eq!((masked.to_string().as_str(), masked.is_masked()), ("sleep.target is masked", true));
        assert_eq!(masked.hint().as_deref(), Some("systemctl unmask sleep.target"));
        assert!(!NoWay::NoSwap { why: SwapLack::None }.is_masked());
    }

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
