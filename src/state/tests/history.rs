//! Checks over a long time, what was done, what is to be sent, and files of schema 1.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;

use super::{at, believe, cluster, dump, folder, key, server};
use crate::model::inventory::server::ServerKey;
use crate::model::load::reading::{KnownReading, Reading, Ticks};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::file::schema;
use crate::state::history::actions::Action;
use crate::state::history::check_hours::CheckHistory;
use crate::state::{Check, HostCheck, Retention, Samples, State};

const HOUR: i64 = 3600;

fn check(service: &str, ok: bool, millis: f64) -> Check {
    Check { server: key("nas"), service: service.into(), ok, millis: ok.then_some(millis), detail: None }
}

fn tidy(state: &State, now: Timestamp, raw_hours: i64, hourly_hours: i64) -> usize {
    believe(state, now);
    let (raw, hourly) = (SignedDuration::from_hours(raw_hours), SignedDuration::from_hours(hourly_hours));
    state.tidy(now, &Retention { raw, hourly }).unwrap().deleted
}

fn history(state: &State, since: Timestamp) -> Vec<CheckHistory> {
    state.check_history(since, Timestamp::MAX).unwrap()
}

#[test]
fn a_week_of_checks_is_kept_and_the_rest_goes_in_bites() {
    const WEEK: i64 = 7 * 86_400;
    const SLACK: i64 = 6 * HOUR;
    let state = State::in_memory().unwrap();
    for minute in 0..500 {
        let checks = ["ssh", "http", "smb"].map(|service| check(service, true, 1.0));
        state.record_checks(&checks, at(minute * 60)).unwrap();
        let run = HostCheck { server: key("nas"), ok: true, millis: None, detail: None };
        state.record_host_checks(&[run], at(minute * 60)).unwrap();
    }
    state.record_state(&key("nas"), PowerState::Online, Source::Tcp, at(0)).unwrap();
    state.record_state(&key("nas"), PowerState::Offline, Source::Tcp, at(60)).unwrap();
    let kept = || (state.checks(at(0)).unwrap().len(), state.host_checks(at(0)).unwrap().len());
    for early in [at(0), at(WEEK + 60), at(WEEK + SLACK)] {
        assert_eq!((tidy(&state, early, 7 * 24, 90 * 24), kept()), (0, (1500, 500)), "{early}");
    }
    // A clock that jumps deletes nothing at first.
    let jumped = state.tidy(at(20 * WEEK), &Retention::default()).unwrap();
    assert_eq!((jumped.deleted, kept()), (0, (1500, 500)));
    // A row that is overdue takes along the six hours after it; what a bite leaves of a series is not overdue any more.
    let bites = [0; 4].map(|_| tidy(&state, at(WEEK + SLACK + 1), 7 * 24, 90 * 24));
    assert_eq!((bites, kept()), ([500, 500, 0, 0], (639, 361)));
    assert_eq!(state.events(at(0)).unwrap().len(), 1);
    // Whatever is gone, each check counts once.
    for one in history(&state, at(0)) {
        let hours: u32 = one.hours.iter().map(|hour| hour.counts.ok + hour.counts.failed).sum();
        assert_eq!(one.looks.len() + usize::try_from(hours).unwrap(), 500, "{}", one.service);
    }
}

