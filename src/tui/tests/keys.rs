//! What keys and events change.

use super::*;
use crate::tui::state::{Mode, Order};

fn id(text: &str) -> crate::model::id::ServerId {
    text.parse().unwrap()
}

#[test]
fn the_cursor_moves_and_the_chosen_one_is_asked_about() {
    let mut state = screen(SETUP, (80, 24), fleet());
    assert_eq!(names(&state)[..3], ["pve1", "web", "db"]);
    let cases: &[(Event, &str)] = &[
        (code(KeyCode::Char('j')), "web"),
        (code(KeyCode::Down), "db"),
        (code(KeyCode::Char('k')), "web"),
        (code(KeyCode::Up), "pve1"),
        (code(KeyCode::Up), "pve1"),
        (code(KeyCode::Char('G')), "nas"),
        (code(KeyCode::Char('g')), "pve1"),
        (code(KeyCode::End), "nas"),
        (code(KeyCode::Down), "nas"),
        (code(KeyCode::Home), "pve1"),
        (code(KeyCode::PageDown), "nas"),
        (code(KeyCode::PageUp), "pve1"),
        (control('f'), "nas"),
        (control('b'), "pve1"),
        (control('n'), "web"),
        (control('p'), "pve1"),
    ];
    for (event, want) in cases {
        let before = state.chosen.clone();
        let effects = update(&mut state, event.clone());
        assert_eq!(chosen(&state), *want, "{event:?}");
        let asked = state.chosen.clone().filter(|_| state.chosen != before).map(Effect::Detail);
        assert_eq!(effects, Vec::from_iter(asked), "{event:?}");
    }
}

#[test]
fn ways_out() {
    for (event, want) in [
        (code(KeyCode::Char('q')), vec![Effect::Quit]),
        (code(KeyCode::Esc), vec![]),
        (control('c'), vec![Effect::Quit]),
        (control('q'), vec![]),
        (code(KeyCode::F(5)), vec![Effect::Refresh]),
        (control('r'), vec![Effect::Refresh]),
    ] {
        let mut state = screen(SETUP, (80, 24), fleet());
        assert_eq!(update(&mut state, event.clone()), want, "{event:?}");
    }
    // ^C goes from everywhere.
    for letters in ["/", "?", "s"] {
        let mut state = screen(SETUP, (80, 24), fleet());
        press(&mut state, letters);
        assert_eq!(update(&mut state, control('c')).last(), Some(&Effect::Quit), "{letters}");
    }
    // Esc first takes back what there is.
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "/kind=guest");
    update(&mut state, code(KeyCode::Enter));
    press(&mut state, " ");
    assert_eq!((state.marked.len(), state.rows.len()), (1, 5));
    assert_eq!(update(&mut state, code(KeyCode::Esc)), []);
    assert_eq!((state.marked.len(), state.rows.len()), (0, 5));
    update(&mut state, code(KeyCode::Esc));
    assert_eq!(state.rows.len(), 8);
    assert_eq!(update(&mut state, code(KeyCode::Esc)), []);
}

#[test]
fn hosts_fold() {
    let mut state = screen(SETUP, (80, 24), fleet());
    update(&mut state, code(KeyCode::Left));
    assert_eq!(names(&state), ["pve1", "pve2", "lost", "nas"]);
    assert!(text(&state).contains("▸ pve1 +4"), "{}", text(&state));
    update(&mut state, code(KeyCode::Right));
    assert_eq!(state.rows.len(), 8);
    // From a guest to its host, and then that folds.
    press(&mut state, "jj");
    update(&mut state, code(KeyCode::Left));
    assert_eq!((chosen(&state), state.rows.len()), ("pve1", 8));
    press(&mut state, "f");
    assert_eq!(state.rows.len(), 4);
    press(&mut state, "f");
    assert_eq!(state.rows.len(), 8);
    press(&mut state, "jF");
    assert_eq!((names(&state), chosen(&state)), (vec!["pve1", "pve2", "nas"], "pve1"));
    // What is folded away and alarms is not hidden.
    assert!(text(&state).contains("▸ pve2 +1 1!"), "{}", text(&state));
    press(&mut state, "F");
    assert_eq!(state.rows.len(), 8);
    press(&mut state, "t");
    assert!(state.rows.iter().all(|row| row.depth == 0 && row.below == 0));
}

