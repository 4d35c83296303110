//! HTTP as pveproxy speaks it: what it refuses before the API is asked, and how its answers look on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, HOST};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::header::{LOCATION, SERVER, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};

use crate::access::AuthError;
use crate::api::{self, Answer, Body, Call, parse_body, percent_decode};
use crate::body::{Dropped, End, SimBody};
use crate::cluster::{Cluster, NodePower, Timing};
use crate::fault::{Fault, pick};
use crate::hook::Moment;
use crate::node::Service;
use crate::sim::Shared;
use crate::traffic::Recorded;

/// pveproxy closes a connection after this many requests.
const PER_CONNECTION: usize = 100;
/// The largest body that pveproxy takes, in bytes.
const LARGEST: usize = 512 * 1024;
const JSON: &str = "application/json;charset=UTF-8";

/// Where a request came in.
pub(crate) struct Peer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: String,
    pub(crate) connection: u64,
    pub(crate) tls: bool,
}

/// Keeps the count of requests in flight right, however the request ends.
struct InFlight<'a>(&'a Peer);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.shared.traffic().end(&self.0.node);
    }
}

/// Answers one request, or drops the connection.
pub(crate) async fn handle(
    peer: &Peer,
    count: &AtomicUsize,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Dropped> {
    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let entry = peer.shared.traffic().begin(Recorded {
        node: peer.node.clone(),
        connection: peer.connection,
        method: request.method().to_string(),
        path: path.clone(),
        body: String::new(),
        authorization: header(AUTHORIZATION).map(str::to_owned),
        tls: peer.tls,
        status: None,
    });
    let _in_flight = InFlight(peer);
    let mut response = respond(peer, &path, entry, request).await?;
    if response.status().as_u16() >= 400 || number >= PER_CONNECTION {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    } else {
        response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("Keep-Alive"));
    }
    let date = peer.shared.lock().clock.date();
    response.headers_mut().insert(DATE, HeaderValue::from_str(&date).unwrap());
    if let Some(recorded) = peer.shared.traffic().requests.get_mut(entry) {
        recorded.status = Some(response.status().as_u16());
    }
    Ok(response)
}

