//! A simulated host behind Debian's real `sshd`, where it is installed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::keys::PublicKey;
use tokio::io::copy_bidirectional;

use crate::host::{Host, find_program};
use crate::keys::{KeyType, known_hosts_line, one_line};
use crate::ssh::{ANY_PORT, Counts, Front};

/// A running sshd; dropping it ends it. Whoever logs in is, for the host, always the same login: sshd itself knows only
/// the users of this machine, and an unprivileged sshd only the one that runs the tests ([`RealSshd::user`]).
pub struct RealSshd {
    child: Child,
    front: Front,
    host_key: PublicKey,
    /// What runs the commands of whoever logs in.
    login: String,
    /// Keys and configuration.
    _folder: tempfile::TempDir,
}

impl RealSshd {
    /// Serves a host as `root`. `None`, and a loud line on stderr, if there is no sshd here.
    pub async fn start(host: &Host, authorized: &[PublicKey]) -> Option<RealSshd> {
        RealSshd::start_as(host, authorized, "root").await
    }

    /// The same as another login of the host.
    pub async fn start_as(host: &Host, authorized: &[PublicKey], login: &str) -> Option<RealSshd> {
        RealSshd::start_configured(host, authorized, login, "").await
    }

    /// The same with further lines of its configuration, which win over the usual ones.
    pub async fn start_configured(host: &Host, authorized: &[PublicKey], login: &str, lines: &str) -> Option<RealSshd> {
        let login = format!("exec {} {login}", host.login_program().display());
        RealSshd::start_with(host, authorized, login, lines).await
    }

    /// Serves this machine itself, as the user who runs the tests; the programs of a folder hide those of the system.
    pub async fn start_on_this_machine(authorized: &[PublicKey], programs: &Path) -> Option<RealSshd> {
        let login = format!("PATH={}:$PATH exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"", programs.display());
        // Only what breaks connections is of this one.
        RealSshd::start_with(&Host::debian("this-machine").build(), authorized, login, "").await
    }

    async fn start_with(host: &Host, authorized: &[PublicKey], login: String, lines: &str) -> Option<RealSshd> {
        let sshd = installed()?;
        let folder = tempfile::Builder::new().prefix("ecobox-sshd-").tempdir().expect("a temporary folder");
        let host_key = KeyType::Ed25519.generate();
        // Only root's sshd wants it, and only root can make it; a machine that never ran sshd lacks it.
        let _ = fs::create_dir("/run/sshd");
        let mut running = None;
        // Another port, where somebody else was faster.
        for port in std::iter::repeat_with(free_port).take(3) {
            let config = write_files(folder.path(), authorized, &login, &host_key, port, lines);
            let mut child = Command::new(&sshd)
                .args(["-D", "-e", "-f"])
                .arg(config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.path().join("log")).expect("a file in our folder"))
                .spawn()
                .expect("sshd starts");
            if answers(port, &mut child).await {
                running = Some((port, child));
                break;
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let Some((port, child)) = running else {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            skipped(&format!("sshd does not start here: {}", log.trim()));
            return None;
        };
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let serve = move |mut near| async move {
            if let Ok(mut stream) = tokio::net::TcpStream::connect(target).await {
                let _ = stream.set_nodelay(true);
                let _ = copy_bidirectional(&mut stream, &mut near).await;
            }
        };
        let front = Front::start(ANY_PORT, host.control(), Arc::new(Counts::default()), || None, serve).await;
        Some(RealSshd { child, front, host_key: host_key.public_key().clone(), login, _folder: folder })
    }

    /// Where to connect: sshd behind the same listener as the simulated server, so that a host can break connections.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// The name to log in with: the user that runs the tests.
    pub fn user(&self) -> String {
        user()
    }

    /// Runs a command as sshd has it run, without sshd.
    pub fn run(&self, command: &str) -> std::process::Output {
        let mut login = Command::new("/bin/sh");
        login.args(["-c", &self.login]).env("SSH_ORIGINAL_COMMAND", command).stdin(Stdio::null());
        login.output().expect("a shell runs")
    }

    /// The host key.
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// The line of known_hosts, with a newline.
    pub fn known_hosts_line(&self) -> String {
        known_hosts_line(self.address(), &self.host_key)
    }
}

impl Drop for RealSshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// sshd's path: it insists on being called by an absolute one.
fn installed() -> Option<PathBuf> {
    let found = Some(PathBuf::from("/usr/sbin/sshd")).filter(|path| path.is_file()).or_else(|| find_program("sshd"));
    if found.is_none() {
        skipped("sshd is not installed");
    }
    found.filter(|_| has_shell())
}

/// sshd refuses a user without a shell, as some containers run their builds.
fn has_shell() -> bool {
    let user = user();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.starts_with(&format!("{user}:")));
    let refused = line.is_some_and(|line| line.ends_with("/nologin") || line.ends_with("/false"));
    if refused {
        skipped(&format!("{user} has no login shell, so that sshd lets nobody in"));
    }
    !refused
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[expect(clippy::print_stderr, reason = "a test that does not run must say so")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("a bound socket").port()
}

fn write_files(
    folder: &Path,
    authorized: &[PublicKey],
    login: &str,
    key: &russh::keys::PrivateKey,
    port: u16,
    lines: &str,
) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).expect("a complete key");
    let key_file = folder.join("host_key");
    fs::write(&key_file, text.as_bytes()).expect("a file in our folder");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("a file of ours");
    let keys: String = authorized.iter().map(|key| one_line(key) + "\n").collect();
    let keys_file = folder.join("authorized_keys");
    fs::write(&keys_file, keys).expect("a file in our folder");
    let config = format!(
        "{lines}\nListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nAllowTcpForwarding yes\n\
         PrintMotd no\nUseDNS no\nMaxStartups 200\nMaxSessions 100\nLoginGraceTime 30\nForceCommand {login}\n",
        key_file.display(),
        keys_file.display(),
    );
    let path = folder.join("sshd_config");
    fs::write(&path, config).expect("a file in our folder");
    path
}

/// Waits until the port answers; false: sshd ended, or does not come to it.
async fn answers(port: u16, child: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) && matches!(child.try_wait(), Ok(None)) {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
