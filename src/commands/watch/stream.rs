//! The stream: a snapshot, then a line for each change; and the end, when enough was seen.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::WatchArgs;
use super::json_lines::{Line, Snapshot};
use super::page::{Pages, due};
use super::recent_notices::RecentNotices;
use crate::commands::{Context, tell, warn};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::watch::Pace;
use crate::model::id::{ClusterId, NodeName, ServerId};
use crate::model::inventory::{About, Failed, Server};
use crate::model::select::until::{Condition, Undecidable};
use crate::model::watch::{Change, Heard, Watched};
use crate::render::lines::Lines;

/// How many looks may wait to be told of.
pub(super) const WAITING: usize = 16;

/// So long the snapshot waits for a part that has not answered: then it shows what is remembered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom a change is about.
fn about(change: &Change) -> &ServerId {
    match change {
        Change::Added { id }
        | Change::Moved { id, .. }
        | Change::State { id, .. }
        | Change::Service { id, .. }
        | Change::Action { id, .. }
        | Change::Recovered { id } => id,
        Change::Gone { server } => &server.id,
        Change::Failure(failed) => &failed.server,
    }
}

/// Whom the targets mean, and whose failures concern them.
#[derive(Debug, Default)]
struct Meant {
    servers: HashSet<ServerId>,
    concerned: HashSet<ServerId>,
    clusters: HashSet<ClusterId>,
    nodes: HashSet<(ClusterId, NodeName)>,
}

impl Meant {
    fn is_concerned(&self, failed: &Failed) -> bool {
        match &failed.about {
            None => self.concerned.contains(&failed.server),
            Some(About::Cluster(cluster)) => self.clusters.contains(cluster),
            Some(About::Nodes(cluster, nodes)) => {
                nodes.iter().any(|node| self.nodes.contains(&(cluster.clone(), node.clone())))
            }
        }
    }

    fn has(&self, change: &Change) -> bool {
        match change {
            Change::Failure(failed) => self.is_concerned(failed),
            Change::Recovered { .. } => self.concerned.contains(about(change)),
            // By its old id it was meant.
            Change::Moved { id, from } => self.servers.contains(id) || self.servers.contains(from),
            _ => self.servers.contains(about(change)),
        }
    }
}

/// One run of `watch` that tells what it sees.
pub(super) struct Stream<'s> {
    ctx: &'s Context,
    fleet: &'s Fleet<'s>,
    args: &'s WatchArgs,
    lines: Option<Lines>,
    pages: Option<Pages<'s>>,
    watched: Watched,
    /// Whether the snapshot was told.
    begun: bool,
    /// Whom the targets meant when something was told last.
    meant: Meant,
    said: RecentNotices,
}

