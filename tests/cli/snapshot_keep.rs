//! `--keep`: what goes, what stays, and what a deletion that fails half-way leaves behind.

use std::process::Stdio;

use ecobox_sim::{Guest, SnapshotFault};

use super::power::Lab;
use super::snapshot::{guests, lab_of, rows};

/// Five of ecobox's daily ones, and among them those of others.
fn with_series(guest: Guest) -> Guest {
    let mut guest =
        guest.snapshot("by-hand", 999, "mine").snapshot("ecobox-daily-1", 900, "[ecobox ecobox-daily-2 label=daily]");
    for (name, ago) in [("d1", 500), ("d2", 400), ("d3", 300)] {
        guest = guest.snapshot(name, ago, &format!("nightly\n[ecobox {name} label=daily]"));
    }
    guest = guest.snapshot("w1", 250, "[ecobox w1 label=weekly]").snapshot("mine", 240, "[ecobox mine]");
    for (name, ago) in [("d4", 200), ("d5", 100)] {
        guest = guest.snapshot(name, ago, &format!("[ecobox {name} label=daily]"));
    }
    guest.snapshot("k1", 90, "[ecobox k1 keep]")
}

fn lab_with_series() -> Lab {
    let mut cluster = guests();
    for vmid in [101, 103] {
        cluster.change_guest(vmid, with_series);
    }
    lab_of(cluster)
}

const OTHERS: [&str; 5] = ["by-hand", "ecobox-daily-1", "w1", "mine", "k1"];

