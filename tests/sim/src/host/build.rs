//! What a host is made of, before it is made.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock};

use sha2::{Digest, Sha256};

use super::{Control, Host, Inner, Login, Nic, PveumFn, Rights, Tree, boot, files, nics, rtc};
use crate::access::Access;

/// What a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pve,
    Debian,
    Pbs,
    LeftoverEtcPve,
    PmxcfsDown,
    EtcPveVersion,
    Alpine,
    FreeBsd,
}

impl Kind {
    /// Proxmox VE is installed.
    pub(super) fn is_pve(self) -> bool {
        matches!(self, Kind::Pve | Kind::PmxcfsDown | Kind::EtcPveVersion)
    }

    /// systemd, dpkg and ethtool are there.
    pub(super) fn is_debian(self) -> bool {
        !matches!(self, Kind::Alpine | Kind::FreeBsd)
    }
}

/// Describes a host; [`Builder::build`] makes it.
#[must_use]
pub struct Builder {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// pve-manager's version.
    pub(super) version: String,
    pub(super) logins: Vec<Login>,
    pub(super) nodes: Vec<String>,
    pub(super) certificates: Option<(String, String)>,
    pub(super) quorate: bool,
    /// `/sys/power/state`.
    pub(super) sleep_states: String,
    pub(super) sleep_masked: bool,
    /// User, terminal (`-`: none), from where.
    pub(super) logged_in: Vec<[String; 3]>,
    /// Who, what, why, mode.
    pub(super) inhibitors: Vec<[String; 4]>,
    pub(super) running_guests: Vec<u32>,
    systemd: bool,
    nics: Option<Vec<Nic>>,
    ip: (IpAddr, u8),
    pveum: Option<PveumFn>,
    noise: (String, String),
}

