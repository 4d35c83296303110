//! Whether a host could sleep and be woken again, and what would break if it slept. The rules judge what was seen; nobody
//! is asked here.

mod facts;
mod lasting;
mod links;
#[cfg(test)]
mod tests;
mod texts;

pub(super) use self::texts::TEXTS;

pub(crate) use self::facts::{Held, SleepFacts};
pub(crate) use self::lasting::{BootFiles, Lasts};
pub(crate) use self::links::LinkFile;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fault::Fault;
use crate::model::check::fix::Fix;
use crate::model::host::facts::Nic;
use crate::model::host::power::rtc::Clocks;
use crate::model::host::power::{HostCall, HostPreflight, NoWay};
use crate::model::id::ServerId;
use crate::model::text::units::human_seconds;

/// What is known of a host's sleep besides what a script there tells.
#[derive(Debug, Default)]
pub(crate) struct SleepSeen {
    /// The configured MAC address.
    pub(crate) mac: Option<String>,
    /// It is meant to sleep: it is expected to, or ecobox has put it to sleep before.
    pub(crate) meant: bool,
    pub(crate) way: Option<Way>,
    pub(crate) wakes: Wakes,
    /// Guests on it that HA manages.
    pub(crate) managed: Vec<String>,
}

/// What a script told of the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System<'a> {
    pub(crate) preflight: &'a HostPreflight,
    pub(crate) sleep: &'a SleepFacts,
}

/// How it could be woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// By whom, in words.
    By(String),
    /// Nobody could wake it.
    None { why: String, fix: Fix },
    /// Its address is not known, as nobody asked for it yet: no harm where it is not meant to sleep.
    Unlearned { why: String, fix: Fix },
    /// A packet from here would not reach its network: no harm where it is not meant to sleep.
    Far { why: String, fix: Fix },
    /// Whoever should wake it has a finding of its own.
    Because(CheckId),
    /// Whether a packet would reach it is not known.
    Unsure(String),
}

/// How often ecobox has woken it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Wakes {
    pub(crate) tries: usize,
    pub(crate) good: usize,
    pub(crate) median_seconds: Option<f64>,
    /// Whether the last try failed.
    pub(crate) failed: bool,
}

impl Wakes {
    /// Of each try in the order of time: how long it took, or that it did not wake.
    pub(crate) fn of(tries: &[Option<f64>]) -> Wakes {
        let mut took: Vec<f64> = tries.iter().flatten().copied().collect();
        took.sort_by(f64::total_cmp);
        let middle = took.get(took.len().saturating_sub(1) / 2).copied();
        Wakes {
            tries: tries.len(),
            good: took.len(),
            median_seconds: middle,
            failed: tries.last().is_some_and(Option::is_none),
        }
    }
}

impl std::fmt::Display for Wakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "woke {} of {} {}", self.good, self.tries, if self.tries == 1 { "time" } else { "times" })?;
        match self.median_seconds {
            Some(seconds) => write!(f, ", {seconds:.0} s median"),
            None => Ok(()),
        }
    }
}

/// What is looked at only where the host could sleep.
const COULD: [CheckId; 6] = [
    CheckId::SleepInhibited,
    CheckId::MacWrong,
    CheckId::WolNotArmed,
    CheckId::WolNotPersistent,
    CheckId::NoWakePath,
    CheckId::NoRtc,
];

/// A lock that is held for this long by one process does not end by itself.
const FOREVER: u64 = 24 * 3600;

/// The checks of a host's sleep. `broken` is what keeps its system from being looked at.
pub(crate) fn judge(
    server: &ServerId,
    seen: &SleepSeen,
    system: Option<System<'_>>,
    broken: Option<CheckId>,
    chart: &mut Chart,
) {
    let Some(system) = system else {
        // Who sleeps now is the one that has to be woken.
        if let Some(broken) = broken {
            if seen.meant {
                wakes(server, seen.wakes, chart);
                way(seen, chart);
            }
            chart.skip(&[CheckId::SleepUnsupported, CheckId::SleepMasked, CheckId::WakeFailed], broken);
            chart.skip(&COULD, broken);
        }
        return;
    };
    if !could_sleep(server, seen, system, chart) {
        return;
    }
    inhibitors(system, chart);
    network_card(server, seen, system, chart);
    wakes(server, seen.wakes, chart);
    way(seen, chart);
    clock(server, &system.preflight.clocks, chart);
    consequences(seen, system, chart);
}

