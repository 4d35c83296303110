//! Carries a plan out: each step when those before it allow it, some at a time on each node, until what was wanted is
//! seen. Nothing is ever sent twice, and nothing is sent on knowledge from before the wait.

mod fresh;
mod guest;
mod host;
mod looked;
mod preflight;
mod prepare;
mod wait;
pub(crate) mod wake;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::hint::HintId;
use crate::model::id::{ClusterId, ServerId, Upid, VmId};
use crate::model::inventory::server::{Listing, ServerKey};
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{Finding, Manner, Move, Plan, Policy, PowerAction, PowerState, Step};
use crate::state::{ActionId, NewAction, State, StateError};
use crate::transport::pve::Client;
use crate::transport::{Error, PVE_CLUSTER};

use self::looked::Looked;
pub(crate) use self::prepare::{Choice, PrepareError, Prepared};

/// Steps at a time on each node, where nobody says how many.
pub(crate) const PARALLEL: u16 = 4;

/// How a plan shall be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) manner: Manner,
    /// What shall become of the guests of a host that goes down.
    pub(crate) guests: Option<Policy>,
    /// The plan is shown before anything is sent, or nothing is: all that Proxmox VE would refuse belongs into it.
    pub(crate) only_shown: bool,
    /// Wake-on-LAN is armed on a host that goes to sleep without it.
    pub(crate) arm_wol: bool,
    /// Steps at a time on each node.
    pub(crate) parallel: usize,
    /// Whether the outcome of the last steps is waited for.
    pub(crate) wait: bool,
    /// For each step, in place of the usual time.
    pub(crate) timeout: Option<Duration>,
    /// What shall not matter.
    pub(crate) allowed: Vec<CheckId>,
    /// Who asked, and how.
    pub(crate) by: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The wanted state was seen.
    Done,
    /// It was there before.
    Already,
    /// Sent, and not waited for.
    Sent,
    /// The task on the host failed.
    TaskFailed,
    /// Sent; what came of it is not known.
    Unconfirmed,
    /// Something stands against it.
    Refused,
    /// It could not be done; nothing was sent, or what was sent was refused.
    Failed(FailureKind),
    /// A step that it needs did not succeed.
    NotTried,
}

impl How {
    /// Whether what needs the step may go on.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, How::Done | How::Already | How::Sent)
    }

    /// The word for it where people read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            How::Done => "done",
            How::Already => "already",
            How::Sent => "sent",
            How::TaskFailed => "task failed",
            How::Unconfirmed => "unconfirmed",
            How::Refused => "refused",
            How::Failed(_) => "failed",
            How::NotTried => "not tried",
        }
    }

    /// The word for it in the state file; `None`: nothing was begun.
    fn outcome(self) -> Option<ActionOutcome> {
        Some(match self {
            How::Done | How::Sent => ActionOutcome::Done,
            How::Already => ActionOutcome::Already,
            How::TaskFailed | How::Failed(_) => ActionOutcome::Failed,
            How::Unconfirmed => ActionOutcome::Unconfirmed,
            How::Refused => ActionOutcome::Refused,
            How::NotTried => return None,
        })
    }
}

/// What came of a step.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// Why, or what more there is to say.
    pub(crate) detail: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The state that was seen last.
    pub(crate) state: Option<PowerState>,
    /// When that was.
    seen_at: Option<Instant>,
    pub(crate) upid: Option<Upid>,
    /// The last lines of a task that failed.
    pub(crate) log: Vec<String>,
    /// What was found against it when its turn had come.
    pub(crate) findings: Vec<Finding>,
    pub(crate) took: Duration,
}

impl Ended {
    fn new(how: How) -> Ended {
        Ended {
            how,
            detail: None,
            hint: None,
            state: None,
            seen_at: None,
            upid: None,
            log: Vec::new(),
            findings: Vec::new(),
            took: Duration::ZERO,
        }
    }

    fn because(how: How, detail: impl Into<String>) -> Ended {
        Ended { detail: Some(detail.into()), ..Ended::new(how) }
    }

