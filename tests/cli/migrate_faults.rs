//! `ecobox migrate`, with bad luck: whatever happens, a call is sent once at most, and what is known is said.

use ecobox_sim::{Cluster, Fault, MoveFault};

use super::migrate::{Lab, call, guests, lab, lab_of};
use super::pace::deadline;

#[test]
fn an_answer_that_is_lost() {
    let status = |status, reason: &str| Fault::Status(status, reason.to_owned());
    let lost = "its answer was lost";
    for (fault, exit, words, moves) in [
        (Fault::DropBeforeAnswer, 10, lost, false),
        (Fault::HangAtRequest, 10, lost, false),
        (Fault::DropAfterAction, 0, "", true),
        (Fault::DropInBody, 0, "", true),
        (Fault::Garbage, 10, lost, false),
        (Fault::Html, 10, lost, false),
        (status(595, "No route to host"), 5, "its node cannot be reached: No route to host; nothing was done", false),
        (status(596, "Connection timed out"), 10, lost, false),
        (status(597, "Broken pipe"), 10, lost, false),
        (status(598, "aborted"), 10, lost, false),
        (status(599, "Too many redirections"), 10, lost, false),
        (status(500, "boom"), 10, lost, false),
        (status(500, "VM is locked (backup)"), 1, "Proxmox VE refused: VM is locked (backup)", false),
        (status(500, "no such cluster node 'pve2'"), 1, "Proxmox VE refused: no such cluster node", false),
        (status(500, "can't migrate running VM without --online"), 1, "Proxmox VE refused: can't migrate", false),
        (status(500, "storage 'tank' is not available on node 'pve2'"), 1, "Proxmox VE refused: storage", false),
        (status(401, "Authentication failed!"), 4, "Authentication failed!", false),
        (status(403, "Permission check failed (/vms/101, VM.Migrate)"), 4, "(/vms/101, VM.Migrate)", false),
    ] {
        let lab = lab();
        lab.sim.node("pve1").fail_on(Some("POST"), None, None, fault.clone());
        let patience = if moves { "60s".to_owned() } else { deadline(2) };
        let run = lab.migrate(&format!("vm-101 --to pve2 --yes --timeout {patience}")).exits(exit).says(words);
        // The body of a request that is dropped at once does not arrive.
        let posts = lab.sim.posts();
        assert!(
            posts.len() == 1 && call(101, "target=pve2&online=1").starts_with(&posts[0]),
            "{fault:?} {posts:?}\n{run}"
        );
        assert_eq!(lab.node_of(101) == "pve2", moves, "{fault:?}\n{run}");
    }
}

#[test]
fn a_task_that_fails_says_where_the_guest_is() {
    type Deed = fn(&mut Cluster);
    let problems = |paused, locked| MoveFault::Problems { paused, locked };
    let cases: [(MoveFault, &str, &str); 5] = [
        (
            MoveFault::Aborted("no space left on target".to_owned()),
            "migration aborted: no space left on target; it is still on pve1, running",
            "",
        ),
        (problems(false, false), "migration problems: unable to resume or to clean up; it is on pve2, running", ""),
        (problems(true, false), "it is on pve2, paused", "run `ecobox power resume pve1-vm-101`"),
        (
            problems(false, true),
            "it is on pve2, running, and locked (migrate)",
            "if no task works on it, run `qm unlock 101` on pve2",
        ),
        (MoveFault::ProblemsAtHome, "migration problems: failed to move config", ""),
    ];
    for (fault, words, hint) in cases {
        let mut cluster = guests();
        cluster.fail_migrations(101, fault.clone());
        let lab = lab_of(cluster);
        let run = lab.migrate("vm-101 --to pve2 --yes").exits(9).says(words).says(hint);
        assert_eq!(lab.sim.posts(), [call(101, "target=pve2&online=1")], "{fault:?}\n{run}");
        assert_eq!(lab.history(), ["migrate|failed"], "{fault:?}\n{run}");
    }
    // What goes wrong between the plan and the call, or after it.
    let deeds: [(&str, Deed, i32, &str); 4] = [
        ("the node goes away", |c| c.stop_node("pve2"), 9, "Can't connect to destination address using public key"),
        ("it is destroyed", |c| c.remove_guest(101), 1, "is gone: no node of its cluster has it"),
        ("it has moved there", |c| c.migrate_guest(101, "pve2"), 0, ""),
        ("it has moved elsewhere", |c| c.migrate_guest(101, "pve3"), 11, "it has moved to pve3 meanwhile"),
    ];
    for (what, deed, exit, words) in deeds {
        let mut cluster = guests();
        cluster.before("POST", "/migrate", deed);
        let lab = lab_of(cluster);
        let run = lab.migrate("vm-101 --to pve2 --yes").exits(exit).says(words);
        assert_eq!(lab.sim.posts(), [call(101, "target=pve2&online=1")], "{what}\n{run}");
    }
}

#[test]
fn what_cannot_move_is_refused_before_anything_is_sent() {
    for (words, found, hint) in [
        ("vm-104 --to pve2", "it has disks that only pve1 has: local:vm-104-disk-0, 8.0G", "--with-local-disks"),
        ("ct-201 --to pve2", "it is a container that runs", "--restart"),
        ("vm-105 --to pve2", "its configuration is locked (backup)", "qm unlock 105"),
        ("vm-106 --to pve2", "it uses devices of its node: hostpci0", "map them"),
        ("vm-108 --to pve2", "an image that only its node has is in its drive", "qm set 108 --ide2 none,media=cdrom"),
        ("vm-110 --to pve2", "pve2 has 16G of memory free, and 20G are allocated to it", "--allow target-full"),
        ("vm-101 --to pve9", "pve9 is not a node of its cluster", "name one of pve1, pve2, pve3, or `any`"),
    ] {
        let lab = lab();
        let run = lab.migrate(&format!("{words} --yes")).exits(11).says(found).says(hint);
        assert_eq!(lab.sim.posts(), [""; 0], "{words}\n{run}");
        assert_eq!(lab.history(), ["migrate|refused"], "{words}\n{run}");
    }
}

#[test]
fn results_are_kept_apart() {
    let mut cluster = guests();
    cluster.fail_migrations(101, MoveFault::Aborted("it does not converge".to_owned()));
    let lab = lab_of(cluster);
    let run = lab.migrate("vm-101 vm-102 --to pve2 --yes -o json").exits(8).says("it does not converge");
    assert_eq!(Lab::results(&run), ["task failed running pve1 pve2", "done stopped pve1 pve2"]);
}
