//! A client of one node's API, and its GETs: TLS, deadlines, the body's cap, and what errors mean.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::time::timeout;

use crate::model::access::certificate::Trust;
use crate::model::id::{Token, TokenId};
use crate::transport::http::{self, Failure, Pace, Peer};
use crate::transport::tls::rule::{Presented, Rule};
use crate::transport::tls::{Verifier, client_config};
use crate::transport::{Error, Mismatch, PVEDAEMON, Stranger};

use super::clock::Ahead;
use super::failure;
use super::repair_json;

/// One node's API, how it is trusted, and the token that it takes.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The server's id, for messages.
    pub(crate) label: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that the configuration has for it, which a certificate may have, too, whatever is dialled.
    pub(crate) name: String,
    pub(crate) trust: Trust,
    pub(crate) token: Token,
}

/// How long and how much.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For the name.
    pub(super) resolve: Duration,
    /// For the connection and the TLS handshake.
    pub(super) connect: Duration,
    /// Without anything coming.
    pub(super) read: Duration,
    /// Like `read`, if another node may have to answer: PVE itself gives up after 30 s.
    pub(super) proxied: Duration,
    /// For one exchange, from the question to the end of the answer.
    pub(super) exchange: Duration,
    /// Bytes a second, counted after `read`.
    pub(super) slowest: u128,
    /// Bytes.
    pub(super) body: usize,
    /// Bytes of what a guest wrote.
    pub(super) guest_body: usize,
    pub(super) retries: u32,
    /// Between two tries, in milliseconds.
    pub(super) pause: Range<u64>,
    /// Only what failed within this time is tried again: who waited for a dead host does not wait thrice.
    pub(super) retry_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(5),
            read: Duration::from_secs(10),
            proxied: Duration::from_secs(40),
            exchange: Duration::from_secs(60),
            slowest: 1024,
            body: 32 << 20,
            guest_body: 1 << 20,
            retries: 2,
            pause: 100..1000,
            retry_within: Duration::from_secs(3),
        }
    }
}

/// Which limits hold for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The node that is asked.
    Itself,
    /// Any node, which the one that is asked may have to ask.
    Node,
    /// A guest on any node.
    Guest,
}

/// The most of an error's body that is read.
const ERROR_BODY: usize = 64 << 10;

/// A client of one node's API. It connects when it is first used, and keeps the connection for the next GET.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) label: String,
    /// `host:port`
    peer: String,
    /// `https://host:port/api2/json`
    pub(super) base: String,
    pub(super) authorization: HeaderValue,
    pub(super) token: TokenId,
    http: reqwest::Client,
    /// For connections that nothing else uses.
    pub(super) tls: ClientConfig,
    verifier: Arc<Verifier>,
    pub(super) limits: Limits,
    /// When the command that asks ends.
    until: Option<Instant>,
    pub(super) ahead: Ahead,
}

impl Client {
    /// The id of the server whose API it is.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Connects to nothing yet. Fails where the recorded CA or the host's name cannot be used.
    pub(crate) fn new(endpoint: Endpoint) -> Result<Client, Error> {
        Client::with_limits(endpoint, Limits::default())
    }

    /// Like `new`, for a command that has time until then, and for one exchange no more than `exchange`.
    #[must_use]
    pub(crate) fn within(mut self, until: Instant, exchange: Duration) -> Client {
        self.until = Some(until);
        self.limits.exchange = exchange;
        self
    }

    /// How long the next exchange may take. The last second of a command is for what it has to put in order.
    fn exchange(&self) -> Duration {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        left.max(Duration::from_secs(1)).min(self.limits.exchange)
    }

    pub(super) fn with_limits(endpoint: Endpoint, limits: Limits) -> Result<Client, Error> {
        let Endpoint { label, host, port, name, trust, token } = endpoint;
        let unusable = |detail: String| Error::Protocol { peer: label.clone(), detail };
        let unusable_trust = |detail| {
            let what = Mismatch::Certificate { presented: None };
            Error::Untrusted { peer: label.clone(), what, detail }
        };
        let rule = Rule::new(&trust, Some(&name)).map_err(unusable_trust)?;
        let verifier = Verifier::new(rule);
        let tls = client_config(verifier.clone()).map_err(|error| unusable(error.to_string()))?;
        let http = http::builder(tls.clone(), limits.resolve, limits.connect)
            .https_only(true)
            // PVE closes idle connections after 5 s; one that is used just then fails.
            .pool_idle_timeout(Duration::from_secs(3))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let mut authorization = HeaderValue::from_str(&authorization_of(&token))
            .map_err(|_| unusable("the token has invalid characters".to_owned()))?;
        authorization.set_sensitive(true);
        let peer = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let base = format!("https://{peer}/api2/json");
        // A host with a slash or an `@` would make another URL of it.
        if ServerName::try_from(host.as_str()).is_err() || reqwest::Url::parse(&base).is_err() {
            return Err(unusable(format!("`{host}` is not a valid host name")));
        }
        Ok(Client {
            label,
            peer,
            base,
            authorization,
            token: token.id,
            http,
            tls,
            verifier,
            limits,
            until: None,
            ahead: Ahead::default(),
        })
    }

    /// What the peer presented in the last full handshake of this client.
    pub(crate) fn presented(&self) -> Option<Presented> {
        self.verifier.presented()
    }

