//! What an action on a guest comes down to, decided from what is known of the guest, as Proxmox VE decides it.

use crate::model::check::fault::Fault;
use crate::model::guest::GuestCall;
use crate::model::id::{GuestKind, ServerId};
use crate::model::power::{Finding, PowerAction, PowerState};

/// What decides about an action on a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuestView<'a> {
    pub(crate) kind: GuestKind,
    pub(crate) state: PowerState,
    /// Proxmox VE's own word behind the state: `qmpstatus`.
    pub(crate) raw: &'a str,
    pub(crate) lock: Option<&'a str>,
    /// The HA manager's state; `None`: not managed.
    pub(crate) ha: Option<&'a str>,
    pub(crate) template: bool,
}

/// How the action was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StopOptions {
    /// A guest that does not shut down in time is stopped.
    pub(crate) then_stop: bool,
    /// A shutdown that still runs is ended by a stop.
    pub(crate) overrule_shutdown: bool,
}

/// One reason against a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Against {
    pub(crate) fault: Fault,
    /// Whether the call can succeed despite it.
    pub(crate) overridable: bool,
}

impl Against {
    /// This reason as a finding of a server.
    pub(crate) fn at(self, server: &ServerId) -> Finding {
        Finding { overridable: self.overridable, ..Finding::of(self.fault, server) }
    }
}

/// What an action on a guest comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as it should be. A hibernated guest counts as off.
    Already(PowerState),
    /// This one call is due; each reason against it has to be allowed before.
    Call { call: GuestCall, against: Vec<Against> },
    /// No call would do it.
    Cannot { why: String, fix: Option<String> },
}

impl Verdict {
    fn cannot(why: impl Into<String>, fix: &str) -> Verdict {
        Verdict::Cannot { why: why.into(), fix: Some(fix.to_owned()).filter(|fix| !fix.is_empty()) }
    }
}

/// What the action comes down to for this guest.
///
/// From the sources and recordings of Proxmox VE 9.2: which call is refused at once, which ends as a failed task, and
/// which does nothing. What would fail is not sent.
pub(crate) fn judge(action: PowerAction, guest: &GuestView<'_>, stop: StopOptions) -> Verdict {
    if let Some(no_such) = no_such_action(action, guest.kind) {
        return no_such;
    }
    if guest.state == PowerState::Unknown {
        return Verdict::cannot("its current state is unknown", "look at `ecobox status`");
    }
    match judge_state(action, guest, stop) {
        Ok(call) => {
            let against = against(action, &call, guest);
            Verdict::Call { call, against }
        }
        Err(verdict) => verdict,
    }
}

/// Actions that this kind of guest does not have.
fn no_such_action(action: PowerAction, kind: GuestKind) -> Option<Verdict> {
    let (why, fix) = match (kind, action) {
        (_, PowerAction::Migrate) => ("to migrate changes nothing of its power", "use `ecobox migrate`"),
        (_, PowerAction::Wake) => ("a guest has no network card to wake it by", "use `start`"),
        (GuestKind::Lxc, PowerAction::Reset) => ("a container has no reset", "use `reboot`, or `stop` and `start`"),
        (GuestKind::Lxc, PowerAction::Suspend | PowerAction::Hibernate) => {
            // Proxmox VE offers lxc-checkpoint as an experiment; it fails in practice.
            ("a container cannot be suspended", "use `shutdown`")
        }
        (GuestKind::Lxc, PowerAction::Resume) => ("a container cannot be suspended, so not resumed", "use `start`"),
        _ => return None,
    };
    Some(Verdict::cannot(why, fix))
}

