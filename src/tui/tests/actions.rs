//! Actions on the screen: asked for, planned, agreed to, abandoned.

use std::time::Duration;

use super::*;
use crate::model::power::{Policy, Remedy};
use crate::tui::state::Mode;

fn id(text: &str) -> crate::model::id::ServerId {
    text.parse().unwrap()
}

fn prepare(number: u64, action: PowerAction, servers: Vec<crate::model::id::ServerId>, choices: Choices) -> Effect {
    Effect::Prepare { number, action, servers, choices }
}

#[test]
fn actions_are_asked_for_and_need_a_plan() {
    for (letter, action) in [
        ("s", PowerAction::Start),
        ("h", PowerAction::Shutdown),
        ("r", PowerAction::Reboot),
        ("z", PowerAction::Suspend),
        ("w", PowerAction::Wake),
    ] {
        let mut state = screen(SETUP, (80, 24), fleet());
        press(&mut state, "j");
        let want = prepare(1, action, vec![id("pve1-vm-101")], Choices::default());
        assert_eq!(press(&mut state, letter), [want], "{letter}");
        assert!(text(&state).contains("running safety checks"));
        // One at a time; `y` before there is a question is nothing.
        assert_eq!(press(&mut state, "sy"), []);
        let plan = plan(&state, 1, vec![]);
        assert_eq!(update(&mut state, Event::Plan(plan)), []);
        assert_eq!(press(&mut state, "y"), [Effect::Carry { number: 1 }], "{letter}");
        assert_eq!((state.mode.clone(), state.request.clone()), (Mode::Browse, None));
    }
}

#[test]
fn everything_but_the_answer_abandons() {
    let asked = |changes, findings| {
        let mut state = screen(SETUP, (80, 24), fleet());
        press(&mut state, "jh");
        let plan = plan(&state, changes, findings);
        update(&mut state, Event::Plan(plan));
        state
    };
    let abandoned = vec![Effect::Abandon { number: 1 }];
    let wrong = [KeyCode::Char('n'), KeyCode::Char('q'), KeyCode::Char('Y'), KeyCode::Esc, KeyCode::Enter];
    for key in wrong.into_iter().chain([KeyCode::Char(' '), KeyCode::Char('1'), KeyCode::Tab]) {
        let mut state = asked(1, vec![]);
        assert_eq!(update(&mut state, code(key)), abandoned, "{key:?}");
        assert_eq!(state.message.as_deref(), Some("shutdown: not confirmed, nothing was sent"));
    }
    // Held keys are no answer.
    assert_eq!(update(&mut asked(1, vec![]), control('y')), abandoned);
    // The number of servers must be typed.
    for (letters, effects) in [
        ("y", abandoned.clone()),
        ("3\n", vec![Effect::Carry { number: 1 }]),
        ("33\n", abandoned.clone()),
        ("2\n", abandoned.clone()),
        ("33\u{8}\n", vec![Effect::Carry { number: 1 }]),
        ("\n", abandoned.clone()),
        ("3x", abandoned.clone()),
    ] {
        let mut state = asked(3, vec![]);
        let key = |letter| match letter {
            '\n' => KeyCode::Enter,
            '\u{8}' => KeyCode::Backspace,
            letter => KeyCode::Char(letter),
        };
        let got: Vec<_> = letters.chars().flat_map(|letter| update(&mut state, code(key(letter)))).collect();
        assert_eq!(got, effects, "{letters:?}");
    }
    // What is found against it is final here, and says what to type instead.
    let mut state = asked(1, vec![finding()]);
    let shown = text(&state);
    for want in [
        "a backup of it runs since 12 minutes",
        "wait until it has ended; or add `--allow backup-running`",
        "ecobox power shutdown pve1-vm-101 --allow backup-running",
    ] {
        assert!(shown.contains(want), "{want}\n{shown}");
    }
    assert_eq!(press(&mut state, "y"), abandoned);
    // What is allowed does not refuse.
    let mut allowed = finding();
    allowed.allowed = true;
    assert_eq!(press(&mut asked(1, vec![allowed]), "y"), [Effect::Carry { number: 1 }]);
    // Nothing to do is nothing to agree to.
    assert_eq!(press(&mut asked(0, vec![]), "y"), abandoned);
}

