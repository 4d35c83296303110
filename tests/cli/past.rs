//! `stats --since` from the state file: series with their gaps, sums, forms and charts.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expectrl::{Eof, Expect as _, Session};
use serde_json::Value;

use super::env::{Env, Run, ended};
use super::fleets::{CLOSED, Open, env_for, homelab, plain};
use super::packed;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// When the present hour began; in its last ten minutes when the next one will, so that none begins during a test.
pub(crate) fn this_hour() -> i64 {
    (now() + 10 * MINUTE) / HOUR * HOUR
}

/// The document of a run with its times as they are: transcripts have them all alike.
#[track_caller]
pub(crate) fn document(env: &Env, args: &[&str], code: i32) -> Value {
    let output = ended(&mut env.command(args));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{stderr}"))
}

/// One series of a report.
#[track_caller]
pub(crate) fn series<'r>(report: &'r Value, id: &str, metric: &str) -> &'r Value {
    let all = report["series"].as_array().expect("a list of series");
    let found = all.iter().find(|series| series["id"] == id && series["metric"] == metric);
    found.unwrap_or_else(|| panic!("no {metric} of {id} in {report:#}"))
}

/// Its steps of which something is known: when, average, lowest, highest.
pub(crate) fn known(series: &Value) -> Vec<[&Value; 4]> {
    let points = series["points"].as_array().expect("a list of points").iter();
    let known = points.filter(|point| !point["avg"].is_null());
    known.map(|point| [&point["at"], &point["avg"], &point["min"], &point["max"]]).collect()
}

/// A time as reports have it.
pub(crate) fn rfc3339(millis: i64) -> String {
    let sql = format!("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', {}, 'unixepoch')", millis / 1000);
    rusqlite::Connection::open_in_memory().unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// A plain server with a state file that knows it and has no samples of it.
fn nas() -> Env {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]);
    env.execute("INSERT OR IGNORE INTO subjects (server) VALUES ('nas')");
    env
}

/// One sample of `nas`.
fn sample(env: &Env, at: i64, numbers: &[(&str, f64)]) {
    packed::add(env, at, "nas", numbers);
}

/// A day: each ten minutes 10, 20 and 30 percent in turn and a gigabyte more or less, but four hours when nobody looked.
fn a_day() -> (Env, i64) {
    let env = nas();
    let base = this_hour();
    for i in 0..138 {
        let at = base - 23 * HOUR + i * 10 * MINUTE;
        if !(60..84).contains(&i) {
            let n = f64::from(i32::try_from(i).unwrap());
            let cpu = f64::from(10 * (i32::try_from(i).unwrap() % 3 + 1));
            let memory = f64::from(1_u32 << 30);
            let counted = [("memory", memory), ("receive", n * 600_000.0), ("uptime", 1000.0 + n * 600.0)];
            sample(&env, at, &[&[("cpu", cpu)][..], &counted].concat());
        }
    }
    (env, base)
}

#[test]
fn a_day_in_half_hours_and_its_gap() {
    let (env, base) = a_day();
    let report = document(&env, &["stats", "--since", "24h", "-o", "json"], 0);
    assert_eq!((&report["schema"], &report["failures"]), (&"ecobox.series/1".into(), &serde_json::json!([])));
    let cpu = series(&report, "nas", "cpu");
    assert_eq!(
        (&cpu["source"], &cpu["unit"], &cpu["step_seconds"]),
        (&"cache".into(), &"percent".into(), &1800.into())
    );
    let points = cpu["points"].as_array().unwrap();
    assert!((48..=50).contains(&points.len()), "{}", points.len());
    // From base - 13 h on nobody looked for four hours: eight steps.
    let want: Vec<Value> = (0..46)
        .filter(|step| !(20..28).contains(step))
        .map(|step| rfc3339(base - 23 * HOUR + step * 30 * MINUTE).into())
        .collect();
    let known_steps = known(cpu);
    assert_eq!(known_steps.iter().map(|point| point[0].clone()).collect::<Vec<_>>(), want);
    assert!(
        known_steps.iter().all(|point| (point[1], point[2], point[3]) == (&20.0.into(), &10.0.into(), &30.0.into()))
    );
    assert_eq!(cpu["summary"], serde_json::json!({ "min": 10.0, "avg": 20.0, "max": 30.0, "p95": 20.0, "last": 20.0 }));
    // A rate needs the reading before it. Across the gap there is none.
    let receive = series(&report, "nas", "receive");
    assert_eq!(receive["unit"], "bytes_per_second");
    assert_eq!(receive["summary"]["max"], 1000.0);
    assert_eq!(receive["summary"]["min"], 1000.0);
    assert_eq!(known(receive).len(), 38);
    // What nobody measured is no series, unless it was asked for.
    assert!(report["series"].as_array().unwrap().iter().all(|series| series["metric"] != "transmit"), "{report:#}");
    let asked = document(&env, &["stats", "--since", "24h", "--metric", "transmit", "-o", "json"], 0);
    assert_eq!(known(series(&asked, "nas", "transmit")).len(), 0);
    assert_eq!(series(&asked, "nas", "transmit")["summary"]["avg"], Value::Null);
}

