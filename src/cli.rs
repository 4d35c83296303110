//! The command line: global options and the commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{Styles, styling::AnsiColor};
use clap::{Parser, Subcommand};

use crate::commands::{discover, generate, init, setup_token, status};
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
    after_help = "Exit status: 0 done, 1 failed, 2 usage, 3 configuration or state file, 4 credentials or privilege,\n\
    5 unreachable, 6 identity mismatch, 7 no such target, 8 partial, 9 task failed, 10 not confirmed in time,\n\
    11 refused, 130 interrupted, 143 terminated."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// `None`: `config::find` knows where it is.
    #[arg(help = "Configuration file [default: $XDG_CONFIG_HOME/ecobox/config.toml]")]
    #[arg(long, global = true, value_name = "FILE", env = "ECOBOX_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// `None`: `state::find` knows where it is.
    #[arg(help = "State file [default: $XDG_STATE_HOME/ecobox/state.db]")]
    #[arg(long, global = true, value_name = "FILE", env = "ECOBOX_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// Form of the report on stdout
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) output: Format,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: ColorWhen,
    /// Deadline of the whole command, e.g. `30s` or `2m` [default: 60s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Log more to stderr (can be repeated)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Only the report, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Form of the log on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub(crate) log_format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    SetupToken(setup_token::SetupTokenArgs),
    Discover(discover::DiscoverArgs),
    Status(status::StatusArgs),
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    #[cfg(feature = "demo")]
    Demo(crate::commands::demo::DemoArgs),
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let spelled = || text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    seconds.or_else(spelled).filter(|d| !d.is_zero()).ok_or_else(|| "a duration like `30s`, `2m` or `1h30m`".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        use std::time::Duration;
        assert_eq!(super::duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(super::duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(super::duration("1h30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "0", "-5s", "soon"] {
            assert!(super::duration(bad).is_err(), "{bad}");
        }
    }
}
