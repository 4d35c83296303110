//! One hop: the stream to its SSH server, the key exchange, the check of its host key.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use russh::client::{self, Handle};
use russh::keys::PublicKey;
use russh::{AlgorithmKind, ChannelOpenFailure, Limits, Preferred, SshId, cipher, kex};

use crate::file;
use crate::transport::probe::{DNS_LIMIT, TCP_LIMIT, dial, peer};
use crate::transport::ssh::Ask;
use crate::transport::ssh::add_host_key::remember;
use crate::transport::ssh::auth::{Budget, Overdue, log_in};
use crate::transport::ssh::host_key_check::{Checker, Stop, describe};
use crate::transport::ssh::keys::Keys;
use crate::transport::ssh::known_hosts::KnownHosts;
use crate::transport::ssh::route::{Hop, Via};
use crate::transport::ssh::stream::{Duplex, Proxy, ProxyStderr, StreamMonitor, Tcp, WatchedStream};
use crate::transport::{ConnectFailure, Denial, Error, Said};

const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVES: usize = 3;
/// russh's order, and the NIST curves that hardened servers are left with. It begins with ML-KEM: 0.5 ms of CPU more than
/// X25519 alone, and tokens stay secret longer. No SHA-1.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
/// OpenSSH's own.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// Ten years: longer than a process runs, and short enough to count with.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What is said of a connection that ended so.
pub(super) const REKEYED: &str =
    "it exchanged keys once more, in which its host key cannot be compared: the connection was ended";

/// A connection to one hop, logged in.
pub(super) struct Link {
    /// The hop's name, for messages.
    peer: String,
    pub(super) handle: Handle<Checker>,
    pub(super) host_key: String,
    /// Whether keys were exchanged once more, which ends the connection.
    pub(super) rekeyed: Arc<AtomicBool>,
    pub(super) _leash: StreamMonitor,
}

/// Why there is no link.
pub(super) enum Refusal {
    /// The host key is not known. A person may decide.
    Unknown(Box<PublicKey>),
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl Refusal {
    /// For those who do not ask.
    pub(super) fn into_error(self, hop: &Hop) -> Error {
        match self {
            Refusal::Unknown(key) => Error::UnknownHostKey { peer: hop.peer(), fingerprint: describe(&key) },
            Refusal::Error(error) => error,
        }
    }
}

impl Link {
    /// Connects to a hop, through the one before if there is one, and logs in.
    pub(super) async fn open(hop: &Hop, before: Option<&Link>, keys: &Keys, ask: &dyn Ask) -> Result<Link, Refusal> {
        let begun = Instant::now();
        // Before anything is sent: what cannot be checked must not be asked.
        let known = file::in_time(file::PATIENCE, known_hosts(hop)).await;
        let known = known.map_err(|e| Error::Local { peer: hop.peer(), detail: e.to_string() })?;
        let (stream, said) = stream(hop, before).await?;
        let (wire, leash) = WatchedStream::new(stream);
        let config = Arc::new(config(&known));
        let (presented, rekeyed) = (Arc::default(), Arc::default());
        let checker = Checker {
            known,
            name: hop.names.recorded.clone(),
            presented: Arc::clone(&presented),
            exchanged: false,
            rekeyed: Arc::clone(&rekeyed),
        };
        let mut budget = Budget::new(hop.limit);
        let result = budget.run(client::connect_stream(config, wire, checker)).await;
        tracing::debug!(
            server = hop.label,
            ms = begun.elapsed().as_millis(),
            ok = matches!(result, Ok(Ok(_))),
            "key exchange"
        );
        let mut handle = match result {
            Ok(Ok(handle)) => handle,
            Ok(Err(stop)) => return Err(refusal(hop, stop, &leash, said).await),
            Err(Overdue(after)) if leash.greeted() => {
                return Err(Error::Timeout { peer: hop.peer(), doing: "key exchange", after }.into());
            }
            Err(_) => return Err(unreached(hop, ConnectFailure::Timeout, &leash, said).await.into()),
        };
        log_in(&mut handle, hop, keys, ask, &mut budget).await?;
        let host_key = presented.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Link { peer: hop.peer(), handle, host_key, rekeyed, _leash: leash })
    }
}

