//! The command line: global options and the commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{Styles, styling::AnsiColor};
use clap::{Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::commands::{discover, generate, init, power, setup_token, stats, status, watch};
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
    #[arg(help = "Configuration file [env: ECOBOX_CONFIG] [default: $XDG_CONFIG_HOME/ecobox/config.toml]")]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// `None`: `state::find` knows where it is.
    #[arg(help = "State file [env: ECOBOX_STATE] [default: $XDG_STATE_HOME/ecobox/state.db]")]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Form of the report on stdout
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) output: Format,
    /// Write the report to this file instead, replaced as a whole, readable by everybody
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
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
    Stats(stats::StatsArgs),
    Power(power::PowerArgs),
    Watch(watch::WatchArgs),
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
    #[cfg(feature = "demo")]
    Demo(crate::commands::demo::DemoArgs),
}

/// A moment in the past, as words on a command line have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(SignedDuration),
    At(Timestamp),
}

impl Since {
    /// The moment itself, seen from `now`; never later than that.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH),
            Since::At(at) => at.min(now),
        }
    }
}

/// `24h`, `7d`, a date, or a time in RFC 3339; not in the future, of which nothing is known.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    match moment(text)? {
        Since::At(at) if at > Timestamp::now() => Err("it is in the future".to_owned()),
        since => Ok(since),
    }
}

fn moment(text: &str) -> Result<Since, String> {
    if let Ok(span) = span(text) {
        return Ok(Since::Ago(span));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    // A day begins where this machine's clock says so.
    let date = text.parse::<jiff::civil::Date>().ok();
    let begin = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::system()).ok());
    begin.map(|begin| Since::At(begin.timestamp())).ok_or_else(|| {
        "a time span like `24h` or `7d`, a date like `2026-11-24`, or a time like `2026-11-24T08:00:00Z`".to_owned()
    })
}

/// A positive time span; a number alone is seconds, a day is 24 hours.
pub(crate) fn span(text: &str) -> Result<SignedDuration, String> {
    let seconds = text.parse::<u32>().ok().map(|seconds| SignedDuration::from_secs(seconds.into()));
    let spelled = || {
        let span = text.parse::<jiff::Span>().ok()?;
        span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
    };
    let found = seconds.or_else(spelled).filter(SignedDuration::is_positive);
    found.ok_or_else(|| "a time span like `30s`, `5m`, `24h` or `7d`".to_owned())
}

/// A positive time span of at most some hours; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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

    #[test]
    fn a_moment_in_the_past_is_said_in_three_ways() {
        use super::{Since, since};
        use jiff::{SignedDuration, Timestamp};
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let before = |text: &str| super::moment(text).map(|since| since.before(now).to_string());
        for (text, want) in [
            ("24h", "2026-11-24T12:00:00Z"),
            ("7d", "2026-11-18T12:00:00Z"),
            ("1h 30m", "2026-11-25T10:30:00Z"),
            ("90", "2026-11-25T11:58:30Z"),
            ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
            ("2026-11-24T08:00:00+02:00", "2026-11-24T06:00:00Z"),
        ] {
            assert_eq!(before(text).as_deref(), Ok(want), "{text}");
        }
        assert!(matches!(since("2026-11-24"), Ok(Since::At(_))));
        assert_eq!(since("2d"), Ok(Since::Ago(SignedDuration::from_hours(48))));
        for bad in ["", "0", "-5h", "yesterday", "2026-13-01", "1mo", "9000-01-01", "9000-01-01T00:00:00Z"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
