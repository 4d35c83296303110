//! One step on a guest: look again, make sure that it is the same guest, send one call, and wait until it is seen.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::wait::Looks;
use super::{Acting, Begun, Ended, How};
use crate::fleet::Fleet;
use crate::model::guest::{GuestCall, GuestConfig, GuestIdentity, GuestStatus, Startup, TaskEnd, TaskState};
use crate::model::id::{ClusterId, GuestKind, NodeName, Upid, VmId};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{CheckId, Finding, Goal, GuestView, PowerAction, PowerState, Verdict, allow, judge};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::{Client, Posted, is_not_here, is_passing};
use crate::ui::Confirmed;

/// The lines of a failed task's log that are shown.
const LOG_LINES: usize = 5;
/// How long a task is looked for whose POST had no answer.
const LOOK_UP: Duration = Duration::from_secs(10);

/// A guest, found where it runs now.
struct Found {
    client: Rc<Client>,
    node: NodeName,
    status: GuestStatus,
}

/// A guest by what its calls need.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) server: &'a Server,
    pub(super) cluster: &'a ClusterId,
    pub(super) kind: GuestKind,
    pub(super) vmid: VmId,
}

impl<'a> Named<'a> {
    /// `None` for a server that is no guest.
    pub(super) fn of(server: &'a Server) -> Option<Named<'a>> {
        let (cluster, vmid) = (server.cluster.as_ref()?, server.vmid?);
        Some(Named { server, cluster, kind: server.kind.guest()?, vmid })
    }
}

/// A call that was sent, or is about to be.
struct Sending<'a> {
    named: Named<'a>,
    found: &'a Found,
    call: GuestCall,
    number: usize,
    patience: Duration,
    services: bool,
    /// When it is sent.
    at: Instant,
}

