//! Every combination of a guest's kind, state, lock, HA state and template flag with every verb, held against what
//! Proxmox VE does with a call; and single rows for what people meet.

use super::*;
use crate::model::check::CheckId;
use crate::model::power::Goal;

/// What Proxmox VE 9.2 does with a call: from the recordings where there is one, else from qemu-server's, pve-container's
/// and pve-ha-manager's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The goal of the call is reached.
    Works,
    /// It ends well and changes nothing: the goal was reached before.
    Nothing,
    /// Refused at once, or the task fails, or HA never gets to it.
    Fails,
}

/// One combination, as Proxmox VE says it.
#[derive(Debug, Clone, Copy)]
struct Combination {
    kind: GuestKind,
    /// `stopped` or `running`.
    status: &'static str,
    qmpstatus: &'static str,
    lock: Option<&'static str>,
    ha: Option<&'static str>,
    template: bool,
}

impl Combination {
    fn view(&self) -> GuestView<'static> {
        GuestView {
            kind: self.kind,
            state: PowerState::of_guest(self.status, Some(self.qmpstatus), self.lock, true),
            raw: self.qmpstatus,
            lock: self.lock,
            ha: self.ha,
            template: self.template,
        }
    }
}

const QEMU_LOCKS: [Option<&str>; 11] = [
    None,
    Some("backup"),
    Some("clone"),
    Some("create"),
    Some("migrate"),
    Some("rollback"),
    Some("snapshot"),
    Some("snapshot-delete"),
    Some("suspending"),
    Some("suspended"),
    Some("a lock of tomorrow"),
];
const LXC_LOCKS: [Option<&str>; 11] = [
    None,
    Some("backup"),
    Some("create"),
    Some("destroyed"),
    Some("disk"),
    Some("fstrim"),
    Some("migrate"),
    Some("mounted"),
    Some("rollback"),
    Some("snapshot"),
    Some("snapshot-delete"),
];
const QMPSTATUS: [&str; 13] = [
    "running",
    "stopped",
    "paused",
    "prelaunch",
    "suspended",
    "io-error",
    "internal-error",
    "guest-panicked",
    "watchdog",
    "shutdown",
    "inmigrate",
    "postmigrate",
    "save-vm",
];
const HA: [Option<&str>; 9] = [
    None,
    Some("started"),
    Some("stopped"),
    Some("error"),
    Some("fence"),
    Some("recovery"),
    Some("migrate"),
    Some("freeze"),
    Some("ignored"),
];

fn combinations() -> Vec<Combination> {
    let mut all = Vec::new();
    for ha in HA {
        for template in [false, true] {
            for lock in QEMU_LOCKS {
                for qmpstatus in QMPSTATUS {
                    // A template has no process; a hibernated machine neither.
                    let stopped = qmpstatus == "stopped";
                    if (template || lock == Some("suspended")) && !stopped {
                        continue;
                    }
                    let status = if stopped { "stopped" } else { "running" };
                    all.push(Combination { kind: GuestKind::Qemu, status, qmpstatus, lock, ha, template });
                }
            }
            for lock in LXC_LOCKS {
                for status in ["running", "stopped"] {
                    if template && status == "running" {
                        continue;
                    }
                    all.push(Combination { kind: GuestKind::Lxc, status, qmpstatus: status, lock, ha, template });
                }
            }
        }
    }
    all
}

/// What becomes of a call that is sent in this situation.
fn proxmox(guest: &Combination, call: &GuestCall) -> Outcome {
    let through_ha = matches!(call, GuestCall::Start | GuestCall::Shutdown { .. } | GuestCall::Stop { .. });
    if let Some(ha) = guest.ha.filter(|ha| *ha != "ignored") {
        if through_ha && matches!(ha, "error" | "fence" | "recovery" | "migrate" | "freeze") {
            return Outcome::Fails;
        }
        // API2/Qemu.pm, vm_suspend: HA guests are not suspended to disk.
        if *call == GuestCall::Hibernate {
            return Outcome::Fails;
        }
    }
    match guest.kind {
        GuestKind::Qemu => qemu(guest, call),
        GuestKind::Lxc => lxc(guest, call),
    }
}

