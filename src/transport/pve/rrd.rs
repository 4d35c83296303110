//! `rrddata`: the history that Proxmox VE keeps itself, in round-robin databases.
//!
//! How many steps of which length an answer has (pve-cluster, `PVE/RRD.pm`):
//!
//! | timeframe | 9 | 7 and 8 |
//! |---|---|---|
//! | hour | 60 of a minute | the same |
//! | day | 1440 of a minute | 70 of 30 minutes |
//! | week | 336 of 30 minutes | 70 of 3 hours |
//! | month | 1440 of 30 minutes | 70 of 12 hours |
//! | year | 1440 of 6 hours | 70 of 7 days |
//!
//! A host that was updated from 8 to 9 answers with rows of both kinds, so each row has a length of its own. A row's `time`
//! is the end of its step: asked at 21:31:09, the last one is 21:31:00, and it is complete.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::de::MapAccess;

use crate::model::id::GuestKind;
use crate::model::past::series::Metric;

use super::lenient::{Entries, Record, Value, skip};
use super::listing::MOST_CPU;

/// How far back an answer of `rrddata` reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timeframe {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Timeframe {
    /// Each timeframe once, the shortest first.
    pub(crate) const ALL: [Timeframe; 5] =
        [Timeframe::Hour, Timeframe::Day, Timeframe::Week, Timeframe::Month, Timeframe::Year];

    /// The API's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Timeframe::Hour => "hour",
            Timeframe::Day => "day",
            Timeframe::Week => "week",
            Timeframe::Month => "month",
            Timeframe::Year => "year",
        }
    }

    /// How far back every version reaches at least. Older ones reach further, except for the hour.
    pub(crate) fn reach(self) -> SignedDuration {
        SignedDuration::from_hours(match self {
            Timeframe::Hour => 1,
            Timeframe::Day => 24,
            Timeframe::Week => 7 * 24,
            Timeframe::Month => 30 * 24,
            Timeframe::Year => 360 * 24,
        })
    }

    /// The shortest one that reaches as far back as `span`, which has the finest steps; the year for all that is longer,
    /// of which it covers only the end. `None` where there is nothing to cover.
    pub(crate) fn covering(span: SignedDuration) -> Option<Timeframe> {
        if span <= SignedDuration::ZERO {
            return None;
        }
        Some(Timeframe::ALL.into_iter().find(|timeframe| timeframe.reach() >= span).unwrap_or(Timeframe::Year))
    }

    /// The longest step of any version, in seconds: a longer distance between rows is not a step.
    fn longest_step(self) -> i64 {
        match self {
            Timeframe::Hour => 60,
            Timeframe::Day => 30 * 60,
            Timeframe::Week => 3 * 3600,
            Timeframe::Month => 12 * 3600,
            Timeframe::Year => 7 * 86_400,
        }
    }

    /// The step of a row that stands alone: the shortest of any version, so that it is not said of a time of which
    /// nobody knows.
    fn shortest_step(self) -> i64 {
        match self {
            Timeframe::Hour | Timeframe::Day => 60,
            Timeframe::Week | Timeframe::Month => 30 * 60,
            Timeframe::Year => 6 * 3600,
        }
    }
}

/// How many measurements become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consolidation {
    Average,
    Max,
}

impl Consolidation {
    /// The API's word for it, `cf`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Consolidation::Average => "AVERAGE",
            Consolidation::Max => "MAX",
        }
    }
}

/// A number of each metric.
type Values = [Option<f64>; Metric::ALL.len()];

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RrdRow {
    pub(crate) begins: Timestamp,
    pub(crate) ends: Timestamp,
    values: Values,
    /// How many CPUs it had; also known of a guest that is off.
    pub(crate) cpus: Option<f64>,
    /// What a guest may use, or a node has, in bytes; also known of a guest that is off.
    pub(crate) memory_max_bytes: Option<f64>,
    /// The size of a container's or a node's root file system, of a virtual machine's boot disk, in bytes.
    pub(crate) disk_max_bytes: Option<f64>,
    /// ZFS's cache on a node, in bytes, which PVE counts as memory in use. Told from 9 on.
    pub(crate) arc_bytes: Option<f64>,
}

impl RrdRow {
    /// In the metric's own unit. `None`: not measured then.
    pub(crate) fn value(&self, metric: Metric) -> Option<f64> {
        self.values.get(metric as usize).copied().flatten()
    }
}

