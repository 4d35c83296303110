//! What all that is asked over HTTP shares: the manners of a client, the pace of a body, and what failures mean.

use std::any::Any;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use crate::transport::tls::{causes, handshake_error, tls_error};
use crate::transport::{self, ConnectFailure};

/// What is said of an answer that has no end.
pub(super) const CUT: &str = "the connection was closed within the answer";

/// Who is asked, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'a> {
    /// Its name.
    pub(super) label: &'a str,
    /// `host:port`
    pub(super) address: &'a str,
}

/// How much of a body is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Bytes.
    pub(super) cap: usize,
    /// Without anything coming.
    pub(super) patience: Duration,
    /// Bytes a second, counted after `patience`.
    pub(super) slowest: u128,
    /// For all of it: who sends a little now and then must not hold up the command for hours.
    pub(super) longest: Duration,
}

/// A client that asks the given server and no other: no proxy, no redirect, no second try. `tls` is rustls'
/// configuration.
pub(super) fn builder(tls: impl Any, resolve: Duration, connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("ecobox/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .dns_resolver(Arc::new(Resolver { deadline: resolve }))
        .connect_timeout(connect)
}

/// The body of an answer, chunk by chunk; `None`: it is larger than the cap.
pub(super) async fn read(mut response: Response, peer: Peer<'_>, pace: Pace) -> Result<Option<Vec<u8>>, Failure> {
    let Pace { cap, patience, slowest, longest } = pace;
    let declared = response.content_length().unwrap_or(0);
    let Some(declared) = usize::try_from(declared).ok().filter(|length| *length <= cap) else { return Ok(None) };
    let mut body = Vec::with_capacity(declared);
    let begun = Instant::now();
    loop {
        let patience = patience.min(longest.saturating_sub(begun.elapsed()));
        let chunk = match timeout(patience, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(Some(body)),
            Ok(Err(error)) => return Err(of_reqwest(&error, peer, patience)),
            Err(_) => return Err(too_slow(peer.label, patience.max(begun.elapsed()))),
        };
        if body.len() + chunk.len() > cap {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
        let elapsed = begun.elapsed();
        if elapsed > patience && body.len() as u128 * 1000 < elapsed.as_millis() * slowest {
            return Err(too_slow(peer.label, elapsed));
        }
    }
}

/// The answer did not come in time.
pub(super) fn too_slow(label: &str, after: Duration) -> Failure {
    Failure::lasting(transport::Error::Timeout { peer: label.to_owned(), doing: "waiting for the answer", after })
}

/// An error, and whether the same call may well succeed a moment later.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: transport::Error,
    pub(super) passing: bool,
}

/// The host's name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ResolveFailed(io::Error);

/// What an error of reqwest means.
pub(super) fn of_reqwest(error: &reqwest::Error, peer: Peer<'_>, patience: Duration) -> Failure {
    let Peer { label, address } = peer;
    if let Some(tls) = tls_error(error) {
        return Failure { error: handshake_error(tls, label), passing: false };
    }
    let connect = |failure, source| transport::Error::Connect { peer: format!("{label} ({address})"), failure, source };
    if let Some(ResolveFailed(cause)) = causes(error).find_map(<dyn Error>::downcast_ref) {
        let source = io::Error::new(cause.kind(), cause.to_string());
        return Failure { error: connect(ConnectFailure::Resolve, Some(source)), passing: false };
    }
    let cause = system_error(error);
    if error.is_connect() {
        let failure = if error.is_timeout() {
            ConnectFailure::Timeout
        } else {
            cause.as_ref().map_or(ConnectFailure::Other, ConnectFailure::of)
        };
        return Failure { error: connect(failure, cause), passing: true };
    }
    if error.is_timeout() {
        let error =
            transport::Error::Timeout { peer: label.to_owned(), doing: "waiting for the answer", after: patience };
        return Failure { error, passing: false };
    }
    // The connection stood: closed before or within the answer, or what came is no HTTP.
    let http = causes(error).find_map(<dyn Error>::downcast_ref::<hyper::Error>);
    let cut = cause.is_some() || http.is_some_and(hyper::Error::is_incomplete_message);
    let detail = match http {
        _ if cut => CUT.to_owned(),
        Some(http) if http.is_parse() => format!("no valid HTTP ({http})"),
        // reqwest's own text only says that something failed.
        _ => causes(error).last().map_or_else(String::new, ToString::to_string),
    };
    Failure { error: transport::Error::Protocol { peer: label.to_owned(), detail }, passing: cut }
}

/// The system's error behind it: the outer ones of kind `Other` only wrap it.
fn system_error(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let all = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let cause = all.min_by_key(|cause| cause.kind() == io::ErrorKind::Other)?;
    Some(io::Error::new(cause.kind(), cause.to_string()))
}

impl Failure {
    /// One that another try at once would meet again.
    pub(super) fn lasting(error: transport::Error) -> Failure {
        Failure { error, passing: false }
    }
}

/// The system's resolver with a deadline and an error that can be told from others.
struct Resolver {
    deadline: Duration,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let deadline = self.deadline;
        Box::pin(async move {
            match timeout(deadline, tokio::net::lookup_host((name.as_str(), 0))).await {
                Ok(Ok(found)) => Ok(Box::new(found.collect::<Vec<SocketAddr>>().into_iter()) as Addrs),
                Ok(Err(error)) => Err(ResolveFailed(error).into()),
                Err(_) => Err(ResolveFailed(std::io::ErrorKind::TimedOut.into()).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::access::certificate::Trust;
    use crate::transport::tls;

    #[tokio::test]
    async fn a_name_without_an_address() {
        struct NoNames;
        impl reqwest::dns::Resolve for NoNames {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                let failed = ResolveFailed(io::Error::other("Name or service not known"));
                Box::pin(std::future::ready(Err(failed.into())))
            }
        }
        let tls = tls::trusting(&Trust::Insecure).unwrap();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).dns_resolver(Arc::new(NoNames));
        let error = client.build().unwrap().get("https://pve1:8006/").send().await.unwrap_err();
        let peer = Peer { label: "pve1", address: "pve1:8006" };
        let Failure { error, passing } = of_reqwest(&error, peer, Duration::from_secs(10));
        assert_eq!(error.to_string(), "cannot reach pve1 (pve1:8006): the name has no address");
        assert!(!passing);
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "Name or service not known");
    }
}
