use super::*;
use crate::transport::pve::lenient::Envelope;

fn read(data: &str) -> Precondition {
    let text = format!("{{\"data\":{data}}}");
    let Envelope(Entry(answer)) = serde_json::from_str::<Envelope<Entry<PreconditionAnswer>>>(&text).unwrap();
    answer.unwrap().0
}

fn names(precondition: &Precondition) -> Vec<String> {
    precondition.not_allowed.iter().map(|(node, why)| format!("{node} {:?}", why.storages)).collect()
}

#[test]
fn what_a_real_one_says_beforehand() {
    // migrate-two-nodes/qemu-101-precondition of a Proxmox VE 9.2.
    let told = read(
        r#"{"mapped-resources": [], "has-dbus-vmstate": 1, "allowed_nodes": ["pve2"], "local_disks": [{"is_unused": 0,
        "referenced_in_snapshot": {"before": 1}, "is_tpmstate": 0, "drivename": "scsi0", "is_vmstate": 0,
        "is_cloudinit": 0, "is_attached": 1, "cdrom": 0, "shared": 0, "size": 67108864,
        "volid": "local:101/vm-101-disk-0.qcow2", "replicate": 1}], "running": 1, "local_resources": [],
        "not_allowed_nodes": {"pve2": {}}, "mapped-resource-info": {}}"#,
    );
    assert_eq!(names(&told), ["pve2 []"]);
    let [disk] = told.local_disks.as_slice() else { panic!("{told:?}") };
    assert_eq!(disk.volid, "local:101/vm-101-disk-0.qcow2");
    assert_eq!((disk.drive.as_deref(), disk.size), (Some("scsi0"), Some(67_108_864)));
    assert_eq!((disk.snapshots.as_slice(), disk.is_cdrom), (&["before".to_owned()][..], false));
    // migrate-two-nodes/lxc-201-precondition
    let told = read(r#"{"running": 0, "allowed-nodes": ["pve2"], "not-allowed-nodes": {}}"#);
    assert_eq!(told, Precondition::default());
}

#[test]
fn what_keeps_a_guest_from_a_node() {
    let told = read(
        r#"{"not_allowed_nodes": {"pve2": {"unavailable_storages": ["tank", 7]}, "pve3": {"unavailable-resources":
        ["gpu"], "blocking-ha-resources": [{"sid": "vm:102", "cause": "resource-affinity"}]}, "not a node": {},
        "pve4": null}, "local_resources": ["hostpci0"], "dependent-ha-resources": ["ct:201"], "local_disks": "none"}"#,
    );
    assert_eq!(names(&told), ["pve2 [\"tank\", \"7\"]", "pve3 []"]);
    let pve3 = &told.not_allowed["pve3"];
    assert_eq!(pve3.resources, ["gpu"]);
    assert_eq!(pve3.ha, [("vm:102".to_owned(), "resource-affinity".to_owned())]);
    assert_eq!((told.local_resources, told.dependent), (vec!["hostpci0".to_owned()], vec!["ct:201".to_owned()]));
}

#[test]
fn what_ha_says() {
    // two-nodes/ha-status-maintenance and ha-status-before-maintenance
    let rows = r#"[{"id": "quorum", "type": "quorum", "status": "OK", "quorate": 1, "node": "pve1"},
        {"id": "master", "type": "master", "node": "pve1", "status": "pve1 (active, Sun Nov 29 15:44:30 2026)"},
        {"type": "lrm", "status": "pve1 (maintenance mode, watchdog active, Sun Nov 29 15:44:31 2026)", "node": "pve1"},
        {"type": "lrm", "status": "pve2 (active, watchdog active, Sun Nov 29 15:43:51 2026)", "node": "pve2"},
        {"sid": "vm:120", "type": "service", "crm_state": "stopped", "node": "pve1", "state": "stopped"},
        {"sid": "vm:105", "type": "service", "node": "pve1", "request_state": "started", "state": "queued"}]"#;
    let Rows(rows) = serde_json::from_str::<Rows<StatusRow>>(rows).unwrap();
    let mut status = HaStatus::default();
    for row in rows {
        row.add_to(&mut status);
    }
    assert_eq!((status.quorate, status.maintenance.len()), (Some(true), 1));
    assert_eq!(status.master.as_ref().unwrap().as_str(), "pve1");
    let shown: Vec<String> =
        ["vm:120", "vm:105"].iter().map(|sid| status.service(sid).unwrap().state.clone()).collect();
    assert_eq!(shown, ["stopped", "queued"]);
    assert_eq!(status.service("vm:1"), None);
}

#[test]
fn which_nodes_rules_leave() {
    // two-nodes/ha-rules
    let rules = r#"[{"type": "node-affinity", "resources": "vm:120", "strict": 1, "nodes": "pve1"},
        {"type": "node-affinity", "resources": "vm:121,ct:201", "strict": 1, "nodes": "pve1:2,pve3"},
        {"type": "node-affinity", "resources": "vm:122", "nodes": "pve1"},
        {"type": "node-affinity", "resources": "vm:123", "strict": 1, "nodes": "pve1", "disable": 1},
        {"type": "resource-affinity", "resources": "vm:1,vm:2", "affinity": "positive"}]"#;
    let Rows(rules) = serde_json::from_str::<Rows<RuleRow>>(rules).unwrap();
    let told: Vec<String> = rules
        .into_iter()
        .filter_map(RuleRow::strict)
        .map(|rule| {
            format!("{} on {}", rule.guests.join(" "), rule.nodes.iter().map(NodeName::as_str).collect::<String>())
        })
        .collect();
    assert_eq!(told, ["vm:120 on pve1", "vm:121 ct:201 on pve1pve3"]);
    let Rows(groups) = serde_json::from_str::<Rows<RuleRow>>(
        r#"[{"group": "left", "restricted": 1, "nodes": "pve1:2,pve2"}, {"group": "any", "nodes": "pve1"}]"#,
    )
    .unwrap();
    let Rows(resources) =
        serde_json::from_str::<Rows<RuleRow>>(r#"[{"sid": "vm:101", "group": "left"}, {"sid": "vm:102"}]"#).unwrap();
    let told: Vec<_> = groups.into_iter().filter_map(|group| group.restricted(&resources)).collect();
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((one.guests.as_slice(), one.nodes.len()), (&["vm:101".to_owned()][..], 2));
}