async fn respond(
    peer: &Peer,
    path: &str,
    entry: usize,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Dropped> {
    if !peer.tls {
        return Ok(to_https(path, &request));
    }
    let method = request.method().to_string();
    let fault = {
        let mut cluster = peer.shared.lock();
        if cluster.run_hooks(Moment::Before, &method, path) {
            peer.shared.changed();
        }
        pick(&mut cluster.node_mut(&peer.node).rules, Some((&method, path)))
    };
    match &fault {
        Some(Fault::HangAtRequest) => return std::future::pending().await,
        Some(Fault::DropBeforeAnswer) => return Err(Dropped),
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(fault) => {
            if let Some(response) = canned(fault) {
                return Ok(response);
            }
        }
        None => {}
    }
    let (parts, body) = request.into_parts();
    let key = format!("{method} {path} {:?}", parts.headers.get(AUTHORIZATION));
    let sound = matches!(fault, None | Some(Fault::Delay(_)));
    let ready = peer.shared.lock().ready.as_ref().and_then(|ready| ready.get(&key).cloned());
    if let (Some(bytes), true) = (ready, sound) {
        return Ok(head(200, "OK").header(CONTENT_TYPE, JSON).body(SimBody::new(bytes)).unwrap());
    }
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    if let Some(recorded) = peer.shared.traffic().requests.get_mut(entry) {
        recorded.body = String::from_utf8_lossy(&body).into_owned();
    }
    let answer = {
        let mut cluster = peer.shared.lock();
        let answer = decide(&mut cluster, &peer.node, &method, path, &parts.headers, &body);
        if cluster.run_hooks(Moment::After, &method, path) {
            peer.shared.changed();
        }
        if let Some(order) = cluster.node_power.take() {
            tokio::spawn(follow_order(Arc::clone(&peer.shared), order));
        }
        answer
    };
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    if method == "GET" && answer.status == 200 && sound {
        let mut cluster = peer.shared.lock();
        if let (Some(ready), Body::Json(_)) = (&mut cluster.ready, &answer.body) {
            let (bytes, _) = bytes_of(answer.body);
            ready.insert(key, bytes.clone());
            return Ok(head(200, "OK").header(CONTENT_TYPE, JSON).body(SimBody::new(bytes)).unwrap());
        }
    }
    match fault {
        Some(Fault::DropAfterAction) => Err(Dropped),
        Some(Fault::HangInBody) => Ok(cut(answer, End::Hang)),
        Some(Fault::DropInBody) => Ok(cut(answer, End::Drop)),
        _ => Ok(whole(answer)),
    }
}

/// Takes a node down, brings it up, or both.
async fn follow_order(shared: Arc<Shared>, order: NodePower) {
    let wait = |seconds: fn(&Timing) -> f64| {
        let cluster = shared.lock();
        cluster.clock.seconds(seconds(&cluster.timing))
    };
    if order.down {
        let delay = wait(|timing| timing.node_shutdown);
        tokio::time::sleep(delay).await;
        shared.lock().stop_node(&order.node);
        shared.changed();
    }
    if order.up {
        let delay = wait(|timing| timing.node_boot);
        tokio::time::sleep(delay).await;
        shared.lock().start_node(&order.node);
        shared.changed();
    }
}

/// The checks of pveproxy in their order, then the API.
fn decide(cluster: &mut Cluster, node: &str, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    let node = &cluster.node_ref(node).map_or_else(|| node.to_owned(), |node| node.name.clone());
    if !["GET", "POST", "PUT", "DELETE"].contains(&method) {
        return Answer::empty(501, &format!("method '{method}' not available"));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        let text = "chunked transfer encoding not supported";
        return Answer::text(501, text, text);
    }
    if !body.is_empty() && ["GET", "DELETE"].contains(&method) {
        let text = format!("Unexpected content for method '{method}'");
        return Answer::text(501, &text, &text);
    }
    if body.len() > LARGEST {
        return Answer::text(501, "for data too large", "for data too large");
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let Some((format, rest)) = path.strip_prefix("/api2/").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        let text = if path == "/" {
            "file error - /usr/share/pve-manager/index.html.tpl: not found".to_owned()
        } else {
            format!("no such file '{path}'")
        };
        return Answer::text(500, &text, &format!("{text}\n"));
    };
    let mut call = Call::new(method, rest, query, format == "extjs");
    if cluster.node_ref(node).is_some_and(|node| node.service == Service::PmxcfsDown) {
        return api::without_pmxcfs(cluster, &call);
    }
    if (method, call.path().as_str()) == ("POST", "/access/ticket") {
        return api::login_refused(cluster, &call);
    }
    let token = token(headers);
    let caller = match authenticate(cluster, headers, token.as_deref()) {
        Ok(caller) => caller,
        Err(error) => return api::unauthorized(cluster, error, token.as_deref().unwrap_or_default()),
    };
    if !["json", "extjs"].contains(&format) {
        let text = format!("no formatter for uri {}, {format}", call.path());
        return Answer::text(501, &text, &text);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !body.is_empty() || content_type.is_some() {
        match parse_body(content_type, body) {
            Ok(parameters) => call.parameters.extend(parameters),
            Err((500, text)) => return Answer::text(500, &text, &format!("{text}\n")),
            Err((status, text)) => return Answer::text(status, &text, &text),
        }
    }
    api::answer(cluster, node, &caller, &call)
}

/// What follows `PVEAPIToken=` (a blank does too), up to a `;`, percent-decoded.
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let rest = value.strip_prefix("PVEAPIToken").and_then(|rest| rest.strip_prefix(['=', ' ']))?;
    Some(percent_decode(rest.split(';').next().unwrap_or_default()))
}

/// A cookie comes before a token; tickets are never valid here.
fn authenticate(cluster: &Cluster, headers: &HeaderMap, token: Option<&str>) -> Result<String, AuthError> {
    let cookie = headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if cookie.contains("PVEAuthCookie=") {
        return Err(AuthError::Failed);
    }
    let (id, secret) = token.ok_or(AuthError::NoTicket)?.split_once('=').ok_or(AuthError::Failed)?;
    cluster.access().authenticate(id, secret)
}

fn head(status: u16, reason: &str) -> hyper::http::response::Builder {
    let status = StatusCode::from_u16(status).unwrap();
    let mut builder = Response::builder()
        .status(status)
        .header("Cache-Control", "max-age=0")
        .header("Pragma", "no-cache")
        .header("Server", "pve-api-daemon/3.0");
    if status.canonical_reason() != Some(reason) {
        // The phrase ends at the first line break, as in PVE.
        let line = reason.lines().next().unwrap_or_default();
        if let Ok(phrase) = ReasonPhrase::try_from(line.as_bytes().to_vec()) {
            builder = builder.extension(phrase);
        }
    }
    builder
}

fn bytes_of(body: Body) -> (Bytes, Option<&'static str>) {
    match body {
        Body::Empty => (Bytes::new(), None),
        Body::Text(text) => (Bytes::from(text), None),
        Body::Json(value) => (Bytes::from(value.to_string()), Some(JSON)),
    }
}

fn whole(answer: Answer) -> Response<SimBody> {
    let mut builder = head(answer.status, &answer.reason);
    let (bytes, kind) = bytes_of(answer.body);
    if let Some(kind) = kind {
        builder = builder.header(CONTENT_TYPE, kind);
    }
    builder.body(SimBody::new(bytes)).unwrap()
}

/// Promises the whole body and sends half of it.
fn cut(answer: Answer, end: End) -> Response<SimBody> {
    let (bytes, _) = bytes_of(answer.body);
    let builder = head(answer.status, &answer.reason).header(CONTENT_TYPE, JSON).header(CONTENT_LENGTH, bytes.len());
    builder.body(SimBody::half(&bytes, end)).unwrap()
}

/// The answers that do not depend on the request.
fn canned(fault: &Fault) -> Option<Response<SimBody>> {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>";
    let ok = head(200, "OK");
    Some(match fault {
        Fault::Status(status, reason) => whole(Answer::empty(*status, reason)),
        Fault::Message(status, message) => {
            let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let body = serde_json::json!({ "data": null, "message": message }).to_string();
            head(*status, reason.unwrap_or("Error")).header(CONTENT_TYPE, JSON).body(SimBody::new(body)).unwrap()
        }
        Fault::Garbage => ok.header(CONTENT_TYPE, JSON).body(SimBody::new("{\"data\":[{\"id\":")).unwrap(),
        Fault::Html => ok.header(CONTENT_TYPE, "text/html; charset=utf-8").body(SimBody::new(page)).unwrap(),
        Fault::WrongContentType => ok.header(CONTENT_TYPE, "text/plain").body(SimBody::new("{\"data\":[]}")).unwrap(),
        Fault::Json(body) => ok.header(CONTENT_TYPE, JSON).body(SimBody::new(body.clone())).unwrap(),
        Fault::HugeBody(length) => ok.header(CONTENT_TYPE, JSON).body(SimBody::huge(*length)).unwrap(),
        Fault::Proxy(status) => {
            let reason =
                StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
            let page =
                format!("<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body></body>\r\n</html>\r\n");
            let mut answer = head(*status, reason).header(CONTENT_TYPE, "text/html").body(SimBody::new(page)).unwrap();
            answer.headers_mut().insert(SERVER, HeaderValue::from_static("nginx/1.22.1"));
            if *status == 401 {
                let realm = HeaderValue::from_static("Basic realm=\"Restricted\"");
                answer.headers_mut().insert(WWW_AUTHENTICATE, realm);
            }
            answer
        }
        Fault::Redirect(to) => head(302, "Found").header(LOCATION, to).body(SimBody::new("")).unwrap(),
        _ => return None,
    })
}

/// Plain HTTP on the API's port.
fn to_https(path: &str, request: &Request<Incoming>) -> Response<SimBody> {
    let (status, text) =
        if request.method() == "GET" { (301, "Moved Permanently") } else { (308, "Permanent Redirect") };
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost:8006");
    head(status, text).header(LOCATION, format!("https://{host}{path}")).body(SimBody::new(text)).unwrap()
}
