//! When each guest was backed up, by the tasks of each node: one who may only look is told of no backup itself.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::model::guest::TaskEnd;
use crate::model::id::{ClusterId, NodeName};
use crate::model::upkeep::backup::{LastBackup, Logged, LoggedEnd, read_log};
use crate::state::{BackupLook, is_fresh};
use crate::transport::Error;
use crate::transport::pve::{BackupTask, Client};

/// The most tasks that one look reads of a node, and the most logs: what is older is not known then.
const MOST_TASKS: usize = 500;
const MOST_LOGS: usize = 60;

/// A node does not forget tasks so fast that one who asked so recently could have missed some.
const REMEMBERS: SignedDuration = SignedDuration::from_hours(6);

impl Fleet<'_> {
    /// Asks a cluster for its jobs, and these nodes what their tasks did since they were asked last. What failed is given
    /// node by node; what the others said is kept.
    ///
    /// # Errors
    /// The jobs are not told.
    pub(crate) async fn ask_backups(
        &self,
        cluster: &ClusterId,
        client: &Client,
        nodes: &[NodeName],
    ) -> Result<Vec<(NodeName, Error)>, Error> {
        let jobs = client.backup_jobs().await?;
        Self::note_upkeep(self.state.put_backup_jobs(cluster, &jobs, self.now()));
        let before = self.state.backup_looks(cluster).unwrap_or_default();
        let looks = nodes.iter().map(|node| {
            let before = before.iter().find(|look| look.node == *node).cloned();
            async move { (node, self.read_tasks(client, node, before).await) }
        });
        let (mut found, mut looked, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (node, answer) in join_all(looks).await {
            match answer {
                Ok((backups, look)) => {
                    add_all(&mut found, backups);
                    looked.push(look);
                }
                Err(error) => failed.push((node.clone(), error)),
            }
        }
        Self::note_upkeep(self.state.record_backups(cluster, &found, &looked));
        Ok(failed)
    }

    /// What the tasks of a node did since the look before.
    async fn read_tasks(
        &self,
        client: &Client,
        node: &NodeName,
        before: Option<BackupLook>,
    ) -> Result<(Vec<LastBackup>, BackupLook), Error> {
        let at = self.now();
        let mut tasks = client.backup_tasks(node, before.as_ref().map(|look| look.next), MOST_TASKS).await?;
        tasks.sort_by_key(|task| std::cmp::Reverse(task.upid.age()));
        let mut since = self.reach(client, node, before.as_ref(), at).await?;
        if tasks.len() >= MOST_TASKS {
            since = since.max(tasks.last().map(|task| task.upid.started()));
        }
        let (mut found, mut logs): (Vec<LastBackup>, usize) = (Vec::new(), 0);
        for task in &tasks {
            if let Some(good) = good_alone(task) {
                add_all(&mut found, vec![good]);
                continue;
            }
            let newer = |last: &LastBackup| last.good_at.is_some_and(|good| good > task.upid.started());
            if task.vmid.is_some_and(|vmid| found.iter().any(|last| last.vmid == vmid && newer(last))) {
                continue;
            }
            if logs == MOST_LOGS {
                since = since.max(task.ended);
                break;
            }
            logs += 1;
            let lines = client.whole_log(&task.upid).await?;
            add_all(&mut found, of_log(task, &read_log(lines.iter().map(String::as_str))));
        }
        let running = tasks.iter().filter(|task| task.ended.is_none()).map(|task| task.upid.started()).min();
        let newest = tasks.first().map(|task| task.upid.started());
        // What began in the same second as a task that has ended was listed with it.
        let after = newest.and_then(|newest| newest.checked_add(SignedDuration::from_secs(1)).ok());
        let next = running.or(after).or(before.map(|look| look.next)).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok((found, BackupLook { node: node.clone(), at, next, since }))
    }

    /// Since when all tasks of a node are known: those that it remembers, and those that were read before it forgot them.
    async fn reach(
        &self,
        client: &Client,
        node: &NodeName,
        before: Option<&BackupLook>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let known = before.and_then(|look| Some((look.since?, look.at, look.next)));
        if let Some((since, at, _)) = known
            && is_fresh(at, now, REMEMBERS)
        {
            return Ok(Some(since));
        }
        // Of a node that remembers nothing nothing can have been forgotten but by a new installation.
        let Some(oldest) = client.oldest_task(node).await? else { return Ok(known.map(|(since, ..)| since)) };
        Ok(Some(match known {
            Some((since, _, next)) if oldest <= next => since.min(oldest),
            _ => oldest,
        }))
    }
}

/// A task for one guest that ended well says it without its log.
fn good_alone(task: &BackupTask) -> Option<LastBackup> {
    let (vmid, ended) = (task.vmid?, task.ended?);
    let good = matches!(task.end, Some(TaskEnd::Ok | TaskEnd::Warnings(_)));
    good.then(|| LastBackup { good_at: Some(ended), ..LastBackup::none(vmid) })
}

/// What the log of a task says, in times of the node's clock.
fn of_log(task: &BackupTask, logged: &[Logged]) -> Vec<LastBackup> {
    let started = task.upid.started();
    let failed = |vmid, why: String| LastBackup {
        failed_at: Some(task.ended.unwrap_or(started)),
        why: Some(why),
        ..LastBackup::none(vmid)
    };
    let one = |logged: &Logged| match &logged.end {
        LoggedEnd::Good(after) => {
            let at = started.checked_add(*after).unwrap_or(started);
            let good_at = Some(task.ended.map_or(at, |ended| at.min(ended)));
            Some(LastBackup { good_at, kind: logged.kind, ..LastBackup::none(logged.vmid) })
        }
        LoggedEnd::Failed(why) => Some(failed(logged.vmid, why.clone())),
        LoggedEnd::Open => task.ended.map(|_| failed(logged.vmid, "its task was killed".to_owned())),
    };
    if let (true, Some(vmid), Some(TaskEnd::Failed(why) | TaskEnd::Unclear(why))) =
        (logged.is_empty(), task.vmid, &task.end)
    {
        return vec![failed(vmid, why.clone())];
    }
    logged.iter().filter_map(one).collect()
}

fn add_all(known: &mut Vec<LastBackup>, new: Vec<LastBackup>) {
    for backup in new {
        match known.iter_mut().find(|last| last.vmid == backup.vmid) {
            Some(last) => last.add(&backup),
            None => known.push(backup),
        }
    }
}
