//! What ecobox makes of what a real Proxmox VE said second by second: the verdicts of the recorded courses.

use ecobox_sim::{Agent, Cluster, Guest};

use super::fleets::{OPERATOR, TOKEN};
use super::power::{Lab, lab_of};

/// A guest as a course begins with it: `105 running`, `201 running deaf`.
fn guest(given: &str) -> (u32, Lab) {
    let (vmid, state) = given.split_once(' ').unwrap();
    let vmid: u32 = vmid.parse().unwrap();
    let describe = |guest: Guest| {
        let guest = match vmid {
            101 => guest.agent_ip("10.99.0.101/24"),
            102 => guest.ignores_shutdown().agent(Agent::Dead),
            105 => guest.ignores_shutdown(),
            108 => guest.missing_disk(),
            _ => guest,
        };
        let guest = if state.ends_with("deaf") { guest.ignores_shutdown() } else { guest };
        match state.split(' ').next().unwrap() {
            "running" => guest.running(),
            "hibernated" => guest.hibernated(),
            _ => guest.stopped(),
        }
    };
    let privileges = [OPERATOR, &["VM.Config.Disk", "Datastore.AllocateSpace"]].concat();
    let cluster = Cluster::new("lab").token(TOKEN, super::env::CANARY, "/", &privileges).node("pve1").node("pve2");
    let cluster = if vmid < 200 { cluster.vm(vmid, "one", describe) } else { cluster.ct(vmid, "one", describe) };
    (vmid, lab_of(cluster))
}

#[test]
fn verdicts_on_the_recorded_courses() {
    let text = include_str!("../fixtures/pve-9.2/courses.txt");
    let (mut name, mut given, mut failing, mut verdicts) = ("", "", "", 0);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix("course ") {
            ((name, given), failing) = (head.rsplit_once(": ").unwrap(), "");
        }
        // How its first task failed.
        if let Some((_, end)) = line.split_once(" task ")
            && failing.is_empty()
            && end != "running"
        {
            failing = end;
        }
        let Some(verdict) = line.strip_prefix("=> ") else { continue };
        let (words, verdict) = verdict.split_once(" ; ").unwrap();
        let (code, result) = verdict.split_once(' ').unwrap();
        let (vmid, lab) = guest(given);
        let mut words = words.splitn(2, ' ');
        let (verb, options) = (words.next().unwrap(), words.next().unwrap_or_default());
        let command = format!("{verb} {vmid} {options} --yes -o json").replace("  ", " ");
        let run = lab.power(&command).exits(code.parse().unwrap());
        assert_eq!(Lab::results(&run), [result], "{name}: {command}\n{run}");
        assert!(lab.sim.posts().len() <= 1, "{name}: {:?}", lab.sim.posts());
        if code == "9" {
            let _ = run.says(failing);
        }
        // A condition right after it is decided on what is, not on the listing.
        if let Some(state) = result.strip_prefix("done ") {
            let other = if state == "running" { "stopped" } else { "running" };
            let is = |state: &str| format!("{vmid}={state}");
            let watch =
                |state: &str| lab.env.run(&["watch", "--until", &is(state), "--count", "1", "--interval", "1s"]);
            let _ = watch(other).exits(10);
            let _ = watch(state).exits(0);
        }
        verdicts += 1;
    }
    assert!(verdicts >= 14, "only {verdicts} verdicts");
}