#[test]
fn outages_are_known_exactly_when_the_checks_are_gone() {
    let state = State::in_memory().unwrap();
    let is_down = |look: i64| (10..13).contains(&look) || (100..500).contains(&look) || look % 97 == 96;
    for look in 0..600 {
        let took = if look % 10 == 0 { 80.0 } else { 5.0 };
        state.record_checks(&[check("http", !is_down(look), took)], at(look * 300)).unwrap();
        tidy(&state, at(look * 300), 24, 1_000_000);
    }
    let (later, mut want) = (at(600 * 300 + HOUR), vec![(at(0), true)]);
    want.extend((1..600).filter(|n| is_down(*n) != is_down(n - 1)).map(|n| (at(n * 300), !is_down(n))));
    let raw = state.checks(at(0)).unwrap().len();
    assert!((24 * 12..40 * 12).contains(&raw), "{raw}");
    for _ in 0..20 {
        tidy(&state, later, 0, 1_000_000);
    }
    let [one] = &history(&state, at(0))[..] else { panic!() };
    assert_eq!((one.server.clone(), one.service.as_str()), (key("nas"), "http"));
    assert_eq!(one.switches, want);
    // The last six hours have their checks still, and the hours before are whole.
    assert_eq!((one.hours.len() * 12 + one.looks.len(), one.millis.len()), (600, one.looks.len()));
    for hour in &one.hours {
        let first = hour.counts.begin.duration_since(at(0)).as_secs() / 300;
        let up = (first..first + 12).filter(|look| !is_down(*look)).count();
        assert_eq!((hour.counts.ok as usize, hour.counts.failed as usize), (up, 12 - up));
        assert_eq!(usize::try_from(hour.millis.len()).unwrap(), up);
    }
    let median = one.hours[0].millis.quantile(0.5).unwrap();
    assert!((median - 5.0).abs() < 0.3, "{median}");

    // A window begins with the last change before it.
    let window = history(&state, at(300 * 300));
    assert_eq!(window[0].switches[0], (at(100 * 300), false));
    assert_eq!(window[0].switches[1], (at(500 * 300), true));
    assert_eq!(window[0].hours[0].counts.begin, at(25 * HOUR));
    // When the hours go, the last change of the series stays: a check is compared with it.
    for n in 1..50 {
        state.record_checks(&[check("http", true, 1.0)], at((1000 + n) * HOUR)).unwrap();
        tidy(&state, at((1001 + n) * HOUR), 0, 24);
    }
    let [one] = &history(&state, at(990 * HOUR))[..] else { panic!() };
    assert_eq!(one.switches, want[want.len() - 1..]);
    let count = |sql: &str| state.lock().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM switches"), 1);
    assert_eq!(count("SELECT count(*) FROM check_hours"), 24);
}

