//! `ecobox snapshot`, the common ways: what is sent, what is seen, and what is told.

use ecobox_sim::{Agent, Cluster, Guest, Sim};
use serde_json::{Value, json};

use super::env::{CANARY, Run};
use super::fleets::{MANAGER, OPERATOR, TOKEN, env_for};
use super::pace::deadline;
use super::power::Lab;

/// Guests on storages of each kind, on two nodes.
pub(crate) fn guests() -> Cluster {
    let gib = 1 << 30;
    Cluster::new("lab")
        .token(TOKEN, CANARY, "/", MANAGER)
        .node("pve1")
        .node("pve2")
        .local_storage("local", 100 * gib, 20 * gib)
        .thin_pool("local-lvm", 100 * gib, 50 * gib, 30)
        .shared_storage("zfs", "zfspool", 100 * gib, 10 * gib)
        .vm(101, "web", |vm| vm.qcow2().running().agent_ip("10.99.0.101"))
        .vm(102, "off", Guest::qcow2)
        .vm(103, "thin", |vm| vm.volume("local-lvm:vm-103-disk-0").running())
        .vm(104, "zfs", |vm| vm.volume("zfs:vm-104-disk-0").running())
        .vm(105, "locked", |vm| vm.qcow2().locked("backup"))
        .vm(106, "raw", Guest::running)
        .vm(108, "golden", |vm| vm.qcow2().template())
        .vm(109, "silent", |vm| vm.qcow2().running().agent(Agent::Dead))
        .vm(111, "away", |vm| vm.qcow2().on("pve2").running())
        .ct(201, "dns", |ct| ct.volume("local-lvm:vm-201-disk-0").running())
        .ct(202, "files", |ct| ct.volume("local-lvm:vm-202-disk-0").config("mp0", "/srv/data,mp=/data"))
}

pub(crate) fn lab() -> Lab {
    lab_of(guests())
}

pub(crate) fn lab_of(cluster: Cluster) -> Lab {
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1", "pve2"]);
    Lab { sim, env }
}

impl Lab {
    /// `ecobox snapshot`, with these words.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn snapshot(&self, words: &str) -> Run {
        let args: Vec<&str> = ["snapshot"].into_iter().chain(words.split(' ')).collect();
        self.env.run(&args)
    }

    pub(crate) fn names(&self, vmid: u32) -> Vec<String> {
        self.sim.cluster().snapshot_names(vmid)
    }
}