#[test]
fn steps_are_as_long_as_was_asked_for() {
    let (env, base) = a_day();
    let since = rfc3339(base - 23 * HOUR);
    for (args, step, first) in [
        (vec!["--step", "10m"], 600, [10.0, 10.0, 10.0]),
        (vec!["--step", "20m"], 1200, [15.0, 10.0, 20.0]),
        (vec!["--step", "2h"], 7200, [20.0, 10.0, 30.0]),
        (vec![], 1800, [20.0, 10.0, 30.0]),
    ] {
        let args = [vec!["stats", "--since", since.as_str(), "-o", "json", "--metric", "cpu"], args].concat();
        let report = document(&env, &args, 0);
        let cpu = series(&report, "nas", "cpu");
        assert_eq!(cpu["step_seconds"], step, "{args:?}");
        // Steps begin at multiples of their length: a first one of two hours may be half outside.
        if step < 7200 {
            assert_eq!(known(cpu)[0][1..], first.map(Value::from).each_ref(), "{args:?}");
        }
    }
    for (since, step) in [("1h", 60), ("12h", 300), ("48h", 1800), ("7d", 3600), ("30d", 14_400), ("90d", 86_400)] {
        let report = document(&env, &["stats", "--since", since, "-o", "json"], 0);
        assert_eq!(report["series"][0]["step_seconds"], step, "{since}");
    }
    // So many points that nobody wants them.
    let report = document(&env, &["stats", "--since", "400d", "--step", "1s", "--metric", "cpu", "-o", "json"], 0);
    assert!(series(&report, "nas", "cpu")["points"].as_array().unwrap().len() <= 100_001);
}

/// What is older than the samples that are kept comes from the sums of its hours, and there is no finer step then.
#[test]
fn hours_stand_for_samples_that_are_gone() {
    let env = nas();
    let base = this_hour();
    env.execute(&format!("INSERT INTO samples_gone (id, before) VALUES (1, {})", base - 2 * HOUR));
    for (back, min, avg, max) in [(5, 1, 2, 9), (3, 3, 4, 5)] {
        env.execute(&format!(
            "INSERT INTO sample_hours (hour, subject, n, cpu_n, cpu_min, cpu_avg, cpu_max)
             SELECT {}, id, 6, 6, {min}0000, {avg}0000, {max}0000 FROM subjects WHERE server = 'nas'",
            base - back * HOUR
        ));
    }
    sample(&env, base - 2 * HOUR + MINUTE, &[("cpu", 40.0)]);
    sample(&env, base - HOUR, &[("cpu", 50.0)]);
    sample(&env, base - HOUR + 30 * MINUTE, &[("cpu", 60.0)]);
    let since = rfc3339(base - 6 * HOUR);
    let report = document(&env, &["stats", "--since", &since, "--step", "5m", "--metric", "cpu", "-o", "json"], 0);
    let cpu = series(&report, "nas", "cpu");
    assert_eq!(cpu["step_seconds"], 3600);
    let at = |back: i64| Value::from(rfc3339(base - back * HOUR));
    let number = Value::from;
    let want = [
        [at(5), number(2.0), number(1.0), number(9.0)],
        [at(3), number(4.0), number(3.0), number(5.0)],
        [at(2), number(40.0), number(40.0), number(40.0)],
        [at(1), number(55.0), number(50.0), number(60.0)],
    ];
    assert_eq!(known(cpu), want.each_ref().map(<[Value; 4]>::each_ref));
    // Where only samples are looked at, the step is the one that was asked for.
    let since = rfc3339(base - HOUR);
    let report = document(&env, &["stats", "--since", &since, "--step", "5m", "--metric", "cpu", "-o", "json"], 0);
    assert_eq!(series(&report, "nas", "cpu")["step_seconds"], 300);
    assert_eq!(known(series(&report, "nas", "cpu")).len(), 2);
}

