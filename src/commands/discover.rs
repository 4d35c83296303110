//! `ecobox discover`: reads the guests of every host or cluster and says what changed.

use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, Said, complete, counted, hosts_named, say, with_fleet};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::discover::{Asked, Discovering, Discovery, Found};
use crate::model::hint::HintId;
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::inventory::Failed;
use crate::model::inventory::server::Address;
use crate::model::power::PowerState;
use crate::model::text::draining::in_pieces;
use crate::render::value::{Value, rfc3339};
use crate::render::{Column, Report};
use crate::state::{Edit, GuestChange, GuestChangeKind};

const USAGE: &str = "ecobox discover [HOST]... [--all] [--if-stale]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox discover                          # what is new, changed, moved or gone\n\
    \x20 ecobox discover pve1 --all               # all guests of the cluster of pve1\n\
    \x20 ecobox -q discover --if-stale            # for cron: silent unless something changed";

/// Read the guests of every Proxmox VE host or cluster
///
/// One request for a whole cluster, then each running guest's addresses from its guest agent or container. Shows what
/// is new, changed, moved or gone since the last time; what could not be seen because a node was off is kept.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct DiscoverArgs {
    /// Only the clusters of these hosts
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::target))]
    hosts: Vec<String>,
    /// Do nothing within `vm_discovery_interval` of the last time, and print nothing unless something changed: for cron
    #[arg(long)]
    if_stale: bool,
    /// Also ask guest agents that did not answer within the last hour
    #[arg(long)]
    all_agents: bool,
    /// Show all guests, not only those that changed
    #[arg(short, long)]
    all: bool,
}

/// What was found.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct DiscoverReport {
    /// All guests, whether or not anything changed.
    guests: Vec<Row>,
    failures: Vec<Failed>,
    /// Clusters that were fresh enough not to be asked.
    fresh_clusters: usize,
    #[serde(skip)]
    shown: Vec<usize>,
    #[serde(skip)]
    note: Option<String>,
}

/// One guest.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    id: ServerId,
    name: String,
    kind: &'static str,
    vmid: VmId,
    parent: ServerId,
    node: NodeName,
    state: PowerState,
    hostname: Option<String>,
    addresses: Vec<Address>,
    /// Why no addresses could be had in this run.
    addresses_unknown: Option<String>,
    /// When the addresses were told.
    addresses_at: Option<String>,
    /// Like `addresses_at`, if this run could not ask for the addresses shown.
    #[serde(skip)]
    as_of: Option<Timestamp>,
    tags: Vec<String>,
    pool: Option<String>,
    lock: Option<String>,
    ha_state: Option<String>,
    source: &'static str,
    last_seen: String,
    /// What is new since the last time.
    changes: Vec<GuestChangeKind>,
}

/// Discovers, keeps, and reports.
///
/// # Errors
/// No such host; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &DiscoverArgs) -> anyhow::Result<Outcome<DiscoverReport>> {
    let (discovery, notices) = with_fleet(ctx, ctx.limits, async |fleet| {
        let wanted = hosts_named(fleet, &args.hosts)?;
        if fleet.groups().is_empty() {
            return Err(Failure::new(Exit::NoTarget, "no configured server is known to be a Proxmox VE host")
                .hint(HintId::NoPveKnown.text())
                .into());
        }
        let _progress = ctx.ui.progress("reading guests");
        Ok(fleet.discover(&wanted, Discovering { if_stale: args.if_stale, all_agents: args.all_agents }).await?)
    })
    .await?;
    let (targets, failures) = (args.hosts.as_slice(), discovery.failures.as_slice());
    let asked = |server: &str| discovery.asked.iter().any(|asked| asked.as_str() == server);
    say(ctx, Said { command: "discover", targets, notices, failures, at: Timestamp::now() }, &asked);
    let exit = Exit::of_many(discovery.told, discovery.failures.iter().map(|failed| failed.kind.into()));
    Ok(Outcome::new(report(discovery, args), exit))
}

fn report(discovery: Discovery, args: &DiscoverArgs) -> DiscoverReport {
    let note = note(&discovery);
    let mut guests: Vec<Row> = Vec::with_capacity(discovery.guests.len());
    guests.extend(in_pieces(discovery.guests).map(Row::from));
    let is_shown = |(place, row): (usize, &Row)| (args.all || !row.changes.is_empty()).then_some(place);
    let shown: Vec<usize> = guests.iter().enumerate().filter_map(is_shown).collect();
    // Cron mails whatever is said.
    let note = Some(note).filter(|_| !args.if_stale || !shown.is_empty());
    DiscoverReport { guests, failures: discovery.failures, fresh_clusters: discovery.fresh, shown, note }
}

