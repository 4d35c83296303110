//! How the process ends: the exit status of one target, and of several of which some failed.

use serde::Serialize;

use crate::model::inventory::FailureKind;
use crate::model::monitor::Level;

/// How the process ends. README has the same table, and a test compares the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    /// Done; also: already in the wanted state, nothing to do.
    Done,
    /// Failed for a reason not listed here.
    Failed,
    /// Wrong usage.
    Usage,
    /// Configuration or state file unusable.
    Config,
    /// Credentials rejected or privilege missing.
    Denied,
    /// Target unreachable, nothing was done.
    Unreachable,
    /// Identity mismatch: SSH host key, TLS, or another guest under this number.
    Identity,
    /// No such target, or ambiguous.
    NoTarget,
    /// Partial: some targets answered, others failed; the report is still printed.
    Partial,
    /// The remote task ran and failed.
    TaskFailed,
    /// Accepted, but not confirmed before the deadline; the outcome may still come.
    Unconfirmed,
    /// Refused: a pre-flight check, or no confirmation.
    Refused,
    /// Problems were found, by doctor.
    Problems,
    /// The command of run or ssh was not run: ecobox itself failed before.
    NotRun,
    /// Interrupted (SIGINT).
    Interrupted,
    /// Terminated (SIGTERM).
    Terminated,
    /// What `check` tells a monitor, whose numbers have other meanings.
    Check(Level),
    /// `run`, `ssh`: what the command ended with.
    Command(u8),
}

impl Exit {
    /// Each once, by number.
    #[cfg(test)]
    pub(crate) const ALL: [Exit; 16] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Config,
        Exit::Denied,
        Exit::Unreachable,
        Exit::Identity,
        Exit::NoTarget,
        Exit::Partial,
        Exit::TaskFailed,
        Exit::Unconfirmed,
        Exit::Refused,
        Exit::Problems,
        Exit::NotRun,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Denied => 4,
            Exit::Unreachable => 5,
            Exit::Identity => 6,
            Exit::NoTarget => 7,
            Exit::Partial => 8,
            Exit::TaskFailed => 9,
            Exit::Unconfirmed => 10,
            Exit::Refused => 11,
            Exit::Problems => 12,
            Exit::NotRun => 125,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
            Exit::Check(level) => level.code(),
            Exit::Command(code) => code,
        }
    }

    /// The exit status of a run over several targets: the failures' own where none succeeded and all agree,
    /// else partial.
    pub(crate) fn of_many(succeeded: usize, failures: impl IntoIterator<Item = Exit>) -> Exit {
        let mut failures = failures.into_iter();
        let Some(first) = failures.next() else { return Exit::Done };
        if succeeded == 0 && failures.all(|exit| exit == first) { first } else { Exit::Partial }
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Exit {
        match kind {
            FailureKind::Unreachable => Exit::Unreachable,
            FailureKind::Identity => Exit::Identity,
            FailureKind::Denied => Exit::Denied,
            FailureKind::Failed => Exit::Failed,
            // Such an error is an answer.
            FailureKind::NoQuorum | FailureKind::NodeOffline => Exit::Partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_targets_end_as_one() {
        use Exit::{Denied, Done, Partial, Unreachable};
        for (succeeded, failures, want) in [
            (0, &[][..], Done),
            (3, &[], Done),
            (0, &[Unreachable], Unreachable),
            (0, &[Denied, Denied], Denied),
            (0, &[Denied, Unreachable], Partial),
            (1, &[Unreachable], Partial),
        ] {
            assert_eq!(Exit::of_many(succeeded, failures.iter().copied()), want, "{succeeded} {failures:?}");
        }
    }

    #[test]
    fn each_number_is_documented_once() {
        let readme = include_str!("../docs/output.md");
        for exit in Exit::ALL {
            let row = format!("\n| {} | ", exit.code());
            assert_eq!(readme.matches(&row).count(), 1, "{exit:?}");
        }
    }
}
