//! `ecobox status`: every server, hosts with their guests under them; or how much of the time they were there (`since`).

pub(crate) mod since;

use std::collections::{BTreeMap, HashSet};

use clap_complete::engine::ArgValueCompleter;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, Said, complete, counted, nobody, say, selected, stamp, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::observe::record::Recording;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::fleet::past::last_day::DayOne;
use crate::model::id::NodeName;
use crate::model::inventory::problems::{Kind, troubles};
use crate::model::inventory::server::Address;
use crate::model::inventory::{Failed, Inventory, Observation, Server, ServiceCheck};
use crate::model::load::usage::{Source, Usage};
use crate::model::past::series::{Metric, Series, Window};
use crate::model::power::PowerState;
use crate::render::html::Page;
use crate::render::server::ServerJson;
use crate::render::value::{Value, rfc3339};
use crate::render::{Column, Report};

const USAGE: &str = "ecobox status [TARGET]... [--cached | --since WHEN]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox status                            # everything\n\
    \x20 ecobox status tag=web '!web-01'          # the servers tagged `web`, but for one\n\
    \x20 ecobox status --cached                   # what the last run saw, without asking anyone\n\
    \x20 ecobox status --since 30d                # how much of the time everything was there\n\
    \x20 ecobox status -o json | jq '.servers[] | select(.state == \"offline\").id'\n\
    \x20 ecobox -q status -o html --out /var/www/html/ecobox.html";

/// Show the state of every host, guest and plain server
///
/// Guests come from the Proxmox VE API, one request for a whole cluster. Services are asked by a TCP connection, a
/// guest's only while it runs. A host that does not answer is listed with the reason, and the exit status is 8.
#[derive(Debug, Default, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Only these: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Show what the last run saw, without asking anyone
    #[arg(long)]
    cached: bool,
    /// Show how much of the time since then everything was there: `24h`, `30d`, or a time
    #[arg(long, value_name = "WHEN", value_parser = crate::commands::args::since, conflicts_with = "cached")]
    since: Option<crate::commands::args::Since>,
}

impl StatusArgs {
    /// Whether the past is asked for.
    pub(crate) fn looks_back(&self) -> bool {
        self.since.is_some()
    }
}

pub(crate) use since::run as since;

/// The states of all servers that were asked for.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct StatusReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    servers: Vec<Row>,
    /// Whom we could not ask, and why.
    failures: Vec<Failed>,
    /// The last day of each server, for a page only.
    #[serde(skip)]
    past: Vec<Vec<Series>>,
    #[serde(skip)]
    has_targets: bool,
    /// Numbers and services have ages of their own then.
    #[serde(skip)]
    cached: bool,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Row(Server);

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a page draws.
const DRAWN: [Metric; 5] = [Metric::Cpu, Metric::Memory, Metric::Receive, Metric::Transmit, Metric::Watts];

/// Observes the fleet, selects, and reports; `with_past` as the last day was, too.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &StatusArgs, with_past: bool) -> anyhow::Result<Outcome<StatusReport>> {
    let (look, notices) = if args.cached {
        // Nothing is asked or sent.
        let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
        (recall(&fleet, args, with_past).await?, fleet.notices.take())
    } else {
        with_fleet(ctx, ctx.limits, async |fleet| look(ctx, fleet, args, with_past).await).await?
    };
    let Look { inventory, past, recording } = look;
    let (targets, failures, now) = (args.targets.as_slice(), inventory.failures.as_slice(), Timestamp::now());
    say(ctx, Said { command: "status", targets, notices, failures, at: now }, &|_| !args.cached);
    let answered = inventory.servers.iter().filter(|server| has_answered(server, &inventory.failures)).count();
    let exit = Exit::of_many(answered, inventory.failures.iter().map(|failed| failed.kind.into()));
    let servers = inventory.servers.into_iter().map(Row).collect();
    let (has_targets, cached) = (!args.targets.is_empty(), args.cached);
    let report = StatusReport { generated_at: now, servers, failures: inventory.failures, past, has_targets, cached };
    Ok(Outcome { report, exit, recording })
}

/// What is known of the servers that were asked for.
struct Look {
    inventory: Inventory,
    past: Vec<Vec<Series>>,
    recording: Option<Recording>,
}