/// Whether the host could sleep at all.
fn could_sleep(server: &ServerId, seen: &SleepSeen, system: System<'_>, chart: &mut Chart) -> bool {
    let wanted = seen.meant || seen.mac.is_some();
    if let (Some(machine), false) = (&system.sleep.virtual_machine, wanted) {
        chart.fine(CheckId::SleepUnsupported, format!("it is virtual ({machine}): its host wakes it"));
        return false;
    }
    match system.preflight.way(HostCall::Suspend) {
        Some(Err(no_way)) if no_way.is_masked() => {
            chart.ok(CheckId::SleepUnsupported);
            chart.warn_of(Fault::sleep_masked(server, no_way));
            chart.skip(&COULD, CheckId::SleepMasked);
            false
        }
        // A login that may not is a finding of its own.
        Some(Ok(_) | Err(NoWay::Rights { .. })) => {
            chart.fine(CheckId::SleepUnsupported, system.sleep.states.clone().unwrap_or_default());
            chart.ok(CheckId::SleepMasked);
            true
        }
        Some(Err(no_way)) => {
            let finding = format!("it cannot suspend: {no_way}");
            if seen.meant {
                let fix = no_way.hint().map_or_else(|| Fix::of(CheckId::SleepUnsupported, &[]), Fix::say);
                chart.warning(CheckId::SleepUnsupported, finding, Some(fix));
            } else {
                chart.fine(CheckId::SleepUnsupported, finding);
            }
            false
        }
        None => {
            chart.unknown(CheckId::SleepUnsupported, "it does not say how it could be put to sleep");
            false
        }
    }
}

fn inhibitors(system: System<'_>, chart: &mut Chart) {
    let Some(blocks) = system.preflight.blocks(HostCall::Suspend) else {
        return chart.unknown(CheckId::SleepInhibited, "logind does not say which programs ask not to sleep");
    };
    // A lease of ecobox's own is held on purpose, and has an end.
    let blocks: Vec<_> = blocks.into_iter().filter(|block| block.who != "ecobox").collect();
    let held = |who: &str, why: &str| system.sleep.held.iter().find(|held| held.who == who && held.why == why);
    let (mut endless, mut others) = (Vec::new(), Vec::new());
    for block in &blocks {
        let seconds = held(&block.who, &block.why).and_then(|held| held.seconds);
        match seconds {
            Some(seconds) if seconds >= FOREVER => {
                endless.push(format!("{} ({}), for {}", block.who, block.why, human_seconds(seconds)));
            }
            _ => others.push(format!("{} ({})", block.who, block.why)),
        }
    }
    if !endless.is_empty() {
        chart.warn_of(Fault::inhibited_without_end(&endless));
    } else if others.is_empty() {
        chart.ok(CheckId::SleepInhibited);
    } else {
        chart.fine(CheckId::SleepInhibited, format!("now asks not to suspend: {}", others.join("; ")));
    }
}

/// The port that magic packets reach: its address, whether it is armed, and whether it stays so.
fn network_card(server: &ServerId, seen: &SleepSeen, system: System<'_>, chart: &mut Chart) {
    let preflight = system.preflight;
    let ports = &preflight.facts.nics;
    let mac = seen.mac.as_deref();
    if ports.is_empty() {
        let why = "it shows no network card";
        for id in [CheckId::MacWrong, CheckId::WolNotArmed, CheckId::WolNotPersistent] {
            chart.unknown(id, why);
        }
        return;
    }
    if let Some((finding, fix)) = wrong_mac(server, mac, ports) {
        chart.warning(CheckId::MacWrong, finding, Some(fix));
        return chart.skip(&[CheckId::WolNotArmed, CheckId::WolNotPersistent], CheckId::MacWrong);
    }
    let Some(port) = preflight.nic_to_arm(mac) else { return };
    chart.fine(CheckId::MacWrong, format!("{} of {}", port.mac, port.name));
    if preflight.wol_impossible(mac) {
        let fault = Fault::wol_impossible(&port.name, "");
        if seen.meant || mac.is_some() {
            chart.warn_of(fault);
            return chart.skip(&[CheckId::WolNotPersistent], CheckId::WolNotArmed);
        }
        return chart.fine(CheckId::WolNotArmed, fault.finding);
    }
    armed(server, preflight, port, &system.sleep.boot, chart);
}

