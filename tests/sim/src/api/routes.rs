//! The table of calls: who may make them, which parameters they take, who answers.

use crate::api::{
    Context, Refusal, Reply, access, agent, cluster, guests, migrate, nodes, power, rrd, snapshot, tasks,
};
use crate::version::Version;

/// Who may make a call. A list means: one of these.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Permission {
    Anyone,
    Root(&'static [&'static str]),
    Node(&'static [&'static str]),
    Guest(&'static [&'static str]),
    Agent { old: &'static [&'static str], new: &'static [&'static str] },
}

/// What a parameter must look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Integer,
    Boolean,
    Text,
    OneOf(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    name: &'static str,
    shape: Shape,
    required: bool,
}

/// One call of the API.
pub(crate) struct Route {
    method: &'static str,
    pattern: &'static str,
    pub(crate) permission: Permission,
    /// Executed by pvedaemon.
    pub(crate) protected: bool,
    /// Executed on the node of the path.
    pub(crate) on_node: bool,
    parameters: &'static [Parameter],
    pub(crate) run: fn(&mut Context<'_>) -> Reply,
}

impl Route {
    pub(crate) fn privileges(&self) -> &'static [&'static str] {
        match self.permission {
            Permission::Anyone => &[],
            Permission::Root(list) | Permission::Node(list) | Permission::Guest(list) => list,
            Permission::Agent { new, .. } => new,
        }
    }

    /// Whether this version has it.
    pub(crate) fn exists(&self, version: &Version) -> bool {
        match (self.method, self.pattern) {
            (_, "nodes/{}/lxc/{}/interfaces") => version.has_lxc_interfaces(),
            ("GET", "nodes/{}/lxc/{}/migrate") | (_, "cluster/ha/rules") => version.is_9(),
            _ => true,
        }
    }
}

const fn optional(name: &'static str, shape: Shape) -> Parameter {
    Parameter { name, shape, required: false }
}

const fn required(name: &'static str, shape: Shape) -> Parameter {
    Parameter { name, shape, required: true }
}

const NONE: &[Parameter] = &[];
const FULL: &[Parameter] = &[optional("full", Shape::Boolean)];
const CURRENT: &[Parameter] = &[optional("current", Shape::Boolean)];
const RRD: &[Parameter] = &[
    required("timeframe", Shape::OneOf("hour, day, week, month, year")),
    optional("cf", Shape::OneOf("AVERAGE, MAX")),
];
const TASKS: &[Parameter] = &[
    optional("errors", Shape::Boolean),
    optional("limit", Shape::Integer),
    optional("since", Shape::Integer),
    optional("source", Shape::OneOf("archive, active, all")),
    optional("start", Shape::Integer),
    optional("statusfilter", Shape::Text),
    optional("typefilter", Shape::Text),
    optional("until", Shape::Integer),
    optional("userfilter", Shape::Text),
    optional("vmid", Shape::Integer),
];
const LOG: &[Parameter] = &[optional("start", Shape::Integer), optional("limit", Shape::Integer)];
const RESOURCES: &[Parameter] = &[optional("type", Shape::OneOf("vm, storage, node, sdn"))];
const PATH: &[Parameter] = &[optional("path", Shape::Text), optional("userid", Shape::Text)];
const COMMAND: &[Parameter] = &[required("command", Shape::OneOf("reboot, shutdown"))];
const AGENT_COMMANDS: &str = "fsfreeze-freeze, fsfreeze-status, fsfreeze-thaw, fstrim, get-fsinfo, get-host-name, \
    get-memory-block-info, get-memory-blocks, get-osinfo, get-time, get-timezone, get-users, get-vcpus, info, \
    network-get-interfaces, ping, shutdown, suspend-disk, suspend-hybrid, suspend-ram";
