//! What each power action does in each state of a guest, as Proxmox VE decides it.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::guest::{Agent, Guest, Kind, Power};
use crate::migrate::{self, Migration};
use crate::snapshot;
use crate::tasks::Effect;

/// A power action of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
    Shutdown,
    Reboot,
    Reset,
    Suspend,
    Hibernate,
    Resume,
    /// What is done with a snapshot (its number in `SnapshotWorld`).
    Snapshot(usize),
}

/// What a task was started for.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) node: String,
    pub(crate) guest: Kind,
    pub(crate) vmid: u32,
    pub(crate) action: Action,
    pub(crate) timeout: Option<u32>,
    pub(crate) force_stop: bool,
    pub(crate) overrules_shutdown: bool,
    pub(crate) through_ha: bool,
    pub(crate) migration: Option<Migration>,
}

impl Work {
    /// What is done to a guest without further options.
    pub(crate) fn on_guest(node: &str, guest: Kind, vmid: u32, action: Action) -> Work {
        Work {
            node: node.to_owned(),
            guest,
            vmid,
            action,
            timeout: None,
            force_stop: false,
            overrules_shutdown: false,
            through_ha: false,
            migration: None,
        }
    }

    /// The type of the task, as it stands in its UPID.
    pub(crate) fn task_kind(&self) -> &'static str {
        if self.migration.is_some() {
            return match (self.through_ha, self.guest) {
                (true, _) => "hamigrate",
                (false, Kind::Qemu) => "qmigrate",
                (false, Kind::Lxc) => "vzmigrate",
            };
        }
        if self.through_ha {
            return if self.action == Action::Start { "hastart" } else { "hastop" };
        }
        match (self.guest, self.action) {
            (Kind::Qemu, Action::Start) => "qmstart",
            (Kind::Qemu, Action::Stop) => "qmstop",
            (Kind::Qemu, Action::Shutdown) => "qmshutdown",
            (Kind::Qemu, Action::Reboot) => "qmreboot",
            (Kind::Qemu, Action::Reset) => "qmreset",
            (Kind::Qemu, Action::Suspend) => "qmpause",
            (Kind::Qemu, Action::Hibernate) => "qmsuspend",
            (Kind::Qemu, Action::Resume) => "qmresume",
            (Kind::Lxc, Action::Start) => "vzstart",
            (Kind::Lxc, Action::Stop) => "vzstop",
            (Kind::Lxc, Action::Shutdown) => "vzshutdown",
            (Kind::Lxc, Action::Reboot) => "vzreboot",
            (Kind::Lxc, Action::Resume) => "vzresume",
            (Kind::Qemu, Action::Snapshot(_)) => "qmsnapshot",
            (Kind::Lxc, Action::Snapshot(_)) => "vzsnapshot",
            (Kind::Lxc, _) => "vzsuspend",
        }
    }

    pub(crate) fn lock_file(&self) -> String {
        match self.guest {
            Kind::Qemu => format!("/var/lock/qemu-server/lock-{}.conf", self.vmid),
            Kind::Lxc => format!("/run/lock/lxc/pve-config-{}.lock", self.vmid),
        }
    }
}

/// How a task will end.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) takes: Duration,
    pub(crate) exit: String,
    pub(crate) effect: Effect,
    pub(crate) log: Vec<String>,
    /// What it says on the way: so long after its begin.
    pub(crate) gradual: Vec<(Duration, String)>,
}

impl Plan {
    pub(crate) fn fails(text: impl Into<String>) -> Plan {
        Plan { takes: Duration::ZERO, exit: text.into(), effect: Effect::Nothing, log: Vec::new(), gradual: Vec::new() }
    }

    /// A task that only takes its time.
    pub(crate) fn nothing() -> Plan {
        Plan::does(Effect::Nothing, Duration::ZERO)
    }

    pub(crate) fn does(effect: Effect, takes: Duration) -> Plan {
        Plan { takes, exit: "OK".to_owned(), effect, log: Vec::new(), gradual: Vec::new() }
    }
}

