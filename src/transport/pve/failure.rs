//! What the API's own errors mean: from a status to `transport::Error`.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, SERVER, WWW_AUTHENTICATE};

use crate::model::id::{NodeName, TokenId};
use crate::model::text::{LONGEST, cut};
use crate::transport::http::{CUT, Failure};
use crate::transport::{self, Denial, PVE_CLUSTER, Stranger};

use super::answers::ErrorBody;

/// So many parameters an error may complain of.
const MOST_ERRORS: usize = 16;

/// With this every call fails while pmxcfs is down.
const NO_ACCESS_LIST: &str = "RPCEnvironment init request failed";

/// PVE's words for an error: the reason phrase, else the body's `message`, and what `errors` says of parameters.
pub(super) fn reason(status: StatusCode, phrase: Option<String>, body: &[u8]) -> String {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let standard = || status.canonical_reason().unwrap_or("no reason given").to_owned();
    let message = body.message.map(|message| message.trim().to_owned());
    let given = phrase.into_iter().chain(message).find(|text| !text.is_empty());
    let mut reason = given.unwrap_or_else(standard);
    if !body.errors.is_empty() {
        let errors: Vec<String> =
            body.errors.iter().take(MOST_ERRORS).map(|(name, text)| format!("{name}: {}", text.trim())).collect();
        reason = format!("{} ({})", reason.trim_end_matches('.'), errors.join("; "));
    }
    // It is shown, and kept as an action's outcome.
    cut(&reason, LONGEST).into_owned()
}

/// Who refused in the place of Proxmox VE, and with which words: the API never redirects over TLS, has words of its own
/// for each refusal, and neither asks for a password nor sends a page (pve-http-server, `AnyEvent.pm`).
pub(super) fn stranger(status: StatusCode, phrase: Option<&str>, headers: &HeaderMap) -> Option<(Stranger, String)> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let usual = status.canonical_reason().unwrap_or_default();
    let phrase = phrase.filter(|phrase| !phrase.is_empty()).unwrap_or(usual);
    if status.is_redirection() {
        let to = header(LOCATION);
        let to = if to.is_empty() { "to nowhere".to_owned() } else { format!("to {}", cut(to, LONGEST)) };
        return Some((Stranger::Redirect, format!("{phrase}, {to}")));
    }
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return None;
    }
    let server = header(SERVER);
    let of_another = !server.is_empty() && !server.starts_with("pve-api-daemon") && phrase == usual;
    let foreign = headers.contains_key(WWW_AUTHENTICATE) || header(CONTENT_TYPE).starts_with("text/") || of_another;
    let name = if of_another { format!(" ({})", cut(server, 40)) } else { String::new() };
    foreign.then(|| (Stranger::Login, format!("{}, by a proxy in front of the API{name}", cut(phrase, LONGEST))))
}

/// What an HTTP status other than 2xx means.
///
/// 595: the node that was asked could not connect to the one that should answer; 596 to 599: the connection
/// between them failed. All of them pass when a node has just started or stopped.
pub(super) fn of_status(
    status: StatusCode,
    reason: String,
    label: &str,
    token: &TokenId,
    method: &'static str,
    path: &str,
) -> Failure {
    let peer = label.to_owned();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let why = if status == StatusCode::UNAUTHORIZED { Denial::Token } else { Denial::Privilege };
        return Failure::lasting(transport::Error::Denied { peer, why, detail: format!("token {token}: {reason}") });
    }
    if status.as_u16() == 500 && reason.starts_with(NO_ACCESS_LIST) {
        let error = transport::Error::ServiceDown { peer, service: PVE_CLUSTER, node: None, reason };
        return Failure::lasting(error);
    }
    let error = transport::Error::Api { peer, method, path: path.to_owned(), status: status.as_u16(), reason };
    Failure { error, passing: matches!(status.as_u16(), 595 | 596 | 599) }
}

