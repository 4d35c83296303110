//! One step on a guest: look again, make sure that it is the same guest, send one call, and wait until it is seen.

mod find;
mod follow;
mod identity;
mod patience;

use std::time::{Duration, Instant};

use tokio::time::timeout;

pub(super) use self::find::{Found, gone};
pub(super) use self::follow::{LOG_LINES, LOOK_UP, unheard};
pub(super) use self::patience::{gives_up_after, usual_patience};
use super::wait::Attempts;
use super::{PlanRun, StepOutcome, StepReport};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::model::check::fault::Fault;
use crate::model::guest::{GuestCall, GuestConfig, GuestStatus};
use crate::model::id::{ClusterId, GuestKind, VmId};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{Finding, GuestView, PowerAction, Step, Verdict, allow, judge};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::Posted;

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
    /// Its configuration has it begin halted.
    freezes: bool,
    /// When it is sent.
    at: Instant,
}

impl Sending<'_> {
    /// Whether this is of another run of the guest than before the call; `None`: its uptime does not tell. One that goes
    /// on counts on from what it was.
    fn is_anew(&self, status: &GuestStatus) -> Option<bool> {
        let (passed, now) = (self.at.elapsed().as_secs(), status.uptime_seconds?);
        let is_shorter = match self.found.status.uptime_seconds {
            Some(before) => now + 1 < before + passed,
            None => now <= passed,
        };
        if now > passed + 1 { Some(false) } else { is_shorter.then_some(true) }
    }
}

