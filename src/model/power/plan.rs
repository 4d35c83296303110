//! The plan: which steps lead from what is seen to what is wanted, in which order, and which checks failed.
//!
//! Up: parents before children, so that a guest's host is woken before the guest is started. Down: the guests of a
//! host in reverse startup order, then the host. Nothing is done here, and nothing is asked.

mod moves;
mod order;
mod step;

use std::collections::HashMap;

use crate::model::check::fault::Fault;
use crate::model::hint::HintId;
use crate::model::id::{GuestKind, ServerId};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{
    Finding, GuestView, HostVerdict, PowerAction, PowerState, Remedy, Verdict, judge, judge_host,
};

pub(crate) use self::step::{Arming, Course, Lost, Plan, PlanError, PlanInputs, Policy, Step, StepKind, StepReason};

/// What leads to the action on the chosen servers (places in `servers`), in the order in which they are given.
///
/// # Errors
/// Parents that form a circle.
pub(crate) fn plan(
    servers: &[Server],
    chosen: &[usize],
    action: PowerAction,
    inputs: &PlanInputs,
) -> Result<Plan, PlanError> {
    let places = servers.iter().enumerate().map(|(place, server)| (&server.id, place)).collect();
    let mut planner =
        Planner { servers, places, action, inputs, plan: Plan::default(), steps: HashMap::new(), way: Vec::new() };
    // Guests first: naming a host and its guest means the guest goes down before the host.
    let is_guest = |place: &&usize| servers[**place].vmid.is_some();
    let (guests, mut hosts): (Vec<usize>, Vec<usize>) = chosen.iter().partition(is_guest);
    // And who hangs on another host before that one.
    hosts.sort_by_key(|place| std::cmp::Reverse(planner.depth(*place)));
    let order: Vec<usize> =
        if action.goes_down() { guests.into_iter().chain(hosts).collect() } else { chosen.to_vec() };
    for place in order {
        if action == PowerAction::Migrate {
            planner.ask_move(place);
        } else {
            planner.ask(place)?;
        }
    }
    planner.order_guests();
    Ok(planner.plan)
}

struct Planner<'a> {
    servers: &'a [Server],
    places: HashMap<&'a ServerId, usize>,
    action: PowerAction,
    inputs: &'a PlanInputs,
    plan: Plan,
    /// Of each server that has one, its step.
    steps: HashMap<usize, usize>,
    /// The servers between the one that was asked for and the one that is looked at.
    way: Vec<usize>,
}

