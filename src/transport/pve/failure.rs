//! What the API's own errors mean: from a status to `transport::Error`.

use reqwest::StatusCode;

use crate::model::id::TokenId;
use crate::transport;
use crate::transport::http::Failure;

use super::answers::ErrorBody;

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
