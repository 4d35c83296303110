//! How hard every server works now.

mod detail;
mod json;
mod openmetrics;
#[cfg(test)]
mod schema;

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;

use self::detail::Detail;
use self::openmetrics::families;
use super::StatsArgs;
use crate::commands::{Context, Outcome, Said, counted, nobody, say, selected, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::observe::measure::{AskedAgent, LoadOptions, PreviousTotals};
use crate::fleet::observe::record::Recording;
use crate::fleet::observe::watts::Drawn;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::load::energy::Watts;
use crate::model::load::reading::{Filesystem, HostLoad, is_root};
use crate::model::load::usage::{Count, Pressure, Rates, Source, Usage};
use crate::model::past::metrics::{Families, Ids};
use crate::model::power::PowerState;
use crate::model::text::span::Span;
use crate::render::value::Value;
use crate::render::{Column, Report};
use crate::state::EnergyTotals;

/// The load of all servers that were asked for.
#[derive(Debug)]
pub(crate) struct StatsReport {
    generated_at: Timestamp,
    servers: Vec<Server>,
    /// What guests had counted before: rates are made of it as rows are printed.
    earlier: PreviousTotals,
    /// The energy that was known of hosts before.
    energy: EnergyTotals,
    /// Under which labels numbers go to Prometheus.
    ids: Ids,
    /// What few servers have.
    details: HashMap<ServerId, Detail>,
    /// Whom we could not ask, and why.
    failures: Vec<Failed>,
    has_targets: bool,
}

/// One server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'r> {
    server: &'r Server,
    rates: Rates,
    detail: Option<&'r Detail>,
}

/// Measures the fleet, selects, and reports.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &StatsArgs) -> anyhow::Result<Outcome<StatsReport>> {
    let (look, notices) = with_fleet(ctx, ctx.limits, async |fleet| look(ctx, fleet, args).await).await?;
    let Look { inventory, mut loads, mut agents, earlier, mut drawn, energy, at, recording } = look;
    let (targets, failures) = (args.targets.as_slice(), inventory.failures.as_slice());
    say(ctx, Said { command: "stats", targets, notices, failures, at }, &|_| true);
    let failed = |server: &Server| inventory.failures.iter().any(|failed| failed.server == server.id);
    let answered =
        inventory.servers.iter().filter(|server| !failed(server) && server.seen.state != PowerState::Unknown);
    let exit = Exit::of_many(answered.count(), inventory.failures.iter().map(|failed| failed.kind.into()));
    let (mut servers, failures) = (inventory.servers, inventory.failures);
    // What cannot be read is a label of its own at worst.
    let ids = ctx.state.labels().unwrap_or_default();
    let mut details = HashMap::new();
    for server in &mut servers {
        let detail = Detail::of(server, loads.remove(&server.id), agents.remove(&server.id));
        let drawn = drawn.remove(&server.id);
        details.extend(detail.map(|detail| (server.id.clone(), detail.with_watts(drawn))));
    }
    let has_targets = !args.targets.is_empty();
    let report = StatsReport { generated_at: at, servers, earlier, energy, ids, details, failures, has_targets };
    Ok(Outcome { report, exit, recording })
}

/// What was measured of the servers that were asked for.
struct Look {
    inventory: Inventory,
    loads: HashMap<ServerId, Result<HostLoad, String>>,
    agents: HashMap<ServerId, AskedAgent>,
    earlier: PreviousTotals,
    drawn: Drawn,
    energy: EnergyTotals,
    at: Timestamp,
    recording: Option<Recording>,
}

