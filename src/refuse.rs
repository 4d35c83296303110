//! The end where the command line itself is wrong, or asks for help; and what a monitor gets then.

use std::process::ExitCode;

use crate::cli;
use crate::commands::check::CheckReport;
use crate::exit::Exit;
use crate::model::hint::Carried;
use crate::model::monitor::Level;
use crate::render::{self, Format, Output};
use crate::ui::{ColorWhen, Ui};

/// Tells a monitor on stdout, where it looks, that nothing could be judged.
pub(crate) fn tell_monitor(message: &str, hint: Option<&str>, output: &Output) -> ExitCode {
    let report = CheckReport::failed(output.now, message, hint);
    // It may be the form that was wrong.
    let has_form = !matches!(output.format, Format::Html | Format::Openmetrics);
    let format = if has_form { output.format } else { Format::Table };
    let _ = render::print(&report, &Output { format, ..output.clone() });
    ExitCode::from(Level::Unknown.code())
}

/// Says what is wrong with the command line, and what may have been meant. Help and version come here, too: they go to
/// stdout and are no error; a pipe that closes is silence.
pub(crate) fn refuse(error: clap::Error) -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let usage = if cli::did_you_mean::runs_a_command(&args) { Exit::NotRun } else { Exit::Usage };
    if let Some(meant) = cli::did_you_mean::meant(&error, &args) {
        let ui = Ui::new(false, ColorWhen::Auto, Carried::default());
        ui.error(&meant.message);
        ui.hint(&meant.hint);
        if cli::is_check(&args) {
            let now = jiff::Timestamp::now();
            let output = Output::new(Format::Table, false, Carried::default(), now);
            return tell_monitor(&meant.message, Some(&meant.hint), &output);
        }
        return ExitCode::from(usage.code());
    }
    let error = cli::did_you_mean::without_hidden(error);
    if error.use_stderr() && cli::is_check(&args) {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let _ = error.print();
        let now = jiff::Timestamp::now();
        let output = Output::new(Format::Table, false, Carried::default(), now);
        return tell_monitor(&message, None, &output);
    }
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { usage.code() } else { Exit::Done.code() })
}
