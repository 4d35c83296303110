//! `stats --agent`: what guests say of their disks, and how they fail to. One number is unknown then, with its reason.

use std::time::Duration;

use ecobox_sim::{Agent, Fault, Guest};
use serde_json::{Value, json};

use super::fleets::{cluster, env_for};
use super::pace::deadline;
use super::stats::fields;

const GIB: u64 = 1 << 30;

/// A running guest whose agent tells of a root file system, a quarter of which is used.
fn usual(vm: Guest) -> Guest {
    vm.running().size(1, 1024).load(0.25, GIB / 2).agent(Agent::Answers).filesystem("/", "ext4", GIB, 4 * GIB)
}

/// Of FreeBSD with its root on ZFS: a dataset for each mount, and what the kernel makes up.
fn freebsd(vm: Guest) -> Guest {
    let mounted = |name: &str, mount: &str, kind: &str, used: u64, total: u64| json!({ "name": name, "mountpoint": mount, "type": kind, "used-bytes": used, "total-bytes": total, "disk": [] });
    usual(vm).agent_says(
        "get-fsinfo",
        json!([
            mounted("devfs", "/dev", "devfs", 1024, 1024),
            mounted("zroot/usr/home", "/usr/home", "zfs", 2 * GIB, 32 * GIB),
            mounted("zroot/ROOT/default", "/", "zfs", 3 * GIB, 33 * GIB),
            mounted("fdescfs", "/dev/fd", "fdescfs", 1024, 1024),
            mounted("procfs", "/proc", "procfs", 4096, 4096),
        ]),
    )
}

/// So many file systems that the answer has more than 5 MiB.
fn endless(vm: Guest) -> Guest {
    let one = |n: usize| {
        let mount = format!("/srv/{n:0>120}");
        json!({ "name": format!("sd{n}"), "mountpoint": mount, "type": "ext4", "used-bytes": 1, "total-bytes": 2 })
    };
    let list = Value::Array((0..30_000).map(one).collect());
    assert!(list.to_string().len() > 5 << 20);
    usual(vm).agent_says("get-fsinfo", list)
}

#[test]
fn each_agent_fails_for_itself() {
    let sim = ecobox_sim::Sim::start(
        cluster("homelab")
            .node("pve1")
            .vm(101, "good", usual)
            .vm(102, "hangs", |vm| usual(vm).agent_takes(Duration::from_secs(600)))
            .vm(103, "fails", usual)
            .vm(104, "endless", endless)
            .vm(105, "flood", usual)
            .vm(106, "nonsense", usual)
            .vm(107, "other-words", |vm| {
                usual(vm).agent_says("get-fsinfo", json!({ "error": { "class": "CommandNotFound" } }))
            })
            .vm(108, "bsd", freebsd)
            .vm(109, "disabled", |vm| usual(vm).agent(Agent::None))
            .vm(110, "dead", |vm| usual(vm).agent(Agent::Dead))
            .vm(111, "breaks", usual)
            .vm(112, "stopped", |vm| usual(vm).stopped())
            .vm(113, "slow", usual),
    );
    let node = sim.node("pve1");
    let fail = |vmid: u32, fault| node.fail_on(Some("GET"), Some(&format!("/{vmid}/agent/")), None, fault);
    fail(
        103,
        Fault::Status(
            500,
            "VM 103 qmp command 'guest-get-fsinfo' failed - failed to open /proc/self/mounts".to_owned(),
        ),
    );
    fail(113, Fault::Status(500, "VM 113 qmp command 'guest-get-fsinfo' failed - got timeout".to_owned()));
    fail(105, Fault::HugeBody(5 << 20));
    fail(106, Fault::Garbage);
    fail(111, Fault::DropInBody);
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["stats", "--agent", "--timeout", &deadline(20), "-o", "json"]).exits(0);
    for (vmid, says) in [
        (102, "its guest agent did not answer within "),
        (103, "failed to open /proc/self/mounts"),
        (104, "pve1 sent an unusable answer: more than 1048576 bytes"),
        (105, "pve1 sent an unusable answer: more than 1048576 bytes"),
        (106, "pve1 sent an unusable answer: /nodes/pve1/qemu/106/agent/get-fsinfo: "),
        (107, "its guest agent says: CommandNotFound"),
        (109, "no guest agent is configured"),
        (110, "its guest agent does not answer"),
        (111, "pve1 sent an unusable answer: the connection was closed within the answer"),
        (112, "it is stopped"),
        (113, "its guest agent does not answer"),
    ] {
        let guest = run.server(&format!("pve1-vm-{vmid}"));
        let disk = ["disk_bytes", "disk_percent", "filesystems"];
        assert_eq!(fields(&guest, disk), [Value::Null, Value::Null, json!([])], "{guest:#}");
        assert!(guest["reasons"]["disk"].as_str().is_some_and(|reason| reason.contains(says)), "{guest:#}");
        // All else stands.
        if vmid != 112 {
            assert_eq!(
                fields(&guest, ["cpu_percent", "memory_percent", "state"]),
                [json!(25.0), json!(50.0), json!("running")]
            );
        }
    }
    for (vmid, used, size, mounts) in [(101, GIB, 4 * GIB, &["/"][..]), (108, 3 * GIB, 33 * GIB, &["/", "/usr/home"])] {
        let guest = run.server(&format!("pve1-vm-{vmid}"));
        assert_eq!(fields(&guest, ["disk_bytes", "disk_max_bytes"]), [json!(used), json!(size)], "{guest:#}");
        assert!(guest["reasons"].get("disk").is_none(), "{guest:#}");
        let found =
            guest["filesystems"].as_array().unwrap().iter().map(|one| one["mount"].as_str().unwrap().to_owned());
        assert_eq!(found.collect::<Vec<_>>(), mounts);
    }
    assert_eq!(run.json()["failures"], json!([]));
}

