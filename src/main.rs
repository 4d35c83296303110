//! ecobox: state and power of Proxmox VE hosts, their guests and plain Linux servers, without a daemon.
//!
//! The map. Arrows go down only; `tests/layers.rs` holds the code to it.
//!
//! ```text
//! main        parse, logging, run, exit             cli    the options and the list of commands
//!   commands  one file each: Args, run, columns     ui     stderr     render  stdout     tui  the screen of `watch`
//!     fleet   the use cases: whom to ask for what, in parallel, with deadlines
//!       transport  one protocol per file: ssh, pve (the API), probe (TCP), local
//!         model    facts and rules: no I/O, no async, no clock
//! state       the one file that lasts between runs; config   config.toml; file   files replaced as a whole;
//! consent     the proof that somebody agreed to a change
//! ```
//!
//! A command is `run(ctx, args) -> Outcome<Report>`: everything is fetched, then decided, then rendered, once; what a look
//! leaves in the state file is kept meanwhile.
//! `watch` alone goes on: it writes line by line, and says itself how it ends.

#![cfg_attr(test, expect(clippy::too_many_lines, reason = "a table of cases is as long as it has cases"))]

mod cli;
mod commands;
mod config;
mod consent;
mod error;
mod exit;
mod file;
mod fleet;
#[cfg(any(test, fuzzing))]
mod foreign;
mod logging;
mod model;
mod output;
mod refuse;
mod render;
#[cfg(test)]
mod schema;
mod signals;
mod state;
mod transport;
mod tui;
mod ui;
mod watchdog;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::SignalKind;

use crate::cli::{Cli, Command, Global};
use crate::commands::Context;
use crate::commands::complete::shells::SHELLS;
use crate::commands::snapshot::Verb;
use crate::config::{Config, ConfigError};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Limits;
use crate::fleet::act::SentLog;
use crate::logging::start_log;
use crate::model::check::CheckId;
use crate::model::check::fix::Fix;
use crate::model::monitor::Level;
use crate::output::{print, show};
use crate::refuse::{refuse, tell_monitor};
use crate::render::{Format, Output};
use crate::signals::{Leaves, until_signalled};
use crate::state::{State, StateError};
use crate::transport::foreground::{Front, Ignored};
use crate::ui::Ui;
use crate::watchdog::Pulse;

