//! Answers as they may come, good and bad.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A Proxmox VE host with ZFS, without a remembered reading.
const ANSWER: &str = "\
boot\t3f39dcff-3b06-442c-9fdf-2778c2f46a00
disks\tnvme0n1|sda
uptime:1000.00 7000.00
stat:cpu  10000 100 5000 700000 2000 0 300 600 8000 0
diskstats: 259       0 nvme0n1 100 0 2000 50 200 0 4000 70 0 10 120
diskstats:   8       0 sda 100 0 1000 50 200 0 1000 70 0 10 120
../sys/class/net/eno1/statistics/rx_bytes:1000000
../sys/class/net/eno1/statistics/tx_bytes:500000
again\t
uptime:1002.00 7014.00
stat:cpu  10050 100 5025 700300 2000 0 300 625 8000 0
stat:cpu0 5000 50 2500 350000 1000 0 150 300 4000 0
stat:cpu1 5000 50 2500 350000 1000 0 150 300 4000 0
diskstats: 259       0 nvme0n1 100 0 2004 50 200 0 4008 70 0 10 120
diskstats:   8       0 sda 100 0 1000 50 200 0 1000 70 0 10 120
loadavg:1.50 0.75 0.25 2/700 12345
meminfo:MemTotal:       65536000 kB
meminfo:MemFree:         2000000 kB
meminfo:MemAvailable:   20000000 kB
meminfo:SwapTotal:       8388604 kB
meminfo:SwapFree:        8000000 kB
pressure/cpu:some avg10=3.48 avg60=1.47 avg300=2.83 total=34722116
pressure/memory:some avg10=0.00 avg60=0.00 avg300=0.00 total=0
pressure/io:some avg10=0.00 avg60=12.50 avg300=2.83 total=34722116
../sys/class/net/eno1/statistics/rx_bytes:1003000
../sys/class/net/eno1/statistics/tx_bytes:500000
spl/kstat/zfs/arcstats:size                            4    8589934592
mount\t/dev/mapper/pve-root\t/
mount\trpool/data\t/rpool/data
df\t
Filesystem           1024-blocks     Used Available Capacity Mounted on
/dev/mapper/pve-root    98497780 12000000  81448264      13% /
rpool/data             500000000       96 499999904       1% /rpool/data
";

fn told(text: &str) -> HostLoad {
    read(text, None, None).1
}

/// The answer with one text in place of another, which must be there.
fn with(old: &str, new: &str) -> HostLoad {
    assert!(ANSWER.contains(old), "{old}");
    told(&ANSWER.replace(old, new))
}

#[test]
fn a_whole_answer() {
    let (reading, load) = read(ANSWER, None, None);
    assert_eq!(load.reasons, BTreeMap::new());
    let kib = |kib: u64| Some(Count::new(kib * 1024));
    let want = Usage {
        // Busy 50 user, 25 system, 25 stolen of 400.
        cpu_percent: Some(25.0),
        cpus: Some(2.0),
        load: Some(1.5),
        memory_bytes: kib(65_536_000 - 20_000_000 - 8_388_608),
        memory_max_bytes: kib(65_536_000),
        disk_bytes: kib(12_000_000),
        disk_max_bytes: kib(93_448_264),
        receive_bytes: Some(Count::new(1_003_000)),
        transmit_bytes: Some(Count::new(500_000)),
        read_bytes: Some(Count::new(3004 * 512)),
        write_bytes: Some(Count::new(5008 * 512)),
        uptime_seconds: Some(Count::new(1002)),
    };
    assert_eq!(load.usage, want);
    assert_eq!(load.load, Some([1.5, 0.75, 0.25]));
    assert_eq!((load.swap_bytes, load.swap_max_bytes), (Some(388_604 * 1024), Some(8_388_604 * 1024)));
    assert_eq!(load.arc_bytes, Some(8 << 30));
    let rates = load.rates;
    assert_eq!(
        (rates.receive, rates.transmit, rates.read, rates.write),
        (Some(1500.0), Some(0.0), Some(1024.0), Some(2048.0))
    );
    let pressure = load.pressure;
    assert_eq!(
        (pressure.cpu_percent, pressure.memory_percent, pressure.io_percent),
        (Some(1.47), Some(0.0), Some(12.5))
    );
    assert_eq!(load.measured_seconds, Some(2.0));
    assert_eq!(load.filesystems.len(), 2);

    // The newest is the one to remember, and the next answer is compared with it.
    assert_eq!(reading.uptime, Some(1002.0));
    let stored = serde_json::to_string(&reading).unwrap();
    assert!(stored.len() < 250, "{stored}");
    let known: Reading = serde_json::from_str(&stored).unwrap();
    let once = ANSWER.split_once("again\t\n").unwrap().1;
    let next = format!("boot\t{}\ndisks\tsda|nvme0n1\n{once}", known.boot_id.as_deref().unwrap())
        .replace("1002.00", "1062.00")
        .replace("10050 100", "10150 100")
        .replace("700300", "700600");
    let load = read(&next, Some(&known), None).1;
    assert_eq!(
        (load.usage.cpu_percent, load.measured_seconds, load.rates.receive),
        (Some(25.0), Some(60.0), Some(0.0))
    );
    // Carriage returns of a terminal change nothing.
    assert_eq!(read(&ANSWER.replace('\n', "\r\n"), None, None), read(ANSWER, None, None));
}