impl Fleet<'_> {
    pub(super) async fn act_on_guest(
        &self,
        acting: &Acting<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<Ended, StateError> {
        let step = &acting.plan.steps[number];
        let server = acting.server(step);
        let Some(named) = Named::of(server) else {
            return Ok(Ended::because(How::Failed(FailureKind::Failed), "it is no guest"));
        };
        (acting.tell)(number, "looking");
        let found = match self.find_guest(acting, named).await {
            Ok(found) => found,
            Err(Missing::Error(error)) => return Ok(Ended::failed(&server.id, &error)),
            Err(Missing::Gone) => {
                let detail = format!("{} is gone: no node of its cluster has it", server.id);
                return Ok(Ended::because(How::Failed(FailureKind::Failed), detail));
            }
            Err(Missing::OtherKind) => return Ok(refused(vec![other_kind(server)])),
        };
        let config = match found.client.guest_config(&found.node, named.kind, named.vmid).await {
            Ok(config) => config,
            Err(error) => return Ok(Ended::failed(&server.id, &error)),
        };
        let mut findings: Vec<Finding> = self.compare_identity(named, &config)?.into_iter().collect();
        let manner = acting.options.manner;
        let verdict = judge(step.action, &view(named.kind, &found.status), manner);
        let call = match verdict {
            Verdict::Call { call, against } => {
                findings.extend(against.into_iter().map(|against| Finding {
                    fix: against.fix,
                    ..Finding::new(against.id, &server.id, against.message)
                }));
                Some(call)
            }
            Verdict::Already(_) => None,
            Verdict::Cannot { why, fix } => {
                return Ok(Ended { hint: fix, ..Ended::because(How::Refused, why) }.seen(found.status.state));
            }
        };
        if !allow(&mut findings, &acting.options.allowed) {
            return Ok(refused(findings).seen(found.status.state));
        }
        self.keep_identity(named, &config)?;
        let patience = acting.options.timeout.unwrap_or_else(|| usual_patience(call, config.startup, &found.status));
        let services = matches!(step.action, PowerAction::Start | PowerAction::Resume | PowerAction::Reboot);
        let Some(call) = call else {
            // It runs; whoever asked for it to be up wants its services, too.
            let ended = Ended::new(How::Already).seen(found.status.state);
            if !services || !acting.options.wait {
                return Ok(ended);
            }
            return Ok(self.ready(named, &mut Looks::during(patience), ended).await);
        };
        let begun = self.begin(acting, step, patience + LOOK_UP)?;
        let sending = Sending { named, found: &found, call, number, patience, services, at: Instant::now() };
        let ended = self.send(acting, &sending, confirmed).await;
        finish(begun, ended)
    }

    /// Where the guest runs now, and what it does there: asked of its node, not of a cache.
    async fn find_guest(&self, acting: &Acting<'_>, named: Named<'_>) -> Result<Found, Missing> {
        let client = self.client_of(acting.links, named.cluster).await?;
        if let Some(node) = &named.server.node {
            match client.guest_status(node, named.kind, named.vmid).await {
                Ok(status) => return Ok(Found { client, node: node.clone(), status }),
                Err(error) if is_not_here(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // It migrated since it was listed, or it is gone.
        let listing = client.listing().await?;
        let listed = listing.guests.iter().find(|guest| guest.vmid == named.vmid).ok_or(Missing::Gone)?;
        if listed.kind != named.kind {
            return Err(Missing::OtherKind);
        }
        match client.guest_status(&listed.node, named.kind, named.vmid).await {
            Ok(status) => Ok(Found { client, node: listed.node.clone(), status }),
            Err(error) if is_not_here(&error) => Err(Missing::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is still the guest that was learned under this number.
    pub(super) fn compare_identity(
        &self,
        named: Named<'_>,
        config: &GuestConfig,
    ) -> Result<Option<Finding>, StateError> {
        let Some((known, at)) = self.state.identity(named.cluster, named.vmid)? else { return Ok(None) };
        let known = GuestIdentity::new(&known);
        let Some(now) = config.identity.as_ref().filter(|now| !now.is_same(&known)) else { return Ok(None) };
        let day = at.to_string();
        let day = day.split('T').next().unwrap_or(&day);
        let message = format!("another guest has its number now: on {day} it was {known}, now it is {now}");
        let fix = format!("see which guest that is (`ecobox status {}`)", named.server.id);
        Ok(Some(Finding::new(CheckId::IdentityChanged, &named.server.id, message).fix(fix)))
    }

    /// Keeps who has the number now: nobody was known, or a person said that this one is meant.
    pub(super) fn keep_identity(&self, named: Named<'_>, config: &GuestConfig) -> Result<(), StateError> {
        let Some(now) = &config.identity else { return Ok(()) };
        match self.state.identity(named.cluster, named.vmid)? {
            Some((known, _)) if known == now.as_str() => Ok(()),
            _ => self.state.put_identity(named.cluster, named.vmid, now.as_str(), self.now()),
        }
    }

    /// Sends the call, once, and follows what comes of it.
    async fn send(&self, acting: &Acting<'_>, sending: &Sending<'_>, _: &Confirmed) -> Ended {
        let Sending { named, found, call, number, patience, .. } = sending;
        let (id, name) = (&named.server.id, call_name(*call));
        (acting.tell)(*number, &format!("{name} sent"));
        acting.ledger.note(*number, format!("{name} of {id} was sent, the answer is not there yet"));
        let sent_at = self.now();
        let mut looks = Looks::during(*patience);
        // Past its deadline an answer is lost, too.
        let posting = found.client.guest_power(&found.node, named.kind, named.vmid, call);
        let posted = timeout(*patience, posting).await.unwrap_or_else(|_| {
            let peer = found.node.as_str().to_owned();
            Posted::Lost(Error::Timeout { peer, doing: "waiting for the answer", after: *patience })
        });
        let upid = match posted {
            Posted::Task(upid) => Some(upid),
            Posted::Done => None,
            Posted::Refused(error) => return refusal(named.server, &error),
            Posted::Lost(error) => {
                acting.ledger.note(*number, format!("{name} of {id} was sent, its answer was lost: {error}"));
                (acting.tell)(*number, "the answer was lost, looking for the task");
                let since = found.client.by_its_clock(sent_at);
                match self.look_up(acting, sending, since).await {
                    Some(upid) => Some(upid),
                    None => return self.by_state(acting, sending, &mut looks, &error).await,
                }
            }
        };
        if let Some(upid) = &upid {
            acting.ledger.note(*number, format!("{name} of {id} goes on there as {upid}"));
        }
        if !acting.options.wait && !acting.is_needed(*number) {
            return Ended { upid, ..Ended::new(How::Sent) };
        }
        let ended = self.follow(acting, sending, upid.as_ref(), &mut looks).await;
        Ended { upid, ..ended }
    }

    /// The task of a POST whose answer was lost. A full disk of the node may keep the task out of its list.
    async fn look_up(&self, acting: &Acting<'_>, sending: &Sending<'_>, since: jiff::Timestamp) -> Option<Upid> {
        let Sending { named, found, call, patience, .. } = sending;
        let types = call.task_types(named.kind);
        let mut looks = Looks::during(LOOK_UP.min(*patience));
        loop {
            let client = self.client_of(acting.links, named.cluster).await;
            if let Ok(Some(upid)) = match &client {
                Ok(client) => client.find_task(&found.node, named.vmid, types, since).await,
                Err(_) => Ok(None),
            } {
                return Some(upid);
            }
            if !looks.next().await {
                return None;
            }
        }
    }

    /// Nothing was heard of a call; only the state can tell.
    async fn by_state(&self, acting: &Acting<'_>, sending: &Sending<'_>, looks: &mut Looks, error: &Error) -> Ended {
        let goal = Goal::of(&sending.call);
        let before = sending.found.status.state;
        match self.await_goal(acting, sending, goal, looks).await {
            // A reset leaves no trace in the state; a reboot was seen by how long the guest runs.
            Seen::Reached(state) if goal == Goal::Rebooted || !goal.is_met_by(before) => {
                let ended = Ended::because(How::Done, "its answer was lost; the state shows it").seen(state);
                self.ready_if_wanted(sending, looks, ended).await
            }
            Seen::Reached(state) | Seen::Not(Some(state)) => {
                let detail = format!("its answer was lost ({error}), no task was found, and it is {state}");
                Ended { hint: Some(look_hint(sending.named.server)), ..Ended::because(How::Unconfirmed, detail) }
                    .seen(state)
            }
            Seen::Failed(error) => unheard(sending.named.server, &error),
            Seen::Not(None) => {
                let detail = format!("its answer was lost ({error}), and nobody answers since");
                Ended { hint: Some(look_hint(sending.named.server)), ..Ended::because(How::Unconfirmed, detail) }
            }
        }
    }

    /// Follows a task to its end, and then the state.
    async fn follow(
        &self,
        acting: &Acting<'_>,
        sending: &Sending<'_>,
        upid: Option<&Upid>,
        looks: &mut Looks,
    ) -> Ended {
        let Sending { named, call, number, .. } = sending;
        // The task of a guest that HA manages ends when HA was asked: only the state tells.
        let task = upid.filter(|upid| !upid.kind().starts_with("ha"));
        (acting.tell)(*number, &format!("{} runs", call_name(*call)));
        if let Some(upid) = task {
            match self.await_task(acting, named.cluster, upid, looks).await {
                Ok(Some(TaskEnd::Failed(words))) => return self.task_failed(acting, sending, upid, words).await,
                // Where the task says nothing, the state decides; where it went well, the state has to show it.
                Ok(Some(TaskEnd::Ok | TaskEnd::Warnings(_) | TaskEnd::Unclear(_) | TaskEnd::Gone)) => {}
                Err(error) => return unheard(named.server, &error),
                Ok(None) => {
                    let detail = format!("its task still runs: {upid}");
                    return Ended { hint: Some(look_hint(named.server)), ..Ended::because(How::Unconfirmed, detail) };
                }
            }
        }
        match self.await_goal(acting, sending, Goal::of(call), looks).await {
            Seen::Reached(state) => self.ready_if_wanted(sending, looks, Ended::new(How::Done).seen(state)).await,
            Seen::Failed(error) => unheard(named.server, &error),
            Seen::Not(state) => {
                let is = state.map_or("nobody answers".to_owned(), |state| format!("it is {state}"));
                let ended = Ended::because(How::Unconfirmed, format!("accepted, but {is} at the deadline"));
                Ended { state, hint: Some(look_hint(named.server)), ..ended }
            }
        }
    }

    /// What a failed task means: its own words, and the last lines of its log.
    async fn task_failed(&self, acting: &Acting<'_>, sending: &Sending<'_>, upid: &Upid, words: String) -> Ended {
        let Sending { named, found, call, .. } = sending;
        let client = self.client_of(acting.links, named.cluster).await;
        // Somebody else may have been faster.
        if words.ends_with("already running")
            && let Ok(client) = &client
            && let Ok(status) = client.guest_status(&found.node, named.kind, named.vmid).await
            && Goal::of(call).is_met_by(status.state)
        {
            return Ended::because(How::Already, words).seen(status.state);
        }
        let log = match &client {
            Ok(client) => client.task_log(upid, LOG_LINES).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let hint = words.starts_with("can't lock file").then(|| {
            "something else works on the guest: see the tasks of its node, and run the command again".to_owned()
        });
        Ended { hint, log, ..Ended::because(How::TaskFailed, words) }
    }

    /// The end of a task; `None`: it still ran at the deadline. What fails on the way and may pass is asked again.
    async fn await_task(
        &self,
        acting: &Acting<'_>,
        cluster: &ClusterId,
        upid: &Upid,
        looks: &mut Looks,
    ) -> Result<Option<TaskEnd>, Error> {
        loop {
            let answer = match self.client_of(acting.links, cluster).await {
                Ok(client) => client.task(upid).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(TaskState::Ended(end)) => return Ok(Some(end)),
                Ok(TaskState::Running) => {}
                Err(error) if is_passing(&error) => acting.links.lose(cluster, &error),
                Err(error) => return Err(error),
            }
            if !looks.next().await {
                return Ok(None);
            }
        }
    }

    /// Waits until the guest's state shows the goal.
    async fn await_goal(&self, acting: &Acting<'_>, sending: &Sending<'_>, goal: Goal, looks: &mut Looks) -> Seen {
        let Sending { named, found, .. } = sending;
        let mut node = found.node.clone();
        let mut last = None;
        loop {
            let answer = match self.client_of(acting.links, named.cluster).await {
                Ok(client) => client.guest_status(&node, named.kind, named.vmid).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(status) => {
                    last = Some(status.state);
                    // It has run for no longer than since it was told to begin anew.
                    let most = sending.at.elapsed().as_secs() + 1;
                    let young = goal != Goal::Rebooted || status.uptime_seconds.is_none_or(|uptime| uptime <= most);
                    if goal.is_met_by(status.state) && young {
                        return Seen::Reached(status.state);
                    }
                }
                // HA may have started it elsewhere.
                Err(error) if is_not_here(&error) => {
                    node = self.node_now(acting, *named).await.unwrap_or(node);
                }
                Err(error) if is_passing(&error) => acting.links.lose(named.cluster, &error),
                Err(error) => return Seen::Failed(error),
            }
            if !looks.next().await {
                return Seen::Not(last);
            }
        }
    }

    async fn node_now(&self, acting: &Acting<'_>, named: Named<'_>) -> Option<NodeName> {
        let client = self.client_of(acting.links, named.cluster).await.ok()?;
        let listing = client.listing().await.ok()?;
        listing.guests.into_iter().find(|guest| guest.vmid == named.vmid).map(|guest| guest.node)
    }

    async fn ready_if_wanted(&self, sending: &Sending<'_>, looks: &mut Looks, ended: Ended) -> Ended {
        if sending.services { self.ready(sending.named, looks, ended).await } else { ended }
    }

    /// A guest is ready when its configured services answer, too.
    async fn ready(&self, named: Named<'_>, looks: &mut Looks, ended: Ended) -> Ended {
        let server = named.server;
        if server.services.is_empty() {
            return ended;
        }
        let Some(host) = &server.hostname else {
            let detail = "it runs; its address is not known, so that nobody asked its services";
            return Ended { detail: Some(detail.to_owned()), ..ended };
        };
        let missing = self.await_services(host, &server.services, looks).await;
        if missing.is_empty() {
            return ended;
        }
        let detail = format!("it runs, but does not answer at {} ({host})", missing.join(", "));
        Ended { detail: Some(detail), how: How::Unconfirmed, hint: Some(look_hint(server)), ..ended }
    }
}

/// Why a guest was not found.
enum Missing {
    Error(Error),
    Gone,
    /// A virtual machine where a container was, or the other way round.
    OtherKind,
}

impl From<Error> for Missing {
    fn from(error: Error) -> Missing {
        Missing::Error(error)
    }
}

/// What waiting for a goal saw.
enum Seen {
    Reached(PowerState),
    /// The last state, if anybody answered.
    Not(Option<PowerState>),
    /// Nobody will tell: a token that was removed, say.
    Failed(Error),
}

/// Says how an action ended, in the state file, too.
fn finish(begun: Begun<'_>, ended: Ended) -> Result<Ended, StateError> {
    begun.end(&ended)?;
    Ok(ended)
}

/// A refusal by what was found.
fn refused(findings: Vec<Finding>) -> Ended {
    let first = findings.iter().find(|finding| !finding.allowed).map(|finding| finding.message.clone());
    Ended { findings, detail: first, ..Ended::new(How::Refused) }
}

fn other_kind(server: &Server) -> Finding {
    let message = "another guest has its number now: one of the other kind".to_owned();
    Finding::new(CheckId::IdentityChanged, &server.id, message).fix("run `ecobox discover`, and name the guest anew")
}

/// What Proxmox VE's refusal of a call means. Nothing was carried out.
fn refusal(server: &Server, error: &Error) -> Ended {
    let Error::Api { reason, status, .. } = error else { return Ended::failed(&server.id, error) };
    // The node that was asked could not connect to the guest's.
    if *status == 595 {
        let detail = format!("its node cannot be reached: {reason}; nothing was done");
        return Ended::because(How::Failed(FailureKind::Unreachable), detail);
    }
    if reason.contains("no quorum") {
        let finding = Finding::new(CheckId::QuorumLost, &server.id, format!("Proxmox VE refused: {reason}"));
        return refused(vec![finding.fix("bring the other nodes back first")]);
    }
    Ended::because(How::Failed(FailureKind::Failed), format!("Proxmox VE refused: {reason}"))
}

/// It was sent, and nobody will say what came of it.
fn unheard(server: &Server, error: &Error) -> Ended {
    let detail = format!("it was sent, and then: {error}");
    Ended { hint: Some(look_hint(server)), ..Ended::because(How::Unconfirmed, detail) }
}

fn look_hint(server: &Server) -> String {
    format!("it may still come: look with `ecobox status {}`", server.id)
}

/// How long Proxmox VE itself may take, and a while more to see it.
fn usual_patience(call: Option<GuestCall>, startup: Startup, status: &GuestStatus) -> Duration {
    const SLACK: u64 = 30;
    // A silent agent costs Proxmox VE's ping of 3 s and what it waits for the lock, 10 s.
    let shutdown = u64::from(startup.down_seconds.unwrap_or(60)) + 15;
    let seconds = match call {
        Some(GuestCall::Shutdown { timeout, .. }) => timeout.map_or(shutdown, u64::from),
        Some(GuestCall::Reboot { timeout }) => timeout.map_or(shutdown, u64::from) + 60,
        // Memory goes to disk, or comes back from it.
        Some(GuestCall::Hibernate) => 600,
        Some(GuestCall::Start) if status.state == PowerState::Hibernated => 600,
        Some(GuestCall::Start | GuestCall::Resume) | None => 120,
        Some(GuestCall::Stop { .. } | GuestCall::Reset | GuestCall::Suspend) => 60,
    };
    // HA acts in rounds of its own.
    let ha = if status.ha_managed { 90 } else { 0 };
    Duration::from_secs(seconds + ha + SLACK)
}

/// The call as a word.
fn call_name(call: GuestCall) -> &'static str {
    match call {
        GuestCall::Start => "start",
        GuestCall::Shutdown { .. } => "shutdown",
        GuestCall::Stop { .. } => "stop",
        GuestCall::Reboot { .. } => "reboot",
        GuestCall::Reset => "reset",
        GuestCall::Suspend => "suspend",
        GuestCall::Hibernate => "hibernate",
        GuestCall::Resume => "resume",
    }
}

fn view(kind: GuestKind, status: &GuestStatus) -> GuestView<'_> {
    GuestView {
        kind,
        state: status.state,
        raw: &status.raw,
        lock: status.lock.as_deref(),
        ha: status.ha_managed.then(|| status.ha_state.as_deref().unwrap_or("started")),
        template: status.template,
    }
}