#[test]
fn the_table_has_a_course_and_sums() {
    let (env, _) = a_day();
    let run = env.run(&["stats", "--since", "24h"]).exits(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["NAME", "METRIC", "COURSE", "MIN", "AVG", "MAX", "P95", "LAST", "BY"], "{run}");
    assert_eq!(lines.len(), 4, "{run}");
    assert!(lines[1].starts_with("nas") && lines[1].contains("10%") && lines[1].contains("30%"), "{run}");
    assert!(lines[1].contains('▂') && lines[2].contains("1.0G") && lines[3].contains("/s"), "{run}");
    // The gap is blank between what is known.
    assert!(lines[1].contains("▂  ") && lines[1].contains("  ▂"), "{run}");
    let plain = env.run_with(&["stats", "--since", "24h"], &[("LANG", "C")]).exits(0);
    assert!(plain.stdout.is_ascii(), "{plain}");
    let wide = env.run(&["stats", "--since", "24h", "-o", "wide"]).exits(0);
    assert!(wide.stdout.contains("KNOWN") && wide.stdout.contains("38 of "), "{wide}");
}

#[test]
fn csv_has_a_line_for_each_step() {
    let (env, _) = a_day();
    let run = env.run(&["stats", "--since", "24h", "--metric", "cpu", "-o", "csv"]).exits(0);
    let lines: Vec<&str> = run.stdout.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "id,name,metric,unit,at,avg,min,max,source");
    let (known, gaps): (Vec<&str>, Vec<&str>) = lines[1..].iter().partition(|line| !line.contains(",,,,"));
    assert_eq!(known.len(), 38, "{run}");
    assert!(known.iter().all(|line| line.ends_with("Z,20,10,30,cache")), "{run}");
    assert!(gaps.len() >= 10 && gaps.iter().all(|line| line.starts_with("nas,nas,cpu,percent,2026-01-02T")), "{run}");
}

#[test]
fn servers_of_which_nothing_is_known_are_listed_and_explained() {
    let env = nas();
    let run = env.run(&["stats", "--since", "24h"]).exits(0);
    assert!(run.stdout.contains("nothing is known of that time; each run of `ecobox status`"), "{run}");
    assert!(run.stdout.lines().any(|line| line.starts_with("nas ")), "{run}");
    let run = env.run(&["stats", "nobody", "--since", "24h"]).exits(7);
    assert!(run.stderr.contains("nobody") && run.stdout.is_empty(), "{run}");
    env.config(&(plain("nas", CLOSED) + &plain("old", CLOSED)));
    let report = document(&env, &["stats", "old", "--since", "1h", "-o", "json"], 0);
    let ids: Vec<&Value> = report["series"].as_array().unwrap().iter().map(|series| &series["id"]).collect();
    assert_eq!(ids, ["old"]);
}

#[test]
fn words_that_belong_together_are_asked_together() {
    let env = nas();
    for (args, says) in [
        (&["--step", "5m"][..], "--since"),
        (&["--metric", "cpu"], "--since"),
        (&["--since", "24h", "--chart", "heat"], "there are cpu, load, memory"),
        (&["--since", "24h", "--chart", "cpu", "--metric", "cpu"], "cannot be used with"),
        (&["--since", "24h", "--agent"], "cannot be used with"),
        (&["--chart", "cpu", "--agent"], "cannot be used with"),
        (&["--since", "9000-01-01"], "it is in the future"),
        (&["--since", "tomorrow"], "a time span like `24h`"),
        (&["--since", "24h", "--step", "0s"], "a time span like"),
    ] {
        let run = env.run(&[&["stats"], args].concat()).exits(2).says(says);
        assert!(run.stdout.is_empty(), "{run}");
    }
    // A chart alone is one of the last day, and an empty variable is none.
    let run = env.run_with(&["stats", "--chart", "cpu"], &[("ECOBOX_CONFIG", ""), ("ECOBOX_STATE", "")]).exits(0);
    let day = env.run(&["stats", "--chart", "cpu", "--since", "24h"]).exits(0);
    let drawn = |run: &Run| run.stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(drawn(&run), drawn(&day), "{run}");
    let run = env.run(&["stats", "--since", "24h", "-o", "openmetrics"]).exits(2);
    assert!(run.stderr.contains("openmetrics"), "{run}");
}

