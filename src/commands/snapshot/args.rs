//! What is typed after `ecobox snapshot`.

use std::time::Duration;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::{self, GLOBAL_OPTIONS};
use crate::commands::complete;
use crate::fleet::act::PARALLEL;
use crate::model::check::CheckId;
use crate::model::snapshot::{Label, SnapshotName};

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox snapshot list                      # all snapshots of all guests, as trees\n\
    \x20 ecobox snapshot create vm-101             # named after the time: ecobox-20261129-210000\n\
    \x20 ecobox snapshot create vm-101 --name before-upgrade\n\
    \x20 ecobox snapshot create tag=prod --label daily --keep 7 --wait-for-lock 10m  # for cron\n\
    \x20 ecobox snapshot rollback before-upgrade vm-101 --dry-run\n\
    \x20 ecobox snapshot delete 'ecobox-2025*' tag=lab";

/// List, take, delete and roll back snapshots of guests
///
/// Everything is looked at before anything is sent, nothing is sent twice, and what came of it is seen in the guest's list of
/// snapshots. It takes a token of the scope `manager`.
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES, subcommand_required = true, disable_help_subcommand = true)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(ListArgs),
    Create(CreateArgs),
    Delete(DeleteArgs),
    Rollback(RollbackArgs),
}

const TARGET_HELP: &str =
    "Of whom: a name, an id, `vm-101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes";

/// Show the snapshots of guests, as trees
///
/// Below each snapshot are those that came from it; `now` is the guest as it is. Who took a snapshot is known of those that
/// ecobox took, by a line in the description.
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS)]
pub(crate) struct ListArgs {
    #[arg(value_name = "TARGET", help = TARGET_HELP, add = ArgValueCompleter::new(complete::target))]
    pub(super) targets: Vec<String>,
}

/// Take a snapshot of each guest
///
/// Disks are frozen by the guest agent where there is one; else the snapshot is crash-consistent, and ecobox says so. With `--keep`,
/// the oldest snapshots that ecobox took with the same label are deleted once the new one is there; those of others never.
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS)]
pub(crate) struct CreateArgs {
    #[arg(value_name = "TARGET", help = TARGET_HELP, required = true, add = ArgValueCompleter::new(complete::target))]
    pub(super) targets: Vec<String>,
    /// How it is called [default: ecobox-[LABEL-]TIME, the time in UTC]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<SnapshotName>)]
    pub(super) name: Option<SnapshotName>,
    /// What is written into its description
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub(super) description: Option<String>,
    /// Save the memory of virtual machines that run as well
    #[arg(long)]
    pub(super) vmstate: bool,
    /// To which series it belongs, e.g. `daily`
    #[arg(long, value_name = "LABEL", value_parser = str::parse::<Label>)]
    pub(super) label: Option<Label>,
    /// Delete the oldest of the series afterwards, so that this many are left (without `--label`: of those taken with `--keep`)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000), conflicts_with = "no_wait")]
    pub(super) keep: Option<u16>,
    /// How full a storage may be, data and metadata, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 90.0, value_parser = percent)]
    pub(super) max_storage: f64,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// Delete snapshots
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS)]
pub(crate) struct DeleteArgs {
    /// Which: a name, or a glob such as `'ecobox-2025*'`
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[arg(value_name = "TARGET", help = TARGET_HELP, required = true, add = ArgValueCompleter::new(complete::target))]
    pub(super) targets: Vec<String>,
    /// Answer the question beforehand
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// Put guests back to a snapshot: their disks and their configuration
///
/// What has changed since then is lost, and kept nowhere. A guest that runs is killed for it and stays off, unless the snapshot has its
/// memory. Several guests go back together, or none.
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS)]
pub(crate) struct RollbackArgs {
    /// To which snapshot
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[arg(value_name = "TARGET", help = TARGET_HELP, required = true, add = ArgValueCompleter::new(complete::target))]
    pub(super) targets: Vec<String>,
    /// Start the guest afterwards
    #[arg(long)]
    pub(super) start: bool,
    /// Answer the question beforehand
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// How it is done.
#[derive(Debug, clap::Args)]
pub(crate) struct HowArgs {
    /// Show what would be done and the failed checks; do nothing
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Wait this long for a backup or another task on the guest, e.g. `10m`
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    pub(super) wait_for_lock: Option<Duration>,
    /// Proceed despite this check (can be repeated)
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = check_ids())]
    pub(super) allow: Vec<CheckId>,
    /// Send the calls without waiting for the outcome
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How many guests at a time on each node, and on each storage
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) parallel: u16,
}

/// `--allow`'s words.
fn check_ids() -> impl TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_SNAPSHOT.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_SNAPSHOT.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    number.filter(|number| (1.0..=100.0).contains(number)).ok_or_else(|| "a number from 1 to 100".to_owned())
}

/// What Proxmox VE keeps as text.
fn text(text: &str) -> Result<String, String> {
    let fits = text.len() <= 4000 && !text.contains(|c: char| c.is_control() && c != '\n');
    if fits { Ok(text.to_owned()) } else { Err("a text of at most 4000 bytes, without control characters".to_owned()) }
}