#[test]
fn rows_are_sorted_under_their_hosts() {
    let mut many = fleet();
    many.servers[1].seen.usage.cpu_percent = Some(40.0);
    many.servers[2].seen.usage.cpu_percent = Some(70.0);
    for (letters, want) in [
        ("N", "nas pve1 104 db web 103 pve2 lost"),
        ("NN", "pve2 lost pve1 103 web db 104 nas"),
        ("S", "nas pve1 db 103 104 web pve2 lost"),
        ("C", "pve1 db web 103 104 pve2 lost nas"),
        ("CC", "pve2 lost pve1 web db 103 104 nas"),
        ("M", "pve1 web db 103 104 pve2 lost nas"),
        ("A", "pve2 lost pve1 web db 103 104 nas"),
        ("AO", "pve1 web db 103 104 pve2 lost nas"),
        ("O", "nas pve2 lost pve1 104 103 db web"),
    ] {
        let mut state = screen(SETUP, (80, 24), many.clone());
        press(&mut state, letters);
        let short = |name: &str| match name {
            name if name.contains("evil") => "104".to_owned(),
            name if name.starts_with('数') => "103".to_owned(),
            name => name.to_owned(),
        };
        let got: Vec<String> = names(&state).into_iter().map(short).collect();
        assert_eq!(got.join(" "), want, "{letters}");
        assert_eq!(chosen(&state), "pve1", "{letters}");
    }
    let mut state = screen(SETUP, (80, 24), many);
    press(&mut state, "tC");
    assert_eq!(names(&state)[..3], ["pve1", "db", "web"]);
    assert_eq!((state.order, state.reversed), (Order::Cpu, false));
}

#[test]
fn the_filter_is_live_and_keeps_the_last_good_one() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "/");
    for (letter, rows, wrong) in [
        ("w", 5, false),
        ("e", 1, false),
        ("b", 1, false),
        (" ", 1, false),
        ("d", 4, false),
        ("b", 2, false),
        (" ", 2, false),
        ("t", 8, false),
        ("a", 2, false),
        ("g", 2, false),
        ("=", 2, true),
        ("x", 2, false),
        (",", 2, false),
        ("z", 2, false),
        ("=", 2, true),
    ] {
        press(&mut state, letter);
        assert_eq!((state.rows.len(), state.filter.error.is_some()), (rows, wrong), "{}", state.filter.text);
    }
    assert!(text(&state).contains("? unknown selector `z=`"), "{}", text(&state));
    // Letters are letters: none of them is an action.
    assert_eq!(state.request, None);
    // Enter keeps what is shown.
    update(&mut state, code(KeyCode::Enter));
    assert_eq!((state.filter.text.as_str(), state.filter.error.as_deref()), ("web db tag=x,z", None));
    assert_eq!((state.mode.clone(), names(&state)), (Mode::Browse, vec!["web", "db"]));
    // Esc takes back what was typed since.
    press(&mut state, "/");
    for _ in 0..3 {
        update(&mut state, control('w'));
    }
    assert_eq!((state.filter.text.as_str(), state.rows.len()), ("", 8));
    press(&mut state, "kind=host");
    assert_eq!(names(&state), ["pve1", "pve2", "nas"]);
    update(&mut state, code(KeyCode::Esc));
    assert_eq!(names(&state), ["web", "db"]);
    // Whom the words select may change; who leaves is not shown, and nobody else comes.
    let mut fewer = fleet();
    fewer.servers.retain(|server| server.name != "db");
    fewer.sort();
    update(&mut state, Event::Fleet(Box::new(fewer)));
    assert_eq!(names(&state), ["web"]);
    update(&mut state, Event::Fleet(Box::new(fleet())));
    assert_eq!(names(&state), ["web", "db"]);
}