/// What one call tells: rows in the order of time, none twice. Without any there is no history.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RrdAnswer {
    pub(crate) rows: Vec<RrdRow>,
}

impl RrdAnswer {
    /// The length that most rows have; the shorter one of two that are as frequent.
    pub(crate) fn step(&self) -> Option<SignedDuration> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.ends.duration_since(row.begins)).or_insert(0_usize) += 1;
        }
        counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(step, _)| step)
    }
}

/// One step of one metric, in both consolidations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RrdStep {
    pub(crate) begins: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) avg: Option<f64>,
    /// At least the average, where both are known.
    pub(crate) max: Option<f64>,
}

/// Averages and maxima of the same time together, for each metric of which anything is known: all steps that either of the
/// answers has, also those without a number.
pub(crate) fn merge(average: &RrdAnswer, max: &RrdAnswer) -> BTreeMap<Metric, Vec<RrdStep>> {
    let pairs = pairs(&average.rows, &max.rows);
    let steps = |metric: Metric| {
        let step = |(average, max): &(Option<&RrdRow>, Option<&RrdRow>)| {
            let row = average.or(*max)?;
            let avg = average.and_then(|row| row.value(metric));
            // What the average was must have been there at some time; the two differ in their last place now and then.
            let max = max.and_then(|row| row.value(metric)).map(|max| avg.map_or(max, |avg| max.max(avg)));
            Some(RrdStep { begins: row.begins, ends: row.ends, avg, max })
        };
        let steps: Vec<RrdStep> = pairs.iter().filter_map(step).collect();
        let known = steps.iter().any(|step| step.avg.is_some() || step.max.is_some());
        known.then_some((metric, steps))
    };
    Metric::ALL.into_iter().filter_map(steps).collect()
}

/// The rows of two answers by their time. Where a step ended between the two calls, one of them lacks a row.
fn pairs<'a>(mut left: &'a [RrdRow], mut right: &'a [RrdRow]) -> Vec<(Option<&'a RrdRow>, Option<&'a RrdRow>)> {
    let mut pairs = Vec::with_capacity(left.len().max(right.len()));
    loop {
        let order = match (left.first(), right.first()) {
            (Some(left), Some(right)) => left.ends.cmp(&right.ends),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return pairs,
        };
        let take = |rows: &mut &'a [RrdRow], wanted: bool| {
            let (first, rest) = rows.split_first().filter(|_| wanted)?;
            *rows = rest;
            Some(first)
        };
        pairs.push((take(&mut left, order.is_le()), take(&mut right, order.is_ge())));
    }
}

/// What an object of the list says. A key that is missing, null or no number is a gap.
#[derive(Debug, Default)]
pub(super) struct Sample {
    time: Option<u32>,
    values: Values,
    cpus: Option<f64>,
    memory_max: Option<f64>,
    disk_max: Option<f64>,
    arc: Option<f64>,
}

/// The greatest number of bytes, or of bytes a second, that is believed: 1 EiB.
const MOST_BYTES: f64 = 1_152_921_504_606_846_976.0;

impl<'de> Record<'de> for Sample {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let metric = match key {
            "cpu" => Metric::Cpu,
            "loadavg" => Metric::Load,
            "mem" | "memused" => Metric::Memory,
            "disk" | "rootused" => Metric::Disk,
            "netin" => Metric::Receive,
            "netout" => Metric::Transmit,
            "diskread" => Metric::Read,
            "diskwrite" => Metric::Write,
            "pressurecpusome" => Metric::PressureCpu,
            "pressurememorysome" => Metric::PressureMemory,
            "pressureiosome" => Metric::PressureIo,
            "time" => {
                self.time = map.next_value::<Value<'_>>()?.exact();
                return Ok(());
            }
            "maxcpu" => {
                self.cpus = map.next_value::<Value<'_>>()?.number(1e5).filter(|cpus| *cpus > 0.0);
                return Ok(());
            }
            "maxmem" | "memtotal" => {
                self.memory_max = size(&map.next_value()?);
                return Ok(());
            }
            "maxdisk" | "roottotal" => {
                self.disk_max = size(&map.next_value()?);
                return Ok(());
            }
            "arcsize" => {
                self.arc = map.next_value::<Value<'_>>()?.number(MOST_BYTES);
                return Ok(());
            }
            _ => return skip(map),
        };
        let value = number(metric, &map.next_value()?);
        self.set(metric, value);
        Ok(())
    }
}

