//! What is typed after `ecobox power`.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::complete;
use crate::fleet::act::PARALLEL;
use crate::model::check::CheckId;
use crate::model::power::{Policy, PowerAction};

const USAGE: &str = "ecobox power ACTION TARGET... [--dry-run | --yes] [--guests WHAT] [--arm-wol] [--then-stop]\n                    [--allow REASON]... [--parallel NUMBER] [--no-wait]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox power start vm-101                # wakes its host first, if that sleeps\n\
    \x20 ecobox power shutdown web-01 --dry-run   # the plan and its checks; nothing is done\n\
    \x20 ecobox power suspend pve2 --guests shutdown --arm-wol\n\
    \x20 ecobox power shutdown tag=lab --then-stop --yes\n\
    \x20 ecobox power wake nas";

/// Start, stop, suspend and wake, after checking what could go wrong
///
/// The host of a guest is woken first if it sleeps, and a host is not put to sleep while guests run on it. Each step is
/// confirmed before the next one begins. Nothing is sent twice. `--dry-run` shows the plan.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct PowerArgs {
    /// What to do
    #[arg(value_enum, value_name = "ACTION")]
    pub(super) action: ActionArg,
    /// With whom: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", required = true, add = ArgValueCompleter::new(complete::target))]
    pub(super) targets: Vec<String>,
    /// Show the plan and the failed checks; do nothing
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Answer the question beforehand; allows nothing else
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Proceed despite this check (can be repeated)
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = check_ids())]
    pub(super) allow: Vec<CheckId>,
    /// What becomes of the guests of a host that goes down [default: refuse while any runs]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) guests: Option<PolicyArg>,
    /// With `shutdown`: stop what does not shut down in time
    #[arg(long)]
    pub(super) then_stop: bool,
    /// With `suspend` and `hibernate` of hosts: arm Wake-on-LAN first if it is off
    #[arg(long)]
    pub(super) arm_wol: bool,
    /// Send, and do not wait for the outcome
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How many guests at a time on each node
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) parallel: u16,
}

/// The verbs, with Proxmox VE's meaning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ActionArg {
    /// Start or resume a guest, wake a host
    Start,
    /// Shut down cleanly
    Shutdown,
    /// Stop a guest at once, as if the plug were pulled
    Stop,
    /// Restart cleanly
    Reboot,
    /// Press the reset button of a virtual machine
    Reset,
    /// Pause a virtual machine; put a host to sleep
    Suspend,
    /// Save memory to disk and switch off
    Hibernate,
    /// Resume a paused or hibernated virtual machine
    Resume,
    /// Wake a host by Wake-on-LAN
    Wake,
}

impl From<ActionArg> for PowerAction {
    fn from(action: ActionArg) -> PowerAction {
        match action {
            ActionArg::Start => PowerAction::Start,
            ActionArg::Shutdown => PowerAction::Shutdown,
            ActionArg::Stop => PowerAction::Stop,
            ActionArg::Reboot => PowerAction::Reboot,
            ActionArg::Reset => PowerAction::Reset,
            ActionArg::Suspend => PowerAction::Suspend,
            ActionArg::Hibernate => PowerAction::Hibernate,
            ActionArg::Resume => PowerAction::Resume,
            ActionArg::Wake => PowerAction::Wake,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PolicyArg {
    /// Shut them down first
    Shutdown,
    /// Suspend virtual machines to disk first; shut containers down
    Hibernate,
    /// Leave them to the host
    Leave,
}

impl From<PolicyArg> for Policy {
    fn from(policy: PolicyArg) -> Policy {
        match policy {
            PolicyArg::Shutdown => Policy::Shutdown,
            PolicyArg::Hibernate => Policy::Hibernate,
            PolicyArg::Leave => Policy::Leave,
        }
    }
}

/// `--allow`'s words.
pub(crate) fn check_ids() -> impl clap::builder::TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_POWER.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_POWER.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}
