//! Samples, and what is left of an hour of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{at, believe, cluster, key, server, vmid};
use crate::model::id::{ClusterId, VmId};
use crate::model::inventory::server::ServerKey;
use crate::model::load::energy::Watts;
use crate::model::load::usage::{Count, Pressure, Sample, Source, Usage};
use crate::state::history::retention::Tidied;
use crate::state::history::samples::Samples;
use crate::state::{Retention, State};

pub(super) fn sample(usage: Usage) -> Sample {
    Sample { source: Source::Api, usage, pressure: Pressure::default(), watts: None }
}

/// A guest that has received so many bytes in so many seconds.
pub(super) fn busy(percent: f32, bytes: u64, uptime: u64) -> Sample {
    sample(Usage {
        cpu_percent: Some(percent),
        memory_bytes: Some(Count::new(1 << 30)),
        receive_bytes: Some(Count::new(bytes)),
        uptime_seconds: Some(Count::new(uptime)),
        ..Usage::default()
    })
}

fn full() -> Sample {
    let count = |n: u64| Some(Count::new(n));
    Sample {
        source: Source::Ssh,
        usage: Usage {
            cpu_percent: Some(0.1),
            cpus: Some(1.5),
            load: Some(3.25),
            memory_bytes: count(1),
            memory_max_bytes: count(2),
            disk_bytes: count(3),
            disk_max_bytes: count(4),
            receive_bytes: count(5),
            transmit_bytes: count(6),
            read_bytes: count(7),
            write_bytes: count(i64::MAX.unsigned_abs()),
            uptime_seconds: count(0),
        },
        pressure: Pressure { cpu_percent: Some(0.0), memory_percent: Some(100.0), io_percent: Some(7.1) },
        watts: Some(Watts::modelled(40.0, 120.0, 12.5)),
    }
}

/// Keeps samples of guests of one cluster.
pub(super) fn record(state: &State, of: &ClusterId, guests: &[(u32, Sample)], when: Timestamp) {
    let mut samples = Samples::default();
    for (number, sample) in guests {
        samples.add_guest(of, vmid(*number), sample);
    }
    state.record_samples(&samples, when, None).unwrap();
}

/// As after some runs that had the same clock.
pub(super) fn tidy(state: &State, now: Timestamp, raw_hours: i64) -> Tidied {
    believe(state, now);
    let retention = Retention { raw: SignedDuration::from_hours(raw_hours), ..Retention::default() };
    state.tidy(now, &retention).unwrap()
}

pub(super) fn all_of(state: &State, servers: &[ServerKey]) -> BTreeMap<ServerKey, Vec<(Timestamp, Sample)>> {
    state.samples(servers, Timestamp::MIN, Timestamp::MAX).unwrap()
}

#[test]
fn samples_come_back_as_they_were() {
    let state = State::in_memory().unwrap();
    let (home, nas) = (cluster("ca:1"), server("nas"));
    let sizes = Usage { cpus: Some(2.0), memory_max_bytes: Some(Count::new(9)), ..Usage::default() };
    let odd = Usage {
        cpu_percent: Some(f32::NAN),
        load: Some(f32::INFINITY),
        memory_bytes: Some(Count::new(u64::MAX)),
        disk_bytes: Some(Count::new(0)),
        ..Usage::default()
    };
    let rest_of_odd = Usage { disk_bytes: Some(Count::new(0)), ..Usage::default() };
    // Not in order, and two servers whose only numbers are sizes.
    let guests = [(999_999_999, sample(odd)), (100, full()), (101, sample(sizes))];
    let mut samples = Samples::default();
    for (number, sample) in &guests {
        samples.add_guest(&home, vmid(*number), sample);
    }
    samples.add_server(&nas, full());
    samples.add_server(&server("idle"), sample(sizes));
    let told: Vec<_> = samples.guests().map(|(cluster, vmid, sample)| (cluster.clone(), vmid.get(), sample)).collect();
    assert_eq!(told, [(home.clone(), 999_999_999, sample(rest_of_odd)), (home.clone(), 100, full())]);
    state.record_samples(&samples, at(5), Some(&|_| vec![b"first".to_vec(), b"second".to_vec()])).unwrap();
    let servers = ["nas", "ca:1/100", "ca:1/101", "ca:1/999999999", "ca:2/100", "other", "ca:1/x", "nas"].map(key);
    let want = [
        (key("ca:1/100"), vec![(at(5), full())]),
        (key("ca:1/999999999"), vec![(at(5), sample(rest_of_odd))]),
        (key("nas"), vec![(at(5), full())]),
    ];
    assert_eq!(all_of(&state, &servers), want.into());
    let first = state.first_sample_at(&servers).unwrap();
    assert_eq!(
        first.into_iter().map(|(server, at)| (server.0, at)).collect::<Vec<_>>(),
        [("ca:1/100".to_owned(), at(5)), ("ca:1/999999999".to_owned(), at(5)), ("nas".to_owned(), at(5))]
    );
    let (id, when, body) = state.outbox_next(0).unwrap().unwrap();
    assert_eq!((when, body.as_slice()), (at(5), &b"first"[..]));
    assert_eq!(state.outbox_next(id).unwrap().unwrap().2, b"second");

    // Of two in one millisecond the later stored one stays.
    record(&state, &home, &[(100, busy(1.0, 1, 1))], at(5));
    assert_eq!(all_of(&state, &servers)[&key("ca:1/100")], [(at(5), busy(1.0, 1, 1))]);
    // What its neighbours had stays.
    record(&state, &home, &[(102, busy(2.0, 2, 2))], at(5));
    let neighbours = ["ca:1/100", "ca:1/102"].map(key);
    let want = [(&neighbours[0], busy(1.0, 1, 1)), (&neighbours[1], busy(2.0, 2, 2))];
    let want: BTreeMap<_, _> = want.map(|(server, sample)| (server.clone(), vec![(at(5), sample)])).into();
    assert_eq!(all_of(&state, &neighbours), want);
}