fn note(discovery: &Discovery) -> String {
    let gone = |found: &&Found| found.guest.gone_at.is_some();
    let count = |what: fn(&GuestChangeKind) -> bool| {
        discovery.guests.iter().filter(|found| found.changes.iter().any(|change| what(&change.what))).count()
    };
    if discovery.answered == 0 && !discovery.failures.is_empty() {
        return "no guests could be read".to_owned();
    }
    let told = |change: &GuestChange| {
        matches!(
            change.what,
            GuestChangeKind::New
                | GuestChangeKind::Returned
                | GuestChangeKind::Replaced { .. }
                | GuestChangeKind::Moved { .. }
                | GuestChangeKind::Gone
        )
    };
    let only_otherwise = |found: &&Found| !found.changes.is_empty() && !found.changes.iter().any(told);
    let others = discovery.guests.iter().filter(only_otherwise).count();
    let mut parts = vec![counted(discovery.guests.iter().filter(|found| !gone(found)).count(), "guest")];
    for (number, word) in [
        (count(|what| matches!(what, GuestChangeKind::New | GuestChangeKind::Returned)), "new"),
        (count(|what| matches!(what, GuestChangeKind::Replaced { .. })), "replaced"),
        (count(|what| matches!(what, GuestChangeKind::Moved { .. })), "moved"),
        (count(|what| matches!(what, GuestChangeKind::Gone)), "gone"),
        (others, "changed otherwise"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if discovery.answered == 0 && !discovery.resting.is_empty() {
        return format!("{}: their guests are as they were", discovery.resting.join(", "));
    }
    let lost = discovery.guests.iter().filter(|found| matches!(found.asked, Asked::Lost(_))).count();
    if lost > 0 {
        parts.push(format!("addresses of {lost} not asked"));
    }
    if discovery.fresh > 0 && discovery.answered == 0 && discovery.failures.is_empty() {
        return "nothing to do: the last discovery is younger than vm_discovery_interval".to_owned();
    }
    parts.extend(discovery.resting.iter().cloned());
    parts.join(", ")
}

impl From<Found> for Row {
    fn from(found: Found) -> Row {
        let Found { id, parent, guest, asked, changes } = found;
        let addresses_at = guest.addresses_at.map(rfc3339);
        let (addresses, addresses_unknown) = match asked {
            Asked::Found(addresses) => (addresses, None),
            Asked::Silent(why) | Asked::Dead(why) => (guest.addresses, Some(why)),
            Asked::Lost(error) => (guest.addresses, Some(error.to_string())),
            Asked::Skipped => (guest.addresses, None),
        };
        Row {
            id,
            name: guest.name.unwrap_or_else(|| format!("{}-{}", guest.kind.short(), guest.vmid)),
            kind: guest.kind.as_str(),
            vmid: guest.vmid,
            parent,
            node: guest.node,
            state: if guest.gone_at.is_some() { PowerState::Unknown } else { guest.state },
            hostname: addresses.first().map(|address| address.ip.to_string()),
            as_of: guest.addresses_at.filter(|_| addresses_unknown.is_some() && !addresses.is_empty()),
            addresses,
            addresses_unknown,
            addresses_at,
            tags: guest.tags,
            pool: guest.pool,
            lock: guest.lock,
            ha_state: guest.ha_state,
            source: "api",
            last_seen: rfc3339(guest.last_seen),
            changes: changes.into_iter().map(|GuestChange { what, .. }| what).collect(),
        }
    }
}

impl Row {
    /// Why no addresses could be had, and since when those are known that stay.
    fn why(&self) -> Option<String> {
        let why = self.addresses_unknown.as_deref()?;
        let kept = self.addresses_at.as_ref().filter(|_| !self.addresses.is_empty());
        Some(kept.map_or_else(|| why.to_owned(), |at| format!("{why}; its addresses are those of {at}")))
    }
}

/// `new`, `moved pve1 -> pve2`
fn words(what: &GuestChangeKind) -> String {
    match what {
        GuestChangeKind::New => "new".to_owned(),
        GuestChangeKind::Gone => "gone".to_owned(),
        GuestChangeKind::Returned => "returned".to_owned(),
        GuestChangeKind::Replaced { name: Some(name), .. } => format!("another guest than {name}"),
        GuestChangeKind::Replaced { from, .. } => format!("replaced a {}", from.as_str()),
        GuestChangeKind::Moved { from, to } => format!("moved {from} -> {to}"),
        GuestChangeKind::Renamed { from, to } => format!("renamed {from} -> {to}"),
        GuestChangeKind::Power { from, to } => format!("{from} -> {to}"),
        GuestChangeKind::Edited { fields, values } => {
            let word = |value: &Option<String>| value.as_deref().unwrap_or("-").to_owned();
            let one = |edit: &Edit| format!("{} {} -> {}", edit.field, word(&edit.from), word(&edit.to));
            let noted = |field: &&String| !values.iter().any(|edit| edit.field == **field);
            let named = fields.iter().filter(noted).map(|field| format!("{field} changed"));
            values.iter().map(one).chain(named).collect::<Vec<_>>().join(", ")
        }
    }
}

fn list<'r>(items: &[String]) -> Value<'r> {
    Value::made(items.join(", "))
}

impl Report for DiscoverReport {
    const SCHEMA: &'static str = "ecobox.discover/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("NAME", 0, |row| Value::text(row.name.as_str())).cut_to(16),
            column("CHANGE", 1, |row| list(&row.changes.iter().map(words).collect::<Vec<_>>())).cut_to(16),
            column("STATE", 0, |row| Value::State(row.state)),
            // The id says it too.
            column("KIND", 9, |row| Value::text(row.kind)),
            column("NODE", 4, |row| Value::text(row.node.as_str())),
            column("ADDRESS", 2, |row| Value::maybe(row.hostname.as_deref())),
            // Of an address that is not of now.
            column("AS OF", 6, |row| Value::of(row.as_of, Value::Time)),
            column("ID", 3, |row| Value::text(row.id.as_str())),
            column("TAGS", 8, |row| list(&row.tags)).cut_to(8),
            wide("POOL", |row| Value::maybe(row.pool.as_deref())),
            wide("LOCK", |row| Value::maybe(row.lock.as_deref())),
            wide("HA", |row| Value::maybe(row.ha_state.as_deref())),
            wide("ADDRESSES", |row| {
                list(&row.addresses.iter().map(|address| address.ip.to_string()).collect::<Vec<_>>())
            }),
            wide("REASON", |row| Value::maybe(row.why())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.shown.iter().map(|place| &self.guests[*place])
    }

    fn notes(&self) -> Vec<String> {
        self.note.iter().cloned().collect()
    }
}
