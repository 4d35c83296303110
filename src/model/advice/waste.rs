//! What takes room and gives nothing: guests that idle or are off, hosts that are too large, and too small.

use super::coverage::Coverage;
use super::right_size::{Guest, confidence, hours, is_idle};
use super::tally::PastUse;
use super::{Advice, Area, Confidence, Unit, Used, Verdict};
use crate::model::id::ServerId;
use crate::model::text::units::human_bytes;

/// For how long something must be known before it is called idle, or too large.
const LEAST_HOURS: usize = 14 * 24;

/// How many bytes a second a guest sends that serves somebody: to keep its address and its clock takes less.
const SERVES: f64 = 100.0;

/// For how long a guest must have been seen to be off.
pub(crate) const OFF_DAYS: i64 = 90;

/// Up to which share of what it has the peaks of a host's guests leave it too large.
const LARGE_CORES: f64 = 0.25;
const LARGE_MEMORY: f64 = 0.4;

/// What a host keeps for itself: about what Proxmox VE takes.
pub(crate) const OWN_BYTES: f64 = 2.0 * 1_073_741_824.0;

/// A guest that ran, and did nothing all the time.
pub(crate) fn idle(guest: &Guest<'_>, past: &PastUse) -> Option<Advice> {
    let Coverage { measured_hours, window_hours, .. } = past.coverage;
    let always =
        measured_hours >= LEAST_HOURS.min(window_hours * 9 / 10).max(7 * 24) && measured_hours * 10 >= window_hours * 8;
    // Who serves others answers them, however little that takes: a name server at home sends some hundred bytes a second.
    let serves = past.sent.as_ref().is_none_or(|sent| sent.p95 >= SERVES);
    if !guest.running || !always || !is_idle(past) || serves || guest.standby().is_some() {
        return None;
    }
    let memory = guest.size.map(|size| size.memory_mib() << 20);
    let holds = memory.map_or_else(String::new, |memory| format!(" and holds {} of memory", human_bytes(memory)));
    let known = hours(measured_hours);
    let why = format!(
        "it did nothing in {known}{holds}: is it still needed? tag it `standby` if it waits for another to fail"
    );
    let mut line = Advice::new((Area::Waste, "idle"), (guest.id, guest.name), Verdict::Review, why);
    line.confidence = Some(confidence(past));
    line.command = Some(format!("ecobox power shutdown {}", guest.id));
    Some(line)
}

/// A guest that was seen to be off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Off {
    /// For how many days.
    pub(crate) days: i64,
    /// In how many of 100 hours of the last 90 days somebody could tell.
    pub(crate) known_percent: f64,
    pub(crate) disk_bytes: Option<u64>,
}

/// A guest that has been off for 90 days, and was looked at in that time.
pub(crate) fn off(subject: (&ServerId, &str), off: Off) -> Option<Advice> {
    // Who looks once a day sees one hour of 24.
    if off.days < OFF_DAYS || off.known_percent < 4.0 {
        return None;
    }
    let disks = off.disk_bytes.map_or_else(
        || "the size of its disks is not known".to_owned(),
        |bytes| format!("its disks take up to {}", human_bytes(bytes)),
    );
    let why = format!("off for {} days, and {disks}: back it up and remove it, unless it is kept on purpose", off.days);
    let mut line = Advice::new((Area::Waste, "off"), subject, Verdict::Review, why);
    line.confidence = Some(if off.known_percent >= 50.0 { Confidence::High } else { Confidence::Medium });
    Some(line)
}

/// A host with what its guests used together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'h> {
    pub(crate) id: &'h ServerId,
    pub(crate) name: &'h str,
    pub(crate) cpus: f64,
    pub(crate) memory: f64,
    pub(crate) guests: usize,
    /// The highest that all used in the same hour: cores, bytes.
    pub(crate) together: (f64, f64),
    /// The sum of what each used at most, whenever that was.
    pub(crate) sum_of_peaks: (f64, f64),
    /// What is known of it: the least of its running guests.
    pub(crate) known_hours: usize,
}

/// Memory that the peaks of a host's guests do not fit into, or a host that is far larger than all of them.
pub(crate) fn host(host: &Host<'_>) -> Vec<Advice> {
    let mut lines = Vec::new();
    if host.guests == 0 || host.known_hours < 7 * 24 || host.memory <= 0.0 || host.cpus <= 0.0 {
        return lines;
    }
    let (cores, memory) = host.together;
    let sure = if host.known_hours >= 21 * 24 { Confidence::High } else { Confidence::Medium };
    let used = |unit, max, allocated| Used { unit, p95: None, p99: None, max, max_at: None, allocated };
    let room = (host.memory - OWN_BYTES).max(0.0);
    let mut line = |rule, why: String, confidence, used| {
        let mut line = Advice::new((Area::Waste, rule), (host.id, host.name), Verdict::Review, why);
        (line.confidence, line.used) = (Some(confidence), Some(used));
        lines.push(line);
    };
    let of = if host.guests == 1 { "guest".to_owned() } else { format!("{} guests", host.guests) };
    if memory > room {
        let why = format!(
            "its {of} used {} together in one hour, of {} that it has; 2G are its own",
            bytes(memory),
            bytes(host.memory)
        );
        line("overcommit", why, sure, used(Unit::Bytes, memory, host.memory));
    } else if host.sum_of_peaks.1 > room {
        let why = format!(
            "its {of} used {} when each used most, of {} that it has; together {} so far",
            bytes(host.sum_of_peaks.1),
            bytes(host.memory),
            bytes(memory)
        );
        line("overcommit", why, Confidence::Low, used(Unit::Bytes, host.sum_of_peaks.1, host.memory));
    }
    if host.known_hours >= LEAST_HOURS && cores < host.cpus * LARGE_CORES && memory < room * LARGE_MEMORY {
        let why = format!(
            "oversized: its {of} used at most {cores:.1} of {} CPUs and {} of {} together in one hour",
            host.cpus,
            bytes(memory),
            bytes(host.memory)
        );
        line("oversized", why, sure, used(Unit::Bytes, memory, host.memory));
    }
    lines
}

fn bytes(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, not negative")]
    human_bytes(number as u64)
}
