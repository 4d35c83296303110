//! The script on this machine itself, against what the test reads of it.

use std::fs;
use std::process::Command;

use super::*;
use crate::fleet::host::facts::run_tests::shells;
use crate::model::load::reading::Ticks;

/// The files that are compared, read by other means than the script's.
struct Look {
    ticks: Ticks,
    uptime: f64,
    used: u64,
    memory: u64,
    /// Used and available of the root, by df.
    disk: (u64, u64),
    received: u64,
}

fn words(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn look(port: Option<&str>) -> Look {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let stat = words(read("/proc/stat").lines().next().unwrap());
    let meminfo = read("/proc/meminfo");
    let memory = |name: &str| words(meminfo.lines().find(|line| line.starts_with(name)).unwrap())[0] * 1024;
    let df = Command::new("df").args(["-k", "/"]).output().unwrap();
    let df = words(String::from_utf8(df.stdout).unwrap().lines().nth(1).unwrap());
    Look {
        ticks: Ticks { busy: stat[..3].iter().chain(&stat[5..8]).sum(), total: stat[..8].iter().sum() },
        uptime: read("/proc/uptime").split_whitespace().next().unwrap().parse().unwrap(),
        memory: memory("MemTotal:"),
        used: memory("MemTotal:") - memory("MemAvailable:"),
        disk: (df[1] * 1024, (df[1] + df[2]) * 1024),
        received: port.map_or(0, |port| words(&read(&format!("/sys/class/net/{port}/statistics/rx_bytes")))[0]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared to within a percent")]
fn between(what: &str, low: u64, number: u64, high: u64) {
    let (low, high) = (low.min(high) as f64, low.max(high) as f64);
    let number = number as f64;
    assert!(low * 0.99 <= number && number <= high * 1.01, "{what}: {low} {number} {high}");
}

#[test]
fn this_machine_as_it_is() {
    let missing = ["/proc/stat", "/proc/sys/kernel/random/boot_id", "/sys/class/net"]
        .iter()
        .find(|path| fs::metadata(path).is_err());
    if let Some(path) = missing {
        eprintln!("SKIPPED: this machine has no {path}");
        return;
    }
    for shell in shells() {
        let run = |known: Option<&Reading>, all: bool| {
            let script = script(known, Duration::from_millis(100), all);
            let output =
                Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).env("LC_ALL", "C").output().unwrap();
            assert_eq!((output.stderr.as_slice(), output.status.code()), (&b""[..], Some(0)), "{shell:?}");
            read(&String::from_utf8_lossy(&output.stdout), known, None)
        };
        let port = run(None, false).0.ports.keys().next().cloned();
        let before = look(port.as_deref());
        let (reading, load) = run(None, true);
        let after = look(port.as_deref());

        let cpu = reading.cpu.unwrap();
        between("busy", before.ticks.busy, cpu.busy, after.ticks.busy);
        between("total", before.ticks.total, cpu.total, after.ticks.total);
        assert!(before.ticks.total <= cpu.total && cpu.total <= after.ticks.total + 1);
        let uptime = reading.uptime.unwrap();
        assert!(before.uptime <= uptime && uptime <= after.uptime, "{shell:?}");
        let arc = load.arc_bytes.unwrap_or(0);
        // Compilers come and go beside this test: a percent of all memory, then.
        let free = |used: u64| before.memory.saturating_mul(2) - used;
        assert_eq!(load.usage.memory_max_bytes.map(Count::get), Some(before.memory));
        between("memory", free(before.used), free(load.usage.memory_bytes.unwrap().get() + arc), free(after.used));
        between("disk", before.disk.0, load.usage.disk_bytes.unwrap().get(), after.disk.0);
        between("disk size", before.disk.1, load.usage.disk_max_bytes.unwrap().get(), after.disk.1);
        assert_eq!(
            load.usage.cpus.map(f64::from),
            std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()).map(f64::from)
        );
        if let Some(port) = &port {
            between("received", before.received, reading.ports[port].0, after.received);
        }

        // Measured by the script over its own pause, of which the test cannot know more than its ends.
        let percent = load.usage.cpu_percent.unwrap_or_else(|| panic!("{shell:?}: {:?}", load.reasons));
        assert!((0.0..=100.0).contains(&percent) && load.measured_seconds.is_some_and(|s| (0.09..60.0).contains(&s)));
        // Against a reading of its own that is old enough, the script does not measure: this is the caller's arithmetic.
        let old = Reading {
            uptime: Some(uptime - 5.0),
            cpu: Some(Ticks { busy: cpu.busy - 250, total: cpu.total - 1000 }),
            ..reading.clone()
        };
        let (now, load) = run(Some(&old), false);
        let (ticks, percent) = (now.cpu.unwrap(), load.usage.cpu_percent.unwrap());
        #[expect(clippy::cast_precision_loss, reason = "compared to within a percent")]
        let want = (ticks.busy - cpu.busy + 250) as f64 / (ticks.total - cpu.total + 1000) as f64 * 100.0;
        assert!((f64::from(percent) - want).abs() < 0.01, "{percent} {want}");
        assert!(load.measured_seconds.is_some_and(|seconds| seconds > 4.9));
    }
}
