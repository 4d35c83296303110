//! Guests that go to other nodes: because that was asked for, because their host goes down, or because it is up again.

use super::{Planner, Step, StepKind, StepReason};
use crate::model::check::fault::Fault;
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::migrate::MoveVerdict;
use crate::model::power::plan::Lost;
use crate::model::power::{Against, Finding, HostVerdict, PowerAction, PowerState, judge_host};

impl Planner<'_> {
    /// Moves what was named.
    pub(super) fn ask_move(&mut self, place: usize) {
        let server = &self.servers[place];
        let (does, against) = if server.vmid.is_none() {
            match judge_host(PowerAction::Migrate, server.seen.state) {
                HostVerdict::Cannot { why, fix, .. } => (StepKind::Cannot { why, fix, kind: None }, Vec::new()),
                _ => return,
            }
        } else if let Some(Lost { why, fix, kind }) = self.inputs.lost.get(&server.id).cloned() {
            (StepKind::Cannot { why, fix, kind: Some(kind) }, Vec::new())
        } else if let Some(host) = self.sleeping_host(place) {
            let host = &self.servers[host];
            let why = format!("its host {} is {}", host.id, host.seen.state);
            let kind = (host.seen.state != PowerState::Asleep).then(|| self.failure(&host.id));
            let fix = Some(HintId::WakeFirst.say(&[("server", host.id.as_str())]));
            (StepKind::Cannot { why, fix, kind }, Vec::new())
        } else {
            self.move_of(place)
        };
        self.stand_against(place, against);
        self.push(place, PowerAction::Migrate, does, StepReason::Asked, Vec::new());
    }

    /// The step that moves one guest away from a host that goes down. One that cannot move stands against the whole.
    pub(super) fn move_away(&mut self, place: usize, host: &ServerId) -> Option<usize> {
        let (does, against) = self.move_of(place);
        if let (StepKind::Cannot { why, fix, .. }, true) = (&does, against.is_empty()) {
            let fault = Fault::guest_does_not_move(&self.servers[place].id, why, fix.as_deref());
            self.plan.findings.push(Finding::of(fault, host));
        }
        let acts = matches!(does, StepKind::Migrate(_));
        self.stand_against(place, against);
        let step = self.push(place, PowerAction::Migrate, does, StepReason::RunsOn(host.clone()), Vec::new());
        acts.then_some(step)
    }

    /// The steps that bring guests back that were moved away from a host, once it is up.
    pub(super) fn bring_back(&mut self, host: usize, needs: &[usize]) {
        let id = &self.servers[host].id;
        let guests = self.inputs.returns.iter().filter(|(_, home)| home == id).map(|(guest, _)| guest);
        for place in guests.filter_map(|guest| self.places.get(guest).copied()).collect::<Vec<_>>() {
            let (does, against) = self.move_of(place);
            self.stand_against(place, against);
            self.push(place, PowerAction::Migrate, does, StepReason::ReturnsTo(id.clone()), needs.to_vec());
        }
    }

    /// What moving a guest comes down to, and what stands against it.
    fn move_of(&self, place: usize) -> (StepKind, Vec<Against>) {
        let server = &self.servers[place];
        match self.inputs.moves.get(&server.id).cloned() {
            Some(MoveVerdict::Already) => (StepKind::Already(server.seen.state), Vec::new()),
            Some(MoveVerdict::Move(way, against)) => (StepKind::Migrate(way), against),
            Some(MoveVerdict::Nowhere(against)) => {
                let why = against.first().map(|against| against.fault.finding.clone()).unwrap_or_default();
                (StepKind::Cannot { why, fix: None, kind: None }, against)
            }
            Some(MoveVerdict::Cannot { why, fix }) => {
                let unknown = server.seen.state == PowerState::Unknown;
                let why = server.seen.reason.clone().filter(|_| unknown).unwrap_or(why);
                let kind = server.parent.as_ref().filter(|_| unknown).map(|host| self.failure(host));
                (StepKind::Cannot { why, fix, kind }, Vec::new())
            }
            None => {
                let why = "what its node and the others say of it is unknown".to_owned();
                (StepKind::Cannot { why, fix: Some("look at `ecobox status`".to_owned()), kind: None }, Vec::new())
            }
        }
    }

    fn stand_against(&mut self, place: usize, against: Vec<Against>) {
        let id = &self.servers[place].id;
        self.plan.findings.extend(against.into_iter().map(|against| against.at(id)));
    }

    /// The host of a guest, if it does not answer.
    fn sleeping_host(&self, place: usize) -> Option<usize> {
        let host = self.host_of(place)?;
        let unknown = self.servers[place].seen.state == PowerState::Unknown;
        (unknown && self.servers[host].seen.state != PowerState::Online).then_some(host)
    }
}

impl Step {
    /// Whether a guest is moved away from this host by it.
    pub(crate) fn empties(&self, host: &ServerId) -> bool {
        matches!((&self.does, &self.why), (StepKind::Migrate(_), StepReason::RunsOn(from)) if from == host)
    }
}
