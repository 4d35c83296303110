//! `ecobox check`: a verdict for a monitor, in the form of its plugins.

pub(crate) mod report;

use std::collections::{HashMap, HashSet};

use clap_complete::engine::ArgValueCompleter;
use jiff::SignedDuration;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, complete, counted, nobody, selected, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::monitor::Look;
use crate::fleet::observe::measure::LoadOptions;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::{Inventory, Server};
use crate::model::load::reading::HostLoad;
use crate::model::monitor::condition::Condition;
use crate::model::monitor::judge::{groups, judge};
use crate::model::monitor::states::{of_service, of_states, resting, too_old, without_old_services};
use crate::model::monitor::{Finding, Level};
use crate::transport::pve::Client;

pub(crate) use self::report::CheckReport;

const USAGE: &str = "ecobox check [TARGET]... [--service NAME] [--cached] [-w CONDITION]... [-c CONDITION]...";

const EXAMPLES: &str = "Conditions: cpu, memory, disk, load, pressure.cpu, pressure.memory, pressure.io, response, age, storage,\n\
    certificate, token, backup, availability; with <, <=, >, >=, or = and a range such as 80, 10:, ~:10, 10:20, @10:20.\n\n\
    Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, also for wrong usage and configuration.\n\n\
    Examples:\n\
    \x20 ecobox check                                   # states, services, and servers that could not be asked\n\
    \x20 ecobox check web --service https               # one service of one server\n\
    \x20 ecobox check --cached --max-age 10m            # what the last run saw, without asking anyone\n\
    \x20 ecobox check -w 'cpu>80' -c 'cpu>95'           # numbers\n\
    \x20 ecobox check -w cpu=80 -c cpu=95               # the same as ranges of the plugins\n\
    \x20 ecobox check -c 'backup>26h' -w 'storage>90' -w 'certificate<14d' -w 'token<14d'\n\
    \x20 ecobox check -w 'availability<99.5 over 30d' -w 'cpu>80 over 15m'";

/// Tell a monitor whether all is well: Nagios, Icinga, Checkmk, or cron
///
/// One line with performance data, then what is wrong; exit status 0, 1, 2 or 3. Without conditions: servers that are not in
/// the expected state, services that do not answer, and the servers that could not be asked. A server that sleeps on purpose is fine.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Only these: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `!` excludes
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// WARNING if this condition is met, e.g. `cpu>80`, `certificate<14d`, `cpu=80` (can be repeated)
    #[arg(short, long, alias = "warning", value_name = "CONDITION", value_parser = warn)]
    #[arg(add = ArgValueCompleter::new(complete::threshold))]
    warn: Vec<Condition>,
    /// CRITICAL if this condition is met (can be repeated)
    #[arg(short, long, alias = "critical", value_name = "CONDITION", value_parser = crit)]
    #[arg(add = ArgValueCompleter::new(complete::threshold))]
    crit: Vec<Condition>,
    /// Only services of this name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Judge states and services besides the conditions
    #[arg(long)]
    states: bool,
    /// Judge what the last runs saw, without asking anyone
    #[arg(long)]
    cached: bool,
    /// UNKNOWN if what is known is older than this
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = crate::commands::args::span)]
    max_age: SignedDuration,
    /// How long a backup may be missing after a guest was created or its host came back, and by how much a job may be late
    #[arg(long, value_name = "SPAN", value_parser = crate::commands::args::span)]
    grace: Option<SignedDuration>,
    /// The name of the service for `-o checkmk`
    #[arg(long, value_name = "NAME", default_value = "ecobox")]
    name: String,
}

fn warn(text: &str) -> Result<Condition, String> {
    Condition::parse(text, Level::Warning)
}

fn crit(text: &str) -> Result<Condition, String> {
    Condition::parse(text, Level::Critical)
}

impl CheckArgs {
    fn conditions(&self) -> Vec<Condition> {
        self.warn.iter().chain(&self.crit).cloned().collect()
    }

    /// Whether states are judged: where nothing else is, or where that is asked for.
    fn judges_states(&self) -> bool {
        self.states || self.service.is_none() && self.warn.is_empty() && self.crit.is_empty()
    }
}

/// What was seen, before it is judged.
struct Seen {
    inventory: Inventory,
    resting: HashSet<ServerId>,
    loads: HashMap<ServerId, Result<HostLoad, String>>,
    clients: HashMap<ClusterId, Client>,
}