#[test]
fn totals_are_those_of_the_newest_look_at_the_cluster() {
    let state = State::in_memory().unwrap();
    let (home, other) = (cluster("ca:1"), cluster("ca:2"));
    for second in 0..6_i64 {
        let of = if second % 2 == 0 { &home } else { &other };
        record(&state, of, &[(100, busy(1.0, second.unsigned_abs(), 1)), (101, full())], at(second));
    }
    record(&state, &home, &[(100, full())], at(86_400));
    let totals = |since, until| {
        let (at, guests) = state.totals(&home, at(since), at(until)).unwrap()?;
        assert!(guests.iter().map(|(vmid, _)| vmid.get()).eq([100, 101]));
        assert_eq!(guests[1].1, full().usage.totals());
        Some((at, guests[0].1.receive.map(Count::get)))
    };
    assert_eq!(totals(0, 60), Some((at(4), Some(4))));
    assert_eq!(totals(0, 3), Some((at(2), Some(2))));
    assert_eq!(totals(5, 60), None);
    assert_eq!(state.totals(&cluster("ca:3"), at(0), at(60)).unwrap(), None);
}

/// Random samples of some servers, each look with its own choice of them, and where they were put.
pub(super) fn random(
    state: &State,
    seed: u64,
    looks: i64,
    every: i64,
) -> BTreeMap<ServerKey, Vec<(Timestamp, Sample)>> {
    let mut random = StdRng::seed_from_u64(seed);
    let homes = [cluster("ca:1"), cluster("ca:2")];
    let ids: Vec<_> = (0..3).map(|n| server(&format!("s{n}"))).collect();
    let mut kept: BTreeMap<ServerKey, Vec<_>> = BTreeMap::new();
    let mut bytes = [0_u64; 200];
    for look in 0..looks {
        let when = at(look * every + random.random_range(0..every / 2));
        let mut one = |n: usize| {
            // Counters go back now and then, as after a restart.
            bytes[n] = if random.random_range(0..20) == 0 { 0 } else { bytes[n] + random.random_range(0..1_000_000) };
            let counted = random.random_range(0..3) > 0;
            let usage = Usage {
                cpu_percent: Some(f32::from(random.random_range(0..1000_u16)) / 10.0),
                receive_bytes: counted.then_some(Count::new(bytes[n])),
                ..Usage::default()
            };
            let chosen = random.random_range(0..4) > 0;
            chosen.then_some(Sample {
                pressure: Pressure { io_percent: Some(1.5), ..Pressure::default() },
                ..sample(usage)
            })
        };
        let mut samples = Samples::default();
        for (c, home) in homes.iter().enumerate() {
            let guests: Vec<(VmId, Sample)> =
                (0..20).filter_map(|n| Some((vmid(100 + u32::try_from(n).unwrap()), one(c * 20 + n)?))).collect();
            for (vmid, sample) in &guests {
                kept.entry(ServerKey::of_guest(home, *vmid)).or_default().push((when, *sample));
                samples.add_guest(home, *vmid, sample);
            }
        }
        for (n, id) in ids.iter().enumerate() {
            if let Some(sample) = one(100 + n) {
                kept.entry(ServerKey::of_server(id)).or_default().push((when, sample));
                samples.add_server(id, sample);
            }
        }
        state.record_samples(&samples, when, None).unwrap();
    }
    kept
}

#[test]
fn one_server_and_all_are_read_alike() {
    let state = State::in_memory().unwrap();
    let kept = random(&state, 1, 100, 300);
    let servers: Vec<_> = kept.keys().cloned().collect();
    assert_eq!((servers.len(), all_of(&state, &servers)), (43, kept.clone()));
    for server in &servers {
        assert_eq!(all_of(&state, std::slice::from_ref(server))[server], kept[server], "{server:?}");
        assert_eq!(state.first_sample_at(std::slice::from_ref(server)).unwrap()[server], kept[server][0].0);
    }
    // The window has both of its ends.
    let (since, until) = (kept[&servers[0]][3].0, kept[&servers[0]][9].0);
    let got = state.samples(&servers[..1], since, until).unwrap();
    assert_eq!(got[&servers[0]], kept[&servers[0]][3..=9]);
}

