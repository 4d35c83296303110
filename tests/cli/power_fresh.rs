//! The listing is up to ten seconds old: `power` decides on what the guests' own nodes say, and what it has seen counts until
//! the listing has heard of it.

use ecobox_sim::{Cluster, Guest};
use serde_json::json;

use super::power::{Lab, call, guests, lab, lab_of};

#[test]
fn each_verb_right_after_its_opposite() {
    for (first, then, sent, result) in [
        ("stop vm-101", "start vm-101", "start", "done running"),
        ("shutdown vm-101", "start vm-101", "start", "done running"),
        ("start vm-102", "stop vm-102", "stop", "done stopped"),
        ("start vm-102", "shutdown vm-102", "shutdown", "done stopped"),
        ("start vm-102", "hibernate vm-102", "suspend todisk=1", "done hibernated"),
        ("start vm-102", "suspend vm-102", "suspend", "done paused"),
        ("start vm-102", "reboot vm-102", "reboot", "done running"),
        ("suspend vm-101", "resume vm-101", "resume", "done running"),
        ("suspend vm-101", "start vm-101", "resume", "done running"),
        ("resume vm-103", "suspend vm-103", "suspend", "done paused"),
        ("hibernate vm-101", "start vm-101", "start", "done running"),
        ("hibernate vm-101", "resume vm-101", "start", "done running"),
        ("start vm-104", "hibernate vm-104", "suspend todisk=1", "done hibernated"),
        ("start vm-104", "stop vm-104", "stop", "done stopped"),
        ("stop ct-201", "start ct-201", "start", "done running"),
        ("start ct-202", "shutdown ct-202", "shutdown", "done stopped"),
    ] {
        let lab = lab();
        let _ = lab.power(&format!("{first} --yes")).exits(0);
        lab.sim.clear_requests();
        let run = lab.power(&format!("{then} --yes -o json")).exits(0);
        let vmid = then.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(lab.sim.posts(), [call(vmid, sent)], "{first}, {then}\n{run}");
        assert_eq!(Lab::results(&run), [result], "{first}, {then}\n{run}");
    }
}

/// Somebody else has done it, so that nothing but the guest's node knows.
#[test]
fn what_others_did_a_moment_ago_counts() {
    type Deed = fn(&mut Cluster);
    let crash: Deed = |c| c.crash_guest(101);
    let begin: Deed = |c| c.change_guest(102, Guest::running);
    let pause: Deed = |c| c.change_guest(101, Guest::paused);
    let lock: Deed = |c| c.change_guest(101, |vm| vm.locked("backup"));
    for (deed, words, exit, posts, result) in [
        (crash, "start vm-101", 0, vec![call(101, "start")], "done running"),
        (crash, "stop vm-101", 0, vec![], "already stopped"),
        (crash, "suspend vm-101", 11, vec![], "refused stopped"),
        (begin, "start vm-102", 0, vec![], "already running"),
        (begin, "stop vm-102", 0, vec![call(102, "stop")], "done stopped"),
        (pause, "start vm-101", 0, vec![call(101, "resume")], "done running"),
        (pause, "shutdown vm-101", 11, vec![], "refused paused"),
        (lock, "stop vm-101", 11, vec![], "refused -"),
    ] {
        let lab = lab();
        lab.sim.cluster().unheard(deed);
        let dry = lab.power(&format!("{words} --dry-run -o json"));
        assert_eq!((dry.code, lab.sim.posts().len()), (exit, 0), "{words}\n{dry}");
        let run = lab.power(&format!("{words} --yes -o json")).exits(exit);
        assert_eq!(lab.sim.posts(), posts, "{words}\n{run}");
        if exit == 0 {
            assert_eq!(Lab::results(&run), [result], "{words}\n{run}");
        }
    }
}

