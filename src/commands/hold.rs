//! `ecobox hold`: servers stay awake without a command that needs them; and the list of who holds what.

use clap_complete::engine::ArgValueCompleter;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::commands::args::{self, GLOBAL_OPTIONS};
use crate::commands::lease::{LeaseArgs, begin, hosts_of, lock_of, not_locked, trouble};
use crate::commands::{Context, Outcome, complete, stamp, stamp_of, tell, with_fleet};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::lease::Wanted;
use crate::model::lease::{Lease, LeaseKind, Woken};
use crate::render::value::Value;
use crate::render::{Column, Report};

const USAGE: &str = "ecobox hold TARGET... [--for SPAN | --until TIME] [--reason TEXT] [--then WHAT | --keep]\n       ecobox hold --list";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox hold nas --for 2h --reason 'disk test'\n\
    \x20 ecobox hold pve1 --until 23:00\n\
    \x20 ecobox hold --list\n\
    \x20 ecobox release nas";

/// Keep servers awake, until a time or until they are released
///
/// Wakes and starts what the targets need, and returns when they are ready. While a server is held, `ecobox power` does not
/// put it to sleep (check `held`), nor does the end of another lease.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct HoldArgs {
    /// What to keep awake: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `!` excludes
    #[arg(value_name = "TARGET", required_unless_present = "list", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// For how long, e.g. `2h` [default: until it is released]
    #[arg(long = "for", value_name = "SPAN", value_parser = args::span)]
    span: Option<SignedDuration>,
    /// Until when: `23:00`, `mon 06:30`, `2026-12-01 07:00`
    #[arg(long, value_name = "TIME", value_parser = args::ahead, conflicts_with = "span")]
    until: Option<Timestamp>,
    /// Show who holds what, and change nothing
    #[arg(long, short, conflicts_with_all = ["targets", "span", "until", "reason", "then", "keep", "allow", "guests", "arm_wol"])]
    list: bool,
    #[command(flatten)]
    lease: LeaseArgs,
}

/// Leases, and servers that are up because of one that has ended.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct LeasesReport {
    leases: Vec<Row>,
    /// Servers that leases brought up and that nobody holds any more.
    left: Vec<Left>,
}

/// A lease.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: i64,
    /// The targets that were named.
    targets: Vec<String>,
    /// And what they need.
    servers: Vec<String>,
    /// `run`, `hold`, `ssh`.
    kind: &'static str,
    by: String,
    reason: Option<String>,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    #[serde(serialize_with = "stamp_of")]
    until: Option<Timestamp>,
    /// What becomes of the hosts that it woke; `null`: what they did before.
    then: Option<&'static str>,
    /// The process with which it ends.
    pid: Option<u32>,
}

/// A server that is up because of a lease that has ended.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
struct Left {
    server: String,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    /// What `release` does with it.
    action: &'static str,
}

impl Row {
    fn of(lease: Lease) -> Row {
        let Lease { id, kind, by, reason, since, until, then, process, servers } = lease;
        let named = servers.iter().filter(|server| server.asked).map(|server| server.name.clone());
        Row {
            id,
            targets: named.collect(),
            kind: kind.as_str(),
            by,
            reason,
            since,
            until,
            then: then.map(super::super::model::lease::Then::as_str),
            pid: process.map(|process| process.pid),
            servers: servers.into_iter().map(|server| server.name).collect(),
        }
    }
}

/// Begins a lease without a command, or shows all.
///
/// # Errors
/// No such target; something that is needed does not come up; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &HoldArgs) -> anyhow::Result<Outcome<LeasesReport>> {
    let (report, notices) = with_fleet(ctx, ctx.limits.open_ended(), async |fleet| {
        if args.list { list(fleet) } else { Box::pin(hold(ctx, fleet, args)).await }
    })
    .await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    Ok(Outcome::new(report, Exit::Done))
}

