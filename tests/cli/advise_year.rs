//! `advise` from a year as Proxmox VE keeps it: the steps of 8 and of 9, an update in between, a number that was given again.

use ecobox_sim::{Cluster, Sim};

use super::advise::{DAY, advise, because, lab, line, old, says, vm};
use super::advise_history::{GIB, Minute, YEAR, on, set_past};
use super::fleets::env_for;

const HOUR: u64 = 3600;

/// Guests of which each year says something else.
fn guests(version: &str) -> Cluster {
    lab(version)
        .node_with("pve1", |node| node.size(32, 256 << 30).uptime(400 * DAY))
        .vm(101, "yearly", |guest| vm(guest, 8, 16))
        .vm(102, "nightly", |guest| vm(guest, 8, 8))
        .vm(103, "leak", |guest| vm(guest, 2, 8))
        .vm(104, "holes", |guest| vm(guest, 8, 16))
        .vm(105, "office", |guest| vm(guest, 8, 16))
        .ct(201, "small", |ct| ct.running().uptime(40 * DAY).size(4, 4096).load(0.1, 1 << 29))
}

fn histories(lab: &mut Cluster, updated: Option<u64>) {
    // Once in the year it worked: an hour, two hundred days ago.
    let yearly = |ago: u64| if (200 * DAY..200 * DAY + HOUR).contains(&ago) { on(7.5, 13.5) } else { on(0.5, 2.0) };
    set_past(lab, 101, YEAR, (8.0, 16.0), updated, yearly);
    // Forty minutes each night.
    set_past(lab, 102, YEAR, (8.0, 8.0), updated, |ago| if ago % DAY < 2400 { on(7.8, 7.0) } else { on(0.2, 1.0) });
    let days = |ago: u64| f64::from(u32::try_from(ago.min(60 * DAY)).unwrap()) / 86_400.0;
    let leak = |ago: u64| on(1.6, 5.9 - 4.0 * days(ago) / 60.0);
    set_past(lab, 103, YEAR, (2.0, 8.0), updated, leak);
    let hole = |ago: u64| if (6 * DAY..24 * DAY).contains(&ago) { Minute::Gap } else { on(0.9, 2.0) };
    set_past(lab, 104, YEAR, (8.0, 16.0), updated, hole);
    // On working days only, and off else.
    let office = |ago: u64| if ago / DAY % 7 < 5 && ago % DAY < 10 * HOUR { on(2.6, 5.0) } else { Minute::Off };
    set_past(lab, 105, YEAR, (8.0, 16.0), updated, office);
    set_past(lab, 201, YEAR, (4.0, 4.0), updated, |ago| on(if ago % DAY < HOUR { 0.9 } else { 0.3 }, 0.6));
}

#[test]
fn the_same_is_said_of_each_version() {
    for (version, updated, sure) in [
        ("8.4.1", None, "medium"),
        ("9.2.11", None, "high"),
        // Updated twelve days ago.
        ("9.2.11", Some(12 * DAY), "medium"),
    ] {
        let mut lab = guests(version);
        histories(&mut lab, updated);
        let sim = Sim::start(lab);
        let env = env_for(&sim, &["pve1"]);
        let report = advise(&env, &[], 0);
        let id = |number: u32| format!("pve1-vm-{number}");
        eprintln!("{version} {updated:?}");
        // In a month nothing was seen of the hour two hundred days ago.
        says(&report, &id(101), "cores", "less", Some(1.0));
        says(&report, &id(102), "cores", "keep", None);
        says(&report, &id(102), "memory", "keep", None);
        says(&report, &id(103), "memory", "review", None);
        because(&report, &id(103), "memory", "it rises by");
        says(&report, &id(104), "cores", "less", Some(2.0));
        assert_eq!(line(&report, &id(104), "cores")["confidence"], "low", "{version}");
        because(&report, &id(104), "cores", "nothing for 1");
        says(&report, &id(105), "cores", "less", Some(3.0));
        says(&report, &id(105), "memory", "less", Some(5.75 * GIB));
        says(&report, "pve1-ct-201", "memory", "less", Some(0.75 * GIB));
        assert_eq!(line(&report, "pve1-ct-201", "cores")["confidence"], sure, "{version} {updated:?}");
        // In a year it was. Only the maxima of its steps of six hours, or of a week, still say so.
        let report = advise(&env, &["--since", "350d"], 0);
        says(&report, &id(101), "cores", "keep", None);
        says(&report, &id(101), "memory", "keep", None);
        says(&report, &id(102), "cores", "keep", None);
    }
}

#[test]
fn a_number_that_was_given_again_is_judged_by_its_own_time() {
    // The one before was large and busy; this one was made ten days ago.
    let made = jiff_seconds() - 10 * DAY;
    let mut lab = lab("9.2.11")
        .node_with("pve1", |node| node.size(32, 256 << 30).uptime(400 * DAY))
        .vm(101, "new", |guest| vm(guest, 8, 16).config("meta", format!("creation-qemu=10.0.2,ctime={made}")))
        .vm(102, "newer", |guest| {
            vm(guest, 8, 16).config("meta", format!("creation-qemu=10.0.2,ctime={}", made + 8 * DAY))
        })
        .vm(103, "oldest", |guest| old(vm(guest, 8, 16)));
    for number in [101, 102, 103] {
        let since = if number == 102 { 2 } else { 10 } * DAY;
        let before = |ago: u64| if ago > since { on(7.9, 15.0) } else { on(0.9, 2.0) };
        set_past(&mut lab, number, YEAR, (8.0, 16.0), None, before);
    }
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1"]);
    let report = advise(&env, &[], 0);
    says(&report, "pve1-vm-101", "cores", "less", Some(2.0));
    says(&report, "pve1-vm-101", "memory", "less", Some(2.5 * GIB));
    says(&report, "pve1-vm-102", "cores", "cannot-tell", None);
    // Of the one that is old enough all of it counts.
    says(&report, "pve1-vm-103", "cores", "more", Some(10.0));
}

fn jiff_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