fn main() -> ExitCode {
    if std::env::var_os("COMPLETE").is_some() {
        clap_complete::CompleteEnv::with_factory(Cli::command).shells(SHELLS).complete();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    let ui = Ui::new(cli.global.quiet, cli.global.color, cli.global.carried());
    let core = keep_to_itself();
    let runs_a_command = cli.command.as_ref().is_some_and(Command::runs_a_command);
    let is_doctor = matches!(cli.command, Some(Command::Doctor(_)));
    let format = cli.global.output;
    let monitor = matches!(cli.command, Some(Command::Check(_))).then(|| {
        let now = jiff::Timestamp::now();
        Output::new(format, cli.global.color.decide(&io::stdout()), cli.global.carried(), now).for_a_file()
    });
    match start(cli, ui, core) {
        // As a number of a plugin it would be a warning.
        Ok(Exit::Failed) if monitor.is_some() => ExitCode::from(Level::Unknown.code()),
        Ok(exit) => ExitCode::from(exit.code()),
        Err((ui, error)) => {
            let (message, excerpt) = error::told(&error);
            ui.error(&message);
            ui.excerpt(excerpt.unwrap_or_default());
            let hint = error::hint(&error);
            // `doctor` itself has looked.
            let lead = error::lead(&error).filter(|_| !is_doctor && !ui.is_quiet());
            for hint in hint.as_deref().into_iter().chain(lead) {
                ui.hint(hint);
            }
            if let Some(output) = monitor {
                return tell_monitor(&message, hint.as_deref().or(lead), &output);
            }
            ExitCode::from(if runs_a_command { Exit::NotRun } else { error::classify(&error) }.code())
        }
    }
}

/// What runs where no command is given: `status`, once there is a configuration.
fn bare(global: &Global) -> Result<Command, Failure> {
    let path = config::find(global.config.as_deref(), |name| std::env::var_os(name));
    // One that cannot be looked at is for `status` to complain of.
    if path.try_exists().unwrap_or(true) {
        return Ok(Command::Status(commands::status::StatusArgs::default()));
    }
    Err(Failure::new(Exit::Config, format!("not set up yet: there is no {}", path.display())))
}

const FIRST_STEPS: &str = "\
    \x20 ecobox init --host root@pve1.example.com   add a host, and look at it over SSH\n\
    \x20 ecobox setup-token                         make an API token of least privilege there\n\
    \x20 ecobox discover                            find its guests\n\
    \x20 ecobox status                              show everything";

/// A process that a bug ends must not leave its tokens in a file, nor may others of the same user look into one that runs.
/// Gives the limit of core files that it had before, for commands of the user's.
fn keep_to_itself() -> Rlimit {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let before = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
    before
}

/// What ran, or why not, with the way to say so.
type Ended = Result<Exit, (Ui, anyhow::Error)>;

fn start(cli: Cli, ui: Ui, core: Rlimit) -> Ended {
    let Cli { global, command } = cli;
    let command = match command.map_or_else(|| bare(&global), Ok) {
        Ok(command) => command,
        Err(failure) => {
            ui.error(&failure.message);
            ui.excerpt(FIRST_STEPS);
            return Ok(failure.exit);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Err((ui, anyhow::Error::from(error).context("cannot begin"))),
    };
    match command {
        Command::Generate(args) => match commands::generate::run(&args, Cli::command()) {
            Ok(()) => Ok(Exit::Done),
            Err(error) => Err((ui, error.into())),
        },
        Command::Options => {
            let mut options = Cli::command();
            options.build();
            let help = options.find_subcommand_mut("options").map(clap::Command::print_long_help);
            match help.unwrap_or(Ok(())) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err((ui, error.into())),
                _ => Ok(Exit::Done),
            }
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => {
            let color = global.color.decide(&io::stdout());
            commands::demo::run(&args, color, &runtime).map_err(|error| (ui, error))
        }
        Command::Doctor(args) if args.explanation().is_some() => match args.explanation() {
            Some(report) => print(&global, &report).map(|()| Exit::Done).map_err(|error| (ui, error)),
            None => Ok(Exit::Done),
        },
        command => run(&global, command, ui, runtime, core),
    }
}

/// Runs a command that has a configuration and a state file.
fn run(global: &Global, mut command: Command, ui: Ui, runtime: tokio::runtime::Runtime, core: Rlimit) -> Ended {
    let pulse = Pulse::default();
    let signals = [SignalKind::interrupt(), SignalKind::terminate()];
    let ignored = Ignored::read();
    let ignored = signals.map(|kind| kind.as_raw_value()).into_iter().filter(|signal| ignored.has(*signal));
    pulse.ignore(&ignored.collect::<Vec<_>>());
    // From here on files are read that may not answer.
    watchdog::watch(&pulse);
    let config = match configured(global, &command, &ui) {
        Ok(config) => config,
        Err(error) => return unusable(global, &command, ui, error, CheckId::ConfigInvalid),
    };
    // A command that cannot be carried out leaves nothing behind: this is before the state file is made.
    match settle(&mut command, global, &config, &ui, (&runtime, &pulse)) {
        Ok(None) => {}
        Ok(Some(exit)) => return Ok(exit),
        Err(error) => return Err((ui, error)),
    }
    // `doctor` changes nothing: a file that cannot be used is not set aside, but said to be so.
    if matches!(command, Command::Doctor(_))
        && let Err(error) = state::look(&state_path(global))
    {
        return unusable(global, &command, ui, error.into(), CheckId::StateUnusable);
    }
    let ctx = prepare(global, config, ui)?;
    let leaves = Leaves::of(&command);
    let result = {
        // Connections that are dropped with the set say goodbye through the runtime.
        let _context = runtime.enter();
        // Who watches may wait for a reader for ever, at any line.
        pulse.rest(matches!(command, Command::Watch(_)));
        let work = dispatch(&ctx, global, command, &pulse, core);
        tokio::task::LocalSet::new().block_on(&runtime, until_signalled(work, &pulse))
    };
    // A look-up of a name that hangs must not keep the process.
    runtime.shutdown_background();
    if let Ok(exit @ (Exit::Interrupted | Exit::Terminated)) = &result
        && let Some(words) = leaves.words(&ctx)
    {
        let how = if *exit == Exit::Interrupted { "interrupted" } else { "terminated" };
        ctx.ui.ended(&format!("{how}{words}"));
    }
    // However the run ended, report what was already sent.
    for line in ctx.sent_log.lines() {
        ctx.ui.warning(&format!("{line}; nothing was cancelled"));
    }
    let Context { state, ui, .. } = ctx;
    state.close();
    result.map_err(|error| (ui, error))
}

/// The end where the configuration or the state file cannot be used: an error, and for `doctor` a finding.
fn unusable(global: &Global, command: &Command, ui: Ui, error: anyhow::Error, id: CheckId) -> Ended {
    let Command::Doctor(args) = command else { return Err((ui, error)) };
    let missing = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ConfigError::NotFound { .. })));
    let damaged = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StateError::Damaged { .. })));
    let id = match id {
        CheckId::ConfigInvalid if missing => CheckId::ConfigMissing,
        CheckId::StateUnusable if damaged => CheckId::StateDamaged,
        id => id,
    };
    let (message, _) = error::told(&error);
    let (report, exit) = args.unusable(id, &message, error::hint(&error).map(Fix::say));
    print(global, &report).map(|()| exit).map_err(|error| (ui, error))
}