async fn look(ctx: &Context, fleet: &Fleet<'_>, args: &StatsArgs) -> anyhow::Result<Look> {
    let load = LoadOptions { interval: args.interval, all_disks: args.all_disks };
    let request = ObserveRequest { scope: fleet.scope(&args.targets)?, load: Some(load), ..ObserveRequest::default() };
    let (observed, recording) = {
        let _progress = ctx.ui.progress(&format!("measuring {}", counted(fleet.hosts().count(), "host")));
        // A run that is interrupted while agents are asked counts as a look, too.
        if args.agent { (fleet.observe(&request).await?, None) } else { fleet.observe_unsaved(&request).await? }
    };
    let Observed { inventory, loads, clients, earlier, drawn, energy, at } = observed;
    let inventory = selected(ctx, inventory, &args.targets, recording.as_ref())?;
    let mut agents = HashMap::new();
    if args.agent {
        let _progress = ctx.ui.progress("asking guest agents");
        agents = fleet.filesystems(&inventory.servers, &clients, args.all_agents).await?;
    }
    Ok(Look { inventory, loads, agents, earlier, drawn, energy, at, recording })
}

impl StatsReport {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.servers.iter().map(|server| {
            let detail = self.details.get(&server.id);
            let load = detail.and_then(|detail| detail.load.as_ref());
            let rates = load.map_or_else(|| self.earlier.rates(server, self.generated_at), |load| load.rates);
            Row { server, rates, detail }
        })
    }
}

impl<'r> Row<'r> {
    fn load(&self) -> Option<&'r HostLoad> {
        self.detail?.load.as_ref()
    }

    fn usage(&self) -> &'r Usage {
        &self.server.seen.usage
    }

    fn pressure(&self) -> Pressure {
        self.load().map(|load| load.pressure).unwrap_or_default()
    }

    /// The file systems that somebody told of, the root first.
    fn filesystems(&self) -> &'r [Filesystem] {
        let Some(detail) = self.detail else { return &[] };
        detail.load.as_ref().map_or(&detail.inside, |load| &load.filesystems)
    }

    /// Where what is shown as the disk is mounted.
    fn disk_mount(&self) -> Option<&'r str> {
        self.server.seen.usage.disk_bytes?;
        Some(Filesystem::main_of(self.filesystems()).map_or("/", |main| main.mount.as_str()))
    }

    /// Bytes received and sent together.
    fn network_total(&self) -> Option<u64> {
        let usage = &self.server.seen.usage;
        Some(usage.receive_bytes?.get() + usage.transmit_bytes?.get())
    }

    fn watts(&self) -> Option<&'r Watts> {
        self.detail?.watts.as_ref()
    }

    /// `None` if there is no number at all.
    fn source(&self) -> Option<Source> {
        let usage = &self.server.seen.usage;
        (*usage != Usage::default()).then_some(self.server.seen.usage_source)
    }
}