impl Builder {
    pub(super) fn new(name: &str, kind: Kind) -> Builder {
        Builder {
            name: name.to_owned(),
            kind,
            version: if kind == Kind::Pbs { "4.0.14-1" } else { "9.2.11" }.into(),
            logins: vec![Login { name: "root".into(), rights: Rights::Root }],
            nodes: Vec::new(),
            certificates: None,
            quorate: true,
            sleep_states: "freeze mem disk".into(),
            sleep_masked: false,
            logged_in: Vec::new(),
            inhibitors: Vec::new(),
            running_guests: Vec::new(),
            systemd: kind.is_debian(),
            nics: None,
            ip: (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10)), 24),
            pveum: None,
            noise: Default::default(),
        }
    }

    /// One more login.
    pub fn login(mut self, name: &str, rights: Rights) -> Builder {
        self.logins.retain(|login| login.name != name);
        self.logins.push(Login { name: name.into(), rights });
        self
    }

    /// Takes a login away, e.g. root's.
    pub fn without_login(mut self, name: &str) -> Builder {
        self.logins.retain(|login| login.name != name);
        self
    }

    /// pve-manager's version, e.g. `8.4.1` or `7.4-3`.
    pub fn version(mut self, version: &str) -> Builder {
        self.version = version.into();
        self
    }

    /// The cluster's access control behind pveum.
    pub fn access(self, access: Arc<Mutex<Access>>) -> Builder {
        self.pveum_by(Arc::new(move |args: &[String], utf8| {
            access.lock().expect("no panic under this lock").pveum_in(args, utf8)
        }))
    }

    /// Whatever answers pveum.
    pub fn pveum_by(mut self, pveum: PveumFn) -> Builder {
        self.pveum = Some(pveum);
        self
    }

    /// The other nodes of the cluster.
    pub fn other_nodes(mut self, names: &[&str]) -> Builder {
        self.nodes = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The cluster's CA and this node's certificate (PEM); only root can read them.
    pub fn certificates(mut self, ca_pem: &str, node_pem: &str) -> Builder {
        self.certificates = Some((ca_pem.into(), node_pem.into()));
        self
    }

    /// The cluster has no quorum.
    pub fn no_quorum(mut self) -> Builder {
        self.quorate = false;
        self
    }

    /// The host's address, on its first interface.
    pub fn ip(mut self, ip: IpAddr, prefix: u8) -> Builder {
        self.ip = (ip, prefix);
        self
    }

    /// Other network interfaces than the kind's usual ones.
    pub fn nics(mut self, nics: Vec<Nic>) -> Builder {
        self.nics = Some(nics);
        self
    }

    /// What stands in `/sys/power/state`, e.g. `freeze` for a machine without suspend.
    pub fn sleep_states(mut self, states: &str) -> Builder {
        self.sleep_states = states.into();
        self
    }

    /// sleep.target is masked.
    pub fn sleep_masked(mut self) -> Builder {
        self.sleep_masked = true;
        self
    }

    /// Somebody is logged in, e.g. `anna` at `pts/0` from `10.0.0.5`; terminal `-`: none.
    pub fn logged_in(mut self, user: &str, terminal: &str, from: &str) -> Builder {
        self.logged_in.push([user, terminal, from].map(str::to_owned));
        self
    }

    /// Somebody holds a lock of logind's: who, what (`shutdown:sleep`), why, mode (`block`, `delay`).
    pub fn inhibitor(mut self, who: &str, what: &str, why: &str, mode: &str) -> Builder {
        self.inhibitors.push([who, what, why, mode].map(str::to_owned));
        self
    }

    /// A virtual machine that runs, as the host's own files show it.
    pub fn running_guest_pid(mut self, vmid: u32) -> Builder {
        self.running_guests.push(vmid);
        self
    }

    /// Another init than systemd.
    pub fn without_systemd(mut self) -> Builder {
        self.systemd = false;
        self
    }

    pub(super) fn has_systemd(&self) -> bool {
        self.systemd
    }

    /// A message of the day and .bashrc output around every command.
    pub fn noisy(mut self) -> Builder {
        let name = &self.name;
        let before = format!(
            "Linux {name} 6.14.8-2-pve #1 SMP PREEMPT_DYNAMIC x86_64\n\n*** AUTHORIZED USE ONLY ***\n\
             \u{1b}[32mWelcome back!\u{1b}[0m You have 3 updates.\nos\tNoise OS\n"
        );
        self.noise = (before, "bye from .bash_logout\n".into());
        self
    }

    /// Makes the host.
    pub fn build(self) -> Host {
        let tree = Tree::new();
        files::write(&tree, &self);
        let usual = usual_nics(self.kind, &self.name, self.ip);
        if self.kind != Kind::FreeBsd {
            let nics = self.nics.as_deref().unwrap_or(&usual);
            nics::write(&tree, nics);
            rtc::write(&tree);
            if self.has_systemd() {
                boot::write_links(&tree, nics);
            }
        }
        let control = Control::start(&tree.path(".sim"), self.pveum);
        let inner = Inner {
            name: self.name,
            kind: self.kind,
            logins: self.logins,
            tree,
            control,
            ports: Mutex::default(),
            card: OnceLock::new(),
        };
        let host = Host { inner: Arc::new(inner) };
        host.set_noise(&self.noise.0, &self.noise.1);
        host
    }
}

/// The port enp3s0 in the bridge vmbr0 with the same address, as PVE's installer leaves it, and a guest's tap; elsewhere
/// a port alone, with docker0 and a container's veth.
fn usual_nics(kind: Kind, name: &str, (ip, prefix): (IpAddr, u8)) -> Vec<Nic> {
    let mac = mac_of(name);
    if kind.is_pve() {
        return vec![
            Nic::physical("enp3s0", &mac).in_master("vmbr0"),
            Nic::physical("enp4s0", &mac_of(&format!("{name} second"))).unplugged().wol("pumbg", "d"),
            Nic::bridge("vmbr0", &mac).address(ip, prefix),
            Nic::virtual_port("tap101i0", "ae:5f:11:00:01:01").in_master("vmbr0"),
        ];
    }
    vec![
        Nic::physical("enp3s0", &mac).address(ip, prefix),
        Nic::bridge("docker0", "02:42:7c:00:00:01").address(Ipv4Addr::new(172, 17, 0, 1).into(), 16),
        Nic::virtual_port("veth1a2b3c4", "fe:ed:00:00:00:01").in_master("docker0"),
    ]
}

/// The MAC address of the first port of a host with this name, unless it was given its own interfaces.
pub(super) fn mac_of(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    format!("bc:24:11:{:02x}:{:02x}:{:02x}", hash[0], hash[1], hash[2])
}

/// 32 hexadecimal digits that belong to a name.
pub(super) fn id_of(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