/// Refuses what cannot be done whatever is known, and asks for what is missing. Gives how the process ends, where somebody
/// ended it.
fn settle(
    command: &mut Command,
    global: &Global,
    config: &Config,
    ui: &Ui,
    (runtime, pulse): (&tokio::runtime::Runtime, &Pulse),
) -> anyhow::Result<Option<Exit>> {
    match command {
        Command::Watch(args) => args.check(config, global.output, global.out.is_some()).map(|_| None),
        Command::Run(_) | Command::Ssh(_) if global.output != Format::Table || global.out.is_some() => {
            Err(Failure::new(Exit::Usage, "`-o` and `--out`: stdout is the command's").into())
        }
        Command::Init(args) if args.names_nobody(config) => {
            let asked = async { args.ask(config, ui).await.map(|()| Exit::Done) };
            match runtime.block_on(until_signalled(asked, pulse))? {
                Exit::Done => Ok(None),
                exit => {
                    let how = if exit == Exit::Interrupted { "interrupted" } else { "terminated" };
                    ui.ended(&format!("{how}, nothing was sent"));
                    Ok(Some(exit))
                }
            }
        }
        _ => Ok(None),
    }
}

/// Loads the configuration and starts the log.
fn configured(global: &Global, command: &Command, ui: &Ui) -> anyhow::Result<Config> {
    let variable = |name: &str| std::env::var_os(name);
    let path = config::find(global.config.as_deref(), variable);
    let limits = Limits::new(global.timeout);
    let config = match config::load(&path, limits.total) {
        // `init` makes it.
        Err(ConfigError::NotFound { .. }) if matches!(command, Command::Init(_)) => Config::empty(path.clone()),
        config => config?,
    };
    start_log(global, config.settings.log_level.as_deref());
    if !config.ignored.is_empty() {
        ui.warning(&format!(
            "{}: not used by ecobox, only by the web server of ecobox-server: {}",
            config.path.display(),
            config.ignored.join(", ")
        ));
    }
    for server in config.servers.iter().filter(|server| !server.verify_tls) {
        ui.warning(&format!("{}: the API's certificate is not verified (verify_tls = false)", server.id));
    }
    for key in config.settings.history.secret_in_the_clear() {
        ui.warning(&format!("`{key}` in [history] sends a secret without TLS: use an https URL"));
    }
    Ok(config)
}

fn state_path(global: &Global) -> std::path::PathBuf {
    state::find(global.state.as_deref(), |name: &str| std::env::var_os(name))
}

