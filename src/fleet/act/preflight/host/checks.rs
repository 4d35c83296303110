//! The checks of a host that goes down, one by one, on what it and its cluster told.

use super::{Findings, HostCheck, When, counted};
use crate::config::ServerConfig;
use crate::fleet::act::preflight::idle::command_needs;
use crate::fleet::act::preflight::is_console;
use crate::model::check::fault::{Fault, Locked, Tasks, list};
use crate::model::guest::{ActiveTask, ClusterStatus};
use crate::model::host::power::{HostCall, HostPreflight, Inhibitor, LoggedIn};
use crate::model::id::VmId;
use crate::model::inventory::Server;
use crate::model::power::PowerState;

/// Users, and programs that asked not to sleep.
pub(super) fn look_at_people(seen: &HostPreflight, counts: impl Fn(&LoggedIn) -> bool, found: &mut Findings<'_>) {
    let users: Vec<&LoggedIn> = seen.users.iter().flatten().filter(|user| counts(user)).collect();
    if !users.is_empty() {
        found.add(Fault::logged_in(&users));
    }
}

/// Who is connected to a host, and what works on it, where that was looked for.
pub(super) fn look_at_use(
    check: &HostCheck<'_>,
    config: &ServerConfig,
    seen: &HostPreflight,
    found: &mut Findings<'_>,
) {
    let Some(activity) = &seen.activity else { return };
    let own: Vec<_> = seen.facts.addresses.iter().map(|address| address.ip).collect();
    let mut reasons = activity.reasons(&counted(config, &own, seen.ssh_client));
    // A plan takes its time: what the command says right before the call counts as well.
    if check.when == When::Acting && check.options.if_idle.is_some() {
        reasons.extend(command_needs(activity, config).map(|need| need.text));
    }
    if !reasons.is_empty() {
        found.add(Fault::in_use(&reasons));
    }
}

/// Programs that asked not to sleep, and leases of other machines.
pub(super) fn look_at_locks(locks: &[&Inhibitor], leases: &[&Inhibitor], call: HostCall, found: &mut Findings<'_>) {
    if !locks.is_empty() {
        let by: Vec<String> = locks.iter().map(|lock| format!("{} ({})", lock.who, lock.why)).collect();
        found.add(Fault::inhibited(call.as_str(), &by));
    }
    if !leases.is_empty() {
        found.add(Fault::held_elsewhere(leases.iter().map(|lock| lock.why.as_str())));
    }
}

pub(super) fn look_at_wol(seen: &HostPreflight, config: &ServerConfig, found: &mut Findings<'_>) {
    let mac = config.mac.map(|mac| mac.to_string());
    let port = seen.nic_to_arm(mac.as_deref()).map_or("none is shown", |port| port.name.as_str());
    if seen.wol_impossible(mac.as_deref()) {
        return found.add(Fault::wol_impossible(port, ", or allow it if somebody can press its button"));
    }
    match seen.wol_armed(mac.as_deref()) {
        Some(true) => {}
        Some(false) => found.add(Fault::wol_off(port)),
        None => found.add(Fault::wol_unread()),
    }
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
        found.add(Fault::quorum_would_go(left, all));
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
    for (kind, tasks) in [(Tasks::Backups, backups), (Tasks::Others, others)] {
        if !tasks.is_empty() {
            found.add(Fault::tasks_on_it(kind, &tasks));
        }
    }
    if told { Some(true) } else { shown }
}

/// What the host's guests say against it, whether they run or not.
pub(super) fn look_at_guests_of(check: &HostCheck<'_>, backup_runs: Option<bool>, found: &mut Findings<'_>) {
    let HostCheck { host, servers, call, steps, .. } = *check;
    let moves = |place: usize| steps.iter().any(|step| step.server == place && step.empties(&host.id));
    let on_it: Vec<&Server> = servers
        .iter()
        .enumerate()
        .filter(|(place, _)| !moves(*place))
        .map(|(_, server)| server)
        .filter(|server| server.vmid.is_some() && server.cluster == host.cluster && server.node == host.node)
        .collect();
    let managed = |server: &&&Server| {
        server.ha_state.as_deref().is_some_and(|state| !matches!(state, "ignored" | "stopped" | "disabled"))
    };
    let managed: Vec<String> = on_it.iter().filter(managed).map(|server| server.id.to_string()).collect();
    if !managed.is_empty() {
        found.add(Fault::ha_manages(&managed, call.sleeps()));
    }
    // Where the tasks are known, one that runs is named already; a lock without one is no backup.
    if backup_runs == Some(true) {
        return;
    }
    let locked: Vec<&Server> = on_it.into_iter().filter(|server| server.lock.as_deref() == Some("backup")).collect();
    let names = || list(locked.iter().map(|server| server.id.to_string()));
    match (locked.first(), backup_runs) {
        (None, _) => {}
        (Some(_), None) => found.add(Fault::backup_works_on(&names())),
        (Some(first), Some(_)) => {
            let (Some(kind), Some(vmid)) = (first.kind.guest(), first.vmid) else { return };
            let node = host.node.as_ref().map_or(host.id.as_str(), |node| node.as_str());
            let first = Locked { kind, vmid, lock: "backup", host: Some(&host.id), node };
            found.add(Fault::locks_left_behind(&names(), &first));
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
        const FIX: &str = "run `ecobox discover`, or add `--guests leave`";
        found.add(match when {
            When::Planning => Fault::guests_run_unlisted(&list(running), FIX),
            When::Acting => Fault::guests_run(&list(running), FIX),
        });
    }
}

/// `vzdump of 101 by root@pam`
fn describe(task: &ActiveTask) -> String {
    let of = if task.id.is_empty() { String::new() } else { format!(" of {}", task.id) };
    format!("{}{of} by {}", task.kind, task.user)
}
