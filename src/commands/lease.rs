//! What `run`, `ssh`, `hold` and `release` have in common: a lease is begun, something happens, and it ends.

use std::cell::RefCell;
use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures::future::join_all;

use crate::commands::lead::Lead;
use crate::commands::plan::exit::{exit_of, refusal};
use crate::commands::plan::messages::{say_ends, say_findings};
use crate::commands::power::args::check_ids;
use crate::commands::{Context, asked_by, tell, with_fleet};
use crate::config::{Access, ServerConfig};
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{Options, PARALLEL};
use crate::fleet::host::inhibit::{Inhibit, Inhibited};
use crate::fleet::lease::{Became, Begun, End, Lowered, Wanted};
use crate::model::check::CheckId;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::lease::{Lease, LeaseKind, Then};
use crate::model::migrate::Moving;
use crate::model::power::{Policy, PowerAction, StopOptions, WakeTime};
use crate::transport::foreground::{self, Ending, Front, Signals};
use crate::ui::{Progress, Ui};

/// What a lease is for, and what becomes of the hosts afterwards.
#[derive(Debug, clap::Args)]
pub(crate) struct LeaseArgs {
    /// What it is for, shown to others who want to put the host to sleep
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) end: EndArgs,
}

/// How servers go down when the last lease on them ends.
#[derive(Debug, clap::Args)]
pub(crate) struct EndArgs {
    /// What happens to hosts that were woken for it, once nothing needs them [default: what they did before]
    #[arg(long, value_name = "WHAT", value_parser = thens())]
    then: Option<Then>,
    /// Leave everything up that was brought up: `--then leave`
    #[arg(long, conflicts_with = "then")]
    keep: bool,
    /// Proceed despite this check, on the way up and down (can be repeated)
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = check_ids())]
    allow: Vec<CheckId>,
    /// What happens to guests that run on a host that goes down and were not started for it [default: the host stays up]
    #[arg(long, value_name = "WHAT", value_parser = policies())]
    guests: Option<Policy>,
    /// Arm Wake-on-LAN before a host sleeps, where it is off
    #[arg(long)]
    arm_wol: bool,
}

impl EndArgs {
    pub(crate) fn then(&self) -> Option<Then> {
        if self.keep { Some(Then::Leave) } else { self.then }
    }

    pub(crate) fn options(&self, ctx: &Context) -> Options {
        Options {
            stop: StopOptions { then_stop: false, overrule_shutdown: self.allow.contains(&CheckId::TasksRunning) },
            guests: self.guests,
            moving: Moving::default(),
            only_shown: false,
            arm_wol: self.arm_wol,
            until: Some(WakeTime::AsBefore),
            unless_used: true,
            if_idle: None,
            parallel: usize::from(PARALLEL),
            wait: true,
            timeout: ctx.limits.given,
            allowed: self.allow.clone(),
            by: asked_by(&ctx.ui),
        }
    }
}

/// `--then`'s words.
fn thens() -> impl TypedValueParser<Value = Then> {
    PossibleValuesParser::new(Then::ALL.map(Then::as_str)).try_map(|word| Then::parse(&word).ok_or("no such end"))
}

/// `--guests`' words.
fn policies() -> impl TypedValueParser<Value = Policy> {
    const ALL: [Policy; 3] = [Policy::Shutdown, Policy::Hibernate, Policy::Leave];
    PossibleValuesParser::new(ALL.map(Policy::as_str))
        .try_map(|word| ALL.into_iter().find(|policy| policy.as_str() == word).ok_or("no such word"))
}

/// Something that happens while a lease lives.
pub(crate) struct Around<'a> {
    pub(crate) kind: LeaseKind,
    pub(crate) words: &'a [String],
    pub(crate) reason: Option<String>,
    pub(crate) end: &'a EndArgs,
    pub(crate) front: &'a Front<'a>,
}

/// A program and its arguments.
pub(crate) type CommandLine = (OsString, Vec<OsString>);

/// Brings up what the targets need, runs a command here, and takes down again what nothing else needs. The exit status is
/// the command's; whatever fails before it is an error.
///
/// # Errors
/// No such target; something that is needed does not come up; an unusable state file. The command did not run then.
pub(crate) async fn around(
    ctx: &Context,
    around: Around<'_>,
    command: impl AsyncFnOnce(&Fleet<'_>, &Begun<'_>) -> anyhow::Result<CommandLine>,
) -> anyhow::Result<Exit> {
    let Around { kind, words, reason, end, front } = around;
    let options = end.options(ctx);
    let (then, sent_log) = (end.then(), ctx.sent_log.clone());
    let wanted = Wanted { kind, words, reason, until: None, then, options: &options, sent_log };
    let ran = with_fleet(ctx, ctx.limits.open_ended(), async |fleet| {
        let begun = Box::pin(begin(ctx, fleet, &wanted)).await?;
        if let Some(trouble) = trouble(&ctx.ui, &begun, "the command was not run") {
            return Ok((begun.keep(), Err(trouble.into())));
        }
        match command(fleet, &begun).await {
            Err(error) => Ok((begun.keep(), Err(error))),
            Ok(command) => {
                let ran = run(ctx, fleet, &begun, &command, front).await?;
                Ok((begun.keep(), Ok(ran)))
            }
        }
    });
    let ((lease, ran), notices) = ran.await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    let after = finish(ctx, lease, then, &options);
    let exit = match ran {
        Err(error) => {
            after.await;
            Err(error)
        }
        Ok((code, mut signals)) => {
            tokio::select! {
                () = after => {}
                () = signals.ended() => {
                    ctx.ui.ended("interrupted: what was woken stays up until the next lease on it ends");
                    for line in ctx.sent_log.lines() {
                        ctx.ui.warning(&format!("{line}; nothing was cancelled"));
                    }
                }
            }
            Ok(Exit::Command(code))
        }
    };
    ctx.sent_log.forget();
    exit
}

