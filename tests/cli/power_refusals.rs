//! `ecobox power`: what Proxmox VE refuses or fails at by itself, seen before, and said in the words that help.

use ecobox_sim::host::Host;
use ecobox_sim::{Cluster, Guest};

use super::env::CANARY;
use super::fleets::{OPERATOR, TOKEN};
use super::pace::deadline;
use super::power::{Lab, call, guests, lab_of};
use super::world::{Served, World};

#[test]
fn a_quorum_that_came_back_is_believed() {
    // `/cluster/status` goes on saying what it said first.
    let mut cluster = guests();
    cluster.set_quorate(false);
    let lab = lab_of(cluster);
    let _ = lab.power("start vm-102 --dry-run").exits(11).says("its cluster has no quorum (2 of 2 nodes online)");
    lab.sim.cluster().set_quorate(true);
    let run = lab.power("start vm-102 -o json").exits(0);
    assert_eq!((Lab::results(&run), lab.sim.posts()), (vec!["done running".to_owned()], vec![call(102, "start")]));
    // And one that is lost, too.
    lab.sim.cluster().set_quorate(false);
    let _ = lab.power("start ct-202").exits(11).says("its cluster has no quorum");
    assert_eq!(lab.sim.posts().len(), 1);
}

#[test]
fn what_needs_no_quorum_goes_on_without() {
    for (words, vmid, sent) in [
        ("stop vm-101", 101, "stop"),
        ("shutdown vm-101", 101, "shutdown"),
        ("suspend vm-101", 101, "suspend"),
        ("resume vm-103", 103, "resume"),
        ("reset vm-101", 101, "reset"),
    ] {
        let mut cluster = guests();
        cluster.set_quorate(false);
        let lab = lab_of(cluster);
        let _ = lab.power(&format!("{words} --yes")).exits(0);
        assert_eq!(lab.sim.posts(), [call(vmid, sent)], "{words}");
    }
    // A virtual machine's reboot ends with a start, which is refused like any other.
    let mut cluster = guests();
    cluster.set_quorate(false);
    let lab = lab_of(cluster);
    let _ = lab.power("reboot vm-101 --yes").exits(11).says("it would go down, and not come up again");
    assert_eq!(lab.sim.posts(), [""; 0]);
    let run = lab.power(&format!("reboot vm-101 --yes --allow quorum-lost --timeout {}", deadline(2))).exits(10);
    assert_eq!(lab.sim.cluster().guest(101).unwrap().3, "stopped", "{run}");
}

#[test]
fn each_guest_is_told_that_there_is_no_quorum() {
    let mut cluster = guests();
    cluster.set_quorate(false);
    let lab = lab_of(cluster);
    let report = lab.power("start vm-102 vm-111 ct-202 --dry-run -o json").exits(11).json();
    let checks = report["checks"].as_array().unwrap();
    let told: Vec<_> = checks.iter().map(|check| check["server"].as_str().unwrap()).collect();
    assert_eq!(told, ["pve1-vm-102", "pve1-ct-202", "pve2-vm-111"], "{report:#}");
}

#[test]
fn an_image_that_a_hibernation_left_is_named() {
    let mut cluster = guests();
    // It goes between the plan and the call: the image is made, the configuration cannot be written.
    cluster.before("POST", "/suspend", |c| c.set_quorate(false));
    let lab = lab_of(cluster);
    let run = lab.power("hibernate vm-101 --yes").exits(9).says("Permission denied").says("its cluster has no quorum");
    assert!(lab.sim.cluster().has_left_image(101), "{run}");
    lab.sim.cluster().set_quorate(true);
    let run = lab.power("hibernate vm-101 --yes").exits(9).says("already exists");
    let _ = run.says("its image vm-101-state-suspend-2026-11-29.raw behind").says("pvesm list STORAGE --vmid 101");
}

#[test]
fn a_container_that_does_not_obey_fails_in_its_own_words() {
    let mut cluster = guests();
    cluster.change_guest(201, Guest::ignores_shutdown);
    let lab = lab_of(cluster);
    let run = lab.power("shutdown ct-201 --yes").exits(9).says("task failed: container did not stop");
    let _ = run.says("command 'lxc-stop -n 201 --nokill --timeout 60' failed: exit code 1");
    assert_eq!(lab.sim.posts(), [call(201, "shutdown")]);
}

#[test]
fn a_mounted_container_starts_and_stops() {
    for (verb, exit) in [("start ct-202", 0), ("stop ct-201", 0), ("shutdown ct-201", 11), ("reboot ct-201", 11)] {
        let mut cluster = guests();
        for vmid in [201, 202] {
            cluster.change_guest(vmid, |ct| ct.locked("mounted"));
        }
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{verb} --yes")).exits(exit);
        if exit == 11 {
            let _ = run.says("its configuration is locked (mounted)").says("`pct unmount 201` on pve1");
        } else {
            assert_eq!(run.stderr, "", "{run}");
        }
    }
}

