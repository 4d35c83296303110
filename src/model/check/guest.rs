//! What can be wrong with a guest, and with the services of any server. The rules judge what was seen; nobody is asked here.

#[cfg(test)]
mod tests;
mod texts;

use std::collections::{BTreeMap, HashMap};

pub(super) use self::texts::TEXTS;

use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fault::{Fault, Locked};
use crate::model::check::fix::Fix;
use crate::model::id::{GuestKind, ServerId, VmId};
use crate::model::text::units::human_seconds;

/// A guest as its cluster and its own node show it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
pub(crate) struct GuestSeen {
    pub(crate) id: ServerId,
    pub(crate) cluster: String,
    pub(crate) name: Option<String>,
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    /// The configured host that it is on, and the node's own name.
    pub(crate) host: Option<ServerId>,
    pub(crate) node: String,
    /// Whether its node is online by its cluster; `None`: that does not say.
    pub(crate) node_online: Option<bool>,
    /// Its node tells what it does. Without that nothing else is known.
    pub(crate) told: bool,
    pub(crate) runs: bool,
    pub(crate) uptime_seconds: Option<u64>,
    pub(crate) lock: Option<Lock>,
    pub(crate) agent: Agent,
    /// The configuration names an address for it.
    pub(crate) has_hostname: bool,
    /// Services of it are configured, and no address.
    pub(crate) services_need_agent: bool,
    /// Addresses of it are remembered, which only an agent could tell.
    pub(crate) had_addresses: bool,
    /// ecobox could not shut it down cleanly when it last tried.
    pub(crate) shutdown_failed: bool,
    pub(crate) services: Vec<ServiceSeen>,
}

/// A lock in a guest's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) name: String,
    /// Whether a task works under it; `None`: nobody says.
    pub(crate) held: Option<bool>,
}

/// What a guest's agent, or a container's node, says of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agent {
    /// Nobody was asked: it does not run.
    Unasked,
    /// It is not enabled in the guest's options.
    Off,
    Silent,
    /// How many addresses one could dial.
    Addresses(usize),
    /// It answered with something else, in words.
    NotTold(String),
    /// Nobody could ask it.
    Unread(String),
}

/// A configured service that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceSeen {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) past: Past,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Past {
    /// It answered before, or does now.
    Answered,
    /// It was looked for since this day, and does not answer now for this reason.
    Never { since: String, why: String },
    /// It was never looked for before.
    New,
    /// Nobody can look.
    Unseen(String),
}

/// One that was started less than this ago may still be booting.
const BOOTING: u64 = 120;

/// What depends on what its node tells.
const TOLD: [CheckId; 4] = [CheckId::GuestLocked, CheckId::NoAgent, CheckId::AgentOff, CheckId::NoAddress];

/// The checks of one guest. `of_host` is what was found of the host that it is on: its consequences are not said again.
pub(crate) fn judge(seen: &GuestSeen, of_host: Option<&Chart>, chart: &mut Chart) {
    if let Some(cause) = node_trouble(seen, of_host, chart) {
        chart.skip(&[CheckId::GuestStale], cause);
        return chart.skip(&TOLD, cause);
    }
    lock(seen, chart);
    agent(seen, of_host, chart);
    services(&seen.id, &seen.services, chart);
}

/// What keeps a node from telling of its guests.
const CAUSES: [CheckId; 6] = [
    CheckId::HostAway,
    CheckId::SshPortClosed,
    CheckId::NodeLost,
    CheckId::PmxcfsDown,
    CheckId::PvestatdDown,
    CheckId::PvedaemonDown,
];

