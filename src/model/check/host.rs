//! A host or plain server: the way to it, the login, its system, its API. The rules judge what was seen; nobody is asked here.

mod api;
mod members;
mod pve_texts;
mod system;
#[cfg(test)]
mod tests;
mod texts;
pub(crate) mod upkeep;

use std::net::IpAddr;

pub(super) use self::pve_texts::TEXTS as PVE_TEXTS;
pub(super) use self::texts::TEXTS;

pub(crate) use self::api::ApiSeen;
pub(crate) use self::members::{lost_by_its_cluster, misses_a_node};
pub(crate) use self::system::{Clock, SystemSeen};
pub(crate) use self::upkeep::UpkeepSeen;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::{Chart, Trouble};
use crate::model::check::fix::Fix;
use crate::model::id::ServerId;

/// What there is to know of a host when its checks are judged.
#[derive(Debug, Default)]
pub(crate) struct HostSeen {
    /// Whether it has a Proxmox VE API, as far as is known.
    pub(crate) is_pve: bool,
    /// What its nodes have in common.
    pub(crate) cluster: Option<String>,
    /// Why it is no trouble that it does not answer: `asleep, as ecobox was told to put it to sleep`.
    pub(crate) may_be_away: Option<String>,
    /// Where its name leads; more than one address was tried one by one.
    pub(crate) addresses: Vec<AddressSeen>,
    /// A line of `known_hosts` that cannot be read is about it.
    pub(crate) recorded_badly: bool,
    /// What a login over SSH came to; `None`: it is configured without, or is this machine.
    pub(crate) login: Option<Result<(), Trouble>>,
    /// What a script said there.
    pub(crate) system: Option<Result<SystemSeen, Trouble>>,
    /// What its API said; `None`: not asked.
    pub(crate) api: Option<Result<ApiSeen, Trouble>>,
}

impl HostSeen {
    /// What is known of its clock: a script shows it better than the `Date` of answers, which are cut to seconds.
    pub(crate) fn clock(&self) -> Option<Clock> {
        let by_script = self.system.as_ref().and_then(|system| system.as_ref().ok()?.clock);
        by_script.or_else(|| self.api.as_ref()?.as_ref().ok()?.clock)
    }

    /// Whether it answered, by whatever way.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.login, Some(Ok(()))) || matches!(self.system, Some(Ok(_))) || matches!(self.api, Some(Ok(_)))
    }
}

/// One address of several, and why it does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressSeen {
    pub(crate) ip: IpAddr,
    pub(crate) dead: Option<&'static str>,
}

/// The way to a host, and into it.
const WAY: [CheckId; 17] = [
    CheckId::NameUnknown,
    CheckId::JumpHost,
    CheckId::HostAway,
    CheckId::SshPortClosed,
    CheckId::SshCloses,
    CheckId::SshForeign,
    CheckId::HostKeyUnknown,
    CheckId::HostKeyChanged,
    CheckId::HostKeyRevoked,
    CheckId::HostKeyUnproven,
    CheckId::KeysNotTaken,
    CheckId::NoKey,
    CheckId::KeyLocked,
    CheckId::KeyRefused,
    CheckId::KeyNotEnough,
    CheckId::LoginSlow,
    CheckId::ShellUnusable,
];

/// What a script on the host tells, of any and of Proxmox VE.
const SYSTEM: [CheckId; 2] = [CheckId::NoRoot, CheckId::ClockOff];
const PVE_SYSTEM: [CheckId; 6] = [
    CheckId::PveOld,
    CheckId::PmxcfsDown,
    CheckId::QuorumLost,
    CheckId::PveproxyDown,
    CheckId::PvedaemonDown,
    CheckId::PvestatdDown,
];

