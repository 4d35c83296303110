//! One POST to a Prometheus server: who asks, whom it trusts, how long it may take, and what its errors mean.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, StatusCode, Url};
use tokio::time::timeout;

use crate::model::access::certificate::Trust;
use crate::model::hint::HintId;
use crate::model::id::Secret;
use crate::model::inventory::FailureKind;
use crate::model::text::clean;
use crate::transport::http::{self, Failure, Pace, Peer};
use crate::transport::tls;
use crate::transport::{self, ConnectFailure, Denial};

/// How it is called in messages.
const LABEL: &str = "Prometheus";

/// How long and how much.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For the name.
    pub(super) resolve: Duration,
    /// For the connection and the TLS handshake.
    pub(super) connect: Duration,
    /// Until the answer begins, and between its parts.
    pub(super) patience: Duration,
    /// For all of an answer.
    pub(super) longest: Duration,
    /// Bytes of an answer.
    pub(super) body: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(5),
            patience: Duration::from_secs(15),
            longest: Duration::from_secs(60),
            body: 32 << 20,
        }
    }
}

/// Bytes a second of an answer, once it has taken longer than one may wait.
const SLOWEST: u128 = 1024;
/// The most of an error's body that is read, and that is shown.
const ERROR_BODY: usize = 64 << 10;
const SHOWN: usize = 300;

/// Who asks, and how the peer proves who it is.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) auth: Auth,
    /// The CAs (PEM) that an https certificate must come from; `None`: those of this machine.
    pub(crate) ca_pem: Option<String>,
}

/// What is shown with each request.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    None,
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

/// Why Prometheus did not take or give numbers.
///
/// The transports' own error is inside, and is no source: its advice is about hosts.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Error {
    error: transport::Error,
    /// Whether the same request can never succeed.
    last_word: bool,
}

impl Error {
    /// Something about the answer that cannot be right.
    pub(super) fn unusable(detail: String) -> Error {
        transport::Error::Protocol { peer: LABEL.to_owned(), detail }.into()
    }

    /// Whether what was sent is refused for good: out of order, a duplicate, invalid. Otherwise it may be sent again
    /// later: nothing answered, the server is busy, or it is set up otherwise than the configuration says, which says
    /// nothing about the numbers.
    pub(crate) fn is_final(&self) -> bool {
        self.last_word
    }

    /// The class of the failure.
    pub(crate) fn kind(&self) -> FailureKind {
        self.error.kind()
    }

    /// The status that Prometheus answered with.
    pub(super) fn status(&self) -> Option<u16> {
        match &self.error {
            transport::Error::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What a person can do about it, where the error alone says so.
    pub(crate) fn advice(&self) -> Option<HintId> {
        match &self.error {
            transport::Error::Denied { .. } => Some(HintId::PrometheusLogin),
            transport::Error::Untrusted { .. } => Some(HintId::PrometheusCertificate),
            transport::Error::Api { status: 404 | 405, .. } => Some(HintId::PrometheusPath),
            transport::Error::Connect { failure: ConnectFailure::Resolve | ConnectFailure::Refused, .. } => {
                Some(HintId::PrometheusAway)
            }
            _ => None,
        }
    }
}

impl From<transport::Error> for Error {
    fn from(error: transport::Error) -> Error {
        Error { error, last_word: false }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error.into()
    }
}

/// One URL of a Prometheus server. It connects when it is first asked, and keeps the connection.
#[derive(Debug)]
pub(super) struct Client {
    url: Url,
    /// `host:port`
    address: String,
    auth: Auth,
    http: reqwest::Client,
    pub(super) limits: Limits,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// `Local` where the URL, the CA or the secret cannot be used.
    pub(super) fn new(url: &str, access: Access, limits: Limits) -> Result<Client, Error> {
        let local = |detail: String| Error::from(transport::Error::Local { peer: LABEL.to_owned(), detail });
        // Neither error repeats what it is about.
        let url = Url::parse(url).map_err(|error| local(format!("its URL cannot be used ({error})")))?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https") && url.username().is_empty());
        let host = host.ok_or_else(|| local("its URL cannot be used".to_owned()))?;
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let trust = access.ca_pem.map_or(Trust::PublicCa, |pem| Trust::CaFile { pem, node: None });
        let tls = tls::trusting(&trust).map_err(local)?;
        let http = http::builder(tls, limits.resolve, limits.connect).build();
        let http = http.map_err(|error| local(error.to_string()))?;
        if let Auth::Bearer(token) = &access.auth {
            let usable = !token.expose().is_empty() && HeaderValue::from_str(token.expose()).is_ok();
            usable
                .then_some(())
                .ok_or_else(|| local("the bearer token is empty, or has invalid characters".to_owned()))?;
        }
        Ok(Client { url, address, auth: access.auth, http, limits })
    }

    /// A POST to the URL with `path` behind it, with the sensitive header that says who asks.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        if !path.is_empty() {
            url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        }
        let request = self.http.post(url);
        match &self.auth {
            Auth::None => request,
            Auth::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
            Auth::Bearer(token) => request.bearer_auth(token.expose()),
        }
    }

    /// Sends it: the body of a good answer, `None` where that is larger than it may be.
    pub(super) async fn answer(&self, request: RequestBuilder, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let peer = Peer { label: LABEL, address: &self.address };
        let patience = self.limits.patience;
        let begun = std::time::Instant::now();
        let path = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let response = match timeout(patience, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(http::of_reqwest(&error, peer, patience).into()),
            Err(_) => return Err(http::too_slow(LABEL, patience).into()),
        };
        let status = response.status();
        let milliseconds = begun.elapsed().as_millis();
        tracing::debug!(server = LABEL, method = "POST", path, status = status.as_u16(), milliseconds, "api call");
        let cap = if status.is_success() { self.limits.body } else { ERROR_BODY };
        let body =
            http::read(response, peer, Pace { cap, patience, slowest: SLOWEST, longest: self.limits.longest }).await;
        if status.is_success() {
            return Ok(body?);
        }
        // The body only adds to the reason; without it the answer is as good.
        let body = body.ok().flatten().unwrap_or_default();
        Err(of_status(status, reason(status, &body), path, is_page(&body)))
    }
}

/// Prometheus's own words: the `error` of JSON, or plain text.
fn reason(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
    }
    let text = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error,
        // It tells less than the status.
        Err(_) if is_page(body) => String::new(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    match shown(&text) {
        text if text.is_empty() => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        text => text,
    }
}

/// Whether it is a web page: Prometheus does not answer with one, but a proxy in front of it does, or another program.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// A foreign text on one line, cut to a readable length.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN).and_then(|(end, _)| text.get(..end)) {
        Some(begin) => format!("{}…", clean(begin)),
        None => clean(text).into_owned(),
    }
}

fn of_status(status: StatusCode, reason: String, path: String, is_page: bool) -> Error {
    let peer = LABEL.to_owned();
    let number = status.as_u16();
    // Go's words where `http://` should be `https://`.
    let without_tls = reason.contains("HTTP request to an HTTPS server");
    let error = match number {
        401 | 403 => transport::Error::Denied { peer, why: Denial::Token, detail: format!("{number} {reason}") },
        _ => transport::Error::Api { peer, method: "POST", path, status: number, reason },
    };
    // What says something about the server or the moment: who may ask, where it listens, that it is busy.
    let about_the_server = matches!(number, 401 | 403 | 404 | 405 | 407 | 408 | 425 | 429) || is_page || without_tls;
    Error { error, last_word: status.is_client_error() && !about_the_server }
}