    /// A refusal by what was found.
    fn refused(findings: Vec<Finding>) -> Ended {
        let first = findings.iter().find(|finding| !finding.allowed).map(|finding| finding.message.clone());
        Ended { findings, detail: first, ..Ended::new(How::Refused) }
    }

    /// A failure of a transport: nothing was sent, or it was refused.
    fn failed(server: &ServerId, failed: Failed) -> Ended {
        // Whoever shows it names the server.
        let message = failed.message.strip_prefix(&format!("{server}: ")).unwrap_or(&failed.message);
        Ended { hint: failed.advice, ..Ended::because(How::Failed(failed.kind), message) }
    }

    fn seen(self, state: PowerState) -> Ended {
        Ended { state: Some(state), seen_at: Some(Instant::now()), ..self }
    }
}

/// The plan, and the number of the step in it.
type Sent = (u64, usize);

/// What was sent and is not known to have ended: said where a run ends before it has told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    lines: Rc<RefCell<Vec<(Sent, String)>>>,
    /// Whether anything was ever sent.
    any: Rc<Cell<bool>>,
    /// Which plan it is: two that are carried out at one time have steps of the same numbers.
    plan: u64,
}

impl Ledger {
    /// The same ledger for another plan.
    pub(crate) fn of_plan(&self, plan: u64) -> Ledger {
        Ledger { lines: Rc::clone(&self.lines), any: Rc::clone(&self.any), plan }
    }

    /// Whether anything was sent, whatever came of it.
    pub(crate) fn has_any(&self) -> bool {
        self.any.get()
    }

    /// A line for each, in the order in which they were sent.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().iter().map(|(_, line)| line.clone()).collect()
    }

    fn note(&self, step: usize, line: String) {
        self.any.set(true);
        let mut lines = self.lines.borrow_mut();
        lines.retain(|(other, _)| *other != (self.plan, step));
        lines.push(((self.plan, step), line));
    }

    /// What came of all that was sent has been told.
    pub(crate) fn forget(&self) {
        self.lines.borrow_mut().clear();
    }

    fn clear(&self, step: usize) {
        self.lines.borrow_mut().retain(|(other, _)| *other != (self.plan, step));
    }
}

/// What a step does now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Now<'a> {
    /// In words, and how long the step may take in all, where that is known.
    Does(&'a str, Option<Duration>),
    /// Nothing any more.
    Over,
}

/// A plan on its way.
pub(crate) struct Acting<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) servers: &'a [Server],
    pub(crate) options: &'a Options,
    pub(crate) ledger: Ledger,
    /// Called with the place of a step and what it does now.
    pub(crate) tell: &'a dyn Fn(usize, Now<'_>),
    pub(crate) links: &'a Links,
}

/// The connections that stand, of the clusters that answered, and what was seen of guests through them for the plan.
#[derive(Debug, Default)]
pub(crate) struct Links(RefCell<HashMap<ClusterId, Rc<Client>>>, RefCell<HashMap<ServerId, Looked>>);

impl Links {
    /// Those that an observation left.
    pub(crate) fn new(clients: HashMap<ClusterId, Client>) -> Links {
        let clients = clients.into_iter().map(|(cluster, client)| (cluster, Rc::new(client)));
        Links(RefCell::new(clients.collect()), RefCell::default())
    }

    /// Forgets a connection whose node does not answer: another member may.
    fn lose(&self, cluster: &ClusterId, error: &Error) {
        tracing::debug!(%error, "asking again");
        let nobody = matches!(error, Error::Connect { .. } | Error::Timeout { .. });
        if nobody || matches!(error, Error::ServiceDown { service: PVE_CLUSTER, .. }) {
            self.0.borrow_mut().remove(cluster);
        }
    }
}

impl From<HashMap<ClusterId, Client>> for Links {
    fn from(clients: HashMap<ClusterId, Client>) -> Links {
        Links::new(clients)
    }
}

impl<'a> Acting<'a> {
    /// Says what a step does now.
    fn say(&self, step: usize, what: &str, of: Option<Duration>) {
        (self.tell)(step, Now::Does(what, of));
    }

