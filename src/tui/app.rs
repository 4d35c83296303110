//! What the screen of `watch` shows, and how each event changes it. Pure: no I/O, and no clock but the one of `Tick`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crossterm::event::KeyEventKind;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Inventory, Server};
use crate::model::text::human::human_span;
use crate::tui::event::{Effect, Entry, Event, Plan, Wish};
use crate::tui::keys;
use crate::tui::layout::Areas;
use crate::tui::mouse;
use crate::tui::problems::{Problem, problems};
use crate::tui::rows::{self, Order};
use crate::tui::samples::Ring;

/// How many failed actions are remembered: nobody reads more.
const MOST_FAILED: usize = 20;

/// What is decided before the screen opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// There are no actions, and nobody hears of any.
    pub(crate) read_only: bool,
    /// Whether colours may be used; without them symbols and modifiers say the same.
    pub(crate) color: bool,
    /// Whether the locale's characters are UTF-8; else only ASCII is drawn.
    pub(crate) utf8: bool,
    /// How often servers are looked at: an answer older than twice this is stale.
    pub(crate) interval: SignedDuration,
}

/// What keys mean at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    Browse,
    /// The filter is being typed; what was there before is what Esc brings back.
    Filter {
        before: String,
    },
    Help {
        top: usize,
    },
    Dialogue {
        wish: Wish,
        plan: Plan,
        /// What was typed of the number.
        typed: String,
        top: usize,
        /// Something else was chosen: the plan that is shown is not wanted any more, the next one is being made.
        again: bool,
    },
}

/// The words that select what is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// As typed.
    pub(crate) text: String,
    /// Why it is not what selects.
    pub(crate) error: Option<String>,
    /// The last text that was of the grammar: the one that selects.
    pub(crate) kept: String,
    /// Whom it selects; `None`: all.
    pub(crate) chosen: Option<HashSet<ServerKey>>,
}

/// What is told of the chosen server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) server: Option<ServerKey>,
    pub(crate) events: Vec<Entry>,
    pub(crate) tasks: Vec<Entry>,
}

/// What is being done to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doing {
    pub(crate) text: String,
    pub(crate) since: Timestamp,
    /// How long it may take in all.
    pub(crate) of: Option<Duration>,
}

impl Doing {
    /// `waiting for pve2 to answer, 12 s of 5 min`
    pub(crate) fn line(&self, now: Timestamp) -> String {
        let since = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        match self.of {
            _ if since.as_secs() == 0 => self.text.clone(),
            Some(of) => format!("{}, {} of {}", self.text, human_span(since), human_span(of)),
            None => format!("{}, {}", self.text, human_span(since)),
        }
    }
}

/// All that the screen shows.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct State {
    pub(crate) setup: Setup,
    pub(crate) size: (u16, u16),
    pub(crate) now: Timestamp,
    /// Whether anybody has looked yet.
    pub(crate) looked: bool,
    pub(crate) fleet: Inventory,
    /// The lasting identities, in the order of the servers.
    pub(crate) keys: Vec<ServerKey>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) samples: HashMap<ServerKey, Ring>,
    pub(crate) log: Log,
    pub(crate) rows: Vec<rows::Row>,
    /// The chosen row, and the first one on the screen.
    pub(crate) at: usize,
    pub(crate) top: usize,
    /// Whom the chosen row is: it stays chosen where rows move.
    pub(crate) chosen: Option<ServerKey>,
    pub(crate) marked: BTreeSet<ServerKey>,
    pub(crate) folded: HashSet<ServerKey>,
    pub(crate) order: Order,
    pub(crate) reversed: bool,
    /// Servers one by one, not under their hosts.
    pub(crate) flat: bool,
    pub(crate) filter: Filter,
    pub(crate) mode: Mode,
    /// Whether the chosen server is shown in detail, and the first line of that.
    pub(crate) pane: bool,
    pub(crate) pane_top: usize,
    /// Whether it is shown in place of the list, on a screen that has no room for both.
    pub(crate) instead: bool,
    /// The time zone of the clock.
    pub(crate) zone: TimeZone,
    /// When somebody is looked at next.
    pub(crate) next: Option<Timestamp>,
    pub(crate) wish: Option<Wish>,
    /// The answer to it, where it came while something else had the keys: it opens when they are free.
    pub(crate) ready: Option<(Wish, Plan)>,
    /// Wishes so far: an answer to an older one is not taken for that to a newer one.
    pub(crate) wishes: u64,
    /// Whom something is being done to, and how far it is.
    pub(crate) progress: BTreeMap<ServerId, Doing>,
    /// Which actions failed, until the next one is asked for.
    pub(crate) failed: VecDeque<String>,
    pub(crate) message: Option<String>,
    /// Whether the screen does not show all this yet.
    pub(crate) dirty: bool,
}

