//! `ecobox migrate` among nodes that are asleep, off or silent, many guests at once, and `--to any`.

use std::process::Stdio;

use ecobox_sim::{Cluster, Guest, Kind, Sim};
use rustix::process::{Pid, Signal, kill_process};

use super::fleets::env_for;
use super::migrate::{Lab, call, guests, guests_for, lab, lab_of, manager};
use super::pace::deadline;
use super::world::until;

type Change = fn(&mut Cluster);

#[test]
fn a_node_that_does_not_answer() {
    let cases: [(&str, Change, &str, i32, &str); 7] = [
        ("the target is off", |c| c.stop_node("pve2"), "vm-101 --to pve2", 11, "pve2 is offline"),
        ("the target sleeps", |c| c.suspend_node("pve2"), "vm-101 --to pve2", 11, "run `ecobox power wake pve2` first"),
        ("its port is closed, it is online", |c| c.set_listening("pve2", false), "vm-101 --to pve2", 0, ""),
        ("a bystander is off", |c| c.stop_node("pve3"), "vm-101 --to pve2", 0, ""),
        ("a bystander swallows packets", |c| c.suspend_node("pve3"), "vm-101 --to pve2", 0, ""),
        ("any leaves it out", |c| c.stop_node("pve3"), "vm-101 --to any", 0, ""),
        ("the source is off", |c| c.stop_node("pve1"), "vm-101 --to pve2", 5, "its node pve1 is not online"),
    ];
    for (what, change, words, exit, said) in cases {
        let lab = lab();
        change(&mut lab.sim.cluster());
        let run = lab.migrate(&format!("{words} --yes")).exits(exit);
        assert!(run.stderr.contains(said) || run.stdout.contains(said), "{what}\n{run}");
        assert_eq!(lab.sim.posts().len(), usize::from(exit == 0), "{what}\n{run}");
        assert_eq!(lab.node_of(101) == "pve2", exit == 0, "{what}\n{run}");
    }
}

#[test]
fn any_spreads_guests_by_what_is_left() {
    let mut cluster = guests();
    for vmid in 111..115 {
        cluster.add_guest(Kind::Qemu, vmid, "", |vm| vm.running().size(1, 6144).stored_on("ceph").tags("spread"));
    }
    let lab = lab_of(cluster);
    let run = lab.migrate("tag=spread --to any --yes -o json").exits(0);
    // Free: 24 GiB on pve3 and 16 on pve2; each takes 6.
    let targets: Vec<String> = run.json()["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", step["to_node"].as_str().unwrap(), step["chosen_because"].as_str().unwrap()))
        .collect();
    assert_eq!(
        targets,
        [
            "pve3 most free memory: 24G; pve2 has 16G",
            "pve3 most free memory: 18G; pve2 has 16G",
            "pve2 most free memory: 16G; pve3 has 12G",
            "pve3 most free memory: 12G; pve2 has 10G",
        ],
        "{run}"
    );
    assert_eq!((lab.node_of(113), lab.node_of(114)), ("pve2".to_owned(), "pve3".to_owned()));
    // Two at a time leave a node.
    assert!(lab.sim.cluster().most_tasks("pve1") <= 2);
}

#[test]
fn what_no_node_takes_names_the_reason_of_each() {
    let mut cluster = guests();
    cluster.change_guest(110, |vm| vm.size(4, 30_720));
    cluster.set_maintenance("pve3", true);
    let lab = lab_of(cluster);
    let run = lab.migrate("vm-110 --to any --yes").exits(11);
    let _ = run
        .says("no other node can take it: pve2 has 16G of memory free, and 30G are allocated to it; pve3 is in HA's");
    assert_eq!(lab.sim.posts(), [""; 0]);
    // A host that is in no cluster has nowhere to go.
    let sim = Sim::start(
        Cluster::new("one").token(super::fleets::TOKEN, super::env::CANARY, "/", &manager()).node("pve1").vm(
            101,
            "web",
            Guest::running,
        ),
    );
    let env = env_for(&sim, &["pve1"]);
    for to in ["any", "pve2"] {
        let run = env.run(&["migrate", "vm-101", "--to", to, "--with-local-disks", "--yes"]).exits(11);
        let _ = run.says("its cluster has no other node than pve1");
    }
    assert_eq!(sim.posts(), [""; 0]);
}

#[test]
fn results_of_many_are_kept_apart() {
    let lab = lab();
    let run = lab.migrate("vm-101 ct-201 --to pve2 --yes").exits(11).says("ct-201");
    assert_eq!(lab.sim.posts(), [""; 0], "nothing is sent where something is refused\n{run}");
    let run = lab.migrate("pve1 vm-102 --to pve2 --yes -o json").exits(8).says("a host does not migrate");
    assert_eq!(Lab::results(&run), ["refused - pve1 -", "done stopped pve1 pve2"], "{run}");
    let _ = lab.migrate("nobody --to pve2 --yes").exits(7);
    let _ = lab.migrate("vm-101").exits(2).says("--to <NODE>");
    let _ = lab.migrate("vm-101 --to -x").exits(2);
    let run = lab.migrate("vm-101 --to pve3 --yes --no-wait -o json").exits(0);
    assert!(Lab::results(&run)[0].starts_with("sent "), "{run}");
}

