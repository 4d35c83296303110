use proptest::prelude::*;

use super::*;

fn reading(uptime: f64, busy: u64, total: u64, port: (u64, u64), disk: (u64, u64)) -> Reading {
    Reading {
        boot_id: Some("3f39dcff-3b06-442c-9fdf-2778c2f46a00".to_owned()),
        uptime: Some(uptime),
        cpu: Some(Ticks { busy, total }),
        ports: BTreeMap::from([("eno1".to_owned(), port)]),
        disks: BTreeMap::from([("sda".to_owned(), disk)]),
        ..Reading::default()
    }
}

fn before() -> Reading {
    reading(100.0, 1000, 10_000, (5000, 600), (70_000, 8000))
}

#[test]
fn two_readings_give_percent_and_rates() {
    let change = reading(102.5, 1125, 10_500, (10_000, 600), (70_010, 8025)).since(&before(), Some(2.0)).unwrap();
    assert_eq!(change.cpu_percent, Ok(25.0));
    assert_eq!((change.receive, change.transmit), (Ok(2000.0), Ok(0.0)));
    assert_eq!((change.read, change.write), (Ok(4.0), Ok(10.0)));
    assert!((change.seconds - 2.5).abs() < 1e-9);
    assert!(change.new_ports.is_empty() && change.new_disks.is_empty());
}

#[test]
fn what_cannot_be_compared_says_why() {
    let after = || reading(101.0, 1100, 10_200, (6000, 700), (71_000, 9000));
    let cases: &[(&str, Reading, Reading)] = &[
        (
            "the server restarted between the two readings",
            before(),
            Reading { boot_id: Some("other".into()), ..after() },
        ),
        ("without a boot id two readings cannot be compared", Reading { boot_id: None, ..before() }, after()),
        (
            "without a boot id two readings cannot be compared",
            Reading { boot_id: None, ..before() },
            Reading { boot_id: None, ..after() },
        ),
        ("without the uptime it is unknown how long was measured", before(), Reading { uptime: None, ..after() }),
        ("the server's uptime went back", before(), Reading { uptime: Some(99.9), ..after() }),
        ("the server's uptime went back", before(), Reading { uptime: Some(f64::NAN), ..after() }),
        ("no time passed between the two readings", before(), Reading { uptime: Some(100.0), ..after() }),
        ("no time passed between the two readings", before(), Reading { uptime: Some(100.004), ..after() }),
    ];
    for (want, before, after) in cases {
        assert_eq!(after.since(before, Some(2.0)).unwrap_err(), *want);
    }
}

#[test]
fn one_bad_number_leaves_the_others() {
    let good = || reading(101.0, 1100, 10_200, (6000, 700), (71_000, 9000));
    let cpu = |busy, total| Reading { cpu: Some(Ticks { busy, total }), ..good() };
    for (want, after) in [
        ("the CPUs' counters went back", cpu(999, 10_200)),
        ("the CPUs' counters went back", cpu(1100, 9999)),
        ("the CPUs' counters did not move", cpu(1000, 10_000)),
        // A hundredfold number.
        ("the CPUs' counters jumped", cpu(110_000, 10_200)),
        ("the CPUs' counters jumped", cpu(u64::MAX, 10_200)),
        ("the CPUs' counters are unknown", Reading { cpu: None, ..good() }),
    ] {
        let change = after.since(&before(), Some(2.0)).unwrap();
        assert_eq!(change.cpu_percent, Err(want.to_owned()));
        assert_eq!((change.receive, change.write), (Ok(1000.0), Ok(1000.0)));
    }
    // A hundredfold of all, which no two CPUs have in a second; unless nobody knows how many they are.
    let many = cpu(1000 + 10_000, 10_000 + 20_000);
    assert_eq!(many.since(&before(), Some(2.0)).unwrap().cpu_percent, Err("the CPUs' counters jumped".to_owned()));
    assert_eq!(many.since(&before(), Some(200.0)).unwrap().cpu_percent, Ok(50.0));
    assert_eq!(many.since(&before(), None).unwrap().cpu_percent, Ok(50.0));
    // All CPUs busy, while a little iowait was taken back.
    assert_eq!(cpu(1202, 10_200).since(&before(), Some(2.0)).unwrap().cpu_percent, Ok(100.0));
    assert_eq!(cpu(1000, 10_200).since(&before(), Some(2.0)).unwrap().cpu_percent, Ok(0.0));

    let port = |rx, tx| Reading { ports: BTreeMap::from([("eno1".to_owned(), (rx, tx))]), ..good() };
    let change = port(4999, 700).since(&before(), Some(2.0)).unwrap();
    assert_eq!((change.receive, change.transmit), (Err("a counter of eno1 went back".to_owned()), Ok(100.0)));
    let change = port(u64::MAX, 600).since(&before(), Some(2.0)).unwrap();
    assert_eq!((change.receive, change.transmit), (Err("a counter of eno1 jumped".to_owned()), Ok(0.0)));
    assert_eq!(change.cpu_percent, Ok(50.0));

    let none = Reading { disks: BTreeMap::new(), ..good() }.since(&before(), Some(2.0)).unwrap();
    assert_eq!(none.read, Err("no disk is known".to_owned()));
    let other =
        Reading { disks: BTreeMap::from([("sdb".to_owned(), (1, 1))]), ..good() }.since(&before(), Some(2.0)).unwrap();
    assert_eq!((other.write, other.new_disks), (Err("no disk is in both readings".to_owned()), vec!["sdb".to_owned()]));
}

