//! `ecobox doctor`: why something does not work, and what makes it work.

pub(crate) mod explain;
pub(crate) mod report;
mod wake;

use std::collections::HashSet;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, complete, counted};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::model::check::diagnosis::{Chart, mute, say_once};
use crate::model::check::fix::Fix;
use crate::model::check::{Area, CheckId};
use crate::model::id::ServerId;

pub(crate) use self::explain::ExplainReport;
pub(crate) use self::report::DoctorReport;

const USAGE: &str =
    "ecobox doctor [TARGET]... [--all]\n       ecobox doctor --explain ID\n       ecobox doctor --wake HOST [--yes]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox doctor                            # this machine and every host\n\
    \x20 ecobox doctor nas                        # why does `nas` not answer?\n\
    \x20 ecobox doctor --all                      # what was looked at, and is fine, too\n\
    \x20 ecobox doctor --explain clock-off        # what a check looks at, and how to fix it by hand\n\
    \x20 ecobox doctor --wake nas                 # really puts it to sleep, and wakes it\n\
    \x20 ecobox doctor -o json | jq '.checks[] | select(.result == \"problem\")'";

/// Find out why something does not work, and how to fix it
///
/// Looks at this machine and then, layer by layer, at each host: its name, the way to it, its key, the login, its system,
/// its API, its sleep; then at its guests. Behind a layer that fails nothing is asked: each cause is reported once. Nothing
/// is changed anywhere, unless `--wake` is given. The exit
/// status is 12 if there are problems, and 1 if there are warnings only.
#[derive(Debug, Default, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Only these hosts, and the hosts of these guests
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Show every check, also those that found nothing
    #[arg(long)]
    all: bool,
    /// Say what a check looks at, why it matters, and how to fix by hand what it finds
    #[arg(long, value_name = "ID", value_parser = check_ids(), hide_possible_values = true)]
    #[arg(conflicts_with_all = ["targets", "all"])]
    explain: Option<CheckId>,
    /// Put a host to sleep and wake it again, to see that this works; it asks first, and remembers how it went
    #[arg(long, value_name = "HOST", conflicts_with_all = ["targets", "all", "explain"])]
    #[arg(add = ArgValueCompleter::new(complete::target))]
    wake: Option<String>,
    /// With `--wake`: answer the question beforehand
    #[arg(long, short, requires = "wake")]
    yes: bool,
}

fn check_ids() -> impl TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::ALL.iter().map(|id| id.as_str()))
        .try_map(|word| CheckId::parse(&word).ok_or("no such check"))
}

impl DoctorArgs {
    /// What `--explain` prints, for which nothing is read and nobody is asked.
    pub(crate) fn explanation(&self) -> Option<ExplainReport> {
        self.explain.map(ExplainReport::of)
    }

    /// The report where the configuration or the state file cannot be used: nothing else can be looked at.
    pub(crate) fn unusable(&self, id: CheckId, message: &str, fix: Option<Fix>) -> (DoctorReport, Exit) {
        let mut chart = Chart::of(None);
        let fix = fix.or_else(|| Fix::named_in(message)).unwrap_or_else(|| Fix::of(id, &[]));
        chart.problem(id, message, Some(fix));
        let rest: Vec<CheckId> = CheckId::ALL.iter().copied().filter(|other| other.area() == Area::Machine).collect();
        chart.skip(&rest, id);
        let report = DoctorReport::new(chart.list, self.all, jiff::Timestamp::now());
        let exit = report.exit();
        (report, exit)
    }
}

/// Looks, silences what the configuration silences, and reports.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &DoctorArgs) -> anyhow::Result<Outcome<DoctorReport>> {
    if let Some(host) = &args.wake {
        return wake::run(ctx, host, args.yes).await;
    }
    // Not `with_fleet`: that would send what waits for Prometheus, and nothing is to be changed.
    let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
    let known = fleet.remembered()?;
    // A word that means nobody is an error before anybody is asked.
    let chosen: HashSet<ServerId> =
        known.clone().selected(&args.targets)?.servers.into_iter().map(|server| server.id).collect();
    let meant = |id: &ServerId| args.targets.is_empty() || chosen.contains(id);
    let scope = fleet.scope(&args.targets)?;
    let mut list = {
        let _progress = ctx.ui.progress(&format!("looking at {}", counted(fleet.hosts().count(), "host")));
        fleet.diagnose(&scope, &known, &meant).await
    };
    fleet.close().await;
    mute(&mut list, &ctx.config.settings.mute);
    say_once(&mut list);
    for fix in list.iter_mut().filter_map(|one| one.fix.as_mut()) {
        fix.text = ctx.ui.to_paste(&fix.text);
    }
    let report = DoctorReport::new(list, args.all, fleet.now());
    let exit = report.exit();
    Ok(Outcome::new(report, exit))
}
