//! Histories made by hand, and what a careful admin says of each.

mod histories;
mod property;
mod rules;
mod sleeping;

use jiff::{SignedDuration, Timestamp};

use super::Advice;
use super::coverage::Hours;
use super::host_load::HourSums;
use super::right_size::{Guest, right_size};
use super::tally::{Allocated, Level, PastUse, Step, Tally};
use crate::model::guest::size::{Balloon, GuestSize, MIB};
use crate::model::id::{GuestKind, ServerId};

pub(super) const GIB: f64 = 1024.0 * MIB;
pub(super) const DAY: u32 = 24 * 60;

/// A moment so many minutes after the begin of the window.
pub(super) fn at(minute: u32) -> Timestamp {
    Timestamp::from_second(1_790_000_000 - 1_790_000_000 % 86_400 + i64::from(minute) * 60).unwrap()
}

/// What a guest did in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Minute {
    On { cores: f64, gib: f64, waits: [f64; 3], starts: bool },
    Off,
    Gap,
}

pub(super) fn on(cores: f64, gib: f64) -> Minute {
    Minute::On { cores, gib, waits: [0.0; 3], starts: false }
}

/// Like `on`, while it waits for CPUs, memory and disks in so many percent of the time.
pub(super) fn waiting(cores: f64, gib: f64, waits: [f64; 3]) -> Minute {
    Minute::On { cores, gib, waits, starts: false }
}

/// A guest and its past.
pub(super) struct Case {
    pub(super) kind: GuestKind,
    pub(super) size: Option<GuestSize>,
    pub(super) allocated: Allocated,
    pub(super) running: bool,
    pub(super) tags: Vec<String>,
    pub(super) name: &'static str,
    pub(super) host_cpus: Option<f32>,
    pub(super) days: u32,
    pub(super) steps: Vec<Step>,
}

impl Case {
    fn new(kind: GuestKind, cores: u32, gib: f64, balloon: Balloon) -> Case {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size of a test")]
        let memory_mib = Some((gib * 1024.0) as u64);
        let size = GuestSize { cores: Some(cores), memory_mib, balloon, ..GuestSize::default() };
        Case {
            kind,
            size: Some(size),
            allocated: Allocated { cpus: Some(cores.into()), memory: Some(gib * GIB) },
            running: true,
            tags: Vec::new(),
            name: "guest",
            host_cpus: Some(64.0),
            days: 30,
            steps: Vec::new(),
        }
    }

    /// A virtual machine whose balloon reports.
    pub(super) fn vm(cores: u32, gib: f64) -> Case {
        Case::new(GuestKind::Qemu, cores, gib, Balloon::Reports { actual: None })
    }

    pub(super) fn ct(cores: u32, gib: f64) -> Case {
        Case::new(GuestKind::Lxc, cores, gib, Balloon::Unknown)
    }

    pub(super) fn sized(mut self, change: impl FnOnce(&mut GuestSize)) -> Case {
        let size = self.size.as_mut().unwrap();
        change(size);
        if let Some(cpus) = size.cpus(self.kind) {
            self.allocated.cpus = Some(cpus.into());
        }
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Case)) -> Case {
        change(&mut self);
        self
    }

    /// What it did in each minute of 30 days, as Proxmox VE 9 keeps it: averages and maxima of half hours.
    pub(super) fn did(self, minute: impl Fn(u32) -> Minute) -> Case {
        let days = self.days;
        self.did_in_steps(days, 30, minute)
    }

    pub(super) fn did_in_steps(mut self, days: u32, step: u32, minute: impl Fn(u32) -> Minute) -> Case {
        let cpus = self.allocated.cpus.unwrap_or(1.0);
        let (days_before, first) = (self.days.saturating_sub(days), DAY * self.days.saturating_sub(days));
        debug_assert!(days_before <= self.days);
        let steps = (0..days * DAY / step).map(|n| {
            let minutes = (0..step).map(|m| minute(n * step + m));
            summed(at(first + n * step), step, cpus, minutes)
        });
        self.steps.extend(steps.flatten());
        self
    }

    pub(super) fn past(&self) -> (PastUse, HourSums) {
        let hours = Hours::between(at(0), at(self.days * DAY));
        let mut sums = HourSums::default();
        let mut tally = Tally::new(self.allocated);
        for step in &self.steps {
            tally.add(step, hours, &mut sums);
        }
        let past = tally.finish(hours, &mut sums);
        (past, sums)
    }

    pub(super) fn advice(&self) -> Vec<Advice> {
        let id: ServerId = "pve1-vm-101".parse().unwrap();
        right_size(&self.guest(&id), &self.past().0)
    }

    pub(super) fn guest<'g>(&'g self, id: &'g ServerId) -> Guest<'g> {
        Guest {
            id,
            name: self.name,
            kind: self.kind,
            vmid: "101".parse().unwrap(),
            size: self.size.as_ref(),
            allocated: self.allocated,
            running: self.running,
            tags: &self.tags,
            host_cpus: self.host_cpus,
        }
    }
}

/// Some minutes as one step; none where nothing was recorded in any of them.
fn summed(begins: Timestamp, length: u32, cpus: f64, minutes: impl Iterator<Item = Minute>) -> Option<Step> {
    let (mut ran, mut sums, mut most, mut known, mut started) = (0.0, [0.0; 5], [0.0_f64; 5], false, false);
    for minute in minutes {
        known |= minute != Minute::Gap;
        if let Minute::On { cores, gib, waits: [cpu, memory, disks], starts } = minute {
            ran += 1.0;
            started |= starts;
            for (place, number) in [cores / cpus * 100.0, gib * GIB, cpu, memory, disks].into_iter().enumerate() {
                sums[place] += number;
                most[place] = most[place].max(number);
            }
        }
    }
    let step = Step::at(begins, SignedDuration::from_mins(length.into()));
    if ran == 0.0 {
        return known.then_some(Step { off: true, ..step });
    }
    let level = |place: usize| Some(Level { avg: sums[place] / ran, max: most[place] });
    Some(Step {
        at_start: started,
        cpu: level(0),
        memory: level(1),
        pressure: [level(2), level(3), level(4)],
        // Who works is talked to.
        traffic: Some(if most[0] * cpus > 5.0 { 50_000.0 } else { 500.0 }),
        sent: Some(if most[0] * cpus > 5.0 { 20_000.0 } else { 40.0 }),
        ..step
    })
}