/// What is changed in the answer, the number that it costs, and the reason given.
const SENSELESS: &[[&str; 4]] = &[
    ["stat:cpu  10050 100 5025", "stat:cpu  9000 100 5025", "cpu", "the CPUs' counters went back"],
    ["stat:cpu  10050 100 5025", "stat:cpu  1020000 100 5025", "cpu", "the CPUs' counters jumped"],
    [
        "stat:cpu  10050 100 5025",
        "stat:cpu  -1 100 5025",
        "cpu",
        "/proc/stat makes no sense: `cpu  -1 100 5025 700300 2000 0 300 625 8000 0`",
    ],
    [
        "stat:cpu  10050 100 5025 700300 2000 0 300 625 8000 0",
        "stat:cpu  10050 100",
        "cpu",
        "/proc/stat makes no sense: `cpu  10050 100`",
    ],
    [
        "stat:cpu  10050 100 5025",
        "stat:cpu  18446744073709551615 100 5025",
        "cpu",
        "/proc/stat makes no sense: `cpu  18446744073709551615 100 5025 700300 2000 0 300 625 8000 0`",
    ],
    ["stat:cpu  10050 100 5025 700300", "stat:cpu  1020000 100 5025 70030000", "cpu", "the CPUs' counters jumped"],
    ["stat:cpu  10000", "stat:cpu  nan", "cpu", "the CPUs' counters are unknown"],
    ["loadavg:1.50", "loadavg:NaN", "load", "/proc/loadavg makes no sense: `NaN 0.75 0.25 2/700 12345`"],
    [
        "loadavg:1.50 0.75 0.25 2/700 12345",
        "loadavg:-1 0.75 0.25",
        "load",
        "/proc/loadavg makes no sense: `-1 0.75 0.25`",
    ],
    ["loadavg:1.50 0.75 0.25 2/700 12345", "loadavg:1.50", "load", "/proc/loadavg makes no sense: `1.50`"],
    ["loadavg:1.50", "loadavg:1e9", "load", "/proc/loadavg makes no sense: `1e9 0.75 0.25 2/700 12345`"],
    ["MemAvailable:   20000000 kB", "MemAvailable:   70000000 kB", "memory", "more memory is available than there is"],
    [
        "MemAvailable:   20000000 kB",
        "MemAvailable:   2 MB",
        "memory",
        "MemAvailable of /proc/meminfo makes no sense: `2 MB`",
    ],
    [
        "MemTotal:       65536000 kB",
        "MemTotal:  99999999999999999999 kB",
        "memory",
        "MemTotal of /proc/meminfo makes no sense: `99999999999999999999 kB`",
    ],
    [
        "MemTotal:       65536000 kB",
        "MemTotal:  9999999999999999999 kB",
        "memory",
        "MemTotal of /proc/meminfo makes no sense: `9999999999999999999 kB`",
    ],
    ["SwapFree:        8000000", "SwapFree: 9000000", "swap", "more swap is free than there is"],
    ["meminfo:SwapFree:        8000000 kB\n", "", "swap", "/proc/meminfo has no SwapFree"],
    [
        "4    8589934592",
        "4    -1",
        "arc",
        "/proc/spl/kstat/zfs/arcstats makes no sense: `size                            4    -1`",
    ],
    [
        "avg60=12.50",
        "avg60=101",
        "pressure",
        "/proc/pressure/io makes no sense: `some avg10=0.00 avg60=101 avg300=2.83 total=34722116`",
    ],
    [
        "pressure/io:some avg10=0.00 avg60=12.50 avg300=2.83 total=34722116\n",
        "",
        "pressure",
        "there is no /proc/pressure/io",
    ],
    ["rx_bytes:1003000", "rx_bytes:-5", "network", "the counters of eno1 make no sense"],
    ["rx_bytes:1003000", "rx_bytes:18446744073709551616", "network", "the counters of eno1 make no sense"],
    ["rx_bytes:1003000", "rx_bytes:999999", "network", "a counter of eno1 went back"],
    ["../sys/class/net/eno1/statistics/tx_bytes:500000\n", "", "network", "the counters of eno1 make no sense"],
    ["nvme0n1 100 0 2004", "nvme0n1 100 0 x", "io", "the counters of nvme0n1 make no sense"],
    ["nvme0n1 100 0 2004", "nvme0n1 100 0 36028797018963968", "io", "the counters of nvme0n1 make no sense"],
    ["nvme0n1 100 0 2004", "nvme0n1 100 0 1999", "io", "a counter of nvme0n1 went back"],
    ["nvme0n1 100 0 2004", "nvme0n1 100 0 18014398509481984", "io", "a counter of nvme0n1 jumped"],
    [
        "/dev/mapper/pve-root    98497780 12000000  81448264      13% /\n",
        "",
        "disk",
        "df does not list the root file system",
    ],
    [
        "98497780 12000000",
        "98497780 18014398509481984",
        "disk",
        "df does not list the root file system; 1 lines of df make no sense",
    ],
    ["499999904       1% /rpool/data\n", "", "disk", "df does not list 1 of 1 other file systems"],
    ["uptime:1002.00", "uptime:999.00", "cpu", "the server's uptime went back"],
    ["uptime:1002.00", "uptime:1000.00", "cpu", "no time passed between the two readings"],
    ["uptime:1002.00", "uptime:-3", "uptime", "/proc/uptime makes no sense: `-3 7014.00`"],
    ["uptime:1002.00", "uptime:inf", "uptime", "/proc/uptime makes no sense: `inf 7014.00`"],
];