#[test]
fn what_is_pasted_is_never_a_key() {
    let mut state = screen(SETUP, (80, 24), fleet());
    assert_eq!(update(&mut state, Event::Paste("hyq".to_owned())), []);
    assert_eq!((state.request.clone(), state.mode.clone()), (None, Mode::Browse));
    press(&mut state, "/");
    update(&mut state, Event::Paste("web\n\u{1b}".to_owned()));
    assert_eq!((state.filter.text.as_str(), names(&state)), ("web  ", vec!["web"]));
    update(&mut state, Event::Paste("x".repeat(10_000)));
    assert_eq!(state.filter.text.chars().count(), 200);
}

#[test]
fn the_chosen_one_stays_chosen_and_logs_are_of_it() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "jj");
    let mut other = fleet();
    other.servers.retain(|server| server.name != "web");
    other.servers.insert(0, seen("aaa", None, None, "aaa", PowerState::Online));
    other.sort();
    assert_eq!(update(&mut state, Event::Fleet(Box::new(other))), []);
    assert_eq!(chosen(&state), "db");
    update(&mut state, log("pve1-vm-101"));
    assert!(state.log.events.is_empty());
    update(&mut state, log("pve1-vm-102"));
    assert_eq!(state.log.events.len(), 2);
    press(&mut state, "j");
    assert!(state.log.events.is_empty());
    // All leave.
    assert_eq!(update(&mut state, Event::Fleet(Box::default())), []);
    assert_eq!((state.chosen.clone(), state.rows.len(), state.samples.len()), (None, 0, 0));
    press(&mut state, "jkGgs fFtd[]");
}

#[test]
fn memory_stays_flat() {
    let mut state = screen(SETUP, (80, 24), fleet());
    for _ in 0..5 {
        update(&mut state, wave("nas"));
    }
    update(&mut state, wave("a stranger"));
    assert_eq!(state.samples.len(), 1);
    assert_eq!(state.samples.values().next().unwrap().last(usize::MAX).count(), 121);
}

#[test]
fn old_answers_are_said_to_be_old() {
    let mut state = screen(SETUP, (120, 60), fleet());
    assert!(text(&state).contains("~ 1 server with old answers: pve2"), "{}", text(&state));
    assert!(text(&state).contains("~12m08s"));
    update(&mut state, Event::Tick(at(11)));
    assert!(text(&state).contains("~ 7 servers with old answers"), "{}", text(&state));
    // A stamp from the future is not fresh for ever.
    update(&mut state, Event::Tick(at(-3600)));
    assert!(text(&state).contains("servers with old answers"));
    assert!(text(&state).contains("~-"));
}

#[test]
fn help_and_details_scroll() {
    let mut state = screen(SETUP, (80, 24), fleet());
    press(&mut state, "?");
    assert_eq!(state.mode, Mode::Help { top: 0 });
    update(&mut state, code(KeyCode::End));
    assert!(text(&state).contains("- unknown"), "{}", text(&state));
    press(&mut state, "x");
    assert_eq!(state.mode, Mode::Browse);
    press(&mut state, "j");
    update(&mut state, log("pve1-vm-101"));
    press(&mut state, "]]]]]]]]]]]]]]]]]]]]]]]]]]");
    assert!(text(&state).contains("shutdown: done (anna"), "{}", text(&state));
    press(&mut state, "[");
    press(&mut state, "d");
    assert!(!text(&state).contains("address"));
    update(&mut state, code(KeyCode::Enter));
    assert!(state.pane);
}

#[test]
fn something_is_drawn_after_each_event() {
    let mut state = screen(SETUP, (80, 24), fleet());
    for event in [Event::Tick(at(4)), code(KeyCode::Down), Event::Resize(90, 30), wave("nas")] {
        state.dirty = false;
        update(&mut state, event);
        assert!(state.dirty);
    }
}