/// A metric's number, in its own unit.
fn number(metric: Metric, value: &Value<'_>) -> Option<f64> {
    match metric {
        Metric::Cpu => value.number(MOST_CPU).map(|fraction| (fraction * 100.0).min(100.0)),
        // The kernel's own percentages; averages of them may be above by what is lost in rounding.
        Metric::PressureCpu | Metric::PressureMemory | Metric::PressureIo => {
            value.number(100.5).map(|percent| percent.min(100.0))
        }
        Metric::Load => value.number(1e6),
        // Proxmox VE keeps none.
        Metric::Watts => None,
        Metric::Disk => size(value),
        Metric::Memory | Metric::Receive | Metric::Transmit | Metric::Read | Metric::Write => value.number(MOST_BYTES),
    }
}

/// A size of nothing is one that is not known, and so is the use of a root file system: PVE writes 0 for what is off, and
/// for every virtual machine.
fn size(value: &Value<'_>) -> Option<f64> {
    value.number(MOST_BYTES).filter(|bytes| *bytes > 0.0)
}

/// Rows from the objects of an answer, of a guest if `kind` says so.
pub(super) fn answer(entries: Entries<Sample>, timeframe: Timeframe, kind: Option<GuestKind>) -> RrdAnswer {
    let mut by_time: BTreeMap<i64, Sample> = BTreeMap::new();
    for mut sample in entries.list {
        let Some(time) = sample.time else { continue };
        if kind == Some(GuestKind::Qemu) {
            // Not known to the hypervisor, whatever stands there.
            sample.set(Metric::Disk, None);
        }
        match by_time.get_mut(&i64::from(time)) {
            Some(earlier) => earlier.overlay(&sample),
            None => {
                by_time.insert(i64::from(time), sample);
            }
        }
    }
    let times: Vec<i64> = by_time.keys().copied().collect();
    let timestamp = |seconds: i64| Timestamp::from_second(seconds).ok();
    let row = |(at, (ends, sample)): (usize, (i64, Sample))| {
        // The shorter of the distances to both neighbours: where the steps change, it is not said of a time too long.
        let before = at.checked_sub(1).and_then(|at| times.get(at)).map(|time| ends - time);
        let after = times.get(at + 1).map(|time| time - ends);
        let step = before.into_iter().chain(after).min().unwrap_or(timeframe.shortest_step());
        let step = step.min(timeframe.longest_step());
        Some(RrdRow {
            begins: timestamp(ends - step)?,
            ends: timestamp(ends)?,
            values: sample.without_cache(),
            cpus: sample.cpus,
            memory_max_bytes: sample.memory_max,
            disk_max_bytes: sample.disk_max,
            arc_bytes: sample.arc,
        })
    };
    RrdAnswer { rows: by_time.into_iter().enumerate().filter_map(row).collect() }
}

impl Sample {
    fn set(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(slot) = self.values.get_mut(metric as usize) {
            *slot = value;
        }
    }

    /// The numbers with memory as it is meant everywhere: a node's `memused` counts ZFS's cache, which is given back when
    /// memory is short.
    fn without_cache(&self) -> Values {
        let mut values = self.values;
        if let (Some(Some(used)), Some(arc)) = (values.get_mut(Metric::Memory as usize), self.arc) {
            *used = (*used - arc).max(0.0);
        }
        values
    }

    /// Takes what another row of the same time knows: after an update the old database and the new one overlap.
    fn overlay(&mut self, later: &Sample) {
        for (slot, value) in self.values.iter_mut().zip(later.values) {
            *slot = value.or(*slot);
        }
        self.cpus = later.cpus.or(self.cpus);
        self.memory_max = later.memory_max.or(self.memory_max);
        self.disk_max = later.disk_max.or(self.disk_max);
        self.arc = later.arc.or(self.arc);
    }
}

/// Whether an error's text says that nothing was ever recorded: `RRD error: … opening '/var/lib/rrdcached/db/…': No such
/// file or directory`, of a guest that is new or that does not exist.
pub(super) fn is_unrecorded(reason: &str) -> bool {
    let reason = reason.trim_end();
    reason.starts_with("RRD error:") && reason.contains("opening '") && reason.ends_with("No such file or directory")
}

#[cfg(test)]
mod tests;