/// Opens the state file.
fn prepare(global: &Global, config: Config, ui: Ui) -> Result<Context, (Ui, anyhow::Error)> {
    let limits = Limits::new(global.timeout);
    let state = match State::open(&state_path(global), jiff::Timestamp::now()) {
        Ok(state) => state,
        Err(error) => return Err((ui, error.into())),
    };
    if let Some(notice) = state.notice() {
        ui.warning(&notice.text);
        ui.hint(&notice.hint.text());
    }
    Ok(Context { config, state, ui, limits, repeat: global.repeat, sent_log: SentLog::default() })
}

async fn dispatch(
    ctx: &Context,
    global: &Global,
    command: Command,
    pulse: &Pulse,
    core: Rlimit,
) -> anyhow::Result<Exit> {
    let front = Front { core, take_signals: &|| pulse.pass_signals() };
    match command {
        Command::Init(args) => show(ctx, global, pulse, Box::pin(commands::init::run(ctx, &args))).await,
        Command::SetupToken(args) => show(ctx, global, pulse, Box::pin(commands::setup_token::run(ctx, &args))).await,
        Command::Discover(args) => show(ctx, global, pulse, Box::pin(commands::discover::run(ctx, &args))).await,
        Command::Status(args) if args.looks_back() => {
            show(ctx, global, pulse, Box::pin(commands::status::since(ctx, &args))).await
        }
        Command::Status(args) => {
            show(ctx, global, pulse, Box::pin(commands::status::run(ctx, &args, global.output == Format::Html))).await
        }
        Command::Stats(args) if args.looks_back() => {
            show(ctx, global, pulse, Box::pin(commands::stats::since(ctx, &args))).await
        }
        Command::Stats(args) => show(ctx, global, pulse, Box::pin(commands::stats::now(ctx, &args))).await,
        Command::Advise(args) => {
            show(ctx, global, pulse, Box::pin(commands::advise::run(ctx, &args, global.output == Format::Table))).await
        }
        Command::Check(args) => show(ctx, global, pulse, Box::pin(commands::check::run(ctx, &args))).await,
        Command::Power(args) if args.explain => {
            show(ctx, global, pulse, Box::pin(commands::power::explain(ctx, &args))).await
        }
        Command::Power(args) => show(ctx, global, pulse, Box::pin(commands::power::run(ctx, &args))).await,
        Command::Migrate(args) => show(ctx, global, pulse, Box::pin(commands::migrate::run(ctx, &args))).await,
        Command::Snapshot(args) => snapshot(ctx, global, pulse, args.verb).await,
        Command::Run(args) => Box::pin(commands::run::run(ctx, &args, &front)).await,
        Command::Ssh(args) => Box::pin(commands::ssh::run(ctx, &args, &front)).await,
        Command::Hold(args) => show(ctx, global, pulse, Box::pin(commands::hold::run(ctx, &args))).await,
        Command::Release(args) => show(ctx, global, pulse, Box::pin(commands::release::run(ctx, &args))).await,
        Command::Watch(args) => {
            let color = global.color.decide(&io::stdout());
            Box::pin(commands::watch::run(ctx, &args, global.output, global.out.is_some(), color)).await
        }
        Command::Doctor(args) => show(ctx, global, pulse, Box::pin(commands::doctor::run(ctx, &args))).await,
        Command::Generate(_) | Command::Options => Ok(Exit::Done),
        #[cfg(feature = "demo")]
        Command::Demo(_) => Ok(Exit::Done),
    }
}

async fn snapshot(ctx: &Context, global: &Global, pulse: &Pulse, verb: Verb) -> anyhow::Result<Exit> {
    use commands::snapshot::{create, delete, list, rollback};
    match verb {
        Verb::List(args) => show(ctx, global, pulse, Box::pin(list::run(ctx, &args))).await,
        Verb::Create(args) => show(ctx, global, pulse, Box::pin(create(ctx, &args))).await,
        Verb::Delete(args) => show(ctx, global, pulse, Box::pin(delete(ctx, &args))).await,
        Verb::Rollback(args) => show(ctx, global, pulse, Box::pin(rollback(ctx, &args))).await,
    }
}
