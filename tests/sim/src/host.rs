//! Simulated hosts: a temporary folder plays the root of each, and scripts really run in it with the local `sh`.
//!
//! A login's commands go through the scripts in `stubs/`: absolute paths are led into the folder, and programs such as
//! pveum, sudo, ethtool or systemctl are small scripts there. `ssh` and `sshd` serve a host to SSH clients.

mod boot;
mod build;
mod control;
mod energy;
mod faults;
mod files;
mod load;
mod nics;
mod rtc;
mod tree;
mod wol;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fmt, fs, thread};

use tokio::sync::watch;

pub use build::{Builder, Kind};
pub(crate) use control::{Control, kill_group};
pub use energy::{Domain, RANGE};
pub use load::{Disk, Pace};
pub use nics::{Nic, NicKind};
use tree::Tree;
pub(crate) use tree::find_program;
pub use wol::WolPacket;

use crate::access::Outcome;

/// Runs one pveum command line: the arguments, and whether the locale is UTF-8.
pub type PveumFn = Arc<dyn Fn(&[String], bool) -> Outcome + Send + Sync>;

/// What a login may do. sudo is installed on a host if one of its logins has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The login is root (uid 0).
    Root,
    /// sudo without a password.
    Sudo,
    /// sudo is there and wants a password.
    SudoPassword,
    /// sudo wants a password for all but `true`, and says so to whoever reads its list.
    SudoListed,
    /// No sudo.
    NoSudo,
}

/// One user that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub name: String,
    pub rights: Rights,
}

/// A simulated host. Clones are the same host; the last one takes its folder away.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    kind: Kind,
    logins: Vec<Login>,
    tree: Tree,
    control: Arc<Control>,
    /// Ports that a forwarding reaches elsewhere, as 8006 the simulated API.
    ports: Mutex<BTreeMap<u16, SocketAddr>>,
    /// Listens once somebody asks for its port.
    card: OnceLock<wol::Card>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.inner.name).field("kind", &self.inner.kind).finish_non_exhaustive()
    }
}

impl Host {
    /// A Proxmox VE host, 9.2.11 unless told otherwise, with the login root.
    pub fn pve(name: &str) -> Builder {
        Builder::new(name, Kind::Pve)
    }

    /// A plain Debian with the logins root and `admin` (sudo).
    pub fn debian(name: &str) -> Builder {
        Builder::new(name, Kind::Debian).login("admin", Rights::Sudo)
    }

    /// A Proxmox Backup Server.
    pub fn pbs(name: &str) -> Builder {
        Builder::new(name, Kind::Pbs)
    }

    /// A Debian on which Proxmox VE was once installed: `/etc/pve` is still there.
    pub fn leftover_etc_pve(name: &str) -> Builder {
        Builder::new(name, Kind::LeftoverEtcPve)
    }

    /// A Proxmox VE host whose pmxcfs is down: `/etc/pve` is empty and pveum fails.
    pub fn pve_pmxcfs_down(name: &str) -> Builder {
        Builder::new(name, Kind::PmxcfsDown)
    }

    /// A host on which the file `/etc/pve/version` exists, which no PVE has.
    pub fn etc_pve_version(name: &str) -> Builder {
        Builder::new(name, Kind::EtcPveVersion)
    }

    /// An Alpine: no dpkg, systemd, ethtool or sudo.
    pub fn alpine(name: &str) -> Builder {
        Builder::new(name, Kind::Alpine)
    }

    /// A FreeBSD: neither /proc nor /sys.
    pub fn freebsd(name: &str) -> Builder {
        Builder::new(name, Kind::FreeBsd)
    }

    /// The host's own name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The folder that plays the root.
    pub fn root(&self) -> &Path {
        self.inner.tree.root()
    }

    /// Who may log in.
    pub fn logins(&self) -> &[Login] {
        &self.inner.logins
    }

    /// The program that a login runs: its arguments are the login's name; the command is in `SSH_ORIGINAL_COMMAND`.
    pub fn login_program(&self) -> PathBuf {
        self.inner.tree.path(".sim/login")
    }

