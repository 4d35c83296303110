//! `ecobox watch`: the fleet as it is, again and again: on one screen, or as a stream of changes.

pub(crate) mod json_lines;
mod page;
mod recent_notices;
mod screen;
mod stream;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;

use self::page::Pages;
use self::stream::Stream;
use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, complete};
use crate::config::Config;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::watch::{Pace, Unattended};
use crate::model::hint::HintId;
use crate::model::select::until::Condition;
use crate::render::Format;
use crate::render::lines::Lines;

const USAGE: &str = "ecobox watch [TARGET]... [--interval DURATION] [--read-only] [--html FILE]\n       ecobox watch -o jsonl [TARGET]... [--count N]\n       ecobox watch --until CONDITION... [--timeout DURATION]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox watch                             # the screen\n\
    \x20 ecobox watch --read-only tag=web         # only these, and no actions\n\
    \x20 ecobox watch --html /var/www/html/fleet.html\n\
    \x20 ecobox watch -o jsonl                    # a snapshot, then what changes\n\
    \x20 ecobox watch --until vm-101=running --timeout 2m";

/// Watch the fleet, or wait for a condition
///
/// On a terminal, a screen with charts and actions; `?` lists its keys. With `-o jsonl`, one JSON object per line: first
/// a snapshot of every server, then each change when it is seen. With `--html`, a page for a browser in a file. With
/// `--until`, only the exit status: 0 when all conditions hold, 10 when `--timeout` passes first. Each host is asked on
/// its own, at the intervals of [dashboard] in the configuration. Without `--timeout` it does not end by itself.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// Only these: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Look this often, e.g. `5s` [default: `update_interval` of the configuration]
    #[arg(long, value_name = "DURATION", value_parser = crate::commands::args::duration)]
    interval: Option<Duration>,
    /// End when this holds: `TARGET=STATE`, `TARGET.SERVICE=open` or `=closed` (can be repeated: when all hold)
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    #[arg(add = ArgValueCompleter::new(complete::condition))]
    until: Vec<Condition>,
    /// End after this many looks at everything
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// On the screen: no actions
    #[arg(long)]
    read_only: bool,
    /// Also keep a page for a browser in this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    html: Option<PathBuf>,
}

/// What is shown where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One screen on the terminal.
    Screen,
    /// One JSON object a line.
    Lines,
    /// Nothing: the exit status says it.
    Silent,
}

impl Mode {
    fn of(format: Format, on_terminal: bool, waits: bool, has_page: bool) -> Result<Mode, Failure> {
        match format {
            Format::Jsonl => Ok(Mode::Lines),
            Format::Table | Format::Wide if waits => Ok(Mode::Silent),
            Format::Table | Format::Wide if on_terminal => Ok(Mode::Screen),
            Format::Table | Format::Wide if has_page => Ok(Mode::Silent),
            _ => Err(Failure::new(Exit::Usage, "`watch` writes a stream here, one JSON object a line: add `-o jsonl`")
                .hint(HintId::NoStream.text())),
        }
    }
}

impl WatchArgs {
    /// What will be shown where; `to_a_file`: the report is to go elsewhere than to stdout.
    ///
    /// # Errors
    /// Wrong usage; nobody to watch.
    pub(crate) fn check(&self, config: &Config, format: Format, to_a_file: bool) -> anyhow::Result<Mode> {
        if to_a_file {
            return Err(Failure::new(Exit::Usage, "`--out`: `watch` has no report that ends; redirect stdout").into());
        }
        let mode = Mode::of(format, std::io::stdout().is_terminal(), !self.until.is_empty(), self.html.is_some())?;
        if config.servers.is_empty() {
            let failure = Failure::new(Exit::NoTarget, "no servers are configured: there is nothing to watch");
            return Err(failure.hint(HintId::NoServers.text()).into());
        }
        Ok(mode)
    }
}

/// Watches until somebody has seen enough. `to_a_file`: the report was to go elsewhere than to stdout.
///
/// # Errors
/// Wrong usage; no such target; an unusable state file; stdout cannot be written.
pub(crate) async fn run(
    ctx: &Context,
    args: &WatchArgs,
    format: Format,
    to_a_file: bool,
    color: bool,
) -> anyhow::Result<Exit> {
    let mode = args.check(&ctx.config, format, to_a_file)?;
    let fleet = Fleet::open(&ctx.config, &ctx.state, &Unattended, ctx.limits.open_ended()).await?;
    let pace = Pace::of(&ctx.config.settings, args.interval);
    let pages = args.html.as_deref().map(|path| Pages::new(path, pace.update));
    let watching = async {
        match mode {
            Mode::Silent => Stream::new(ctx, &fleet, args, None, pages)?.run(pace).await,
            Mode::Lines => Stream::new(ctx, &fleet, args, Some(Lines::stdout()?), pages)?.run(pace).await,
            Mode::Screen => screen::run(ctx, &fleet, args, pace, pages, color).await,
        }
    };
    // It sends its history with each look.
    let exit = watching.await;
    fleet.close().await;
    exit
}

#[cfg(test)]
mod tests;
