use jiff::SignedDuration;
use proptest::prelude::*;

use super::axis::{ValueAxis, time_ticks};
use super::*;

type Points = Vec<(f64, Option<f64>)>;

fn options(since: &str, hours: i64, unit: Unit, (width, height): (usize, usize)) -> ChartOptions<'static> {
    let since: Timestamp = since.parse().unwrap();
    ChartOptions {
        width,
        height,
        title: "",
        unit,
        since,
        until: since + SignedDuration::from_hours(hours),
        zone: TimeZone::UTC,
        color: false,
        utf8: true,
    }
}

/// So many points over the window, of numbers by their index.
fn points(options: &ChartOptions<'_>, count: u32, number: impl Fn(u32) -> Option<f64>) -> Points {
    let span = options.until.duration_since(options.since).as_secs_f64();
    let begin = options.since.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
    (0..count).map(|i| (begin + span * f64::from(i) / f64::from(count), number(i))).collect()
}

/// Up and down again in `length` steps.
fn zigzag(i: u32, length: u32) -> f64 {
    let i = i % length;
    f64::from(i.min(length - i)) / f64::from(length) * 2.0
}

fn three(options: &ChartOptions<'_>) -> String {
    let web = points(options, 168, |i| Some(1.2e9 + zigzag(i, 24) * 6e8));
    let db = points(options, 168, |i| Some(2e8 + f64::from(i) * 4e6));
    let backup = points(options, 168, |i| (i % 24 < 6).then_some(7.5e8));
    let names = ["vm-101", "a-database", "ct-300"];
    let lines: Vec<Line<'_>> =
        names.iter().zip([&web, &db, &backup]).map(|(label, points)| Line { label, points }).collect();
    chart(&lines, options)
}

