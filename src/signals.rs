//! A signal that ends the run, and what is said then: what was sent stays sent.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Command;
use crate::commands::Context;
use crate::exit::Exit;
use crate::watchdog::Pulse;

/// Runs to the end, or until SIGINT (130) or SIGTERM (143). What was sent stays sent; the next run finds it.
pub(crate) async fn until_signalled(
    work: impl Future<Output = anyhow::Result<Exit>>,
    pulse: &Pulse,
) -> anyhow::Result<Exit> {
    pulse.listens();
    // Before the work begins: it may ask its first question at once.
    let interrupts = listen(SignalKind::interrupt(), pulse)?;
    let terminations = listen(SignalKind::terminate(), pulse)?;
    tokio::select! {
        result = work => result,
        () = pulse.beat() => Ok(Exit::Failed),
        () = heard(interrupts, pulse) => Ok(Exit::Interrupted),
        () = heard(terminations, pulse) => Ok(Exit::Terminated),
    }
}

/// Listens for a signal, unless it was ignored from the beginning.
fn listen(kind: SignalKind, pulse: &Pulse) -> anyhow::Result<Option<Signal>> {
    let is_heard = !pulse.ignores(kind.as_raw_value());
    is_heard.then(|| signal(kind).context("cannot listen for signals")).transpose()
}

/// Waits for a signal that is meant for the run, and not for a command in the foreground.
async fn heard(signals: Option<Signal>, pulse: &Pulse) {
    let Some(mut signals) = signals else { return std::future::pending().await };
    loop {
        signals.recv().await;
        if !pulse.passes_signals() {
            return;
        }
    }
}

/// What a command may leave behind when a signal ends it.
pub(crate) enum Leaves {
    /// It only looks.
    Nothing,
    /// Calls to servers, which the `SentLog` has.
    Calls,
    /// Tokens that are half made.
    Tokens,
    /// To be ended is its usual end.
    NothingToSay,
}

impl Leaves {
    pub(crate) fn of(command: &Command) -> Leaves {
        match command {
            Command::Power(_)
            | Command::Init(_)
            | Command::Run(_)
            | Command::Ssh(_)
            | Command::Hold(_)
            | Command::Release(_) => Leaves::Calls,
            Command::SetupToken(_) => Leaves::Tokens,
            Command::Watch(_) => Leaves::NothingToSay,
            _ => Leaves::Nothing,
        }
    }

    /// What is said after `interrupted`.
    pub(crate) fn words(&self, ctx: &Context) -> Option<&'static str> {
        Some(match self {
            Leaves::NothingToSay => return None,
            Leaves::Calls if !ctx.sent_log.has_any() => ", nothing was sent",
            Leaves::Calls if ctx.sent_log.lines().is_empty() => "; what was sent has ended",
            Leaves::Nothing | Leaves::Calls => "",
            // A file that cannot be read is said by the next run.
            Leaves::Tokens if ctx.state.all_intents().is_ok_and(|intents| intents.is_empty()) => {
                "; no token is left half made"
            }
            Leaves::Tokens => "; run `ecobox setup-token` again: it removes the token that was being made",
        })
    }
}
