//! One protocol per file. This layer knows addresses and bytes, not commands, configuration or output.

pub(crate) mod local;
pub(crate) mod probe;
pub(crate) mod pve;
pub(crate) mod script;
pub(crate) mod ssh;

use std::time::Duration;

/// Why a connection could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// The name has no address.
    Resolve,
    /// The port is closed; the machine itself answered.
    Refused,
    /// No route, or the network is down.
    Unreachable,
    /// Nobody answered in time.
    Timeout,
    /// The peer closed before the protocol began: a firewall, or a service that starts.
    Closed,
    /// Any other error of the system.
    Other,
}

impl ConnectFailure {
    /// The failure that a system error stands for.
    pub(crate) fn of(error: &std::io::Error) -> ConnectFailure {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                ConnectFailure::Unreachable
            }
            ErrorKind::TimedOut => ConnectFailure::Timeout,
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => ConnectFailure::Closed,
            _ => ConnectFailure::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ConnectFailure::Resolve => "the name has no address",
            ConnectFailure::Refused => "connection refused",
            ConnectFailure::Unreachable => "no route to host",
            ConnectFailure::Timeout => "no answer",
            ConnectFailure::Closed => "connection closed",
            ConnectFailure::Other => "cannot connect",
        }
    }
}

/// What went wrong between ecobox and one peer. The first four kinds mean that nothing was done there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing was sent: it may be tried again, or at another address.
    #[error("cannot reach {peer}: {}", failure.as_str())]
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
    Untrusted { peer: String, detail: String },
    /// Credentials were rejected, or a privilege is missing.
    #[error("{peer} refused: {detail}")]
    Denied { peer: String, detail: String },
    /// The API answered with an error; `reason` is its own text.
    #[error("{peer} answered {status} to {method} {path}: {reason}")]
    Api { peer: String, method: &'static str, path: String, status: u16, reason: String },
    /// The peer answered something that is no valid answer.
    #[error("{peer} sent an unusable answer: {detail}")]
    Protocol { peer: String, detail: String },
    /// Something on this machine is in the way: an unreadable file, a missing program. Nothing was sent to the peer.
    #[error("{peer}: {detail}")]
    Local { peer: String, detail: String },
    /// The connection stood, and the answer did not come in time.
    #[error("{peer} did not answer within {} s ({doing})", after.as_secs_f32())]
    Timeout { peer: String, doing: &'static str, after: Duration },
}