fn qemu(guest: &Combination, call: &GuestCall) -> Outcome {
    let active = guest.status == "running";
    let locked = guest.lock.is_some();
    let backup = guest.lock == Some("backup");
    let hibernated = guest.lock == Some("suspended");
    // Rows stand as Proxmox VE's code has them.
    #[expect(clippy::match_same_arms, reason = "one reason a row")]
    match call {
        // vm_start: "you can't start a vm if it's a template", "VM is locked (..)", "VM n already running".
        GuestCall::Start if guest.template || active || (locked && !hibernated) => Outcome::Fails,
        GuestCall::Start => Outcome::Works,
        // Recorded: tasks of a stopped machine end OK, whatever its lock; a hibernated one, too.
        GuestCall::Shutdown { .. } | GuestCall::Stop { .. } if !active => Outcome::Nothing,
        GuestCall::Shutdown { force_stop: false, .. }
            if matches!(guest.qmpstatus, "paused" | "prelaunch" | "suspended") =>
        {
            Outcome::Fails
        }
        GuestCall::Shutdown { .. } | GuestCall::Stop { .. } if locked => Outcome::Fails,
        GuestCall::Shutdown { .. } | GuestCall::Stop { .. } => Outcome::Works,
        // "VM n not running".
        GuestCall::Reboot { .. } | GuestCall::Reset | GuestCall::Suspend | GuestCall::Hibernate if !active => {
            Outcome::Fails
        }
        // What does not execute does not obey.
        GuestCall::Reboot { .. } if guest.qmpstatus != "running" => Outcome::Fails,
        GuestCall::Reboot { .. } | GuestCall::Reset if locked => Outcome::Fails,
        GuestCall::Reboot { .. } | GuestCall::Reset => Outcome::Works,
        GuestCall::Suspend if locked && !backup => Outcome::Fails,
        GuestCall::Suspend if guest.qmpstatus == "running" => Outcome::Works,
        GuestCall::Suspend => Outcome::Nothing,
        GuestCall::Hibernate if locked => Outcome::Fails,
        GuestCall::Hibernate => Outcome::Works,
        GuestCall::Resume if !active && hibernated => Outcome::Works,
        GuestCall::Resume if !active || (locked && !backup) => Outcome::Fails,
        GuestCall::Resume => match guest.qmpstatus {
            "running" => Outcome::Nothing,
            "paused" | "prelaunch" | "suspended" | "io-error" | "watchdog" => Outcome::Works,
            // QEMU wants a reset first, or is in the middle of something.
            _ => Outcome::Fails,
        },
    }
}

fn lxc(guest: &Combination, call: &GuestCall) -> Outcome {
    let running = guest.status == "running";
    // API2/LXC/Status.pm: start and stop pass over the lock of `pct mount`, shutdown and reboot do not.
    let passes = guest.lock == Some("mounted");
    match call {
        GuestCall::Start if guest.template || running || (guest.lock.is_some() && !passes) => Outcome::Fails,
        GuestCall::Stop { .. } if running && passes => Outcome::Works,
        GuestCall::Start => Outcome::Works,
        // There is no reset, and lxc-checkpoint fails.
        GuestCall::Reset | GuestCall::Suspend | GuestCall::Hibernate | GuestCall::Resume => Outcome::Fails,
        // "CT n not running", "CT is locked (..)".
        _ if !running || guest.lock.is_some() => Outcome::Fails,
        _ => Outcome::Works,
    }
}

/// The calls that a verb could be carried out by.
fn inputs(action: PowerAction) -> Vec<GuestCall> {
    match action {
        PowerAction::Start => vec![GuestCall::Start, GuestCall::Resume],
        PowerAction::Resume => vec![GuestCall::Resume],
        PowerAction::Shutdown => vec![GuestCall::Shutdown { timeout: None, force_stop: false }],
        PowerAction::Stop => vec![GuestCall::Stop { overrule_shutdown: false }],
        PowerAction::Reboot => vec![GuestCall::Reboot { timeout: None }],
        PowerAction::Reset => vec![GuestCall::Reset],
        PowerAction::Suspend => vec![GuestCall::Suspend],
        PowerAction::Hibernate => vec![GuestCall::Hibernate],
        PowerAction::Wake | PowerAction::Migrate => Vec::new(),
    }
}

