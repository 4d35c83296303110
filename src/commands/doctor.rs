//! `ecobox doctor`: why something does not work, and what makes it work.

pub(crate) mod explain;
pub(crate) mod report;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, complete, counted};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::model::check::diagnosis::{Chart, Fix, mute, say_once};
use crate::model::check::{Area, CheckId};

pub(crate) use self::explain::ExplainReport;
pub(crate) use self::report::DoctorReport;

const USAGE: &str = "ecobox doctor [TARGET]... [--all]\n       ecobox doctor --explain ID";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox doctor                            # this machine and every host\n\
    \x20 ecobox doctor nas                        # why does `nas` not answer?\n\
    \x20 ecobox doctor --all                      # what was looked at, and is fine, too\n\
    \x20 ecobox doctor --explain clock-off        # what a check looks at, and how to fix it by hand\n\
    \x20 ecobox doctor -o json | jq '.checks[] | select(.result == \"problem\")'";

/// Find out why something does not work, and how to fix it
///
/// Looks at this machine and then, layer by layer, at each host: its name, the way to it, its key, the login, its system,
/// its API. Behind a layer that fails nothing is asked: each cause is reported once. Nothing is changed anywhere. The exit
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
        chart.problem(id, message, Some(fix.unwrap_or_else(|| Fix::of(id, &[]))));
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
    // Not `with_fleet`: that would send what waits for Prometheus, and nothing is to be changed.
    let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
    let known = fleet.remembered()?;
    // A word that means nobody is an error before anybody is asked.
    known.clone().selected(&args.targets)?;
    let scope = fleet.scope(&args.targets)?;
    let mut list = {
        let _progress = ctx.ui.progress(&format!("looking at {}", counted(fleet.hosts().count(), "host")));
        fleet.diagnose(&scope, &known).await
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