/// Why the configured address cannot be the right one, and what would be.
fn wrong_mac(server: &ServerId, mac: Option<&str>, ports: &[Nic]) -> Option<(String, Fix)> {
    let mac = mac?;
    let own = ports.iter().find(|port| port.mac.eq_ignore_ascii_case(mac));
    let better = ports
        .iter()
        .filter(|port| !port.mac.eq_ignore_ascii_case(mac))
        .min_by_key(|port| (!port.default_route, port.link != Some(true)));
    let finding = match own {
        Some(port) if port.link == Some(false) && better.is_some_and(|other| other.link == Some(true)) => {
            format!("{mac} is the address of {}, which has no link", port.name)
        }
        Some(_) => return None,
        None => format!("{mac} is not the address of any network card of it"),
    };
    let other = better?;
    let fix = format!(
        "set `mac = \"{}\"` (of {}) under [servers.wol] of `{server}` in the configuration",
        other.mac, other.name
    );
    Some((finding, Fix::say(fix)))
}

fn armed(server: &ServerId, preflight: &HostPreflight, port: &Nic, boot: &BootFiles, chart: &mut Chart) {
    let lasts = boot.lasts(server, port);
    match port.wol_armed {
        Some(true) => chart.fine(CheckId::WolNotArmed, format!("armed on {}", port.name)),
        Some(false) => {
            let now = Fix::on(server, &format!("ethtool -s {} wol g", port.name));
            // One that is armed by hand is off again after the next boot.
            let fix = match lasts {
                Lasts::No { fix } => {
                    Fix { file: fix.file, content: fix.content, ..now }.and("; so that it lasts, ").and(&fix.text)
                }
                _ => now,
            };
            chart.warning(CheckId::WolNotArmed, Fault::wol_off(&port.name).finding, Some(fix));
            return chart.skip(&[CheckId::WolNotPersistent], CheckId::WolNotArmed);
        }
        None => {
            chart.unknown(CheckId::WolNotArmed, format!("whether {} would wake it {}", port.name, unread(preflight)));
        }
    }
    match lasts {
        Lasts::Yes { by } => chart.fine(CheckId::WolNotPersistent, format!("by {by}")),
        Lasts::No { fix } if port.wol_armed.is_some() => {
            let finding = format!("Wake-on-LAN is armed on {} now, and nothing arms it after the next boot", port.name);
            chart.warning(CheckId::WolNotPersistent, finding, Some(fix));
        }
        Lasts::Undone { by, fix } => {
            let finding = format!("{by} switches Wake-on-LAN off on {} at the next boot", port.name);
            chart.warning(CheckId::WolNotPersistent, finding, Some(fix));
        }
        Lasts::No { .. } => chart.unknown(CheckId::WolNotPersistent, "whether it is armed now is not known"),
        Lasts::Unsure { why } => chart.unknown(CheckId::WolNotPersistent, why),
    }
}

/// Why nobody says whether a card is armed.
fn unread(preflight: &HostPreflight) -> &'static str {
    use crate::model::host::facts::Privilege;
    match preflight.facts.privilege {
        Privilege::Root | Privilege::Sudo => {
            "could not be read (`ethtool` is not installed, or its driver does not say)"
        }
        _ => "could not be read: `ethtool` tells it to root only",
    }
}

fn wakes(server: &ServerId, wakes: Wakes, chart: &mut Chart) {
    if wakes.tries == 0 {
        chart.fine(CheckId::WakeFailed, format!("never tried: `ecobox doctor --wake {server}` tries it"));
    } else if wakes.failed {
        let finding = format!("it did not wake when it was last woken ({wakes})");
        let fix = Fix::of(CheckId::WakeFailed, &[("server", server.as_str())]);
        chart.warning(CheckId::WakeFailed, finding, Some(fix));
    } else {
        chart.fine(CheckId::WakeFailed, wakes.to_string());
    }
}