/// What the API refuses at once (HTTP 500), before there is a task.
pub(crate) fn refusal(cluster: &Cluster, work: &Work) -> Option<String> {
    let guest = on_node(cluster, work);
    let active = guest.is_some_and(Guest::is_active);
    let not_running = format!("{} {} not running", work.guest.title(), work.vmid);
    match (work.guest, work.action) {
        (_, Action::Snapshot(_)) => None,
        (_, Action::Start) if !cluster.quorate => Some("cluster not ready - no quorum?".to_owned()),
        (Kind::Lxc, Action::Start) => active.then(|| format!("CT {} already running", work.vmid)),
        (Kind::Lxc, _) => (!active).then_some(not_running),
        (Kind::Qemu, Action::Shutdown) => {
            let paused = guest.is_some_and(|guest| ["paused", "prelaunch", "suspended"].contains(&guest.qmpstatus()));
            (paused && !work.force_stop).then(|| "VM is paused - cannot shutdown".to_owned())
        }
        (Kind::Qemu, Action::Resume) => {
            let wakes = guest.is_some_and(|guest| guest.lock.as_deref() == Some("suspended"));
            (!active && !wakes).then_some(not_running)
        }
        (Kind::Qemu, Action::Reboot | Action::Reset | Action::Suspend | Action::Hibernate) => {
            (!active).then_some(not_running)
        }
        (Kind::Qemu, Action::Start | Action::Stop) => None,
    }
}

/// What the task will do, decided when it gets the guest's lock.
pub(crate) fn plan(cluster: &Cluster, work: &Work) -> Plan {
    if let Action::Snapshot(number) = work.action {
        return snapshot::plan(cluster, work, number);
    }
    if let Some(migration) = &work.migration {
        return migrate::plan(cluster, work, migration);
    }
    let brief = cluster.clock.seconds(cluster.timing.task);
    let Some(guest) = on_node(cluster, work) else { return no_such_guest(work) };
    if work.through_ha && !cluster.quorate {
        let sid = format!("{}:{}", work.guest.ha_word(), work.vmid);
        return Plan::fails(format!("command 'ha-manager crm-command stop {sid} 0' failed: exit code 255"));
    }
    if work.through_ha {
        return Plan::does(Effect::RequestHa { start: work.action == Action::Start }, brief);
    }
    let locked = guest.lock.as_ref().map(|lock| format!("{} is locked ({lock})", work.guest.title()));
    let suspended = guest.lock.as_deref() == Some("suspended");
    let unlocked = match (work.guest, guest.lock.as_deref()) {
        (Kind::Qemu, Some("backup")) => matches!(work.action, Action::Resume | Action::Suspend),
        (Kind::Lxc, Some("mounted")) => matches!(work.action, Action::Start | Action::Stop),
        _ => false,
    };
    match work.action {
        Action::Start => match start_problem(guest, locked.filter(|_| !suspended && !unlocked)) {
            Some(problem) => Plan::fails(problem),
            None => Plan::does(Effect::Start, brief),
        },
        Action::Resume if !guest.is_active() && suspended => Plan::does(Effect::Start, brief),
        Action::Resume | Action::Suspend | Action::Hibernate if work.guest == Kind::Lxc => {
            let path = "/var/lib/lxc";
            Plan::fails(format!("command 'lxc-checkpoint -n {} -s -D {path}' failed: exit code 1", work.vmid))
        }
        _ if !guest.is_active() => Plan::does(Effect::Nothing, Duration::ZERO),
        _ if locked.is_some() && !unlocked => Plan::fails(locked.unwrap_or_default()),
        Action::Stop => Plan::does(Effect::Stop, brief),
        Action::Hibernate => hibernate(cluster, work, brief),
        Action::Shutdown => clean_end(cluster, guest, work, Effect::Stop),
        Action::Reboot => clean_end(cluster, guest, work, Effect::Restart),
        Action::Reset => Plan::does(Effect::Nothing, brief),
        Action::Resume => Plan::does(Effect::Resume, brief),
        Action::Suspend => Plan::does(Effect::Pause, brief),
        Action::Snapshot(_) => Plan::nothing(),
    }
}

fn on_node<'a>(cluster: &'a Cluster, work: &Work) -> Option<&'a Guest> {
    cluster.find(work.vmid).filter(|guest| guest.kind == work.guest && guest.node == work.node)
}

