//! How hard every server works now.

#[cfg(test)]
mod schema;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::StatsArgs;
use crate::commands::{Context, Outcome, Said, counted, nobody, say, selected, with_fleet};
use crate::error::Exit;
use crate::fleet::Fleet;
use crate::fleet::observe::measure::{AskedAgent, Earlier, LoadOptions};
use crate::fleet::observe::record::Recording;
use crate::fleet::observe::{Asking, Observed};
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::server::ServerKind;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::load::reading::{Filesystem, HostLoad, is_root};
use crate::model::load::usage::{Count, Pressure, Rates, Source, Usage};
use crate::model::past::metrics::{self, Families, Ids};
use crate::model::power::PowerState;
use crate::render::value::{Stamp, Value};
use crate::render::{Column, Report};

/// The load of all servers that were asked for.
#[derive(Debug)]
pub(crate) struct StatsReport {
    generated_at: Timestamp,
    servers: Vec<Server>,
    /// What guests had counted before: rates are made of it as rows are printed.
    earlier: Earlier,
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

/// What a server told beyond its cluster's listing.
#[derive(Debug, Default)]
struct Detail {
    /// What a host or plain server told itself.
    load: Option<HostLoad>,
    /// What a guest's agent told of its file systems, the root first.
    inside: Vec<Filesystem>,
    /// The size of a virtual machine's disk as the hypervisor knows it, where file systems inside of it are told.
    virtual_disk: Option<Count>,
    /// Who gave a number, where that is not the row's source.
    sources: BTreeMap<&'static str, Source>,
    /// Why a number is unknown, or what is to be known of it, as far as that is not plain from the numbers.
    reasons: Reasons<'static>,
}

/// Why numbers are unknown, in the order of their names, each once.
type Reasons<'r> = Vec<(&'static str, Cow<'r, str>)>;

/// Measures the fleet, selects, and reports.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &StatsArgs) -> anyhow::Result<Outcome<StatsReport>> {
    let (look, notices) = with_fleet(ctx, ctx.limits, async |fleet| look(ctx, fleet, args).await).await?;
    let Look { inventory, mut loads, mut agents, earlier, at, recording } = look;
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
        details.extend(detail.map(|detail| (server.id.clone(), detail)));
    }
    let has_targets = !args.targets.is_empty();
    let report = StatsReport { generated_at: at, servers, earlier, ids, details, failures, has_targets };
    Ok(Outcome { report, exit, recording })
}

/// What was measured of the servers that were asked for.
struct Look {
    inventory: Inventory,
    loads: HashMap<ServerId, Result<HostLoad, String>>,
    agents: HashMap<ServerId, AskedAgent>,
    earlier: Earlier,
    at: Timestamp,
    recording: Option<Recording>,
}

async fn look(ctx: &Context, fleet: &Fleet<'_>, args: &StatsArgs) -> anyhow::Result<Look> {
    let load = LoadOptions { interval: args.interval, all_disks: args.all_disks };
    let asking = Asking { scope: fleet.scope(&args.targets)?, load: Some(load), ..Asking::default() };
    let (observed, recording) = {
        let _progress = ctx.ui.progress(&format!("measuring {}", counted(fleet.hosts().count(), "host")));
        // Whoever interrupts while agents are asked has looked, too.
        if args.agent { (fleet.observe(&asking).await?, None) } else { fleet.observe_to_show(&asking).await? }
    };
    let Observed { inventory, loads, clients, earlier, at } = observed;
    let inventory = selected(ctx, inventory, &args.targets, recording.as_ref())?;
    let mut agents = HashMap::new();
    if args.agent {
        let _progress = ctx.ui.progress("asking guest agents");
        agents = fleet.filesystems(&inventory.servers, &clients, args.all_agents).await?;
    }
    Ok(Look { inventory, loads, agents, earlier, at, recording })
}

impl Detail {
    /// What there is of the server; the file systems of a guest complete its numbers.
    fn of(server: &mut Server, load: Option<Result<HostLoad, String>>, agent: Option<AskedAgent>) -> Option<Detail> {
        match (load, agent) {
            (Some(Ok(load)), _) => Some(Detail::of_load(load)),
            (Some(Err(error)), _) => Some(Detail::unknown_of_host(server, error.into())),
            (None, _) if server.vmid.is_none() => {
                let why = "only SSH could tell, and it is configured without";
                Some(Detail::unknown_of_host(server, why.into()))
            }
            (None, Some(Ok(filesystems))) => Detail::of_filesystems(server, filesystems),
            (None, Some(Err(error))) => Some(Detail { reasons: vec![("disk", error.into())], ..Detail::default() }),
            (None, None) => None,
        }
    }

    fn of_load(mut load: HostLoad) -> Detail {
        let reasons = std::mem::take(&mut load.reasons).into_iter().map(|(name, reason)| (name, reason.into()));
        let (reasons, sources) = (sorted(reasons), std::mem::take(&mut load.sources));
        Detail { load: Some(load), reasons, sources, ..Detail::default() }
    }

