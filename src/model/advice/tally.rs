//! The past of one server, taken in step by step. Little of it stays, so that thousands of guests and months of minutes
//! need little room.

use jiff::{SignedDuration, Timestamp};

use super::coverage::{Coverage, HourSet, Hours};
use super::host_load::HourSums;
use super::spread::{Gathered, Peak, Spread};
use super::trend::{Trend, trend};

/// An allocation that differs by less is the same one: sizes in the past are averages.
const SAME: f64 = 0.97;

const HOURS_OF_A_DAY: usize = 24;

/// What was measured over some time: the average and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    pub(crate) avg: f64,
    pub(crate) max: f64,
}

impl Level {
    /// What was measured once.
    pub(crate) fn once(value: f64) -> Level {
        Level { avg: value, max: value }
    }
}

/// What was measured of a server in some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) begins: Timestamp,
    pub(crate) length: SignedDuration,
    /// It was seen not to run.
    pub(crate) off: bool,
    /// It had just been started.
    pub(crate) at_start: bool,
    /// How many CPUs and how much memory it had then, where that is known.
    pub(crate) cpus: Option<f64>,
    pub(crate) memory_max: Option<f64>,
    /// Percent of its CPUs.
    pub(crate) cpu: Option<Level>,
    /// Bytes.
    pub(crate) memory: Option<Level>,
    /// Percent of the time that something waited for a CPU, for memory, for a disk.
    pub(crate) pressure: [Option<Level>; 3],
    /// Bytes a second, received and sent, and what of it was sent.
    pub(crate) traffic: Option<f64>,
    pub(crate) sent: Option<f64>,
}

impl Step {
    /// One of which nothing is known yet.
    pub(crate) fn at(begins: Timestamp, length: SignedDuration) -> Step {
        Step {
            begins,
            length,
            off: false,
            at_start: false,
            cpus: None,
            memory_max: None,
            cpu: None,
            memory: None,
            pressure: [None; 3],
            traffic: None,
            sent: None,
        }
    }

    fn says_nothing(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }
}

/// What a server has now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Allocated {
    pub(crate) cpus: Option<f64>,
    pub(crate) memory: Option<f64>,
}

/// The past of a server, while it is read in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    allocated: Allocated,
    cores: Gathered,
    memory: Gathered,
    pressure: [Gathered; 3],
    traffic: Gathered,
    sent: Gathered,
    /// Each day's highest memory.
    days: Vec<f32>,
    measured: HourSet,
    off: HourSet,
    /// Hours of which another source has told all but the highest.
    told: HourSet,
    /// The hour that is being read, with its highest cores and memory.
    open: Option<(usize, f32, f32)>,
    /// Until when it had fewer CPUs, or less memory, than now.
    fewer_cpus_until: Option<Timestamp>,
    less_memory_until: Option<Timestamp>,
    /// The longest and the last step.
    coarsest: SignedDuration,
    last: Option<Timestamp>,
}

/// What is left of a server's past.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastUse {
    /// Percent times CPUs.
    pub(crate) cores: Option<Spread>,
    /// How many CPUs were busy, times hours.
    pub(crate) core_hours: Option<f64>,
    pub(crate) memory: Option<Spread>,
    pub(crate) memory_trend: Option<Trend>,
    /// Of CPUs, memory, disks.
    pub(crate) pressure: [Option<Spread>; 3],
    pub(crate) traffic: Option<Spread>,
    pub(crate) sent: Option<Spread>,
    pub(crate) coverage: Coverage,
    /// What is known of the time since it got more CPUs, or more memory, than before; `None`: it did not.
    pub(crate) hours_since_more_cpus: Option<i64>,
    pub(crate) hours_since_more_memory: Option<i64>,
    /// The longest time that one number stands for.
    pub(crate) coarsest: SignedDuration,
}

impl Tally {
    pub(crate) fn new(allocated: Allocated) -> Tally {
        Tally { allocated, ..Tally::default() }
    }

    /// What was read so far is one source's. The next one adds to its hours only what was higher.
    pub(crate) fn next_source(&mut self, sums: &mut HourSums) {
        self.flush(sums);
        self.told = self.measured.clone();
    }