async fn hold(ctx: &Context, fleet: &Fleet<'_>, args: &HoldArgs) -> anyhow::Result<LeasesReport> {
    let until = match args.span {
        Some(span) => Some(fleet.now().checked_add(span).map_err(|_| Failure::new(Exit::Usage, "that is too long"))?),
        None => args.until,
    };
    let LeaseArgs { reason, end } = &args.lease;
    let options = end.options(ctx);
    let (words, reason) = (args.targets.as_slice(), reason.clone());
    let kind = LeaseKind::Hold;
    let wanted =
        Wanted { kind, words, reason, until, then: end.then(), options: &options, sent_log: ctx.sent_log.clone() };
    let begun = Box::pin(begin(ctx, fleet, &wanted)).await?;
    if let Some(trouble) = trouble(&ctx.ui, &begun, "nothing is held") {
        return Err(trouble.into());
    }
    keep_awake(ctx, fleet, &begun.lease).await;
    Ok(LeasesReport { leases: vec![Row::of(begun.keep())], left: Vec::new() })
}

/// Has the hosts of a hold not sleep, where they can be told.
async fn keep_awake(ctx: &Context, fleet: &Fleet<'_>, lease: &Lease) {
    let (Some((unit, why)), now) = (lock_of(fleet, lease), fleet.now()) else { return };
    let seconds = lease.until.and_then(|until| u64::try_from(until.duration_since(now).as_secs()).ok());
    let asked = join_all(
        hosts_of(fleet, lease).map(async |host| (&host.id, fleet.keep_awake(host, &unit, &why, seconds).await)),
    );
    for (id, why) in asked.await {
        if let Some(why) = why {
            ctx.ui.status(&not_locked(id, &why));
        }
    }
}

/// All leases that count, and what ended ones have left.
fn list(fleet: &Fleet<'_>) -> anyhow::Result<LeasesReport> {
    let leases = fleet.live_leases()?;
    let is_held = |woken: &Woken| leases.iter().any(|lease| lease.holds(&woken.key));
    let states = fleet.state.states()?;
    let is_up = |woken: &Woken| states.get(&woken.key).is_none_or(|known| known.state.is_up());
    let left = fleet.state.woken()?.into_iter();
    let left = left.filter(|woken| !is_held(woken) && !woken.was_down && is_up(woken));
    let left = left.map(|woken| Left { server: woken.name, since: woken.at, action: woken.back.as_str() });
    Ok(LeasesReport { left: left.collect(), leases: leases.into_iter().map(Row::of).collect() })
}

impl Report for LeasesReport {
    const SCHEMA: &'static str = "ecobox.leases/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        vec![
            Column::new("TARGETS", 0, |row: &Row| Value::text(row.targets.join(" "))).cut_to(16),
            Column::new("KIND", 3, |row: &Row| Value::text(row.kind)),
            Column::new("REASON", 4, |row: &Row| Value::maybe(row.reason.as_deref())).cut_to(12),
            Column::new("BY", 5, |row: &Row| Value::text(row.by.as_str())).cut_to(12),
            Column::new("SINCE", 2, |row: &Row| Value::Time(row.since)),
            Column::new("UNTIL", 1, |row: &Row| Value::of(row.until, |until| Value::text(local(until)))),
            Column::wide("THEN", |row: &Row| Value::maybe(row.then)),
            Column::wide("PID", |row: &Row| Value::of(row.pid, |pid| Value::text(pid.to_string()))),
            Column::wide("SERVERS", |row: &Row| Value::text(row.servers.join(" "))),
            Column::wide("ID", |row: &Row| Value::text(row.id.to_string())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.leases.iter()
    }

    fn notes(&self) -> Vec<String> {
        let left = self.left.iter().map(|left| {
            let Left { server, action, .. } = left;
            format!("{server} is up because of a lease that has ended: `ecobox release {server}` has it {action}")
        });
        let nobody = (self.leases.is_empty() && self.left.is_empty()).then(|| "nothing is held".to_owned());
        nobody.into_iter().chain(left).collect()
    }
}

/// A time ahead, by this machine's clock.
fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}
