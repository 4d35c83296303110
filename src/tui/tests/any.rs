//! Whatever happens, in whatever order, on whatever size: nothing breaks, and nothing unsafe is drawn.

use proptest::prelude::*;

use super::*;
use crate::model::text::is_unsafe;

fn key() -> impl Strategy<Value = Event> {
    let letters =
        prop::sample::select("jkgGfFtd[]/?q sbhrzwONSCMA0123456789y=*!,xé数\u{202e}".chars().collect::<Vec<_>>());
    let others = prop::sample::select(vec![
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(1),
        KeyCode::F(5),
    ]);
    prop_oneof![
        6 => letters.prop_map(|letter| code(KeyCode::Char(letter))),
        4 => others.prop_map(code),
        1 => prop::sample::select("bdfnpruwhc".chars().collect::<Vec<_>>()).prop_map(control),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => key(),
        2 => (0..320_u16, 0..110_u16).prop_map(|(columns, lines)| Event::Resize(columns, lines)),
        2 => (0..320_u16, 0..110_u16, 0..3_usize).prop_map(|(column, row, kind)| mouse(kind, column, row)),
        1 => (-100_000..100_000_i64).prop_map(|second| Event::Next(at(second))),
        1 => (-100_000..100_000_i64).prop_map(|second| Event::Tick(at(second))),
        // Fleets that grow and shrink, in any mixture, with depths that fit nobody.
        2 => (prop::collection::vec(any::<bool>(), 8), 0..4_usize).prop_map(|(kept, depth)| {
            let mut fleet = fleet();
            let mut kept = kept.into_iter();
            fleet.servers.retain(|_| kept.next() == Some(true));
            if let Some(server) = fleet.servers.last_mut() {
                server.depth = depth;
            }
            Event::Fleet(Box::new(fleet))
        }),
        1 => (0..40_u32).prop_map(|guests| Event::Fleet(Box::new(large(guests)))),
        1 => prop::sample::select(vec!["pve1", "pve1-vm-101", "nas", "gone"]).prop_map(wave),
        1 => any::<f32>().prop_map(|number| Event::Samples {
            server: ServerKey("pve1".to_owned()),
            points: vec![Point {
                at: at(7),
                cpu_percent: Some(number),
                memory_percent: Some(number),
                receive: Some(number),
                transmit: Some(number),
            }],
        }),
        1 => prop::sample::select(vec!["pve1", "pve1-vm-101"]).prop_map(log),
        2 => (0..4_u64, 0..40_usize, any::<bool>()).prop_map(|(number, changes, refused)| Event::Plan(Plan {
            number,
            action: PowerAction::Suspend,
            changes,
            steps: (0..changes).map(|i| format!("step {i} \u{1b}]0;x\u{7} {}", "long ".repeat(i))).collect(),
            findings: if refused { vec![finding()] } else { vec![] },
            offers: Offers { guests: changes % 2 == 0, arm_wol: refused, then_stop: changes % 3 == 0 },
        })),
        1 => ".{0,200}".prop_map(Event::Message),
        1 => ".{0,40}".prop_map(Event::Paste),
        1 => ".{0,90}".prop_map(|text| Event::Progress { server: "pve1".parse().unwrap(), text, of: None }),
        1 => ".{0,90}".prop_map(|text| Event::Ended { server: "pve1".parse().unwrap(), good: false, text }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_breaks_it(
        events in prop::collection::vec(event(), 1..60), read_only: bool, color: bool, utf8: bool, lag: (u16, u16),
    ) {
        let mut state = screen(Setup { read_only, color, utf8, ..SETUP }, (80, 24), fleet());
        let mut agreed = Vec::new();
        for event in events {
            for effect in update(&mut state, event.clone()) {
                if let Effect::Carry { number } = effect {
                    // Only ever a plan that was shown, once, and by a key.
                    prop_assert!(matches!(event, Event::Key(_)) && !agreed.contains(&number) && !read_only);
                    agreed.push(number);
                }
            }
            prop_assert!(state.at < state.rows.len().max(1) && state.top <= state.at);
            let buffer = drawn(&state);
            for cell in &buffer.content {
                prop_assert!(!cell.symbol().contains(is_unsafe), "{:?}", cell.symbol());
                prop_assert!(utf8 || cell.symbol().is_ascii());
            }
        }
        // The terminal may have another size by now than the state knows.
        let mut terminal = Terminal::new(TestBackend::new(lag.0 % 320, lag.1 % 110)).unwrap();
        terminal.draw(|frame| draw(frame, &state)).unwrap();
    }
}