/// A guest's numbers are kept under its cluster, wherever it runs.
#[test]
fn a_guest_that_moved_keeps_its_series() {
    let sim = super::fleets::three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().migrate_guest(101, "pve2");
    let _ = env.run(&["status"]).exits(0);
    // The state file reaches back: nobody is asked.
    sim.clear_requests();
    env.execute(&format!("UPDATE samples SET at = at - {} WHERE at = (SELECT min(at) FROM samples)", 30 * MINUTE));
    let report = document(&env, &["stats", "101", "--since", "25m", "-o", "json"], 0);
    assert_eq!(known(series(&report, "pve2-vm-101", "memory")).len(), 1, "{report:#}");
    let since = rfc3339(now() - 31 * MINUTE);
    let report = document(&env, &["stats", "101", "--since", &since, "--step", "2m", "-o", "json"], 0);
    assert_eq!(known(series(&report, "pve2-vm-101", "memory")).len(), 2, "{report:#}");
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
}

/// What a command prints on a terminal of so many columns, where stderr goes to `errors`.
pub(crate) fn on_terminal(env: &Env, args: &[&str], columns: usize, language: &str, errors: &str) -> String {
    let template = env.command(args);
    let mut command = Command::new("sh");
    // The size is there before ecobox looks, and after `Session` has set its own.
    command.args(["-c", &format!("read _; stty cols {columns} rows 40; exec \"$0\" \"$@\" 2>{errors}")]);
    command.arg(template.get_program()).args(template.get_args()).env_clear();
    command.envs(template.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("TERM", "xterm").env("LANG", language).env("NO_COLOR", "1").env("TZ", "UTC");
    let mut session = Session::spawn(command).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    session.send_line("").unwrap();
    let rest = session.expect(Eof).unwrap();
    String::from_utf8_lossy(rest.as_bytes()).replace('\r', "")
}

#[test]
fn a_chart_in_a_pipe_and_on_terminals() {
    let (env, _) = a_day();
    let args = ["stats", "--since", "24h", "--chart", "cpu"];
    let pipe = env.run(&args).exits(0).stdout;
    let narrow = on_terminal(&env, &args, 80, "C.UTF-8", "/dev/null");
    let ascii = on_terminal(&env, &args, 80, "C", "/dev/null");
    for (text, width) in [(&pipe, 100), (&narrow, 80), (&ascii, 80)] {
        assert!(text.starts_with("cpu since "), "{text}");
        assert_eq!(text.lines().count(), 20, "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!((width - 4..=width).contains(&widest), "{widest}\n{text}");
        assert!(text.contains("100%") || text.contains("40%") || text.contains("20%"), "{text}");
        assert!(text.lines().last().unwrap().contains("nas"), "{text}");
    }
    let is_braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
    assert!(pipe.contains(is_braille) && narrow.contains(is_braille) && ascii.is_ascii(), "{ascii}");
    assert!(pipe.contains("UTC"), "whose clock it is\n{pipe}");
    // One line, level, with four hours of nothing in it: about a sixth of the columns.
    let drawn: Vec<&str> = pipe.lines().filter(|line| line.contains(is_braille)).collect();
    assert_eq!(drawn.len(), 2, "the line and its legend\n{pipe}");
    let dots: Vec<char> = drawn[0].chars().skip_while(|c| !is_braille(*c)).collect();
    let gap = dots.iter().filter(|c| !is_braille(**c)).count();
    assert!((13..=19).contains(&gap), "{gap} columns\n{pipe}");
    // The points of a chart are those of the series.
    let json = document(&env, &["stats", "--since", "24h", "--chart", "cpu", "-o", "json"], 0);
    assert_eq!(known(series(&json, "nas", "cpu")).len(), 38);
    let none = env.run(&["stats", "--since", "24h", "--chart", "load"]).exits(0);
    assert!(none.stdout.contains("nothing was measured"), "{none}");
}

/// In cron nobody wants to hear that all is well.
#[test]
fn quiet_runs_say_nothing() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let open = Open::new();
    env.add_config(&plain("nas", open.port()));
    for args in [&["status", "-q"][..], &["discover", "-q"], &["status", "--since", "1h", "-q"]] {
        let run = env.run(args).exits(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
}