    /// What the API's listing has of a host is there; the rest only the host itself tells.
    fn unknown_of_host(server: &Server, why: Cow<'static, str>) -> Detail {
        let Server { seen, .. } = server;
        let usage = &seen.usage;
        let unknown = [
            ("cpu", usage.cpu_percent.is_none()),
            ("load", usage.load.is_none()),
            ("memory", usage.memory_bytes.is_none()),
            ("disk", usage.disk_bytes.is_none()),
            ("network", usage.receive_bytes.is_none()),
            ("io", usage.read_bytes.is_none()),
            ("uptime", usage.uptime_seconds.is_none()),
            ("pressure", true),
        ];
        let why = seen.reason.clone().filter(|_| !seen.state.is_up()).map_or(why, Cow::Owned);
        let unknown = unknown.into_iter().filter(|(_, unknown)| *unknown);
        let reasons = sorted(unknown.map(|(name, _)| (name, why.clone())));
        Detail { reasons, ..Detail::default() }
    }

    fn of_filesystems(server: &mut Server, inside: Vec<Filesystem>) -> Option<Detail> {
        let main = Filesystem::main_of(&inside)?;
        let usage = &mut server.seen.usage;
        usage.disk_bytes = Some(Count::new(main.used_bytes));
        let virtual_disk = usage.disk_max_bytes.replace(Count::new(main.size_bytes));
        let sources = [("disk", Source::Agent)].into();
        let why = || format!("no usable root file system is told; the disk is the largest, {}", main.mount);
        let reasons = if is_root(&main.mount) { Vec::new() } else { vec![("disk", why().into())] };
        Some(Detail { inside, virtual_disk, sources, reasons, ..Detail::default() })
    }
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
    /// Why numbers are unknown, and what is to be known of others.
    fn reasons(&self) -> Reasons<'r> {
        let told = self.detail.map_or(&[][..], |detail| &detail.reasons);
        let told = told.iter().map(|(name, reason)| (*name, Cow::Borrowed(reason.as_ref())));
        if self.server.vmid.is_none() {
            return told.collect();
        }
        let plain = self.reasons_of_guest();
        if told.len() == 0 {
            return plain;
        }
        // What was told counts.
        sorted(told.chain(plain))
    }

    fn reasons_of_guest(&self) -> Reasons<'r> {
        let (usage, seen) = (&self.server.seen.usage, &self.server.seen);
        let off: Option<Cow<'r, str>> = match seen.state {
            PowerState::Running => None,
            PowerState::Unknown => Some(seen.reason.as_deref().unwrap_or("its state is unknown").into()),
            state => Some(format!("it is {state}").into()),
        };
        let missing = || off.clone().unwrap_or("its node did not say".into());
        let of_rate = |total: Option<Count>| match total {
            Some(_) => "a rate needs two readings of it running: the next run within ten minutes has both".into(),
            None => missing(),
        };
        let of_disk = || match (self.server.kind, &off) {
            (ServerKind::Qemu, None) => "the hypervisor does not know it; `--agent` asks inside the guest".into(),
            _ => missing(),
        };
        let reasons = [
            ("cpu", usage.cpu_percent.is_none().then(missing)),
            ("disk", usage.disk_bytes.is_none().then(of_disk)),
            ("io", self.rates.read.is_none().then(|| of_rate(usage.read_bytes))),
            ("memory", usage.memory_bytes.is_none().then(missing)),
            ("network", self.rates.receive.is_none().then(|| of_rate(usage.receive_bytes))),
            ("uptime", usage.uptime_seconds.is_none().then(missing)),
        ];
        reasons.into_iter().filter_map(|(name, reason)| Some((name, reason?))).collect()
    }

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

    /// `None` where nobody gave any number.
    fn source(&self) -> Option<Source> {
        let usage = &self.server.seen.usage;
        (*usage != Usage::default()).then_some(self.server.seen.usage_source)
    }
}

