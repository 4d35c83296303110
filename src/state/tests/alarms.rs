//! Alarms in the clocks of hosts.

use super::{at, key, server};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::model::power::outcome::AWAKE_BEFORE;
use crate::state::{Action, Alarm, State};

fn alarm(set: i64, wakes: i64) -> Alarm {
    Alarm { at: at(wakes), late: at(wakes + 60), set_at: at(set), shown: Some(17), sleeps: true }
}

#[test]
fn an_alarm_stands_until_its_host_is_seen_awake() {
    use PowerState::{Asleep, Offline, Online, Unknown};
    // When it was set and goes off, what was seen when, and what is left: the alarm, and whether it still sleeps.
    for (set, wakes, seen, state_seen, want) in [
        (1000, 9000, 2000, Asleep, Some(true)),
        (1000, 9000, 2000, Offline, Some(true)),
        (1000, 9000, 2000, Unknown, Some(true)),
        (1000, 9000, 2000, Online, Some(false)),
        // A look that began before it slept.
        (1000, 9000, 1030, Online, Some(true)),
        (1000, 9000, 990, Online, Some(true)),
        // Its time is over.
        (1000, 9000, 9000, Online, None),
        (1000, 9000, 9500, Offline, Some(true)),
    ] {
        let state = State::in_memory().unwrap();
        state.put_alarm(&server("nas"), &alarm(set, wakes)).unwrap();
        state.put_alarm(&server("nas2"), &alarm(set, wakes)).unwrap();
        state.record_states(&[(key("nas"), state_seen, Source::Tcp)], at(seen)).unwrap();
        let alarms = state.alarms().unwrap();
        assert_eq!(alarms.get(&server("nas")).map(|alarm| alarm.sleeps), want, "{seen} {state_seen}");
        assert_eq!(alarms[&server("nas2")], alarm(set, wakes));
        state.remove_alarm(&server("nas2")).unwrap();
        assert!(!state.alarms().unwrap().contains_key(&server("nas2")));
    }
}

#[test]
fn how_long_it_takes_is_known_from_its_last_wakes() {
    let state = State::in_memory().unwrap();
    assert_eq!(state.wake_seconds(&server("nas")).unwrap(), [] as [f64; 0]);
    let add = |name: &str, action: &str, outcome: &str, seconds, detail: Option<&str>| {
        let action = Action {
            at: at(1),
            server: Some(key(name)),
            action: action.to_owned(),
            by: String::new(),
            outcome: outcome.to_owned(),
            seconds,
            detail: detail.map(str::to_owned),
        };
        state.record_action(&action).unwrap();
    };
    add("nas", "wake", "done", Some(1.0), None);
    (0..9).for_each(|_| add("nas", "wake", "done", Some(30.0), Some("1 round of magic packets was sent")));
    add("nas", "wake", "done", Some(20.0), None);
    add("nas", "wake", "done", Some(0.1), Some(AWAKE_BEFORE));
    add("nas", "wake", "unconfirmed", Some(300.0), None);
    add("nas", "suspend", "done", Some(3.0), None);
    add("nas2", "wake", "done", Some(5.0), None);
    assert_eq!(state.wake_seconds(&server("nas")).unwrap(), [&[20.0][..], &[30.0; 9]].concat());
}
