//! `ecobox power` where not all of a listing can be read, or where a token is shown nothing: nobody is gone because of that.

use ecobox_sim::{Fault, Guest};
use serde_json::{Value, json};

use super::power::{Lab, call, guests, lab, lab_of};

/// What is listed, with the entry of this guest as nobody can read it.
fn torn(vmid: u32) -> String {
    let row = |number: u32, status: &str| {
        json!({ "type": "qemu", "vmid": number, "id": format!("qemu/{number}"), "node": "pve1", "status": status,
            "name": format!("guest-{number}") })
    };
    let node = |name: &str| json!({ "type": "node", "node": name, "id": format!("node/{name}"), "status": "online" });
    let mut rows: Vec<Value> = vec![node("pve1"), node("pve2"), row(101, "running"), row(102, "stopped")];
    rows.retain(|one| one["vmid"] != vmid);
    rows.push(json!({ "type": "qemu", "node": "pve1", "status": "stopped" }));
    json!({ "data": rows }).to_string()
}

fn tear(lab: &Lab, times: Option<u32>, body: &str) {
    for node in ["pve1", "pve2"] {
        lab.sim.node(node).fail_on(Some("GET"), Some("/cluster/resources"), times, Fault::Json(body.to_owned()));
    }
}

#[test]
fn a_guest_whose_entry_cannot_be_read_may_be_there() {
    // Nobody has seen it before.
    let lab = lab();
    tear(&lab, None, &torn(102));
    for args in [&["power", "start", "vm-102"][..], &["status", "vm-102"]] {
        let run = lab.env.run(args).exits(1);
        let run = run.says("error: no server matches `vm-102`, and the listing of pve1 is incomplete");
        assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    }
    // What stands in it can be told apart as ever.
    let _ = lab.power("stop vm-101 --yes").exits(0);
    assert_eq!(lab.sim.posts(), [call(101, "stop")]);
    // Somebody has: its own node says what it does, and who it is.
    let lab = lab_of(guests());
    let _ = lab.env.run(&["status"]).exits(0);
    tear(&lab, None, &torn(102));
    let run = lab.power("start vm-102 -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["done running".to_owned()], vec![call(102, "start")]));
}

/// It is on another node by now, which the listing does not say.
#[test]
fn who_is_not_in_a_torn_listing_is_not_gone() {
    let mut cluster = guests();
    let path = "/qemu/102/config";
    let moves = |cluster: &mut ecobox_sim::Cluster| cluster.migrate_guest(102, "pve2");
    cluster.before("GET", path, move |cluster| cluster.before("GET", path, moves));
    let lab = lab_of(cluster);
    let _ = lab.env.run(&["status"]).exits(0);
    lab.sim.cluster().before("GET", path, |cluster| {
        for node in ["pve1", "pve2"] {
            cluster.fail_on(node, Some("GET"), Some("/cluster/resources"), None, Fault::Json(torn(102)));
        }
    });
    let run = lab.power("start vm-102").exits(1).says("the listing of its cluster is incomplete: it may be elsewhere");
    assert!(!run.stderr.contains("is gone"), "{run}");
    assert_eq!(lab.sim.posts(), [""; 0], "{run}");
}

/// A token whose privileges were taken away is answered with an empty list.
#[test]
fn a_token_without_privileges_says_nothing_of_guests() {
    let lab = lab();
    let _ = lab.env.run(&["status"]).exits(0);
    {
        let cluster = lab.sim.cluster();
        let mut access = cluster.access();
        for token in access.tokens() {
            let line = format!("acl delete / --tokens {token} --roles Sim1");
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(access.pveum(&words).code, 0, "{:?}", access.acl_lines());
        }
    }
    tear(&lab, None, &json!({ "data": [] }).to_string());
    let run = lab.power("start vm-102").exits(4).says("an empty list proves nothing");
    assert!(!run.stderr.contains("gone") && !run.stderr.contains("no server matches"), "{run}");
    lab.sim.cluster().change_guest(102, Guest::running);
    assert_eq!(lab.sim.posts(), [""; 0]);
    assert_eq!(lab.env.rows("SELECT count(*) FROM guests WHERE gone_at IS NOT NULL"), ["0"]);
}
