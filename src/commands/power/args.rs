//! What is typed after `ecobox power`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;
use jiff::SignedDuration;

use crate::commands::args::{self, GLOBAL_OPTIONS};
use crate::commands::complete;
use crate::fleet::act::PARALLEL;
use crate::model::check::CheckId;
use crate::model::power::{Policy, PowerAction, WakeTime};

const USAGE: &str = "ecobox power ACTION TARGET... [--dry-run | --yes] [--guests WHAT] [--arm-wol] [--then-stop]\n                    [--if-idle SPAN [--explain]] [--until TIME]\n                    [--allow CHECK]... [--parallel NUMBER] [--no-wait]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox power start vm-101                # wakes its host first, if that sleeps\n\
    \x20 ecobox power shutdown web-01 --dry-run   # the plan and its checks; nothing is done\n\
    \x20 ecobox power suspend pve2 --guests shutdown --arm-wol\n\
    \x20 ecobox power shutdown tag=lab --then-stop --yes\n\
    \x20 ecobox power suspend nas --if-idle 30m  # for cron, every five minutes\n\
    \x20 ecobox power suspend nas --until 07:00     # its own clock wakes it\n\
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
    #[arg(value_name = "ACTION", value_parser = actions())]
    pub(super) action: PowerAction,
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
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = check_ids())]
    pub(super) allow: Vec<CheckId>,
    /// What happens to the guests of a host that goes down [default: refuse while any runs]
    #[arg(long, value_name = "WHAT", value_parser = policies())]
    pub(super) guests: Option<Policy>,
    /// With `shutdown`: stop what does not shut down in time
    #[arg(long)]
    pub(super) then_stop: bool,
    /// With `suspend` and `hibernate` of hosts: arm Wake-on-LAN first if it is off
    #[arg(long)]
    pub(super) arm_wol: bool,
    /// With `suspend`, `hibernate` and `shutdown` of hosts: only if nothing needed them for so long, e.g. `30m`
    #[arg(long, value_name = "SPAN", value_parser = args::span)]
    pub(super) if_idle: Option<SignedDuration>,
    /// With `--if-idle`: show what kept the hosts awake in the last week, and do nothing
    #[arg(long, requires = "if_idle", conflicts_with_all = ["dry_run", "yes", "no_wait", "then_stop", "arm_wol"])]
    pub(crate) explain: bool,
    /// With `suspend`, `hibernate` and `shutdown` of hosts: their own clock wakes them then: `07:00`, `mon 06:30`, `8h`, `next-job`
    #[arg(long, value_name = "TIME", value_parser = args::wake_time)]
    pub(super) until: Option<WakeTime>,
    /// Send the calls without waiting for the outcome
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How many guests at a time on each node
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) parallel: u16,
}

/// The verbs, with Proxmox VE's meaning of each.
fn actions() -> impl TypedValueParser<Value = PowerAction> {
    let verbs = PowerAction::ALL.map(|action| {
        PossibleValue::new(action.as_str()).help(match action {
            PowerAction::Start => "Start or resume a guest, wake a host",
            PowerAction::Shutdown => "Shut down cleanly",
            PowerAction::Stop => "Stop a guest at once, as if the plug were pulled",
            PowerAction::Reboot => "Restart cleanly",
            PowerAction::Reset => "Press the reset button of a virtual machine",
            PowerAction::Suspend => "Pause a virtual machine; put a host to sleep",
            PowerAction::Hibernate => "Save memory to disk and switch off",
            PowerAction::Resume => "Resume a paused or hibernated virtual machine",
            PowerAction::Wake => "Wake a host by Wake-on-LAN",
        })
    });
    PossibleValuesParser::new(verbs).try_map(|word| PowerAction::parse(&word).ok_or("no such action"))
}

/// `--guests`' words.
fn policies() -> impl TypedValueParser<Value = Policy> {
    let words = Policy::ALL.map(|policy| {
        PossibleValue::new(policy.as_str()).help(match policy {
            Policy::Shutdown => "Shut them down first",
            Policy::Hibernate => "Suspend virtual machines to disk first; shut containers down",
            Policy::Leave => "Leave them to the host",
        })
    });
    PossibleValuesParser::new(words).try_map(|word| Policy::parse(&word).ok_or("no such word"))
}

/// `--allow`'s words.
pub(crate) fn check_ids() -> impl TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_POWER.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_POWER.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}
