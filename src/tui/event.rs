//! What comes in and what goes out: all that the rest of the program and the screen say to each other.

use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use crate::model::id::ServerId;
use crate::model::inventory::Inventory;
use crate::model::inventory::server::ServerKey;
use crate::model::power::{Finding, Policy, PowerAction};
use crate::tui::samples::Point;

/// What happens to the screen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Key(KeyEvent),
    Mouse(MouseEvent),
    /// Text put in at once: it types a filter, and never is a key.
    Paste(String),
    /// Columns and lines of the terminal.
    Resize(u16, u16),
    /// The time: one a second is enough.
    Tick(Timestamp),
    /// When somebody is looked at next.
    Next(Timestamp),
    /// All servers as seen last, sorted.
    Fleet(Box<Inventory>),
    /// Measurements of one server, in any order: those that are kept at first, then each new one.
    Samples {
        server: ServerKey,
        points: Vec<Point>,
    },
    /// What is told of the chosen server, an answer to [`Effect::Detail`].
    Log {
        server: ServerKey,
        /// The newest first.
        events: Vec<Entry>,
        tasks: Vec<Entry>,
    },
    /// The answer to [`Effect::Prepare`].
    Plan(Plan),
    /// The other answer to it: why there is no plan.
    NoPlan {
        number: u64,
        why: String,
    },
    /// What is being done to a server, and how long that may take in all.
    Progress {
        server: ServerId,
        text: String,
        of: Option<Duration>,
    },
    /// Nothing is being done to it any more.
    Over {
        server: ServerId,
    },
    /// How an action on a server ended.
    Ended {
        server: ServerId,
        good: bool,
        text: String,
    },
    Message(String),
}

/// What the screen wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Quit,
    /// Look at everybody now.
    Refresh,
    /// Tell log, tasks and samples of this server.
    Detail(ServerKey),
    /// Make a plan, and run its checks. The answer has the same number.
    Prepare {
        number: u64,
        action: PowerAction,
        servers: Vec<ServerId>,
        choices: Choices,
    },
    /// A person has seen the plan with this number, and agreed.
    Carry {
        number: u64,
    },
    /// Not agreed to: the plan is dropped.
    Abandon {
        number: u64,
    },
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: String,
}

/// A plan to be agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The number of the request that it answers.
    pub(crate) number: u64,
    pub(crate) action: PowerAction,
    /// How many servers it changes: more than one has to be typed.
    pub(crate) changes: usize,
    /// What would be done, in order.
    pub(crate) steps: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) offers: Offers,
}

/// What a person chooses for a plan at the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Choices {
    /// What becomes of the guests of a host that goes down; `None`: it does not go down while any runs.
    pub(crate) guests: Option<Policy>,
    /// Wake-on-LAN is armed first.
    pub(crate) arm_wol: bool,
    /// A guest that does not shut down is stopped.
    pub(crate) then_stop: bool,
}

impl Choices {
    /// The next that can become of guests, in turns; what loses least comes first.
    pub(crate) fn next_guests(self) -> Choices {
        let guests = match self.guests {
            None => Some(Policy::Shutdown),
            Some(Policy::Shutdown) => Some(Policy::Hibernate),
            Some(Policy::Hibernate) => Some(Policy::Leave),
            Some(Policy::Leave | Policy::Migrate | Policy::Return) => None,
        };
        Choices { guests, ..self }
    }

    /// The options that say the same on the command line.
    pub(crate) fn options(self) -> String {
        let guests = self.guests.map(|policy| format!(" --guests {}", policy.as_str())).unwrap_or_default();
        let arms = if self.arm_wol { " --arm-wol" } else { "" };
        guests + arms + if self.then_stop { " --then-stop" } else { "" }
    }
}

/// Which choices change a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offers {
    pub(crate) guests: bool,
    pub(crate) arm_wol: bool,
    pub(crate) then_stop: bool,
}

impl Plan {
    /// Whether something stands against it: there is no way past that on the screen.
    pub(crate) fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| !finding.allowed)
    }
}

/// What was asked for and is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanRequest {
    pub(crate) number: u64,
    pub(crate) action: PowerAction,
    pub(crate) servers: Vec<ServerId>,
    pub(crate) choices: Choices,
}
