//! The faults of guests, and of calls to them.

use super::{Fault, list};
use crate::model::check::CheckId;
use crate::model::check::fix::Fix;
use crate::model::id::{GuestKind, ServerId, VmId};

/// A guest whose configuration is locked, and where that is undone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locked<'a> {
    pub(crate) kind: GuestKind,
    pub(crate) vmid: VmId,
    pub(crate) lock: &'a str,
    /// The configured host that it is on, and the node's own name.
    pub(crate) host: Option<&'a ServerId>,
    pub(crate) node: &'a str,
}

impl Locked<'_> {
    /// The command that removes the lock, which ends nothing that works under it.
    pub(crate) fn command(&self) -> String {
        match (self.kind, self.lock) {
            (GuestKind::Lxc, "mounted") => format!("pct unmount {}", self.vmid),
            (GuestKind::Lxc, _) => format!("pct unlock {}", self.vmid),
            (GuestKind::Qemu, _) => format!("qm unlock {}", self.vmid),
        }
    }

    fn place(&self) -> &str {
        self.host.map_or(self.node, ServerId::as_str)
    }

    fn unlock(&self) -> Fix {
        let command = self.command();
        match self.host {
            Some(host) => Fix::on(host, &command),
            None => Fix::say(format!("run `{command}` on {}", self.node)),
        }
    }
}

/// What ends by itself under a lock.
fn work_under(lock: &str) -> &'static str {
    match lock {
        "backup" => "the backup",
        "migrate" => "the migration",
        "snapshot" | "snapshot-delete" | "rollback" => "the work on its snapshots",
        "clone" | "create" => "its creation",
        "suspending" => "its suspension",
        _ => "that work",
    }
}

/// Locks.
impl Fault {
    /// Nobody has looked yet what works under the lock.
    pub(crate) fn locked(lock: &str, kind: GuestKind) -> Fault {
        let tool = if kind == GuestKind::Qemu { "qm" } else { "pct" };
        Fault::new(CheckId::GuestLocked, format!("its configuration is locked ({lock})")).say(format!(
            "wait until {} has ended; `{tool} unlock` on its node removes a lock that was left behind",
            work_under(lock)
        ))
    }

    /// Nobody says what works under the lock.
    pub(crate) fn lock_unclear(locked: &Locked<'_>) -> Fault {
        let (command, place) = (locked.command(), locked.place());
        Fault::new(CheckId::GuestLocked, format!("its configuration is locked ({})", locked.lock)).say(format!(
            "wait until {} has ended; `{command}` on {place} removes a lock that was left behind",
            work_under(locked.lock)
        ))
    }

    /// These tasks work under the lock.
    pub(crate) fn lock_in_use<'t>(lock: &str, kinds: impl IntoIterator<Item = &'t str>) -> Fault {
        let finding = format!("its configuration is locked ({lock}): {} works on it", list(kinds));
        Fault::new(CheckId::GuestLocked, finding).say("wait until that has ended")
    }

    /// Nothing works under the lock.
    pub(crate) fn lock_left_behind(locked: &Locked<'_>) -> Fault {
        let finding = format!("its configuration is locked ({}), and no task works on it", locked.lock);
        Fault::new(CheckId::GuestLocked, finding).fix(locked.unlock()).lasting()
    }

    /// Guests of a host have a lock of a backup that does not run.
    pub(crate) fn locks_left_behind(guests: &str, first: &Locked<'_>) -> Fault {
        let finding = format!("guests are locked for a backup, and none runs: {guests}");
        Fault::new(CheckId::GuestLocked, finding).fix(first.unlock()).lasting()
    }
}

/// Guest agents.
impl Fault {
    const SILENT: &'static str = "its guest agent is enabled and does not answer";

    /// The agent of a guest that runs. `young`: how long it runs, where it may still be booting.
    pub(crate) fn silent_agent(vmid: VmId, young: &str) -> Fault {
        let fix = Fix::of(CheckId::NoAgent, &[("vmid", &vmid.to_string())]);
        Fault::new(CheckId::NoAgent, format!("{}{young}", Fault::SILENT)).fix(fix).lasting()
    }

