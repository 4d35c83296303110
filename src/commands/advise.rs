//! `ecobox advise`: what the past says that could be changed. It changes nothing.

mod energy;
pub(crate) mod report;

use std::collections::{BTreeSet, HashMap};

use clap_complete::engine::ArgValueCompleter;
use jiff::{SignedDuration, Timestamp};

use self::report::AdviceReport;
use crate::commands::args::{GLOBAL_OPTIONS, Since};
use crate::commands::{Context, Outcome, Said, complete, counted, say, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::advice::{AdviceRequest, Advised};
use crate::fleet::observe::Observed;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::Inventory;
use crate::model::inventory::server::ServerKind;
use crate::model::past::series::Window;
use crate::transport::pve::Client;

const USAGE: &str = "ecobox advise [TARGET]... [--since WHEN] [--all] [--cached]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox advise                            # what to change, judged by the last 30 days\n\
    \x20 ecobox advise vm-101 --since 90d         # one guest, also where nothing would be changed\n\
    \x20 ecobox advise --all                      # everything, with why it would be left as it is\n\
    \x20 ecobox advise --cached                   # by what earlier runs saw, without asking anyone\n\
    \x20 ecobox advise -o csv";

/// The time that is looked at unless `--since` says it.
const USUAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Say what the past suggests to change, without changing it
///
/// Reads what earlier runs measured, what Proxmox VE kept (averages and maxima) and a Prometheus server if the configuration
/// names one. Each line says what, from how much to how much, why, how sure that is, and which command a person would
/// type. A guest is never left with less than it once used in this time.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct AdviseArgs {
    /// Only these: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Judge the time since then: `30d`, or a time like `2026-11-24T08:00:00Z` [default: 30d]
    #[arg(long, value_name = "WHEN", value_parser = crate::commands::args::since)]
    since: Option<Since>,
    /// Also show what would be left as it is, and what cannot be told
    #[arg(long)]
    all: bool,
    /// Judge by what earlier runs saw, without asking anyone
    #[arg(long)]
    cached: bool,
}

/// Looks, reads the past, and judges it. `folds`: lines that change nothing may be counted instead of shown.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &AdviseArgs, folds: bool) -> anyhow::Result<Outcome<AdviceReport>> {
    let now = Timestamp::now();
    let since = args.since.unwrap_or(Since::Ago(USUAL)).before(now);
    let window = Window::new(since, now, None);
    let (advised, notices) = if args.cached {
        // Nothing is asked or sent.
        let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
        (advise(ctx, &fleet, args, window).await?, fleet.notices.take())
    } else {
        with_fleet(ctx, ctx.limits, async |fleet| advise(ctx, fleet, args, window).await).await?
    };
    let Advised { list, failures } = advised;
    let targets = args.targets.as_slice();
    say(ctx, Said { command: "advise", targets, notices, failures: &failures, at: now }, &|_| !args.cached);
    let exit = Exit::of_many(list.len(), failures.iter().map(|failed| failed.kind.into()));
    let is_folded = folds && !args.all && args.targets.is_empty();
    let report = AdviceReport::new(now, window, list, failures, is_folded);
    Ok(Outcome::new(report, exit))
}

async fn advise(ctx: &Context, fleet: &Fleet<'_>, args: &AdviseArgs, window: Window) -> anyhow::Result<Advised> {
    let (mut inventory, clients) = if args.cached {
        let mut inventory = fleet.remembered()?;
        fleet.recall(&mut inventory.servers)?;
        (inventory, HashMap::new())
    } else {
        look(ctx, fleet, args).await?
    };
    fleet.recall_load(&mut inventory.servers)?;
    let wanted: BTreeSet<usize> = inventory.chosen(&args.targets)?.into_iter().collect();
    let progress = ctx.ui.progress(&format!("reading the past of {}", counted(wanted.len(), "server")));
    let advance = |done, of| progress.set(&format!("reading what Proxmox VE kept: {done} of {of}"));
    let request = AdviceRequest {
        inventory: &inventory,
        wanted: &wanted,
        window,
        clients: &clients,
        asks: !args.cached,
        progress: &advance,
    };
    let mut advised = fleet.advise(&request).await?;
    // Plain servers are judged by what was kept of them: whether they answer now does not matter.
    let plain = inventory.servers.iter().filter(|server| server.kind == ServerKind::Linux);
    let plain: BTreeSet<ServerId> = plain.map(|server| server.id.clone()).collect();
    let mut concerned = inventory.selected(&args.targets)?.failures;
    concerned.retain(|failed| !plain.contains(&failed.server));
    advised.failures.splice(0..0, concerned);
    Ok(advised)
}

/// Asks everyone that is concerned what is there now.
async fn look(
    ctx: &Context,
    fleet: &Fleet<'_>,
    args: &AdviseArgs,
) -> anyhow::Result<(Inventory, HashMap<ClusterId, Client>)> {
    let _progress = ctx.ui.progress(&format!("asking {}", counted(fleet.hosts().count(), "host")));
    let Observed { inventory, clients, .. } = fleet.look_for_advice(&args.targets).await?;
    Ok((inventory, clients))
}