/// What reads the files that vouch for a hop.
fn known_hosts(hop: &Hop) -> impl FnOnce() -> io::Result<KnownHosts> + Send + 'static {
    let (files, names, revoked) = (hop.known_hosts(), hop.names.clone(), hop.revoked.clone());
    move || {
        let mut known = KnownHosts::read(&files, &names).map_err(io::Error::other)?;
        if let Some(file) = &revoked {
            known.revoke(file).map_err(io::Error::other)?;
        }
        Ok(known)
    }
}

/// Writes the key of a hop down, so that the next connection finds it.
pub(super) async fn learn(hop: &Hop, key: &PublicKey) -> Result<(), Error> {
    let local = |detail: String| Error::Local { peer: hop.peer(), detail };
    let file =
        hop.user_known_hosts.first().ok_or_else(|| local("there is no known_hosts file to add to".to_owned()))?;
    let adding = {
        let (file, names, key, hash) = (file.clone(), hop.names.clone(), key.clone(), hop.hash_known_hosts);
        move || remember(&file, &names, &key, hash)
    };
    file::in_time(file::PATIENCE, adding).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::TimedOut => {
                "it did not end in time: is the file locked by another process, or on a server that does not answer?"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        local(format!("cannot add its host key to {}: {why}", file.display()))
    })?;
    tracing::info!(server = hop.label, file = %file.display(), key = describe(key), "host key added");
    Ok(())
}

/// The bytes to a hop's SSH server.
async fn stream(hop: &Hop, before: Option<&Link>) -> Result<(Box<dyn Duplex>, Option<ProxyStderr>), Error> {
    match (&hop.via, before) {
        (Via::Command(command), None) => {
            let started = Proxy::start(command);
            let failed = |e| Error::Local { peer: hop.peer(), detail: format!("cannot start its ProxyCommand: {e}") };
            let (proxy, said) = started.map_err(failed)?;
            Ok((Box::new(proxy), Some(said)))
        }
        (_, None) => match dial(&hop.host, hop.port, TCP_LIMIT).await {
            Ok(stream) => Ok((Box::new(Tcp(stream)), None)),
            Err(Error::Connect { failure, source, .. }) => Err(Error::Connect { peer: hop.peer(), failure, source }),
            Err(error) => Err(error),
        },
        (_, Some(before)) => Ok((Box::new(direct(&before.handle, &before.peer, &hop.host, hop.port).await?), None)),
    }
}

/// A TCP connection from the server's side. `through` names the server in messages.
pub(super) async fn direct(
    handle: &Handle<Checker>,
    through: &str,
    host: &str,
    port: u16,
) -> Result<russh::ChannelStream<client::Msg>, Error> {
    let target = peer(host, port);
    let begun = Instant::now();
    let open = handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
    let fail = |failure, source| Error::Connect { peer: target.clone(), failure, source };
    let opened = tokio::time::timeout(DNS_LIMIT + TCP_LIMIT, open).await;
    tracing::debug!(peer = target, ms = begun.elapsed().as_millis(), ok = matches!(opened, Ok(Ok(_))), "forwarding");
    match opened {
        Ok(Ok(channel)) => Ok(channel.into_stream()),
        Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
            let detail = format!("it does not forward connections to {target} (AllowTcpForwarding in its sshd_config)");
            Err(Error::Denied { peer: through.to_owned(), why: Denial::Use, detail })
        }
        Ok(Err(russh::Error::ChannelOpenFailure(_))) => {
            Err(fail(ConnectFailure::NotForwarded, Some(io::Error::other(format!("{through} cannot connect to it")))))
        }
        // The server in between is lost: the host was not asked.
        Ok(Err(_)) => Err(fail(ConnectFailure::JumpHostFailed(ConnectFailure::Closed.as_str()), None)),
        Err(_) => Err(fail(ConnectFailure::Timeout, None)),
    }
}