/// Why its node tells nothing of it.
fn node_trouble(seen: &GuestSeen, of_host: Option<&Chart>, chart: &mut Chart) -> Option<CheckId> {
    if seen.told && seen.node_online != Some(false) {
        chart.ok(CheckId::GuestStale);
        return None;
    }
    let cause = of_host.and_then(|host| {
        let found = CAUSES.into_iter().find(|id| host.has_wrong(*id));
        // A host that may be off is no finding, and its guests are none.
        found
            .or_else(|| host.list.iter().any(|one| one.because == Some(CheckId::HostAway)).then_some(CheckId::HostAway))
    });
    if cause.is_some() {
        return cause;
    }
    if seen.node_online == Some(false) {
        chart.unknown(CheckId::GuestStale, format!("its node {} is not online", seen.node));
        return Some(CheckId::GuestStale);
    }
    let finding = format!("node {} is online and tells nothing of its guests: what is shown of them is old", seen.node);
    let fix = match &seen.host {
        Some(host) => Fix::on(host, "systemctl restart pvestatd"),
        None => Fix::say(format!("run `systemctl restart pvestatd` on {}", seen.node)),
    };
    let shared = format!("{}/{}", seen.cluster, seen.node);
    chart.warning(CheckId::GuestStale, finding, Some(fix)).shared = Some(shared);
    Some(CheckId::GuestStale)
}

fn lock(seen: &GuestSeen, chart: &mut Chart) {
    let Some(Lock { name, held }) = &seen.lock else { return chart.ok(CheckId::GuestLocked) };
    match held {
        // Saved to disk: the lock is what says so.
        _ if name == "suspended" => chart.fine(CheckId::GuestLocked, "hibernated"),
        Some(true) => chart.fine(CheckId::GuestLocked, format!("locked ({name}): a task works on it")),
        None => chart.unknown(CheckId::GuestLocked, format!("locked ({name}); nobody says which tasks run")),
        Some(false) => {
            let host = seen.host.as_ref();
            let locked = Locked { kind: seen.kind, vmid: seen.vmid, lock: name, host, node: &seen.node };
            chart.problem_of(Fault::lock_left_behind(&locked));
        }
    }
}

fn agent(seen: &GuestSeen, of_host: Option<&Chart>, chart: &mut Chart) {
    if !seen.runs {
        return;
    }
    let uptime = seen.uptime_seconds;
    let booting = uptime.filter(|uptime| *uptime < BOOTING);
    let young = booting.map(|uptime| format!(" (it was started {} ago)", human_seconds(uptime))).unwrap_or_default();
    let of = |id| Some(Fix::of(id, &[("server", seen.id.as_str()), ("vmid", &seen.vmid.to_string())]));
    match &seen.agent {
        Agent::Unasked => {}
        Agent::Silent => {
            chart.ok(CheckId::AgentOff);
            chart.warn_of(Fault::silent_agent(seen.vmid, &young));
            chart.skip(&[CheckId::NoAddress], CheckId::NoAgent);
        }
        Agent::Off => {
            // Many need none: it is missed where a shutdown failed, where it told addresses before, and where configured
            // services would be looked for at them.
            let missed = if seen.shutdown_failed {
                ", and its last clean shutdown failed"
            } else if seen.had_addresses {
                ": the addresses that it told before are not known any more"
            } else if seen.services_need_agent {
                ": nobody knows the address at which its services could be looked for"
            } else {
                ""
            };
            if missed.is_empty() {
                let finding =
                    "its guest agent is not enabled: its addresses are not known, and ACPI's button shuts it down";
                return chart.fine(CheckId::AgentOff, finding);
            }
            chart.warn_of(Fault::agent_off(seen.vmid, missed));
            chart.skip(&[CheckId::NoAgent, CheckId::NoAddress], CheckId::AgentOff);
        }
        Agent::Addresses(0) if !seen.has_hostname => {
            answers(seen, chart);
            let who = if seen.kind == GuestKind::Qemu { "its guest agent" } else { "its node" };
            let finding = format!(
                "{who} names no address of it that one could dial: its network is down, or it got no lease{young}"
            );
            chart.warning(CheckId::NoAddress, finding, of(CheckId::NoAddress));
        }
        Agent::Addresses(_) => {
            answers(seen, chart);
            chart.ok(CheckId::NoAddress);
        }
        Agent::NotTold(why) => {
            answers(seen, chart);
            chart.unknown(CheckId::NoAddress, why.as_str());
        }
        Agent::Unread(why) => {
            let ids = [CheckId::NoAgent, CheckId::NoAddress];
            // A token that may not ask is a finding of its own.
            let cause = [CheckId::RoleOutdated, CheckId::PrivilegeMissing].into_iter();
            match cause.into_iter().find(|id| of_host.is_some_and(|host| host.has_wrong(*id))) {
                Some(cause) => chart.skip(&ids, cause),
                None => ids.iter().for_each(|id| chart.unknown(*id, why.as_str())),
            }
        }
    }
}