const AGENT: &[Parameter] = &[required("command", Shape::OneOf(AGENT_COMMANDS))];
const POWER: &[Parameter] = &[
    optional("forceStop", Shape::Boolean),
    optional("keepActive", Shape::Boolean),
    optional("migratedfrom", Shape::Text),
    optional("overrule-shutdown", Shape::Boolean),
    optional("skiplock", Shape::Boolean),
    optional("statestorage", Shape::Text),
    optional("timeout", Shape::Integer),
    optional("todisk", Shape::Boolean),
];
const PRECONDITION: &[Parameter] = &[optional("target", Shape::Text)];
const MIGRATE: &[Parameter] = &[
    required("target", Shape::Text),
    optional("bwlimit", Shape::Integer),
    optional("force", Shape::Boolean),
    optional("migration_network", Shape::Text),
    optional("migration_type", Shape::OneOf("secure, insecure")),
    optional("online", Shape::Boolean),
    optional("targetstorage", Shape::Text),
    optional("with-conntrack-state", Shape::Boolean),
    optional("with-local-disks", Shape::Boolean),
];
const MIGRATE_LXC: &[Parameter] = &[
    required("target", Shape::Text),
    optional("bwlimit", Shape::Integer),
    optional("online", Shape::Boolean),
    optional("restart", Shape::Boolean),
    optional("target-storage", Shape::Text),
    optional("timeout", Shape::Integer),
];
const TOKEN: &[Parameter] =
    &[optional("comment", Shape::Text), optional("expire", Shape::Integer), optional("privsep", Shape::Boolean)];

const CREATE_SNAPSHOT: &[Parameter] =
    &[required("snapname", Shape::Text), optional("description", Shape::Text), optional("vmstate", Shape::Boolean)];
const CREATE_SNAPSHOT_LXC: &[Parameter] = &[required("snapname", Shape::Text), optional("description", Shape::Text)];
const FORCE: &[Parameter] = &[optional("force", Shape::Boolean)];
const ROLL: &[Parameter] = &[optional("start", Shape::Boolean)];
const FEATURE: &[Parameter] =
    &[required("feature", Shape::OneOf("snapshot, clone, copy")), optional("snapname", Shape::Text)];

