//! Tasks of Proxmox VE: those that run, and what became of one.

use jiff::Timestamp;

use crate::model::id::Upid;

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskState {
    Running,
    Ended(TaskEnd),
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskEnd {
    Ok,
    /// It succeeded, with so many warnings in its log.
    Warnings(u32),
    /// Proxmox VE's own words.
    Failed(String),
    /// Its log has no final line, as after a crash: what it did is unknown. Proxmox VE's words for that.
    Unclear(String),
    /// Proxmox VE knows no such task any more.
    Gone,
}

impl TaskEnd {
    /// What a task's `exitstatus` means. The unclear ones are those of `read_status` in pve-common's `UPID.pm`.
    pub(crate) fn of_exit_status(text: &str) -> TaskEnd {
        const UNCLEAR: [&str; 5] = [
            "unexpected status",
            "unable to open file - ",
            "unable to extract last line",
            "unable to read tail (",
            "unable to get last line",
        ];
        let text = text.trim();
        if text == "OK" {
            return TaskEnd::Ok;
        }
        if let Some(count) = text.strip_prefix("WARNINGS: ").and_then(|count| count.parse().ok()) {
            return TaskEnd::Warnings(count);
        }
        if text.is_empty() || UNCLEAR.iter().any(|start| text.starts_with(start)) {
            return TaskEnd::Unclear(text.to_owned());
        }
        TaskEnd::Failed(text.to_owned())
    }
}

/// A task that runs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveTask {
    pub(crate) upid: Upid,
    /// e.g. `vzdump`
    pub(crate) kind: String,
    /// What it works on: a vmid in digits, or empty.
    pub(crate) id: String,
    /// `user@realm` or `user@realm!name`
    pub(crate) user: String,
    /// By the node's clock.
    pub(crate) since: Timestamp,
}

impl From<Upid> for ActiveTask {
    fn from(upid: Upid) -> ActiveTask {
        let (kind, id, user) = (upid.kind().to_owned(), upid.id().to_owned(), upid.user().to_owned());
        ActiveTask { kind, id, user, since: upid.started(), upid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exit_status_means() {
        let failed = |text: &str| TaskEnd::Failed(text.to_owned());
        let unclear = |text: &str| TaskEnd::Unclear(text.to_owned());
        for (text, want) in [
            ("OK", TaskEnd::Ok),
            ("WARNINGS: 2", TaskEnd::Warnings(2)),
            ("WARNINGS: many", failed("WARNINGS: many")),
            ("VM 105 already running", failed("VM 105 already running")),
            ("received interrupt", failed("received interrupt")),
            ("can't lock file 'x' - got timeout", failed("can't lock file 'x' - got timeout")),
            (
                "unable to open file '/etc/pve/x' - Permission denied",
                failed("unable to open file '/etc/pve/x' - Permission denied"),
            ),
            ("ok", failed("ok")),
            ("unexpected status", unclear("unexpected status")),
            ("unable to read tail (got 0 bytes)", unclear("unable to read tail (got 0 bytes)")),
            (
                "unable to open file - No such file or directory",
                unclear("unable to open file - No such file or directory"),
            ),
            ("", unclear("")),
        ] {
            assert_eq!(TaskEnd::of_exit_status(text), want, "{text}");
        }
    }
}
