use super::*;
use crate::model::host::idle::NeedKind;

const WINDOW: SignedDuration = SignedDuration::from_mins(30);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn smb() -> Vec<Need> {
    vec![Need::new(NeedKind::Connection, "SMB from 10.0.0.5")]
}

/// Looks at these minutes, each with whether somebody used the host.
fn looks(looks: &[(i64, bool)], awake_since: Option<i64>) -> IdleRecord {
    let mut last: Option<IdleRecord> = None;
    for (minute, used) in looks {
        let needs = if *used { smb() } else { Vec::new() };
        let look =
            Look { at: at(*minute), awake_since: awake_since.map(at), sleeps: Some(0), window: WINDOW, needs: &needs };
        last = Some(IdleRecord::after(last.as_ref(), &look));
    }
    last.unwrap()
}

fn every(step: usize, from: i64, to: i64) -> Vec<(i64, bool)> {
    (from..=to).step_by(step).map(|minute| (minute, false)).collect()
}

/// Why the host stays awake after these looks; nothing: it may sleep.
fn stays(record: &IdleRecord) -> String {
    record.verdict(WINDOW).stays.unwrap_or_default()
}

fn idle_for(span: &str) -> String {
    format!("idle for {span} of 30 min, as far as was seen")
}

#[test]
fn a_window_is_idle_as_far_as_it_was_seen() {
    assert_eq!(stays(&looks(&every(5, 0, 30), None)), "");
    assert_eq!(stays(&looks(&every(5, 0, 25), None)), idle_for("25 min"));
    assert_eq!(stays(&looks(&[(0, false)], None)), idle_for("0 s"));
    // A use in between begins it again.
    let used = [every(5, 0, 20), vec![(25, true)], every(5, 30, 50)].concat();
    assert_eq!(stays(&looks(&used, None)), idle_for("20 min") + "; needed 25 min ago: SMB from 10.0.0.5");
    let used = [every(5, 0, 20), vec![(25, true)], every(5, 30, 60)].concat();
    assert_eq!(stays(&looks(&used, None)), "");
    // What is used now needs no other reason.
    assert_eq!(stays(&looks(&[every(5, 0, 60), vec![(65, true)]].concat(), None)), "SMB from 10.0.0.5");
    // It was woken ten minutes ago.
    assert_eq!(stays(&looks(&every(5, 0, 30), Some(20))), idle_for("10 min"));
}

#[test]
fn a_stretch_that_nobody_looked_at_proves_nothing() {
    // Twenty minutes, where five are usual.
    assert_eq!(stays(&looks(&[every(5, 0, 20), every(5, 40, 60)].concat(), None)), idle_for("20 min"));
    // Up to three times the usual is no gap.
    assert_eq!(stays(&looks(&[every(5, 0, 15), every(5, 30, 30)].concat(), None)), "");
    assert_eq!(stays(&looks(&[every(5, 0, 15), every(5, 31, 31)].concat(), None)), idle_for("0 s"));
    // Before anything is usual, a gap longer than the window says nothing.
    assert_eq!(stays(&looks(&[(0, false), (31, false)], None)), idle_for("0 s"));
    assert_eq!(stays(&looks(&[(0, false), (30, false)], None)), "");
    // Whoever looks once an hour gets to know it after the second one.
    assert_eq!(stays(&looks(&every(60, 0, 120), None)), "");
    // Looks by hand in between do not make the usual gap a short one.
    let by_hand = [every(5, 0, 40), vec![(41, false), (41, false), (41, false)], every(5, 45, 60)].concat();
    assert_eq!(looks(&by_hand, None).pace(), Some(SignedDuration::from_mins(5)));
    assert_eq!(stays(&looks(&by_hand, None)), "");
    // Nor does one night without looks make it a long one; after some looks at another pace that one is usual.
    let night = [every(5, 0, 60), every(5, 600, 625)].concat();
    assert_eq!(looks(&night, None).pace(), Some(SignedDuration::from_mins(5)));
    assert_eq!(stays(&looks(&night, None)), idle_for("25 min"));
    let slower = [every(5, 0, 60), every(20, 80, 240)].concat();
    assert_eq!(looks(&slower, None).pace(), Some(SignedDuration::from_mins(20)));
    assert_eq!(stays(&looks(&slower, None)), "");
    // A clock that was set back.
    assert_eq!(stays(&looks(&[every(5, 100, 130), every(5, 0, 0)].concat(), None)), idle_for("0 s"));
}

#[test]
fn a_host_that_slept_in_between_begins_again() {
    let before = looks(&every(5, 0, 60), None);
    let look = |sleeps| Look { at: at(65), awake_since: None, sleeps, window: WINDOW, needs: &[] };
    assert_eq!(stays(&IdleRecord::after(Some(&before), &look(Some(0)))), "");
    assert_eq!(stays(&IdleRecord::after(Some(&before), &look(None))), "", "its kernel does not count");
    assert_eq!(stays(&IdleRecord::after(Some(&before), &look(Some(1)))), idle_for("0 s"));
    let asleep = IdleRecord::after_asleep(Some(&before), at(65));
    let woken = IdleRecord::after(Some(&asleep), &Look { at: at(70), ..look(Some(1)) });
    assert_eq!(stays(&woken), idle_for("0 s"));
}

#[test]
fn what_only_forbids_sleep_now_does_not_begin_the_window_again() {
    let before = looks(&every(5, 0, 60), None);
    let timer = [Need::new(NeedKind::Timer, "timer backup.timer").saying("backup.timer is due in 10 min")];
    let look = Look { at: at(65), awake_since: None, sleeps: Some(0), window: WINDOW, needs: &timer };
    let record = IdleRecord::after(Some(&before), &look);
    assert_eq!(stays(&record), "backup.timer is due in 10 min");
    assert_eq!(record.since, Some(at(0)));
    let after = IdleRecord::after(Some(&record), &Look { at: at(70), needs: &[], ..look });
    assert_eq!(stays(&after), "");
}