/// Runs the command while the hosts are told to stay awake. From its begin on its exit status is what counts.
async fn run(
    ctx: &Context,
    fleet: &Fleet<'_>,
    begun: &Begun<'_>,
    (program, arguments): &CommandLine,
    front: &Front<'_>,
) -> anyhow::Result<(u8, Signals)> {
    let variables = variables(fleet, begun).await;
    let locks = lock(ctx, fleet, &begun.lease).await;
    let mut signals = Signals::listen()?;
    (front.take_signals)();
    let ending = foreground::run(program, arguments, &variables, front, &mut signals).await;
    match &ending {
        Ok(Ending::NotFound) => ctx.ui.error(&format!("{}: command not found", program.display())),
        Ok(Ending::NotRun(error)) | Err(error) => {
            ctx.ui.error(&format!("{}: cannot be run: {error}", program.display()));
        }
        Ok(_) => {}
    }
    join_all(locks.into_iter().map(Inhibited::release)).await;
    Ok((ending.map_or(126, |ending| ending.code()), signals))
}

/// Begins a lease; on a terminal it shows what is waited for.
///
/// # Errors
/// No such target; parents in a circle; the state file's.
pub(crate) async fn begin<'a>(ctx: &Context, fleet: &Fleet<'a>, wanted: &Wanted<'_>) -> anyhow::Result<Begun<'a>> {
    let begun = {
        let progress = ctx.ui.progress("looking");
        let seen = Seen::default();
        let show = |server: &Server, what: Option<&str>, of: Option<Duration>| seen.show(&progress, server, what, of);
        // The command names what is to be up, and brings up nothing else.
        Box::pin(fleet.begin_lease(wanted, &show, &Confirmed::by_command())).await?
    };
    if begun.chosen.is_empty() {
        return Err(Failure::new(Exit::NoTarget, "no server is in the state that was asked for").into());
    }
    if begun.is_ready() {
        ctx.sent_log.forget();
    }
    Ok(begun)
}

/// Says why a lease's targets are not ready, and what was not done for that; `None`: they are.
pub(crate) fn trouble(ui: &Ui, begun: &Begun<'_>, not_done: &str) -> Option<Failure> {
    let Begun { plan, inventory, ends, silent, .. } = begun;
    let names: Vec<&str> = begun.targets().map(|server| server.id.as_str()).collect();
    let names = names.join(", ");
    let Some(ends) = ends else {
        say_findings(ui, PowerAction::Start, &plan.findings, false);
        let mut lead = Lead::default();
        lead.findings(&plan.findings);
        let failure = Failure::new(refusal(&plan.findings), format!("{names}: a check failed: {not_done}"));
        return Some(lead.of(failure, ui));
    };
    if begun.is_ready() {
        return None;
    }
    say_ends(ui, &inventory.servers, plan, ends);
    for (id, services) in silent {
        ui.error(&format!("{id} is up, but does not answer at {}", services.join(", ")));
    }
    let exit = if silent.is_empty() { exit_of(plan, ends) } else { Exit::Unconfirmed };
    let mut lead = Lead::default();
    lead.ends(&inventory.servers, plan, ends);
    Some(lead.of(Failure::new(exit, format!("{names}: not ready: {not_done}")), ui))
}

/// Ends a lease, and says what became of the servers. What fails then is said, and is no error: the command has run.
async fn finish(ctx: &Context, lease: Lease, then: Option<Then>, options: &Options) {
    match end(ctx, &[lease], &[], then, options).await {
        Ok(lowered) => say(&ctx.ui, &lowered),
        Err(error) => ctx.ui.warning(&format!("the lease could not be ended: {error:#}")),
    }
}

/// Ends leases, and takes down what no lease holds any more.
///
/// # Errors
/// The state file's.
pub(crate) async fn end(
    ctx: &Context,
    leases: &[Lease],
    also: &[ServerKey],
    then: Option<Then>,
    options: &Options,
) -> anyhow::Result<Vec<Lowered>> {
    // Another fleet: what was seen of hosts before the command ran may be of yesterday.
    let work = with_fleet(ctx, ctx.limits.open_ended(), async |fleet| {
        let progress = ctx.ui.progress("ending the lease");
        let seen = Seen::default();
        let show = |server: &Server, what: Option<&str>, of: Option<Duration>| seen.show(&progress, server, what, of);
        // Making the lease was the agreement to its end.
        let ending = End { then, options, sent_log: &ctx.sent_log, tell: &show, confirmed: &Confirmed::by_command() };
        Ok(fleet.end_leases(leases, also, &ending).await?)
    });
    let (lowered, notices) = work.await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    Ok(lowered)
}