    /// Whether anything waits for this step.
    fn is_needed(&self, step: usize) -> bool {
        self.plan.steps.iter().any(|other| other.needs.contains(&step) || other.follows.contains(&step))
    }

    /// The guests whose steps need this one.
    fn guests_of(&self, step: usize) -> Vec<VmId> {
        let needing = self.plan.steps.iter().filter(|other| other.needs.contains(&step));
        needing.filter_map(|other| self.server(other).vmid).collect()
    }

    fn server(&self, step: &Step) -> &'a Server {
        &self.servers[step.server]
    }
}

/// An action that stands in the state file as begun. If nobody says how it ended, it was interrupted.
struct Begun<'a> {
    state: &'a State,
    id: ActionId,
    /// The guest that it concerns.
    guest: Option<ServerKey>,
    /// It goes through other states until it is there again.
    passing: bool,
    at: Instant,
    ended: bool,
}

impl Begun<'_> {
    fn end(mut self, ended: &Ended, now: Timestamp) -> Result<(), StateError> {
        self.ended = true;
        let Some(outcome) = ended.how.outcome() else { return Ok(()) };
        let seconds = self.at.elapsed().as_secs_f64();
        self.state.together(|| {
            self.state.end_action(self.id, outcome, seconds, ended.detail.as_deref())?;
            // A listing may not have heard of it for a while.
            if let (Some(guest), Some(state), Some(at)) = (&self.guest, ended.state, ended.seen_at) {
                let ago = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
                let seen_at = now.saturating_sub(ago).unwrap_or(Timestamp::MIN);
                self.state.put_sighting(guest, state, seen_at, self.passing)?;
            }
            Ok(())
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // The run is being interrupted: there is nobody left to tell of a state file that cannot be written.
            let seconds = self.at.elapsed().as_secs_f64();
            let _ = self.state.end_action(self.id, ActionOutcome::Interrupted, seconds, None);
        }
    }
}

