//! The REST API: one call in, one answer out, in the order in which Proxmox VE checks things.
#![expect(clippy::unnecessary_wraps, reason = "all handlers have one signature")]

mod access;
mod agent;
mod cluster;
mod guests;
mod migrate;
mod nodes;
mod power;
mod request;
mod routes;
mod rrd;
mod snapshot;
mod tasks;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub(crate) use request::{Call, parse_body, percent_decode};

use crate::access::AuthError;
use crate::cluster::Cluster;
use crate::node::Service;
use routes::{Permission, Route};

/// What a call gives: the `data`, and what goes around it.
#[derive(Debug)]
pub(crate) struct Data {
    value: Value,
    total: Option<usize>,
    delay: Duration,
}

impl From<Value> for Data {
    fn from(value: Value) -> Data {
        Data { value, total: None, delay: Duration::ZERO }
    }
}

/// Why a call was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    status: u16,
    reason: String,
    errors: BTreeMap<String, String>,
    delay: Duration,
}

impl Refusal {
    /// The 500 of a handler that died with this text.
    pub(crate) fn died(text: impl Into<String>) -> Refusal {
        Refusal { status: 500, reason: text.into(), ..Refusal::default() }
    }

    /// A 400 about one parameter.
    pub(crate) fn parameter(name: &str, problem: impl Into<String>) -> Refusal {
        let errors = BTreeMap::from([(name.to_owned(), problem.into())]);
        Refusal { status: 400, reason: "Parameter verification failed.".to_owned(), errors, delay: Duration::ZERO }
    }

    /// The 403 that names a path and privileges.
    pub(crate) fn forbidden(path: &str, privileges: &[&str]) -> Refusal {
        let reason = format!("Permission check failed ({path}, {})", privileges.join("|"));
        Refusal { status: 403, reason, ..Refusal::default() }
    }

    fn status(status: u16, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into(), ..Refusal::default() }
    }
}

/// What a handler gives.
pub(crate) type Reply = Result<Data, Refusal>;

/// A complete HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Body,
    /// How long it takes, beyond the sending.
    pub(crate) delay: Duration,
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// Without a content type, as PVE sends errors from outside the API.
    Text(String),
}

impl Answer {
    pub(crate) fn text(status: u16, reason: &str, text: &str) -> Answer {
        Answer { status, reason: reason.to_owned(), body: Body::Text(text.to_owned()), delay: Duration::ZERO }
    }

    pub(crate) fn empty(status: u16, reason: &str) -> Answer {
        Answer { status, reason: reason.to_owned(), body: Body::Empty, delay: Duration::ZERO }
    }
}

/// Everything a handler sees.
pub(crate) struct Context<'a> {
    pub(crate) cluster: &'a mut Cluster,
    /// The node that executes the call.
    pub(crate) node: String,
    /// `user@realm!token`.
    pub(crate) caller: &'a str,
    pub(crate) call: &'a Call,
    /// The path variables of the route, in order.
    pub(crate) path: Vec<String>,
}

