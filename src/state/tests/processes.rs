//! Many processes and threads on one file, and processes that are killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{at, cluster, folder, guest, key, listing, server, token, vmid, wake};
use crate::model::access::scope::TokenScope;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::{Count, Pressure, Sample, Source, Usage};
use crate::model::power::PowerState;
use crate::model::power::outcome::ActionOutcome;
use crate::state::history::samples::Samples;
use crate::state::{Check, Retention, State};

const THREADS: u32 = 20;

fn child(test: &str, path: &Path, number: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("state::tests::processes::{test}"), "--ignored", "--nocapture"])
        .env("ECOBOX_TEST_STATE", path)
        .env("ECOBOX_TEST_NUMBER", number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told() -> Option<(PathBuf, u32)> {
    Some((std::env::var_os("ECOBOX_TEST_STATE")?.into(), std::env::var("ECOBOX_TEST_NUMBER").ok()?.parse().unwrap()))
}

/// What each of many does at once: a run of `discover` with its own connection.
fn work(path: &Path, number: u32) {
    let state = State::open(path, at(0)).unwrap();
    let (own, via) = (cluster(&format!("ca:{number}")), server(&format!("pve{number}")));
    let made = token(&format!("root@pam!box-{number}"), "secret");
    let suffix = state.machine_suffix(|| format!("{number:06x}")).unwrap();
    state.begin_intent(&via, Some(&own), &made.id, at(0)).unwrap();
    let action = state.begin_action(&wake(&ServerKey::of_server(&via).0, at(0), at(60))).unwrap();
    for round in 0..3 {
        let power = [PowerState::Running, PowerState::Stopped][round % 2];
        let guests = (100..110).map(|vmid| guest(vmid, "pve1", power)).collect();
        let round = i64::try_from(round).unwrap();
        state.record_listing(&own, &listing(&[("pve1", true)], guests), &via, at(round)).unwrap();
        let check =
            Check { server: key("shared"), service: format!("s{number}"), ok: true, millis: None, detail: None };
        state.record_checks(&[check], at(round)).unwrap();
        let uptime = Some(Count::new(round.unsigned_abs()));
        let usage = Usage { uptime_seconds: uptime, ..Usage::default() };
        let sample = Sample { source: Source::Api, usage, pressure: Pressure::default(), watts: None };
        let mut samples = Samples::default();
        samples.add_guest(&own, vmid(100), &sample);
        samples.add_server(&via, sample);
        state.record_samples(&samples, at(round), Some(&|_| vec![number.to_le_bytes().to_vec()])).unwrap();
        // The hour is over for some before others have stored it.
        state.tidy(at(3600 * i64::from(number % 2)), &Retention::default()).unwrap();
        state.record_state(&ServerKey::of_server(&via), power, Source::Api, at(round)).unwrap();
        assert_eq!(state.guests(&own).unwrap().len(), 10);
    }
    state.finish_intent(&own, &made, TokenScope::Monitor, None, &via, at(1)).unwrap();
    assert!(state.actions_in_flight(at(1)).unwrap().contains_key(&ServerKey::of_server(&via)));
    state.end_action(action, ActionOutcome::Done, f64::from(number), None).unwrap();
    assert_eq!(state.machine_suffix(|| panic!()).unwrap(), suffix);
    assert!(state.notice().is_none());
}

fn work_together(path: &Path, first: u32) {
    std::thread::scope(|scope| {
        for number in first..first + THREADS {
            scope.spawn(move || work(path, number));
        }
    });
}

#[test]
#[ignore = "a helper of another test"]
fn child_works() {
    if let Some((path, first)) = told() {
        work_together(&path, first);
    }
}

#[test]
fn two_hundred_at_once_lose_nothing() {
    let folder = folder();
    let path = folder.path().join("new/state.db");
    let children: Vec<_> = (1..=8).map(|n| child("child_works", &path, n * THREADS)).collect();
    // Two shares in this process: connections of one process share SQLite's file locks.
    std::thread::scope(|scope| {
        scope.spawn(|| work_together(&path, 0));
        scope.spawn(|| work_together(&path, 9 * THREADS));
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let state = State::open(&path, at(9)).unwrap();
    assert_eq!(state.tokens().unwrap().len(), 200);
    let mut ended: Vec<_> = state.actions(at(0), at(1)).unwrap();
    ended.sort_by(|a, b| a.seconds.partial_cmp(&b.seconds).unwrap());
    let ended: Vec<_> = ended.into_iter().map(|one| (one.server.unwrap().0, one.outcome, one.seconds)).collect();
    let want: Vec<_> = (0..200).map(|n| (format!("pve{n}"), "done".to_owned(), Some(f64::from(n)))).collect();
    assert_eq!((ended, state.actions_in_flight(at(1)).unwrap().len()), (want, 0));
    assert_eq!(state.all_intents().unwrap(), []);
    assert_eq!(state.all_guests().unwrap().len(), 2000);
    assert_eq!(state.checks(at(0)).unwrap().len(), 600);
    assert_eq!(state.states().unwrap().len(), 200);
    assert_eq!(state.outbox_len().unwrap(), (600, 2400));
    let servers: Vec<_> = (0..200).flat_map(|n| [key(&format!("pve{n}")), key(&format!("ca:{n}/100"))]).collect();
    let samples = state.samples(&servers, at(0), at(9)).unwrap();
    assert!(samples.len() == 400 && samples.values().all(|samples| samples.len() == 3));
    while state.tidy(at(3600), &Retention::default()).unwrap().rolled > 0 {}
    let count = |sql: &str| state.lock().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT sum(n) FROM sample_hours"), 1200);
    assert_eq!(count("SELECT sum(n) FROM check_hours"), 600);
    // Two changes of power of each guest and of each server.
    assert_eq!(state.events(at(0)).unwrap().len(), 200 * 11 * 2);
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

/// Begins an action, says so, and never ends it.
#[test]
#[ignore = "a helper of another test"]
fn child_begins_and_hangs() {
    let Some((path, number)) = told() else { return };
    let state = State::open(&path, at(0)).unwrap();
    state.begin_action(&wake(&format!("nas{number}"), at(0), at(300))).unwrap();
    eprintln!("begun");
    loop {
        std::thread::park();
    }
}

#[test]
fn an_action_whose_process_was_killed_has_no_known_outcome() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let state = State::open(&path, at(0)).unwrap();
    for number in 0..2 {
        let mut child = child("child_begins_and_hangs", &path, number);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "begun"));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let outcomes = |now| {
        let actions = state.actions(at(0), now).unwrap();
        actions.into_iter().map(|action| (action.server.unwrap().0, action.outcome)).collect::<Vec<_>>()
    };
    let all = |outcome: &str| ["nas0", "nas1"].map(|server| (server.to_owned(), outcome.to_owned())).to_vec();
    // Nobody can know that it was killed until its time is over.
    assert_eq!(state.actions_in_flight(at(299)).unwrap().len(), 2);
    assert_eq!(outcomes(at(299)), all("in flight"));
    assert_eq!(state.actions_in_flight(at(300)).unwrap().len(), 0);
    assert_eq!(outcomes(at(300)), all("unknown outcome"));
    // The next one is not held up by it.
    let again = state.begin_action(&wake("nas0", at(10), at(310))).unwrap();
    assert_eq!(state.actions_in_flight(at(300)).unwrap()[&key("nas0")].since, at(10));
    state.end_action(again, ActionOutcome::Done, 3.5, None).unwrap();
    assert_eq!(outcomes(at(300))[2], ("nas0".to_owned(), "done".to_owned()));
}

/// Stores token after token and says each one that is stored.
#[test]
#[ignore = "a helper of another test"]
fn child_writes_until_killed() {
    let Some((path, first)) = told() else { return };
    let state = State::open(&path, at(0)).unwrap();
    let via = server("pve1");
    for number in first.. {
        let (own, made) = (cluster(&format!("ca:{number}")), token(&format!("root@pam!box-{number}"), "secret"));
        state.begin_intent(&via, Some(&own), &made.id, at(0)).unwrap();
        let guests = (100..100 + number % 40).map(|vmid| guest(vmid, "pve1", PowerState::Running)).collect();
        let listing = listing(&[("pve1", true)], guests);
        state.record_listing(&cluster("ca:0"), &listing, &via, at(number.into())).unwrap();
        state.finish_intent(&own, &made, TokenScope::Monitor, None, &via, at(0)).unwrap();
        eprintln!("stored {number}");
    }
}

#[test]
fn killed_at_any_moment_nothing_stored_is_lost() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let mut random = StdRng::seed_from_u64(7);
    let (mut stored, mut number) = (0, 1);
    for _ in 0..50 {
        let mut child = child("child_writes_until_killed", &path, number);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Killed somewhere in the work after this line; how far it comes is up to the machine.
        let mut left = random.random_range(1..4);
        while left > 0 {
            let line = lines.next().unwrap().unwrap();
            left -= i32::from(line.starts_with("stored"));
        }
        for _ in 0..random.random_range(0..20_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let state = State::open(&path, at(0)).unwrap();
        assert!(state.notice().is_none());
        let tokens = state.tokens().unwrap();
        let intents = state.all_intents().unwrap();
        // Each token that was begun is stored or still intended, never neither, never both.
        assert!(intents.len() <= 1, "{intents:?}");
        assert!(tokens.len() > stored, "{} {stored}", tokens.len());
        for intent in intents {
            assert!(tokens.iter().all(|token| token.token.id != intent.token));
            state.clear_intent(&intent.server, &intent.token).unwrap();
        }
        stored = tokens.len();
        let numbers = tokens.iter().map(|token| token.cluster.as_str()[3..].parse::<u32>().unwrap());
        number = numbers.max().unwrap() + 1;
        assert_eq!(usize::try_from(number - 1).unwrap(), stored, "a token is missing");
    }
    let check: String =
        State::open(&path, at(0)).unwrap().lock().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