/// An image that is only read is the root of appliances; their data lies elsewhere.
#[test]
fn without_a_usable_root_the_largest_file_system_is_the_disk() {
    let data = (10_837_524_480_u64, 31_675_576_320_u64);
    let mounted = |name: &str, mount: &str, kind: &str, used: u64, total: u64| json!({ "name": name, "mountpoint": mount, "type": kind, "used-bytes": used, "total-bytes": total, "disk": [] });
    let sim = ecobox_sim::Sim::start(
        cluster("homelab")
            .node("pve1")
            .vm(101, "haos", |vm| {
                usual(vm).disk(32 * GIB, 0).agent_says(
                    "get-fsinfo",
                    json!([
                        mounted("sda3", "/", "erofs", 265_000_000, 265_000_000),
                        mounted("sda1", "/mnt/boot", "vfat", 2_000_000, 33_000_000),
                        mounted("sda8", "/mnt/data", "ext4", data.0, data.1),
                    ]),
                )
            })
            .vm(102, "plain", |vm| vm.running().disk(32 * GIB, 0)),
    );
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["stats", "--agent", "-o", "json"]).exits(0);
    let haos = run.server("pve1-vm-101");
    assert_eq!(
        fields(&haos, ["disk_bytes", "disk_max_bytes", "disk_mount"]),
        [json!(data.0), json!(data.1), json!("/mnt/data")]
    );
    let reason = "no usable root file system is reported; the disk is the largest, /mnt/data";
    assert_eq!((&haos["reasons"]["disk"], haos["filesystems"].as_array().unwrap().len()), (&json!(reason), 2));
    let table = env.run(&["stats", "--agent"]).exits(0);
    assert!(table.stdout.contains("/mnt/boot 6%, /mnt/data 34%"), "{table}");
    // A virtual disk is no file system, whoever looked into it.
    let metrics = env.run(&["stats", "--agent", "-o", "openmetrics"]).exits(0).stdout;
    let of = |vmid: u32| -> Vec<String> {
        let disks = metrics.lines().filter(|line| line.contains(&format!("/{vmid}\"")));
        let disks = disks.filter(|line| line.starts_with("ecobox_disk_size") || line.starts_with("ecobox_filesystem"));
        disks
            .map(|line| {
                line.split_once("id=").map_or(line, |(name, _)| name).to_owned() + line.rsplit('"').next().unwrap()
            })
            .collect()
    };
    assert_eq!(
        of(101),
        [
            "ecobox_filesystem_used_bytes{} 2000000",
            "ecobox_filesystem_used_bytes{} 10837524480",
            "ecobox_filesystem_size_bytes{} 33000000",
            "ecobox_filesystem_size_bytes{} 31675576320",
            "ecobox_disk_size_bytes{} 34359738368",
        ]
    );
    assert_eq!(of(102), ["ecobox_disk_size_bytes{} 34359738368"]);
}