/// Says what became of servers: on success only on a terminal, so that cron has nothing to mail.
pub(crate) fn say(ui: &Ui, lowered: &[Lowered]) {
    for Lowered { name, action, became } in lowered {
        match became {
            Became::Down if ui.is_interactive() => ui.status(&format!("{action} {name}: done")),
            Became::Down | Became::Already | Became::Left => {}
            Became::Held(lease) => {
                let by = format!("{} by {}", lease.kind.as_str(), lease.by);
                ui.status(&format!("{name} stays up: {by} needs it"));
            }
            Became::NotOurs => {
                ui.status(&format!("{name} stays up: it was down in between, and something else woke it"));
            }
            Became::Needed(findings) => {
                for finding in findings.iter().filter(|finding| !finding.allowed) {
                    let of =
                        if finding.server.as_str() == name { String::new() } else { format!("{}: ", finding.server) };
                    ui.status(&format!("{name} stays up: {of}{}", finding.message));
                    if let Some(hint) = finding.hint().filter(|_| ui.is_interactive()) {
                        ui.hint(&hint);
                    }
                }
            }
            Became::Failed(end) => {
                let detail = end.detail.as_deref().unwrap_or_default();
                ui.warning(&format!("{action} {name}: {}: {detail}", end.how.as_str()));
                if let Some(hint) = &end.hint {
                    ui.hint(hint);
                }
            }
        }
    }
}

/// Has the hosts of a lease not sleep for as long as this process lives, where they can be told.
async fn lock(ctx: &Context, fleet: &Fleet<'_>, lease: &Lease) -> Vec<Inhibited> {
    let _progress = ctx.ui.progress("asking the hosts to stay awake");
    let Some((_, why)) = lock_of(fleet, lease) else { return Vec::new() };
    let asked = hosts_of(fleet, lease).map(async |host| (&host.id, fleet.inhibit(host, &why).await));
    let mut held = Vec::new();
    for (id, inhibit) in join_all(asked).await {
        match inhibit {
            Inhibit::Held(lock) => held.push(lock),
            Inhibit::NoLogind => {}
            Inhibit::Not(why) => ctx.ui.status(&not_locked(id, &why)),
        }
    }
    held
}

/// The hosts of a lease that can be told of it.
pub(crate) fn hosts_of<'f>(fleet: &Fleet<'f>, lease: &Lease) -> impl Iterator<Item = &'f ServerConfig> {
    fleet.hosts().filter(|host| host.access != Access::Api && lease.holds(&ServerKey::of_server(&host.id)))
}

/// The name of a lease on its hosts, for a unit, and what it says of itself there.
pub(crate) fn lock_of(fleet: &Fleet<'_>, lease: &Lease) -> Option<(String, String)> {
    // Without a mark of its own it would be taken for somebody else's.
    let mark = fleet.lease_mark(&lease.id.to_string()).ok()?;
    let number = mark.trim_start_matches("lease ").trim_end_matches(')');
    let reason = lease.reason.as_deref().unwrap_or(lease.kind.as_str());
    Some((format!("ecobox-hold-{number}"), format!("{reason} ({}; {mark}", lease.by)))
}

/// That a lease is seen by ecobox alone.
pub(crate) fn not_locked(host: &ServerId, why: &str) -> String {
    format!("other programs on {host} do not see the lease: {why}")
}

/// What the command is told of its targets; of several with blanks between them.
async fn variables(fleet: &Fleet<'_>, begun: &Begun<'_>) -> Vec<(&'static str, String)> {
    let (mut names, mut hosts, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for server in begun.targets() {
        names.push(server.id.to_string());
        let host = server.parent.as_ref().filter(|_| server.vmid.is_some()).unwrap_or(&server.id);
        hosts.push(host.to_string());
        addresses.push(fleet.address_of(server).await.unwrap_or_else(|| "-".to_owned()));
    }
    vec![("ECOBOX_TARGET", names.join(" ")), ("ECOBOX_HOST", hosts.join(" ")), ("ECOBOX_ADDRESS", addresses.join(" "))]
}

/// The lines of a progress, one for each server.
#[derive(Default)]
struct Seen(RefCell<Vec<ServerId>>);

impl Seen {
    fn show(&self, progress: &Progress, server: &Server, what: Option<&str>, of: Option<Duration>) {
        let mut seen = self.0.borrow_mut();
        let number = seen.iter().position(|id| *id == server.id).unwrap_or_else(|| {
            seen.push(server.id.clone());
            seen.len() - 1
        });
        match what {
            Some(what) => progress.step(number, what, of),
            None => progress.end_step(number),
        }
    }
}