impl Planner<'_> {
    /// The action itself on one server.
    fn ask(&mut self, place: usize) -> Result<(), PlanError> {
        if let Some(step) = self.steps.get(&place) {
            // It was needed by another one; it was asked for, too.
            self.plan.steps[*step].why = StepReason::Asked;
            return Ok(());
        }
        match self.servers[place].kind.guest() {
            Some(kind) => self.ask_guest(place, kind),
            None => self.ask_host(place),
        }
    }

    fn ask_guest(&mut self, place: usize, kind: GuestKind) -> Result<(), PlanError> {
        let server = &self.servers[place];
        if let Some(Lost { why, fix, kind }) = self.inputs.lost.get(&server.id).cloned() {
            self.push(
                place,
                self.action,
                StepKind::Cannot { why, fix, kind: Some(kind) },
                StepReason::Asked,
                Vec::new(),
            );
            return Ok(());
        }
        if self.inputs.until {
            let why = "a guest has no clock that could wake it".to_owned();
            let fix = Some("leave `--until` out, or name its host".to_owned());
            let does = StepKind::Cannot { why, fix, kind: None };
            self.push(place, self.action, does, StepReason::Asked, Vec::new());
            return Ok(());
        }
        let host = self.host_of(place);
        let asleep = host.filter(|host| self.servers[*host].seen.state != PowerState::Online);
        let later = server.seen.state == PowerState::Unknown;
        let verdict = judge(self.action, &view(server, kind), self.inputs.stop);
        let mut needs = Vec::new();
        let does = match (verdict, asleep) {
            // Only a start is worth waking a host for.
            (_, Some(host)) if later && matches!(self.action, PowerAction::Start | PowerAction::Resume) => {
                needs.extend(self.wake(host, &server.id)?);
                StepKind::GuestLater
            }
            (_, Some(host)) if later => {
                let host = &self.servers[host];
                let why = format!("its host {} is {}", host.id, host.seen.state);
                let kind = (host.seen.state != PowerState::Asleep).then(|| self.failure(&host.id));
                StepKind::Cannot { why, fix: Some(HintId::WakeFirst.say(&[("server", host.id.as_str())])), kind }
            }
            (Verdict::Cannot { .. }, None) if later && host.is_some() => StepKind::GuestLater,
            (Verdict::Cannot { why, fix }, _) => {
                let why = server.seen.reason.clone().filter(|_| later).unwrap_or(why);
                let kind = server.parent.as_ref().filter(|_| later).map(|host| self.failure(host));
                StepKind::Cannot { why, fix, kind }
            }
            (Verdict::Already(state), _) => StepKind::Already(state),
            (Verdict::Call { call, against }, _) => {
                self.plan.findings.extend(against.into_iter().map(|against| against.at(&server.id)));
                StepKind::Guest(call)
            }
        };
        self.push(place, self.action, does, StepReason::Asked, needs);
        Ok(())
    }

    fn ask_host(&mut self, place: usize) -> Result<(), PlanError> {
        let server = &self.servers[place];
        match judge_host(self.action, server.seen.state) {
            HostVerdict::Wake => {
                if let Some(step) = self.wake(place, &server.id)? {
                    self.plan.steps[step].why = StepReason::Asked;
                    self.bring_back(place, &[step]);
                }
            }
            HostVerdict::Call(call) => {
                let needs = self.take_down(place);
                self.push(place, self.action, StepKind::Host(call), StepReason::Asked, needs);
            }
            HostVerdict::Already(state) => {
                self.push(place, self.action, StepKind::Already(state), StepReason::Asked, Vec::new());
                self.bring_back(place, &[]);
            }
            HostVerdict::Cannot { why, fix, kind } => {
                // What a host never does needs no reason.
                let reason = server.seen.reason.as_ref().filter(|_| kind.is_some());
                let why = reason.map_or(why.clone(), |reason| format!("{why} ({reason})"));
                let kind = kind.map(|_| self.failure(&server.id));
                let fix = fix.map(|fix| fix.replace("{server}", server.id.as_str()));
                self.push(place, self.action, StepKind::Cannot { why, fix, kind }, StepReason::Asked, Vec::new());
            }
        }
        Ok(())
    }

    /// Why a host could not be asked: most often nothing answered.
    fn failure(&self, host: &ServerId) -> FailureKind {
        self.inputs.failures.get(host).copied().unwrap_or(FailureKind::Unreachable)
    }

    /// How many hosts a host hangs on, one by the other.
    fn depth(&self, place: usize) -> usize {
        let parent = |place: &usize| self.places.get(self.servers[*place].parent.as_ref()?).copied();
        std::iter::successors(parent(&place), parent).take(self.servers.len()).count()
    }

    /// The step that wakes a host, after those that wake what it hangs on; `None`: it is awake.
    fn wake(&mut self, place: usize, needed_by: &ServerId) -> Result<Option<usize>, PlanError> {
        if self.servers[place].seen.state == PowerState::Online {
            return Ok(None);
        }
        if let Some(begin) = self.way.iter().position(|on_way| *on_way == place) {
            let circle = self.way[begin..].iter().chain([&place]);
            return Err(PlanError::Circle(circle.map(|place| self.servers[*place].id.clone()).collect()));
        }
        if let Some(step) = self.steps.get(&place) {
            return Ok(Some(*step));
        }
        self.way.push(place);
        let parent = self.servers[place].parent.as_ref().and_then(|parent| self.places.get(parent)).copied();
        let needs = match parent {
            Some(parent) => self.wake(parent, &self.servers[place].id)?,
            None => None,
        };
        self.way.pop();
        let why = StepReason::NeededBy(needed_by.clone());
        let needs = needs.into_iter().collect();
        Ok(Some(self.push(place, PowerAction::Wake, StepKind::Wake, why, needs)))
    }

    /// What is done with all that hangs on a host before it goes down; gives the steps that it needs.
    fn take_down(&mut self, host: usize) -> Vec<usize> {
        let id = &self.servers[host].id;
        let on_it: Vec<usize> = (0..self.servers.len()).filter(|place| self.hangs_on(*place, host)).collect();
        let mut needs: Vec<usize> = Vec::new();
        let (mut running, mut unknown, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for place in on_it {
            if let Some(step) = self.steps.get(&place) {
                needs.push(*step);
                continue;
            }
            let server = &self.servers[place];
            match (server.kind.guest(), server.seen.state) {
                (Some(kind), PowerState::Running | PowerState::Paused) => running.push((place, kind)),
                (Some(_), PowerState::Unknown) => unknown.push(place),
                (None, PowerState::Online) => others.push(place),
                _ => {}
            }
        }
        let mut against = Vec::new();
        match self.inputs.guests {
            Some(Policy::Leave | Policy::Return) => {}
            Some(Policy::Migrate) => {
                for (place, _) in &running {
                    needs.extend(self.move_away(*place, id));
                }
            }
            Some(policy) => {
                for (place, kind) in &running {
                    needs.extend(self.take_guest_down(*place, *kind, policy, id));
                }
            }
            None if running.is_empty() => {}
            None => {
                let guests: Vec<usize> = running.iter().map(|(place, _)| *place).collect();
                let counted = counted(guests.len(), "guest runs", "guests run");
                against.push((Fault::guests_would_end(&counted, &self.list(&guests)), Some(Remedy::Guests)));
            }
        }
        if !unknown.is_empty() && self.inputs.guests != Some(Policy::Leave) {
            against.push((Fault::guests_unclear(&self.list(&unknown)), None));
        }
        if !others.is_empty() {
            against.push((Fault::depended_on(&self.list(&others)), None));
        }
        let findings = against.into_iter().map(|(fault, remedy)| Finding { remedy, ..Finding::of(fault, id) });
        self.plan.findings.extend(findings);
        needs
    }

    /// The step that takes one guest down for its host's sake. A guest that cannot be taken down stands against the
    /// whole.
    fn take_guest_down(&mut self, place: usize, kind: GuestKind, policy: Policy, host: &ServerId) -> Option<usize> {
        let server = &self.servers[place];
        let action = match (policy, kind) {
            (Policy::Hibernate, GuestKind::Qemu) => PowerAction::Hibernate,
            _ => PowerAction::Shutdown,
        };
        match judge(action, &view(server, kind), self.inputs.stop) {
            Verdict::Call { call, against } => {
                self.plan.findings.extend(against.into_iter().map(|against| against.at(&server.id)));
                Some(self.push(place, action, StepKind::Guest(call), StepReason::RunsOn(host.clone()), Vec::new()))
            }
            Verdict::Already(_) => None,
            Verdict::Cannot { why, fix } => {
                let fault = Fault::guest_stays_up(&server.id, &why, fix.as_deref());
                self.plan.findings.push(Finding::of(fault, host));
                // It is shown, and nothing needs it: whether its host goes down all the same is a matter of the finding.
                let does = StepKind::Cannot { why, fix, kind: None };
                self.push(place, action, does, StepReason::RunsOn(host.clone()), Vec::new());
                None
            }
        }
    }

    fn push(
        &mut self,
        server: usize,
        action: PowerAction,
        does: StepKind,
        why: StepReason,
        needs: Vec<usize>,
    ) -> usize {
        let number = self.plan.steps.len();
        self.steps.insert(server, number);
        self.plan.steps.push(Step { server, action, does, why, needs, follows: Vec::new(), course: Course::default() });
        number
    }

    /// The configured host of the node that a guest runs on. Where that node is not configured, its guests stand under
    /// another member of the cluster, which is no reason to wake that.
    fn host_of(&self, guest: usize) -> Option<usize> {
        let server = &self.servers[guest];
        let host = *self.places.get(server.parent.as_ref()?)?;
        let node = &self.servers[host].node;
        (node.is_none() || *node == server.node).then_some(host)
    }

    /// Whether a server goes down with a host: its guest, or what the configuration puts under it.
    fn hangs_on(&self, place: usize, host: usize) -> bool {
        let server = &self.servers[place];
        match server.vmid {
            Some(_) => self.host_of(place) == Some(host),
            None => server.parent.as_ref() == Some(&self.servers[host].id),
        }
    }

    /// `vm-101 (web), ct-201 (dns) and 3 more`
    fn list(&self, places: &[usize]) -> String {
        const NAMED: usize = 8;
        let mut named: Vec<String> = places.iter().take(NAMED).map(|place| self.servers[*place].called()).collect();
        if places.len() > NAMED {
            let last = format!("{} and {} more", named.pop().unwrap_or_default(), places.len() - NAMED);
            named.push(last);
        }
        named.join(", ")
    }
}

fn view(server: &Server, kind: GuestKind) -> GuestView<'_> {
    let seen = &server.seen;
    GuestView {
        kind,
        state: seen.state,
        raw: seen.raw_status.as_deref().unwrap_or(seen.state.as_str()),
        lock: server.lock.as_deref(),
        ha: server.ha_state.as_deref(),
        template: server.template,
    }
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