impl<'s> Stream<'s> {
    /// Begins with what is remembered.
    pub(super) fn new(
        ctx: &'s Context,
        fleet: &'s Fleet<'s>,
        args: &'s WatchArgs,
        lines: Option<Lines>,
        pages: Option<Pages<'s>>,
    ) -> anyhow::Result<Stream<'s>> {
        let watched = Watched::new(fleet.remembered()?);
        Ok(Stream {
            ctx,
            fleet,
            args,
            lines,
            pages,
            watched,
            begun: false,
            meant: Meant::default(),
            said: RecentNotices::default(),
        })
    }

    /// Looks and prints until enough was seen, or the reader is gone.
    pub(super) async fn run(mut self, pace: Pace) -> anyhow::Result<Exit> {
        // Everything is shown, or only what the words mean.
        let mut words = self.args.targets.clone();
        if !words.is_empty() {
            words.extend(self.args.until.iter().flat_map(Condition::target).cloned());
        }
        let scope = self.fleet.scope(&words)?;
        let (sender, mut heard) = mpsc::channel(WAITING);
        let again = Notify::new();
        let looking = self.fleet.watch(&scope, pace, &again, &sender);
        let _progress = self.lines.is_none().then(|| self.ctx.ui.progress(&waiting_for(self.args)));
        tokio::select! {
            ended = looking => ended.map(|()| Exit::Done).map_err(Into::into),
            exit = self.tell(&mut heard) => exit,
        }
    }

    async fn tell(&mut self, heard: &mut mpsc::Receiver<Heard>) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let patience = begun + PATIENCE.min(self.fleet.limits.host);
        let deadline = self.fleet.limits.given.map(|given| begun + given);
        loop {
            let nobody_reads = async {
                match &self.lines {
                    Some(lines) => lines.closed().await,
                    None => std::future::pending().await,
                }
            };
            let (changes, at) = tokio::select! {
                heard = heard.recv() => match heard {
                    Some(heard) => self.hear(heard),
                    None => return Ok(Exit::Done),
                },
                () = tokio::time::sleep_until(patience), if !self.begun => (Vec::new(), self.fleet.now()),
                () = passes(deadline) => return Ok(self.given_up()),
                () = due(self.pages.as_ref()), if self.begun => {
                    self.write_page().await?;
                    continue;
                }
                () = nobody_reads => return Ok(Exit::Done),
            };
            if let Some(pages) = &mut self.pages {
                pages.note(&changes);
            }
            let told = self.tell_changes(&changes, at, Instant::now() >= patience).await;
            match told {
                Err(error) if is_broken_pipe(&error) => return Ok(Exit::Done),
                told => told?,
            }
            if self.all_hold()? {
                self.confirm().await?;
            }
            if let Some(exit) = self.ended()? {
                self.write_page().await?;
                return Ok(exit);
            }
        }
    }

    async fn write_page(&mut self) -> anyhow::Result<()> {
        self.watched.age(self.fleet.now());
        let Some(pages) = &mut self.pages else { return Ok(()) };
        if let Some(error) = pages.write(self.fleet, &self.watched, &self.args.targets).await? {
            self.ctx.ui.warning(&error);
        }
        Ok(())
    }

    /// Takes what was heard, and gives what changed by it.
    fn hear(&mut self, heard: Heard) -> (Vec<Change>, Timestamp) {
        match heard {
            Heard::Parts(parts) => (self.watched.parts(parts), self.fleet.now()),
            Heard::Look(look) => {
                let at = look.at;
                (self.watched.look(look), at)
            }
            Heard::Load(load) => {
                let at = load.at;
                (self.watched.load(load), at)
            }
            Heard::Next(..) => (Vec::new(), self.fleet.now()),
            Heard::Notice(notice) => {
                if self.said.is_new(&notice.text) {
                    tell(&self.ctx.ui, &notice);
                }
                (Vec::new(), self.fleet.now())
            }
        }
    }

    /// The snapshot when everybody has answered or had time enough, then what changes.
    async fn tell_changes(&mut self, changes: &[Change], at: Timestamp, late: bool) -> anyhow::Result<()> {
        let complete = self.watched.rounds() > 0;
        if self.begun && changes.is_empty() || !self.begun && !complete && !late {
            return Ok(());
        }
        let meant = match self.meant() {
            Ok(meant) => meant,
            Err(_) if self.begun => Meant::default(),
            // A server that has not answered yet may have it.
            Err(_) if !complete => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !self.begun {
            self.begun = true;
            self.watched.age(self.fleet.now());
            self.tell_snapshot(&meant).await?;
            self.meant = meant;
            return Ok(());
        }
        // Who is gone is meant by nothing any more.
        let before = std::mem::replace(&mut self.meant, meant);
        let Some(lines) = &self.lines else { return Ok(()) };
        for change in changes.iter().filter(|change| before.has(change) || self.meant.has(change)) {
            lines.write(&Line::of(change, at, &self.watched.inventory().servers)).await.context("writing a change")?;
        }
        Ok(())
    }

    async fn tell_snapshot(&self, meant: &Meant) -> anyhow::Result<()> {
        let inventory = self.watched.inventory();
        let failures = inventory.failures.iter().filter(|failed| meant.is_concerned(failed));
        let Some(lines) = &self.lines else {
            warn(&self.ctx.ui, &failures.cloned().collect::<Vec<_>>());
            return Ok(());
        };
        let servers = inventory.servers.iter().filter(|server| meant.servers.contains(&server.id));
        let snapshot = Snapshot::of(servers, failures, self.fleet.now());
        lines.write(&snapshot).await.context("writing the snapshot")
    }

    /// Whom the targets mean now: a new guest may have the tag.
    fn meant(&self) -> Result<Meant, crate::model::select::SelectError> {
        let inventory = self.watched.inventory();
        let mut meant = Meant::default();
        for place in inventory.chosen(&self.args.targets)? {
            let server = &inventory.servers[place];
            // A guest's own failure is its host's.
            meant.concerned.extend(server.parent.iter().chain([&server.id]).cloned());
            meant.clusters.extend(server.cluster.clone());
            meant.nodes.extend(server.cluster.clone().zip(server.node.clone()));
            meant.servers.insert(server.id.clone());
        }
        Ok(meant)
    }

    /// Has the guests asked themselves by whose states it is to end: a listing may be ten seconds old. Who cannot be asked is as
    /// it was listed.
    async fn confirm(&mut self) -> anyhow::Result<()> {
        let inventory = self.watched.inventory();
        let mut doubted: Vec<Server> = Vec::new();
        for condition in self.args.until.iter().filter(|condition| condition.is_of_state()) {
            let chosen = inventory.chosen(condition.target())?.into_iter().map(|place| &inventory.servers[place]);
            doubted.extend(chosen.filter(|server| server.seen.lag.is_some()).cloned());
        }
        let fleet = self.fleet;
        let asked = doubted.iter().map(|server| async move { (server, fleet.ask_guest(server).await) });
        let answers = futures::future::join_all(asked).await;
        let (at, late) = (self.fleet.now(), true);
        for (server, answer) in answers {
            if let Some(status) = answer? {
                let changes = self.watched.see(&server.id, &status, at);
                self.tell_changes(&changes, at, late).await?;
            }
        }
        Ok(())
    }

    /// Whether all that is waited for is there, as far as was seen.
    fn all_hold(&self) -> anyhow::Result<bool> {
        if !self.begun {
            return Ok(false);
        }
        let complete = self.watched.rounds() > 0;
        let mut all = !self.args.until.is_empty();
        for condition in &self.args.until {
            match condition.holds(self.watched.inventory()) {
                Ok(holds) => all &= holds,
                Err(_) if !complete => all = false,
                Err(Undecidable::Target(error)) => return Err(error.into()),
                Err(error @ Undecidable::NoService { .. }) => {
                    return Err(Failure::new(Exit::NoTarget, error.to_string()).into());
                }
            }
        }
        Ok(all)
    }

    /// How it ends, if it does.
    fn ended(&self) -> anyhow::Result<Option<Exit>> {
        if !self.begun {
            return Ok(None);
        }
        let all = self.all_hold()?;
        let counted = self.args.count.is_some_and(|count| self.watched.rounds() >= count);
        Ok(match (all, counted) {
            (true, _) => Some(Exit::Done),
            (false, true) => Some(self.given_up()),
            (false, false) => None,
        })
    }

    /// The end without what was waited for.
    fn given_up(&self) -> Exit {
        if self.args.until.is_empty() {
            return Exit::Done;
        }
        for condition in &self.args.until {
            match condition.holds(self.watched.inventory()) {
                Ok(true) => {}
                _ => self.ctx.ui.warning(&format!("{} does not hold", condition.as_str())),
            }
        }
        Exit::Unconfirmed
    }
}

fn waiting_for(args: &WatchArgs) -> String {
    let conditions: Vec<&str> = args.until.iter().map(Condition::as_str).collect();
    if conditions.is_empty() { "looking".to_owned() } else { format!("waiting for {}", conditions.join(" and ")) }
}

pub(super) async fn passes(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe))
}
