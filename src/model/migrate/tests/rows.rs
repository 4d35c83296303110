//! Single rows for what people meet.

use std::collections::BTreeMap;

use super::*;

#[test]
fn what_people_meet() {
    type Change = fn(&mut MovingGuest, &mut Vec<TargetNode>);
    type Telling = fn(&mut Precondition);
    let told = |guest: &mut MovingGuest, change: Telling| {
        change(guest.precondition.as_mut().unwrap());
    };
    let cases: [(&str, Change, &[&str]); 27] = [
        ("runs, and nothing is wrong", |_, _| {}, &[]),
        ("off", |guest, _| guest.state = PowerState::Stopped, &[]),
        ("locked", |guest, _| guest.lock = Some("backup".to_owned()), &["guest-locked!"]),
        ("HA is busy", |guest, _| guest.ha = Some("migrate".to_owned()), &["ha-managed"]),
        ("HA gave up", |guest, _| guest.ha = Some("error".to_owned()), &["ha-managed!"]),
        ("HA leaves it alone", |guest, _| guest.ha = Some("ignored".to_owned()), &[]),
        ("not enough memory", |guest, _| guest.memory = Some(21 * GIB), &["target-full"]),
        ("just enough", |guest, _| guest.memory = Some(20 * GIB), &[]),
        ("free memory is unknown", |_, nodes| nodes[1].free = None, &[]),
        ("off needs none", |guest, _| (guest.memory, guest.state) = (Some(99 * GIB), PowerState::Stopped), &[]),
        ("the node sleeps", |_, nodes| nodes[1].online = false, &["target-away!"]),
        ("it is woken first", |_, nodes| (nodes[1].online, nodes[1].is_woken_first) = (false, true), &[]),
        ("it goes down, too", |_, nodes| nodes[1].leaves = true, &["target-away!"]),
        ("maintenance", |_, nodes| nodes[1].in_maintenance = true, &["target-away"]),
        (
            "maintenance, and HA",
            |guest, nodes| (nodes[1].in_maintenance, guest.ha) = (true, Some("started".to_owned())),
            &["target-away!"],
        ),
        ("host, same model", |guest, _| guest.cpu = Some("host".to_owned()), &[]),
        (
            "host, other model",
            |guest, nodes| {
                guest.cpu = Some("host".to_owned());
                nodes[1].cpu = Some(NodeCpu { model: "Xeon".to_owned(), flags: BTreeSet::new() });
            },
            &["cpu-type"],
        ),
        (
            "host, model unknown",
            |guest, nodes| (guest.cpu, nodes[1].cpu) = (Some("host".to_owned()), None),
            &["cpu-type"],
        ),
        (
            "off, so that it starts there",
            |guest, nodes| {
                (guest.cpu, nodes[1].cpu) = (Some("host".to_owned()), None);
                guest.state = PowerState::Stopped;
            },
            &[],
        ),
        (
            "a level that the node lacks",
            |guest, nodes| {
                guest.cpu = Some("x86-64-v3".to_owned());
                let flags = "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 aes avx".split(' ').map(str::to_owned).collect();
                nodes[1].cpu = Some(NodeCpu { model: "old".to_owned(), flags });
            },
            &["cpu-type"],
        ),
        ("replicated there", |guest, _| guest.replicated_to = vec![node("pve2")], &[]),
        ("replicated elsewhere", |guest, _| guest.replicated_to = vec![node("pve3")], &["replicated!"]),
        (
            "replicated elsewhere, and off",
            |guest, _| (guest.replicated_to, guest.state) = (vec![node("pve3")], PowerState::Stopped),
            &[],
        ),
        ("a strict rule", |guest, _| guest.ha_nodes = Some(vec![node("pve1")]), &["ha-rules!"]),
        (
            "a folder of its node",
            |guest, _| {
                guest.kind = GuestKind::Lxc;
                guest.state = PowerState::Stopped;
                let key = "mp0".to_owned();
                guest.volumes = vec![Volume { key, storage: None, shared: false, size: None }];
            },
            &["local-resources!"],
        ),
        (
            "a folder that all nodes have",
            |guest, _| {
                guest.kind = GuestKind::Lxc;
                guest.state = PowerState::Stopped;
                guest.volumes = vec![Volume { key: "mp0".to_owned(), storage: None, shared: true, size: None }];
            },
            &[],
        ),
        (
            "snapshots on an LVM thin pool, of a guest that is off",
            |guest, _| {
                guest.state = PowerState::Stopped;
                let thin = LocalDisk { snapshots: vec!["before".to_owned()], on_thin_pool: true, ..disk() };
                guest.precondition = Some(Precondition { local_disks: vec![thin], ..Precondition::default() });
            },
            &["local-disks!"],
        ),
    ];
    for (what, change, want) in cases {
        let (mut guest, mut nodes) = (guest(), nodes());
        change(&mut guest, &mut nodes);
        assert_eq!(against(&judge(&guest, &to("pve2"), &nodes)), want, "{what}");
    }
    // What Proxmox VE says beforehand.
    let tellings: [(&str, Telling, &[&str]); 6] = [
        ("a cloud-init drive", |told| told.local_disks.push(LocalDisk { is_cloudinit: true, ..disk() }), &[]),
        (
            "an image in the drive",
            |told| told.local_disks.push(LocalDisk { is_cdrom: true, ..disk() }),
            &["local-resources!"],
        ),
        ("a device", |told| told.local_resources.push("usb0".to_owned()), &["local-resources!"]),
        (
            "a device that is not mapped there",
            |told| {
                let why = NotAllowed { resources: vec!["gpu".to_owned()], ..NotAllowed::default() };
                told.not_allowed = BTreeMap::from([(node("pve2"), why)]);
            },
            &["local-resources!"],
        ),
        (
            "HA keeps it apart",
            |told| {
                let ha = vec![("vm:102".to_owned(), "resource-affinity".to_owned())];
                told.not_allowed = BTreeMap::from([(node("pve2"), NotAllowed { ha, ..NotAllowed::default() })]);
            },
            &["ha-rules!"],
        ),
        (
            "an empty entry is no refusal",
            |told| told.not_allowed = BTreeMap::from([(node("pve2"), NotAllowed::default())]),
            &[],
        ),
    ];
    for (what, change, want) in tellings {
        let mut guest = guest();
        told(&mut guest, change);
        assert_eq!(against(&judge(&guest, &to("pve2"), &nodes())), want, "{what}");
    }
}
