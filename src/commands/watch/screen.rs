//! The screen: what is seen goes to it, and what its keys want is done, side by side.

mod actions;
mod feed;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::actions::{Answer, Ready};
use super::WatchArgs;
use super::page::{Pages, due};
use super::recent_notices::RecentNotices;
use super::stream::{WAITING, passes};
use crate::commands::Context;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::watch::Pace;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::{Pressure, Sample, Source};
use crate::model::watch::{Change, Heard, Part, Watched};
use crate::render;
use crate::tui::{self, Effect, Event, Setup, State};

/// The screen is updated at most this often: people do not read faster.
const SHOWN: Duration = Duration::from_millis(200);

/// How often it is looked what other processes do to servers.
const OTHERS: Duration = Duration::from_millis(500);

/// So long it waits for somebody to answer, before it shows what is remembered.
const PATIENCE: Duration = Duration::from_secs(2);

/// So much of the past the charts begin with: as many measurements as they keep, and not of last week.
const PAST: SignedDuration = SignedDuration::from_hours(2);

/// Shows the screen until somebody quits.
///
/// # Errors
/// No such target; an unusable state file; a terminal that cannot be used.
pub(super) async fn run(
    ctx: &Context,
    fleet: &Fleet<'_>,
    args: &WatchArgs,
    pace: Pace,
    pages: Option<Pages<'_>>,
    color: bool,
) -> anyhow::Result<Exit> {
    let scope = fleet.scope(&args.targets)?;
    let setup = Setup {
        read_only: args.read_only,
        color,
        utf8: render::has_utf8(),
        interval: SignedDuration::try_from(pace.update).unwrap_or(SignedDuration::MAX),
    };
    // Neither of the two may wait for the other.
    let (say, mut said) = mpsc::unbounded_channel();
    let (want, wanted) = mpsc::unbounded_channel();
    let (tell, heard) = mpsc::channel(WAITING);
    let again = Notify::new();
    let conductor = Conductor {
        ctx,
        fleet,
        args,
        again: &again,
        say,
        watched: Watched::new(fleet.remembered()?),
        pages,
        begun: false,
        unshown: false,
        log_wanted: false,
        detail: None,
        samples: HashMap::new(),
        next: HashMap::new(),
        plans: HashMap::new(),
        said: RecentNotices::default(),
    };
    let screen = async {
        let _suspended = ctx.ui.suspend_log();
        let events = futures::stream::poll_fn(move |cx| said.poll_recv(cx));
        // It can only fail when the receiver is gone.
        let state = State { zone: jiff::tz::TimeZone::system(), ..State::new(setup, fleet.now()) };
        tui::run(state, events, |effect| drop(want.send(effect))).await
    };
    tokio::select! {
        ended = screen => ended.map(|()| Exit::Done).context("the screen"),
        ended = fleet.watch(&scope, pace, &again, &tell) => ended.map(|()| Exit::Done).map_err(Into::into),
        ended = conductor.run(heard, wanted) => ended,
    }
}

/// What is done for the screen beside the looking.
type Work<'s> = LocalBoxFuture<'s, Answer>;

/// What stands between the fleet and the screen.
struct Conductor<'s, 'f> {
    ctx: &'s Context,
    fleet: &'s Fleet<'f>,
    args: &'s WatchArgs,
    again: &'s Notify,
    say: UnboundedSender<Event>,
    watched: Watched,
    pages: Option<Pages<'s>>,
    /// Whether the screen was told of the fleet.
    begun: bool,
    /// Whether something is not as the screen was told.
    unshown: bool,
    log_wanted: bool,
    /// Whom the screen shows in detail.
    detail: Option<ServerKey>,
    /// The readings that rates are made from.
    samples: HashMap<ServerKey, (Timestamp, Sample)>,
    /// When each part is looked at next.
    next: HashMap<Part, Timestamp>,
    /// Plans that are not answered yet.
    plans: HashMap<u64, Ready>,
    said: RecentNotices,
}