impl State {
    /// An empty screen.
    pub(crate) fn new(setup: Setup, now: Timestamp) -> State {
        State {
            setup,
            size: (80, 24),
            now,
            looked: false,
            fleet: Inventory::default(),
            keys: Vec::new(),
            problems: Vec::new(),
            samples: HashMap::new(),
            log: Log::default(),
            rows: Vec::new(),
            at: 0,
            top: 0,
            chosen: None,
            marked: BTreeSet::new(),
            folded: HashSet::new(),
            order: Order::Own,
            reversed: false,
            flat: false,
            filter: Filter::default(),
            mode: Mode::Browse,
            pane: true,
            pane_top: 0,
            instead: false,
            zone: TimeZone::UTC,
            next: None,
            wish: None,
            ready: None,
            wishes: 0,
            progress: BTreeMap::new(),
            failed: VecDeque::new(),
            message: None,
            dirty: true,
        }
    }

    /// The server of the chosen row.
    pub(crate) fn current(&self) -> Option<&Server> {
        self.fleet.servers.get(self.rows.get(self.at)?.place)
    }

    /// How long ago a server answered; `None`: never, or at a time that has not come.
    pub(crate) fn age(&self, server: &Server) -> Option<SignedDuration> {
        let age = self.now.duration_since(server.seen.at?);
        // Two clocks of one machine may differ by the length of a look.
        (age > SignedDuration::from_secs(-5)).then(|| age.max(SignedDuration::ZERO))
    }

    /// Whether what is known of the server is too old to be relied on.
    pub(crate) fn is_stale(&self, server: &Server) -> bool {
        let limit = self.setup.interval.saturating_mul(2);
        server.seen.at.is_some() && self.age(server).is_none_or(|age| age > limit)
    }

    /// Makes the rows anew, and keeps the chosen server chosen.
    pub(crate) fn arrange(&mut self) {
        self.rows = rows::rows(self);
        let place = |row: &rows::Row| self.chosen.as_ref() == Some(&self.keys[row.place]);
        if let Some(at) = self.rows.iter().position(place) {
            self.at = at;
        }
        self.settle();
    }

