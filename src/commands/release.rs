//! `ecobox release`: ends what `hold` began, and takes down what leases that are over have left up.

use std::collections::BTreeSet;

use clap_complete::engine::ArgValueCompleter;
use futures::future::join_all;
use serde::Serialize;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lease::{EndArgs, end, hosts_of, lock_of, say};
use crate::commands::{Context, Outcome, complete, counted, with_fleet};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::StepOutcome;
use crate::fleet::lease::{Became, Lowered};
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::lease::{Lease, LeaseKind};
use crate::render::value::Value;
use crate::render::{Column, Report};

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox release nas\n\
    \x20 ecobox release          # everything that is held\n\
    \x20 ecobox release --keep   # the same, and nothing goes to sleep for it";

/// End holds, and put to sleep again what was woken for them
///
/// Without a target all holds end. A server that another lease, a person or a running guest needs stays up, and the report
/// says why. Leases of `run` and `ssh` end with their commands; servers that a killed one has left up go down, too.
#[derive(Debug, clap::Args)]
#[command(after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct ReleaseArgs {
    /// What is no longer needed; all holds if nothing is named
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    #[command(flatten)]
    end: EndArgs,
}

/// The holds that ended, and what became of the servers.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct ReleaseReport {
    /// How many holds ended.
    released: usize,
    servers: Vec<Row>,
}

/// A server that leases had brought up.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    server: String,
    /// What was to be done with it.
    action: &'static str,
    /// `done`, `already`, `held`, `left`, `needed`, `failed`; `not ours`: something else woke it meanwhile.
    result: &'static str,
    /// Why it stays up.
    detail: Option<String>,
}

/// Ends holds.
///
/// # Errors
/// No such target; nothing that could be released; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &ReleaseArgs) -> anyhow::Result<Outcome<ReleaseReport>> {
    let meant = with_fleet(ctx, ctx.limits, async |fleet| {
        let (leases, also) = meant(fleet, &args.targets)?;
        let up = fleet.state.states()?;
        let is_up = |id: &ServerId| up.get(&ServerKey::of_server(id)).is_some_and(|known| known.state.is_up());
        let locks = leases.iter().filter_map(|lease| Some((lease, lock_of(fleet, lease)?.0)));
        join_all(
            locks
                .flat_map(|(lease, unit)| {
                    let hosts = hosts_of(fleet, lease).filter(|host| is_up(&host.id));
                    hosts.map(move |host| (host, unit.clone()))
                })
                .map(async |(host, unit)| fleet.let_sleep(host, &unit).await),
        )
        .await;
        Ok((leases, also))
    });
    let ((leases, also), _) = meant.await?;
    let lowered = end(ctx, &leases, &also, args.end.then(), &args.end.options(ctx)).await?;
    say(&ctx.ui, &lowered);
    ctx.sent_log.forget();
    let exit = Exit::of_many(
        lowered.iter().filter(|one| !matches!(one.became, Became::Failed(_))).count(),
        lowered.iter().filter_map(|one| match &one.became {
            Became::Failed(end) => Some(match end.how {
                StepOutcome::Unconfirmed => Exit::Unconfirmed,
                StepOutcome::TaskFailed => Exit::TaskFailed,
                StepOutcome::Failed(kind) => kind.into(),
                _ => Exit::Refused,
            }),
            _ => None,
        }),
    );
    let report = ReleaseReport { released: leases.len(), servers: lowered.iter().map(row).collect() };
    Ok(Outcome::new(report, exit))
}

/// The holds that are meant, and the servers that ended leases have left up.
fn meant(fleet: &Fleet<'_>, targets: &[String]) -> anyhow::Result<(Vec<Lease>, Vec<ServerKey>)> {
    let live = fleet.live_leases()?;
    let woken = fleet.state.woken()?.into_iter().map(|woken| woken.key);
    let chosen: Option<BTreeSet<ServerKey>> = if targets.is_empty() {
        None
    } else {
        let known = fleet.remembered()?;
        let places = known.chosen(targets)?;
        Some(places.into_iter().filter_map(|place| Some(known.servers.get(place)?.key())).collect())
    };
    let is_chosen = |key: &ServerKey| chosen.as_ref().is_none_or(|chosen| chosen.contains(key));
    let named = |lease: &Lease| lease.servers.iter().any(|server| server.asked && is_chosen(&server.key));
    let (holds, others): (Vec<Lease>, Vec<Lease>) =
        live.into_iter().filter(named).partition(|lease| lease.kind == LeaseKind::Hold);
    let also: Vec<ServerKey> = woken.filter(is_chosen).collect();
    if let (Some(lease), true, true) = (others.first(), holds.is_empty(), chosen.is_some()) {
        let pid = lease.process.as_ref().map(|process| format!(" (process {})", process.pid)).unwrap_or_default();
        let message = format!("{} by {}{pid} ends with its command", lease.kind.as_str(), lease.by);
        return Err(Failure::new(Exit::Refused, message).into());
    }
    Ok((holds, also))
}

fn row(lowered: &Lowered) -> Row {
    let (result, detail) = match &lowered.became {
        Became::Down => ("done", None),
        Became::Already => ("already", None),
        Became::Held(lease) => ("held", Some(format!("{} by {}", lease.kind.as_str(), lease.by))),
        Became::Left => ("left", None),
        Became::NotOurs => ("not ours", Some("it was down in between".to_owned())),
        Became::Needed(findings) => {
            let found = findings.iter().filter(|finding| !finding.allowed);
            ("needed", Some(found.map(|finding| finding.message.clone()).collect::<Vec<_>>().join("; ")))
        }
        Became::Failed(end) => ("failed", end.detail.clone()),
    };
    Row { server: lowered.name.clone(), action: lowered.action.as_str(), result, detail }
}

impl Report for ReleaseReport {
    const SCHEMA: &'static str = "ecobox.release/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        vec![
            Column::new("SERVER", 0, |row: &Row| Value::text(row.server.as_str())).cut_to(16),
            Column::new("ACTION", 3, |row: &Row| Value::text(row.action)),
            Column::new("RESULT", 0, |row: &Row| Value::text(row.result)),
            Column::new("DETAIL", 1, |row: &Row| Value::maybe(row.detail.as_deref())).cut_to(20),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.servers.iter()
    }

    fn notes(&self) -> Vec<String> {
        let ended = if self.released == 0 {
            "nothing was held".to_owned()
        } else {
            format!("{} ended", counted(self.released, "hold"))
        };
        vec![ended]
    }
}