#[test]
fn the_mouse_chooses_and_scrolls_and_never_answers() {
    let mut state = screen(SETUP, (80, 24), fleet());
    let rows = crate::tui::layout::Areas::of(&state).rows;
    let line = |i: u16| rows.y + i;
    update(&mut state, mouse(0, 20, line(2)));
    assert_eq!(chosen(&state), "db");
    // Beside the list nothing is chosen.
    update(&mut state, mouse(0, 20, 0));
    update(&mut state, mouse(0, 20, line(8)));
    assert_eq!(chosen(&state), "db");
    // The wheel goes on and back, to the ends.
    update(&mut state, mouse(1, 20, line(0)));
    assert_eq!(chosen(&state), "pve2");
    for _ in 0..9 {
        update(&mut state, mouse(1, 20, line(0)));
    }
    assert_eq!(chosen(&state), "nas");
    for _ in 0..9 {
        update(&mut state, mouse(2, 20, line(0)));
    }
    assert_eq!(chosen(&state), "pve1");
    // The sign of a host folds it.
    update(&mut state, mouse(0, 2, line(0)));
    assert_eq!(names(&state), ["pve1", "pve2", "lost", "nas"]);
    update(&mut state, mouse(0, 2, line(0)));
    assert_eq!(state.rows.len(), 8);
    // Over the detail the wheel scrolls that.
    press(&mut state, "j");
    update(&mut state, log("pve1-vm-101"));
    let pane = crate::tui::layout::Areas::of(&state).pane;
    update(&mut state, mouse(1, 20, pane.y + 2));
    assert_eq!((state.pane_top, chosen(&state)), (3, "web"));
    // A dialogue is neither agreed to nor left.
    press(&mut state, "h");
    let one = plan(&state, 1, vec![]);
    update(&mut state, Event::Plan(one));
    for kind in 0..3 {
        assert_eq!(update(&mut state, mouse(kind, 20, 12)), []);
    }
    assert!(matches!(state.mode, Mode::Dialogue { .. }));
    assert_eq!(press(&mut state, "y"), [Effect::Carry { number: 1 }]);
}

#[test]
fn the_clock_says_when_somebody_is_looked_at_next() {
    let mut state = screen(SETUP, (80, 24), fleet());
    state.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    update(&mut state, Event::Next(at(7)));
    let time = state.zone.to_datetime(at(3)).strftime("%H:%M:%S").to_string();
    assert!(text(&state).contains(&format!("{time}, next look in 4 s")), "{}", text(&state));
    update(&mut state, Event::Tick(at(8)));
    assert!(text(&state).contains(", looking"), "{}", text(&state));
    update(&mut state, Event::Resize(40, 12));
    assert!(!text(&state).contains("looking"), "{}", text(&state));
}

#[test]
fn each_trouble_is_one_line_and_they_are_counted_as_everywhere() {
    let mut broken = fleet();
    broken.servers[1].seen.checks = vec![check("http", 80, Some(false)), check("ssh", 22, Some(false))];
    broken.servers[1].seen.state = PowerState::Running;
    let mut state = screen(SETUP, (120, 60), broken.clone());
    let servers: Vec<&Server> = broken.servers.iter().collect();
    let troubles = crate::model::inventory::problems::troubles(&servers, &broken.failures);
    let shown = text(&state);
    assert!(shown.contains(&format!("!{} troubles", troubles.len())), "{shown}");
    for trouble in &troubles {
        assert_eq!(shown.matches(&trouble.text).count(), 1, "{}\n{shown}", trouble.text);
    }
    // What this screen did is none of them.
    update(&mut state, Event::Ended { server: id("nas"), good: false, text: "no answer".to_owned() });
    assert!(text(&state).contains(&format!("!{} troubles", troubles.len())));
}