/// Asks everyone.
async fn look(ctx: &Context, fleet: &Fleet<'_>, args: &StatusArgs, with_past: bool) -> anyhow::Result<Look> {
    let (Observed { inventory, clients, .. }, recording) = {
        let _progress = ctx.ui.progress(&format!("asking {}", counted(fleet.hosts().count(), "host")));
        let request =
            ObserveRequest { scope: fleet.scope(&args.targets)?, clusters: true, ..ObserveRequest::default() };
        // The past ends with this look.
        if with_past { (fleet.observe(&request).await?, None) } else { fleet.observe_unsaved(&request).await? }
    };
    let mut inventory = selected(ctx, inventory, &args.targets, recording.as_ref())?;
    let mut past = Vec::new();
    if with_past {
        // The load of plain servers only `stats` measures; a page shows the last there is.
        fleet.recall_load(&mut inventory.servers)?;
        past = fleet.day(&inventory.servers, &DRAWN, last_day(fleet)?, &mut DayOne::default(), &clients).await?;
    }
    Ok(Look { inventory, past, recording })
}

/// Reads what earlier runs saw.
async fn recall(fleet: &Fleet<'_>, args: &StatusArgs, with_past: bool) -> anyhow::Result<Look> {
    // All of it is of one moment.
    let inventory = fleet.state.at_once(|| match fleet.remembered()?.selected(&args.targets) {
        Ok(mut inventory) => fleet.recall(&mut inventory.servers).map(|()| Ok(inventory)),
        Err(error) => Ok(Err(error)),
    })??;
    let mut past = Vec::new();
    if with_past {
        past = fleet.kept_past(&inventory.servers, &DRAWN, last_day(fleet)?).await?;
    }
    Ok(Look { inventory, past, recording: None })
}

fn last_day(fleet: &Fleet<'_>) -> anyhow::Result<Window> {
    Ok(Window::new(fleet.now().saturating_sub(DAY)?, fleet.now(), None))
}

/// Whether something true can be said of the server: it did not fail, and is in a state that is known and does not alarm.
fn has_answered(server: &Server, failures: &[Failed]) -> bool {
    let failed = failures.iter().any(|failed| failed.server == server.id && !failed.kind.is_of_cluster());
    !failed && !server.is_alarming() && server.seen.state != PowerState::Unknown
}

/// The columns; of what the last runs saw, not all was seen at once.
fn columns<'r>(cached: bool) -> Vec<Column<'r, &'r Row>> {
    let column = Column::<&'r Row>::new;
    let wide = Column::<&'r Row>::wide;
    let mut columns = vec![
        column("NAME", 0, |Row(server)| Value::Name { depth: server.depth, text: &server.name }).cut_to(16),
        column("STATE", 0, |Row(server)| state(server)),
        column("KIND", 4, |Row(server)| Value::text(server.kind.as_str())),
        // A guest stands under its host.
        column("NODE", 9, |Row(server)| Value::maybe(server.node.as_ref().map(NodeName::as_str))),
        column("ADDRESS", 2, |Row(server)| Value::maybe(server.hostname.as_deref())),
        column("CPU", 3, |Row(server)| Value::of(server.seen.usage.cpu_percent, |cpu| Value::Percent(cpu.into()))),
        column("MEMORY", 5, |Row(server)| memory(&server.seen.usage)),
        column("UPTIME", 6, |Row(server)| Value::of(server.seen.usage.uptime_seconds, |up| Value::Seconds(up.get()))),
    ];
    columns.extend(cached.then(|| column("MEASURED", 6, |Row(server)| measured(&server.seen))));
    columns.push(column("SERVICES", 1, |Row(server)| services(&server.seen.checks)).cut_to(12));
    columns.extend(cached.then(|| column("CHECKED", 8, |Row(server)| checked(&server.seen))));
    columns.extend([
        column("SEEN", 7, |Row(server)| seen(&server.seen)),
        column("BY", 8, |Row(server)| Value::text(server.seen.source.as_str())),
        wide("ID", |Row(server)| Value::text(server.id.as_str())),
        wide("LAST SEEN", |Row(server)| Value::of(server.seen.last_seen, Value::Time)),
        wide("TAGS", |Row(server)| Value::made(server.tags.join(","))),
        wide("POOL", |Row(server)| Value::maybe(server.pool.as_deref())),
        wide("LOCK", |Row(server)| Value::maybe(server.lock.as_deref())),
        wide("HA", |Row(server)| Value::maybe(server.ha_state.as_deref())),
        wide("ADDRESSES", |Row(server)| addresses(&server.addresses)),
        wide("REASON", |Row(server)| Value::maybe(server.seen.why())),
        wide("UNTIL", |Row(server)| Value::of(server.seen.until.as_ref(), |until| Value::text(rfc3339(until.at)))),
        wide("IDLE SINCE", |Row(server)| Value::of(server.seen.idle.as_ref().and_then(|idle| idle.since), Value::Time)),
        wide("NEEDED BY", |Row(server)| Value::maybe(server.seen.idle.as_ref().and_then(|idle| idle.needed_by()))),
    ]);
    columns
}

