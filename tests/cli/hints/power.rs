//! Hints of `power`.

use ecobox_sim::host::Host;

use super::super::fleets::{CLOSED, Open};
use super::super::pace::deadline;
use super::super::power::{guests, lab, lab_of};
use super::super::power_wake::{cluster_knows, evening, may_wake, put_to_sleep};
use super::super::setup_token_again::with_token;
use super::super::world::{FAST, World};
use super::{Followed, Row};

pub(super) fn no_ssh(row: &Row) -> Option<Followed> {
    let world = World::new();
    let (pve, _) = with_token(&world);
    let _ = world.run(&["discover"]).exits(0);
    world.configure(&format!("{}\ntype = \"proxmox\"\n", pve.entries().trim_end()));
    let _ = row.seen(&world.run(&["setup-token", "pve1"]).exits(4));
    let run = world.run(&["power", "suspend", "pve1", "--dry-run"]).exits(11);
    let seen = row.seen(&run);
    world.configure(&pve.entries());
    Some(seen.gone(&world.run(&["power", "suspend", "pve1", "--dry-run"])))
}

pub(super) fn hibernate_rights(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    let run = world.run(&["power", "hibernate", "vm-101", "--yes"]).exits(4);
    let seen = row.seen(&run);
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        let rights = ["VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "Datastore.AllocateSpace", "Sys.Audit"];
        pve.sim.cluster().access().grant("/", who, &rights, true);
    }
    Some(seen.gone(&world.run(&["power", "hibernate", "vm-101", "--yes"]).exits(0)))
}

pub(super) fn storage_map_rights(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token", "--scope", "manager"]).exits(0);
    let migrate = ["migrate", "vm-101", "--to", "pve2", "--with-local-disks", "--target-storage", "fast", "--yes"];
    let seen = row.seen(&world.run(&migrate).exits(4));
    assert_eq!(pve.sim.posts(), [""; 0]);
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        let rights = ["VM.Audit", "VM.Migrate", "VM.Config.Disk", "Datastore.AllocateSpace", "Sys.Audit"];
        pve.sim.cluster().access().grant("/", who, &rights, true);
    }
    Some(seen.gone(&world.run(&migrate).exits(0)))
}

pub(super) fn node_wake_rights(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = cluster_knows(&world, |node| node.wakeonlan("bc:24:11:00:00:02"));
    let run = world.run(&["power", "wake", "pve2"]).exits(4);
    let seen = row.seen(&run);
    may_wake(&pve);
    let host = pve.node("pve2").host.clone();
    pve.sim.cluster().after("POST", "/wakeonlan", move |_| host.wake());
    Some(seen.gone(&world.run(&["power", "wake", "pve2"]).exits(0)))
}

pub(super) fn not_confirmed(row: &Row) -> Option<Followed> {
    let lab = lab();
    let run = lab.power("stop vm-101").exits(11);
    let seen = row.seen(&run);
    Some(seen.gone(&lab.power("stop vm-101 --yes").exits(0)))
}

pub(super) fn no_mac(row: &Row) -> Option<Followed> {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&(FAST.to_owned() + &nas.entry()));
    nas.host.suspend();
    let run = world.run(&["power", "wake", "nas"]).exits(11);
    let seen = row.seen(&run);
    let mac = format!("mac = \"{}\"\n", nas.host.wol_mac());
    let way = format!("broadcast = \"127.0.0.1\"\nport = {}\n", nas.host.wol_port());
    world.configure(&format!("{FAST}{}\n[servers.wol]\n{mac}{way}", nas.entry().trim_end()));
    Some(seen.gone(&world.run(&["power", "wake", "nas"]).exits(0)))
}

pub(super) fn wake_first(row: &Row) -> Option<Followed> {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    let _ = world.run(&["init"]).exits(0);
    let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(0);
    let _ = row.seen(&world.run(&["power", "reboot", "nas", "--dry-run"]).exits(11));
    let run = world.run(&["power", "reboot", "nas", "--yes"]).exits(11);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox power wake nas").exits(0);
    Some(seen.gone(&world.run(&["power", "reboot", "nas", "--dry-run"]).exits(0)))
}

pub(super) fn still_coming(row: &Row) -> Option<Followed> {
    let mut cluster = guests();
    cluster.change_guest(106, |vm| vm.shutdown_limit(60_000));
    let lab = lab_of(cluster);
    let run = lab.power(&format!("shutdown vm-106 --timeout {} --yes", deadline(1))).exits(10);
    let seen = row.seen(&run);
    let run = seen.follow(&lab.env, "ecobox status pve1-vm-106").exits(0);
    assert!(run.stdout.contains("running"), "{run}");
    Some(seen.gone(&run))
}

/// A program took a lock after the last look, and lets go of it.
pub(super) fn trigger_failed(row: &Row) -> Option<Followed> {
    let world = World::new();
    let nas = world.serve(Host::pve("nas").version("9.2.11").build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    nas.host.write_file("/.sim/locks", "sleep\n");
    let run = world.run(&["power", "suspend", "nas", "--yes"]).exits(1);
    let seen = row.seen(&run);
    nas.host.write_file("/.sim/locks", "");
    Some(seen.gone(&world.run(&["power", "suspend", "nas", "--yes"]).exits(0)))
}

pub(super) fn not_awake(row: &Row) -> Option<Followed> {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    pve.node("pve1").host.wake_after(usize::MAX);
    put_to_sleep(&world, &pve);
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(2)]).exits(10);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox status pve1");
    // Its card listens now.
    pve.node("pve1").host.wake_after(0);
    Some(seen.gone(&world.run(&["power", "start", "vm-101"]).exits(0)))
}

pub(super) fn not_ready(row: &Row) -> Option<Followed> {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    put_to_sleep(&world, &pve);
    pve.sim.cluster().set_quorate(false);
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(3)]).exits(10);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox status pve1");
    pve.sim.cluster().set_quorate(true);
    Some(seen.gone(&world.run(&["power", "start", "vm-101"]).exits(0)))
}

pub(super) fn guest_busy(row: &Row) -> Option<Followed> {
    let mut cluster = guests();
    cluster.hold_lock(102, true);
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102").exits(9);
    let seen = row.seen(&run);
    lab.sim.cluster().hold_lock(102, false);
    Some(seen.gone(&lab.power("start vm-102").exits(0)))
}

pub(super) fn paused(row: &Row) -> Option<Followed> {
    let mut cluster = guests();
    cluster.change_guest(102, |vm| vm.config("freeze", 1));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102").exits(1);
    let seen = row.seen(&run);
    let run = seen.follow(&lab.env, "ecobox power resume pve1-vm-102").exits(0);
    Some(seen.gone(&run))
}

/// The hint of a host that is asleep, whose port is closed, or that has no SSH never speaks of a token.
#[test]
fn plain_servers_are_told_nothing_of_tokens() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&super::super::fleets::plain("nas", CLOSED));
    let closed = world.run(&["init"]).exits(5);
    world.configure(&nas.entry());
    let unknown = world.run(&["stats"]).exits(6);
    world.know(&nas);
    nas.ssh.deauthorize_all();
    let refused = world.run(&["stats"]).exits(4);
    for run in [closed, unknown, refused] {
        assert!(run.stderr.contains("hint: ") && !run.stderr.contains("token"), "{run}");
    }
}
