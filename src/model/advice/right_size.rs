//! Whether a guest has more than it needs, or less: of CPUs (`cores`) and of memory (`memory`).
//!
//! What it is left with is never below what it once used, and never below what its system needs. Leaving it as it is is
//! the usual answer.

mod cores;
mod memory;

use jiff::Timestamp;

use super::coverage::Coverage;
use super::spread::Spread;
use super::tally::{Allocated, PastUse};
use super::{Advice, Area, Confidence, Unit, Used, Verdict};
use crate::model::guest::size::{GuestSize, MIB};
use crate::model::id::{GuestKind, ServerId, VmId};
use crate::model::text::units::human_bytes;

/// What is left above the highest that was used.
pub(crate) const HEADROOM: f64 = 1.15;

/// The least share of what it has that is worth a change.
const WORTH: f64 = 0.2;

/// The usual reason to leave it as it is.
const NEEDED: &str = "it needs what it has";

/// The fewest hours of which something must be known, and in which it must have run: what is done once a week is not
/// seen in less.
const LEAST_KNOWN_HOURS: usize = 7 * 24;
const LEAST_MEASURED_HOURS: usize = 24;

/// Tags, and words of names, of guests that wait for another one to fail.
const STANDBY: [&str; 6] = ["standby", "hot-standby", "failover", "spare", "replica", "dr"];

/// A guest, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guest<'g> {
    pub(crate) id: &'g ServerId,
    pub(crate) name: &'g str,
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    /// `None`: its configuration was never read.
    pub(crate) size: Option<&'g GuestSize>,
    /// As it was measured last.
    pub(crate) allocated: Allocated,
    pub(crate) running: bool,
    pub(crate) tags: &'g [String],
    /// How many CPUs its node has.
    pub(crate) host_cpus: Option<f32>,
}

impl<'g> Guest<'g> {
    fn line(&self, rule: &'static str, verdict: Verdict, evidence: String) -> Advice {
        Advice::new((Area::RightSize, rule), (self.id, self.name), verdict, evidence)
    }

    /// The command that changes it, on its own node.
    fn set(&self, options: &str) -> String {
        let program = match self.kind {
            GuestKind::Qemu => "qm",
            GuestKind::Lxc => "pct",
        };
        format!("{program} set {} {options}", self.vmid.get())
    }

    /// The tag, or the word of its name, that says that it waits for another one to fail.
    pub(crate) fn standby(&self) -> Option<&'g str> {
        let is_standby = |word: &&str| STANDBY.iter().any(|standby| word.eq_ignore_ascii_case(standby));
        let of_name = self.name.split(|c: char| !c.is_ascii_alphanumeric());
        self.tags.iter().map(String::as_str).chain(of_name).find(is_standby)
    }
}

/// What to do with a guest's CPUs and memory.
pub(crate) fn right_size(guest: &Guest<'_>, past: &PastUse) -> Vec<Advice> {
    vec![cores::judge(guest, past), memory::judge(guest, past)]
}

/// Takes into account what was changed already, and waits until the guest is stopped and started.
pub(crate) fn with_pending(line: &mut Advice, kind: GuestKind, next: &GuestSize) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (next, words) = match line.rule {
        cores::RULE => match next.cpus(kind) {
            Some(cpus) => (f64::from(cpus), format!("{cpus} cores")),
            None => return,
        },
        memory::RULE => (next.memory_mib() as f64 * MIB, human_bytes(next.memory_mib() << 20)),
        _ => return,
    };
    let (Some(from), Some(to)) = (line.from, line.to) else { return };
    let is = |a: f64, b: f64| (a - b).abs() < 0.5;
    if is(next, from) {
        return;
    }
    let waits = format!("a change to {words} waits until it is stopped and started");
    if is(next, to) {
        (line.verdict, line.to, line.command, line.effect) = (Verdict::Keep, None, None, None);
        line.evidence = format!("{waits}; {}", line.evidence);
    } else {
        line.evidence = format!("{}; {waits}", line.evidence);
    }
}

/// Whether it did nothing all the time that is known.
pub(crate) fn is_idle(past: &PastUse) -> bool {
    let Some(cores) = &past.cores else { return false };
    let quiet = past.traffic.as_ref().is_none_or(|traffic| traffic.p95 < 10_000.0);
    cores.p99 < 0.05 && cores.peak.value < 0.5 && quiet
}

/// Why nothing can be said, as too little is known.
fn too_little(coverage: &Coverage) -> Option<String> {
    let known = coverage.measured_hours + coverage.off_hours;
    if coverage.measured_hours == 0 && coverage.off_hours > 0 {
        return Some("it did not run in this time".to_owned());
    }
    if known < LEAST_KNOWN_HOURS {
        return Some(format!("only {} of history; a week is the least", hours(known)));
    }
    if coverage.measured_hours < LEAST_MEASURED_HOURS {
        return Some(format!("it ran for only {} in this time; a day is the least", hours(coverage.measured_hours)));
    }
    None
}

/// How sure a conclusion is.
pub(crate) fn confidence(past: &PastUse) -> Confidence {
    let Coverage { measured_hours, off_hours, longest_gap_hours, .. } = past.coverage;
    let known = measured_hours + off_hours;
    let fine = past.coarsest.as_hours() < 1;
    if known >= 21 * 24 && longest_gap_hours < 48 && fine {
        Confidence::High
    } else if known >= 14 * 24 && longest_gap_hours < LEAST_KNOWN_HOURS {
        Confidence::Medium
    } else {
        Confidence::Low
    }
}

/// `29 d known`, with holes where there are long ones.
fn known(coverage: &Coverage) -> String {
    let all = hours(coverage.measured_hours + coverage.off_hours);
    if coverage.longest_gap_hours >= 48 {
        return format!("{all} known, nothing for {}", hours(coverage.longest_gap_hours));
    }
    format!("{all} known")
}

/// `3 h`, `29 d`
pub(crate) fn hours(hours: usize) -> String {
    if hours < 48 { format!("{hours} h") } else { format!("{} d", hours / 24) }
}

/// `2026-11-12 03:10Z`
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

fn used(unit: Unit, spread: &Spread, allocated: f64) -> Used {
    Used {
        unit,
        p95: Some(spread.p95),
        p99: Some(spread.p99),
        max: spread.peak.value,
        max_at: Some(spread.peak.at),
        allocated,
    }
}

/// When the highest was, and that it was the start.
fn when(spread: &Spread) -> String {
    format!("{}{}", moment(spread.peak.at), if spread.peak.at_start { ", at its start" } else { "" })
}
