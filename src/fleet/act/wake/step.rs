//! A host that is woken as a step of a plan: until it is seen awake, and where guests wait for it until it can start them.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::Notify;

use super::{NoWakePath, NotWoken, SendError, WakeEvent, Woken};
use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{PlanRun, StepOutcome, StepReport};
use crate::model::hint::HintId;
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{AWAKE_BEFORE, PowerState};
use crate::state::StateError;
use crate::transport::Error;

/// How long a host may take to wake, Proxmox VE's start included.
pub(in crate::fleet) const WAKE: Duration = Duration::from_secs(300);

/// A host on its way up.
struct WakeRun<'r> {
    fleet: &'r Fleet<'r>,
    run: &'r PlanRun<'r>,
    /// Of the step in its plan.
    number: usize,
    server: &'r Server,
    host: &'r ServerConfig,
    patience: Duration,
    /// What is still waited for, once it is awake.
    missing: RefCell<Option<String>>,
    /// Why it is unknown whether a packet was sent.
    lost: RefCell<Option<String>>,
    /// Told when the first round was tried.
    tried: Notify,
}

impl Fleet<'_> {
    pub(in crate::fleet::act) async fn wake_host(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let step = &run.plan.steps[number];
        let server = run.server(step);
        let Some(host) = self.configured(&server.id) else {
            return Ok(StepReport::because(StepOutcome::Refused, format!("{} is not configured", server.id)));
        };
        let path = match self.wake_path_of(host, run.servers, run.clients).await {
            Ok(path) => path,
            Err(error) => return Ok(no_path(&error)),
        };
        let patience = run.options.timeout.unwrap_or(WAKE);
        let begun = self.begin(run, step, patience)?;
        let run = WakeRun {
            fleet: self,
            run,
            number,
            server,
            host,
            patience,
            missing: RefCell::default(),
            lost: RefCell::default(),
            tried: Notify::new(),
        };
        run.say(&run.waiting());
        let events = |event: WakeEvent<'_>| run.note(&event);
        let woken = if run.is_waited_for() {
            Box::pin(self.wake(host, &path, run.until_ready(), events, confirmed)).await
        } else {
            Box::pin(self.wake(host, &path, run.until_sent(), events, confirmed)).await
        };
        let ended = run.outcome(woken);
        if ended.how.is_good() || ended.state == Some(PowerState::Online) {
            self.state.mark_woken(&server.id, self.now())?;
        }
        if ended.state == Some(PowerState::Online) {
            self.forget_alarm_of(run.run, server, confirmed).await?;
        }
        self.record_seen(server, &ended)?;
        begun.end(&ended, self.now())?;
        Ok(ended)
    }

    /// A host for which no packet was sent.
    fn not_sent(&self, server: &Server, error: &SendError) -> StepReport {
        if error.is_for_want_of_address() {
            let hint = NoWakePath::UnknownMac { server: server.id.clone() }.advice();
            return StepReport { hint, ..StepReport::because(StepOutcome::Refused, error.to_string()) };
        }
        if let (Some(cause), Some(cluster)) = (error.cause(), &server.cluster) {
            self.doubt_permissions(cluster, cause);
        }
        let failed = error.cause().map(|cause| self.failed(&server.id, cause));
        let kind = failed.as_ref().map_or(FailureKind::Failed, |failed| failed.kind);
        let hint = failed.and_then(|failed| failed.advice);
        StepReport { hint, ..StepReport::because(StepOutcome::Failed(kind), error.to_string()) }
    }
}