fn no_such_guest(work: &Work) -> Plan {
    let (node, vmid) = (&work.node, work.vmid);
    let by_process = work.guest == Kind::Qemu && work.action != Action::Start;
    Plan::fails(if by_process {
        format!("unable to find configuration file for VM {vmid} on node '{node}'")
    } else {
        format!("Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist", work.guest.folder())
    })
}

fn start_problem(guest: &Guest, locked: Option<String>) -> Option<String> {
    if guest.template {
        let what = if guest.kind == Kind::Qemu { "vm" } else { "CT" };
        return Some(format!("you can't start a {what} if it's a template"));
    }
    if let Some(locked) = locked {
        return Some(locked);
    }
    if guest.is_active() {
        return Some(format!("{} {} already running", guest.kind.title(), guest.vmid));
    }
    let volume = format!("local:{0}/vm-{0}-disk-0.raw", guest.vmid);
    guest.missing_disk.then(|| format!("volume '{volume}' does not exist"))
}

/// The image of the memory is made first, then the configuration is written (`RunState.pm`, `vm_suspend`).
fn hibernate(cluster: &Cluster, work: &Work, takes: Duration) -> Plan {
    let vmid = work.vmid;
    if cluster.left_images.contains(&vmid) {
        let image = format!("vm-{vmid}-state-suspend-2026-11-29.raw");
        return Plan::fails(format!("disk image '/var/lib/vz/images/{vmid}/{image}' already exists"));
    }
    if !cluster.quorate {
        let file = format!("/etc/pve/nodes/{}/qemu-server/{vmid}.conf.tmp.4711", work.node);
        let exit = format!("unable to open file '{file}' - Permission denied");
        return Plan { takes, exit, effect: Effect::LeaveImage, log: Vec::new(), gradual: Vec::new() };
    }
    Plan::does(Effect::Hibernate, takes)
}

/// Shutdown and reboot: the guest obeys, or is killed, or the task fails at its timeout.
fn clean_end(cluster: &Cluster, guest: &Guest, work: &Work, effect: Effect) -> Plan {
    let seconds = |seconds: f64| cluster.clock.seconds(seconds);
    let mut log = Vec::new();
    let mut before = Duration::ZERO;
    if guest.agent == Agent::Dead {
        before = seconds(cluster.timing.agent_timeout);
        let cause = format!("VM {} qga command 'guest-ping' failed - got timeout", guest.vmid);
        log.push(format!("QEMU Guest Agent is not running - {cause}"));
    }
    // A container's `down` time is for the end of its node only.
    let own = guest.shutdown_limit.filter(|_| work.guest == Kind::Qemu);
    let limit = f64::from(work.timeout.or(own).unwrap_or(60));
    let needs = cluster.timing.shutdown;
    let obeys = !guest.deaf && guest.power == Power::Running && needs <= limit;
    if obeys {
        return Plan { takes: before + seconds(needs), exit: "OK".to_owned(), effect, log, gradual: Vec::new() };
    }
    let takes = before + seconds(limit);
    if work.force_stop {
        log.push("VM still running - terminating now with SIGTERM".to_owned());
        return Plan { takes, exit: "OK".to_owned(), effect, log, gradual: Vec::new() };
    }
    // `vm_reboot` of pve-container kills what does not obey.
    if work.guest == Kind::Lxc && work.action == Action::Reboot {
        return Plan { takes, exit: "OK".to_owned(), effect, log, gradual: Vec::new() };
    }
    if work.guest == Kind::Qemu {
        let exit = "VM quit/powerdown failed - got timeout".to_owned();
        return Plan { takes, exit, effect: Effect::Nothing, log, gradual: Vec::new() };
    }
    // The command has failed; its socket is polled for its timeout and 5 s (`vm_stop`).
    let command = format!("lxc-stop -n {} --nokill --timeout {limit}", guest.vmid);
    log.push(format!("command '{command}' failed: exit code 1"));
    let takes = takes + seconds(limit + 5.0);
    Plan { takes, exit: "container did not stop".to_owned(), effect: Effect::Nothing, log, gradual: Vec::new() }
}
