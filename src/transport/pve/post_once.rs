//! One POST: sent at most once, and what its answer, or none, says of what happened.

use std::time::Instant;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use tokio::time::timeout;

use crate::model::id::Upid;
use crate::transport::Error;
use crate::transport::http;

use super::client::Client;
use super::failure;
use super::lenient::Value;
use super::repair_json;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Post,
    Delete,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// What became of a POST.
#[derive(Debug)]
pub(crate) enum Posted {
    /// A task was started, which says nothing of its success.
    Task(Upid),
    /// It was carried out; there is no task.
    Done,
    /// Surely nothing was carried out.
    Refused(Error),
    /// It may have been carried out, or may yet be: never to be sent again, but looked up.
    Lost(Error),
}

/// What a good answer to a POST holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Task,
    /// Nothing, or something that is not needed.
    Nothing,
}

impl Client {
    /// Sends a POST once, over a connection of its own: an idle one may be closed by the other side just now, and
    /// nobody could tell whether the request still arrived.
    ///
    /// Waits as long as where another node may have to answer: until then Proxmox VE itself may still be waiting.
    pub(super) async fn post(&self, path: &str, parameters: &[(&str, String)], due: Due) -> Posted {
        self.change(Method::Post, path, parameters, due).await
    }

    /// Like `post`, for a DELETE as well: what is true of the one is true of the other. A DELETE has no parameters.
    pub(super) async fn change(&self, method: Method, path: &str, parameters: &[(&str, String)], due: Due) -> Posted {
        let begun = Instant::now();
        let posted = self.send(method, path, parameters, due).await;
        let milliseconds = begun.elapsed().as_millis();
        match &posted {
            Posted::Task(upid) => tracing::debug!(server = self.label, path, %upid, milliseconds, "post"),
            Posted::Done => tracing::debug!(server = self.label, path, milliseconds, "post"),
            Posted::Refused(error) => tracing::debug!(server = self.label, path, %error, milliseconds, "post refused"),
            Posted::Lost(error) => tracing::debug!(server = self.label, path, %error, milliseconds, "post lost"),
        }
        posted
    }

    async fn send(&self, method: Method, path: &str, parameters: &[(&str, String)], due: Due) -> Posted {
        let limits = &self.limits;
        let patience = limits.proxied;
        // A new client knows no connection.
        let client = http::builder(self.tls.clone(), limits.resolve, limits.connect)
            .https_only(true)
            .pool_max_idle_per_host(0)
            .build();
        let client = match client {
            Ok(client) => client,
            Err(error) => return Posted::Refused(http::of_reqwest(&error, self.named(), patience).error),
        };
        let url = format!("{}{path}", self.base);
        let request = match method {
            Method::Post => client.post(url),
            Method::Delete => client.delete(url),
        };
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        let request = if method == Method::Delete {
            // Proxmox VE takes none with a body.
            request
        } else if parameters.is_empty() {
            request.header(CONTENT_LENGTH, HeaderValue::from_static("0"))
        } else {
            // A body whose length is known is never sent in chunks, which Proxmox VE does not take.
            request.form(parameters)
        };
        let sent = jiff::Timestamp::now();
        let response = match timeout(patience, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let before = error.is_connect() || error.is_builder();
                let error = http::of_reqwest(&error, self.named(), patience).error;
                return if before { Posted::Refused(error) } else { Posted::Lost(error) };
            }
            Err(_) => return Posted::Lost(http::too_slow(&self.label, patience).error),
        };
        self.ahead.note(response.headers(), sent, jiff::Timestamp::now());
        let status = response.status();
        if !status.is_success() {
            let refused = self.refused(response, method.as_str(), path, patience).await.error;
            let nothing = match &refused {
                Error::Api { reason, .. } | Error::ServiceDown { reason, .. } => failure::is_refusal(status, reason),
                _ => failure::is_refusal(status, ""),
            };
            return if nothing { Posted::Refused(self.named_service(refused).await) } else { Posted::Lost(refused) };
        }
        let body = match self.read(response, limits.guest_body, patience).await {
            Ok(body) => body,
            Err(failure) => return Posted::Lost(failure.error),
        };
        match (repair_json::parse::<Data>(&body), due) {
            (Err(error), _) => Posted::Lost(self.unreadable(path, &error)),
            (Ok(_), Due::Nothing) => Posted::Done,
            (Ok(Data(text)), Due::Task) => match text.as_deref().unwrap_or_default().parse::<Upid>() {
                Ok(upid) => Posted::Task(upid),
                Err(error) => {
                    Posted::Lost(Error::Protocol { peer: self.label.clone(), detail: format!("{path}: {error}") })
                }
            },
        }
    }
}

/// A text, or `None` where anything else stands.
struct Data(Option<String>);

impl<'de> serde::Deserialize<'de> for Data {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Data(Value::deserialize(deserializer)?.string()))
    }
}
