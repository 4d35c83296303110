//! How much memory a guest needs.

use super::{Guest, HEADROOM, LEAST_KNOWN_HOURS, NEEDED, WORTH, confidence, is_idle, known, too_little, used, when};
use crate::model::advice::spread::Spread;
use crate::model::advice::tally::PastUse;
use crate::model::advice::{Advice, Effect, Unit, Verdict};
use crate::model::guest::size::{Balloon, GuestSize, MIB};
use crate::model::id::GuestKind;
use crate::model::text::units::human_bytes;

pub(super) const RULE: &str = "memory";

/// Sizes are multiples of this.
const STEP_MIB: f64 = 256.0;

/// From how many percent on something waited for memory too often for less (P95, P99), so often that more may help, and for disks,
/// which a smaller cache would make slower still.
const FORBIDS_LESS: (f64, f64) = (1.0, 10.0);
const ASKS_FOR_MORE: f64 = 5.0;
const DISKS_FORBID_LESS: f64 = 20.0;

/// From which share of what it has on it is full.
const FULL: f64 = 0.9;
const NEARLY_FULL: f64 = 0.7;

pub(super) fn judge(guest: &Guest<'_>, past: &PastUse) -> Advice {
    if let Some(why) = too_little(&past.coverage) {
        return guest.line(RULE, Verdict::CannotTell, why);
    }
    let allocated = guest.size.map(|size| mebibytes(size.memory_mib())).or(guest.allocated.memory);
    let (Some(spread), Some(allocated)) = (&past.memory, allocated) else {
        return guest.line(RULE, Verdict::CannotTell, "no numbers of its memory are known".to_owned());
    };
    let blind = if guest.kind == GuestKind::Qemu { blind(guest) } else { None };
    let (verdict, to, why) = match (&blind, pressed(past, spread, allocated)) {
        (_, Some((Verdict::More, why))) => (Verdict::More, Some(more(allocated, spread)), why),
        (None, Some((verdict, why))) => (verdict, None, why),
        (Some((why, _)), _) => (Verdict::CannotTell, None, why.clone()),
        (None, None) => decide(guest, past, spread, allocated),
    };
    let mut line = guest.line(RULE, verdict, why);
    line.unit = Some(Unit::Bytes);
    line.from = Some(allocated);
    if verdict == Verdict::CannotTell {
        line.command = blind.and_then(|(_, command)| command);
        line.effect = line.command.is_some().then_some(Effect::NextStart);
        return line;
    }
    line.confidence = Some(confidence(past));
    if blind.is_none() {
        line.used = Some(used(Unit::Bytes, spread, allocated));
    }
    if let Some(to) = to {
        line.to = Some(to);
        let (command, effect) = command(guest, to / MIB);
        (line.command, line.effect) = (Some(command), Some(effect));
    }
    line
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn mebibytes(mib: u64) -> f64 {
    mib as f64 * MIB
}

/// Why what is measured of a virtual machine's memory says nothing of what it needs, and what changes that.
fn blind(guest: &Guest<'_>) -> Option<(String, Option<String>)> {
    let Some(size) = guest.size else {
        return Some(("its configuration is not known; run it once with its node awake".to_owned(), None));
    };
    if size.balloon_mib == Some(0) {
        let why = "no balloon: its host cannot see what it uses, as a full cache looks like use; enable ballooning";
        return Some((why.to_owned(), Some(guest.set("--delete balloon"))));
    }
    match size.balloon {
        Balloon::Reports { .. } => None,
        Balloon::Unknown => {
            Some(("it does not run, and whether its balloon reports its memory is not known".to_owned(), None))
        }
        Balloon::Silent => {
            let driver = if size.is_windows() {
                "install the balloon service of virtio-win in it"
            } else {
                "load virtio_balloon in it"
            };
            Some((
                format!(
                    "no balloon statistics: its host cannot see what it uses, as a full cache looks like use; {driver}"
                ),
                None,
            ))
        }
    }
}

/// What those that waited say, whatever was used.
fn pressed(past: &PastUse, spread: &Spread, allocated: f64) -> Option<(Verdict, String)> {
    let of = |which: usize| past.pressure[which].as_ref().map_or((0.0, 0.0), |pressure| (pressure.p95, pressure.p99));
    let (memory, disks) = (of(1), of(2));
    let facts = facts(past, spread, allocated);
    if memory.0 >= ASKS_FOR_MORE {
        let waited = format!("it waited for memory in {:.0} % of the time (P95)", memory.0);
        return Some(if spread.peak.value >= NEARLY_FULL * allocated {
            (Verdict::More, format!("{waited}; {facts}"))
        } else {
            (Verdict::Review, format!("{waited} although it used little: its node is short of memory; {facts}"))
        });
    }
    if memory.0 >= FORBIDS_LESS.0 || memory.1 >= FORBIDS_LESS.1 {
        let percent = memory.0.max(memory.1);
        return Some((
            Verdict::Keep,
            format!("it waited for memory at times ({percent:.0} %), which forbids less; {facts}"),
        ));
    }
    (disks.0 >= DISKS_FORBID_LESS).then(|| {
        let waited = format!("it waited for disks in {:.0} % of the time (P95)", disks.0);
        (Verdict::Keep, format!("{waited}: a smaller cache would make it worse; {facts}"))
    })
}

fn facts(past: &PastUse, spread: &Spread, allocated: f64) -> String {
    format!(
        "at most {} of {} ({}), P95 {}; {}",
        bytes(spread.peak.value),
        bytes(allocated),
        when(spread),
        bytes(spread.p95),
        known(&past.coverage)
    )
}

fn decide(guest: &Guest<'_>, past: &PastUse, spread: &Spread, allocated: f64) -> (Verdict, Option<f64>, String) {
    let facts = facts(past, spread, allocated);
    let keep = |why: &str| (Verdict::Keep, None, format!("{why}; {facts}"));
    if let Some(word) = guest.standby() {
        return keep(&format!("it is a {word}: what it needs when it takes over was not seen"));
    }
    if let Some(Balloon::Reports { actual: Some(actual) }) = guest.size.map(|size| size.balloon)
        && bytes_of(actual) < allocated * 0.97
    {
        return keep(&format!("its host takes memory back from it, and leaves it {} now", human_bytes(actual)));
    }
    if let Some(trend) = &past.memory_trend {
        let left = ((allocated - trend.last).max(0.0) / trend.per_day).ceil();
        let why = format!(
            "it rises by {} a day since {} days, and is full in {left:.0}: a leak?",
            bytes(trend.per_day),
            trend.days
        );
        return (Verdict::Review, None, format!("{why}; {facts}"));
    }
    if guest.kind == GuestKind::Lxc && spread.p95 >= FULL * allocated {
        return (Verdict::More, Some(more(allocated, spread)), format!("it is full in 5 % of the time; {facts}"));
    }
    if guest.kind == GuestKind::Qemu && spread.peak.value >= FULL * allocated {
        return keep("it filled it, perhaps with its own cache");
    }
    if is_idle(past) {
        return keep("it was idle: what it needs when it works was not seen");
    }
    if past.hours_since_more_memory.is_some_and(|hours| hours < i64::try_from(LEAST_KNOWN_HOURS).unwrap_or(i64::MAX)) {
        return keep("it got more memory less than a week ago");
    }
    let to = in_steps(spread.peak.value * HEADROOM).max(least(guest));
    if to > allocated * (1.0 - WORTH) {
        let saves_little = || format!("{} would do, which saves too little", bytes(to));
        return keep(&if to < allocated { saves_little() } else { NEEDED.to_owned() });
    }
    (Verdict::Less, Some(to), facts)
}

/// What a guest gets that has too little.
fn more(allocated: f64, spread: &Spread) -> f64 {
    in_steps((allocated + STEP_MIB * MIB).max(spread.peak.value * HEADROOM).max(allocated * HEADROOM))
}

/// In whole steps, upwards.
fn in_steps(bytes: f64) -> f64 {
    (bytes / (STEP_MIB * MIB)).ceil() * STEP_MIB * MIB
}

/// What its system needs at least: what Microsoft asks for each Windows, else what Linux boots with.
fn least(guest: &Guest<'_>) -> f64 {
    let mib = match (guest.kind, guest.size.and_then(|size| size.ostype.as_deref())) {
        (GuestKind::Lxc, _) => 64,
        (GuestKind::Qemu, Some("win11")) => 4096,
        (GuestKind::Qemu, Some("win10" | "win8" | "win7" | "w2k8")) => 2048,
        (GuestKind::Qemu, Some("wvista" | "solaris")) => 1024,
        (GuestKind::Qemu, _) => 512,
    };
    mebibytes(mib)
}

fn command(guest: &Guest<'_>, mib: f64) -> (String, Effect) {
    // Proxmox VE refuses a balloon above the memory.
    let balloon = guest.size.and_then(|size| size.balloon_mib).filter(|balloon| mebibytes(*balloon) / MIB > mib);
    let options = match balloon {
        Some(_) => format!("--memory {mib:.0} --balloon {mib:.0}"),
        None => format!("--memory {mib:.0}"),
    };
    let at_once = match guest.kind {
        GuestKind::Lxc => true,
        GuestKind::Qemu => guest.size.is_some_and(|size: &GuestSize| size.hotplugs("memory")),
    };
    (guest.set(&options), if at_once && guest.running { Effect::AtOnce } else { Effect::NextStart })
}

fn bytes(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, not negative")]
    human_bytes(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn bytes_of(number: u64) -> f64 {
    number as f64
}
