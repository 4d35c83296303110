//! `ecobox snapshot list`: the snapshots of guests, as trees.

use jiff::Timestamp;
use serde::Serialize;

use super::args::ListArgs;
use crate::commands::{Context, Outcome, counted, stamp_of, tell, warn, with_fleet};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Choice};
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::check::fault::Repair;
use crate::model::id::{GuestKind, ServerId};
use crate::model::inventory::server::ServerKind;
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::snapshot::tree::{Branch, tree};
use crate::model::snapshot::{Snapshots, of_ecobox, text_of};
use crate::render::value::Value;
use crate::render::{Column, Report};

/// The snapshots of guests.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotListReport {
    /// In the order of the trees: each after the one that it came from.
    snapshots: Vec<Entry>,
    /// Guests whose snapshots are not known, and hosts that did not answer.
    failures: Vec<Failed>,
    /// How many guests without snapshots are left out of the table.
    #[serde(skip)]
    without: usize,
    /// Whether they are left out.
    #[serde(skip)]
    of_all: bool,
}

/// A snapshot of a guest, or the guest as it is now.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// The guest.
    id: ServerId,
    name: String,
    kind: &'static str,
    /// The snapshot's name; `null`: this is the guest as it is now.
    snapshot: Option<String>,
    /// The one that it came from.
    parent: Option<String>,
    /// How many times the tree has branched above it.
    depth: usize,
    /// By the node's clock.
    #[serde(serialize_with = "stamp_of")]
    taken_at: Option<Timestamp>,
    age_seconds: Option<i64>,
    /// Whether it has the memory of the guest.
    with_memory: Option<bool>,
    description: Option<String>,
    /// `ecobox`, or `null`: Proxmox VE does not say who took a snapshot.
    made_by: Option<&'static str>,
    /// The label by which ecobox took it.
    label: Option<String>,
    /// `ok`, or Proxmox VE's word for one that is neither there nor gone: `prepare`, `delete`; `null` of the guest as it is now.
    state: Option<String>,
    /// How many snapshots the guest has.
    #[serde(skip)]
    of: usize,
    #[serde(skip)]
    begins: bool,
    /// What repairs it, where it is neither there nor gone.
    #[serde(skip)]
    repair: Option<String>,
}

/// Asks and lists.
///
/// # Errors
/// No such target; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &ListArgs) -> anyhow::Result<Outcome<SnapshotListReport>> {
    let work = async |fleet: &Fleet<'_>| Box::pin(look(ctx, fleet, &args.targets)).await;
    let (outcome, notices) = with_fleet(ctx, ctx.limits, work).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    warn(&ctx.ui, &outcome.report.failures);
    Ok(outcome)
}

async fn look(ctx: &Context, fleet: &Fleet<'_>, targets: &[String]) -> anyhow::Result<Outcome<SnapshotListReport>> {
    // Only guests have snapshots: hosts without any are not asked, and what fails of them does not matter.
    let guests = GuestKind::ALL.map(|kind| format!("kind={}", kind.as_str()));
    let scope = fleet.scope(if targets.is_empty() { &guests } else { targets })?;
    let request = ObserveRequest { scope, templates: true, ..ObserveRequest::default() };
    let Observed { mut inventory, clients, .. } = {
        let _progress = ctx.ui.progress("looking");
        fleet.observe(&request).await?
    };
    let clients = ApiClients::new(clients);
    let chosen = if targets.is_empty() {
        (0..inventory.servers.len()).filter(|place| inventory.servers[*place].vmid.is_some()).collect()
    } else {
        let Choice { places, .. } = fleet.choose(&mut inventory, targets, &clients).await?;
        places
    };
    let listed = {
        let _progress = ctx.ui.progress("asking for snapshots");
        fleet.list_snapshots(&inventory.servers, &chosen, &clients).await
    };
    let now = fleet.now();
    let mut failures: Vec<Failed> = Vec::new();
    let mut snapshots = Vec::new();
    let (mut good, mut without) = (0, 0);
    for (place, answer) in listed {
        let server = &inventory.servers[place];
        match answer {
            Ok(list) => {
                good += 1;
                without += usize::from(list.list.is_empty());
                snapshots.extend(entries(server, &list, now));
            }
            // What failed at its host is said of the host.
            Err(_) if inventory.failures.iter().any(|failed| failed.concerns(server)) => {}
            Err(cannot) => failures.push(Failed {
                server: server.id.clone(),
                kind: cannot.kind.unwrap_or(FailureKind::Failed),
                message: format!("{}: {}", server.id, cannot.why),
                advice: cannot.fix,
                about: None,
            }),
        }
    }
    // What failed at a host that has guests explains what is missing.
    let concerns = |failed: &&Failed| chosen.iter().any(|place| failed.concerns(&inventory.servers[*place]));
    let is_node = |failed: &&Failed| {
        inventory.servers.iter().any(|server| server.id == failed.server && server.kind == ServerKind::Pve)
    };
    let of_hosts = inventory.failures.iter().filter(|failed| concerns(failed) || targets.is_empty() && is_node(failed));
    failures.extend(of_hosts.cloned().collect::<Vec<_>>());
    let exits: Vec<Exit> = failures.iter().map(|failed| Exit::from(failed.kind)).collect();
    let exit = Exit::of_many(good, exits);
    let report = SnapshotListReport { snapshots, failures, without, of_all: targets.is_empty() };
    Ok(Outcome::new(report, exit))
}

