//! `ecobox power` on guests, while the cluster changes between the plan, the call and its end.

use ecobox_sim::{Cluster, Guest, Kind};

use super::power::{Lab, call, guests, lab_of};

/// A lab where something happens right before the guest is looked at for the last time: its configuration is read for the
/// plan, and again before the call.
fn lab_where(vmid: u32, deed: impl FnMut(&mut Cluster) + Send + Clone + 'static) -> Lab {
    let mut cluster = guests();
    let path = format!("/{vmid}/config");
    cluster.before("GET", &path.clone(), move |cluster| cluster.before("GET", &path, deed.clone()));
    lab_of(cluster)
}

#[test]
fn it_migrated_after_the_plan() {
    for (verb, vmid, kind) in [("start", 102, "qemu"), ("shutdown", 101, "qemu"), ("stop", 201, "lxc")] {
        let lab = lab_where(vmid, move |c| c.migrate_guest(vmid, "pve2"));
        let run = lab.power(&format!("{verb} {vmid} --yes -o json")).exits(0);
        assert!(Lab::results(&run)[0].starts_with("done "), "{run}");
        assert_eq!(lab.sim.posts(), [format!("/nodes/pve2/{kind}/{vmid}/status/{verb}")], "{run}");
    }
}

#[test]
fn it_migrates_while_it_is_waited_for() {
    let mut cluster = guests();
    cluster.before("GET", "/tasks/UPID", |c| c.before("GET", "/102/status/current", |c| c.migrate_guest(102, "pve2")));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102 -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["done running".to_owned()], vec![call(102, "start")]));
    assert!(lab.sim.requests().iter().any(|request| request.path.contains("/nodes/pve2/qemu/102/status/current")));
}

#[test]
fn another_guest_got_the_number_after_the_plan() {
    let other = "99999999-0000-4000-8000-000000000102";
    for (kind, name) in [(Kind::Qemu, "other"), (Kind::Qemu, "off"), (Kind::Lxc, "off")] {
        let lab = lab_where(102, move |c| c.replace_guest(102, kind, name, |guest| guest.uuid(other)));
        let run = lab.power("start vm-102").exits(6).says("another guest has its number now");
        assert_eq!(lab.sim.posts(), [""; 0], "{kind:?} {name}\n{run}");
        assert_eq!(lab.env.rows("SELECT outcome FROM actions WHERE outcome = 'done'"), [""; 0]);
    }
}

#[test]
fn it_was_destroyed_after_the_plan() {
    let lab = lab_where(102, |c| c.remove_guest(102));
    let run = lab.power("start vm-102").exits(1).says("pve1-vm-102 is gone: no node of its cluster has it");
    assert_eq!(lab.sim.posts(), [""; 0], "{run}");
}

#[test]
fn a_reason_that_came_after_the_plan() {
    for (deed, words, exit) in [
        (
            (|c| c.change_guest(102, |vm| vm.locked("backup"))) as fn(&mut Cluster),
            "its configuration is locked (backup)",
            11,
        ),
        (|c| c.change_guest(102, Guest::template), "it is a template", 11),
    ] {
        let lab = lab_where(102, deed);
        let run = lab.power("start vm-102 --yes").exits(exit).says(words);
        assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    }
}

/// Somebody else was faster: Proxmox VE says so, and its state shows it.
#[test]
fn somebody_else_started_it_after_the_plan() {
    let lab = lab_where(102, |c| c.change_guest(102, Guest::running));
    let run = lab.power("start vm-102 -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["already running".to_owned()], vec![call(102, "start")]));
}

#[test]
fn the_quorum_went_after_the_plan() {
    let mut cluster = guests();
    cluster.before("POST", "/start", |c| c.set_quorate(false));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102").exits(11).says("Proxmox VE refused: cluster not ready - no quorum?");
    assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
    assert_eq!(lab.env.rows("SELECT action, outcome FROM actions"), ["start|refused"]);
    // What runs can still be ended.
    let _ = lab.power("stop vm-101 --yes").exits(0);
}
