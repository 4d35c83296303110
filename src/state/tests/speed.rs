//! How long it takes. Run by hand: `cargo test --release state::tests::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tempfile::TempDir;

use super::{at, cluster, guest, key, listing, server, vmid};
use crate::model::inventory::server::Guest;
use crate::model::load::usage::{Count, Pressure, Sample, Source, Usage};
use crate::model::power::PowerState;
use crate::state::history::samples::Samples;
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
        state.record_listing(&home, listing, &server("pve1"), at(i64::try_from(second).unwrap())).unwrap().power.len()
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
    let keep_all = Retention { raw: SignedDuration::from_hours(10_000), ..week };
    let times = |n: usize| at(i64::try_from(n).unwrap());
    eprintln!("48 checks                  {:?}", median(101, |n| state.record_checks(&checks, times(n)).unwrap()));
    eprintln!("a wish, durable not        {:?}", median(101, |n| state.mark_asleep(&server("a"), times(n)).unwrap()));
    let id = "root@pam!box".parse().unwrap();
    eprintln!(
        "an intent, durable         {:?}",
        median(21, |n| {
            state.begin_intent(&server("a"), None, &id, times(n)).unwrap();
        })
    );
    // A week of looks, one in five minutes, at 48 servers.
    super::believe(&state, times(2 * 2016 * 300));
    for n in 0..2016 {
        state.record_checks(&checks, times(n * 300)).unwrap();
    }
    eprintln!(
        "48 series, nothing to prune {:?}",
        median(101, |_| assert_eq!(state.tidy(times(2016 * 300), &week).unwrap().deleted, 0))
    );
    let later = times(2 * 2016 * 300);
    while state.tidy(later, &keep_all).unwrap().rolled > 0 {}
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
            State::open(&small, at(0)).unwrap().mark_asleep(&server("a"), times(n)).unwrap();
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

/// Seven days and some hours of 5,000 guests, a look in five minutes; `ECOBOX_TEST_LOOKS` says how many of them.
#[test]
#[ignore = "a measurement"]
fn measure_samples() {
    let looks = std::env::var("ECOBOX_TEST_LOOKS").ok().and_then(|looks| looks.parse().ok()).unwrap_or(2100_usize);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path, at(0)).unwrap();
    let (home, times) = (cluster("ca:1"), |n: usize| at(i64::try_from(n * 300).unwrap()));
    let guests = |n: u64| {
        let one = |number: u32| {
            let total = |rate| Some(Count::new(n * 300 * rate * u64::from(number)));
            let usage = Usage {
                cpu_percent: Some(f32::from(u8::try_from((n * 7 + u64::from(number)) % 100).unwrap()) + 0.123),
                cpus: Some(4.0),
                memory_bytes: Some(Count::new((3 << 30) + n * 4096 * u64::from(number))),
                memory_max_bytes: Some(Count::new(8 << 30)),
                disk_max_bytes: Some(Count::new(32 << 30)),
                receive_bytes: total(1000),
                transmit_bytes: total(300),
                read_bytes: total(5000),
                write_bytes: total(70),
                uptime_seconds: Some(Count::new(1_000_000 + n * 300)),
                ..Usage::default()
            };
            (vmid(number), Sample { source: Source::Api, usage, pressure: Pressure::default(), watts: None })
        };
        (100..5100).map(one).collect::<Vec<_>>()
    };
    // Half of the time is thrown away, so that bites of all kinds are measured.
    let hours = i64::try_from(looks / 24).unwrap();
    let retention =
        Retention { raw: SignedDuration::from_hours(hours), hourly: SignedDuration::from_hours(hours * 3 / 2) };
    let (mut recorded, mut tidied, mut recent) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..looks {
        let guests = guests(n as u64);
        let start = Instant::now();
        let mut samples = Samples::default();
        for (vmid, sample) in &guests {
            samples.add_guest(&home, *vmid, sample);
        }
        state.record_samples(&samples, times(n), None).unwrap();
        recorded.push(start.elapsed());
        let start = Instant::now();
        state.tidy(times(n), &retention).unwrap();
        tidied.push(start.elapsed());
        if n % 50 == 2 {
            let start = Instant::now();
            assert!(state.totals(&home, at(0), times(n)).unwrap().is_some());
            recent.push(start.elapsed());
        }
    }
    for (what, mut all) in [("recorded", recorded), ("tidied", tidied), ("the last two read", recent)] {
        all.sort();
        let at = |share: usize| all[(all.len() - 1) * share / 100];
        eprintln!("5000 samples {what}: median {:?}, p95 {:?}, most {:?}", at(50), at(95), at(100));
    }
    let size = std::fs::metadata(&path).unwrap().len();
    let rows = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        state.lock().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    eprintln!("{} samples and {} hours in {size} bytes", rows("samples"), rows("sample_hours"));
    let (end, one) = (times(looks), [key("ca:1/2500")]);
    let day = end.checked_sub(SignedDuration::from_hours(24)).unwrap();
    eprintln!(
        "one server, its samples    {:?}",
        median(21, |_| assert!(state.samples(&one, at(0), end).unwrap()[&one[0]].len() >= looks / 3))
    );
    eprintln!("one server, its hours      {:?}", median(21, |_| drop(state.hours(&one, at(0), end).unwrap())));
    let all: Vec<_> = (100..5100).map(|number| key(&format!("ca:1/{number}"))).collect();
    eprintln!(
        "all for a day              {:?}",
        median(1, |_| assert_eq!(state.samples(&all, day, end).unwrap().len(), 5000))
    );
    eprintln!(
        "all, their first           {:?}",
        median(3, |_| assert_eq!(state.first_sample_at(&all).unwrap().len(), 5000))
    );
}
