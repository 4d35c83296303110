//! Carries a plan out: each step when those before it allow it, some at a time on each node, until what was wanted is
//! seen. Nothing is ever sent twice, and nothing is sent on knowledge from before the wait.

mod action_record;
mod api_clients;
mod guest;
mod guest_snapshot;
mod host;
pub(crate) mod lease_check;
mod moves;
mod preflight;
mod prepare;
mod refresh;
mod sent_log;
pub(crate) mod snapshot;
mod step_report;
pub(in crate::fleet) mod wait;
pub(crate) mod wake;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::SignedDuration;
use tokio::sync::Semaphore;

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::hint::HintId;
use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::inventory::Server;
use crate::model::migrate::Moving;
use crate::model::power::{Plan, Policy, PowerState, Step, StepKind, StopOptions, WakeTime};
use crate::state::StateError;
use crate::transport::Error;

pub(crate) use self::api_clients::ApiClients;
pub(in crate::fleet) use self::preflight::holds;
pub(crate) use self::prepare::{Choice, PrepareError, Prepared};
pub(crate) use self::sent_log::SentLog;
pub(crate) use self::step_report::{StepOutcome, StepReport};

/// Steps at a time on each node, unless given.
pub(crate) const PARALLEL: u16 = 4;

/// How a plan shall be carried out.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Options {
    pub(crate) stop: StopOptions,
    /// What shall become of the guests of a host that goes down.
    pub(crate) guests: Option<Policy>,
    /// Where guests go that move, and how.
    pub(crate) moving: Moving,
    /// The plan is shown before anything is sent, or nothing is: all that Proxmox VE would refuse belongs into it.
    pub(crate) only_shown: bool,
    /// Wake-on-LAN is armed on a host that goes to sleep without it.
    pub(crate) arm_wol: bool,
    /// Hosts that go down are woken by their own clocks then.
    pub(crate) until: Option<WakeTime>,
    /// Whoever uses a host now is a reason not to take it down: who is connected, what works there.
    pub(crate) unless_used: bool,
    /// A host goes down only if nothing needed it for so long.
    pub(crate) if_idle: Option<SignedDuration>,
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

impl Options {
    /// Whether locks of logind's are no reason: those of other programs, or those that stand for leases.
    fn goes_past_locks(&self) -> bool {
        self.allowed.contains(&CheckId::SleepInhibited) || self.allowed.contains(&CheckId::Held)
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
pub(crate) struct PlanRun<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) servers: &'a [Server],
    pub(crate) options: &'a Options,
    pub(crate) sent_log: SentLog,
    /// Called with the place of a step and what it does now.
    pub(crate) tell: &'a dyn Fn(usize, Now<'_>),
    pub(crate) clients: &'a ApiClients,
}

impl<'a> PlanRun<'a> {
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

impl Fleet<'_> {
    /// Carries a plan out; gives what came of each step, in the plan's order.
    ///
    /// # Errors
    /// The state file's: then no more steps are begun.
    pub(crate) async fn carry_out(
        &self,
        run: &PlanRun<'_>,
        confirmed: &Confirmed,
    ) -> Result<Vec<StepReport>, StateError> {
        let steps = &run.plan.steps;
        let mut ended: Vec<Option<StepReport>> = vec![None; steps.len()];
        let mut begun = vec![false; steps.len()];
        let limits: HashMap<_, Rc<Semaphore>> = steps
            .iter()
            .map(|step| (place_of(run.server(step)), Rc::new(Semaphore::new(run.options.parallel.max(1)))))
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
                // A step that does nothing says why itself.
                let stays = matches!(step.does, StepKind::Needed { .. });
                let is_good = |other: &usize| ended[*other].as_ref().is_some_and(|end| end.how.is_good());
                let failed = step.needs.iter().find(|other| !stays && !is_good(other));
                if let Some(failed) = failed {
                    let other = &run.server(&steps[*failed]).id;
                    ended[number] =
                        Some(StepReport::because(StepOutcome::NotTried, format!("{other} was not ready for it")));
                    continue;
                }
                let limit = limits[&place_of(run.server(step))].clone();
                running.push(async move {
                    let _turn = limit.acquire().await;
                    (number, self.take_step(run, number, confirmed).await)
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
        Ok(ended.into_iter().map(|end| end.unwrap_or_else(|| StepReport::new(StepOutcome::NotTried))).collect())
    }

    async fn take_step(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let begun = Instant::now();
        let step = &run.plan.steps[number];
        let ended = match &step.does {
            StepKind::Already(state) => {
                if step.action.only_wakes() && *state == PowerState::Online {
                    self.forget_alarm_of(run, run.server(step), confirmed).await?;
                }
                self.forget_where_it_was(run.server(step), step)?;
                StepReport::new(StepOutcome::Already).seen(*state)
            }
            StepKind::Cannot { why, fix, kind } => {
                let how = kind.map_or(StepOutcome::Refused, StepOutcome::Failed);
                StepReport { hint: fix.clone(), ..StepReport::because(how, why.clone()) }
            }
            StepKind::Needed { why } => StepReport::because(StepOutcome::Needed, why.clone()),
            StepKind::Guest(_) | StepKind::GuestLater => Box::pin(self.act_on_guest(run, number, confirmed)).await?,
            StepKind::Migrate(way) => Box::pin(self.act_on_move(run, number, way, confirmed)).await?,
            StepKind::Wake => Box::pin(self.wake_host(run, number, confirmed)).await?,
            StepKind::Host(call) => Box::pin(self.act_on_host(run, number, *call, confirmed)).await?,
        };
        let ended = if run.options.if_idle.is_some() { ended.needed_meanwhile() } else { ended };
        if ended.how != StepOutcome::Unconfirmed {
            run.sent_log.clear(number);
        }
        (run.tell)(number, Now::Over);
        Ok(StepReport { took: begun.elapsed(), ..ended })
    }

    /// What a failure of a transport makes of a step.
    fn failed_step(&self, server: &ServerId, error: &Error) -> StepReport {
        StepReport::failed(server, self.failed(server, error))
    }

    /// The configuration of a host or plain server.
    fn configured(&self, server: &ServerId) -> Option<&ServerConfig> {
        self.config.servers.iter().find(|configured| configured.id == *server)
    }
}

/// What to do about an unknown outcome.
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