#[test]
fn who_may_not_is_told_which_privilege_is_missing() {
    let lab = lab_of(guests_for(super::fleets::OPERATOR));
    let run = lab.migrate("vm-101 --to pve2 --dry-run").exits(4).says("lacks VM.Migrate on /vms/101");
    let run = run.says("give it the missing privileges");
    assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    let lab = lab_of(guests());
    let run = lab.migrate("vm-101 --to pve2 --target-storage fast --dry-run").exits(4);
    let _ = run.says("VM.Config.Disk on /vms/101 and Datastore.AllocateSpace on /storage/fast");
}

#[test]
fn without_quorum_nothing_moves() {
    let lab = lab();
    lab.sim.cluster().set_quorate(false);
    let _ = lab.migrate("vm-101 --to pve2 --yes").exits(11).says("its cluster has no quorum");
    assert_eq!(lab.sim.posts(), [""; 0]);
    let mut cluster = guests();
    cluster.before("POST", "/migrate", |c| c.set_quorate(false));
    let lab = lab_of(cluster);
    let _ = lab.migrate("vm-101 --to pve2 --yes").exits(11).says("Proxmox VE refused: cluster not ready - no quorum?");
    assert_eq!(lab.node_of(101), "pve1");
}

/// A lab where something happens between the plan and the last look before the call.
fn lab_where(deed: impl FnMut(&mut Cluster) + Send + Clone + 'static) -> Lab {
    let mut cluster = guests();
    cluster.before("GET", "/101/config", move |c| c.before("GET", "/101/config", deed.clone()));
    lab_of(cluster)
}

#[test]
fn what_happens_between_the_plan_and_the_call() {
    let other = "99999999-0000-4000-8000-000000000101";
    let lab = lab_where(move |c| c.replace_guest(101, Kind::Qemu, "other", |vm| vm.running().uuid(other)));
    let run = lab.migrate("vm-101 --to pve2 --yes").exits(6).says("another guest has its number now");
    assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    // It went there by itself.
    let lab = lab_where(|c| c.migrate_guest(101, "pve2"));
    let run = lab.migrate("vm-101 --to pve2 --yes -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["already running pve1 pve2".to_owned()], vec![]), "{run}");
    // It went elsewhere: it is moved from there.
    let lab = lab_where(|c| c.migrate_guest(101, "pve3"));
    let _ = lab.migrate("vm-101 --to pve2 --yes").exits(0);
    assert_eq!(lab.sim.posts(), ["/nodes/pve3/qemu/101/migrate target=pve2&online=1"]);
    // The node went away, or somebody works on it.
    for (deed, words) in [
        ((|c| c.stop_node("pve2")) as Change, "pve2 is offline"),
        (|c| c.change_guest(101, |vm| vm.locked("snapshot")), "its configuration is locked (snapshot)"),
        (|c| c.change_guest(101, |vm| vm.config("hostpci0", "0000:01:00.0")), "it uses devices of its node"),
    ] {
        let lab = lab_where(deed);
        let run = lab.migrate("vm-101 --to pve2 --yes").exits(11).says(words);
        assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    }
}

#[test]
fn an_interrupted_run_says_what_goes_on() {
    let mut cluster = guests();
    cluster.timing.migrate = 1e5;
    let lab = lab_of(cluster);
    let mut command = lab.env.command(&["migrate", "vm-101", "--to", "pve2", "--yes"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| {
        lab.sim.requests().iter().any(|request| request.path.contains("/tasks/") && request.path.contains("/status"))
    });
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let output = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(130), "{output}");
    assert!(output.contains("migration of pve1-vm-101 to pve2 goes on there as UPID:pve1:"), "{output}");
    assert_eq!(lab.history(), ["migrate|interrupted"]);
    // Meanwhile it is shown as on its way.
    let run = lab.migrate(&format!("vm-101 --to pve2 --yes --timeout {}", deadline(2))).exits(11);
    let _ = run.says("its configuration is locked (migrate): qmigrate works on it");
}

#[test]
fn its_history_stays_with_the_guest() {
    let lab = lab();
    let _ = lab.env.run(&["discover"]).exits(0);
    let _ = lab.env.run(&["stats"]).exits(0);
    let samples = "SELECT count(*) FROM series WHERE server LIKE '%/101'";
    let before = lab.env.rows(samples);
    let _ = lab.migrate("vm-101 --to pve2 --yes").exits(0);
    let _ = lab.env.run(&["discover"]).exits(0);
    assert_eq!(lab.env.rows(samples), before);
    assert_eq!(lab.env.rows("SELECT count(*) FROM identities WHERE vmid = 101"), ["1"]);
    assert_eq!(lab.env.rows("SELECT server LIKE '%/101' FROM actions WHERE action = 'migrate'"), ["1"]);
    // The same guest under its new name.
    let _ = lab.env.run(&["power", "suspend", "pve2-vm-101", "--yes"]).exits(0);
    assert_eq!(call(101, "").split('/').nth(2), Some("pve1"));
}
