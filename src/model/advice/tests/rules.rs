//! The commands, the waste, and who could sleep.

use super::{Case, DAY, on};
use crate::model::advice::waste::{Host, Off, host, idle, off};
use crate::model::advice::{Advice, Effect};
use crate::model::id::ServerId;

fn only(case: &Case, rule: &str) -> Advice {
    case.advice().into_iter().find(|line| line.rule == rule).unwrap()
}

#[test]
fn the_command_is_the_one_that_a_person_would_type() {
    let small = |case: Case| case.did(|m| on(if m % DAY < 60 { 0.8 } else { 0.3 }, 1.5));
    for (case, rule, command, effect) in [
        (small(Case::vm(4, 8.0)), "cores", "qm set 101 --cores 1", Effect::NextStart),
        (
            small(Case::vm(4, 8.0).sized(|size| size.sockets = Some(2))),
            "cores",
            "qm set 101 --cores 1",
            Effect::NextStart,
        ),
        (
            small(Case::vm(4, 8.0).sized(|size| size.vcpus = Some(3))),
            "cores",
            "qm set 101 --vcpus 1",
            Effect::NextStart,
        ),
        (
            small(Case::vm(4, 8.0).sized(|size| {
                (size.vcpus, size.hotplug) = (Some(3), Some("network,disk,cpu".to_owned()));
            })),
            "cores",
            "qm set 101 --vcpus 1",
            Effect::AtOnce,
        ),
        (small(Case::ct(4, 8.0)), "cores", "pct set 101 --cores 1", Effect::AtOnce),
        (
            small(Case::ct(4, 8.0).with(|case| case.running = false)),
            "cores",
            "pct set 101 --cores 1",
            Effect::NextStart,
        ),
        (
            small(Case::ct(4, 8.0).sized(|size| (size.cores, size.cpu_limit) = (None, Some(4.0)))),
            "cores",
            "pct set 101 --cpulimit 1",
            Effect::AtOnce,
        ),
        (small(Case::vm(4, 8.0)), "memory", "qm set 101 --memory 1792", Effect::NextStart),
        (
            small(Case::vm(4, 8.0).sized(|size| size.balloon_mib = Some(1024))),
            "memory",
            "qm set 101 --memory 1792",
            Effect::NextStart,
        ),
        (
            small(Case::vm(4, 8.0).sized(|size| size.balloon_mib = Some(4096))),
            "memory",
            "qm set 101 --memory 1792 --balloon 1792",
            Effect::NextStart,
        ),
        (
            small(Case::vm(4, 8.0).sized(|size| {
                (size.numa, size.hotplug) = (true, Some("memory".to_owned()));
            })),
            "memory",
            "qm set 101 --memory 1792",
            Effect::AtOnce,
        ),
        (small(Case::ct(4, 8.0)), "memory", "pct set 101 --memory 1792", Effect::AtOnce),
    ] {
        let line = only(&case, rule);
        assert_eq!((line.command.as_deref(), line.effect), (Some(command), Some(effect)), "{line:#?}");
    }
    // One that cannot be judged gets the command that changes that.
    let blind = Case::vm(4, 8.0).sized(|size| size.balloon_mib = Some(0)).did(|_| on(0.5, 7.8));
    assert_eq!(only(&blind, "memory").command.as_deref(), Some("qm set 101 --delete balloon"));
}

/// A guest that works little, and sends so much each second; not a number: that is not known.
fn serving(bytes: f64) -> Case {
    let sent = Some(bytes).filter(|bytes| bytes.is_finite());
    Case::vm(2, 4.0).did(|_| on(0.01, 1.0)).with(|case| case.steps.iter_mut().for_each(|step| step.sent = sent))
}

#[test]
fn who_never_works_is_named() {
    let id: ServerId = "pve1-vm-101".parse().unwrap();
    let says = |case: &Case| idle(&case.guest(&id), &case.past().0);
    let line = says(&Case::vm(2, 4.0).did(|_| on(0.01, 1.0))).unwrap();
    assert_eq!(line.command.as_deref(), Some("ecobox power shutdown pve1-vm-101"));
    assert!(line.evidence.starts_with("it did nothing in 30 d and holds 4.0G of memory"), "{line:#?}");
    for (name, case) in [
        ("it works once a week", Case::vm(2, 4.0).did(|m| on(if m % (7 * DAY) < 60 { 1.0 } else { 0.01 }, 1.0))),
        ("it is a spare", Case::vm(2, 4.0).with(|case| case.tags = vec!["spare".to_owned()]).did(|_| on(0.01, 1.0))),
        ("it is known for ten days", Case::vm(2, 4.0).did_in_steps(10, 30, |_| on(0.01, 1.0))),
        ("it is off", Case::vm(2, 4.0).with(|case| case.running = false).did(|_| on(0.01, 1.0))),
        ("a name server", serving(600.0)),
        ("what it sends is not known", serving(f64::NAN)),
    ] {
        assert_eq!(says(&case), None, "{name}");
    }
}

#[test]
fn who_is_off_is_named_only_if_somebody_looked() {
    let id: ServerId = "pve1-vm-101".parse().unwrap();
    let says = |days, known_percent| off((&id, "old"), Off { days, known_percent, disk_bytes: Some(96 << 30) });
    let line = says(134, 99.0).unwrap();
    assert!(line.evidence.starts_with("off for 134 days, and its disks take up to 96G"), "{line:#?}");
    assert_eq!((line.command, says(89, 99.0), says(134, 0.5)), (None, None, None));
}

#[test]
fn hosts_by_what_their_guests_used_together() {
    const GIB: f64 = super::GIB;
    let id: ServerId = "pve1".parse().unwrap();
    let usual = Host {
        id: &id,
        name: "pve1",
        cpus: 16.0,
        memory: 64.0 * GIB,
        guests: 9,
        together: (9.0, 40.0 * GIB),
        sum_of_peaks: (12.0, 50.0 * GIB),
        known_hours: 30 * 24,
    };
    let rules = |of: Host<'_>| host(&of).into_iter().map(|line| (line.rule, line.evidence)).collect::<Vec<_>>();
    assert_eq!(rules(usual), []);
    let full = rules(Host { together: (9.0, 63.0 * GIB), ..usual });
    assert!(full.len() == 1 && full[0].0 == "overcommit" && full[0].1.contains("63G together in one hour"), "{full:?}");
    // Not at the same time so far.
    let apart = rules(Host { sum_of_peaks: (12.0, 90.0 * GIB), ..usual });
    assert!(apart.len() == 1 && apart[0].1.contains("when each used most"), "{apart:?}");
    let large = rules(Host { together: (2.0, 10.0 * GIB), ..usual });
    assert!(large.len() == 1 && large[0].0 == "oversized", "{large:?}");
    for (name, unknown) in [
        ("a week is too short", Host { together: (2.0, 10.0 * GIB), known_hours: 8 * 24, ..usual }),
        ("its size is not known", Host { memory: 0.0, ..usual }),
        ("nothing is on it", Host { guests: 0, ..usual }),
    ] {
        assert_eq!(rules(unknown), [], "{name}");
    }
}

/// A name server has little to do, and is needed all the same.
#[test]
fn a_small_server_is_not_idle() {
    let id: ServerId = "pve1-ct-201".parse().unwrap();
    let case = Case::ct(1, 0.5).did(|_| on(0.012, 0.1)).with(|case| {
        for step in &mut case.steps {
            (step.traffic, step.sent) = (Some(1500.0), Some(600.0));
        }
    });
    assert_eq!(idle(&case.guest(&id), &case.past().0), None);
}
