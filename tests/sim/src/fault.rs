//! What a node can be told to do wrong.

use std::time::Duration;

/// One way to fail.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Accepts the connection and says nothing, not even TLS.
    HangAtConnect,
    /// Reads the client's hello and never answers it.
    HangAtTls,
    /// Takes the request and never answers; the request is not carried out.
    HangAtRequest,
    /// Sends the head and half of the body, then nothing more.
    HangInBody,
    /// Closes right after accepting, as `DENY_FROM` does.
    DropAtConnect,
    /// Closes instead of answering; the request is not carried out.
    DropBeforeAnswer,
    /// Carries the request out, then closes without an answer.
    DropAfterAction,
    /// Closes in the middle of the body.
    DropInBody,
    /// Answers correctly, this much later.
    Delay(Duration),
    /// Answers with this status and reason and an empty body (595..599, 500, 503, ..).
    Status(u16, String),
    /// Answers with this status in its usual words, and a body with this `message`, as pveproxy does since 8.3.
    Message(u16, String),
    /// 200 with a body that is no JSON.
    Garbage,
    /// 200 with a login page of something else.
    Html,
    /// 200 with JSON under a wrong content type.
    WrongContentType,
    /// 200 with a body of this many bytes.
    HugeBody(u64),
    /// 200 with this JSON as its body.
    Json(String),
    /// An nginx in front of the API answers with this status and its own page; at 401 it wants a password.
    Proxy(u16),
    /// 302 to this address.
    Redirect(String),
}

impl Fault {
    /// Happens before any request is read.
    pub(crate) fn on_connection(&self) -> bool {
        matches!(self, Fault::HangAtConnect | Fault::HangAtTls | Fault::DropAtConnect)
    }
}

/// A fault with the requests it applies to.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) fault: Fault,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) left: Option<u32>,
}

impl Rule {
    fn matches(&self, method: &str, path: &str) -> bool {
        self.left != Some(0)
            && self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|part| match part.strip_suffix('$') {
                Some(end) => path.ends_with(end),
                None => path.contains(part),
            })
    }
}

/// The first rule for a request (or, without one, for a new connection) and one use of it.
pub(crate) fn pick(rules: &mut [Rule], request: Option<(&str, &str)>) -> Option<Fault> {
    let rule = rules.iter_mut().find(|rule| match request {
        Some((method, path)) => !rule.fault.on_connection() && rule.matches(method, path),
        None => rule.fault.on_connection() && rule.left != Some(0),
    })?;
    if let Some(left) = &mut rule.left {
        *left -= 1;
    }
    Some(rule.fault.clone())
}
