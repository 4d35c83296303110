//! What tests do to tasks: those that ended long ago, somebody else's, and ends that nobody wanted.

use std::time::Duration;

use super::State;
use crate::cluster::Cluster;
use crate::guest::Kind;
use crate::power::{Action, Plan, Work};

/// A task that ended some time ago.
pub(crate) struct Ended<'a> {
    pub(crate) node: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) ago: Duration,
    pub(crate) lasted: Duration,
    pub(crate) exit: &'a str,
    pub(crate) log: Vec<String>,
}

impl Cluster {
    /// Adds a task that ended some time ago.
    pub(crate) fn add_ended(&mut self, ended: Ended<'_>) {
        let Ended { node, kind, id, user, ago, lasted, exit, log } = ended;
        self.run_on(node, kind, id, user, 0.0);
        let now = self.clock.epoch(self.clock.now());
        let task = self.tasks.last_mut().expect("just added");
        let end = now - ago.as_secs();
        task.start = end - lasted.as_secs();
        let (pid, pstart, start) = (task.pid, task.pstart, task.start);
        task.upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:");
        task.log = log;
        task.finish(exit, end);
        // Lists are in the order of the beginnings.
        self.tasks.sort_by_key(|task| task.start);
    }

    /// Ends the running tasks of a guest with this exit text, without what they should have done: `unexpected status`
    /// (a crash: the log has no end), `received interrupt`, or any other.
    pub fn end_tasks(&mut self, vmid: u32, exit: &str) {
        self.settle();
        let now = self.clock.epoch(self.clock.now());
        let id = vmid.to_string();
        for task in self.tasks.iter_mut().filter(|task| task.id == id && task.exit.is_none()) {
            task.finish(exit, now);
            if exit == "unexpected status" {
                task.log.pop();
            }
        }
    }

    /// Deletes the logs of a guest's tasks: their status is `no such task` from now on.
    pub fn lose_task_logs(&mut self, vmid: u32) {
        let id = vmid.to_string();
        self.tasks.iter_mut().filter(|task| task.id == id).for_each(|task| task.gone = true);
    }

    /// Lists show no tasks, as where the disk of the node is full: only who has their ids finds them.
    pub fn list_no_tasks(&mut self, unlisted: bool) {
        self.unlisted = unlisted;
    }

    /// Somebody's task works on a guest for so many seconds, without a deed of its own: `vzdump`, say.
    pub fn run_task(&mut self, kind: &str, vmid: u32, user: &str, seconds: f64) {
        let node = self.guest_mut(vmid).node.clone();
        self.run_on(&node, kind, &vmid.to_string(), user, seconds);
    }

    /// The same that works on no guest alone, as a backup of all guests does.
    pub fn run_node_task(&mut self, kind: &str, node: &str, user: &str, seconds: f64) {
        self.run_on(node, kind, "", user, seconds);
    }

    fn run_on(&mut self, node: &str, kind: &str, id: &str, user: &str, seconds: f64) {
        let work = Work {
            node: node.to_owned(),
            guest: Kind::Qemu,
            // It does not hold the guest's lock file.
            vmid: 0,
            action: Action::Reset,
            timeout: None,
            force_stop: false,
            overrules_shutdown: false,
            through_ha: false,
            migration: None,
        };
        self.spawn(node, kind, id, user, work);
        let until = self.clock.now() + self.clock.seconds(seconds);
        if let Some(task) = self.tasks.last_mut() {
            task.exit = None;
            task.log.clear();
            task.state = State::Running { since: until, until, plan: Plan::nothing() };
        }
    }

    /// Something else than a task holds a guest's lock file, or gives it back: PVE's clean-up after a stop does.
    pub fn hold_lock(&mut self, vmid: u32, held: bool) {
        self.settle();
        if held {
            self.held.insert(vmid);
        } else if self.held.remove(&vmid) {
            self.next_in_line(&vmid.to_string(), self.clock.now());
        }
    }

    /// Lists of active tasks go on showing those that ended, as until they are put into the archive.
    pub fn keep_ended_tasks_active(&mut self, kept: bool) {
        self.lingering = kept;
    }
}