impl Fleet<'_> {
    pub(super) async fn act_on_guest(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let step = &run.plan.steps[number];
        let server = run.server(step);
        let Some(named) = Named::of(server) else {
            return Ok(StepReport::because(StepOutcome::Failed(FailureKind::Failed), "it is not a guest"));
        };
        run.say(number, &format!("looking at {}", server.called()), None);
        let (found, config) = match self.find_with_config(run.clients, named).await {
            Ok(found) => found,
            Err(missing) => return Ok(self.missing(server, missing)),
        };
        let call = match self.decide(run, step, named, &found, &config).await? {
            Ok(call) => call,
            Err(ended) => return Ok(ended),
        };
        self.keep_identity(named, &config)?;
        let patience = run.options.timeout.unwrap_or_else(|| {
            let GuestStatus { state, ha_managed, .. } = &found.status;
            usual_patience(named.kind, call, config.startup, *state, *ha_managed)
        });
        let services = matches!(step.action, PowerAction::Start | PowerAction::Resume | PowerAction::Reboot);
        let Some(call) = call else {
            // It runs already; its services are part of what was asked for.
            let ended = StepReport::new(StepOutcome::Already).seen(found.status.state);
            if !services || !run.options.wait {
                return Ok(ended);
            }
            return Ok(self.ready(named, &mut Attempts::during(patience), ended).await);
        };
        let begun = self.begin(run, step, patience + LOOK_UP)?;
        if let Some(refused) = self.held_meanwhile(run, step)? {
            begun.end(&refused, self.now())?;
            return Ok(refused);
        }
        let (freezes, at) = (config.freeze, Instant::now());
        let sending = Sending { named, found: &found, call, number, patience, services, freezes, at };
        let ended = self.send(run, &sending, confirmed).await;
        // Where this cannot be kept, the run ends before it has told.
        begun.end(&ended, self.now()).inspect_err(|_| {
            let (name, how) = (call.as_str(), ended.how.as_str());
            run.sent_log.note(number, format!("{name} of {} was sent: {how}", server.id));
        })?;
        Ok(ended)
    }

    /// The call that brings the guest where the step wants it, by what it does now; `None`: it is there. The inner error is
    /// how the step ends without a call.
    async fn decide(
        &self,
        run: &PlanRun<'_>,
        step: &Step,
        named: Named<'_>,
        found: &Found,
        config: &GuestConfig,
    ) -> Result<Result<Option<GuestCall>, StepReport>, StateError> {
        let id = &named.server.id;
        let mut findings: Vec<Finding> = self.compare_identity(named, config)?.into_iter().collect();
        let call = match judge(step.action, &view(named.kind, &found.status), run.options.stop) {
            Verdict::Call { call, against } => {
                findings.extend(against.into_iter().map(|against| against.at(id)));
                Some(call)
            }
            Verdict::Already(_) => None,
            Verdict::Cannot { why, fix } => {
                return Ok(Err(
                    StepReport { hint: fix, ..StepReport::because(StepOutcome::Refused, why) }.seen(found.status.state)
                ));
            }
        };
        if !allow(&mut findings, &run.options.allowed) {
            let lock = found.status.lock.as_deref();
            self.explain_lock(&mut findings, named, &found.node, lock, run.clients).await;
            return Ok(Err(StepReport::refused(findings).seen(found.status.state)));
        }
        Ok(Ok(call))
    }

    /// Sends the call, once, and follows what comes of it.
    async fn send(&self, run: &PlanRun<'_>, sending: &Sending<'_>, _: &Confirmed) -> StepReport {
        let Sending { named, found, call, number, patience, .. } = sending;
        let (id, name) = (&named.server.id, call.as_str());
        run.say(*number, &format!("{name} of {} was sent", named.server.called()), Some(*patience));
        run.sent_log.note(*number, format!("{name} of {id} was sent, the answer is not there yet"));
        let sent_at = self.now();
        let mut attempts = Attempts::during(*patience);
        // Past its deadline an answer is lost, too.
        let posting = found.client.guest_power(&found.node, named.kind, named.vmid, call);
        let posted = timeout(*patience, posting).await.unwrap_or_else(|_| {
            let peer = found.node.as_str().to_owned();
            Posted::Lost(Error::Timeout { peer, doing: "waiting for the answer", after: *patience })
        });
        let upid = match posted {
            Posted::Task(upid) => Some(upid),
            Posted::Done => None,
            Posted::Refused(error) => {
                self.doubt_permissions(named.cluster, &error);
                let faster = match &error {
                    Error::Api { reason, .. } => self.was_faster(run, sending, reason).await,
                    _ => None,
                };
                return faster.unwrap_or_else(|| self.refusal(named.server, &error));
            }
            Posted::Lost(error) => {
                run.sent_log.note(*number, format!("{name} of {id} was sent, its answer was lost: {error}"));
                let what = format!("the answer about {} was lost, looking for its task", named.server.called());
                run.say(*number, &what, Some(*patience));
                let since = found.client.by_its_clock(sent_at);
                match self.look_up(run, sending, since).await {
                    Some(upid) => Some(upid),
                    None => return self.by_state(run, sending, &mut attempts, &error).await,
                }
            }
        };
        if let Some(upid) = &upid {
            run.sent_log.note(*number, format!("{name} of {id} goes on there as {upid}"));
        }
        if !run.options.wait && !run.is_needed(*number) {
            return StepReport { upid, ..StepReport::new(StepOutcome::Sent) };
        }
        let ended = self.follow(run, sending, upid.as_ref(), &mut attempts).await;
        StepReport { upid, ..ended }
    }
}

impl Fleet<'_> {
    /// What Proxmox VE's refusal of a call means. Nothing was carried out.
    pub(super) fn refusal(&self, server: &Server, error: &Error) -> StepReport {
        let Error::Api { reason, status, .. } = error else { return self.failed_step(&server.id, error) };
        // The node that was asked could not connect to the guest's.
        if *status == 595 {
            let detail = format!("its node cannot be reached: {reason}; nothing was done");
            return StepReport::because(StepOutcome::Failed(FailureKind::Unreachable), detail);
        }
        if reason.contains("no quorum") {
            let finding = Finding::of(Fault::refused_for_quorum(reason), &server.id);
            return StepReport::refused(vec![finding.final_word()]);
        }
        StepReport::because(StepOutcome::Failed(FailureKind::Failed), format!("Proxmox VE refused: {reason}"))
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