    /// Keeps the chosen row in the list and on the screen.
    pub(crate) fn settle(&mut self) {
        self.at = self.at.min(self.rows.len().saturating_sub(1));
        let height = usize::from(Areas::of(self).rows.height).max(1);
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(height));
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }

    /// Takes what is typed as the filter, or keeps the one before and says why.
    pub(crate) fn apply_filter(&mut self) {
        match self.fleet.filtered(&self.filter.text) {
            Ok(places) => {
                self.filter.error = None;
                self.filter.kept.clone_from(&self.filter.text);
                self.choose(places);
            }
            Err(error) => self.filter.error = Some(error),
        }
        self.arrange();
    }

    /// Shows those that the filter lets through.
    fn choose(&mut self, places: Vec<usize>) {
        let all = self.filter.kept.trim().is_empty();
        self.filter.chosen = (!all).then(|| places.into_iter().map(|place| self.keys[place].clone()).collect());
    }

    /// Whom an action would be done to: the marked ones, else the chosen one.
    pub(crate) fn targets(&self) -> Vec<ServerId> {
        let marked = self.fleet.servers.iter().zip(&self.keys).filter(|(_, key)| self.marked.contains(*key));
        let marked: Vec<ServerId> = marked.map(|(server, _)| server.id.clone()).collect();
        if marked.is_empty() { self.current().map(|server| server.id.clone()).into_iter().collect() } else { marked }
    }

    fn take_fleet(&mut self, fleet: Inventory) {
        self.keys = fleet.servers.iter().map(Server::key).collect();
        self.fleet = fleet;
        self.looked = true;
        let known: HashSet<&ServerKey> = self.keys.iter().collect();
        self.samples.retain(|key, _| known.contains(key));
        self.marked.retain(|key| known.contains(key));
        self.folded.retain(|key| known.contains(key));
        // Whom the filter lets through may have changed.
        if let Ok(places) = self.fleet.filtered(&self.filter.kept) {
            self.choose(places);
        }
        self.problems = problems(self);
        self.arrange();
    }

    fn take_plan(&mut self, plan: Plan) -> Vec<Effect> {
        match self.wish.take_if(|wish| wish.number == plan.number) {
            Some(wish) => {
                match &mut self.mode {
                    Mode::Dialogue { wish: shown, plan: old, again, .. } if shown.number == wish.number => {
                        (*old, *again) = (plan, false);
                    }
                    _ => self.ready = Some((wish, plan)),
                }
                Vec::new()
            }
            None => vec![Effect::Abandon { number: plan.number }],
        }
    }

    /// Asks what waits to be asked. Not over a filter: a letter that is meant for it must not be the answer.
    fn open_dialogue(&mut self) {
        if self.mode == Mode::Browse
            && let Some((wish, plan)) = self.ready.take()
        {
            self.mode = Mode::Dialogue { wish, plan, typed: String::new(), top: 0, again: false };
            self.message = None;
        }
    }
}

/// What an event changes, and what is to be done then. Nothing else changes the state.
pub(crate) fn update(state: &mut State, event: Event) -> Vec<Effect> {
    let before = state.chosen.clone();
    let mut effects = Vec::new();
    state.dirty = true;
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => {}
        Event::Key(key) => effects = keys::press(state, key),
        Event::Mouse(mouse) => mouse::handle(state, mouse),
        Event::Next(at) => state.next = Some(at),
        Event::Paste(text) => keys::paste(state, &text),
        Event::Resize(columns, lines) => {
            state.size = (columns, lines);
            state.settle();
        }
        Event::Tick(now) => {
            state.now = now;
            state.problems = problems(state);
            state.settle();
        }
        Event::Fleet(fleet) => state.take_fleet(*fleet),
        Event::Samples { server, points } => {
            // Those of a server that left would be kept for ever.
            if !state.looked || state.keys.contains(&server) {
                state.samples.entry(server).or_default().extend(points);
            }
        }
        Event::Log { server, events, tasks } => {
            if state.chosen.as_ref() == Some(&server) {
                state.log = Log { server: Some(server), events, tasks };
            }
        }
        Event::Plan(plan) => effects = state.take_plan(plan),
        Event::NoPlan { number, why } => {
            if state.wish.take_if(|wish| wish.number == number).is_some() {
                state.message = Some(why);
                if matches!(&state.mode, Mode::Dialogue { wish, .. } if wish.number == number) {
                    state.mode = Mode::Browse;
                }
            }
        }
        Event::Progress { server, text, of } => {
            let since = state.progress.get(&server).map_or(state.now, |known| known.since);
            state.progress.insert(server, Doing { text, since, of });
        }
        Event::Over { server } => drop(state.progress.remove(&server)),
        Event::Ended { server, good, text } => {
            state.progress.remove(&server);
            let text = format!("{server}: {text}");
            if good {
                state.message = Some(text);
            } else {
                state.failed.truncate(MOST_FAILED - 1);
                state.failed.push_front(text);
                state.problems = problems(state);
                state.settle();
            }
        }
        Event::Message(text) => state.message = Some(text),
    }
    state.open_dialogue();
    state.chosen = state.rows.get(state.at).map(|row| state.keys[row.place].clone());
    if state.chosen != before {
        state.pane_top = 0;
        state.log = Log::default();
        effects.extend(state.chosen.clone().map(Effect::Detail));
    }
    effects
}
