//! One step on a host that goes down: one trigger over SSH, until it is seen to be gone or back.

pub(super) mod alarm;
mod arm;

use std::time::Duration;

use tokio::time::Instant;

use super::preflight::{Blocked, HostCheck, When};
use super::{PlanRun, StepOutcome, StepReport, look_hint};
use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::host::power::gone_or_back::Waited;
use crate::fleet::host::power::trigger::{HostOrder, Triggered};
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::hint::HintId;
use crate::model::host::power::{HostCall, HostPreflight, NoWay};
use crate::model::id::VmId;
use crate::model::inventory::{FailureKind, Server};
use crate::model::load::usage::Source;
use crate::model::power::{Finding, PowerState, WakeTime, allow};
use crate::state::StateError;

/// How long a host may take to be gone.
const GONE: Duration = Duration::from_secs(120);
/// How long it may take to be back.
const BACK: Duration = Duration::from_secs(300);

/// How long a host may take for a call.
pub(super) fn usual_patience(call: HostCall) -> Duration {
    if call == HostCall::Reboot { GONE + BACK } else { GONE }
}

/// A call that is sent to a host.
#[derive(Clone, Copy)]
struct Sending<'a> {
    host: &'a ServerConfig,
    server: &'a Server,
    call: HostCall,
    /// Of the step in its plan.
    number: usize,
    /// What the host showed right before.
    seen: &'a HostPreflight,
    patience: Duration,
}