/// What is left of the hours of a server, computed from all of its samples.
#[test]
fn wrong_clocks_wedge_nothing() {
    const YEAR: i64 = 365 * 86_400;
    let state = State::in_memory().unwrap();
    let home = cluster("ca:1");
    let tidy = |now: Timestamp| {
        let retention = Retention { raw: SignedDuration::from_hours(24), ..Retention::default() };
        state.tidy(now, &retention).unwrap();
    };
    let one = [key("ca:1/100")];
    let guests = [(100, busy(1.0, 1, 1))];
    let all = |state: &State| {
        let hours = state.hours(&one, Timestamp::MIN, at(YEAR)).unwrap();
        let samples = state.samples(&one, Timestamp::MIN, at(YEAR)).unwrap();
        let summed = hours.get(&one[0]).map_or(0, |hours| hours.iter().map(|h| h.metrics[0].1.count as usize).sum());
        summed + samples.get(&one[0]).map_or(0, Vec::len)
    };
    // One look of each hour, and amid them some of a clock that was years ahead or stood in 1970.
    let mut looks = 0;
    for hour in 0..100 {
        let now = at(hour * 3600);
        record(&state, &home, &guests, now);
        looks += 1;
        tidy(now);
        if hour == 30 {
            for ahead in 5..8 {
                record(&state, &home, &guests, at(ahead * YEAR));
                tidy(at(ahead * YEAR));
            }
        }
        if hour == 60 {
            record(&state, &home, &guests, Timestamp::from_second(30).unwrap());
            looks += 1;
            tidy(Timestamp::from_second(31).unwrap());
            // What is older than the whole samples is seen once it is summed up.
            tidy(now);
        }
        // The one of 1970 is far too old as soon as the clocks agree again.
        looks -= usize::from(hour == 65);
        assert_eq!(all(&state), looks, "hour {hour}");
    }
    let conn = state.lock();
    let sql = "SELECT (SELECT count(*) FROM samples), (SELECT count(*) FROM unrolled)";
    let (samples, unrolled): (i64, i64) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!((24..36).contains(&samples) && unrolled < 6, "{samples} {unrolled}");
}

#[test]
fn clusters_that_merge_keep_their_samples() {
    let state = State::in_memory().unwrap();
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    record(&state, &new, &[(101, busy(2.0, 1, 1))], at(0));
    record(&state, &old, &[(100, busy(1.0, 1, 1)), (101, busy(1.0, 1, 1))], at(0));
    record(&state, &old, &[(100, busy(1.0, 1, 1)), (101, busy(1.0, 1, 1))], at(7200));
    record(&state, &cluster("ca:1"), &[(101, busy(5.0, 1, 1))], at(0));
    tidy(&state, at(4 * 3600), 1000);
    state.rename_cluster(&old, &new).unwrap();
    let servers = ["ca:99/100", "ca:99/101", "ca:1/101", "host:pve1/100", "host:pve1/101"].map(key);
    let shape = |percent| (percent, 1);
    let got: Vec<_> = all_of(&state, &servers)
        .into_iter()
        .map(|(server, samples)| {
            (server.0, samples.iter().map(|(at, s)| (*at, s.usage.cpu_percent)).collect::<Vec<_>>())
        })
        .collect();
    let want = [
        ("ca:1/101".to_owned(), vec![(at(0), Some(5.0))]),
        ("ca:99/100".to_owned(), vec![(at(0), Some(1.0)), (at(7200), Some(1.0))]),
        ("ca:99/101".to_owned(), vec![(at(0), Some(2.0)), (at(7200), Some(1.0))]),
    ];
    assert_eq!(got, want);
    for _ in 0..3 {
        tidy(&state, at(100 * 3600), 0);
    }
    let hours = state.hours(&servers, Timestamp::MIN, Timestamp::MAX).unwrap();
    let got: Vec<_> = hours
        .iter()
        .map(|(server, hours)| (server.0.as_str(), hours.iter().map(|h| shape(h.metrics[0].1.max)).collect::<Vec<_>>()))
        .collect();
    let want = [
        ("ca:1/101", vec![shape(5.0)]),
        ("ca:99/100", vec![shape(1.0), shape(1.0)]),
        ("ca:99/101", vec![shape(2.0), shape(1.0)]),
    ];
    assert_eq!(got, want);

    // A lasting name that is new needs no moving.
    state.rename_cluster(&new, &cluster("ca:100")).unwrap();
    assert_eq!(state.hours(&[key("ca:100/100")], Timestamp::MIN, Timestamp::MAX).unwrap().len(), 1);
}
