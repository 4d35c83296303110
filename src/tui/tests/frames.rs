//! Whole screens as snapshots, and how long one takes.

use std::time::Instant;

use ratatui::style::Color;

use super::*;

/// A screen with measurements and a log, at its first guest.
fn full(setup: Setup, size: (u16, u16)) -> State {
    let mut state = screen(setup, size, fleet());
    for server in ["pve1", "pve1-vm-101", "pve2"] {
        update(&mut state, wave(server));
    }
    press(&mut state, "j");
    update(&mut state, log("pve1-vm-101"));
    state
}

#[test]
fn screens() {
    for (name, size) in [("80x24", (80, 24)), ("120x40", (120, 40)), ("300x100", (300, 100))] {
        insta::assert_snapshot!(name, text(&full(SETUP, size)));
    }
    insta::assert_snapshot!("ascii", text(&full(Setup { utf8: false, ..SETUP }, (120, 40))));
    insta::assert_snapshot!("nobody", text(&screen(SETUP, (80, 24), Inventory::default())));
    insta::assert_snapshot!("many", text(&screen(SETUP, (80, 24), large(500))));
    insta::assert_snapshot!("not_yet", text(&State::new(SETUP, at(0))));
    for (name, size) in [("60x20", (60, 20)), ("40x12", (40, 12)), ("20x5", (20, 5))] {
        insta::assert_snapshot!(name, text(&full(SETUP, size)));
    }
    // There the detail stands in place of the list.
    let mut small = full(SETUP, (40, 12));
    update(&mut small, code(KeyCode::Enter));
    insta::assert_snapshot!("40x12_detail", text(&small));
}

#[test]
fn what_stands_over_them() {
    let mut state = full(SETUP, (80, 24));
    press(&mut state, "?");
    insta::assert_snapshot!("help", text(&state));
    press(&mut state, "?h");
    let mut one = plan(&state, 1, vec![finding()]);
    update(&mut state, Event::Plan(one.clone()));
    insta::assert_snapshot!("refused", text(&state));
    press(&mut state, "xh");
    one = plan(&state, 30, vec![]);
    update(&mut state, Event::Plan(one));
    press(&mut state, "3");
    insta::assert_snapshot!("question", text(&state));
    press(&mut state, "x/web pool=");
    insta::assert_snapshot!("filter", text(&state));
}

#[test]
fn without_colour_there_is_none() {
    let plain = full(Setup { color: false, ..SETUP }, (120, 40));
    let buffer = drawn(&plain);
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let colored = full(SETUP, (120, 40));
    assert!(drawn(&colored).content.iter().any(|cell| cell.fg == Color::Green));
    // And the letters are the same: nothing is said by colour.
    assert_eq!(text(&plain), text(&colored));
}

#[test]
fn numbers_say_how_sure_they_are() {
    let mut fleet = fleet();
    let web = fleet.servers.iter_mut().find(|server| server.name == "web").unwrap();
    (web.seen.lag, web.seen.at) = (Some(SignedDuration::from_secs(10)), Some(at(1)));
    web.seen.usage.memory_bytes = Some(Count::new(227 << 20));
    web.seen.usage.memory_max_bytes = Some(Count::new(128 << 20));
    (web.seen.state, web.seen.raw_status) = (PowerState::Hibernated, Some("stopped".into()));
    let mut state = screen(SETUP, (120, 40), fleet);
    press(&mut state, "j");
    let shown = text(&state);
    let row = shown.lines().find(|line| line.contains("✖https")).unwrap();
    assert!(row.contains("177%") && row.trim_end_matches(['"', ' ']).ends_with("<12s"), "{row}");
    assert!(shown.contains("hibernated; by api, age <12s") && !shown.contains("(stopped)"), "{shown}");
    assert!(shown.contains("227M of 128M (177%)"), "{shown}");
    // What is too old to be relied on is so in any case.
    update(&mut state, Event::Tick(at(50)));
    assert!(text(&state).contains("~59s"), "{}", text(&state));
}

#[test]
fn ascii_is_ascii() {
    let mut state = full(Setup { utf8: false, ..SETUP }, (120, 40));
    for letters in ["", "?", "x", "h"] {
        press(&mut state, letters);
        let plan = plan(&state, 3, vec![finding()]);
        update(&mut state, Event::Plan(plan));
        assert!(drawn(&state).content.iter().all(|cell| cell.symbol().is_ascii()), "{}", text(&state));
    }
}

#[test]
#[ignore = "prints a time: cargo test --release -- --ignored --nocapture how_long"]
fn how_long_a_frame_takes() {
    for size in [(80, 24), (120, 40), (300, 100)] {
        let mut state = screen(SETUP, size, large(500));
        let keys: Vec<String> = state.keys.iter().map(|key| key.0.clone()).collect();
        for key in &keys {
            update(&mut state, wave(key));
        }
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let frames = 200;
        let (mut updates, mut draws) = (0.0, 0.0);
        for i in 0..frames {
            let mut fleet = large(500);
            for server in fleet.servers.iter_mut().skip(i % 20).step_by(20) {
                server.seen.usage.cpu_percent = Some(f32::from(u8::try_from(i % 100).unwrap()));
            }
            let begin = Instant::now();
            update(&mut state, Event::Fleet(Box::new(fleet)));
            updates += begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            terminal.draw(|frame| draw(frame, &state)).unwrap();
            draws += begin.elapsed().as_secs_f64();
            update(&mut state, code(KeyCode::Down));
        }
        let each = |seconds: f64| seconds / f64::from(u32::try_from(frames).unwrap()) * 1000.0;
        println!("{size:?}: update {:.2} ms, draw {:.2} ms", each(updates), each(draws));
    }
}
