use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::id::{Secret, Token};

const FOREIGN: &str = "ecobox@pve!other-ffffff";

/// A host's user database and this machine's state file.
#[derive(Debug, Clone, Default)]
struct World {
    /// Tokens on the host with their secrets.
    host: BTreeMap<TokenId, String>,
    stored: Option<Token>,
    intents: BTreeSet<TokenId>,
    trusted: bool,
    made: u32,
}

/// What happens to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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

const FAULTS: [Fault; 7] = [
    Fault::KillBefore,
    Fault::KillHalfway,
    Fault::KillAfter,
    Fault::Refused,
    Fault::Vanished,
    Fault::Unheard,
    Fault::Denied,
];

fn id(name: &str) -> TokenId {
    format!("ecobox@pve!{name}").parse().unwrap()
}

fn removal(token: &TokenId) -> Removal {
    Removal { token: token.clone(), scope: Some(TokenScope::Operator) }
}

impl World {
    fn new() -> World {
        let mut world = World::default();
        world.host.insert(FOREIGN.parse().unwrap(), "theirs".to_owned());
        world
    }

    fn start(&self, goal: Goal) -> Start {
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

    fn revocation(&self) -> Goal {
        Goal::Revoke(self.stored.as_ref().map(|token| removal(&token.id)))
    }

    /// What pveum does; only the first call of several if `half`.
    fn visit(&mut self, request: &Request, half: bool) -> VisitAnswer {
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
                Ok(Done::Created(Created { token, made_user: false, role: None }))
            }
            _ => Ok(Done::Removed { user_removed: false }),
        };
        VisitAnswer { host: HostSide::default(), removed, absent, result, leftover: false }
    }

    /// What must be true at every moment.
    fn check(&self, trace: &str) {
        let foreign = FOREIGN.parse().unwrap();
        assert!(self.host.contains_key(&foreign), "a token of somebody else's is gone: {trace}");
        for token in self.host.keys().filter(|token| **token != foreign) {
            let known = self.intents.contains(token) || self.stored.as_ref().is_some_and(|stored| stored.id == *token);
            assert!(known, "{token} is leaked: {trace} {self:?}");
        }
    }

    /// The stored token works.
    fn check_stored(&self, trace: &str) {
        if let Some(stored) = &self.stored {
            let secret = self.host.get(&stored.id).map(String::as_str);
            assert_eq!(secret, Some(stored.secret.expose()), "the stored token is lost: {trace}");
        }
    }

    /// One run of setup-token, with a fault at one step. `None`: it was killed.
    fn run(&mut self, goal: &Goal, fault: Option<(usize, Fault)>) -> (usize, Option<Ending<&'static str>>) {
        let mut saga = Saga::new(self.start(goal.clone()));
        let mut step = saga.start();
        for number in 0..50 {
            let trace = format!("{goal:?} {fault:?} at {number}: {step:?}");
            let fault = fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            if fault == Some(Fault::KillBefore) {
                return (number, None);
            }
            let half = fault == Some(Fault::KillHalfway);
            let idle = matches!(fault, Some(Fault::Refused | Fault::Vanished));
            let fails = matches!(fault, Some(Fault::Refused | Fault::Vanished | Fault::Unheard | Fault::Denied));
            let write = |ok: ()| if fails { Err("no space left") } else { Ok(ok) };
            // A database's write that failed was not done.
            let event = match step {
                Step::End(ending) => return (number, Some(ending)),
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
                Step::Store(created, _) => {
                    let replaced = self.stored.as_ref().map(|token| removal(&token.id));
                    if !idle {
                        self.intents.extend(replaced.iter().map(|removal| removal.token.clone()));
                    }
                    if !half && !fails {
                        self.intents.remove(&created.token.id);
                        self.stored = Some(created.token);
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

    /// After a run without faults.
    fn check_made(&self, ending: &Ending<&'static str>, trace: &str) {
        assert!(ending.problem.is_none() && ending.left.is_empty(), "{trace} {ending:?}");
        assert_eq!(self.host.len(), 2, "exactly one token of ours: {trace} {self:?}");
        assert_eq!(ending.token, self.stored.as_ref().map(|token| token.id.clone()), "{trace}");
        assert!(self.stored.is_some() && self.trusted && self.intents.is_empty(), "{trace} {self:?}");
        self.check_stored(trace);
    }
}

/// Where a run may begin.
fn beginnings() -> Vec<(&'static str, World)> {
    let fresh = World::new();
    let mut stored = World::new();
    stored.run(&Goal::Create, None);
    let mut made = World::new();
    made.run(&Goal::Create, Some((1, Fault::KillAfter)));
    let mut intended = World::new();
    intended.run(&Goal::Create, Some((0, Fault::KillAfter)));
    let mut halfway = stored.clone();
    halfway.run(&Goal::Create, Some((2, Fault::KillHalfway)));
    let mut unverified = stored.clone();
    unverified.run(&Goal::Create, Some((4, Fault::Refused)));
    vec![
        ("nothing was there", fresh),
        ("a token is stored", stored),
        ("killed after a token was made", made),
        ("killed before a token was made", intended),
        ("killed while storing the next token", halfway),
        ("the next token was stored and not verified", unverified),
    ]
}

#[test]
fn whatever_happens_at_any_step_the_next_run_leaves_exactly_one_usable_token() {
    let mut cases = 0;
    for (name, world) in beginnings() {
        let (steps, ending) = world.clone().run(&Goal::Create, None);
        assert!(ending.is_some_and(|ending| ending.problem.is_none()), "{name}");
        for at in 0..steps {
            for fault in FAULTS {
                let mut world = world.clone();
                let trace = format!("{name}, {fault:?} at step {at}");
                let (_, ending) = world.run(&Goal::Create, Some((at, fault)));
                if let Some(ending) = ending {
                    // What is said to be left is what has an intent.
                    let known: BTreeSet<TokenId> = ending.left.iter().cloned().collect();
                    let ours = world.host.keys().filter(|token| token.to_string() != FOREIGN);
                    let stored = world.stored.as_ref().map(|token| &token.id);
                    let unsaid: Vec<_> =
                        ours.filter(|token| Some(*token) != stored && !known.contains(token)).collect();
                    let unfinished = matches!(ending.problem, Some(Problem::Unverified(_) | Problem::Trust(_)));
                    assert!(unsaid.is_empty() || unfinished, "{trace}: {unsaid:?} {ending:?}");
                }
                let (_, ending) = world.run(&Goal::Create, None);
                world.check_made(&ending.unwrap(), &trace);
                cases += 1;
            }
        }
    }
    assert!(cases >= 200, "{cases}");
}

#[test]
fn two_faults_one_after_the_other_lose_nothing_either() {
    for (name, world) in beginnings() {
        for first in 0..8 {
            for (fault, second) in FAULTS.into_iter().flat_map(|fault| (0..8).map(move |second| (fault, second))) {
                for next in FAULTS {
                    let mut world = world.clone();
                    world.run(&Goal::Create, Some((first, fault)));
                    world.run(&Goal::Create, Some((second, next)));
                    let (_, ending) = world.run(&Goal::Create, None);
                    let trace = format!("{name}, {fault:?} at {first}, {next:?} at {second}");
                    world.check_made(&ending.unwrap(), &trace);
                }
            }
        }
    }
}

#[test]
fn revoking_is_repeated_until_nothing_is_left() {
    for (name, world) in beginnings() {
        for at in 0..5 {
            for fault in FAULTS {
                let mut world = world.clone();
                world.run(&world.revocation(), Some((at, fault)));
                let (_, ending) = world.run(&world.revocation(), None);
                let trace = format!("{name}, {fault:?} at step {at}: {world:?}");
                assert!(ending.is_some_and(|ending| ending.problem.is_none()), "{trace}");
                assert_eq!(world.host.len(), 1, "{trace}");
                assert!(world.stored.is_none() && world.intents.is_empty(), "{trace}");
            }
        }
    }
}

#[test]
fn a_first_run_takes_these_steps() {
    let mut saga: Saga<&str> = Saga::new(World::new().start(Goal::Create));
    let Step::Intend(intended) = saga.start() else { panic!() };
    assert_eq!(intended.to_string(), "ecobox@pve!lap-0a1b2c");
    let Step::Visit(request) = saga.next(Event::Recorded(Ok(()))) else { panic!() };
    assert!(request.remove.is_empty());
    let answer = World::new().visit(&request, false);
    let Step::Store(created, _) = saga.next(Event::Visited(Ok(Box::new(answer)))) else { panic!() };
    assert_eq!(created.token.id, intended);
    assert!(!format!("{saga:?} {created:?}").contains("secret-1"));
    let Step::Learn = saga.next(Event::Stored(Ok(None))) else { panic!() };
    let Step::Verify = saga.next(Event::Learned(Ok(()))) else { panic!() };
    let excess = Comparison { missing: Vec::new(), excess: vec!["VM.Allocate".to_owned()] };
    let Step::End(ending) = saga.next(Event::Verified(Ok(excess.clone()))) else { panic!() };
    assert_eq!((ending.token, ending.comparison), (Some(intended), Some(excess)));
    assert!(ending.problem.is_none());
}

#[test]
fn a_new_token_that_may_too_little_leaves_the_old_one_for_now() {
    let mut world = World::new();
    world.run(&Goal::Create, None);
    let old = world.stored.clone().unwrap().id;
    let mut saga: Saga<&str> = Saga::new(world.start(Goal::Create));
    saga.start();
    let Step::Visit(request) = saga.next(Event::Recorded(Ok(()))) else { panic!() };
    assert!(request.remove.is_empty(), "the stored token serves until the new one does");
    saga.next(Event::Visited(Ok(Box::new(world.visit(&request, false)))));
    saga.next(Event::Stored(Ok(Some(removal(&old)))));
    saga.next(Event::Learned(Ok(())));
    let missing = Comparison { missing: vec!["VM.Audit".to_owned()], excess: Vec::new() };
    let Step::End(ending) = saga.next(Event::Verified(Ok(missing))) else { panic!() };
    assert!(matches!(ending.problem, Some(Problem::Missing)));
    assert_eq!(ending.left, [old]);
}

#[test]
fn failures_of_the_host_are_told_and_leave_nothing() {
    for failure in [Failure::NoQuorum, Failure::NotPve, Failure::PmxcfsDown, Failure::Busy] {
        let mut saga: Saga<&str> = Saga::new(World::new().start(Goal::Create));
        let Step::Intend(intended) = saga.start() else { panic!() };
        saga.next(Event::Recorded(Ok(())));
        let result = Err(failure.clone());
        let answer =
            VisitAnswer { host: HostSide::default(), removed: Vec::new(), absent: Vec::new(), result, leftover: false };
        let Step::Clear(cleared) = saga.next(Event::Visited(Ok(Box::new(answer)))) else { panic!() };
        assert_eq!(cleared, [intended]);
        let Step::End(ending) = saga.next(Event::Recorded(Ok(()))) else { panic!() };
        assert!(matches!(ending.problem, Some(Problem::Host(why)) if why == failure));
        assert!(ending.left.is_empty() && ending.token.is_none());
    }
}

#[test]
fn a_name_that_is_taken_is_left_alone_and_another_one_tried() {
    let mut world = World::new();
    for generation in 1..4 {
        world.host.insert(id(&token_name("lap", "0a1b2c", generation)), "theirs".to_owned());
    }
    let mut saga: Saga<&str> = Saga::new(world.start(Goal::Create));
    let mut step = saga.start();
    let mut steps = Vec::new();
    loop {
        let event = match &step {
            Step::Intend(token) => {
                steps.push(token.name.clone());
                Event::Recorded(Ok(()))
            }
            Step::Clear(_) => Event::Recorded(Ok(())),
            Step::Visit(request) => Event::Visited(Ok(Box::new(world.visit(request, false)))),
            _ => break,
        };
        step = saga.next(event);
    }
    assert_eq!(steps, ["lap-0a1b2c", "lap-0a1b2c-2", "lap-0a1b2c-3", "lap-0a1b2c-4"]);
    assert_eq!(world.host.values().filter(|secret| *secret == "theirs").count(), 4);
    assert!(matches!(step, Step::Store(..)));

    let mut taken: Saga<&str> = Saga::new(World::new().start(Goal::Create));
    let mut step = taken.start();
    while !matches!(step, Step::End(_)) {
        let event = match &step {
            Step::Visit(Request { action: Action::Create { token, .. }, .. }) => {
                let result = Err(Failure::TokenExists(token.clone()));
                Event::Visited(Ok(Box::new(VisitAnswer {
                    host: HostSide::default(),
                    removed: Vec::new(),
                    absent: Vec::new(),
                    result,
                    leftover: false,
                })))
            }
            _ => Event::Recorded(Ok(())),
        };
        step = taken.next(event);
    }
    assert!(matches!(step, Step::End(Ending { problem: Some(Problem::NamesTaken), .. })));
}

#[test]
fn an_answer_to_another_step_ends_it() {
    let mut saga: Saga<&str> = Saga::new(World::new().start(Goal::Create));
    saga.start();
    let step = saga.next(Event::Learned(Ok(())));
    assert!(matches!(step, Step::End(Ending { problem: Some(Problem::OutOfStep), .. })));
}

#[test]
fn a_login_name_that_proxmox_ve_cannot_have_is_said() {
    let start = Start { scope: TokenScope::Full, ssh_user: "a:b".to_owned(), ..World::new().start(Goal::Create) };
    let mut saga: Saga<&str> = Saga::new(start);
    assert!(matches!(saga.start(), Step::End(Ending { problem: Some(Problem::Name(_)), .. })));
}

#[test]
fn what_a_script_that_nobody_hears_may_yet_make_keeps_its_intent() {
    let mut world = World::new();
    let mut saga: Saga<&str> = Saga::new(world.start(Goal::Create));
    let Step::Intend(intended) = saga.start() else { panic!() };
    assert!(matches!(saga.next(Event::Recorded(Ok(()))), Step::Visit(_)));
    // The connection is gone, and the script waits for PVE's lock.
    let Step::Visit(undo) = saga.next(Event::Visited(Err(Lost::Unknown("connection lost")))) else { panic!() };
    let Step::End(ending) = saga.next(Event::Visited(Ok(Box::new(world.visit(&undo, false))))) else { panic!() };
    assert_eq!((ending.left, ending.removed), (vec![intended], Vec::new()));
}