/// A host with guests on it, which nothing would wake: both can be fixed; somebody is logged in besides.
fn refused_host(state: &State, logged_in: bool) -> Plan {
    let host = id("pve1");
    let found = |fault, message: &str, remedy| {
        let message = message.to_owned();
        Finding { message, remedy, ..Finding::of(fault, &host) }
    };
    let users = found(Fault::logged_in(&[]), "logged in: root on tty1", None);
    let mut findings: Vec<Finding> = Some(users).filter(|_| logged_in).into_iter().collect();
    let guests = Fault::guests_would_end("2 guests run", "vm-101 (web)");
    findings.push(found(guests, "2 guests run on it: vm-101 (web)", Some(Remedy::Guests)));
    findings.push(found(Fault::wol_off("eno1"), "Wake-on-LAN is off", Some(Remedy::ArmWol)));
    Plan { offers: Offers { guests: true, arm_wol: true, then_stop: false }, ..plan(state, 1, findings) }
}

#[test]
fn what_fixes_a_plan_is_said_first_and_can_be_chosen() {
    let mut state = screen(SETUP, (100, 40), fleet());
    press(&mut state, "z");
    let first = refused_host(&state, true);
    update(&mut state, Event::Plan(first));
    let shown = text(&state);
    let at = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words}\n{shown}"));
    assert!(at("press g") < at("ecobox power suspend pve1 --guests shutdown --arm-wol "), "{shown}");
    assert!(at("--arm-wol ") < at("--guests shutdown --arm-wol --allow logged-in-users"), "{shown}");
    // What a fix removes is nothing to override.
    assert!(!shown.contains("--allow running-guests") && !shown.contains("--allow wol-not-armed"), "{shown}");
    assert!(shown.contains("refused; g and a change the plan"), "{shown}");
    // Each choice makes another plan, and the one before is not wanted any more.
    let choose = |guests, arm_wol| Choices { guests, arm_wol, then_stop: false };
    let again = |number, choices| {
        vec![Effect::Abandon { number: number - 1 }, prepare(number, PowerAction::Suspend, vec![id("pve1")], choices)]
    };
    assert_eq!(press(&mut state, "g"), again(2, choose(Some(Policy::Shutdown), false)));
    assert!(text(&state).contains("planning again"), "{}", text(&state));
    // Whoever answers now means the old one.
    assert_eq!(press(&mut state, "y"), []);
    assert_eq!(press(&mut state, "a"), again(3, choose(Some(Policy::Shutdown), true)));
    // The answer to the one in between comes late.
    let late = Plan { number: 2, ..plan(&state, 3, vec![]) };
    assert_eq!(update(&mut state, Event::Plan(late)), [Effect::Abandon { number: 2 }]);
    assert_eq!(press(&mut state, "3y"), []);
    let offers = Offers { guests: true, arm_wol: true, then_stop: true };
    let good = Plan { offers, ..plan(&state, 3, vec![]) };
    update(&mut state, Event::Plan(good));
    let shown = text(&state);
    assert!(shown.contains("they are shut down first") && shown.contains("is armed first"), "{shown}");
    let stop = Choices { then_stop: true, ..choose(Some(Policy::Shutdown), true) };
    assert_eq!(press(&mut state, "t"), again(4, stop));
    let good = Plan { offers, ..plan(&state, 3, vec![]) };
    update(&mut state, Event::Plan(good));
    assert_eq!(press(&mut state, "3y"), [Effect::Carry { number: 4 }]);
    assert_eq!(state.mode, Mode::Browse);
}

#[test]
fn who_chooses_may_still_leave() {
    let mut state = screen(SETUP, (100, 40), fleet());
    press(&mut state, "z");
    let first = refused_host(&state, false);
    update(&mut state, Event::Plan(first));
    // All of it can be fixed: no override is named.
    assert!(!text(&state).contains("--allow"), "{}", text(&state));
    press(&mut state, "ggg");
    assert_eq!(state.request.as_ref().unwrap().choices.guests, Some(Policy::Leave));
    press(&mut state, "g");
    assert_eq!(state.request.as_ref().unwrap().choices, Choices::default());
    assert_eq!(update(&mut state, code(KeyCode::Esc)), [Effect::Abandon { number: 5 }]);
    assert_eq!((state.mode.clone(), state.request.clone()), (Mode::Browse, None));
    // Where there is no plan any more there is no dialogue either.
    press(&mut state, "z");
    let first = refused_host(&state, false);
    update(&mut state, Event::Plan(first));
    press(&mut state, "a");
    update(&mut state, Event::NoPlan { number: 7, why: "pve1 is gone".to_owned() });
    assert_eq!((state.mode.clone(), state.message.as_deref()), (Mode::Browse, Some("pve1 is gone")));
    // What offers nothing takes no choice.
    press(&mut state, "jh");
    let one = plan(&state, 1, vec![]);
    update(&mut state, Event::Plan(one));
    assert_eq!(press(&mut state, "g"), [Effect::Abandon { number: 8 }]);
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "jh");
    let late = plan(&state, 1, vec![]);
    assert_eq!(update(&mut state, code(KeyCode::Esc)), [Effect::Abandon { number: 1 }]);
    press(&mut state, "jr");
    assert_eq!(update(&mut state, Event::Plan(late)), [Effect::Abandon { number: 1 }]);
    assert_eq!(state.mode, Mode::Browse);
    update(&mut state, Event::NoPlan { number: 1, why: "late".to_owned() });
    assert!(state.request.is_some());
    update(&mut state, Event::NoPlan { number: 2, why: "the servers need each other".to_owned() });
    assert_eq!((state.request.clone(), state.message.as_deref()), (None, Some("the servers need each other")));
}

