mod world;

use std::collections::BTreeSet;

use self::world::{FAULTS, FOREIGN, Fault, World, id, removal};
use super::*;
use crate::fleet::onboard::answer::HostSide;
use crate::model::access::scope::TokenScope;

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
    let Step::Store(token, _) = saga.next(Event::Visited(Ok(Box::new(answer)))) else { panic!() };
    assert_eq!(token.id, intended);
    assert!(!format!("{saga:?} {token:?}").contains("secret-1"));
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
