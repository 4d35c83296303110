use super::*;

fn failed(server: &str, kind: FailureKind, message: &str) -> Failed {
    Failed { server: server.parse().unwrap(), kind, message: message.to_owned(), advice: None, about: None }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

/// What a run says that follows others.
fn said(runs: &[(i64, &[Failed])], repeat: Option<SignedDuration>) -> Vec<String> {
    let mut told = Vec::new();
    let mut last = Vec::new();
    for (minutes, failures) in runs {
        let news = news(failures, &[], &told, at(*minutes), repeat, &|_| true);
        last = news.failures.iter().map(|place| failures[*place].message.clone()).chain(news.over).collect();
        told = news.told;
    }
    last
}

#[test]
fn a_trouble_is_said_when_it_begins_changes_and_ends() {
    use FailureKind::{Denied, Failed as Other, Unreachable};
    let off = [failed("nas", Unreachable, "nas is offline: no answer")];
    let still = [failed("nas", Unreachable, "nas is offline: no answer in 0.4 s")];
    let denied = [failed("nas", Denied, "nas refused: no")];
    let slow = [failed("nas", Other, "nas: no answer within 4.9 s")];
    let slower = [failed("nas", Other, "nas: no answer within 15.0 s")];
    let broken = [failed("nas", Other, "nas: disk full")];
    let day = Some(SignedDuration::from_hours(24));
    for (runs, repeat, want) in [
        (&[(0, &off[..])][..], None, &["nas is offline: no answer"][..]),
        (&[(0, &off), (5, &still)], None, &[]),
        (&[(0, &off), (5, &still), (10, &[])], None, &["over after 10m00s: nas is offline: no answer"]),
        (&[(0, &off), (5, &[]), (10, &[])], None, &[]),
        (&[(0, &off), (5, &[]), (10, &still)], None, &["nas is offline: no answer in 0.4 s"]),
        // Another trouble in its place is no end.
        (&[(0, &off), (5, &denied)], None, &["nas refused: no"]),
        (&[(0, &slow), (5, &slower)], None, &[]),
        (&[(0, &slow), (5, &broken)], None, &["nas: disk full"]),
        (&[(0, &off), (2000, &still)], None, &[]),
        (&[(0, &off), (1435, &still)], day, &[]),
        // Cron was a moment late the first time.
        (&[(1, &off), (1440, &still)], day, &["nas is offline: no answer in 0.4 s"]),
        (&[(0, &off), (1440, &still), (1445, &still)], day, &[]),
        (&[(0, &off), (1440, &off), (1500, &[])], day, &["over after 1d01h: nas is offline: no answer"]),
        (&[(0, &off), (-5, &still)], day, &["nas is offline: no answer in 0.4 s"]),
    ] {
        assert_eq!(said(runs, repeat), want, "{runs:?}");
    }
}

#[test]
fn what_was_not_asked_has_not_ended() {
    let off = [failed("pve1", FailureKind::Unreachable, "pve1 is offline")];
    let told = news(&off, &[], &[], at(0), None, &|_| true).told;
    let fresh = news(&[], &[], &told, at(5), None, &|_| false);
    assert_eq!((&fresh.told, fresh.over), (&told, vec![]));
}

#[test]
fn a_loss_is_said_once_and_has_no_end() {
    let loss = |n: u32| [Notice { text: format!("{n} bodies were dropped"), is_loss: true }];
    let first = news(&[], &loss(3), &[], at(0), None, &|_| true);
    assert_eq!(first.losses, [0]);
    let second = news(&[], &loss(4), &first.told, at(5), None, &|_| true);
    assert_eq!((second.losses, second.told.len()), (vec![], 1));
    let third = news(&[], &[], &second.told, at(10), None, &|_| true);
    assert_eq!(third, News::default());
}
