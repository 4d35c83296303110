//! What a plan is made of: its steps, why each is there, and what it is made from.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::model::guest::{GuestCall, Startup};
use crate::model::host::power::HostCall;
use crate::model::id::ServerId;
use crate::model::inventory::FailureKind;
use crate::model::migrate::{Move, MoveVerdict};
use crate::model::power::{Finding, PowerAction, PowerState, StopOptions, Waking};
use crate::model::text::words::words;

/// What shall become of the guests of a host that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They are shut down first.
    Shutdown,
    /// They are suspended to disk first; containers, which cannot be, are shut down.
    Hibernate,
    /// They sleep with their host, or are ended by it.
    Leave,
    /// They are moved to other nodes first.
    Migrate,
    /// A host that is woken gets those back that were moved away from it.
    Return,
}

words!(Policy: all, parse => {
    Shutdown = "shutdown",
    Hibernate = "hibernate",
    Leave = "leave",
    Migrate = "migrate",
    Return = "return",
});

/// How the plan shall be made.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanInputs {
    pub(crate) stop: StopOptions,
    /// `None`: a host on which guests run is refused.
    pub(crate) guests: Option<Policy>,
    /// Hosts shall be woken by their own clocks.
    pub(crate) until: bool,
    /// What the guests' configurations say of the order among them, where they were asked.
    pub(crate) startups: HashMap<ServerId, Startup>,
    /// How asking failed, of hosts that could not be asked.
    pub(crate) failures: HashMap<ServerId, FailureKind>,
    /// Guests whose node cannot report their state or carry out a call.
    pub(crate) lost: HashMap<ServerId, Lost>,
    /// What moving guests comes down to, of those that shall move.
    pub(crate) moves: HashMap<ServerId, MoveVerdict>,
    /// Guests that were moved away from a host, each with that host.
    pub(crate) returns: Vec<(ServerId, ServerId)>,
}

/// Why nothing can be done with a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) why: String,
    pub(crate) fix: Option<String>,
    pub(crate) kind: FailureKind,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// Wake-on-LAN, until the host is ready.
    Wake,
    Guest(GuestCall),
    /// A guest goes to another node.
    Migrate(Box<Move>),
    /// A call to a guest whose state is not known yet: it is decided when its host is ready.
    GuestLater,
    Host(HostCall),
    /// It is as it should be.
    Already(PowerState),
    /// Nothing that could be done would do it; `kind` where somebody did not answer, or would not.
    Cannot {
        why: String,
        fix: Option<String>,
        kind: Option<FailureKind>,
    },
    /// Nothing is done: somebody needs the host, and it was to go down only if idle.
    Needed {
        why: String,
    },
}

/// Why a step is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepReason {
    /// It was asked for.
    Asked,
    /// This server needs it first.
    NeededBy(ServerId),
    /// It runs on this host, which goes down.
    RunsOn(ServerId),
    /// It was moved away from this host, which is up again.
    ReturnsTo(ServerId),
}

impl fmt::Display for StepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepReason::Asked => f.write_str("asked for"),
            StepReason::NeededBy(other) => write!(f, "{other} needs it"),
            StepReason::RunsOn(host) => write!(f, "runs on {host}"),
            StepReason::ReturnsTo(host) => write!(f, "was moved away from {host}"),
        }
    }
}

impl Serialize for StepReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The place of the server in the list that the plan was made from.
    pub(crate) server: usize,
    /// What is wanted of this server.
    pub(crate) action: PowerAction,
    pub(crate) does: StepKind,
    pub(crate) why: StepReason,
    /// Steps (places in the plan) that must have succeeded before.
    pub(crate) needs: Vec<usize>,
    /// Steps that must have ended before, whatever came of them.
    pub(crate) follows: Vec<usize>,
    /// What is known of its course only when all sides were looked at.
    pub(crate) course: Course,
}

/// How long a step may take, and what it does besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Course {
    /// How long its outcome is waited for.
    pub(crate) limit: Option<Duration>,
    /// Wake-on-LAN is armed first.
    pub(crate) arms: Option<Arming>,
    /// Its clock is set so that it wakes the host.
    pub(crate) wakes: Option<Waking>,
    /// When a guest is stopped that has not shut down by then.
    pub(crate) stops_after: Option<Duration>,
}

/// Wake-on-LAN is armed on a host's network port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arming {
    pub(crate) port: String,
    pub(crate) limit: Duration,
}

impl Step {
    /// Whether it stands for a finding against its host, which says it already.
    pub(crate) fn is_of_finding(&self) -> bool {
        matches!((&self.does, &self.why), (StepKind::Cannot { .. }, StepReason::RunsOn(_)))
    }

    /// Whether it changes anything.
    pub(crate) fn acts(&self) -> bool {
        !matches!(self.does, StepKind::Already(_) | StepKind::Cannot { .. } | StepKind::Needed { .. })
    }
}

/// Steps in an order in which they may be done, and what was found against them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) findings: Vec<Finding>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// Servers that each need another one first.
    #[error("the servers need each other in a circle: {}", names(.0))]
    Circle(Vec<ServerId>),
}

pub(super) fn names(ids: &[ServerId]) -> String {
    ids.iter().map(ServerId::as_str).collect::<Vec<_>>().join(" -> ")
}
