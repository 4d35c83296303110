//! A host and a state file that a saga works on, and what can go wrong with its steps.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::fleet::onboard::answer::HostSide;
use crate::model::access::scope::TokenScope;
use crate::model::id::{Secret, Token};

pub(super) const FOREIGN: &str = "ecobox@pve!other-ffffff";

/// A host's user database and this machine's state file.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    /// Tokens on the host with their secrets.
    pub(super) host: BTreeMap<TokenId, String>,
    pub(super) stored: Option<Token>,
    pub(super) intents: BTreeSet<TokenId>,
    pub(super) trusted: bool,
    pub(super) made: u32,
}

/// What happens to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    KillBefore,
    /// Of what writes several times, only the first.
    KillHalfway,
    KillAfter,
    /// Nothing is done, and that is known.
    Refused,
    /// Nothing is done, and that is not known.
    Vanished,
    /// It is done, and that is not known.
    Unheard,
    /// It is done, and the answer says otherwise.
    Denied,
}

pub(super) const FAULTS: [Fault; 7] = [
    Fault::KillBefore,
    Fault::KillHalfway,
    Fault::KillAfter,
    Fault::Refused,
    Fault::Vanished,
    Fault::Unheard,
    Fault::Denied,
];

pub(super) fn id(name: &str) -> TokenId {
    format!("ecobox@pve!{name}").parse().unwrap()
}

pub(super) fn removal(token: &TokenId) -> Removal {
    Removal { token: token.clone(), scope: Some(TokenScope::Operator) }
}

impl World {
    pub(super) fn new() -> World {
        let mut world = World::default();
        world.host.insert(FOREIGN.parse().unwrap(), "theirs".to_owned());
        world
    }

    pub(super) fn start(&self, goal: Goal) -> Start {
        Start {
            goal,
            scope: TokenScope::Operator,
            ssh_user: "root".to_owned(),
            hostname: "lap".to_owned(),
            suffix: "0a1b2c".to_owned(),
            comment: String::new(),
            intents: self.intents.iter().cloned().collect(),
            replaces: self.stored.as_ref().map(|token| token.id.clone()),
            stored: self.stored.iter().map(|token| removal(&token.id)).collect(),
            all_intents: self.intents.iter().cloned().collect(),
        }
    }

    pub(super) fn revocation(&self) -> Goal {
        Goal::Revoke(self.stored.as_ref().map(|token| removal(&token.id)))
    }

    /// What pveum does; only the first call of several if `half`.
    pub(super) fn visit(&mut self, request: &Request, half: bool) -> VisitAnswer {
        let (mut removed, mut absent) = (Vec::new(), Vec::new());
        for removal in &request.remove {
            if self.host.remove(&removal.token).is_none() {
                absent.push(removal.token.clone());
            }
            removed.push(removal.token.clone());
            if half {
                return VisitAnswer {
                    host: HostSide::default(),
                    removed,
                    absent,
                    result: Err(Failure::CutOff),
                    leftover: true,
                };
            }
        }
        let result = match &request.action {
            Action::Create { token, .. } if self.host.contains_key(token) => Err(Failure::TokenExists(token.clone())),
            Action::Create { token, .. } => {
                self.made += 1;
                let secret = format!("secret-{}", self.made);
                self.host.insert(token.clone(), secret.clone());
                let token = Token { id: token.clone(), secret: Secret::new(secret) };
                Ok(Done::Created(token))
            }
            _ => Ok(Done::Removed { user_removed: false }),
        };
        VisitAnswer { host: HostSide::default(), removed, absent, result, leftover: false }
    }

    /// What must be true at every moment.
    pub(super) fn check(&self, trace: &str) {
        let foreign = FOREIGN.parse().unwrap();
        assert!(self.host.contains_key(&foreign), "a token of somebody else's is gone: {trace}");
        for token in self.host.keys().filter(|token| **token != foreign) {
            let known = self.intents.contains(token) || self.stored.as_ref().is_some_and(|stored| stored.id == *token);
            assert!(known, "{token} is leaked: {trace} {self:?}");
        }
    }

    /// The stored token works.
    pub(super) fn check_stored(&self, trace: &str) {
        if let Some(stored) = &self.stored {
            let secret = self.host.get(&stored.id).map(String::as_str);
            assert_eq!(secret, Some(stored.secret.expose()), "the stored token is lost: {trace}");
        }
    }

