//! What the screen of `watch` shows. How events change it is in `app`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Inventory, Server};
use crate::model::text::units::human_span;
use crate::tui::event::{Entry, Plan, PlanRequest};
use crate::tui::samples::Ring;

/// What is decided before the screen opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// There are no actions, and none are offered.
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
        request: PlanRequest,
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
    pub(crate) rows: Vec<Row>,
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
    pub(crate) request: Option<PlanRequest>,
    /// The answer to it, where it came while something else had the keys: it opens when they are free.
    pub(crate) ready: Option<(PlanRequest, Plan)>,
    /// Wishes so far: an answer to an older one is not taken for that to a newer one.
    pub(crate) requests: u64,
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
            request: None,
            ready: None,
            requests: 0,
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

    /// Whom an action would be done to: the marked ones, else the chosen one.
    pub(crate) fn targets(&self) -> Vec<ServerId> {
        let marked = self.fleet.servers.iter().zip(&self.keys).filter(|(_, key)| self.marked.contains(*key));
        let marked: Vec<ServerId> = marked.map(|(server, _)| server.id.clone()).collect();
        if marked.is_empty() { self.current().map(|server| server.id.clone()).into_iter().collect() } else { marked }
    }
}

/// One row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The place of the server in the inventory.
    pub(crate) place: usize,
    /// How deep it stands under what is shown.
    pub(crate) depth: usize,
    /// How many stand under it, and whether they are folded away.
    pub(crate) below: usize,
    pub(crate) folded: bool,
    /// How many of those that are folded away alarm.
    pub(crate) alarms: usize,
}

/// By what servers are sorted, among those under one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As configured, guests by number.
    Own,
    Name,
    State,
    Cpu,
    Memory,
    Age,
}

impl Order {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Order::Own => "own order",
            Order::Name => "name",
            Order::State => "state",
            Order::Cpu => "CPU",
            Order::Memory => "memory",
            Order::Age => "age",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// An action of this screen failed. It is no trouble of the fleet.
    Action,
    /// A server could not be asked.
    Failure,
    /// A server, a guest or a service is not as it should be.
    Alarm,
    /// Answers are too old to be relied on.
    Stale,
}

/// One line about what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) weight: Weight,
    pub(crate) text: String,
}