#[test]
fn a_letter_for_the_filter_is_no_answer() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "jh/m");
    let one = plan(&state, 1, vec![]);
    update(&mut state, Event::Plan(one.clone()));
    assert_eq!(press(&mut state, "y"), []);
    assert_eq!(state.filter.text, "my");
    assert!(text(&state).contains("a plan is ready"));
    // When the keys are free it is asked.
    update(&mut state, code(KeyCode::Esc));
    assert!(matches!(state.mode, Mode::Dialogue { .. }));
    assert_eq!(press(&mut state, "y"), [Effect::Carry { number: 1 }]);
    // Who leaves in between has not agreed.
    press(&mut state, "h/");
    update(&mut state, Event::Plan(Plan { number: 2, ..one }));
    assert_eq!(update(&mut state, control('c')), [Effect::Abandon { number: 2 }, Effect::Quit]);
}

#[test]
fn marks_say_whom_it_is_for() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "j  k");
    update(&mut state, code(KeyCode::Home));
    let servers = vec![id("pve1-vm-101"), id("pve1-vm-102")];
    let want = [prepare(1, PowerAction::Start, servers, Choices::default())];
    assert_eq!(press(&mut state, "s"), want);
    // Those that are out of sight are said to be there.
    update(&mut state, code(KeyCode::Esc));
    press(&mut state, "/kind=host");
    assert!(text(&state).contains("2 marked (2 not in sight)"), "{}", text(&state));
}

#[test]
fn read_only_has_no_actions() {
    let mut state = screen(Setup { read_only: true, ..SETUP }, (120, 40), fleet());
    assert_eq!(press(&mut state, "shrzw sss"), []);
    assert!(state.marked.is_empty() && state.message.is_none());
    assert!(!text(&state).contains("shutdown"));
    press(&mut state, "?");
    let shown = text(&state);
    for word in ["start:", "shut down", "reboot", "suspend", "wake", "mark"] {
        assert!(!shown.contains(word), "{word}\n{shown}");
    }
    assert!(shown.contains("filter"));
}

#[test]
fn progress_is_seen_and_ends() {
    let mut state = screen(SETUP, (80, 24), fleet());
    let server = id("pve1-vm-101");
    update(&mut state, Event::Progress { server: server.clone(), text: "waits for its end".to_owned(), of: None });
    assert!(text(&state).contains("waits for its end"));
    assert!(text(&state).contains("> wait"));
    // How long it takes, and may take; what it does may change meanwhile.
    let of = Some(Duration::from_secs(300));
    update(&mut state, Event::Tick(at(11)));
    update(&mut state, Event::Progress { server: server.clone(), text: "waiting for pve2 to answer".to_owned(), of });
    update(&mut state, Event::Tick(at(15)));
    assert!(text(&state).contains("waiting for pve2 to answer, 12 s of 5 min"), "{}", text(&state));
    update(&mut state, Event::Over { server: server.clone() });
    assert!(!text(&state).contains("of 5 min"));
    update(&mut state, Event::Ended { server: server.clone(), good: false, text: "no answer".to_owned() });
    assert!(state.progress.is_empty());
    assert!(text(&state).contains("✖ pve1-vm-101: no answer (Esc: read)"));
    update(&mut state, Event::Ended { server: server.clone(), good: true, text: "shutdown done".to_owned() });
    // What goes well afterwards does not hide it.
    assert!(text(&state).contains("pve1-vm-101: shutdown done"));
    assert!(text(&state).contains("✖ pve1-vm-101: no answer"));
    assert_eq!(update(&mut state, code(KeyCode::Esc)), []);
    assert!(!text(&state).contains("no answer (Esc"));
    for _ in 0..100 {
        update(&mut state, Event::Ended { server: server.clone(), good: false, text: String::new() });
    }
    assert_eq!(state.failed.len(), 20);
    update(&mut state, Event::Message("the fleet sleeps".to_owned()));
    assert!(text(&state).contains("the fleet sleeps"));
}