impl Context<'_> {
    /// Whether the caller has one of these privileges on a path.
    pub(crate) fn may(&self, path: &str, privileges: &[&str]) -> bool {
        let held = self.cluster.access().privileges(self.caller, path);
        privileges.iter().any(|privilege| held.contains(*privilege))
    }

    /// The guest's number of a route with `{vmid}`.
    pub(crate) fn vmid(&self) -> u32 {
        self.path.get(1).and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

/// Answers a call that arrived at the node `local` and has been authenticated as `caller`.
pub(crate) fn answer(cluster: &mut Cluster, local: &str, caller: &str, call: &Call) -> Answer {
    cluster.settle();
    let reply = dispatch(cluster, local, caller, call);
    format_answer(cluster, call, reply)
}

/// The 401 of a call without a valid token.
pub(crate) fn unauthorized(cluster: &Cluster, error: AuthError, token: &str) -> Answer {
    let reason = access::refusal_text(cluster, error, token);
    let delay = cluster.clock.seconds(cluster.timing.auth_delay);
    Answer { delay, ..Answer::empty(401, &reason) }
}

/// A login with user name and password: there are no passwords here.
pub(crate) fn login_refused(cluster: &Cluster, call: &Call) -> Answer {
    let delay = cluster.clock.seconds(cluster.timing.auth_delay);
    let refusal = Refusal { delay, ..Refusal::status(401, "authentication failure") };
    format_answer(cluster, call, Err(refusal))
}

/// The 500 of a host whose pmxcfs is down.
pub(crate) fn without_pmxcfs(cluster: &Cluster, call: &Call) -> Answer {
    let text = "RPCEnvironment init request failed: Unable to load access control list: Connection refused";
    Answer { body: Body::Empty, ..format_answer(cluster, call, Err(Refusal::died(text))) }
}

fn dispatch(cluster: &mut Cluster, local: &str, caller: &str, call: &Call) -> Reply {
    let found = routes::find(&call.method, &call.segments).filter(|(route, _)| route.exists(&cluster.version));
    let Some((route, path)) = found else {
        let text = format!("Method '{} {}' not implemented", call.method, call.path());
        return Err(Refusal::status(501, text));
    };
    let mut context = Context { cluster, node: local.to_owned(), caller, call, path };
    check_permission(&context, route)?;
    if route.on_node {
        context.node = executing_node(&context, local)?;
    }
    let service = context.cluster.node_ref(&context.node).map_or(Service::Up, |node| node.service);
    if route.protected && service == Service::PvedaemonDown {
        return Err(Refusal::status(595, "Connection refused"));
    }
    routes::check_parameters(route, &context)?;
    (route.run)(&mut context)
}

fn check_permission(context: &Context<'_>, route: &Route) -> Result<(), Refusal> {
    let first = context.path.first().map_or("", String::as_str);
    let (path, privileges) = match route.permission {
        Permission::Anyone => return Ok(()),
        Permission::Root(privileges) => ("/".to_owned(), privileges),
        // A name that is no node name gives an empty path, on which nobody has anything.
        Permission::Node(_) if !is_node_name(first) && first != "localhost" => (String::new(), route.privileges()),
        Permission::Node(privileges) if first == "localhost" => (format!("/nodes/{}", context.node), privileges),
        Permission::Node(privileges) => (format!("/nodes/{first}"), privileges),
        Permission::Guest(privileges) => {
            (format!("/vms/{}", context.path.get(1).map_or("", String::as_str)), privileges)
        }
        Permission::Agent { old, new } => {
            let privileges = if context.cluster.version.is_9() { new } else { old };
            (format!("/vms/{}", context.path.get(1).map_or("", String::as_str)), privileges)
        }
    };
    if !path.is_empty() && context.may(&path, privileges) { Ok(()) } else { Err(Refusal::forbidden(&path, privileges)) }
}

fn is_node_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The node of the path, or why it cannot be reached from here.
fn executing_node(context: &Context<'_>, local: &str) -> Result<String, Refusal> {
    let wanted = context.path.first().map_or("", String::as_str);
    if wanted == "localhost" || wanted == local {
        return Ok(local.to_owned());
    }
    let Some(node) = context.cluster.node_ref(wanted) else {
        let cause = format!("failed to get address info for: {wanted}: Name or service not known");
        return Err(Refusal::died(format!("hostname lookup '{wanted}' failed - {cause}")));
    };
    if !node.online {
        let delay = context.cluster.clock.seconds(context.cluster.timing.no_route);
        return Err(Refusal { delay, ..Refusal::status(595, "No route to host") });
    }
    if !node.listening {
        return Err(Refusal::status(595, "Connection refused"));
    }
    Ok(wanted.to_owned())
}

fn format_answer(cluster: &Cluster, call: &Call, reply: Reply) -> Answer {
    let extjs = call.extjs;
    match reply {
        Ok(data) => {
            let mut body = Map::from_iter([("data".to_owned(), data.value)]);
            if let Some(total) = data.total.filter(|total| *total > 0) {
                body.insert("total".to_owned(), json!(total));
            }
            if extjs {
                body.insert("success".to_owned(), json!(1));
            }
            Answer { delay: data.delay, body: Body::Json(Value::Object(body)), ..Answer::empty(200, "OK") }
        }
        Err(refusal) if refusal.status == 595 => Answer { delay: refusal.delay, ..Answer::empty(595, &refusal.reason) },
        Err(refusal) => {
            let mut body = Map::from_iter([("data".to_owned(), Value::Null)]);
            // Texts of die() end with a newline; the reason phrase is cut there.
            let end = if refusal.status == 501 { "" } else { "\n" };
            if cluster.version.has_message() || extjs {
                body.insert("message".to_owned(), json!(format!("{}{end}", refusal.reason)));
            }
            if !refusal.errors.is_empty() {
                body.insert("errors".to_owned(), json!(refusal.errors));
            }
            let (status, reason) = if extjs {
                body.insert("success".to_owned(), json!(0));
                body.insert("status".to_owned(), json!(refusal.status));
                (200, "OK")
            } else {
                (refusal.status, refusal.reason.as_str())
            };
            Answer { delay: refusal.delay, body: Body::Json(Value::Object(body)), ..Answer::empty(status, reason) }
        }
    }
}
