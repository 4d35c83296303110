//! What a power action needs: the calls, their tasks, and what is asked before and after them.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::model::guest::{ActiveTask, ClusterStatus, GuestCall, GuestConfig, GuestStatus, TaskEnd, TaskState};
use crate::model::id::{GuestKind, NodeName, Upid, VmId};
use crate::transport::Error;

use super::client::{Answers, Client};
use super::guest::{ConfigAnswer, HaRow, LogAnswer, MemberRow, NodeConfig, StatusAnswer, TaskAnswer, TaskRow};
use super::lenient::{Entry, Rows};
use super::post_once::{Due, Posted};
use super::requests::guest_path;

/// The most lines that one request for a log asks for where the log's length is not known.
const LOG_LINES: usize = 50;

impl Client {
    /// A power call. Needs `VM.PowerMgmt` on the guest; to hibernate also `VM.Config.Disk`, and
    /// `Datastore.AllocateSpace` on the storage that takes the memory.
    pub(crate) async fn guest_power(&self, node: &NodeName, kind: GuestKind, vmid: VmId, call: &GuestCall) -> Posted {
        let (word, parameters) = call.request();
        let path = guest_path(node, kind, vmid, &format!("status/{word}"));
        self.post(&path, &parameters, Due::Task).await
    }

    /// What a task does. Its owner may ask, others need `Sys.Audit` on the node.
    pub(crate) async fn task(&self, upid: &Upid) -> Result<TaskState, Error> {
        let path = task_path(upid, "status");
        match self.get::<Entry<TaskAnswer>>(&path, Answers::Node).await {
            Ok(Entry(answer)) => answer.unwrap_or_default().state().ok_or_else(|| self.senseless(&path)),
            Err(error) if is_no_such_task(&error) => Ok(TaskState::Ended(TaskEnd::Gone)),
            Err(error) => Err(error),
        }
    }

    /// The last lines of a task's log, at most `last`, without the one that says how it ended. None where the log is
    /// gone. At most two requests.
    pub(crate) async fn task_log(&self, upid: &Upid, last: usize) -> Result<Vec<String>, Error> {
        let wanted = last.saturating_add(1); // and the end
        let limit = wanted.max(LOG_LINES);
        let mut answer = self.log_lines(upid, 0, limit).await?;
        if let Some(total) = answer.total.filter(|total| *total > limit) {
            answer = self.log_lines(upid, total - wanted, wanted).await?;
        }
        let mut lines = answer.lines;
        if lines.last().is_some_and(|line| is_end(line)) {
            lines.pop();
        }
        // What Proxmox VE says where a log is empty.
        if lines == ["no content"] {
            lines.clear();
        }
        Ok(lines.split_off(lines.len().saturating_sub(last)))
    }

    pub(super) async fn log_lines(&self, upid: &Upid, start: usize, limit: usize) -> Result<LogAnswer, Error> {
        let path = task_path(upid, &format!("log?start={start}&limit={limit}"));
        match self.body(&path, Answers::Node).await {
            Ok(body) => LogAnswer::parse(&body).map_err(|error| self.unreadable(&path, &error)),
            Err(error) if is_no_such_task(&error) => Ok(LogAnswer::default()),
            Err(error) => Err(error),
        }
    }

    /// The newest task of one of these types that this client's own token started for a guest, `since` then by the
    /// node's clock: what became of a POST whose answer was lost. A token sees its own tasks without any privilege.
    ///
    /// `None` is no proof that there is none: Proxmox VE notes a task only after it has begun.
    pub(crate) async fn find_task(
        &self,
        node: &NodeName,
        vmid: VmId,
        types: &[&str],
        since: Timestamp,
    ) -> Result<Option<Upid>, Error> {
        let (us, id) = (self.token.to_string(), vmid.to_string());
        // Whether the node takes notice of `vmid` and `since` or not, the ids themselves say who did what and when.
        let ours = |upid: &Upid| {
            upid.user() == us && upid.id() == id && types.contains(&upid.kind()) && upid.started() >= floor(since)
        };
        let path = format!("/nodes/{node}/tasks?source=all&vmid={vmid}&since={}", floor(since).as_second().max(0));
        let Rows(rows) = self.get::<Rows<TaskRow>>(&path, Answers::Node).await?;
        let found = rows.into_iter().filter_map(|row| row.upid).filter(ours);
        Ok(found.max_by_key(Upid::age))
    }

    /// The tasks that run on a node: all with `Sys.Audit`, else the token's own.
    pub(crate) async fn active_tasks(&self, node: &NodeName) -> Result<Vec<ActiveTask>, Error> {
        let path = format!("/nodes/{node}/tasks?source=active");
        let Rows(rows) = self.get::<Rows<TaskRow>>(&path, Answers::Node).await?;
        // The list keeps tasks that have ended until they are put into the archive.
        let running = rows.into_iter().filter(|row| !row.ended);
        Ok(running.filter_map(|row| row.upid).map(ActiveTask::from).collect())
    }