#[test]
fn a_new_port_is_named_and_left_out() {
    let mut after = reading(101.0, 1100, 10_200, (6000, 700), (71_000, 9000));
    after.ports.insert("eno2".to_owned(), (1 << 40, 1 << 40));
    let change = after.since(&before(), Some(2.0)).unwrap();
    assert_eq!((change.receive, change.new_ports), (Ok(1000.0), vec!["eno2".to_owned()]));
    // And the other way round: what is gone does not count.
    let change = reading(102.0, 1100, 10_200, (8000, 700), (71_000, 9000)).since(&after, Some(2.0)).unwrap();
    assert_eq!((change.receive, change.new_ports), (Ok(2000.0), vec![]));
}

#[test]
fn what_is_stored_is_small_and_reads_back() {
    let text = serde_json::to_string(&before()).unwrap();
    let want = "{\"boot_id\":\"3f39dcff-3b06-442c-9fdf-2778c2f46a00\",\"uptime\":100.0,\
        \"cpu\":{\"busy\":1000,\"total\":10000},\"ports\":{\"eno1\":[5000,600]},\"disks\":{\"sda\":[70000,8000]}}";
    assert_eq!(text, want);
    assert_eq!(serde_json::from_str::<Reading>(&text).unwrap(), before());
    assert_eq!(serde_json::to_string(&Reading::default()).unwrap(), "{}");
    assert_eq!(serde_json::from_str::<Reading>("{\"later\":1}").unwrap(), Reading::default());
}

#[test]
fn counters_stand_still_while_the_host_sleeps() {
    let energy = |microjoules| {
        let kind = rapl::DomainKind::Package;
        Domains::from([("intel-rapl:0".to_owned(), rapl::Domain { kind, microjoules, range: 262_143_328_850 })])
    };
    let counted = |uptime, ticks, microjoules, sleeps| Reading {
        energy: energy(microjoules),
        sleeps,
        ..reading(uptime, 1000, ticks, (5000, 600), (70_000, 8000))
    };
    let before = |sleeps| counted(100.0, 10_000, 5_000_000, sleeps);
    for (what, before, after, want) in [
        ("awake", before(Some(1)), counted(200.0, 30_000, 2_005_000_000, Some(1)), Ok((20.0, WattsBy::Package))),
        (
            "slept",
            before(Some(1)),
            counted(200.0, 30_000, 2_005_000_000, Some(2)),
            Err("the server slept between the two readings"),
        ),
        // An old kernel: two CPUs have 200 ticks in each second that they are awake.
        ("awake by its ticks", before(None), counted(200.0, 30_000, 2_005_000_000, None), Ok((20.0, WattsBy::Package))),
        (
            "slept by its ticks",
            before(None),
            counted(200.0, 20_000, 2_005_000_000, None),
            Err("the server slept between the two readings"),
        ),
    ] {
        let change = after.since(&before, Some(2.0)).unwrap();
        assert_eq!(after.watts_since(&before, &change, None), want.map_err(str::to_owned), "{what}");
    }
    let text = serde_json::to_string(&before(Some(1))).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&text).unwrap(), before(Some(1)), "{text}");
}

prop_compose! {
    fn any_reading()(
        boot_id in proptest::option::weighted(0.9, "[ab]"),
        uptime in proptest::option::weighted(0.9, prop_oneof![0.0..1e9, -1.0..1.0, any::<f64>()]),
        cpu in proptest::option::weighted(0.9, (counter(), counter())),
        ports in proptest::collection::btree_map("[ab]", (counter(), counter()), 0..3),
        disks in proptest::collection::btree_map("[ab]", (counter(), counter()), 0..3),
    ) -> Reading {
        let cpu = cpu.map(|(busy, total)| Ticks { busy, total });
        Reading { boot_id, uptime, cpu, ports, disks, ..Reading::default() }
    }
}

fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000u64, any::<u64>(), Just(0), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn whatever_was_read_the_numbers_are_possible(before in any_reading(), after in any_reading(), cpus in proptest::option::of(0.0..1e6_f32)) {
        let Ok(change) = after.since(&before, cpus) else { return Ok(()) };
        prop_assert!(change.seconds > 0.0 && change.seconds.is_finite());
        if let Ok(percent) = change.cpu_percent {
            prop_assert!((0.0..=100.0).contains(&percent), "{percent}");
        }
        for rate in [change.receive, change.transmit, change.read, change.write].into_iter().flatten() {
            prop_assert!(rate >= 0.0 && rate.is_finite(), "{rate}");
        }
    }
}
