//! `--if-idle … --explain`: what kept hosts awake in the last week, how long, how often, and how long they would have slept.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::args::PowerArgs;
use super::{Looked, look};
use crate::commands::{Context, Outcome, stamp, stamp_of, tell, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::model::host::idle::Need;
use crate::model::host::idle::explain::{Explained, Kept, explain as add_up};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::power::PowerState;
use crate::model::text::units::human_seconds;
use crate::render::value::Value;
use crate::render::{Column, Report};

/// How far back.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What kept hosts awake.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct IdleReport {
    /// For how long nothing must have needed a host.
    window_seconds: u64,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    #[serde(serialize_with = "stamp")]
    until: Timestamp,
    hosts: Vec<Host>,
    /// What kept them awake: of each host the longest first.
    needs: Vec<Row>,
}

/// A host over the whole time.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
struct Host {
    id: ServerId,
    state: PowerState,
    /// Why it stays awake at this look; `null`: it would go down, or it was not looked at.
    stays_awake: Option<String>,
    /// Since when nothing has used it, as far as was seen.
    #[serde(serialize_with = "stamp_of")]
    idle_since: Option<Timestamp>,
    /// What needs it now; `null`: it was not looked at.
    needs_now: Option<Vec<Need>>,
    /// How long it was looked at, idle and asleep.
    looked_seconds: u64,
    idle_seconds: u64,
    asleep_seconds: u64,
    /// How long it slept, or would have slept by this rule.
    would_sleep_seconds: u64,
}

/// One thing that kept a host awake.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: ServerId,
    /// `login`, `connection`, `load`, …
    kind: &'static str,
    what: String,
    /// As it was seen last, with what was measured.
    last_seen: String,
    seconds: u64,
    /// In how many stretches.
    times: usize,
    #[serde(serialize_with = "stamp")]
    last_at: Timestamp,
}

/// Looks at the hosts as `power` would, and adds up what all looks have seen.
///
/// # Errors
/// Like `run`.
pub(crate) async fn explain(ctx: &Context, args: &PowerArgs) -> anyhow::Result<Outcome<IdleReport>> {
    let (report, notices) =
        with_fleet(ctx, ctx.limits.open_ended(), async |fleet| report(ctx, fleet, args).await).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    Ok(Outcome::new(report, Exit::Done))
}

async fn report(ctx: &Context, fleet: &Fleet<'_>, args: &PowerArgs) -> anyhow::Result<IdleReport> {
    let Looked { inventory, chosen, prepared, .. } = look(ctx, fleet, args).await?;
    let window = args.if_idle.unwrap_or_default();
    let until = fleet.now();
    let since = until.checked_sub(WEEK).unwrap_or(Timestamp::MIN);
    let (mut hosts, mut needs) = (Vec::new(), Vec::new());
    for place in chosen {
        let server = &inventory.servers[place];
        let stretches = ctx.state.idle_stretches(&server.id, since)?;
        let explained = add_up(&stretches, since, until, window);
        let step = prepared.plan.steps.iter().position(|step| step.server == place);
        let verdict = step.and_then(|number| prepared.idle.get(&number));
        needs.extend(explained.kept.iter().map(|kept| Row::of(server, kept)));
        let Explained { looked, idle, asleep, would_sleep, .. } = explained;
        hosts.push(Host {
            id: server.id.clone(),
            state: server.seen.state,
            stays_awake: verdict.and_then(|verdict| verdict.stays.clone()),
            idle_since: verdict.and_then(|verdict| verdict.since),
            needs_now: verdict.map(|verdict| verdict.needs.clone()),
            looked_seconds: seconds(looked),
            idle_seconds: seconds(idle),
            asleep_seconds: seconds(asleep),
            would_sleep_seconds: seconds(would_sleep),
        });
    }
    Ok(IdleReport { window_seconds: seconds(window), since, until, hosts, needs })
}

fn seconds(span: SignedDuration) -> u64 {
    u64::try_from(span.as_secs()).unwrap_or_default()
}

impl Row {
    fn of(server: &Server, kept: &Kept) -> Row {
        Row {
            id: server.id.clone(),
            kind: kept.kind.as_str(),
            what: kept.what.clone(),
            last_seen: kept.text.clone(),
            seconds: seconds(kept.total),
            times: kept.times,
            last_at: kept.last,
        }
    }
}

impl Host {
    /// `nas: would have slept 61 h of 168 h; it was looked at for 150 h, idle for 70 h, asleep for 0 s`
    fn summary(&self, whole: u64) -> String {
        const HOUR: u64 = 3600;
        let span = |seconds: u64| {
            if seconds < HOUR { human_seconds(seconds) } else { format!("{} h", (seconds + HOUR / 2) / HOUR) }
        };
        let now = match (&self.stays_awake, self.state) {
            (Some(why), _) => format!("it stays awake: {why}"),
            (None, PowerState::Online) if self.needs_now.is_some() => "it would go down now".to_owned(),
            (None, state) => format!("it is {state}"),
        };
        format!(
            "{}: {now}; would have slept {} of {}; looked at for {}, idle for {}, asleep for {}",
            self.id,
            span(self.would_sleep_seconds),
            span(whole),
            span(self.looked_seconds),
            span(self.idle_seconds),
            span(self.asleep_seconds),
        )
    }
}

impl Report for IdleReport {
    const SCHEMA: &'static str = "ecobox.idle/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        vec![
            Column::new("SERVER", 0, |row: &Row| Value::text(row.id.as_str())).cut_to(16),
            Column::new("NEEDED BY", 0, |row: &Row| Value::text(row.what.as_str())).cut_to(24),
            Column::new("TIME", 1, |row: &Row| Value::Seconds(row.seconds)),
            Column::new("TIMES", 3, |row: &Row| Value::text(row.times.to_string())),
            Column::new("LAST", 2, |row: &Row| Value::Time(row.last_at)),
            Column::wide("KIND", |row: &Row| Value::text(row.kind)),
            Column::wide("LAST SEEN", |row: &Row| Value::text(row.last_seen.as_str())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.needs.iter()
    }

    fn notes(&self) -> Vec<String> {
        let whole = seconds(self.until.duration_since(self.since));
        self.hosts.iter().map(|host| host.summary(whole)).collect()
    }
}
