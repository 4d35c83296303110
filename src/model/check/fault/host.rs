//! The faults of hosts and plain servers, and of calls to them.

use super::{Fault, list};
use crate::model::check::CheckId;
use crate::model::check::fix::Fix;
use crate::model::host::power::{LoggedIn, NoWay};
use crate::model::id::ServerId;

/// What may help a card that knows no magic packet.
const FIRMWARE: &str = "look for Wake-on-LAN in its firmware's settings";
/// The last file in the order of names counts, whatever the others say.
const SLEEP_CONF: &str = "/etc/systemd/sleep.conf.d/zz-ecobox.conf";

/// What works on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    Backups,
    Others,
}

/// Who needs the host.
impl Fault {
    pub(crate) fn logged_in(users: &[&LoggedIn]) -> Fault {
        Fault::new(CheckId::LoggedInUsers, format!("logged in: {}", list(users)))
    }

    pub(crate) fn in_use(reasons: &[String]) -> Fault {
        Fault::new(CheckId::InUse, format!("it is in use: {}", list(reasons)))
    }

    /// Programs that ask not to do this now.
    pub(crate) fn inhibited(call: &str, by: &[String]) -> Fault {
        Fault::new(CheckId::SleepInhibited, format!("programs ask not to {call}: {}", list(by)))
    }

    /// Programs that have asked for so long that they will not end by themselves.
    pub(crate) fn inhibited_without_end(by: &[String]) -> Fault {
        let finding = format!("programs ask not to suspend, and do not end: {}", by.join("; "));
        Fault::new(CheckId::SleepInhibited, finding).lasting()
    }

    pub(crate) fn held_elsewhere<'t>(why: impl IntoIterator<Item = &'t str>) -> Fault {
        Fault::new(CheckId::Held, format!("it is held by ecobox on another machine: {}", list(why)))
            .say("wait until that has ended, or release it there")
    }

    /// `can_be_released`: all of it are holds, which no program goes on under.
    pub(crate) fn held(server: &ServerId, by: &[String], can_be_released: bool) -> Fault {
        let fix = if can_be_released {
            format!("run `ecobox release {server}`")
        } else {
            "wait until that has ended".to_owned()
        };
        Fault::new(CheckId::Held, format!("it is held: {}", by.join("; "))).say(fix)
    }

    pub(crate) fn tasks_on_it(tasks: Tasks, which: &[String]) -> Fault {
        match tasks {
            Tasks::Backups => Fault::new(CheckId::BackupRunning, format!("a backup runs on it: {}", list(which))),
            Tasks::Others => Fault::new(CheckId::TasksRunning, format!("tasks run on it: {}", list(which))),
        }
    }

    /// Guests have the lock of a backup, and nobody says what runs.
    pub(crate) fn backup_works_on(guests: &str) -> Fault {
        Fault::new(CheckId::BackupRunning, format!("a backup works on {guests}"))
    }
}

/// Its guests.
impl Fault {
    /// `sleeps`: it is not switched off.
    pub(crate) fn ha_manages(guests: &[String], sleeps: bool) -> Fault {
        let why = if sleeps { ", and its watchdog would reset it when it wakes" } else { "" };
        Fault::new(CheckId::HaManaged, format!("HA manages guests on it{why}: {}", list(guests)))
            .say("move them to another node first")
    }

    pub(crate) fn guests_run(guests: &str, fix: &str) -> Fault {
        Fault::new(CheckId::RunningGuests, format!("guests run on it: {guests}")).say(fix)
    }

    pub(crate) fn guests_run_unlisted(guests: &str, fix: &str) -> Fault {
        let finding = format!("guests run on it that its API does not list as running: {guests}");
        Fault::new(CheckId::RunningGuests, finding).say(fix)
    }

    /// Guests, counted and named: `2 guests run`.
    pub(crate) fn guests_would_end(counted: &str, guests: &str) -> Fault {
        Fault::new(CheckId::RunningGuests, format!("{counted} on it: {guests}"))
            .say("add `--guests shutdown` (or `hibernate`, `leave`)")
    }

    pub(crate) fn guests_unclear(guests: &str) -> Fault {
        Fault::new(CheckId::RunningGuests, format!("the state of these guests is unknown: {guests}"))
            .say("see `ecobox status`, or add `--guests leave`")
    }

    pub(crate) fn depended_on(servers: &str) -> Fault {
        Fault::new(CheckId::RunningGuests, format!("servers that depend on it are online: {servers}"))
            .say("name it in the same command: it goes first")
    }

    pub(crate) fn guest_stays_up(guest: &ServerId, why: &str, fix: Option<&str>) -> Fault {
        let fault = Fault::new(CheckId::RunningGuests, format!("{guest} runs on it and does not go down: {why}"));
        Fault { fix: fix.map(Fix::say), ..fault }
    }

    /// Its cluster, with this node gone. Each node is taken to have one vote.
    pub(crate) fn quorum_would_go(left: usize, all: usize) -> Fault {
        let finding = format!("its cluster would lose quorum: {left} of {all} nodes would be left");
        Fault::new(CheckId::QuorumLost, finding).say("bring another node up first")
    }
}

