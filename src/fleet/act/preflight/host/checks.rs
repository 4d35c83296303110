//! The checks of a host that goes down, one by one, on what it and its cluster told.

use super::{Findings, HostCheck, When, counted};
use crate::config::ServerConfig;
use crate::fleet::act::preflight::{is_console, list};
use crate::model::check::CheckId;
use crate::model::guest::{ActiveTask, ClusterStatus};
use crate::model::host::power::{HostCall, HostPreflight, Inhibitor, LoggedIn};
use crate::model::id::{GuestKind, VmId};
use crate::model::inventory::Server;
use crate::model::power::PowerState;

/// Users, and programs that asked not to sleep.
pub(super) fn look_at_people(seen: &HostPreflight, counts: impl Fn(&LoggedIn) -> bool, found: &mut Findings<'_>) {
    let users: Vec<&LoggedIn> = seen.users.iter().flatten().filter(|user| counts(user)).collect();
    if !users.is_empty() {
        let message = format!("logged in: {}", list(users));
        found.add(CheckId::LoggedInUsers, message, "ask them to log out".to_owned());
    }
}

/// Who is connected to a host, and what works on it, where that was looked for.
pub(super) fn look_at_use(config: &ServerConfig, seen: &HostPreflight, found: &mut Findings<'_>) {
    let Some(activity) = &seen.activity else { return };
    let own: Vec<_> = seen.facts.addresses.iter().map(|address| address.ip).collect();
    let reasons = activity.reasons(&counted(config, &own, seen.ssh_client));
    if !reasons.is_empty() {
        found.add(CheckId::InUse, format!("it is in use: {}", list(reasons)), "wait until that has ended".to_owned());
    }
}

/// Programs that asked not to sleep, and leases of other machines.
pub(super) fn look_at_locks(locks: &[&Inhibitor], leases: &[&Inhibitor], call: HostCall, found: &mut Findings<'_>) {
    if !locks.is_empty() {
        let one = |lock: &&Inhibitor| format!("{} ({})", lock.who, lock.why);
        let message = format!("programs ask not to {}: {}", call.as_str(), list(locks.iter().map(one)));
        found.add(CheckId::SleepInhibited, message, "end them, or wait until they are done".to_owned());
    }
    if !leases.is_empty() {
        let message =
            format!("it is held by ecobox on another machine: {}", list(leases.iter().map(|lock| lock.why.clone())));
        found.add(CheckId::Held, message, "wait until that has ended, or release it there".to_owned());
    }
}

/// What may help a card that knows no magic packet.
const FIRMWARE: &str = "look for Wake-on-LAN in its firmware's settings";

pub(super) fn look_at_wol(seen: &HostPreflight, config: &ServerConfig, found: &mut Findings<'_>) {
    let mac = config.mac.map(|mac| mac.to_string());
    if seen.wol_impossible(mac.as_deref()) {
        let message = "its network card does not support Wake-on-LAN by magic packet: nothing would wake it";
        let fix = format!("{FIRMWARE}, or allow it if somebody can press its button");
        return found.add(CheckId::WolNotArmed, message.to_owned(), fix);
    }
    let message = match seen.wol_armed(mac.as_deref()) {
        Some(true) => return,
        Some(false) => "Wake-on-LAN is off on its network card: nothing would wake it",
        None => "whether its network card would wake it could not be read",
    };
    found.add(CheckId::WolNotArmed, message.to_owned(), "add `--arm-wol`".to_owned());
}

/// How many nodes a cluster has, and how many others are online. Each node is taken to have one vote.
pub(super) fn votes(members: &ClusterStatus, host: &Server) -> (usize, usize) {
    let others = members.nodes.iter().filter(|node| Some(&node.name) != host.node.as_ref());
    (members.nodes.len(), others.filter(|node| node.online).count())
}

/// The votes that are left when this node is gone.
pub(super) fn look_at_members(members: &ClusterStatus, host: &Server, found: &mut Findings<'_>) {
    let (all, left) = votes(members, host);
    if all > 1 && left * 2 <= all {
        let message = format!("its cluster would lose quorum: {left} of {all} nodes would be left");
        found.add(CheckId::QuorumLost, message, "bring another node up first".to_owned());
    }
}

/// The tasks on it, a backup among them. Gives whether a backup runs; `None`: not known.
pub(super) fn look_at_tasks_of(
    tasks: Option<Vec<ActiveTask>>,
    seen: &HostPreflight,
    found: &mut Findings<'_>,
) -> Option<bool> {
    // A token may see its own tasks only; the host itself shows all.
    let told = tasks.iter().flatten().any(|task| task.kind == "vzdump");
    let shown = seen.tasks.as_ref().map(|tasks| tasks.iter().any(|task| task.contains("vzdump")));
    let tasks: Vec<String> = match tasks {
        Some(tasks) => tasks.iter().filter(|task| !is_console(task)).map(describe).collect(),
        None => seen.tasks.iter().flatten().cloned().collect(),
    };
    let (backups, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| task.contains("vzdump"));
    for (id, tasks, what) in
        [(CheckId::BackupRunning, backups, "a backup runs"), (CheckId::TasksRunning, others, "tasks run")]
    {
        if !tasks.is_empty() {
            found.add(id, format!("{what} on it: {}", list(tasks)), "wait until that has ended".to_owned());
        }
    }
    if told { Some(true) } else { shown }
}