/// The call that the state asks for, or that there is none.
fn judge_state(action: PowerAction, guest: &GuestView<'_>, stop: StopOptions) -> Result<GuestCall, Verdict> {
    use PowerState::{Hibernated, Paused, Running, Stopped};
    let not_running = |fix: &str| Err(Verdict::cannot(format!("it is {}", guest.state), fix));
    match (action, guest.state) {
        (PowerAction::Start | PowerAction::Resume, Running)
        | (PowerAction::Shutdown | PowerAction::Stop, Stopped | Hibernated)
        | (PowerAction::Suspend, Paused)
        | (PowerAction::Hibernate, Hibernated) => Err(Verdict::Already(guest.state)),

        (PowerAction::Start | PowerAction::Resume, Paused) => resume(guest.raw),
        // With the lock `suspended` a start reads the memory back from disk.
        (PowerAction::Start, _) | (PowerAction::Resume, Hibernated) => Ok(GuestCall::Start),
        // Never reached with `wake` and `migrate`: guests do not have them.
        (PowerAction::Resume | PowerAction::Wake | PowerAction::Migrate, _) => not_running("use `start`"),

        (PowerAction::Shutdown, Paused) if is_paused(guest.raw) && !stop.then_stop => Err(Verdict::cannot(
            "it is paused and cannot shut down cleanly",
            "run `resume` first, or add `--then-stop`",
        )),
        (PowerAction::Shutdown, _) => Ok(GuestCall::Shutdown { timeout: None, force_stop: stop.then_stop }),
        (PowerAction::Stop, _) => {
            // Only virtual machines have it (qemu-server since 8.2); not where HA does the work.
            let overrule_shutdown = stop.overrule_shutdown && guest.kind == GuestKind::Qemu && guest.ha.is_none();
            Ok(GuestCall::Stop { overrule_shutdown })
        }

        (PowerAction::Reboot, Running) => Ok(GuestCall::Reboot { timeout: None }),
        (PowerAction::Reboot, Paused) => {
            Err(Verdict::cannot("it is paused and cannot reboot cleanly", "run `resume` first, or use `reset`"))
        }
        (PowerAction::Reset, Running | Paused) => Ok(GuestCall::Reset),
        (PowerAction::Suspend, Running) => Ok(GuestCall::Suspend),
        (PowerAction::Hibernate, Running | Paused) => Ok(GuestCall::Hibernate),
        (PowerAction::Reboot | PowerAction::Reset | PowerAction::Suspend | PowerAction::Hibernate, _) => {
            not_running("run `start` first")
        }
    }
}

/// Whether Proxmox VE refuses a clean shutdown for this state of QEMU's.
fn is_paused(raw: &str) -> bool {
    matches!(raw, "paused" | "prelaunch" | "suspended")
}

/// How a guest that executes nothing goes on, by QEMU's state (`qapi/run-state.json`).
fn resume(raw: &str) -> Result<GuestCall, Verdict> {
    match raw {
        "paused" | "prelaunch" | "suspended" | "io-error" | "watchdog" => Ok(GuestCall::Resume),
        "internal-error" | "guest-panicked" | "shutdown" => {
            Err(Verdict::cannot(format!("QEMU says {raw}: it cannot go on"), "use `reset`, or `stop` and `start`"))
        }
        _ => Err(Verdict::cannot(
            format!("QEMU says {raw}: something works on it right now"),
            "look again when that has ended",
        )),
    }
}

/// The reasons against a call.
fn against(action: PowerAction, call: &GuestCall, guest: &GuestView<'_>) -> Vec<Against> {
    let mut found = Vec::new();
    if guest.template {
        found.push(Against { fault: Fault::template(), overridable: false });
    }
    if let Some(lock) = guest.lock.filter(|lock| !is_free_under(lock, call, guest.kind)) {
        found.push(Against { fault: Fault::locked(lock, guest.kind), overridable: false });
    }
    found.extend(guest.ha.and_then(|ha| against_ha(action, call, ha)));
    found
}

/// Whether Proxmox VE carries the call out although the configuration has this lock.
fn is_free_under(lock: &str, call: &GuestCall, kind: GuestKind) -> bool {
    match lock {
        // `pct mount`: pve-container passes over it when it starts and when it stops.
        "mounted" if kind == GuestKind::Lxc => matches!(call, GuestCall::Start | GuestCall::Stop { .. }),
        "suspended" => matches!(call, GuestCall::Start | GuestCall::Resume),
        // A backup pauses and resumes the guest itself; a person may, too.
        "backup" => matches!(call, GuestCall::Suspend | GuestCall::Resume),
        _ => false,
    }
}

/// What the HA manager's state says against a call that goes through it.
fn against_ha(action: PowerAction, call: &GuestCall, ha: &str) -> Option<Against> {
    let through_ha = matches!(call, GuestCall::Start | GuestCall::Shutdown { .. } | GuestCall::Stop { .. });
    let (fault, overridable) = match (ha, action) {
        ("ignored", _) => return None,
        (_, PowerAction::Hibernate) => (Fault::ha_never_hibernates(), false),
        ("error", _) if through_ha => (Fault::ha_in_error(), false),
        ("fence" | "recovery" | "migrate" | "relocate" | "freeze", _) if through_ha => (Fault::ha_busy(ha), true),
        _ => return None,
    };
    Some(Against { fault, overridable })
}

#[cfg(test)]
mod tests;
