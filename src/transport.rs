//! One protocol per file. This layer knows addresses and bytes, not commands, configuration or output.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

pub(crate) mod child;
pub(crate) mod foreground;
#[cfg(any(test, fuzzing))]
pub(crate) mod foreign;
pub(crate) mod held_script;
mod http;
pub(crate) mod local;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod pve;
pub(crate) mod script;
pub(crate) mod ssh;
mod tls;
pub(crate) mod wol;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::id::NodeName;
use crate::model::inventory::FailureKind;

/// The service of a Proxmox VE node that carries out what pveproxy does not do itself.
pub(crate) const PVEDAEMON: &str = "pvedaemon";

/// The service that has the cluster's files: pmxcfs.
pub(crate) const PVE_CLUSTER: &str = "pve-cluster";

/// Why a connection could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// The name has no address.
    Resolve,
    /// The port is closed; the machine itself answered.
    Refused,
    /// Somebody near the host says that it does not answer: this machine for a network that it is attached to itself
    /// (no answer to ARP), else the router there. A firewall that rejects can say the same; it says it of this host.
    Unreachable,
    /// There is no way to the host's network: this machine has none, or a router that was asked has none.
    NoNetwork,
    /// No answer in time.
    Timeout,
    /// The peer closed before the protocol began: a firewall, or a service that starts.
    Closed,
    /// The jump host's sshd could not connect to it: it found no address, or nothing answered there. Which of them is
    /// only in its log.
    NotForwarded,
    /// A jump host before it could not be reached, for this reason, or was lost.
    JumpHostFailed(&'static str),
    /// This process, or this machine, may open no more files: nothing was asked.
    NoFiles,
    /// Any other error of the system.
    Other,
}

impl ConnectFailure {
    /// The failure that a system error stands for.
    pub(crate) fn of(error: &std::io::Error) -> ConnectFailure {
        use rustix::io::Errno;
        use std::io::ErrorKind;
        if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
            return ConnectFailure::NoFiles;
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            ErrorKind::HostUnreachable => ConnectFailure::Unreachable,
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => ConnectFailure::NoNetwork,
            ErrorKind::TimedOut => ConnectFailure::Timeout,
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => ConnectFailure::Closed,
            _ => ConnectFailure::Other,
        }
    }

    /// Whether the host itself was reached, and did not take the connection. Otherwise the attempt did not
    /// get that far.
    pub(crate) fn reached_host(self) -> bool {
        match self {
            ConnectFailure::Refused
            | ConnectFailure::Unreachable
            | ConnectFailure::Timeout
            | ConnectFailure::Closed
            | ConnectFailure::NotForwarded => true,
            ConnectFailure::Resolve
            | ConnectFailure::NoNetwork
            | ConnectFailure::JumpHostFailed(_)
            | ConnectFailure::NoFiles
            | ConnectFailure::Other => false,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ConnectFailure::Resolve => "the name has no address",
            ConnectFailure::Refused => "connection refused",
            ConnectFailure::Unreachable => "no route to host",
            ConnectFailure::NoNetwork => "this machine has no way to its network",
            ConnectFailure::Timeout => "no answer",
            ConnectFailure::Closed => "connection closed",
            ConnectFailure::NotForwarded => "its jump host cannot connect to it",
            ConnectFailure::JumpHostFailed(why) => why,
            ConnectFailure::NoFiles => "too many open files here (`ulimit -n`)",
            ConnectFailure::Other => "cannot connect",
        }
    }
}

/// What was said in place of an answer, by a `ProxyCommand` or by who is no SSH server: the only one who knows the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(String);

/// The words for a message that shows no sources.
fn said(source: Option<&std::io::Error>) -> String {
    let said = source.and_then(std::io::Error::get_ref).and_then(|source| source.downcast_ref::<Said>());
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}

/// What is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The SSH host key: where the recorded one stands, and under which name.
    HostKey { file: PathBuf, name: String },
    /// The API's certificate: the SHA-256 of the one that was presented.
    Certificate { presented: Option<String> },
}

/// What is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denial {
    /// SSH: no key of those offered is accepted.
    Key(Box<Account>),
    /// SSH: there was none to offer.
    NoKey(Box<Account>),
    /// SSH: this key file stayed closed.
    Locked(PathBuf),
    /// SSH: a key is not enough.
    NotEnough,
    /// SSH: no keys are taken.
    NoKeysTaken,
    /// SSH: the login may do nothing, or not this.
    Use,
    /// The configuration says that the server has no SSH.
    NoSsh,
    /// The credentials of a request.
    Token,
    /// What the credentials may do.
    Privilege,
}

