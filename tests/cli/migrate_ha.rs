//! `ecobox migrate` of guests that HA manages: the request is queued, and taken or dropped without a word.

use ecobox_sim::{Cluster, MoveFault};
use serde_json::json;

use super::migrate::{Lab, call, guests, lab_of};
use super::pace::deadline;

#[test]
fn ha_moves_it_and_the_outcome_is_seen() {
    let lab = lab_of(guests());
    let run = lab.migrate("vm-109 --to pve2 --yes -o json").exits(0);
    assert_eq!(lab.sim.posts(), [call(109, "target=pve2&online=1")]);
    assert_eq!(Lab::results(&run), ["done running pve1 pve2"], "{run}");
    assert_eq!(run.json()["steps"][0]["detail"], "pve1 to pve2, by HA");
    let tasks = lab.sim.cluster().task_history();
    let kinds: Vec<&str> = tasks.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["hamigrate", "qmigrate"], "what was asked for, and what HA did");
}

#[test]
fn what_ha_drops_is_not_confirmed() {
    let mut cluster = guests();
    cluster.drop_ha_requests(true);
    let lab = lab_of(cluster);
    let run = lab.migrate(&format!("vm-109 --to pve2 --yes --timeout {}", deadline(3))).exits(10);
    let run =
        run.says("unconfirmed: HA has taken the request, and nothing shows that it acts on it: it may have dropped it");
    let run = run.says("the journal of HA's master says why: `journalctl -u pve-ha-crm` on pve1");
    assert_eq!((lab.sim.posts().len(), lab.node_of(109)), (1, "pve1".to_owned()), "{run}");
    assert_eq!(lab.history(), ["migrate|unconfirmed"]);
}

#[test]
fn what_ha_tried_in_vain_says_why() {
    let mut cluster = guests();
    // HA shows for a while that it works on it.
    cluster.timing.migrate = 200.0;
    cluster.fail_migrations(109, MoveFault::Slow("no space left on target".to_owned()));
    let lab = lab_of(cluster);
    let run = lab.migrate("vm-109 --to pve2 --yes --timeout 60s").exits(9);
    let _ = run.says("HA's migration failed: no space left on target; it is still on pve1, running");
    assert_eq!(lab.sim.posts().len(), 1);
}

#[test]
fn what_ha_would_drop_is_refused_before() {
    type Change = fn(&mut Cluster);
    let cases: [(&str, Change, &str); 5] = [
        (
            "a strict rule",
            |c| {
                c.add_ha_rule(json!({
                    "type": "node-affinity", "resources": "vm:109", "strict": 1, "nodes": "pve1,pve3", "rule": "left",
                }));
            },
            "a strict rule of HA keeps it on pve1, pve3",
        ),
        ("maintenance", |c| c.set_maintenance("pve2", true), "pve2 is in HA's maintenance mode"),
        ("offline", |c| c.stop_node("pve2"), "pve2 is offline"),
        ("in error", |c| c.change_guest(109, |vm| vm.ha("error")), "its HA state is error"),
        ("busy", |c| c.change_guest(109, |vm| vm.ha("relocate")), "HA is busy with it (relocate)"),
    ];
    for (what, change, words) in cases {
        let mut cluster = guests();
        change(&mut cluster);
        let lab = lab_of(cluster);
        let run = lab.migrate("vm-109 --to pve2 --yes").exits(11).says(words);
        assert_eq!(lab.sim.posts(), [""; 0], "{what}\n{run}");
    }
    // `any` keeps to the rules.
    let mut cluster = guests();
    cluster.add_ha_rule(json!({
        "type": "node-affinity", "resources": "vm:109", "strict": 1, "nodes": "pve1,pve2", "rule": "left",
    }));
    let lab = lab_of(cluster);
    let _ = lab.migrate("vm-109 --to any --yes").exits(0);
    assert_eq!(lab.node_of(109), "pve2");
}

#[test]
fn who_goes_along_is_said() {
    let mut cluster = guests().ct(203, "cache", |ct| ct.running().ha("started").stored_on("ceph"));
    cluster.add_ha_rule(json!({
        "type": "resource-affinity", "resources": "vm:109,ct:203", "affinity": "positive", "rule": "together",
    }));
    let lab = lab_of(cluster);
    let run = lab.migrate("vm-109 --to pve3 --dry-run -o json").exits(0);
    assert_eq!(run.json()["steps"][0]["notes"], json!(["HA moves ct:203 along"]));
    let _ = lab.migrate("vm-109 --to pve3 --yes").exits(0);
    assert_eq!(lab.node_of(109), "pve3");
}

#[test]
fn a_token_that_sees_nothing_of_ha_believes_the_guest() {
    let cluster = super::migrate::guests_for(&["VM.Audit", "VM.Migrate", "Datastore.Audit"]);
    let lab = lab_of(cluster);
    let _ = lab.migrate("vm-109 --to pve2 --yes --timeout 60s").exits(0);
    assert_eq!(lab.node_of(109), "pve2");
}
