//! What speaks against a call to a host: what one script there tells, and its cluster.

use std::net::IpAddr;

use futures::future::{join, join3};

use super::{is_console, list};
use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::act::{Links, Options};
use crate::model::check::CheckId;
use crate::model::guest::{ActiveTask, ClusterStatus};
use crate::model::hint::HintId;
use crate::model::host::power::{HostCall, HostPreflight, Identity, Itself, NoWay};
use crate::model::id::{GuestKind, VmId};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{Finding, Policy, PowerState, Remedy};
use crate::state::StateError;

/// When a host is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet::act) enum When {
    /// Its guests may still run.
    Planning,
    /// It is about to go down.
    Acting,
}

/// A look at a host right before it goes down.
pub(in crate::fleet::act) struct HostLook {
    pub(in crate::fleet::act) findings: Vec<Finding>,
    /// Why it cannot be done at all, what mends that, and the kind of failure.
    pub(in crate::fleet::act) blocked: Option<(String, Option<String>, Option<FailureKind>)>,
    pub(in crate::fleet::act) seen: Option<HostPreflight>,
}

impl Fleet<'_> {
    /// What speaks against a call to a host now.
    pub(in crate::fleet::act) async fn look_at_host(
        &self,
        host: &Server,
        call: HostCall,
        when: When,
        servers: &[Server],
        links: &Links,
        options: &Options,
    ) -> Result<HostLook, StateError> {
        let mut look = HostLook { findings: Vec::new(), blocked: None, seen: None };
        let Some(config) = self.configured(&host.id) else {
            look.blocked = Some((format!("{} is not configured", host.id), None, None));
            return Ok(look);
        };
        if config.access == Access::Api {
            let why = format!("{} goes over SSH, and it is configured without SSH (type = \"proxmox\")", call.as_str());
            let file = self.config.path.display().to_string();
            let fix = HintId::NoSsh.say(&[("server", host.id.as_str()), ("config", &file)]);
            look.blocked = Some((why, Some(fix), None));
            return Ok(look);
        }
        let node = host.cluster.as_ref().zip(host.node.as_ref());
        let members = async { self.members(links, node?.0).await };
        let tasks = async { self.tasks(links, node?.0, node?.1).await };
        let here = async { if config.access == Access::Local { None } else { self.local_identity().await.ok() } };
        let past_locks = options.allowed.contains(&CheckId::SleepInhibited);
        let seen = self.host_preflight(config, past_locks);
        let (seen, here, (members, tasks)) = Box::pin(join3(seen, here, join(members, tasks))).await;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                let failed = self.failed(&host.id, &error);
                look.blocked = Some((failed.message, failed.advice, Some(failed.kind)));
                return Ok(look);
            }
        };
        let mut found =
            |id, message: String, fix: String| look.findings.push(Finding::new(id, &host.id, message).fix(fix));
        self.look_at_itself(config, host, servers, &seen, here.as_ref(), &mut found).await;
        look_at_people(&seen, call, &mut found);
        if call.sleeps() {
            match self.wake_path_of(config, servers, links).await {
                Err(error) => {
                    let fix = error.advice().unwrap_or_else(|| "allow it if somebody can press its button".to_owned());
                    found(CheckId::NoWakePath, format!("nobody could wake it again: {error}"), fix);
                }
                // What its hardware cannot do no option makes it do.
                Ok(_) if options.arm_wol && !seen.wol_impossible(config.mac.map(|mac| mac.to_string()).as_deref()) => {}
                Ok(_) => look_at_wol(&seen, config, &mut found),
            }
        }
        if let Some(members) = &members {
            look_at_members(members, host, &mut found);
        }
        // A token may see its own tasks only; the host itself shows all.
        let told = tasks.iter().flatten().any(|task| task.kind == "vzdump");
        let shown = seen.tasks.as_ref().map(|tasks| tasks.iter().any(|task| task.contains("vzdump")));
        let backup_runs = if told { Some(true) } else { shown };
        let tasks: Vec<String> = match tasks {
            Some(tasks) => tasks.iter().filter(|task| !is_console(task)).map(describe).collect(),
            None => seen.tasks.iter().flatten().cloned().collect(),
        };
        let (backups, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| task.contains("vzdump"));
        for (id, tasks, what) in
            [(CheckId::BackupRunning, backups, "a backup runs"), (CheckId::TasksRunning, others, "tasks run")]
        {
            if !tasks.is_empty() {
                found(id, format!("{what} on it: {}", list(tasks)), "wait until that has ended".to_owned());
            }
        }
        look_at_guests_of(host, servers, call, backup_runs, &mut found);
        if options.guests != Some(Policy::Leave) {
            look_at_running(host, servers, when, &seen, &mut found);
        }
        // What its hardware cannot do no option makes it do.
        if !seen.wol_impossible(config.mac.map(|mac| mac.to_string()).as_deref()) {
            for finding in look.findings.iter_mut().filter(|finding| finding.id == CheckId::WolNotArmed) {
                finding.remedy = Some(Remedy::ArmWol);
            }
        }
        let way = if seen.goes_past_locks(call, past_locks) { seen.way_past(call) } else { seen.way(call) };
        if let Some(Err(no_way)) = way {
            if no_way.is_masked() {
                let fix = no_way.hint().unwrap_or_default();
                let finding = Finding::new(CheckId::SleepMasked, &host.id, no_way.to_string()).final_word();
                look.findings.push(finding.fix(format!("on {}: {fix}", host.id)));
            } else {
                let kind = matches!(no_way, NoWay::Rights { .. }).then_some(FailureKind::Denied);
                look.blocked = Some((format!("{} cannot {}: {no_way}", host.id, call.as_str()), no_way.hint(), kind));
            }
        }
        look.seen = Some(seen);
        Ok(look)
    }

    /// Whether ecobox, or its way to others, goes down with the host.
    async fn look_at_itself(
        &self,
        config: &ServerConfig,
        host: &Server,
        servers: &[Server],
        seen: &HostPreflight,
        here: Option<&Identity>,
        found: &mut impl FnMut(CheckId, String, String),
    ) {
        let elsewhere = || "run this from another machine".to_owned();
        let there = seen.identity();
        if config.access == Access::Local {
            found(CheckId::Itself, "ecobox runs on it".to_owned(), elsewhere());
        }
        if let Some(here) = here {
            match here.itself(&there) {
                Some(Itself::ThisMachine) => found(CheckId::Itself, "ecobox runs on it".to_owned(), elsewhere()),
                Some(Itself::KernelHost) => {
                    found(CheckId::Itself, "ecobox runs in a container on it".to_owned(), elsewhere());
                }
                None => {
                    if let Some(guest) = guest_of(here, host, servers, seen) {
                        found(CheckId::Itself, format!("ecobox runs in its guest {guest}"), elsewhere());
                    }
                }
            }
            let addresses: Vec<IpAddr> = there.addresses;
            if here.came_from(&addresses) {
                let message = "your own SSH session comes from it".to_owned();
                found(CheckId::Itself, message, elsewhere());
            }
        }
        let mut behind = Vec::new();
        for other in self.hosts().filter(|other| other.id != config.id && other.access == Access::Ssh) {
            if self.leads_through(config, other).await.unwrap_or(false) {
                behind.push(other.id.to_string());
            }
        }
        if !behind.is_empty() {
            let message = format!("it is the SSH jump host of {}", list(behind));
            found(CheckId::Itself, message, "reach them another way first".to_owned());
        }
    }
}

