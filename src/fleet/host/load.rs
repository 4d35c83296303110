//! How hard a Linux host works: the script that is sent to it, and the reading of what it prints.
//!
//! CPU and rates need two readings. The first is the one that an earlier run remembered, where it is of the same boot;
//! else the script measures for a moment. It decides that by itself: one visit is always enough.
//! Reading is lenient: what is missing, cut off or senseless costs that one number, and says why.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

mod answer;
mod disks;

use std::collections::BTreeMap;
use std::time::Duration;

use self::answer::{Answer, Block};
use crate::model::load::energy::WattsBy;
use crate::model::load::reading::{Change, HostLoad, Reading};
use crate::model::load::usage::{Count, Pressure, Usage};

/// POSIX sh; what stands before it is [`script`]'s.
const SCRIPT: &str = include_str!("load.sh");
/// Goes after it where all file systems are wanted.
const MOUNTS: &str = include_str!("load_mounts.sh");
/// Goes last: the file systems that were chosen.
const DF: &str = "printf 'df\\t\\n'\ndf -P -k \"$@\" 2>/dev/null\n:\n";

/// So many ports, or disks, a reason names.
const NAMED: usize = 3;

/// Seconds by which the host's clock must be ahead of a remembered reading.
const LEAST_APART: f64 = 0.2;

/// The kernel counts hundredths of a second: less than a few of them measure nothing.
const SHORTEST: Duration = Duration::from_millis(50);

