//! The command line: global options and the commands.

pub(crate) mod did_you_mean;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{Styles, styling::AnsiColor};
use clap::{Parser, Subcommand};

use crate::commands::args::{self, GLOBAL_OPTIONS};
use crate::commands::{
    advise, check, discover, doctor, generate, hold, init, migrate, power, release, run, setup_token, snapshot, ssh,
    stats, status, watch,
};
use crate::file;
use crate::model::hint::Carried;
use crate::render::Format;
use crate::ui::ColorWhen;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// State and power of Proxmox VE hosts, their guests and plain Linux servers
///
/// The first run: `ecobox init`, `ecobox setup-token`, `ecobox discover`, `ecobox status`.
#[derive(Debug, Parser)]
#[command(name = "ecobox", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
#[command(
    after_help = GLOBAL_OPTIONS,
    override_usage = "ecobox COMMAND [OPTIONS]\n       ecobox",
    after_long_help = "Exit status: 0 done, 1 failed, 2 usage, 3 configuration or state file, 4 credentials or privilege,\n\
    5 unreachable, 6 identity mismatch, 7 no such target, 8 partial, 9 task failed, 10 not confirmed in time,\n\
    11 refused, 12 problems (`doctor`), 125 command not run (`run`, `ssh`), 130 interrupted, 143 terminated.\n\
    `check` alone: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Without one: what `status` shows.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// `None`: `config::find` knows where it is.
    #[arg(help = "Configuration file [env: ECOBOX_CONFIG] [default: $XDG_CONFIG_HOME/ecobox/config.toml]")]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// `None`: `state::find` knows where it is.
    #[arg(help = "State file [env: ECOBOX_STATE] [default: $XDG_STATE_HOME/ecobox/state.db]")]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Form of the report on stdout
    #[arg(
        short,
        long,
        global = true,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    pub(crate) output: Format,
    /// Write the report to this file instead; the whole file is replaced atomically, and everybody may read it
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: ColorWhen,
    /// Give up after this long, e.g. `30s` or `2m`
    ///
    /// What it bounds depends on the command. `discover`, `status`, `stats` and `check`: all that is asked [default: 60s]. `init` and
    /// `setup-token`: each host, two minutes at most [default: 20s]. `power` and `snapshot`: each step [default: what the action may
    /// take, minutes]. `watch`: the whole run, which ends then [default: no end]. Hosts that were off at the last look
    /// are waited for like all others if it is given, and only for a moment otherwise.
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION", value_parser = args::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Log more to stderr (can be repeated)
    #[arg(short, long, global = true, hide_short_help = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print only the report, errors, and each trouble when it begins, changes or ends: for cron
    #[arg(short, long, global = true, hide_short_help = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// With `--quiet`: report a trouble that lasts again after this time, e.g. `24h`
    #[arg(long, global = true, hide_short_help = true, value_name = "SPAN", value_parser = args::span)]
    #[arg(requires = "quiet")]
    pub(crate) repeat: Option<jiff::SignedDuration>,
    /// Form of the log on stderr
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    pub(crate) log_format: LogFormat,
}

impl Global {
    /// What a command that continues this one needs, too: the files that were named.
    pub(crate) fn carried(&self) -> Carried {
        let mut words = Vec::new();
        for (option, path) in [("--config", &self.config), ("--state", &self.state)] {
            if let Some(path) = path {
                words.extend([option.to_owned(), file::shell_word(path).to_string()]);
            }
        }
        Carried::new(&words)
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Whether this command line, which clap refuses, is one of `check`: a monitor understands only its own numbers.
pub(crate) fn is_check(args: &[OsString]) -> bool {
    let command = <Cli as clap::CommandFactory>::command().ignore_errors(true);
    let matches = command.try_get_matches_from(args);
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("check"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    SetupToken(setup_token::SetupTokenArgs),
    Discover(discover::DiscoverArgs),
    Status(status::StatusArgs),
    Stats(stats::StatsArgs),
    Advise(advise::AdviseArgs),
    Check(check::CheckArgs),
    Power(power::PowerArgs),
    Migrate(migrate::MigrateArgs),
    Snapshot(snapshot::SnapshotArgs),
    Run(run::RunArgs),
    Hold(hold::HoldArgs),
    Release(release::ReleaseArgs),
    Ssh(ssh::SshArgs),
    Watch(watch::WatchArgs),
    Doctor(doctor::DoctorArgs),
    /// The options of every command
    #[command(hide = true, override_usage = "ecobox COMMAND [GLOBAL OPTIONS]")]
    Options,
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    #[cfg(feature = "demo")]
    Demo(crate::commands::demo::DemoArgs),
}

impl Command {
    /// Whether its exit status is that of a command of the user's, so that one of its own needs a number of its own.
    pub(crate) fn runs_a_command(&self) -> bool {
        matches!(self, Command::Run(_) | Command::Ssh(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn a_refused_line_of_check_is_told_from_others() {
        for (line, want) in [
            ("ecobox check --nothing", true),
            ("ecobox --config x -o json check -w heat>80", true),
            ("ecobox check --max-age never web", true),
            ("ecobox status --nothing check", false),
            ("ecobox chek", false),
            ("ecobox --config check", false),
        ] {
            let args: Vec<std::ffi::OsString> = line.split(' ').map(Into::into).collect();
            assert_eq!(super::is_check(&args), want, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
