//! How many CPUs a guest needs.

use super::{Guest, HEADROOM, LEAST_KNOWN_HOURS, NEEDED, WORTH, confidence, is_idle, known, too_little, used, when};
use crate::model::advice::spread::Spread;
use crate::model::advice::tally::PastUse;
use crate::model::advice::{Advice, Effect, Unit, Verdict};
use crate::model::guest::size::GuestSize;
use crate::model::id::GuestKind;

pub(super) const RULE: &str = "cores";

/// From how many percent on something waited for a CPU too often for less, and so often that more may help.
const FORBIDS_LESS: (f64, f64) = (5.0, 20.0);
const ASKS_FOR_MORE: f64 = 20.0;

/// From which share of what it has on a guest that waits is held back by its size, and one is always busy.
const BUSY: f64 = 0.6;
const ALWAYS_BUSY: f64 = 0.9;

pub(super) fn judge(guest: &Guest<'_>, past: &PastUse) -> Advice {
    if let Some(why) = too_little(&past.coverage) {
        return guest.line(RULE, Verdict::CannotTell, why);
    }
    let Some(spread) = &past.cores else {
        return guest.line(RULE, Verdict::CannotTell, "no numbers of its CPUs are known".to_owned());
    };
    let Some(allocated) = allocated(guest) else {
        let why = format!("it may use all CPUs of its node; it used {:.1} at most", spread.peak.value);
        return Advice { confidence: Some(confidence(past)), ..guest.line(RULE, Verdict::Keep, why) };
    };
    let (verdict, to, why) = decide(guest, past, spread, allocated);
    let mut line = guest.line(RULE, verdict, why);
    line.confidence = Some(confidence(past));
    line.unit = Some(Unit::Cores);
    line.from = Some(allocated);
    line.used = Some(used(Unit::Cores, spread, allocated));
    if let Some(to) = to {
        line.to = Some(to);
        let (command, effect) = command(guest, to);
        (line.command, line.effect) = (Some(command), Some(effect));
    }
    line
}

/// How many it has; `None`: as many as its node.
fn allocated(guest: &Guest<'_>) -> Option<f64> {
    match guest.size {
        Some(size) if guest.kind == GuestKind::Lxc => size.cores.map(f64::from).or(size.cpu_limit),
        Some(size) => size.cpus(guest.kind).map(f64::from),
        None => guest.allocated.cpus,
    }
}

fn decide(guest: &Guest<'_>, past: &PastUse, spread: &Spread, allocated: f64) -> (Verdict, Option<f64>, String) {
    let facts = format!(
        "at most {:.1} of {allocated} ({}), P95 {:.1}, P99 {:.1}; {}",
        spread.peak.value,
        when(spread),
        spread.p95,
        spread.p99,
        known(&past.coverage)
    );
    if let Some(word) = guest.standby() {
        return (
            Verdict::Keep,
            None,
            format!("it is a {word}: what it needs when it takes over was not seen; {facts}"),
        );
    }
    let waits = past.pressure[0].as_ref().map_or((0.0, 0.0), |pressure| (pressure.p95, pressure.p99));
    let limit = guest.size.and_then(|size| size.cpu_limit).filter(|limit| *limit < allocated);
    if waits.0 >= ASKS_FOR_MORE || spread.p50 >= ALWAYS_BUSY * limit.unwrap_or(allocated) {
        return more(guest, spread, (allocated, limit), waits.0, &facts);
    }
    if waits.0 >= FORBIDS_LESS.0 || waits.1 >= FORBIDS_LESS.1 {
        return (
            Verdict::Keep,
            None,
            format!(
                "it waited for a CPU in {:.0} % of the time (P95), which forbids less; {facts}",
                waits.0.max(waits.1)
            ),
        );
    }
    if is_idle(past) {
        return (Verdict::Keep, None, format!("it was idle: what it needs when it works was not seen; {facts}"));
    }
    if past.hours_since_more_cpus.is_some_and(|hours| hours < i64::try_from(LEAST_KNOWN_HOURS).unwrap_or(i64::MAX)) {
        return (Verdict::Keep, None, format!("it got more CPUs less than a week ago; {facts}"));
    }
    let needed = spread.peak.value.max(spread.p95 * HEADROOM).max(spread.p99 * HEADROOM);
    let to = whole(guest, needed);
    if to > allocated * (1.0 - WORTH) {
        let why = if to < allocated { format!("{to} would do, which saves too little") } else { NEEDED.to_owned() };
        return (Verdict::Keep, None, format!("{why}; {facts}"));
    }
    (Verdict::Less, Some(to), facts)
}