    /// Runs a command as a login without SSH, with this text on its input.
    pub fn run(&self, login: &str, command: &str, input: &str) -> Outcome {
        let mut child = Command::new(self.login_program())
            .arg(login)
            .env_clear()
            .env("SSH_ORIGINAL_COMMAND", command)
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the login program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        let feed = thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("the login program ends");
        let _ = feed.join();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap_or(-1) }
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.inner.control
    }

    /// Writes a file of the host; `path` as on the host, e.g. `/proc/loadavg`.
    pub fn write_file(&self, path: &str, text: &str) {
        self.inner.tree.write(path, text);
    }

    /// Reads a file of the host.
    pub fn read_file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.inner.tree.path(path)).ok()
    }

    /// The commands that changed something of Proxmox VE there since the last call: `qm unlock 101`. A host knows no cluster.
    pub fn administered(&self) -> Vec<String> {
        let lines = self.read_file(".sim/administered").unwrap_or_default();
        self.inner.tree.remove(".sim/administered");
        lines.lines().map(str::to_owned).collect()
    }

    /// Removes a file or folder of the host.
    pub fn remove_file(&self, path: &str) {
        self.inner.tree.remove(path);
    }

    /// Somebody logs in, besides those who are there; terminal `-`: none.
    pub fn log_in(&self, user: &str, terminal: &str, from: &str) {
        let before = self.read_file(".sim/sessions").unwrap_or_default();
        let id = before.lines().count() + 1;
        self.inner.tree.write(".sim/sessions", &format!("{before}{id} {user} {terminal} {from}\n"));
    }

    /// Replaces the network interfaces.
    pub fn set_nics(&self, nics: &[Nic]) {
        for path in ["sys/class/net", "sys/devices/pci0000:00", "sys/devices/virtual", ".sim/ethtool"] {
            self.inner.tree.remove(path);
        }
        nics::write(&self.inner.tree, nics);
    }

    /// ethtool's armed letters of a port now, as the last `ethtool -s PORT wol ...` left them.
    pub fn wol_armed(&self, port: &str) -> Option<String> {
        let line = self.read_file(&format!(".sim/ethtool/{port}"))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    }

    /// Arms a port as ethtool does, or switches Wake-on-LAN off (`d`).
    pub fn set_wol(&self, port: &str, letters: &str) {
        let line = self.read_file(&format!(".sim/ethtool/{port}")).expect("a physical port");
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words[1] = letters;
        self.write_file(&format!(".sim/ethtool/{port}"), &format!("{}\n", words.join(" ")));
    }

    /// Masks a unit, as `systemctl mask` does.
    pub fn mask(&self, unit: &str) {
        self.inner.tree.link(&format!("etc/systemd/system/{unit}"), "/dev/null");
        let units = self.read_file(".sim/units").unwrap_or_default();
        let of = |line: &str| line.split_once(' ').is_some_and(|(name, _)| name == unit);
        let others = units.lines().filter(|line| !of(line)).map(|line| format!("{line}\n"));
        self.write_file(".sim/units", &format!("{}{unit} masked inactive\n", others.collect::<String>()));
    }

    /// Makes it a guest of this kind: `kvm`, `lxc`.
    pub fn set_virtual(&self, kind: &str) {
        self.write_file(".sim/virt", &format!("{kind}\n"));
    }

    /// Without quorum `/etc/pve/local` loses its write bit. (The cluster's `Access` must be told as well.)
    pub fn set_quorate(&self, quorate: bool) {
        self.inner.tree.write(".sim/local-mode", if quorate { "755\n" } else { "555\n" });
    }

    /// What systemd says of a service: `active`, `failed`.
    pub fn set_service(&self, name: &str, state: &str) {
        let units = self.read_file(".sim/units").unwrap_or_default();
        let lines = units.lines().map(|line| match line.split_once(' ') {
            Some((unit, rest)) if unit == name => {
                format!("{unit} {} {state}\n", rest.split(' ').next().unwrap_or("enabled"))
            }
            _ => format!("{line}\n"),
        });
        self.inner.tree.write(".sim/units", &lines.collect::<String>());
    }

    /// The clock is ahead by so many seconds, or behind.
    pub fn set_clock_off(&self, seconds: i64) {
        self.inner.tree.write(".sim/clock-off", &format!("{seconds}\n"));
    }

    /// pmxcfs ends, or runs again: without it `/etc/pve` is empty and pveum fails. root's keys lie in there, so that root
    /// cannot log in, unless they are also in a file outside. (The API must be told as well.)
    pub fn set_pmxcfs_down(&self, down: bool, keys_outside: bool) {
        let tree = &self.inner.tree;
        for (path, away) in [("etc/pve", ".sim/etc-pve-away"), (".sim/plain/etc/pve", ".sim/plain-etc-pve-away")] {
            if down {
                fs::rename(tree.path(path), tree.path(away)).expect("it was up");
                tree.folder(path);
            } else {
                tree.remove(path);
                fs::rename(tree.path(away), tree.path(path)).expect("it was down");
            }
        }
        for (marker, there) in [(".sim/pmxcfs-down", down), (".sim/root-keys-away", down && !keys_outside)] {
            tree.remove(marker);
            if there {
                tree.write(marker, "");
            }
        }
    }

    /// Whether the file with this login's keys is out of reach.
    pub(crate) fn has_no_keys_of(&self, login: &str) -> bool {
        login == "root" && self.inner.tree.path(".sim/root-keys-away").exists()
    }

    /// Replaces the cluster's CA and this node's certificate, both PEM.
    pub fn set_certificates(&self, ca_pem: &str, node_pem: &str) {
        files::certificates(&self.inner.tree, &self.inner.name, ca_pem, node_pem);
    }

    /// The certificate of another node of the cluster, as pmxcfs shows it on each of them.
    pub fn set_node_certificate(&self, node: &str, pem: &str) {
        self.inner.tree.write(&format!("etc/pve/nodes/{node}/pve-ssl.pem"), pem);
    }

    /// A new boot id, as after a restart; the clock and the CPUs' counters begin again.
    pub fn new_boot(&self) {
        let id = crate::access::random_uuid();
        self.inner.tree.write("proc/sys/kernel/random/boot_id", &format!("{id}\n"));
        self.restart_counters();
    }

    /// Text on stdout before every command (a noisy .bashrc), and after it.
    pub fn set_noise(&self, before: &str, after: &str) {
        self.inner.tree.write(".sim/noise-before", before);
        self.inner.tree.write(".sim/noise-after", after);
    }

    /// Every command begins that much later.
    pub fn set_delay(&self, delay: Duration) {
        let text = if delay.is_zero() { String::new() } else { format!("{}\n", delay.as_secs_f32()) };
        self.inner.tree.write(".sim/delay", &text);
    }

    /// Whether commands hang without an output.
    pub fn set_hanging(&self, hanging: bool) {
        if hanging {
            self.inner.tree.write(".sim/hang", "");
        } else {
            self.inner.tree.remove(".sim/hang");
        }
    }

    /// Leads forwardings to `127.0.0.1:port` (or any other name of this host) to a port of this machine.
    pub fn map_port(&self, port: u16, real_port: u16) {
        self.map_port_to(port, SocketAddr::from(([127, 0, 0, 1], real_port)));
    }

    /// The same for any address.
    pub fn map_port_to(&self, port: u16, real: SocketAddr) {
        self.inner.ports.lock().expect("no panic under this lock").insert(port, real);
    }

    pub(crate) fn mapped_port(&self, port: u16) -> Option<SocketAddr> {
        self.inner.ports.lock().expect("no panic under this lock").get(&port).copied()
    }

    /// Breaks all SSH connections now.
    pub fn cut_connections(&self) {
        self.inner.control.cut();
    }

    /// What happened to the machine, oldest first: `suspend`, `hibernate`, `poweroff`, `reboot`, `wake`.
    pub fn events(&self) -> Vec<String> {
        self.inner.control.events()
    }

    /// Whether the machine sleeps or is off. Then connections freeze and its SSH ports answer nothing.
    pub fn asleep(&self) -> watch::Receiver<bool> {
        self.inner.control.asleep()
    }

    /// Puts the machine to sleep, as `systemctl suspend` on it does.
    pub fn suspend(&self) {
        self.inner.control.event("suspend");
    }

    /// Wakes the machine. After `poweroff` and `hibernate` it is another boot.
    pub fn wake(&self) {
        if self.inner.control.wake() {
            self.new_boot();
        }
    }

    /// How long after `systemctl suspend` returned the machine sleeps (default 100 ms).
    pub fn set_sleep_delay(&self, delay: Duration) {
        self.inner.control.hooks().sleep_delay = delay;
    }
}

#[cfg(test)]
mod tests;

impl Drop for Inner {
    fn drop(&mut self) {
        self.control.stop();
        // Units of its own outlive every connection, and nobody may have stopped them.
        let units = std::fs::read_dir(self.tree.path(".sim/services")).into_iter().flatten().flatten();
        for leader in units.filter_map(|unit| std::fs::read_to_string(unit.path()).ok()) {
            kill_group(leader.trim());
        }
    }
}