#[test]
fn old_changes_of_power_go_but_the_last_of_each_server() {
    let state = State::in_memory().unwrap();
    let (online, offline) = (PowerState::Online, PowerState::Offline);
    for change in 0..5000 {
        let to = if change % 2 == 0 { online } else { offline };
        state.record_state(&key("nas"), to, Source::Tcp, at(change * 60)).unwrap();
    }
    state.record_state(&key("zbox"), online, Source::Tcp, at(0)).unwrap();
    state.record_state(&key("zbox"), offline, Source::Tcp, at(60)).unwrap();
    let end = 5000 * 60;
    let kept = || state.events(at(0)).unwrap();
    assert_eq!(kept().len(), 4999 + 1);
    // One check an hour, so that something is summed up.
    let tidy = |hour: i64, hourly: i64| {
        state.record_checks(&[check("http", true, 1.0)], at(end + (hour - 2) * HOUR)).unwrap();
        tidy(&state, at(end + hour * HOUR), 1000, hourly);
    };
    tidy(1, 1000);
    assert_eq!(kept().len(), 5000, "they are young");
    let bites: Vec<usize> = (2..6)
        .map(|hour| {
            tidy(hour, 2 + hour - 1);
            kept().len()
        })
        .collect();
    // What is left is younger than an hour before the end, and what began before that.
    assert_eq!(bites, [3000, 1000, 62, 62]);
    let border = at(end - HOUR);
    let before = state.last_events_before(border).unwrap();
    assert_eq!((before[&key("zbox")].at, before[&key("zbox")].to), (at(60), offline));
    assert_eq!((before[&key("nas")].at, before[&key("nas")].to), (at(end - HOUR - 60), offline));
    assert_eq!(kept().iter().filter(|event| event.at < border).count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// In whatever order checks are stored, the changes are those of the outcomes in the order of time.
    #[test]
    fn changes_are_the_same_in_every_order(checks in proptest::collection::vec((0_i64..30, any::<bool>()), 1..25)) {
        let state = State::in_memory().unwrap();
        let mut outcomes = std::collections::BTreeMap::new();
        for (second, ok) in checks {
            state.record_checks(&[check("http", ok, 1.0)], at(second)).unwrap();
            let moments = (0..).map(|millis| at(second) + SignedDuration::from_millis(millis));
            outcomes.insert(moments.into_iter().find(|moment| !outcomes.contains_key(moment)).unwrap(), ok);
        }
        let mut before = None;
        let mut want: Vec<_> = outcomes.clone().into_iter().collect();
        want.retain(|(_, ok)| before.replace(*ok) != Some(*ok));
        let one = history(&state, Timestamp::MIN).remove(0);
        prop_assert_eq!(one.switches, want);
        prop_assert_eq!(one.looks, outcomes.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn many_services_are_kept_up_with() {
    let state = State::in_memory().unwrap();
    let checks: Vec<_> = (0..1500).map(|n| check(&format!("s{n}"), true, 1.0)).collect();
    let mut most = 0;
    for look in 0..12 {
        state.record_checks(&checks, at(look * 900)).unwrap();
        most = most.max(state.tidy(at(look * 900), &Retention::default()).unwrap().rolled);
    }
    let count = |sql: &str| state.lock().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM check_hours WHERE n = 4"), 2 * 1500);
    assert!(most < 700, "{most}");
}

#[test]
fn the_history_of_a_guest_moves_with_its_cluster() {
    let state = State::in_memory().unwrap();
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    for (name, seconds) in [("host:pve1/101", 0), ("ca:99/101", 300), ("host:pve1/102", 0), ("host:pve10/101", 0)] {
        let run = |ok| [HostCheck { server: key(name), ok, millis: None, detail: None }];
        state.record_host_checks(&run(true), at(seconds)).unwrap();
        state.record_host_checks(&run(false), at(seconds + 60)).unwrap();
        state.record_action(&action(Some(key(name)), at(seconds))).unwrap();
    }
    // Both clusters must be known for a merge of what they know.
    state.put_discovered(&old, at(0)).unwrap();
    state.put_discovered(&new, at(0)).unwrap();
    tidy(&state, at(HOUR), 1000, 1000);
    state.rename_cluster(&old, &new).unwrap();
    let found = history(&state, at(0));
    let found: Vec<_> = found.iter().map(|one| (one.server.0.as_str(), one.looks.len(), one.switches.len())).collect();
    assert_eq!(found, [("ca:99/101", 4, 4), ("ca:99/102", 2, 2), ("host:pve10/101", 2, 2)]);
    let actions: Vec<_> = state.actions(at(0), at(9)).unwrap().into_iter().map(|one| one.server.unwrap().0).collect();
    assert_eq!(actions, ["ca:99/101", "ca:99/102", "host:pve10/101", "ca:99/101"]);
    let count = |sql: &str| state.lock().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM check_hours"), 3);
}

fn action(server: Option<ServerKey>, at: Timestamp) -> Action {
    Action {
        at,
        server,
        action: "shutdown".into(),
        by: "root (cron)".into(),
        outcome: "done".into(),
        seconds: Some(12.5),
        detail: None,
    }
}

#[test]
fn actions_readings_and_last_events_come_back() {
    use PowerState::{Offline, Online};

    let state = State::in_memory().unwrap();
    let (first, second) = (action(None, at(5)), action(Some(key("nas")), at(2)));
    state.record_action(&first).unwrap();
    state.record_action(&second).unwrap();
    assert_eq!(state.actions(at(0), at(9)).unwrap(), [second, first.clone()]);
    assert_eq!(state.actions(at(3), at(9)).unwrap(), [first]);

    let reading = Reading {
        boot_id: Some("b".into()),
        uptime: Some(1.25),
        cpu: Some(Ticks { busy: 1, total: u64::MAX }),
        ports: [("eno1".to_owned(), (1, 2))].into(),
        ..Reading::default()
    };
    let readings = [(server("a"), Reading::default()), (server("b"), Reading::default())];
    state.put_readings(&readings, at(1)).unwrap();
    let of_a = |reading: &Reading, at| state.put_readings(&[(server("a"), reading.clone())], at).unwrap();
    of_a(&reading, at(2));
    state.lock().execute("UPDATE readings SET reading = '{\"cpu\": 1}' WHERE server = 'b'", []).unwrap();
    let first = KnownReading { reading: Reading::default(), at: at(1) };
    let second = KnownReading { reading: reading.clone(), at: at(2) };
    assert_eq!(state.readings().unwrap(), [(server("a"), vec![second.clone(), first])].into());
    // Right after another one it says nothing new; of three the oldest goes.
    of_a(&Reading::default(), at(2).checked_add(SignedDuration::from_millis(100)).unwrap());
    of_a(&reading, at(5));
    let third = KnownReading { reading: reading.clone(), at: at(5) };
    assert_eq!(state.readings().unwrap()[&server("a")], [third, second.clone()]);
    // The last one was of a clock that was wrong.
    of_a(&reading, at(4));
    assert_eq!(state.readings().unwrap()[&server("a")], [KnownReading { reading, at: at(4) }, second]);

    for (second, power) in [(0, Online), (10, Offline), (20, Online), (30, Offline)] {
        state.record_state(&key("nas"), power, Source::Tcp, at(second)).unwrap();
        state.record_state(&key("pve1"), power, Source::Ssh, at(second + 5)).unwrap();
    }
    let last = state.last_events_before(at(25)).unwrap();
    let last: Vec<_> = last.values().map(|event| (event.server.0.as_str(), event.at, event.from, event.to)).collect();
    assert_eq!(last, [("nas", at(20), Offline, Online), ("pve1", at(15), Online, Offline)]);
    assert!(state.last_events_before(at(10)).unwrap().is_empty());
}

/// Prometheus takes the numbers of a series only in the order of time.
#[test]
fn what_is_sent_is_in_the_order_of_time_whoever_was_faster() {
    let state = State::in_memory().unwrap();
    let mut after = 0;
    let second = SignedDuration::from_millis(1000);
    let (first, wrong_clock) = (at(50), at(50).checked_sub(SignedDuration::from_hours(1)).unwrap());
    for (when, want) in [(first, 0), (first - second, 1), (first, 2), (first + second, 1000), (wrong_clock, -3_600_000)]
    {
        let made_for = std::cell::Cell::new(Timestamp::MIN);
        let bodies = |at| {
            made_for.set(at);
            vec![b"body".to_vec()]
        };
        state.record_samples(&Samples::default(), when, Some(&bodies)).unwrap();
        let (id, stamp, _) = state.outbox_next(after).unwrap().unwrap();
        let want = first + SignedDuration::from_millis(want);
        assert_eq!((stamp, made_for.get()), (want, want), "{when}");
        after = id;
    }
}

#[test]
fn the_outbox_keeps_its_order_and_its_size() {
    let state = State::in_memory().unwrap();
    let put = |bodies: &[&str]| {
        let bodies: Vec<_> = bodies.iter().map(|body| body.as_bytes().to_vec()).collect();
        state.record_samples(&Samples::default(), at(1), Some(&|_| bodies.clone())).unwrap();
    };
    let next = |after| state.outbox_next(after).unwrap().map(|(id, _, body)| (id, String::from_utf8(body).unwrap()));
    assert_eq!((next(0), state.outbox_len().unwrap()), (None, (0, 0)));
    put(&["one", "two"]);
    put(&["three", ""]);
    assert_eq!(state.outbox_len().unwrap(), (4, 11));
    let (one, text) = next(0).unwrap();
    assert_eq!(text, "one");
    state.outbox_done(one).unwrap();
    state.outbox_done(one).unwrap();
    let (two, text) = next(one).unwrap();
    assert_eq!((text.as_str(), next(0).unwrap().0), ("two", two));
    assert_eq!((state.outbox_trim(8).unwrap(), state.outbox_trim(7).unwrap()), (0, 1));
    assert_eq!((next(0).unwrap().1.as_str(), state.outbox_len().unwrap()), ("three", (2, 5)));
    // An id that was given once is not given again, even when nothing is left.
    assert_eq!(state.outbox_trim(0).unwrap(), 1, "what is empty stays");
    let (last, _) = next(0).unwrap();
    state.outbox_done(last).unwrap();
    assert_eq!(state.outbox_len().unwrap(), (0, 0));
    put(&["five"]);
    assert!(next(0).unwrap().0 > last);
    assert_eq!(next(last).unwrap().1, "five");
}

#[test]
fn one_at_a_time_sends() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, other) = (folder(), folder());
    let open = |folder: &tempfile::TempDir| State::open(&folder.path().join("state.db"), at(0)).unwrap();
    let (first, second) = (open(&folder), open(&folder));
    let sending = first.sending().unwrap();
    assert!(sending.is_some());
    assert!(first.sending().unwrap().is_none() && second.sending().unwrap().is_none());
    assert!(open(&other).sending().unwrap().is_some(), "another file has another sender");
    // Who sends keeps nobody from working, and the right goes with its holder.
    second.record_checks(&[], at(1)).unwrap();
    drop(sending);
    assert!(second.sending().unwrap().is_some());
    let path = folder.path().join("state.db-sending");
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.permissions().mode() & 0o777, made.len()), (0o600, 0));
    // A link that somebody put there is not followed.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    let error = first.sending().unwrap_err().to_string();
    assert!(error.starts_with("cannot open ") && !folder.path().join("elsewhere").exists(), "{error}");
}