#[test]
fn one_senseless_number_costs_itself() {
    for [old, new, key, want] in SENSELESS {
        let load = with(old, new);
        assert_eq!(load.reasons.get(key).map(String::as_str), Some(*want), "{new}: {:?}", load.reasons);
        // Who loses the time loses what is measured over it; all others lose nothing else.
        if !old.starts_with("uptime") {
            assert_eq!(load.reasons.len(), 1, "{new}: {:?}", load.reasons);
        }
        let usage = load.usage;
        for (number, of) in [
            (usage.cpu_percent.is_some(), "cpu"),
            (usage.load.is_some(), "load"),
            (usage.memory_bytes.is_some(), "memory"),
            (usage.receive_bytes.is_some() && load.rates.receive.is_some(), "network"),
            (usage.read_bytes.is_some() && load.rates.read.is_some(), "io"),
            (usage.uptime_seconds.is_some(), "uptime"),
        ] {
            assert_eq!(number, !load.reasons.contains_key(of), "{new}: {of}");
        }
    }
}

#[test]
fn what_remains_beside_a_bad_number() {
    assert_eq!(
        with("MemAvailable:   20000000 kB", "MemAvailable: x kB").usage.memory_max_bytes,
        Some(Count::new(65_536_000 * 1024))
    );
    let load = with("avg60=12.50", "avg60=NaN");
    assert_eq!((load.pressure.io_percent, load.pressure.cpu_percent), (None, Some(1.47)));
    let load = with("rx_bytes:1003000", "rx_bytes:1");
    assert_eq!((load.rates.receive, load.rates.transmit), (None, Some(0.0)));
    assert_eq!(load.usage.receive_bytes, Some(Count::new(1)));
    // Between the two readings another boot began: no script does that, a liar may.
    let known = Reading { boot_id: Some("other-boot".into()), ..read(ANSWER, None, None).0 };
    let once = format!("boot\t3f39dcff-3b06\n{}", ANSWER.split_once("again\t\n").unwrap().1);
    let load = read(&once, Some(&known), None).1;
    assert_eq!(load.reasons["cpu"], "the server restarted between the two readings");
    assert_eq!((load.usage.cpu_percent, load.rates.receive, load.measured_seconds), (None, None, None));
    assert_eq!(load.usage.load, Some(1.5));
    assert_eq!(told(&once).reasons["cpu"], "there is no earlier reading to compare with");
}