    /// What a guest does, from its own node. `is_not_here` tells the error of a guest that is not there.
    pub(crate) async fn guest_status(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<GuestStatus, Error> {
        let path = guest_path(node, kind, vmid, "status/current");
        let Entry(answer) = self.get::<Entry<StatusAnswer>>(&path, Answers::Node).await?;
        answer.map(StatusAnswer::status).ok_or_else(|| self.senseless(&path))
    }

    /// What all guests of one kind on a node do, from that node, in one request. It does not say who is managed by HA.
    pub(crate) async fn guest_statuses(
        &self,
        node: &NodeName,
        kind: GuestKind,
    ) -> Result<HashMap<VmId, GuestStatus>, Error> {
        // Else virtual machines are only running or stopped.
        let full = if kind == GuestKind::Qemu { "?full=1" } else { "" };
        let path = format!("/nodes/{node}/{}{full}", kind.as_str());
        let Rows(rows) = self.get::<Rows<StatusAnswer>>(&path, Answers::Node).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.vmid?, row.status()))).collect())
    }

    /// What a guest's configuration says. `is_not_here` tells the error of a guest that is not there.
    pub(crate) async fn guest_config(
        &self,
        node: &NodeName,
        kind: GuestKind,
        vmid: VmId,
    ) -> Result<GuestConfig, Error> {
        let path = guest_path(node, kind, vmid, "config");
        let Entry(answer) = self.get::<Entry<ConfigAnswer>>(&path, Answers::Node).await?;
        answer.map(|answer| answer.config(kind)).ok_or_else(|| self.senseless(&path))
    }

    /// The members of the cluster, as the node that is asked sees them. Needs `Sys.Audit` on `/`.
    pub(crate) async fn cluster_status(&self) -> Result<ClusterStatus, Error> {
        let Rows(rows) = self.get::<Rows<MemberRow>>("/cluster/status", Answers::Itself).await?;
        Ok(ClusterStatus { nodes: rows.into_iter().filter_map(MemberRow::node).collect() })
    }

    /// Whether the node that is asked has quorum now: what decides about a start. `None`: it does not say. Needs
    /// `Sys.Audit` on `/`.
    ///
    /// The `quorate` of `/cluster/status` is kept by each worker of pveproxy for as long as the membership stays the
    /// same, and may be minutes old; this one is looked up for each answer.
    pub(crate) async fn quorate(&self) -> Result<Option<bool>, Error> {
        let Rows(rows) = self.get::<Rows<HaRow>>("/cluster/ha/status/current", Answers::Itself).await?;
        Ok(rows.into_iter().find(|row| row.is_quorum).and_then(|row| row.quorate))
    }

    /// The address to which a node's `wakeonlan` setting sends, lower case; `None`: it has no such setting. Needs
    /// `Sys.Audit` on the node.
    ///
    /// # Errors
    /// Also where the answer is no configuration, or the setting cannot be read.
    pub(crate) async fn node_config_mac(&self, node: &NodeName) -> Result<Option<String>, Error> {
        let path = format!("/nodes/{node}/config");
        let Entry(answer) = self.get::<Entry<NodeConfig>>(&path, Answers::Node).await?;
        answer.and_then(|config| config.told().ok()).ok_or_else(|| self.senseless(&path))
    }

    /// Has the node that is asked send a wake-up packet to another one of its cluster, whose `wakeonlan` setting must
    /// be made. Needs `Sys.PowerMgmt` on that node. `Done` says that it was sent, not that somebody woke.
    pub(crate) async fn wake_node(&self, node: &NodeName) -> Posted {
        self.post(&format!("/nodes/{node}/wakeonlan"), &[], Due::Nothing).await
    }

    pub(super) fn senseless(&self, path: &str) -> Error {
        Error::Protocol { peer: self.label.clone(), detail: format!("{path}: not what was asked for") }
    }
}

/// Ids of tasks hold `:`, `@` and `!`, and whatever a type or a user's name may hold.
fn task_path(upid: &Upid, call: &str) -> String {
    format!("/nodes/{}/tasks/{}/{call}", upid.node(), escaped(upid.as_str()))
}

/// A text as a part of a path.
pub(super) fn escaped(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// 400, `upid: no such task`: the log is gone, which is all that Proxmox VE knows of tasks that ended.
fn is_no_such_task(error: &Error) -> bool {
    matches!(error, Error::Api { status: 400, reason, .. } if reason.contains("no such task"))
}

/// The last line of a complete log.
fn is_end(line: &str) -> bool {
    line == "TASK OK" || line.starts_with("TASK ERROR: ") || line.starts_with("TASK WARNINGS: ")
}

/// The second in which it lies: ids of tasks know no more.
fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tasks_path_is_encoded() {
        let upid: Upid = "UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:power@pve!vm:".parse().unwrap();
        assert_eq!(
            task_path(&upid, "status"),
            "/nodes/pve1/tasks/UPID%3Apve1%3A00000BD7%3A00051DF7%3A6B035F1D%3Aqmstart%3A105%3Apower%40pve%21vm%3A/status"
        );
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place_in_the_path(user in "[^:\\s/]{1,12}") {
            let text = format!("UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:{user}:");
            let path = task_path(&text.parse().unwrap(), "status");
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte)));
            prop_assert_eq!(path.matches('/').count(), 5);
            let url = reqwest::Url::parse(&format!("https://pve1:8006/api2/json{path}")).unwrap();
            prop_assert_eq!(url.path_segments().unwrap().count(), 7);
        }
    }
}
