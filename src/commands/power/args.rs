//! What is typed after `ecobox power`.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap_complete::engine::ArgValueCompleter;
use jiff::SignedDuration;

use crate::commands::args::{self, GLOBAL_OPTIONS};
use crate::commands::complete;
use crate::fleet::act::PARALLEL;
use crate::model::check::CheckId;
use crate::model::migrate::Destination;
use crate::model::power::{Policy, PowerAction, WakeTime};

const USAGE: &str = "ecobox power ACTION TARGET... [--dry-run | --yes] [--guests WHAT] [--arm-wol] [--then-stop]\n                    [--if-idle SPAN [--explain]] [--until TIME]\n                    [--allow CHECK]... [--parallel NUMBER] [--no-wait]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox power start vm-101                # wakes its host first, if that sleeps\n\
    \x20 ecobox power shutdown web-01 --dry-run   # the plan and its checks; nothing is done\n\
    \x20 ecobox power suspend pve2 --guests shutdown --arm-wol\n\
    \x20 ecobox power shutdown tag=lab --then-stop --yes\n\
    \x20 ecobox power suspend pve2 --guests migrate # its guests go to other nodes first\n\
    \x20 ecobox power wake pve2 --guests return   # and come back\n\
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
    /// What happens to the guests of a host that goes down [default: refuse while any runs], or is woken
    #[arg(long, value_name = "WHAT", value_parser = GuestsParser)]
    pub(super) guests: Option<GuestsArg>,
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
    let verbs = PowerAction::verbs().map(|action| {
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
            PowerAction::Migrate => "Move a guest to another node",
        })
    });
    PossibleValuesParser::new(verbs).try_map(|word| PowerAction::parse(&word).ok_or("no such action"))
}

/// What becomes of guests, and to which node they go where they move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuestsArg {
    pub(super) policy: Policy,
    pub(super) to: Destination,
}

/// `--guests`' words: `migrate` alone may name a node.
#[derive(Debug, Clone)]
struct GuestsParser;

impl TypedValueParser for GuestsParser {
    type Value = GuestsArg;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<GuestsArg, clap::Error> {
        let text = value.to_string_lossy();
        if let Some(node) = text.strip_prefix("migrate:") {
            let to = Destination::parse(node).map_err(|problem| {
                clap::Error::raw(ErrorKind::ValueValidation, format!("{problem}\n")).with_cmd(command)
            })?;
            return Ok(GuestsArg { policy: Policy::Migrate, to });
        }
        let words = PossibleValuesParser::new(policies());
        let word = words.parse_ref(command, arg, value)?;
        let policy = Policy::parse(&word).unwrap_or(Policy::Leave);
        Ok(GuestsArg { policy, to: Destination::Any })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(policies().into_iter()))
    }
}

fn policies() -> Vec<PossibleValue> {
    let words = Policy::ALL.map(|policy| {
        PossibleValue::new(policy.as_str()).help(match policy {
            Policy::Shutdown => "Shut them down first",
            Policy::Hibernate => "Suspend virtual machines to disk first; shut containers down",
            Policy::Leave => "Leave them to the host",
            Policy::Migrate => "Move them to other nodes first; `migrate:NODE` to that one",
            Policy::Return => "With `wake`: bring those back that were moved away for it",
        })
    });
    words.into()
}

/// `--allow`'s words.
pub(crate) fn check_ids() -> impl TypedValueParser<Value = CheckId> {
    PossibleValuesParser::new(CheckId::BEFORE_POWER.map(CheckId::as_str))
        .try_map(|word| CheckId::BEFORE_POWER.into_iter().find(|id| id.as_str() == word).ok_or("no such reason"))
}