/// The text without colours.
fn bare(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_line_has_gaps_and_peaks() {
    let options = ChartOptions { title: "cpu of pve1", ..options("2026-11-24T14:05:00Z", 24, Unit::Percent, (72, 14)) };
    let points = points(&options, 288, |i| match i {
        90..130 => None,
        200 => Some(93.0),
        _ => Some(5.0 + zigzag(i, 96) * 40.0),
    });
    insta::assert_snapshot!(chart(&[Line { label: "pve1", points: &points }], &options), @"
    cpu of pve1
    100%┤                                              ⡀
        │                                              ⡇
     75%┤                                              ⡇
        │                                              ⡇
        │                                              ⣧
     50%┤         ⢀⡤⠶⣄                  ⢀⣠⠶⣄⡀          ⣿       ⣠⠶⢤⡀
        │      ⢀⣠⠖⠋  ⠈⠙⠦⣄              ⠖⠋   ⠙⠲⣄        ⣿    ⣠⠴⠋⠁  ⠙⠲⣄⡀
     25%┤    ⣠⠴⠋        ⠈⠓⢦⡀                  ⠈⠙⢦⣀     ⣿ ⢀⡴⠚⠁        ⠙⠦⣄
        │ ⣠⠴⠋⠁             ⠉⠓⢦                   ⠈⠓⢦⣀ ⢀⡿⠚⠉             ⠈⠙⠦⣄
      0%┤⠋⠁                                         ⠈⠛⠉                   ⠈⠙
        └───────────┴───────────────┴────────────────┴───────────────┴──────
     UTC          18:00           00:00            06:00           12:00
    ⣀ pve1  min 5.0%  avg 26.6%  max 93.0%
    ");
}

#[test]
fn lines_are_told_apart_by_letters() {
    let options = options("2026-11-18T14:05:00Z", 168, Unit::Bytes, (72, 16));
    insta::assert_snapshot!(three(&options), @"
    2.0G┤
        │    A⡀        ⣀        ⢀⡀        ⣀        ⢀⡀        A        ⢀⡀
    1.5G┤   ⡴⠋⠙⢦     ⢠⠞⠉⠳⡄     ⡴⠋⠙⢦     ⢠⠞⠉⠳⡄     ⡴⠋⠙⢦     ⢠⠞⠉⠳⡄     ⡴⠋⠙⢦
        │ ⣠⠞⠁  ⠈⠳⣄ ⢀⡴⠋   ⠙⢦⡀ ⣠⠞⠁  ⠈⠳⣄ ⢀⡴⠋   ⠙⢦⡀ ⣠⠞⠁  ⠈⠳⣄ ⢀⡴⠋   ⠙⢦⡀ ⣠⠞⠁  ⠈⠳⣄
        │⡴⠃      ⠘⢦⠞       ⠳⡴⠃      ⠘A⠞       ⠳⡴⠃      ⠘⢦⠞       ⠳⡴⠃      ⠘⠆
    1.0G┤
        │                                                        ⢀⣀⣀⣀⣀⣀⡤⠤⠤⠤⠄
        │⠉⠉⠁      ⠈⠉⠉       B⠉⠁      ⠈⠉⠉      ⣀B⣉⣁⣀⡤⠤C⠤⠴⠚⠛⠛⠒⠒⠋⠉⠉⠉⠉⠉⠉⠁
    512M┤                 ⣀⣀⣀C⣀⡤⠤⠤⠤⠤⠖⠒⠒⠒⠒⠋⠉⠉⠉⠉⠁
        │⣀⣀⣠⠤⠤⠤⠤⠖⠒⠒⠒⠒⠚⠉⠉⠉⠉⠁
       0┤
        └────┴──────────────────┴──────────────────┴─────────────────┴──────
     UTC  Nov 19             Nov 21             Nov 23            Nov 25
    A vm-101      min 1.1G  avg 1.4G  max 1.7G
    B ct-300      min 715M  avg 715M  max 715M
    C a-database  min 191M  avg 509M  max 828M
    ");
    insta::assert_snapshot!(three(&ChartOptions { utf8: false, ..options }), @"
    2.0G+
        |
        |   AAAA      AAAA     AAAA     AAAAA     AAAA     AAAA      AAAA
    1.5G+ AAA  AAA  AAA  AAA AAA  AAA AAA   AAA AAA  AAA AAA  AAA  AAA  AAA
        |AA      AAAA      AAA      AAA       AAA      AAA      AAAA      AA
    1.0G+
        |                                                      CCCCCCCCCCCCC
        |BBB      BBB       BBB      BBB  CCCCCBBBCCCCCCBBBCCCCC  BBB
    512M+            CCCCCCCCCCCCCCCCCCCCCC
        |CCCCCCCCCCCCC
       0+
        +----+------------------+------------------+-----------------+------
     UTC  Nov 19             Nov 21             Nov 23            Nov 25
    A vm-101      min 1.1G  avg 1.4G  max 1.7G
    B ct-300      min 715M  avg 715M  max 715M
    C a-database  min 191M  avg 509M  max 828M
    ");
}

#[test]
fn colour_adds_nothing_but_colour() {
    for utf8 in [true, false] {
        let plain =
            ChartOptions { title: "memory", utf8, ..options("2026-11-18T14:05:00Z", 168, Unit::Bytes, (72, 16)) };
        let colored = three(&ChartOptions { color: true, ..plain.clone() });
        assert!(colored.contains("\u{1b}[36m") && colored.contains("\u{1b}[33m"), "{colored}");
        assert_eq!(bare(&colored), three(&plain));
    }
}

#[test]
fn numbers_on_the_axis_are_round() {
    let labels = |largest: Option<f64>, unit, rows| {
        let axis = ValueAxis::new(largest, unit, rows);
        axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    };
    for (largest, unit, want) in [
        (0.0, Unit::Percent, "0.0% 0.2% 0.4% 0.6% 0.8% 1.0%"),
        (3.2, Unit::Percent, "0% 1% 2% 3% 4%"),
        (10.0, Unit::Percent, "0% 2% 4% 6% 8% 10%"),
        (51.0, Unit::Percent, "0% 25% 50% 75%"),
        (97.0, Unit::Percent, "0% 25% 50% 75% 100%"),
        (250.0, Unit::Percent, "0% 100% 200% 300%"),
        (0.0, Unit::Plain, "0.00 0.01 0.02 0.03 0.04"),
        (1.6, Unit::Plain, "0.0 0.5 1.0 1.5 2.0"),
        (2e7, Unit::Plain, "0 5.0e6 1.0e7 1.5e7 2.0e7"),
        (0.0, Unit::Bytes, "0 1B 2B 3B 4B"),
        (1.9 * 1_073_741_824.0, Unit::Bytes, "0 512M 1.0G 1.5G 2.0G"),
        (17.0 * 1_099_511_627_776.0, Unit::Bytes, "0 8.0T 16T 24T"),
        (1_258_291.0, Unit::BytesPerSecond, "0 512K/s 1.0M/s 1.5M/s"),
    ] {
        assert_eq!(labels(Some(largest), unit, 20), want, "{largest} {unit:?}");
    }
    assert_eq!(labels(None, Unit::Percent, 20), "0% 25% 50% 75% 100%");
    // Where there are not the rows, every other one or only the ends.
    assert_eq!(labels(Some(97.0), Unit::Percent, 3), "0% 50% 100%");
    assert_eq!(labels(Some(60.0), Unit::Percent, 3), "0% 75%");
}

#[test]
fn times_are_round_and_fit_the_span() {
    let labels = |since: &str, seconds: i64, columns: usize, zone: &str| {
        let mut options = options(since, 0, Unit::Plain, (100, 20));
        options.until = options.since + SignedDuration::from_secs(seconds);
        options.zone = TimeZone::posix(zone).unwrap();
        let ticks = time_ticks(&options, columns);
        assert!(ticks.windows(2).all(|pair| pair[0].column < pair[1].column), "{ticks:?}");
        ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>().join(", ")
    };
    let utc = "UTC0";
    let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
    for (since, seconds, columns, zone, want) in [
        ("2026-11-25T14:05:10Z", 40, 60, utc, "14:05:15, 14:05:30, 14:05:45"),
        ("2026-11-25T14:02:00Z", 3600, 60, utc, "14:10, 14:20, 14:30, 14:40, 14:50, 15:00"),
        ("2026-11-25T14:02:00Z", 86_400, 60, utc, "18:00, 00:00, 06:00, 12:00"),
        ("2026-11-25T14:02:00Z", 86_400, 60, berlin, "18:00, 00:00, 06:00, 12:00"),
        ("2026-11-25T14:02:00Z", 172_800, 60, utc, "Thu 00:00, Thu 12:00, Fri 00:00, Fri 12:00"),
        (
            "2026-11-22T14:02:00Z",
            604_800,
            120,
            berlin,
            "Mon Nov 23, Tue Nov 24, Wed Nov 25, Thu Nov 26, Fri Nov 27, Sat Nov 28, Sun Nov 29",
        ),
        ("2026-11-22T14:02:00Z", 30 * 86_400, 60, utc, "Nov 23, Nov 30, Dec 7, Dec 14, Dec 21"),
        ("2025-11-22T14:02:00Z", 365 * 86_400, 70, utc, "Jan 2026, Apr 2026, Jul 2026, Oct 2026"),
        // The clock goes back, and forward.
        ("2026-10-24T23:30:00Z", 6 * 3600, 80, berlin, "02:00, 03:00, 04:00, 05:00, 06:00"),
        ("2026-03-28T23:30:00Z", 6 * 3600, 80, berlin, "01:00, 03:00, 04:00, 05:00, 06:00, 07:00"),
        ("2026-11-25T14:02:00Z", 0, 60, utc, ""),
        ("2026-11-25T14:02:00Z", -5, 60, utc, ""),
        ("2026-11-25T14:02:00Z", 86_400, 8, utc, ""),
    ] {
        assert_eq!(labels(since, seconds, columns, zone), want, "{since} {seconds} {zone}");
    }
}

#[test]
fn lines_that_have_no_place_are_counted() {
    let options = options("2026-11-25T14:02:00Z", 24, Unit::Plain, (80, 30));
    let points = points(&options, 100, |i| Some(zigzag(i, 20)));
    let legend = |count: usize, height: usize| {
        let lines = vec![Line { label: "x", points: &points }; count];
        let text = chart(&lines, &ChartOptions { height, ..options.clone() });
        assert_eq!(text.lines().count(), height);
        let entries = text.lines().filter(|line| line.contains(" x  min 0.00  avg 0.50  max 1.00")).count();
        let more =
            text.lines().last().and_then(|line| line.strip_prefix("  and ").map(|more| more.replace(" less busy", "")));
        (entries, more.unwrap_or_default())
    };
    for (count, height, want) in [
        (6, 30, (6, "")),
        (7, 30, (6, "1")),
        (200, 30, (6, "194")),
        (2, 8, (2, "")),
        (3, 8, (1, "2")),
        (5, 17, (5, "")),
        (6, 17, (4, "2")),
    ] {
        assert_eq!(legend(count, height), (want.0, want.1.to_owned()), "{count} lines, {height} rows");
    }
    // Equal lines cover each other, and each has its letter all the same.
    let text = chart(&[Line { label: "x", points: &points }; 6], &options);
    for letter in 'A'..='F' {
        assert!(text.matches(letter).count() > 1, "{letter}\n{text}");
    }
}

#[test]
fn the_busiest_are_drawn_and_the_empty_are_counted() {
    let options = options("2026-11-25T14:02:00Z", 24, Unit::Percent, (60, 30));
    let of = |mean: f64| points(&options, 50, |_| Some(mean));
    let loads = [3.0, 90.0, 0.0, 40.0, 7.0, 55.0, 12.0, 1.0].map(of);
    let empty = points(&options, 50, |_| None);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut lines: Vec<Line<'_>> = vec![Line { label: "nobody", points: &empty }; 2];
    lines.extend(names.iter().zip(&loads).map(|(label, points)| Line { label, points }));
    let text = chart(&lines, &options);
    let legend: Vec<&str> = text.lines().rev().take(7).map(|line| line.split("  min").next().unwrap()).collect();
    let want = ["  and 2 less busy, 2 without numbers", "F a", "E e", "D g", "C d", "B f", "A b"];
    assert_eq!(legend, want, "{text}");
    // A line that no letter names is not drawn: at 0 % there is nothing.
    assert!(!text.lines().any(|line| line.contains("0%┤⣀")), "{text}");
    let one = chart(&[lines[0], lines[2]], &options);
    assert!(one.ends_with("  and 1 without numbers\n") && one.contains(" a  min"), "{one}");
}

#[test]
fn foreign_labels_are_harmless() {
    let options = ChartOptions { title: "t\u{1b}[2J", ..options("2026-11-25T14:02:00Z", 24, Unit::Plain, (60, 10)) };
    let points = points(&options, 10, |_| Some(1.0));
    let line = Line { label: "日本\n\u{202e}x", points: &points };
    let text = chart(&[line], &options);
    assert!(text.starts_with("t\\u{1b}[2J\n") && text.contains("日本\\u{a}\\u{202e}x"), "{text}");
    let ascii = chart(&[line], &ChartOptions { utf8: false, ..options });
    assert!(ascii.is_ascii() && ascii.contains("??\\u{a}"), "{ascii}");
}

#[test]
fn no_numbers_are_said_to_be_none() {
    let options = options("2026-11-25T14:02:00Z", 24, Unit::Percent, (60, 10));
    let nothing = points(&options, 10, |i| [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)][i as usize % 4]);
    let before = [(0.0, Some(5.0))];
    for points in [nothing.as_slice(), &before, &[]] {
        let text = chart(&[Line { label: "x", points }], &options);
        assert!(text.contains("nothing was measured") && text.contains("⣀ x  min -  avg -  max -"), "{text}");
    }
    assert!(chart(&[], &options).contains("nothing was measured"));
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        6 => (0.0..1e4).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn a_chart_keeps_to_its_size(
        lines in prop::collection::vec((".{0,30}", prop::collection::vec((-10.0..110.0, number()), 0..60)), 0..9),
        (width, height) in (0..320_usize, 0..70_usize),
        title in ".{0,20}",
        (since, span) in (0..253_402_207_200_i64, -10..4_000_000_i32),
        unit in prop::sample::select([Unit::Percent, Unit::Bytes, Unit::BytesPerSecond, Unit::Plain].as_slice()),
        utf8 in any::<bool>(),
    ) {
        let until = Timestamp::from_second((since + i64::from(span)).clamp(0, 253_402_207_200)).unwrap();
        let since = Timestamp::from_second(since).unwrap();
        let options = ChartOptions {
            width, height, title: &title, unit, since, until, zone: TimeZone::UTC, color: false, utf8,
        };
        let begin = since.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        let numbers: Vec<Points> = lines
            .iter()
            .map(|(_, points)| points.iter().map(|(x, y)| (begin + x / 100.0 * f64::from(span), *y)).collect())
            .collect();
        let lines: Vec<Line<'_>> =
            lines.iter().zip(&numbers).map(|((label, _), points)| Line { label, points }).collect();
        let text = chart(&lines, &options);
        prop_assert!(text.lines().count() <= height.max(8), "{}", text);
        for line in text.lines() {
            prop_assert!(line.width() <= width, "{:?} in {}", line, width);
            prop_assert_eq!(line.trim_end(), line);
        }
        prop_assert!(!text.replace('\n', "").contains(crate::model::text::is_unsafe));
        prop_assert!(utf8 || text.is_ascii(), "{}", text);
        let colored = chart(&lines, &ChartOptions { color: true, ..options });
        prop_assert_eq!(bare(&colored), text);
    }
}