/// Looks, or remembers, and judges.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &CheckArgs) -> anyhow::Result<Outcome<CheckReport>> {
    let ((mut report, findings), notices) = if args.cached {
        // Nothing is asked or sent.
        let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
        let seen = remembered(ctx, &fleet, args)?;
        (judged(&fleet, args, seen).await?, fleet.notices.take())
    } else {
        with_fleet(ctx, ctx.limits, async |fleet| judged(fleet, args, look(ctx, fleet, args).await?).await).await?
    };
    let level = report.close(findings, notices.into_iter().map(|notice| notice.text).collect());
    Ok(Outcome::new(report, Exit::Check(level)))
}

/// Judges what was seen, and asks for the numbers that the conditions are about.
async fn judged(fleet: &Fleet<'_>, args: &CheckArgs, seen: Seen) -> anyhow::Result<(CheckReport, Vec<Finding>)> {
    let Seen { inventory, resting, loads, clients } = seen;
    let now = fleet.now();
    let mut report = CheckReport::new(now, args.name.clone());
    let (mut findings, old) = too_old(&inventory.servers, &resting, now, args.max_age);
    if inventory.servers.is_empty() {
        let message = nobody(!args.targets.is_empty());
        findings.push(Finding { level: Level::Unknown, check: "state", server: None, message });
    }
    let Inventory { servers, failures, .. } = inventory;
    let all = servers.len();
    let mut servers: Vec<Server> = servers.into_iter().filter(|server| !old.contains(&server.id)).collect();
    findings.extend(without_old_services(&mut servers, now.checked_sub(args.max_age).unwrap_or(now)));
    let shown: Vec<&Server> = servers.iter().collect();
    if args.judges_states() {
        findings.extend(of_states(&shown, &failures));
        report.count_states(&shown, all);
    }
    if let Some(name) = &args.service {
        let (found, count) = of_service(&shown, &resting, name);
        // States and all services are judged already.
        findings.extend(found.into_iter().filter(|_| !args.judges_states()));
        report.count_service(name, count, &shown);
        if count == 0 && old.is_empty() {
            findings.push(no_service(&shown, name));
        }
    }
    // Of what is too old nothing more is to be said.
    let conditions = if servers.is_empty() && !old.is_empty() { Vec::new() } else { args.conditions() };
    let look = Look {
        servers: &servers,
        resting: &resting,
        loads: &loads,
        clients: (!args.cached).then_some(&clients),
        now,
        max_age: args.max_age,
        grace: args.grace.unwrap_or_default(),
        service: args.service.as_deref(),
    };
    for (group, conditions) in groups(&conditions) {
        let items = fleet.readings(group, &conditions, &look).await?;
        report.add(group.0, judge(group, &conditions, &items), &mut findings);
    }
    Ok((report, findings))
}

/// What the state file knows.
fn remembered(ctx: &Context, fleet: &Fleet<'_>, args: &CheckArgs) -> anyhow::Result<Seen> {
    let inventory = fleet.remembered()?;
    let resting = resting(&inventory.servers);
    let mut inventory = selected(ctx, inventory, &args.targets, None)?;
    fleet.recall(&mut inventory.servers)?;
    Ok(Seen { inventory, resting, loads: HashMap::new(), clients: HashMap::new() })
}

/// What is so now.
async fn look(ctx: &Context, fleet: &Fleet<'_>, args: &CheckArgs) -> anyhow::Result<Seen> {
    let conditions = args.conditions();
    let measures = conditions.iter().any(|condition| condition.key.needs_load());
    let load = measures.then_some(LoadOptions { interval: crate::commands::args::INTERVAL, all_disks: false });
    let request =
        ObserveRequest { scope: fleet.scope(&args.targets)?, load, clusters: true, ..ObserveRequest::default() };
    let observed = {
        let _progress = ctx.ui.progress(&format!("asking {}", counted(fleet.hosts().count(), "host")));
        fleet.observe(&request).await?
    };
    let Observed { inventory, loads, clients, .. } = observed;
    let resting = resting(&inventory.servers);
    let inventory = selected(ctx, inventory, &args.targets, None)?;
    Ok(Seen { inventory, resting, loads, clients })
}

/// No server has such a service: lists those that exist.
fn no_service(servers: &[&Server], name: &str) -> Finding {
    let mut names: Vec<&str> =
        servers.iter().flat_map(|server| server.services.iter().map(|service| service.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let known =
        if names.is_empty() { "none is configured".to_owned() } else { format!("there are {}", names.join(", ")) };
    let message = format!("no selected server has a service `{name}`: {known}");
    Finding { level: Level::Unknown, check: "service", server: None, message }
}