/// Whether an error that answered a POST says that nothing was carried out and nothing will be.
///
/// Of a 500 only known texts say so: Proxmox VE starts a task's process first and notes it afterwards, and where that
/// fails the answer is a 500 while the task runs (pve-common, `RESTEnvironment.pm`, `fork_worker`).
pub(super) fn is_refusal(status: StatusCode, reason: &str) -> bool {
    match status.as_u16() {
        // 506 is a body that Proxmox VE cannot read, 595 a node that another one could not connect to. What is no
        // page of Proxmox VE's (404, 405) comes from something in front of it, which did not pass the call on.
        300..=399 | 400 | 401 | 403 | 404 | 405 | 411 | 413 | 415 | 501 | 506 | 595 => true,
        500 => refuses(reason),
        _ => false,
    }
}

/// The texts with which calls of power and migrations die before there is a task.
fn refuses(reason: &str) -> bool {
    const STARTS: [&str; 15] = [
        "VM is paused - cannot shutdown",
        "VM is locked (",
        "CT is locked (",
        "you can't start a ",
        "unable to find configuration file for ",
        "Cannot suspend HA managed VM to disk",
        "cannot suspend VM to disk due to passed-through PCI device",
        "Permission check failed",
        NO_ACCESS_LIST,
        "no such cluster node '",
        "No wake on LAN MAC address defined for ",
        "unable to use snapshot name ",
        "can't migrate running VM without --online",
        "can't migrate running container without --online",
        "Cannot live-migrate replicated VM to node '",
    ];
    let reason = reason.trim();
    let is_about_running = |kind: &str| {
        let rest = reason.strip_prefix(kind).unwrap_or_default().trim_start_matches(|c: char| c.is_ascii_digit());
        matches!(rest, " not running" | " is not running" | " already running")
    };
    STARTS.iter().any(|start| reason.starts_with(start))
        || is_about_running("VM ")
        || is_about_running("CT ")
        || is_missing(reason)
        || reason.contains("no quorum")
        || (reason.starts_with("hostname lookup '") && reason.contains("' failed"))
        || reason.ends_with("cannot wake my self!")
        || reason == "proxy loop detected"
        || (reason.starts_with("storage '") && reason.contains("' is not available on node '"))
}

/// `Configuration file 'nodes/pve1/qemu-server/105.conf' does not exist`: the guest is on another node, or gone.
fn is_missing(reason: &str) -> bool {
    let reason = reason.trim();
    reason.starts_with("Configuration file '") && reason.ends_with("' does not exist")
}

/// Whether a node says that it does not have the guest: it has migrated, or is gone.
pub(crate) fn is_not_here(error: &transport::Error) -> bool {
    matches!(error, transport::Error::Api { status: 500, reason, .. } if is_missing(reason))
}

/// The node whose part of an answer nobody took: 595 `Connection refused` is what pveproxy says where it cannot connect to
/// pvedaemon of its own node, and where it cannot connect to another node's pveproxy.
pub(super) fn node_refusing(error: &transport::Error) -> Option<NodeName> {
    let transport::Error::Api { status: 595, reason, path, .. } = error else { return None };
    let node = path.strip_prefix("/nodes/")?.split('/').next()?;
    reason.trim().eq_ignore_ascii_case("connection refused").then(|| node.parse().ok()).flatten()
}