/// The script to run. `known` is what the caller remembers of the host, younger than ten minutes; `interval` is how long
/// to measure where that is of no use; `all_disks` asks for every local file system and not for the root alone.
pub(crate) fn script(known: Option<&Reading>, interval: Duration, all_disks: bool) -> String {
    let known = known.and_then(|known| {
        let boot = known.boot_id.as_deref().filter(|id| answer::is_boot_id(id))?;
        let uptime = known.uptime.filter(|seconds| answer::is_uptime(*seconds))?;
        Some((boot, uptime))
    });
    let (boot, since) = match known {
        // From then on it can be compared with, in hundredths of a second: a shell knows no fractions.
        Some((boot, uptime)) => (boot, format!("{:.0}", ((uptime + LEAST_APART) * 100.0).floor())),
        None => ("", String::new()),
    };
    let interval = interval.max(SHORTEST);
    let whole = interval.as_secs().saturating_add(u64::from(interval.subsec_nanos() > 0));
    let pause = match interval.subsec_millis() {
        0 => whole.to_string(),
        millis => format!("{}.{millis:03}", interval.as_secs()),
    };
    let parts = if all_disks { [SCRIPT, MOUNTS, DF] } else { [SCRIPT, "", DF] };
    let mut text = format!("known={boot} since={since} pause={pause} whole={whole}\n");
    // A shell that reads its script from a pipe may read it byte by byte (bash does): the comments stay here.
    for line in parts.iter().flat_map(|part| part.lines()).map(str::trim_start) {
        if !line.is_empty() && !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

/// What the script's output tells; `known` as it was given to [`script`]. The reading is the newest, to be remembered.
/// `max_watts` is what the host draws at most, where that is known. Never fails: what cannot be read is `None`, and `reasons` of the load say why.
pub(crate) fn read(stdout: &str, known: Option<&Reading>, max_watts: Option<f64>) -> (Reading, HostLoad) {
    let answer = Answer::of(stdout);
    let mut told = Told::default();
    let Some((last, first)) = answer.blocks.split_last().filter(|(last, _)| !last.is_empty()) else {
        let why =
            if stdout.trim().is_empty() { "the server answered nothing" } else { "the server has no Linux /proc" };
        for key in ["cpu", "load", "memory", "swap", "network", "io", "uptime", "pressure"] {
            told.note(key, why);
        }
        told.disks(&answer);
        return (Reading::default(), told.load);
    };
    let reading = told.counters(&answer, last);
    told.cpus(last);
    let earlier = match first.first() {
        Some(block) => Some(Told::default().counters(&answer, block)),
        None => known.cloned(),
    };
    let change = match &earlier {
        Some(earlier) => reading.since(earlier, told.load.usage.cpus),
        None => Err("there is no earlier reading to compare with".to_owned()),
    };
    if let (Some(earlier), Ok(change)) = (&earlier, &change) {
        told.cpu_watts(&reading, reading.watts_since(earlier, change, max_watts));
    }
    told.change(&reading, change);
    told.sensors(last);
    told.hidden(&answer);
    told.averages(last);
    told.memory(last);
    told.pressure(last);
    told.disks(&answer);
    (reading, told.load)
}

/// What was understood so far.
#[derive(Default)]
struct Told {
    load: HostLoad,
}

impl Told {
    /// Adds a reason to those of a number; said twice is said once.
    fn note(&mut self, key: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        let text = self.load.reasons.entry(key).or_default();
        if text.is_empty() {
            *text = reason;
        } else if !text.split("; ").any(|said| said == reason) {
            *text += "; ";
            *text += &reason;
        }
    }

    /// The number, or none and why.
    fn take<T>(&mut self, key: &'static str, number: Result<T, String>) -> Option<T> {
        number.map_err(|reason| self.note(key, reason)).ok()
    }

    /// The counters of one reading, and their sums.
    fn counters(&mut self, answer: &Answer<'_>, block: &Block<'_>) -> Reading {
        let uptime = self.take("uptime", block.uptime());
        let usage = &mut self.load.usage;
        usage.uptime_seconds = uptime.map(whole_seconds);
        let cpu = self.take("cpu", block.ticks());

        let (ports, bad) = block.ports();
        match answer.route {
            Some(route) if !ports.is_empty() => {
                self.note("network", format!("no physical port: measured on {route}, where the default route leads"));
            }
            None if ports.is_empty() && bad.is_empty() => {
                self.note("network", "the server has no physical network port, and no default route");
            }
            _ => {}
        }
        for name in bad.iter().take(NAMED) {
            self.note("network", format!("the counters of {name} make no sense"));
        }
        if bad.is_empty()
            && ports.is_empty()
            && let Some(route) = answer.route
        {
            self.note("network", format!("the counters of {route} cannot be read"));
        }
        // A sum without one of its parts is no sum.
        if bad.is_empty() {
            (self.load.usage.receive_bytes, self.load.usage.transmit_bytes) = self.sums("network", &ports);
        }

        let (disks, bad) = block.disks();
        match answer.disks {
            _ if !bad.is_empty() => {
                for name in bad.iter().take(NAMED) {
                    self.note("io", format!("the counters of {name} make no sense"));
                }
            }
            Some("") => self.note("io", "the server has no visible physical disk"),
            None => self.note("io", "the script did not come to the disks"),
            Some(_) if disks.is_empty() => self.note("io", "/proc/diskstats does not list the physical disks"),
            Some(_) => (self.load.usage.read_bytes, self.load.usage.write_bytes) = self.sums("io", &disks),
        }
        let (energy, sleeps) = (block.energy(), block.sleeps());
        Reading { boot_id: answer.boot.map(str::to_owned), uptime, cpu, ports, disks, energy, sleeps }
    }

    /// The sums of both counters: both, or none.
    fn sums(&mut self, key: &'static str, counters: &BTreeMap<String, (u64, u64)>) -> (Option<Count>, Option<Count>) {
        if counters.is_empty() {
            return (None, None);
        }
        let sum = |one: fn(&(u64, u64)) -> u64| counters.values().map(one).try_fold(0_u64, u64::checked_add);
        let Some((first, second)) = sum(|pair| pair.0).zip(sum(|pair| pair.1)) else {
            self.note(key, "the counters together are too large");
            return (None, None);
        };
        (Some(Count::new(first)), Some(Count::new(second)))
    }

    /// What the reading says together with an earlier one. Where there is no counter at all, that was said already.
    fn change(&mut self, reading: &Reading, change: Result<Change, String>) {
        let usage = self.load.usage;
        let (cpu, network, io) = (reading.cpu.is_some(), usage.receive_bytes.is_some(), usage.read_bytes.is_some());
        let change = match change {
            Ok(change) => change,
            Err(reason) => {
                for (key, _) in [("cpu", cpu), ("network", network), ("io", io)].iter().filter(|(_, counted)| *counted)
                {
                    self.note(key, reason.as_str());
                }
                return;
            }
        };
        // The kernel tells hundredths.
        self.load.measured_seconds = Some((change.seconds * 100.0).round() / 100.0);
        if cpu {
            self.load.usage.cpu_percent = self.take("cpu", change.cpu_percent);
        }
        if network {
            self.load.rates.receive = self.take("network", change.receive);
            self.load.rates.transmit = self.take("network", change.transmit);
            for name in change.new_ports.iter().take(NAMED) {
                self.note("network", format!("the rates are without {name}, which is new"));
            }
        }
        if io {
            self.load.rates.read = self.take("io", change.read);
            self.load.rates.write = self.take("io", change.write);
            for name in change.new_disks.iter().take(NAMED) {
                self.note("io", format!("the rates are without {name}, which is new"));
            }
        }
    }

    /// Watts by the counters of the CPU, where there are some.
    fn cpu_watts(&mut self, reading: &Reading, watts: Result<(f64, WattsBy), String>) {
        if !reading.energy.is_empty() {
            self.load.cpu_watts = self.take("watts", watts);
        }
    }

    /// Watts by the host's own meter. Whether one of several contains the others is unknown.
    fn sensors(&mut self, block: &Block<'_>) {
        match block.power_meters().as_slice() {
            [] => {}
            [watts] => self.load.sensor_watts = self.take("watts", watts.clone()),
            all => self.note("watts", format!("it has {} power meters, and how they add up is unknown", all.len())),
        }
    }

    /// Counters that are there and that only root may read.
    fn hidden(&mut self, answer: &Answer<'_>) {
        if answer.hidden_energy && self.load.cpu_watts.is_none() {
            self.note("watts", "only root may read the energy counters of its CPU");
        }
    }

    fn cpus(&mut self, block: &Block<'_>) {
        self.load.usage.cpus = self.take("cpu", block.cpus());
    }

    fn averages(&mut self, block: &Block<'_>) {
        self.load.load = self.take("load", block.averages());
        self.load.usage.load = self.load.load.map(|[one, _, _]| one);
    }

    fn memory(&mut self, block: &Block<'_>) {
        let total = self.take("memory", block.memory("MemTotal"));
        self.load.usage.memory_max_bytes = total.map(Count::new);
        let arc = match block.arc() {
            None => None,
            Some(Ok(_)) if block.memory_is_a_containers() => {
                self.note("arc", "ZFS's cache is the host's, not this container's");
                None
            }
            Some(size) => self.take("arc", size),
        };
        self.load.arc_bytes = arc;
        let available = match block.memory("MemAvailable") {
            Err(_) if !block.has_memory("MemAvailable") => {
                let estimate = block.available_of_old_kernels();
                if estimate.is_ok() && total.is_some() {
                    self.note(
                        "memory",
                        "the kernel does not say what is available: free, buffers and cache were taken",
                    );
                }
                self.take("memory", estimate)
            }
            available => self.take("memory", available),
        };
        if let (Some(total), Some(available)) = (total, available) {
            match total.checked_sub(available) {
                None => self.note("memory", "more memory is available than there is"),
                Some(used) => {
                    let without = used.checked_sub(arc.unwrap_or(0));
                    if without.is_none() {
                        self.note("memory", "ZFS's cache is larger than the memory in use, and was not taken off");
                    }
                    self.load.usage.memory_bytes = Some(Count::new(without.unwrap_or(used)));
                }
            }
        }
        self.load.swap_max_bytes = self.take("swap", block.memory("SwapTotal"));
        if let (Some(total), Some(free)) = (self.load.swap_max_bytes, self.take("swap", block.memory("SwapFree"))) {
            self.load.swap_bytes =
                self.take("swap", total.checked_sub(free).ok_or_else(|| "more swap is free than there is".to_owned()));
        }
    }

    fn pressure(&mut self, block: &Block<'_>) {
        let names = ["pressure/cpu", "pressure/memory", "pressure/io"];
        if !names.iter().any(|name| block.has(name)) {
            self.note("pressure", "the kernel has no pressure stall information");
            return;
        }
        let [cpu_percent, memory_percent, io_percent] = names.map(|name| self.take("pressure", block.pressure(name)));
        self.load.pressure = Pressure { cpu_percent, memory_percent, io_percent };
    }

    fn disks(&mut self, answer: &Answer<'_>) {
        let found = disks::filesystems(&answer.mounts, &answer.df);
        let Usage { disk_bytes, disk_max_bytes, .. } = &mut self.load.usage;
        if let Some(root) = found.list.first().filter(|first| first.mount == "/") {
            *disk_bytes = Some(Count::new(root.used_bytes));
            *disk_max_bytes = Some(Count::new(root.size_bytes));
        }
        self.load.filesystems = found.list;
        for reason in found.reasons {
            self.note("disk", reason);
        }
        if answer.more_mounts {
            self.note("disk", "there are more than 200 other file systems; the rest was not looked at");
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be no year beyond counting")]
fn whole_seconds(uptime: f64) -> Count {
    Count::new(uptime as u64)
}

#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
