//! What an administrator looks after: jobs and tasks of backups, and storages that fill.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::guest::Kind;
use crate::node::Storage;
use crate::tasks::Ended;

impl Cluster {
    /// One more job of backups, described as `/cluster/backup` writes it: `{"all": 1}`, `{"vmid": "101,102"}`.
    pub fn add_backup_job(&mut self, id: &str, fields: Value) {
        let mut job = json!({
            "id": id, "type": "vzdump", "schedule": "02:30", "storage": "local", "mode": "snapshot", "enabled": 1,
        });
        for (key, value) in fields.as_object().cloned().unwrap_or_default() {
            job[key] = value;
        }
        self.backup_jobs.push(job);
    }

    /// Takes all jobs of backups away.
    pub fn remove_backup_jobs(&mut self) {
        self.backup_jobs.clear();
    }

    /// A task of a node that backed these guests up, and ended so long ago: each took `took`, or failed for a reason. Its id
    /// is empty where it was for more than one guest, as Proxmox VE leaves it.
    pub fn backed_up(&mut self, node: &str, ago: Duration, took: Duration, guests: &[(u32, Result<(), &str>)]) {
        let numbers: Vec<String> = guests.iter().map(|(vmid, _)| vmid.to_string()).collect();
        let mut log = vec![format!("INFO: starting new backup job: vzdump {} --storage local", numbers.join(" "))];
        let seconds = took.as_secs();
        let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        for (vmid, outcome) in guests {
            let kind = self.find(*vmid).map_or("qemu", |guest| if guest.kind == Kind::Lxc { "lxc" } else { "qemu" });
            log.push(format!("INFO: Starting Backup of VM {vmid} ({kind})"));
            log.push("INFO: Backup started at 2026-11-29 15:41:06".to_owned());
            log.push(match outcome {
                Ok(()) => format!("INFO: Finished Backup of VM {vmid} ({clock})"),
                Err(why) => format!("ERROR: Backup of VM {vmid} failed - {why}"),
            });
            let word = if outcome.is_ok() { "Backup finished" } else { "Failed" };
            log.push(format!("INFO: {word} at 2026-11-29 15:41:06"));
        }
        let failed = guests.iter().any(|(_, outcome)| outcome.is_err());
        let how = if failed { "with errors" } else { "successfully" };
        log.push(format!("INFO: Backup job finished {how}"));
        let good = guests.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        let lasted = took * u32::try_from(good).expect("few guests");
        let id = if let [one] = numbers.as_slice() { one.clone() } else { String::new() };
        let exit = if failed { "job errors" } else { "OK" };
        self.add_ended(Ended { node, kind: "vzdump", id: &id, user: "root@pam", ago, lasted, exit, log });
    }

    /// A task of any kind that ended so long ago.
    pub fn add_old_task(&mut self, node: &str, kind: &str, id: &str, ago: Duration) {
        let (lasted, log) = (Duration::from_secs(1), Vec::new());
        self.add_ended(Ended { node, kind, id, user: "root@pam", ago, lasted, exit: "OK", log });
    }

    /// Nodes forget all tasks that have ended.
    pub fn forget_tasks(&mut self) {
        self.tasks.retain(|task| task.exit.is_none());
    }

    /// How full a storage is, in bytes, wherever it has this name.
    pub fn fill_storage(&mut self, name: &str, used: u64) {
        self.storages.iter_mut().filter(|storage| storage.name == name).for_each(|storage| storage.used = used);
    }

    /// One more storage that all nodes share.
    pub fn storage_of_all(&mut self, name: &str, plugin: &str, size: u64, used: u64) {
        let (name, plugin, content) = (name.to_owned(), plugin.to_owned(), "backup".to_owned());
        self.storages.push(Storage { name, node: None, plugin, content, size, used, active: true });
    }

    /// Whether nodes can use a storage: its server is off.
    pub fn set_storage_active(&mut self, name: &str, active: bool) {
        self.storages.iter_mut().filter(|storage| storage.name == name).for_each(|storage| storage.active = active);
    }

    /// Serves a certificate of the cluster's CA that ends so many days from now; less than 0: it is over.
    pub fn serve_certificate_for(&mut self, node: &str, days: i64) {
        let (old, ip) = (self.identity(node), self.node_ref(node).expect("a node").ip);
        let span = Duration::from_secs(days.unsigned_abs() * 86_400);
        let now = SystemTime::now();
        let ends = if days < 0 { now - span } else { now + span };
        let identity = self.ca.issue_node_until(node, ip, &old, ends);
        self.serve_certificate(node, identity);
    }
}