    /// By how many seconds the clock over there is ahead of this machine's, as the answers so far told: at least, and at
    /// most.
    pub(crate) fn clock_ahead(&self) -> Option<(f64, f64)> {
        self.ahead.seconds()
    }

    /// What the clock over there surely showed already when this machine's showed this, as the answers so far told.
    pub(crate) fn by_its_clock(&self, at: Timestamp) -> Timestamp {
        self.ahead.not_before(at)
    }

    /// The `data` of a GET.
    pub(super) async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str, answers: Answers) -> Result<T, Error> {
        let body = self.body(path, answers).await?;
        repair_json::parse(&body).map_err(|error| self.unreadable(path, &error))
    }

    pub(super) fn unreadable(&self, path: &str, error: &serde_json::Error) -> Error {
        Error::Protocol { peer: self.label.clone(), detail: format!("{path}: {error}") }
    }

    /// The error, or that pvedaemon is the one who is down: pveproxy of that node still answers what it answers itself,
    /// such as a list of tasks, which any token may ask for.
    pub(super) async fn named_service(&self, error: Error) -> Error {
        let Some(node) = failure::node_refusing(&error) else { return error };
        match self.attempt(&format!("/nodes/{node}/tasks?limit=1"), Answers::Node).await {
            Ok(_) => Error::ServiceDown {
                peer: self.label.clone(),
                service: PVEDAEMON,
                node: Some(node),
                reason: "connection refused".to_owned(),
            },
            Err(_) => error,
        }
    }

    pub(super) async fn attempt(&self, path: &str, answers: Answers) -> Result<Vec<u8>, Failure> {
        let (begun, sent) = (Instant::now(), Timestamp::now());
        let patience = match answers {
            Answers::Itself => self.limits.read,
            Answers::Node | Answers::Guest => self.limits.proxied,
        };
        let patience = patience.min(self.exchange());
        let cap = if answers == Answers::Guest { self.limits.guest_body } else { self.limits.body };
        let request =
            self.http.get(format!("{}{path}", self.base)).header(AUTHORIZATION, self.authorization.clone()).send();
        let response = match timeout(patience, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let failure = http::of_reqwest(&error, self.named(), patience);
                tracing::debug!(server = self.label, method = "GET", path, error = %failure.error, "api call");
                return Err(failure);
            }
            Err(_) => return Err(http::too_slow(&self.label, patience)),
        };
        self.ahead.note(response.headers(), sent, Timestamp::now());
        let status = response.status();
        let answer = if status.is_success() {
            self.read(response, cap, patience).await
        } else {
            Err(self.refused(response, "GET", path, patience).await)
        };
        let milliseconds = begun.elapsed().as_millis();
        tracing::debug!(server = self.label, method = "GET", path, status = status.as_u16(), milliseconds, "api call");
        answer
    }

    /// The body of a good answer.
    pub(super) async fn read(&self, response: Response, cap: usize, patience: Duration) -> Result<Vec<u8>, Failure> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = format!("sent an unusable answer: {kind} where JSON should be: is this a Proxmox VE API?");
            return Err(Failure::lasting(Error::Stranger { peer: self.label.clone(), who: Stranger::Service, detail }));
        }
        self.chunks(response, cap, patience).await
    }

    async fn chunks(&self, response: Response, cap: usize, patience: Duration) -> Result<Vec<u8>, Failure> {
        let pace = Pace { cap, patience, slowest: self.limits.slowest, longest: self.exchange() };
        let body = http::read(response, self.named(), pace).await?;
        body.ok_or_else(|| self.unusable(format!("more than {cap} bytes")))
    }

    pub(super) fn named(&self) -> Peer<'_> {
        Peer { label: &self.label, address: &self.peer }
    }

    /// What an answer other than 2xx means.
    pub(super) async fn refused(
        &self,
        response: Response,
        method: &'static str,
        path: &str,
        patience: Duration,
    ) -> Failure {
        let status = response.status();
        let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>();
        let phrase = phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).trim().to_owned());
        if let Some((who, words)) = failure::stranger(status, phrase.as_deref(), response.headers()) {
            let detail = format!("answered {} to {method} {path}: {words}", status.as_u16());
            return Failure::lasting(Error::Stranger { peer: self.label.clone(), who, detail });
        }
        // The body only adds to the reason; without it the answer is as good.
        let body = self.chunks(response, ERROR_BODY, patience).await.unwrap_or_default();
        let reason = failure::reason(status, phrase, &body);
        failure::of_status(status, reason, &self.label, &self.token, method, path)
    }

    fn unusable(&self, detail: String) -> Failure {
        Failure { error: Error::Protocol { peer: self.label.clone(), detail }, passing: false }
    }
}

/// The header's text. Proxmox VE decodes percent signs in it (pve-http-server, AnyEvent.pm), which a user's name may have.
fn authorization_of(token: &Token) -> zeroize::Zeroizing<String> {
    let id = token.id.to_string();
    let mut text = zeroize::Zeroizing::new(String::with_capacity(3 * (id.len() + token.secret.expose().len()) + 16));
    text.push_str("PVEAPIToken=");
    for byte in id.bytes().chain(*b"=").chain(token.secret.expose().bytes()) {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b';') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit((*digit).into(), 16)));
        }
    }
    text
}