fn answers(seen: &GuestSeen, chart: &mut Chart) {
    if seen.kind == GuestKind::Qemu {
        chart.ok(CheckId::AgentOff);
        chart.ok(CheckId::NoAgent);
    }
}

/// Services that never answered since they were added.
pub(crate) fn services(server: &ServerId, services: &[ServiceSeen], chart: &mut Chart) {
    for ServiceSeen { name, port, past } in services {
        match past {
            Past::Answered => chart.ok(CheckId::ServiceNeverAnswered),
            Past::New => {
                chart.unknown(CheckId::ServiceNeverAnswered, format!("{name} (port {port}) was never looked for"));
            }
            Past::Unseen(why) => chart.unknown(CheckId::ServiceNeverAnswered, why.as_str()),
            Past::Never { since, why } => {
                let finding = format!("{name} at port {port} has not answered once since {since}: {why}");
                let fix = format!("check `port` of the service `{name}` of `{server}` in the configuration");
                chart.warning(CheckId::ServiceNeverAnswered, finding, Some(Fix::say(fix)));
            }
        }
    }
}

/// Names and numbers that more than one guest has: a chart of the guest for each finding.
pub(crate) fn twice(guests: &[GuestSeen]) -> Vec<(ServerId, Chart)> {
    let mut charts = Vec::new();
    let mut names: HashMap<String, &GuestSeen> = HashMap::new();
    for guest in guests {
        let Some(name) = guest.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        match names.get(&name.to_lowercase()) {
            Some(first) => {
                let mut chart = Chart::of(Some(&guest.id));
                let finding =
                    format!("its name `{name}` is also that of {}: a command by name means neither", first.id);
                let set = match guest.kind {
                    GuestKind::Qemu => format!("qm set {} --name NEW-NAME", guest.vmid),
                    GuestKind::Lxc => format!("pct set {} --hostname NEW-NAME", guest.vmid),
                };
                let fix = Fix::say(format!("rename one of them: `{set}` on {}", guest.node));
                chart.warning(CheckId::NameTwice, finding, Some(fix));
                charts.push((guest.id.clone(), chart));
            }
            None => {
                names.insert(name.to_lowercase(), guest);
            }
        }
    }
    charts.extend(numbers_twice(guests));
    charts
}

/// Two clusters that use the same numbers: one finding for both.
fn numbers_twice(guests: &[GuestSeen]) -> Vec<(ServerId, Chart)> {
    let mut numbers: BTreeMap<VmId, &GuestSeen> = BTreeMap::new();
    let mut shared: Vec<((&GuestSeen, &GuestSeen), Vec<VmId>)> = Vec::new();
    for guest in guests {
        let Some(first) = numbers.get(&guest.vmid) else {
            numbers.insert(guest.vmid, guest);
            continue;
        };
        if first.cluster == guest.cluster {
            continue;
        }
        let pair = |((a, b), _): &&mut ((&GuestSeen, &GuestSeen), Vec<VmId>)| {
            (&a.cluster, &b.cluster) == (&first.cluster, &guest.cluster)
        };
        match shared.iter_mut().find(pair) {
            Some((_, list)) => list.push(guest.vmid),
            None => shared.push(((first, guest), vec![guest.vmid])),
        }
    }
    let chart = |((first, second), list): ((&GuestSeen, &GuestSeen), Vec<VmId>)| {
        let mut chart = Chart::of(Some(&second.id));
        let numbers: Vec<String> = list.iter().take(5).map(ToString::to_string).collect();
        let more = if list.len() > 5 { format!(" and {} more", list.len() - 5) } else { String::new() };
        let plural = if list.len() == 1 { ("number", "is") } else { ("numbers", "are") };
        let finding = format!(
            "the {} {}{more} {} also used in the cluster of {}: `{}` alone means neither",
            plural.0,
            numbers.join(", "),
            plural.1,
            first.id,
            second.vmid,
        );
        chart.warning(CheckId::NumberTwice, finding, Some(Fix::of(CheckId::NumberTwice, &[])));
        (second.id.clone(), chart)
    };
    shared.into_iter().map(chart).collect()
}