fn columns<'r>() -> Vec<Column<'r, Row<'r>>> {
    let (column, wide) = (Column::<Row<'r>>::new, Column::<Row<'r>>::wide);
    vec![
        column("NAME", 0, |row| Value::Name { depth: row.server.depth, text: &row.server.name }).cut_to(16),
        column("CPU", 0, |row| percent(row.usage().cpu_percent)),
        column("LOAD", 4, |row| Value::of(row.usage().load, |load| Value::Number(load.into()))),
        column("MEM", 0, |row| Value::of(row.usage().memory_share(), Value::Percent)),
        column("MEMORY", 8, |row| share(get(row.usage().memory_bytes), get(row.usage().memory_max_bytes))),
        column("DISK", 1, |row| Value::of(row.usage().disk_percent(), Value::Percent)),
        column("ROOT", 9, |row| {
            let used = get(row.usage().disk_bytes);
            share(used, used.and(get(row.usage().disk_max_bytes)))
        }),
        column("DISKS", 10, |row| Value::made(disks(row.filesystems()))).cut_to(12),
        column("RECEIVE", 2, |row| rate(row.rates.receive)),
        column("SEND", 2, |row| rate(row.rates.transmit)),
        column("READ", 3, |row| rate(row.rates.read)),
        column("WRITE", 3, |row| rate(row.rates.write)),
        column("WATTS", 6, |row| Value::of(row.watts(), watts)),
        column("UPTIME", 5, |row| Value::of(get(row.usage().uptime_seconds), Value::Seconds)),
        column("BY", 11, |row| Value::maybe(row.source().map(Source::as_str))),
        wide("ID", |row| Value::text(row.server.id.as_str())),
        wide("STATE", |row| Value::State(row.server.seen.state)),
        wide("CPUS", |row| Value::of(row.usage().cpus, |cpus| Value::Number(cpus.into()))),
        wide("NETWORK", |row| Value::of(row.network_total(), Value::Bytes)),
        wide("RECEIVED", |row| bytes(row.usage().receive_bytes)),
        wide("SENT", |row| bytes(row.usage().transmit_bytes)),
        wide("DISK READ", |row| bytes(row.usage().read_bytes)),
        wide("DISK WRITTEN", |row| bytes(row.usage().write_bytes)),
        wide("SWAP", |row| row.load().map_or(Value::Unknown, |load| share(load.swap_bytes, load.swap_max_bytes))),
        wide("ARC", |row| Value::of(row.load().and_then(|load| load.arc_bytes), Value::Bytes)),
        wide("CPU WAIT", |row| percent(row.pressure().cpu_percent)),
        wide("MEMORY WAIT", |row| percent(row.pressure().memory_percent)),
        wide("IO WAIT", |row| percent(row.pressure().io_percent)),
        wide("WATTS BY", |row| Value::maybe(row.watts().map(watts_by))),
        wide("MEASURED", |row| {
            let measured = row.load().and_then(|load| load.measured_seconds);
            Value::of(measured, |seconds| Value::text(format!("{seconds:.1}s")))
        }),
        wide("REASONS", |row| Value::made(reasons(&row.reasons()))),
    ]
}

fn get(count: Option<Count>) -> Option<u64> {
    count.map(Count::get)
}

fn watts<'r>(watts: &Watts) -> Value<'r> {
    let span = Span { least: watts.least.into(), most: watts.most.map(f64::from) };
    Value::Within { span, unit: "W", value: watts.likely.into() }
}

/// `meter`, `rapl, CPU package`.
fn watts_by(watts: &Watts) -> String {
    let source = watts.by.source().as_str();
    if watts.by.is_partial() { format!("{source}, {}", watts.by.covers()) } else { source.to_owned() }
}

fn share<'r>(used: Option<u64>, of: Option<u64>) -> Value<'r> {
    match (used, of) {
        (Some(used), Some(of)) => Value::Share { used, of },
        (Some(used), None) => Value::Bytes(used),
        _ => Value::Unknown,
    }
}

fn bytes<'r>(count: Option<Count>) -> Value<'r> {
    Value::of(get(count), Value::Bytes)
}

fn rate<'r>(rate: Option<f64>) -> Value<'r> {
    Value::of(rate, Value::BytesPerSecond)
}

fn percent<'r>(percent: Option<f32>) -> Value<'r> {
    Value::of(percent, |percent| Value::Percent(percent.into()))
}

impl Report for StatsReport {
    const SCHEMA: &'static str = "ecobox.stats/1";
    const METRICS: Option<fn(&StatsReport) -> Families> = Some(families);
    type Item<'r> = Row<'r>;

    fn columns(&self) -> Vec<Column<'_, Row<'_>>> {
        columns()
    }

    fn items(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows()
    }

    fn notes(&self) -> Vec<String> {
        if self.servers.is_empty() {
            return vec![nobody(self.has_targets)];
        }
        Vec::new()
    }
}

/// `/ 27%, /srv 91%`, where there is more than the root, or another one than that.
fn disks(filesystems: &[Filesystem]) -> String {
    if filesystems.iter().all(|filesystem| is_root(&filesystem.mount)) {
        return String::new();
    }
    let one = |filesystem: &Filesystem| match filesystem.percent() {
        Some(percent) => format!("{} {percent:.0}%", filesystem.mount),
        None => format!("{} -", filesystem.mount),
    };
    filesystems.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `disk: its guest agent does not answer; network: …`
fn reasons(reasons: &[(&str, Cow<'_, str>)]) -> String {
    reasons.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>().join("; ")
}