impl Fleet<'_> {
    pub(super) async fn act_on_host(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        call: HostCall,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let step = &run.plan.steps[number];
        let server = run.server(step);
        let Some(host) = self.configured(&server.id) else {
            return Ok(StepReport::because(StepOutcome::Refused, format!("{} is not configured", server.id)));
        };
        let seen = match Box::pin(self.look_once_more(run, number, call)).await {
            Ok(seen) => seen,
            Err(ended) => return Ok(ended),
        };
        if call.sleeps()
            && run.options.arm_wol
            && let Some(refused) = self.arm(run, number, host, &seen, confirmed).await
        {
            return Ok(refused);
        }
        let patience = run.options.timeout.unwrap_or_else(|| usual_patience(call));
        let begun = self.begin(run, step, patience)?;
        if let Some(refused) = self.held_meanwhile(run, step)? {
            begun.end(&refused, self.now())?;
            return Ok(refused);
        }
        if let Some(refused) = self.set_clock(run, number, host, confirmed).await? {
            begun.end(&refused, self.now())?;
            return Ok(refused);
        }
        let sending = Sending { host, server, call, number, seen: &seen, patience };
        let ended = Box::pin(self.send_to_host(run, &sending, confirmed)).await?;
        let ended = self.keep_or_clear_alarm(run, number, host, ended, confirmed).await?;
        if call.sleeps() && ended.how == StepOutcome::Done {
            // A look while it still answered has removed the mark again.
            self.state.mark_asleep(&server.id, self.now())?;
        }
        self.record_seen(server, &ended)?;
        begun.end(&ended, self.now())?;
        Ok(ended)
    }

    /// What the host shows right before the call: since the plan was made guests were ended, and perhaps somebody has logged
    /// in. The error is how the step ends by that.
    async fn look_once_more(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        call: HostCall,
    ) -> Result<HostPreflight, StepReport> {
        let server = run.server(&run.plan.steps[number]);
        run.say(number, &format!("looking at {} once more", server.called()), None);
        let (servers, clients, options) = (run.servers, run.clients, run.options);
        let wakes = run.plan.steps[number].course.wakes.as_ref().map(|waking| WakeTime::At(waking.at));
        let (when, steps) = (When::Acting, run.plan.steps.as_slice());
        let check = HostCheck { host: server, call, when, wakes, servers, clients, options, known: None, steps };
        let look = self.look_at_host(&check).await;
        if let Some(Blocked { why, fix, kind }) = look.blocked {
            return Err(StepReport {
                hint: fix,
                ..StepReport::because(kind.map_or(StepOutcome::Refused, StepOutcome::Failed), why)
            });
        }
        let mut findings = look.findings;
        // What the host itself shows is newer than what its API lists, and enough.
        if !findings.iter().any(|finding| finding.id == CheckId::RunningGuests) {
            findings.extend(self.guests_left(run, number).await);
        }
        if !allow(&mut findings, &run.options.allowed) {
            return Err(StepReport::refused(findings));
        }
        Ok(look.seen.unwrap_or_default())
    }

    /// Sends the call, once, and waits for what comes of it.
    async fn send_to_host(
        &self,
        run: &PlanRun<'_>,
        sending: &Sending<'_>,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let Sending { host, server, call, number, seen, patience } = *sending;
        if call.sleeps() {
            // Before it sleeps: afterwards this process may be gone, and its silence would look like a failure.
            self.state.mark_asleep(&server.id, self.now())?;
        }
        // A lock of a lease of this machine that has ended does not count any more.
        let (others, leases) = self.foreign_locks(seen.blocks(call).unwrap_or_default());
        let allowed = run.options.goes_past_locks() || (others.is_empty() && leases.is_empty());
        let over_inhibitors = seen.goes_past_locks(call, allowed);
        run.sent_log.note(number, format!("{} of {} was sent", call.as_str(), server.id));
        run.say(number, &format!("{} of {} was sent", call.as_str(), server.called()), Some(patience));
        let triggered = self.trigger(host, HostOrder { call, over_inhibitors }, confirmed).await;
        let refused = !matches!(triggered, Ok(Triggered::Armed { .. } | Triggered::Lost { .. }));
        if call.sleeps() && refused {
            self.state.mark_woken(&server.id, self.now())?;
        }
        Ok(match triggered {
            Err(error) => self.failed_step(&server.id, &error),
            Ok(Triggered::Refused { reason }) => refused_there(&reason),
            Ok(Triggered::Armed { by, .. }) if !run.options.wait && !run.is_needed(number) => {
                StepReport::because(StepOutcome::Sent, format!("by {by}"))
            }
            Ok(Triggered::Armed { trace, .. }) => {
                let what = if call == HostCall::Reboot { "is back" } else { "is gone" };
                run.say(number, &format!("waiting until {} {what}", server.called()), Some(patience));
                // What fired says itself if it failed, long before the deadline.
                tokio::select! {
                    biased;
                    words = self.failure_of(host, trace.as_ref()) => {
                        if call.sleeps() {
                            self.state.mark_woken(&server.id, self.now())?;
                        }
                        failed_there(&words)
                    }
                    ended = self.await_host(sending, None) => ended,
                }
            }
            Ok(Triggered::Lost { detail }) => self.await_host(sending, Some(detail)).await,
        })
    }

    /// Keeps the state that a step saw before the step ends, so that a look in between does not miss both.
    pub(super) fn record_seen(&self, server: &Server, ended: &StepReport) -> Result<(), StateError> {
        if let (StepOutcome::Done | StepOutcome::Unconfirmed, Some(state)) = (ended.how, ended.state) {
            self.state.record_states(&[(server.key(), state, Source::Tcp)], self.now())?;
        }
        Ok(())
    }

    /// Waits until what was triggered is seen.
    async fn await_host(&self, sending: &Sending<'_>, lost: Option<String>) -> StepReport {
        let Sending { host, call, seen, patience, .. } = *sending;
        let deadline = Instant::now() + patience;
        let waited = if call == HostCall::Reboot {
            self.wait_back(host, seen.facts.boot_id.as_deref(), false, deadline).await
        } else {
            self.wait_gone(host, deadline).await
        };
        let state = match call {
            HostCall::Suspend | HostCall::Hibernate => PowerState::Asleep,
            HostCall::Shutdown => PowerState::Offline,
            HostCall::Reboot => PowerState::Online,
        };
        let hint = Some(look_hint(&host.id));
        match waited {
            Ok(Waited::Seen) => {
                let detail = lost.map(|_| "its answer was lost; it was seen".to_owned());
                StepReport { detail, ..StepReport::new(StepOutcome::Done) }.seen(state)
            }
            Ok(Waited::Local) => {
                StepReport::because(StepOutcome::Sent, "it is this machine, which cannot see itself go")
            }
            Ok(Waited::NotConfirmed { last }) => {
                let detail = match lost {
                    Some(lost) => format!("its answer was lost ({lost}), and {last}"),
                    None => format!("accepted, but {last} at the deadline"),
                };
                StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, detail) }
            }
            Err(error) if matches!(error.kind(), FailureKind::Identity) => self.failed_step(&host.id, &error),
            Err(error) => StepReport { hint, ..StepReport::because(StepOutcome::Unconfirmed, error.to_string()) },
        }
    }

    /// The guests that run on a host right before it goes down, besides those that may.
    async fn guests_left(&self, run: &PlanRun<'_>, number: usize) -> Vec<Finding> {
        let step = &run.plan.steps[number];
        let server = run.server(step);
        let (Some(cluster), Some(node)) = (&server.cluster, &server.node) else { return Vec::new() };
        if run.options.guests == Some(crate::model::power::Policy::Leave) || run.clients.standing(cluster).is_none() {
            return Vec::new();
        }
        let Ok(client) = self.client_of(run.clients, cluster).await else { return Vec::new() };
        let Ok(listing) = client.listing().await else { return Vec::new() };
        // The listing is some seconds old: whoever was seen to be off by a step is off.
        let ended = |vmid: VmId| step.needs.iter().any(|other| run.server(&run.plan.steps[*other]).vmid == Some(vmid));
        let running = listing.guests.iter().filter(|guest| {
            guest.node == *node && matches!(guest.state, PowerState::Running | PowerState::Paused) && !ended(guest.vmid)
        });
        let running: Vec<String> = running.map(|guest| guest.vmid.to_string()).collect();
        if running.is_empty() {
            return Vec::new();
        }
        vec![Finding::of(Fault::guests_run(&running.join(", "), "add `--guests shutdown`"), &server.id)]
    }
}

/// The host does not do it, and says why.
fn refused_there(reason: &NoWay) -> StepReport {
    let how = match reason {
        NoWay::Rights { .. } => StepOutcome::Failed(FailureKind::Denied),
        NoWay::Failed { .. } => StepOutcome::Failed(FailureKind::Failed),
        _ => StepOutcome::Refused,
    };
    StepReport { hint: reason.hint(), ..StepReport::because(how, reason.to_string()) }
}

/// It fired there, and failed.
fn failed_there(words: &str) -> StepReport {
    let detail = format!("it failed there: {words}");
    StepReport {
        hint: Some(HintId::TriggerFailed.text()),
        ..StepReport::because(StepOutcome::Failed(FailureKind::Failed), detail)
    }
}
