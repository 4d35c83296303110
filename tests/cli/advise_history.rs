//! Histories as Proxmox VE keeps them, made of what a guest did in each minute.

use ecobox_sim::Cluster;
use serde_json::{Value, json};

/// What a month is judged by, and a year.
pub(crate) const MONTH: &[&str] = &["month"];
pub(crate) const YEAR: &[&str] = &["week", "month", "year"];

pub(crate) const GIB: f64 = 1_073_741_824.0;

/// What a guest did in a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Minute {
    /// It ran: cores in use, bytes in use, percent of the time that it waited for a CPU and for memory.
    On { cores: f64, memory: f64, waits: (f64, f64) },
    /// It was off: only its size is kept.
    Off,
    /// Nothing was recorded.
    Gap,
}

pub(crate) fn on(cores: f64, gib: f64) -> Minute {
    Minute::On { cores, memory: gib * GIB, waits: (0.0, 0.0) }
}

/// The ends of the steps of an answer: the old ones first, where a host was updated from 8 to 9 so many seconds ago.
fn ends(cluster: &Cluster, timeframe: &str, updated_ago: Option<u64>) -> Vec<(u64, u64)> {
    let times = cluster.history_times(timeframe);
    let new = times[1] - times[0];
    let now = times[times.len() - 1];
    let Some(updated) = updated_ago.map(|ago| now - ago) else {
        return times.into_iter().map(|time| (time, new)).collect();
    };
    let old = match timeframe {
        "week" => 3 * 3600,
        "month" => 12 * 3600,
        _ => 7 * 86_400,
    };
    let mut before: Vec<(u64, u64)> =
        (1..70).map(|back| ((updated / old - back) * old, old)).filter(|(end, _)| *end >= times[0]).collect();
    before.reverse();
    before.extend(times.into_iter().filter(|time| *time > updated).map(|time| (time, new)));
    before
}

/// Sets what Proxmox VE answers of a guest: averages and maxima. `ago` is how many seconds
/// before now a minute was.
pub(crate) fn set_past(
    cluster: &mut Cluster,
    vmid: u32,
    frames: &[&str],
    (cores, gib): (f64, f64),
    updated_ago: Option<u64>,
    minute: impl Fn(u64) -> Minute,
) {
    let has_pressure = cluster.history_times("day").len() > 1000;
    for timeframe in frames {
        let ends = ends(cluster, timeframe, updated_ago);
        let now = cluster.history_times("hour").pop().unwrap();
        let (mut averages, mut maxima) = (Vec::new(), Vec::new());
        for (end, length) in ends {
            // Of long steps every fifth minute is looked at: what is made up for a test lasts longer.
            let every = if length > 1800 { 300 } else { 60 };
            let minutes = (1..=length / every).map(|n| minute(now.saturating_sub(end - length + n * every)));
            let (average, max) = rows(end, (cores, gib), minutes, has_pressure);
            averages.push(average);
            maxima.push(max);
        }
        cluster.set_guest_history(vmid, timeframe, "AVERAGE", averages);
        cluster.set_guest_history(vmid, timeframe, "MAX", maxima);
    }
}

fn rows(
    end: u64,
    (size, gib): (f64, f64),
    minutes: impl Iterator<Item = Minute>,
    has_pressure: bool,
) -> (Value, Value) {
    let (mut sums, mut most, mut ran, mut known) = ([0.0; 4], [0.0_f64; 4], 0.0, false);
    for minute in minutes {
        known |= !matches!(minute, Minute::Gap);
        if let Minute::On { cores, memory, waits } = minute {
            ran += 1.0;
            for (place, number) in [cores / size, memory, waits.0, waits.1].into_iter().enumerate() {
                sums[place] += number;
                most[place] = most[place].max(number);
            }
        }
    }
    let row = |numbers: [f64; 4]| {
        if !known {
            return json!({ "time": end });
        }
        let mut row = json!({ "time": end, "maxcpu": size, "maxmem": gib * GIB, "maxdisk": 32.0 * GIB, "disk": 0 });
        if ran > 0.0 {
            for (key, number) in ["cpu", "mem", "pressurecpusome", "pressurememorysome"].into_iter().zip(numbers) {
                if has_pressure || !key.starts_with("pressure") {
                    row[key] = json!(number);
                }
            }
            for key in ["netin", "netout", "diskread", "diskwrite"] {
                row[key] = json!(25_000.0);
            }
        }
        row
    };
    (row(sums.map(|sum| sum / f64::max(ran, 1.0))), row(most))
}