/// Its sleep.
impl Fault {
    pub(crate) fn sleep_masked(server: &ServerId, no_way: &NoWay) -> Fault {
        let fix = match no_way {
            NoWay::Masked { unit } => Fix::on(server, &format!("systemctl unmask {unit}")),
            NoWay::Disallowed { key } => Fix::write(server, SLEEP_CONF, &["[Sleep]".to_owned(), format!("{key}=yes")]),
            other => Fix::say(other.hint().unwrap_or_default()),
        };
        Fault::new(CheckId::SleepMasked, no_way.to_string()).fix(fix).lasting()
    }

    /// Its card cannot. `port`: which one that is.
    pub(crate) fn wol_impossible(port: &str, otherwise: &str) -> Fault {
        let finding =
            format!("its network card ({port}) does not support Wake-on-LAN by magic packet: nothing would wake it");
        Fault::new(CheckId::WolNotArmed, finding).say(format!("{FIRMWARE}{otherwise}")).lasting()
    }

    pub(crate) fn wol_off(port: &str) -> Fault {
        let finding = format!("Wake-on-LAN is off on its network card ({port}): nothing would wake it");
        Fault::new(CheckId::WolNotArmed, finding).say("add `--arm-wol`").lasting()
    }

    pub(crate) fn wol_unread() -> Fault {
        let finding = "whether its network card would wake it could not be read";
        Fault::new(CheckId::WolNotArmed, finding).say("add `--arm-wol`")
    }

    /// It could not be armed when its turn came. Nothing but a look at it helps.
    pub(crate) fn wol_stays_off(why: impl Into<String>) -> Fault {
        Fault { fix: None, ..Fault::new(CheckId::WolNotArmed, why).lasting() }
    }

    /// Its own clock, at a time.
    pub(crate) fn clock_cannot_wake(at: &str, why: &str, fix: String) -> Fault {
        Fault::new(CheckId::NoRtc, format!("its clock could not wake it at {at}: {why}")).say(fix)
    }

    /// The same when its turn had come.
    pub(crate) fn clock_was_not_set(at: &str, why: &str, fix: Option<String>) -> Fault {
        let fault = Fault::new(CheckId::NoRtc, format!("its clock could not be set to wake it at {at}: {why}"));
        Fault { fix: fix.map(Fix::say), ..fault }
    }

    /// Nothing could wake it once it slept.
    pub(crate) fn no_wake_path(why: &str, fix: Fix) -> Fault {
        Fault::new(CheckId::NoWakePath, format!("nothing could wake it again: {why}")).fix(fix)
    }

    /// It cannot be woken now.
    pub(crate) fn cannot_be_woken(why: &str, fix: Option<&str>) -> Fault {
        Fault { fix: fix.map(Fix::say), ..Fault::new(CheckId::NoWakePath, why) }
    }
}

/// This machine in it.
impl Fault {
    pub(crate) fn ecobox_runs_on_it() -> Fault {
        Fault::new(CheckId::Itself, "ecobox runs on it")
    }

    pub(crate) fn ecobox_runs_in_container() -> Fault {
        Fault::new(CheckId::Itself, "ecobox runs in a container on it")
    }

    pub(crate) fn ecobox_runs_in_guest(guest: &str) -> Fault {
        Fault::new(CheckId::Itself, format!("ecobox runs in its guest {guest}"))
    }

    pub(crate) fn your_session_comes_from_it() -> Fault {
        Fault::new(CheckId::Itself, "your own SSH session comes from it")
    }

    pub(crate) fn jump_host_of(others: &[String]) -> Fault {
        Fault::new(CheckId::Itself, format!("it is the SSH jump host of {}", list(others)))
            .say("reach them another way first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_say_the_fixes_that_are_printed() {
        let text = include_str!("../../../../docs/power.md");
        let row = |id: &str| text.lines().find(|line| line.starts_with(&format!("| `{id}` |"))).unwrap();
        let masked = Fault::sleep_masked(&"nas".parse().unwrap(), &NoWay::Masked { unit: "UNIT".to_owned() });
        assert!(row("sleep-masked").contains("`systemctl unmask UNIT`"));
        assert_eq!(masked.fix.unwrap().text, "run `systemctl unmask UNIT` on nas");
        let key = NoWay::Disallowed { key: "AllowSuspend".to_owned() };
        let fix = Fault::sleep_masked(&"nas".parse().unwrap(), &key).fix.unwrap();
        assert_eq!(fix.content.as_deref(), Some("[Sleep]\nAllowSuspend=yes\n"));
        for part in ["AllowSuspend=yes", fix.file.as_deref().unwrap()] {
            assert!(row("sleep-masked").contains(part) && fix.text.contains(part), "{part}");
        }
        let row = row("wol-not-armed");
        assert!(row.contains("`--arm-wol`") && row.contains(FIRMWARE), "{row}");
    }
}
