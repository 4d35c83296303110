//! One reading of a Linux host's own counters, and what two of them say together.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::load::energy::WattsBy;
use crate::model::load::rapl::{self, Domains};
use crate::model::load::usage::{Count, Pressure, Rates, Source, Usage, percent};

/// What the kernel of a host said at one moment. Kept in the state file as JSON, so that the next run needs no second
/// reading of its own. Times are the host's own clock since its boot, which is never set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reading {
    /// `/proc/sys/kernel/random/boot_id`: counters of another boot cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) boot_id: Option<String>,
    /// Seconds since boot, to the hundredth (`/proc/uptime`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uptime: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<Ticks>,
    /// Bytes received and sent, by physical port.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ports: BTreeMap<String, (u64, u64)>,
    /// Bytes read and written, by whole disk.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) disks: BTreeMap<String, (u64, u64)>,
    /// The energy counters of its CPU.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) energy: Domains,
    /// How often it has slept since its boot; the counters stand still then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sleeps: Option<u64>,
}

/// What happened between two readings. Each number stands alone: one that cannot be told says why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// How far the readings are apart, by the host's own clock; more than zero.
    pub(crate) seconds: f64,
    /// Percent of all CPUs, 0 to 100.
    pub(crate) cpu_percent: Result<f32, String>,
    /// Bytes a second, over all ports that both readings have.
    pub(crate) receive: Result<f64, String>,
    pub(crate) transmit: Result<f64, String>,
    /// Bytes a second, over all disks that both readings have.
    pub(crate) read: Result<f64, String>,
    pub(crate) write: Result<f64, String>,
    /// Ports and disks that the earlier reading does not have: the rates are without them.
    pub(crate) new_ports: Vec<String>,
    pub(crate) new_disks: Vec<String>,
    /// Whether the host was awake all the time.
    awake: bool,
}

/// No server moves more bytes a second than this (eight terabits): a larger step is a counter that broke.
const MOST_BYTES_PER_SECOND: f64 = 1e12;

impl Reading {
    /// What happened since an earlier reading of the same host, which has that many CPUs if it is known.
    ///
    /// # Errors
    /// Why the two cannot be compared at all: another boot, or no time between them.
    pub(crate) fn since(&self, before: &Reading, cpus: Option<f32>) -> Result<Change, String> {
        match (&before.boot_id, &self.boot_id) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => return Err("the server restarted between the two readings".to_owned()),
            _ => return Err("without a boot id two readings cannot be compared".to_owned()),
        }
        let (Some(from), Some(to)) = (before.uptime, self.uptime) else {
            return Err("without the uptime it is unknown how long was measured".to_owned());
        };
        let seconds = to - from;
        if !seconds.is_finite() || seconds < 0.0 {
            return Err("the server's uptime went back".to_owned());
        }
        // The kernel tells hundredths: less than half of one is the same moment.
        if seconds < 0.005 {
            return Err("no time passed between the two readings".to_owned());
        }
        let (ports, disks) = (Pairs::of(&before.ports, &self.ports), Pairs::of(&before.disks, &self.disks));
        Ok(Change {
            seconds,
            cpu_percent: cpu_percent(before.cpu, self.cpu, cpus.map(|cpus| most_ticks(cpus, seconds))),
            receive: ports.rate(seconds, "network port", |counters| counters.0),
            transmit: ports.rate(seconds, "network port", |counters| counters.1),
            read: disks.rate(seconds, "disk", |counters| counters.0),
            write: disks.rate(seconds, "disk", |counters| counters.1),
            new_ports: ports.new,
            new_disks: disks.new,
            awake: self.was_awake_since(before, seconds, cpus),
        })
    }

    /// The watts of its CPU between an earlier reading and this one, which are as far apart as `change` says.
    ///
    /// # Errors
    /// Why they cannot be told.
    pub(crate) fn watts_since(
        &self,
        before: &Reading,
        change: &Change,
        max_watts: Option<f64>,
    ) -> Result<(f64, WattsBy), String> {
        if !change.awake {
            return Err("the server slept between the two readings".to_owned());
        }
        rapl::watts(&before.energy, &self.energy, change.seconds, max_watts)
    }

    /// Whether the host did not sleep since then: its uptime goes on while it does, and the ticks of its CPUs do not.
    fn was_awake_since(&self, before: &Reading, seconds: f64, cpus: Option<f32>) -> bool {
        if let (Some(before), Some(now)) = (before.sleeps, self.sleeps) {
            return before == now;
        }
        let ticks = self.cpu.zip(before.cpu).and_then(|(now, before)| now.total.checked_sub(before.total));
        let (Some(ticks), Some(cpus)) = (ticks, cpus) else { return true };
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more places")]
        let awake = ticks as f64 / 100.0 / f64::from(cpus.max(1.0));
        awake > seconds * 0.9 - 1.0
    }
}

/// The ticks that so many CPUs can have had, and as many again: a second is a hundred of them wherever Linux runs on
/// servers. A host that slept had fewer.
fn most_ticks(cpus: f32, seconds: f64) -> f64 {
    200.0 * f64::from(cpus) * (seconds + 1.0)
}

