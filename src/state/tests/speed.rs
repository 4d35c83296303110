//! How long it takes. Run by hand: `cargo test --release state::tests::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{at, cluster, guest, key, listing, server};
use crate::model::power::PowerState;
use crate::model::server::Guest;
use crate::state::{Check, Retention, State};

fn median(times: usize, mut work: impl FnMut(usize)) -> Duration {
    let mut all: Vec<_> = (0..times)
        .map(|n| {
            let start = Instant::now();
            work(n);
            start.elapsed()
        })
        .collect();
    all.sort();
    all[times / 2]
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let start = Instant::now();
    drop(State::open(&path, at(0)).unwrap());
    eprintln!("open, first time           {:?}", start.elapsed());

    let home = cluster("ca:1");
    let named = |n: u32, state| Guest { pool: Some("prod".into()), ..guest(100 + n, &format!("pve{}", n % 8), state) };
    let all = |state| (0..5000).map(|n| named(n, state)).collect::<Vec<_>>();
    let nodes: Vec<_> = (0..8).map(|n| format!("pve{n}")).collect();
    let nodes: Vec<_> = nodes.iter().map(|name| (name.as_str(), true)).collect();
    let (same, other) = (listing(&nodes, all(PowerState::Running)), listing(&nodes, all(PowerState::Stopped)));
    let state = State::open(&path, at(0)).unwrap();
    let record = |listing, second: usize| {
        state.record_listing(&home, listing, &server("pve1"), at(i64::try_from(second).unwrap())).unwrap().changes.len()
    };
    eprintln!("5000 guests, all new       {:?}", median(1, |_| assert_eq!(record(&same, 0), 5000)));
    eprintln!("5000 guests, unchanged     {:?}", median(21, |n| assert_eq!(record(&same, n), 0)));
    eprintln!("5000 guests, read          {:?}", median(21, |_| assert_eq!(state.guests(&home).unwrap().len(), 5000)));
    eprintln!("5000 names                 {:?}", median(21, |_| assert!(state.names().unwrap().len() >= 10000)));
    let half = listing(&nodes, [&same.guests[..4950], &other.guests[4950..]].concat());
    eprintln!("5000 guests, 50 stopped    {:?}", median(1, |_| assert_eq!(record(&half, 30), 50)));
    eprintln!("5000 guests, all changed   {:?}", median(1, |_| assert_eq!(record(&other, 40), 4950)));
    let checks: Vec<_> = (0..48)
        .map(|n| Check {
            server: key(&format!("s{n}")),
            service: "ssh".into(),
            ok: true,
            millis: Some(1.5),
            detail: None,
        })
        .collect();
    let week = Retention::default();
    let times = |n: usize| at(i64::try_from(n).unwrap());
    eprintln!("48 checks                  {:?}", median(101, |n| state.record_checks(&checks, times(n)).unwrap()));
    eprintln!(
        "a wish, durable not        {:?}",
        median(101, |n| state.put_wish(&server("a"), true, times(n)).unwrap())
    );
    let id = "root@pam!box".parse().unwrap();
    eprintln!(
        "an intent, durable         {:?}",
        median(21, |n| {
            state.begin_intent(&server("a"), None, &id, times(n)).unwrap();
        })
    );
    // A week of looks, one in five minutes, at 48 servers.
    for n in 0..2016 {
        state.record_checks(&checks, times(n * 300)).unwrap();
    }
    eprintln!(
        "48 series, nothing to prune {:?}",
        median(101, |_| assert_eq!(state.tidy(times(2016 * 300), &week).unwrap().deleted, 0))
    );
    let later = times(2 * 2016 * 300);
    eprintln!(
        "500 of 96768 checks pruned {:?}",
        median(101, |_| assert_eq!(state.tidy(later, &week).unwrap().deleted, 500))
    );
    drop(state);
    eprintln!("open, existing             {:?}", median(101, |_| drop(State::open(&path, at(0)).unwrap())));
    let small = folder.path().join("small.db");
    eprintln!(
        "open, write, close         {:?}",
        median(101, |n| {
            State::open(&small, at(0)).unwrap().put_wish(&server("a"), true, times(n)).unwrap();
        })
    );
    eprintln!("open, existing, small      {:?}", median(101, |_| drop(State::open(&small, at(0)).unwrap())));
    eprintln!(
        "open to read, names        {:?}",
        median(101, |_| {
            State::open_read_only(&small).unwrap().unwrap().names().unwrap();
        })
    );
}