fn entries(server: &Server, list: &Snapshots, now: Timestamp) -> Vec<Entry> {
    let current = list.current.clone();
    let entry = |branch: Branch<'_>| {
        let snapshot = branch.snapshot;
        let taken_at = snapshot.and_then(|snapshot| snapshot.taken_at);
        let rotation = snapshot.and_then(of_ecobox);
        Entry {
            id: server.id.clone(),
            name: server.name.clone(),
            kind: server.kind.as_str(),
            snapshot: snapshot.map(|snapshot| snapshot.name.clone()),
            parent: snapshot.map_or_else(|| current.clone(), |snapshot| snapshot.parent.clone()),
            depth: branch.depth,
            taken_at,
            age_seconds: taken_at.map(|at| now.duration_since(at).as_secs().max(0)),
            with_memory: snapshot.map(|snapshot| snapshot.with_memory),
            description: snapshot.map(|snapshot| text_of(snapshot).to_owned()).filter(|text| !text.is_empty()),
            made_by: rotation.as_ref().map(|_| "ecobox"),
            label: rotation.as_ref().and_then(|rotation| rotation.label()).map(ToString::to_string),
            state: snapshot.map(|snapshot| snapshot.state.as_str().to_owned()),
            of: list.list.len(),
            begins: branch.begins,
            repair: snapshot.filter(|snapshot| !snapshot.is_whole()).and_then(|snapshot| {
                let (kind, vmid) = (server.kind.guest()?, server.vmid?);
                let (name, state) = (snapshot.name.clone(), snapshot.state.as_str().to_owned());
                Some(Repair { kind, vmid, name, state, locked: true }.commands())
            }),
        }
    };
    tree(list).into_iter().map(entry).collect()
}

impl Entry {
    /// `pve1-vm-101 (web)`
    fn whom(&self) -> String {
        if self.name == self.id.as_str() { self.name.clone() } else { format!("{} ({})", self.id, self.name) }
    }

    /// Its place in the tree.
    fn drawn(&self) -> String {
        let name = self.snapshot.as_deref().unwrap_or("now");
        let indent = "  ".repeat(if self.begins { self.depth.saturating_sub(1) } else { self.depth });
        format!("{indent}{}{name}", if self.begins { "- " } else { "" })
    }

    fn by(&self) -> Option<String> {
        let by = self.made_by?;
        Some(self.label.as_ref().map_or_else(|| by.to_owned(), |label| format!("{by} {label}")))
    }
}

impl Report for SnapshotListReport {
    const SCHEMA: &'static str = "ecobox.snapshots/1";
    type Item<'r> = &'r Entry;

    fn columns(&self) -> Vec<Column<'_, &Entry>> {
        let (column, wide) = (Column::<&Entry>::new, Column::<&Entry>::wide);
        vec![
            column("SERVER", 0, |entry| Value::text(entry.whom())).cut_to(14),
            column("SNAPSHOT", 0, |entry| Value::text(entry.drawn())).cut_to(16),
            column("TIME", 3, |entry| Value::of(entry.taken_at, |at| Value::text(crate::render::value::rfc3339(at)))),
            column("AGE", 1, |entry| {
                let seconds = entry.age_seconds.and_then(|age| u64::try_from(age).ok());
                Value::of(seconds, |age| Value::text(crate::render::value::human_seconds(age)))
            }),
            column("MEMORY", 4, |entry| {
                Value::maybe(entry.with_memory.map(|memory| if memory { "yes" } else { "no" }))
            }),
            column("BY", 3, |entry| Value::maybe(entry.by())).cut_to(8),
            column("STATE", 2, |entry| Value::maybe(entry.state.as_deref())),
            column("DESCRIPTION", 5, |entry| {
                Value::maybe(entry.description.as_deref().map(|text| text.replace('\n', " ")))
            })
            .cut_to(16),
            wide("PARENT", |entry| Value::maybe(entry.parent.as_deref())),
            wide("KIND", |entry| Value::text(entry.kind)),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Entry> {
        self.snapshots.iter().filter(|entry| entry.of > 0 || !self.of_all)
    }

    fn notes(&self) -> Vec<String> {
        let broken = self.snapshots.iter().filter_map(|entry| {
            let (repair, name, state) = (entry.repair.as_ref()?, entry.snapshot.as_ref()?, entry.state.as_ref()?);
            let id = &entry.id;
            Some(format!(
                "{name} of {id} is in the state `{state}`: unless a task works on it, run {repair} on its node"
            ))
        });
        let without =
            (self.of_all && self.without > 0).then(|| format!("{} without snapshots", counted(self.without, "guest")));
        broken.chain(without).collect()
    }
}