    /// One run of setup-token, with a fault at one step. `None`: it was killed.
    pub(super) fn run(&mut self, goal: &Goal, fault: Option<(usize, Fault)>) -> (usize, Option<Ending<&'static str>>) {
        let mut saga = Saga::new(self.start(goal.clone()));
        let mut step = saga.start();
        for number in 0..50 {
            let trace = format!("{goal:?} {fault:?} at {number}: {step:?}");
            let fault = fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            if fault == Some(Fault::KillBefore) {
                return (number, None);
            }
            let event = match step {
                Step::End(ending) => return (number, Some(ending)),
                step => self.carry_out(step, fault),
            };
            self.check(&trace);
            if !matches!(goal, Goal::Revoke(_)) {
                self.check_stored(&trace);
            }
            if matches!(fault, Some(Fault::KillAfter | Fault::KillHalfway)) {
                return (number + 1, None);
            }
            step = saga.next(event);
        }
        panic!("it never ends: {goal:?} {fault:?}");
    }

    /// What comes of a step that goes well, or as the fault says.
    fn carry_out(&mut self, step: Step<&'static str>, fault: Option<Fault>) -> Event<&'static str> {
        let half = fault == Some(Fault::KillHalfway);
        let idle = matches!(fault, Some(Fault::Refused | Fault::Vanished));
        let fails = matches!(fault, Some(Fault::Refused | Fault::Vanished | Fault::Unheard | Fault::Denied));
        let write = |ok: ()| if fails { Err("no space left") } else { Ok(ok) };
        // A database's write that failed was not done.
        match step {
            Step::End(ending) => panic!("{ending:?} is no step to carry out"),
            Step::Intend(token) => {
                if !fails {
                    self.intents.insert(token);
                }
                Event::Recorded(write(()))
            }
            Step::Clear(tokens) => {
                for token in tokens.iter().take(if half { 1 } else { 50 }).filter(|_| !fails) {
                    self.intents.remove(token);
                }
                Event::Recorded(write(()))
            }
            Step::Forget => {
                if !fails {
                    self.stored = None;
                }
                Event::Recorded(write(()))
            }
            Step::Store(token, _) => {
                let replaced = self.stored.as_ref().map(|token| removal(&token.id));
                if !idle {
                    self.intents.extend(replaced.iter().map(|removal| removal.token.clone()));
                }
                if !half && !fails {
                    self.intents.remove(&token.id);
                    self.stored = Some(token);
                }
                Event::Stored(write(()).map(|()| replaced))
            }
            Step::Learn => {
                self.trusted |= !fails;
                Event::Learned(write(()))
            }
            Step::Verify => {
                let comparison = Comparison::default();
                Event::Verified(if fails { Err("no route") } else { Ok(comparison) })
            }
            Step::Visit(request) => {
                let answer = (!idle).then(|| self.visit(&request, half));
                let leftover = matches!(request.action, Action::Create { .. });
                let other = |text: &str| Failure::Other { step: "token-add".to_owned(), stderr: text.to_owned() };
                Event::Visited(match (fault, answer) {
                    (Some(Fault::Vanished | Fault::Unheard), _) => Err(Lost::Unknown("connection lost")),
                    (Some(Fault::Denied), Some(answer)) => {
                        Ok(Box::new(VisitAnswer { result: Err(other("timeout")), leftover, ..answer }))
                    }
                    (_, Some(answer)) => Ok(Box::new(answer)),
                    (_, None) => Err(Lost::NotSent("connection refused")),
                })
            }
        }
    }

    /// After a run without faults.
    pub(super) fn check_made(&self, ending: &Ending<&'static str>, trace: &str) {
        assert!(ending.problem.is_none() && ending.left.is_empty(), "{trace} {ending:?}");
        assert_eq!(self.host.len(), 2, "exactly one token of ours: {trace} {self:?}");
        assert_eq!(ending.token, self.stored.as_ref().map(|token| token.id.clone()), "{trace}");
        assert!(self.stored.is_some() && self.trusted && self.intents.is_empty(), "{trace} {self:?}");
        self.check_stored(trace);
    }
}