    /// The same before a clean end, which goes through the agent.
    pub(crate) fn silent_agent_at_end(shuts_down: bool) -> Fault {
        let finding = format!("{}: a clean end may not work", Fault::SILENT);
        let fix = if shuts_down {
            "add `--then-stop`, use `stop`, or allow it to have ACPI's button tried"
        } else {
            "allow it to have ACPI's button tried, or use `stop` and `start`"
        };
        Fault::new(CheckId::NoAgent, finding).say(fix).lasting()
    }

    /// There is no agent, and something is missed for want of it.
    pub(crate) fn agent_off(vmid: VmId, missed: &str) -> Fault {
        let fix = Fix::of(CheckId::AgentOff, &[("vmid", &vmid.to_string())]);
        Fault::new(CheckId::AgentOff, format!("its guest agent is not enabled{missed}")).fix(fix).lasting()
    }
}

/// What works on a guest, and who manages it.
impl Fault {
    pub(crate) fn template() -> Fault {
        Fault::new(CheckId::Template, "it is a template, which cannot start")
    }

    pub(crate) fn backup_of_it(since: &str) -> Fault {
        Fault::new(CheckId::BackupRunning, format!("a backup of it runs since {since}"))
    }

    pub(crate) fn tasks_of_it<'t>(kinds: impl IntoIterator<Item = &'t str>) -> Fault {
        Fault::new(CheckId::TasksRunning, format!("{} of it runs", list(kinds)))
    }

    pub(crate) fn ha_never_hibernates() -> Fault {
        Fault::new(CheckId::HaManaged, "HA manages it, and such a guest is not suspended to disk")
            .say("take it out of HA")
    }

    pub(crate) fn ha_in_error() -> Fault {
        Fault::new(CheckId::HaManaged, "its HA state is error: HA does nothing with it")
            .say("set its HA state to disabled, then to started")
    }

    pub(crate) fn ha_busy(state: &str) -> Fault {
        Fault::new(CheckId::HaManaged, format!("HA is busy with it ({state})")).say("wait until HA has done that")
    }
}

/// Who a guest is, and what may be done to it.
impl Fault {
    pub(crate) fn number_reused(server: &ServerId, day: &str, known: &str, now: &str) -> Fault {
        let finding = format!("another guest has its number now: on {day} it was {known}, now it is {now}");
        Fault::new(CheckId::IdentityChanged, finding)
            .fix(Fix::of(CheckId::IdentityChanged, &[("server", server.as_str())]))
    }

    pub(crate) fn number_of_other_kind() -> Fault {
        Fault::new(CheckId::IdentityChanged, "another guest has its number now: one of the other kind")
            .say("run `ecobox discover`, and name the guest again")
    }

    pub(crate) fn ecobox_runs_in_it(action: &str) -> Fault {
        let finding = format!("ecobox itself runs in it: nothing would be left to see the {action} through");
        Fault::new(CheckId::Itself, finding)
    }

    /// `since`: when that was said, if not just now. `gives`: what gives it the privilege; `is_of_scope`: its scope should
    /// have had it, so that `doctor` misses it as well.
    pub(crate) fn lacks_privilege(token: &str, missing: &str, since: &str, gives: &str, is_of_scope: bool) -> Fault {
        let finding = format!("its token {token} lacks {missing}{since}");
        let fault = Fault::new(CheckId::PrivilegeMissing, finding).say(gives);
        Fault { lasts: is_of_scope, ..fault }
    }

    /// `of`: ` (1 of 3 nodes online)`.
    pub(crate) fn no_quorum(of: &str, then: &str) -> Fault {
        Fault::new(CheckId::QuorumLost, format!("its cluster has no quorum{of}{then}")).lasting()
    }

    pub(crate) fn refused_for_quorum(reason: &str) -> Fault {
        Fault::new(CheckId::QuorumLost, format!("Proxmox VE refused: {reason}")).lasting()
    }
}