fn wanted(action: PowerAction, state: PowerState) -> bool {
    match action {
        PowerAction::Start | PowerAction::Resume => state == PowerState::Running,
        // Hibernated is off.
        PowerAction::Shutdown | PowerAction::Stop => matches!(state, PowerState::Stopped | PowerState::Hibernated),
        PowerAction::Suspend => state == PowerState::Paused,
        PowerAction::Hibernate => state == PowerState::Hibernated,
        PowerAction::Reboot | PowerAction::Reset | PowerAction::Wake | PowerAction::Migrate => false,
    }
}

#[test]
fn each_combination_is_judged_as_proxmox_would_act() {
    let mut judged = 0;
    for guest in combinations() {
        for action in PowerAction::ALL {
            let verdict = judge(action, &guest.view(), StopOptions::default());
            judged += 1;
            let outcomes: Vec<Outcome> = inputs(action).iter().map(|call| proxmox(&guest, call)).collect();
            let what = format!("{action} {guest:?}: {verdict:?}, Proxmox VE: {outcomes:?}");
            match verdict {
                // What is sent without a word works.
                Verdict::Call { ref call, ref against } if against.is_empty() => {
                    assert_eq!(proxmox(&guest, call), Outcome::Works, "{what}");
                    assert!(!wanted(action, guest.view().state), "{what}");
                }
                // What is warned of does not.
                Verdict::Call { ref call, .. } => assert_eq!(proxmox(&guest, call), Outcome::Fails, "{what}"),
                Verdict::Already(state) => assert!(wanted(action, state), "{what}"),
                // What is refused has no call that would do it, and is not done.
                Verdict::Cannot { .. } => {
                    assert!(!outcomes.contains(&Outcome::Works), "{what}");
                    let has_it = no_such_action(action, guest.kind).is_none();
                    assert!(!has_it || !wanted(action, guest.view().state), "{what}");
                }
            }
        }
    }
    assert!(judged >= 400, "{judged}");
}

fn qemu_in(qmpstatus: &'static str) -> Combination {
    let status = if qmpstatus == "stopped" { "stopped" } else { "running" };
    Combination { kind: GuestKind::Qemu, status, qmpstatus, lock: None, ha: None, template: false }
}

fn container(status: &'static str) -> Combination {
    Combination { kind: GuestKind::Lxc, status, qmpstatus: status, lock: None, ha: None, template: false }
}

#[test]
fn a_start_begins_where_the_guest_stopped() {
    let call = |guest: Combination| match judge(PowerAction::Start, &guest.view(), StopOptions::default()) {
        Verdict::Call { call, against } if against.is_empty() => call,
        verdict => panic!("{guest:?}: {verdict:?}"),
    };
    assert_eq!(call(qemu_in("stopped")), GuestCall::Start);
    assert_eq!(call(container("stopped")), GuestCall::Start);
    assert_eq!(call(qemu_in("paused")), GuestCall::Resume);
    assert_eq!(call(qemu_in("io-error")), GuestCall::Resume);
    assert_eq!(call(Combination { lock: Some("suspended"), ..qemu_in("stopped") }), GuestCall::Start);
    // A backup of a stopped machine keeps it in prelaunch.
    assert_eq!(call(Combination { lock: Some("backup"), ..qemu_in("prelaunch") }), GuestCall::Resume);
}