impl<'s> Conductor<'s, '_> {
    async fn run(mut self, mut heard: Receiver<Heard>, mut wanted: UnboundedReceiver<Effect>) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let deadline = self.fleet.limits.given.map(|given| begun + given);
        let mut working: FuturesUnordered<Work<'s>> = FuturesUnordered::new();
        let mut clock = interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut others = interval(OTHERS);
        others.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown = begun;
        self.tell_past()?;
        loop {
            tokio::select! {
                heard = heard.recv() => match heard {
                    Some(heard) => self.hear(heard),
                    None => return Ok(Exit::Done),
                },
                effect = wanted.recv() => match effect {
                    Some(effect) => working.extend(self.want(effect)),
                    None => return Ok(Exit::Done),
                },
                Some(answer) = working.next(), if !working.is_empty() => self.answer(answer),
                _ = clock.tick() => self.tell(Event::Tick(self.fleet.now())),
                _ = others.tick() => self.look_at_actions()?,
                () = sleep_until(shown + SHOWN), if self.unshown || self.log_wanted => {
                    self.show()?;
                    shown = Instant::now();
                }
                () = sleep_until(begun + PATIENCE), if !self.begun && !self.unshown => self.unshown = true,
                () = due(self.pages.as_ref()), if self.begun => self.write_page().await?,
                () = passes(deadline) => return Ok(Exit::Done),
            }
            if self.args.count.is_some_and(|count| self.watched.rounds() >= count) {
                self.write_page().await?;
                return Ok(Exit::Done);
            }
        }
    }

    /// The screen may have ended: then all of this is dropped with it.
    fn tell(&self, event: Event) {
        let _ = self.say.send(event);
    }

    /// What earlier runs measured.
    fn tell_past(&mut self) -> anyhow::Result<()> {
        let keys: Vec<ServerKey> = self.watched.inventory().servers.iter().map(Server::key).collect();
        let now = self.fleet.now();
        for (server, samples) in self.ctx.state.samples(&keys, now.saturating_sub(PAST)?, now)? {
            self.samples.extend(samples.last().map(|last| (server.clone(), *last)));
            self.tell(Event::Samples { server, points: feed::points(&samples) });
        }
        Ok(())
    }

    fn hear(&mut self, heard: Heard) {
        let changes = match heard {
            Heard::Parts(parts) => self.watched.parts(parts),
            Heard::Look(look) => {
                let at = look.at;
                let servers: HashSet<ServerId> = look.servers.iter().map(|server| server.id.clone()).collect();
                let changes = self.watched.look(look);
                // Of who is measured by a script that script says more.
                self.measured(&servers, at, |source| matches!(source, Source::Api));
                self.unshown = true;
                changes
            }
            Heard::Load(load) => {
                let (at, servers) = (load.at, HashSet::from([load.server.clone()]));
                let is_known = load.usage.is_ok();
                let changes = self.watched.load(load);
                if is_known {
                    self.measured(&servers, at, |_| true);
                }
                self.unshown = true;
                changes
            }
            Heard::Next(part, at) => {
                self.next.insert(part, at);
                // Of parts that are no more nothing is heard.
                self.next.retain(|_, at| at.duration_since(self.fleet.now()) > -PAST);
                self.next.values().min().into_iter().for_each(|at| self.tell(Event::Next(*at)));
                Vec::new()
            }
            Heard::Notice(notice) => {
                if self.said.is_new(&notice.text) {
                    self.tell(Event::Message(notice.text));
                }
                Vec::new()
            }
        };
        self.log_wanted |= !changes.is_empty();
        if let Some(pages) = &mut self.pages {
            pages.note(&changes);
        }
    }

    /// What other processes, and this one, do to servers stands in the state file. Where something has ended all are looked
    /// at: states are not what they were.
    fn look_at_actions(&mut self) -> anyhow::Result<()> {
        let changes = self.watched.actions(&self.ctx.state.actions_in_flight(self.fleet.now())?);
        if changes.iter().any(|change| matches!(change, Change::Action { to: None, .. })) {
            self.again.notify_waiters();
        }
        self.unshown |= !changes.is_empty();
        self.log_wanted |= !changes.is_empty();
        if let Some(pages) = &mut self.pages {
            pages.note(&changes);
        }
        Ok(())
    }

    /// Tells what was measured of these servers.
    fn measured(&mut self, servers: &HashSet<ServerId>, at: Timestamp, counts: impl Fn(Source) -> bool) {
        let Conductor { watched, samples, say, .. } = self;
        for server in watched.inventory().servers.iter().filter(|server| servers.contains(&server.id)) {
            let source = server.seen.usage_source;
            if !counts(source) || !server.seen.state.is_up() {
                continue;
            }
            let now = (at, Sample { source, usage: server.seen.usage, pressure: Pressure::default(), watts: None });
            let key = server.key();
            let base = samples.get(&key).copied();
            let points = feed::points(&base.into_iter().chain([now]).collect::<Vec<_>>());
            // A rate needs another reading than the one before: Proxmox VE gives each for some seconds.
            if base.is_none_or(|(_, base)| base.usage.receive_bytes != now.1.usage.receive_bytes) {
                samples.insert(key.clone(), now);
            }
            let points = points.into_iter().filter(|point| point.at == at).collect();
            let _ = say.send(Event::Samples { server: key, points });
        }
    }

    /// Tells the screen how the fleet is.
    fn show(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.unshown) {
            let complete = self.watched.rounds() > 0;
            match self.watched.inventory().clone().selected(&self.args.targets) {
                Ok(shown) => {
                    self.begun = true;
                    self.tell(Event::Fleet(Box::new(shown)));
                }
                // Who was selected is gone.
                Err(_) if self.begun => self.tell(Event::Fleet(Box::default())),
                // A server that has not answered yet may have it.
                Err(_) if !complete => {}
                Err(error) => return Err(error.into()),
            }
        }
        if std::mem::take(&mut self.log_wanted)
            && let Some(server) = self.detail.clone()
        {
            self.tell(feed::log(&self.ctx.state, server, self.fleet.now())?);
        }
        Ok(())
    }

    async fn write_page(&mut self) -> anyhow::Result<()> {
        self.watched.age(self.fleet.now());
        let Some(pages) = &mut self.pages else { return Ok(()) };
        if let Some(error) = pages.write(self.fleet, &self.watched, &self.args.targets).await? {
            self.tell(Event::Message(error));
        }
        Ok(())
    }

    /// Does what the screen wants; gives what takes time.
    fn want(&mut self, effect: Effect) -> Option<Work<'s>> {
        match effect {
            // The screen itself ends.
            Effect::Quit => None,
            Effect::Refresh => {
                self.again.notify_waiters();
                None
            }
            Effect::Detail(server) => {
                (self.detail, self.log_wanted) = (Some(server), true);
                None
            }
            Effect::Abandon { number } => {
                self.plans.remove(&number);
                None
            }
            _ if self.args.read_only => None,
            Effect::Prepare { number, action, servers, choices } => {
                Some(Box::pin(actions::prepare(self.ctx, self.fleet, number, action, servers, choices)))
            }
            Effect::Carry { number } => {
                let ready = self.plans.remove(&number)?;
                Some(Box::pin(actions::carry(self.ctx, self.fleet, number, ready, self.say.clone())))
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Plan(ready, plan) => {
                self.plans.insert(plan.number, *ready);
                self.tell(Event::Plan(plan));
            }
            Answer::NoPlan { number, why } => self.tell(Event::NoPlan { number, why }),
            Answer::Carried => {
                self.log_wanted = true;
                self.again.notify_waiters();
            }
        }
    }
}
