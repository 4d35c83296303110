//! From what went wrong to `transport::Error`.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;

use crate::model::id::TokenId;
use crate::transport::{self, ConnectFailure};

use super::answers::ErrorBody;
use super::tls::{causes, handshake_error, tls_error};

/// An error, and whether the same call may well succeed a moment later.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: transport::Error,
    pub(super) passing: bool,
}

/// The host's name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ResolveFailed(pub(super) io::Error);

/// What an error of reqwest means. `label` names the server, `peer` is `host:port`.
pub(super) fn of_reqwest(error: &reqwest::Error, label: &str, peer: &str, patience: Duration) -> Failure {
    if let Some(tls) = tls_error(error) {
        return Failure { error: handshake_error(tls, label), passing: false };
    }
    let connect = |failure, source| transport::Error::Connect { peer: format!("{label} ({peer})"), failure, source };
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
        _ if cut => "the connection was closed within the answer".to_owned(),
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

/// PVE's words for an error: the reason phrase, else the body's `message`, and what `errors` says of parameters.
pub(super) fn reason(status: StatusCode, phrase: Option<String>, body: &[u8]) -> String {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let standard = || status.canonical_reason().unwrap_or("no reason given").to_owned();
    let message = body.message.map(|message| message.trim().to_owned());
    let given = phrase.into_iter().chain(message).find(|text| !text.is_empty());
    let mut reason = given.unwrap_or_else(standard);
    if !body.errors.is_empty() {
        let errors: Vec<String> = body.errors.iter().map(|(name, text)| format!("{name}: {}", text.trim())).collect();
        reason = format!("{} ({})", reason.trim_end_matches('.'), errors.join("; "));
    }
    reason
}

/// What an HTTP status other than 2xx means.
///
/// 595: the node that was asked could not connect to the one that should answer; 596 to 599: the connection
/// between them failed. All of them pass when a node has just started or stopped.
pub(super) fn of_status(status: StatusCode, reason: String, label: &str, token: &TokenId, path: &str) -> Failure {
    let peer = label.to_owned();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Failure {
            error: transport::Error::Denied { peer, detail: format!("token {token}: {reason}") },
            passing: false,
        };
    }
    let error = transport::Error::Api { peer, method: "GET", path: path.to_owned(), status: status.as_u16(), reason };
    Failure { error, passing: matches!(status.as_u16(), 595 | 596 | 599) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_name_without_an_address() {
        struct NoNames;
        impl reqwest::dns::Resolve for NoNames {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                let failed = ResolveFailed(io::Error::other("Name or service not known"));
                Box::pin(std::future::ready(Err(failed.into())))
            }
        }
        let tls = crate::transport::pve::tls::client_config(crate::transport::pve::tls::Verifier::new(
            crate::transport::pve::trust::Rule::Anything,
        ));
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls.unwrap()).dns_resolver(Arc::new(NoNames));
        let error = client.build().unwrap().get("https://pve1:8006/").send().await.unwrap_err();
        let Failure { error, passing } = of_reqwest(&error, "pve1", "pve1:8006", Duration::from_secs(10));
        assert_eq!(error.to_string(), "cannot reach pve1 (pve1:8006): the name has no address");
        assert!(!passing);
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "Name or service not known");
    }
}
