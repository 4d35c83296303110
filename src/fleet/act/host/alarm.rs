//! The clock of a host that goes down, set right before, so that it wakes the host at a time.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{Options, PlanRun, StepOutcome, StepReport};
use crate::fleet::host::power::alarm::Shown;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::power::{Finding, Plan, StepKind, WakeTime, Waking, boot_grace};
use crate::state::{Alarm, StateError};

impl Fleet<'_> {
    /// Sets the clock of a host as its step says, or takes an alarm away that an earlier sleep has left: it would wake the
    /// host when nobody expects it. Gives the refusal where the clock does not take it.
    pub(super) async fn set_clock(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        host: &ServerConfig,
        confirmed: &Confirmed,
    ) -> Result<Option<StepReport>, StateError> {
        let Some(waking) = &run.plan.steps[number].course.wakes else {
            let _ = self.forget_alarm(host, confirmed).await?;
            return Ok(None);
        };
        let Waking { at, words, limit, .. } = waking;
        run.say(number, &format!("setting the clock of {} to wake it at {words}", host.id), Some(*limit));
        run.sent_log.note(number, format!("the clock of {} is being set to wake it at {words}", host.id));
        let set = self.set_alarm(host, *at, confirmed).await;
        let (why, fix) = match set {
            Ok(Ok(shown)) => {
                self.state.put_alarm(&host.id, &self.promise(host, *at, shown)?)?;
                run.sent_log.clear(number);
                return Ok(None);
            }
            Ok(Err(no_alarm)) => (no_alarm.to_string(), Some(no_alarm.fix())),
            Err(error) => (error.to_string(), None),
        };
        run.sent_log.clear(number);
        if run.options.allowed.contains(&CheckId::NoRtc) {
            return Ok(None);
        }
        let fault = Fault::clock_was_not_set(words, &why, fix);
        let message = fault.finding.clone();
        let finding = Finding::of(fault, &host.id);
        Ok(Some(StepReport { findings: vec![finding], ..StepReport::because(StepOutcome::Refused, message) }))
    }

    /// What is remembered of an alarm that was just set.
    fn promise(&self, host: &ServerConfig, at: Timestamp, shown: Shown) -> Result<Alarm, StateError> {
        let late = at.checked_add(boot_grace(&self.state.wake_seconds(&host.id)?)).unwrap_or(Timestamp::MAX);
        Ok(Alarm { at, late, set_at: self.now(), shown, sleeps: true })
    }

    /// What becomes of the alarm once it is known what became of the call: a host that stays awake needs none.
    pub(super) async fn keep_or_clear_alarm(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        host: &ServerConfig,
        ended: StepReport,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let Some(Waking { words, .. }) = &run.plan.steps[number].course.wakes else { return Ok(ended) };
        match ended.how {
            StepOutcome::Done | StepOutcome::Sent | StepOutcome::Unconfirmed => {
                let Some(alarm) = self.state.alarms()?.remove(&host.id) else { return Ok(ended) };
                // Whoever looked while it still answered took it for awake.
                if ended.how == StepOutcome::Done {
                    self.state.put_alarm(&host.id, &Alarm { sleeps: true, set_at: self.now(), ..alarm })?;
                }
                let more = format!("its clock wakes it at {words}");
                let detail = ended.detail.map_or(more.clone(), |detail| format!("{detail}; {more}"));
                Ok(StepReport { detail: Some(detail), ..ended })
            }
            _ => {
                let Some(left) = self.forget_alarm(host, confirmed).await? else { return Ok(ended) };
                let detail = ended.detail.unwrap_or_default();
                Ok(StepReport { detail: Some(format!("{detail}; {left}")), ..ended })
            }
        }
    }

    /// Takes the alarm away that was set in a host's clock, if there is one that is still ahead; says why it stays there.
    pub(in crate::fleet::act) async fn forget_alarm(
        &self,
        host: &ServerConfig,
        confirmed: &Confirmed,
    ) -> Result<Option<String>, StateError> {
        let Some(alarm) = self.state.alarms()?.remove(&host.id) else { return Ok(None) };
        self.state.remove_alarm(&host.id)?;
        if alarm.at <= self.now() {
            return Ok(None);
        }
        let why = match self.clear_alarm(host, alarm.shown, confirmed).await {
            Ok(Ok(())) => return Ok(None),
            Ok(Err(no_alarm)) => no_alarm.to_string(),
            Err(error) => error.to_string(),
        };
        Ok(Some(format!("its clock is still set for {}: {why}", self.clock_words(alarm.at))))
    }

    /// Like `forget_alarm`, of a host that somebody wants awake; one that is awake for a while only keeps it.
    pub(in crate::fleet::act) async fn forget_alarm_of(
        &self,
        run: &PlanRun<'_>,
        server: &Server,
        confirmed: &Confirmed,
    ) -> Result<(), StateError> {
        let Some(host) = self.configured(&server.id) else { return Ok(()) };
        if run.options.until != Some(WakeTime::AsBefore)
            && let Some(left) = self.forget_alarm(host, confirmed).await?
        {
            self.notice(format!("{}: {left}", host.id));
        }
        Ok(())
    }

    /// When the hosts that a plan takes down shall be woken by their own clocks.
    pub(in crate::fleet::act) fn alarms_of(
        &self,
        plan: &Plan,
        servers: &[Server],
        options: &Options,
    ) -> Result<HashMap<ServerId, WakeTime>, StateError> {
        let Some(until) = options.until else { return Ok(HashMap::new()) };
        let known = if until == WakeTime::AsBefore { self.state.alarms()? } else { BTreeMap::new() };
        let hosts = plan.steps.iter().filter(|step| matches!(step.does, StepKind::Host(_)));
        let at = |host: &ServerId| match until {
            WakeTime::AsBefore => known.get(host).map(|alarm| alarm.at).filter(|at| *at > self.now()).map(WakeTime::At),
            until => Some(until),
        };
        let hosts = hosts.map(|step| &servers[step.server].id);
        Ok(hosts.filter_map(|host| Some((host.clone(), at(host)?))).collect())
    }
}
