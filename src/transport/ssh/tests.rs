//! Fixtures: key files, routes, and the real sshd on the loopback, a process for each connection.

mod fake;
mod oracle;
mod raw;
mod routes;
mod situations;
mod sshd;
mod verdicts;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::model::id::Secret;
use crate::transport::Error;
use crate::transport::ssh::config::SshConfig;
use crate::transport::ssh::{Ask, HostKeyPolicy, Keys, Lookup, Route, Session, SshHost, connect};

/// More than any login of a test takes.
pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const SSHD: &str = "/usr/sbin/sshd";

/// Whether the OpenSSH programs are there; says so if not.
pub(super) fn openssh() -> bool {
    let there = [SSHD, "/usr/bin/ssh-keygen", "/usr/bin/ssh"].iter().all(|program| Path::new(program).exists());
    if !there {
        eprintln!("SKIPPED: this test needs OpenSSH (sshd, ssh, ssh-keygen)");
    }
    there
}

/// Runs a program to its end and gives its output.
pub(super) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A new key pair in two files; gives the public line.
pub(super) fn keygen(file: &Path, kind: &str, passphrase: &str) -> String {
    let path = file.to_str().unwrap();
    run("ssh-keygen", &["-q", "-t", kind, "-N", passphrase, "-C", kind, "-f", path]);
    fs::read_to_string(format!("{path}.pub")).unwrap()
}

pub(super) fn me() -> String {
    run("id", &["-un"]).trim().to_owned()
}

/// Answers as a test wants them, and counts the questions.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) accept: bool,
    pub(super) passphrases: Vec<&'static str>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Ask for Answers {
    fn accept_host_key<'a>(
        &'a self,
        peer: &'a str,
        algorithm: &'a str,
        fingerprint: &'a str,
    ) -> LocalBoxFuture<'a, bool> {
        self.asked.lock().unwrap().push(format!("{peer} {algorithm} {fingerprint}"));
        Box::pin(std::future::ready(self.accept))
    }

    fn passphrase<'a>(&'a self, key: &'a Path) -> LocalBoxFuture<'a, Option<Secret>> {
        let mut asked = self.asked.lock().unwrap();
        let name = key.file_name().unwrap().to_str().unwrap();
        let before = asked.iter().filter(|question| *question == name).count();
        asked.push(name.to_owned());
        let answer = self.passphrases.get(before).map(|text| Secret::new((*text).to_owned()));
        Box::pin(std::future::ready(answer))
    }
}

/// A configuration that is the same for all hosts, or one by name.
#[derive(Default, Clone)]
pub(super) struct Configured(pub(super) Vec<(String, SshConfig)>);

impl Lookup for Configured {
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>> {
        let found = self.0.iter().find(|(name, _)| *name == host.host || name == "*");
        Box::pin(async move { Ok(found.map(|(_, config)| config.clone())) })
    }
}

/// A folder with the keys of a user and a server, and a `known_hosts` file that knows the server.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) children: Arc<Mutex<Vec<Child>>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in self.children.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Bench {
    pub(super) fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".ssh")).unwrap();
        let bench = Bench { folder, children: Arc::default() };
        keygen(&bench.path("host_ed25519"), "ed25519", "");
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A user's key that the servers accept.
    pub(super) fn authorize(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let public = keygen(&self.path(name), kind, passphrase);
        let file = self.path("authorized_keys");
        let known = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, known + &public).unwrap();
        self.path(name)
    }

    /// Starts to listen; each connection gets an `sshd -i` of its own. Gives the port.
    pub(super) fn serve(&self, extra: &str) -> u16 {
        // sshd wants its empty folder if it is root.
        let _ = fs::create_dir("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "{extra}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n",
            path("host_ed25519"),
            path("authorized_keys")
        );
        let config = self.write(&format!("sshd_config.{port}"), &config);
        let log = self.path("sshd.log");
        let children = Arc::clone(&self.children);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (input, output) = (stream.try_clone().unwrap(), stream);
                let log = fs::File::options().create(true).append(true).open(&log);
                let child = Command::new(SSHD)
                    .args(["-i", "-e", "-f"])
                    .arg(&config)
                    .stdin(Stdio::from(std::os::fd::OwnedFd::from(input)))
                    .stdout(Stdio::from(std::os::fd::OwnedFd::from(output)))
                    .stderr(log.map_or(Stdio::null(), Stdio::from))
                    .spawn();
                children.lock().unwrap().extend(child);
            }
        });
        port
    }

    /// The `known_hosts` line of a server.
    pub(super) fn know(&self, port: u16) {
        let key = fs::read_to_string(self.path("host_ed25519.pub")).unwrap();
        let file = self.path(".ssh/known_hosts");
        let known = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, format!("{known}[127.0.0.1]:{port} {key}")).unwrap();
    }

    pub(super) fn host(port: u16, key: Option<&Path>) -> SshHost {
        Self::host_of(&me(), port, key)
    }

    pub(super) fn host_of(user: &str, port: u16, key: Option<&Path>) -> SshHost {
        SshHost {
            label: "box".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            user: Some(user.to_owned()),
            key_path: key.map(Path::to_owned),
            proxy_jump: None,
        }
    }

    /// A configuration without an agent, whatever the environment has.
    pub(super) fn alone() -> SshConfig {
        SshConfig {
            identity_agent: Some("none".to_owned()),
            global_known_hosts: Some("none".to_owned()),
            ..SshConfig::default()
        }
    }

    pub(super) async fn route(&self, host: &SshHost, config: SshConfig) -> Route {
        let configured = Configured(vec![("*".to_owned(), config)]);
        Route::resolve(host, &configured, self.folder.path(), LONG).await.unwrap()
    }

    /// Connects as the configuration of most tests says.
    pub(super) async fn connect(&self, host: &SshHost) -> Result<Session, Error> {
        self.connect_with(host, Self::alone(), HostKeyPolicy::Refuse, &Answers::default()).await
    }

    pub(super) async fn connect_with(
        &self,
        host: &SshHost,
        config: SshConfig,
        policy: HostKeyPolicy,
        answers: &Answers,
    ) -> Result<Session, Error> {
        let route = self.route(host, config).await;
        connect(&route, &Keys::default(), policy, answers).await
    }

    pub(super) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}