/// The checks of a host: what is wrong, what is fine, and what was not reached. `machine` is what was found here: its
/// consequences are not said again.
pub(crate) fn judge(server: &ServerId, seen: &HostSeen, machine: &Chart) -> Chart {
    let mut chart = Chart::of(Some(server));
    let broken = way(seen, machine, &mut chart);
    match (seen.clock(), &seen.system) {
        (Some(clock), _) => system::clock(server, clock, machine, &mut chart),
        (None, Some(Ok(_))) => chart.unknown(CheckId::ClockOff, "its clock could not be read"),
        (None, _) => {}
    }
    if let Some(broken) = broken {
        chart.skip(&SYSTEM, broken);
        if seen.is_pve {
            chart.skip(&PVE_SYSTEM, broken);
        }
    }
    if let Some(Ok(system)) = &seen.system {
        system::judge(server, system, seen, &mut chart);
    }
    if seen.is_pve {
        api::judge(server, seen, broken, &mut chart);
    }
    chart
}

/// Up to a script that runs. Gives what is in the way.
fn way(seen: &HostSeen, machine: &Chart, chart: &mut Chart) -> Option<CheckId> {
    let trouble = match (&seen.login, &seen.system) {
        (Some(Err(trouble)), _) | (_, Some(Err(trouble))) => Some(trouble),
        (None, None) => return None,
        _ => None,
    };
    if let Some(cause) = trouble.and_then(|trouble| cause_here(trouble.id, seen, machine)) {
        chart.skip(&WAY, cause);
        return Some(cause);
    }
    if let (Some(why), Some(trouble)) = (&seen.may_be_away, trouble)
        && trouble.id == CheckId::HostAway
    {
        chart.ok(CheckId::NameUnknown);
        chart.fine(CheckId::HostAway, why.as_str());
        chart.skip(&WAY, CheckId::HostAway);
        return Some(CheckId::HostAway);
    }
    let broken = if seen.login.is_some() || trouble.is_some() { chart.steps(&WAY, trouble) } else { None };
    addresses(&seen.addresses, broken, chart);
    broken
}

/// The finding of this machine that a trouble on the way is a consequence of.
fn cause_here(id: CheckId, seen: &HostSeen, machine: &Chart) -> Option<CheckId> {
    let causes: &[CheckId] = match id {
        CheckId::HostKeyUnknown if seen.recorded_badly => &[CheckId::KnownHostsLine],
        CheckId::NoKey | CheckId::KeyLocked | CheckId::KeyRefused => &[CheckId::KeyExposed, CheckId::AgentUnreachable],
        id if id.area() == super::Area::Machine => return Some(id),
        _ => return None,
    };
    causes.iter().copied().find(|cause| machine.has_wrong(*cause))
}

fn addresses(addresses: &[AddressSeen], broken: Option<CheckId>, chart: &mut Chart) {
    let list = |of: &mut dyn Iterator<Item = &AddressSeen>| {
        of.map(|address| address.ip.to_string()).collect::<Vec<_>>().join(", ")
    };
    match broken {
        // Nobody there answers: that one of them is dead says no more.
        Some(cause @ (CheckId::NameUnknown | CheckId::HostAway | CheckId::JumpHost)) => {
            chart.skip(&[CheckId::AddressDead], cause);
        }
        _ if addresses.iter().any(|one| one.dead.is_some()) && addresses.iter().any(|one| one.dead.is_none()) => {
            let why = addresses.iter().find_map(|one| one.dead).unwrap_or_default();
            let dead = list(&mut addresses.iter().filter(|one| one.dead.is_some()));
            let live = list(&mut addresses.iter().filter(|one| one.dead.is_none()));
            let finding = format!("{dead} does not answer ({why}), {live} does");
            let server = chart.server().map_or_else(String::new, |server| format!(" of `{server}`"));
            let fix = format!("remove {dead} from DNS or /etc/hosts, or set `hostname`{server} to {live}");
            chart.warning(CheckId::AddressDead, finding, Some(Fix::say(fix)));
        }
        _ if addresses.is_empty() => {}
        _ => chart.fine(CheckId::AddressDead, list(&mut addresses.iter())),
    }
}