/// A state as a target is the state of this moment.
#[test]
fn targets_by_state_are_chosen_by_what_the_nodes_say() {
    let lab = lab();
    lab.sim.cluster().unheard(|c| c.crash_guest(101));
    let run = lab.power("start kind=vm,state=stopped --dry-run -o json");
    let ids: Vec<_> = run.json()["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert!(ids.contains(&json!("pve1-vm-101")), "{run}");
    // A template is in no state.
    assert!(!ids.contains(&json!("pve1-vm-108")), "{run}");
    lab.sim.cluster().unheard(|c| c.change_guest(102, Guest::running));
    let run = lab.power("start kind=vm,state=stopped --dry-run -o json");
    let ids: Vec<_> = run.json()["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert!(ids.contains(&json!("pve1-vm-101")) && !ids.contains(&json!("pve1-vm-102")), "{run}");
    // Who is excluded by its state, too.
    let run = lab.power("stop vm-102 vm-101 !state=stopped --dry-run -o json").exits(0);
    let ids: Vec<_> = run.json()["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert_eq!(ids, ["pve1-vm-102"], "{run}");
}

/// A list for each node and kind costs less than a request for each guest.
#[test]
fn many_guests_are_asked_by_lists() {
    let many = |count: u32| {
        let cluster = (0..count).fold(guests(), |cluster, i| cluster.vm(300 + i, &format!("many-{i}"), Guest::running));
        let lab = lab_of(cluster);
        lab.sim.cluster().unheard(|c| c.crash_guest(301));
        lab.sim.clear_requests();
        let run = lab.power("start many-* --yes -o json").exits(0);
        let mut results = Lab::results(&run);
        results.sort();
        results.dedup();
        assert_eq!(results, ["already running", "done running"], "{run}");
        assert_eq!(lab.sim.posts(), ["/nodes/pve1/qemu/301/status/start"]);
        let asked = lab.sim.requests();
        let before: Vec<_> = asked.iter().take_while(|request| request.method == "GET").collect();
        // HA's own answer ends with these words, too.
        let of_guest = |path: &str| path.contains("/qemu/") && path.ends_with("/status/current");
        let singles = before.iter().filter(|request| of_guest(&request.path)).count();
        let lists = before.iter().filter(|request| request.path.contains("/nodes/pve1/qemu?full=1")).count();
        (singles, lists)
    };
    assert_eq!((many(2), many(20)), ((2, 0), (0, 1)));
}

/// The state of a guest in `status`, and the changes that are recorded.
fn told(lab: &Lab, id: &str) -> (String, Vec<String>) {
    let run = lab.env.run(&["status", "-o", "json"]).exits(0);
    let recorded = lab.env.rows("SELECT before || ' ' || after FROM events WHERE server LIKE '%/101' ORDER BY id");
    (run.server(id)["state"].as_str().unwrap().to_owned(), recorded)
}

#[test]
fn what_an_action_has_seen_is_newer_than_the_listing() {
    let lab = lab();
    let words = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
    assert_eq!(told(&lab, "pve1-vm-101"), ("running".to_owned(), words(&[])));
    let _ = lab.power("stop vm-101 --yes").exits(0);
    lab.sim.clear_requests();
    assert_eq!(told(&lab, "pve1-vm-101"), ("stopped".to_owned(), words(&["running stopped"])));
    assert_eq!(lab.sim.requests().len(), 1, "not one request more: {:#?}", lab.sim.requests());
    let row = lab.env.run(&["status", "-o", "json"]).server("pve1-vm-101");
    assert_eq!((&row["cpu_percent"], &row["uptime_seconds"]), (&json!(null), &json!(null)));
    // The listing has heard of it: from now on it says what is.
    lab.sim.cluster().broadcast();
    assert_eq!(told(&lab, "pve1-vm-101"), ("stopped".to_owned(), words(&["running stopped"])));
    lab.sim.cluster().change_guest(101, Guest::running);
    assert_eq!(told(&lab, "pve1-vm-101"), ("running".to_owned(), words(&["running stopped", "stopped running"])));
}

/// Fifteen seconds later the listing has heard of everything.
#[test]
fn what_an_action_has_seen_grows_old() {
    let lab = lab();
    let _ = lab.power("stop vm-101 --yes").exits(0);
    lab.sim.cluster().change_guest(101, Guest::running);
    assert_eq!(told(&lab, "pve1-vm-101").0, "stopped");
    lab.env.execute("UPDATE sightings SET at = at - 15001");
    assert_eq!(told(&lab, "pve1-vm-101").0, "running");
}

#[test]
fn until_does_not_end_on_an_old_listing() {
    // Its own action; and somebody else's, of which only the guest's node knows.
    for by_others in [false, true] {
        let lab = lab();
        let _ = lab.env.run(&["status"]).exits(0);
        if by_others {
            lab.sim.cluster().unheard(|c| c.crash_guest(101));
        } else {
            let _ = lab.power("stop vm-101 --yes").exits(0);
        }
        let run = lab.env.run(&["watch", "--until", "vm-101=running", "--interval", "1s", "--count", "2"]);
        let run = run.exits(10).says("vm-101=running does not hold").to_string();
        assert!(!run.contains("done"), "{run}");
        let _ = lab.env.run(&["watch", "--until", "vm-101=stopped", "--interval", "1s", "--count", "2"]).exits(0);
    }
}

#[test]
fn a_silent_pvestatd_is_said_and_the_guests_are_asked() {
    let lab = lab();
    lab.sim.cluster().set_stats("pve1", ecobox_sim::Stats::None);
    let run = lab.env.run(&["status", "-o", "json"]);
    let row = run.server("pve1-vm-101");
    assert_eq!(row["state"], "running", "{run}");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("pvestatd") && !reason.contains("not online"), "{run}");
    let _ = lab.power("stop vm-101 --yes").exits(0);
    let _ = lab.power("start vm-101 --yes").exits(0);
    assert_eq!(lab.sim.posts(), [call(101, "stop"), call(101, "start")]);
}

/// Started, and halted by its own configuration: nothing more comes.
#[test]
fn what_starts_into_a_pause_is_said_at_once() {
    let mut cluster = guests();
    cluster.change_guest(102, |vm| vm.config("freeze", 1));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102").exits(1).says("it is paused (prelaunch)").says("`freeze`");
    let run = run.says("run `ecobox power resume pve1-vm-102`");
    assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
    let _ = lab.power("resume vm-102").exits(0);
}

#[test]
fn who_is_destroyed_while_it_shuts_down_is_gone() {
    let mut cluster = guests();
    cluster.before("GET", "/tasks/UPID", |c| c.crash_guest(101));
    cluster.before("GET", "/101/status/current", |c| {
        c.before("GET", "/101/status/current", |c| c.remove_guest(101));
    });
    let lab = lab_of(cluster);
    let run = lab.power("shutdown vm-101 --yes").exits(1).says("pve1-vm-101 is gone: no node of its cluster has it");
    assert_eq!(lab.sim.posts(), [call(101, "shutdown")], "{run}");
}