#[test]
fn an_empty_answer_says_so() {
    for (text, want) in [
        ("", "the server answered nothing"),
        ("\n \r\n", "the server answered nothing"),
        ("boot\t\ndisks\t\nagain\t\n", "the server has no Linux /proc"),
        ("what\nis this\t?", "the server has no Linux /proc"),
    ] {
        let (reading, load) = read(text, None, None);
        assert_eq!((reading, load.usage), (Reading::default(), Usage::default()));
        assert_eq!(load.reasons["cpu"], want);
        assert_eq!(load.reasons.len(), 9, "{:?}", load.reasons);
    }
}

#[test]
fn hostile_names_reach_no_reason() {
    let load = with("../sys/class/net/eno1/", "../sys/class/net/e\u{1b}[2J/");
    assert_eq!(load.usage.receive_bytes, None);
    let load = with("nvme0n1 100", "nv\u{202e}me 100");
    assert!(load.reasons.values().all(|why| !why.contains(crate::model::text::is_unsafe)));
    let load = with("loadavg:1.50", "loadavg:\u{1b}[2J");
    assert!(load.reasons["load"].contains("\\u{1b}"), "{:?}", load.reasons);
    assert_eq!(
        with("boot\t3f39dcff", "boot\t$(id)").reasons["cpu"],
        "without a boot id two readings cannot be compared"
    );
}

#[test]
fn the_script_gets_only_what_it_can_take() {
    let known = |boot: &str, uptime: f64| Reading {
        boot_id: Some(boot.to_owned()),
        uptime: Some(uptime),
        ..Reading::default()
    };
    let boot = "3f39dcff-3b06-442c-9fdf-2778c2f46a00";
    for (known, interval, want) in [
        (None, 1000, "known= since= pause=1 whole=1"),
        (
            Some(known(boot, 93_784.21)),
            1500,
            "known=3f39dcff-3b06-442c-9fdf-2778c2f46a00 since=9378441 pause=1.500 whole=2",
        ),
        (Some(known("$(id)-and-more", 1.0)), 20_000, "known= since= pause=20 whole=20"),
        (Some(known(boot, f64::NAN)), 0, "known= since= pause=0.050 whole=1"),
        (Some(known(boot, -1.0)), 999, "known= since= pause=0.999 whole=1"),
        (Some(known(boot, 1e300)), 1000, "known= since= pause=1 whole=1"),
    ] {
        let text = script(known.as_ref(), Duration::from_millis(interval), false);
        assert_eq!(text.lines().next(), Some(want));
    }
    let (one, all) = (script(None, Duration::MAX, false), script(None, Duration::MAX, true));
    assert!(!one.contains("mounts 2>/dev/null") && all.contains("mounts 2>/dev/null"));
    assert!(all.ends_with("\ndf -P -k \"$@\" 2>/dev/null\n:\n") && !all.contains("\n#"));
}