impl WakeRun<'_> {
    fn say(&self, what: &str) {
        self.run.say(self.number, what, Some(self.patience));
    }

    fn waiting(&self) -> String {
        format!("waiting for {} to answer", self.server.called())
    }

    fn is_waited_for(&self) -> bool {
        self.run.options.wait || self.run.is_needed(self.number)
    }

    /// Until it is awake, and can start guests where something waits for that; `None` at the deadline.
    async fn until_ready(&self) -> Option<Result<(), Error>> {
        let seen = tokio::time::timeout(self.patience, async {
            self.fleet.awake(self.host, |_| {}).await?;
            if !self.run.is_needed(self.number) || !self.fleet.is_pve(self.host) {
                return Ok(());
            }
            *self.missing.borrow_mut() = Some("its API does not answer".to_owned());
            self.say(&format!("{} is awake, waiting for its API", self.server.called()));
            let guests = self.run.guests_of(self.number);
            self.fleet.await_pve(self.run, self.server, &guests, &self.missing).await
        });
        seen.await.ok()
    }

    /// One round, without looking.
    async fn until_sent(&self) -> Option<Result<(), Error>> {
        self.tried.notified().await;
        None
    }

    /// Takes what happens to the packets.
    fn note(&self, event: &WakeEvent<'_>) {
        let id = &self.server.id;
        let waiting = self.waiting();
        match event {
            WakeEvent::Sent { sent, .. } if sent.sent.is_empty() => {
                self.tried.notify_one();
                let why = sent.failed.join(", ");
                self.run.sent_log.note(self.number, format!("a magic packet for {id} may have been sent: {why}"));
                self.say(&format!("{waiting}; {why}"));
                *self.lost.borrow_mut() = Some(why);
            }
            WakeEvent::Sent { round, of, sent } => {
                self.tried.notify_one();
                self.run.sent_log.note(self.number, format!("magic packets for {id} were sent"));
                tracing::debug!(server = id.as_str(), to = sent.sent.join(", "), "magic packet");
                self.say(&format!("{waiting}; magic packet {round} of {of} was sent to {}", addresses(&sent.sent)));
            }
            WakeEvent::NotSent { round, of, error } => {
                self.say(&format!("{waiting}; magic packet {round} of {of} was not sent: {error}"));
            }
        }
    }

    fn outcome(&self, woken: Result<Woken<Result<(), Error>>, NotWoken>) -> StepReport {
        let lost = self.lost.take();
        match woken {
            Ok(Woken { seen: Ok(()), rounds: 0 }) if lost.is_none() => {
                StepReport::because(StepOutcome::Done, AWAKE_BEFORE).seen(PowerState::Online)
            }
            Ok(Woken { seen: Ok(()), rounds }) => {
                StepReport::because(StepOutcome::Done, packets(rounds, lost)).seen(PowerState::Online)
            }
            Ok(Woken { seen: Err(error), .. }) => self.fleet.failed_step(&self.server.id, &error),
            Err(NotWoken::Silent { rounds: sent, .. }) if sent > 0 && !self.is_waited_for() => {
                StepReport::because(StepOutcome::Sent, format!("{}, not waited for", rounds(sent)))
            }
            Err(NotWoken::Silent { rounds: sent, .. }) => {
                not_ready(self.server, self.missing.take(), &packets(sent, lost))
            }
            Err(NotWoken::NoPath(error)) => no_path(&error),
            Err(NotWoken::NotSent(error)) => self.fleet.not_sent(self.server, &error),
        }
    }
}

/// No sender could wake it.
fn no_path(error: &NoWakePath) -> StepReport {
    StepReport { hint: error.advice(), ..StepReport::because(StepOutcome::Refused, error.to_string()) }
}

/// A host that was not ready by the deadline: it did not answer, or it is awake and something is `missing`.
fn not_ready(server: &Server, missing: Option<String>, packets: &str) -> StepReport {
    if let Some(missing) = missing {
        let detail = format!("it is awake, and cannot start guests yet: {missing}");
        let hint = HintId::NotReady.say(&[("server", server.id.as_str())]);
        return StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::Unconfirmed, detail) }
            .seen(PowerState::Online);
    }
    let detail = format!("{packets}, and it does not answer yet");
    let hint = HintId::NotAwake.say(&[("server", server.id.as_str())]);
    StepReport { hint: Some(hint), ..StepReport::because(StepOutcome::Unconfirmed, detail) }
}

/// One by itself, more by their number.
fn addresses(sent: &[String]) -> String {
    match sent {
        [one] => one.clone(),
        many => format!("{} addresses", many.len()),
    }
}

/// What was sent. `lost` says why it is not known whether a packet left.
fn packets(sent: u32, lost: Option<String>) -> String {
    match lost {
        Some(why) if sent == 0 => format!("whether a magic packet was sent is not known ({why})"),
        _ => rounds(sent),
    }
}

fn rounds(number: u32) -> String {
    match number {
        0 => "no magic packet was sent".to_owned(),
        1 => "1 round of magic packets was sent".to_owned(),
        number => format!("{number} rounds of magic packets were sent"),
    }
}
