//! The end of leases: what they brought up goes down again, unless somebody else needs it.

use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{ApiClients, Now, Options, PlanRun, PrepareError, Prepared, SentLog, StepOutcome, StepReport};
use crate::fleet::lease::Tell;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::inventory::server::ServerKey;
use crate::model::lease::{Lease, Then, Woken};
use crate::model::power::{Finding, PowerAction, StepKind};
use crate::state::StateError;

/// How leases end.
pub(crate) struct End<'e> {
    /// What becomes of hosts; `None`: what they did before.
    pub(crate) then: Option<Then>,
    pub(crate) options: &'e Options,
    pub(crate) sent_log: &'e SentLog,
    pub(crate) tell: Tell<'e>,
    pub(crate) confirmed: &'e Confirmed,
}

/// What became of a server that a lease had brought up.
#[derive(Debug)]
pub(crate) enum Became {
    /// It went down.
    Down,
    /// It was down before.
    Already,
    /// Another lease holds it.
    Held(Lease),
    /// It stays up, as was asked for.
    Left,
    /// Something else brought it up again meanwhile: it is not the lease's to take down.
    NotOurs,
    /// Somebody needs it: these checks stand against it.
    Needed(Vec<Finding>),
    /// It was to go down, and that failed.
    Failed(StepReport),
}

/// A server that leases had brought up, and what became of it.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) name: String,
    pub(crate) action: PowerAction,
    pub(crate) became: Became,
}

impl Fleet<'_> {
    /// Ends leases, and takes down what leases on the same servers brought up and no lease holds any more: guests before
    /// their hosts. `also`: servers without a lease that are to be looked at, too.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn end_leases(
        &self,
        ended: &[Lease],
        also: &[ServerKey],
        end: &End<'_>,
    ) -> Result<Vec<Lowered>, StateError> {
        let (mut lowered, mut down) = self.let_go(ended, also, end.then)?;
        // Who hangs on another one goes first: a guest, or a host behind a host.
        down.sort_by_key(|woken| std::cmp::Reverse(self.depth_of(woken)));
        for woken in down {
            let chosen = end.then.and_then(Then::action).filter(|_| is_host(&woken.key));
            let action = chosen.unwrap_or(woken.back);
            let became = self.take_down(&woken, action, end).await?;
            // One that was down before may yet wake: packets are on their way.
            if matches!(became, Became::Down) {
                self.state.forget_woken(std::slice::from_ref(&woken.key))?;
            }
            lowered.push(Lowered { name: woken.name, action, became });
        }
        Ok(lowered)
    }

    /// Takes leases out of the state file, at once with the look who else holds their servers: of two that end at one
    /// time exactly one is the last.
    fn let_go(
        &self,
        ended: &[Lease],
        also: &[ServerKey],
        then: Option<Then>,
    ) -> Result<(Vec<Lowered>, Vec<Woken>), StateError> {
        let (mut lowered, mut down) = (Vec::new(), Vec::new());
        self.state.together(|| {
            let ids: Vec<i64> = ended.iter().map(|lease| lease.id).collect();
            self.state.end_leases(&ids, self.now())?;
            let live = self.live_leases()?;
            let concerns =
                |woken: &Woken| also.contains(&woken.key) || ended.iter().any(|lease| lease.holds(&woken.key));
            for woken in self.state.woken()?.into_iter().filter(concerns) {
                let became = match live.iter().find(|lease| lease.holds(&woken.key)) {
                    _ if then == Some(Then::Leave) => Became::Left,
                    Some(lease) => Became::Held(lease.clone()),
                    None if woken.was_down => Became::NotOurs,
                    None => {
                        down.push(woken);
                        continue;
                    }
                };
                if matches!(became, Became::Left | Became::NotOurs) {
                    self.state.forget_woken(std::slice::from_ref(&woken.key))?;
                }
                lowered.push(Lowered { name: woken.name, action: woken.back, became });
            }
            Ok(())
        })?;
        Ok((lowered, down))
    }

    /// How far a server is from the ones on which all hang: guests are the farthest.
    fn depth_of(&self, woken: &Woken) -> usize {
        if !is_host(&woken.key) {
            return usize::MAX;
        }
        let parent = |id: &str| {
            let config = self.config.servers.iter().find(|config| config.id.as_str() == id);
            config.and_then(|config| config.parent_server_id.as_ref()).map(ToString::to_string)
        };
        std::iter::successors(parent(&woken.key.0), |id| parent(id)).take(self.config.servers.len()).count()
    }

    /// Plans, checks and does what takes one server down.
    async fn take_down(&self, woken: &Woken, action: PowerAction, end: &End<'_>) -> Result<Became, StateError> {
        let End { options, sent_log, tell, confirmed, .. } = *end;
        let words = [woken.name.clone()];
        let request =
            ObserveRequest { scope: self.scope_around(&words, true)?, templates: true, ..ObserveRequest::default() };
        let Observed { mut inventory, clients, .. } = self.observe(&request).await?;
        let Some(place) = inventory.servers.iter().position(|server| server.key() == woken.key) else {
            return Ok(failed("it is not in the inventory any more"));
        };
        let prepared = self.prepare(&mut inventory, &[place], action, options, ApiClients::new(clients)).await;
        let Prepared { plan, is_clear, clients, .. } = match prepared {
            Ok(prepared) => prepared,
            Err(PrepareError::State(error)) => return Err(error),
            Err(error @ PrepareError::Plan(_)) => return Ok(failed(&error.to_string())),
        };
        if !is_clear {
            return Ok(Became::Needed(plan.findings));
        }
        let servers = &inventory.servers;
        let at = |number: usize| plan.steps.get(number).and_then(|step| servers.get(step.server));
        let told = |number: usize, now: Now<'_>| match (at(number), now) {
            (Some(server), Now::Does(what, of)) => tell(server, Some(what), of),
            (Some(server), Now::Over) => tell(server, None, None),
            (None, _) => {}
        };
        let run = PlanRun { plan: &plan, servers, options, sent_log: sent_log.clone(), tell: &told, clients: &clients };
        let ends = self.carry_out(&run, confirmed).await?;
        let bad = ends.iter().find(|end| !end.how.is_good());
        Ok(match bad {
            None if plan.steps.iter().all(|step| matches!(step.does, StepKind::Already(_))) => Became::Already,
            None => Became::Down,
            Some(end) if end.how == StepOutcome::Refused && !end.findings.is_empty() => {
                Became::Needed(end.findings.clone())
            }
            Some(end) => Became::Failed(end.clone()),
        })
    }
}

fn failed(why: &str) -> Became {
    Became::Failed(StepReport::because(StepOutcome::Refused, why))
}

/// Whether a key is that of a configured host or plain server: a guest's has its cluster before a slash.
fn is_host(key: &ServerKey) -> bool {
    !key.0.contains('/')
}