#[test]
fn a_file_of_schema_1_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(include_str!("schema_1.sql")).unwrap();
    conn.execute_batch("PRAGMA application_id = 1701015394; PRAGMA user_version = 1;").unwrap();
    let columns = "SELECT id, server, service FROM series";
    let before = dump(&conn, |table| format!("SELECT * FROM {table}"));
    assert!(before.lines().count() > 130 && before.contains("s3cret"));
    drop(conn);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    // Whoever comes second waits.
    let states: Vec<_> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| State::open(&path, at(0)).unwrap());
        [open(), open(), open(), open()].map(|one| one.join().unwrap()).into()
    });
    let state: &State = &states[0];
    assert!(states.iter().all(|state| state.notice().is_none()));
    state.read_everything().unwrap();
    let fresh = State::in_memory().unwrap();
    assert_eq!(schema::definitions(&state.lock()).unwrap(), schema::definitions(&fresh.lock()).unwrap());
    let after = dump(&state.lock(), |table| match table {
        "series" => columns.to_owned(),
        _ => format!("SELECT * FROM {table}"),
    });
    for line in before.lines() {
        // Columns that came later stand at the end.
        let values = line.trim_end_matches(']');
        assert!(after.lines().any(|one| one.starts_with(values)), "{line}");
    }
    // The outcomes that were kept have their changes, and their hours are summed up in time.
    let changes: Vec<_> = history(state, at(0)).into_iter().map(|one| (one.service, one.switches)).collect();
    let outage = vec![(at(0), true), (at(3000), false), (at(3900), true)];
    let want = [(String::new(), outage.clone()), ("http".into(), outage), ("ssh".into(), vec![(at(0), true)])];
    assert_eq!(changes, want);
    assert_eq!(state.tidy(at(10 * HOUR), &Retention::default()).unwrap().rolled, 3 * 4);
}

#[test]
fn two_checks_of_one_millisecond_are_both_kept() {
    let state = State::in_memory().unwrap();
    let check = |ok| Check { server: key("nas"), service: "ssh".into(), ok, millis: None, detail: None };
    for ok in [true, false, true] {
        state.record_checks(&[check(ok)], at(5)).unwrap();
    }
    let kept: Vec<bool> = state.checks(at(0)).unwrap().into_iter().map(|check| check.ok).collect();
    assert_eq!(kept, [true, false, true]);
}