#[test]
fn a_lock_that_nothing_holds_was_left_behind() {
    for (words, lock, task, says) in [
        ("start vm-102", "backup", None, "run `qm unlock 102` on pve1"),
        ("stop vm-101", "snapshot-delete", None, "run `qm unlock 101` on pve1"),
        ("start ct-202", "backup", None, "run `pct unlock 202` on pve1"),
        ("start vm-102", "backup", Some("vzdump"), "locked (backup): vzdump works on it"),
        ("start ct-202", "snapshot", Some("vzsnapshot"), "wait until that has ended"),
    ] {
        let vmid = words[words.len() - 3..].parse().unwrap();
        let mut cluster = guests();
        cluster.change_guest(vmid, |guest| guest.locked(lock));
        if let Some(task) = task {
            cluster.run_task(task, vmid, "root@pam", 1e6);
        }
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{words} --yes")).exits(11).says(says);
        assert_eq!(run.stderr.contains("unlock"), task.is_none(), "{run}");
        assert_eq!(run.stderr.contains("wait"), task.is_some(), "{run}");
    }
}

#[test]
fn all_guests_that_cannot_go_down_are_named() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1");
    let cluster = cluster
        .vm(101, "one", Guest::running)
        .vm(102, "two", Guest::paused)
        .vm(103, "three", Guest::paused)
        .vm(104, "four", Guest::paused);
    let pve = world.cluster_with(cluster, |host| host);
    world.configure(&pve.nodes.iter().map(Served::wakeable).collect::<String>());
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    let args = ["power", "suspend", "pve1", "--guests", "shutdown", "--yes"];
    let mut run = world.run(&args).exits(11);
    for vmid in 102..105 {
        run = run.says(&format!("pve1-vm-{vmid} runs on it and does not go down: it is paused"));
    }
    let report = world.run(&[&args[..], &["-o", "json"]].concat()).exits(11).json();
    let steps = report["steps"].as_array().unwrap();
    let rows: Vec<_> =
        steps.iter().map(|step| (step["id"].as_str().unwrap(), step["result"].as_str().unwrap())).collect();
    assert_eq!(
        rows,
        [
            ("pve1-vm-101", "not tried"),
            ("pve1-vm-102", "refused"),
            ("pve1-vm-103", "refused"),
            ("pve1-vm-104", "refused"),
            ("pve1", "not tried")
        ],
        "{report:#}"
    );
    let found = report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == "running-guests").count();
    assert_eq!(found, 3, "{report:#}");
    // Who says that they do not matter gets the rest done.
    let args = [&args[..], &["--allow", "running-guests", "--dry-run", "-o", "json"]].concat();
    let report = world.run(&args).exits(0).json();
    let last = report["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["id"].as_str(), last["result"].as_str()), (Some("pve1"), Some("planned")), "{report:#}");
    assert_eq!(pve.sim.posts(), [""; 0]);
}

#[test]
fn a_masked_sleep_is_not_to_be_allowed() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").sleep_masked().build());
    world.know(&nas);
    world.configure(&nas.wakeable());
    nas.host.set_wol_mac("bc:24:11:00:00:01");
    let run = world.run(&["power", "suspend", "nas", "--yes"]).exits(11).says("(sleep-masked)");
    assert!(!run.stderr.contains("--allow sleep-masked"), "{run}");
    let _ = world.run(&["power", "suspend", "nas", "--yes", "--allow", "sleep-masked"]).exits(11);
    assert_eq!(nas.host.timers(), [] as [&str; 0]);
}

#[test]
fn a_missing_privilege_is_part_of_the_plan() {
    let monitor: &[&str] = &["Datastore.Audit", "Sys.Audit", "VM.Audit"];
    for (words, privileges, lacks) in [
        ("start vm-102", monitor, "lacks VM.PowerMgmt on /vms/102"),
        ("start vm-102 ct-202", monitor, "lacks VM.PowerMgmt on /vms/202"),
        ("hibernate vm-101", OPERATOR, "lacks VM.Config.Disk on /vms/101 and Datastore.AllocateSpace on the storage"),
    ] {
        let cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", privileges).node("pve1").node("pve2");
        let cluster =
            cluster.vm(101, "web", Guest::running).vm(102, "off", Guest::stopped).ct(202, "spare", Guest::stopped);
        let lab = lab_of(cluster);
        let run = lab.power(&format!("{words} --dry-run -o json")).exits(4).says(lacks).says("(privilege-missing)");
        assert!(
            run.json()["checks"].as_array().unwrap().iter().all(|check| check["id"] == "privilege-missing"),
            "{run}"
        );
        // It ends as the run itself.
        let _ = lab.power(&format!("{words} --yes")).exits(4).says("VM.");
    }
    // Whoever has it on the guest alone has enough.
    let cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", monitor).node("pve1").node("pve2");
    let lab = lab_of(cluster.vm(101, "web", Guest::running).vm(102, "off", Guest::stopped));
    for who in [TOKEN, TOKEN.rsplit_once('!').unwrap().0] {
        lab.sim.cluster().access().grant("/vms/102", who, &["VM.Audit", "VM.PowerMgmt"], true);
    }
    let _ = lab.power("start vm-102 --dry-run").exits(0);
    let _ = lab.power("stop vm-101 --dry-run").exits(4).says("lacks VM.PowerMgmt on /vms/101");
}