fn cpu_percent(before: Option<Ticks>, after: Option<Ticks>, most: Option<f64>) -> Result<f32, String> {
    let (Some(before), Some(after)) = (before, after) else {
        return Err("the CPUs' counters are unknown".to_owned());
    };
    let went_back = || "the CPUs' counters went back".to_owned();
    let busy = after.busy.checked_sub(before.busy).ok_or_else(went_back)?;
    let total = after.total.checked_sub(before.total).ok_or_else(went_back)?;
    if total == 0 {
        return Err("the CPUs' counters did not move".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage needs no more places")]
    let (busy, total) = (busy as f64, total as f64);
    // The kernel takes back some of the time it called iowait, so that busy can be a little more than all.
    if busy > total * 1.02 + 2.0 || most.is_some_and(|most| total > most) {
        return Err("the CPUs' counters jumped".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    let percent = (busy / total * 100.0) as f32;
    Ok(percent.clamp(0.0, 100.0))
}

/// The counters of one name before and after.
type Pair<'a> = (&'a str, (u64, u64), (u64, u64));

/// What two readings say of the same ports, or disks.
struct Pairs<'a> {
    both: Vec<Pair<'a>>,
    new: Vec<String>,
    /// Whether the later reading has any.
    any: bool,
}

impl<'a> Pairs<'a> {
    fn of(before: &BTreeMap<String, (u64, u64)>, after: &'a BTreeMap<String, (u64, u64)>) -> Pairs<'a> {
        let mut pairs = Pairs { both: Vec::new(), new: Vec::new(), any: !after.is_empty() };
        for (name, counters) in after {
            match before.get(name) {
                Some(earlier) => pairs.both.push((name, *earlier, *counters)),
                None => pairs.new.push(name.clone()),
            }
        }
        pairs
    }

    /// Bytes a second of all together. One counter that is wrong makes the sum wrong.
    fn rate(&self, seconds: f64, what: &str, counter: impl Fn((u64, u64)) -> u64) -> Result<f64, String> {
        if self.both.is_empty() {
            let why = if self.any { "is in both readings" } else { "is known" };
            return Err(format!("no {what} {why}"));
        }
        let mut sum = 0.0;
        for (name, before, after) in &self.both {
            let Some(bytes) = counter(*after).checked_sub(counter(*before)) else {
                return Err(format!("a counter of {name} went back"));
            };
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no more places")]
            let rate = bytes as f64 / seconds;
            if rate > MOST_BYTES_PER_SECOND {
                return Err(format!("a counter of {name} jumped"));
            }
            sum += rate;
        }
        Ok(sum)
    }
}

/// Time that all CPUs together spent since boot, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticks {
    /// Neither idle nor waiting for a disk.
    pub(crate) busy: u64,
    pub(crate) total: u64,
}

/// One mounted file system.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Filesystem {
    pub(crate) mount: String,
    pub(crate) used_bytes: u64,
    /// What users may fill: used and available, as `df` computes its percentage.
    pub(crate) size_bytes: u64,
}

impl Filesystem {
    /// Which of these is the disk of a server: its root, else the largest. Systems that are images are mounted from
    /// something that never fills, and have their data elsewhere.
    pub(crate) fn main_of(all: &[Filesystem]) -> Option<&Filesystem> {
        let root = all.iter().find(|filesystem| is_root(&filesystem.mount));
        // Of equal ones the first, in the order of their names.
        root.or_else(|| all.iter().rev().max_by_key(|filesystem| filesystem.size_bytes))
    }
}

/// `/`, or Windows' `C:\`.
pub(crate) fn is_root(mount: &str) -> bool {
    mount == "/" || matches!(mount.as_bytes(), [b'c' | b'C', b':'] | [b'c' | b'C', b':', b'\\' | b'/'])
}

/// What is known of a host's or plain server's load.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HostLoad {
    pub(crate) usage: Usage,
    pub(crate) pressure: Pressure,
    pub(crate) rates: Rates,
    /// Load averages over one, five and fifteen minutes.
    pub(crate) load: Option<[f32; 3]>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) swap_max_bytes: Option<u64>,
    /// ZFS's cache: given back when memory is short, and not part of `usage.memory_bytes`.
    pub(crate) arc_bytes: Option<u64>,
    /// The root file system first; more only where they were asked for.
    pub(crate) filesystems: Vec<Filesystem>,
    /// Why a number is unknown, or what is to be known about it, by the number's name.
    pub(crate) reasons: BTreeMap<&'static str, String>,
    /// Who else gave a number that the host itself did not, by the number's name.
    pub(crate) sources: BTreeMap<&'static str, Source>,
    /// Over how many seconds CPU and rates were measured.
    pub(crate) measured_seconds: Option<f64>,
    /// Watts by the host's own power meter.
    pub(crate) sensor_watts: Option<f64>,
    /// Watts of its CPU, over the same time as CPU and rates.
    pub(crate) cpu_watts: Option<(f64, WattsBy)>,
}

impl HostLoad {
    /// This load, completed by what the cluster's listing says of the host.
    pub(crate) fn beside(mut self, listed: &Usage) -> HostLoad {
        let own = self.usage;
        let filled = [
            ("cpu", own.cpu_percent.is_none() && listed.cpu_percent.is_some()),
            ("memory", own.memory_bytes.is_none() && listed.memory_bytes.is_some()),
            ("disk", own.disk_bytes.is_none() && listed.disk_bytes.is_some()),
            ("uptime", own.uptime_seconds.is_none() && listed.uptime_seconds.is_some()),
        ];
        self.sources.extend(filled.into_iter().filter(|(_, filled)| *filled).map(|(name, _)| (name, Source::Api)));
        self.usage = own.or(*listed);
        self
    }
}

impl Filesystem {
    /// Percent in use, as `df` computes it; `None` where there is no room at all.
    pub(crate) fn percent(&self) -> Option<f64> {
        percent(Count::new(self.used_bytes), Count::new(self.size_bytes))
    }
}

/// A reading that is younger than this is too near to compare with: the kernel counts hundredths of a second.
pub(crate) const YOUNG: SignedDuration = SignedDuration::from_millis(500);

/// A reading with the moment at which this machine had it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KnownReading {
    pub(crate) reading: Reading,
    pub(crate) at: Timestamp,
}

#[cfg(test)]
mod tests;