#[test]
fn a_flood_ends_soon() {
    let mut text = String::from("boot\t3f39dcff-3b06\ndisks\tsda\n");
    for n in 0..8_000 {
        let _ = write!(
            text,
            "../sys/class/net/p{n}/statistics/rx_bytes:1\nstat:cpu{n} 1\nmount\td{n}\t/m{n}\ndiskstats: 8 0 d{n} 1\n"
        );
    }
    text += "df\t\n";
    for n in 0..8_000 {
        let _ = writeln!(text, "d{n} 10 4 5 45% /m{}", 8_000 - n);
    }
    let (reading, load) = read(&text, None, None);
    assert!(reading.ports.len() <= 1024 && reading.disks.len() <= 1024 && load.filesystems.len() <= 1025);
    assert_eq!(load.usage.cpus, Some(8000.0));
}

fn possible(text: &str, known: Option<&Reading>) -> Result<(), TestCaseError> {
    let (reading, load) = read(text, known, None);
    let usage = load.usage;
    if let Some(percent) = usage.cpu_percent {
        prop_assert!((0.0..=100.0).contains(&percent));
    }
    for rate in [load.rates.receive, load.rates.transmit, load.rates.read, load.rates.write].into_iter().flatten() {
        prop_assert!(rate >= 0.0 && rate.is_finite());
    }
    prop_assert!(load.measured_seconds.is_none_or(|seconds| seconds > 0.0));
    prop_assert!(usage.memory_bytes <= usage.memory_max_bytes || usage.memory_max_bytes.is_none());
    prop_assert!(usage.disk_bytes <= usage.disk_max_bytes);
    prop_assert!(load.filesystems.iter().all(|one| one.used_bytes <= one.size_bytes && one.size_bytes > 0));
    prop_assert!(load.load.into_iter().flatten().all(|load| load >= 0.0 && load.is_finite()));
    for (number, key) in [
        (usage.cpu_percent.is_some() && usage.cpus.is_some(), "cpu"),
        (usage.load.is_some(), "load"),
        (usage.memory_bytes.is_some() && usage.memory_max_bytes.is_some(), "memory"),
        (load.swap_bytes.is_some() && load.swap_max_bytes.is_some(), "swap"),
        (usage.disk_bytes.is_some() && usage.disk_max_bytes.is_some(), "disk"),
        (usage.receive_bytes.is_some() && usage.transmit_bytes.is_some() && load.rates.receive.is_some(), "network"),
        (usage.read_bytes.is_some() && usage.write_bytes.is_some() && load.rates.write.is_some(), "io"),
        (usage.uptime_seconds.is_some(), "uptime"),
        (load.pressure.cpu_percent.is_some() && load.pressure.io_percent.is_some(), "pressure"),
    ] {
        // What is unknown says why.
        prop_assert!(number || load.reasons.contains_key(key), "{key}: {:?}", load.reasons);
    }
    prop_assert!(load.reasons.values().all(|why| !why.is_empty() && !why.contains(crate::model::text::is_unsafe)));
    let stored = serde_json::to_string(&reading).unwrap();
    let again: Reading = serde_json::from_str(&stored).unwrap();
    let apart = again.uptime.unwrap_or(0.0) - reading.uptime.unwrap_or(0.0);
    prop_assert!(apart.abs() < 1e-5, "{apart}");
    prop_assert_eq!(Reading { uptime: None, ..again }, Reading { uptime: None, ..reading });
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(?s).{0,400}", with_known in any::<bool>()) {
        let known = read(ANSWER, None, None).0;
        possible(&text, with_known.then_some(&known))?;
    }

    #[test]
    fn a_changed_answer_is_survived(
        changes in proptest::collection::vec((0..ANSWER.len(), 0..40_usize, prop_oneof![
            "[0-9]{0,22}", "[-+.eE:%/ \t\r\n\\\\]{0,3}", "(nan|inf|-1|18446744073709551615|1e400)", "(?s).{0,4}",
        ]), 1..12),
        cut in proptest::option::of(0..ANSWER.len()),
    ) {
        let mut text = ANSWER.to_owned();
        for (at, length, new) in changes {
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let range = floor(at)..floor(at + length).max(floor(at));
            text.replace_range(range, &new);
        }
        if let Some(cut) = cut.filter(|cut| text.is_char_boundary(*cut)) {
            text.truncate(cut);
        }
        possible(&text, None)?;
        possible(&text, Some(&read(ANSWER, None, None).0))?;
    }
}