/// Where somebody tried to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The server's id, or a jump host's name.
    pub(crate) label: String,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Who answers in the place of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// Another service.
    Service,
    /// Something that sends elsewhere.
    Redirect,
    /// A proxy that refuses by itself.
    Login,
}

/// What went wrong between ecobox and one peer. The first four kinds mean that nothing was done there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing was sent: it may be tried again, or at another address.
    #[error("cannot reach {peer}: {}{}", failure.as_str(), said(source.as_ref()))]
    Connect {
        /// `host:port`
        peer: String,
        failure: ConnectFailure,
        #[source]
        source: Option<std::io::Error>,
    },
    /// The SSH host key is not in `known_hosts`. Only `init` may ask about it.
    #[error("the host key of {peer} is not known ({fingerprint})")]
    UnknownHostKey { peer: String, fingerprint: String },
    /// The peer's key or certificate is not the recorded one. Never retried.
    #[error("{peer} is not who it should be: {detail}")]
    Untrusted { peer: String, what: Mismatch, detail: String },
    /// The peer's host key was revoked, in the place that the detail names. Never retried, and never to be forgotten.
    #[error("{peer} is not who it should be: {detail}")]
    Revoked { peer: String, detail: String },
    /// The peer could not prove who it is; what is recorded of it may be right. Never retried.
    #[error("{peer} is not who it should be: {detail}")]
    Unproven { peer: String, detail: String },
    /// Credentials were rejected, or a privilege is missing.
    #[error("{peer} refused: {detail}")]
    Denied { peer: String, why: Denial, detail: String },
    /// Nothing was asked, for there is no API token that could be shown.
    #[error("{peer}: {detail}")]
    NoToken { peer: String, detail: String },
    /// The API answered with an error; `reason` is its own text.
    #[error("{peer} answered {status} to {method} {path}: {reason}")]
    Api { peer: String, method: &'static str, path: String, status: u16, reason: String },
    /// Something else answered: another service, or a proxy in front of the API.
    #[error("{peer} {detail}")]
    Stranger { peer: String, who: Stranger, detail: String },
    /// The API answers, and a service behind it is down: `pvedaemon` on that node, or `pve-cluster`. Nothing was done.
    #[error("{peer}: {service}{} is down: {reason}", node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default())]
    ServiceDown { peer: String, service: &'static str, node: Option<NodeName>, reason: String },
    /// The peer answered something that is no valid answer.
    #[error("{peer} sent an unusable answer: {detail}")]
    Protocol { peer: String, detail: String },
    /// Something on this machine is in the way: an unreadable file, a missing program. Nothing was sent to the peer.
    #[error("{peer}: {detail}")]
    Local { peer: String, detail: String },
    /// The connection stood, and the answer did not come in time.
    #[error("{peer} did not answer within {} s ({doing})", (after.as_secs_f64() * 10.0).round() / 10.0)]
    Timeout { peer: String, doing: &'static str, after: Duration },
}

impl Error {
    /// The class of the failure.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Error::Connect { .. }
            | Error::Timeout { .. }
            | Error::ServiceDown { .. }
            // The node that was asked could not reach the one that should answer.
            | Error::Api { status: 595..=599, .. } => FailureKind::Unreachable,
            Error::UnknownHostKey { .. } | Error::Untrusted { .. } | Error::Revoked { .. } | Error::Unproven { .. } => {
                FailureKind::Identity
            }
            Error::Denied { .. } | Error::NoToken { .. } => FailureKind::Denied,
            Error::Api { .. } | Error::Stranger { .. } | Error::Protocol { .. } | Error::Local { .. } => {
                FailureKind::Failed
            }
        }
    }

    /// Who it is about: `label`, `label (host:port)` or `host:port`.
    pub(crate) fn peer(&self) -> &str {
        match self {
            Error::Connect { peer, .. }
            | Error::UnknownHostKey { peer, .. }
            | Error::Untrusted { peer, .. }
            | Error::Revoked { peer, .. }
            | Error::Unproven { peer, .. }
            | Error::Denied { peer, .. }
            | Error::NoToken { peer, .. }
            | Error::Api { peer, .. }
            | Error::Stranger { peer, .. }
            | Error::ServiceDown { peer, .. }
            | Error::Protocol { peer, .. }
            | Error::Local { peer, .. }
            | Error::Timeout { peer, .. } => peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn what_tells_of_the_host_is_told_apart_from_what_does_not() {
        for (error, failure, of_host) in [
            (ErrorKind::ConnectionRefused, ConnectFailure::Refused, true),
            (ErrorKind::HostUnreachable, ConnectFailure::Unreachable, true),
            (ErrorKind::NetworkUnreachable, ConnectFailure::NoNetwork, false),
            (ErrorKind::NetworkDown, ConnectFailure::NoNetwork, false),
            (ErrorKind::TimedOut, ConnectFailure::Timeout, true),
            (ErrorKind::ConnectionReset, ConnectFailure::Closed, true),
            (ErrorKind::AddrNotAvailable, ConnectFailure::Other, false),
        ] {
            assert_eq!(ConnectFailure::of(&error.into()), failure);
            assert_eq!(failure.reached_host(), of_host, "{failure:?}");
        }
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            assert_eq!(ConnectFailure::of(&errno.into()), ConnectFailure::NoFiles);
        }
        assert!(
            ConnectFailure::NotForwarded.reached_host() && !ConnectFailure::JumpHostFailed("no answer").reached_host()
        );
    }

    #[test]
    fn each_error_has_its_class_and_its_words() {
        use FailureKind::{Denied, Failed, Identity, Unreachable};
        let (peer, detail) = (|| "pve1".to_owned(), || "why".to_owned());
        let connect = |failure| Error::Connect { peer: "pve1:8006".to_owned(), failure, source: None };
        let api =
            Error::Api { peer: peer(), method: "GET", path: "/version".to_owned(), status: 500, reason: detail() };
        let timeout = Error::Timeout { peer: peer(), doing: "waiting", after: Duration::from_millis(1500) };
        let login = Error::Timeout { peer: peer(), doing: "logging in", after: Duration::from_secs(20) };
        let service = |service, node: Option<&str>| Error::ServiceDown {
            peer: peer(),
            service,
            node: node.map(|node| node.parse().unwrap()),
            reason: detail(),
        };
        let no_route = Error::Api {
            peer: peer(),
            method: "GET",
            path: "/nodes/pve2/qemu".to_owned(),
            status: 595,
            reason: "No route to host".to_owned(),
        };
        let what = Mismatch::Certificate { presented: None };
        let stranger = Error::Stranger { peer: peer(), who: Stranger::Redirect, detail: "answered 302".to_owned() };
        let table = [
            (no_route, Unreachable, "pve1 answered 595 to GET /nodes/pve2/qemu"),
            (service(PVEDAEMON, Some("pve2")), Unreachable, "pve1: pvedaemon on pve2 is down: why"),
            (service(PVE_CLUSTER, None), Unreachable, "pve1: pve-cluster is down: why"),
            (login, Unreachable, "within 20 s (logging in)"),
            (timeout, Unreachable, "pve1 did not answer within 1.5 s (waiting)"),
            (connect(ConnectFailure::Refused), Unreachable, "cannot reach pve1:8006: connection refused"),
            (connect(ConnectFailure::Timeout), Unreachable, "cannot reach pve1:8006: no answer"),
            (connect(ConnectFailure::Unreachable), Unreachable, "cannot reach pve1:8006: no route"),
            (connect(ConnectFailure::Other), Unreachable, "cannot reach pve1:8006: cannot connect"),
            (connect(ConnectFailure::NoNetwork), Unreachable, "this machine has no way to its"),
            (connect(ConnectFailure::NotForwarded), Unreachable, "its jump host cannot connect"),
            (connect(ConnectFailure::JumpHostFailed("no answer")), Unreachable, "pve1:8006: no answer"),
            (connect(ConnectFailure::Resolve), Unreachable, "the name has no address"),
            (connect(ConnectFailure::Closed), Unreachable, "connection closed"),
            (
                Error::UnknownHostKey { peer: peer(), fingerprint: "SHA256:x".to_owned() },
                Identity,
                "the host key of pve1 is not known (SHA256:x)",
            ),
            (Error::Untrusted { peer: peer(), what, detail: detail() }, Identity, "pve1 is not who it should be: why"),
            (Error::Revoked { peer: peer(), detail: detail() }, Identity, "pve1 is not who it should be: why"),
            (Error::Unproven { peer: peer(), detail: detail() }, Identity, "pve1 is not who it should be: why"),
            (Error::Denied { peer: peer(), why: Denial::Use, detail: detail() }, Denied, "pve1 refused: why"),
            (Error::NoToken { peer: peer(), detail: detail() }, Denied, "pve1: why"),
            (api, Failed, "pve1 answered 500 to GET /version: why"),
            (stranger, Failed, "pve1 answered 302"),
            (Error::Protocol { peer: peer(), detail: detail() }, Failed, "pve1 sent an unusable answer: why"),
            (Error::Local { peer: peer(), detail: detail() }, Failed, "pve1: why"),
        ];
        for (error, kind, words) in table {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words) && error.peer().starts_with("pve1"), "{error}");
        }
    }
}