/// What the host's guests say against it, whether they run or not.
pub(super) fn look_at_guests_of(check: &HostCheck<'_>, backup_runs: Option<bool>, found: &mut Findings<'_>) {
    let HostCheck { host, servers, call, .. } = *check;
    let on_it: Vec<&Server> = servers
        .iter()
        .filter(|server| server.vmid.is_some() && server.cluster == host.cluster && server.node == host.node)
        .collect();
    let managed = |server: &&&Server| {
        server.ha_state.as_deref().is_some_and(|state| !matches!(state, "ignored" | "stopped" | "disabled"))
    };
    let managed: Vec<String> = on_it.iter().filter(managed).map(|server| server.id.to_string()).collect();
    if !managed.is_empty() {
        let why = if call.sleeps() { ", and its watchdog would reset it when it wakes" } else { "" };
        let message = format!("HA manages guests on it{why}: {}", list(managed));
        found.add(CheckId::HaManaged, message, "move them to another node first".to_owned());
    }
    // Where the tasks are known, one that runs is named already; a lock without one is no backup.
    if backup_runs == Some(true) {
        return;
    }
    let locked: Vec<&Server> = on_it.into_iter().filter(|server| server.lock.as_deref() == Some("backup")).collect();
    let names = || list(locked.iter().map(|server| server.id.to_string()));
    match (locked.first(), backup_runs) {
        (None, _) => {}
        (Some(_), None) => {
            let message = format!("a backup works on {}", names());
            found.add(CheckId::BackupRunning, message, "wait until it has ended".to_owned());
        }
        (Some(first), Some(_)) => {
            let tool = if first.kind.guest() == Some(GuestKind::Qemu) { "qm" } else { "pct" };
            let number = first.vmid.map(|vmid| vmid.to_string()).unwrap_or_default();
            let message = format!("guests are locked for a backup, and none runs: {}", names());
            let fix = format!("`{tool} unlock {number}` on it removes a lock that was left behind");
            found.add(CheckId::GuestLocked, message, fix);
        }
    }
}

/// The guests that the host itself shows to run. While the plan is made those are left out that it deals with; when
/// their host's turn has come all of them should be down, whatever anybody listed.
pub(super) fn look_at_running(check: &HostCheck<'_>, seen: &HostPreflight, found: &mut Findings<'_>) {
    let HostCheck { host, servers, when, .. } = *check;
    let is_planned_for = |vmid: &VmId| {
        let listed = servers
            .iter()
            .find(|server| server.vmid == Some(*vmid) && server.cluster == host.cluster && server.node == host.node);
        let state = listed.map(|server| server.seen.state);
        matches!(state, Some(PowerState::Running | PowerState::Paused | PowerState::Unknown))
    };
    let running: Vec<&VmId> = seen.guests.iter().filter(|vmid| when == When::Acting || !is_planned_for(vmid)).collect();
    if !running.is_empty() {
        let message = match when {
            When::Planning => format!("guests run on it that its API does not list as running: {}", list(running)),
            When::Acting => format!("guests run on it: {}", list(running)),
        };
        found.add(CheckId::RunningGuests, message, "run `ecobox discover`, or add `--guests leave`".to_owned());
    }
}

/// `vzdump of 101 by root@pam`
fn describe(task: &ActiveTask) -> String {
    let of = if task.id.is_empty() { String::new() } else { format!(" of {}", task.id) };
    format!("{}{of} by {}", task.kind, task.user)
}

#[cfg(test)]
mod tests {
    use super::FIRMWARE;
    use crate::model::host::power::NoWay;

    #[test]
    fn the_documents_say_the_fixes_that_are_printed() {
        let text = include_str!("../../../../../docs/power.md");
        let row = |id: &str| text.lines().find(|line| line.starts_with(&format!("| `{id}` |"))).unwrap();
        for no_way in [NoWay::Masked { unit: "UNIT".to_owned() }, NoWay::Disallowed { key: "AllowSuspend".to_owned() }]
        {
            let fix = no_way.hint().unwrap();
            assert!(row("sleep-masked").contains(&fix), "{fix}");
        }
        let row = row("wol-not-armed");
        assert!(row.contains("`--arm-wol`") && row.contains(FIRMWARE), "{row}");
    }
}
