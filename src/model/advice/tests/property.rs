//! No history makes a verdict that its own peak would not have survived.

use proptest::prelude::*;

use super::{Case, GIB, Minute, on, waiting};
use crate::model::advice::Verdict;
use crate::model::id::GuestKind;

proptest! {
    #[test]
    fn nothing_is_left_with_less_than_it_used_or_needs(
        container in any::<bool>(),
        (cores, sockets) in (1u32..17, 1u32..3),
        quarters in 1u32..129,
        ostype in proptest::option::of(proptest::sample::select(vec!["l26", "win10", "win11", "other"])),
        step in proptest::sample::select(vec![1u32, 30, 360, 720]),
        load in proptest::collection::vec((0.0..1.0f64, 0.0..1.1f64, 0.0..40.0f64, 0u8..12), 1..40),
    ) {
        let gib = f64::from(quarters) / 4.0;
        let new = if container { Case::ct(cores, gib) } else { Case::vm(cores, gib) };
        let case = new.sized(|size| {
            size.sockets = Some(sockets);
            size.ostype = ostype.map(str::to_owned);
        });
        let all = case.allocated.cpus.unwrap();
        let days = if step == 1 { 8 } else { 30 };
        let case = case.did_in_steps(days, step, |minute| {
            let (cpu, memory, waits, kind) = load[(minute / 97) as usize % load.len()];
            match kind {
                0 => Minute::Off,
                1 => Minute::Gap,
                2 => waiting(cpu * all, memory * gib, [waits, waits / 4.0, waits]),
                _ => on(cpu * all * 0.3, memory * gib * 0.4),
            }
        });
        let (past, _) = case.past();
        let known = past.coverage.measured_hours + past.coverage.off_hours;
        let [cores, memory]: [_; 2] = case.advice().try_into().unwrap();
        for (line, spread, floor) in [
            (&cores, past.cores, if ostype == Some("win11") && !container { 2.0 } else { 1.0 }),
            (&memory, past.memory, if case.kind == GuestKind::Lxc { GIB / 16.0 } else { GIB / 2.0 }),
        ] {
            let Some(to) = line.to else { continue };
            prop_assert!(known >= 7 * 24);
            prop_assert!(to >= spread.unwrap().peak.value - 1e-6, "{line:#?}");
            prop_assert!(to >= floor, "{line:#?}");
            let from = line.from.unwrap();
            prop_assert!(if line.verdict == Verdict::Less { to < from } else { to > from }, "{line:#?}");
            prop_assert!(line.command.is_some() && line.confidence.is_some());
        }
        // Whole cores in each socket, and whole steps of memory.
        if let Some(to) = cores.to {
            let sockets = if container { 1 } else { sockets };
            prop_assert!(to % f64::from(sockets) < 1e-9, "{to}");
        }
        if let Some(to) = memory.to {
            prop_assert!(to % (GIB / 4.0) < 1e-9, "{to}");
        }
    }
}
