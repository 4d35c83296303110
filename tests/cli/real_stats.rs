//! `stats` of this machine itself through Debian's own sshd, against /proc and df as the test reads them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use super::stats::fields;
use super::world::{World, entry};

/// What one could have by hand at a moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Ticks of all CPUs since boot: at work, and all.
    busy: u64,
    total: u64,
    uptime: f64,
    memory: u64,
    used: u64,
    /// Used and size of the root, by df: what users may fill.
    disk: (u64, u64),
}

fn words(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn look() -> Look {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let stat = words(read("/proc/stat").lines().next().unwrap());
    let meminfo = read("/proc/meminfo");
    let memory = |name: &str| words(meminfo.lines().find(|line| line.starts_with(name)).unwrap())[0] * 1024;
    let df = Command::new("df").args(["-k", "/"]).output().unwrap();
    let df = words(String::from_utf8(df.stdout).unwrap().lines().nth(1).unwrap());
    Look {
        // All but idle and waiting for disks; guests' time is in the user's.
        busy: stat[..3].iter().chain(&stat[5..8]).sum(),
        total: stat[..8].iter().sum(),
        uptime: read("/proc/uptime").split_whitespace().next().unwrap().parse().unwrap(),
        memory: memory("MemTotal:"),
        used: memory("MemTotal:") - memory("MemAvailable:"),
        disk: (df[1] * 1024, (df[1] + df[2]) * 1024),
    }
}

/// A run of `stats` between two looks.
struct Seen {
    before: Look,
    report: Value,
    /// What the run has kept of the counters for the next one.
    busy: u64,
    total: u64,
    uptime: f64,
    after: Look,
}

#[expect(clippy::cast_precision_loss, reason = "compared to within a percent")]
fn is_between(low: u64, number: &Value, high: u64, of: u64) -> bool {
    let (low, high, percent) = (low.min(high) as f64, low.max(high) as f64, of as f64 * 0.01);
    number.as_f64().is_some_and(|number| low - percent <= number && number <= high + percent)
}

/// `ecobox stats`, and the reading that it leaves.
fn measure(world: &World) -> Seen {
    let before = look();
    let report = world.run(&["stats", "-o", "json", "--interval", "600ms"]).exits(0).server("here");
    let after = look();
    let reading = world.env.rows("SELECT reading FROM readings WHERE server = 'here' ORDER BY at DESC LIMIT 1");
    let reading: Value = serde_json::from_str(&reading[0]).unwrap();
    let ticks = |name: &str| reading["cpu"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {reading:#}"));
    let (busy, total, uptime) = (ticks("busy"), ticks("total"), reading["uptime"].as_f64().unwrap());
    Seen { before, report, busy, total, uptime, after }
}

#[test]
fn numbers_agree_with_what_one_reads_by_hand_and_need_no_sudo() {
    let world = World::new();
    let programs = world.env.home().join("programs");
    fs::create_dir(&programs).unwrap();
    let called = world.env.home().join("called");
    for name in ["sudo", "doas", "su", "pkexec", "vmstat", "iostat"] {
        let program = programs.join(name);
        fs::write(&program, format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\nexit 1\n", called.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let Some(sshd) = world.serve_this_machine(&programs) else { return };
    // They would be seen.
    assert!(!sshd.run("sudo -n true").status.success());
    assert_eq!(fs::read_to_string(&called).unwrap(), "sudo -n true\n");
    fs::remove_file(&called).unwrap();
    world.know_line(&sshd.known_hosts_line());
    world.configure(&entry("here", &sshd.user(), sshd.port(), None));

    let mut seen: Vec<Seen> = Vec::new();
    let (mut memory_agrees, mut disk_agrees, mut compared) = (false, false, 0);
    // The memory of a busy machine may leap between two looks, and a run that comes too early measures by itself: it is
    // as often as it takes, and what is wrong stays wrong.
    for _ in 0..100 {
        let run = measure(&world);
        let Look { busy, total, uptime, memory, used, disk } = run.before;
        let report = &run.report;
        assert_eq!(fields(report, ["source", "reasons"]), ["ssh".into(), serde_json::json!({})], "{report:#}");
        assert_eq!(report["memory_max_bytes"], memory, "{report:#}");
        memory_agrees |= is_between(used, &report["memory_bytes"], run.after.used, memory);
        disk_agrees |= is_between(disk.0, &report["disk_bytes"], run.after.disk.0, disk.0)
            && is_between(disk.1, &report["disk_max_bytes"], run.after.disk.1, disk.1);
        // Who comes right after another run leaves no reading.
        if run.uptime >= uptime {
            // Counters grow only, but for what the kernel rounds.
            let grows = |before: u64, now: u64, after: u64| before <= now + 10 && now <= after + 10;
            let counted = (run.busy, run.total, run.uptime);
            assert!(grows(busy, run.busy, run.after.busy), "{counted:?} {:?} {:?}", run.before, run.after);
            assert!(grows(total, run.total, run.after.total), "{counted:?} {:?} {:?}", run.before, run.after);
            assert!(run.uptime <= run.after.uptime, "{counted:?} {:?}", run.after);
            // The time in between says which reading it was compared with.
            let measured = report["measured_seconds"].as_f64().unwrap();
            let is_earlier = |earlier: &&Seen| (run.uptime - earlier.uptime - measured).abs() < 0.001;
            if let Some(earlier) = seen.iter().find(is_earlier) {
                #[expect(clippy::cast_precision_loss, reason = "ticks of some seconds")]
                let want = (run.busy - earlier.busy) as f64 / (run.total - earlier.total) as f64 * 100.0;
                let percent = report["cpu_percent"].as_f64().unwrap();
                assert!((percent - want).abs() < 0.01, "{percent} is not {want}\n{report:#}");
                compared += 1;
            }
            seen.push(run);
        }
        if memory_agrees && disk_agrees && compared >= 2 {
            break;
        }
    }
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { panic!("no run left a reading") };
    assert!(memory_agrees, "{:#}\n{:?}\n{:?}", last.report, last.before, last.after);
    assert!(disk_agrees, "{:#}\n{:?}\n{:?}", last.report, last.before, last.after);
    assert!(compared >= 2, "of {} runs {compared} were compared with an earlier one\n{:#}", seen.len(), first.report);
    assert!(!called.exists(), "{:?}", fs::read_to_string(&called));
}