/// Whether the same GET may well succeed a while later: what somebody who polls should live through until the deadline.
/// A node that has just started or stopped answers so, and so does one whose services are restarted.
pub(crate) fn is_passing(error: &transport::Error) -> bool {
    match error {
        transport::Error::Connect { .. }
        | transport::Error::Timeout { .. }
        // It is restarted.
        | transport::Error::ServiceDown { .. }
        | transport::Error::Api { status: 502..=504 | 595..=599, .. } => true,
        transport::Error::Protocol { detail, .. } => detail == CUT,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ConnectFailure, Error};

    #[test]
    fn what_surely_did_nothing() {
        for (status, reason, want) in [
            (301, "Moved Permanently", true),
            (308, "Permanent Redirect", true),
            (400, "Parameter verification failed.", true),
            (401, "Authentication failed!", true),
            (403, "Permission check failed (/vms/105, VM.PowerMgmt)", true),
            (404, "Not Found", true),
            (408, "Request Timeout", false),
            (409, "Conflict", false),
            (501, "Method 'POST /version' not implemented", true),
            (502, "Bad Gateway", false),
            (503, "Service Unavailable", false),
            (504, "Gateway Timeout", false),
            (506, "upload 'Content-Type 'text/xml' not implemented", true),
            (595, "Connection refused", true),
            (596, "Connection timed out", false),
            (597, "Broken pipe", false),
            (598, "aborted", false),
            (599, "Too many redirections", false),
            (500, "VM 105 not running", true),
            (500, "VM 105 not running\n", true),
            (500, "VM 102 is not running", true),
            (500, "VM 105 already running", true),
            (500, "CT 201 not running", true),
            (500, "CT 201 already running", true),
            (500, "VM 105 not running any more", false),
            (500, "VM is paused - cannot shutdown", true),
            (500, "VM is locked (backup)", true),
            (500, "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist", true),
            (500, "unable to find configuration file for VM 999 on node 'pve1'", true),
            (500, "cluster not ready - no quorum?", true),
            (500, "you can't start a vm if it's a template", true),
            (500, "you can't start a CT if it's a template", true),
            (500, "hostname lookup 'x' failed - failed to get address info for: x: Name or service not known", true),
            (500, "Cannot suspend HA managed VM to disk", true),
            (500, "'pve1' is local node, cannot wake my self!", true),
            (500, "no such cluster node 'nosuch'", true),
            (500, "No wake on LAN MAC address defined for 'pve2'!", true),
            (500, "RPCEnvironment init request failed: Unable to load access control list: Connection refused", true),
            (500, "proxy loop detected", true),
            (500, "can't migrate running VM without --online", true),
            (500, "can't migrate running container without --online or --restart", true),
            (500, "storage 'tank' is not available on node 'pve2'", true),
            (500, "storage 'tank' is not online", false),
            // The task may run.
            (500, "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout", false),
            (500, "unable to create output file '/var/log/pve/tasks/4/x' - No space left on device", false),
            (500, "got no worker upid - start worker failed", false),
            (500, "Internal Server Error", false),
            (500, "", false),
            (418, "I'm a teapot", false),
        ] {
            assert_eq!(is_refusal(StatusCode::from_u16(status).unwrap(), reason), want, "{status} {reason}");
        }
    }

    #[test]
    fn what_passes_and_who_is_elsewhere() {
        let api = |status, reason: &str| Error::Api {
            peer: "pve1".to_owned(),
            method: "GET",
            path: "/x".to_owned(),
            status,
            reason: reason.to_owned(),
        };
        let missing = "Configuration file 'nodes/pve1/lxc/301.conf' does not exist";
        let connect = Error::Connect { peer: "pve1".to_owned(), failure: ConnectFailure::Refused, source: None };
        let reason = "RPCEnvironment init request failed: Unable to load access control list: Connection refused";
        let token = "ecobox@pve!test".parse().unwrap();
        let down =
            of_status(StatusCode::INTERNAL_SERVER_ERROR, reason.to_owned(), "pve1", &token, "GET", "/version").error;
        assert!(matches!(down, Error::ServiceDown { service: PVE_CLUSTER, .. }), "{down}");
        let protocol = |detail: &str| Error::Protocol { peer: "pve1".to_owned(), detail: detail.to_owned() };
        for (error, passing, elsewhere) in [
            (connect, true, false),
            (down, true, false),
            (Error::Timeout { peer: "pve1".to_owned(), doing: "x", after: std::time::Duration::ZERO }, true, false),
            (api(595, "No route to host"), true, false),
            (api(599, "odd"), true, false),
            (api(503, "Service Unavailable"), true, false),
            (api(500, missing), false, true),
            (api(400, missing), false, false),
            (api(500, "VM 105 not running"), false, false),
            (protocol(CUT), true, false),
            (protocol("no valid HTTP"), false, false),
            (Error::Denied { peer: "pve1".to_owned(), why: Denial::Token, detail: "x".to_owned() }, false, false),
        ] {
            assert_eq!((is_passing(&error), is_not_here(&error)), (passing, elsewhere), "{error}");
        }
    }
}