/// `action snapshot result` of each row.
pub(crate) fn rows(run: &Run) -> Vec<String> {
    let report = run.json();
    assert_eq!(report["schema"], "ecobox.snapshot/1");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |row: &Value| format!("{} {} {}", text(&row["action"]), text(&row["snapshot"]), text(&row["result"]));
    report["steps"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_life_of_snapshots() {
    let lab = lab();
    for (guest, vmid, kind) in [("vm-101", 101, "qemu"), ("vm-103", 103, "qemu"), ("ct-201", 201, "lxc")] {
        lab.sim.clear_requests();
        let run = lab.snapshot(&format!("create {guest} --name s1 --description first -o json")).exits(0);
        assert_eq!(rows(&run), ["create s1 done"], "{run}");
        let run = lab.snapshot(&format!("create {guest} --name s2 -o json")).exits(0);
        assert_eq!(rows(&run), ["create s2 done"]);
        assert_eq!(lab.names(vmid), ["s1", "s2"]);
        // The configuration goes back as well, and what runs is killed.
        lab.sim.cluster().change_guest(vmid, |guest| guest.size(4, 8192).tags("changed"));
        let shown = lab.snapshot(&format!("rollback s1 {guest} --dry-run -o json")).exits(0);
        let shown = shown.says("everything since 20").says(" is lost, ").says("configuration: cores: ");
        let row = shown.json()["steps"][0].clone();
        assert_eq!(row["result"], "planned");
        let keys: Vec<&str> =
            row["differences"].as_array().unwrap().iter().map(|d| d["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["cores", "memory", "tags"], "{shown}");
        assert!(row["loses_since"].is_string());
        let run = lab.snapshot(&format!("rollback s1 {guest} --yes -o json")).exits(0);
        assert_eq!(
            (rows(&run), &run.json()["steps"][0]["state"]),
            (vec!["rollback s1 done".to_owned()], &json!("stopped"))
        );
        assert_eq!(lab.sim.cluster().snapshot_parent(vmid).as_deref(), Some("s1"));
        let run = lab.snapshot(&format!("rollback s2 {guest} --start --yes -o json")).exits(0);
        assert_eq!(run.json()["steps"][0]["state"], "running", "{run}");
        let run = lab.snapshot(&format!("delete s? {guest} --yes -o json")).exits(0);
        assert_eq!(rows(&run), ["delete s1 done", "delete s2 done"]);
        assert_eq!(lab.names(vmid), [""; 0]);
        let place = format!("/nodes/pve1/{kind}/{vmid}/snapshot");
        let sent = lab.sim.changes();
        let marked =
            |name: &str, text: &str| format!("POST {place} snapname={name}&description={text}%5Becobox+{name}%5D");
        assert_eq!(
            sent,
            [
                marked("s1", "first%0A"),
                marked("s2", ""),
                format!("POST {place}/s1/rollback"),
                format!("POST {place}/s2/rollback start=1"),
                format!("DELETE {place}/s1"),
                format!("DELETE {place}/s2"),
            ]
        );
    }
    let history = lab.env.rows("SELECT action, outcome FROM actions ORDER BY id");
    assert_eq!(
        history[..6],
        [
            "snapshot create s1|done",
            "snapshot create s2|done",
            "snapshot rollback s1|done",
            "snapshot rollback s2|done",
            "snapshot delete s1|done",
            "snapshot delete s2|done"
        ]
    );
}

#[test]
fn each_reason_is_found_before_anything_is_sent() {
    for (words, code, says) in [
        ("create vm-105 --name s1", 11, "its configuration is locked (backup)"),
        ("create vm-106 --name s1", 11, "scsi0 on local is a raw image, which has no snapshots there"),
        ("create vm-108 --name s1", 11, "it is a template, of which no snapshot is taken"),
        ("create ct-202 --name s1", 11, "mp0 is /srv/data of the host"),
        ("create ct-201 --name s1 --vmstate", 11, "a container's memory is never saved"),
        ("create vm-102 --name s1 --vmstate", 11, "it does not run, and has no memory to save"),
        ("create vm-103 --name s1 --max-storage 49", 11, "its storage local-lvm is 50 % full"),
        ("create vm-103 --name s1 --max-storage 20", 11, "`--allow storage-full`"),
        ("rollback s1 vm-101 --yes", 11, "it has no snapshot s1: it has none"),
        ("delete s1 vm-101 --yes", 7, "no snapshot of pve1-vm-101 is called `s1`"),
        ("create vm-101 --name current", 2, "Proxmox VE uses the name `current` itself"),
        ("create vm-101 --name Pending", 2, "Proxmox VE uses the name"),
        ("create vm-101 --name vzdump", 2, "Proxmox VE uses the name"),
        ("create vm-101 --name 1st", 2, "begins with a letter"),
        ("create vm-101 --label Daily", 2, "lower-case"),
        ("create vm-101 --keep 3 --no-wait", 2, "cannot be used with"),
        ("create before vm-101", 7, "the name of a new snapshot is given by `--name`"),
        ("rollback vm-101 before --yes", 7, "the name of the snapshot comes first"),
        ("create pve1 --name s1", 11, "it is not a guest, and has no snapshots"),
    ] {
        let lab = lab();
        let run = lab.snapshot(words).exits(code).says(says);
        assert_eq!(lab.sim.changes(), [""; 0], "{words}\n{run}");
        // A dry run ends in the same way.
        let _ = lab.snapshot(&format!("{words} --dry-run")).exits(code);
    }
    // What could succeed is let pass.
    let lab = lab();
    let run = lab.snapshot("create vm-103 --name s1 --max-storage 20 --allow storage-full -o json").exits(0);
    assert_eq!(rows(&run), ["create s1 done"]);
    // The name is taken.
    let _ = lab.snapshot("create vm-103 --name s1").exits(11).says("it has a snapshot s1 already");
    assert_eq!(lab.sim.changes().len(), 1);
}

#[test]
fn metadata_of_a_thin_pool_counts_as_well() {
    let gib = 1 << 30;
    let full =
        Cluster::new("lab").token(TOKEN, CANARY, "/", MANAGER).node("pve1").thin_pool("pool", 100 * gib, gib, 97);
    let lab = lab_of_one(full.vm(101, "web", |vm| vm.volume("pool:vm-101-disk-0")));
    let _ = lab.snapshot("create vm-101").exits(11).says("(the metadata of its thin pool) is 97 % full");
    assert_eq!(lab.sim.changes(), [""; 0]);
}

pub(crate) fn lab_of_one(cluster: Cluster) -> Lab {
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1"]);
    Lab { sim, env }
}

/// What its configuration names for the memory decides, for the plan as right before the call.
#[test]
fn memory_goes_where_the_configuration_says() {
    let gib = 1_u64 << 30;
    let cluster = |room: u64| {
        let cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", MANAGER).node("pve1");
        let cluster = cluster.local_storage("local", 100 * gib, 100 * gib - (1 << 20)).local_storage(
            "big",
            100 * gib,
            100 * gib - room,
        );
        lab_of_one(cluster.vm(101, "web", |vm| vm.qcow2().running().config("vmstatestorage", "big")))
    };
    let words = "create vm-101 --name ram --vmstate --max-storage 100";
    let _ = cluster(10 * gib).snapshot(words).exits(0);
    let _ = cluster(gib).snapshot(words).exits(11).says("its storage big has 1.0G left");
}

/// Sent without waiting, but each of a guest's calls once the one before it has ended: its lock would keep it back.
#[test]
fn calls_of_one_guest_follow_each_other() {
    let mut cluster = guests();
    cluster.change_guest(101, |vm| vm.snapshot("s1", 90, "").snapshot("s2", 60, ""));
    let lab = lab_of(cluster);
    let run = lab.snapshot("delete s? vm-101 --yes --no-wait -o json").exits(0);
    assert_eq!(rows(&run), ["delete s1 done", "delete s2 sent"], "{run}");
}

#[test]
fn only_the_newest_on_zfs() {
    let lab = lab();
    for name in ["s1", "s2", "s3"] {
        let _ = lab.snapshot(&format!("create vm-104 --name {name}")).exits(0);
        lab.sim.cluster().clock.advance(std::time::Duration::from_secs(60));
    }
    let run = lab.snapshot("rollback s1 vm-104 --yes").exits(11);
    let run = run.says("2 newer snapshots must go first, as its storage zfs rolls back to the newest only: s3, s2");
    let _ = run.says("`ecobox snapshot delete s3 pve1-vm-104`, then `ecobox snapshot delete s2 pve1-vm-104`");
    assert_eq!(lab.sim.changes().len(), 3);
    let _ = lab.snapshot("rollback s3 vm-104 --yes").exits(0);
}

#[test]
fn several_go_on_where_one_cannot_and_go_back_together() {
    let lab = lab();
    let run = lab.snapshot("create vm-101 vm-105 vm-111 ct-201 --name s1 -o json").exits(8);
    assert_eq!(rows(&run), ["create s1 done", "create s1 refused", "create s1 done", "create s1 done"]);
    lab.sim.clear_requests();
    let run = lab.snapshot("rollback s1 vm-101 vm-102 vm-111 --yes -o json").exits(11);
    assert_eq!(rows(&run), ["rollback s1 not tried", "rollback s1 refused", "rollback s1 not tried"]);
    assert_eq!(lab.sim.changes(), [""; 0]);
    let _ = lab.snapshot("rollback s1 vm-101 vm-111 --yes").exits(0);
    // Without a terminal nothing is taken away unasked.
    let _ = lab.snapshot("delete s1 vm-101").exits(11).says("not confirmed");
    assert_eq!(lab.names(101), ["s1"]);
    // Of those that are named some have it: the others have nothing to do.
    let run = lab.snapshot("delete s1 vm-101 vm-102 --yes -o json").exits(0);
    assert_eq!(rows(&run), ["delete s1 done", "delete - already"]);
}

/// The refusal names the privilege and the line that gives it; another token may be refused by Proxmox VE itself.
#[test]
fn a_privilege_is_named_with_what_gives_it() {
    let lab = lab();
    for who in ["ecobox@pve", TOKEN] {
        lab.sim.cluster().access().revoke_all(who);
        lab.sim.cluster().access().grant("/", who, OPERATOR, true);
    }
    for words in ["create vm-101 --name s1", "create vm-101 vm-103 --name s1 --dry-run"] {
        let _ = lab.snapshot(words).exits(4).says("lacks VM.Snapshot on /vms/101");
    }
    assert_eq!(lab.sim.changes(), [""; 0]);
    let _ = lab.snapshot("list vm-101").exits(0);
}

#[test]
fn crash_consistent_is_said() {
    for (guest, says) in [
        ("vm-101", None),
        ("vm-103", Some("crash-consistent: its guest agent is not enabled")),
        ("vm-109", Some("crash-consistent: its guest agent does not answer")),
        ("vm-102", None),
        ("ct-201", None),
    ] {
        let lab = lab();
        let run = lab.snapshot(&format!("create {guest} --name s1")).exits(0);
        assert_eq!(run.stderr.contains("crash-consistent"), says.is_some(), "{guest}\n{run}");
        if let Some(says) = says {
            let _ = run.says(says);
        }
    }
}

#[test]
fn memory_is_saved_and_goes_on() {
    let lab = lab();
    let _ = lab.snapshot("create vm-101 --name ram --vmstate").exits(0);
    lab.sim.cluster().crash_guest(101);
    let run =
        lab.snapshot("rollback ram vm-101 --yes -o json").exits(0).says("it is started: the snapshot has its memory");
    assert_eq!(run.json()["steps"][0]["state"], "running");
}

#[test]
fn the_tree_is_listed() {
    let lab = lab();
    for name in ["a", "b"] {
        let _ = lab.snapshot(&format!("create vm-101 --name s-{name} --description of-{name}")).exits(0);
        lab.sim.cluster().clock.advance(std::time::Duration::from_secs(60));
    }
    let _ = lab.snapshot("rollback s-a vm-101 --yes").exits(0);
    let _ = lab.snapshot("create vm-101 --name s-c --label daily").exits(0);
    let run = lab.snapshot("list vm-101 -o json").exits(0);
    let list = run.json()["snapshots"].as_array().unwrap().clone();
    let drawn: Vec<String> = list
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} <{} by {} {}",
                entry["depth"],
                text("snapshot"),
                text("parent"),
                text("made_by"),
                text("label")
            )
        })
        .collect();
    assert_eq!(
        drawn,
        ["0 s-a <- by ecobox -", "1 s-b <s-a by ecobox -", "1 s-c <s-a by ecobox daily", "1 - <s-c by - -"],
        "{run}"
    );
    assert_eq!(
        (&list[0]["description"], &list[0]["with_memory"], &list[0]["state"]),
        (&json!("of-a"), &json!(false), &json!("ok"))
    );
    let table = lab.snapshot("list vm-101").exits(0);
    for line in ["  s-a ", "- s-b ", "- s-c ", "  now"] {
        assert!(table.stdout.contains(line), "{line:?}\n{table}");
    }
    let all = lab.snapshot("list").exits(0).prints("10 guests without snapshots");
    assert!(!all.stdout.contains("vm-102"), "{all}");
    let _ = lab.snapshot("list -o csv").exits(0);
    let _ = lab.snapshot("list -o jsonl").exits(0);
}