/// What a guest gets that has too few, or why more would not help.
fn more(
    guest: &Guest<'_>,
    spread: &Spread,
    (allocated, limit): (f64, Option<f64>),
    waits: f64,
    facts: &str,
) -> (Verdict, Option<f64>, String) {
    let held = limit.unwrap_or(allocated);
    let waited = if waits >= ASKS_FOR_MORE {
        format!("it waited for a CPU in {waits:.0} % of the time (P95)")
    } else {
        "it used nearly all it has in half of the time".to_owned()
    };
    if spread.p95 < BUSY * held {
        let why = "its node was busy, or its cpuunits hold it back, and more cores would not help";
        return (Verdict::Review, None, format!("{waited} although it used little: {why}; {facts}"));
    }
    if let Some(limit) = limit {
        return (Verdict::Review, None, format!("{waited}: its cpulimit of {limit} holds it back; {facts}"));
    }
    let to = whole(guest, (allocated + 1.0).max(allocated * HEADROOM));
    if guest.host_cpus.is_some_and(|cpus| to > f64::from(cpus)) {
        return (Verdict::Keep, None, format!("{waited}, and its node has no more CPUs; {facts}"));
    }
    (Verdict::More, Some(to), format!("{waited}; {facts}"))
}

/// So many cores as whole ones, the same in each socket, and as many as the system needs.
fn whole(guest: &Guest<'_>, needed: f64) -> f64 {
    let least = guest.size.map_or(1.0, least_cores);
    let sockets = match guest.size {
        // Those that are plugged in are counted one by one.
        Some(size) if guest.kind == GuestKind::Qemu && size.vcpus.is_none() => f64::from(size.sockets()),
        _ => 1.0,
    };
    // What is above a whole number by less than a millionth is noise.
    let whole = (needed.max(least) - 1e-6).ceil();
    (whole.max(1.0) / sockets).ceil() * sockets
}

/// Windows 11 and the servers of its time want two.
fn least_cores(size: &GuestSize) -> f64 {
    if size.ostype.as_deref() == Some("win11") { 2.0 } else { 1.0 }
}

fn command(guest: &Guest<'_>, to: f64) -> (String, Effect) {
    let running = |at_once: bool| if at_once && guest.running { Effect::AtOnce } else { Effect::NextStart };
    match (guest.kind, guest.size) {
        (GuestKind::Lxc, Some(size)) if size.cores.is_none() => (guest.set(&format!("--cpulimit {to}")), running(true)),
        (GuestKind::Lxc, _) => (guest.set(&format!("--cores {to}")), running(true)),
        (GuestKind::Qemu, Some(size)) if size.vcpus.is_some() => {
            let all = f64::from(size.sockets() * size.cores.unwrap_or(1));
            if to > all {
                let each = (to / f64::from(size.sockets())).ceil();
                return (guest.set(&format!("--cores {each} --vcpus {to}")), Effect::NextStart);
            }
            (guest.set(&format!("--vcpus {to}")), running(size.hotplugs("cpu")))
        }
        (GuestKind::Qemu, size) => {
            let each = to / f64::from(size.map_or(1, GuestSize::sockets));
            (guest.set(&format!("--cores {each}")), Effect::NextStart)
        }
    }
}
