//! `ecobox run`: a command here, with the servers that it needs awake.

use std::ffi::OsString;
use std::path::Path;

use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lease::{Around, LeaseArgs, around};
use crate::commands::{Context, complete};
use crate::error::Failure;
use crate::exit::Exit;
use crate::model::lease::LeaseKind;
use crate::transport::foreground::Front;

const USAGE: &str = "ecobox run TARGET... [--reason TEXT] [--then WHAT | --keep] [--guests WHAT] [--arm-wol] [--allow REASON]...\n                  -- COMMAND [ARGS]...";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox run nas -- restic -r sftp:nas:/backup backup /home\n\
    \x20 ecobox run vm-101 --keep -- make deploy   # leaves it running\n\
    \x20 ecobox run nas -- sh -c 'rsync -a ~/photos \"$ECOBOX_ADDRESS\":photos'";

/// Run a command here while servers are awake for it
///
/// Wakes and starts what the targets need, waits until their services answer, runs the command, and puts to sleep again
/// what it woke, unless somebody else needs it. Output, signals and exit status are the command's; 125 means that it was
/// not run.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// What is needed: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `!` excludes
    #[arg(value_name = "TARGET", required = true, add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    #[command(flatten)]
    lease: LeaseArgs,
    /// The command and its arguments, after `--`
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
}

/// Brings the targets up, runs the command, and takes down again what nothing needs any more.
///
/// # Errors
/// All that keeps the command from being run.
pub(crate) async fn run(ctx: &Context, args: &RunArgs, front: &Front<'_>) -> anyhow::Result<Exit> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(Exit::Usage, "there is no command to run").into());
    };
    // Arguments may be secret, and others see this.
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let LeaseArgs { reason, end } = &args.lease;
    let reason = Some(reason.clone().unwrap_or(name));
    let this = Around { kind: LeaseKind::Run, words: &args.targets, reason, end, front };
    around(ctx, this, async |_, _| Ok((program.clone(), arguments.to_vec()))).await
}
