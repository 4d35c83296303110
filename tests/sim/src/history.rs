//! What `rrddata` answers: what a test has set, else what follows from the state of now.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::guest::{Guest, Kind};
use crate::node::Node;

/// What a test has set, by timeframe and consolidation.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    rows: BTreeMap<(String, String), Vec<Value>>,
    unrecorded: bool,
}

impl History {
    /// What a test has set for these parameters of a call.
    pub(crate) fn set_rows(&self, timeframe: &str, cf: &str) -> Option<&Vec<Value>> {
        self.rows.get(&(timeframe.to_owned(), cf.to_owned()))
    }

    pub(crate) fn is_unrecorded(&self) -> bool {
        self.unrecorded
    }

    fn set(&mut self, timeframe: &str, cf: &str, rows: Vec<Value>) {
        self.unrecorded = false;
        self.rows.insert((timeframe.to_owned(), cf.to_owned()), rows);
    }
}

/// One step of an answer.
pub(crate) struct Step {
    /// Its end.
    pub(crate) time: u64,
    /// Seconds since then.
    pub(crate) age: u64,
    /// What a number of now is multiplied with, at that time.
    factor: f64,
    /// The same for what is never above what there is.
    peak: f64,
}

impl Cluster {
    /// What `rrddata` answers for a guest to this timeframe (`hour`, ..) and consolidation (`AVERAGE`, `MAX`). For the times
    /// see [`Cluster::history_times`]; an object that holds only its `time` is a gap.
    pub fn set_guest_history(&mut self, vmid: u32, timeframe: &str, cf: &str, rows: Vec<Value>) {
        self.guest_mut(vmid).history.set(timeframe, cf, rows);
    }

    /// The same for a node.
    pub fn set_node_history(&mut self, node: &str, timeframe: &str, cf: &str, rows: Vec<Value>) {
        self.node_mut(node).history.set(timeframe, cf, rows);
    }

    /// Nothing was ever recorded of a guest: it is an error to ask.
    pub fn forget_guest_history(&mut self, vmid: u32) {
        self.guest_mut(vmid).history = History { unrecorded: true, ..History::default() };
    }

    /// The times of an answer of `rrddata`, in Unix seconds, oldest first: each is the end of a step.
    pub fn history_times(&self, timeframe: &str) -> Vec<u64> {
        self.steps(timeframe, "AVERAGE", 0).into_iter().map(|step| step.time).collect()
    }

    /// The histories of the demo go up and down; else they are flat.
    #[must_use]
    pub(crate) fn lively(mut self) -> Cluster {
        self.lively = true;
        self
    }

    fn steps(&self, timeframe: &str, cf: &str, seed: u64) -> Vec<Step> {
        let (length, count) = match (timeframe, self.version.is_9()) {
            ("hour", _) => (60, 60),
            ("day", true) => (60, 1440),
            ("week", true) => (1800, 336),
            ("month", true) => (1800, 1440),
            (_, true) => (21_600, 1440),
            ("day", false) => (1800, 70),
            ("week", false) => (3 * 3600, 70),
            ("month", false) => (12 * 3600, 70),
            (_, false) => (7 * 86_400, 70),
        };
        let now = self.clock.epoch(self.clock.now());
        let last = now - now % length;
        // A step of a minute is one measurement: its maximum is its average.
        let is_peak = cf == "MAX" && length > 60;
        let step = |back: u64| {
            let time = last - back * length;
            let wave = if self.lively { wave(time, seed) } else { 1.0 };
            let (factor, peak) = if is_peak { (wave * 2.0, wave * 1.25) } else { (wave, wave) };
            Step { time, age: now - time, factor, peak }
        };
        (0..count).rev().map(step).collect()
    }

    /// Of a guest: sizes for all times, the rest since it started.
    pub(crate) fn guest_history(&self, guest: &Guest, timeframe: &str, cf: &str) -> Value {
        if let Some(rows) = guest.history.set_rows(timeframe, cf) {
            return json!(rows);
        }
        let uptime = guest.uptime_at(self.clock.now());
        let steps = self.steps(timeframe, cf, u64::from(guest.vmid)).into_iter();
        steps.map(|step| guest_row(guest, &step, uptime, self.version.is_9())).collect()
    }

    /// Of a node: nothing before it booted.
    pub(crate) fn node_history(&self, node: &Node, timeframe: &str, cf: &str) -> Value {
        if let Some(rows) = node.history.set_rows(timeframe, cf) {
            return json!(rows);
        }
        let uptime = node.uptime_at(self.clock.now());
        let steps = self.steps(timeframe, cf, node.name.len() as u64).into_iter();
        steps.map(|step| node_row(node, &step, uptime, self.version.is_9())).collect()
    }
}

fn guest_row(guest: &Guest, step: &Step, uptime: u64, newest: bool) -> Value {
    let mut row =
        json!({ "time": step.time, "maxcpu": guest.cores, "maxmem": guest.memory, "maxdisk": guest.disk, "disk": 0 });
    if step.age >= uptime {
        return row;
    }
    row["cpu"] = json!((guest.cpu * step.factor).min(1.0));
    row["mem"] = json!(part(guest.memory_used, guest.memory, step.peak));
    if guest.kind == Kind::Lxc {
        row["disk"] = json!(guest.disk_used);
    }
    for (key, rate) in ["netin", "netout", "diskread", "diskwrite"].into_iter().zip(guest.counters.rates) {
        row[key] = json!(scaled(rate, step.factor));
    }
    if newest {
        row["memhost"] = row["mem"].clone();
        for which in ["cpu", "io", "memory"] {
            row[format!("pressure{which}some")] = json!(0);
            row[format!("pressure{which}full")] = json!(0);
        }
    }
    row
}

fn node_row(node: &Node, step: &Step, uptime: u64, newest: bool) -> Value {
    if step.age >= uptime {
        return json!({ "time": step.time });
    }
    let used = part(node.memory_used, node.memory, step.peak);
    let mut row = json!({
        "time": step.time, "cpu": (node.cpu * step.factor).min(1.0), "maxcpu": node.cpus, "iowait": 0.001,
        "loadavg": node.loadavg[0] * step.factor, "memtotal": node.memory, "memused": used, "swaptotal": 0, "swapused": 0,
        "roottotal": node.disk, "rootused": node.disk_used,
        "netin": scaled(node.rates.0, step.factor), "netout": scaled(node.rates.1, step.factor),
    });
    if newest {
        #[expect(clippy::cast_precision_loss, reason = "a number for display")]
        let total = node.memory as f64;
        row["memavailable"] = json!(total - used);
        row["arcsize"] = json!(0);
        for key in ["cpusome", "iosome", "iofull", "memorysome", "memoryfull"] {
            row[format!("pressure{key}")] = json!(0);
        }
    }
    row
}

#[expect(clippy::cast_precision_loss, reason = "a number for display")]
fn scaled(number: u64, factor: f64) -> f64 {
    number as f64 * factor
}

/// So much of a number, and not more than there is.
fn part(used: u64, total: u64, factor: f64) -> f64 {
    // What is more than there is already was set so by a test.
    scaled(used, factor).min(scaled(total.max(used), 1.0))
}

/// From 0.5 to 1.5: higher in the afternoon than at night, and always a bit different.
fn wave(time: u64, seed: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number for display")]
    let share = |number: u64, of: u64| (number % of) as f64 / of as f64;
    let day = (share(time + seed * 600, 86_400) * 2.0 - 1.0).abs();
    let noise = share(time.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7, 1000);
    0.5 + 0.7 * (1.0 - day) + 0.3 * noise
}
