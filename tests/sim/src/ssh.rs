//! An SSH server in front of a simulated host, with faults on demand.

mod exec;
mod front;
mod session;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::Config;
use russh::{MethodKind, MethodSet, SshId};
use tokio::io::DuplexStream;

pub(crate) use front::{Front, Silence};

use crate::host::Host;
use crate::keys::{KeyType, known_hosts_line};

/// Whatever port of 127.0.0.1 is free.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What goes wrong with the connections made from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshFault {
    /// The connection is accepted and closed, as a firewall or a service that starts does.
    CloseAtOnce,
    /// Nothing is ever said.
    HangAtBanner,
    /// Another protocol answers.
    GarbageBanner,
    /// Lines without end come before the banner.
    EndlessBanner,
    /// The banner, then the end.
    CloseAfterBanner,
    /// The banner, then silence.
    HangInKex,
    /// No answer to the login.
    HangInAuth,
    /// Commands are accepted and never begin.
    HangInExec,
    /// Commands print without end.
    EndlessOutput,
    /// The connection breaks when a command begins.
    CloseInExec,
    /// Commands end without an exit status.
    NoExitStatus,
}

/// How often what was seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    logins: AtomicUsize,
    refused_logins: AtomicUsize,
    channels: AtomicUsize,
    commands: AtomicUsize,
    forwards: AtomicUsize,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// What may change while the server runs.
struct Settings {
    host_keys: Vec<PrivateKey>,
    authorized: Vec<PublicKey>,
    fault: Option<SshFault>,
    refuse_forwarding: bool,
    commands: Vec<String>,
}

/// What the server's connections share.
pub(crate) struct Shared {
    pub(crate) host: Host,
    counts: Arc<Counts>,
    settings: Mutex<Settings>,
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().expect("no panic under this lock")
    }
}

/// A running SSH server on loopback; dropping it ends it and its connections.
pub struct SshServer {
    shared: Arc<Shared>,
    front: Front,
}

impl SshServer {
    /// Serves a host on a free port to whoever has one of these keys, under the names of the host's logins.
    pub async fn start(host: &Host, authorized: &[PublicKey]) -> SshServer {
        SshServer::start_with(host, authorized, KeyType::Ed25519).await
    }

    /// The same with a host key of another type.
    pub async fn start_with(host: &Host, authorized: &[PublicKey], host_key: KeyType) -> SshServer {
        SshServer::start_at(ANY_PORT, host, authorized, host_key).await
    }

    /// The same on an address of loopback, which must be free.
    pub async fn start_at(address: SocketAddr, host: &Host, authorized: &[PublicKey], host_key: KeyType) -> SshServer {
        let settings = Settings {
            host_keys: vec![host_key.generate()],
            authorized: authorized.to_vec(),
            fault: None,
            refuse_forwarding: false,
            commands: Vec::new(),
        };
        let counts = Arc::new(Counts::default());
        let shared =
            Arc::new(Shared { host: host.clone(), counts: Arc::clone(&counts), settings: Mutex::new(settings) });
        let (serving, fault) = (Arc::clone(&shared), Arc::clone(&shared));
        let serve = move |stream: DuplexStream| serve(Arc::clone(&serving), stream);
        let front = Front::start(address, host.control(), counts, move || fault.settings().fault, serve).await;
        SshServer { shared, front }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// The host that is served.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The (first) host key.
    pub fn host_key(&self) -> PublicKey {
        self.shared.settings().host_keys[0].public_key().clone()
    }

    /// The line of known_hosts, with a newline.
    pub fn known_hosts_line(&self) -> String {
        known_hosts_line(self.address(), &self.host_key())
    }

    /// From the next connection on the host key is another of the same type, as after a reinstallation.
    pub fn change_host_key(&self) {
        let kind = match self.host_key().algorithm() {
            russh::keys::Algorithm::Ed25519 => KeyType::Ed25519,
            _ => KeyType::Ecdsa,
        };
        self.set_host_keys(vec![kind.generate()]);
    }

    /// From the next connection on these are the host keys.
    pub fn set_host_keys(&self, keys: Vec<PrivateKey>) {
        assert!(!keys.is_empty(), "a server needs a host key");
        self.shared.settings().host_keys = keys;
    }

    /// One more key that may log in.
    pub fn authorize(&self, key: &PublicKey) {
        self.shared.settings().authorized.push(key.clone());
    }

    /// No key may log in any more.
    pub fn deauthorize_all(&self) {
        self.shared.settings().authorized.clear();
    }

    /// What goes wrong from now on; `None`: nothing.
    pub fn set_fault(&self, fault: Option<SshFault>) {
        self.shared.settings().fault = fault;
    }

    /// `AllowTcpForwarding no`.
    pub fn refuse_forwarding(&self, refuse: bool) {
        self.shared.settings().refuse_forwarding = refuse;
    }

    /// TCP connections that were accepted.
    pub fn connections(&self) -> usize {
        self.shared.counts.connections.load(Ordering::SeqCst)
    }

    /// Logins that succeeded.
    pub fn logins(&self) -> usize {
        self.shared.counts.logins.load(Ordering::SeqCst)
    }

    /// Keys that were offered and refused.
    pub fn refused_logins(&self) -> usize {
        self.shared.counts.refused_logins.load(Ordering::SeqCst)
    }

    /// Channels that were opened: commands and forwardings.
    pub fn channels(&self) -> usize {
        self.shared.counts.channels.load(Ordering::SeqCst)
    }

    /// Commands that were run.
    pub fn execs(&self) -> usize {
        self.shared.counts.commands.load(Ordering::SeqCst)
    }

    /// The command lines that were asked for (scripts come on their input and are not here).
    pub fn commands(&self) -> Vec<String> {
        self.shared.settings().commands.clone()
    }

    /// Forwardings that were opened.
    pub fn forwards(&self) -> usize {
        self.shared.counts.forwards.load(Ordering::SeqCst)
    }
}

async fn serve(shared: Arc<Shared>, stream: DuplexStream) {
    let config = Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-OpenSSH_10.0p2 Debian-7")),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: Duration::ZERO,
        keys: shared.settings().host_keys.clone(),
        ..Config::default()
    };
    let session = session::Session::new(shared);
    if let Ok(running) = russh::server::run_stream(Arc::new(config), stream, session).await {
        let _ = running.await;
    }
}

#[cfg(test)]
mod tests;
