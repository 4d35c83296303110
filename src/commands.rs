//! One file per command: Args, `run(ctx, args) -> Outcome<Report>`, and the columns of the report. A command does not
//! print, exit, retry or sleep, and imports no other command.

pub(crate) mod advise;
pub(crate) mod args;
pub(crate) mod check;
pub(crate) mod complete;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod hold;
pub(crate) mod init;
mod lead;
mod lease;
pub(crate) mod migrate;
mod plan;
pub(crate) mod power;
pub(crate) mod release;
pub(crate) mod run;
pub(crate) mod setup_token;
pub(crate) mod snapshot;
pub(crate) mod ssh;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod watch;
mod with_fleet;

use jiff::{SignedDuration, Timestamp};

use self::lead::Lead;
pub(crate) use self::with_fleet::{with_fleet, with_fleet_of};
use crate::config::Config;
use crate::exit::Exit;
use crate::fleet::act::SentLog;
use crate::fleet::observe::record::Recording;
use crate::fleet::{Fleet, Limits};
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::inventory::reported_failures::news;
use crate::model::inventory::{Failed, Inventory};
use crate::model::select::SelectError;
use crate::model::watch::Notice;
use crate::state::State;
use crate::transport;
use crate::ui::Ui;

/// What every command is given.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) ui: Ui,
    pub(crate) limits: Limits,
    /// After which time a trouble that lasts is said again where only news is.
    pub(crate) repeat: Option<SignedDuration>,
    /// What was sent and has not ended, for an interrupted run to report.
    pub(crate) sent_log: SentLog,
}

/// What a command hands back: the report, and how the process ends when it has been printed.
#[derive(Debug)]
pub(crate) struct Outcome<R> {
    pub(crate) report: R,
    pub(crate) exit: Exit,
    /// What is to be kept while the report is printed.
    pub(crate) recording: Option<Recording>,
}

impl<R> Outcome<R> {
    /// Nothing is left to be kept.
    pub(crate) fn new(report: R, exit: Exit) -> Outcome<R> {
        Outcome { report, exit, recording: None }
    }
}

/// Who asked for an action, and how: `anna, on a terminal`, `root, without a terminal`.
pub(crate) fn asked_by(ui: &Ui) -> String {
    let how = if ui.is_interactive() { "on a terminal" } else { "without a terminal" };
    format!("{}, {how}", transport::local::user())
}

/// A time in a report: RFC 3339, UTC.
pub(crate) fn stamp<S: serde::Serializer>(at: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::render::value::rfc3339(*at))
}

/// Like `stamp`; `null` where there is none.
#[expect(clippy::ref_option, reason = "what serde hands over")]
pub(crate) fn stamp_of<S: serde::Serializer>(at: &Option<jiff::Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => stamp(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// `1 guest`, `2 guests`
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What of the inventory is asked for. Where that is nothing, what was seen is kept here, as it will not be printed.
///
/// # Errors
/// No such target; the state file's.
pub(crate) fn selected(
    ctx: &Context,
    inventory: Inventory,
    targets: &[String],
    recording: Option<&Recording>,
) -> anyhow::Result<Inventory> {
    let selected = inventory.selected(targets);
    if let (Err(_), Some(recording)) = (&selected, recording) {
        recording.keep(&ctx.state)?;
    }
    Ok(selected?)
}

/// What a report without rows says: there are no servers, or none that the targets match.
pub(crate) fn nobody(has_targets: bool) -> String {
    if has_targets {
        "no server is in the state that was asked for".to_owned()
    } else {
        format!("no servers are configured; {}", HintId::NoServers.text())
    }
}

/// What a look has to say besides its report.
pub(crate) struct Said<'s> {
    /// The command and its targets: what earlier runs of the same have said is known.
    pub(crate) command: &'s str,
    pub(crate) targets: &'s [String],
    pub(crate) notices: Vec<Notice>,
    pub(crate) failures: &'s [Failed],
    pub(crate) at: Timestamp,
}

/// Says what a look met. With `-q` of troubles only what is new to this command, these targets and this configuration;
/// `asked` tells of whom the look can say that all is well. What cannot be remembered is said, this time and the next.
pub(crate) fn say(ctx: &Context, said: Said<'_>, asked: &dyn Fn(&str) -> bool) {
    let Said { command, targets, notices, failures, at } = said;
    let (losses, notices): (Vec<_>, Vec<_>) = notices.into_iter().partition(|notice| notice.is_loss);
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    if !ctx.ui.is_quiet() {
        for loss in &losses {
            tell(&ctx.ui, loss);
        }
        return warn(&ctx.ui, failures);
    }
    let path = std::path::absolute(&ctx.config.path).unwrap_or_else(|_| ctx.config.path.clone());
    let job = [&path.to_string_lossy(), command, &targets.join(" ")].join("\t");
    let before = ctx.state.told(&job).unwrap_or_default();
    let news = news(failures, &losses, &before, at, ctx.repeat, asked);
    news.losses.iter().filter_map(|place| losses.get(*place)).for_each(|loss| tell(&ctx.ui, loss));
    let new: Vec<Failed> = news.failures.iter().filter_map(|place| failures.get(*place)).cloned().collect();
    warn(&ctx.ui, &new);
    for line in &news.over {
        ctx.ui.over(line);
    }
    // After it was said: nothing is lost.
    if news.told != before
        && let Err(error) = ctx.state.put_told(&job, &news.told)
    {
        tracing::debug!(%error, "what was said is not remembered");
    }
}

/// Says a line besides the report.
pub(crate) fn tell(ui: &Ui, notice: &Notice) {
    if notice.is_loss { ui.warning(&notice.text) } else { ui.status(&notice.text) }
}

/// Says who failed and why, then once what can be done about it, and last who finds out more.
pub(crate) fn warn(ui: &Ui, failures: &[Failed]) {
    say_failures(ui, failures);
    let mut lead = Lead::default();
    lead.failures(failures);
    lead.say(ui);
}

/// Like `warn`, where more is said before `doctor` is named.
pub(crate) fn say_failures(ui: &Ui, failures: &[Failed]) {
    for failed in failures {
        ui.warning(&failed.message);
    }
    let mut said: Vec<&str> = Vec::new();
    for advice in failures.iter().filter_map(|failed| failed.advice.as_deref()) {
        if !said.contains(&advice) {
            ui.hint(advice);
            said.push(advice);
        }
    }
}

/// The configured hosts that words on the command line name: their ids or names, or what is remembered of them.
///
/// # Errors
/// No such host, with the near ones; the state file's.
pub(crate) fn hosts_named(fleet: &Fleet<'_>, words: &[String]) -> anyhow::Result<Vec<ServerId>> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let mut hosts = fleet.remembered()?;
    hosts.servers.retain(|server| server.vmid.is_none());
    let chosen = hosts.chosen(words)?;
    if chosen.is_empty() {
        // An empty list of names does not mean all servers.
        return Err(SelectError::NotFound { word: words.join(" "), near: Vec::new() }.into());
    }
    Ok(chosen.into_iter().map(|i| hosts.servers[i].id.clone()).collect())
}