fn config(known: &KnownHosts) -> client::Config {
    let (algorithms, authorities) = known.algorithms();
    let certificates = if authorities { algorithms.clone() } else { Vec::new() };
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-ecobox")),
        // As OpenSSH's client: by the amount of data, and not by time. What happens then is said at `kex_done`.
        limits: Limits { rekey_time_limit: NEVER, ..Limits::default() },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            cipher: Cow::Borrowed(CIPHERS),
            key: Cow::Owned(algorithms),
            host_key_certificates: Cow::Owned(certificates),
            compression: Cow::Borrowed(&[russh::compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// What the end of a key exchange means.
async fn refusal(hop: &Hop, stop: Stop, leash: &StreamMonitor, said: Option<ProxyStderr>) -> Refusal {
    let error = match stop {
        Stop::Unknown(key) => return Refusal::Unknown(key),
        Stop::Untrusted(what, detail) => Error::Untrusted { peer: hop.peer(), what, detail },
        Stop::Revoked(detail) => Error::Revoked { peer: hop.peer(), detail },
        Stop::Unproven(detail) => Error::Unproven { peer: hop.peer(), detail },
        Stop::Rekeyed => Error::Protocol { peer: hop.peer(), detail: REKEYED.to_owned() },
        Stop::Ssh(russh::Error::WrongServerSig) => {
            Error::Unproven { peer: hop.peer(), detail: "it cannot prove that it has its host key".to_owned() }
        }
        Stop::Ssh(russh::Error::Version) => {
            let said = leash.excerpt().map(|text| format!(", it said \"{text}\"")).unwrap_or_default();
            Error::Protocol { peer: hop.peer(), detail: format!("it does not speak SSH 2{said}") }
        }
        Stop::Ssh(russh::Error::IO(e)) if !leash.greeted() => unreached(hop, ConnectFailure::of(&e), leash, said).await,
        Stop::Ssh(_) if !leash.greeted() => unreached(hop, ConnectFailure::Closed, leash, said).await,
        Stop::Ssh(russh::Error::NoCommonAlgo { kind, ours, theirs }) => {
            Error::Protocol { peer: hop.peer(), detail: nothing_in_common(&kind, &ours, &theirs) }
        }
        Stop::Ssh(e) => Error::Protocol { peer: hop.peer(), detail: format!("key exchange: {e}") },
    };
    error.into()
}

/// That a server offers nothing that is taken here, with its offer: what may be changed is there.
fn nothing_in_common(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> String {
    let (what, option) = match kind {
        AlgorithmKind::Kex => ("key exchange", Some("KexAlgorithms")),
        AlgorithmKind::Key => ("host key", Some("HostKeyAlgorithms")),
        AlgorithmKind::Cipher => ("cipher", Some("Ciphers")),
        AlgorithmKind::Mac => ("MAC", Some("MACs")),
        AlgorithmKind::Compression => ("compression", None),
    };
    let extension = |name: &&String| !name.starts_with("ext-info-") && !name.starts_with("kex-strict-");
    let list = |names: &[String]| names.iter().filter(extension).cloned().collect::<Vec<_>>().join(", ");
    let change = option.map(|option| format!(" ({option} in its sshd_config)")).unwrap_or_default();
    format!("it offers no {what} that ecobox takes, only {}; ecobox takes {}{change}", list(theirs), list(ours))
}

/// No SSH server answered. What somebody else said is the error's source.
async fn unreached(hop: &Hop, failure: ConnectFailure, leash: &StreamMonitor, said: Option<ProxyStderr>) -> Error {
    let complaint = match said {
        Some(said) => said.excerpt().await,
        None => None,
    };
    let complaint = complaint.map(|text| format!("its ProxyCommand says: {text}"));
    let text = complaint.or_else(|| leash.excerpt().map(|text| format!("it says: {text}")));
    Error::Connect { peer: hop.peer(), failure, source: text.map(|text| io::Error::other(Said(text))) }
}