/// How often the simulated cluster was asked what a token may do.
fn asked(pve: &super::world::Pve) -> usize {
    pve.sim.requests().iter().filter(|request| request.path.contains("/access/permissions")).count()
}

#[test]
fn what_a_token_may_do_is_kept_with_it() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").vm(101, "web", Guest::running).vm(102, "off", Guest::stopped);
    let pve = world.cluster_with(cluster.ct(202, "spare", Guest::stopped), |host| host);
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    let token = pve.tokens().remove(0);
    assert_eq!(world.column("permissions", "token_id"), std::slice::from_ref(&token));
    let grant = |privileges: &[&str]| {
        for who in ["ecobox@pve", &token] {
            pve.sim.cluster().access().revoke_all(who);
            pve.sim.cluster().access().grant("/", who, privileges, true);
        }
        pve.sim.clear_requests();
    };
    pve.sim.clear_requests();
    // It is enough, for one call and for many: nobody is asked.
    for words in ["power start vm-102 --dry-run", "power stop vm-101 ct-202 --dry-run", "power start vm-102"] {
        let run = world.run(&words.split(' ').collect::<Vec<_>>()).exits(0);
        assert_eq!(asked(&pve), 0, "{words}\n{run}");
    }
    // Where it is not, it is asked once more whether that is still so, and nothing is sent.
    let _ = world.run(&["setup-token", "--scope", "monitor"]).exits(0);
    let token = pve.tokens().remove(0);
    pve.sim.clear_requests();
    for words in ["power stop vm-101 --yes --dry-run", "power stop vm-101 --yes", "power stop vm-101 vm-102 --yes"] {
        let before = asked(&pve);
        let run = world.run(&words.split(' ').collect::<Vec<_>>()).exits(4).says("lacks VM.PowerMgmt on /vms/101");
        assert_eq!((asked(&pve), pve.sim.posts().len()), (before + 1, 0), "{words}\n{run}");
    }
    for who in ["ecobox@pve", &token] {
        pve.sim.cluster().access().grant("/", who, &["VM.Audit", "Sys.Audit", "VM.PowerMgmt"], true);
    }
    let _ = world.run(&["power", "stop", "vm-101", "--yes"]).exits(0);
    // What Proxmox VE refuses was kept in vain.
    grant(&["VM.Audit", "Sys.Audit"]);
    let run = world.run(&["power", "start", "vm-101"]).exits(4).says("VM.PowerMgmt");
    assert_eq!((asked(&pve), pve.sim.posts().len(), world.count("permissions")), (0, 1, 0), "{run}");
    // An old word is no word where somebody can be asked.
    let _ = world.run(&["setup-token", "--scope", "operator"]).exits(0);
    world.state().execute("UPDATE permissions SET at = at - 7200000", []).unwrap();
    pve.sim.clear_requests();
    let _ = world.run(&["power", "start", "vm-101", "vm-102", "--dry-run"]);
    assert_eq!(asked(&pve), 1);
    let _ = world.run(&["power", "start", "vm-101", "vm-102", "--dry-run"]);
    assert_eq!(asked(&pve), 1);
    let _ = world.run(&["setup-token", "--revoke"]).exits(0);
    assert_eq!(world.count("permissions"), 0);
}

/// What a run would end with, it ends with when it is only shown.
#[test]
fn a_dry_run_ends_as_the_run() {
    let monitor: &[&str] = &["Datastore.Audit", "Sys.Audit", "VM.Audit"];
    for (words, privileges) in [
        ("start vm-102", OPERATOR),
        ("start vm-102", monitor),
        ("start vm-108", OPERATOR),
        ("stop vm-105", OPERATOR),
        ("hibernate vm-101", OPERATOR),
        ("shutdown vm-103", OPERATOR),
        ("suspend ct-201", OPERATOR),
        ("start vm-101 vm-108", OPERATOR),
        ("stop vm-102 ct-202", OPERATOR),
        ("start vm-102 vm-105", monitor),
        ("start vm-111", OPERATOR),
    ] {
        let cluster = || {
            let mut cluster = guests();
            for who in [TOKEN, "ecobox@pve"] {
                cluster.access().revoke_all(who);
                cluster.access().grant("/", who, privileges, true);
            }
            if words.ends_with("111") {
                cluster.stop_node("pve2");
            }
            cluster
        };
        let shown = lab_of(cluster()).power(&format!("{words} --yes --dry-run"));
        let run = lab_of(cluster()).power(&format!("{words} --yes --timeout {}", deadline(3)));
        assert_eq!(shown.code, run.code, "{words} {privileges:?}\n{shown}\n{run}");
    }
}
