//! The end of a command: its report is printed, and what is to be kept is kept meanwhile.

use std::io;
use std::pin::Pin;
use std::thread;

use anyhow::Context as _;

use crate::cli::Global;
use crate::commands::{Context, Outcome};
use crate::error::Failure;
use crate::exit::Exit;
use crate::model::hint::HintId;
use crate::render::{self, Format, Output, Report};
use crate::watchdog::Pulse;

/// Has the command do its work, and prints what it hands back; what is to be kept is kept meanwhile.
pub(crate) async fn show<R: Report + Sync>(
    ctx: &Context,
    global: &Global,
    pulse: &Pulse,
    work: Pin<Box<impl Future<Output = anyhow::Result<Outcome<R>>>>>,
) -> anyhow::Result<Exit> {
    if global.output == Format::Openmetrics && R::METRICS.is_none() {
        let failure = Failure::new(Exit::Usage, "`-o openmetrics`: this command has no metrics");
        return Err(failure.hint(HintId::NoMetrics.text()).into());
    }
    if global.output == Format::Html && R::PAGE.is_none() && R::SHEET.is_none() {
        let failure = Failure::new(Exit::Usage, "`-o html`: this command has no page");
        return Err(failure.hint(HintId::NoPage.text()).into());
    }
    if global.output == Format::Checkmk && !R::IS_CHECK {
        return Err(Failure::new(Exit::Usage, "`-o checkmk`: only `ecobox check` has it").into());
    }
    let Outcome { report, exit, recording } = work.await?;
    let print = || {
        pulse.rest(true);
        let printed = print(global, &report);
        pulse.rest(false);
        printed
    };
    let keep = || recording.as_ref().map_or(Ok(()), |recording| recording.keep(&ctx.state));
    let (printed, kept) = thread::scope(|scope| {
        let printing = recording.as_ref().and_then(|_| thread::Builder::new().spawn_scoped(scope, print).ok());
        match printing {
            Some(printing) => {
                let kept = keep();
                (printing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), kept)
            }
            // Nothing to save, or no thread available: do it in sequence.
            None => (print(), keep()),
        }
    });
    // The process ends now: freeing thousands of servers one by one would only take time (`tests/bench/run.py status`).
    std::mem::forget(report);
    printed?;
    kept?;
    Ok(exit)
}

/// Prints a report, or writes it to the file that it is to go to.
pub(crate) fn print<R: Report>(global: &Global, report: &R) -> anyhow::Result<()> {
    let color = global.color.decide(&io::stdout());
    let output = Output::new(global.output, color, global.carried(), jiff::Timestamp::now());
    if let Some(path) = &global.out {
        return render::write_file(path, report, &output.for_a_file()).map_err(Into::into);
    }
    match render::print(report, &output) {
        // Who closes the pipe has read enough: `ecobox status | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("writing the report"),
    }
}
