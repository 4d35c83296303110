//! One file per command: Args, `run(ctx, args) -> Outcome<Report>`, and the columns of the report. A command does not
//! print, exit, retry or sleep, and imports no other command.

#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod discover;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod setup_token;
pub(crate) mod status;

use crate::config::Config;
use crate::error::Exit;
use crate::fleet::Limits;
use crate::state::State;
use crate::ui::Ui;

/// What every command is given.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) ui: Ui,
    pub(crate) limits: Limits,
}

/// What a command hands back: the report, and how the process ends when it has been printed.
#[derive(Debug)]
pub(crate) struct Outcome<R> {
    pub(crate) report: R,
    pub(crate) exit: Exit,
}