#[test]
fn reasons_are_named() {
    let cases = [
        (PowerAction::Start, Combination { template: true, ..qemu_in("stopped") }, CheckId::Template, "template"),
        (
            PowerAction::Start,
            Combination { lock: Some("backup"), ..qemu_in("stopped") },
            CheckId::GuestLocked,
            "locked (backup)",
        ),
        (
            PowerAction::Stop,
            Combination { lock: Some("migrate"), ..container("running") },
            CheckId::GuestLocked,
            "migrate",
        ),
        (PowerAction::Stop, Combination { ha: Some("error"), ..qemu_in("running") }, CheckId::HaManaged, "error"),
        (PowerAction::Hibernate, Combination { ha: Some("started"), ..qemu_in("running") }, CheckId::HaManaged, "HA"),
    ];
    for (action, guest, id, says) in cases {
        match judge(action, &guest.view(), StopOptions::default()) {
            Verdict::Call { against, .. } => {
                assert_eq!(against.len(), 1, "{action} {guest:?}: {against:?}");
                assert_eq!(against[0].fault.id, id);
                assert!(against[0].fault.finding.contains(says), "{against:?}");
                assert!(against[0].fault.fix.is_some());
            }
            verdict => panic!("{action} {guest:?}: {verdict:?}"),
        }
    }
}

#[test]
fn what_a_guest_does_not_have_is_said_with_what_it_has() {
    for (action, guest, says, fix) in [
        (PowerAction::Suspend, container("running"), "container", "shutdown"),
        (PowerAction::Reset, container("running"), "no reset", "reboot"),
        (PowerAction::Resume, container("stopped"), "container", "start"),
        (PowerAction::Wake, qemu_in("stopped"), "network card", "start"),
        (PowerAction::Reboot, qemu_in("stopped"), "stopped", "start"),
        (PowerAction::Shutdown, qemu_in("paused"), "paused", "--then-stop"),
        (PowerAction::Start, qemu_in("internal-error"), "internal-error", "reset"),
    ] {
        match judge(action, &guest.view(), StopOptions::default()) {
            Verdict::Cannot { why, fix: Some(said) } => {
                assert!(why.contains(says) && said.contains(fix), "{action} {guest:?}: {why}; {said}");
            }
            verdict => panic!("{action} {guest:?}: {verdict:?}"),
        }
    }
}

#[test]
fn the_manner_changes_the_call_and_nothing_else() {
    let force = StopOptions { then_stop: true, overrule_shutdown: true };
    let call = |action, guest: Combination| match judge(action, &guest.view(), force) {
        Verdict::Call { call, .. } => call,
        verdict => panic!("{verdict:?}"),
    };
    let shutdown = GuestCall::Shutdown { timeout: None, force_stop: true };
    assert_eq!(call(PowerAction::Shutdown, qemu_in("running")), shutdown);
    assert_eq!(call(PowerAction::Shutdown, qemu_in("paused")), shutdown);
    assert_eq!(call(PowerAction::Stop, qemu_in("running")), GuestCall::Stop { overrule_shutdown: true });
    assert_eq!(call(PowerAction::Stop, container("running")), GuestCall::Stop { overrule_shutdown: false });
    let managed = Combination { ha: Some("started"), ..qemu_in("running") };
    assert_eq!(call(PowerAction::Stop, managed), GuestCall::Stop { overrule_shutdown: false });
}

#[test]
fn each_call_has_a_goal_that_the_state_can_show() {
    for (call, shown, not) in [
        (GuestCall::Start, PowerState::Running, PowerState::Paused),
        (GuestCall::Resume, PowerState::Running, PowerState::Paused),
        (GuestCall::Stop { overrule_shutdown: false }, PowerState::Stopped, PowerState::Hibernated),
        (GuestCall::Shutdown { timeout: None, force_stop: false }, PowerState::Stopped, PowerState::Running),
        (GuestCall::Suspend, PowerState::Paused, PowerState::Running),
        (GuestCall::Hibernate, PowerState::Hibernated, PowerState::Stopped),
        (GuestCall::Reboot { timeout: None }, PowerState::Running, PowerState::Stopped),
        (GuestCall::Reset, PowerState::Paused, PowerState::Stopped),
    ] {
        let goal = Goal::of(&call);
        assert!(goal.is_met_by(shown) && !goal.is_met_by(not), "{call:?}");
    }
}
