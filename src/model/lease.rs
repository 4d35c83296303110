//! Leases: who needs which servers awake, until when, and what becomes of these servers afterwards.

use std::fmt;

use jiff::Timestamp;

use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::power::{PowerAction, PowerState};

/// A process of this machine. Its number alone may belong to another one by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it began, in the kernel's ticks since the boot.
    pub(crate) started: i64,
    /// Which boot that was.
    pub(crate) boot: String,
}

/// Which command made a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LeaseKind {
    /// A command runs.
    Run,
    /// Until somebody releases it.
    Hold,
    /// Somebody is logged in through `ecobox ssh`.
    Ssh,
}

impl LeaseKind {
    pub(crate) const ALL: [LeaseKind; 3] = [LeaseKind::Run, LeaseKind::Hold, LeaseKind::Ssh];

    /// The command's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LeaseKind::Run => "run",
            LeaseKind::Hold => "hold",
            LeaseKind::Ssh => "ssh",
        }
    }

    /// The kind named `text`; a newer version's word reads as a lease that only its own end ends.
    pub(crate) fn parse(text: &str) -> LeaseKind {
        LeaseKind::ALL.into_iter().find(|kind| kind.as_str() == text).unwrap_or(LeaseKind::Hold)
    }
}

/// What becomes of the hosts that a lease woke, when the last lease on them has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Then {
    Suspend,
    Hibernate,
    Shutdown,
    /// They stay awake.
    Leave,
}

impl Then {
    pub(crate) const ALL: [Then; 4] = [Then::Suspend, Then::Hibernate, Then::Shutdown, Then::Leave];

    /// The word after `--then`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Then::Suspend => "suspend",
            Then::Hibernate => "hibernate",
            Then::Shutdown => "shutdown",
            Then::Leave => "leave",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Then> {
        Then::ALL.into_iter().find(|then| then.as_str() == text)
    }

    /// What is done to a host; `None`: nothing.
    pub(crate) fn action(self) -> Option<PowerAction> {
        match self {
            Then::Suspend => Some(PowerAction::Suspend),
            Then::Hibernate => Some(PowerAction::Hibernate),
            Then::Shutdown => Some(PowerAction::Shutdown),
            Then::Leave => None,
        }
    }
}

/// A server that a lease holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) key: ServerKey,
    /// Its id when the lease began, for messages.
    pub(crate) name: String,
    /// It was named; else it is the host of one that was, or something else that one needs.
    pub(crate) asked: bool,
}

/// A lease, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) kind: LeaseKind,
    /// The user, and how: a terminal, cron.
    pub(crate) by: String,
    /// What it is for.
    pub(crate) reason: Option<String>,
    pub(crate) since: Timestamp,
    /// When it ends by itself.
    pub(crate) until: Option<Timestamp>,
    pub(crate) then: Option<Then>,
    /// The process with which it ends; `None`: it outlives the one that made it.
    pub(crate) process: Option<Process>,
    pub(crate) servers: Vec<Leased>,
}

impl Lease {
    /// Whether it holds this server.
    pub(crate) fn holds(&self, server: &ServerKey) -> bool {
        self.servers.iter().any(|leased| leased.key == *server)
    }

    /// Whether it still counts; `runs` tells of a process whether it is there.
    pub(crate) fn is_alive(&self, now: Timestamp, runs: impl Fn(&Process) -> bool) -> bool {
        self.until.is_none_or(|until| now < until) && self.process.as_ref().is_none_or(runs)
    }
}

/// `run by anna, on a terminal, since 02:00 (restic)`: the time as `when` says it.
pub(crate) fn described(lease: &Lease, when: impl Fn(Timestamp) -> String) -> String {
    let Lease { kind, by, reason, since, until, .. } = lease;
    let until = until.map(|until| format!(", until {}", when(until))).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} by {by}, since {}{until}{reason}", kind.as_str(), when(*since))
}

/// A server that is up because of a lease, and goes down again when the last one has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Woken {
    pub(crate) key: ServerKey,
    pub(crate) name: String,
    /// What brings it back to where it was.
    pub(crate) back: PowerAction,
    pub(crate) at: Timestamp,
    /// It was seen to be down since: that it is up again is somebody else's doing.
    pub(crate) was_down: bool,
}

/// What brings a server back that is about to be woken or started. `last`: how ecobox itself took it down last.
pub(crate) fn way_back(server: &Server, last: Option<PowerAction>) -> PowerAction {
    match (server.kind.guest(), server.seen.state) {
        (Some(_), PowerState::Hibernated) => PowerAction::Hibernate,
        (Some(_), PowerState::Paused) => PowerAction::Suspend,
        (Some(_), _) => PowerAction::Shutdown,
        (None, _) => last.unwrap_or(PowerAction::Suspend),
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn lease(until: Option<i64>, process: bool) -> Lease {
        let process = process.then(|| Process { pid: 7, started: 70, boot: "b".to_owned() });
        Lease {
            id: 1,
            kind: LeaseKind::Run,
            by: "anna, on a terminal".to_owned(),
            reason: Some("restic".to_owned()),
            since: at(100),
            until: until.map(at),
            then: None,
            process,
            servers: vec![Leased { key: ServerKey("nas".to_owned()), name: "nas".to_owned(), asked: true }],
        }
    }

    #[test]
    fn a_lease_ends_with_its_process_or_at_its_time() {
        for (until, process, runs, now, alive) in [
            (None, false, false, 1_000_000, true),
            (Some(200), false, false, 199, true),
            (Some(200), false, false, 200, false),
            (None, true, true, 1_000_000, true),
            (None, true, false, 101, false),
            (Some(200), true, true, 200, false),
            (Some(200), true, false, 150, false),
        ] {
            let lease = lease(until, process);
            assert_eq!(lease.is_alive(at(now), |_| runs), alive, "{until:?} {process} {runs} {now}");
        }
    }

    #[test]
    fn a_lease_is_described_in_one_line() {
        let when = |at: Timestamp| format!("{}s", at.as_second());
        assert_eq!(described(&lease(None, true), when), "run by anna, on a terminal, since 100s (restic)");
        let mut hold = lease(Some(200), false);
        (hold.kind, hold.reason) = (LeaseKind::Hold, None);
        assert_eq!(described(&hold, when), "hold by anna, on a terminal, since 100s, until 200s");
    }

    #[test]
    fn words_are_read_back() {
        for kind in LeaseKind::ALL {
            assert_eq!(LeaseKind::parse(kind.as_str()), kind);
        }
        assert_eq!(LeaseKind::parse("dream"), LeaseKind::Hold);
        for then in Then::ALL {
            assert_eq!(Then::parse(then.as_str()), Some(then));
            assert_eq!(then.action().is_none(), then == Then::Leave);
        }
        assert_eq!(Then::parse("explode"), None);
    }
}
