//! What a script on the host told.

use super::HostSeen;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fix::Fix;
use crate::model::check::sleep::SleepFacts;
use crate::model::host::facts::Product;
use crate::model::host::power::{HostCall, HostPreflight, NoWay};
use crate::model::id::ServerId;

/// A system as one script found it.
#[derive(Debug, Default)]
pub(crate) struct SystemSeen {
    /// What `power` looks at, too: facts, rights, who is logged in, how it could sleep.
    pub(crate) preflight: HostPreflight,
    /// Services of Proxmox VE and what systemd says of each: `active`, `failed`, `inactive`.
    pub(crate) services: Vec<(String, String)>,
    /// The nodes of its cluster that are not online, by its own word; `None`: it does not say.
    pub(crate) missing: Option<Vec<String>>,
    pub(crate) clock: Option<Clock>,
    /// Settings of /etc/default/pveproxy that say whom it lets in.
    pub(crate) pveproxy: Vec<(String, String)>,
    /// What is known of its sleep besides.
    pub(crate) sleep: SleepFacts,
}

/// By how many seconds a clock is ahead of this machine's: at least, and at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clock {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A clock that is this wrong is worth a word; and it does harm from here on.
const NOTED: f64 = 10.0;
const HARMFUL: f64 = 60.0;

impl Clock {
    /// By how much it is surely wrong; 0: it may be right.
    pub(crate) fn surely_off(self) -> f64 {
        if self.least > 0.0 { self.least } else { self.most.min(0.0) }
    }

    /// Whether that is worth a word.
    pub(crate) fn is_off(self) -> bool {
        self.surely_off().abs() >= NOTED
    }

    /// `10 minutes behind`, `20 seconds ahead of`
    pub(crate) fn words(self) -> String {
        let off = self.surely_off();
        let way = if off > 0.0 { "ahead of" } else { "behind" };
        let seconds = off.abs();
        let amount = match seconds {
            s if s < 120.0 => format!("{s:.0} seconds"),
            s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
            s if s < 172_800.0 => format!("{:.0} hours", s / 3600.0),
            s => format!("{:.0} days", s / 86400.0),
        };
        format!("{amount} {way}")
    }
}

pub(super) fn judge(server: &ServerId, system: &SystemSeen, seen: &HostSeen, chart: &mut Chart) {
    rights(server, &system.preflight, chart);
    if let Product::Pve(facts) = &system.preflight.facts.product {
        match facts.major() {
            Some(major) if major < 7 => {
                let version = facts.version.as_deref().unwrap_or_default();
                let fix = Some(Fix::of(CheckId::PveOld, &[]));
                chart.warning(CheckId::PveOld, format!("Proxmox VE {version} is older than 7"), fix);
            }
            Some(_) => chart.fine(CheckId::PveOld, facts.version.clone().unwrap_or_default()),
            None => chart.unknown(CheckId::PveOld, "its version could not be read"),
        }
        services(server, system, seen, chart);
    }
}

/// Whether the login may put the host to sleep and switch it off.
fn rights(server: &ServerId, preflight: &HostPreflight, chart: &mut Chart) {
    let calls = [HostCall::Suspend, HostCall::Shutdown];
    let ways: Vec<_> = calls.iter().filter_map(|call| Some((*call, preflight.way(*call)?))).collect();
    let lacking: Vec<_> = ways
        .iter()
        .filter_map(|(call, way)| match way {
            Err(no_way @ NoWay::Rights { .. }) => Some((*call, no_way)),
            _ => None,
        })
        .collect();
    let Some((_, no_way)) = lacking.first() else {
        return if ways.is_empty() {
            chart.unknown(CheckId::NoRoot, "it does not say how it could be put to sleep");
        } else {
            chart.ok(CheckId::NoRoot);
        };
    };
    let calls: Vec<&str> = lacking.iter().map(|(call, _)| call.as_str()).collect();
    let lines: Vec<String> = lacking.iter().filter_map(|(_, no_way)| no_way.hint()).collect();
    let why = no_way.to_string();
    let why = why.strip_prefix("no rights: ").unwrap_or(&why);
    let finding = format!("{why}: it may not {}", calls.join(" or "));
    chart.warning(CheckId::NoRoot, finding, Some(sudoers(server, &lines)));
}