impl Fleet<'_> {
    /// Carries a plan out; gives what came of each step, in the plan's order.
    ///
    /// # Errors
    /// The state file's: then no more steps are begun.
    pub(crate) async fn carry_out(&self, acting: &Acting<'_>, confirmed: &Confirmed) -> Result<Vec<Ended>, StateError> {
        let steps = &acting.plan.steps;
        let mut ended: Vec<Option<Ended>> = vec![None; steps.len()];
        let mut begun = vec![false; steps.len()];
        let limits: HashMap<_, Rc<Semaphore>> = steps
            .iter()
            .map(|step| (place_of(acting.server(step)), Rc::new(Semaphore::new(acting.options.parallel.max(1)))))
            .collect();
        let mut running = FuturesUnordered::new();
        loop {
            for number in 0..steps.len() {
                let step = &steps[number];
                let is_over = |other: &usize| ended[*other].is_some();
                if begun[number] || !step.needs.iter().chain(&step.follows).all(is_over) {
                    continue;
                }
                begun[number] = true;
                let failed = step.needs.iter().find(|other| !ended[**other].as_ref().is_some_and(|e| e.how.is_good()));
                if let Some(failed) = failed {
                    let other = &acting.server(&steps[*failed]).id;
                    ended[number] = Some(Ended::because(How::NotTried, format!("{other} was not ready for it")));
                    continue;
                }
                let limit = limits[&place_of(acting.server(step))].clone();
                running.push(async move {
                    let _turn = limit.acquire().await;
                    (number, self.take_step(acting, number, confirmed).await)
                });
            }
            // A step that was not tried decides about those that need it.
            let waits = |number: usize| {
                let step = &steps[number];
                !begun[number] && step.needs.iter().chain(&step.follows).all(|other| ended[*other].is_some())
            };
            if (0..steps.len()).any(waits) {
                continue;
            }
            let Some((number, end)) = running.next().await else { break };
            ended[number] = Some(end?);
        }
        Ok(ended.into_iter().map(|end| end.unwrap_or_else(|| Ended::new(How::NotTried))).collect())
    }

    async fn take_step(&self, acting: &Acting<'_>, number: usize, confirmed: &Confirmed) -> Result<Ended, StateError> {
        let begun = Instant::now();
        let step = &acting.plan.steps[number];
        let ended = match &step.does {
            Move::Already(state) => Ended::new(How::Already).seen(*state),
            Move::Cannot { why, fix, kind } => {
                let how = kind.map_or(How::Refused, How::Failed);
                Ended { hint: fix.clone(), ..Ended::because(how, why.clone()) }
            }
            Move::Guest(_) | Move::GuestLater => Box::pin(self.act_on_guest(acting, number, confirmed)).await?,
            Move::Wake => Box::pin(self.wake_host(acting, number, confirmed)).await?,
            Move::Host(call) => Box::pin(self.act_on_host(acting, number, *call, confirmed)).await?,
        };
        if ended.how != How::Unconfirmed {
            acting.ledger.clear(number);
        }
        (acting.tell)(number, Now::Over);
        Ok(Ended { took: begun.elapsed(), ..ended })
    }

    /// Notes that an action begins, before anything is sent.
    fn begin(&self, acting: &Acting<'_>, step: &Step, patience: Duration) -> Result<Begun<'_>, StateError> {
        let at = self.now();
        let until = at.saturating_add(SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX));
        let action = NewAction {
            server: acting.server(step).key(),
            action: step.action.as_str().to_owned(),
            by: acting.options.by.clone(),
            at,
            until: until.unwrap_or(Timestamp::MAX),
        };
        let id = self.state.begin_action(&action)?;
        let guest = acting.server(step).vmid.map(|_| action.server.clone());
        let passing = step.action == PowerAction::Reboot;
        Ok(Begun { state: self.state, id, guest, passing, at: Instant::now(), ended: false })
    }

    /// What a failure of a transport makes of a step.
    fn failed_step(&self, server: &ServerId, error: &Error) -> Ended {
        Ended::failed(server, self.failed(server, error))
    }

    /// The configuration of a host or plain server.
    fn configured(&self, server: &ServerId) -> Option<&ServerConfig> {
        self.config.servers.iter().find(|configured| configured.id == *server)
    }

    /// The connection to a cluster that stands, or a new one.
    ///
    /// # Errors
    /// Nobody of the cluster answers: the first member's reason.
    async fn client_of(&self, links: &Links, cluster: &ClusterId) -> Result<Rc<Client>, Error> {
        let standing = links.0.borrow().get(cluster).cloned();
        match standing {
            Some(client) => Ok(client),
            None => Ok(self.connect(links, cluster).await?.0),
        }
    }

    /// A new connection to a cluster, by whichever member answers, and what it listed.
    async fn connect(&self, links: &Links, cluster: &ClusterId) -> Result<(Rc<Client>, Listing), Error> {
        let groups = self.groups();
        let none = || Error::NoToken {
            peer: cluster.short().to_owned(),
            detail: "no configured server reaches its API".to_owned(),
        };
        let group = groups.iter().find(|group| group.cluster == *cluster).ok_or_else(none)?;
        let answer = self.listing(group).await;
        match answer.listed {
            Some(listed) => {
                let client = Rc::new(listed.client);
                links.0.borrow_mut().insert(cluster.clone(), client.clone());
                Ok((client, listed.listing))
            }
            None => Err(answer.failures.into_iter().next().map_or_else(none, |(_, error)| error)),
        }
    }
}

/// What to do about an outcome that nobody saw.
fn look_hint(server: &ServerId) -> String {
    HintId::StillComing.say(&[("server", server.as_str())])
}

/// Where steps share a limit: the node of guests, each host on its own.
fn place_of(server: &Server) -> (Option<ClusterId>, String) {
    match (&server.node, server.vmid) {
        (Some(node), Some(_)) => (server.cluster.clone(), node.as_str().to_owned()),
        _ => (None, server.id.to_string()),
    }
}
