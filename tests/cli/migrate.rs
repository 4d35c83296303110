//! `ecobox migrate`, the common ways: one call, followed until the guest is seen on the other node.

use ecobox_sim::{Cluster, Sim};

use super::env::{CANARY, Env, Run};
use super::fleets::{OPERATOR, TOKEN, env_for};
use super::world::assert_transcript;

/// Three nodes with guests, of which most have their disks on a storage that all share, and ecobox that reaches them.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) env: Env,
}

const GIB: u64 = 1 << 30;

/// What `setup-token --scope manager` grants.
pub(crate) fn manager() -> Vec<&'static str> {
    [OPERATOR, &["VM.Migrate", "VM.Snapshot"]].concat()
}

pub(crate) fn guests() -> Cluster {
    guests_for(&manager())
}

pub(crate) fn guests_for(privileges: &[&str]) -> Cluster {
    let node = |used: u64| move |node: ecobox_sim::Node| node.size(8, 32 * GIB).load(0.1, used * GIB);
    Cluster::new("lab")
        .token(TOKEN, CANARY, "/", privileges)
        .node_with("pve1", node(20))
        .node_with("pve2", node(16))
        .node_with("pve3", node(8))
        .shared_storage("ceph", "rbd", 1000 * GIB, 100 * GIB)
        .local_storage("local", 100 * GIB, 10 * GIB)
        .vm(101, "web", |vm| vm.running().size(2, 4096).stored_on("ceph"))
        .vm(102, "off", |vm| vm.stopped().size(2, 4096).stored_on("ceph"))
        .vm(103, "paused", |vm| vm.paused().size(2, 1024).stored_on("ceph"))
        .vm(104, "copied", |vm| vm.running().size(2, 2048).stored_on("local"))
        .vm(105, "locked", |vm| vm.running().locked("backup").stored_on("ceph"))
        .vm(106, "bound", |vm| vm.running().stored_on("ceph").config("hostpci0", "0000:01:00.0"))
        .vm(107, "golden", |vm| vm.template().stored_on("ceph"))
        .vm(108, "disc", |vm| vm.running().stored_on("ceph").config("ide2", "local:iso/debian.iso,media=cdrom"))
        .vm(109, "managed", |vm| vm.running().ha("started").stored_on("ceph"))
        .vm(110, "big", |vm| vm.running().size(4, 20480).stored_on("ceph"))
        .ct(201, "dns", |ct| ct.running().size(1, 512).stored_on("ceph"))
        .ct(202, "spare", |ct| ct.stopped().size(1, 512).stored_on("ceph"))
}

pub(crate) fn lab() -> Lab {
    lab_of(guests())
}

pub(crate) fn lab_of(cluster: Cluster) -> Lab {
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    Lab { sim, env }
}

impl Lab {
    /// `ecobox migrate`, with these words.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn migrate(&self, words: &str) -> Run {
        let args: Vec<&str> = ["migrate"].into_iter().chain(words.split(' ')).collect();
        self.env.run(&args)
    }

    /// `result state from to` of each step.
    pub(crate) fn results(run: &Run) -> Vec<String> {
        let report = run.json();
        assert_eq!(report["schema"], "ecobox.migrate/1");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        let steps = report["steps"].as_array().unwrap();
        let row = |step: &serde_json::Value| {
            ["result", "state", "from_node", "to_node"].map(|key| text(&step[key])).join(" ")
        };
        steps.iter().map(row).collect()
    }

    /// Where a guest is.
    pub(crate) fn node_of(&self, vmid: u32) -> String {
        self.sim.cluster().node_of(vmid).unwrap()
    }

    /// The actions that the state file keeps.
    pub(crate) fn history(&self) -> Vec<String> {
        self.env.rows("SELECT action, outcome FROM actions ORDER BY id")
    }
}

/// Where the call goes that moves a guest away from the first node.
pub(crate) fn call(vmid: u32, parameters: &str) -> String {
    let kind = if vmid < 200 { "qemu" } else { "lxc" };
    format!("/nodes/pve1/{kind}/{vmid}/migrate {parameters}")
}

#[test]
fn each_kind_in_each_state_goes_with_its_own_parameters() {
    for (words, vmid, sent, state) in [
        ("vm-101 --to pve2", 101, "target=pve2&online=1", "running"),
        ("vm-102 --to pve2", 102, "target=pve2", "stopped"),
        ("vm-103 --to pve2", 103, "target=pve2&online=1", "paused"),
        ("vm-104 --to pve2 --with-local-disks", 104, "target=pve2&online=1&with-local-disks=1", "running"),
        ("vm-104 --to pve2 --allow local-disks", 104, "target=pve2&online=1&with-local-disks=1", "running"),
        ("vm-107 --to pve2", 107, "target=pve2", "stopped"),
        ("ct-201 --to pve2 --restart", 201, "target=pve2&restart=1", "running"),
        ("ct-201 --to pve2 --allow restart-needed", 201, "target=pve2&restart=1", "running"),
        ("ct-202 --to pve2", 202, "target=pve2", "stopped"),
    ] {
        let lab = lab();
        let run = lab.migrate(&format!("{words} --yes -o json")).exits(0);
        assert_eq!(lab.sim.posts(), [call(vmid, sent)], "{words}\n{run}");
        assert_eq!(Lab::results(&run), [format!("done {state} pve1 pve2")], "{words}\n{run}");
        assert_eq!((lab.node_of(vmid), lab.history()), ("pve2".to_owned(), vec!["migrate|done".to_owned()]), "{words}");
    }
}

#[test]
fn who_is_there_already_needs_nothing() {
    let lab = lab();
    let run = lab.migrate("vm-101 ct-202 --to pve1 -o json").exits(0);
    assert_eq!(Lab::results(&run), ["already running pve1 pve1", "already stopped pve1 pve1"]);
    assert_eq!((lab.sim.posts(), lab.history()), (vec![], vec![]));
}

#[test]
fn a_move_is_confirmed_first_and_a_dry_run_does_nothing() {
    let lab = lab();
    let run = lab.migrate("vm-101 --to pve2").exits(11).says("not confirmed").says("--yes");
    assert_eq!((run.stdout.as_str(), lab.sim.posts()), ("", vec![]));
    let run = lab.migrate("vm-101 --to pve2 --dry-run -o json").exits(0);
    assert_eq!(Lab::results(&run), ["planned - pve1 pve2"]);
    assert_eq!(run.json()["steps"][0]["call"], "POST /nodes/pve1/qemu/101/migrate target=pve2 online=1");
    assert_transcript!("migrate_dry_run", lab.migrate("vm-101 vm-104 ct-201 --to pve2 --dry-run").exits(11));
    assert_eq!(lab.sim.posts(), [""; 0]);
}

#[test]
fn how_it_went_is_said() {
    let lab = lab();
    let run = lab.migrate("vm-101 --to pve2 --yes -o json").exits(0);
    assert_eq!(run.json()["steps"][0]["detail"], "pve1 to pve2, downtime 57 ms, 113.0 MiB/s");
    let upid = run.json()["steps"][0]["upid"].as_str().unwrap().to_owned();
    assert!(upid.starts_with("UPID:pve1:") && upid.contains(":qmigrate:101:"), "{upid}");
}