impl Report for StatusReport {
    const SCHEMA: &'static str = "ecobox.status/1";
    const PAGE: Option<for<'r> fn(&'r Self) -> Page<'r>> = Some(|report| Page {
        made_at: report.generated_at,
        every: None,
        servers: report.servers.iter().map(|row| &row.0).collect(),
        past: &report.past,
        failures: &report.failures,
    });
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        columns(self.cached)
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.servers.iter()
    }

    fn notes(&self) -> Vec<String> {
        if self.servers.is_empty() {
            return vec![nobody(self.has_targets)];
        }
        let servers: Vec<&Server> = self.servers.iter().map(|row| &row.0).collect();
        // Who could not be asked is said by a warning.
        let others = troubles(&servers, &self.failures).into_iter().filter(|trouble| trouble.kind != Kind::Failure);
        unknown(&self.servers).into_iter().chain(others.map(|trouble| format!("! {}", trouble.text))).collect()
    }
}

fn state(server: &Server) -> Value<'_> {
    match (server.doing(), server.sleeps_until()) {
        (Some(doing), _) => Value::text(doing),
        (None, Some(until)) => Value::StateUntil(server.seen.state, until),
        (None, None) => Value::State(server.seen.state),
    }
}

fn memory<'r>(usage: &Usage) -> Value<'r> {
    match (usage.memory_bytes, usage.memory_max_bytes) {
        (Some(used), Some(of)) => Value::Share { used: used.get(), of: of.get() },
        _ => Value::Unknown,
    }
}

fn seen<'r>(seen: &Observation) -> Value<'r> {
    match (seen.at, seen.lag) {
        (Some(at), Some(lag)) => Value::TimeUpTo(at, lag),
        (at, _) => Value::of(at, Value::Time),
    }
}

/// When the numbers were measured, where there are any.
fn measured<'r>(seen: &Observation) -> Value<'r> {
    let has_numbers = seen.usage.cpu_percent.is_some() || seen.usage.memory_bytes.is_some();
    Value::of(seen.usage_at.or(seen.at).filter(|_| has_numbers), Value::Time)
}

/// When the services were asked, where there are any.
fn checked<'r>(seen: &Observation) -> Value<'r> {
    Value::of(seen.checks_at.or(seen.at).filter(|_| !seen.checks.is_empty()), Value::Time)
}

fn addresses<'r>(addresses: &[Address]) -> Value<'r> {
    let addresses: Vec<String> = addresses.iter().map(|address| address.ip.to_string()).collect();
    Value::made(addresses.join(","))
}

/// Why the state of guests is unknown, where no row or warning says it: `unknown, as its node pve3 is not online: dns`
fn unknown(rows: &[Row]) -> Vec<String> {
    const NAMED: usize = 3;
    let nodes: HashSet<_> =
        rows.iter().filter(|row| row.0.vmid.is_none()).filter_map(|row| row.0.node.as_ref()).collect();
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Row(server) in rows.iter().filter(|row| row.0.vmid.is_some() && row.0.seen.state == PowerState::Unknown) {
        let is_shown = server.node.as_ref().is_some_and(|node| nodes.contains(node));
        if let (Some(reason), Source::Api, false) = (&server.seen.reason, server.seen.source, is_shown) {
            reasons.entry(reason).or_default().push(&server.name);
        }
    }
    let line = |(reason, names): (&str, Vec<&str>)| {
        let more = names.len().saturating_sub(NAMED);
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("unknown, as {reason}: {named}{more}")
    };
    reasons.into_iter().map(line).collect()
}

/// `smb closed, https 3ms`
fn services<'r>(checks: &[ServiceCheck]) -> Value<'r> {
    if checks.is_empty() {
        return Value::Unknown;
    }
    let one = |check: &ServiceCheck| match (check.open, check.response_seconds) {
        (Some(true), Some(seconds)) if seconds < 0.001 => format!("{} <1ms", check.name),
        (Some(true), Some(seconds)) => format!("{} {:.0}ms", check.name, seconds * 1000.0),
        (Some(true), None) => format!("{} open", check.name),
        (Some(false), _) => format!("{} closed", check.name),
        (None, _) => format!("{} -", check.name),
    };
    // What is cut on a narrow terminal should not be what is wrong.
    let (open, other): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.open == Some(true));
    let text = other.into_iter().chain(open).map(one).collect::<Vec<_>>().join(", ");
    if checks.iter().any(|check| check.open == Some(false)) { Value::Alarm(text.into()) } else { Value::text(text) }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ServerJson(&self.0).serialize(serializer)
    }
}

#[cfg(test)]
crate::model::schema::described_as!(Row, ServerJson<'static>);