/// The lines to add with visudo.
fn sudoers(server: &ServerId, lines: &[String]) -> Fix {
    const ADD: &str = "add to sudoers (visudo): ";
    let rules: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(ADD)).collect();
    match (rules.as_slice(), lines.first()) {
        ([], Some(line)) => Fix { on: Some(server.clone()), ..Fix::say(line.clone()) },
        ([], None) => Fix::of(CheckId::NoRoot, &[]),
        (rules, _) => Fix {
            text: format!("run `visudo -f /etc/sudoers.d/ecobox` on {server}, and add:"),
            run: Some(["visudo", "-f", "/etc/sudoers.d/ecobox"].map(str::to_owned).to_vec()),
            on: Some(server.clone()),
            file: Some("/etc/sudoers.d/ecobox".to_owned()),
            content: Some(rules.join("\n") + "\n"),
        },
    }
}

/// Its clock, as the script or its API showed it.
pub(super) fn clock(server: &ServerId, clock: Clock, machine: &Chart, chart: &mut Chart) {
    if !clock.is_off() {
        return chart.ok(CheckId::ClockOff);
    }
    if machine.has_wrong(CheckId::ClockWrong) {
        return chart.skip(&[CheckId::ClockOff], CheckId::ClockWrong);
    }
    let finding = format!("its clock is {} this machine's", clock.words());
    let fix = Some(Fix::on(server, "timedatectl set-ntp true"));
    if clock.surely_off().abs() >= HARMFUL {
        chart.problem(CheckId::ClockOff, finding, fix);
    } else {
        chart.warning(CheckId::ClockOff, finding, fix);
    }
}

/// pmxcfs, quorum, and the services of the API.
fn services(server: &ServerId, system: &SystemSeen, seen: &HostSeen, chart: &mut Chart) {
    let Product::Pve(facts) = &system.preflight.facts.product else { return };
    if facts.pmxcfs {
        chart.ok(CheckId::PmxcfsDown);
    } else {
        let fix = Fix::on(server, "systemctl restart pve-cluster").and("; `journalctl -u pve-cluster` there says why");
        chart.problem(CheckId::PmxcfsDown, "/etc/pve is not mounted: pve-cluster does not run", Some(fix));
        chart.skip(
            &[CheckId::QuorumLost, CheckId::PveproxyDown, CheckId::PvedaemonDown, CheckId::PvestatdDown],
            CheckId::PmxcfsDown,
        );
        return;
    }
    match facts.quorate {
        Some(true) => chart.ok(CheckId::QuorumLost),
        Some(false) => quorum_lost(system, seen, chart),
        None => chart.unknown(CheckId::QuorumLost, "it does not say whether there is quorum"),
    }
    for (name, id) in [
        ("pveproxy", CheckId::PveproxyDown),
        ("pvedaemon", CheckId::PvedaemonDown),
        ("pvestatd", CheckId::PvestatdDown),
    ] {
        match system.services.iter().find(|(service, _)| service == name).map(|(_, state)| state.as_str()) {
            None => chart.unknown(id, "systemd does not say"),
            Some("active" | "reloading" | "activating") => chart.ok(id),
            Some(state) => {
                let fix = Fix::on(server, &format!("systemctl restart {name}"))
                    .and(&format!(" (no guest is stopped by it); `journalctl -u {name}` there says why it ended"));
                chart.problem(id, format!("{name} is {state}"), Some(fix));
            }
        }
    }
}

fn quorum_lost(system: &SystemSeen, seen: &HostSeen, chart: &mut Chart) {
    let missing = system.missing.as_deref().unwrap_or_default().join(", ");
    let finding = match missing.as_str() {
        "" => "its cluster has no quorum".to_owned(),
        missing => format!("its cluster has no quorum: {missing} not online"),
    };
    let fix = match missing.as_str() {
        "" => Fix::of(CheckId::QuorumLost, &[]),
        missing => Fix::say(format!("bring {missing} back; `pvecm status` on a node says which votes are missing")),
    };
    chart.problem(CheckId::QuorumLost, finding, Some(fix)).shared.clone_from(&seen.cluster);
}
