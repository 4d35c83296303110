//! Backups, storages and tokens are told as recorded of Proxmox VE 9.2.11.

use std::time::Duration;

use ecobox_sim::Sim;
use serde_json::{Value, json};

use crate::{data, get, lab};

/// The names of an object's fields.
fn keys(row: &Value) -> Vec<&str> {
    row.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_backup_of_several_guests_is_a_task_without_an_id() {
    // As recorded: `backup/tasks-typefilter-vzdump` and `backup/vzdump-two-guests-task-log`.
    let recorded = json!({
        "node": "pve1", "status": "job errors", "pid": 8578, "tokenid": "rec", "starttime": 1_795_966_865, "type": "vzdump",
        "pstart": 522_580, "user": "root@pam", "id": "", "endtime": 1_795_966_867,
        "upid": "UPID:pve1:00002182:0007F954:6B0C4791:vzdump::root@pam!rec:",
    });
    let mut cluster = lab();
    let minute = Duration::from_secs(60);
    cluster.backed_up("pve1", 3 * minute, minute, &[(101, Ok(()))]);
    cluster.backed_up("pve1", minute, minute, &[(102, Err("VM is locked (backup)")), (201, Ok(()))]);
    let sim = Sim::start(cluster);
    let reply = get(&sim, "pve1", "/nodes/pve1/tasks?typefilter=vzdump&source=all&limit=5").json();
    assert_eq!(reply["total"], 2);
    let rows = reply["data"].as_array().unwrap();
    let mut want = keys(&recorded);
    want.retain(|key| *key != "tokenid");
    assert_eq!(keys(&rows[0]), want);
    assert_eq!((&rows[0]["id"], &rows[0]["status"]), (&recorded["id"], &recorded["status"]), "the newest first");
    assert_eq!((&rows[1]["id"], &rows[1]["status"]), (&json!("101"), &json!("OK")));
    assert_eq!(rows[0]["endtime"].as_u64().unwrap() - rows[0]["starttime"].as_u64().unwrap(), 60);
    // The one of several guests is not found by a number, and begins no later than asked for.
    let alone = data(&sim, "pve1", "/nodes/pve1/tasks?typefilter=vzdump&vmid=201");
    assert_eq!(alone, json!([]));
    let since = rows[0]["starttime"].as_u64().unwrap();
    let newer = data(&sim, "pve1", &format!("/nodes/pve1/tasks?typefilter=vzdump&since={since}"));
    assert_eq!(newer.as_array().unwrap().len(), 1);
    let upid = rows[0]["upid"].as_str().unwrap();
    let log = data(&sim, "pve1", &format!("/nodes/pve1/tasks/{upid}/log?start=0&limit=50"));
    let log: Vec<&str> = log.as_array().unwrap().iter().map(|line| line["t"].as_str().unwrap()).collect();
    for line in [
        "INFO: starting new backup job: vzdump 102 201 --storage local",
        "INFO: Starting Backup of VM 102 (qemu)",
        "ERROR: Backup of VM 102 failed - VM is locked (backup)",
        "INFO: Starting Backup of VM 201 (lxc)",
        "INFO: Finished Backup of VM 201 (00:01:00)",
        "INFO: Backup job finished with errors",
    ] {
        assert!(log.contains(&line), "{line} in {log:#?}");
    }
    assert_eq!(log.last(), Some(&"TASK ERROR: job errors"));
}

#[test]
fn jobs_storages_and_the_ends_of_tokens() {
    let mut cluster = lab();
    cluster.add_backup_job("nightly", json!({ "all": 1 }));
    cluster.access().set_token_expire("root@pam!t", 1_830_000_000);
    let sim = Sim::start(cluster);
    let job = &data(&sim, "pve1", "/cluster/backup")[0];
    assert_eq!(
        (&job["id"], &job["all"], &job["enabled"], &job["type"]),
        (&json!("nightly"), &json!(1), &json!(1), &json!("vzdump"))
    );
    // `read2/operator-own-user`
    let user = data(&sim, "pve1", "/access/users/root@pam");
    let want =
        json!({ "expire": 0, "groups": [], "tokens": { "t": { "privsep": 0, "expire": 1_830_000_000 } }, "enable": 1 });
    assert_eq!(user, want);
    let status = |sim: &Sim| data(sim, "pve1", "/cluster/resources?type=storage")[0].clone();
    assert_eq!((&status(&sim)["status"], status(&sim).get("disk").is_some()), (&json!("available"), true));
    sim.cluster().set_storage_active("local", false);
    assert_eq!((&status(&sim)["status"], status(&sim).get("disk").is_some()), (&json!("unknown"), false));
}