fn assert_others(lab: &Lab, vmid: u32) {
    let names = lab.names(vmid);
    assert!(OTHERS.iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
}

#[test]
fn the_oldest_of_the_series_go_once_the_new_one_is_there() {
    let lab = lab_with_series();
    let shown = lab.snapshot("create vm-101 --name new --label daily --keep 3 --dry-run -o json").exits(0);
    assert_eq!(rows(&shown), ["create new planned", "delete d1 planned", "delete d2 planned", "delete d3 planned"]);
    assert_eq!(lab.sim.changes(), [""; 0]);
    let run = lab.snapshot("create vm-101 --name new --label daily --keep 3 -o json").exits(0);
    assert_eq!(rows(&run), ["create new done", "delete d1 done", "delete d2 done", "delete d3 done"]);
    assert!(lab.sim.changes()[0].starts_with("POST "), "the new one comes first");
    assert_eq!(lab.names(101)[4..], ["d4", "d5", "k1", "new"].map(str::to_owned)[..], "{:?}", lab.names(101));
    assert_others(&lab, 101);
    // Without a label: those that were taken so, and none by hand.
    let run = lab.snapshot("create vm-101 --keep 1 -o json").exits(0);
    assert_eq!(rows(&run)[1..], ["delete k1 done".to_owned()]);
    assert!(rows(&run)[0].starts_with("create ecobox-20"), "{run}");
    let name = run.json()["steps"][0]["snapshot"].as_str().unwrap().to_owned();
    let description = lab.sim.cluster().snapshot_description(101, &name).unwrap();
    assert_eq!(description, format!("[ecobox {name} keep]"));
    // The name has the label.
    let run = lab.snapshot("create vm-103 --label weekly --description later -o json").exits(0);
    let name = run.json()["steps"][0]["snapshot"].as_str().unwrap().to_owned();
    assert!(name.starts_with("ecobox-weekly-20"), "{name}");
    let description = lab.sim.cluster().snapshot_description(103, &name).unwrap();
    assert_eq!(description, format!("later\n[ecobox {name} label=weekly]"));
}

#[test]
fn nothing_goes_if_the_new_one_fails() {
    let lab = lab_with_series();
    lab.sim.cluster().fail_snapshots(101, "create", Some(SnapshotFault::Cleaned("no space left".to_owned())));
    let run = lab.snapshot("create vm-101 --name new --label daily --keep 1 -o json").exits(9);
    assert_eq!(rows(&run), ["create new task failed"]);
    assert_eq!((lab.sim.changes().len(), lab.names(101).len()), (1, 10));
    // A new one that is sent and not seen deletes nothing either.
    let lab = lab_with_series();
    lab.sim.cluster().timing.task = 1e5;
    let _ = lab.snapshot("create vm-101 --name new --label daily --keep 1 --timeout 2s").exits(10);
    assert_eq!(lab.sim.changes().len(), 1);
}

/// A deletion that fails half-way is named with its repair; the other guests go on; the next run does not stop at it.
#[test]
fn a_deletion_that_fails_half_way() {
    let lab = lab_with_series();
    let words = "command '/usr/bin/qemu-img snapshot -d d1' failed: exit code 1";
    lab.sim.cluster().fail_snapshots(101, "delete", Some(SnapshotFault::HalfDone(words.to_owned())));
    let run = lab.snapshot("create vm-101 vm-103 --name new --label daily --keep 4 -o json").exits(8);
    let run = run
        .says(words)
        .says("it left d1 in the state `delete`: run `qm unlock 101`, then `qm delsnapshot 101 d1 --force` on pve1");
    let all = rows(&run);
    assert_eq!(all[0], "create new done");
    assert_eq!(all[1], "delete d1 task failed");
    // The lock keeps the others of that guest; the other guest goes on.
    assert_eq!(all[2], "delete d2 refused");
    assert_eq!(all[3..], ["create new done", "delete d1 done", "delete d2 done"].map(str::to_owned)[..]);
    let run = lab.snapshot("create vm-101 vm-103 --name next --label daily --keep 4 -o json").exits(8);
    let run = run
        .says("its snapshot d1 is in the state `delete`")
        .says("run `qm unlock 101`, then `qm delsnapshot 101 d1 --force`");
    assert_eq!(rows(&run)[0], "create next refused");
    assert_eq!(rows(&run)[1], "create next done");
    // Somebody unlocks it, no more: the broken one is named, does not count, and is left alone.
    lab.sim.cluster().fail_snapshots(101, "delete", None);
    lab.sim.cluster().change_guest(101, Guest::unlocked);
    let run = lab.snapshot("create vm-101 --name later --label daily --keep 4 -o json").exits(0);
    let run = run.says("its snapshot d1 is in the state `delete`: run `qm delsnapshot 101 d1 --force` on its node");
    assert_eq!(rows(&run), ["create later done", "delete d2 done", "delete d3 done"]);
    assert!(lab.names(101).contains(&"d1 delete".to_owned()));
    assert_others(&lab, 101);
    assert_others(&lab, 103);
}

/// Two jobs of cron at one time: both wait for each other, and what is to be kept is kept.
#[test]
fn two_jobs_at_one_time() {
    let lab = lab_with_series();
    let begin = |name: &str| {
        let words = format!("snapshot create vm-101 --name {name} --label daily --keep 3 --wait-for-lock 5m");
        let args: Vec<&str> = words.split(' ').collect();
        lab.env.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let jobs = [begin("new-1"), begin("new-2")];
    for job in jobs {
        let run = lab.env.finish(job.wait_with_output().unwrap());
        // Who asks for the lock file while the other one has it may be told that it is locked.
        assert!([0, 8, 9, 11].contains(&run.code), "{run}");
    }
    assert_others(&lab, 101);
    let names = lab.names(101);
    let daily: Vec<&String> = names.iter().filter(|name| name.starts_with('d') || name.starts_with("new")).collect();
    assert!(daily.len() >= 3 && daily.contains(&&"d5".to_owned()), "{names:?}");
    for change in lab.sim.changes().iter().filter(|change| change.starts_with("DELETE")) {
        assert!(["d1", "d2", "d3", "d4"].iter().any(|name| change.ends_with(name)), "{change}");
    }
}