const SNAPSHOT: Permission = Permission::Guest(&["VM.Snapshot"]);
const ROLLBACK: Permission = Permission::Guest(&["VM.Snapshot", "VM.Snapshot.Rollback"]);
const SNAPSHOT_CONFIG: Permission = Permission::Guest(&["VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"]);
const AUDIT: Permission = Permission::Guest(&["VM.Audit"]);
const NODE_AUDIT: Permission = Permission::Node(&["Sys.Audit"]);
const POWER_MGMT: Permission = Permission::Guest(&["VM.PowerMgmt"]);
const MAY_MIGRATE: Permission = Permission::Guest(&["VM.Migrate"]);
const AGENT_AUDIT: Permission =
    Permission::Agent { old: &["VM.Monitor"], new: &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"] };
const AGENT_ANY: Permission =
    Permission::Agent { old: &["VM.Monitor"], new: &["VM.GuestAgent.Unrestricted", "VM.GuestAgent.Unrestricted"] };

type Run = fn(&mut Context<'_>) -> Reply;

/// A call answered by pveproxy itself.
const fn open(method: &'static str, pattern: &'static str, permission: Permission, run: Run) -> Route {
    Route { method, pattern, permission, protected: false, on_node: false, parameters: NONE, run }
}

/// A call answered on the node of its path.
const fn at_node(pattern: &'static str, permission: Permission, parameters: &'static [Parameter], run: Run) -> Route {
    Route { method: "GET", pattern, permission, protected: false, on_node: true, parameters, run }
}

/// A call answered by pvedaemon on the node of its path.
const fn by_daemon(
    method: &'static str,
    pattern: &'static str,
    permission: Permission,
    parameters: &'static [Parameter],
    run: Run,
) -> Route {
    Route { method, pattern, permission, protected: true, on_node: true, parameters, run }
}

use Permission::{Anyone, Node, Root};

const ROUTES: &[Route] = &[
    open("GET", "", Anyone, nodes::root_index),
    open("GET", "version", Anyone, nodes::version),
    open("GET", "nodes", Anyone, nodes::list),
    Route { parameters: RESOURCES, ..open("GET", "cluster/resources", Anyone, cluster::resources) },
    open("GET", "cluster/status", Root(&["Sys.Audit"]), cluster::status),
    open("GET", "cluster/ha/status/current", Root(&["Sys.Audit"]), cluster::ha_status),
    open("GET", "cluster/ha/rules", Root(&["Sys.Audit"]), migrate::rules),
    open("GET", "cluster/ha/groups", Root(&["Sys.Audit"]), migrate::groups),
    open("GET", "cluster/replication", Anyone, migrate::replication),
    open("GET", "cluster/backup", Root(&["Sys.Audit"]), cluster::backup_jobs),
    open("GET", "cluster/nextid", Anyone, cluster::next_id),
    open("GET", "cluster/options", Anyone, cluster::options),
    open("GET", "cluster/tasks", Anyone, tasks::cluster_list),
    open("GET", "access", Anyone, access::index),
    Route { parameters: PATH, ..open("GET", "access/permissions", Anyone, access::permissions) },
    Route { parameters: FULL, ..open("GET", "access/users", Anyone, access::users) },
    open("GET", "access/roles", Anyone, access::roles),
    open("GET", "access/acl", Anyone, access::acl),
    open("GET", "access/users/{}", Anyone, access::user),
    open("GET", "access/users/{}/token", Anyone, access::tokens),
    open("GET", "access/users/{}/token/{}", Anyone, access::token),
    Route { parameters: TOKEN, protected: true, ..open("POST", "access/users/{}/token/{}", Anyone, access::add_token) },
    Route { protected: true, ..open("DELETE", "access/users/{}/token/{}", Anyone, access::remove_token) },
    at_node("nodes/{}", Anyone, NONE, nodes::index),
    at_node("nodes/{}/status", NODE_AUDIT, NONE, nodes::status),
    by_daemon("POST", "nodes/{}/status", Node(&["Sys.PowerMgmt"]), COMMAND, nodes::command),
    at_node("nodes/{}/version", Anyone, NONE, nodes::version),
    at_node("nodes/{}/config", NODE_AUDIT, NONE, nodes::config),
    at_node("nodes/{}/network", Anyone, NONE, nodes::empty_list),
    at_node("nodes/{}/subscription", Anyone, NONE, nodes::subscription),
    at_node("nodes/{}/syslog", Node(&["Sys.Syslog"]), NONE, nodes::empty_list),
    Route { on_node: false, ..by_daemon("POST", "nodes/{}/wakeonlan", Node(&["Sys.PowerMgmt"]), NONE, nodes::wake) },
    by_daemon("GET", "nodes/{}/storage", Anyone, NONE, nodes::storages),
    by_daemon("GET", "nodes/{}/rrddata", NODE_AUDIT, RRD, rrd::of_node),
    at_node("nodes/{}/tasks", Anyone, TASKS, tasks::list),
    by_daemon("GET", "nodes/{}/tasks/{}/status", Anyone, NONE, tasks::status),
    by_daemon("GET", "nodes/{}/tasks/{}/log", Anyone, LOG, tasks::log),
    by_daemon("DELETE", "nodes/{}/tasks/{}", Anyone, NONE, tasks::stop),
    by_daemon("GET", "nodes/{}/qemu", Anyone, FULL, guests::list_qemu),
    by_daemon("POST", "nodes/{}/qemu", Anyone, &[required("vmid", Shape::Integer)], guests::create),
    at_node("nodes/{}/qemu/{}", Anyone, NONE, guests::index),
    at_node("nodes/{}/qemu/{}/config", AUDIT, CURRENT, guests::config),
    at_node("nodes/{}/qemu/{}/pending", AUDIT, NONE, guests::pending),
    at_node("nodes/{}/qemu/{}/status", Anyone, NONE, guests::status_index),
    by_daemon("GET", "nodes/{}/qemu/{}/status/current", AUDIT, NONE, guests::current),
    by_daemon("POST", "nodes/{}/qemu/{}/status/{}", POWER_MGMT, POWER, power::post),
    at_node("nodes/{}/qemu/{}/migrate", MAY_MIGRATE, PRECONDITION, migrate::precondition),
    by_daemon("POST", "nodes/{}/qemu/{}/migrate", MAY_MIGRATE, MIGRATE, migrate::post),
    by_daemon("GET", "nodes/{}/qemu/{}/rrddata", AUDIT, RRD, rrd::of_guest),
    at_node("nodes/{}/qemu/{}/agent", Anyone, NONE, agent::index),
    by_daemon("POST", "nodes/{}/qemu/{}/agent", AGENT_ANY, AGENT, agent::legacy),
    by_daemon("GET", "nodes/{}/qemu/{}/agent/{}", AGENT_AUDIT, NONE, agent::get),
    by_daemon("POST", "nodes/{}/qemu/{}/agent/{}", AGENT_AUDIT, NONE, agent::post),
    by_daemon("GET", "nodes/{}/lxc", Anyone, NONE, guests::list_lxc),
    at_node("nodes/{}/lxc/{}", Anyone, NONE, guests::index),
    at_node("nodes/{}/lxc/{}/config", AUDIT, CURRENT, guests::config),
    by_daemon("GET", "nodes/{}/lxc/{}/status/current", AUDIT, NONE, guests::current),
    by_daemon("POST", "nodes/{}/lxc/{}/status/{}", POWER_MGMT, POWER, power::post),
    at_node("nodes/{}/lxc/{}/migrate", MAY_MIGRATE, PRECONDITION, migrate::precondition),
    by_daemon("POST", "nodes/{}/lxc/{}/migrate", MAY_MIGRATE, MIGRATE_LXC, migrate::post),
    by_daemon("GET", "nodes/{}/lxc/{}/interfaces", AUDIT, NONE, guests::interfaces),
    by_daemon("GET", "nodes/{}/lxc/{}/rrddata", AUDIT, RRD, rrd::of_guest),
    at_node("nodes/{}/qemu/{}/snapshot", AUDIT, NONE, snapshot::list),
    by_daemon("POST", "nodes/{}/qemu/{}/snapshot", SNAPSHOT, CREATE_SNAPSHOT, snapshot::create),
    at_node("nodes/{}/qemu/{}/snapshot/{}", Anyone, NONE, snapshot::index),
    by_daemon("DELETE", "nodes/{}/qemu/{}/snapshot/{}", SNAPSHOT, FORCE, snapshot::delete),
    by_daemon("POST", "nodes/{}/qemu/{}/snapshot/{}/rollback", ROLLBACK, ROLL, snapshot::rollback),
    at_node("nodes/{}/qemu/{}/snapshot/{}/config", SNAPSHOT_CONFIG, NONE, snapshot::config),
    at_node("nodes/{}/qemu/{}/feature", AUDIT, FEATURE, snapshot::feature),
    at_node("nodes/{}/lxc/{}/snapshot", AUDIT, NONE, snapshot::list),
    by_daemon("POST", "nodes/{}/lxc/{}/snapshot", SNAPSHOT, CREATE_SNAPSHOT_LXC, snapshot::create),
    at_node("nodes/{}/lxc/{}/snapshot/{}", Anyone, NONE, snapshot::index),
    by_daemon("DELETE", "nodes/{}/lxc/{}/snapshot/{}", SNAPSHOT, FORCE, snapshot::delete),
    by_daemon("POST", "nodes/{}/lxc/{}/snapshot/{}/rollback", ROLLBACK, ROLL, snapshot::rollback),
    at_node("nodes/{}/lxc/{}/snapshot/{}/config", SNAPSHOT_CONFIG, NONE, snapshot::config),
    at_node("nodes/{}/lxc/{}/feature", AUDIT, FEATURE, snapshot::feature),
    open("GET", "storage", Anyone, snapshot::storages),
    by_daemon("GET", "nodes/{}/disks/lvmthin", NODE_AUDIT, NONE, snapshot::thin_pools),
    by_daemon("GET", "nodes/{}/replication", Anyone, NONE, snapshot::replication),
];

/// The route of a call, with its path variables.
pub(crate) fn find(method: &str, segments: &[String]) -> Option<(&'static Route, Vec<String>)> {
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| {
        let pattern: Vec<&str> = route.pattern.split('/').filter(|part| !part.is_empty()).collect();
        let same = pattern.len() == segments.len()
            && pattern.iter().zip(segments).all(|(part, segment)| *part == "{}" || *part == segment);
        let open = pattern.iter().zip(segments).filter(|(part, _)| **part == "{}");
        let path: Vec<String> = open.map(|(_, segment)| segment.clone()).collect();
        let last = path.last().map_or("", String::as_str);
        let known = if route.pattern.ends_with("status/{}") {
            power::is_action(route.pattern, last)
        } else {
            !route.pattern.ends_with("agent/{}") || agent::is_command(method, last)
        };
        (same && known).then_some((route, path))
    })
}

/// Checks path variables and parameters against the route.
pub(crate) fn check_parameters(route: &Route, context: &Context<'_>) -> Result<(), Refusal> {
    if route.pattern.contains("/qemu/{}") || route.pattern.contains("/lxc/{}") {
        check_vmid(context.path.get(1).map_or("", String::as_str))?;
    }
    let given = &context.call.parameters;
    let mut refusal: Option<Refusal> = None;
    let mut complain = |name: &str, problem: String| {
        refusal
            .get_or_insert_with(|| Refusal::parameter(name, problem.clone()))
            .errors
            .insert(name.to_owned(), problem);
    };
    for (name, value) in given {
        match route.parameters.iter().find(|parameter| parameter.name == name) {
            None => {
                let rest = "and the schema does not allow additional properties";
                complain(name, format!("property is not defined in schema {rest}"));
            }
            Some(parameter) => {
                if let Some(problem) = parameter.shape.problem(value) {
                    complain(name, problem);
                }
            }
        }
    }
    for parameter in route.parameters.iter().filter(|parameter| parameter.required) {
        if !given.contains_key(parameter.name) {
            complain(parameter.name, "property is missing and it is not optional".to_owned());
        }
    }
    refusal.map_or(Ok(()), Err)
}

fn check_vmid(text: &str) -> Result<(), Refusal> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() {
        return Err(Refusal::parameter("vmid", format!("type check ('integer') failed - got '{text}'")));
    }
    if text.starts_with('0') || !(3..=9).contains(&text.len()) {
        return Err(Refusal::parameter("vmid", "invalid format - value does not look like a valid VM ID\n"));
    }
    Ok(())
}

impl Shape {
    fn problem(self, value: &str) -> Option<String> {
        match self {
            Shape::Text => None,
            Shape::Integer => {
                (value.parse::<i64>().is_err()).then(|| format!("type check ('integer') failed - got '{value}'"))
            }
            Shape::Boolean => {
                let known = ["0", "1", "on", "off", "yes", "no", "true", "false"].contains(&value);
                (!known).then(|| format!("type check ('boolean') failed - got '{value}'"))
            }
            Shape::OneOf(words) => {
                let known = words.split(", ").any(|word| word == value);
                (!known).then(|| format!("value '{value}' does not have a value in the enumeration '{words}'"))
            }
        }
    }
}