/// The guest of a host that ecobox runs in: by what QEMU was told, else by the addresses that its agent gave.
fn guest_of(here: &Identity, host: &Server, servers: &[Server], seen: &HostPreflight) -> Option<String> {
    let on_it = || servers.iter().filter(|server| server.vmid.is_some() && server.parent.as_ref() == Some(&host.id));
    let carried = seen.carries.iter().find(|(_, carried)| here.is_guest(carried.uuid.as_deref(), &carried.macs));
    if let Some((vmid, _)) = carried {
        let listed = on_it().find(|guest| guest.vmid == Some(*vmid));
        return Some(listed.map_or_else(|| vmid.to_string(), |guest| guest.id.to_string()));
    }
    let is_here = |guest: &&Server| {
        let macs: Vec<String> = guest.addresses.iter().filter_map(|address| address.mac.clone()).collect();
        here.is_guest(None, &macs)
    };
    on_it().find(is_here).map(|guest| guest.id.to_string())
}

/// Users, and programs that asked not to sleep.
fn look_at_people(seen: &HostPreflight, call: HostCall, found: &mut impl FnMut(CheckId, String, String)) {
    if let Some(users) = seen.users.as_deref().filter(|users| !users.is_empty()) {
        let message = format!("logged in: {}", list(users));
        found(CheckId::LoggedInUsers, message, "ask them to log out".to_owned());
    }
    let blocks = seen.blocks(call).unwrap_or_default();
    if !blocks.is_empty() {
        let one = |inhibitor: &&crate::model::host::power::Inhibitor| format!("{} ({})", inhibitor.who, inhibitor.why);
        let message = format!("programs ask not to {}: {}", call.as_str(), list(blocks.iter().map(one)));
        found(CheckId::SleepInhibited, message, "end them, or wait until they are done".to_owned());
    }
}

