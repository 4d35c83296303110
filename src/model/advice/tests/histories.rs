//! The table: each history, and the verdict with its reason.

use super::{Case, DAY, GIB, Minute, on, waiting};
use crate::model::advice::Verdict::{CannotTell, Keep, Less, More, Review};
use crate::model::advice::{Confidence, Verdict};
use crate::model::guest::size::Balloon;

/// What is said of a guest's cores and of its memory (in GiB), a part of why, and how sure it is.
#[derive(Clone, Copy)]
struct Want {
    cores: (Verdict, Option<f64>, &'static str),
    memory: (Verdict, Option<f64>, &'static str),
    sure: Option<Confidence>,
}

fn want(cores: (Verdict, Option<f64>, &'static str), memory: (Verdict, Option<f64>, &'static str)) -> Want {
    Want { cores, memory, sure: None }
}

fn sure(confidence: Confidence, want: Want) -> Want {
    Want { sure: Some(confidence), ..want }
}

fn check(cases: Vec<(&str, Case, Want)>) {
    for (name, case, want) in cases {
        let [cores, memory] = case.advice().try_into().unwrap();
        for (line, (verdict, to, why), unit) in [(&cores, want.cores, 1.0), (&memory, want.memory, GIB)] {
            assert_eq!((line.verdict, line.to.map(|to| to / unit)), (verdict, to), "{name}: {line:#?}");
            assert!(line.evidence.contains(why), "{name}: {why}: {line:#?}");
            if let (Some(want), true) = (want.sure, verdict != CannotTell) {
                assert_eq!(line.confidence, Some(want), "{name}: {line:#?}");
            }
            assert_eq!(line.command.is_some() && line.verdict != CannotTell, line.to.is_some(), "{name}: {line:#?}");
        }
    }
}

#[test]
fn what_a_guest_did() {
    check(vec![
        (
            "a small load in a large machine",
            Case::vm(8, 16.0).did(|m| on(if m % DAY < 30 { 1.7 } else { 0.7 }, 3.1)),
            sure(
                Confidence::High,
                want((Less, Some(2.0), "at most 1.7 of 8"), (Less, Some(3.75), "at most 3.1G of 16G")),
            ),
        ),
        (
            "what it has is what it needs",
            Case::vm(2, 4.0).did(|m| on(if m % 60 < 10 { 1.6 } else { 0.9 }, 3.2)),
            want((Keep, None, "at most 1.6 of 2"), (Keep, None, "at most 3.2G of 4.0G")),
        ),
        (
            "too little to save for a restart",
            Case::vm(8, 8.0).did(|m| on(if m % DAY < 60 { 6.2 } else { 2.0 }, 6.2)),
            want((Keep, None, "at most 6.2 of 8"), (Keep, None, "")),
        ),
        (
            "a transcoder that works at night",
            Case::vm(8, 8.0).did(|m| if m % DAY < 180 { on(8.0, 6.9) } else { on(0.1, 1.5) }),
            want((Keep, None, "P95 8.0"), (Keep, None, "at most 6.9G")),
        ),
        (
            "a backup of twenty minutes on Sundays",
            Case::vm(8, 8.0).did(|m| if m % (7 * DAY) < 20 { on(6.9, 6.0) } else { on(0.3, 1.5) }),
            want((Keep, None, "at most 6.9 of 8 (2026-"), (Keep, None, "at most 6.0G")),
        ),
        (
            "the end of a month, once",
            Case::vm(8, 16.0).did(|m| if m / DAY == 29 { on(3.5, 7.0) } else { on(0.3, 1.5) }),
            want((Less, Some(5.0), "at most 3.5"), (Less, Some(8.25), "at most 7.0G")),
        ),
        (
            "a start that takes all it has",
            Case::vm(4, 8.0).did(|m| match m.checked_sub(20 * DAY) {
                Some(0..3) => Minute::On { cores: 4.0, gib: 6.5, waits: [0.0; 3], starts: true },
                _ => on(0.2, 1.5),
            }),
            want((Keep, None, "at its start"), (Keep, None, "at its start")),
        ),
        (
            "always busy",
            Case::vm(2, 4.0).did(|_| on(1.95, 3.0)),
            want((More, Some(3.0), "nearly all it has in half of the time"), (Keep, None, "")),
        ),
        (
            "always busy, on a node that has no more",
            Case::vm(8, 4.0).with(|case| case.host_cpus = Some(8.0)).did(|_| on(7.9, 3.0)),
            want((Keep, None, "its node has no more CPUs"), (Keep, None, "")),
        ),
        (
            "only at night, and off else",
            Case::vm(4, 8.0).did(|m| if m % DAY < 120 { on(1.2, 2.0) } else { Minute::Off }),
            sure(Confidence::High, want((Less, Some(2.0), "30 d known"), (Less, Some(2.5), ""))),
        ),
        (
            "it used more when it had more",
            Case::vm(4, 8.0)
                .with(|case| case.allocated.cpus = Some(8.0))
                .did(|m| on(if m < DAY { 6.0 } else { 1.0 }, 3.0)),
            want((Keep, None, "at most 6.0 of 4"), (Less, Some(3.5), "")),
        ),
    ]);
}

#[test]
fn what_memory_says() {
    let leak = |m: u32| 1.0 + 2.4 * f64::from(m) / f64::from(30 * DAY);
    check(vec![
        (
            "a leak",
            Case::vm(4, 4.0).did(move |m| on(1.9, leak(m))),
            want((Less, Some(3.0), ""), (Review, None, "it rises by")),
        ),
        (
            "a leak that a restart ends each week",
            Case::vm(2, 8.0).did(|m| on(1.5, 1.0 + 3.0 * f64::from(m % (7 * DAY)) / f64::from(7 * DAY))),
            want((Keep, None, ""), (Review, None, "a leak?")),
        ),
        (
            "a cache that fills all there is",
            Case::vm(2, 8.0).did(|m| on(1.5, (1.0 + f64::from(m) / f64::from(DAY)).min(7.8))),
            want((Keep, None, ""), (Keep, None, "perhaps with its own cache")),
        ),
        (
            "its host takes memory back",
            Case::vm(2, 8.0)
                .sized(|size| size.balloon = Balloon::Reports { actual: Some(3 << 30) })
                .did(|_| on(1.5, 2.5)),
            want((Keep, None, ""), (Keep, None, "leaves it 3.0G now")),
        ),
        (
            "no balloon device",
            Case::vm(4, 8.0).sized(|size| size.balloon_mib = Some(0)).did(|_| on(0.5, 7.8)),
            want((Less, Some(1.0), ""), (CannotTell, None, "no balloon")),
        ),
        (
            "no driver for its balloon",
            Case::vm(4, 8.0).sized(|size| size.balloon = Balloon::Silent).did(|_| on(0.5, 2.0)),
            want((Less, Some(1.0), ""), (CannotTell, None, "load virtio_balloon")),
        ),
        (
            "Windows without its balloon service",
            Case::vm(4, 8.0)
                .sized(|size| (size.balloon, size.ostype) = (Balloon::Silent, Some("win10".to_owned())))
                .did(|_| on(0.5, 2.0)),
            want((Less, Some(1.0), ""), (CannotTell, None, "balloon service of virtio-win")),
        ),
        (
            "it does not run now",
            Case::vm(4, 8.0)
                .sized(|size| size.balloon = Balloon::Unknown)
                .with(|case| case.running = false)
                .did(|_| on(0.5, 2.0)),
            want((Less, Some(1.0), ""), (CannotTell, None, "it does not run")),
        ),
        (
            "nobody ever read its configuration",
            Case::vm(4, 8.0).with(|case| case.size = None).did(|_| on(0.5, 2.0)),
            want((Less, Some(1.0), ""), (CannotTell, None, "its configuration is not known")),
        ),
        (
            "a container that is full",
            Case::ct(2, 2.0).did(|_| on(1.5, 1.9)),
            want((Keep, None, ""), (More, Some(2.5), "it is full in 5 % of the time")),
        ),
        (
            "a container that was nearly full once",
            Case::ct(2, 2.0).did(|m| on(1.5, if m % (30 * DAY) < 30 { 1.9 } else { 0.5 })),
            want((Keep, None, ""), (Keep, None, "at most 1.9G")),
        ),
    ]);
}

#[test]
fn who_waits_is_not_given_less() {
    check(vec![
        (
            "a busy machine that waits for CPUs",
            Case::vm(2, 4.0).did(|_| waiting(1.7, 3.0, [30.0, 0.0, 0.0])),
            want((More, Some(3.0), "it waited for a CPU in 30 % of the time"), (Keep, None, "")),
        ),
        (
            "one that waits for CPUs and uses few: its node is busy",
            Case::vm(4, 4.0).did(|_| waiting(0.4, 3.0, [30.0, 0.0, 0.0])),
            want((Review, None, "more cores would not help"), (Keep, None, "")),
        ),
        (
            "one that its cpulimit holds back",
            Case::vm(4, 4.0).sized(|size| size.cpu_limit = Some(1.0)).did(|_| waiting(0.95, 3.0, [40.0, 0.0, 0.0])),
            want((Review, None, "its cpulimit of 1 holds it back"), (Keep, None, "")),
        ),
        (
            "one that waits for CPUs at times",
            Case::vm(8, 4.0).did(|m| waiting(1.0, 3.0, if m % DAY < 120 { [9.0, 0.0, 0.0] } else { [0.0; 3] })),
            want((Keep, None, "which forbids less"), (Keep, None, "")),
        ),
        (
            "a container that waits for memory",
            Case::ct(2, 4.0).did(|_| waiting(1.5, 3.4, [0.0, 8.0, 0.0])),
            want((Keep, None, ""), (More, Some(4.75), "it waited for memory in 8 % of the time")),
        ),
        (
            "a machine that waits for memory and uses little: its node is short of it",
            Case::vm(2, 8.0).did(|_| waiting(1.5, 2.0, [0.0, 8.0, 0.0])),
            want((Keep, None, ""), (Review, None, "its node is short of memory")),
        ),
        (
            "one that waits for memory at times",
            Case::ct(2, 8.0).did(|m| waiting(1.5, 2.0, if m % DAY < 120 { [0.0, 2.0, 0.0] } else { [0.0; 3] })),
            want((Keep, None, ""), (Keep, None, "which forbids less")),
        ),
        (
            "one that waits for disks",
            Case::vm(4, 8.0).did(|_| waiting(0.5, 2.0, [0.0, 0.0, 35.0])),
            want((Less, Some(1.0), ""), (Keep, None, "a smaller cache would make it worse")),
        ),
    ]);
}

#[test]
fn too_little_is_known() {
    check(vec![
        (
            "three hours",
            Case::vm(8, 16.0).did_in_steps(1, 30, |m| if m < DAY - 180 { Minute::Gap } else { on(0.5, 2.0) }),
            want((CannotTell, None, "only 3 h of history"), (CannotTell, None, "only 3 h of history")),
        ),
        (
            "one sample",
            Case::vm(8, 16.0).did_in_steps(1, 1, |m| if m == 700 { on(0.5, 2.0) } else { Minute::Gap }),
            want((CannotTell, None, "only 1 h of history"), (CannotTell, None, "only 1 h")),
        ),
        (
            "six days",
            Case::vm(8, 16.0).did_in_steps(6, 30, |_| on(0.5, 2.0)),
            want((CannotTell, None, "only 6 d of history; a week is the least"), (CannotTell, None, "")),
        ),
        (
            "nothing at all",
            Case::vm(8, 16.0),
            want((CannotTell, None, "only 0 h of history"), (CannotTell, None, "only 0 h")),
        ),
        (
            "it never ran",
            Case::vm(8, 16.0).did(|_| Minute::Off),
            want((CannotTell, None, "it did not run in this time"), (CannotTell, None, "it did not run")),
        ),
        (
            "it ran for an hour in a month",
            Case::vm(8, 16.0).did(|m| if m < 60 { on(0.5, 2.0) } else { Minute::Off }),
            want((CannotTell, None, "it ran for only 1 h"), (CannotTell, None, "")),
        ),
        (
            "a hole of two weeks",
            Case::vm(8, 16.0).did(|m| if (5 * DAY..19 * DAY).contains(&m) { Minute::Gap } else { on(0.9, 2.0) }),
            sure(Confidence::Low, want((Less, Some(2.0), "nothing for 14 d"), (Less, Some(2.5), "16 d known"))),
        ),
        (
            "nine days, no hole",
            Case::vm(8, 16.0).did_in_steps(9, 30, |_| on(0.9, 2.0)),
            sure(Confidence::Low, want((Less, Some(2.0), "9 d known"), (Less, Some(2.5), ""))),
        ),
        (
            "half days, as Proxmox VE 8 keeps them: the highest minute counts",
            Case::vm(8, 16.0).did_in_steps(30, 720, |m| if m % DAY == 100 { on(5.5, 9.0) } else { on(0.2, 2.0) }),
            sure(Confidence::Medium, want((Less, Some(6.0), "at most 5.5"), (Less, Some(10.5), "at most 9.0G"))),
        ),
        (
            "it got more two days ago, as it had too little",
            Case::vm(8, 16.0).did_in_steps(30, 30, |_| on(1.9, 3.9)).with(|case| {
                let old = case.steps.len() - 2 * 48;
                for step in &mut case.steps[..old] {
                    (step.cpus, step.memory_max) = (Some(2.0), Some(4.0 * GIB));
                    step.cpu = step.cpu.map(|_| crate::model::advice::tally::Level::once(95.0));
                }
            }),
            want(
                (Keep, None, "it got more CPUs less than a week ago"),
                (Keep, None, "it got more memory less than a week ago"),
            ),
        ),
    ]);
}

#[test]
fn what_a_guest_is() {
    let windows = |ostype: &str| Some(ostype.to_owned());
    check(vec![
        (
            "a standby, by its tag",
            Case::vm(8, 16.0)
                .with(|case| case.tags = vec!["db".to_owned(), "hot-standby".to_owned()])
                .did(|_| on(0.3, 2.0)),
            want((Keep, None, "it is a hot-standby"), (Keep, None, "it is a hot-standby")),
        ),
        (
            "a standby, by its name",
            Case::vm(8, 16.0).with(|case| case.name = "pg-replica-2").did(|_| on(0.3, 2.0)),
            want((Keep, None, "it is a replica"), (Keep, None, "it is a replica")),
        ),
        (
            "one that never did anything",
            Case::vm(8, 16.0).did(|_| on(0.01, 2.0)),
            want((Keep, None, "it was idle"), (Keep, None, "it was idle")),
        ),
        (
            "Windows 11",
            Case::vm(8, 16.0).sized(|size| size.ostype = windows("win11")).did(|_| on(0.5, 1.5)),
            want((Less, Some(2.0), ""), (Less, Some(4.0), "")),
        ),
        (
            "Windows 10",
            Case::vm(8, 16.0).sized(|size| size.ostype = windows("win10")).did(|_| on(0.5, 1.0)),
            want((Less, Some(1.0), ""), (Less, Some(2.0), "")),
        ),
        (
            "a small Linux",
            Case::vm(1, 2.0).sized(|size| size.ostype = windows("l26")).did(|_| on(0.3, 0.1)),
            want((Keep, None, ""), (Less, Some(0.5), "")),
        ),
        ("a small container", Case::ct(1, 1.0).did(|_| on(0.3, 0.02)), want((Keep, None, ""), (Less, Some(0.25), ""))),
        ("a tiny container", Case::ct(1, 0.125).did(|_| on(0.3, 0.02)), want((Keep, None, ""), (Keep, None, ""))),
        (
            "a container without a limit of cores",
            Case::ct(8, 1.0).sized(|size| size.cores = None).did(|_| on(0.9, 0.8)),
            want((Keep, None, "it may use all CPUs of its node"), (Keep, None, "")),
        ),
        (
            "a container with a limit of time alone",
            Case::ct(4, 1.0).sized(|size| (size.cores, size.cpu_limit) = (None, Some(4.0))).did(|_| on(0.9, 0.8)),
            want((Less, Some(2.0), ""), (Keep, None, "")),
        ),
        (
            "two sockets",
            Case::vm(4, 4.0).sized(|size| size.sockets = Some(2)).did(|_| on(2.5, 3.2)),
            want((Less, Some(4.0), "of 8"), (Keep, None, "")),
        ),
        (
            "CPUs that are plugged in",
            Case::vm(8, 4.0).sized(|size| size.vcpus = Some(6)).did(|_| on(2.5, 3.2)),
            want((Less, Some(3.0), "of 6"), (Keep, None, "")),
        ),
    ]);
}