/// What is neither there nor gone is named with the commands that repair it, also where it is only listed.
#[test]
fn broken_ones_are_listed_with_their_repair() {
    let mut cluster = guests();
    cluster.change_guest(101, |vm| vm.snapshot("s1", 60, "").half_done("delete"));
    let lab = lab_of(cluster);
    let run = lab.snapshot("list vm-101").exits(0);
    let run =
        run.prints("s1 of pve1-vm-101 is in the state `delete`: unless a task works on it, run `qm unlock 101`, then");
    let _ = run.prints("`qm delsnapshot 101 s1 --force` on its node");
    // It keeps nothing from a new one, and cannot be rolled back to.
    let _ = lab.snapshot("create vm-101 --name s2").exits(0).says("its snapshot s1 is in the state `delete`");
    let _ = lab.snapshot("rollback s1 vm-101 --yes").exits(11).says("cannot be rolled back to");
}

/// A plain server that is off has no guests, and nothing to do with their snapshots.
#[test]
fn other_servers_that_are_off_do_not_matter() {
    let lab = lab();
    let nas = "[[servers]]\nid = \"nas\"\nhostname = \"127.0.0.1\"\nssh_port = 1\n";
    lab.env.add_config(nas);
    let run = lab.snapshot("list -o json").exits(0);
    assert_eq!(run.json()["failures"], json!([]), "{run}");
}

#[test]
fn a_node_that_is_off_delays_nobody() {
    let lab = lab();
    let _ = lab.snapshot("create vm-101 --name s1").exits(0);
    lab.sim.cluster().stop_node("pve2");
    let run = lab.snapshot("list -o json").exits(8);
    assert_eq!(run.json()["snapshots"][0]["snapshot"], "s1");
    assert!(run.json()["failures"].as_array().is_some_and(|failures| !failures.is_empty()), "{run}");
    let run = lab.snapshot("create vm-101 vm-111 --name s2 -o json").exits(8);
    assert_eq!(rows(&run)[0], "create s2 done", "{run}");
    let _ = lab.snapshot(&format!("list vm-111 --timeout {}", deadline(3)));
}