    /// Takes a step. Those of one source come in the order of time.
    pub(crate) fn add(&mut self, step: &Step, hours: Hours, sums: &mut HourSums) {
        let range = hours.range(step.begins, step.length);
        if range.is_empty() {
            return;
        }
        if step.off {
            range.for_each(|hour| self.off.insert(hour));
            return;
        }
        if step.says_nothing() {
            return;
        }
        self.compare_sizes(step);
        let known = self.told.has(range.start);
        let seconds = if known { 0.0 } else { step.length.as_secs_f64().max(1.0) };
        let cpus = step.cpus.or(self.allocated.cpus);
        let in_cores = |level: Level, cpus: f64| Level { avg: level.avg / 100.0 * cpus, max: level.max / 100.0 * cpus };
        let cores = step.cpu.zip(cpus).map(|(level, cpus)| in_cores(level, cpus));
        let take = |gathered: &mut Gathered, level: Option<Level>| {
            if let Some(level) = level {
                gathered.lasted(level.avg, seconds);
                gathered.reached(Peak { value: level.max.max(level.avg), at: step.begins, at_start: step.at_start });
            }
        };
        take(&mut self.cores, cores);
        take(&mut self.memory, step.memory);
        self.pressure.iter_mut().zip(step.pressure).for_each(|(gathered, level)| take(gathered, level));
        take(&mut self.traffic, step.traffic.map(Level::once));
        take(&mut self.sent, step.sent.map(Level::once));
        if let Some(memory) = step.memory {
            self.day(range.start / HOURS_OF_A_DAY, memory.max);
        }
        if known {
            return;
        }
        self.coarsest = self.coarsest.max(step.length);
        self.last = self.last.max(Some(step.begins));
        let highest = |level: Option<Level>| level.map_or(0.0, |level| level.max.max(level.avg));
        for hour in range {
            self.measured.insert(hour);
            self.hour(hour, highest(cores), highest(step.memory), sums);
        }
    }

    fn compare_sizes(&mut self, step: &Step) {
        let less = |then: Option<f64>, now: Option<f64>| then.zip(now).is_some_and(|(then, now)| then < now * SAME);
        let ends = step.begins.checked_add(step.length).unwrap_or(step.begins);
        if less(step.cpus, self.allocated.cpus) {
            self.fewer_cpus_until = self.fewer_cpus_until.max(Some(ends));
        }
        if less(step.memory_max, self.allocated.memory) {
            self.less_memory_until = self.less_memory_until.max(Some(ends));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a trend needs no more places")]
    fn day(&mut self, day: usize, memory: f64) {
        if day >= self.days.len() {
            self.days.resize(day + 1, f32::NAN);
        }
        self.days[day] = self.days[day].max(memory as f32);
    }

    /// The sums of a host are of what its guests used in the same hour.
    #[expect(clippy::cast_possible_truncation, reason = "sums need no more places")]
    fn hour(&mut self, hour: usize, cores: f64, memory: f64, sums: &mut HourSums) {
        let (cores, memory) = (cores as f32, memory as f32);
        match &mut self.open {
            Some((open, highest, most)) if *open == hour => {
                *highest = highest.max(cores);
                *most = most.max(memory);
            }
            _ => {
                self.flush(sums);
                self.open = Some((hour, cores, memory));
            }
        }
    }

    fn flush(&mut self, sums: &mut HourSums) {
        if let Some((hour, cores, memory)) = self.open.take() {
            sums.add(hour, cores, memory);
        }
    }

    /// What is left of it all.
    pub(crate) fn finish(&mut self, hours: Hours, sums: &mut HourSums) -> PastUse {
        self.flush(sums);
        let since = |until: Option<Timestamp>| Some(self.last?.max(until?).duration_since(until?).as_hours().max(0));
        let days: Vec<Option<f64>> =
            self.days.iter().map(|day| Some(f64::from(*day)).filter(|day| day.is_finite())).collect();
        PastUse {
            cores: self.cores.spread(),
            core_hours: self.cores.times_hours(),
            memory: self.memory.spread(),
            memory_trend: self.allocated.memory.and_then(|allocated| trend(&days, allocated)),
            pressure: std::array::from_fn(|which| self.pressure[which].spread()),
            traffic: self.traffic.spread(),
            sent: self.sent.spread(),
            coverage: Coverage::of(hours, &self.measured, &self.off),
            hours_since_more_cpus: since(self.fewer_cpus_until),
            hours_since_more_memory: since(self.less_memory_until),
            coarsest: self.coarsest,
        }
    }
}