/// The report for Prometheus. Whoever did not answer has no numbers in it: an old one would look like a new one.
fn families(report: &StatsReport) -> Families {
    let mut families = Families::default();
    families.last_run(report.generated_at);
    for failed in &report.failures {
        families.failed(failed.server.as_str(), failed.kind);
    }
    for row in report.rows() {
        let server = row.server;
        let id = &report.ids.of(server);
        let is_guest = server.vmid.is_some();
        families.power(id, is_guest, server.seen.state);
        match row.load() {
            Some(load) => families.host_load(id, load),
            None => match row.detail.filter(|detail| !detail.inside.is_empty()) {
                Some(detail) => families.usage_inside(id, &server.seen.usage, &detail.inside, detail.virtual_disk),
                None => families.usage(id, &server.seen.usage),
            },
        }
        families.services(id, &server.seen.checks);
        let text = |node: Option<&NodeName>| node.map(|node| node.as_str().to_owned()).unwrap_or_default();
        let node = text(server.node.as_ref());
        let (name, kind) = (server.name.as_str(), server.kind.as_str());
        if let Some(vmid) = server.vmid {
            let (vmid, tags) = (vmid.to_string(), server.tags.join(";"));
            let labels = [
                ("id", id.as_str()),
                ("server", server.id.as_str()),
                ("name", name),
                ("kind", kind),
                ("node", node.as_str()),
                ("vmid", vmid.as_str()),
                ("cluster", server.cluster.as_ref().map_or("", |cluster| report.ids.of_cluster(cluster))),
                ("pool", server.pool.as_deref().unwrap_or_default()),
                ("tags", tags.as_str()),
            ];
            families.add(&metrics::GUEST_INFO, &labels, 1.0);
        } else {
            let address = server.hostname.as_deref().unwrap_or_default();
            let labels =
                [("id", id.as_str()), ("name", name), ("kind", kind), ("node", node.as_str()), ("address", address)];
            families.add(&metrics::HOST_INFO, &labels, 1.0);
        }
    }
    families
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

/// Reasons in their order; of two with one name the first stays.
fn sorted<'r>(reasons: impl Iterator<Item = (&'static str, Cow<'r, str>)>) -> Reasons<'r> {
    let mut reasons: Reasons<'r> = reasons.collect();
    reasons.sort_by_key(|(name, _)| *name);
    reasons.dedup_by_key(|(name, _)| *name);
    reasons
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

/// An object of them.
struct ByName<'r>(&'r [(&'static str, Cow<'r, str>)]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, reason)| (name, reason)))
    }
}

impl Serialize for StatsReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Rows<'r>(&'r StatsReport);
        impl Serialize for Rows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.rows())
            }
        }
        let mut object = serializer.serialize_struct("StatsReport", 3)?;
        object.serialize_field("generated_at", &Stamp(self.generated_at))?;
        object.serialize_field("servers", &Rows(self))?;
        object.serialize_field("failures", &self.failures)?;
        object.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (server, usage, rates) = (self.server, &self.server.seen.usage, &self.rates);
        let only_of_hosts = if server.vmid.is_none() { 8 } else { 0 };
        let mut object = serializer.serialize_struct("Server", 31 + only_of_hosts)?;
        object.serialize_field("id", &server.id)?;
        object.serialize_field("name", &server.name)?;
        object.serialize_field("kind", server.kind.as_str())?;
        object.serialize_field("state", server.seen.state.as_str())?;
        object.serialize_field("parent", &server.parent)?;
        object.serialize_field("node", &server.node)?;
        object.serialize_field("vmid", &server.vmid)?;
        object.serialize_field("cpu_percent", &usage.cpu_percent)?;
        object.serialize_field("cpus", &usage.cpus)?;
        object.serialize_field("memory_bytes", &usage.memory_bytes)?;
        object.serialize_field("memory_max_bytes", &usage.memory_max_bytes)?;
        object.serialize_field("memory_percent", &usage.memory_percent())?;
        object.serialize_field("disk_bytes", &usage.disk_bytes)?;
        object.serialize_field("disk_max_bytes", &usage.disk_max_bytes)?;
        object.serialize_field("disk_percent", &usage.disk_percent())?;
        object.serialize_field("disk_mount", &self.disk_mount())?;
        object.serialize_field("network_receive_bytes", &usage.receive_bytes)?;
        object.serialize_field("network_transmit_bytes", &usage.transmit_bytes)?;
        object.serialize_field("network_total_bytes", &self.network_total())?;
        object.serialize_field("network_receive_bytes_per_second", &rates.receive)?;
        object.serialize_field("network_transmit_bytes_per_second", &rates.transmit)?;
        object.serialize_field("disk_read_bytes", &usage.read_bytes)?;
        object.serialize_field("disk_write_bytes", &usage.write_bytes)?;
        object.serialize_field("disk_read_bytes_per_second", &rates.read)?;
        object.serialize_field("disk_write_bytes_per_second", &rates.write)?;
        object.serialize_field("uptime_seconds", &usage.uptime_seconds)?;
        if server.vmid.is_none() {
            // What only a host or plain server can have.
            let load = self.load();
            let pressure = load.map(|load| load.pressure).unwrap_or_default();
            object.serialize_field("load_average", &load.and_then(|load| load.load))?;
            object.serialize_field("swap_bytes", &load.and_then(|load| load.swap_bytes))?;
            object.serialize_field("swap_max_bytes", &load.and_then(|load| load.swap_max_bytes))?;
            object.serialize_field("arc_bytes", &load.and_then(|load| load.arc_bytes))?;
            object.serialize_field("pressure_cpu_percent", &pressure.cpu_percent)?;
            object.serialize_field("pressure_memory_percent", &pressure.memory_percent)?;
            object.serialize_field("pressure_io_percent", &pressure.io_percent)?;
            object.serialize_field("measured_seconds", &load.and_then(|load| load.measured_seconds))?;
        }
        object.serialize_field("filesystems", self.filesystems())?;
        object.serialize_field("source", &self.source())?;
        let none = BTreeMap::new();
        object.serialize_field("sources", self.detail.map_or(&none, |detail| &detail.sources))?;
        object.serialize_field("observed_at", &server.seen.at.map(Stamp))?;
        object.serialize_field("reasons", &ByName(&self.reasons()))?;
        object.end()
    }
}
