use proptest::prelude::*;

use super::*;

/// Where most counters begin again.
const RANGE: u64 = 262_143_328_850;

type Counter<'a> = (&'a str, DomainKind, u64);

fn domains(all: &[Counter<'_>]) -> Domains {
    let domain = |(name, kind, joules): &Counter<'_>| {
        ((*name).to_owned(), Domain { kind: *kind, microjoules: joules * 1_000_000, range: RANGE })
    };
    all.iter().map(domain).collect()
}

#[test]
fn the_kernel_names_its_domains() {
    for (name, want) in [
        ("package-0", Some(DomainKind::Package)),
        ("package-1", Some(DomainKind::Package)),
        ("package-0-die-1", Some(DomainKind::Package)),
        ("dram", Some(DomainKind::Dram)),
        ("psys", Some(DomainKind::Psys)),
        ("core", None),
        ("uncore", None),
        ("package", None),
    ] {
        assert_eq!(DomainKind::parse(name), want, "{name}");
    }
}

#[test]
fn watts_are_what_the_counters_grew_by() {
    use DomainKind::{Dram, Package, Psys};
    use WattsBy::{PackageAndMemory, Platform};
    let package = WattsBy::Package;
    for (what, before, after, want) in [
        ("one package", &[("0", Package, 1000)][..], &[("0", Package, 3000)][..], Ok((20.0, package))),
        ("idle", &[("0", Package, 1000)], &[("0", Package, 1000)], Ok((0.0, package))),
        (
            "two packages add",
            &[("0", Package, 1000), ("1", Package, 500)],
            &[("0", Package, 3000), ("1", Package, 1500)],
            Ok((30.0, package)),
        ),
        (
            "memory is extra",
            &[("0", Package, 1000), ("0:0", Dram, 10)],
            &[("0", Package, 3000), ("0:0", Dram, 510)],
            Ok((25.0, PackageAndMemory)),
        ),
        (
            "memory that is new is left out",
            &[("0", Package, 1000)],
            &[("0", Package, 3000), ("0:0", Dram, 510)],
            Ok((20.0, package)),
        ),
        (
            "the board contains its packages",
            &[("0", Package, 1000), ("0:0", Dram, 10), ("1", Psys, 0)],
            &[("0", Package, 3000), ("0:0", Dram, 510), ("1", Psys, 4500)],
            Ok((45.0, Platform)),
        ),
        (
            "a board that counts less than its package counts something else",
            &[("0", Package, 1000), ("1", Psys, 0)],
            &[("0", Package, 3000), ("1", Psys, 100)],
            Ok((20.0, package)),
        ),
        (
            "a board that counts nothing",
            &[("0", Package, 1000), ("1", Psys, 0)],
            &[("0", Package, 3000), ("1", Psys, 0)],
            Ok((20.0, package)),
        ),
        ("the board alone", &[("1", Psys, 0)], &[("1", Psys, 1000)], Ok((10.0, Platform))),
        ("it began again", &[("0", Package, 262_000)], &[("0", Package, 1857)], Ok((20.003_288_5, package))),
        (
            "a second package that is new",
            &[("0", Package, 1)],
            &[("0", Package, 2), ("1", Package, 9)],
            Err("there is no earlier reading of 1"),
        ),
        ("it was reset", &[("0", Package, 100_000)], &[("0", Package, 5)], Err("the energy counter 0 jumped")),
        (
            "beyond its range",
            &[("0", Package, 300_000)],
            &[("0", Package, 5)],
            Err("the energy counter 0 makes no sense"),
        ),
        ("nothing", &[], &[], Err("its CPU has no energy counter")),
        ("memory alone is no CPU", &[("0:0", Dram, 1)], &[("0:0", Dram, 2)], Err("its CPU has no energy counter")),
    ] {
        let got = watts(&domains(before), &domains(after), 100.0, None);
        let got = got.map(|(watts, by)| ((watts * 1e8).round() / 1e8, by));
        assert_eq!(got, want.map_err(str::to_owned), "{what}");
    }
}

#[test]
fn a_counter_that_may_have_wrapped_twice_tells_nothing() {
    let of = |joules| domains(&[("intel-rapl:0", DomainKind::Package, joules)]);
    let (before, after) = (of(1000), of(3000));
    for (seconds, max_watts, is_known) in [
        // 264 kJ in 440 s would be 600 W, which the largest CPUs could draw.
        (439.0, None, true),
        (441.0, None, false),
        // Of this server they would be too much for much longer.
        (441.0, Some(100.0), true),
        (1760.0, Some(100.0), true),
        (1762.0, Some(100.0), false),
        (86_400.0, None, false),
    ] {
        let got = watts(&before, &after, seconds, max_watts);
        assert_eq!(got.is_ok(), is_known, "{seconds} {max_watts:?}: {got:?}");
    }
    let why = watts(&before, &after, 600.0, None).unwrap_err();
    assert_eq!(
        why,
        "the energy counter intel-rapl:0 may have wrapped in the 600 s between two readings; look more often, or set \
         `max_watts` in [servers.energy]"
    );
    for seconds in [0.0, -1.0, f64::NAN] {
        assert!(watts(&before, &after, seconds, None).is_err(), "{seconds}");
    }
}

proptest! {
    /// However far the counter had come, and whether or not it began again: what was drawn is what is told.
    #[test]
    fn what_was_drawn_is_told(start in 0..RANGE, drawn in 0.0..500.0f64, seconds in 1.0..300.0f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
        let grown = (drawn * seconds * 1e6) as u64;
        let of = |microjoules| {
            Domains::from([("p".to_owned(), Domain { kind: DomainKind::Package, microjoules, range: RANGE })])
        };
        let (told, _) = watts(&of(start), &of((start + grown) % RANGE), seconds, None).unwrap();
        prop_assert!((told - drawn).abs() < 0.01, "{told} {drawn}");
    }

    #[test]
    fn no_counters_make_nonsense(
        before in any::<(u64, u64)>(), after in any::<(u64, u64)>(), seconds in any::<f64>(), max in 0.0..1000.0f64,
    ) {
        let of = |(microjoules, range)| {
            Domains::from([("p".to_owned(), Domain { kind: DomainKind::Package, microjoules, range })])
        };
        if let Ok((watts, _)) = watts(&of(before), &of(after), seconds, Some(max)) {
            prop_assert!((0.0..=600.0).contains(&watts), "{watts}");
        }
    }
}
