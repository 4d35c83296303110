//! Locks in guests' configurations: what holds one, or that nothing does and it was left behind.

use std::collections::HashMap;

use super::is_console;
use crate::fleet::Fleet;
use crate::fleet::act::ApiClients;
use crate::fleet::act::guest::Named;
use crate::model::check::CheckId;
use crate::model::check::fault::{Fault, Locked};
use crate::model::guest::ActiveTask;
use crate::model::id::NodeName;
use crate::model::inventory::Server;
use crate::model::power::Finding;

impl Fleet<'_> {
    /// Says of each lock that was found what works under it.
    pub(super) async fn explain_locks(&self, findings: &mut [Finding], servers: &[Server], clients: &ApiClients) {
        let mut nodes: HashMap<&NodeName, Option<Vec<ActiveTask>>> = HashMap::new();
        for finding in findings.iter_mut().filter(|finding| finding.id == CheckId::GuestLocked) {
            let Some(server) = servers.iter().find(|server| server.id == finding.server) else { continue };
            let (Some(named), Some(node), Some(lock)) = (Named::of(server), &server.node, &server.lock) else {
                continue;
            };
            if !nodes.contains_key(node) {
                nodes.insert(node, self.all_tasks(clients, named.cluster, node).await);
            }
            let tasks = nodes.get(node).and_then(Option::as_deref);
            explain(finding, named, node, lock, tasks);
        }
    }

    /// Like `explain_locks`, for one guest that was looked at a moment ago.
    pub(in crate::fleet::act) async fn explain_lock(
        &self,
        findings: &mut [Finding],
        named: Named<'_>,
        node: &NodeName,
        lock: Option<&str>,
        clients: &ApiClients,
    ) {
        let found = findings.iter_mut().find(|finding| finding.id == CheckId::GuestLocked && !finding.allowed);
        if let (Some(finding), Some(lock)) = (found, lock) {
            let tasks = self.all_tasks(clients, named.cluster, node).await;
            explain(finding, named, node, lock, tasks.as_deref());
        }
    }
}

/// Puts into the finding what works under the lock, and what to do; `None` of `tasks`: they are unknown.
fn explain(finding: &mut Finding, named: Named<'_>, node: &NodeName, lock: &str, tasks: Option<&[ActiveTask]>) {
    let locked =
        Locked { kind: named.kind, vmid: named.vmid, lock, host: named.server.parent.as_ref(), node: node.as_str() };
    let Some(tasks) = tasks else { return finding.say(Fault::lock_unclear(&locked)) };
    let vmid = named.vmid.to_string();
    let mut holders = tasks.iter().filter(|task| holds(task, &vmid, lock)).map(|task| task.kind.as_str()).peekable();
    finding.say(match holders.peek() {
        None => Fault::lock_left_behind(&locked),
        Some(_) => Fault::lock_in_use(lock, holders),
    });
}

/// Whether a task may be the one that holds a guest's lock. A task of several guests has no number, and one that makes
/// a guest of another one has the other one's.
pub(in crate::fleet) fn holds(task: &ActiveTask, vmid: &str, lock: &str) -> bool {
    let makes = matches!(lock, "clone" | "create") && task.kind.ends_with("clone");
    !is_console(task) && (task.id == vmid || task.kind == "vzdump" && task.id.is_empty() || makes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock() {
        let task = |kind: &str, id: &str| {
            let text = format!("UPID:pve1:00000BD7:00051DF7:6B035F1D:{kind}:{id}:root@pam:");
            ActiveTask::from(text.parse::<crate::model::id::Upid>().unwrap())
        };
        for (kind, id, lock, want) in [
            ("vzdump", "105", "backup", true),
            ("vzdump", "106", "backup", false),
            // A backup of several guests.
            ("vzdump", "", "backup", true),
            ("qmsnapshot", "105", "snapshot", true),
            ("vncproxy", "105", "backup", false),
            // A clone is a task of its original.
            ("qmclone", "9000", "clone", true),
            ("qmclone", "9000", "backup", false),
        ] {
            assert_eq!(holds(&task(kind, id), "105", lock), want, "{kind} {id} {lock}");
        }
    }
}
