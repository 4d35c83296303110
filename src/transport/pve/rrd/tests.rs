use proptest::prelude::*;

use Metric::{Cpu, Disk, Load, Memory, PressureCpu, PressureIo, PressureMemory, Read, Receive, Transmit, Write};

use super::*;
use crate::transport::pve::repair_json::parse;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/pve/", $name, ".json"))
    };
}

fn read(body: &[u8], timeframe: Timeframe, kind: Option<GuestKind>) -> RrdAnswer {
    answer(parse(body).unwrap(), timeframe, kind)
}

/// Rows of a container's hour.
fn rows(rows: &str) -> Vec<RrdRow> {
    read(format!(r#"{{"data":[{rows}]}}"#).as_bytes(), Timeframe::Hour, Some(GuestKind::Lxc)).rows
}

fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

/// When each row begins and ends.
fn spans(rows: &[RrdRow]) -> Vec<(i64, i64)> {
    rows.iter().map(|row| (seconds(row.begins), seconds(row.ends))).collect()
}

fn known(row: &RrdRow) -> Vec<Metric> {
    Metric::ALL.into_iter().filter(|metric| row.value(*metric).is_some()).collect()
}

#[test]
fn a_metric_has_its_place() {
    for (at, metric) in Metric::ALL.into_iter().enumerate() {
        assert_eq!(metric as usize, at, "{metric}");
    }
}

#[test]
fn recorded_rows_of_a_vm() {
    let answer = read(fixture!("rrd-vm-average"), Timeframe::Hour, Some(GuestKind::Qemu));
    assert_eq!((answer.rows.len(), answer.step()), (7, Some(SignedDuration::from_mins(1))));
    assert_eq!(spans(&answer.rows)[0], (1_795_381_200, 1_795_381_260));
    assert_eq!(known(&answer.rows[1]), [], "before it was started there is a gap");
    // The first row after the start has no counters of disks yet.
    let first = [Cpu, Memory, Receive, Transmit, PressureCpu, PressureMemory, PressureIo];
    assert_eq!(known(&answer.rows[2]), first);
    let whole = [Cpu, Memory, Receive, Transmit, Read, Write, PressureCpu, PressureMemory, PressureIo];
    assert_eq!(known(&answer.rows[4]), whole);
    let row = &answer.rows[2];
    assert!((row.value(Cpu).unwrap() - 8.091_792).abs() < 1e-5);
    assert!((row.value(Memory).unwrap() - 54_493_320.533_333_3).abs() < 1e-3);
    assert!((row.value(PressureCpu).unwrap() - 0.042_333).abs() < 1e-5);
    assert_eq!((row.memory_max_bytes, row.disk_max_bytes), (Some(134_217_728.0), None));
}

#[test]
fn recorded_rows_of_a_vm_that_was_off() {
    let answer = read(fixture!("rrd-vm-stopped"), Timeframe::Hour, Some(GuestKind::Qemu));
    let measured: Vec<bool> = answer.rows.iter().map(|row| !known(row).is_empty()).collect();
    assert_eq!(measured, [false, false, false, false, false, false, false, true, true, false]);
    let sizes: Vec<_> = answer.rows.iter().map(|row| row.memory_max_bytes).collect();
    assert_eq!(sizes[..2], [None, Some(67_108_864.0)]);
}

#[test]
fn recorded_rows_of_a_node() {
    let answer = read(fixture!("rrd-node"), Timeframe::Hour, None);
    let row = &answer.rows[1];
    assert_eq!(known(row), [Cpu, Load, Memory, Disk, Receive, Transmit, PressureCpu, PressureMemory, PressureIo]);
    assert!((row.value(Load).unwrap() - 0.973_166).abs() < 1e-5);
    assert!((row.value(Disk).unwrap() - 18_060_688_657.066_7).abs() < 1e-3);
    assert!((row.value(Receive).unwrap() - 467_189.233_333).abs() < 1e-5);
    assert_eq!((row.memory_max_bytes, row.disk_max_bytes), (Some(25_276_502_016.0), Some(270_553_174_016.0)));
    assert_eq!(row.arc_bytes, Some(0.0));
}

#[test]
fn numbers_may_be_anything() {
    let cpu = [
        ("0.25", Some(25.0)),
        ("\"0.25\"", Some(25.0)),
        ("0", Some(0.0)),
        ("1.2", Some(100.0)),
        ("10", Some(100.0)),
        ("10.1", None),
        ("-0.1", None),
        ("1e308", None),
        ("1e999", None),
        ("NaN", None),
        ("-inf", None),
        ("\"nan\"", None),
        ("null", None),
        ("true", None),
        ("[1]", None),
        ("{\"a\":1}", None),
    ];
    for (value, want) in cpu {
        let row = &rows(&format!(r#"{{"time":60,"cpu":{value},"mem":7}}"#))[0];
        assert_eq!((row.value(Metric::Cpu), row.value(Metric::Memory)), (want, Some(7.0)), "{value}");
    }
    for (key, value, metric, want) in [
        ("netin", "1e18", Metric::Receive, Some(1e18)),
        ("netin", "1e19", Metric::Receive, None),
        ("netin", "0", Metric::Receive, Some(0.0)),
        ("disk", "0", Metric::Disk, None),
        ("disk", "5.5", Metric::Disk, Some(5.5)),
        ("loadavg", "\"0.42\"", Metric::Load, Some(0.42)),
        ("loadavg", "1e7", Metric::Load, None),
        ("pressureiosome", "100.2", Metric::PressureIo, Some(100.0)),
        ("pressureiosome", "101", Metric::PressureIo, None),
    ] {
        let row = &rows(&format!(r#"{{"{key}":{value},"time":60}}"#))[0];
        assert_eq!(row.value(metric), want, "{key}: {value}");
    }
    let disk = read(br#"{"data":[{"time":60,"disk":7,"maxdisk":9}]}"#, Timeframe::Hour, Some(GuestKind::Qemu));
    assert_eq!((disk.rows[0].value(Metric::Disk), disk.rows[0].disk_max_bytes), (None, Some(9.0)));
}

#[test]
fn rows_in_any_order_twice_and_broken() {
    let times = [
        ("", vec![]),
        (r#"{"time":120},{"time":60}"#, vec![(0, 60), (60, 120)]),
        (r#"{"time":"120"},{"time":60.0},{"time":180}"#, vec![(0, 60), (60, 120), (120, 180)]),
        // No row of its own: no time, half a second, before 1970, after 2106, no object.
        (
            r#"{"cpu":1},{"time":60.5},{"time":-60},{"time":99999999999},{"time":null},7,[],"x",{"time":60}"#,
            vec![(0, 60)],
        ),
        // A row that stands alone is as long as the shortest step, one that is far from others as the longest.
        (r#"{"time":9000},{"time":60}"#, vec![(0, 60), (8940, 9000)]),
        (r#"{"time":0}"#, vec![(-60, 0)]),
    ];
    for (body, want) in times {
        assert_eq!(spans(&rows(body)), want, "{body}");
    }
    // Of one time twice, each number is the last one that somebody knew.
    let twice = rows(r#"{"time":60,"cpu":0.1,"mem":5},{"time":60,"cpu":0.2,"mem":null},{"time":60}"#);
    assert_eq!(twice.len(), 1);
    assert_eq!((twice[0].value(Metric::Cpu), twice[0].value(Metric::Memory)), (Some(20.0), Some(5.0)));
    for body in [r#"{"data":null}"#, r#"{"data":[]}"#, r#"{"data":{}}"#, r#"{"data":"x"}"#] {
        assert_eq!(read(body.as_bytes(), Timeframe::Year, None).step(), None, "{body}");
    }
    let many = format!(r#"{{"data":[{}{{}}]}}"#, "{},".repeat(100_000));
    assert!(parse::<Entries<Sample>>(many.as_bytes()).unwrap_err().to_string().contains("100000 entries"));
}

/// What a host answers that was updated from 8: the old database's rows, whose last one was not complete, then its own.
#[test]
fn steps_change_where_a_host_was_updated() {
    let old = (1..=4).map(|n| format!(r#"{{"time":{},"cpu":0.5}}"#, n * 10_800)).collect::<Vec<_>>().join(",");
    let last_old = r#"{"time":54000}"#;
    let new = (1..=12).map(|n| format!(r#"{{"time":{},"cpu":0.1}}"#, 46_800 + n * 1800)).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"data":[{old},{last_old},{new}]}}"#);
    let answer = read(body.as_bytes(), Timeframe::Week, Some(GuestKind::Qemu));
    assert_eq!(answer.step(), Some(SignedDuration::from_mins(30)));
    let spans = spans(&answer.rows);
    assert_eq!(spans[..3], [(0, 10_800), (10_800, 21_600), (21_600, 32_400)]);
    // Between the two: shorter rather than longer than it was.
    assert_eq!(spans[3], (43_200 - 5400, 43_200));
    assert_eq!(spans[4], (46_800, 48_600));
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    assert_eq!(answer.rows[7].value(Metric::Cpu), Some(10.0), "at 54000 only the new one knew");
}

#[test]
fn both_consolidations_together() {
    let average = RrdAnswer {
        rows: rows(r#"{"time":60,"cpu":0.1},{"time":120},{"time":180,"cpu":0.30000000000000001,"mem":7}"#),
    };
    let max = RrdAnswer { rows: rows(r#"{"time":120},{"time":180,"cpu":0.3},{"time":240,"cpu":0.4}"#) };
    let merged = merge(&average, &max);
    assert_eq!(merged.keys().copied().collect::<Vec<_>>(), [Metric::Cpu, Metric::Memory]);
    let cpu: Vec<_> = merged[&Metric::Cpu]
        .iter()
        .map(|step| (seconds(step.begins), seconds(step.ends), step.avg, step.max))
        .collect();
    assert_eq!(
        cpu,
        [
            (0, 60, Some(10.0), None),
            (60, 120, None, None),
            (120, 180, Some(30.0), Some(30.0)),
            (180, 240, None, Some(40.0))
        ]
    );
    let memory: Vec<_> = merged[&Metric::Memory].iter().map(|step| (step.avg, step.max)).collect();
    assert_eq!(memory, [(None, None), (None, None), (Some(7.0), None), (None, None)]);
    let below = RrdAnswer { rows: rows(r#"{"time":180,"cpu":0.29}"#) };
    assert_eq!(merge(&average, &below)[&Metric::Cpu][2].max, Some(30.0));
    assert!(merge(&RrdAnswer::default(), &RrdAnswer::default()).is_empty());
    let average = read(fixture!("rrd-vm-average"), Timeframe::Hour, Some(GuestKind::Qemu));
    let max = read(fixture!("rrd-vm-max"), Timeframe::Hour, Some(GuestKind::Qemu));
    // Steps of a minute are not made of others: both say the same.
    for (metric, steps) in merge(&average, &max) {
        assert!(steps.iter().all(|step| step.avg == step.max), "{metric}: {steps:?}");
        assert_eq!(steps.len(), 7);
    }
}

#[test]
fn the_shortest_timeframe_that_covers_a_span() {
    for (span, want) in [
        ("0s", None),
        ("-1h", None),
        ("1s", Some("hour")),
        ("1h", Some("hour")),
        ("61m", Some("day")),
        ("24h", Some("day")),
        ("25h", Some("week")),
        ("168h", Some("week")),
        ("169h", Some("month")),
        ("720h", Some("month")),
        ("721h", Some("year")),
        ("8640h", Some("year")),
        ("87600h", Some("year")),
    ] {
        let span: SignedDuration = span.parse().unwrap();
        assert_eq!(Timeframe::covering(span).map(Timeframe::as_str), want, "{span}");
    }
}

#[test]
fn what_was_never_recorded() {
    let file = "opening '/var/lib/rrdcached/db/pve-vm-9.0/999': No such file or directory";
    for (reason, want) in [
        (format!("RRD error: rrdcached@unix:/var/run/rrdcached.sock: rrd_fetch_r failed: {file}"), true),
        (format!("RRD error: {file}\n"), true),
        ("RRD error: Unable to connect to rrdcached: No such file or directory".to_owned(), false),
        ("RRD error: mmaping file '/var/lib/rrdcached/db/pve-vm-9.0/101': Invalid argument".to_owned(), false),
        (file.to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(is_unrecorded(&reason), want, "{reason}");
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("\"{number}\"")),
        any::<i64>().prop_map(|number| number.to_string()),
        (0..4000_u32).prop_map(|number| number.to_string()),
        (0.0..2.0_f64).prop_map(|number| number.to_string()),
        prop::sample::select(vec!["null", "\"\"", "[]", "{}", "true", "1e400", "\"x\""]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn numbers_are_in_range_and_rows_in_order(
        objects in prop::collection::vec(prop::collection::vec((0..18_usize, value()), 0..8), 0..20),
        timeframe in prop::sample::select(Timeframe::ALL.to_vec()),
        kind in prop::sample::select(vec![None, Some(GuestKind::Qemu), Some(GuestKind::Lxc)]),
    ) {
        let keys = ["time", "time", "time", "cpu", "loadavg", "mem", "memused", "disk", "rootused", "netin", "diskwrite",
            "pressureiosome", "maxmem", "memtotal", "maxdisk", "arcsize", "maxcpu", "x"];
        let objects: Vec<String> = objects
            .iter()
            .map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{}\":{value}", keys[*key])).collect();
                format!("{{{}}}", fields.join(","))
            })
            .collect();
        let answer = read(format!(r#"{{"data":[{}]}}"#, objects.join(",")).as_bytes(), timeframe, kind);
        prop_assert!(answer.rows.len() <= objects.len());
        prop_assert!(answer.rows.windows(2).all(|pair| pair[0].ends <= pair[1].begins));
        for row in &answer.rows {
            prop_assert!(row.begins < row.ends);
            for metric in Metric::ALL {
                let most = match metric {
                    Metric::Cpu | Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo => 100.0,
                    Metric::Load => 1e6,
                    _ => MOST_BYTES,
                };
                prop_assert!(row.value(metric).is_none_or(|value| (0.0..=most).contains(&value)));
            }
            for size in [row.memory_max_bytes, row.disk_max_bytes, row.arc_bytes].into_iter().flatten() {
                prop_assert!((0.0..=MOST_BYTES).contains(&size));
            }
        }
        let merged = merge(&answer, &answer);
        prop_assert!(merged.values().all(|steps| steps.len() == answer.rows.len()));
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse::<Entries<Sample>>(&body);
        let _ = parse::<Entries<Sample>>(&[br#"{"data":[{"time":1,"cpu":"#, body.as_slice(), b"}]}"].concat());
    }
}