/// What may help a card that knows no magic packet.
const FIRMWARE: &str = "look for Wake-on-LAN in its firmware's settings";

fn look_at_wol(seen: &HostPreflight, config: &ServerConfig, found: &mut impl FnMut(CheckId, String, String)) {
    let mac = config.mac.map(|mac| mac.to_string());
    if seen.wol_impossible(mac.as_deref()) {
        let message = "its network card knows no Wake-on-LAN by magic packet: nothing would wake it";
        let fix = format!("{FIRMWARE}, or allow it if somebody can press its button");
        return found(CheckId::WolNotArmed, message.to_owned(), fix);
    }
    let message = match seen.wol_armed(mac.as_deref()) {
        Some(true) => return,
        Some(false) => "Wake-on-LAN is off on its network card: nothing would wake it",
        None => "whether its network card would wake it could not be read",
    };
    found(CheckId::WolNotArmed, message.to_owned(), "add `--arm-wol`".to_owned());
}

/// The votes that are left when this node is gone. Each node is taken to have one vote.
fn look_at_members(members: &ClusterStatus, host: &Server, found: &mut impl FnMut(CheckId, String, String)) {
    let others = members.nodes.iter().filter(|node| Some(&node.name) != host.node.as_ref());
    let (all, left) = (members.nodes.len(), others.filter(|node| node.online).count());
    if all > 1 && left * 2 <= all {
        let message = format!("its cluster would lose quorum: {left} of {all} nodes would be left");
        found(CheckId::QuorumLost, message, "bring another node up first".to_owned());
    }
}

/// What the host's guests say against it, whether they run or not.
fn look_at_guests_of(
    host: &Server,
    servers: &[Server],
    call: HostCall,
    backup_runs: Option<bool>,
    found: &mut impl FnMut(CheckId, String, String),
) {
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
        found(CheckId::HaManaged, message, "move them to another node first".to_owned());
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
            found(CheckId::BackupRunning, message, "wait until it has ended".to_owned());
        }
        (Some(first), Some(_)) => {
            let tool = if first.kind.guest() == Some(GuestKind::Qemu) { "qm" } else { "pct" };
            let number = first.vmid.map(|vmid| vmid.to_string()).unwrap_or_default();
            let message = format!("guests are locked for a backup, and none runs: {}", names());
            let fix = format!("`{tool} unlock {number}` on it removes a lock that was left behind");
            found(CheckId::GuestLocked, message, fix);
        }
    }
}

/// The guests that the host itself shows to run. While the plan is made those are left out that it deals with; when
/// their host's turn has come all of them should be down, whatever anybody listed.
fn look_at_running(
    host: &Server,
    servers: &[Server],
    when: When,
    seen: &HostPreflight,
    found: &mut impl FnMut(CheckId, String, String),
) {
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
        found(CheckId::RunningGuests, message, "run `ecobox discover`, or add `--guests leave`".to_owned());
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
        let text = include_str!("../../../../docs/power.md");
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