fn way(seen: &SleepSeen, chart: &mut Chart) {
    // Whoever has woken it proves more than any look at networks.
    if seen.wakes.good > 0 && !seen.wakes.failed && !matches!(seen.way, Some(Way::Because(_))) {
        return chart.fine(CheckId::NoWakePath, seen.wakes.to_string());
    }
    match &seen.way {
        None => chart.unknown(CheckId::NoWakePath, "not looked at"),
        Some(Way::By(words)) => chart.fine(CheckId::NoWakePath, words.as_str()),
        Some(Way::Because(id)) => chart.skip(&[CheckId::NoWakePath], *id),
        Some(Way::Unsure(why)) => chart.unknown(CheckId::NoWakePath, why.as_str()),
        Some(Way::Far { why, .. }) if !seen.meant && seen.mac.is_none() => {
            chart.fine(CheckId::NoWakePath, why.as_str());
        }
        Some(Way::Unlearned { why, .. }) if !seen.meant => {
            chart.unknown(CheckId::NoWakePath, format!("{why}; `ecobox init` learns it"));
        }
        Some(Way::None { why, fix } | Way::Far { why, fix } | Way::Unlearned { why, fix }) => {
            chart.warn_of(Fault::no_wake_path(why, fix.clone()));
        }
    }
}

/// A clock that could wake it at a time.
fn clock(server: &ServerId, clocks: &Clocks, chart: &mut Chart) {
    if clocks.rtcs.is_none() {
        return chart.unknown(CheckId::NoRtc, "it shows no clock that runs while it sleeps");
    }
    if clocks.battery.as_deref() == Some("dead") {
        let fix = Fix::of(CheckId::NoRtc, &[]);
        chart.warning(CheckId::NoRtc, "the battery of its clock is dead", Some(fix));
        return;
    }
    match clocks.with_alarm() {
        Some(rtc) if rtc.wakes == Some(false) => {
            let command = format!("echo enabled > /sys/class/rtc/{}/device/power/wakeup", rtc.name);
            let fix = Fix { on: Some(server.clone()), ..Fix::say(format!("run `{command}` on {server}")) };
            let fix = Fix { run: Some(["sh", "-c", &command].map(str::to_owned).to_vec()), ..fix };
            chart.warning(CheckId::NoRtc, format!("its clock {} may not wake it", rtc.name), Some(fix));
        }
        Some(rtc) => chart.fine(CheckId::NoRtc, format!("{} could wake it at a time", rtc.name)),
        None => chart.fine(CheckId::NoRtc, "it has no clock that could wake it at a time"),
    }
}

/// What would break if it slept: worth a finding only where it is meant to sleep.
fn consequences(seen: &SleepSeen, system: System<'_>, chart: &mut Chart) {
    let guests: Vec<String> = system.preflight.guests.iter().map(ToString::to_string).collect();
    if guests.is_empty() {
        chart.ok(CheckId::RunningGuests);
    } else {
        let finding = format!("guests run on it, and would sleep with it: {}", guests.join(", "));
        chart.fine(CheckId::RunningGuests, finding);
    }
    if seen.managed.is_empty() {
        chart.ok(CheckId::HaManaged);
    } else {
        let fault = Fault::ha_manages(&seen.managed, true);
        if seen.meant {
            chart.warn_of(fault);
        } else {
            chart.fine(CheckId::HaManaged, fault.finding);
        }
    }
    if let Some((all, online)) = system.sleep.members
        && seen.meant
        && all > 1
        && online.saturating_sub(1) * 2 <= all
        && !chart.has_wrong(CheckId::QuorumLost)
    {
        let left = online.saturating_sub(1);
        let fault = Fault::quorum_would_go(left, all);
        let finding = format!("if it slept, {}", fault.finding);
        chart.warn_of(Fault { finding, ..fault });
    }
}
